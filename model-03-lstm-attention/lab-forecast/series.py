"""A table of numbers over time -> windows of past and future: made here, downloaded, or the reader's own CSV.

N rows, Fp past columns, Ff future columns, O targets; a past row is targets, past-only columns, known-future columns.
"""

import csv
import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from io import StringIO
from pathlib import Path

import torch
from torch import Tensor

from shared.errors import UserError
from shared.text.corpus import user_path
from shared.text.download import download

ETTH1_URL = "https://raw.githubusercontent.com/zhouhaoyi/ETDataset/main/ETT-small/ETTh1.csv"
ETTH1_SHA256 = "f18de3ad269cef59bb07b5438d79bb3042d3be49bdeecf01c1cd6d29695ee066"
ETTH1_BYTES = 2_589_657
ETTH1_COLUMNS = ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT")
ETTH1_PARTS = (12 * 30 * 24, 16 * 30 * 24, 20 * 30 * 24)  # 12, 4 and 4 months of 30 days; the rest is not used
DOWNLOADS = Path(__file__).resolve().parents[2] / "data" / "downloads"

Names = Sequence[str] | None
NOTHING = "nothing known"  # a column of zeros

SHARES = (0.6, 0.8, 1.0)  # where training, validation and test end, in other series

FLOW_ROWS = 30_000
SPIKES = 0.1  # of all steps
NOISE = 0.1  # standard deviation of pressure around the rule
PRESSURE = 5.0
DIP = 1.0  # pressure lost to a spike of height 1
FLOW_SEED = 4  # of the series, not of the training: every run forecasts the same one


@dataclass(frozen=True)
class Series:
    """Rows of one table, scaled by the mean and standard deviation of the training part.

    values  (N, Fp) float32; the first `num_targets` columns are targets, the last `num_known` known of the future
    ends    the rows at which the training, validation and test part end
    sha256  of the file's bytes, or of the values where there is no file
    lag, noise_variance  the truth about flow-pressure, the variance on the scale of `values`; None for all others
    """

    name: str
    sha256: str
    columns: tuple[str, ...]
    values: Tensor
    means: Tensor
    deviations: Tensor
    num_targets: int
    num_known: int
    ends: tuple[int, int, int]
    lag: int | None = None
    noise_variance: float | None = None

    def part(self, name: str) -> tuple[int, int]:
        """First and last row (exclusive) of the training, validation or test part."""
        place = ("training", "validation", "test").index(name)
        return (0, *self.ends)[place], self.ends[place]

    def rescaled(self, means: Tensor, deviations: Tensor) -> "Series":
        """The same rows on another scale: that of the rows which a model was trained on."""
        raw = self.values * self.deviations + self.means
        new = dict(values=(raw - means) / deviations, means=means, deviations=deviations)
        return Series(**vars(self) | new)

    def in_units(self, scaled: Tensor) -> Tensor:
        """Targets (..., O) as they stand in the table."""
        return scaled * self.deviations[: self.num_targets] + self.means[: self.num_targets]


def load_series(
    data: str, lag: int = 5, target: Names = None, known_future: Names = None, past_only: Names = None
) -> Series:
    """flow-pressure, etth1 (downloaded on first use) or the CSV file at a path, with its columns named.

    ETTh1 is known by its hash, wherever it lies. Raises UserError for a table that cannot be used.
    """
    if data == "flow-pressure":
        return flow_pressure(lag)
    path = user_path(data)
    if data == "etth1":
        path = download(ETTH1_URL, DOWNLOADS / "ETTh1.csv", ETTH1_SHA256, ETTH1_BYTES)
    content = read_bytes(path)
    sha256 = hashlib.sha256(content).hexdigest()
    name, ends = path.name, None
    if sha256 == ETTH1_SHA256:
        name, ends, known_future = "etth1", ETTH1_PARTS, known_future or ["date"]
        target = target or [column for column in ETTH1_COLUMNS if column not in (past_only or [])]
    return from_table(name, sha256, read_table(content, name), target or [], known_future or [], past_only or [], ends)


SERIES_SETTINGS = ("data", "lag", "target", "known_future", "past_only")


def series_of(settings: dict) -> Series:
    """The series that a run's settings name."""
    return load_series(**{name: settings[name] for name in SERIES_SETTINGS})


# ------------------------------------------------------------------------------------------------------- flow-pressure


