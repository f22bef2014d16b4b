"""What the content of a file must look like, checked before anything is built of it: names, types and ranges.

A schema is written like the content that it describes, with what may stand in a place in that place:

    {"name": schema}     a dictionary of these names; "name?" may be missing, ... stands for all others
    [schema]             a list or a tuple of such parts, of any length
    (schema, schema)     one or the other
    int, str, None       a value of this very type: True is no whole number; object stands for any
    range(1, 10)         a whole number from 1 to 9
    Between(0, 1)        a number from 0 to 1, both included; NaN is in no range
    {"lstm", "gru"}      one of these
    re.compile(...)      a text that matches from end to end

Nothing in here knows any file of this course: what is in one is told where it is read.
"""

import re
from typing import Any, NamedTuple


class Between(NamedTuple):
    """A number in a range, which may be open above."""

    low: float
    high: float = float("inf")


NAME = re.compile(r"[^\0-\x1f\x7f-\x9f\ud800-\udfff]{1,1000}")  # nothing in it acts on a terminal
SHA256 = re.compile("[0-9a-f]{64}")
# What can be written as JSON again: what a setting may be of which nothing else is known.
PLAIN = (None, bool, int, float, str, [(bool, int, float, str)])


def check(value: Any, schema: Any, name: str = "") -> None:
    """ValueError, in words fit for a terminal, for the first part of a value that is not as the schema says.

    >>> check({"seed": 1, "words": ["a", "b"]}, {"seed": range(10), "words": [str]})
    >>> check({"seed": -1}, {"seed": range(10)}, "settings")
    Traceback (most recent call last):
    ValueError: settings.seed is -1, not a whole number from 0 to 9
    """
    if isinstance(schema, dict) and isinstance(value, dict):
        for key, part in named_parts(schema, value, name).items():
            check(value[key], part, part_name(name, key))
    elif isinstance(schema, list) and isinstance(value, list | tuple):
        for place, part in enumerate(value):
            check(part, schema[0], f"{name}[{place}]")
    elif not fits(value, schema):
        raise ValueError(f"{name or 'it'} is {shown(value)}, not {in_words(schema)}")


def named_parts(schema: dict, value: dict, name: str) -> dict:
    """Name -> schema of all that a dictionary has; ValueError where it lacks something, or has what nobody knows."""
    known = {key.removesuffix("?"): part for key, part in schema.items() if key is not ...}
    for key in schema:
        if key in known and key not in value:  # it has no question mark
            raise ValueError(f"{name}.{key} is missing".removeprefix("."))
    for key in value:
        if not isinstance(key, str) or key not in known and ... not in schema:
            raise ValueError(f"{name or 'it'} has {shown(key)}, which is not known")
    return {key: known.get(key, schema.get(...)) for key in value}


def fits(value: Any, schema: Any) -> bool:
    """Is this value as a schema says that is no dictionary and no list?"""
    if isinstance(schema, Between):
        return type(value) in (int, float) and schema.low <= value <= schema.high
    if isinstance(schema, tuple):
        return any(is_sound(value, choice) for choice in schema)
    if isinstance(schema, set | frozenset):
        return isinstance(value, str) and value in schema
    if isinstance(schema, range):
        return type(value) is int and value in schema
    if isinstance(schema, re.Pattern):
        return isinstance(value, str) and bool(schema.fullmatch(value))
    return schema is object or (value is None if schema is None else type(value) is schema)


def is_sound(value: Any, schema: Any) -> bool:
    """Has `check` nothing to say?"""
    try:
        check(value, schema)
    except ValueError:
        return False
    return True


def part_name(name: str, key: str | int) -> str:
    """What the part of this name is called, in signs that can be printed: settings.seed"""
    return f"{name[:100]}.{repr(str(key)[:60])[1:-1]}".removeprefix(".")


def shown(value: Any) -> str:
    """The beginning of a value, or what kind of thing it is, in signs that can be printed."""
    if not isinstance(value, bool | int | float | str | None):
        return f"of type {type(value).__name__}"
    return repr(value[:40] if isinstance(value, str) else value)


def in_words(schema: Any) -> str:
    """What a schema asks of a value."""
    if isinstance(schema, Between):
        return f"a number from {schema.low:g}" + (f" to {schema.high:g}" if schema.high < float("inf") else " on")
    if isinstance(schema, tuple):
        return " or ".join(map(in_words, schema))
    if isinstance(schema, set | frozenset):
        return "one of " + ", ".join(sorted(schema))
    if isinstance(schema, range):
        return f"a whole number from {schema.start} to {schema.stop - 1}"
    if isinstance(schema, re.Pattern):
        return "a text of the right form"
    names = {None: "nothing", str: "a text", int: "a whole number", float: "a number", bool: "true or false"}
    names |= {dict: "a table of names", list: "a list"}
    kind = type(schema) if isinstance(schema, dict | list) else schema
    return names.get(kind) or f"a {kind.__name__}"
