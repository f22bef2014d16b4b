"""Rung 0, counting: how well do n-grams predict the text, before any network has been trained?

    python -m shared.ngram                            the bundled corpus, words
    python -m shared.ngram --tokenizer char --order 8

The model is interpolated modified Kneser-Ney (Kneser and Ney 1995, Chen and Goodman 1999). With h the n - 1 tokens
before w, and h' the same without its first token,

    p_n(w | h) = (c(h w) - D(c(h w))) / c(h)  +  r(h) * p_{n-1}(w | h')

A little, D, is taken from every count; r(h), the share taken in all, goes to the next shorter context. The longest
n-grams are counted as they occur. In the shorter ones c counts how many different tokens stand before them: "Francisco"
is frequent, but after an unknown word it is unlikely, since it follows "San" alone. The shortest mixes with 1 / V.
"""

import json
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from shared.errors import UserError
from shared.measure.evaluation import Evaluation
from shared.run.cli import ArgumentParser, log, number, run_main
from shared.run.records import write_text
from shared.text.corpus import Corpus, load_corpus
from shared.text.tokenizer import TOKENIZERS, train_tokenizer

HALF_LIVES = (50, 100, 200, 400, 800)  # tokens
CACHE_WEIGHTS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3)
ABSOLUTE = 0.5  # what is taken from each count when the counts say nothing better


def estimate_discounts(counts: np.ndarray) -> tuple[np.ndarray, str | None]:
    """What to take from counts of 0, 1, 2 and 3 or more, and a remark where the usual estimate fails.

    From the number of n-grams seen once to four times (Chen and Goodman 1999). Where one of these is zero or a
    discount leaves its range, the same is taken from every count.
    """
    seen = np.bincount(np.minimum(counts, 5), minlength=6).astype(float)  # seen[i]: how many n-grams occur i times
    ratio = seen[1] / (seen[1] + 2 * seen[2]) if seen[1] and seen[2] else ABSOLUTE
    if seen[1:5].all():
        discounts = np.array([0.0] + [i - (i + 1) * ratio * seen[i + 1] / seen[i] for i in (1, 2, 3)])
        if all(0 < discounts[i] <= i for i in (1, 2, 3)):
            return discounts, None
    return np.array([0.0, ratio, ratio, ratio]), f"absolute discounting, {ratio:.3f} from every count"


class Smoothed:
    """Counts of n-grams of one length, turned into probabilities with the help of a shorter context.

    counts (grams)    how often each n-gram was seen
    contexts (grams)  number of the context (all but the last token) of each n-gram
    """

    def __init__(self, counts: np.ndarray, contexts: np.ndarray, number_of_contexts: int):
        self.discounts, self.remark = estimate_discounts(counts)
        taken = self.discounts[np.minimum(counts, 3)]
        self.kept = counts - taken
        self.totals = np.bincount(contexts, counts, number_of_contexts)
        self.reserved = np.bincount(contexts, taken, number_of_contexts) / np.maximum(self.totals, 1)

    def probability(self, contexts: np.ndarray, grams: np.ndarray, shorter: np.ndarray) -> np.ndarray:
        """p_n from the numbers of contexts and n-grams (-1: never seen) and from p_{n-1}: all (T)."""
        known = (contexts >= 0) & (self.totals[contexts] > 0)
        own = np.where(grams >= 0, self.kept[grams], 0) / np.where(known, self.totals[contexts], 1)
        return np.where(known, own + self.reserved[contexts] * shorter, shorter)


