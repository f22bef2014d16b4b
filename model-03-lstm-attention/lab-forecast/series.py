"""Tables of numbers over time, one or several: made here, downloaded, or the reader's own CSV files.

N rows of all tables, Fp past columns, O targets; a row is targets, past-only columns, known-future columns.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from shared.errors import UserError
from shared.files import seconds_told
from shared.text.corpus import user_path
from shared.text.download import download

from csv_files import TABLE_SETTINGS, TableOptions, files_at, read_all
from tables import Columns, read_columns

ETTH1_URL = "https://raw.githubusercontent.com/zhouhaoyi/ETDataset/main/ETT-small/ETTh1.csv"
ETTH1_SHA256 = "f18de3ad269cef59bb07b5438d79bb3042d3be49bdeecf01c1cd6d29695ee066"
ETTH1_BYTES = 2_589_657
ETTH1_COLUMNS = ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT")
ETTH1_PARTS = (12 * 30 * 24, 16 * 30 * 24, 20 * 30 * 24)  # 12, 4 and 4 months of 30 days; the rest is not used
DOWNLOADS = Path(__file__).resolve().parents[2] / "data" / "downloads"

Names = Sequence[str] | None

PARTS = ("training", "validation", "test")
CONSTANT = 1e-14  # a deviation that is a smaller part of the mean is none
SHARES = (0.6, 0.8, 1.0)  # of its rows, where each part of a series ends

FLOW_ROWS = 30_000
SPIKES = 0.1  # of all steps
NOISE = 0.1  # standard deviation of pressure around the rule
PRESSURE = 5.0
DIP = 1.0  # pressure lost to a spike of height 1
FLOW_SEED = 4  # of the series, not of the training: every run forecasts the same one


class Span(NamedTuple):
    """The rows of one table: where they begin, and where its training, validation and test part end."""

    name: str
    begin: int
    ends: tuple[int, int, int]

    def part(self, name: str) -> tuple[int, int]:
        """First and last row (exclusive) of the training, validation or test part."""
        place = PARTS.index(name)
        return (self.begin, *self.ends)[place], self.ends[place]


@dataclass(frozen=True)
class Series:
    """Rows of one table or of several, laid end to end, scaled by mean and standard deviation of the training parts.

    values  (N, Fp) float32; the first `num_targets` columns are targets, the last `num_known` known of the future
    means, deviations  (Fp) float64: float32 has no room for a small change of a large number
    spans   where each table's rows stand; tables may be of unequal length, and no window reaches from one into another
    sha256  of the files' bytes, or of the values where there is no file
    tables  what was read of each file; empty where there is none
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
    spans: tuple[Span, ...]
    tables: tuple[Columns, ...] = ()
    lag: int | None = None
    noise_variance: float | None = None

    def rescaled(self, means: Tensor, deviations: Tensor) -> "Series":
        """The same rows on another scale: that of the rows which a model was trained on."""
        means, deviations = means.double(), deviations.double()
        raw = self.values.double() * self.deviations + self.means
        values, variance = ((raw - means) / deviations).float(), self.noise_variance
        if variance is not None:
            variance *= (self.deviations[0] / deviations[0]).item() ** 2
        return replace(self, values=values, means=means, deviations=deviations, noise_variance=variance)

    def in_units(self, scaled: Tensor) -> Tensor:
        """Targets (..., O) as they stand in the table, float64."""
        return scaled.double() * self.deviations[: self.num_targets] + self.means[: self.num_targets]

    @property
    def understood(self) -> list[str]:
        """How files were read: one line, or several where they are not written alike; then constant targets."""
        lines = {table.understood.rpartition(";")[0]: table.understood for table in self.tables}
        still = [
            f"target {name!r} never changes in the training part, so there is nothing to forecast"
            for name in self.still
        ]
        return (list(lines.values()) if len(self.tables) == 1 else list(lines)) + still

    @property
    def still(self) -> list[str]:
        """The targets that have one value in all rows of the training parts."""
        targets = self.values[:, : self.num_targets]
        training = torch.cat([targets[slice(*span.part("training"))] for span in self.spans])
        return [name for name, column in zip(self.columns, training.T) if column.min() == column.max()]


# What of a run's settings says which series it reads: the arguments of `load_series`.
SERIES_SETTINGS = ("data", "lag", "lengths", "target", "known_future", "past_only", *TABLE_SETTINGS)


def series_of(settings: dict) -> Series:
    """The series that a run's settings name."""
    return load_series(**{name: settings.get(name) for name in SERIES_SETTINGS})


def load_series(
    data: str,
    lag: int = 5,
    lengths: Sequence[int] | None = None,
    target: Names = None,
    known_future: Names = None,
    past_only: Names = None,
    **table: str | bool | None,
) -> Series:
    """flow-pressure, etth1 (downloaded on first use), or a CSV file or a folder of them, with its columns named.

    `lag` and `lengths` are flow-pressure's, `table` what TableOptions take. ETTh1 is known by its hash, wherever it
    lies. Raises UserError for a table that cannot be used.
    """
    if data == "flow-pressure":
        return flow_pressure(lag, lengths=lengths)
    path = user_path(data)
    if data == "etth1":
        path = download(ETTH1_URL, DOWNLOADS / "ETTh1.csv", ETTH1_SHA256, ETTH1_BYTES)
    files = files_at(path)
    contents = read_all(files)
    sha256 = combined_sha256(contents)
    if sha256 == ETTH1_SHA256:
        others = {*(past_only or []), *(known_future or [])}
        target = target or [column for column in ETTH1_COLUMNS if column not in others]
        known_future = known_future or ["date"]
    roles = (target or [], known_future or [], past_only or [])
    options = TableOptions(**table)
    with seconds_told(f"reading {path.name}"):
        tables = [read_columns(content, file.name, *roles, options) for file, content in zip(files, contents)]
    columns, values = side_by_side([file.name for file in files], [table.columns for table in tables])
    spans = spans_of([file.name for file in files], list(map(len, values)))
    if sha256 == ETTH1_SHA256:
        spans = (Span("etth1", 0, ETTH1_PARTS),)
    name = spans[0].name if len(spans) == 1 else path.resolve().name
    series = scaled(name, sha256, columns, torch.cat(values), len(roles[0]), tables[0].num_known, spans)
    return replace(series, tables=tuple(tables))


