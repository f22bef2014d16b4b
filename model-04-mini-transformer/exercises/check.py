"""Say which of your functions in answers.py are right: `python check.py`."""

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
from torch import Tensor, nn

from shared.run.cli import run_main
from shared.run.exercises import expect, expect_close, expect_shape, main
from shared.stages import ROOT, load_module


def check_rms_norm(rms_norm: Callable) -> None:
    torch.manual_seed(0)
    x, weight = 3 * torch.randn(5, 8) + 1, torch.randn(8)
    square = x.square()
    mistakes = {
        "Is the weight missing? In the end each of the E numbers has its own factor.": F.rms_norm(x, (8,)),
        "Is it divided by the length? The mean of the squares is under the root, not their sum.": (
            x / square.sum(1, keepdim=True).sqrt() * weight
        ),
        "Is the root missing?": x / square.mean(1, keepdim=True) * weight,
        "Is the mean taken away first? So does LayerNorm. RMSNorm leaves it in.": F.layer_norm(x, (8,), weight),
        "Is it divided by the standard deviation? That leaves the mean out of account; RMSNorm counts it in.": (
            x / x.std(1, keepdim=True) * weight
        ),
        "Is the mean taken over all words at once? Each word has its own.": x / square.mean().sqrt() * weight,
        "Is the mean taken over the words, column by column? Each word has its own.": x
        / square.mean(0).sqrt()
        * weight,
        "Is it multiplied by the root, and not divided?": x * square.mean(1, keepdim=True).sqrt() * weight,
    }
    hint = "For each word: the root of the mean of its squares. Divide the word's numbers by that, and weight them."
    expect_close(
        rms_norm(x, weight), F.rms_norm(x, (8,), weight), "beside torch.nn.RMSNorm", hint=hint, mistakes=mistakes
    )
    hint = "That is 0 / 0. Add the millionth under the root."
    expect_close(rms_norm(torch.zeros(2, 8), weight), torch.zeros(2, 8), "words of zeros", hint=hint)


def check_self_attention(self_attention: Callable) -> None:
    torch.manual_seed(0)
    for num_heads in (1, 2, 4):
        library = nn.MultiheadAttention(8, num_heads, bias=False, batch_first=True)
        x = torch.randn(2, 5, 8)
        hidden = torch.ones(5, 5, dtype=torch.bool).triu(1)  # True is what a query may not see, in this class
        wanted = library(x, x, x, attn_mask=hidden)[0].detach()
        w_q, w_k, w_v = library.in_proj_weight.detach().chunk(3)
        w_o = library.out_proj.weight.detach()
        mistakes = mistaken_heads(x @ w_q.T, x @ w_k.T, x @ w_v.T, w_o, num_heads)
        hint = "(B, T, E) becomes (B, T, heads, D), then (B, heads, T, D); after the heads' attention all the way back."
        answer = self_attention(x, w_q, w_k, w_v, w_o, num_heads)
        told = f"{num_heads} heads, beside torch.nn.MultiheadAttention"
        expect_close(answer, wanted, told, hint=hint, mistakes=mistakes)


def mistaken_heads(q: Tensor, k: Tensor, v: Tensor, w_o: Tensor, num_heads: int) -> dict[str, Tensor]:
    """What comes out instead of `self_attention`: q, k, v (B, T, E) -> (B, T, E)."""
    split = [part.unflatten(-1, (num_heads, -1)).transpose(1, 2) for part in (q, k, v)]  # (B, heads, T, D) each
    viewed = [part.view(part.size(0), num_heads, part.size(1), -1) for part in (q, k, v)]
    swapped = [part.unflatten(-1, (-1, num_heads)).permute(0, 3, 1, 2) for part in (q, k, v)]
    found = F.scaled_dot_product_attention(*split, is_causal=True)

    def joined(found: Tensor) -> Tensor:
        return found.transpose(1, 2).flatten(2)

    return {
        "Is w_o missing?": joined(found),
        "Is w_o used as it stands? It is x @ w_o.T.": joined(found) @ w_o,
        "Is the future seen? A token sees itself and those before it.": (
            joined(F.scaled_dot_product_attention(*split)) @ w_o.T
        ),
        "Is the root missing? Scores are divided by the root of D.": (
            joined(F.scaled_dot_product_attention(*split, is_causal=True, scale=1)) @ w_o.T
        ),
        "Are scores divided by the root of E? A head's vectors have D = E / heads numbers.": (
            joined(F.scaled_dot_product_attention(*split, is_causal=True, scale=q.size(-1) ** -0.5)) @ w_o.T
        ),
        "Are the heads put back without a transpose? (B, heads, T, D) must become (B, T, heads, D) first.": (
            found.reshape(q.shape) @ w_o.T
        ),
        "Do the heads come from a view as (B, heads, T, D)? It mixes up the tokens. View, then transpose.": (
            F.scaled_dot_product_attention(*viewed, is_causal=True).reshape(q.shape) @ w_o.T
        ),
        "Is every so many-th number a head's? A head has D neighbouring ones.": (
            F.scaled_dot_product_attention(*swapped, is_causal=True).permute(0, 2, 3, 1).flatten(2) @ w_o.T
        ),
    }