class Level:
    """All n-grams of one length in a text.

    An n-gram gets a number, its rank among the pairs (number of its context, last token). Packed as context * V +
    token, a pair fits 64 bits at any length, which n tokens of a large vocabulary would not.
    """

    def __init__(self, pairs: np.ndarray, counts: np.ndarray, vocab_size: int, number_of_contexts: int):
        self.pairs, self.vocab_size, self.number_of_contexts = pairs, vocab_size, number_of_contexts
        self.occurring = self._smooth(counts)

    def _smooth(self, counts: np.ndarray) -> Smoothed:
        return Smoothed(counts, self.pairs // self.vocab_size, self.number_of_contexts)

    def count_preceding(self, ends: np.ndarray) -> None:
        """Count the different tokens before each n-gram; ends: the n-grams with which the (n+1)-grams end."""
        self.preceded = self._smooth(np.bincount(ends, minlength=len(self.pairs)))

    def find(self, contexts: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        """The number of each n-gram, or -1."""
        wanted = contexts * self.vocab_size + tokens
        places = np.minimum(np.searchsorted(self.pairs, wanted), len(self.pairs) - 1)
        return np.where((contexts >= 0) & (self.pairs[places] == wanted), places, -1)


class KneserNey:
    """The models of order 1 to `order`, counted on ids (T) of a training text."""

    def __init__(self, tokens: np.ndarray, vocab_size: int, order: int):
        self.vocab_size, self.levels = vocab_size, []
        contexts, number_of_contexts = np.zeros_like(tokens), 1  # before one token alone: the empty context
        shorter_grams = None  # number of the (n-1)-gram that ends at each token
        for n in range(1, order + 1):
            pairs, first, grams, counts = np.unique(
                contexts * vocab_size + tokens[n - 1 :], return_index=True, return_inverse=True, return_counts=True
            )
            if self.levels:
                self.levels[-1].count_preceding(shorter_grams[1:][first])
            self.levels.append(Level(pairs, counts, vocab_size, number_of_contexts))
            contexts, shorter_grams, number_of_contexts = grams[:-1], grams, len(pairs)

    def remarks(self) -> list[str]:
        """Where the usual discounts could not be used."""
        occurring = {f"{n}-grams, as they occur": level.occurring for n, level in enumerate(self.levels, start=1)}
        preceded = {f"{n}-grams, by what precedes": level.preceded for n, level in enumerate(self.levels[:-1], start=1)}
        return [f"{name}: {kind.remark}" for name, kind in (occurring | preceded).items() if kind.remark]

    def probabilities(self, tokens: np.ndarray) -> np.ndarray:
        """Row n - 1: what the model of order n gives each token after those before it; ids (T) -> (order, T).

        All orders come out of one pass, since they share the shorter contexts.
        """
        rows = []
        contexts = np.zeros_like(tokens)
        shorter = np.full(len(tokens), 1 / self.vocab_size)
        for level in self.levels:
            grams = level.find(contexts, tokens)
            rows.append(level.occurring.probability(contexts, grams, shorter))
            if level is not self.levels[-1]:
                shorter = level.preceded.probability(contexts, grams, shorter)
            contexts = np.concatenate([[-1], grams[:-1]])
        return np.stack(rows)


def recent_share(tokens: np.ndarray, half_life: float) -> np.ndarray:
    """The unigram cache: what share of the recent tokens before each token are the same; ids (T) -> (T).

    A token's weight halves every half_life tokens. The first token has nothing before it and gets 0.
    """
    decay = 0.5 ** (1 / half_life)
    weights, seen_at, total = {}, {}, 0.0
    shares = np.zeros(len(tokens))
    for now, token in enumerate(tokens.tolist()):
        weight = weights.get(token, 0.0) * decay ** (now - seen_at.get(token, now))
        total *= decay
        shares[now] = weight / total if total else 0.0
        weights[token], seen_at[token], total = weight + 1, now, total + 1
    return shares


def mean_nats(probabilities: np.ndarray) -> float:
    """Nats per token: (..., T) -> (...). The first token, which has nothing before it, is not scored."""
    return -np.log(probabilities[..., 1:]).mean(axis=-1)


@dataclass(frozen=True)
class Cache:
    """How fast the cache forgets, and its share in p = (1 - weight) * p_n + weight * recent share."""

    half_life: float
    weight: float

    def mix(self, probabilities: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        """Probabilities (order, T) with the cache mixed in."""
        return (1 - self.weight) * probabilities + self.weight * recent_share(tokens, self.half_life)


def choose_cache(tokens: np.ndarray, vocab_size: int, order: int) -> Cache:
    """The cache that serves the last tenth of the training text best, counting the rest; validation stays unseen."""
    begin = len(tokens) - len(tokens) // 10
    tail = tokens[begin:]
    plain = KneserNey(tokens[:begin], vocab_size, order).probabilities(tail)[-1]
    nats = {}
    for half_life in HALF_LIVES:
        recent = recent_share(tail, half_life)
        for weight in CACHE_WEIGHTS:
            nats[Cache(half_life, weight)] = mean_nats((1 - weight) * plain + weight * recent)
    return min(nats, key=nats.get)


@dataclass(frozen=True)
class NGramScore:
    """How well each order from 1 on predicts the validation text; with_cache is empty where none was asked for."""

    plain: list[Evaluation]
    with_cache: list[Evaluation]
    cache: Cache | None
    remarks: list[str]

    @property
    def best_order(self) -> int:
        """The order with the fewest nats."""
        return 1 + min(range(len(self.plain)), key=lambda index: self.plain[index].nats)

    @property
    def best(self) -> Evaluation:
        """The best order's evaluation, without the cache."""
        return self.plain[self.best_order - 1]


def score(
    train_ids: Sequence[int],
    validation_ids: Sequence[int],
    vocab_size: int,
    order: int,
    cache: bool = False,
    characters: int | None = None,
) -> NGramScore:
    """Count n-grams up to `order` in the training ids and score the validation ids as one stream, all but the first.

    characters: of text that the scored tokens stand for, where the tokenizer is lossless.
    """
    train, validation = np.asarray(train_ids, dtype=np.int64), np.asarray(validation_ids, dtype=np.int64)
    if order < 1:
        raise UserError(f"the order is {order}; it must be at least 1")
    if len(train) < max(20, 2 * order) or len(validation) < 2:
        raise UserError(f"{len(train)} training and {len(validation)} validation tokens are too few to count")
    chosen = choose_cache(train, vocab_size, order) if cache else None
    model = KneserNey(train, vocab_size, order)
    plain = model.probabilities(validation)

    def evaluate(rows) -> list[Evaluation]:
        count = len(validation) - 1
        return [Evaluation(float(mean_nats(row)) * count, count, characters) for row in rows]

    with_cache = evaluate(chosen.mix(plain, validation)) if chosen else []
    return NGramScore(evaluate(plain), with_cache, chosen, model.remarks())


def parse_arguments(arguments: Sequence[str] | None = None):
    """The command line."""
    parser = ArgumentParser(prog="python -m shared.ngram", description=__doc__)
    parser.add_argument(
        "--data", default="shakespeare", help="shakespeare (default: bundled), tinyshakespeare, or a UTF-8 file's path"
    )
    parser.add_argument(
        "--tokenizer", choices=TOKENIZERS, default="word", help="word (default, as in the four stages), char or bpe"
    )
    parser.add_argument(
        "--vocab-size", type=number(int, low=2), help="largest vocabulary (default: the tokenizer's own choice)"
    )
    parser.add_argument(
        "--order",
        type=number(int, low=1, high=20),
        default=8,
        help="longest n-gram (default 8: longer ones hardly change the result)",
    )
    parser.add_argument(
        "--cache",
        action="store_true",
        help="mix in how often each token came lately (off by default: the stages' main figures do not adapt either)",
    )
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write the results to this file")
    return parser.parse_args(arguments)


def table(result: NGramScore) -> str:
    """One line an order, the best marked."""
    titles = ["order", "nats/token", "perplexity", "bits/character", "nats with cache", "perplexity with cache"]
    lines = ["  ".join(titles[:6] if result.with_cache else titles[:4])]
    for index, plain in enumerate(result.plain):
        bits = "-" if plain.bits_per_character is None else f"{plain.bits_per_character:.4f}"
        cells = [f"{index + 1}", f"{plain.loss:.4f}", f"{plain.perplexity:.2f}", bits]
        if result.with_cache:
            cells += [f"{result.with_cache[index].loss:.4f}", f"{result.with_cache[index].perplexity:.2f}"]
        line = "  ".join(cell.rjust(len(title)) for cell, title in zip(cells, titles, strict=False))
        lines.append(line + ("  <- best" if index + 1 == result.best_order else ""))
    return "\n".join(lines)


def as_json(args, corpus: Corpus, facts: dict, result: NGramScore) -> str:
    """The results with what is needed to get them again: command, corpus, versions."""
    flags = f"--data {corpus.name} --tokenizer {args.tokenizer} --order {args.order}"
    flags += (f" --vocab-size {args.vocab_size}" if args.vocab_size else "") + (" --cache" if args.cache else "")
    contents = {
        "command": f"python -m shared.ngram {flags}",
        "corpus": {"name": corpus.name, "sha256": corpus.sha256},
        "versions": {"python": platform.python_version(), "numpy": np.__version__},
        **facts,
        "best_order": result.best_order,
        "orders": [in_figures(row) for row in result.plain],
        "cache": asdict(result.cache) if result.cache else None,
        "orders_with_cache": [in_figures(row) for row in result.with_cache],
        "remarks": result.remarks,
    }
    return json.dumps(contents, indent=2) + "\n"


def in_figures(row: Evaluation) -> dict:
    """What a table shows of an evaluation."""
    return {"nats": row.loss, "perplexity": row.perplexity, "bits_per_character": row.bits_per_character}


def main() -> None:
    """Count, score, print."""
    args = parse_arguments()
    began = time.perf_counter()
    # Words are not cut in two: by words, a corpus without plays of its own is split at a blank line.
    corpus = load_corpus(args.data, at_blank_line=args.tokenizer == "word")
    log(f"{corpus.name}: learning the {args.tokenizer} vocabulary")
    tokenizer = train_tokenizer(args.tokenizer, corpus.train, args.vocab_size)
    train, validation = tokenizer.encode(corpus.train), tokenizer.encode(corpus.validation)
    log(f"counting n-grams of up to {args.order} tokens")
    characters = len(tokenizer.decode(validation[1:])) if tokenizer.lossless else None
    result = score(train, validation, tokenizer.vocab_size, args.order, args.cache, characters)
    facts = {
        "tokenizer": tokenizer.name,
        "vocab_size": tokenizer.vocab_size,
        "train_tokens": len(train),
        "validation_tokens": len(validation),
        "validation_share_unknown": tokenizer.share_unknown(validation),
        "seconds": round(time.perf_counter() - began, 2),
    }
    print(
        f"{corpus.name}, {tokenizer.name} tokenizer, vocabulary {tokenizer.vocab_size:,}: {len(train):,} training and "
        f"{len(validation):,} validation tokens, {facts['validation_share_unknown']:.2%} of these <unk>\n"
    )
    print(table(result), end="\n\n")
    if result.cache:
        print(
            f"cache: weight {result.cache.weight:g}, half-life {result.cache.half_life:g} tokens, "
            "chosen on the last tenth of the training text"
        )
    for remark in result.remarks:
        print(remark)
    if args.json:
        write_text(args.json, as_json(args, corpus, facts, result))
    log(f"{facts['seconds']:.1f} s")


if __name__ == "__main__":
    run_main(main)
