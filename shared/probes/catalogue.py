"""The probes, in the order in which they are shown: what each asks, and how its questions are made."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from shared.probes import agreement, copying, dialogue, form
from shared.probes.plays import Plays
from shared.probes.questions import Question

CHANCE = 0.5  # what share of the questions is answered rightly by who knows nothing: each has two answers


@dataclass(frozen=True)
class Probe:
    """A kind of question, and the idea in one line."""

    title: str
    idea: str
    make: Callable[[Plays], Iterator[Question]]


PROBES = [
    Probe(
        "names",
        "Two speak by turns, under names drawn by lot, then under others. The name that is due is likelier where it is "
        "one of theirs.",
        dialogue.names_kept,
    ),
    Probe(
        "who speaks next",
        "Two speak by turns. The name of the one who answers is likelier than that of the one who has just spoken.",
        dialogue.who_speaks_next,
    ),
    Probe(
        "agreement: verbs",
        "The verb goes with its subject: thou art, you are; he hath, they have; I am, he is.",
        agreement.verbs_agree,
    ),
    Probe("agreement: nouns", "After this comes a singular, after these a plural.", agreement.nouns_agree),
    Probe(
        "pronouns",
        "After a king comes he, after a queen she, and so after names to which the training text gives a sex.",
        agreement.pronouns_agree,
    ),
    Probe(
        "copying: second time",
        "A rare word is likelier where it comes for the second time than where it came first.",
        copying.second_time,
    ),
    Probe(
        "copying: third time",
        "A rare word is likelier where it comes for the third time than where it came first.",
        copying.third_time,
    ),
    Probe(
        "copying: a planted name",
        "A name drawn by lot stands where somebody is named. Where somebody is named again, it is likelier than one "
        "that does not stand there.",
        copying.planted_names,
    ),
    Probe(
        "form: the speaker's line",
        "After a speaker's name comes a colon, not a comma; after that a line break, not yet the speech.",
        form.speakers_line,
    ),
    Probe(
        "form: length of verses",
        "A line break is likelier after a whole verse than after the same words when the verse begins later.",
        form.verse_length,
    ),
    Probe(
        "form: rhymes",
        "The second word of a known rhyme is likelier after the first than after the first of another.",
        form.couplets_rhyme,
    ),
]
