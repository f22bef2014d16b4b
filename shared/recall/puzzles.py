"""Five puzzles in which it is known where to look: latch, adding, lag, copy and associative recall.

B sequences, T tokens, P places, N questions

A batch of a puzzle is random tokens, and at each position that asks a question the place of the token that answers it,
or of the two whose sum does. So three things are known that no real text tells: the right answer, how far back it
stands, and where attention ought to be. Symbols are uniform and independent, so a model that does not look has one
chance in `num_symbols`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Generator, Tensor

NO_QUESTION = -1
BATCH_TOKENS, FEWEST_SEQUENCES = 2048, 16  # a batch: as many sequences as fit into so many tokens, or so many at least


@dataclass(frozen=True)
class Questions:
    """tokens (B, T) and places (B, T, P): where that stands which the question at t asks for, or NO_QUESTION.

    The answer is the token at the place or, with two places, the sum of both. A copy of three symbols, for example,
    where 9 is the separator:

    >>> places = torch.tensor([[-1, -1, -1, -1, 1, 2, 3]])[..., None]
    >>> asked = Questions(torch.tensor([[9, 5, 7, 5, 9, 5, 7]]), places)
    >>> asked.answers[asked.asked].tolist(), asked.distances[asked.asked].tolist()
    ([5, 7, 5], [3, 3, 3])
    """

    tokens: Tensor
    places: Tensor

    @property
    def asked(self) -> Tensor:
        """(B, T) bool: where there is a question."""
        return self.places[..., 0] != NO_QUESTION

    @property
    def answers(self) -> Tensor:
        """(B, T): the token to predict; 0 where nothing is asked."""
        rows = torch.arange(self.tokens.size(0))[:, None, None]
        return self.tokens[rows, self.places].sum(-1).where(self.asked, 0)

    @property
    def distances(self) -> Tensor:
        """(B, T): how many tokens before the one just read the first place is; meaningless where nothing is asked."""
        return torch.arange(self.tokens.size(1)) - self.places[..., 0]


@dataclass(frozen=True)
class Puzzle:
    """A kind of question, and what it takes to learn to answer it.

    generate     (reach, num_tokens, generator) -> Questions, harder with `reach`, about `num_tokens` tokens in all
    num_symbols  how many symbols there are: the best guess is right once in as many times
    num_blocks   how many layers of self-attention it takes to find the answer. With more, one may fetch what another
                 has carried elsewhere, and then no single map shows where the answer came from
    reaches      what to learn, in rising order
    one_model    whether one model can learn all reaches, because a question says where to look; otherwise each reach
                 needs a model of its own
    """

    title: str
    generate: Callable[[int, int, Generator], Questions]
    vocab_size: int
    num_symbols: int
    num_blocks: int
    reaches: tuple[int, ...]
    one_model: bool

    def batch(self, reach: int, generator: Generator) -> Questions:
        """Questions for one step of training or measuring."""
        return self.generate(reach, BATCH_TOKENS, generator)

    def courses(self, longest: int) -> list[tuple[int, ...]]:
        """The reaches up to `longest`: in one course for one model, or in a course each."""
        reaches = tuple(reach for reach in self.reaches if reach <= longest)
        return [reaches] if self.one_model else [(reach,) for reach in reaches]


def random_source(seed: int, use: str) -> Generator:
    """Random numbers for one use, independent of those for the others: what a model is tested on it has never seen."""
    uses = ("training", "validation", "choosing", "test")
    return Generator().manual_seed(len(uses) * seed + uses.index(use))


def symbols(shape: tuple[int, ...], num_symbols: int, generator: Generator) -> Tensor:
    """Uniform random symbols."""
    return torch.randint(num_symbols, shape, generator=generator)


def num_sequences(num_tokens: int, length: int) -> int:
    """How many sequences of a length a batch has."""
    return max(FEWEST_SEQUENCES, num_tokens // length)


# ---------------------------------------------------------------------------------------------------- latch and adding

DIGITS = 10
MARK, QUESTION = 2 * DIGITS - 1, 2 * DIGITS  # the numbers below them, 0 to 18, are digits and sums of two
FIRST_PLACES = 8  # the first marked digit is one of so many


def marked_questions(num_marked: int, reach: int, num_tokens: int, generator: Generator) -> Questions:
    """Random digits, of which one or two have a mark before them; a question at the end asks for that one, or the sum.

    The first marked digit is near the beginning, and `reach` tokens before the question. The second one comes within
    half of that: 2 or more tokens after the first, as often 4 to 8 as 64 to 128.
    """
    length = FIRST_PLACES + reach
    size = num_sequences(num_tokens, length)
    tokens = symbols((size, length), DIGITS, generator)  # (B, T)
    first = torch.randint(1, FIRST_PLACES, (size, 1), generator=generator)  # (B, 1)
    gaps = 2 * (reach / 4) ** torch.rand(size, 1, generator=generator)
    marked = torch.cat([first, first + gaps.long()], dim=1)[:, :num_marked]  # (B, P)
    tokens.scatter_(1, marked - 1, MARK).scatter_(1, first + reach, QUESTION)
    places = torch.full((*tokens.shape, num_marked), NO_QUESTION)
    places[torch.arange(size), first[:, 0] + reach] = marked
    return Questions(tokens, places)


# ----------------------------------------------------------------------------------------------------------------- lag

LAG_SYMBOLS = 16
LAGS = tuple(2**k - 1 for k in range(1, 7))  # odd: a mark stands at an odd position, so it asks for an even one


def lag_questions(reach: int, num_tokens: int, generator: Generator) -> Questions:
    """Symbols and marks take turns; a mark "back by n" asks for the symbol that stands n tokens before it.

    Marks of lags up to `reach`; sequences of 2 * reach tokens. A mark that points before the sequence asks nothing.
    """
    length = 2 * reach
    size = num_sequences(num_tokens, length)
    lags = torch.tensor([lag for lag in LAGS if lag <= reach])
    tokens = symbols((size, length), LAG_SYMBOLS, generator)  # (B, T)
    chosen = torch.randint(len(lags), (size, reach), generator=generator)  # (B, T / 2): which lag each mark has
    tokens[:, 1::2] = LAG_SYMBOLS + chosen
    places = torch.full_like(tokens, NO_QUESTION)
    places[:, 1::2] = (torch.arange(1, length, 2) - lags[chosen]).clamp(min=NO_QUESTION)
    return Questions(tokens, places[..., None])


# ---------------------------------------------------------------------------------------------------------------- copy

COPY_SYMBOLS = 16
SEPARATOR = COPY_SYMBOLS


def copy_questions(reach: int, num_tokens: int, generator: Generator) -> Questions:
    """A separator, a string of `reach` symbols, the separator and the string again, which is what is asked for."""
    size = num_sequences(num_tokens, 2 * reach + 1)
    string = symbols((size, reach), COPY_SYMBOLS, generator)
    separator = torch.full((size, 1), SEPARATOR)
    # The second string's last symbol is an answer only. Nothing is asked after it, so it need not be read.
    tokens = torch.cat([separator, string, separator, string[:, :-1]], dim=1)  # (B, 2 reach + 1)
    places = torch.full_like(tokens, NO_QUESTION)
    places[:, reach + 1 :] = torch.arange(1, reach + 1)
    return Questions(tokens, places[..., None])


# -------------------------------------------------------------------------------------------------- associative recall

VALUES, KEYS = 16, 64


def associative_questions(reach: int, num_tokens: int, generator: Generator) -> Questions:
    """Pairs of a key and a value in random order, each pair twice: at its second coming, the key asks for the value.

    reach / 2 different keys in a sequence of 2 * reach tokens, so distances go up to nearly 2 * reach.
    """
    num_pairs = max(1, reach // 2)
    size = num_sequences(num_tokens, 4 * num_pairs)
    # To sort random numbers is to shuffle: the first keys of a shuffled pack are all different.
    keys = VALUES + torch.rand(size, KEYS, generator=generator).argsort(1)[:, :num_pairs]  # (B, pairs)
    values = symbols((size, num_pairs), VALUES, generator)  # (B, pairs)
    slots = torch.rand(size, 2 * num_pairs, generator=generator).argsort(1)  # (B, 2 pairs)
    pairs = slots % num_pairs  # (B, 2 pairs): which pair stands in each slot, every pair in two of them
    tokens = torch.stack([keys.gather(1, pairs), values.gather(1, pairs)], dim=2).flatten(1)  # (B, 4 pairs)
    same = (pairs[:, :, None] == pairs[:, None, :]).tril(-1)  # (B, later slot, earlier slot)
    seen, first = same.max(dim=2)  # (B, 2 pairs) both: has the pair come before, and in which slot
    places = torch.full_like(tokens, NO_QUESTION)
    places[:, ::2] = torch.where(seen, 2 * first + 1, NO_QUESTION)  # a slot is two tokens, the value is the second
    return Questions(tokens, places[..., None])


PUZZLES = {
    # Two blocks, as below: the first tells each digit whether a mark stands before it.
    "latch": Puzzle(
        "Latch",
        partial(marked_questions, 1),
        2 * DIGITS + 1,
        DIGITS,
        num_blocks=2,
        reaches=(8, 16, 32, 64, 128, 256, 512),
        one_model=True,
    ),
    "adding": Puzzle(
        "Adding",
        partial(marked_questions, 2),
        2 * DIGITS + 1,
        DIGITS,  # the best guess is 9, the sum of ten in a hundred pairs
        num_blocks=2,
        reaches=(8, 16, 32, 64, 128, 256, 512),
        one_model=True,
    ),
    "lag": Puzzle(
        "Lag",
        lag_questions,
        LAG_SYMBOLS + len(LAGS),
        LAG_SYMBOLS,
        num_blocks=1,
        reaches=(4, 8, 16, 32, 64),
        one_model=True,
    ),
    "copy": Puzzle(
        "Copy",
        copy_questions,
        COPY_SYMBOLS + 1,
        COPY_SYMBOLS,
        num_blocks=1,
        reaches=(8, 16, 32, 64),
        one_model=False,
    ),
    # Two blocks: the first tells each value which key stands before it, the second finds the value by its key. The
    # shortest sequences have three pairs: with two, a model learns to answer by elimination.
    "associative": Puzzle(
        "Associative recall",
        associative_questions,
        VALUES + KEYS,
        VALUES,
        num_blocks=2,
        reaches=(6, 16, 32, 64),
        one_model=True,
    ),
}
