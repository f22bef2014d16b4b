"""One way to write each function of exercises.py. Others are as good: check.py looks at what they return.

N words, B batch, T time, E embedding, H hidden, V vocabulary
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor


def cross_entropy(scores: Tensor, targets: Tensor) -> Tensor:
    # The same number taken from all scores of a row changes no probability. With the largest, e to the power of a score
    # is 1 at most.
    scores = scores - scores.max(dim=1, keepdim=True).values  # (N, V)
    # -log(e^score / sum) = log(sum) - score. So no probability is ever rounded to 0, whose log is minus infinity.
    of_targets = scores[torch.arange(len(scores)), targets]  # (N)
    return (scores.exp().sum(dim=1).log() - of_targets).mean()


def step(x_t: Tensor, h: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor) -> Tensor:
    return torch.tanh(x_t @ w_ih.T + b_ih + h @ w_hh.T + b_hh)


def chunks(ids: Tensor, batch_size: int, context_length: int) -> list[tuple[Tensor, Tensor]]:
    # The last input needs a target too, so one token less can be read than there are.
    num_batches = (len(ids) - 1) // (batch_size * context_length)
    length = num_batches * context_length  # of a row's stretch
    inputs = ids[: batch_size * length].view(batch_size, length)
    targets = ids[1 : batch_size * length + 1].view(batch_size, length)
    return list(zip(inputs.split(context_length, dim=1), targets.split(context_length, dim=1)))


def perplexity(losses: list[Tensor]) -> float:
    # Every token counts the same. A mean of the pieces' means would count the tokens of short pieces for more; a mean
    # of their perplexities would besides be larger, since e to the power of x is convex.
    return math.exp(torch.cat(losses).double().mean().item())


def reach(cell: Callable[[Tensor, Tensor], Tensor], inputs: Tensor, h: Tensor) -> Tensor:
    h = h.detach().requires_grad_()  # so that the steps are recorded, whatever the cell's weights are
    memories = []
    for x_t in inputs:
        h = cell(x_t, h)
        memories.append(h)
    gradients = torch.autograd.grad(h.sum(), memories)
    return torch.stack(gradients).norm(dim=1)


def keep_likely(probabilities: Tensor, top_k: int | None, top_p: float | None) -> Tensor:
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
