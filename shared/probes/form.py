"""Is the form of a play kept: the speaker's line, the length of verses, rhymes? (Held-out plays have no brackets.)"""

import re
from collections import Counter
from collections.abc import Iterator
from random import Random

from shared.probes.plays import Plays, lines
from shared.probes.questions import SEED, Question, crossed

SHORTEST = 6  # tokens of a line of verse that is made shorter
RHYMES = 2  # times that two words must have ended neighbouring lines of the training text, to be a known rhyme
NEIGHBOURS = (1, 2, 3)  # lines between a rhyme and its fellow, one more: couplets, crossed and embracing rhymes
OFTENER = 3  # than by chance, to be one
DRAWS = 4  # other rhymes that each couplet is compared with


def speakers_line(plays: Plays) -> Iterator[Question]:
    """After a speaker's name a colon, not a comma; then a line break, not yet the first word of the speech."""
    for speech in plays.speeches:
        colon, begun = speech.first - 2, len(speech.speaker)
        said = plays.words[speech.first : speech.end]
        if not said or said[0] == "\n":  # a label at the text's end, or one under which nothing is said
            continue
        for place, wrong in ((colon, ","), (colon + 1, said[0])):
            context = plays.before(place, begun)
            right = (context, plays.words[place])
            yield Question((right,), ((context, wrong),), distance=place - speech.start, source=speech.start)


# --------------------------------------------------------------------------------------------------------------- verses


def verse_length(plays: Plays) -> Iterator[Question]:
    """A line of verse at its end, against the same words when the break before them comes later."""
    chance = Random(SEED)
    for (_, before), (start, end) in verses(plays):
        line = plays.words[start:end]
        if len(line) < SHORTEST:
            continue
        later = chance.randrange(2, len(line) - 1)
        if not (line[0][0].isalpha() and line[later][0].isalpha()):
            continue
        # Verses begin with capitals, so the words that begin a line, and no longer do, are written accordingly.
        head = [line[0] if line[0] == "I" else line[0].lower(), *line[1:later]]
        tail = [line[later][0].upper() + line[later][1:], *line[later + 1 :]]
        lead = plays.before(before)
        whole, shortened = (*lead, "\n", *line), (*lead, *head, "\n", *tail)
        yield Question(((whole, "\n"),), ((shortened, "\n"),), len(tail) + 1, source=start, checked=len(line) + 1)


def verses(plays: Plays) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Lines of verse, each with the one before it, which is of the same speech: (start, end) both.

    A speech is in verse if each of its lines, three at least, begins with a capital: prose goes on in small letters.
    """
    for speech in plays.speeches:
        within = [line for line in lines(plays.words[speech.first : speech.end]) if line[0] < line[1]]
        found = [(speech.first + start, speech.first + end) for start, end in within]
        if len(found) >= 3 and all(plays.words[start][0].isupper() for start, _ in found):
            yield from zip(found, found[1:])


# --------------------------------------------------------------------------------------------------------------- rhymes


def couplets_rhyme(plays: Plays) -> Iterator[Question]:
    """The second of two lines that rhyme ends with its rhyme; with other ends, the first asks for another's."""
    chance = Random(SEED)
    rhymes = find_rhymes(plays)
    known = {frozenset(rhyme) for rhyme in rhymes}
    for (earlier, before), (start, end) in verses(plays):
        cue, place = last_word(plays.words, earlier, before), last_word(plays.words, start, end)
        first, second = plays.words[cue], plays.words[place]
        if frozenset((first, second)) not in known:
            continue
        for other, answer in chance.sample(rhymes, min(DRAWS, len(rhymes))):
            if ending(other) != ending(first):
                between = plays.words[cue + 1 : place]
                contexts = tuple((*plays.before(cue), word, *between) for word in (first, other))
                yield crossed(contexts, (second, answer), place - cue, source=cue)


def find_rhymes(plays: Plays) -> list[tuple[str, str]]:
    """Words of which the training text has one end a line soon after the other does, more often than by chance.

    And more than once; and spelled alike at their ends.
    """
    ends = [plays.train[last_word(plays.train, start, end)] for start, end in lines(plays.train) if start < end]
    ends = [word if word.islower() else "" for word in ends]  # neither labels nor names
    frequency, pairs = Counter(ends), Counter()
    for apart in NEIGHBOURS:
        pairs.update(tuple(sorted(pair)) for pair in zip(ends, ends[apart:]) if all(pair) and pair[0] != pair[1])

    def by_chance(one: str, two: str) -> float:
        return 2 * len(NEIGHBOURS) * frequency[one] * frequency[two] / len(ends)

    return [
        pair
        for pair, count in pairs.items()
        if count >= RHYMES and count > OFTENER * by_chance(*pair) and ending(pair[0]) == ending(pair[1])
    ]


def last_word(words: list[str], start: int, end: int) -> int:
    """The place of a line's last word, before any sign; the line's beginning where it has no word."""
    return next((place for place in range(end - 1, start, -1) if words[place][0].isalpha()), start)


def ending(word: str) -> str:
    """The letters from a word's last vowels on, by which rhymes are told; a silent e belongs to what is before it.

    >>> ending("place"), ending("days")
    ('ace', 'ays')
    """
    found = re.search("[aeiouy]+[^aeiouy]*(?:e?s?)$", word)
    return found.group() if found else word
