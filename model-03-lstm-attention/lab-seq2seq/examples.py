"""What the lab learns from: random strings to copy or reverse, and words of the First Folio with their modern forms.

B batch, S source time, T target time
"""

from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from shared.errors import UserError

from model import EOS, PAD

PAIRS = Path(__file__).resolve().parent / "data" / "pairs.txt"
LETTERS = "abcdefghijklmnopqrstuvwxyz"
# What the Folio's words are written with, the marks and the space of `window` among it, and what modern words are.
OLD_SYMBOLS, MODERN_SYMBOLS = LETTERS + "æ&'-<> ", LETTERS + "'-"
POOL = 20  # batches that are drawn together, so that those of a like length can be put side by side

Pair = tuple[str, str]  # a word in old and in modern spelling
Lines = list[list[Pair]]  # of a play, each a list of its words
Batch = tuple[Tensor, Tensor, Tensor]  # source (B, S), lengths (B), targets (B, T)


class Symbols:
    """A vocabulary: characters <-> ids from 3 on, behind PAD, BOS and EOS; every sequence ends with EOS."""

    def __init__(self, characters: str):
        self.characters = characters
        self.ids = {character: 3 + place for place, character in enumerate(characters)}
        self.vocab_size = 3 + len(characters)

    def encode(self, text: str) -> list[int]:
        """The ids of a text, and EOS. UserError for a character that is not among the symbols."""
        unknown = sorted(set(text) - self.ids.keys())
        if unknown:
            raise UserError(f"the model cannot read {''.join(unknown)!r}; it knows {self.characters!r}")
        return [self.ids[character] for character in text] + [EOS]

    def decode(self, ids: list[int]) -> str:
        """The text up to EOS, or to the end."""
        ids = ids[: ids.index(EOS)] if EOS in ids else ids
        return "".join(self.characters[i - 3] for i in ids)


class Vocabularies(NamedTuple):
    """What the source is written with, and what the target; both are the same where they share one."""

    source: Symbols
    target: Symbols


@dataclass
class Examples:
    """Encoded pairs in one table, from which batches are cut: sources (N, S), targets (N, T), bytes with PAD behind."""

    sources: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.sources)

    def rows(self, chosen: Tensor) -> Batch:
        """The chosen examples, no longer than the longest of them."""
        source, targets = (trimmed(table[chosen].long()) for table in (self.sources, self.targets))
        return source, lengths_of(source), targets

    def batches(self, size: int) -> list[tuple[Tensor, Batch]]:
        """All examples, those of a like length together: for each batch their places here, and the batch."""
        order = lengths_of(self.sources).argsort(stable=True)
        return [(chosen, self.rows(chosen)) for chosen in order.split(size)]


def lengths_of(ids: Tensor) -> Tensor:
    """(B, T) padded ids -> lengths (B), EOS included."""
    return ids.ne(PAD).sum(1)


def trimmed(ids: Tensor) -> Tensor:
    """(B, T) -> (B, up to T): without the columns in which all is padding."""
    return ids[:, : int(lengths_of(ids).max())]


def padded(sequences: list[list[int]]) -> Tensor:
    """Lists of ids -> (N, longest) bytes."""
    longest = max(map(len, sequences))
    return torch.tensor([ids + [PAD] * (longest - len(ids)) for ids in sequences], dtype=torch.uint8)


# -------------------------------------------------------------------------------------------------- copying, reversing


def random_strings(lengths: Tensor, reverse: bool, held_out: bool, generator: torch.Generator) -> Examples:
    """A random string of letters for each length (B), to be copied or reversed.

    With a = 0 to z = 25, a string whose letters add up to a multiple of ten is held out: training never sees one.
    """
    position = torch.arange(int(lengths.max()) + 1)  # one more than letters, for EOS
    real = position < lengths[:, None]  # (B, S)
    letters = torch.randint(26, real.shape, generator=generator) * real  # (B, S)

    # The first letter is moved, so that the sum is a multiple of ten where it must be, and none where it must not.
    total = letters.sum(1)  # (B)
    first = letters[:, 0] + (-total % 10 if held_out else (total % 10 == 0).long())
    letters[:, 0] = torch.where(first < 26, first, first - 10)

    source = torch.where(real, letters + 3, PAD)  # ids 0 to 2 are PAD, BOS and EOS
    source[torch.arange(len(lengths)), lengths] = EOS
    backwards = torch.where(real, lengths[:, None] - 1 - position, position)  # EOS and what is behind it stay
    targets = source.gather(1, backwards) if reverse else source
    return Examples(source.byte(), targets.byte())


