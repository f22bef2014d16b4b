"""What every tokenizer promises."""

from array import array
from collections.abc import Sequence

from shared.text.portions import portions


class Tokenizer:
    """What the three tokenizers have in common.

    name        "word", "char" or "bpe"
    unit        what one token is called: "word", "character" or "piece"
    lossless    True when decode(encode(text)) is text; only then are bits per character defined
    unk_id      id of <unk>, the token that stands for every word out of the vocabulary, or None where there is none; a
                sampler never generates it
    newline_id  id to start from when there is no prompt
    vocab_size  number of ids; they run from 0
    """

    name: str
    unit: str
    lossless = True
    unk_id: int | None = None
    newline_id: int
    vocab_size: int

    @classmethod
    def train(cls, text: str, vocab_size: int | None = None, held_out: str = "") -> "Tokenizer":
        """Choose the vocabulary from a training text; vocab_size is an upper limit.

        held_out: text of which nothing is learned but which characters it has, if characters are the tokens.
        """
        raise NotImplementedError

    def encode(self, text: str) -> list[int]:
        """Text -> ids, for any text that is valid Unicode; `check_prompt` says what in it is unknown."""
        raise NotImplementedError

    def encode_long(self, text: str) -> array:
        """As `encode`, of a text of any length: portion by portion, with a bar, and in two or four bytes an id.

        In a list, each id takes 8 bytes for its place and up to 32 more for itself.
        """
        ids = array("h" if self.vocab_size < 2**15 else "i")
        for portion in portions(text, "encoding"):
            ids.extend(self.encode(portion))
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Ids -> text."""
        streamer = self.streamer()
        return "".join(map(streamer.push, ids)) + streamer.flush()

    def streamer(self) -> "Streamer":
        """A decoder that takes one id at a time; what it gives, laid end to end, is what decode gives."""
        raise NotImplementedError

    def glyph(self, token: int) -> str:
        """A short visible form of one token, for the axes of plots."""
        raise NotImplementedError

    def check_prompt(self, text: str) -> list[tuple[str, list[str]]]:
        """The words or signs of text that the vocabulary lacks, in order, each with the nearest that it has.

        Only of the first few unknown words the nearest are looked up.
        """
        return []

    def share_unknown(self, ids: Sequence[int]) -> float:
        """The share of ids that are the unknown token, from 0 to 1."""
        return 0.0 if self.unk_id is None else ids.count(self.unk_id) / max(len(ids), 1)

    def to_dict(self) -> dict:
        """Plain types for a checkpoint; tokenizer_from_dict turns them back into the tokenizer."""
        raise NotImplementedError


class Streamer:
    """Turns ids into text one at a time. This one looks every id up and remembers nothing."""

    def __init__(self, texts: Sequence[str] | Sequence[bytes]) -> None:
        self.texts = texts  # text of each id

    def push(self, token: int) -> str:
        """The text that can be shown now that this id is known; it may be empty."""
        return self.texts[token]

    def flush(self) -> str:
        """The text that was still waiting when the last id had come."""
        return ""
