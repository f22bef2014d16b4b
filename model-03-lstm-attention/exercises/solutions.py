"""One way to write each function of exercises.py. Others are as good: check.py looks at what they return.

Where an exercise or its chapter asks a question, the answer stands here, with the lines (>>>) that show it. Type them
into Python, started in this folder, after `from solutions import *`.

B batch, T time, Tq queries, Tk keys, D their size, A additive attention's inner size, V vocabulary
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor


def causal_weights(queries: Tensor, keys: Tensor) -> Tensor:
    """Where all keys are alike, each token gives the same weight to all that it sees.

    >>> [[round(weight, 2) for weight in row] for row in causal_weights(torch.ones(3, 4), torch.ones(3, 4)).tolist()]
    [[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.33, 0.33, 0.33]]
    """
    scores = queries @ keys.T / math.sqrt(queries.size(-1))  # (T, T)
    future = torch.ones_like(scores, dtype=torch.bool).triu(1)  # True above the diagonal
    # e to the power of minus infinity is 0: the future gets no share of the sum, so what is left adds up to 1.
    return scores.masked_fill(future, float("-inf")).softmax(-1)


def attend(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Three queries and two keys, all alike: both are seen, or the first alone, or none.

    >>> ones, values = torch.ones(1, 3, 2), torch.tensor([[[4.0, 0.0], [0.0, 8.0]]])
    >>> mask = torch.tensor([[[True, True], [True, False], [False, False]]])
    >>> context, weights = attend(ones, ones[:, :2], values, mask)
    >>> weights.tolist()
    [[[0.5, 0.5], [1.0, 0.0], [0.0, 0.0]]]
    >>> context.tolist()
    [[[2.0, 4.0], [4.0, 0.0], [0.0, 0.0]]]
    """
    scores = queries @ keys.transpose(1, 2) / math.sqrt(queries.size(-1))  # (B, Tq, Tk)
    weights = scores.masked_fill(~mask, float("-inf")).softmax(-1)
    # A row without any key is the softmax of nothing but -inf, and NaN.
    weights = weights.masked_fill(~mask.any(-1, keepdim=True), 0)
    return weights @ values, weights


def additive_scores(queries: Tensor, keys: Tensor, w: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """With all sizes 1, W = 2, U = 3 and v = 10: a query of .2 and a key of .1 get 10 tanh(.4 + .3) = 6.04.

    >>> numbers = [torch.tensor(values) for values in ([[[0.2]]], [[[0.1]]], [[2.0]], [[3.0]], [10.0])]
    >>> round(additive_scores(*numbers).item(), 2)
    6.04
    """
    # Each query is multiplied by W once and each key by U once. What all pairs need is a sum, a tanh and v, and the
    # room for A numbers a pair, where the dot product needs one.
    asked, offered = queries @ w.T, keys @ u.T  # (B, Tq, A), (B, Tk, A)
    return torch.tanh(asked[:, :, None] + offered[:, None]) @ v  # (B, Tq, Tk, A) -> (B, Tq, Tk)


def memory_mask(num_queries: int, num_past: int, window: int) -> Tensor:
    """
    >>> memory_mask(num_queries=3, num_past=1, window=2).int().tolist()
    [[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]]
    """
    own = torch.arange(num_past, num_past + num_queries)  # where among the keys each query's own place stands
    steps_back = own[:, None] - torch.arange(num_past + num_queries)
    return (steps_back >= 0) & (steps_back < window)


def mix_in_copies(written: Tensor, gate: Tensor, weights: Tensor, words: Tensor) -> Tensor:
    """Word 2 stands in the first place and in the last, so .2 + .5 of what is copied goes to it.

    >>> written, weights = torch.tensor([[[0.5, 0.3, 0.2]]]), torch.tensor([[[0.2, 0.3, 0.5]]])
    >>> mixed = mix_in_copies(written, torch.tensor([[0.5]]), weights, torch.tensor([[2, 0, 2]]))
    >>> [round(p, 2) for p in mixed.flatten().tolist()]
    [0.4, 0.15, 0.45]
    """
    # scatter_add_ puts each weight where its word's id says, and adds up what lands in one place.
    copied = torch.zeros_like(written).scatter_add_(-1, words[:, None].expand_as(weights), weights)
    return (1 - gate[..., None]) * written + gate[..., None] * copied


def peeks(model: Callable[[Tensor], Tensor], tokens: Tensor, vocab_size: int) -> bool:
    """Does the model of this stage peek? No, and neither do those of the others. One that reads backwards does.

    >>> import sys
    >>> sys.path.append("../..")
    >>> from shared.stages import STAGES, model_class
    >>> tokens = torch.randint(10, (1, 12))
    >>> models = [model_class(stage)(10).eval() for stage in STAGES]
    >>> [peeks(lambda tokens: model(tokens)[0], tokens, vocab_size=10) for model in models]
    [False, False, False, False]
    >>> peeks(lambda tokens: models[2](tokens.flip(1))[0].flip(1), tokens, vocab_size=10)
    True
    """
    before = model(tokens)
    for place in range(1, tokens.size(1)):
        for other in range(vocab_size):  # one may be treated like the token that stands there; all of them hardly
            changed = tokens.clone()
            changed[:, place] = other
            if (model(changed) - before)[:, :place].abs().max() > 1e-6:
                return True
    return False
