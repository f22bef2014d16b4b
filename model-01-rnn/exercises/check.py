"""Say which of your functions in answers.py are right: `python check.py`."""

import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from shared.run.cli import read_flags
from shared.run.flags import exercise_flags

if __name__ == "__main__":
    read_flags(exercise_flags)  # before PyTorch is imported, which takes a second

import torch
from torch import nn

from shared.run.cli import run_main
from shared.run.exercises import expect, expect_close, main


def check_step(step: Callable) -> None:
    torch.manual_seed(0)
    cell = nn.RNNCell(5, 3)
    x_t, h = torch.randn(2, 5), torch.randn(2, 3)
    wanted = cell(x_t, h)
    answer = step(x_t, h, cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh)
    expect_close(answer, wanted, "beside torch.nn.RNNCell")


def check_chunks(chunks: Callable) -> None:
    for length, batch_size, context_length in [(13, 2, 3), (12, 2, 3), (100, 3, 7), (1000, 8, 16)]:
        ids = torch.arange(length)
        case = f"{length} tokens in {batch_size} rows, {context_length} at a time"
        batches = chunks(ids, batch_size, context_length)
        wanted = (length - 1) // (batch_size * context_length)
        expect(len(batches) == wanted, f"{case}: {wanted} batches are expected, and not {len(batches)}")
        for number, (inputs, targets) in enumerate(batches):
            expect(not (inputs.is_floating_point() or targets.is_floating_point()), f"{case}: ids are whole numbers")
            starts = torch.arange(batch_size) * wanted * context_length + number * context_length
            places = starts[:, None] + torch.arange(context_length)  # (B, T) in the text
            expect_close(inputs, ids[places], f"{case}, inputs of batch {number}")
            expect_close(targets, ids[places + 1], f"{case}, targets of batch {number}")


def check_perplexity(perplexity: Callable) -> None:
    # Each token is a choice between n equally likely ones, n = 2 three times and n = 16 once: 2 ** (7 / 4) on average.
    two, sixteen = torch.tensor(2.0).log(), torch.tensor(16.0).log()
    for pieces in [[4], [1, 3], [3, 1], [2, 2]]:
        losses = torch.stack([two, two, two, sixteen]).split(pieces)
        answer = torch.as_tensor(perplexity(list(losses)))
        expect_close(answer, torch.tensor(2 ** (7 / 4)), f"pieces of {pieces} tokens")


def check_reach(reach: Callable) -> None:
    torch.manual_seed(0)
    # Each step keeps half of the memory, so the gradient halves with each.
    halved = reach(lambda x_t, h: x_t + h / 2, torch.randn(6, 4), torch.randn(4))
    expect_close(halved, 2 * 0.5 ** torch.arange(5, -1, -1), "a cell that keeps half")
    cell = nn.RNNCell(5, 3)
    inputs, h = torch.randn(8, 5), torch.randn(3)
    answer = reach(cell, inputs, h)
    # By the chain rule: back through one step is a product with W_hh' and the slope of tanh, 1 - h ** 2.
    memories = []
    for x_t in inputs:
        h = cell(x_t, h).detach()
        memories.append(h)
    gradient, wanted = torch.ones(3), []
    for h in reversed(memories):
        wanted.insert(0, gradient.norm())
        gradient = cell.weight_hh.detach().T @ (gradient * (1 - h**2))
    expect_close(answer, torch.stack(wanted), "a torch.nn.RNNCell")


if __name__ == "__main__":
    run_main(lambda: main(__file__, check_step, check_chunks, check_perplexity, check_reach))
