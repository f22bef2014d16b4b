"""Counting, the rung below stage 1: how well do n-grams predict the text, before any network has been trained?

    python -m shared.ngram                            the bundled corpus, words
    python -m shared.ngram --tokenizer char --order 8

An n-gram is n tokens in a row. To predict the token w after the context h, the n - 1 tokens before it, one could count
how often h occurs in the training text, and take the share of those places at which w comes next: c(h w) / c(h).

That fails where it matters. What was never seen gets the probability 0, and a long h was hardly ever seen at all. So a
little, the discount D, is taken from every count. What was taken goes to the model of the next shorter context h',
which is h without its first token and has been seen more often. This is called backing off:

    p_n(w | h) = (c(h w) - D(c(h w))) / c(h)  +  r(h) * p_{n-1}(w | h')

r(h) is the share of c(h) that was taken, so everything still sums to 1. (As the shorter model always has its part, and
not only where h w was never seen, the method is an *interpolated* one.) The chain ends at 1 / V: every token of the
vocabulary is equally likely.

One more idea makes it Kneser-Ney smoothing. Only the longest n-grams are counted as they occur. In a shorter one c says
how many different tokens have been seen before it. "Francisco" may be frequent, but it follows "San" alone, so after
any other word it is unlikely; a plain count would not know that.

Source: Kneser and Ney 1995, with the discounts of Chen and Goodman 1999, who call it modified Kneser-Ney.
"""

import argparse
import json
import platform
import shlex
import time
from collections.abc import Sequence

from shared.run.cli import ArgumentParser, OneOrMore, log, number, path_or_name, read_flags, run_main, some_path
from shared.text.tokenizer import TOKENIZERS, Tokenizer, train_tokenizer


def parse_flags() -> argparse.Namespace:
    """The command line."""
    parser = ArgumentParser(prog="python -m shared.ngram", description=__doc__)
    why = "shakespeare (default: bundled), tinyshakespeare, UTF-8 text files, a folder of them, or - for standard input"
    parser.add_argument(
        "--data", type=path_or_name, nargs="+", action=OneOrMore, default="shakespeare", metavar="PATH", help=why
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
    parser.add_argument("--json", type=some_path, metavar="PATH", help="also write the results to this file")
    return parser.parse_args()


if __name__ == "__main__":
    read_flags(parse_flags)  # before PyTorch is imported, which takes a second

import numpy as np

from shared.measure.ngrams import MOST_COUNTED, MOST_SCORED, NGramScore, score
from shared.run.records import write_text
from shared.show.tables import for_terminal
from shared.text.advice import advice
from shared.text.corpus import Corpus, load_corpus

# ----------------------------------------------------------------------------------------------------------- reporting


def table(result: NGramScore) -> str:
    """One line an order, the best marked."""
    lines = [["order", "nats/token", "perplexity", "bits/character", ""]]
    for order, row in enumerate(result.orders, start=1):
        bits = "-" if row.bits_per_character is None else f"{row.bits_per_character:.4f}"
        best = "<- best" if order == result.best_order else ""
        lines.append([f"{order}", f"{row.loss:.4f}", f"{row.perplexity:.2f}", bits, best])
    return for_terminal(lines)


def as_json(flags: argparse.Namespace, corpus: Corpus, facts: dict, result: NGramScore) -> str:
    """The results with what is needed to get them again: command, corpus, versions."""
    name = shlex.quote(corpus.name)
    command = f"python -m shared.ngram --data {name} --tokenizer {flags.tokenizer} --order {flags.order}"
    contents = {
        "command": command + (f" --vocab-size {flags.vocab_size}" if flags.vocab_size else ""),
        "corpus": {"name": corpus.name, "sha256": corpus.sha256},
        "versions": {"python": platform.python_version(), "numpy": np.__version__},
        **facts,
        "best_order": result.best_order,
        "orders": [
            {"nats": row.loss, "perplexity": row.perplexity, "bits_per_character": row.bits_per_character}
            for row in result.orders
        ],
        "remarks": result.remarks,
    }
    return json.dumps(contents, indent=2) + "\n"


# --------------------------------------------------------------------------------------------------------- the command


def text_facts(tokenizer: Tokenizer, train: Sequence[int], validation: Sequence[int]) -> dict:
    """What was counted, and how much of what is scored is the unknown word, <unk>."""
    return {
        "tokenizer": tokenizer.name,
        "vocab_size": tokenizer.vocab_size,
        "train_tokens": len(train),
        "validation_tokens": len(validation),
        "validation_share_unknown": tokenizer.share_unknown(validation),
    }


def main() -> None:
    """Count, score, print."""
    flags = parse_flags()
    began = time.perf_counter()
    # Words are not cut in two: by words, a corpus without plays of its own is split at a blank line.
    corpus = load_corpus(flags.data, at_blank_line=flags.tokenizer == "word")
    log(f"{corpus.name}: learning the {flags.tokenizer} vocabulary")
    tokenizer = train_tokenizer(flags.tokenizer, corpus.train, flags.vocab_size, corpus.held_out)
    train, validation = map(tokenizer.encode_long, (corpus.train, corpus.validation))
    for line in advice(corpus, tokenizer, train):
        log(line)
    if len(train) > MOST_COUNTED or len(validation) > MOST_SCORED:
        log(f"of so long a text the first {MOST_COUNTED:,} tokens are counted, and the first {MOST_SCORED:,} scored")
        train, validation = train[:MOST_COUNTED], validation[:MOST_SCORED]
    log(f"counting n-grams of up to {flags.order} tokens")
    characters = len(tokenizer.decode(validation[1:])) if tokenizer.lossless else None
    result = score(train, validation, tokenizer.vocab_size, flags.order, characters)
    facts = text_facts(tokenizer, train, validation) | {"seconds": round(time.perf_counter() - began, 2)}
    print(
        f"{corpus.name}, {tokenizer.name} tokenizer, vocabulary {tokenizer.vocab_size:,}: {len(train):,} training and "
        f"{len(validation):,} validation tokens, {facts['validation_share_unknown']:.2%} of these <unk>\n"
    )
    print(table(result), end="\n\n")
    for remark in result.remarks:
        print(remark)
    if flags.json:
        write_text(flags.json, as_json(flags, corpus, facts, result))
    log(f"{facts['seconds']:.1f} s")


if __name__ == "__main__":
    run_main(main)
