"""N-grams with Kneser-Ney smoothing: what counting alone predicts. The docstring of shared/ngram.py explains them."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from shared.errors import UserError
from shared.measure.evaluation import Evaluation

ABSOLUTE = 0.5  # what is taken from each count when the counts say nothing better
# Of longer texts the beginning is counted, and scored: n-grams of eight tokens take up to 300 bytes a place.
MOST_COUNTED, MOST_SCORED = 4_500_000, 1_000_000  # tokens

# ------------------------------------------------------------------------------------------------------------ counting


def estimate_discounts(counts: np.ndarray) -> tuple[np.ndarray, str | None]:
    """What to take from counts of 0, 1, 2 and 3 or more, and a remark where the usual estimate fails.

    A rare n-gram was seen partly by luck: in another text of this length, those that were seen twice here would be seen
    less than twice, on average. How much less is estimated from n_i, the number of n-grams that were seen i times (Chen
    and Goodman 1999):

        D(i) = i - (i + 1) * Y * n_{i+1} / n_i  for i = 1, 2, 3        Y = n_1 / (n_1 + 2 n_2)

    Where one of n_1 to n_4 is 0, or a D(i) is no amount that can be taken from i, the same is taken from every count,
    namely Y, or a half where there is no Y. That is absolute discounting.

    >>> estimate_discounts(np.array([1] * 10 + [2] * 5 + [3] * 3 + [4] * 2))[0].round(2).tolist()
    [0.0, 0.5, 1.1, 1.67]
    >>> estimate_discounts(np.array([1, 1, 2]))
    (array([0. , 0.5, 0.5, 0.5]), 'absolute discounting, 0.500 from every count')
    """
    seen = np.bincount(np.minimum(counts, 5), minlength=6).astype(float)  # seen[i]: n_i
    ratio = seen[1] / (seen[1] + 2 * seen[2]) if seen[1] and seen[2] else ABSOLUTE
    if seen[1:5].all():
        discounts = np.array([0.0] + [i - (i + 1) * ratio * seen[i + 1] / seen[i] for i in (1, 2, 3)])
        if all(0 < discounts[i] <= i for i in (1, 2, 3)):
            return discounts, None
    return np.array([0.0, ratio, ratio, ratio]), f"absolute discounting, {ratio:.3f} from every count"


class Discounted:
    """Counts of the n-grams of one length after discounting: one step of the recursion in shared/ngram.py.

    counts (grams)    how often each n-gram was seen, or how many tokens were seen before it
    contexts (grams)  the number of each n-gram's context, which is all of it but its last token
    """

    def __init__(self, counts: np.ndarray, contexts: np.ndarray, number_of_contexts: int) -> None:
        self.discounts, self.remark = estimate_discounts(counts)
        taken = self.discounts[np.minimum(counts, 3)]  # (grams): D(c)
        self.kept = counts - taken  # (grams): c - D(c)
        self.totals = np.bincount(contexts, counts, number_of_contexts)  # (contexts): c(h)
        self.reserved = np.bincount(contexts, taken, number_of_contexts) / np.maximum(self.totals, 1)  # (contexts): r

    def probability(self, contexts: np.ndarray, grams: np.ndarray, shorter: np.ndarray) -> np.ndarray:
        """p_n of T tokens, from the numbers of their contexts and n-grams (-1: never seen) and from p_{n-1}; all (T).

        After a context that was never seen there is nothing to count, and p_{n-1} has the whole say.
        """
        known = (contexts >= 0) & (self.totals[contexts] > 0)
        own = np.where(grams >= 0, self.kept[grams], 0) / np.where(known, self.totals[contexts], 1)
        return np.where(known, own + self.reserved[contexts] * shorter, shorter)


class Level:
    """All n-grams of one length in the training text, counted in both ways: `occurring` and `preceded`.

    Every n-gram gets a number. For that it is seen as a pair (number of its context, last token), packed into one
    integer, context * V + token; its number is its rank among all such integers. So an n-gram of any length fits into
    64 bits, which n ids of a large vocabulary side by side would not.
    """

    def __init__(self, pairs: np.ndarray, counts: np.ndarray, vocab_size: int, number_of_contexts: int) -> None:
        self.pairs, self.vocab_size, self.number_of_contexts = pairs, vocab_size, number_of_contexts  # pairs: sorted
        self.occurring = self._discounted(counts)

    def _discounted(self, counts: np.ndarray) -> Discounted:
        return Discounted(counts, self.pairs // self.vocab_size, self.number_of_contexts)

    def count_preceding(self, ends: np.ndarray) -> None:
        """Count the different tokens before each n-gram; ends: for each (n+1)-gram, the n-gram that it ends with."""
        self.preceded = self._discounted(np.bincount(ends, minlength=len(self.pairs)))

    def find(self, contexts: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        """The number of each n-gram, or -1 where it does not occur in the training text; all (T)."""
        wanted = contexts * self.vocab_size + tokens
        places = np.minimum(np.searchsorted(self.pairs, wanted), len(self.pairs) - 1)
        return np.where((contexts >= 0) & (self.pairs[places] == wanted), places, -1)


class KneserNey:
    """The models of order 1 to `order`, counted on the ids (T) of a training text.

    What follows "a" (0) in the text "a b a c a b", by pairs? "b" (1) twice and "c" (2) once, less what is discounted:

    >>> model = KneserNey(np.array([0, 1, 0, 2, 0, 1]), vocab_size=3, order=2)
    >>> [model.probabilities(np.array([0, token]))[1, 1].round(3).item() for token in (0, 1, 2)]
    [0.2, 0.567, 0.233]
    """

    def __init__(self, tokens: np.ndarray, vocab_size: int, order: int) -> None:
        self.vocab_size, self.levels = vocab_size, []
        contexts, number_of_contexts = np.zeros_like(tokens), 1  # before a single token: the empty context
        shorter_grams = None  # the number of the (n-1)-gram that ends at each token
        for n in tqdm(range(1, order + 1), "counting n-grams", file=sys.stderr, delay=1, leave=False):
            pairs, first, grams, counts = np.unique(
                contexts * vocab_size + tokens[n - 1 :], return_index=True, return_inverse=True, return_counts=True
            )
            # `first` is where each different n-gram stands first. One place of each is enough to count, for the level
            # below, how many different tokens precede what the n-gram ends with.
            if self.levels:
                self.levels[-1].count_preceding(shorter_grams[1:][first])
            self.levels.append(Level(pairs, counts, vocab_size, number_of_contexts))
            # The n-gram that ends at a token is the context of the token after it.
            contexts, shorter_grams, number_of_contexts = grams[:-1], grams, len(pairs)

    def remarks(self) -> list[str]:
        """Where the usual discounts could not be used."""
        occurring = {f"{n}-grams, as they occur": level.occurring for n, level in enumerate(self.levels, start=1)}
        preceded = {f"{n}-grams, by what precedes": level.preceded for n, level in enumerate(self.levels[:-1], start=1)}
        return [f"{name}: {counted.remark}" for name, counted in (occurring | preceded).items() if counted.remark]

    def probabilities(self, tokens: np.ndarray) -> np.ndarray:
        """Row n - 1: what the model of order n gives each token after those before it; ids (T) -> (order, T).

        All orders come out of one pass, since each needs the shorter contexts of the next.
        """
        rows = []
        contexts = np.zeros_like(tokens)
        shorter = np.full(len(tokens), 1 / self.vocab_size)
        for level in self.levels:
            grams = level.find(contexts, tokens)
            # As the longest n-grams of a model these count as they occur; as shorter ones, by what precedes them.
            rows.append(level.occurring.probability(contexts, grams, shorter))
            if level is not self.levels[-1]:
                shorter = level.preceded.probability(contexts, grams, shorter)
            contexts = np.concatenate([[-1], grams[:-1]])  # before the first token there is no context of this length
        return np.stack(rows)

    def seen(self, tokens: np.ndarray) -> np.ndarray:
        """Whether the training text has the longest n-gram that ends at each token; ids (T) -> bool (T).

        >>> KneserNey(np.array([0, 1, 0, 2, 0, 1]), vocab_size=3, order=2).seen(np.array([0, 2, 1])).tolist()
        [False, True, False]
        """
        contexts = np.zeros_like(tokens)
        for level in self.levels:
            grams = level.find(contexts, tokens)
            contexts = np.concatenate([[-1], grams[:-1]])
        return grams >= 0


# ------------------------------------------------------------------------------------------------------------- scoring


def mean_nats(probabilities: np.ndarray) -> float | np.ndarray:
    """The cross-entropy in nats per token: (..., T) -> (...). The first token, with nothing before it, is not scored.

    >>> mean_nats(np.array([0.1, 0.5, 0.5])).round(3).item()  # each one of two, equally likely: log 2
    0.693
    """
    return -np.log(probabilities[..., 1:]).mean(axis=-1)


@dataclass(frozen=True)
class NGramScore:
    """How well each order from 1 on predicts the validation text, and what there is to remark."""

    orders: list[Evaluation]
    remarks: list[str]

    @property
    def best_order(self) -> int:
        """The order with the lowest loss."""
        return 1 + min(range(len(self.orders)), key=lambda index: self.orders[index].nats)


def score(
    train_ids: Sequence[int],
    validation_ids: Sequence[int],
    vocab_size: int,
    order: int,
    characters: int | None = None,
) -> NGramScore:
    """Count n-grams up to `order` in the training ids and score the validation ids as one stream, all but the first.

    characters: of text that the scored tokens stand for, where the tokenizer is lossless.
    UserError: an order below 1, or texts too short to count.
    """
    train, validation = np.asarray(train_ids, dtype=np.int64), np.asarray(validation_ids, dtype=np.int64)
    if order < 1:
        raise UserError(f"the order is {order}; it must be at least 1")
    if len(train) < max(20, 2 * order) or len(validation) < 2:
        raise UserError(f"{len(train)} training and {len(validation)} validation tokens are too few to count")
    model, count = KneserNey(train, vocab_size, order), len(validation) - 1
    losses = mean_nats(model.probabilities(validation))  # (order)
    return NGramScore([Evaluation(loss * count, count, characters) for loss in losses.tolist()], model.remarks())
