"""A forecast as a table of text: with the digits that matter, and as a CSV file."""

import csv
import math
import re
from collections.abc import Iterable, Sequence
from io import StringIO
from pathlib import Path

from shared.errors import UserError

# The first line that forecast.py writes; other columns than these are in no file of its own.
HEADER = re.compile(rb"step,(time,)?(truth,)?forecast(,[\d.e-]+)*\r?\n")
SHARES = re.compile(rb'\{\s+"lag":')  # the beginning of the file that explain.py --json writes
RESOLUTION = 2  # decimal places of the leading digit of what usually changes: a hundredth of it can be seen


def as_text(values: Sequence[float], spread: float) -> list[str]:
    """Numbers, all with as many digits as show changes of a hundredth of `spread`, their usual change.

    >>> as_text([1700000012.4375, 0.5], 9.0), as_text([2.5e-9], 1e-9), as_text([1.25e12], 1e11)
    (['1700000012.44', '0.50'], ['2.50e-09'], ['1.250e+12'])
    """
    decimals = RESOLUTION - math.floor(math.log10(spread))
    if -4 <= decimals <= 7:
        return [f"{value:.{max(0, decimals)}f}" for value in values]
    largest = max(abs(value) for value in values) or 1.0
    digits = max(0, math.floor(math.log10(largest)) + decimals)
    return [f"{value:.{digits}e}" for value in values]


def as_csv(columns: dict[str, list[str]]) -> str:
    """Head -> cells, as the text of a CSV file."""
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerows([list(columns), *zip(*columns.values())])
    return text.getvalue()


def check_writable(flag: str, path: Path, earlier: re.Pattern[bytes], tables: Iterable[Path] = ()) -> None:
    """UserError where a file must not be written: over a table that is read, or over one that begins otherwise."""
    if not path.is_file():
        return
    if any(table.exists() and path.samefile(table) for table in tables):
        raise UserError(f"{flag} {path} is a table that the forecast is made from; give another name")
    with path.open("rb") as file:
        if not earlier.match(file.read(1000)):
            raise UserError(
                f"{flag} {path} exists and was not written by this command; give another name, or move that file away"
            )
