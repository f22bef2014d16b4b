"""Say which of your functions in answers.py are right: `python check.py`."""

import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from shared.run.cli import read_flags
from shared.run.flags import exercise_flags

if __name__ == "__main__":
    read_flags(exercise_flags)  # before PyTorch is imported, which takes a second

import torch

from shared.run.cli import run_main
from shared.run.exercises import expect_close, main


def check_padding_mask(padding_mask: Callable) -> None:
    for lengths, num_steps in [([2, 3], 3), ([1, 4, 2], 6), ([5], 5)]:
        wanted = torch.tensor([[[step < length for step in range(num_steps)]] for length in lengths])
        told = f"sources of {', '.join(map(str, lengths))} letters, {num_steps} steps"
        expect_close(padding_mask(torch.tensor(lengths), num_steps), wanted, told)


def check_shift_right(shift_right: Callable) -> None:
    for targets, begin in [([[5, 6, 7, 2], [8, 2, 0, 0]], 1), ([[4]], 3)]:
        wanted = torch.tensor([[begin, *row[:-1]] for row in targets])
        expect_close(shift_right(torch.tensor(targets), begin), wanted, f"targets {targets}, begin {begin}")


def check_loss_per_letter(loss_per_letter: Callable) -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 4, 5)
    cases = {"no padding": [[1, 2, 3, 4], [4, 3, 2, 1]], "words of 4 letters and of 1": [[1, 2, 3, 4], [3, 0, 0, 0]]}
    for told, targets in cases.items():
        real = [(b, t, letter) for b, row in enumerate(targets) for t, letter in enumerate(row) if letter != 0]
        wanted = torch.stack([-logits[b, t].log_softmax(-1)[letter] for b, t, letter in real]).mean()
        expect_close(loss_per_letter(logits, torch.tensor(targets), 0), wanted, told)


def check_beam_step(beam_step: Callable) -> None:
    torch.manual_seed(0)
    cases = {
        "one beginning, the empty one": (torch.zeros(1), torch.tensor([[0.1, 0.6, 0.3]]).log(), 2),
        "then, than": (torch.tensor([0.6, 0.4]).log(), torch.tensor([[0.5, 0.3, 0.2], [0.9, 0.05, 0.05]]).log(), 2),
        "three beginnings of many": (torch.randn(3), torch.randn(3, 7).log_softmax(-1), 3),
    }
    for told, (totals, log_p, width) in cases.items():
        ways = [(totals[w] + log_p[w, v], w, v) for w in range(log_p.size(0)) for v in range(log_p.size(1))]
        wanted = [torch.tensor(column) for column in zip(*sorted(ways, reverse=True)[:width])]
        found = beam_step(totals.clone(), log_p.clone(), width)
        for what, one, other in zip(("totals", "beginnings", "symbols"), found, wanted, strict=True):
            expect_close(one, other, f"{told}, {what}")


if __name__ == "__main__":
    run_main(lambda: main(__file__, check_padding_mask, check_shift_right, check_loss_per_letter, check_beam_step))
