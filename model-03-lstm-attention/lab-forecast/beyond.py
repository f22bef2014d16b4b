"""The window that begins after a series' last row: what is known of it, and what its times are.

Tp past steps, Tf future steps, Fp past columns, Ff future columns, O targets
"""

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import torch
from torch import Tensor

from shared.errors import UserError

from csv_files import TABLE_SETTINGS, TableOptions, check_name, read_bytes, read_table
from series import Series
from tables import NOTHING, Column, Reader, on_circles
from windows import Batch


def window_beyond(series: Series, settings: dict, path: Path | None) -> tuple[Batch, list[datetime] | None]:
    """The last rows of a series as the past of a window whose targets nobody knows yet (NaN), and its times, if known.

    `path` is a CSV file with the columns known of the future, a row for each step; None where dates tell all of it.
    """
    past_length, horizon = settings["past_length"], settings["horizon"]
    if len(series.spans) > 1:
        raise UserError("--future goes on from one series; name the file of one of them with --data")
    if settings.get("pad"):
        past_length = min(past_length, len(series.values))
    if len(series.values) < past_length:
        raise UserError(
            f"{series.name} has {len(series.values)} rows, but the model looks back on {past_length}; give a longer "
            "series, or a smaller --past-length"
        )
    times = times_beyond(series, horizon)
    known = known_beyond(series, settings, times, path)  # (Tf, Ff)
    scaled = (known - series.means[-series.num_known :]) / series.deviations[-series.num_known :]
    past, future = series.values[-past_length:][None], scaled.float()[None]  # (1, Tp, Fp), (1, Tf, Ff)
    targets = torch.full((1, horizon, series.num_targets), torch.nan)
    return Batch(past, future, targets, torch.tensor([past_length]), torch.tensor([horizon])), times


def times_beyond(series: Series, horizon: int) -> list[datetime] | None:
    """The times of the steps after the last row; None where the series has no times."""
    if not series.tables or series.tables[0].rows.step is None:
        return None
    rows = series.tables[0].rows
    try:
        return [rows.step.after(rows.times[-1], count) for count in range(1, horizon + 1)]
    except (OverflowError, ValueError) as error:
        raise UserError("the times go on beyond the year 9999; train with --time none") from error


def known_beyond(series: Series, settings: dict, times: list[datetime] | None, path: Path | None) -> Tensor:
    """What is known of the coming steps, in the units of the table: (Tf, Ff) float64."""
    horizon = settings["horizon"]
    if series.columns[-1] == NOTHING:
        return torch.zeros(horizon, 1, dtype=torch.float64)
    table = series.tables[0] if series.tables else None
    names = table.known_future if table else series.columns[-1:]
    told_by_time = [name for name in names if times and name == table.time_column]
    wanted = [name for name in names if name not in told_by_time]
    if wanted and path is None:
        raise UserError(
            f"the model reads {', '.join(map(repr, wanted))} of the future; give a CSV file with {horizon} coming rows "
            "as --future FILE"
        )
    given = known_in(path, wanted, settings, times) if wanted else {}
    columns = []  # a name and its numbers each
    for name in names:
        columns += on_circles(name, times) if name in told_by_time else given[name]
    if [name for name, _ in columns] != list(series.columns[-series.num_known :]):
        raise UserError(f"{path.name}: columns that held dates in training must hold dates here, and numbers numbers")
    return torch.tensor([values for _, values in columns], dtype=torch.float64).T  # (Tf, Ff)


def known_in(path: Path, wanted: list[str], settings: dict, times: list[datetime] | None) -> dict[str, list[Column]]:
    """A CSV file of coming rows -> column -> what is made of it, `horizon` numbers under a name each."""
    horizon = settings["horizon"]
    options = TableOptions(**{name: settings.get(name) for name in TABLE_SETTINGS})
    content = read_bytes(path, "name the file of the coming rows with --future")
    table = read_table(content, path.name, options.separator)
    for name in wanted:
        check_name(table, name)
    if options.time not in (None, "none", *table.columns):
        options = replace(options, time=None)
    hourly = times is not None and any(time.hour or time.minute for time in times)
    reader = Reader(table, options, hourly)
    if len(reader.rows.places) < horizon:
        raise UserError(
            f"{path.name} has {len(reader.rows.places)} rows, but {horizon} steps are forecast; add the rest"
        )
    if times and reader.rows.times and reader.rows.times[:horizon] != times:
        first = next(place for place in range(horizon) if reader.rows.times[place] != times[place])
        raise UserError(
            f"{path.name}: row {first + 1} is of {reader.rows.times[first]}, but the series goes on with "
            f"{times[first]}; give the rows that follow its last"
        )
    return {name: [(head, values[:horizon]) for head, values in reader.known(name)] for name in wanted}
