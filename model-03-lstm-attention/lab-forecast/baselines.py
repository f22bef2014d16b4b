"""What forecasts without a network reach:  python baselines.py --data etth1"""

import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository's root, for `shared`

from shared.run.cli import ArgumentParser, log, read_flags, run_main

from flags import FOLDER, add_series_flags, defaults_for


def parse_flags() -> Namespace:
    """Which series, and whether to keep the errors."""
    parser = ArgumentParser(
        description="The errors of forecasts without a network, on the test part.",
        epilog="example: python baselines.py --data etth1",
    )
    add_series_flags(parser)
    parser.add_argument("--keep", action="store_true", help="write the errors into results/")
    return parser.parse_args()


if __name__ == "__main__":
    read_flags(parse_flags)  # before PyTorch is imported, which takes a second

import torch
from torch import Tensor

from shared.files import seconds_told
from shared.results.kept import shared_command
from shared.results.labs import keep_baseline
from shared.run.experiment import command_line
from shared.show.tables import wrapped

from losses import absolute_error, squared_error
from parts import season_ago
from series import DIP, PRESSURE, Series
from train import chosen_series, table_name
from windows import Batch, Windows, columns_of, windows_of

Forecast = Callable[[Batch], Tensor]  # -> (B, Tf, O)

DAY, DAYS = 24, 3  # hours; and how many days the mean is of
RIDGES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # penalties tried, per window


class LinearForecast:
    """Ridge regression for each target: its own past less the last value, and the known columns of past and future.

    One set of weights a target and future step; the penalty is the one that does best on the validation part.
    """

    def __init__(self, training: Windows, validation: Windows):
        self.series = training.series
        self.weights = [self.fit(target, training, validation) for target in range(self.series.num_targets)]

    def inputs(self, past: Tensor, future: Tensor, target: int) -> Tensor:
        """-> (B, features), with a 1 for the constant."""
        own = past[..., target]  # (B, Tp)
        known = past[..., past.size(-1) - future.size(-1) :]  # (B, Tp, Ff)
        columns = [own[:, :-1] - own[:, -1:], known.flatten(1), future.flatten(1), torch.ones(len(past), 1)]
        return torch.cat(columns, dim=1).double()

    def equations(self, windows: Windows, target: int) -> tuple[Tensor, Tensor, float]:
        """The least-squares sums X'X, X'Y and y'y over all windows; Y is the change since the last value."""
        gram = product = square = 0.0
        for batch in windows.batches(1024):
            x = self.inputs(*batch.inputs, target)
            y = (batch.targets[..., target] - batch.past[:, -1:, target]).double()  # (B, Tf)
            gram, product, square = gram + x.T @ x, product + x.T @ y, square + (y**2).sum()
        return gram, product, square

    def fit(self, target: int, training: Windows, validation: Windows) -> Tensor:
        """-> weights (features, Tf)."""
        gram, product, _ = self.equations(training, target)
        held_gram, held_product, held_square = self.equations(validation, target)
        candidates = []
        for ridge in RIDGES:
            penalty = ridge * len(training) * torch.eye(len(gram), dtype=gram.dtype)
            weights = torch.linalg.solve(gram + penalty, product)
            # Sum of (y - xw)^2, from the sums alone.
            error = held_square - 2 * (weights * held_product).sum() + (weights * (held_gram @ weights)).sum()
            candidates.append((error.item(), ridge, weights))
        return min(candidates, key=lambda candidate: candidate[0])[2]

    def __call__(self, batch: Batch) -> Tensor:
        """The forecast of a batch's targets (B, Tf, O)."""
        columns = [
            (self.inputs(*batch.inputs, target) @ weights).float() + batch.past[:, -1:, target]
            for target, weights in enumerate(self.weights)
        ]
        return torch.stack(columns, dim=-1)


def season(steps: int, num_targets: int, count: int = 1) -> Forecast:
    """A forecast that repeats what was `steps` steps ago, or the mean of what was 1 .. `count` times as long ago."""
    return lambda batch: season_ago(
        batch.past[..., :num_targets], batch.future.size(1), steps, count, batch.past_lengths
    )


def rule(series: Series) -> Forecast:
    """The forecast of someone who knows how flow-pressure was made: what is left is noise."""

    def forecast(batch: Batch) -> Tensor:
        flow = torch.cat([batch.past[..., 1], batch.future[..., 0]], dim=1)  # (B, Tp + Tf)
        steps = torch.arange(batch.future.size(1)) - series.lag  # where the spikes stand that are felt now
        columns = columns_of(steps, batch.past.size(1), batch.past_lengths)  # (B, Tf)
        spikes = flow.gather(1, columns.clamp(min=0)) * series.deviations[1] + series.means[1]
        spikes = spikes.where(columns >= 0, 0.0)  # before a table begins, nothing flowed
        return ((PRESSURE - DIP * spikes - series.means[0]) / series.deviations[0])[..., None]

    return forecast


def errors(forecast: Forecast, windows: Windows) -> dict[str, float]:
    """Mean squared and absolute error over the real steps of every window."""
    squares = absolutes = count = 0
    for batch in windows.batches(1024):
        prediction = forecast(batch)  # (B, Tf, O)
        squared, terms = squared_error(prediction, batch.targets, batch.future_lengths)
        absolute, _ = absolute_error(prediction, batch.targets, batch.future_lengths)
        squares, absolutes, count = squares + squared.item(), absolutes + absolute.item(), count + terms
    return {"MSE": squares / count, "MAE": absolutes / count}


def baselines(series: Series, settings: dict) -> dict[str, Forecast]:
    """Row -> forecast, for this series. A linear one needs windows of one length, so it is not there with padding."""
    rows = {"last value": season(1, series.num_targets)}
    if series.lag is None:
        if settings["past_length"] >= DAY:
            rows[f"{DAY} steps ago"] = season(DAY, series.num_targets)
        if settings["past_length"] >= DAYS * DAY:
            rows[f"mean of {DAYS} seasons of {DAY}"] = season(DAY, series.num_targets, DAYS)
    else:
        rows["mean"] = lambda batch: torch.zeros(*batch.future.shape[:2], 1)
        rows["the rule itself"] = rule(series)
    if not settings["pad"]:
        training, validation = (windows_of(series, part, settings) for part in ("training", "validation"))
        rows["linear"] = LinearForecast(training, validation)
    return rows


def main() -> None:
    given = {name: value for name, value in vars(parse_flags()).items() if value is not None}
    keep = given.pop("keep")
    settings = defaults_for(given.get("data")) | given
    series = chosen_series(settings)
    windows = windows_of(series, "test", settings)
    for line in series.understood:
        log(f"table: {line}")
    with seconds_told("fitting the linear forecast"):
        forecasts = baselines(series, settings)
    for row, forecast in forecasts.items():
        with seconds_told(row):
            scores = errors(forecast, windows)
        if series.noise_variance is not None:
            scores = {"MSE / noise": scores["MSE"] / series.noise_variance}
        print(wrapped(f"{row:24} " + ", ".join(f"{name} {score:.3f}" for name, score in scores.items()), indent=25))
        if keep:
            command = shared_command(command_line(), series.name)
            keep_baseline(FOLDER, command, table_name(series, settings), row, scores)


if __name__ == "__main__":
    run_main(main)
