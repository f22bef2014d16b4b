"""Results of a comparison, made up for tests of the page: plausible, and right in their form."""

import numpy as np

WORDS = ["To", "be", ",", "or", "not", "to", "be", ":", "\n", "that", "is", "the", "question", ";"]
TITLES = {1: "RNN", 2: "LSTM", 3: "LSTM + attention", 4: "Mini transformer"}
NAMES = {1: "model-01-rnn", 2: "model-02-lstm", 3: "model-03-lstm-attention", 4: "model-04-mini-transformer"}
ATTENTION = {3: (1, 4), 4: (4, 4)}  # layers, heads
HOSTILE = "</script><b>&\"'"
LOSSES = {1: 4.29, 2: 4.12, 3: 4.06, 4: 4.15}


def rounded(array):
    return np.round(array, 5).tolist()


def causal(random, *shape, own_token=True):
    """Rows that sum to 1 over what may be seen, some weights much larger than others."""
    scores = np.exp(2.5 * random.standard_normal(shape)) * np.tri(shape[-1], k=0 if own_token else -1)
    sums = scores.sum(-1, keepdims=True)
    return np.divide(scores, sums, out=np.zeros_like(scores), where=sums > 0)


def reader_stage(random, stage, tokens):
    length = len(tokens)
    probabilities = np.sort(random.dirichlet(np.full(9, 0.6), length))[:, ::-1]
    words = np.array([*dict.fromkeys(tokens), "and", "I", "<unk>", "king", "my"], dtype=object)
    guesses = [words[random.permutation(len(words))[:5]].tolist() for _ in tokens]
    actual = [
        dict(zip(row, shares)).get(token, 0.0004) for row, shares, token in zip(guesses, probabilities, tokens[1:])
    ]
    found = {
        "stage": NAMES[stage],
        "title": TITLES[stage],
        "influence": rounded(causal(random, length, length)),
        "next": [
            [{"token": token, "probability": share} for token, share in zip(row, rounded(shares))]
            for row, shares in zip(guesses, probabilities)
        ],
        "actual_next": [*rounded(actual), None],
        "attention": None,
        "gates": None,
        "faithfulness": None,
    }  # fmt: skip
    if stage in ATTENTION:
        found["attention"] = rounded(causal(random, *ATTENTION[stage], length, length, own_token=stage == 4))
        found["faithfulness"] = {"loss": 4.066, "loss_uniform": 4.121, "tokens": 2048, "correlation": 0.31,
                                 "correlation_spread": [-0.12, 0.66]}  # fmt: skip
    if stage in (2, 3):
        found["gates"] = {name: rounded(random.random(length)) for name in ("input", "forget", "output")}
        found["gates"]["cell"] = rounded(2 * random.random(length))
    return found


def counting_row():
    """Counting in the table of results, which has no size and no speed of its own."""
    measured = {"validation_perplexity": 104.13, "test_perplexity": 110.2, "training_tokens": 1146928,
                "training_seconds": 7.3, "training_tokens_per_second": 157000.0}  # fmt: skip
    return dict.fromkeys(stage_row(1)) | {"stage": "counting", "title": "Counting", "runs": 1} | measured


def stage_row(stage):
    best = float(np.exp(LOSSES[stage]))
    return {
        "stage": NAMES[stage], "title": TITLES[stage], "runs": 3 if stage == 2 else 1,
        "validation_perplexity": best,
        "validation_perplexity_spread": [best - 0.6, best + 0.7] if stage == 2 else None,
        "test_perplexity": best * 1.05, "validation_bits_per_character": None, "test_bits_per_character": None,
        "parameters": 4810000 + 700000 * stage, "training_tokens": 1843200, "training_seconds": 300.0 + 20 * stage,
        "training_tokens_per_second": 6144.2, "generation_tokens_per_second": 900.0 / stage,
        "checkpoint_bytes": 19300000 + stage, "state_bytes": {"16": 2048, "256": 131072, "1024": 131072 * stage},
    }  # fmt: skip


def learning_curve(stage):
    tokens = np.arange(1, 7) * 307200
    losses = LOSSES[stage] + 0.8 * np.exp(-np.arange(6) / 2)
    seconds = tokens / (5500 + 300 * stage)
    return {"tokens": tokens.tolist(), "seconds": rounded(seconds), "validation_loss": rounded(losses)}


def context_curve(random, stage):
    nats = LOSSES[stage] + 1.6 / (1 + np.arange(10)) + 0.02 * random.standard_normal(10)
    return {"nats": rounded(nats), "perplexity": rounded(np.exp(nats)), "standard_error": [0.09] * 10}


def position_curve(random, stage):
    nats = LOSSES[stage] + 2 / (1 + np.arange(256)) ** 0.5 + 0.2 * random.standard_normal(256)
    return {"length": 256, "counts": [200] * 256, "nats": rounded(nats)}


def gradient_curve(stage):
    return {"norms": (np.exp(-np.arange(65) / (3 * stage**1.7)) * 0.3).tolist()}


def results_of(tokens=WORDS, stages=(1, 2, 3, 4), seed=0):
    """Plausible results, made up but for their form."""
    random = np.random.default_rng(seed)
    context, position = ([curve(random, stage) for stage in stages] for curve in (context_curve, position_curve))
    named = lambda curves: [{"stage": NAMES[stage]} | curve for stage, curve in zip(stages, curves)]  # noqa: E731
    return {
        "corpus": {"name": "shakespeare", "sha256": "88560a4e15942ac93c1ae44130877366af29afb64826bf2f1ec255a7eafaea17"},
        "tokenizer": {"name": "word", "vocab_size": 17706, "share_unknown_validation": 0.0346,
                      "share_unknown_test": 0.041},
        "machine": {"cores": 2, "cpu": "AVX512", "system": "Linux x86_64", "python": "3.11.7", "torch": "2.13.0+cpu"},
        "command": "python -m shared.compare",
        "table": [counting_row(), *map(stage_row, stages)],
        "curves": {
            "learning": named(map(learning_curve, stages)),
            "context": {"lengths": [2**power for power in range(10)], "targets": 1000, "stages": named(context)},
            "position": {"stages": named(position)},
            "gradient": {"distances": list(range(65)), "stages": named(map(gradient_curve, stages))},
        },
        "prompt": {"text": " ".join(tokens), "tokens": list(tokens), "cut": None,
                   "stages": [reader_stage(random, stage, tokens) for stage in stages]},
    }  # fmt: skip
