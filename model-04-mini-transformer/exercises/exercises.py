"""Five functions to write. `python check.py` makes a copy, answers.py, for you to write in, and says which are right.

B batch, T time, E embedding, D = E / heads, W window
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def rms_norm(x: Tensor, weight: Tensor) -> Tensor:
    """Exercise 1. RMSNorm: divide the E numbers of each word by the root of the mean of their squares, and multiply
    each by its weight. Add a millionth under the root, so that zeros stay zeros.

    x (T, E), weight (E) -> (T, E)

    The numbers 1 and 7 have a mean square of (1 + 49) / 2 = 25, with the root 5. With weights of 1 they become .2 and
    1.4, whose mean square is 1.
    """
    raise NotImplementedError


def self_attention(x: Tensor, w_q: Tensor, w_k: Tensor, w_v: Tensor, w_o: Tensor, num_heads: int) -> Tensor:
    """Exercise 2. Causal self-attention in several heads, without positions: each token sees itself and all before it.

    Head n has the n-th D of the E numbers of a query, key and value. What the heads find is laid side by side again and
    multiplied by w_o.

    x (B, T, E), every w (E, E), to be used as x @ w.T -> (B, T, E)

    With E = 4 and two heads, the first compares the first two numbers of a query with the first two of each key, and
    the second the last two: scores (B, 2, T, T). The first word sees itself alone, so what it gets is its own value.
    """
    raise NotImplementedError


def rotate(x: Tensor, positions: Tensor) -> Tensor:
    """Exercise 3. Rotary positions: turn the pair (x_i, x_{i + D/2}) by the angle position * 10000^(-2 i / D).

    x (T, D), positions (T) -> (T, D). To turn a pair (a, b) by an angle is to make of it
    (a cos - b sin, a sin + b cos).

    With D = 2 there is one pair, and its angle is the position: (1, 0) becomes (cos 1, sin 1) = (.54, .84) at position
    1, and (cos 2, sin 2) = (-.42, .91) at position 2. With D = 4, x_0 goes with x_2, and x_1 with x_3.
    """
    raise NotImplementedError


def attend_next(
    q: Tensor, k: Tensor, v: Tensor, cache: tuple[Tensor, Tensor] | None, window: int
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Exercise 4. One step of writing with a key/value cache: the newest token's query looks up those before in it.

    q, k, v (D), of the newest token; cache, keys (P, D) and values (P, D) of the last tokens before it, or None at the
    text's beginning. The query sees the last `window` tokens, its own among them.
    -> context (D), and the cache for the next step: keys and values, (P, D) each, of no more tokens than that step can
    use; with a window of 1 it can use none, and both are of the shape (0, D)

    With a window of 2 and keys that are all alike, the values 1, 3 and 5, one after the other, give the contexts 1, 2
    and 4, and leave the values [1], [3] and [5] in the cache.
    """
    raise NotImplementedError


def furthest(num_layers: int, window: int) -> int:
    """Exercise 5. In each layer a token sees the last `window` tokens, its own among them. How many of the last tokens,
    its own among them, can have a part in its logits when there are several layers?

    Two layers with a window of three: the last token sees itself and two others, and the furthest of these has, in the
    layer below, seen two more. That makes five.
    """
    raise NotImplementedError
