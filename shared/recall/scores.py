"""Put questions to a model: which it answers rightly, and how much each head of its attention looks at the answer."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from statistics import mean

import torch
from torch import Tensor

from shared.model.language_model import LanguageModel
from shared.recall.puzzles import Puzzle, Questions, random_source
from shared.recall.teaching import NUM_HEADS

CHOOSING_BATCHES, TEST_BATCHES = 4, 16  # of questions of each reach: to choose a head by, and to measure on


@dataclass(frozen=True)
class Replies:
    """What a model made of N questions.

    right (N)                    was its likeliest token the answer
    distances (N)                how far back the answer was
    masses (N, layers * heads)   how much attention lay on the answer's places, head by head; None without attention
    """

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
        places = questions.places[row, t]  # (N, P)
        attention = attention[row[:, None], :, :, t[:, None], places].sum(1).flatten(1)  # (N, layers * heads)
    return Replies(right, questions.distances[row, t], attention)


def ask_all(model: LanguageModel, sets: Iterable[Questions]) -> Replies:
    """Put several batches of questions to a model, one after the other."""
    replies = [ask(model, questions) for questions in sets]
    masses = None if replies[0].masses is None else torch.cat([reply.masses for reply in replies])
    return Replies(
        torch.cat([reply.right for reply in replies]), torch.cat([reply.distances for reply in replies]), masses
    )


def best_head(replies: Replies) -> int | None:
    """The head that has most attention on the answers, counted through all layers."""
    return None if replies.masses is None else int(replies.masses.mean(0).argmax())


def score(replies: Replies, head: int | None) -> list[dict]:
    """Accuracy and `head`'s mass on the answers for distances up to 1, 2, 4, 8 and so on, each from the last limit."""
    limits = 2 ** replies.distances.double().log2().ceil().long()  # (N): the power of two to which a distance belongs
    rows = []
    for limit in limits.unique().tolist():
        here = limits == limit
        accuracy = replies.right[here].double().mean().item()
        mass = None if head is None else replies.masses[here, head].double().mean().item()
        rows.append({"distance": limit, "questions": int(here.sum()), "accuracy": accuracy, "mass": mass})
    return rows


def measure(model: LanguageModel, puzzle: Puzzle, reaches: tuple[int, ...], seed: int) -> list[dict]:
    """Choose a head on some questions; score it and the answers on others, of all reaches -> a row a distance.

    On the same questions, the best of several heads would look better than it is.
    """

    def questions(use: str, batches: int) -> Iterator[Questions]:
        source = random_source(seed, use)
        return (puzzle.batch(reach, source) for reach in reaches for _ in range(batches))

    head = best_head(ask_all(model, questions("choosing", CHOOSING_BATCHES)))
    replies = ask_all(model, questions("test", TEST_BATCHES))
    layer = None if head is None else head // NUM_HEADS + 1
    return [row | {"layer": layer} for row in score(replies, head)]


def over_seeds(runs: list[dict]) -> list[dict]:
    """Runs of one stage that differ in their seed -> a row a distance: the mean accuracy, the least and the most, and
    the mean mass."""
    rows = []
    for of_distance in zip(*(run["rows"] for run in runs)):
        accuracies = [row["accuracy"] for row in of_distance]
        masses = [row["mass"] for row in of_distance]
        rows.append(
            {
                "distance": of_distance[0]["distance"],
                "accuracy": mean(accuracies),
                "least": min(accuracies),
                "most": max(accuracies),
                "mass": None if None in masses else mean(masses),
            }
        )
    return rows
