"""Forecast a window that the model never saw:  python forecast.py --visualize"""

import sys
from argparse import Namespace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository's root, for `shared`

from shared.run.cli import ArgumentParser, log, make_folder, number, read_flags, run_main

FOLDER = Path(__file__).resolve().parent


def parse_flags() -> Namespace:
    """The flags of forecast.py."""
    parser = ArgumentParser(description="Forecast one window of the test part, and show what came.")
    add = parser.add_argument
    add("--checkpoint", default=str(FOLDER / "checkpoints" / "best.pt"), help="the model to use [checkpoints/best.pt]")
    add("--data", help="where the series is now, if it has moved since training, or another with the same columns")
    add("--window", type=number(int, low=0), default=0, help="which window of the test part, counted from 0 [0]")
    add("--column", help="which target to show; by default the last")
    add("--past-length", type=number(int, low=1), help="show the model fewer past steps than in training")
    add(
        "--visualize", nargs="?", const=".", metavar="PATH", help="draw forecast.png and attention.png, by default here"
    )
    return parser.parse_args()


if __name__ == "__main__":
    read_flags(parse_flags)  # before PyTorch is imported, which takes a second

import torch
from torch import Tensor

from shared.errors import UserError
from shared.run.checkpoint import load_checkpoint
from shared.run.restore import rebuild_model
from shared.show.figures import save_figure

from csv_files import NOTHING
from measures import middle
from model import MODELS, Forecaster
from plots import attention_figure, forecast_figure
from series import Series, series_of
from windows import Batch, Windows, windows_of


def load_forecaster(path: Path, data: str | None = None) -> tuple[Forecaster, str, Series, dict]:
    """A checkpoint -> the model in eval mode, its row in the table, its series on the scale of training, its settings.

    `data` says where the series is, if not where it was in training.
    """
    saved = load_checkpoint(path, stage="lab-forecast")
    settings = saved["settings"] | ({"data": data} if data else {})
    choice = MODELS[settings["model"]]
    model = rebuild_model(saved, choice.model_class)
    series = series_of(settings)
    if series.values.size(1) != model.past_size:
        raise UserError(f"{series.name} has other columns than the model was trained on; name that file with --data")
    return model, choice.row, series.rescaled(**saved["scale"]), settings


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
    values = torch.cat([batch.past[..., -1], batch.future[..., 0]], dim=1)[0]  # (Tp + Tf)
    return series.columns[-1], values * series.deviations[-1] + series.means[-1]


def print_forecast(truth: Tensor, forecast: Tensor, quantiles: Tensor | None) -> None:
    """A line a step: what came (Tf), what was forecast (Tf), and the quantiles (Tf, Q) if there are any."""
    print(f"{'step':>4} {'truth':>10} {'forecast':>10}" + (f" {'quantiles':>10}" if quantiles is not None else ""))
    for step in range(len(truth)):
        more = "" if quantiles is None else "".join(f" {value:10.3f}" for value in quantiles[step])
        print(f"{step:4} {truth[step]:10.3f} {forecast[step]:10.3f}{more}")


def main() -> None:
    flags = parse_flags()
    if flags.visualize is not None:
        make_folder(Path(flags.visualize), "--visualize")
    model, row, series, settings = load_forecaster(Path(flags.checkpoint), flags.data)
    settings["past_length"] = flags.past_length or settings["past_length"]
    windows = windows_of(series, "test", settings)
    batch, column = choose_window(windows, flags.window), choose_column(series, flags.column)
    with torch.no_grad():
        prediction, weights = model(*batch.inputs, **batch.lengths, return_attention=True)
    point = series.in_units(middle(prediction, model.num_quantiles))[0, :, column]  # (Tf)
    truth = series.in_units(batch.targets)[0, :, column]  # (Tf)
    quantiles = None
    if model.num_quantiles:  # (B, Tf, O, Q): scales belong to targets, so those have to stand last
        quantiles = series.in_units(prediction.transpose(-1, -2))[0, ..., column]  # (Tf, Q)
    print_forecast(truth, point, quantiles)
    if flags.visualize is None:
        return
    table = f" ({windows.table(flags.window)})" if len(series.spans) > 1 else ""
    folder, name = Path(flags.visualize), f"{row} on {series.name}{table}"
    past = series.in_units(batch.past[..., : series.num_targets])[0, :, column]
    band = None if quantiles is None else (quantiles[:, 0], quantiles[:, -1])
    title = f"{name}, test window {flags.window}"
    figure = forecast_figure(past, truth, point, band, series.columns[column], title, known_column(series, batch))
    save_figure(figure, folder / "forecast.png")
    log(f"drawn in {folder / 'forecast.png'}")
    if weights is None:
        log(f"{row} attends to nothing, so there is no attention.png")
        return
    save_figure(attention_figure(weights[0], batch.past.size(1), name), folder / "attention.png")
    log(f"drawn in {folder / 'attention.png'}")


if __name__ == "__main__":
    run_main(main)
