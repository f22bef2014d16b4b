"""The text to learn from: bundled, downloaded or the reader's own -> training, validation and test text."""

import csv
import hashlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.errors import UserError
from shared.files import read_file, read_stream, seconds_told, why
from shared.text.decoding import decode, file_kind, is_binary, wide_encoding
from shared.text.download import download

DATA = Path(__file__).resolve().parent.parent.parent / "data"
SHAKESPEARE = DATA / "shakespeare.txt"
WORKS = DATA / "works.csv"
NAMES = ("shakespeare", "tinyshakespeare")

TINY_URL = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
TINY_SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
TINY_BYTES = 1_115_394
TINY = DATA / "downloads" / "tinyshakespeare.txt"

STANDARD_INPUT = Path("standard input")  # its name in messages
MOST_BYTES = 500_000_000  # of all files together: text, ids and vocabulary of more would fill a laptop's memory
MINIMUM = 2000  # characters: of fewer, a twentieth to validate on says nothing about a model


@dataclass(frozen=True)
class Corpus:
    """A text in three parts, which a model may learn from, be chosen by, and be measured on.

    name    "shakespeare", "tinyshakespeare", or the name of the reader's file or folder
    sha256  of the bytes of the whole file, or of the text that several were joined to, in hexadecimal
    note    how many files it is, where it is several, and which of a folder were left out
    """

    name: str
    train: str
    validation: str
    test: str
    sha256: str
    note: str = ""

    @property
    def held_out(self) -> str:
        """All that a model may not learn from."""
        return self.validation + self.test


def load_corpus(data: str | Sequence[str] = "shakespeare", at_blank_line: bool = False) -> Corpus:
    """The corpus of this name, or the text file at this path, or several of either.

    shakespeare      bundled; whole plays are held out, as works.csv says: a model that has read one half of a play
                     knows the names and the plot of the other
    tinyshakespeare  downloaded on first use; the first 90 % of its characters train, the rest validate, and the test
                     text is empty, as in published results. For measures by words, `at_blank_line` moves the cut to
                     the end of the speech that it falls in. Known by its hash, wherever the file lies.
    any other path   UTF-8; 90, 5 and 5 %, cut at a blank line nearby if there is one, else at a line's end
    a folder         its text files in the order of their names, hidden ones apart, joined like several paths
    -                standard input
    several of them  joined in this order, with a blank line between two, and then cut like one file

    Newlines become "\\n", characters are composed (NFC), a byte order mark is dropped. Raises UserError for a file that
    cannot be used.
    """
    names = [data] if isinstance(data, str) else list(data)
    if "tinyshakespeare" in names:
        fetch_tinyshakespeare()
    files, left_out = read_files(names)
    if len(files) > 1:
        return join_files(names, files, left_out)
    ((path, content),) = files.items()
    text, sha256 = decode(content, path), hashlib.sha256(content).hexdigest()
    if path == SHAKESPEARE or content == SHAKESPEARE.read_bytes():
        return Corpus("shakespeare", *split_works(text), sha256)
    if sha256 == TINY_SHA256:
        return Corpus("tinyshakespeare", *split_tinyshakespeare(text, at_blank_line), "", sha256)
    return Corpus(path.name, *split_text(text, path), sha256, note=told_left_out(left_out))


def told_left_out(names: list[str]) -> str:
    """What there is to say of a folder's files that are no text; nothing where there are none."""
    return f"left out as no text: {', '.join(names)}" if names else ""


def read_files(names: Sequence[str]) -> tuple[dict[Path, bytes], list[str]]:
    """All files that the names stand for: path -> its bytes; and the names of those that were left out as no text."""
    files, left_out = {}, []
    for name in names:
        path = {"shakespeare": SHAKESPEARE, "tinyshakespeare": TINY}.get(name) or user_path(name)
        for file in files_of_folder(path) if path.is_dir() else [path]:
            content = read_bytes(file, f", or one of: {', '.join(NAMES)}")
            if path.is_dir() and not is_text(content):
                left_out.append(file.name)
                continue
            files[STANDARD_INPUT if name == "-" else file] = content
            if sum(map(len, files.values())) > MOST_BYTES:
                raise UserError(f"the files up to {file} are larger than {MOST_BYTES / 1e6:,.0f} MB; give fewer")
    if not files:
        raise UserError(f"there is no text in the folder {names[0]}; give one that holds text files, or a file")
    return files, left_out


def files_of_folder(folder: Path) -> list[Path]:
    """The files in a folder, hidden ones apart, in the order of their names, which is the same on every system."""
    try:
        files = [file for file in folder.iterdir() if file.is_file() and not file.name.startswith(".")]
        return sorted(files, key=lambda file: file.name)  # Windows would sort paths without regard to capitals
    except OSError as error:
        raise UserError(f"cannot read {folder}: {why(error)}; give a folder that you may read") from None


def is_text(content: bytes) -> bool:
    """Whether a file in a folder is meant: no picture, archive, or anything else that is binary, and not empty."""
    return not (file_kind(content) or is_binary(content) or (b"\0" in content and not wide_encoding(content)))


def join_files(names: Sequence[str], files: dict[Path, bytes], left_out: list[str]) -> Corpus:
    """Several files as one text, with a blank line between two, as there is between the bundled works."""
    text = "\n\n".join(decode(content, path).strip("\n") for path, content in files.items()) + "\n"
    name = user_path(names[0]).resolve().name + (f" and {len(names) - 1} more" if names[1:] else "")
    note = "; ".join(filter(None, [f"{len(files)} files", told_left_out(left_out)]))
    return Corpus(name, *split_text(text, Path(name)), hashlib.sha256(text.encode("utf-8")).hexdigest(), note)


def user_path(name: str) -> Path:
    """The path that somebody typed; ~ is the home folder, unless there is no such user."""
    try:
        return Path(name).expanduser()
    except RuntimeError:
        return Path(name)


def text_of_run(data: str | list[str], folder: Path) -> str | list[str]:
    """What to give `load_corpus` for the text of an earlier run, whose --data was `data`.

    That may have been paths relative to `folder`, the stage's, in which the command was typed.
    """
    if not isinstance(data, str):
        return [text_of_run(name, folder) for name in data]
    path = user_path(data)
    return data if data in (*NAMES, "-") or path.exists() else str(folder / path)


def fetch_tinyshakespeare() -> None:
    """Make sure that data/downloads/tinyshakespeare.txt is there, whole."""
    try:
        download(TINY_URL, TINY, TINY_SHA256, TINY_BYTES)
    except UserError as error:
        raise UserError(f"{error}, or use the bundled text: --data shakespeare") from None


def read_bytes(path: Path, instead: str = "", most: int = MOST_BYTES) -> bytes:
    """All bytes of a file, or of standard input, which is called "-". `instead`: what else may be given than a path."""
    if path == Path("-"):
        return read_standard_input(most)
    return read_file(path, most, f"give the path of a text file{instead}")


def read_standard_input(most: int) -> bytes:
    """All that is piped in; UserError where nothing is."""
    if sys.stdin is None or sys.stdin.isatty():
        raise UserError('"-" stands for what is piped in, and nothing is: cat play.txt | python ..., or name a file')
    with seconds_told("reading standard input to its end"):
        return read_stream(sys.stdin.buffer, STANDARD_INPUT, most, "pipe in a part of it")


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
