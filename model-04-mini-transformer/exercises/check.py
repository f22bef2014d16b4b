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
from torch import nn

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
        wanted, _ = library(x, x, x, attn_mask=hidden)
        w_q, w_k, w_v = library.in_proj_weight.chunk(3)
        answer = self_attention(x, w_q, w_k, w_v, library.out_proj.weight, num_heads)
        expect_close(answer, wanted, f"{num_heads} heads, beside torch.nn.MultiheadAttention")


def check_rotate(rotate: Callable) -> None:
    torch.manual_seed(0)
    x, positions = torch.randn(5, 6), torch.tensor([0, 1, 2, 7, 300])
    # A pair is a complex number, and to turn it is to multiply it by another one, of length 1.
    angles = positions[:, None] * torch.tensor([1, 10000 ** (-2 / 6), 10000 ** (-4 / 6)])
    turned = torch.complex(x[:, :3], x[:, 3:]) * torch.polar(torch.ones(5, 3), angles)
    expect_close(rotate(x, positions), torch.cat([turned.real, turned.imag], dim=1), "beside complex numbers", 1e-3)


def check_attend_next(attend_next: Callable) -> None:
    torch.manual_seed(0)
    for window in (1, 3, 20):
        q, k, v = torch.randn(3, 10, 4)
        steps_back = torch.arange(10)[:, None] - torch.arange(10)
        seen = (steps_back >= 0) & (steps_back < window)
        wanted = F.scaled_dot_product_attention(q, k, v, attn_mask=seen)
        cache = None
        for t in range(10):
            told = f"a window of {window}, token {t}"
            context, cache = attend_next(q[t], k[t], v[t], cache, window)
            expect_close(context, wanted[t], told)
            held = min(t + 1, window - 1)
            expect(isinstance(cache, tuple) and len(cache) == 2, f"{told}: the cache is not a tuple of two")
            for name, part in zip(("keys", "values"), cache):
                expect_shape(part, (held, 4), f"{told}, {name} in the cache")


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
        told = f"{num_layers} layers, a window of {window}"
        answer = furthest(num_layers, window)
        expect(answer == wanted, f"{told}: in a model of stage 4, {wanted} tokens have a part, and not {answer}")


if __name__ == "__main__":
    checks = [check_rms_norm, check_self_attention, check_rotate, check_attend_next, check_furthest]
    run_main(lambda: main(__file__, *checks))