def check_rotate(rotate: Callable) -> None:
    torch.manual_seed(0)
    x, positions = torch.randn(5, 6), torch.tensor([0, 1, 2, 7, 300])
    pairs, places = torch.arange(3), positions[:, None]

    def turn(angles: Tensor, first: Tensor = x[:, :3], second: Tensor = x[:, 3:]) -> list[Tensor]:
        # A pair is a complex number, and to turn it is to multiply it by another one, of length 1.
        turned = torch.complex(first, second) * torch.polar(torch.ones(5, 3), angles)
        return [turned.real, turned.imag]

    angles = places * 10000 ** (-2 * pairs / 6)
    mistakes = {
        "Is it turned backwards? (a cos - b sin, a sin + b cos).": torch.cat(turn(-angles), 1),
        "Are neighbours paired? x_i goes with x_{i + D/2}.": torch.stack(
            turn(angles, x[:, ::2], x[:, 1::2]), 2
        ).flatten(1),
        "Is the factor 2 missing in the exponent? It is -2 i / D.": torch.cat(turn(places * 10000 ** (-pairs / 6)), 1),
        "Is the sign of the exponent missing? Angles shrink from pair to pair.": (
            torch.cat(turn(places * 10000 ** (2 * pairs / 6)), 1)
        ),
        "Do all pairs turn equally fast?": torch.cat(turn(places.expand(5, 3).float()), 1),
        "Are the rows counted? Their positions are given, and have gaps.": (
            torch.cat(turn(torch.arange(5)[:, None] * 10000 ** (-2 * pairs / 6)), 1)
        ),
    }
    hint = "Position 0 turns nothing. Position 1 turns the first pair, x_0 and x_{D/2}, by 1: about 57 degrees."
    told = "beside complex numbers"
    expect_close(rotate(x, positions), torch.cat(turn(angles), 1), told, 1e-3, hint=hint, mistakes=mistakes)


def check_attend_next(attend_next: Callable) -> None:
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 10, 4)
    for window in (3, 1, 20):
        cache = None
        for t in range(10):
            told = f"a window of {window}, token {t}"
            context, cache = attend_next(q[t], k[t], v[t], cache, window)
            start, stop = max(0, t + 1 - window), t + 1
            fewer, more = min(start + 1, t), max(0, start - 1)
            mistakes = {
                "Is the root missing? Scores are divided by the root of D.": found(
                    2 * q[t], k[start:stop], v[start:stop]
                ),
                "Is its own token missing? Put its key and value to those in the cache.": found(
                    q[t], k[start:t], v[start:t]
                ),
                "Is only its own token seen? Look up those in the cache, too.": v[t],
                "Is one token too few seen? The own one is one of the window.": found(
                    q[t], k[fewer:stop], v[fewer:stop]
                ),
                "Is one token too many seen? The own one is one of the window.": found(
                    q[t], k[more:stop], v[more:stop]
                ),
            }
            hint = "The query sees what the cache holds, and its own token."
            wanted = found(q[t], k[start:stop], v[start:stop])
            expect_close(context, wanted, told, hint=hint, mistakes=mistakes)
            expect_cache(cache, t, window, told)


def found(query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """What a query (D) brings home from keys (P, D) and values (P, D)."""
    return F.scaled_dot_product_attention(query[None], keys, values)[0]


def expect_cache(cache: tuple[Tensor, Tensor], t: int, window: int, told: str) -> None:
    """Raise Wrong unless the cache, after token t, holds as much as the next step can use."""
    hint = "Two tensors: keys (P, D) and values (P, D)."
    expect(isinstance(cache, tuple) and len(cache) == 2, f"{told}: the cache is not a tuple of two", hint)
    hint = f"The next token sees {window} with its own, so at most {window - 1} before it are of use."
    if window == 1:  # slices with a minus have passed all other windows
        hint += " And mind that [-0:] keeps everything."
    for name, part in zip(("keys", "values"), cache):
        expect_shape(part, (min(t + 1, window - 1), 4), f"{told}, {name} in the cache", hint)


def check_furthest(furthest: Callable) -> None:
    transformer = load_module(ROOT / "model-04-mini-transformer" / "model.py").MiniTransformer
    for num_layers, window in [(1, 1), (1, 5), (2, 5), (4, 8)]:
        torch.manual_seed(0)
        model = transformer(vocab_size=40, hidden_size=16, num_layers=num_layers, context_length=window).double()
        # Forty tokens, all different: so each has a vector of its own, whose gradient tells whether it had a part in
        # the features, from which the output layer makes the logits.
        features, _, _ = model.features(torch.arange(40)[None], None, return_attention=False)
        features[0, -1, 0].backward()
        wanted = (model.embedding.weight.grad != 0).any(1).sum().item()
        hints = {
            window: "That is one layer's. What it looks at has itself looked further back, in the layer below.",
            num_layers * window: "Is the own token counted in every layer? Each reaches window - 1 further back.",
            num_layers * (window - 1): "Is the token itself missing?",
            window**num_layers: "Are tokens counted twice? The windows of neighbours overlap.",
        }
        hint = "Draw two layers with a window of three, as in the example. What does a third layer add?"
        told = f"{num_layers} layers, a window of {window}"
        answer = furthest(num_layers, window)
        otherwise = f"{told}: in a model of stage 4, {wanted} tokens have a part, and not {answer}"
        expect(answer == wanted, otherwise, hints.get(answer, hint))


if __name__ == "__main__":
    checks = [check_rms_norm, check_self_attention, check_rotate, check_attend_next, check_furthest]
    run_main(lambda: main(__file__, *checks))
