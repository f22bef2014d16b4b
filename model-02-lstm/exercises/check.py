"""Says which of your functions in answers.py are right: `python check.py`."""

import math
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
import torch.nn.functional as F
from torch import nn

from shared.run.cli import run_main
from shared.run.exercises import expect, expect_close, expect_shape, main


def check_step(step):
    torch.manual_seed(0)
    cell = nn.LSTMCell(5, 3)
    x, h, c = torch.randn(2, 5), torch.randn(2, 3), torch.randn(2, 3)
    gates = F.linear(x, cell.weight_ih, cell.bias_ih) + F.linear(h, cell.weight_hh, cell.bias_hh)
    wanted_h, wanted_c = cell(x, (h, c))
    h, c = step(gates, c)
    expect_close(c, wanted_c, "c beside torch.nn.LSTMCell")
    expect_close(h, wanted_h, "h beside torch.nn.LSTMCell")


def check_forget_bias(forget_bias):
    for steps in (1, 2, 10, 1000):
        gate = 1 / (1 + math.exp(-forget_bias(steps)))
        expect_close(torch.tensor(gate**steps), torch.tensor(0.5), f"what is left after {steps} steps")


def check_latch(latch):
    w_ih, w_hh, bias = latch()
    lstm = nn.LSTM(1, 1)
    for parameter, answer in [(lstm.weight_ih_l0, w_ih), (lstm.weight_hh_l0, w_hh), (lstm.bias_ih_l0, bias)]:
        expect_shape(answer, tuple(parameter.shape), "w_ih, w_hh, bias")
        parameter.data.copy_(answer)
    lstm.bias_hh_l0.data.zero_()
    for ones in [(), (0,), (500,), (999,), (3, 4, 5, 200, 700)]:
        x = torch.zeros(1000, 1)
        x[list(ones)] = 1
        h = lstm(x)[0].detach().flatten()
        first = min(ones, default=1000)
        told = f"ones at {list(ones)} of 1,000 steps"
        expect((h[:first] < 0.1).all(), f"{told}: before a 1 comes, h rises to {h[:first].max() if first else 0:.2g}")
        expect((h[first:] > 0.5).all(), f"{told}: after the first, h falls to {h[first:].min() if ones else 1:.2g}")


def check_read_in_chunks(read_in_chunks):
    torch.manual_seed(0)
    lstm = nn.LSTM(3, 4, batch_first=True)
    for steps, length in [(12, 4), (10, 4), (3, 8)]:
        x = torch.randn(2, steps, 3, requires_grad=True)
        told = f"{steps} steps in chunks of {length}"
        hidden = read_in_chunks(lstm, x, length)
        expect_close(hidden, lstm(x)[0], f"{told}, hidden states")
        (gradient,) = torch.autograd.grad(hidden[:, -1].sum(), x)
        reached = gradient.abs().sum((0, 2)) > 0  # (T): may the last state's gradient come here?
        wanted = torch.arange(steps) >= (steps - 1) // length * length
        expect_close(reached, wanted, f"{told}: does the last state's gradient reach the input of a step?")


if __name__ == "__main__":
    run_main(lambda: main(__file__, check_step, check_forget_bias, check_latch, check_read_in_chunks))
