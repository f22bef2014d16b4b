"""One way to write each function of exercises.py. Others are as good: check.py looks at what they return.

Where an exercise or its chapter asks a question, the answer stands here, with the lines (>>>) that show it. Type them
into Python, started in this folder, after `from solutions import *`.

B batch, T time, E embedding, D = E / heads, W window
"""

import math

import torch
from torch import Tensor


def rms_norm(x: Tensor, weight: Tensor) -> Tensor:
    """The mean square of 1 and 7 is 25, and its root 5.

    >>> x = torch.tensor([[1.0, 7.0], [0.0, 0.0]])
    >>> [round(number, 2) for number in rms_norm(x, torch.ones(2)).flatten().tolist()]
    [0.2, 1.4, 0.0, 0.0]
    """
    mean_square = x.square().mean(-1, keepdim=True)  # (T, 1)
    return x / torch.sqrt(mean_square + 1e-6) * weight  # a mean square of 0 would give 0 / 0, which is NaN


def self_attention(x: Tensor, w_q: Tensor, w_k: Tensor, w_v: Tensor, w_o: Tensor, num_heads: int) -> Tensor:
    """Which shape is right where the heads are wrong? That of `(x @ w_q.T).view(B, heads, T, D)`.

    A view reads the numbers in the order in which they lie: word after word. So with two words, two heads and E = 2,
    the first head would get both numbers of the first word, and the second head those of the second. They are meant to
    get one number of every word. The first dimension that is split off must be the last one, E; then heads and words
    change places.

    >>> words = torch.tensor([[[1, 2], [3, 4]]])  # (B, T, E)
    >>> words.view(1, 2, 2, 1)[0, 0].flatten().tolist()  # what the first head gets
    [1, 2]
    >>> words.unflatten(-1, (2, 1)).transpose(1, 2)[0, 0].flatten().tolist()
    [1, 3]
    """
    # Unflatten gives (B, T, heads, D). A view as (B, heads, T, D) would have the right shape and mix up the tokens.
    q, k, v = ((x @ w.T).unflatten(-1, (num_heads, -1)).transpose(1, 2) for w in (w_q, w_k, w_v))  # (B, heads, T, D)
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.size(-1))  # (B, heads, T, T)
    seen = torch.ones(x.size(1), x.size(1), dtype=torch.bool).tril()
    weights = scores.masked_fill(~seen, float("-inf")).softmax(-1)
    return (weights @ v).transpose(1, 2).flatten(2) @ w_o.T  # (B, T, E)


def rotate(x: Tensor, positions: Tensor) -> Tensor:
    """Does the product of two turned vectors depend on their distance alone?

    Yes. Turning q by the angle a, and k by b, leaves each pair's length as it is, and changes the angle between the two
    pairs by a - b. Lengths and that angle are all that a product depends on. And a - b is the distance of the positions
    times the pair's frequency: where both stand drops out.

    With q = k = (1, 0), one pair, the product is the cosine of the distance. Three words apart it is cos 3 = -.99,
    whether they stand at 3 and 0, at 4 and 1 or at 53 and 50. Four words apart it is cos 4 = -.654.

    >>> turned = rotate(torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([1, 2]))
    >>> [round(number, 2) for number in turned.flatten().tolist()]
    [0.54, 0.84, -0.42, 0.91]
    >>> def product(query_position, key_position):
    ...     positions = torch.tensor([query_position, key_position])
    ...     q, k = rotate(torch.tensor([[1.0, 0.0], [1.0, 0.0]]), positions)
    ...     return round((q @ k).item(), 3)
    >>> product(3, 0), product(4, 1), product(53, 50)
    (-0.99, -0.99, -0.99)
    >>> product(4, 0)
    -0.654
    """
    size = x.size(-1)
    angles = positions[:, None] * 10000.0 ** (-torch.arange(0, size, 2) / size)  # (T, D / 2)
    first, second = x.chunk(2, dim=-1)
    cosine, sine = angles.cos(), angles.sin()
    return torch.cat([first * cosine - second * sine, first * sine + second * cosine], dim=-1)


def attend_next(
    q: Tensor, k: Tensor, v: Tensor, cache: tuple[Tensor, Tensor] | None, window: int
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """With keys that are all alike, the context is the mean of the values in the window: 1, then (1 + 3) / 2, then
    (3 + 5) / 2.

    >>> cache, one = None, torch.ones(1)
    >>> for v in (1.0, 3.0, 5.0):
    ...     context, cache = attend_next(one, one, torch.tensor([v]), cache, window=2)
    ...     print(context.item(), cache[1].flatten().tolist())
    1.0 [1.0]
    2.0 [3.0]
    4.0 [5.0]
    """
    keys, values = k[None], v[None]
    if cache is not None:
        keys, values = torch.cat([cache[0], keys]), torch.cat([cache[1], values])  # (P + 1, D)
    # The cache came with window - 1 tokens at most, so all that is here may be seen: no mask.
    weights = (keys @ q / math.sqrt(len(q))).softmax(0)  # (P + 1)
    start = max(0, len(keys) - (window - 1))
    return weights @ values, (keys[start:], values[start:])


def furthest(num_layers: int, window: int) -> int:
    """And `--context-length`? It says 64, which is what one layer sees: a word and 63 before it. Stage 4 has four
    layers, and 4 * 63 = 252. So 252 words before the last one can have a part in its logits, and with itself it is 253.

    But what comes from so far away has passed through one word after another, and shared its vector with all that is
    nearer. The window is where a direct look ends. Whether a model makes use of more is for training to decide.

    >>> furthest(num_layers=4, window=64)
    253
    """
    # Each layer reaches window - 1 tokens further back than the one below it.
    return num_layers * (window - 1) + 1
