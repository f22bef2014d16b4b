"""Say which of your functions in answers.py are right: `python check.py`."""

import math
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from shared.run.cli import read_flags
from shared.run.flags import exercise_flags

if __name__ == "__main__":
    read_flags(exercise_flags)  # before PyTorch is imported, which takes a second

import torch
import torch.nn.functional as F
from torch import Tensor

from shared.run.cli import run_main
from shared.run.exercises import expect, expect_close, main


def check_causal_weights(causal_weights: Callable) -> None:
    torch.manual_seed(0)
    for num_tokens, size in [(5, 4), (1, 3), (6, 64)]:
        queries, keys = torch.randn(2, num_tokens, size)
        told = f"{num_tokens} tokens, {size} numbers each"
        # With the identity for values, the context is the weights.
        identity = torch.eye(num_tokens)
        wanted = F.scaled_dot_product_attention(queries, keys, identity, is_causal=True)
        future = torch.ones(num_tokens, num_tokens, dtype=torch.bool).triu(1)
        products = queries @ keys.T
        scores = products / math.sqrt(size)

        def masked(scores: Tensor, dim: int = 1, hidden: Tensor = future) -> Tensor:
            return scores.masked_fill(hidden, float("-inf")).softmax(dim)

        mistakes = {
            "Is the root missing? Scores are divided by the root of D.": masked(products),
            "Are the scores divided by D, and not by its root?": masked(products / size),
            "Is the future still seen? Its scores should be minus infinity.": scores.softmax(1),
            "Is the mask put on after the softmax? By then the future has had its share of the sum.": (
                scores.softmax(1) * ~future
            ),
            "Do the columns add up to 1? The weights of each query, a row, should.": masked(scores, dim=0),
            "Is the mask reversed? A query sees itself and what stands before it.": masked(scores, hidden=future.T),
            "Does a query not see its own place? It should.": masked(scores, hidden=future | identity.bool()),
            "Are hidden scores set to 0? e to the power of 0 is 1. Minus infinity gives 0.": (
                scores.masked_fill(future, 0).softmax(1)
            ),
        }
        hint = "Row t holds the weights of query t: above the diagonal they are 0, and each row adds up to 1."
        expect_close(causal_weights(queries, keys), wanted, told, hint=hint, mistakes=mistakes)


def check_attend(attend: Callable) -> None:
    torch.manual_seed(0)
    queries, keys, values = torch.randn(2, 3, 8), torch.randn(2, 5, 8), torch.randn(2, 5, 8)
    some = torch.rand(2, 3, 5) < 0.5
    some[..., 0] = True
    none = some.clone()
    none[1, 2] = False
    masks = {"all keys seen": torch.ones_like(some), "some keys hidden": some, "a query that sees none": none}
    for told, mask in masks.items():
        context, weights = attend(queries, keys, values, mask)
        sees_none = ~mask.any(-1, keepdim=True)
        # With the identity for values, the context is the weights.
        wanted = F.scaled_dot_product_attention(queries, keys, torch.eye(5).expand(2, 5, 5), attn_mask=mask)
        expect_close(weights, wanted.masked_fill(sees_none, 0), f"{told}, weights")
        wanted = F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
        expect_close(context, wanted.masked_fill(sees_none, 0), f"{told}, context")


def check_additive_scores(additive_scores: Callable) -> None:
    torch.manual_seed(0)
    queries, keys = torch.randn(2, 3, 4), torch.randn(2, 5, 4)
    w, u, v = torch.randn(6, 4), torch.randn(6, 4), torch.randn(6)
    wanted = torch.empty(2, 3, 5)
    for b, i, j in torch.cartesian_prod(torch.arange(2), torch.arange(3), torch.arange(5)).tolist():
        wanted[b, i, j] = v @ torch.tanh(w @ queries[b, i] + u @ keys[b, j])
    expect_close(additive_scores(queries, keys, w, u, v), wanted, "beside a loop over all pairs")


