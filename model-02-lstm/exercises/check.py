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
from torch import Tensor, nn

from shared.run.cli import run_main
from shared.run.exercises import expect, expect_close, expect_shape, main


def check_step(step: Callable) -> None:
    torch.manual_seed(0)
    cell = nn.LSTMCell(5, 3)
    x, h, old = torch.randn(2, 5), torch.randn(2, 3), torch.randn(2, 3)
    gates = (F.linear(x, cell.weight_ih, cell.bias_ih) + F.linear(h, cell.weight_hh, cell.bias_hh)).detach()
    wanted_h, wanted_c = (part.detach() for part in cell(x, (h, old)))
    h, c = step(gates, old)
    i, f, g, o = gates.chunk(4, dim=1)
    open_i, open_f, open_o = i.sigmoid(), f.sigmoid(), o.sigmoid()
    mistakes = {
        "Is c returned first? The order is h, c.": wanted_h,
        "Are the gates taken in the order i, f, o, g? In PyTorch g is the third.": open_f * old + open_i * o.tanh(),
        "Are the gates taken in the order f, i, g, o? In PyTorch i is the first.": open_i * old + open_f * g.tanh(),
        "Is g a sigmoid? What is written has a tanh, so that it may be negative.": open_f * old + open_i * g.sigmoid(),
        "Is g left as it is? What is written has a tanh.": open_f * old + open_i * g,
        "Are the gates left as they are? A sigmoid takes them between 0 and 1.": f * old + i * g.tanh(),
        "Is 1 - f used for i? An LSTM has a gate of its own for writing.": open_f * old + (1 - open_f) * g.tanh(),
    }
    hint = "c is sigmoid(f) times the old cell, plus sigmoid(i) times tanh(g)."
    expect_close(c, wanted_c, "c beside torch.nn.LSTMCell", hint=hint, mistakes=mistakes)
    mistakes = {
        "Is the old cell shown? h is made from the new one.": open_o * old.tanh(),
        "Is the tanh missing? h is sigmoid(o) times the tanh of the new cell.": open_o * wanted_c,
        "Is the sigmoid of o missing?": o * wanted_c.tanh(),
    }
    hint = "c is right, and h is sigmoid(o) times the tanh of it."
    expect_close(h, wanted_h, "h beside torch.nn.LSTMCell", hint=hint, mistakes=mistakes)


def check_forget_bias(forget_bias: Callable) -> None:
    for steps in (1, 2, 10, 1000):

        def left(bias: float, steps: int = steps) -> Tensor:
            """What is left of the cell."""
            return torch.tensor((1 / (1 + math.exp(-bias))) ** steps)

        gate = 0.5 ** (1 / steps)
        mistakes = {
            f"Is it the gate? Its bias is asked for: the number whose sigmoid is {gate:.4g}.": left(gate),
            "Is the sign reversed? To keep much the bias must be positive.": left(-math.log(gate / (1 - gate))),
            "Is it the log of the gate? The inverse of the sigmoid is log(p / (1 - p)).": left(math.log(gate)),
        }
        hint = f"The gate has to be p = .5 ** (1 / {steps}) = {gate:.4g}, and sigmoid(bias) = p."
        told = f"what is left after {steps} steps"
        expect_close(left(forget_bias(steps)), torch.tensor(0.5), told, hint=hint, mistakes=mistakes)


def check_latch(latch: Callable) -> None:
    w_ih, w_hh, bias = latch()
    for name, answer, shape in [("w_ih", w_ih, (4, 1)), ("w_hh", w_hh, (4, 1)), ("bias", bias, (4,))]:
        expect_shape(answer, shape, name, "One row for each of i, f, g, o; one column for the one input or the one h.")
    lstm = nn.LSTM(1, 1)
    weights = dict(weight_ih_l0=w_ih, weight_hh_l0=w_hh, bias_ih_l0=bias, bias_hh_l0=torch.zeros(4))
    lstm.load_state_dict(weights)
    i, f, g, _ = bias
    leaking = f"When x and h are 0, i * g is {i.sigmoid() * g.tanh():.2g}, and so much is written at every step."
    fading = (
        f"sigmoid(i) tanh(g) is written, a thousand steps leave {f.sigmoid() ** 1000:.2g} of it, and sigmoid(o) shows "
        "a part of that: which of the three is too small?"
    )
    for ones in [[0], [500], [999], [3, 4, 5, 200, 700], []]:
        x = torch.zeros(1000, 1)
        x[ones] = 1
        h = lstm(x)[0].flatten().tolist()
        first = ones[0] if ones else len(h)
        highest, lowest = max(h[:first], default=0), min(h[first:], default=1)
        told = f"ones at {ones} of 1,000 steps"
        expect(highest < 0.1, f"{told}: before the first, h rises to {highest:.2g}", leaking)
        expect(lowest > 0.5, f"{told}: after the first, h falls to {lowest:.2g}", fading)


def check_read_in_chunks(read_in_chunks: Callable) -> None:
    torch.manual_seed(0)
    lstm = nn.LSTM(3, 4, batch_first=True)
    for steps, length in [(12, 4), (10, 4), (3, 8)]:
        x = torch.randn(2, steps, 3, requires_grad=True)
        told = f"{steps} steps in chunks of {length}"
        hidden, wanted = read_in_chunks(lstm, x, length), lstm(x)[0]
        mistakes = {
            "Does each chunk begin with a new state? Hand on the last one, h and c.": (
                torch.cat([lstm(chunk)[0] for chunk in x.split(length, dim=1)], dim=1)
            ),
            "Is the last, shorter chunk left out?": wanted[:, : steps // length * length],
            "Is only the last chunk returned? Put all of them side by side, in time.": (
                wanted[:, (steps - 1) // length * length :]
            ),
        }
        hint = "Each chunk begins with the h and the c with which the one before it ended."
        expect_close(hidden, wanted, f"{told}, hidden states", hint=hint, mistakes=mistakes)
        places = torch.arange(steps)
        for t in range(steps):
            expect(
                hidden[:, t].requires_grad,
                f"{told}: the state after step {t} has no gradient",
                "Only the state that is handed on is detached, and not what is returned.",
            )
            (gradient,) = torch.autograd.grad(hidden[:, t].sum(), x, retain_graph=True)
            reached = gradient.abs().sum((0, 2)) > 0  # (T)
            wanted = (places <= t) & (places >= t // length * length)
            mistakes = {
                "It goes back beyond the chunk. Between chunks, are h and c detached, both of them?": places <= t,
            }
            hint = "It should go back to the beginning of its own chunk, and no further."
            question = f"{told}: does the gradient of the state after step {t} reach an input?"
            expect_close(reached, wanted, question, hint=hint, mistakes=mistakes)


if __name__ == "__main__":
    run_main(lambda: main(__file__, check_step, check_forget_bias, check_latch, check_read_in_chunks))
