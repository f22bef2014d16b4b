"""Four functions to write. `python check.py` makes a copy, answers.py, for you to write in, and says which are right.

B batch, T words of the longest text, H numbers of a word, C genres, G pieces
"""

import torch
from torch import Tensor


def pool(x: Tensor, lengths: Tensor) -> Tensor:
    """Exercise 1. The mean over each text's own words. Padding may hold anything: no number of it may get in.

    x (B, T, H), whose rows are `lengths` (B) long, each at least 1, and the rest padding -> (B, H)
    """
    raise NotImplementedError


def split_by_play(plays: list[str], num_folds: int) -> list[int]:
    """Exercise 2. Deal passages into folds such that nothing leaks: all passages of a play get the same fold.

    Every fold gets as many plays as any other, or one more. Folds are numbered from 0.

    plays: the play of each passage, in any order -> the fold of each passage
    """
    raise NotImplementedError


def counts_of_others(counts: Tensor) -> Tensor:
    """Exercise 3. For a passage of each play, the counts that it may be judged by: those of all plays but its own.

    counts (plays, C, G): how often each piece stands in each play, in the row of the play's genre, 0 in the others
    -> (plays, C, G)
    """
    raise NotImplementedError


def macro_f1(wanted: Tensor, given: Tensor, num_classes: int) -> float:
    """Exercise 4. The mean over classes of F1 = 2 TP / (2 TP + FP + FN), so that each class weighs the same.

    TP: answers of this class that are right; FP: those that are wrong; FN: examples of it that got another answer. A
    class that is neither wanted nor given has an F1 of 0.

    wanted, given (N): the right class and the answer for each example, from 0 to num_classes - 1
    """
    raise NotImplementedError
