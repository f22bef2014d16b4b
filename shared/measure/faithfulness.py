"""How far attention tells what a prediction rests on: against uniform attention, and against influence.

Attention is where a model looks. Whether what it found there mattered is another question (Jain & Wallace 2019,
"Attention is not Explanation"; Wiegreffe & Pinter 2019, "Attention is not not Explanation"), and these are two answers.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor

from shared.measure.evaluation import Evaluation, evaluate
from shared.model import attention, window
from shared.model.language_model import LanguageModel

LEAST = 3  # tokens in a row; fewer have hardly an order


@contextmanager
def uniform_attention() -> Iterator[None]:
    """Within it, a query gives every key that it may see the same weight, whichever way its keys are scored.

    What a trained model then loses is what choosing was worth to it: the mixture is the same size, but no choice.
    """
    softmax = attention.masked_softmax

    def equal_weights(scores: Tensor, mask: Tensor | None) -> Tensor:
        return softmax(torch.zeros_like(scores), mask)

    # All ways of scoring end in masked_softmax, but for the fused kernel, which is not used meanwhile.
    with patch.object(attention, "masked_softmax", equal_weights), patch.object(window, "fused_pays", lambda *_: False):
        yield


def evaluate_uniform(model: LanguageModel, ids: Tensor, context_length: int) -> Evaluation:
    """Score a text as `evaluate` does, with the same weight on everything that the model may attend to."""
    with uniform_attention():
        return evaluate(model, ids, context_length)


@dataclass(frozen=True)
class Attention:
    """What a model's attention was on one text, where it might look, and what choosing was worth to it there."""

    weights: Tensor  # (layers, heads, T, T)
    seen: Tensor  # (T, T) bool
    loss: float | None  # nats per token, without the first, which nothing predicts; None for a single token
    loss_uniform: float | None  # the same where each place that may be seen gets the same weight


@torch.no_grad()
def attention_on(model: LanguageModel, tokens: Tensor) -> Attention | None:
    """Read a text (T), once as the model does and once with uniform attention; None for a model without attention."""
    tokens = tokens.to(model.embedding.weight.device)

    def read() -> tuple[Tensor | None, float | None]:
        logits, _, weights = model(tokens[None], return_attention=True)
        loss = F.cross_entropy(logits[0, :-1], tokens[1:]).item() if len(tokens) > 1 else None
        return weights, loss

    weights, loss = read()
    if weights is None:
        return None
    with uniform_attention():
        equal_weights, loss_uniform = read()
    # A trained weight can be as good as 0 where the model may look; an equal share is 0 only where it may not.
    seen = (equal_weights[0] > 0).any(0).any(0)  # (T, T)
    return Attention(weights[0].float().cpu(), seen.cpu(), loss, loss_uniform)


def ranks(values: Tensor) -> Tensor:
    """1 for the smallest, and so on; equal ones share the mean of their ranks. (n) -> (n) float64.

    >>> ranks(torch.tensor([5, 1, 5])).tolist()
    [2.5, 1.0, 2.5]
    """
    smaller = (values[:, None] > values).sum(-1)
    equal = (values[:, None] == values).sum(-1)  # itself included
    return smaller + (equal + 1).double() / 2


def rank_correlation(first: Tensor, second: Tensor) -> float | None:
    """Spearman's, of values (n) and values (n): 1 for the same order, 0 for none in common.

    None where all values of one side are equal, for then there is no order.
    """
    pair = torch.stack([ranks(first), ranks(second)])  # (2, n)
    pair = pair - pair.mean(-1, keepdim=True)
    sizes = pair.norm(dim=-1)
    return (pair.prod(0).sum() / sizes.prod()).item() if sizes.all() else None


def map_correlation(attention: Tensor, influence: Tensor) -> float | None:
    """The rank correlation of two maps (T, T), row by row over the tokens before the one just read, then the mean.

    The own token is left out: some attention may not look at it, and its influence dwarfs all others. Row by row, since
    early rows have large entries in any map. None where no row has an order in both. Near tokens lead in most maps, so
    a part of any correlation is nearness.
    """
    found = [rank_correlation(attention[row, :row], influence[row, :row]) for row in range(LEAST, len(attention))]
    found = [value for value in found if value is not None]
    return sum(found) / len(found) if found else None
