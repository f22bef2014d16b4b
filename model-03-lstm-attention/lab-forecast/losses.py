"""How far off a forecast is, summed over real steps: squared, absolute, or by quantiles.

B batch, Tf future steps, O targets, Q quantiles
"""

import torch
from torch import Tensor

from parts import Lengths, real_steps


def real_only(prediction: Tensor, target: Tensor, lengths: Lengths) -> tuple[Tensor, Tensor, int]:
    """Both with zeros in the padding, where nothing is then wrong, and how many numbers are real.

    `where` and not a product: what stands in the padding may be NaN, and 0 * NaN is NaN, in the gradient too.
    """
    real = real_steps(target, lengths)  # (B, Tf, 1)
    wide = real if prediction.dim() == target.dim() else real[..., None]
    return prediction.where(wide, 0.0), target.where(real, 0.0), int(real.sum()) * target.size(-1)


def squared_error(prediction: Tensor, target: Tensor, lengths: Lengths = None) -> tuple[Tensor, int]:
    """(B, Tf, O) twice -> summed squares and their number."""
    prediction, target, count = real_only(prediction, target, lengths)
    return ((prediction - target) ** 2).sum(), count


def absolute_error(prediction: Tensor, target: Tensor, lengths: Lengths = None) -> tuple[Tensor, int]:
    """(B, Tf, O) twice -> summed absolute values and their number."""
    prediction, target, count = real_only(prediction, target, lengths)
    return (prediction - target).abs().sum(), count


def quantile_error(
    prediction: Tensor, target: Tensor, quantiles: tuple[float, ...], lengths: Lengths = None
) -> tuple[Tensor, int]:
    """(B, Tf, O, Q), (B, Tf, O) -> summed pinball losses, the mean over quantiles for each number, and their number.

    Too low costs q, too high 1 - q: least where a share q of all outcomes lies below (Koenker and Bassett 1978).
    """
    prediction, target, count = real_only(prediction, target, lengths)
    shares = torch.tensor(quantiles, dtype=prediction.dtype, device=prediction.device)  # (Q)
    missing = target[..., None] - prediction  # (B, Tf, O, Q)
    return torch.maximum(shares * missing, (shares - 1) * missing).mean(-1).sum(), count
