"""Rows in the order of time: is each one step after the one before? If not, say so, or sort, drop and fill as asked.

N rows
"""

import calendar
import math
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from operator import gt, itemgetter, lt

from shared.errors import UserError

from csv_dates import Dates
from csv_files import Table, TableOptions, cell_fault

FILLS = ("forward", "linear")
DAY = timedelta(days=1)
UNEVEN = 0.25  # of a step, by which a row may come early or late: a day with daylight saving, a month of 28 days
DAYS_OF_WEEK = range(7)


@dataclass(frozen=True)
class Step:
    """What lies between a row and the next: a time, calendar months, or one day out of those that are worked on."""

    length: timedelta
    months: int = 0  # 0: the length says it
    month_ends: bool = False  # rows stand on the last day of a month
    days: tuple[int, ...] = tuple(DAYS_OF_WEEK)  # of the week, from Monday, 0; fewer than seven where some never occur

    def after(self, time: datetime, count: int = 1) -> datetime:
        """The time so many steps later."""
        if self.months:
            return months_later(time, count * self.months, self.month_ends)
        if len(self.days) == 7:
            return time + count * self.length
        for _ in range(count):
            time += DAY
            while time.weekday() not in self.days:
                time += DAY
        return time

    def count(self, first: datetime, second: datetime) -> float:
        """How many steps lie between two times."""
        if self.months:
            months = 12 * (second.year - first.year) + second.month - first.month
            return months / self.months
        if len(self.days) == 7:
            return (second - first) / self.length
        days = round((second - first) / DAY)
        return sum((first + day * DAY).weekday() in self.days for day in range(1, days + 1))

    def __str__(self) -> str:
        """In words.

        >>> print(Step(timedelta(hours=1)), "|", Step(timedelta(days=31), months=1))
        1 hour | 1 month
        """
        if self.months:
            return "1 year" if self.months == 12 else plural(self.months, "month")
        if len(self.days) < 7:
            return "1 day out of " + ", ".join(calendar.day_abbr[day] for day in self.days)
        return in_words(self.length)


@dataclass(frozen=True)
class Rows:
    """The rows of a table as they are read: in order, without doubles, with those that fill gaps.

    places  (N) the row of the table, None for a row that fills a gap
    times   (N), or None where the table has no column of dates
    step    what lies between two rows; None where there is one row, or no times
    notes   what was done, in words
    """

    places: list[int | None]
    times: list[datetime] | None = None
    step: Step | None = None
    notes: tuple[str, ...] = ()


def rows_in_time(table: Table, dates: Dates | None, options: TableOptions) -> Rows:
    """Which rows are read, in which order. Without dates, all as they come, and one step apart.

    Raises UserError, one line, for the first row out of order, of a time that was there before or after a gap, unless
    the options say what to do with it.
    """
    if dates is None:
        if options.sort or options.drop_doubles:
            raise UserError(f"{table.name} has no column of dates to go by; name it with --time, or leave --sort out")
        return Rows(list(range(len(table))))
    missing = [place for place, time in enumerate(dates.values) if time is None]
    if missing:
        raise cell_fault(table, dates.column, missing, "is no time", "mend it, or give --time none")
    if not options.drop_doubles:
        check_one_series(table, dates)
    places = in_order(table, dates, options)
    notes = ["sorted by time"] if places != list(range(len(table))) else []
    places, dropped = without_doubles(table, dates, places, options)
    if dropped:
        notes.append(f"{plural(dropped, 'row')} of a time that was there before left out")
    times = [dates.values[place] for place in places]
    offsets = list(dict.fromkeys(time.utcoffset() for time in times))
    if len(offsets) > 1:
        notes.append(f"{len(offsets)} offsets from UTC")
    step = usual_step(times)
    if step is None:
        return Rows(places, times, None, tuple(notes))
    filled, times = without_gaps(table, places, times, step, options)
    if added := len(filled) - len(places):
        notes.append(f"{plural(added, 'row')} added in gaps")
    return Rows(filled, times, step, (f"a row every {step}", *notes))


def check_one_series(table: Table, dates: Dates) -> None:
    """UserError where a table seems to hold several series, each shop's rows, say. To drop doubles would lose most.

    A few rows of one time are doubles, and so are rows that are alike in all columns.
    """
    times = dates.values
    num_rows = len(set(zip(*table.columns.values())))
    share_again = 1 - len(set(times)) / num_rows
    others = (column for column in table.columns if column != dates.column)
    names = next((column for column in others if tells_apart(table, column, times)), None)
    if share_again <= (0.1 if names else 1 / 3):
        return
    seen = set()
    second = next(place for place, time in enumerate(times) if time in seen or seen.add(time))
    told = f", which {names!r} tells apart" if names else ""
    raise UserError(
        f"{where(table, second)}: a second row of {times[second]}; this looks like several series in one table{told}; "
        "put each into a file of its own, all in one folder, and name that folder with --data"
    )


def tells_apart(table: Table, column: str, times: list[datetime]) -> bool:
    """Do the rows that have a cell of this column in common stand together, at least two of them, and in order?"""
    blocks = [list(rows) for _, rows in groupby(zip(table.columns[column], times), key=itemgetter(0))]
    apart = 1 < len(blocks) == len(set(table.columns[column]))
    return apart and all(len(rows) > 1 and in_step([time for _, time in rows]) for rows in blocks)


def in_step(times: list[datetime]) -> bool:
    """Does each time come after the one before, or each before it?"""
    return all(map(lt, times, times[1:])) or all(map(gt, times, times[1:]))


