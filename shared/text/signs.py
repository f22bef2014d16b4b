"""Signs that cannot be seen, made visible, and signs that stand for the same."""

import unicodedata

# An accent may be a character of its own (category M). Python's \w does not count it as part of a word, so it is named.
MARKS = "".join(chr(code) for code in range(0x300, 0x20000) if unicodedata.category(chr(code)).startswith("M"))
# What changes the sign before it: accents, the skin tones of emoji, the invisible letters of some flags, joiners.
EXTENDERS = MARKS + "".join(map(chr, [*range(0x1F3FB, 0x1F400), *range(0xE0020, 0xE0080), *range(0xE0100, 0xE01F0)]))

VISIBLE = {" ": "␣", "\n": "↵", "\t": "→"}
# What an editor makes of the typewriter's signs -> those signs, to be suggested for them.
LOOKALIKES = {"‘": "'", "’": "'", "“": '"', "”": '"', "«": '"', "»": '"', "–": "-", "—": "-", "‐": "-", "‑": "-"}

# Control characters act on a terminal instead of being shown: they move its cursor, change its colours, or its title.
# Unicode has a picture for each of the first 32 and for DEL; those from 0x80 on have none. A newline and a tab may act.
CONTROLS = {code: chr(0x2400 + code) for code in range(32) if chr(code) not in "\n\t"} | {127: "␡"}
CONTROLS |= {code: f"\\x{code:x}" for code in range(0x80, 0xA0)}
CONTROLS |= dict.fromkeys(range(0xD800, 0xE000), "\ufffd")  # half of a surrogate pair, which no file can hold


def printable(text: str) -> str:
    r"""The text as it may be printed on a terminal: control characters become signs, newline and tab stay.

    >>> printable("\x1b[31mred\n")
    '␛[31mred\n'
    """
    return text.translate(CONTROLS)


def similar_signs(sign: str, known: dict) -> list[str]:
    """The known signs that stand for the same: other capitals, without its accent, or the typewriter's form.

    >>> similar_signs("É", {"e": 0, "E": 1})
    ['E']
    """
    plain = unicodedata.normalize("NFKD", sign)[0]
    candidates = [sign.swapcase(), LOOKALIKES.get(sign, plain), plain, plain.swapcase()]
    return list(dict.fromkeys(found for found in candidates if found in known))[:1]


def visible(text: str) -> str:
    r"""The text with signs in place of what cannot be seen.

    >>> visible(" to\n")
    '␣to↵'
    """
    shown = "".join(VISIBLE.get(sign, sign if sign.isprintable() else f"U+{ord(sign):04X}") for sign in text)
    return "◌" + shown if shown[0] in MARKS else shown
