"""Says which of your functions in answers.py are right: `python check.py`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
import torch.nn.functional as F

from shared.run.cli import run_main
from shared.run.exercises import expect, expect_close, main


def check_attend(attend):
    torch.manual_seed(0)
    queries, keys, values = torch.randn(2, 3, 8), torch.randn(2, 5, 8), torch.randn(2, 5, 8)
    some = torch.rand(2, 3, 5) < 0.5
    some[..., 0] = True
    for told, mask in [("all keys seen", torch.ones_like(some)), ("some keys hidden", some)]:
        context, weights = attend(queries, keys, values, mask)
        # With the identity for values, the context is the weights.
        wanted = F.scaled_dot_product_attention(queries, keys, torch.eye(5).expand(2, 5, 5), attn_mask=mask)
        expect_close(weights, wanted, f"{told}, weights")
        wanted = F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
        expect_close(context, wanted, f"{told}, context")
    some[1, 2] = False
    context, weights = attend(queries, keys, values, some)
    expect_close(weights[1, 2], torch.zeros(5), "no key seen, weights")
    expect_close(context[1, 2], torch.zeros(8), "no key seen, context")


def check_additive_scores(additive_scores):
    torch.manual_seed(0)
    queries, keys = torch.randn(2, 3, 4), torch.randn(2, 5, 4)
    w, u, v = torch.randn(6, 4), torch.randn(6, 4), torch.randn(6)
    wanted = torch.empty(2, 3, 5)
    for b, i, j in torch.cartesian_prod(torch.arange(2), torch.arange(3), torch.arange(5)).tolist():
        wanted[b, i, j] = v @ torch.tanh(w @ queries[b, i] + u @ keys[b, j])
    expect_close(additive_scores(queries, keys, w, u, v), wanted, "beside a loop over all pairs")


def check_memory_mask(memory_mask):
    for num_queries, num_past, window in [(3, 1, 2), (4, 0, 3), (1, 6, 4), (5, 2, 20)]:
        wanted = torch.zeros(num_queries, num_past + num_queries, dtype=torch.bool)
        for query in range(num_queries):
            own = num_past + query
            wanted[query, max(0, own - window) : own] = True
        told = f"{num_queries} queries, {num_past} past states, a window of {window}"
        expect_close(memory_mask(num_queries, num_past, window), wanted, told)


def check_peeks(peeks):
    torch.manual_seed(0)
    table = torch.randn(7, 7)
    tokens = torch.tensor([[5, 0, 6, 1, 5, 6, 0, 1, 5]])  # no 3, which `faint` waits for, and none beside it

    def honest(tokens):
        """The mean of all that was read so far, the token itself with it."""
        return table[tokens].cumsum(1) / torch.arange(1, tokens.size(1) + 1)[:, None]

    def leaky(source: int, target: int, share: float = 1.0):
        """A model in which the token at `source` reaches the logits at the place `target` before it."""

        def model(tokens):
            logits = honest(tokens).clone()
            logits[:, target] += share * table[tokens[:, source]]
            return logits

        return model

    def mean_of_all(tokens):
        return honest(tokens) + table[tokens].mean(1, keepdim=True)

    def faint(tokens):
        """Sees of the future no more than whether the token 3 comes next."""
        return honest(tokens) + F.pad((tokens[:, 1:] == 3).float(), (0, 1))[..., None]

    expect(not peeks(honest, tokens, 7), "a model that sees nothing of the future is accused")
    for told, model in [
        ("the mean of the whole text", mean_of_all),
        ("the next token", leaky(5, 4)),
        ("the second token, at the first", leaky(1, 0)),
        ("the last token, at the first", leaky(8, 0)),
        ("a little of the next token", leaky(5, 4, share=1e-4)),
        ("whether one certain token comes next", faint),
    ]:
        expect(peeks(model, tokens, 7), f"a model that sees {told} goes free")


if __name__ == "__main__":
    run_main(lambda: main(__file__, check_attend, check_additive_scores, check_memory_mask, check_peeks))
