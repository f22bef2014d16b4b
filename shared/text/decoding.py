"""The bytes of a file -> its text, or one line that says what kind of file it is instead."""

import codecs
import unicodedata
from pathlib import Path

from shared.errors import UserError
from shared.text.portions import portions

# How files that are easily taken for a text begin.
BEGINNINGS = {
    b"%PDF": "a PDF file",
    b"PK\x03\x04": "a ZIP archive, as .docx, .odt and .epub files are",
    b"\xd0\xcf\x11\xe0": "an old Word, Excel or PowerPoint file",
    b"{\\rtf": "a file in Rich Text Format",
    b"\x1f\x8b": "a file packed by gzip",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"GIF8": "a picture",
    b"SQLite format 3": "a database",
}
# The longer marks come first: that of UTF-32 begins like that of UTF-16.
BYTE_ORDER_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
WIDE_ENCODINGS = ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be")
SAMPLE = 65536  # bytes that are looked at to guess an encoding


def decode(data: bytes, path: Path) -> str:
    """The text that a file's bytes stand for, as `normalise` has it; UserError for bytes that are no UTF-8 text."""
    save = "open it in an editor and save it with the encoding UTF-8"
    if kind := file_kind(data):
        raise UserError(f"{path} is {kind}, no plain text; save what is written in it as plain text (UTF-8)")
    if encoding := wide_encoding(data):
        raise UserError(f"{path} is {encoding}, not UTF-8; {save}")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        if is_binary(data):
            raise UserError(f"{path} is a binary file, no text; give a text file") from None
        raise UserError(f"{path} is not UTF-8: byte {error.start} cannot be read; {save}") from None
    if "\0" in text:
        where = f"{path} holds {text.count(chr(0)):,} NUL bytes, the first at byte {data.index(0)}"
        raise UserError(f"{where}; they belong to no text: remove them, or give the text from which the file was made")
    text = normalise(text.removeprefix("\ufeff"))
    if text and all(sign == " " or not sign.isprintable() for sign in text):
        raise UserError(f"{path} holds nothing but white space; give a file with a text to learn from")
    return text


def normalise(text: str) -> str:
    r"""The text with "\n" newlines and composed characters (NFC), so that there is one spelling of each.

    "é" may be one character, or an e and an accent after it, which nobody can tell apart: a model would learn them as
    two, and not find in a prompt what it knows from its text.

    >>> normalise("cafe\u0301\r\n")
    'café\n'
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if unicodedata.is_normalized("NFC", text):
        return text
    # In portions, since composing takes many times a text's memory. Nothing composes over a blank or a line's end.
    return "".join(unicodedata.normalize("NFC", portion) for portion in portions(text, "composing characters"))


def file_kind(data: bytes) -> str | None:
    """What the file is if its first bytes tell that it is no text."""
    return next((kind for beginning, kind in BEGINNINGS.items() if data.startswith(beginning)), None)


def wide_encoding(data: bytes) -> str | None:
    """UTF-16 or UTF-32 if the bytes are that: by their byte order mark or, without one, because they read well so.

    Every letter of English takes two or four bytes there, of which one is not NUL, so NUL bytes give it away.

    >>> wide_encoding("To be".encode("utf-16-le"))
    'UTF-16'
    """
    sample = data[:SAMPLE]
    if 0 not in sample:  # whatever it begins with: bad bytes may look like a mark
        return None
    for mark, name in BYTE_ORDER_MARKS.items():
        if data.startswith(mark):
            return name
    for encoding in WIDE_ENCODINGS:
        text = sample[: len(sample) // 4 * 4 or len(sample)].decode(encoding, errors="replace")
        blanks = text.count(" ") + text.count("\n")  # in a wrong encoding there are hardly any
        strange = sum(unicodedata.category(sign) in ("Cc", "Cn") and sign not in "\t\r\n" for sign in text)
        if text.count("\ufffd") <= 1 and strange * 100 <= len(text) <= blanks * 500:
            return encoding[:6].upper()
    return None


def is_binary(data: bytes) -> bool:
    """Whether bytes that are no UTF-8 are no text in another encoding either: control characters are a tenth or more.

    >>> is_binary(bytes(range(256))), is_binary("Düsseldorf".encode("latin-1"))
    (True, False)
    """
    sample = data[:SAMPLE]
    controls = sum(byte < 32 and byte not in b"\t\n\f\r\x1b" for byte in sample)
    return controls * 10 >= len(sample)
