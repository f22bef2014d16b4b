"""Six functions to write. `python check.py` makes a copy, answers.py, for you to write in, and says which are right.

N words, B batch, T time, E embedding, H hidden, V vocabulary
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor


def cross_entropy(scores: Tensor, targets: Tensor) -> Tensor:
    """Exercise 1. The loss: minus the log of the probability that softmax gives to the word that came; the mean over
    all N of them, in nats.

    Write it from softmax, without `F.cross_entropy`, which does the same, and without PyTorch's softmax functions. It
    should be right for scores in the thousands, too.

    scores (N, V), targets (N) ids of the words that came -> ()

    Scores 2, 1, 0 give the first word p = e^2 / (e^2 + e^1 + e^0) = .665. If it is the one that came, the loss is
    -log .665 = .408 nats.
    """
    raise NotImplementedError


def step(x_t: Tensor, h: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor) -> Tensor:
    """Exercise 2. The chapter's equation: from the word just read and the old hidden state to the new one.

    x_t (B, E), h (B, H), w_ih (H, E), w_hh (H, H), b_ih (H), b_hh (H) -> (B, H)

    One number of everything: x_t = 1, h = .5, w_ih = .6, w_hh = .8 and biases of 0 give tanh(.6 + .4) = .762.
    """
    raise NotImplementedError


def chunks(ids: Tensor, batch_size: int, context_length: int) -> list[tuple[Tensor, Tensor]]:
    """Exercise 3. Cut a text into batches for training, so that the hidden state can be carried from each to the next.

    ids (N) -> a list of batches, each a pair of inputs and targets, both (B, T) with T = context_length

    Cut the text into B stretches, all equally long, one for each row. A row reads its stretch from left to right, T
    tokens a batch: it goes on where it stopped in the batch before. A target is the token that follows its input in the
    text. Make the stretches as long as the text has room for, but a whole number of T tokens, and drop what is left
    over at the text's end.

    The text 0 1 2 ... 12 in two rows, three tokens at a time, gives two batches:
        inputs [[0, 1, 2], [6, 7, 8]]      targets [[1, 2, 3], [7, 8, 9]]
        inputs [[3, 4, 5], [9, 10, 11]]    targets [[4, 5, 6], [10, 11, 12]]
    With one token less there would be no target for the 11, and one batch of inputs [[0, 1, 2], [3, 4, 5]].
    """
    raise NotImplementedError


def perplexity(losses: list[Tensor]) -> float:
    """Exercise 4. The perplexity of a text that was read in pieces, not all equally long.

    losses: a tensor (T) for each piece, with the loss of every token in nats -> one number for the whole text

    Two pieces, [log 2] and [log 2, log 2, log 16], have a mean loss of (7 log 2) / 4, and a perplexity of 3.36.
    """
    raise NotImplementedError


def reach(cell: Callable[[Tensor, Tensor], Tensor], inputs: Tensor, h: Tensor) -> Tensor:
    """Exercise 5. How much does a memory still matter some steps later?

    Read T inputs with h = cell(x_t, h), and keep each h. Take the sum of the last one's numbers. How large (Euclidean
    norm) is its gradient with respect to the h after step 1, after step 2, ... after step T? `torch.autograd.grad`
    takes a list, and gives a gradient for each of them. Begin with `h = h.detach().requires_grad_()`, so that PyTorch
    records the steps whatever the cell is.

    inputs (T, E), h (H) before the first step -> (T)

    With H = 4 and a cell that keeps half, x_t + h / 2, three steps give [.5, 1, 2]. The last number is always the root
    of H, since the gradient of a sum is 1 everywhere.
    """
    raise NotImplementedError


def keep_likely(probabilities: Tensor, top_k: int | None, top_p: float | None) -> Tensor:
    """Exercise 6. Top-k and top-p: set the unlikely words to 0, and rescale the others to a sum of 1.

    top_k keeps the k likeliest words. top_p keeps the likeliest, one after the other, until their sum has reached p; at
    least one. None means that this rule is not used. If both are, top_p looks at what top_k leaves, rescaled. Of
    equally likely words it does not matter which are kept, but no more are than the rule asks for.

    probabilities (V), their sum is 1 -> (V), every word in its place

    keep_likely([.1, .5, .15, .25], top_k=2, top_p=None) is [0, .667, 0, .333]: .5 and .25, each divided by .75. With
    top_k=None and top_p=.8 it is [0, .556, .167, .278], since .5 + .25 is less than .8, and .5 + .25 + .15 is more.
    """
    raise NotImplementedError
