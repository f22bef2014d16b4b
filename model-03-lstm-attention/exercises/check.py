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
        mistakes = mistaken_weights(queries @ keys.transpose(1, 2), queries.size(-1), mask)
        hint = (
            "Scores, minus infinity where the mask is False, softmax over the keys; zeros for a query that sees none."
        )
        expect_close(weights, wanted.masked_fill(sees_none, 0), f"{told}, weights", hint=hint, mistakes=mistakes)
        wanted = F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
        mistakes = {"Is it the sum of the keys? It is the values that are taken home.": weights @ keys}
        hint = "The weights are right, and the context is the sum of the values, weighted by them."
        expect_close(context, wanted.masked_fill(sees_none, 0), f"{told}, context", hint=hint, mistakes=mistakes)


def mistaken_weights(products: Tensor, size: int, mask: Tensor) -> dict[str, Tensor]:
    """What comes out instead of `attend`'s weights, from products (B, Tq, Tk) of queries and keys of this size."""
    scores = products / math.sqrt(size)
    hidden = scores.masked_fill(~mask, float("-inf"))
    reversed_mask = scores.masked_fill(mask, float("-inf")).softmax(-1).nan_to_num(0)
    return {
        "Is the root missing? Scores are divided by the root of D.": (hidden * math.sqrt(size)).softmax(-1),
        "Are the scores divided by D, and not by its root?": (hidden / math.sqrt(size)).softmax(-1),
        "Do the weights of each key add up to 1? Those of each query should.": hidden.softmax(1).nan_to_num(0),
        "Is the mask reversed? True means that a query may see the key.": reversed_mask,
        "Is the mask put on after the softmax? By then hidden keys have had their share.": scores.softmax(-1) * mask,
        "Is the mask left out?": scores.softmax(-1),
        "Are hidden scores set to 0? e to the power of 0 is 1. Minus infinity gives 0.": (
            scores.masked_fill(~mask, 0).softmax(-1)
        ),
        "A row of nothing but minus infinity is 0 / 0 for softmax. Set such rows to 0 afterwards.": hidden.softmax(-1),
        "Where all scores are equally low, all weights are alike. Set such rows to 0 afterwards.": (
            scores.masked_fill(~mask, -1e9).softmax(-1)
        ),
        "Do all queries get zeros? Only the one that sees nothing should.": torch.zeros_like(scores),
    }


def check_additive_scores(additive_scores: Callable) -> None:
    torch.manual_seed(0)
    queries, keys = torch.randn(2, 3, 4), torch.randn(2, 5, 4)
    w, u, v = torch.randn(6, 4), torch.randn(6, 4), torch.randn(6)

    def loop(w: Tensor, u: Tensor, bend: Callable = torch.tanh) -> Tensor:
        scores = torch.empty(2, 3, 5)
        for b, i, j in torch.cartesian_prod(torch.arange(2), torch.arange(3), torch.arange(5)).tolist():
            scores[b, i, j] = v @ bend(w @ queries[b, i] + u @ keys[b, j])
        return scores

    wanted = loop(w, u)
    mistakes = {
        "Are queries and keys exchanged? A row for each query, a column for each key.": wanted.transpose(1, 2),
        "Is W used for the keys too? They have a matrix of their own, U.": loop(w, w),
        "Are W and U exchanged?": loop(u, w),
        "Is the tanh missing?": loop(w, u, lambda x: x),
        "Is the softmax taken already? The scores are asked for.": wanted.softmax(-1),
    }
    hint = "Queries as (B, Tq, 1, A) and keys as (B, 1, Tk, A) add up to all pairs, (B, Tq, Tk, A)."
    answer = additive_scores(queries, keys, w, u, v)
    expect_close(answer, wanted, "beside a loop over all pairs", hint=hint, mistakes=mistakes)


def check_memory_mask(memory_mask: Callable) -> None:
    for num_queries, num_past, window in [(4, 0, 3), (3, 1, 2), (1, 6, 4), (5, 2, 20)]:
        wanted = torch.zeros(num_queries, num_past + num_queries, dtype=torch.bool)
        for query in range(num_queries):
            own = num_past + query
            wanted[query, max(0, own + 1 - window) : own + 1] = True
        steps_back = torch.arange(num_past, num_past + num_queries)[:, None] - torch.arange(num_past + num_queries)
        unshifted = steps_back - num_past
        mistakes = {
            "Are these floats? A comparison (<, >=) gives True and False, and & joins two.": wanted.float(),
            "Are these whole numbers? A comparison (<, >=) gives True and False, and & joins two.": wanted.long(),
            "Does query 0 stand at key 0? The past comes first, so it stands at key num_past.": (
                (unshifted >= 0) & (unshifted < window)
            ),
            "Is a query's own place missing? It is one of the window's.": (steps_back >= 1) & (steps_back <= window),
            "Is the window too long by one? The own place is one of it.": (steps_back >= 0) & (steps_back <= window),
            "Is the future still seen?": steps_back < window,
            "Is the window forgotten?": steps_back >= 0,
            "Is the mask reversed? True is what a query may see.": ~wanted,
        }
        hint = (
            "Query i stands at key num_past + i. It sees that and the window - 1 keys before it, where there are any."
        )
        told = f"{num_queries} queries, {num_past} past places, a window of {window}"
        expect_close(memory_mask(num_queries, num_past, window), wanted, told, hint=hint, mistakes=mistakes)


