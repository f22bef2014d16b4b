"""Attention: a query looks at keys, and takes home a mixture of their values.

B batch, Tq queries, Tk keys, D their size, A additive attention's inner size, H model size

Masks are boolean and True means "may attend", as in `F.scaled_dot_product_attention` (`nn.MultiheadAttention` means the
reverse). A query that may attend to nothing gets zeros: no weight anywhere, and a context of zeros.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

# Keys from which on a CPU, too, takes the fused kernel. With fewer, in bfloat16, writing the weights out is faster.
FUSED_FROM = 512

UNIFORM = ContextVar("uniform", default=False)  # see uniform_attention


@contextmanager
def uniform_attention() -> Iterator[None]:
    """Within it, a query gives every key that it may see the same weight, whichever way its keys are scored.

    What a trained model then loses is what choosing was worth to it: the mixture is the same size, but no choice.
    """
    token = UNIFORM.set(True)
    try:
        yield
    finally:
        UNIFORM.reset(token)


def causal_mask(num_queries: int, num_keys: int, window: int | None = None, device=None) -> Tensor:
    """Which keys each query may see: the last query up to the last key, the query before it up to the one before that.

    -> (Tq, Tk) bool. There may be more keys than queries: the earlier ones come from a cache, and the mask is shifted
    by their number. `window` bounds how many keys a query sees.

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


def masked_softmax(scores: Tensor, mask: Tensor | None) -> Tensor:
    """Softmax over the last dimension, with weight exactly 0 where the mask is False, for whole rows if need be."""
    if UNIFORM.get():
        scores = torch.zeros_like(scores)
    if mask is None:
        return scores.softmax(-1)
    # Numbers are added to the scores, not filled in, since that is faster, backward too. -inf would turn a row without
    # any True into NaN. The lowest finite number gives such a row uniform weights, and they are taken away again.
    lowest = torch.finfo(scores.dtype).min
    penalties = torch.zeros_like(mask, dtype=scores.dtype).masked_fill(~mask, lowest)
    return (scores + penalties).softmax(-1) * mask.any(-1, keepdim=True)


def attend(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None, return_weights: bool = False):
    """Scaled dot-product attention, softmax(q k' / sqrt(D)) v (Vaswani et al. 2017, equation 1).

    queries (..., Tq, D), keys (..., Tk, D), values (..., Tk, Dv), mask broadcastable to (..., Tq, Tk)
    -> context (..., Tq, Dv), weights (..., Tq, Tk) if asked for, else None.
    """
    if UNIFORM.get():
        queries = torch.zeros_like(queries)  # every product is 0: this reaches into the fused kernel too
    if not return_weights and (queries.is_cuda or keys.size(-2) >= FUSED_FROM):
        # The fused kernel never holds the weights.
        return F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask), None
    scores = queries / math.sqrt(queries.size(-1)) @ keys.transpose(-2, -1)  # (..., Tq, Tk)
    weights = masked_softmax(scores, mask)
    return weights @ values, weights if return_weights else None


class DotAttention(nn.Module):
    """`attend` as a module: no parameters, the states themselves are queries, keys and values."""

    num_heads = 1

    def forward(self, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None, return_weights=False):
        """(B, Tq, D), (B, Tk, D), (B, Tk, Dv) -> context (B, Tq, Dv), weights (B, 1, Tq, Tk) or None."""
        context, weights = attend(queries, keys, values, mask, return_weights)
        return context, weights[:, None] if return_weights else None


