"""Words to what the model reads: numbers that were counted, or ids for an embedding table that is learned.

C genres, G pieces of words, T words of a passage. Both encoders know the training passages and nothing else.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import cache
from itertools import chain

import torch
import torch.nn.functional as F
from torch import Tensor

from shared.schema import check

from data import GENRES, Passage

PIECE_LENGTH = 5  # letters, the two marks for a word's ends included
Example = tuple[Tensor, int]  # what the model reads, and the genre


@cache
def pieces(word: str) -> tuple[str, ...]:
    """All runs of five letters of <word>, its n-grams; a shorter word is one piece (Bojanowski et al. 2017).

    Words of one family share pieces, so a word that was never counted is seldom without any.

    >>> pieces("murder"), pieces("of")
    (('<murd', 'murde', 'urder', 'rder>'), ('<of>',))
    """
    marked = f"<{word}>"
    return tuple(marked[start : start + PIECE_LENGTH] for start in range(max(1, len(marked) - PIECE_LENGTH + 1)))


def log_odds(counts: Tensor) -> Tensor:
    """How much likelier each piece is in each genre than elsewhere: counts (C, G) -> (G, C), each row with sum 0.

    log p(piece | genre) less its mean over the genres, with p = (count + total / mean total) / total. What is added
    grows with a genre's size, so a piece that was never counted is equally likely everywhere: log odds of 0.
    """
    totals = counts.sum(1, keepdim=True).clamp(min=1)  # (C, 1)
    # Smoothing: without the addition, one piece that a genre never had would be minus infinity and decide alone.
    log_p = ((counts + totals / totals.mean()) / totals).log()  # (C, G)
    return (log_p - log_p.mean(0)).T  # (G, C)


class CountedWords:
    """A word's embedding is its evidence: the sum of its pieces' log odds, one number a genre."""

    def __init__(self, piece_ids: dict[str, int], counts: Tensor):
        self.piece_ids, self.counts = piece_ids, counts  # counts (C, G)
        self.table = log_odds(counts)  # (G, C)
        self.model_settings = {}  # the model has no table of its own

    @classmethod
    def train(cls, passages: list[Passage]) -> "CountedWords":
        """Count the pieces in the training passages."""
        words = dict.fromkeys(chain.from_iterable(passage.tokens for passage in passages))
        found = dict.fromkeys(chain.from_iterable(map(pieces, words)))
        piece_ids = {piece: index for index, piece in enumerate(found)}
        return cls(piece_ids, count_pieces(passages, piece_ids))

    def encode(self, tokens: Iterable[str]) -> Tensor:
        """Words -> (T, C)."""
        return self._encode(tokens, self.table)

    def examples(self, passages: list[Passage]) -> list[Example]:
        """The training passages, each with the evidence of all plays but its own (leave one out).

        With its own play's counts a passage would look far more certain than one of a new play ever does, and the
        model would learn to trust counting too much.
        """
        plays = defaultdict(list)
        for passage in passages:
            plays[passage.play].append(passage)
        examples = []
        for own in plays.values():
            table = log_odds(self.counts - count_pieces(own, self.piece_ids))  # (G, C)
            examples += [(self._encode(passage.tokens, table), passage.genre) for passage in own]
        return examples

    def _encode(self, tokens: Iterable[str], table: Tensor) -> Tensor:
        # Words have different numbers of pieces. All pieces stand in one row, and `starts` says where each word begins.
        ids = [[self.piece_ids[piece] for piece in pieces(token) if piece in self.piece_ids] for token in tokens]
        starts = torch.tensor([0, *map(len, ids)]).cumsum(0)[:-1]
        flat = torch.tensor(list(chain.from_iterable(ids)), dtype=torch.long)
        return F.embedding_bag(flat, table, starts, mode="sum")  # (T, C)

    def to_dict(self) -> dict:
        """Plain types and tensors for a checkpoint."""
        return {"pieces": list(self.piece_ids), "counts": self.counts}

    @classmethod
    def from_dict(cls, saved: dict) -> "CountedWords":
        """The encoder that to_dict saved."""
        return cls({piece: index for index, piece in enumerate(saved["pieces"])}, saved["counts"].cpu())


def count_pieces(passages: list[Passage], piece_ids: dict[str, int]) -> Tensor:
    """How often each piece stands in each genre's passages -> (C, G)."""
    counts = torch.zeros(len(GENRES), len(piece_ids))
    for genre in range(len(GENRES)):
        words = Counter(chain.from_iterable(passage.tokens for passage in passages if passage.genre == genre))
        # A word is taken to pieces once, and each piece counts as often as the word does.
        ids = [piece_ids[piece] for word in words for piece in pieces(word)]
        times = [float(count) for word, count in words.items() for _ in pieces(word)]
        counts[genre].index_add_(0, torch.tensor(ids, dtype=torch.long), torch.tensor(times))
    return counts


class LearnedWords:
    """A word is an id in a table that the model learns: every word that two training plays share; 0 is any other."""

    def __init__(self, words: list[str]):
        self.ids = {word: index for index, word in enumerate(words, start=1)}
        self.model_settings = {"vocab_size": len(words) + 1}

    @classmethod
    def train(cls, passages: list[Passage]) -> "LearnedWords":
        """Choose the vocabulary."""
        plays = defaultdict(set)
        for passage in passages:
            for token in passage.tokens:
                plays[token].add(passage.play)
        return cls([word for word in plays if len(plays[word]) > 1])

    def encode(self, tokens: Iterable[str]) -> Tensor:
        """Words -> (T)."""
        return torch.tensor([self.ids.get(token, 0) for token in tokens], dtype=torch.long)

    def examples(self, passages: list[Passage]) -> list[Example]:
        """The training passages as they are."""
        return [(self.encode(passage.tokens), passage.genre) for passage in passages]

    def to_dict(self) -> dict:
        """Plain types for a checkpoint."""
        return {"words": list(self.ids)}

    @classmethod
    def from_dict(cls, saved: dict) -> "LearnedWords":
        """The encoder that to_dict saved."""
        return cls(saved["words"])


ENCODERS = {"counted": CountedWords, "learned": LearnedWords}
# What their to_dict saves.
SCHEMAS = {"counted": {"pieces": [str], "counts": Tensor}, "learned": {"words": [str]}}


def check_encoder(kind: str, saved: dict) -> int | None:
    """The size of the embedding table that a model needs with this; ValueError where no `to_dict` saved it."""
    check(saved, SCHEMAS[kind], "encoder")
    texts = saved["pieces" if kind == "counted" else "words"]
    if len(set(texts)) != len(texts):
        raise ValueError("encoder has two texts that are the same")
    if kind == "learned":
        return len(texts) + 1
    counts = saved["counts"]
    if counts.shape != (len(GENRES), len(texts)) or counts.dtype != torch.float32 or (counts < 0).any():
        raise ValueError("encoder.counts has not a count for each genre and piece")
    return None
