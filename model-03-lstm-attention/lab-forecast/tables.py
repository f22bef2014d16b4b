"""A CSV file -> the columns of numbers that a model reads, in the order of time, and what was understood of the file.

N rows; a column of dates that is known of the future becomes four.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from shared.errors import UserError

from csv_dates import Dates, holds_dates, holds_unix_times, looks_like_times, read_dates
from csv_files import Table, TableOptions, cell_fault, check_name, check_names, read_table
from csv_numbers import NumberStyle, is_missing, read_numbers
from csv_times import Rows, filled, plural, rows_in_time

NOTHING = "nothing known"  # a column of zeros
CLOCK = re.compile(r"\d{1,2}:\d{2}(:\d{2})?( ?[AaPp][Mm])?")
HOURS = {"hour", "hours", "hr", "stunde", "heure", "hora", "ora"}  # names of a column of whole hours, in small letters

Column = tuple[str, list[float]]  # its name, its numbers (N)


@dataclass(frozen=True)
class Columns:
    """What a model reads of a file: columns of N numbers, the last `num_known` known of the future.

    known_future  the columns of the file that the last `num_known` are made of
    time_column   which column the times of the rows are from, or None
    understood    how the file was read, for its user
    """

    columns: list[Column]
    num_known: int
    rows: Rows
    known_future: tuple[str, ...]
    time_column: str | None
    understood: str


def read_columns(
    content: bytes,
    name: str,
    targets: Sequence[str],
    known_future: Sequence[str],
    past_only: Sequence[str],
    options: TableOptions,
) -> Columns:
    """The named columns in the order that a model reads them, targets, past-only, known-future.

    Raises UserError, one line, for whatever is not usable or can be understood in two ways.
    """
    table = read_table(content, name, options.separator)
    check_names(table, targets, known_future, past_only)
    reader = Reader(table, options)
    if options.date_format and options.time != "none" and reader.dates is None:
        raise UserError(f"{name} has no column of dates ({options.date_format}); give another --date-format or none")
    columns = [(column, reader.numbers(column)) for column in (*targets, *past_only)]
    known = [pair for column in known_future for pair in reader.known(column)]
    # A decoder has to read something at each step. Where nothing is known of the future, it reads zeros.
    known = known or [(NOTHING, [0.0] * len(reader.rows.places))]
    time_column = reader.dates and reader.dates.column
    return Columns(columns + known, len(known), reader.rows, tuple(known_future), time_column, reader.understood())


def dates_of_rows(table: Table, options: TableOptions, hourly: bool = False) -> Dates | None:
    """The times of the rows: from the column that --time names, else from the first with dates; None without any."""
    if options.time == "none":
        return None
    if options.time is not None:
        check_name(table, options.time)
        return read_dates(with_clock(table, options.time, hourly), options.time, options.date_format)
    column = next((column for column in table.columns if holds_dates(table, column, options.date_format)), None)
    if column is not None:
        return read_dates(with_clock(table, column, hourly), column, options.date_format)
    unknown = next((column for column in table.columns if looks_like_times(table, column)), None)
    if unknown is not None and options.date_format is None:
        first = next(place for place, cell in enumerate(table.columns[unknown]) if not is_missing(cell))
        advice = "give --date-format (%d.%m.%y, say, or unix), or --time none, which takes the rows as they come"
        raise cell_fault(table, unknown, [first], "looks like a time", advice)
    return None


def whole_hours(table: Table) -> list[str] | None:
    """The cells of a column that is called hour and has whole hours from 0 to 23, as times of day; None without one."""
    for name, cells in table.columns.items():
        if name.lower() in HOURS and all(re.fullmatch("[01]?[0-9]|2[0-3]", cell) for cell in cells):
            return [f"{cell}:00" for cell in cells]
    return None


def with_clock(table: Table, column: str, hourly: bool = False) -> Table:
    """The table, with hours added to the dates of this column, where those stand in a column of their own.

    Where no date comes twice, such a column is none of the time (a sunrise, say), unless rows are known to be `hourly`.
    """
    dates = table.columns[column]
    if len(set(dates)) == len(dates) and not hourly:
        return table
    clocks = (cells for cells in table.columns.values() if all(CLOCK.fullmatch(cell) for cell in cells))
    clock = next(clocks, None) or whole_hours(table)
    if clock is None or any(":" in date for date in dates) or holds_unix_times(dates):
        return table
    joined = [f"{date} {hour}" if date else date for date, hour in zip(dates, clock)]
    return replace(table, columns=table.columns | {column: joined})


class Reader:
    """Reads columns of one table in the order of time, and remembers how they were written."""

    def __init__(self, table: Table, options: TableOptions, hourly: bool = False):
        self.table, self.options = table, options
        self.dates = dates_of_rows(table, options, hourly)
        self.rows = rows_in_time(table, self.dates, options)
        self.styles: dict[str, NumberStyle] = {}
        self.num_filled = 0

    def numbers(self, column: str) -> list[float]:
        """A column's numbers (N); missing ones are filled, if that was asked for."""
        values, style = read_numbers(self.table, column, self.options)
        if style is not None:
            self.styles[column] = style
            for other, another in self.styles.items():
                if another.decimal != style.decimal:
                    raise UserError(
                        f"{self.table.name}: {other!r} is written with a decimal {another.decimal}, {column!r} with a "
                        f"decimal {style.decimal}; write them alike, or give --decimal"
                    )
        missing = [place for place, value in enumerate(values) if math.isnan(value)]
        if len(missing) == len(values):
            raise UserError(f"{self.table.name}, column {column!r} holds no number; name another")
        if missing and not self.options.fill:
            what, advice = "is a missing value", "--fill forward or --fill linear fills it"
            raise cell_fault(self.table, column, missing, what, advice)
        self.num_filled += len(missing)
        return self.in_rows(values)

    def in_rows(self, values: list[float]) -> list[float]:
        """Numbers as they stand in the table -> in the rows that are read."""
        ordered = [math.nan if place is None else values[place] for place in self.rows.places]
        return filled(ordered, self.options.fill) if self.options.fill else ordered

    def known(self, column: str) -> list[Column]:
        """A known-future column as it is, or the hour and the weekday of its dates, each as a point on a circle."""
        if self.dates and self.dates.column == column:
            return on_circles(column, self.rows.times)
        if not holds_dates(self.table, column, self.options.date_format):
            return [(column, self.numbers(column))]
        dates = read_dates(self.table, column, self.options.date_format).values
        missing = [place for place, date in enumerate(dates) if date is None]
        if missing:
            raise cell_fault(self.table, column, missing, "is a missing date", "write one")
        return [(name, self.in_rows(values)) for name, values in on_circles(column, dates)]

    def understood(self) -> str:
        """One line: how the file is written, and what was done with it."""
        styles = list(dict.fromkeys(map(str, self.styles.values()))) or ["whole numbers"]
        parts = [f"{self.table.separator}s between columns", *styles] if len(self.table.columns) > 1 else styles
        if self.dates:
            parts.append(f"dates as {self.dates.style} in {self.dates.column!r}")
        else:
            parts.append("no times, so rows are taken as they come")
        parts += self.rows.notes
        if self.num_filled:
            parts.append(f"{plural(self.num_filled, 'missing value')} filled ({self.options.fill})")
        if self.table.comments:
            parts.append(f"{plural(self.table.comments, 'line')} of comment left out")
        return f"{', '.join(parts)}; {len(self.rows.places):,} rows"


def on_circles(column: str, dates: Sequence[datetime]) -> list[Column]:
    """The hour and the weekday of dates, each as a point on a circle.

    On a circle, 23 o'clock and midnight are neighbours; as plain numbers they would lie furthest apart.
    """
    hours = [2 * math.pi * (date.hour + date.minute / 60) / 24 for date in dates]
    days = [2 * math.pi * date.weekday() / 7 for date in dates]
    return [
        (f"{column} {circle} {function.__name__}", [function(angle) for angle in angles])
        for circle, angles in (("hour", hours), ("weekday", days))
        for function in (math.sin, math.cos)
    ]
