"""What cannot be seen, or acts on a terminal, is shown as a sign."""

import unicodedata

from properties import given, st

from shared.text.signs import printable


def test_no_control_character_but_newline_and_tab_reaches_a_terminal():
    every = "".join(map(chr, range(0x110000)))
    left = [sign for sign in printable(every) if unicodedata.category(sign) == "Cc"]
    assert left == ["\t", "\n"]
    assert printable("\x1b]0;title\x07\x9b31m\r\x7f") == "␛]0;title␇\\x9b31m␍␡"


@given(st.text(st.characters(exclude_categories=["Cc"])))
def test_text_without_control_characters_is_printed_as_it_is(text):
    assert printable(text) == text
