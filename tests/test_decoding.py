"""A file's bytes become its text, or one line names what the file is instead and what to do."""

import random
import unicodedata
from pathlib import Path

import pytest
from properties import given, st

from shared.errors import UserError
from shared.run.generation import encode_prompt
from shared.text.decoding import decode, normalise
from shared.text.tokenizer import train_tokenizer

PATH = Path("own.txt")
ENGLISH = "Speak of the king, and the queen shall hear.\nNo more!\n" * 50
CHINESE = "江心低山？下楼长海白上。\n听东白山江短青。\n" * 50
ACCENTED = "À la fenêtre, où est l’été ?\n" * 50


def message(data):
    """What is said about bytes that are refused: one line."""
    with pytest.raises(UserError) as caught:
        decode(data, PATH)
    assert "\n" not in str(caught.value) and str(caught.value).startswith("own.txt ")
    return str(caught.value)


@pytest.mark.parametrize("text", [ENGLISH, CHINESE, ACCENTED])
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", "utf-16", "utf-32"])
def test_two_or_four_bytes_a_letter_are_named_with_a_byte_order_mark_and_without(text, encoding):
    said = message(text.encode(encoding))
    assert f"is {encoding[:6].upper()}, not UTF-8" in said and "save it" in said


@pytest.mark.parametrize("mark", [b"\xff\xfe", b"\xfe\xff"])
@pytest.mark.parametrize(
    "rest", [b" a bad beginning of a text", b" a text with \xe9 and \xdc\xdc..", b"\xe9\xe8 cafe and"]
)
def test_bad_bytes_that_look_like_a_mark_do_not_make_a_text_utf16(mark, rest):
    for data in (mark + rest, mark + rest + b"!"):  # an even and an odd number of bytes
        assert "is not UTF-8: byte 0" in message(data)


@pytest.mark.parametrize("text", [ENGLISH, CHINESE])
@pytest.mark.parametrize("count", [1, 2, 100])
def test_nul_bytes_in_a_text_are_counted_and_not_taken_for_utf16(text, count):
    signs = list(text)
    for place in random.Random(count).sample(range(len(signs)), count):
        signs[place] = "\0"
    assert f"holds {count} NUL bytes" in message("".join(signs).encode("utf-8"))


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"%PDF-1.7\n1 0 obj\n", "PDF"),
        (b"PK\x03\x04word/document.xml", ".docx"),
        (b"\x89PNG\r\n\x1a\n", "picture"),
        (b"{\\rtf1 Hello}", "Rich Text"),
        (random.Random(0).randbytes(5000), "binary"),
    ],
)
def test_files_that_are_no_text_are_named(data, kind):
    assert kind in message(data)


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_an_older_encoding_is_no_binary_file(encoding):
    said = message(ACCENTED.replace("’", "'").encode(encoding))
    assert "not UTF-8: byte 0 cannot be read" in said and "save it" in said


@pytest.mark.parametrize("text", [" \n" * 3000, "\u00a0\t\r\n" * 1000, "\u200b\n", "\ufeff \n"])
def test_a_file_of_white_space_alone_is_refused(text):
    assert "nothing but white space" in message(text.encode("utf-8"))


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1))
def test_any_other_text_is_read_in_composed_characters(text):
    assert decode(("a" + text).encode("utf-8"), PATH) == normalise("a" + text)


@given(st.text())
def test_one_spelling_of_each_character_and_newline_is_left(text):
    spellings = [text, unicodedata.normalize("NFD", text), unicodedata.normalize("NFC", text)]
    assert len({normalise(spelling) for spelling in spellings}) == 1
    assert "\r" not in normalise(text)
    assert normalise(text.replace("\r", "\n").replace("\n", "\r\n")) == normalise(text.replace("\r", "\n"))


@pytest.mark.parametrize("name", ["word", "char", "bpe"])
def test_a_prompt_is_found_in_either_spelling(name, capsys):
    tokenizer = train_tokenizer(name, decode("un cafe\u0301 noir, un cafe\u0301\n".encode(), PATH) * 20)
    assert encode_prompt(tokenizer, "cafe\u0301") == encode_prompt(tokenizer, "café")
    assert capsys.readouterr().err == ""
