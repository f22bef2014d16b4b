"""One way to write each function of exercises.py. Others are as good: check.py looks at what they return.

B batch, T time, E embedding, H hidden
"""

import math

import torch
from torch import Tensor, nn


def step(gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    i, f, g, o = gates.chunk(4, dim=-1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def forget_bias(steps: int) -> float:
    # sigmoid(b) ** steps = 1 / 2, so sigmoid(b) = p with p = 2 ** (-1 / steps), and b = log(p / (1 - p)).
    return -math.log(math.expm1(math.log(2) / steps))


def latch() -> tuple[Tensor, Tensor, Tensor]:
    # The gates stay open: keep all, let all in, show all. What is let in is tanh(20 x): nothing, or a 1.
    w_ih = torch.tensor([[0.0], [0.0], [20.0], [0.0]])
    w_hh = torch.zeros(4, 1)
    bias = torch.tensor([20.0, 20.0, 0.0, 20.0])
    return w_ih, w_hh, bias


def read_in_chunks(lstm: nn.LSTM, x: Tensor, length: int) -> Tensor:
    state, hidden = None, []
    for chunk in x.split(length, dim=1):
        states, (h, c) = lstm(chunk, state)
        state = h.detach(), c.detach()  # both: a gradient would go back through either
        hidden.append(states)
    return torch.cat(hidden, dim=1)
