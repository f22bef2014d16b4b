"""Three tasks in which it is known where to look: lag, copy and associative recall.

B sequences, T tokens, N questions

A batch is random tokens and, at each position, the place of the token that answers: so the right answer, how far back
it stands and where attention belongs are all known. Symbols are uniform and independent, so whoever does not look has
one chance in `num_symbols`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

NO_QUESTION = -1


@dataclass(frozen=True)
class Questions:
    """tokens (B, T) and places (B, T): where the answer to the question at t stands, or NO_QUESTION."""

    tokens: Tensor
    places: Tensor

    @property
    def asked(self) -> Tensor:
        """(B, T) bool: where there is a question."""
        return self.places != NO_QUESTION

    @property
    def answers(self) -> Tensor:
        """(B, T): the token to predict; meaningless where nothing is asked."""
        return self.tokens.gather(1, self.places.clamp(min=0))

    @property
    def distances(self) -> Tensor:
        """(B, T): how many tokens before the one just read the answer stands; meaningless where nothing is asked."""
        return torch.arange(self.tokens.size(1)) - self.places


@dataclass(frozen=True)
class RecallTask:
    """`generate(reach, num_tokens, generator)` makes questions, harder with `reach`, about `num_tokens` tokens in all.

    num_symbols: how many answers there are, so a guess is right once in as many times. reaches: what to learn, in
    rising order. one_model: one model can learn all of them, since a question says where to look; else each needs its
    own. num_blocks: as many layers of self-attention as finding the answer takes. With more, one may fetch what another
    has carried elsewhere, and then no single map shows where the answer came from. learning_rate: for all stages.
    """

    title: str
    generate: Callable[[int, int, Generator], Questions]
    vocab_size: int
    num_symbols: int
    num_blocks: int
    learning_rate: float
    reaches: tuple[int, ...]
    one_model: bool

    def courses(self, longest: int) -> list[tuple[int, ...]]:
        """The reaches up to `longest`, in one course for one model or in a course each."""
        reaches = tuple(reach for reach in self.reaches if reach <= longest)
        return [reaches] if self.one_model else [(reach,) for reach in reaches]


def symbols(shape: tuple[int, ...], num_symbols: int, generator: Generator) -> Tensor:
    """Uniform random symbols."""
    return torch.randint(num_symbols, shape, generator=generator)


# ----------------------------------------------------------------------------------------------------------------- lag

LAG_SYMBOLS = 16
LAGS = tuple(2**k - 1 for k in range(1, 7))  # odd: a mark stands at an odd position, so an even one is asked for


def lag_questions(reach: int, num_tokens: int, generator: Generator) -> Questions:
    """Symbols and marks take turns; each mark asks for the symbol that stands its number of tokens before it.

    Marks of lags up to `reach`; sequences of 2 * reach tokens.
    """
    length = 2 * reach
    size = max(1, num_tokens // length)
    lags = torch.tensor([lag for lag in LAGS if lag <= reach])
    tokens = symbols((size, length), LAG_SYMBOLS, generator)  # (B, T)
    chosen = torch.randint(len(lags), (size, reach), generator=generator)
    tokens[:, 1::2] = LAG_SYMBOLS + chosen
    places = torch.full_like(tokens, NO_QUESTION)
    places[:, 1::2] = (torch.arange(1, length, 2) - lags[chosen]).clamp(min=NO_QUESTION)
    return Questions(tokens, places)


# ---------------------------------------------------------------------------------------------------------------- copy

COPY_SYMBOLS = 16
SEPARATOR = COPY_SYMBOLS


def copy_questions(reach: int, num_tokens: int, generator: Generator) -> Questions:
    """A separator, a string of `reach` symbols, the separator and the string again, which is what is asked for."""
    size = max(1, num_tokens // (2 * reach + 1))  # the last symbol need not be read a second time
    string = symbols((size, reach), COPY_SYMBOLS, generator)
    separator = torch.full((size, 1), SEPARATOR)
    tokens = torch.cat([separator, string, separator, string[:, :-1]], dim=1)  # (B, 2 reach + 1)
    places = torch.full_like(tokens, NO_QUESTION)
    places[:, reach + 1 :] = torch.arange(1, reach + 1)
    return Questions(tokens, places)


# -------------------------------------------------------------------------------------------------- associative recall

VALUES, KEYS = 16, 64


def associative_questions(reach: int, num_tokens: int, generator: Generator) -> Questions:
    """Pairs of a key and a value in random order, each pair twice: at its second coming, the key asks for the value.

    reach / 2 different keys in a sequence of 2 * reach tokens, so distances go up to nearly 2 * reach.
    """
    num_pairs = max(1, reach // 2)
    size = max(1, num_tokens // (4 * num_pairs))
    keys = VALUES + torch.rand(size, KEYS, generator=generator).argsort(1)[:, :num_pairs]  # (B, pairs), all different
    values = symbols((size, num_pairs), VALUES, generator)
    slots = torch.rand(size, 2 * num_pairs, generator=generator).argsort(1)  # (B, 2 pairs): a shuffled pack of cards
    pairs = slots % num_pairs
    tokens = torch.stack([keys.gather(1, pairs), values.gather(1, pairs)], dim=2).flatten(1)  # (B, 4 pairs)
    same = (pairs[:, :, None] == pairs[:, None, :]).tril(-1)  # (B, later slot, earlier slot)
    seen, first = same.max(dim=2)
    places = torch.full_like(tokens, NO_QUESTION)
    places[:, ::2] = torch.where(seen, 2 * first + 1, NO_QUESTION)
    return Questions(tokens, places)


TASKS = {
    "lag": RecallTask(
        "Lag",
        lag_questions,
        LAG_SYMBOLS + len(LAGS),
        LAG_SYMBOLS,
        num_blocks=1,
        learning_rate=0.005,
        reaches=(4, 8, 16, 32, 64),
        one_model=True,
    ),
    "copy": RecallTask(
        "Copy",
        copy_questions,
        COPY_SYMBOLS + 1,
        COPY_SYMBOLS,
        num_blocks=1,
        learning_rate=0.01,  # higher, since each model has but a part of the steps
        reaches=(4, 8, 16, 32, 64),
        one_model=False,
    ),
    # Two blocks: the first tells each value which key stands before it, the second finds the value by its key. The
    # shortest sequences have three pairs: with two, one learns to answer by elimination.
    "associative": RecallTask(
        "Associative recall",
        associative_questions,
        VALUES + KEYS,
        VALUES,
        num_blocks=2,
        learning_rate=0.005,
        reaches=(6, 16, 32, 64),
        one_model=True,
    ),
}