class AdditiveAttention(nn.Module):
    """A small network scores each pair: v' tanh(W q + U k) (Bahdanau et al. 2015, appendix A.1.2).

    The tanh of all pairs is (B, Tq, Tk, A) numbers, by far the most that any attention here needs. So it is not kept
    for the backward pass but computed again there.
    """

    num_heads = 1

    def __init__(self, query_size: int, key_size: int, attention_size: int):
        super().__init__()
        self.query = nn.Linear(query_size, attention_size)
        self.key = nn.Linear(key_size, attention_size, bias=False)
        self.score = nn.Linear(attention_size, 1, bias=False)

    def pair_scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        """(B, Tq, A), (B, Tk, A) -> (B, Tq, Tk)."""
        pairs = torch.tanh(queries[:, :, None] + keys[:, None])  # (B, Tq, Tk, A)
        return self.score(pairs).squeeze(-1)

    def forward(self, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None, return_weights=False):
        """(B, Tq, query_size), (B, Tk, key_size), (B, Tk, Dv)
        -> context (B, Tq, Dv), weights (B, 1, Tq, Tk) or None."""
        queries, keys = self.query(queries), self.key(keys)
        scores = checkpoint(self.pair_scores, queries, keys, use_reentrant=False)
        weights = masked_softmax(scores, mask)
        return weights.to(values.dtype) @ values, weights[:, None] if return_weights else None


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
        """(B, T, H) -> (B, heads, T, H / heads)."""
        return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)

    def look_once(self, query: Tensor, keys: Tensor, values: Tensor, return_weights: bool):
        """What `forward` finds for one query that may see all keys: (B, 1, query_size), (B, Tk, key_size) twice.

        Since q . (W k) = (W' q) . k, one query is taken back through a head's key matrix, instead of every key through
        it; and values are projected after they are mixed. So each head is one more query to the keys as they came.
        """
        into_heads = (self.num_heads, -1)
        q = self.query(query[:, 0]).unflatten(-1, into_heads)  # (B, heads, D)
        q = torch.einsum("bhd,hdk->bhk", q, self.key.weight.unflatten(0, into_heads))  # (B, heads, key_size)
        head_size = query.size(-1) // self.num_heads
        q = q * math.sqrt(keys.size(-1) / head_size)  # the root by which `attend` divides is that of a key's size
        mixed, weights = attend(q, keys, values, None, return_weights)  # (B, heads, key_size)
        context = torch.einsum("bhk,hdk->bhd", mixed, self.value.weight.unflatten(0, into_heads))
        return self.output(context.flatten(1)[:, None]), weights[:, :, None] if return_weights else None

    def forward(self, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None, return_weights=False):
        """(B, Tq, query_size), (B, Tk, key_size) twice, mask (Tq, Tk) or (B, 1 or Tq, Tk)
        -> (B, Tq, query_size), weights (B, heads, Tq, Tk) before dropout, or None."""
        if queries.size(1) == 1 and mask is None and not (self.dropout.p and self.training):
            return self.look_once(queries, keys, values, return_weights)
        q, k, v = (self.split_heads(x) for x in (self.query(queries), self.key(keys), self.value(values)))
        if mask is not None and mask.dim() == 3:
            mask = mask[:, None]  # (B, 1, Tq, Tk): the same for every head
        if self.dropout.p and self.training:
            weights = masked_softmax(q @ k.transpose(-2, -1) / math.sqrt(q.size(-1)), mask)
            context = self.dropout(weights) @ v
            weights = weights if return_weights else None
        else:
            context, weights = attend(q, k, v, mask, return_weights)
        context = context.transpose(1, 2).flatten(2)  # (B, Tq, query_size)
        return self.output(context), weights


def sliding_window(
    attention: Callable,
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    window: int,
    see_self: bool = True,
    return_weights: bool = False,
    block_size: int = 128,
):
    """Causal attention over the last `window` keys, a block of queries at a time, so memory grows with T and not T * T.

    attention(queries, keys, values, mask, return_weights) is any of this file's; queries (..., Tq, D) are the newest of
    the keys' tokens (..., Tk, D). Each block is shown only those keys that one of its queries may see. Without
    `see_self` a query's own token is not among the `window` that it sees.
    -> context (..., Tq, Dv), weights (..., Tq, Tk) or None.
    """
    num_queries, num_keys = queries.size(-2), keys.size(-2)
    newest = num_keys if see_self else num_keys - 1  # so many keys may be seen by the last query
    blocks = []
    for start in range(0, num_queries, block_size):
        stop = min(start + block_size, num_queries)
        last = newest - num_queries + stop
        first = max(0, last - (stop - start) - (window - 1))
        # One query may see all that it is shown.
        mask = None if stop - start == 1 else causal_mask(stop - start, last - first, window, device=queries.device)
        seen = slice(first, last)
        block, weights = attention(
            queries[..., start:stop, :], keys[..., seen, :], values[..., seen, :], mask, return_weights
        )
        blocks.append((block, F.pad(weights, (first, num_keys - last)) if return_weights else None))
    if len(blocks) == 1:
        return blocks[0]
    contexts, weights = zip(*blocks)
    return torch.cat(contexts, -2), torch.cat(weights, -2) if return_weights else None
