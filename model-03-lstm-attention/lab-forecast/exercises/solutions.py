"""One way to write each function of exercises.py. Others are as good: check.py looks at what they return.

B batch, N rows of a series, W windows, Tp past steps, Tf future steps
"""

from collections.abc import Callable

import torch
from torch import Tensor


def windows(series: Tensor, num_past: int, num_future: int) -> tuple[Tensor, Tensor]:
    whole = series.unfold(0, num_past + num_future, 1)  # (W, num_past + num_future), one step further each time
    return whole[:, :num_past], whole[:, num_past:]


def masked_error(forecast: Tensor, target: Tensor, lengths: Tensor) -> Tensor:
    real = torch.arange(target.size(1)) < lengths[:, None]  # (B, Tf)
    return ((forecast - target) ** 2)[real].mean()  # picked out, not multiplied by 0: 0 times NaN is NaN


def season_ago(past: Tensor, num_future: int, season: int) -> Tensor:
    # The last season's steps, again and again: 0, 1 .. season - 1, 0, 1 ..
    return past[:, -season:][:, torch.arange(num_future) % season]


def occlusion(forecast: Callable[[Tensor], Tensor], past: Tensor) -> Tensor:
    before, moved = forecast(past), torch.zeros(len(past))
    for step in range(len(past)):
        without = past.clone()  # or the next steps would be missed too
        without[step] = 0
        moved[step] = (forecast(without) - before).abs()
    return moved / moved.sum()
