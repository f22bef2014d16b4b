"""Four functions to write. `python check.py` makes a copy, answers.py, for you to write in, and says which are right.

B batch, N rows of a series, W windows, Tp past steps, Tf future steps
"""

from collections.abc import Callable

import torch
from torch import Tensor


def windows(series: Tensor, num_past: int, num_future: int) -> tuple[Tensor, Tensor]:
    """Exercise 1. Every window of a series, in order: the steps that a model is shown, and those that follow.

    series (N) -> past (W, num_past), future (W, num_future)

    A series of 0, 1, 2, 3, 4 with two steps of past and one of future: past [[0, 1], [1, 2], [2, 3]], future [[2], [3],
    [4]]
    """
    raise NotImplementedError


def masked_error(forecast: Tensor, target: Tensor, lengths: Tensor) -> Tensor:
    """Exercise 2. The mean squared error over all real steps of the batch. Padding may hold anything, NaN too.

    forecast, target (B, Tf); lengths (B): how many steps of each row are real -> a tensor of one number, without
    dimensions
    """
    raise NotImplementedError


def season_ago(past: Tensor, num_future: int, season: int) -> Tensor:
    """Exercise 3. The forecast that any network has to beat: what was a season ago. Beyond one season it repeats.

    past (B, Tp), at least a season long -> (B, num_future)

    A past of 9, 1, 2, 3, a season of 3, five steps: 1, 2, 3, 1, 2
    """
    raise NotImplementedError


def occlusion(forecast: Callable[[Tensor], Tensor], past: Tensor) -> Tensor:
    """Exercise 4. How much does a forecast owe to each step? Take one step away at a time, that is, set it to 0.

    forecast: past (Tp) -> one number; past (Tp)
    -> (Tp): how far the forecast moves, up or down, when that step is taken away; as shares, which sum to 1
    """
    raise NotImplementedError
