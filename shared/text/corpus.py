"""The text to learn from: bundled, downloaded or the reader's own -> training, validation and test text."""

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path

from shared.errors import UserError
from shared.text.decoding import decode
from shared.text.download import download

DATA = Path(__file__).resolve().parent.parent.parent / "data"
SHAKESPEARE = DATA / "shakespeare.txt"
WORKS = DATA / "works.csv"
NAMES = ("shakespeare", "tinyshakespeare")

TINY_URL = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
TINY_SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
TINY_BYTES = 1_115_394
TINY = DATA / "downloads" / "tinyshakespeare.txt"

MINIMUM = 2000  # characters: of fewer, a twentieth to validate on says nothing about a model


@dataclass(frozen=True)
class Corpus:
    """A text in three parts, which a model may learn from, be chosen by, and be measured on.

    name    "shakespeare", "tinyshakespeare", or the name of the reader's file
    sha256  of the bytes of the whole file, in hexadecimal
    """

    name: str
    train: str
    validation: str
    test: str
    sha256: str

    @property
    def held_out(self) -> str:
        """All that a model may not learn from."""
        return self.validation + self.test


def load_corpus(name: str = "shakespeare", at_blank_line: bool = False) -> Corpus:
    """The corpus of this name, or the text file at this path.

    shakespeare      bundled; whole plays are held out, as works.csv says: a model that has read one half of a play
                     knows the names and the plot of the other
    tinyshakespeare  downloaded on first use; the first 90 % of its characters train, the rest validate, and the test
                     text is empty, as in published results. For measures by words, `at_blank_line` moves the cut to
                     the end of the speech that it falls in. Known by its hash, wherever the file lies.
    any other path   UTF-8; 90, 5 and 5 %, cut at a blank line nearby if there is one, else at a line's end

    Newlines become "\\n", characters are composed (NFC), a byte order mark is dropped. Raises UserError for a file that
    cannot be used.
    """
    if name == "tinyshakespeare":
        fetch_tinyshakespeare()
    path = {"shakespeare": SHAKESPEARE, "tinyshakespeare": TINY}.get(name) or user_path(name)
    data = read_bytes(path)
    text, sha256 = decode(data, path), hashlib.sha256(data).hexdigest()
    if path == SHAKESPEARE or data == SHAKESPEARE.read_bytes():
        return Corpus("shakespeare", *split_works(text), sha256)
    if sha256 == TINY_SHA256:
        return Corpus("tinyshakespeare", *split_tinyshakespeare(text, at_blank_line), "", sha256)
    return Corpus(path.name, *split_text(text, path), sha256)


def user_path(name: str) -> Path:
    """The path that somebody typed; ~ is the home folder, unless there is no such user."""
    try:
        return Path(name).expanduser()
    except RuntimeError:
        return Path(name)


def text_of_run(data: str, folder: Path) -> str:
    """What to give `load_corpus` for the text of an earlier run, whose --data was `data`.

    That may have been a path relative to `folder`, the stage's, in which the command was typed.
    """
    path = user_path(data)
    return data if data in NAMES or path.is_file() else str(folder / path)


def fetch_tinyshakespeare() -> None:
    """Make sure that data/downloads/tinyshakespeare.txt is there, whole."""
    try:
        download(TINY_URL, TINY, TINY_SHA256, TINY_BYTES)
    except UserError as error:
        raise UserError(f"{error}, or use the bundled text: --data shakespeare") from None


def read_bytes(path: Path) -> bytes:
    """All bytes of a file."""
    if path.is_dir():
        raise UserError(f"{path} is a folder; give the path of a text file")
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"no file {path}; give the path of a text file, or one of: {', '.join(NAMES)}") from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; give a text file that you may read") from None


def split_works(text: str) -> tuple[str, str, str]:
    """The bundled text by whole works: train, validation, test."""
    parts = {"train": [], "validation": [], "test": []}
    with WORKS.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if int(rows[-1]["end"]) != len(text):
        raise UserError("data/shakespeare.txt is not the text that data/works.csv describes; restore both from git")
    for row in rows:
        parts[row["split"]].append(text[int(row["start"]) : int(row["end"])])
    return tuple("\n".join(works) for works in parts.values())


def split_tinyshakespeare(text: str, at_blank_line: bool) -> tuple[str, str]:
    """Train and validation text: 90 and 10 %, cut at a character or after the next blank line."""
    cut = int(0.9 * len(text))
    if at_blank_line:
        cut = text.index("\n\n", cut) + 2
    return text[:cut], text[cut:]


def split_text(text: str, path: Path) -> tuple[str, str, str]:
    """The reader's own text: training, validation and test text, 90, 5 and 5 %."""
    if len(text) < MINIMUM:
        raise UserError(f"{path} has {len(text):,} characters; a text to learn from needs at least {MINIMUM:,}")
    first, second = nearest_break(text, len(text) * 90 // 100), nearest_break(text, len(text) * 95 // 100)
    return text[:first], text[first:second], text[second:]


def nearest_break(text: str, position: int) -> int:
    """Where to cut near `position`: after a blank line, else after a line, within 2 % of the text; else just there."""
    reach = len(text) // 50
    for mark in ("\n\n", "\n"):
        before = text.rfind(mark, position - reach, position)
        after = text.find(mark, position, position + reach)
        found = [place + len(mark) for place in (before, after) if place >= 0]
        if found:
            return min(found, key=lambda place: abs(place - position))
    return position
