"""Is a word that was there a moment ago likelier to come again?"""

from collections import defaultdict
from collections.abc import Iterator
from random import Random

from shared.probes.plays import LEAD, Plays
from shared.probes.questions import SEED, Question, crossed

RARE = range(2, 115)  # times that the training text has a rare word: of the bundled one, less than once in 10,000
APART = 200  # tokens from one occurrence to another, at most
UNSEEN = 1000  # tokens without the word before an occurrence counts as its first


def second_time(plays: Plays) -> Iterator[Question]:
    """A rare word where it stands for the second time, against the first."""
    for first, second, *_ in series(plays):
        yield against_first(plays, first, second, second - first)


def third_time(plays: Plays) -> Iterator[Question]:
    """A rare word where it stands for the third time, against the first."""
    for first, second, *others in series(plays):
        if others and others[0] - second <= APART:
            yield against_first(plays, first, others[0], others[0] - second)


def series(plays: Plays) -> list[list[int]]:
    """The places of each rare word from a first on, wherever a second follows soon."""
    found, latest = [], defaultdict(list)
    for place, word in enumerate(plays.words):
        if plays.counts[word] in RARE and word.islower() and word.isalpha():
            if not latest[word] or place - latest[word][-1] > UNSEEN:
                latest[word] = []
                found.append(latest[word])
            latest[word].append(place)
    again = [places for places in found if len(places) > 1 and places[1] - places[0] <= APART]
    return [places for places in again if places[0] > APART + LEAD]


def against_first(plays: Plays, first: int, later: int, distance: int) -> Question:
    """The same word at a later place and at its first, with as many tokens read before it."""
    word, reach = plays.words[first], min(later - first, APART)
    right = plays.before(later, reach), word
    return Question((right,), ((plays.before(first, reach), word),), distance, source=first)


def planted_names(plays: Plays) -> Iterator[Question]:
    """Two places at which a speech names somebody get the same known name, drawn by lot; then both another."""
    chance, places = Random(SEED), plays.spoken_names
    for place in places:
        for cue in (cue for cue in places if 0 < place - cue <= APART):
            before, between = plays.before(cue), plays.words[cue + 1 : place]
            there = {word.upper() for word in (*before, *between)}
            free = [name for name in plays.persons if name.upper() not in there]
            if len(free) >= 2:
                names = tuple(chance.sample(free, 2))
                contexts = tuple((*before, name, *between) for name in names)
                yield crossed(contexts, names, place - cue, source=place)
