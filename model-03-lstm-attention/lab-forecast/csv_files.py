"""The reader's own CSV files -> columns of numbers, and one line that says what to mend where a file is not usable.

N rows; a column of dates that is known of the future becomes four.
"""

import csv
import math
from collections.abc import Sequence
from datetime import datetime
from difflib import get_close_matches
from io import StringIO
from pathlib import Path

from shared.errors import UserError

NOTHING = "nothing known"  # a column of zeros

Cells = dict[int, str]  # the text in a column: line of the file -> cell
Column = tuple[str, list[float]]  # its name, its numbers (N)


def files_at(path: Path) -> list[Path]:
    """The file itself or, of a folder, all its CSV files by name: a series each."""
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.glob("*.csv") if not file.name.startswith("."))
    if not files:
        raise UserError(f"there is no file in {path} whose name ends in .csv; give a folder of CSV files, or one file")
    return files


def read_bytes(path: Path) -> bytes:
    """A file's content; UserError where there is none."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(
            f"cannot read {path}: {error.strerror}; give --data flow-pressure, etth1 or the path of a CSV file"
        ) from None


def read_table(content: bytes, name: str) -> dict[str, Cells]:
    """A CSV file with a header and commas -> column name -> line -> cell, as text."""
    try:
        rows = list(csv.reader(StringIO(content.decode("utf-8-sig"), newline="")))
    except UnicodeDecodeError:
        raise UserError(f"{name} is not UTF-8 text; save it as a CSV file in UTF-8") from None
    except csv.Error as error:
        raise UserError(f"{name} is no CSV file ({error}); save it with commas and one line a row") from None
    rows = [(line, row) for line, row in enumerate(rows, start=1) if row]
    if len(rows) < 2:
        raise UserError(f"{name} has no rows; its first line must name the columns, and each line after it is a step")
    header = [cell.strip() for cell in rows[0][1]]
    if len(set(header)) < len(header):
        twice = next(cell for cell in header if header.count(cell) > 1)
        raise UserError(f"{name} has two columns named {twice!r}; give each a name of its own")
    for line, row in rows:
        if len(row) != len(header):
            raise UserError(f"{name}, line {line}: {len(row)} cells, but {len(header)} columns; mend that line")
    return {column: {line: row[place] for line, row in rows[1:]} for place, column in enumerate(header)}


def chosen_columns(
    name: str, table: dict[str, Cells], targets: Sequence[str], known_future: Sequence[str], past_only: Sequence[str]
) -> tuple[list[Column], int]:
    """The named columns in the order that a model reads them, targets, past-only, known-future; how many are known."""
    check_names(name, list(table), targets, known_future, past_only)
    columns = [(column, numbers(name, column, table[column])) for column in (*targets, *past_only)]
    known = [pair for column in known_future for pair in known_columns(name, column, table[column])]
    # A decoder has to read something at each step. Where nothing is known of the future, it reads zeros.
    known = known or [(NOTHING, [0.0] * len(columns[0][1]))]
    return columns + known, len(known)


def check_names(
    name: str, columns: list[str], targets: Sequence[str], known_future: Sequence[str], past_only: Sequence[str]
) -> None:
    """UserError where no target is named, a column does not exist or has two roles."""
    listed = ", ".join(columns)
    if not targets:
        raise UserError(f"which column of {name} is to be forecast? name it with --target, out of: {listed}")
    used = [*targets, *known_future, *past_only]
    for column in used:
        if column not in columns:
            near = get_close_matches(column, columns, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; it has: {listed}"
            raise UserError(f"{name} has no column {column!r}{hint}")
        if used.count(column) > 1:
            raise UserError(f"column {column!r} is named twice; give it one place: target, known-future or past-only")


def numbers(name: str, column: str, cells: Cells) -> list[float]:
    """The cells of a column as numbers; UserError at the first that is none."""
    values = []
    for line, cell in cells.items():
        try:
            values.append(float(cell))
        except ValueError:
            values.append(math.nan)
        if not math.isfinite(values[-1]):
            raise UserError(f"{name}, column {column!r}, line {line}: {cell!r} is not a number; mend that cell")
    return values


def known_columns(name: str, column: str, cells: Cells) -> list[Column]:
    """A known-future column as it is, or the hour and the weekday of its dates, each as a point on a circle.

    On a circle, 23 o'clock and midnight are neighbours; as plain numbers they would lie furthest apart.
    """
    try:
        # Before Python 3.11, a Z for Greenwich's time is not understood.
        dates = [datetime.fromisoformat(cell.strip().replace("Z", "+00:00")) for cell in cells.values()]
    except ValueError:
        return [(column, numbers(name, column, cells))]
    hours = [2 * math.pi * (date.hour + date.minute / 60) / 24 for date in dates]
    days = [2 * math.pi * date.weekday() / 7 for date in dates]
    return [
        (f"{column} {circle} {function.__name__}", [function(angle) for angle in angles])
        for circle, angles in (("hour", hours), ("weekday", days))
        for function in (math.sin, math.cos)
    ]
