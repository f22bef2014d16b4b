"""Cells -> dates: in which order day, month and year stand. Where that is open, a flag is asked for.

A date has two signs between its parts, or is a year and a month (2023-01), or has the name of its month: 20110302 may
be the number of a lot. It is a date, and 1672531200 a time, only in a column whose name says so, or for --date-format.
"""

import re
from collections.abc import Callable, Container
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from shared.errors import UserError

from csv_files import Table, cell_fault
from csv_numbers import is_missing

ORDERS = ("year-month-day", "day-month-year", "month-day-year")
UNIX = "unix"
SHAPE = re.compile(
    r"(?P<date>\d{1,4}(?P<sign>[-./])\d{1,2}(?:(?P=sign)\d{1,4})?)"
    r"(?:(?P<between>T|\s+)(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?)?"
    r"(?:\s*(?P<half>[AaPp])\.?[Mm]\.?)?\s*(?P<zone>Z|UTC|GMT|[-+]\d{2}(?::?\d{2})?)?)?"
)

DATE = re.compile(r"\d{4}(\D)\d\d?\1\d\d?|\d\d?(\D)\d\d?\2(\d{4}|\d\d)|\d{4}-\d\d")

# Words of a column's name that say what is in it. "time" may also be counted, in steps since the beginning.
DATE_WORDS = {"date", "dates", "datetime", "datum", "timestamp"}
TIME_WORDS = DATE_WORDS | {"time", "times"}

FULL_MONTHS = "january february march april may june july august september october november december".split()
MONTHS = {word: place for place, name in enumerate(FULL_MONTHS, 1) for word in (name, name[:3])} | {"sept": 9}
DAY, MONTH, YEAR = r"(?P<day>\d\d?)(?:st|nd|rd|th)?", r"(?P<month>[A-Za-z]{3,9})\.?", r"(?P<year>\d{4}|\d\d)"
CLOCK = r"(?:[\s,:T]+(?P<clock>\d.*))?"
NAMED_MONTHS = [
    re.compile(r"(?:[A-Za-z]{3,9},?\s+)?" + shape + CLOCK)
    for shape in (
        rf"{DAY}[-\s./]*{MONTH}[-\s./,]*{YEAR}",
        rf"{MONTH}[-\s./]+{DAY}[-\s./,]+{YEAR}",
        rf"(?P<year>\d{{4}})[-\s./]*{MONTH}[-\s./]*{DAY}",
        rf"{MONTH}[-\s./,]*(?P<year>\d{{4}})",
        rf"(?P<year>\d{{4}})[-\s./]*{MONTH}",
    )
]
COMPACT = re.compile(
    r"(?P<year>(?:19|20)\d\d)(?P<month>0[1-9]|1[0-2])(?P<day>0[1-9]|[12]\d|3[01])"
    r"(?:[T\s]?(?P<hour>[01]\d|2[0-3])(?::?(?P<minute>[0-5]\d)(?::?(?P<second>[0-5]\d))?)?(?P<zone>Z)?)?"
)
NUMBER = re.compile(r"-?\d+(?:\.\d*)?(?:[eE]\+?\d+)?")
YEAR_OR_MONTH = re.compile(r"(?:19|20)\d\d(?:0[1-9]|1[0-2])?")
EPOCH = datetime(1970, 1, 1)
SMALLEST_SECONDS, LARGEST_SECONDS = -6e10, 1e11  # from the year 68 to 5138
UNIX_YEARS = range(1985, 2100)  # in which a number is taken for a time of Unix without being told


@dataclass(frozen=True)
class Dates:
    """A column's dates (N), None where a cell is missing, and how they are written, in words."""

    column: str
    values: list[datetime | None]
    style: str


def holds_dates(table: Table, column: str, date_format: str | None) -> bool:
    """Have at least half of the cells that are there the shape of a date, or the format that was given?"""
    cells = table.columns[column]
    if date_format == UNIX and not says_time(column):
        return holds_unix_times(cells)  # a column of any numbers could be read so
    if date_format not in (None, *ORDERS):
        return most(cells, lambda cell: is_date(cell, date_format))
    return most(in_digits(cells, says_time(column)), has_shape) or says_time(column) and holds_unix_times(cells)


def most(cells: list[str], fits: Callable[[str], bool]) -> bool:
    """Is it so for at least half of the cells that are there?"""
    there = [cell for cell in cells if not is_missing(cell)]
    return bool(there) and 2 * sum(map(fits, there)) >= len(there)


