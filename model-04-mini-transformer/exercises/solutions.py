"""One way to write each function of exercises.py. Others are as good: check.py looks at what they return.

B batch, T time, E embedding, D = E / heads, W window
"""

import math

import torch
from torch import Tensor


def rms_norm(x: Tensor, weight: Tensor) -> Tensor:
    mean_square = x.square().mean(-1, keepdim=True)  # (T, 1)
    return x / torch.sqrt(mean_square + 1e-6) * weight  # a mean square of 0 would give 0 / 0, which is NaN


def self_attention(x: Tensor, w_q: Tensor, w_k: Tensor, w_v: Tensor, w_o: Tensor, num_heads: int) -> Tensor:
    # Unflatten gives (B, T, heads, D). A view as (B, heads, T, D) would have the right shape and mix up the tokens.
    q, k, v = ((x @ w.T).unflatten(-1, (num_heads, -1)).transpose(1, 2) for w in (w_q, w_k, w_v))  # (B, heads, T, D)
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.size(-1))  # (B, heads, T, T)
    seen = torch.ones(x.size(1), x.size(1), dtype=torch.bool).tril()
    weights = scores.masked_fill(~seen, float("-inf")).softmax(-1)
    return (weights @ v).transpose(1, 2).flatten(2) @ w_o.T  # (B, T, E)


def rotate(x: Tensor, positions: Tensor) -> Tensor:
    size = x.size(-1)
    angles = positions[:, None] * 10000.0 ** (-torch.arange(0, size, 2) / size)  # (T, D / 2)
    first, second = x.chunk(2, dim=-1)
    cosine, sine = angles.cos(), angles.sin()
    return torch.cat([first * cosine - second * sine, first * sine + second * cosine], dim=-1)


def attend_next(
    q: Tensor, k: Tensor, v: Tensor, cache: tuple[Tensor, Tensor] | None, window: int
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    keys, values = k[None], v[None]
    if cache is not None:
        keys, values = torch.cat([cache[0], keys]), torch.cat([cache[1], values])  # (P + 1, D)
    # The cache came with window - 1 tokens at most, so all that is here may be seen: no mask.
    weights = (keys @ q / math.sqrt(len(q))).softmax(0)  # (P + 1)
    start = max(0, len(keys) - (window - 1))
    return weights @ values, (keys[start:], values[start:])


def furthest(num_layers: int, window: int) -> int:
    # Each layer reaches window - 1 tokens further back than the one below it.
    return num_layers * (window - 1) + 1