def string_batch(settings: dict, step: int) -> Batch:
    """The training batch of a step: new strings each time, of 1 to `longest` letters."""
    generator = torch.Generator().manual_seed(settings["seed"] * 1_000_003 + step)
    size, longest = settings["batch_size"], settings["longest"]
    lengths = torch.randint(1, longest + 1, (size,), generator=generator)
    examples = random_strings(lengths, settings["task"] == "reverse", False, generator)
    return examples.rows(torch.arange(size))


def held_out_strings(task: str, lengths: list[int], each: int) -> Examples:
    """`each` held-out strings of every length, always the same."""
    generator = torch.Generator().manual_seed(0)
    return random_strings(torch.tensor(lengths).repeat_interleave(each), task == "reverse", True, generator)


# ------------------------------------------------------------------------------------------------------------ spelling


def read_pairs(path: Path = PAIRS) -> dict[str, Lines]:
    """pairs.txt -> split -> its lines, each a list of (old, modern) words."""
    splits, lines = {}, []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("# "):
            lines = splits.setdefault(line[2:].partition(":")[0], [])
        elif line:
            lines.append([(word.partition("|")[0], word.rpartition("|")[2]) for word in line.split(" ")])
    return splits


def window(words: list[str], place: int, context: int) -> str:
    """A word as the model reads it: marked, between up to `context` words on either side.

    >>> window(["but", "with", "the", "minde"], 2, 1), window(["the", "minde"], 1, 1), window(["minde"], 0, 0)
    ('with<the>minde', 'the<minde>', '<minde>')
    """
    before = " ".join(words[max(0, place - context) : place])
    after = " ".join(words[place + 1 : place + 1 + context])
    return f"{before}<{words[place]}>{after}"


def windows(lines: Lines, context: int) -> list[Pair]:
    """Every word of the lines: how the model reads it, and its modern form."""
    pairs = []
    for line in lines:
        words = [old for old, _ in line]
        pairs += [(window(words, place, context), modern) for place, (_, modern) in enumerate(line)]
    return pairs


def encoded(pairs: list[Pair], vocabularies: Vocabularies) -> Examples:
    """Texts -> tables of ids, each side in its own vocabulary."""
    sides = zip(vocabularies, zip(*pairs))
    return Examples(*(padded([symbols.encode(text) for text in texts]) for symbols, texts in sides))


def draws(lines: Lines) -> dict[str, float]:
    """How often each old word is drawn, in proportion: the root of its count, and once for every rarer form it takes.

    Half of all words are the commonest hundred, which are soon learned: hence the root. But a word whose commonest form
    is often wrong, as *then*, takes many sights of its neighbours. The number depends on the old word alone, so each of
    its forms keeps its true share.
    """
    forms = defaultdict(Counter)
    for line in lines:
        for old, modern in line:
            forms[old][modern] += 1
    return {old: counts.total() ** 0.5 + counts.total() - max(counts.values()) for old, counts in forms.items()}


class SpellingBatches:
    """Training batches of words in their context, drawn with replacement as often as `draws` says."""

    def __init__(self, lines: Lines, vocabularies: Vocabularies, settings: dict):
        self.examples = encoded(windows(lines, settings["context"]), vocabularies)
        self.batch_size, self.seed = settings["batch_size"], settings["seed"]
        words = [old for line in lines for old, _ in line]
        counts, wanted = Counter(words), draws(lines)
        # A word that occurs often is drawn by each of its places in turn, so each gets its part of the word's weight.
        weights = torch.tensor([wanted[word] / counts[word] for word in words], dtype=torch.float64)
        self.cumulated = weights.cumsum(0) / weights.sum()
        self.pool = (None, [])  # its number, its batches

    def __call__(self, step: int) -> Batch:
        """The batch of a step."""
        number, place = divmod(step, POOL)
        if self.pool[0] != number:
            self.pool = (number, self.draw(number))
        return self.examples.rows(self.pool[1][place])

    def draw(self, number: int) -> list[Tensor]:
        """POOL batches in random order, each of sources of a like length: places in the table."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + number)
        chance = torch.rand(POOL * self.batch_size, dtype=torch.float64, generator=generator)
        # The first place at which the cumulated weights reach a random number is drawn as often as its weight says.
        chosen = torch.searchsorted(self.cumulated, chance).clamp(max=len(self.examples) - 1)
        # Sources of a like length in one batch leave little padding.
        chosen = chosen[lengths_of(self.examples.sources[chosen]).argsort(stable=True)]
        batches = chosen.split(self.batch_size)
        return [batches[i] for i in torch.randperm(POOL, generator=generator)]
