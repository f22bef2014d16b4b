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
import torch.nn.functional as F

from shared.run.cli import run_main
from shared.run.exercises import expect_close, main


def check_padding_mask(padding_mask: Callable) -> None:
    for lengths, num_steps in [([2, 3], 3), ([1, 4, 2], 6), ([5], 5)]:
        wanted = torch.tensor([[[step < length for step in range(num_steps)]] for length in lengths])
        mistakes = {
            "Is it reversed? True is for letters that may be looked at.": ~wanted,
            "Is it one place too long? Places are counted from 0.": torch.tensor(
                [[[step <= length for step in range(num_steps)]] for length in lengths]
            ),
            "Is the 1 in the middle missing? Beside scores (B, T, S) the sources would be taken for queries.": wanted[
                :, 0
            ],
        }
        told = f"sources of {', '.join(map(str, lengths))} letters, {num_steps} steps"
        hint = "Compare torch.arange(num_steps) with each length."
        expect_close(padding_mask(torch.tensor(lengths), num_steps), wanted, told, hint=hint, mistakes=mistakes)


def check_shift_right(shift_right: Callable) -> None:
    for rows, begin in [([[5, 6, 7, 2], [8, 2, 0, 0]], 1), ([[4]], 3)]:
        targets = torch.tensor(rows)
        wanted = torch.tensor([[begin, *row[:-1]] for row in rows])
        mistakes = {
            "Are these the targets themselves? The decoder would read the letter that it is to write.": targets,
            "Does the last target come first? `begin` should.": targets.roll(1, 1),
            "Is it shifted to the left? The decoder would read a letter ahead.": F.pad(
                targets[:, 1:], (0, 1), value=begin
            ),
            "Is the last target still there? It is written, and never read.": F.pad(targets, (1, 0), value=begin),
        }
        told = f"targets {rows}, begin {begin}"
        hint = "`begin` in front of each row, and all of the row but its last id."
        expect_close(shift_right(targets, begin), wanted, told, hint=hint, mistakes=mistakes)


def check_loss_per_letter(loss_per_letter: Callable) -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 4, 5)
    cases = {"no padding": [[1, 2, 3, 4], [4, 3, 2, 1]], "words of 4 letters and of 1": [[1, 2, 3, 4], [3, 0, 0, 0]]}
    for told, rows in cases.items():
        targets = torch.tensor(rows)
        nats = -logits.log_softmax(-1).gather(2, targets[..., None])[..., 0]  # (B, T)
        real = nats.where(targets != 0, 0.0)
        lengths = (targets != 0).sum(1)
        mistakes = {
            "Is padding counted? It is no letter.": nats.mean(),
            "Is the sum divided by all places, padding too? Divide by the number of real letters.": real.sum() / 8,
            "Is it the mean of each word's mean? Then a letter of a short word weighs more.": (
                (real.sum(1) / lengths).mean()
            ),
            "Is it the sum? Divide it by the number of real letters.": real.sum(),
        }
        hint = "Minus log p of each real letter, summed over the batch, divided once by their number."
        expect_close(
            loss_per_letter(logits, targets, 0), real.sum() / lengths.sum(), told, hint=hint, mistakes=mistakes
        )


def check_beam_step(beam_step: Callable) -> None:
    torch.manual_seed(0)
    cases = {
        "one beginning, the empty one": (torch.zeros(1), torch.tensor([[0.1, 0.6, 0.3]]).log(), 2),
        "then, than": (torch.tensor([0.6, 0.4]).log(), torch.tensor([[0.5, 0.3, 0.2], [0.9, 0.05, 0.05]]).log(), 2),
        "three beginnings of many": (torch.randn(3), torch.randn(3, 7).log_softmax(-1), 3),
    }
    for told, (totals, log_p, width) in cases.items():
        extended = totals[:, None] + log_p  # (W, V)
        ways = [(extended[w, v], w, v) for w in range(log_p.size(0)) for v in range(log_p.size(1))]
        best, beginnings, symbols = (torch.tensor(column) for column in zip(*sorted(ways, reverse=True)[:width]))
        found_best, found_beginnings, found_symbols = beam_step(totals.clone(), log_p.clone(), width)
        mistakes = {
            "Are the beginnings' own log p missing? Add them.": log_p.flatten().topk(width)[0],
            "Is log p multiplied? Probabilities are; their logs are added.": (
                (totals[:, None] * log_p).flatten().topk(width)[0]
            ),
            "Is it the best way of each beginning? Two that are kept may go on from the same one.": (
                extended.max(1)[0].sort(descending=True)[0]
            ),
            "Does the likeliest stand last? It should stand first.": best.flip(0),
        }
        hint = "Lay all W * V sums in one row, take the largest; the place in the row tells beginning and symbol."
        expect_close(found_best, best, f"{told}, totals", hint=hint, mistakes=mistakes)
        changed = {"Are beginnings and symbols changed over? The beginnings come first.": symbols}
        expect_close(found_beginnings, beginnings, f"{told}, beginnings", hint=hint, mistakes=changed)
        expect_close(found_symbols, symbols, f"{told}, symbols", hint=hint)


if __name__ == "__main__":
    run_main(lambda: main(__file__, check_padding_mask, check_shift_right, check_loss_per_letter, check_beam_step))
