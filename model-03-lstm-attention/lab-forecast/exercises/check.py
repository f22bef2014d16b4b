"""Say which of your functions in answers.py are right: `python check.py`."""

import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from shared.run.cli import read_flags
from shared.run.flags import exercise_flags

if __name__ == "__main__":
    read_flags(exercise_flags)  # before PyTorch is imported, which takes a second

import torch

from shared.run.cli import run_main
from shared.run.exercises import expect, expect_close, main


def check_windows(windows: Callable) -> None:
    for length, num_past, num_future in [(5, 2, 1), (10, 3, 4), (6, 2, 4)]:
        series = torch.arange(float(length)) ** 2
        starts = range(length - num_past - num_future + 1)
        wanted = {
            "past": torch.stack([series[start : start + num_past] for start in starts]),
            "future": torch.stack([series[start + num_past : start + num_past + num_future] for start in starts]),
        }
        told = f"a series of {length} steps, {num_past} of past, {num_future} of future"
        for (what, rows), found in zip(wanted.items(), windows(series, num_past, num_future), strict=True):
            expect_close(found, rows, f"{told}, {what}")


def check_masked_error(masked_error: Callable) -> None:
    torch.manual_seed(0)
    forecast, target = torch.randn(2, 3, 4)
    for told, lengths, padding in [
        ("no padding", [4, 4, 4], 0.0),
        ("4, 1 and 2 real steps, zeros in the padding", [4, 1, 2], 0.0),
        ("4, 1 and 2 real steps, NaN in the padding", [4, 1, 2], float("nan")),
    ]:
        places = [(row, step) for row, length in enumerate(lengths) for step in range(length)]
        wanted = torch.stack([(forecast[place] - target[place]) ** 2 for place in places]).mean()
        hidden = torch.arange(4) >= torch.tensor(lengths)[:, None]
        # The forecast goes on into the padding, as a model's does.
        found = masked_error(forecast, target.masked_fill(hidden, padding), torch.tensor(lengths))
        expect_close(found, wanted, told)


def check_season_ago(season_ago: Callable) -> None:
    past = torch.tensor([[9.0, 1, 2, 3], [5, 6, 7, 8]])
    for num_future, season in [(5, 3), (2, 4), (3, 1), (9, 4)]:
        wanted = torch.stack([past[:, 4 - season + step % season] for step in range(num_future)], dim=1)
        expect_close(season_ago(past, num_future, season), wanted, f"a season of {season}, {num_future} steps")


def check_occlusion(occlusion: Callable) -> None:
    past = torch.tensor([2.0, 1.0, 4.0, 1.0, 3.0])
    weights = torch.tensor([0.0, 3.0, -1.0, 0.0, 1.0])
    models = {
        "a linear forecast": lambda x: 5 - x @ weights,
        "a forecast that looks at the second step alone": lambda x: x[1] ** 2,
        "a forecast of the largest value": lambda x: x.max(),
    }
    for told, model in models.items():
        changed = [past.where(torch.arange(5) != step, torch.zeros(5)) for step in range(5)]
        moved = torch.stack([(model(x) - model(past)).abs() for x in changed])
        given = past.clone()
        expect_close(occlusion(model, given), moved / moved.sum(), told)
        expect(given.equal(past), f"{told}: the past that was given has been changed")


if __name__ == "__main__":
    run_main(lambda: main(__file__, check_windows, check_masked_error, check_season_ago, check_occlusion))
