"""One way to write each function of exercises.py. Others are as good: check.py looks at what they return.

B batch, T time, E embedding, H hidden
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor


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
