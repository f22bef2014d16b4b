"""Two speak by turns: are their names remembered, and who has the next word?"""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from shared.probes.plays import Plays, Speech
from shared.probes.questions import SEED, Context, Question, crossed

LONGEST = 192  # tokens of a dialogue that are read


@dataclass(frozen=True)
class Dialogue:
    """Two speakers by turns, up to where the one is due who did not speak last; each time with other names.

    names: the speaker who is due and the other, in `first` and then in `second`. swapped: as `first`, but the two have
    each other's name. distance: from the last label of the one who is due.
    """

    names: tuple[str, str, str, str]
    first: Context
    second: Context
    swapped: Context
    distance: int
    source: int


def names_kept(plays: Plays) -> Iterator[Question]:
    """The name that is due in one renaming, against the one that is due in the other."""
    for dialogue in dialogues(plays):
        due, _, other_due, _ = dialogue.names
        yield crossed((dialogue.first, dialogue.second), (due, other_due), dialogue.distance, dialogue.source)


def who_speaks_next(plays: Plays) -> Iterator[Question]:
    """The name of who answers against that of who has just spoken; then the two change names."""
    for dialogue in dialogues(plays):
        due, speaking, _, _ = dialogue.names
        yield crossed((dialogue.first, dialogue.swapped), (due, speaking), dialogue.distance, dialogue.source)


def dialogues(plays: Plays) -> Iterator[Dialogue]:
    """Every place at which somebody answers who was answered, with all that the two have said before it."""
    chance, speeches, run = Random(SEED), plays.speeches, 0
    for last in range(2, len(speeches)):
        due, speaking = speeches[last].speaker, speeches[last - 1].speaker
        if due == speaking or speeches[last - 2].speaker != due:
            run = last - 1  # whoever speaks now has not answered the one before the last: here a new pair begins
            continue
        turns = [speech for speech in speeches[run:last] if speeches[last].start - speech.start <= LONGEST]
        turns = max(turns, speeches[last - 2 : last], key=len)  # the last two at least
        # A name that somebody speaks in the passage would be likely without its label.
        spoken = {word.upper() for word in plays.words[turns[0].first : turns[-1].end]}
        free = [name for name in plays.names if name not in spoken]
        if len(free) < 4:
            continue
        one, two, three, four = chance.sample(free, 4)
        yield Dialogue(
            (one, two, three, four),
            first=renamed(plays, turns, {due: one, speaking: two}),
            second=renamed(plays, turns, {due: three, speaking: four}),
            swapped=renamed(plays, turns, {due: two, speaking: one}),
            distance=len(renamed(plays, turns[-2:], {due: one, speaking: two})),
            source=run,
        )


def renamed(plays: Plays, turns: list[Speech], names: dict[Context, str]) -> Context:
    """The speeches under other names, up to where the next name is due."""
    return tuple(
        word for speech in turns for word in (names[speech.speaker], ":", "\n", *plays.words[speech.first : speech.end])
    )
