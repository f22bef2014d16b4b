"""Four functions to write. `python check.py` makes a copy, answers.py, for you to write in, and says which are right.

B batch, T time, E embedding, H hidden
"""

import math

import torch
from torch import Tensor, nn


def step(gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """Exercise 1. The LSTM's last two equations: from gates and the old cell to the new hidden state and cell.

    gates (B, 4 H) before sigmoid and tanh, in PyTorch's order i, f, g, o; c (B, H) -> h (B, H), c (B, H)
    """
    raise NotImplementedError


def forget_bias(steps: int) -> float:
    """Exercise 2. For a cell to which nothing is written: how large must the forget gate's bias be, if nothing else
    reaches that gate, so that half of the cell is left after `steps` steps?

    Close to 0 for one step, since sigmoid(0) is a half.
    """
    raise NotImplementedError


def latch() -> tuple[Tensor, Tensor, Tensor]:
    """Exercise 3. An LSTM with one cell, set by hand. It reads zeros and a few ones, and remembers whether there
    was a 1 among them: h stays below 0.1 until it reads the first 1, and above 0.5 from then on, for a thousand
    steps.

    -> w_ih (4, 1), w_hh (4, 1), bias (4), all for i, f, g, o in this order
    """
    raise NotImplementedError


def read_in_chunks(lstm: nn.LSTM, x: Tensor, length: int) -> Tensor:
    """Exercise 4. Truncated backpropagation through time: a text is read in chunks, the state is carried on from chunk
    to chunk, and its gradient is not.

    lstm, one layer with batch_first=True; x (B, T, E); chunks of `length` steps, the last one may be shorter
    -> hidden states (B, T, H), as if the text had been read at once
    """
    raise NotImplementedError
