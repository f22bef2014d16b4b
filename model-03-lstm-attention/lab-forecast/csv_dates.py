"""Cells -> dates: in which order day, month and year stand. Where that is open, a flag is asked for.

A date has two signs between its parts: 20110302 may be the number of a lot, and is a date only for --date-format.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from shared.errors import UserError

from csv_files import Table, cell_fault
from csv_numbers import is_missing

ORDERS = ("year-month-day", "day-month-year", "month-day-year")
SHAPE = re.compile(
    r"(?P<date>\d{1,4}(?P<sign>[-./])\d{1,2}(?:(?P=sign)\d{1,4})?)"
    r"(?:(?P<between>T|\s+)(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?)?"
    r"(?:\s*(?P<half>[AaPp])\.?[Mm]\.?)?\s*(?P<zone>Z|UTC|[-+]\d{2}(?::?\d{2})?)?)?"
)

DATE = re.compile(r"\d{4}(\D)\d\d?\1\d\d?|\d\d?(\D)\d\d?\2(\d{4}|\d\d)|\d{4}-\d\d")


@dataclass(frozen=True)
class Dates:
    """A column's dates (N), None where a cell is missing, and how they are written, in words."""

    column: str
    values: list[datetime | None]
    style: str


def holds_dates(cells: list[str], date_format: str | None) -> bool:
    """Have at least half of the cells that are there the shape of a date, or the format that was given?"""
    there = [cell for cell in cells if not is_missing(cell)]
    given = date_format not in (None, *ORDERS)
    fits = (lambda cell: is_date(cell, date_format)) if given else has_shape
    return bool(there) and 2 * sum(map(fits, there)) >= len(there)


def has_shape(cell: str) -> bool:
    """Day, month and year, or year and month, with a sign between them, and perhaps a time of day."""
    found = SHAPE.fullmatch(cell)
    return bool(found and DATE.fullmatch(found["date"]))


def read_dates(table: Table, column: str, date_format: str | None) -> Dates:
    """A column's dates. `date_format`: one of ORDERS, one of strptime's formats, or None: find it out.

    Raises UserError, one line, for cells that are no dates, for dates with and without an offset from UTC in one
    column, and where it is open which number is the day.
    """
    cells = table.columns[column]
    if date_format and date_format not in ORDERS:
        return Dates(column, all_dates(table, column, date_format), date_format)
    there = [cell for cell in cells if not is_missing(cell)]
    orders = possible_orders(there, date_format)
    readings = [all_dates(table, column, order) for order in orders]
    if any(other != readings[0] for other in readings):
        place = next(place for place, (first, second) in enumerate(zip(*readings)) if first != second)
        raise UserError(
            f"{table.name}, column {column!r}: {cells[place]!r} can be day-month-year or month-day-year; "
            "say which with --date-format"
        )
    return Dates(column, readings[0], in_words(there[0], orders[0]))


def possible_orders(cells: list[str], given: str | None) -> list[str]:
    """The orders in which all cells are dates; the likeliest where there is none. What is given settles the others."""
    if any(re.match(r"\d{4}", cell) for cell in cells):
        return ["year-month-day"]  # whatever is given: other files of a folder may need it
    if given:
        return [given]
    fitting = [order for order in ORDERS[1:] if all(is_date(cell, order) for cell in cells)]
    return fitting or ["day-month-year"]


def is_date(cell: str, order: str) -> bool:
    """Is this a date in this order?"""
    try:
        date_of(cell, order)
    except ValueError:
        return False
    return True


def date_of(cell: str, order: str) -> datetime:
    """A cell as a date, in this order or format; ValueError where it is none, as with a year of two digits."""
    if order not in ORDERS:
        return datetime.strptime(cell, order)
    found = SHAPE.fullmatch(cell)
    if not found or not has_shape(cell):
        raise ValueError(cell)
    parts = dict(zip(order.split("-"), found["date"].split(found["sign"])))
    if len(parts["year"]) != 4:
        raise ValueError(cell)
    hour = int(found["hour"] or 0)
    if found["half"]:  # 12 AM is midnight, 12 PM is noon
        if not 1 <= hour <= 12:
            raise ValueError(cell)
        hour = hour % 12 + 12 * (found["half"] in "Pp")
    fraction = int((found["fraction"] or "0").ljust(6, "0")[:6])
    date = [int(parts["year"]), int(parts["month"]), int(parts.get("day", 1))]
    clock = [hour, int(found["minute"] or 0), int(found["second"] or 0), fraction]
    return datetime(*date, *clock, tzinfo=zone_of(found["zone"]))


def zone_of(text: str | None) -> timezone | None:
    """Z or +01:00 -> an offset from UTC."""
    if text is None:
        return None
    if text in ("Z", "UTC"):
        return timezone.utc
    hours, minutes = int(text[1:3]), int(text[3:].lstrip(":") or 0)
    return timezone((1 if text[0] == "+" else -1) * timedelta(hours=hours, minutes=minutes))


def all_dates(table: Table, column: str, order: str) -> list[datetime | None]:
    """Each cell's date, None where it is missing; UserError where one is no date, or only some have an offset."""
    values, bad = [], []
    for place, cell in enumerate(table.columns[column]):
        try:
            values.append(None if is_missing(cell) else date_of(cell, order))
        except ValueError:
            bad.append(place)
    if bad:
        raise cell_fault(
            table, column, bad, f"is no date ({order})", "mend it, or give --date-format, such as %d.%m.%y"
        )
    if len({date.tzinfo is None for date in values if date}) > 1:
        with_offset = [place for place, date in enumerate(values) if date and date.tzinfo]
        raise cell_fault(table, column, with_offset, "has an offset from UTC, others have none", "write them alike")
    return values


def in_words(cell: str, order: str) -> str:
    """How a date is written, by an example of it.

    >>> in_words("24.12.2023 18:00", "day-month-year")
    'day.month.year hour:minute'
    """
    found = SHAPE.fullmatch(cell)
    words = order.split("-")[: 1 + found["date"].count(found["sign"])]
    clock = [name for name in ("hour", "minute", "second") if found[name]]
    return found["sign"].join(words) + (" " + ":".join(clock) if clock else "")