def check_memory_mask(memory_mask: Callable) -> None:
    for num_queries, num_past, window in [(3, 1, 2), (4, 0, 3), (1, 6, 4), (5, 2, 20)]:
        wanted = torch.zeros(num_queries, num_past + num_queries, dtype=torch.bool)
        for query in range(num_queries):
            own = num_past + query
            wanted[query, max(0, own + 1 - window) : own + 1] = True
        told = f"{num_queries} queries, {num_past} past places, a window of {window}"
        expect_close(memory_mask(num_queries, num_past, window), wanted, told)


def check_mix_in_copies(mix_in_copies: Callable) -> None:
    torch.manual_seed(0)
    written = torch.randn(2, 3, 6).softmax(-1)
    gate, weights = torch.rand(2, 3), torch.randn(2, 3, 5).softmax(-1)
    words = torch.tensor([[4, 1, 4, 0, 4], [2, 2, 3, 5, 3]])  # some stand in several places
    wanted = (1 - gate[..., None]) * written
    for b, t, k in torch.cartesian_prod(torch.arange(2), torch.arange(3), torch.arange(5)).tolist():
        wanted[b, t, words[b, k]] += gate[b, t] * weights[b, t, k]
    expect_close(mix_in_copies(written, gate, weights, words), wanted, "beside a loop over all places")


def check_peeks(peeks: Callable) -> None:
    torch.manual_seed(0)
    table = torch.randn(7, 7, dtype=torch.float64)
    tokens = torch.tensor([[5, 1, 1, 5, 1, 5, 5, 1, 5]])

    def honest(tokens: Tensor) -> Tensor:
        """The mean of all that was read so far, the token itself with it."""
        return table[tokens].cumsum(1) / torch.arange(1, tokens.size(1) + 1)[:, None]

    def mean_of_all(tokens: Tensor) -> Tensor:
        return honest(tokens) + table[tokens].mean(1, keepdim=True)

    def passing_back(source: int, target: int) -> Callable[[Tensor], Tensor]:
        """A model in which the token at the place `source` reaches the logits at the place `target` before it."""
        return lambda tokens: honest(tokens) + F.one_hot(torch.tensor(target), 9)[:, None] * table[tokens[:, source]]

    def waiting_for(token: int, change: dict[int, float]) -> Callable[[Tensor], Tensor]:
        """A model that sees of the future only whether a certain token comes next, and then changes these logits."""
        changes = torch.tensor([change.get(logit, 0) for logit in range(7)])
        return lambda tokens: honest(tokens) + F.pad(tokens[:, 1:] == token, (0, 1))[..., None] * changes

    guilty = {
        "the mean of the whole text": mean_of_all,
        "the next token": passing_back(5, 4),
        "the second token, at the first": passing_back(1, 0),
        "the last token, at the first": passing_back(8, 0),
        "whether a 3 comes next": waiting_for(3, {0: 1}),
        "whether a 0 comes next, in the last logit": waiting_for(0, {6: -1}),
        "whether a 6 comes next, in two logits": waiting_for(6, {1: 1, 2: -1}),
        "whether a 3 comes next, in the sixth decimal": waiting_for(3, {4: 5e-6}),
    }
    free = {"sees nothing of the future": honest, "rounds in the eighth decimal": waiting_for(3, {4: 1e-8})}
    for told, model in free.items():
        answer = peeks(model, tokens, 7)
        expect(isinstance(answer, bool | Tensor), f"True or False is expected, and not {answer}")
        expect(not answer, f"a model that {told} is accused")
    for told, model in guilty.items():
        expect(peeks(model, tokens, 7), f"a model that sees {told} goes free")


if __name__ == "__main__":
    checks = [
        check_causal_weights,
        check_attend,
        check_additive_scores,
        check_memory_mask,
        check_mix_in_copies,
        check_peeks,
    ]
    run_main(lambda: main(__file__, *checks))
