"""Four functions to write. `python check.py` makes a copy, answers.py, for you to write in, and says which are right.

B batch, T time, E embedding, H hidden
"""

import math

import torch
from torch import Tensor, nn


def step(gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """Exercise 1. The LSTM's last two equations: from gates and the old cell to the new hidden state and cell.

    gates (B, 4 H) before sigmoid and tanh, in PyTorch's order i, f, g, o; c (B, H) -> h (B, H), c (B, H)

    Gates of 0 and a cell of 1: sigmoid(0) is a half, so half of the cell is kept, and half of tanh(0) = 0 is written.
    c is .5, and h is tanh(.5) / 2 = .231.
    """
    raise NotImplementedError


def forget_bias(steps: int) -> float:
    """Exercise 2. How large must a forget gate's bias be, so that half of the cell is left after `steps` steps?

    Nothing is written to the cell, and nothing but the bias reaches its gate: f is sigmoid(bias) at every step.

    For one step it is 0, since sigmoid(0) = .5. For two it is .88, since sigmoid(.88) = .707, and .707 * .707 = .5.
    """
    raise NotImplementedError


def latch() -> tuple[Tensor, Tensor, Tensor]:
    """Exercise 3. An LSTM with one cell, set by hand, that remembers whether it has read a 1.

    It reads zeros, and a few ones among them, for a thousand steps. h and c begin at 0. h should stay below .1 until
    the first 1 is read, and above .5 from then on. Before sigmoid and tanh, each gate is w_ih * x + w_hh * h + bias.

    -> w_ih (4, 1), w_hh (4, 1), bias (4), all for i, f, g, o in this order

    Reading 0 0 1 0 1 0, h might be 0, 0, .76, .76, .96, .96.
    """
    raise NotImplementedError


def read_in_chunks(lstm: nn.LSTM, x: Tensor, length: int) -> Tensor:
    """Exercise 4. Truncated backpropagation through time: a text is read in chunks, the state (h, c) is carried on from
    chunk to chunk, and its gradient is not.

    lstm, one layer with batch_first=True; x (B, T, E); chunks of `length` steps, the last one may be shorter
    -> hidden states (B, T, H), as if the text had been read at once

    Ten steps in chunks of four are read as steps 0 to 3, 4 to 7, and 8 and 9. The gradient of the hidden state of step
    5 reaches the inputs of steps 4 and 5, and no other.
    """
    raise NotImplementedError
