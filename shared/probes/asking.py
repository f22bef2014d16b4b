"""Put questions to a model, or to counting: by how many nats are the right continuations likelier?"""

from collections import defaultdict
from collections.abc import Callable

import numpy as np
import torch

from shared.measure.ngrams import KneserNey
from shared.model.language_model import LanguageModel
from shared.probes.questions import Encoded, Ids

# Contexts, each with the answers asked after it -> the log probability of each continuation.
Reader = Callable[[dict[Ids, list[int]]], dict[tuple[Ids, int], float]]

TOKENS_AT_ONCE = 8192  # read side by side


def margins(questions: list[Encoded], read: Reader) -> np.ndarray:
    """(questions): the right continuations' log probabilities in nats, less the wrong ones'."""
    wanted = defaultdict(set)
    for asked in questions:
        for context, answer in asked.sides:
            wanted[context].add(answer)  # a context is read once, whatever is asked after it
    found = read({context: sorted(answers) for context, answers in wanted.items()})
    return np.array([sum(map(found.get, asked.right)) - sum(map(found.get, asked.wrong)) for asked in questions])


def by_model(model: LanguageModel) -> Reader:
    """A model reads contexts of one length side by side, each from nothing."""

    @torch.no_grad()
    def read(wanted: dict[Ids, list[int]]) -> dict[tuple[Ids, int], float]:
        model.eval()
        found, by_length = {}, defaultdict(list)
        for context in wanted:
            by_length[len(context)].append(context)
        for length, contexts in by_length.items():
            size = max(1, TOKENS_AT_ONCE // length)
            for first in range(0, len(contexts), size):
                part = contexts[first : first + size]
                logits, _ = model.next_logits(torch.tensor(part, device=model.embedding.weight.device), None)  # (B, V)
                for context, logs in zip(part, logits.float().log_softmax(-1).cpu()):
                    answers = wanted[context]
                    found |= zip(((context, answer) for answer in answers), logs[answers].tolist())
        return found

    return read


def by_counting(counts: KneserNey, order: int, newline: int) -> Reader:
    """N-grams see the last `order` - 1 tokens alone; `newline` stands before a context that is shorter."""

    def read(wanted: dict[Ids, list[int]]) -> dict[tuple[Ids, int], float]:
        pairs = [(context, answer) for context, answers in wanted.items() for answer in answers]
        padded = [((newline,) * order + context, answer) for context, answer in pairs]
        grams = np.array([(*context[len(context) - order + 1 :], answer) for context, answer in padded])
        probabilities = counts.probabilities(grams.flatten())[order - 1, order - 1 :: order]
        return dict(zip(pairs, np.log(probabilities).tolist()))

    return read
