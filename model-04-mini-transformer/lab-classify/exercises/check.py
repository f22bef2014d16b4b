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
from shared.run.exercises import expect, expect_close, main


def check_pool(pool: Callable) -> None:
    torch.manual_seed(0)
    x, lengths = torch.randn(3, 5, 2), torch.tensor([5, 2, 1])
    wanted = torch.stack([text[:length].mean(0) for text, length in zip(x, lengths.tolist())])
    real = (torch.arange(5) < lengths[:, None])[..., None]
    for told, padding in {"zeros": 0.0, "other numbers": 7.0, "NaN": float("nan")}.items():
        expect_close(pool(x.where(real, padding), lengths), wanted, f"texts of 5, 2 and 1 words, {told} in the padding")


def check_split_by_play(split_by_play: Callable) -> None:
    cases = [
        ("passages in order", [play for play in "ABCDEFG" for _ in range(4)], 3),
        ("passages in any order", list("CABBACADDBCEEFAFDB"), 3),
        ("plays of unequal length", list("AAAAAAAAAABCDEF"), 2),
    ]
    for told, plays, num_folds in cases:
        folds = split_by_play(list(plays), num_folds)
        expect(
            isinstance(folds, list) and len(folds) == len(plays), f"{told}: a list is expected, a fold for each passage"
        )
        torn = next((play for play in plays if len({f for f, p in zip(folds, plays) if p == play}) > 1), None)
        expect(torn is None, f"{told}: the play {torn} lies in several folds, so what is trained on gives it away")
        found = [len({play for fold, play in zip(folds, plays) if fold == number}) for number in range(num_folds)]
        expect(set(folds) == set(range(num_folds)), f"{told}: folds from 0 to {num_folds - 1} are expected")
        expect(max(found) - min(found) <= 1, f"{told}: the folds have {found} plays, and not as many each or one more")


def check_counts_of_others(counts_of_others: Callable) -> None:
    torch.manual_seed(0)
    genres = torch.tensor([0, 0, 1, 2, 2])
    counts = torch.zeros(5, 3, 4)
    counts[torch.arange(5), genres] = torch.randint(1, 9, (5, 4)).float()
    wanted = torch.stack([counts[torch.arange(5) != play].sum(0) for play in range(5)])
    expect_close(counts_of_others(counts.clone()), wanted, "five plays, two of them of the first genre")


def check_macro_f1(macro_f1: Callable) -> None:
    cases = [
        ("all right", [0, 1, 2, 1], [0, 1, 2, 1], 3, 1.0),
        ("one class has many, and all answers are this class", [0, 0, 0, 0, 0, 0, 0, 0, 1, 2], [0] * 10, 3, 8 / 27),
        ("two classes that are mixed up", [0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 0, 2], 3, (2 / 3 + 1 / 2 + 1) / 3),
        ("a class that is neither wanted nor given", [0, 1], [0, 1], 3, 2 / 3),
    ]
    for told, wanted, given, num_classes, score in cases:
        found = macro_f1(torch.tensor(wanted), torch.tensor(given), num_classes)
        expect(abs(float(found) - score) < 1e-6, f"{told}: {score:.4g} is expected, and not {float(found):.4g}")


if __name__ == "__main__":
    run_main(lambda: main(__file__, check_pool, check_split_by_play, check_counts_of_others, check_macro_f1))
