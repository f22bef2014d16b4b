"""Cells -> numbers: which sign is the decimal mark, which stands between thousands, and what is no number at all.

A guess must never become a number. Where a column can be read in two ways, a flag is asked for.
"""

import math
import re
from dataclasses import dataclass

from shared.errors import UserError

from csv_files import LONGEST_CELL, MISSING, Table, TableOptions, cell_fault

DECIMALS = {"point": ".", "comma": ","}
THOUSANDS = {"none": "", "comma": ",", "point": ".", "space": " ", "apostrophe": "'"}
# What looks alike is written alike: the no-break, narrow and thin space, the typographer's apostrophe, the minus sign.
ALIKE = str.maketrans("\u00a0\u202f\u2009\u2019\u2212", "   '-")

# Words, in small letters -> what they are, for those who wonder why they are no numbers.
FAULTS = {
    r".*(?![0-9])\d.*": "digits other than 0 to 9",
    r"[-+]?\d{1,2}(,\d{2})+,\d{3}(\.\d*)?": "grouped as in India",
    r"(\d{4}([-/.])\d{1,2}\2\d{1,2}|\d{1,2}([-/.])\d{1,2}\3\d{4})(\D.*)?": "a date",
    r"\d{1,2}:\d{2}(:\d{2}.*)?": "a time of day",
    r"\(.*\d.*\)": "in brackets, which stand for a minus sign in accounts",
    r"[-+\d.,' ]*\d\s*-": "a minus sign behind it",
    r"[<>~\u2248\u2264\u2265]=?.*\d.*": "a bound or an estimate",
    r"[-+]?inf(inity)?": "infinite",
    r"[-+]?0x[0-9a-f]+": "hexadecimal",
    r"[-+\d.,]*\d_[\d_.,]*": "underscores between digits",
    r".*\d\s*[%\u2030]": "a percentage",
    r"[-+\d.,' ]*\d\s*[a-z\u00b5\u03bc\u00b0\u20ac$\u00a3\u00a5].*|[\u20ac$\u00a3\u00a5].*\d": "a unit beside it",
    r".*[^\W\d_].*\d.*|.*\d.*[^\W\d_].*": "letters among the digits",
    r"\D+": "text without digits",
}


@dataclass(frozen=True)
class NumberStyle:
    """How a column writes its numbers: the names of the decimal mark and of the mark between thousands."""

    decimal: str = "point"
    thousands: str = "none"

    @property
    def pattern(self) -> re.Pattern:
        """What a number of this style looks like. Thousands are groups of three, the first not beginning with 0."""
        decimal, thousands = re.escape(DECIMALS[self.decimal]), re.escape(THOUSANDS[self.thousands])
        whole = rf"(?:[0-9]+|[1-9][0-9]{{0,2}}(?:{thousands}[0-9]{{3}})+)" if thousands else "[0-9]+"
        return re.compile(rf"[-+]?(?:{whole}(?:{decimal}[0-9]*)?|{decimal}[0-9]+)(?:[eE][-+]?[0-9]+)?")

    def number(self, cell: str) -> float:
        """A cell that the pattern fits."""
        if self.thousands != "none":
            cell = cell.replace(THOUSANDS[self.thousands], "")
        return float(cell.replace(DECIMALS[self.decimal], "."))

    def __str__(self) -> str:
        """In words.

        >>> print(NumberStyle("comma", "space"))
        decimal comma, space between thousands
        """
        between = "" if self.thousands == "none" else f", {self.thousands} between thousands"
        return f"decimal {self.decimal}{between}"


PLAIN = NumberStyle()


def is_missing(cell: str) -> bool:
    """Is this how an empty cell is written?"""
    return cell.lower() in MISSING


def read_numbers(table: Table, column: str, options: TableOptions) -> tuple[list[float], NumberStyle | None]:
    """A column's numbers (N), NaN where a cell is missing, and how they are written; None where no mark occurs.

    Raises UserError, one line, where a cell is no number or where it is open which number the cells are.
    """
    cells = [cell.translate(ALIKE) for cell in table.columns[column]]
    there = [place for place, cell in enumerate(cells) if not is_missing(cell)]
    styles = possible_styles({cells[place] for place in there}, options)
    if not styles:
        raise UserError(f"--decimal and --thousands are both a {options.thousands}; give two marks")
    readings = {style: unreadable(cells, there, style) for style in styles}
    fitting = [style for style in styles if not readings[style]]
    if not fitting:
        style = min(styles, key=lambda style: len(readings[style]))
        raise no_number(table, column, readings[style], style)
    style = chosen_style(table, column, [cells[place] for place in there], fitting)
    values = [math.nan] * len(cells)
    for place in there:
        values[place] = style.number(cells[place])
    marked = not {".", ",", " ", "'"}.isdisjoint("".join(cells[place] for place in there))
    return values, style if marked else None


def possible_styles(cells: set[str], options: TableOptions) -> list[NumberStyle]:
    """Styles whose marks occur in these cells and which the flags allow, the plainest first."""
    signs = set("".join(cells))
    # A point may also stand between thousands, so that it alone does not rule out the decimal comma.
    decimals = [options.decimal] if options.decimal else list(DECIMALS) if signs & {",", "."} else ["point"]
    thousands = [options.thousands] if options.thousands else [
        name for name, sign in THOUSANDS.items() if not sign or sign in signs
    ]  # fmt: skip
    if not options.decimal and options.thousands == "point":
        decimals = ["comma"]  # both marks cannot be a point
    return [NumberStyle(first, second) for first in decimals for second in thousands if first != second]


def unreadable(cells: list[str], there: list[int], style: NumberStyle) -> list[int]:
    """The places of cells that are no number in this style."""
    fits = style.pattern.fullmatch
    return [place for place in there if not fits(cells[place]) or math.isinf(style.number(cells[place]))]


def chosen_style(table: Table, column: str, cells: list[str], fitting: list[NumberStyle]) -> NumberStyle:
    """The one style that all others agree with; UserError where two of them read other numbers."""
    numbers = {style: [style.number(cell) for cell in cells] for style in fitting}
    first, *others = fitting
    differing = [style for style in others if numbers[style] != numbers[first]]
    if not differing:
        return first
    # 1.234 could be a German thousand. In a file with commas between columns it is read as programs write it, but not
    # where some cells have three digits after a point and some have no point: those look like thousands.
    if first == PLAIN and table.separator == "comma" and all("." in cell for cell in cells):
        return first
    place = next(place for place in range(len(cells)) if len({values[place] for values in numbers.values()}) > 1)
    either = " or ".join(f"{numbers[style][place]:.15g}" for style in (first, differing[0]))
    raise UserError(
        f"{table.name}, column {column!r}: {cells[place]!r} can be {either}; "
        "say which with --decimal point or --decimal comma"
    )


def no_number(table: Table, column: str, bad: list[int], style: NumberStyle) -> UserError:
    """One line for cells that are no numbers."""
    word = table.columns[column][bad[0]].translate(ALIKE).lower()
    kind = next(
        (kind for pattern, kind in FAULTS.items() if re.fullmatch(pattern, word[:LONGEST_CELL])), f"read with {style}"
    )
    if style.pattern.fullmatch(word):
        kind = "too large"
    return cell_fault(table, column, bad, f"is not a number: {kind}", "write digits alone, or leave the cell empty")