def flow_pressure(lag: int, rows: int = FLOW_ROWS) -> Series:
    """Pressure dips `lag` steps after a spike of the flow: pressure(t) = base - dip * spike(t - lag) + noise.

    Spikes come at random and in heights between 0.5 and 1.5, so that nothing tells of them but the flow itself. The
    flow is known of the future. Nobody can forecast the noise: its variance is the smallest mean squared error.
    """
    if lag >= rows:
        raise UserError(f"flow-pressure has {rows:,} rows; give a smaller --lag than {lag:,}")
    generator = torch.Generator().manual_seed(FLOW_SEED)
    heights = 0.5 + torch.rand(rows, generator=generator)
    spikes = heights * (torch.rand(rows, generator=generator) < SPIKES)
    noise = NOISE * torch.randn(rows, generator=generator)
    before = torch.cat([torch.zeros(lag), spikes[: rows - lag]])  # (N): the spike `lag` steps earlier
    values = torch.stack([PRESSURE - DIP * before + noise, spikes], dim=1)
    sha256 = hashlib.sha256(values.numpy().tobytes()).hexdigest()
    series = scaled("flow-pressure", sha256, ("pressure", "flow"), values, 1, 1, None)
    truth = dict(lag=lag, noise_variance=(NOISE / series.deviations[0].item()) ** 2)
    return Series(**vars(series) | truth)


def scaled(name, sha256, columns, values: Tensor, num_targets: int, num_known: int, ends) -> Series:
    """A Series of these values; the training part alone says what is scaled by what."""
    ends = ends or tuple(int(share * len(values)) for share in SHARES)
    training = values[: ends[0]].double()
    means, deviations = training.mean(0), training.std(0, correction=0)
    deviations = deviations.where(deviations > 0, 1.0)  # a column that never changes
    values = ((values.double() - means) / deviations).float()
    return Series(name, sha256, columns, values, means.float(), deviations.float(), num_targets, num_known, ends)


# ----------------------------------------------------------------------------------------------------------- CSV tables


def read_bytes(path: Path) -> bytes:
    """A file's content; UserError where there is none."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(
            f"cannot read {path}: {error.strerror}; give --data flow-pressure, etth1 or the path of a CSV file"
        ) from None


def read_table(content: bytes, name: str) -> dict[str, dict[int, str]]:
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


def from_table(
    name: str, sha256: str, table: dict, targets: Sequence, known_future: Sequence, past_only: Sequence, ends
) -> Series:
    """The named columns of a table as a Series. A column of dates may be known of the future: it becomes four."""
    check_names(name, list(table), targets, known_future, past_only)
    columns = [(column, numbers(name, column, table[column])) for column in (*targets, *past_only)]
    known = [pair for column in known_future for pair in known_columns(name, column, table[column])]
    # A decoder has to read something at each step. Where nothing is known of the future, it reads zeros.
    known = known or [(NOTHING, [0.0] * len(columns[0][1]))]
    names, values = zip(*columns, *known)
    values = torch.tensor(values, dtype=torch.float64).T  # (N, Fp)
    return scaled(name, sha256, names, values, len(targets), len(known), ends)


def check_names(name: str, columns: list[str], targets: Sequence, known_future: Sequence, past_only: Sequence) -> None:
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


def numbers(name: str, column: str, cells: dict[int, str]) -> list[float]:
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


def known_columns(name: str, column: str, cells: dict[int, str]) -> list[tuple[str, list[float]]]:
    """A known-future column as it is, or the hour and the weekday of its dates, each as a point on a circle."""
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


# -------------------------------------------------------------------------------------------------------------- windows


@dataclass(frozen=True)
class Batch:
    """Windows side by side: past (B, Tp, Fp), future (B, Tf, Ff), targets (B, Tf, O)."""

    past: Tensor
    future: Tensor
    targets: Tensor

    @property
    def inputs(self) -> tuple[Tensor, Tensor]:
        """What a model may see."""
        return self.past, self.future

    def to(self, device) -> "Batch":
        """The same on a device."""
        return Batch(self.past.to(device), self.future.to(device), self.targets.to(device))


class Windows:
    """All windows of a part of a series: what is forecast lies within it, while the past may reach back before it."""

    def __init__(self, series: Series, part: str, past_length: int, horizon: int):
        self.series, self.past_length, self.horizon = series, past_length, horizon
        first, last = series.part(part)
        first = max(first, past_length)
        self.starts = torch.arange(first, max(first, last - horizon + 1))  # first rows to be forecast
        if not len(self.starts):
            raise UserError(
                f"the {part} part of {series.name} ends after {last:,} rows, too few for one window; use a longer "
                f"series, or less than --past-length {past_length} and --horizon {horizon}"
            )

    def __len__(self) -> int:
        return len(self.starts)

    def batch(self, which: Tensor) -> Batch:
        """The windows of these numbers (B), from 0 to len - 1."""
        series, starts = self.series, self.starts[which][:, None]
        past = series.values[starts + torch.arange(-self.past_length, 0)]  # (B, Tp, Fp)
        coming = series.values[starts + torch.arange(self.horizon)]  # (B, Tf, Fp)
        return Batch(past, coming[..., -series.num_known :], coming[..., : series.num_targets])

    def batches(self, batch_size: int, step: int = 1) -> Iterator[Batch]:
        """Every `step`-th window once, in order."""
        for which in torch.arange(0, len(self), step).split(batch_size):
            yield self.batch(which)
