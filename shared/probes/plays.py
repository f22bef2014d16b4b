"""What questions are made from: the held-out plays as words, cut into speeches, and what the training text knows."""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property

from shared.probes.questions import Context
from shared.text.spacing import bare
from shared.text.words import split_tokens

LEAD = 32  # words read before those that a question is about, so that no model starts there from nothing
SPEECHES = 20  # of a speaker in the training text, to be one whose name it knows well


@dataclass(frozen=True)
class Speech:
    """A speech in a list of words: its label from `start` on, its own words from `first` on, both up to `end`."""

    speaker: Context
    start: int
    first: int
    end: int


@dataclass(frozen=True)
class Plays:
    """words: of the held-out plays; train: of the training text; known: the vocabulary."""

    words: list[str]
    train: list[str]
    known: frozenset[str]

    @cached_property
    def counts(self) -> Counter:
        """How often the training text has each word."""
        return Counter(self.train)

    @cached_property
    def speeches(self) -> list[Speech]:
        """The speeches of the held-out plays."""
        return find_speeches(self.words)

    @cached_property
    def names(self) -> list[str]:
        """The names of one word by which the training text often calls a speaker, as its labels write them: ROMEO."""
        speakers = Counter(speech.speaker[0] for speech in find_speeches(self.train) if len(speech.speaker) == 1)
        return [name for name, count in speakers.items() if count >= SPEECHES and name in self.known]

    @cached_property
    def persons(self) -> list[str]:
        """The same names as others speak them, Romeo, but for those that are words as well, such as King."""
        spoken = [name.capitalize() for name in self.names]
        return [name for name in spoken if name in self.known and not self.counts[name.lower()]]

    @cached_property
    def spoken_names(self) -> list[int]:
        """The places at which a speech names a person, one of those known or of the held-out plays' own."""
        own = {speech.speaker[0].capitalize() for speech in self.speeches if len(speech.speaker) == 1}
        names = {name for name in own if not self.counts[name.lower()]} | set(self.persons)
        return [place for place, word in enumerate(self.words) if word in names]

    def before(self, place: int, distance: int = 0) -> Context:
        """The words before a place: `distance` of them, and those that lead up to them."""
        return tuple(self.words[max(0, place - distance - LEAD) : place])


def words_of(text: str) -> list[str]:
    """A text as the word tokenizer cuts it, signs without the blanks about them.

    >>> words_of("Ay, sir.\\n")
    ['Ay', ',', 'sir', '.', '\\n']
    """
    return [bare(token) for token in split_tokens(text) if token == "\n" or not token.isspace()]


def find_speeches(words: list[str]) -> list[Speech]:
    """The speeches in a text; each begins after a blank line with a name, a colon and a line break.

    >>> find_speeches(["THE", "KING", ":", "\\n", "Now", "!"])
    [Speech(speaker=('THE', 'KING'), start=0, first=4, end=6)]
    """
    labels, after_blank = [], True
    for start, end in lines(words):
        label = words[start:end]
        if after_blank and label[1:] and label[-1] == ":" and not any(word[0].islower() for word in label):
            labels.append((start, end))
        after_blank = start == end
    ends = [start for start, _ in labels[1:]] + [len(words)]
    return [Speech(tuple(words[start : colon - 1]), start, colon + 1, end) for (start, colon), end in zip(labels, ends)]


def lines(words: list[str]) -> list[tuple[int, int]]:
    """Where the lines of a text begin and end, the break not included; blank ones as well.

    >>> lines(["To", "be", "\\n", "\\n", "or"])
    [(0, 2), (3, 3), (4, 5)]
    """
    breaks = [place for place, word in enumerate(words) if word == "\n"]
    return list(zip([0, *(place + 1 for place in breaks)], [*breaks, len(words)]))
