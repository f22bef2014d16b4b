"""Which past step does a forecast hang on? Asked of the weights, of the gradient, and by taking steps away.

B batch, Tp past steps, Tf future steps, O targets
"""

import torch
from torch import Tensor

from model import Forecaster
from windows import Batch, Windows, columns_of

MEASURES = ("weight", "gradient", "occlusion")
WINDOWS = 64  # of the test part, evenly spread: their mean no longer moves


def by_lag(matrix: Tensor, batch: Batch, longest: int) -> Tensor:
    """Entry k: the mean of what step t gives to step t - k, over all samples and real future steps.

    matrix (B, Tf, Tp + Tf) -> (longest + 1), for the lags 0 to `longest`. A step before the beginning of a table is
    given nothing.
    """
    steps = torch.arange(matrix.size(1))  # 0 is the first that is forecast
    sources = steps[:, None] - torch.arange(longest + 1)  # (Tf, lags)
    columns = columns_of(sources, batch.past.size(1), batch.past_lengths)  # (B, Tf, lags)
    given = matrix.gather(2, columns.clamp(min=0)).where(columns >= 0, 0.0)
    real = steps < batch.future_lengths[:, None]  # (B, Tf)
    return given.where(real[..., None], 0.0).sum((0, 1)) / real.sum()


def middle(prediction: Tensor, num_quantiles: int) -> Tensor:
    """The forecast as one number: the mean, or the middle quantile. -> (B, Tf, O)."""
    return prediction[..., num_quantiles // 2] if num_quantiles else prediction


def weights(model: Forecaster, batch: Batch) -> Tensor | None:
    """Attention weights, the mean over heads: (B, Tf, Tp + Tf), or None where nothing attends."""
    with torch.no_grad():
        _, found = model(*batch.inputs, **batch.lengths, return_attention=True)
    return None if found is None else found.mean(1)


def gradient(model: Forecaster, batch: Batch) -> Tensor:
    """|| d forecast(t) / d inputs(s) ||, over all columns of step s: (B, Tf, Tp + Tf)."""
    past, future = batch.past.clone().requires_grad_(), batch.future.clone().requires_grad_()
    with torch.backends.cudnn.flags(enabled=False):  # whose recurrent kernels have no backward pass in eval mode
        # Samples know nothing of each other, so the gradient of their sum is the gradient of each.
        totals = middle(model(past, future, **batch.lengths), model.num_quantiles).sum((0, 2))  # (Tf)
    rows = []
    for total in totals:
        found = torch.autograd.grad(total, (past, future), retain_graph=True, materialize_grads=True)
        rows.append(torch.cat([part.norm(dim=-1) for part in found], dim=1))  # (B, Tp + Tf)
    return torch.stack(rows, dim=1)


def occlusion(model: Forecaster, batch: Batch) -> Tensor:
    """How far forecast(t) moves when step s is taken away, that is, set to the mean of training: (B, Tf, Tp + Tf)."""
    before = middle(model(*batch.inputs, **batch.lengths), model.num_quantiles)  # (B, Tf, O)
    columns = []
    for step in range(batch.past.size(1) + batch.future.size(1)):
        past, future = batch.past.clone(), batch.future.clone()
        if step < past.size(1):
            past[:, step] = 0
        else:
            future[:, step - past.size(1)] = 0
        after = middle(model(past, future, **batch.lengths), model.num_quantiles)
        columns.append((after - before).abs().mean(-1))  # (B, Tf)
    return torch.stack(columns, dim=-1)


def profiles(model: Forecaster, windows: Windows, device: torch.device | str) -> dict[str, Tensor]:
    """Measure -> its share for each lag from 0 to Tp: what a forecast owes to the step so many steps before it.

    Weights are shares already; the others are scaled to sum to 1 over the lags. No "weight" where nothing attends.
    """
    model.eval()
    batch = windows.batch(torch.linspace(0, len(windows) - 1, min(WINDOWS, len(windows))).long()).to(device)
    found = {"gradient": gradient(model, batch)}
    with torch.no_grad():
        found["occlusion"] = occlusion(model, batch)
    shares = {}
    if (attended := weights(model, batch)) is not None:
        shares["weight"] = by_lag(attended.cpu(), batch, windows.past_length)
    for name, matrix in found.items():
        profile = by_lag(matrix.cpu(), batch, windows.past_length)
        shares[name] = profile / profile.sum().clamp(min=torch.finfo(profile.dtype).tiny)
    return shares
