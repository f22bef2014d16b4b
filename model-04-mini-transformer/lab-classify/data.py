"""Passages of 200 words from the plays, without the speakers' names, dealt into six folds for cross-validation.

Words and signs are in lower case and line breaks are left out. So neither the layout of a page nor a name that stands
over a speech can give the genre away: nothing leaks but the text itself.
"""

import csv
import random
import re
from collections import defaultdict
from dataclasses import dataclass

from shared.text.corpus import SHAKESPEARE, WORKS
from shared.text.spacing import bare, is_word
from shared.text.words import split_tokens

GENRES = ("comedy", "history", "tragedy")
PASSAGE_WORDS = 200
NUM_FOLDS = 6
SPEAKER = re.compile(r"^[^a-z\n]+:\n", re.MULTILINE)  # a line of its own, in capitals, that ends in a colon


@dataclass(frozen=True)
class Passage:
    """200 words in a row of one play, and the signs between them; `genre` is an index into GENRES."""

    play: str
    genre: int
    tokens: tuple[str, ...]


def without_speakers(text: str) -> str:
    r"""The text without the lines that say who speaks.

    >>> without_speakers("HAMLET:\nWords, words.\n\nLORD POLONIUS:\nI mean, my lord:\n")
    'Words, words.\n\nI mean, my lord:\n'
    """
    return SPEAKER.sub("", text)


def tokenize(text: str) -> list[str]:
    r"""Words and signs in lower case.

    >>> tokenize("Words,\nWords!")
    ['words', ',', 'words', '!']
    """
    return [bare(token) for token in split_tokens(text.lower()) if token != "\n"]


def cut(tokens: list[str], num_words: int = PASSAGE_WORDS) -> list[tuple[str, ...]]:
    """Passages of `num_words` words, one after the other; signs do not count. The last one may be shorter.

    >>> cut(["a", ",", "b", "c", "!"], num_words=2)
    [('a', ',', 'b'), ('c', '!')]
    """
    passages, passage, count = [], [], 0
    for token in tokens:
        if is_word(token) and count == num_words:
            passages.append(tuple(passage))
            passage, count = [], 0
        passage.append(token)
        count += is_word(token)
    return [*passages, tuple(passage)] if passage else passages


def read_plays() -> dict[str, tuple[int, str]]:
    """Title -> (genre, text) of every play, in the order of data/works.csv; the poems are left out."""
    text = SHAKESPEARE.read_text(encoding="utf-8")
    with WORKS.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["genre"] in GENRES]
    return {row["title"]: (GENRES.index(row["genre"]), text[int(row["start"]) : int(row["end"])]) for row in rows}


def read_passages(speakers: bool = False) -> list[Passage]:
    """All whole passages of all plays; what is left at a play's end is dropped. `speakers`: leave their names in."""
    passages = []
    for title, (genre, text) in read_plays().items():
        tokens = tokenize(text if speakers else without_speakers(text))
        passages += [Passage(title, genre, part) for part in cut(tokens)[:-1]]  # the last one may be too short
    return passages


def folds_by_play(passages: list[Passage]) -> list[int]:
    """A fold for each passage, the same for all passages of a play (grouped cross-validation).

    Each genre's plays are dealt out like cards, so every fold has all three genres. They come in the order of their
    years, so the parts of *Henry VI* fall into different folds.
    """
    plays = defaultdict(dict)  # genre -> its plays, as the keys of a dict, which keep their order; a set would not
    for passage in passages:
        plays[passage.genre][passage.play] = None
    # One genre after the other, from where dealing the last one ended: no fold gets a play more of every genre.
    dealt = [play for genre in sorted(plays) for play in plays[genre]]
    fold = {play: index % NUM_FOLDS for index, play in enumerate(dealt)}
    return [fold[passage.play] for passage in passages]


def folds_at_random(passages: list[Passage]) -> list[int]:
    """A fold for each passage, whatever its play: the wrong way, to see what it pretends.

    A model then trains on passages of the very plays that it is asked about (leakage).
    """
    folds = [index % NUM_FOLDS for index in range(len(passages))]
    random.Random(0).shuffle(folds)
    return folds


SPLITS = {"play": folds_by_play, "random": folds_at_random}
TABLES = {"play": "Split by play", "random": "Split at random"}
