"""Put questions to a model: which it answers rightly, and how much each head of its attention looks at the answer."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from shared.model.language_model import LanguageModel
from shared.recall.tasks import Questions


@dataclass(frozen=True)
class Replies:
    """What a model made of N questions: was its likeliest token right (N), how far back was the answer (N), and how
    much attention lay on it, head by head (N, layers * heads), or None without attention."""

    right: Tensor
    distances: Tensor
    masses: Tensor | None


@torch.no_grad()
def ask(model: LanguageModel, questions: Questions) -> Replies:
    """Put questions to a model."""
    logits, _, attention = model.eval()(questions.tokens, return_attention=True)
    row, t = questions.asked.nonzero(as_tuple=True)  # (N), (N)
    right = (logits.argmax(-1) == questions.answers)[row, t]
    if attention is not None:  # (B, layers, heads, T, T)
        attention = attention[row, :, :, t, questions.places[row, t]].flatten(1)  # (N, layers * heads)
    return Replies(right, questions.distances[row, t], attention)


def ask_all(model: LanguageModel, sets: Iterable[Questions]) -> Replies:
    """Put several batches of questions to a model, one after the other."""
    replies = [ask(model, questions) for questions in sets]
    masses = None if replies[0].masses is None else torch.cat([reply.masses for reply in replies])
    return Replies(
        torch.cat([reply.right for reply in replies]), torch.cat([reply.distances for reply in replies]), masses
    )


def best_head(replies: Replies) -> int | None:
    """The head that has most attention on the answers."""
    return None if replies.masses is None else int(replies.masses.mean(0).argmax())


def score(replies: Replies, head: int | None) -> list[dict]:
    """Accuracy and `head`'s mass on the answers for distances up to 1, 2, 4, 8 and so on, each from the last limit."""
    limits = 2 ** replies.distances.double().log2().ceil().long()  # (N)
    rows = []
    for limit in limits.unique().tolist():
        here = limits == limit
        accuracy = replies.right[here].double().mean().item()
        mass = None if head is None else replies.masses[here, head].double().mean().item()
        rows.append({"distance": limit, "questions": int(here.sum()), "accuracy": accuracy, "mass": mass})
    return rows
