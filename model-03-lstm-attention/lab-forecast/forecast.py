"""Forecast a window that the model never saw:  python forecast.py --visualize"""

import sys
from argparse import Namespace
from datetime import datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository's root, for `shared`

from shared.run.cli import ArgumentParser, log, make_folder, number, path_or_name, read_flags, run_main, some_path
from shared.run.flags import LENGTH

from flags import FOLDER, add_table_flags, series_flags


def parse_flags() -> Namespace:
    """The flags of forecast.py."""
    parser = ArgumentParser(
        description="Forecast a window of the test part and show what came, or what is still to come.",
        epilog="example: python forecast.py --visualize",
    )
    add = parser.add_argument
    default = FOLDER / "checkpoints" / "best.pt"
    add("--checkpoint", type=some_path, default=default, help="the model to use [checkpoints/best.pt]")
    why = "where the series is now, if it has moved since training, or another with the same columns"
    add("--data", type=path_or_name, help=why)
    which = parser.add_mutually_exclusive_group()
    why = "which window of the test part, counted from 0 [0]"
    which.add_argument("--window", type=number(int, low=0), default=0, help=why)
    why = "forecast what comes after the last row; FILE: the coming rows of columns known of the future, but for dates"
    which.add_argument("--future", type=path_or_name, nargs="?", const="", metavar="FILE", help=why)
    add("--csv", type=some_path, metavar="FILE", help="write the forecast to this file too")
    add("--column", help="which target to show; by default the last")
    add("--past-length", type=LENGTH, help="show the model fewer past steps than in training")
    why = "draw forecast.png and attention.png, by default here"
    add("--visualize", type=some_path, nargs="?", const=Path("."), metavar="PATH", help=why)
    add_table_flags(parser)
    return parser.parse_args()


if __name__ == "__main__":
    read_flags(parse_flags)  # before PyTorch is imported, which takes a second

import torch
from matplotlib.figure import Figure
from torch import Tensor

from shared.errors import UserError
from shared.run.checkpoint import checkpoint_file, load_checkpoint
from shared.run.records import write_text
from shared.run.restore import rebuild_model
from shared.show.figures import save_figure
from shared.show.tables import for_terminal
from shared.text.corpus import user_path

from beyond import window_beyond
from content import check_content
from measures import middle
from model import MODELS, Forecaster
from plots import attention_figure, forecast_figure
from series import Series, series_of
from shown import HEADER, as_csv, as_text, check_writable
from tables import NOTHING
from windows import Batch, Windows, windows_of


def load_forecaster(path: Path, given: dict | None = None) -> tuple[Forecaster, str, Series, dict]:
    """A checkpoint -> the model in eval mode, its row in the table, its series on the scale of training, its settings.

    `given` are settings of the series in which it is not as in training: where it is, and how it is written. Where it
    was in training, stays among the settings as `trained_on`.
    """
    saved, path = load_checkpoint(path, "lab-forecast", check=check_content), checkpoint_file(path)
    settings = saved["settings"] | (given or {}) | {"trained_on": saved["settings"]["data"]}
    choice = MODELS[settings["model"]]
    model = rebuild_model(saved, choice.model_class, path)
    series = series_of(settings)
    if series.values.size(1) != model.past_size:
        raise UserError(f"{series.name} has other columns than the model was trained on; name that file with --data")
    return model, choice.row, series.rescaled(**saved["scale"]), settings


def tables_of(settings: dict, future: str | None) -> list[Path]:
    """The files that a forecast comes from: those of its series, those of the training and that of the coming rows."""
    folders = {user_path(settings["data"]), user_path(settings["trained_on"])}
    files = [file for folder in folders for file in (folder.glob("*.csv") if folder.is_dir() else [folder])]
    return files + ([Path(future)] if future else [])


def choose_column(series: Series, name: str | None) -> int:
    """The number of the target with this name, by default the last."""
    targets = series.columns[: series.num_targets]
    if name is not None and name not in targets:
        raise UserError(f"the model does not forecast {name!r}; --column can be: {', '.join(targets)}")
    return targets.index(name) if name else len(targets) - 1


def choose_window(windows: Windows, which: int) -> Batch:
    """That window, as a batch of one."""
    if which >= len(windows):
        raise UserError(f"there are {len(windows):,} windows, counted from 0, so no --window {which}; give a lower one")
    return windows.batch(torch.tensor([which]))