def check_mix_in_copies(mix_in_copies: Callable) -> None:
    torch.manual_seed(0)
    written = torch.randn(2, 3, 6).softmax(-1)
    gate, weights = torch.rand(2, 3), torch.randn(2, 3, 5).softmax(-1)
    words = torch.tensor([[4, 1, 4, 0, 4], [2, 2, 3, 5, 3]])  # some stand in several places
    copied, of_last_places = torch.zeros(2, 2, 3, 6)
    for b, t, k in torch.cartesian_prod(torch.arange(2), torch.arange(3), torch.arange(5)).tolist():
        copied[b, t, words[b, k]] += weights[b, t, k]
        of_last_places[b, t, words[b, k]] = weights[b, t, k]
    g = gate[..., None]
    mistakes = {
        "Does a word that stands in several places get the weight of one of them? Add all up.": (
            (1 - g) * written + g * of_last_places
        ),
        "Is the gate reversed? g is the share of what is copied.": g * written + (1 - g) * copied,
        "Is what is written left whole? It keeps a share of 1 - g, or the sum exceeds 1.": written + g * copied,
        "Is what is copied left whole? It gets a share of g, or the sum exceeds 1.": (1 - g) * written + copied,
        "Is it what is copied alone? What is written has a share too.": g * copied,
    }
    hint = "For every word: 1 - g of what is written, and g times the sum of the weights of all places where it stands."
    answer, wanted = mix_in_copies(written, gate, weights, words), (1 - g) * written + g * copied
    expect_close(answer, wanted, "beside a loop over all places", hint=hint, mistakes=mistakes)


Model = Callable[[Tensor], Tensor]  # tokens (1, T) -> logits (1, T, V)


def check_peeks(peeks: Callable) -> None:
    torch.manual_seed(0)
    table = torch.randn(7, 7, dtype=torch.float64)
    tokens = torch.tensor([[5, 1, 1, 5, 1, 5, 5, 1, 5]])

    def honest(tokens: Tensor) -> Tensor:
        """The mean of all that was read so far, the token itself with it."""
        return table[tokens].cumsum(1) / torch.arange(1, tokens.size(1) + 1)[:, None]

    own = "The place that is changed, and those after it, may change. Does it look only at those before?"
    rounding = "Rounding is no leak. Does it ask for a change of more than a millionth?"
    free = {
        "sees nothing of the future": (honest, own),
        "rounds in the eighth decimal": (waiting_for(honest, 3, {4: 1e-8}), rounding),
    }
    for told, (model, hint) in free.items():
        answer = peeks(model, tokens, 7)
        expect(
            isinstance(answer, bool | Tensor), f"True or False is expected, and not {answer}", "Is a return missing?"
        )
        expect(not answer, f"a model that {told} is accused", hint)
    for told, (model, hint) in guilty_models(honest, table).items():
        expect(peeks(model, tokens, 7), f"a model that sees {told} goes free", hint)


def guilty_models(honest: Model, table: Tensor) -> dict[str, tuple[Model, str]]:
    """What a model sees that it should not -> the model, made from an honest one, and a hint to whom it escapes."""

    def mean_of_all(tokens: Tensor) -> Tensor:
        return honest(tokens) + table[tokens].mean(1, keepdim=True)

    def passing_back(source: int, target: int) -> Model:
        """A model in which the token at the place `source` reaches the logits at the place `target` before it."""
        return lambda tokens: honest(tokens) + F.one_hot(torch.tensor(target), 9)[:, None] * table[tokens[:, source]]

    places = "Does it change every token but the first, one at a time, and look at all places before it?"
    ids = "A model may wait for one token alone. Does it try every id from 0 to vocab_size - 1?"
    logits = "One logit is enough, whether it rises or falls. Does it look at the largest absolute change?"
    return {
        "the mean of the whole text": (mean_of_all, places),
        "the next token": (passing_back(5, 4), places),
        "the second token, at the first": (passing_back(1, 0), places),
        "the last token, at the first": (passing_back(8, 0), places),
        "whether a 3 comes next": (waiting_for(honest, 3, {0: 1}), ids),
        "whether a 0 comes next, in the last logit": (waiting_for(honest, 0, {6: -1}), f"{logits} {ids}"),
        "whether a 6 comes next, in two logits": (waiting_for(honest, 6, {1: 1, 2: -1}), f"{logits} {ids}"),
        "whether a 3 comes next, in the sixth decimal": (waiting_for(honest, 3, {4: 5e-6}), logits),
    }


def waiting_for(honest: Model, token: int, change: dict[int, float]) -> Model:
    """A model that sees of the future only whether a certain token comes next, and then changes these logits."""
    changes = torch.tensor([change.get(logit, 0) for logit in range(7)])
    return lambda tokens: honest(tokens) + F.pad(tokens[:, 1:] == token, (0, 1))[..., None] * changes


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
