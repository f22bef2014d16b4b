"""One way to write each function of exercises.py. Others are as good: check.py looks at what they return.

B batch, T words of the longest text, H numbers of a word, C genres, G pieces
"""

import torch
from torch import Tensor


def pool(x: Tensor, lengths: Tensor) -> Tensor:
    real = torch.arange(x.size(1)) < lengths[:, None]  # (B, T)
    # Filled with zeros and not multiplied by them: 0 times a NaN is NaN.
    return x.masked_fill(~real[..., None], 0.0).sum(1) / lengths[:, None]


def split_by_play(plays: list[str], num_folds: int) -> list[int]:
    # A dict keeps the order in which the plays come; they are dealt out like cards.
    fold = {play: number % num_folds for number, play in enumerate(dict.fromkeys(plays))}
    return [fold[play] for play in plays]


def counts_of_others(counts: Tensor) -> Tensor:
    return counts.sum(0) - counts


def macro_f1(wanted: Tensor, given: Tensor, num_classes: int) -> float:
    scores = []
    for c in range(num_classes):
        right = ((wanted == c) & (given == c)).sum().item()
        # 2 TP + FP + FN: every example of the class and every answer of it.
        total = (wanted == c).sum().item() + (given == c).sum().item()
        scores.append(2 * right / total if total else 0.0)
    return sum(scores) / num_classes
