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
from torch import Tensor

from shared.run.cli import run_main
from shared.run.exercises import expect, expect_close, main


def cut(series: Tensor, whole: int, begin: int, size: int, every: int = 1) -> Tensor:
    """Of every so many windows of `whole` steps, `size` steps from its step `begin` on: (windows, size)."""
    starts = range(0, len(series) - whole + 1, every)
    return torch.stack([series[start + begin : start + begin + size] for start in starts])


def check_windows(windows: Callable) -> None:
    for length, num_past, num_future in [(5, 2, 1), (10, 3, 4), (6, 2, 4)]:
        series, whole = torch.arange(float(length)) ** 2, num_past + num_future
        told = f"a series of {length} steps, {num_past} of past, {num_future} of future"
        past, future = windows(series, num_past, num_future)
        wanted = cut(series, whole, 0, num_past)
        mistakes = {
            "Is the last window missing? The number of windows is N - num_past - num_future + 1.": wanted[:-1],
            "Does each window begin where the one before ended? It should begin one step later.": (
                cut(series, whole, 0, num_past, every=whole)
            ),
        }
        hint = "Window w begins at step w of the series."
        expect_close(past, wanted, f"{told}, past", hint=hint, mistakes=mistakes)
        leak = "Does the future begin with the past's last step? That gives the answer away."
        mistakes = {leak: cut(series, whole, num_past - 1, num_future)}
        hint = "The future begins with the first step after the past."
        expect_close(future, cut(series, whole, num_past, num_future), f"{told}, future", hint=hint, mistakes=mistakes)


def check_masked_error(masked_error: Callable) -> None:
    torch.manual_seed(0)
    forecast, target = torch.randn(2, 3, 4)
    for told, lengths, padding in [
        ("no padding", [4, 4, 4], 0.0),
        ("4, 1 and 2 real steps, zeros in the padding", [4, 1, 2], 0.0),
        ("4, 1 and 2 real steps, NaN in the padding", [4, 1, 2], float("nan")),
    ]:
        counts = torch.tensor(lengths)
        real = torch.arange(4) < counts[:, None]
        padded = target.where(real, padding)
        squares = (forecast - padded) ** 2  # the forecast goes on into the padding, as a model's does
        sums = squares.where(real, 0.0).sum(1)
        mistakes = {
            "Is the padding multiplied by 0? 0 times NaN is NaN. Pick the real steps out.": (
                (squares * real).sum() / counts.sum()
            ),
            "Is padding counted? Only real steps are.": squares.mean(),
            "Is the sum divided by all places, padding too?": sums.sum() / real.numel(),
            "Is it the mean of each row's mean? Then a step of a short row weighs more.": (sums / counts).mean(),
            "Is it the sum? Divide it by the number of real steps.": sums.sum(),
        }
        hint = "The squares of all real steps, summed, divided once by their number."
        found = masked_error(forecast, padded, counts)
        expect_close(found, sums.sum() / counts.sum(), told, hint=hint, mistakes=mistakes)


def check_season_ago(season_ago: Callable) -> None:
    past = torch.tensor([[9.0, 1, 2, 3], [5, 6, 7, 8]])
    for num_future, season in [(5, 3), (2, 4), (3, 1), (9, 4)]:
        steps = torch.arange(num_future)
        mistakes = {
            "Is it the last value? That is a season of 1.": past[:, -1:].expand(-1, num_future),
            "Is it the first season of the past? The last one is asked for.": past[:, steps % season],
            "Does the season run backwards?": past[:, 3 - steps % season],
            "Does it end after one season? It should repeat.": past[:, 4 - season :][:, :num_future],
        }
        hint = "Step 0 of the future is what was `season` steps before it; after a season it begins again."
        told = f"a season of {season}, {num_future} steps"
        wanted = past[:, 4 - season + steps % season]
        expect_close(season_ago(past, num_future, season), wanted, told, hint=hint, mistakes=mistakes)


def check_occlusion(occlusion: Callable) -> None:
    past = torch.tensor([2.0, 1.0, 4.0, 1.0, 3.0])
    weights = torch.tensor([0.0, 3.0, -1.0, 0.0, 1.0])
    models = {
        "a linear forecast": lambda x: 5 - x @ weights,
        "a forecast that looks at the second step alone": lambda x: x[1] ** 2,
        "a forecast of the largest value": lambda x: x.max(),
    }
    for told, model in models.items():
        without = past.repeat(5, 1).fill_diagonal_(0)
        moved = torch.stack([model(x) - model(past) for x in without])
        one_by_one = torch.stack([model(past * (torch.arange(5) > step)) for step in range(5)]) - model(past)
        mistakes = {
            "Is it the forecast without the step? How far it moves is asked for.": torch.stack([*map(model, without)]),
            "Can a share be below 0? Up and down count alike.": moved / moved.sum(),
            "Do the shares sum to 1?": moved.abs(),
            "Is a step put back before the next is taken away? It should be.": one_by_one.abs()
            / one_by_one.abs().sum(),
        }
        hint = "For each step: a copy of the past with a 0 there, its forecast less the whole past's, without the sign."
        given = past.clone()
        found = occlusion(model, given)
        expect(given.equal(past), f"{told}: the past that was given has been changed", "Change a copy: past.clone().")
        expect_close(found, moved.abs() / moved.abs().sum(), told, hint=hint, mistakes=mistakes)


if __name__ == "__main__":
    run_main(lambda: main(__file__, check_windows, check_masked_error, check_season_ago, check_occlusion))
