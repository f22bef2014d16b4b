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
        padded = x.where(real, padding)
        total = x.where(real, 0.0).sum(1)
        mistakes = {
            "Is the padding multiplied by 0? 0 times NaN is NaN. Fill it with zeros instead.": (
                (padded * real).sum(1) / lengths[:, None]
            ),
            "Is the padding in the mean? Sum a text's own words, and divide by its own length.": padded.mean(1),
            "Is it the sum? Divide it by each text's length.": total,
        }
        told = f"texts of 5, 2 and 1 words, {told} in the padding"
        hint = "The sum over the first `length` places of each text, divided by that length."
        expect_close(pool(padded, lengths), wanted, told, hint=hint, mistakes=mistakes)


def check_split_by_play(split_by_play: Callable) -> None:
    cases = [
        ("passages in order", [play for play in "ABCDEFG" for _ in range(4)], 3),
        ("passages in any order", list("CABBACADDBCEEFAFDB"), 3),
        ("plays of unequal length", list("AAAAAAAAAABCDEF"), 2),
    ]
    for told, plays, num_folds in cases:
        folds = split_by_play(list(plays), num_folds)
        expect(isinstance(folds, list) and len(folds) == len(plays), f"{told}: a list is expected, one fold a passage")
        torn = next((play for play in plays if len({f for f, p in zip(folds, plays) if p == play}) > 1), None)
        leak = "What is trained on gives away what is asked. Deal plays, and look each passage's play up."
        expect(torn is None, f"{told}: the play {torn} lies in several folds", leak)
        hint = "Deal the plays out like cards: the remainder of the play's number by num_folds."
        expect(set(folds) == set(range(num_folds)), f"{told}: folds 0 to {num_folds - 1} are expected", hint)
        found = [len({play for fold, play in zip(folds, plays) if fold == number}) for number in range(num_folds)]
        expect(max(found) - min(found) <= 1, f"{told}: the folds have {found} plays, too unequal", hint)


def check_counts_of_others(counts_of_others: Callable) -> None:
    torch.manual_seed(0)
    genres = torch.tensor([0, 0, 1, 2, 2])
    counts = torch.zeros(5, 3, 4)
    counts[torch.arange(5), genres] = torch.randint(1, 9, (5, 4)).float()
    wanted = torch.stack([counts[torch.arange(5) != play].sum(0) for play in range(5)])
    mistakes = {
        "Are the play's own counts still in? Take them out of the sum.": counts.sum(0).expand_as(counts),
        "Are these the counts of the play itself? Those of all others are asked for.": counts,
        "Is it the mean? Counts are added up.": wanted / 4,
    }
    hint = "The sum over all plays, less the play's own counts: a row for each play."
    told = "five plays, two of them of the first genre"
    expect_close(counts_of_others(counts.clone()), wanted, told, hint=hint, mistakes=mistakes)


def check_macro_f1(macro_f1: Callable) -> None:
    cases = [
        ("all right", [0, 1, 2, 1], [0, 1, 2, 1], 3),
        ("classes that are mixed up", [0, 0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 1, 2, 2], 3),
        ("one class has many, and all answers are this class", [0, 0, 0, 0, 0, 0, 0, 0, 1, 2], [0] * 10, 3),
        ("a class that is neither wanted nor given", [0, 0, 0, 1], [0, 0, 0, 0], 3),
    ]
    for told, wanted, given, num_classes in cases:
        pairs = list(zip(wanted, given))
        right = [pairs.count((c, c)) for c in range(num_classes)]
        asked, answered = ([max(1, side.count(c)) for c in range(num_classes)] for side in (wanted, given))
        # With 1 for a count of 0, a class that is never wanted or given has 0 right of 1.
        total = [max(1, wanted.count(c) + given.count(c)) for c in range(num_classes)]
        scores = torch.tensor([2 * r / t for r, t in zip(right, total)])
        there = torch.tensor([wanted.count(c) + given.count(c) > 0 for c in range(num_classes)])
        mistakes = {
            "Is it accuracy? That weighs each example, and not each class, the same.": sum(right) / len(pairs),
            "Is it the mean recall? Wrong answers of a class, FP, count too.": (
                sum(r / n for r, n in zip(right, asked)) / num_classes
            ),
            "Is it the mean precision? Examples that were missed, FN, count too.": (
                sum(r / n for r, n in zip(right, answered)) / num_classes
            ),
            "Is the class that nobody wanted or gave left out? It counts as 0.": scores[there].mean(),
            "Is a factor of 2 missing? F1 = 2 TP / (2 TP + FP + FN).": scores.mean() / 2,
        }
        hint = "F1 of each class, from all its examples and all its answers; then the mean over num_classes."
        mistakes = {cause: torch.as_tensor(value) for cause, value in mistakes.items()}
        found = torch.tensor(float(macro_f1(torch.tensor(wanted), torch.tensor(given), num_classes)))
        expect_close(found, scores.mean(), told, hint=hint, mistakes=mistakes)


if __name__ == "__main__":
    run_main(lambda: main(__file__, check_pool, check_split_by_play, check_counts_of_others, check_macro_f1))
