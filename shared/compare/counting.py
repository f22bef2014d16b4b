"""Rung 0's row of a comparison: how well n-grams do on the text that the stages have read."""

import time
from contextlib import suppress
from pathlib import Path

import numpy as np

from shared.compare.measures import STATE_LENGTHS, HeldOut, plain
from shared.errors import UserError
from shared.measure.evaluation import Evaluation
from shared.measure.ngrams import MOST_COUNTED, KneserNey, mean_nats
from shared.run.records import COUNT, NUMBER, TABLE, TEXT, read_json, write_json
from shared.text.corpus import Corpus
from shared.text.tokenizer import Tokenizer, fingerprint

ORDER = 8  # the longest n-gram counted
# The numbers of a row, as they are kept.
ROW = {
    "title": TEXT, "training_tokens": COUNT, "training_seconds": NUMBER, "training_tokens_per_second": NUMBER,
    "state_bytes": TABLE, "passage": [NUMBER], "runs": COUNT, "parameters": None, "checkpoint_bytes": None,
    "generation_tokens_per_second": None, "validation_perplexity_spread": None, "stage": TEXT,
    "validation_perplexity": (None, NUMBER), "validation_bits_per_character": (None, NUMBER),
    "test_perplexity": (None, NUMBER), "test_bits_per_character": (None, NUMBER),
}  # fmt: skip
ID_BYTES = 8  # of a token's id, an int64


def counting(corpus: Corpus, tokenizer: Tokenizer, texts: dict[str, HeldOut], kept: Path, passage: list[int]) -> dict:
    """The order of n-grams that does best on the validation text, as a row of the table.

    Beside the table's numbers the row has `passage`: the probability that counting gives each token of that passage.

    It takes some seconds and is always the same, so it is kept in the file `kept`, under a key that says of what text
    and what vocabulary it is.
    """
    key = {"corpus": corpus.sha256, "tokenizer": fingerprint(tokenizer.to_dict()), "order": ORDER, "passage": passage}
    with suppress(UserError):  # where that file is of another version, or damaged, it is counted anew
        known = read_json(kept, {"key": TABLE, "row": ROW})
        if known["key"] == key:
            return known["row"]
    train = np.array(tokenizer.encode_long(corpus.train)[:MOST_COUNTED], dtype=np.int64)
    row = count_ngrams(train, tokenizer.vocab_size, texts, passage)
    write_json(kept, {"key": key, "row": plain(row)})
    return row


def count_ngrams(train: np.ndarray, vocab_size: int, texts: dict[str, HeldOut], passage: list[int]) -> dict:
    """Count, choose the order on the validation text, score it there and on the test text."""
    began = time.perf_counter()
    model = KneserNey(train, vocab_size, ORDER)
    seconds = time.perf_counter() - began
    nats = {name: mean_nats(model.probabilities(text.ids.numpy())) for name, text in texts.items() if len(text.ids) > 1}
    best = int(nats["validation"].argmin())  # an index: the best order is one more
    row = {
        "stage": "counting",
        "title": f"counting, {best + 1}-grams",
        "runs": 1,
        "validation_perplexity_spread": None,
        "parameters": None,
        "training_tokens": len(train),
        "training_seconds": seconds,
        "training_tokens_per_second": len(train) / seconds,
        "generation_tokens_per_second": None,
        "checkpoint_bytes": None,
        # What it carries on is the ids of the last tokens, one fewer than an n-gram has.
        "state_bytes": {str(length): ID_BYTES * min(best, length) for length in STATE_LENGTHS},
    }
    row["passage"] = model.probabilities(np.array(passage))[best].tolist() if passage else []
    for name, text in texts.items():
        count = len(text.ids) - 1
        score = Evaluation(float(nats[name][best]) * count, count, text.characters) if name in nats else None
        row[f"{name}_perplexity"] = score and score.perplexity
        row[f"{name}_bits_per_character"] = score and score.bits_per_character
    return row
