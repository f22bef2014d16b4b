"""Attention: a query looks at keys, and takes home a mixture of their values.

B batch, Tq queries, Tk keys, D their size, A additive attention's inner size, H model size

Three ways of scoring a key, one signature:

    context, weights = attention(queries, keys, values, mask)

Masks are boolean and True means "may attend", as in `F.scaled_dot_product_attention` (`nn.MultiheadAttention` means the
reverse). A query that may attend to nothing gets zeros: no weight anywhere, and a context of zeros.
"""

import math

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

Mask = Tensor | None
Attended = tuple[Tensor, Tensor]  # context and weights


def causal_mask(
    num_queries: int, num_keys: int, window: int | None = None, device: torch.device | None = None
) -> Tensor:
    """Which keys each query may see: the last query up to the last key, the query before it up to the one before that.

    -> (Tq, Tk) bool. There may be more keys than queries: the earlier ones come from a cache, and the mask is shifted
    by their number. With fewer, the first queries see nothing. `window` bounds how many keys a query sees.

    >>> causal_mask(2, 4, window=2).int().tolist()
    [[0, 1, 1, 0], [0, 0, 1, 1]]
    """
    query_positions = torch.arange(num_keys - num_queries, num_keys, device=device)
    steps_back = query_positions[:, None] - torch.arange(num_keys, device=device)  # (Tq, Tk)
    mask = steps_back >= 0
    return mask if window is None else mask & (steps_back < window)


def padding_mask(lengths: Tensor, num_keys: int) -> Tensor:
    """True for real keys, False for padding: lengths (B) -> (B, 1, Tk), for a batch of (B, Tq, Tk) scores.

    >>> padding_mask(torch.tensor([1, 3]), 3).int().tolist()
    [[[1, 0, 0]], [[1, 1, 1]]]
    """
    return torch.arange(num_keys, device=lengths.device) < lengths[:, None, None]


def masked_softmax(scores: Tensor, mask: Mask) -> Tensor:
    """Softmax over the last dimension, with weight exactly 0 where the mask is False, for whole rows if need be."""
    if mask is None:
        return scores.softmax(-1)
    # In theory, a hidden key scores minus infinity. But a row of nothing else would become 0 / 0, a NaN, and a NaN
    # outlives its weight of 0. The lowest finite number gives such a row equal weights, which are then taken away.
    lowest = torch.finfo(scores.dtype).min
    penalties = torch.zeros_like(mask, dtype=scores.dtype).masked_fill(~mask, lowest)
    # Added to the scores, not filled into them: the backward pass of a sum is free.
    return (scores + penalties).softmax(-1) * mask.any(-1, keepdim=True)


def attend(
    queries: Tensor, keys: Tensor, values: Tensor, mask: Mask = None, dropout: nn.Module | None = None
) -> Attended:
    """Scaled dot-product attention, softmax(q k' / sqrt(D)) v (Vaswani et al. 2017, equation 1).

    queries (..., Tq, D), keys (..., Tk, D), values (..., Tk, Dv), mask broadcastable to (..., Tq, Tk)
    -> context (..., Tq, Dv), weights (..., Tq, Tk) before dropout.
    """
    # The dot product of two vectors of D independent numbers, each of variance 1, has variance D. Divided by the root
    # of D, scores start at about 1 in size, where softmax still has a gradient.
    scores = queries / math.sqrt(queries.size(-1)) @ keys.transpose(-2, -1)  # (..., Tq, Tk)
    weights = masked_softmax(scores, mask)
    kept = weights if dropout is None else dropout(weights)
    return kept @ values, weights


class DotAttention(nn.Module):
    """`attend` as a module: no parameters, the states themselves are queries, keys and values."""

    def forward(self, queries: Tensor, keys: Tensor, values: Tensor, mask: Mask = None) -> Attended:
        """(B, Tq, D), (B, Tk, D), (B, Tk, Dv) -> context (B, Tq, Dv), weights (B, 1 head, Tq, Tk)."""
        context, weights = attend(queries, keys, values, mask)
        return context, weights[:, None]


class AdditiveAttention(nn.Module):
    """A small network scores each pair: w . tanh(W q + U k) (Bahdanau et al. 2015, appendix A.1.2)."""

    def __init__(self, query_size: int, key_size: int, attention_size: int):
        super().__init__()
        self.query = nn.Linear(query_size, attention_size)
        self.key = nn.Linear(key_size, attention_size, bias=False)
        self.score = nn.Linear(attention_size, 1, bias=False)

    def pair_scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        """(B, Tq, A), (B, Tk, A) -> (B, Tq, Tk)."""
        pairs = torch.tanh(queries[:, :, None] + keys[:, None])  # (B, Tq, Tk, A)
        return self.score(pairs).squeeze(-1)

    def forward(self, queries: Tensor, keys: Tensor, values: Tensor, mask: Mask = None) -> Attended:
        """(B, Tq, query_size), (B, Tk, key_size), (B, Tk, Dv) -> context (B, Tq, Dv), weights (B, 1 head, Tq, Tk)."""
        queries, keys = self.query(queries), self.key(keys)  # (B, Tq, A), (B, Tk, A)
        # Gradient checkpointing: the tanh of all pairs, by far the largest tensor of any attention here, is not kept
        # for the backward pass, but computed a second time there.
        scores = checkpoint(self.pair_scores, queries, keys, use_reentrant=False)
        weights = masked_softmax(scores, mask)
        return weights.to(values.dtype) @ values, weights[:, None]


class MultiHeadAttention(nn.Module):
    """Several attentions side by side, each on its own projection of queries, keys and values (Vaswani et al. 2017).

    Self-attention is a call with one sequence in all three places; cross-attention takes the queries from another.
    """

    def __init__(self, query_size: int, key_size: int, num_heads: int, dropout: float = 0.0):
        super().__init__()
        if query_size % num_heads:
            raise ValueError(f"query_size {query_size} must be a multiple of num_heads {num_heads}")
        self.num_heads = num_heads
        self.dropout = nn.Dropout(dropout)
        self.query = nn.Linear(query_size, query_size, bias=False)
        self.key = nn.Linear(key_size, query_size, bias=False)
        self.value = nn.Linear(key_size, query_size, bias=False)
        self.output = nn.Linear(query_size, query_size, bias=False)

    def split_heads(self, x: Tensor) -> Tensor:
        """(B, T, H) -> (B, heads, T, H / heads): each head gets its own part of every vector."""
        return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)

    def forward(self, queries: Tensor, keys: Tensor, values: Tensor, mask: Mask = None) -> Attended:
        """(B, Tq, query_size), (B, Tk, key_size) twice, mask (Tq, Tk) or (B, 1 or Tq, Tk)
        -> (B, Tq, query_size), weights (B, heads, Tq, Tk) before dropout."""
        q = self.split_heads(self.query(queries))  # (B, heads, Tq, H / heads)
        k = self.split_heads(self.key(keys))  # (B, heads, Tk, H / heads)
        v = self.split_heads(self.value(values))  # (B, heads, Tk, H / heads)
        if mask is not None and mask.dim() == 3:
            mask = mask[:, None]  # (B, 1, Tq, Tk): without it, texts would be taken for heads
        context, weights = attend(q, k, v, mask, self.dropout)
        context = context.transpose(1, 2).flatten(2)  # (B, Tq, H): the heads side by side again
        return self.output(context), weights
