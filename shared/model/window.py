"""A window that slides along the text: what attention needs of the computer's memory grows with the text's length, and
not with its square.

B batch, Tq queries, Tk keys, D their size
"""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from shared.model.attention import attend, causal_mask

# PyTorch's fused kernel computes scores, softmax and mixture in one go, a piece at a time, and never holds the weights.
# With fewer keys than this, writing the weights out is faster on a CPU.
FUSED_FROM = 512


def fused_pays(queries: Tensor, keys: Tensor) -> bool:
    """Is PyTorch's fused kernel the faster way here?"""
    return queries.is_cuda or keys.size(-2) >= FUSED_FROM


def fused_attend(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """`attend` for when nobody asks for the weights: the fused kernel never holds them, so it needs less memory.

    Shapes as in `attend`. Where the kernel does not pay, this is `attend`.
    """
    if fused_pays(queries, keys):
        return F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask), None
    return attend(queries, keys, values, mask)


def sliding_window(
    attention: Callable,
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    window: int,
    return_weights: bool = False,
    block_size: int = 128,
) -> tuple[Tensor, Tensor | None]:
    """Causal attention over the last `window` keys, a block of queries at a time.

    attention(queries, keys, values, mask) -> context, weights is `attend`, `fused_attend` or a module of attention.py.
    queries (..., Tq, D) are the newest of the keys' tokens (..., Tk, D); earlier keys come from a cache.
    -> context (..., Tq, Dv), and weights (..., Tq, W) if asked for, else None. A row of weights is one query's window,
    the newest place last; places before the first key have weight 0. W is `window`, or Tk where there are fewer keys.
    `weights_map` lays the rows out over the text.
    """
    num_queries, num_keys = queries.size(-2), keys.size(-2)
    window = min(window, num_keys)
    if num_queries > block_size and attention is not fused_attend:
        # Autograd would keep the weights of every block. Instead each block is computed again in the backward pass.
        attention = partial(checkpoint, attention, use_reentrant=False)
    contexts, all_weights = [], []
    for start in range(0, num_queries, block_size):
        stop = min(start + block_size, num_queries)
        # A block is shown only those keys that one of its queries may see. With a window of 3, queries 4 and 5 see keys
        # 2 to 4 and 3 to 5: so first = 2, and last, the first that is left out, = 6.
        last = num_keys - num_queries + stop
        first = max(0, last - (stop - start) - (window - 1))
        # A single query may see all that it is shown.
        mask = None if stop - start == 1 else causal_mask(stop - start, last - first, window, device=queries.device)
        context, weights = attention(
            queries[..., start:stop, :], keys[..., first:last, :], values[..., first:last, :], mask
        )
        contexts.append(context)
        if return_weights:
            all_weights.append(_seen(weights, window))
    return torch.cat(contexts, -2), torch.cat(all_weights, -2) if return_weights else None


def _seen(weights: Tensor, window: int) -> Tensor:
    """Of a block's weights (..., b, k), the part that each query sees, its own place last -> (..., b, window)."""
    num_queries = weights.size(-2)
    # Before the first key, as many places without weight as it takes for the first query to have a whole window.
    weights = F.pad(weights, (num_queries + window - 1 - weights.size(-1), 0))  # (..., b, b + window - 1)
    columns = _columns(num_queries, window, weights.device)
    return weights.gather(-1, columns.expand(*weights.shape[:-1], window))


def _columns(num_queries: int, window: int, device: torch.device) -> Tensor:
    """The window of query i begins i columns further right -> (num_queries, window)."""
    return torch.arange(num_queries, device=device)[:, None] + torch.arange(window, device=device)


def weights_map(weights: Tensor, num_keys: int) -> Tensor:
    """Weights of windows as a map over all keys: (..., Tq, W) -> (..., Tq, Tk), 0 on what is out of sight."""
    *others, num_queries, window = weights.shape
    columns = _columns(num_queries, window, weights.device).expand_as(weights)
    wide = weights.new_zeros(*others, num_queries, num_queries + window - 1).scatter(-1, columns, weights)
    # The last columns are the newest keys. There may be more keys than all windows reach, or fewer.
    missing = num_keys - wide.size(-1)
    return F.pad(wide, (missing, 0))


def last_places(sequence: Tensor, num_queries: int, window: int) -> Tensor:
    """What stands in each query's window: (B, Tk) -> (B, Tq, W), 0 where the window begins before the first key.

    A view: nothing is copied as often as it is seen.
    """
    missing = num_queries + window - 1 - sequence.size(-1)
    return F.pad(sequence, (missing, 0)).unfold(-1, window, 1)
