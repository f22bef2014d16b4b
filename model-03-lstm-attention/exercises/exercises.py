"""Six functions to write. `python check.py` makes a copy, answers.py, for you to write in, and says which are right.

B batch, T time, Tq queries, Tk keys, D their size, A additive attention's inner size, V vocabulary
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor


def causal_weights(queries: Tensor, keys: Tensor) -> Tensor:
    """Exercise 1. How much each token of a text looks at itself and at each one before it.

    Products of queries and keys, divided by the root of D, are the scores. Scores of later tokens become minus
    infinity. Then softmax, over the keys of each query.

    queries (T, D), keys (T, D) -> weights (T, T), a row for each query; every row adds up to 1

    If all keys are alike, so are a query's scores, and three tokens get
        [[1,   0,   0  ],
         [1/2, 1/2, 0  ],
         [1/3, 1/3, 1/3]]
    """
    raise NotImplementedError


def attend(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Exercise 2. Scaled dot-product attention: softmax of the scores is the weights, and the context is the sum of the
    values, each times its weight. A query that may see no key gets zeros, as weights and as context.

    queries (B, Tq, D), keys (B, Tk, D), values (B, Tk, D), mask (B, Tq, Tk) bool, True where a query may see a key
    -> context (B, Tq, D), weights (B, Tq, Tk)

    With two keys that are alike, a query that may see both gets the weights [.5, .5], one that may see the first gets
    [1, 0], and one that may see none gets [0, 0].
    """
    raise NotImplementedError


def additive_scores(queries: Tensor, keys: Tensor, w: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Exercise 3. The first attention's scores, v' tanh(W q + U k), for all pairs of a query and a key.

    Do it without a loop.

    queries (B, Tq, D), keys (B, Tk, D), w (A, D), u (A, D), v (A) -> (B, Tq, Tk)

    With all sizes 1, w = 2, u = 3 and v = 10, a query of .2 and a key of .1 get 10 tanh(.4 + .3) = 6.04.
    """
    raise NotImplementedError


def memory_mask(num_queries: int, num_past: int, window: int) -> Tensor:
    """Exercise 4. Which places of the text may each query see? Its own, and those before it: `window` in all.

    The keys are `num_past` places of the chunk before, and then the places of the queries themselves.
    -> (num_queries, num_past + num_queries) bool, True where a query may see a place

    Three queries, one past place, a window of two:
        [[1, 1, 0, 0],
         [0, 1, 1, 0],
         [0, 0, 1, 1]]
    """
    raise NotImplementedError


def mix_in_copies(written: Tensor, gate: Tensor, weights: Tensor, words: Tensor) -> Tensor:
    """Exercise 5. The next word's probabilities where a model may also copy: (1 - g) * written + g * copied.

    The probability that a word is copied is the sum of the weights of all places where it stands.

    written (B, T, V) probabilities, gate (B, T) g from 0 to 1, weights (B, T, Tk) summing to 1, words (B, Tk) their ids
    -> (B, T, V) probabilities

    Say [.5, .3, .2] is written, g is .5, the words are 2, 0, 2, and their weights .2, .3, .5. Then word 0 is copied
    with .3, word 1 with 0, and word 2 with .2 + .5. Half of each makes [.4, .15, .45].
    """
    raise NotImplementedError


def peeks(model: Callable[[Tensor], Tensor], tokens: Tensor, vocab_size: int) -> bool:
    """Exercise 6. Does a model look into the future? True if any logit changes by more than a millionth when a token
    that stands later in the text is another one.

    model: tokens (B, T) -> logits (B, T, V); tokens (1, T), a text to try it on; ids go from 0 to vocab_size - 1

    A model whose logits are the mean over the whole text peeks. One with the mean of what was read so far does not.
    """
    raise NotImplementedError
