"""Say which of your functions in answers.py are right: `python check.py`."""

import math
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from shared.run.cli import read_flags
from shared.run.flags import exercise_flags

if __name__ == "__main__":
    read_flags(exercise_flags)  # before PyTorch is imported, which takes a second

import torch
import torch.nn.functional as F
from torch import nn

from shared.run.cli import run_main
from shared.run.exercises import expect, expect_close, expect_shape, main


def check_step(step: Callable) -> None:
    torch.manual_seed(0)
    cell = nn.LSTMCell(5, 3)
    x, h, c = torch.randn(2, 5), torch.randn(2, 3), torch.randn(2, 3)
    gates = F.linear(x, cell.weight_ih, cell.bias_ih) + F.linear(h, cell.weight_hh, cell.bias_hh)
    wanted_h, wanted_c = cell(x, (h, c))
    h, c = step(gates, c)
    expect_close(c, wanted_c, "c beside torch.nn.LSTMCell")
    expect_close(h, wanted_h, "h beside torch.nn.LSTMCell")


def check_forget_bias(forget_bias: Callable) -> None:
    for steps in (1, 2, 10, 1000):
        gate = 1 / (1 + math.exp(-forget_bias(steps)))
        expect_close(torch.tensor(gate**steps), torch.tensor(0.5), f"what is left after {steps} steps")


def check_latch(latch: Callable) -> None:
    w_ih, w_hh, bias = latch()
    for name, answer, shape in [("w_ih", w_ih, (4, 1)), ("w_hh", w_hh, (4, 1)), ("bias", bias, (4,))]:
        expect_shape(answer, shape, name)
    lstm = nn.LSTM(1, 1)
    weights = dict(weight_ih_l0=w_ih, weight_hh_l0=w_hh, bias_ih_l0=bias, bias_hh_l0=torch.zeros(4))
    lstm.load_state_dict(weights)
    for ones in [[0], [500], [999], [3, 4, 5, 200, 700], []]:
        x = torch.zeros(1000, 1)
        x[ones] = 1
        h = lstm(x)[0].flatten().tolist()
        first = ones[0] if ones else len(h)
        highest, lowest = max(h[:first], default=0), min(h[first:], default=1)
        told = f"ones at {ones} of 1,000 steps"
        expect(highest < 0.1, f"{told}: before the first, h rises to {highest:.2g}")
        expect(lowest > 0.5, f"{told}: after the first, h falls to {lowest:.2g}")


def check_read_in_chunks(read_in_chunks: Callable) -> None:
    torch.manual_seed(0)
    lstm = nn.LSTM(3, 4, batch_first=True)
    for steps, length in [(12, 4), (10, 4), (3, 8)]:
        x = torch.randn(2, steps, 3, requires_grad=True)
        told = f"{steps} steps in chunks of {length}"
        hidden = read_in_chunks(lstm, x, length)
        expect_close(hidden, lstm(x)[0], f"{told}, hidden states")
        places = torch.arange(steps)
        for t in range(steps):
            expect(hidden[:, t].requires_grad, f"{told}: the state after step {t} has no gradient")
            (gradient,) = torch.autograd.grad(hidden[:, t].sum(), x, retain_graph=True)
            reached = gradient.abs().sum((0, 2)) > 0  # (T)
            wanted = (places <= t) & (places >= t // length * length)
            expect_close(reached, wanted, f"{told}: does the gradient of the state after step {t} reach an input?")


if __name__ == "__main__":
    run_main(lambda: main(__file__, check_step, check_forget_bias, check_latch, check_read_in_chunks))
