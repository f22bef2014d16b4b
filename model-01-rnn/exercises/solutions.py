"""One way to write each function of exercises.py. Others are as good: check.py looks at what they return.

Where an exercise or its chapter asks a question, the answer stands here, with the lines (>>>) that show it. Type them
into Python, started in this folder, after `from solutions import *`.

N words, B batch, T time, E embedding, H hidden, V vocabulary
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor


def cross_entropy(scores: Tensor, targets: Tensor) -> Tensor:
    """Large scores need care, because e to the power of 1,000 is more than any float holds.

    >>> round(cross_entropy(torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([0])).item(), 3)
    0.408
    >>> cross_entropy(torch.tensor([[2000.0, 1000.0, 0.0]]), torch.tensor([1])).item()
    1000.0
    """
    # The same number taken from all scores of a row changes no probability. With the largest, e to the power of a score
    # is 1 at most.
    scores = scores - scores.max(dim=1, keepdim=True).values  # (N, V)
    # -log(e^score / sum) = log(sum) - score. So no probability is ever rounded to 0, whose log is minus infinity.
    of_targets = scores[torch.arange(len(scores)), targets]  # (N)
    return (scores.exp().sum(dim=1).log() - of_targets).mean()


def step(x_t: Tensor, h: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor) -> Tensor:
    """One number of everything: tanh(.6 * 1 + .8 * .5) = tanh(1).

    >>> one, w_ih, w_hh, zero = torch.tensor([[1.0]]), torch.tensor([[0.6]]), torch.tensor([[0.8]]), torch.zeros(1)
    >>> round(step(one, one / 2, w_ih, w_hh, zero, zero).item(), 3)
    0.762
    """
    return torch.tanh(x_t @ w_ih.T + b_ih + h @ w_hh.T + b_hh)


def chunks(ids: Tensor, batch_size: int, context_length: int) -> list[tuple[Tensor, Tensor]]:
    # The last input needs a target too, so one token less can be read than there are.
    num_batches = (len(ids) - 1) // (batch_size * context_length)
    length = num_batches * context_length  # of a row's stretch
    inputs = ids[: batch_size * length].view(batch_size, length)
    targets = ids[1 : batch_size * length + 1].view(batch_size, length)
    return list(zip(inputs.split(context_length, dim=1), targets.split(context_length, dim=1)))


def perplexity(losses: list[Tensor]) -> float:
    """Which two ways look right, and are not? Take four tokens in two pieces: at one token the model wavers between
    two words, and at the other three between two, two and sixteen. That is 1, 1, 1 and 4 bits, 7/4 in the mean, and a
    perplexity of 2^(7/4) = 3.36.

    e to the mean of the two pieces' means gives 2.83. The pieces' means are 1 and 2 bits, and the lone token of the
    first counts for as much as the three of the second together. The mean of the two pieces' perplexities, 2 and 4,
    gives 3. It has the same fault, and the mean is taken too late besides: after e was raised to the power.

    >>> pieces = [torch.tensor([2.0]).log(), torch.tensor([2.0, 2.0, 16.0]).log()]
    >>> round(perplexity(pieces), 2)
    3.36
    >>> means = torch.stack([piece.mean() for piece in pieces])
    >>> round(means.mean().exp().item(), 2), round(means.exp().mean().item(), 2)
    (2.83, 3.0)
    """
    # Every token counts the same, whichever piece it stands in. Float64, so that a long text's sum stays exact.
    return math.exp(torch.cat(losses).double().mean().item())


def reach(cell: Callable[[Tensor, Tensor], Tensor], inputs: Tensor, h: Tensor) -> Tensor:
    """How far does a memory reach? What is left of a gradient 39 steps back?

    Share of the gradient that is left   inputs near 0 (size .01)   large inputs (size 3)
    weights as PyTorch draws them        3 * 10^-11                 2 * 10^-21
    orthogonal weight_hh, biases of 0    .98                        3 * 10^-12

    A step back multiplies the gradient by W_hh', and each of its numbers by tanh's slope, 1 - h^2.
    - PyTorch draws the H^2 numbers of W_hh evenly from -1 / sqrt(H) to 1 / sqrt(H). The largest eigenvalue of such a
      matrix is about 1 / sqrt(3) = .58 in size. Here it is .55, and .55^39 is 7 * 10^-11. With large inputs, flat
      slopes take ten powers of ten more.
    - An orthogonal matrix leaves a length as it is. If the inputs are small, so is h, each slope is nearly 1, and the
      gradient arrives nearly whole.
    - Large inputs drive h towards -1 and 1, where tanh is flat. No matrix that keeps lengths can make up for that.
    So a good start helps, and only as long as the memory is not made to say much. With other random numbers, the three
    small shares can come out a few hundred times as large or as small.

    >>> [round(norm, 2) for norm in reach(lambda x_t, h: x_t + h / 2, torch.zeros(3, 4), torch.zeros(4)).tolist()]
    [0.5, 1.0, 2.0]
    >>> def share_left(orthogonal, size):
    ...     torch.manual_seed(0)
    ...     cell = torch.nn.RNNCell(32, 32)
    ...     if orthogonal:
    ...         torch.nn.init.orthogonal_(cell.weight_hh)
    ...         for bias in (cell.bias_ih, cell.bias_hh):
    ...             torch.nn.init.zeros_(bias)
    ...     norms = reach(cell, size * torch.randn(40, 32), torch.zeros(32))
    ...     return (norms[0] / norms[-1]).item()
    >>> [math.floor(math.log10(share_left(orthogonal=False, size=size))) for size in (0.01, 3)]
    [-11, -21]
    >>> round(share_left(orthogonal=True, size=0.01), 2), math.floor(math.log10(share_left(orthogonal=True, size=3)))
    (0.98, -12)
    """
    h = h.detach().requires_grad_()  # so that the steps are recorded, whatever the cell's weights are
    memories = []
    for x_t in inputs:
        h = cell(x_t, h)
        memories.append(h)
    gradients = torch.autograd.grad(h.sum(), memories)
    return torch.stack(gradients).norm(dim=1)


def keep_likely(probabilities: Tensor, top_k: int | None, top_p: float | None) -> Tensor:
    """Of .1, .5, .15 and .25, top_k=2 leaves .5 and .25, and top_p=.8 needs .15 too, since .75 is less than .8.

    >>> likely = torch.tensor([0.1, 0.5, 0.15, 0.25])
    >>> [round(p, 3) for p in keep_likely(likely, top_k=2, top_p=None).tolist()]
    [0.0, 0.667, 0.0, 0.333]
    >>> [round(p, 3) for p in keep_likely(likely, top_k=None, top_p=0.8).tolist()]
    [0.0, 0.556, 0.167, 0.278]
    """
    # With a stable sort, the first of equally likely words is kept.
    likely, places = probabilities.sort(descending=True, stable=True)  # (V) both
    if top_k is not None:
        likely[top_k:] = 0
        likely = likely / likely.sum()
    if top_p is not None and top_p < 1:  # at 1, a rounded sum would cost the rarest words their chance
        before = likely.cumsum(0) - likely  # the sum of all likelier words: where it has reached p, the word goes
        before[0] = -1  # but never the first one
        likely[before >= top_p] = 0
    return torch.zeros_like(likely).scatter(0, places, likely / likely.sum())  # each back in its place