def combined_sha256(contents: list[bytes]) -> str:
    """The hash of a file's bytes; of several files, that of their hashes."""
    digests = [hashlib.sha256(content) for content in contents]
    if len(digests) == 1:
        return digests[0].hexdigest()
    return hashlib.sha256(b"".join(digest.digest() for digest in digests)).hexdigest()


def side_by_side(files: list[str], tables: list[list]) -> tuple[tuple[str, ...], list[Tensor]]:
    """Each file's columns -> their names, which must be those of the first, and each file's values (rows, Fp)."""
    names = [tuple(name for name, _ in table) for table in tables]
    for file, found in zip(files, names):
        if found != names[0]:
            raise UserError(f"{file} gives {', '.join(found)}, but {files[0]} {', '.join(names[0])}; write them alike")
    values = [torch.tensor([column for _, column in table], dtype=torch.float64).T for table in tables]
    return names[0], values


def spans_of(names: list[str], sizes: list[int]) -> tuple[Span, ...]:
    """A span for each table, its parts being shares of its own rows."""
    begins = [sum(sizes[:place]) for place in range(len(sizes))]
    return tuple(
        Span(name, begin, tuple(begin + int(share * size) for share in SHARES))
        for name, begin, size in zip(names, begins, sizes)
    )


def scaled(
    name: str,
    sha256: str,
    columns: tuple[str, ...],
    values: Tensor,
    num_targets: int,
    num_known: int,
    spans: tuple[Span, ...],
) -> Series:
    """A Series of these values (N, Fp); the training parts alone say what is scaled by what."""
    training = torch.cat([values[slice(*span.part("training"))] for span in spans]).double()
    if not len(training):
        raise UserError(f"{name} has too few rows to train on: {len(values)}; give a longer series")
    means, deviations = training.mean(0), training.std(0, correction=0)
    if not (means.isfinite() & deviations.isfinite()).all():
        raise UserError(f"{name} has numbers that are too large to reckon with; write them in a larger unit")
    # A column that never changes; what its deviation is more than 0 by, is rounding.
    deviations = deviations.where(deviations > CONSTANT * means.abs(), 1.0)
    values = ((values.double() - means) / deviations).float()
    return Series(name, sha256, columns, values, means, deviations, num_targets, num_known, spans)


# ------------------------------------------------------------------------------------------------------- flow-pressure


def flow_pressure(lag: int, rows: int = FLOW_ROWS, lengths: Sequence[int] | None = None) -> Series:
    """Pressure dips `lag` steps after a spike of the flow: pressure(t) = base - dip * spike(t - lag) + noise.

    Spikes come at random and in heights between 0.5 and 1.5, so that nothing tells of them but the flow itself. The
    flow is known of the future. Nobody can forecast the noise: its variance is the smallest mean squared error.

    `lengths` (shortest, longest): not one series of so many rows but many, each of a random length in between, in all
    no more rows. Before a series begins nothing flowed, so that the rule holds from its first row on.
    """
    longest = rows if lengths is None else lengths[1]
    if lag >= longest:
        raise UserError(f"no series has more than {longest:,} rows; give a smaller --lag than {lag:,}")
    if longest > rows:
        raise UserError(f"flow-pressure has {rows:,} rows in all; give --lengths of no more, and not of {longest:,}")
    generator = torch.Generator().manual_seed(FLOW_SEED)
    heights = 0.5 + torch.rand(rows, generator=generator)
    spikes = heights * (torch.rand(rows, generator=generator) < SPIKES)
    noise = NOISE * torch.randn(rows, generator=generator)

    sizes = [rows] if lengths is None else random_sizes(rows, *lengths, generator)
    spikes, noise = spikes[: sum(sizes)], noise[: sum(sizes)]
    before = torch.cat([delayed(part, lag) for part in spikes.split(sizes)])  # (N): the spike `lag` steps earlier
    values = torch.stack([PRESSURE - DIP * before + noise, spikes], dim=1)

    names = ["flow-pressure"] if lengths is None else [f"series {place}" for place in range(len(sizes))]
    sha256 = hashlib.sha256(values.numpy().tobytes()).hexdigest()
    series = scaled("flow-pressure", sha256, ("pressure", "flow"), values, 1, 1, spans_of(names, sizes))
    deviation = series.deviations[0].float().item()  # float32, in which the kept results were scored
    return replace(series, lag=lag, noise_variance=(NOISE / deviation) ** 2)


def random_sizes(rows: int, shortest: int, longest: int, generator: torch.Generator) -> list[int]:
    """Lengths from `shortest` to `longest`, as many as fit into so many rows."""
    drawn = torch.randint(shortest, longest + 1, (rows // shortest,), generator=generator)
    return drawn[drawn.cumsum(0) <= rows].tolist()


def delayed(values: Tensor, steps: int) -> Tensor:
    """Values (T) as they were so many steps earlier, 0 before the first of them.

    >>> delayed(torch.tensor([1.0, 2.0, 3.0]), 1).tolist(), delayed(torch.tensor([1.0, 2.0]), 5).tolist()
    ([0.0, 1.0, 2.0], [0.0, 0.0])
    """
    return torch.cat([torch.zeros(steps), values])[: len(values)]
