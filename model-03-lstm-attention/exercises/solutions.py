"""One way to write each function of exercises.py. Others are as good: check.py looks at what they return.

B batch, T time, Tq queries, Tk keys, D their size, A additive attention's inner size, V vocabulary
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor


def causal_weights(queries: Tensor, keys: Tensor) -> Tensor:
    scores = queries @ keys.T / math.sqrt(queries.size(-1))  # (T, T)
    future = torch.ones_like(scores, dtype=torch.bool).triu(1)  # True above the diagonal
    # e to the power of minus infinity is 0: the future gets no share of the sum, so what is left adds up to 1.
    return scores.masked_fill(future, float("-inf")).softmax(-1)


def attend(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    scores = queries @ keys.transpose(1, 2) / math.sqrt(queries.size(-1))  # (B, Tq, Tk)
    weights = scores.masked_fill(~mask, float("-inf")).softmax(-1)
    # A row without any key is the softmax of nothing but -inf, and NaN.
    weights = weights.masked_fill(~mask.any(-1, keepdim=True), 0)
    return weights @ values, weights


def additive_scores(queries: Tensor, keys: Tensor, w: Tensor, u: Tensor, v: Tensor) -> Tensor:
    asked, offered = queries @ w.T, keys @ u.T  # (B, Tq, A), (B, Tk, A)
    return torch.tanh(asked[:, :, None] + offered[:, None]) @ v  # (B, Tq, Tk, A) -> (B, Tq, Tk)


def memory_mask(num_queries: int, num_past: int, window: int) -> Tensor:
    own = torch.arange(num_past, num_past + num_queries)  # where among the keys each query's own place stands
    steps_back = own[:, None] - torch.arange(num_past + num_queries)
    return (steps_back >= 0) & (steps_back < window)


def mix_in_copies(written: Tensor, gate: Tensor, weights: Tensor, words: Tensor) -> Tensor:
    # scatter_add_ puts each weight where its word's id says, and adds up what lands in one place.
    copied = torch.zeros_like(written).scatter_add_(-1, words[:, None].expand_as(weights), weights)
    return (1 - gate[..., None]) * written + gate[..., None] * copied


def peeks(model: Callable[[Tensor], Tensor], tokens: Tensor, vocab_size: int) -> bool:
    before = model(tokens)
    for place in range(1, tokens.size(1)):
        for other in range(vocab_size):  # one may be treated like the token that stands there; all of them hardly
            changed = tokens.clone()
            changed[:, place] = other
            if (model(changed) - before)[:, :place].abs().max() > 1e-6:
                return True
    return False