def known_column(series: Series, batch: Batch) -> tuple[str, Tensor] | None:
    """Name and values of the one column that is known of the future, for the picture; None where there are several."""
    if series.num_known > 1 or series.columns[-1] == NOTHING:
        return None
    values = torch.cat([batch.past[..., -1], batch.future[..., 0]], dim=1)[0].double()  # (Tp + Tf)
    return series.columns[-1], values * series.deviations[-1] + series.means[-1]


def forecast_of(model: Forecaster, series: Series, prediction: Tensor, column: int) -> tuple[Tensor, Tensor | None]:
    """One target's forecast (Tf) and its quantiles (Tf, Q), or None, in the table's units; of a batch of one."""
    point = series.in_units(middle(prediction, model.num_quantiles))[0, :, column]  # (Tf)
    if not model.num_quantiles:
        return point, None
    # (B, Tf, O, Q): scales belong to targets, so those have to stand last.
    return point, series.in_units(prediction.transpose(-1, -2))[0, ..., column]  # (Tf, Q)


def shown_columns(
    numbers: dict[str, Tensor | None], spread: float, times: list[datetime] | None
) -> dict[str, list[str]]:
    """What is shown, head -> cells: the step, its time if that is known, and those numbers (Tf) that there are."""
    there = {head: values for head, values in numbers.items() if values is not None}
    # All columns in one go, so that they have the same digits.
    cells = as_text(torch.cat(list(there.values())).tolist(), spread)
    length = len(cells) // len(there)
    columns = {"step": [str(step) for step in range(length)]}
    if times:
        columns["time"] = [str(time) for time in times]
    return columns | {head: cells[place * length :][:length] for place, head in enumerate(there)}


def draw(folder: Path, name: str, figure: Figure, weights: Tensor | None, num_past: int) -> None:
    """Save forecast.png and, if there are weights (B, heads, Tf, Tp + Tf), attention.png."""
    save_figure(figure, folder / "forecast.png")
    log(f"drawn in {folder / 'forecast.png'}")
    if weights is None:
        log(f"{name} attends to nothing, so there is no attention.png")
        return
    save_figure(attention_figure(weights[0], num_past, name), folder / "attention.png")
    log(f"drawn in {folder / 'attention.png'}")


def main() -> None:
    flags = parse_flags()
    if flags.visualize is not None:
        make_folder(flags.visualize, "--visualize")
    model, row, series, settings = load_forecaster(flags.checkpoint, series_flags(flags))
    if flags.csv:
        check_writable("--csv", flags.csv, HEADER, tables_of(settings, flags.future))
    settings["past_length"] = flags.past_length or settings["past_length"]
    column, times, truth = choose_column(series, flags.column), None, None
    if flags.future is not None:
        batch, times = window_beyond(series, settings, Path(flags.future) if flags.future else None)
        title = "after the last row"
    else:
        windows = windows_of(series, "test", settings)
        batch, title = choose_window(windows, flags.window), f"test window {flags.window}"
        truth = series.in_units(batch.targets)[0, :, column]  # (Tf)
        title = f"{windows.table(flags.window)}, {title}" if len(series.spans) > 1 else title
    with torch.no_grad():
        prediction, weights = model(*batch.inputs, **batch.lengths, return_attention=True)
    point, quantiles = forecast_of(model, series, prediction, column)
    for line in series.understood:
        log(f"table: {line}")
    numbers = {"truth": truth, "forecast": point}
    if quantiles is not None:
        numbers |= dict(zip(map(str, settings["quantiles"]), quantiles.T))
    shown = shown_columns(numbers, series.deviations[column].item(), times)
    print(for_terminal([list(shown), *map(list, zip(*shown.values()))]))
    if flags.csv:
        write_text(flags.csv, as_csv(shown))
    if flags.visualize is not None:
        past = series.in_units(batch.past[..., : series.num_targets])[0, :, column]
        band = None if quantiles is None else (quantiles[:, 0], quantiles[:, -1])
        name = f"{row} on {series.name}"
        lines = (past, truth, point, band, series.columns[column])
        figure = forecast_figure(*lines, f"{name}, {title}", known_column(series, batch))
        draw(flags.visualize, name, figure, weights, batch.past.size(1))


if __name__ == "__main__":
    run_main(main)
