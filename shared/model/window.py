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
    see_self: bool = True,
    return_weights: bool = False,
    block_size: int = 128,
) -> tuple[Tensor, Tensor | None]:
    """Causal attention over the last `window` keys, a block of queries at a time.

    attention(queries, keys, values, mask) -> context, weights is `attend`, `fused_attend` or a module of attention.py.
    queries (..., Tq, D) are the newest of the keys' tokens (..., Tk, D); earlier keys come from a cache. Without
    `see_self` a query's own token is not among the `window` that it sees.
    -> context (..., Tq, Dv), and weights (..., Tq, Tk) if asked for, else None.
    """
    num_queries, num_keys = queries.size(-2), keys.size(-2)
    newest = num_keys if see_self else num_keys - 1  # so many keys may be seen by the last query
    if num_queries > block_size and attention is not fused_attend:
        # Autograd would keep the weights of every block. Instead each block is computed again in the backward pass.
        attention = partial(checkpoint, attention, use_reentrant=False)
    contexts, all_weights = [], []
    for start in range(0, num_queries, block_size):
        stop = min(start + block_size, num_queries)
        # A block is shown only those keys that one of its queries may see. With a window of 3, queries 4 and 5 see keys
        # 2 to 4 and 3 to 5: so first = 2, and last, the first that is left out, = 6.
        last = newest - num_queries + stop
        first = max(0, last - (stop - start) - (window - 1))
        # A single query may see all that it is shown.
        mask = None if stop - start == 1 else causal_mask(stop - start, last - first, window, device=queries.device)
        context, weights = attention(
            queries[..., start:stop, :], keys[..., first:last, :], values[..., first:last, :], mask
        )
        contexts.append(context)
        if return_weights:
            all_weights.append(F.pad(weights, (first, num_keys - last)))  # weight 0 on keys outside the band
    return torch.cat(contexts, -2), torch.cat(all_weights, -2) if return_weights else None