def says_time(column: str, words: Container[str] = TIME_WORDS) -> bool:
    """Is one of these words part of a column's name?

    >>> says_time("sale_date"), says_time("DateTime"), says_time("runtime")
    (True, True, False)
    """
    return any(word.lower() in words for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", column))


def looks_like_times(table: Table, column: str) -> bool:
    """Does a column by its name hold times, in a form that is not known?"""
    return says_time(column) and most(table.columns[column], says_time(column, DATE_WORDS) and has_digit or no_count)


def has_digit(cell: str) -> bool:
    """Is there a digit? Without one, it may be a part of the day."""
    return any(map(str.isdigit, cell))


def no_count(cell: str) -> bool:
    """More than digits and their marks, or a year, or a time of Unix: not merely steps since the beginning."""
    if re.fullmatch(r"[-+0-9.,'\seE]+", cell):
        return bool(YEAR_OR_MONTH.fullmatch(cell)) or is_unix_time(cell)
    return has_digit(cell)


def in_digits(cells: list[str], compact: bool) -> list[str]:
    """Dates with names of months, and `compact` ones, of digits alone, as year-month-day; other cells as they are."""
    return [with_month_number(cell) or (compact and with_signs(cell)) or cell for cell in cells]


def with_month_number(cell: str) -> str | None:
    """A date with the English name of its month, as year-month-day; None for any other cell.

    >>> with_month_number("Jan 31st, 2023 1:05 PM"), with_month_number("01-Feb-2023"), with_month_number("1 Mach 2023")
    ('2023-01-31 1:05 PM', '2023-02-01', None)
    """
    for shape in NAMED_MONTHS if re.search("[A-Za-z]{3}", cell) else ():
        found = shape.fullmatch(cell)
        if found and found["month"].lower() in MONTHS:
            parts = found.groupdict()
            date = [parts["year"], f"{MONTHS[parts['month'].lower()]:02}", parts.get("day")]
            return "-".join(filter(None, date)) + (f" {parts['clock']}" if parts["clock"] else "")
    return None


def with_signs(cell: str) -> str | None:
    """A date of digits alone, as year-month-day; None for any other cell.

    >>> with_signs("202301310730"), with_signs("20230131"), with_signs("20231331")
    ('2023-01-31 07:30:00', '2023-01-31', None)
    """
    found = COMPACT.fullmatch(cell)
    if not found:
        return None
    clock = f" {found['hour']}:{found['minute'] or '00'}:{found['second'] or '00'}" if found["hour"] else ""
    return "-".join(found.group("year", "month", "day")) + clock + (found["zone"] or "")


def holds_unix_times(cells: list[str]) -> bool:
    """Are all cells that are there numbers of seconds since 1970, or of a smaller unit?"""
    there = [cell for cell in cells if not is_missing(cell)]
    return bool(there) and all(map(is_unix_time, there))


def is_unix_time(cell: str) -> bool:
    """Is this such a number, of our days?"""
    return is_date(cell, UNIX) and date_of(cell, UNIX).year in UNIX_YEARS


def unix_time(cell: str) -> datetime:
    """Seconds since 1970, in UTC, or thousandths, millionths, billionths of them; ValueError for what is no number.

    >>> print(unix_time("1672531200"), unix_time("1672531200500"))
    2023-01-01 00:00:00 2023-01-01 00:00:00.500000
    """
    if not NUMBER.fullmatch(cell):
        raise ValueError(cell)
    seconds = float(cell)
    for _ in range(3):
        if abs(seconds) >= LARGEST_SECONDS:
            seconds /= 1000
    if not SMALLEST_SECONDS < seconds < LARGEST_SECONDS:
        raise ValueError(cell)
    return EPOCH + timedelta(seconds=seconds)


def has_shape(cell: str) -> bool:
    """Day, month and year, or year and month, with a sign between them, and perhaps a time of day."""
    found = SHAPE.fullmatch(cell)
    return bool(found and DATE.fullmatch(found["date"]))


def read_dates(table: Table, column: str, date_format: str | None) -> Dates:
    """A column's dates. `date_format`: one of ORDERS, one of strptime's formats, or None: find it out.

    Raises UserError, one line, for cells that are no dates, for dates with and without an offset from UTC in one
    column, and where it is open which number is the day.
    """
    cells = in_digits(table.columns[column], compact=True)
    if date_format in (None, *ORDERS) and not most(cells, has_shape) and holds_unix_times(cells):
        date_format = UNIX
    if date_format and date_format not in ORDERS:
        style = "Unix time (UTC)" if date_format == UNIX else date_format
        return Dates(column, all_dates(table, column, table.columns[column], date_format), style)
    there = [cell for cell in cells if not is_missing(cell)]
    if not there:
        raise UserError(f"{table.name}, column {column!r} holds no time; name another with --time, or --time none")
    orders = possible_orders(there, date_format)
    readings = [all_dates(table, column, cells, order) for order in orders]
    if any(other != readings[0] for other in readings):
        place = next(place for place, (first, second) in enumerate(zip(*readings)) if first != second)
        raise UserError(
            f"{table.name}, column {column!r}: {cells[place]!r} can be day-month-year or month-day-year; "
            "say which with --date-format"
        )
    first = next(cell for cell in table.columns[column] if not is_missing(cell))
    style = in_words(there[0], orders[0]) if first == there[0] else repr(first)
    return Dates(column, readings[0], style)


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
    if order == UNIX:
        return unix_time(cell)
    if order not in ORDERS:
        try:
            return datetime.strptime(cell, order)
        except re.error as error:  # a sign that stands twice in the format
            raise ValueError(cell) from error
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
    if text in ("Z", "UTC", "GMT"):
        return timezone.utc
    hours, minutes = int(text[1:3]), int(text[3:].lstrip(":") or 0)
    return timezone((1 if text[0] == "+" else -1) * timedelta(hours=hours, minutes=minutes))


def all_dates(table: Table, column: str, cells: list[str], order: str) -> list[datetime | None]:
    """Dates of `cells`, a column as it is read, None where it is missing.

    UserError where one is no date, or only some have an offset.
    """
    values, bad = [], []
    for place, cell in enumerate(cells):
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
