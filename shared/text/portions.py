"""A long text in portions of about a million characters: so that work on it has a bar, and fits into the memory."""

import re
import sys
from collections.abc import Iterator

from tqdm import tqdm

PORTION = 1 << 20  # characters
LEARNED = 10_000_000  # characters that a vocabulary is learned from: more change it little
# Where no tokenizer has a token on both sides: before a line, and between two words.
CUT = re.compile(r"(?<=\n)(?=\S)|(?<=[^\W\d_])(?= [^\W\d_])")


def portions(text: str, doing: str, size: int = PORTION) -> Iterator[str]:
    """The text in parts, whose tokens laid end to end are those of the whole; a bar says what is being done.

    A text that has neither lines nor words for so long is cut anywhere.

    >>> list(portions("To be, or not", "counting", size=7))
    ['To be, or', ' not']
    """
    begin = 0
    with tqdm(desc=doing, total=len(text), unit="", unit_scale=True, file=sys.stderr, delay=1) as bar:
        while begin < len(text):
            found = CUT.search(text, begin + size, begin + 2 * size)
            end = found.end() if found else min(begin + 2 * size, len(text))
            yield text[begin:end]
            bar.update(end - begin)
            begin = end


def to_learn_from(text: str) -> str:
    """The beginning of a text, as much as a vocabulary is learned from; a line to say so where it is not all."""
    if len(text) > LEARNED:
        tqdm.write(f"the vocabulary is learned from the first {LEARNED:,} of {len(text):,} characters", file=sys.stderr)
    return text[:LEARNED]
