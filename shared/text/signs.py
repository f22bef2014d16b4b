"""Signs that cannot be seen, made visible."""

# Control characters act on a terminal instead of being shown: they move its cursor, change its colours, or its title.
# Unicode has a picture for each of the first 32 and for DEL; those from 0x80 on have none. A newline and a tab may act.
CONTROLS = {code: chr(0x2400 + code) for code in range(32) if chr(code) not in "\n\t"} | {127: "␡"}
CONTROLS |= {code: f"\\x{code:x}" for code in range(0x80, 0xA0)}


def printable(text: str) -> str:
    r"""The text as it may be printed on a terminal: control characters become signs, newline and tab stay.

    >>> printable("\x1b[31mred\n")
    '␛[31mred\n'
    """
    return text.translate(CONTROLS)