def in_order(table: Table, dates: Dates, options: TableOptions) -> list[int]:
    """The rows by their time; UserError where they are not in that order, unless they may be sorted."""
    times = dates.values
    if options.sort:
        return sorted(range(len(times)), key=lambda place: times[place])
    for place in range(1, len(times)):
        if times[place] < times[place - 1]:
            raise UserError(
                f"{where(table, place)}: {times[place]} comes after {times[place - 1]}; --sort puts the rows in order "
                f"of {dates.column!r}, --time names another column or none"
            )
    return list(range(len(times)))


def without_doubles(table: Table, dates: Dates, places: list[int], options: TableOptions) -> tuple[list[int], int]:
    """The first row of each time, and how many others there were; UserError, unless they may be dropped."""
    times = dates.values
    doubles = [second for first, second in zip(places, places[1:]) if times[first] == times[second]]
    if doubles and not options.drop_doubles:
        raise UserError(
            f"{where(table, doubles[0])}: a second row of {times[doubles[0]]} ({plural(len(doubles), 'such row')}); "
            "--drop-doubles keeps the first row of each time, and --time names another column or none"
        )
    left_out = set(doubles)
    return [place for place in places if place not in left_out], len(doubles)


def without_gaps(
    table: Table, places: list[int], times: list[datetime], step: Step, options: TableOptions
) -> tuple[list[int | None], list[datetime]]:
    """Rows and times with what is missing between them; UserError where something is, unless it may be filled."""
    counts = [step.count(first, second) for first, second in zip(times, times[1:])]
    for before, count in enumerate(counts):
        if abs(count - round(count)) > UNEVEN or round(count) == 0:
            raise UserError(
                f"{where(table, places[before + 1])}: {times[before + 1]} is not a whole number of steps after "
                f"{times[before]}, most rows being {step} apart; --time none takes the rows as they come"
            )
    missing = sum(round(count) - 1 for count in counts)
    if missing and not options.fill:
        before = next(before for before, count in enumerate(counts) if round(count) > 1)
        raise UserError(
            f"{where(table, places[before + 1])}: a gap before {times[before + 1]}, for most rows are {step} apart; "
            f"{plural(missing, 'row')} missing in all; --fill forward or --fill linear fills them, --time none takes "
            "the rows as they come"
        )
    if missing > len(places):
        raise UserError(
            f"{table.name} lacks {missing:,} rows and has {len(places):,}; give a part of it without long gaps"
        )
    filled, filled_times = places[:1], times[:1]
    for place, time, count in zip(places[1:], times[1:], counts):
        for _ in range(1, round(count)):
            filled.append(None)
            filled_times.append(step.after(filled_times[-1]))
        filled.append(place)
        filled_times.append(time)
    return filled, filled_times


def usual_step(times: list[datetime]) -> Step | None:
    """The most frequent difference between neighbours; None where there is one row alone.

    Months and years are told by the calendar, since their lengths differ. Where days of the week never occur, as in
    business, one such day follows the other.
    """
    lengths = Counter(second - first for first, second in zip(times, times[1:]))
    if not lengths:
        return None
    length = max(lengths, key=lambda length: (lengths[length], -length))
    month_ends = all(time.day == days_in_month(time.year, time.month) for time in times)
    if length >= 28 * DAY and (month_ends or len({time.day for time in times}) == 1):
        return Step(length, max(1, round(length / (30.4 * DAY))), month_ends)
    days = tuple(sorted({time.weekday() for time in times}))
    if length == DAY and 1 < len(days) < 7 and times[-1] - times[0] >= 14 * DAY:
        return Step(length, days=days)
    return Step(length)


def months_later(time: datetime, months: int, month_ends: bool = False) -> datetime:
    """The same day so many months later, or the last of that month.

    >>> print(months_later(datetime(2023, 2, 28), 1), months_later(datetime(2023, 2, 28), 1, month_ends=True))
    2023-03-28 00:00:00 2023-03-31 00:00:00
    """
    year, month = divmod(12 * time.year + time.month - 1 + months, 12)
    last = days_in_month(year, month + 1)
    return time.replace(year=year, month=month + 1, day=last if month_ends else min(time.day, last))


def days_in_month(year: int, month: int) -> int:
    """28 to 31."""
    return calendar.monthrange(year, month)[1]


def filled(values: list[float], how: str) -> list[float]:
    """Numbers (N) without NaN: each takes the number before it, or one on the line between its neighbours.

    Before the first number and, on a line, after the last there is one neighbour alone, whose number is taken.

    >>> filled([math.nan, 1.0, math.nan, 3.0], "forward"), filled([1.0, math.nan, 3.0], "linear")
    ([1.0, 1.0, 1.0, 3.0], [1.0, 2.0, 3.0])
    """
    there = [place for place, value in enumerate(values) if not math.isnan(value)]
    result = list(values)
    result[: there[0]] = [values[there[0]]] * there[0]
    for first, second in zip(there, [*there[1:], len(values)]):
        for place in range(first + 1, second):
            share = 0.0 if how == "forward" or second == len(values) else (place - first) / (second - first)
            result[place] = values[first] + share * (values[second] - values[first] if share else 0.0)
    return result


def where(table: Table, place: int) -> str:
    """The line of a row."""
    return f"{table.name}, line {table.lines[place]}"


def in_words(length: timedelta) -> str:
    """A length of time in its largest whole unit.

    >>> in_words(timedelta(minutes=90)), in_words(timedelta(days=1))
    ('90 minutes', '1 day')
    """
    for unit in ("days", "hours", "minutes", "seconds"):
        count, rest = divmod(length, timedelta(**{unit: 1}))
        if count and not rest:
            return plural(count, unit.rstrip("s"))
    return f"{length.total_seconds():g} seconds"


def plural(count: int, word: str) -> str:
    """1 row, 2 rows."""
    return f"{count:,} {word}{'s' * (count != 1)}"
