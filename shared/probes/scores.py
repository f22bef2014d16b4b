"""From nats to a table's numbers: how often the right continuations win, with standard errors, by distance."""

import math
from collections.abc import Sequence

import numpy as np

from shared.probes.questions import Question

FEWEST = 20  # questions of a distance, to say something about it


def summary(questions: Sequence[Question], margins: np.ndarray) -> dict:
    """All numbers of one row: over all questions, and by distance. margins (seeds, questions) in nats."""
    limits = np.array([2 ** int(math.log2(question.distance)) for question in questions])
    sources = np.array([question.source for question in questions])
    rows = []
    for limit in np.unique(limits).tolist():
        here = limits == limit
        if here.sum() >= FEWEST:
            rows.append({"distance": limit} | shares(margins[:, here], sources[here]))
    return shares(margins, sources) | {"by_distance": rows}


def shares(margins: np.ndarray, sources: np.ndarray) -> dict:
    """The share of questions in which the right continuations win, and the mean difference in nats; with errors."""
    won = np.heaviside(margins, 0.5)  # (seeds, questions): a tie is half won, as by tossing a coin
    return {
        "questions": margins.shape[1],
        "share": won.mean(),
        "error": clustered_error(won.mean(0), sources),
        "seed_error": seed_error(won.mean(1)),
        "nats": margins.mean(),
        "nats_error": clustered_error(margins.mean(0), sources),
    }


def clustered_error(values: np.ndarray, sources: np.ndarray) -> float:
    """The standard error of a mean (N) whose values are alike where their sources (N) are the same."""
    _, cluster = np.unique(sources, return_inverse=True)
    sums = np.bincount(cluster, values - values.mean())
    return math.sqrt((sums**2).sum()) / len(values)


def seed_error(values: np.ndarray) -> float | None:
    """The standard error of the mean over seeds; None of a single one."""
    return values.std(ddof=1) / math.sqrt(len(values)) if len(values) > 1 else None
