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
from torch import Tensor, nn

from shared.run.cli import run_main
from shared.run.exercises import expect, expect_close, expect_shape, main


def check_cross_entropy(cross_entropy: Callable) -> None:
    torch.manual_seed(0)
    scores, targets = torch.randn(4, 3), torch.tensor([2, 0, 1, 2])
    wanted = F.cross_entropy(scores, targets)
    of_rows, of_columns = (scores.softmax(dim)[torch.arange(4), targets] for dim in (1, 0))
    mistakes = {
        "Is it the sum? The loss is the mean over all words.": 4 * wanted,
        "Is the sign missing? The log of a probability is negative, and the loss is minus that.": -wanted,
        "Is it in bits? A loss in nats takes the log to base e.": wanted / math.log(2),
        "Is it the log of the mean probability? The mean of the logs is asked for.": -of_rows.mean().log(),
        "Do the probabilities of each column add up to 1? Those of each row should.": -of_columns.log().mean(),
    }
    hint = "For each row it is the log of the sum of e to the scores, minus the score of the target."
    expect_close(torch.as_tensor(cross_entropy(scores, targets)), wanted, "small scores", hint=hint, mistakes=mistakes)
    wanted = F.cross_entropy(3000 * scores, targets)
    hint = (
        "A float holds e to 88, and e to 1,000 is infinite; e to -1,000 is rounded to 0, whose log is minus infinity. "
        "So subtract each row's largest score first, and write log(a / b) as log a - log b."
    )
    answer = torch.as_tensor(cross_entropy(3000 * scores, targets))
    expect_close(answer, wanted, "scores of some thousands", tolerance=0.01, hint=hint)


def check_step(step: Callable) -> None:
    torch.manual_seed(0)
    cell = nn.RNNCell(5, 3)
    x_t, h = torch.randn(2, 5), torch.randn(2, 3)
    w_ih, w_hh, b_ih, b_hh = weights = [parameter.detach() for parameter in cell.parameters()]
    mistakes = {
        "Is the tanh missing?": x_t @ w_ih.T + b_ih + h @ w_hh.T + b_hh,
        "Is W_hh multiplied as it stands? Row by row, W h is h @ W.T.": torch.tanh(
            x_t @ w_ih.T + b_ih + h @ w_hh + b_hh
        ),
        "Is b_ih missing?": torch.tanh(x_t @ w_ih.T + h @ w_hh.T + b_hh),
        "Is b_hh missing?": torch.tanh(x_t @ w_ih.T + b_ih + h @ w_hh.T),
        "Are both biases missing?": torch.tanh(x_t @ w_ih.T + h @ w_hh.T),
        "Is h missing?": torch.tanh(x_t @ w_ih.T + b_ih + b_hh),
    }
    hint = "Compare it with the equation, term by term: two products, two biases, one tanh around all of them."
    expect_close(step(x_t, h, *weights), cell(x_t, h).detach(), "beside torch.nn.RNNCell", hint=hint, mistakes=mistakes)


def check_chunks(chunks: Callable) -> None:
    for length, batch_size, context_length in [(13, 2, 3), (12, 2, 3), (100, 3, 7), (1000, 8, 16)]:
        ids = torch.arange(length)
        case = f"{length} tokens in {batch_size} rows, {context_length} at a time"
        batches = chunks(ids, batch_size, context_length)
        wanted = (length - 1) // (batch_size * context_length)
        hint = f"Every input needs a target after it, so of {length} tokens {length - 1} can be inputs."
        expect(len(batches) == wanted, f"{case}: {wanted} batches are expected, and not {len(batches)}", hint)
        for number, (inputs, targets) in enumerate(batches):
            expect(not (inputs.is_floating_point() or targets.is_floating_point()), f"{case}: ids are whole numbers")
            starts = torch.arange(batch_size) * wanted * context_length + number * context_length
            places = starts[:, None] + torch.arange(context_length)  # (B, T) in the text
            first = number * batch_size * context_length
            in_order = ids[first : first + batch_size * context_length].view(batch_size, context_length)
            reading = "Row r of the next batch should read on where row r of this one stops."
            mistakes = {f"Does each row read on where the row above it stops? {reading}": in_order}
            expect_close(inputs, ids[places], f"{case}, inputs of batch {number}", hint=reading, mistakes=mistakes)
            mistakes = {
                "Are the targets the inputs themselves? A target is the token after its input.": inputs,
                "Is the last target of a row its own first token? It is the one that follows in the text.": inputs.roll(
                    -1, 1
                ),
            }
            hint = "A target is the token that follows its input in the text, for the last input of a row as well."
            expect_close(targets, ids[places + 1], f"{case}, targets of batch {number}", hint=hint, mistakes=mistakes)


def check_perplexity(perplexity: Callable) -> None:
    # Each token is a choice between n equally likely ones, n = 2 three times and n = 16 once: 2 ** (7 / 4) on average.
    two, sixteen = torch.tensor(2.0).log(), torch.tensor(16.0).log()
    losses = torch.stack([two, two, two, sixteen])
    for sizes in [[4], [1, 3], [3, 1], [2, 2]]:
        pieces = list(losses.split(sizes))
        means = torch.stack([piece.mean() for piece in pieces])
        mistakes = {
            "Is it the mean loss? Perplexity is e to the power of that.": losses.mean(),
            "Is it 2 to the power of the mean loss? These losses are in nats, so e.": 2 ** losses.mean(),
            "Is it the mean of e to each loss? First the mean, and then e to the power of it.": losses.exp().mean(),
            "Is it e to the mean of the pieces' means? Then tokens of short pieces count for more.": means.mean().exp(),
            "Is it the mean of the pieces' perplexities? Every token should count the same.": means.exp().mean(),
        }
        hint = "It is e to the power of the mean loss of all tokens, however they are cut into pieces."
        answer = torch.as_tensor(perplexity(pieces))
        told = f"pieces of {sizes} tokens"
        expect_close(answer, torch.tensor(2 ** (7 / 4)), told, hint=hint, mistakes=mistakes)


def check_reach(reach: Callable) -> None:
    torch.manual_seed(0)
    # Each step keeps half of the memory, so the gradient halves with each.
    halved = 2 * 0.5 ** torch.arange(5, -1, -1)
    mistakes = {
        "Is the order reversed? The first number is for the memory after step 1.": halved.flip(0),
        "Is it the gradient of the mean? Take the sum of the last memory's numbers.": halved / 4,
        "Is it the square of the norm? Euclidean norm has a root.": halved**2,
        "Is it the gradient's sum? Take its Euclidean norm.": 2 * halved,
        "Is it the mean of the gradient's numbers? Take its Euclidean norm.": halved / 2,
    }
    hint = "One gradient for each memory, all of the sum of the last one: autograd.grad(h.sum(), memories)."
    answer = reach(lambda x_t, h: x_t + h / 2, torch.randn(6, 4), torch.randn(4))
    expect_close(answer, halved, "a cell that keeps half", hint=hint, mistakes=mistakes)
    cell = nn.RNNCell(5, 3)
    inputs, h = torch.randn(8, 5), torch.randn(3)
    answer = reach(cell, inputs, h)
    # By the chain rule: back through one step is a product with W_hh' and the slope of tanh, 1 - h ** 2.
    memories = []
    for x_t in inputs:
        h = cell(x_t, h).detach()
        memories.append(h)
    gradient, wanted = torch.ones(3), []
    for h in reversed(memories):
        wanted.insert(0, gradient.norm())
        gradient = cell.weight_hh.detach().T @ (gradient * (1 - h**2))
    expect_close(answer, torch.stack(wanted), "a torch.nn.RNNCell", hint=hint)


def check_keep_likely(keep_likely: Callable) -> None:
    # Sixteenths, so that their sums are exact; and each word's place in a vocabulary that is not so sorted.
    likely, places = torch.tensor([6.0, 4.0, 3.0, 1.0, 1.0, 1.0]) / 16, torch.tensor([3, 0, 5, 1, 4, 2])
    crossing = "Is the word left out with which the sum reaches p? It belongs to the set."
    reached = "Where the sum has reached p, no further word is needed."
    tied = "Are all kept that are as likely as the last one that is needed? Only as many as are needed should be."
    both = "Is p measured before top_k? What top_k leaves is rescaled first, and top_p looks at that."
    cases = [  # top_k, top_p, how many are kept, how many by a mistake, and which it is
        (None, None, 6, 6, ""),
        (1, None, 1, 2, "One more is kept than k says."),
        (3, None, 3, 4, "One more is kept than k says."),
        (4, None, 4, 6, tied),
        (9, None, 6, 6, ""),
        (None, 8 / 16, 2, 1, crossing),
        (None, 10 / 16, 2, 3, reached),
        (None, 11 / 16, 3, 2, crossing),
        (None, 14 / 16, 4, 6, tied),
        (None, 0.0, 1, 0, "Is no word left? At least one is to be kept, however small p is."),
        (None, 1.0, 6, 5, crossing),
        (2, 0.55, 1, 2, both),
    ]
    for top_k, top_p, count, wrong_count, cause in cases:
        told = f"top_k={top_k}, top_p={top_p}"
        answer = keep_likely(likely[places.argsort()], top_k, top_p)
        expect_shape(answer, (6,), told)
        wanted = first(likely, count)
        mistakes = {
            cause: first(likely, wrong_count),
            "Are the probabilities left as they were? They should add up to 1 again.": likely * (wanted > 0),
            "Are they in the order of likelihood? Every word should keep its place.": by_likelihood(wanted, places),
        }
        hint = "The likeliest keep their places, all others get 0, and then all are divided by their sum."
        expect_close(by_likelihood(answer, places), wanted, told, hint=hint, mistakes=mistakes)


def first(likely: Tensor, count: int) -> Tensor:
    """The first `count` probabilities, rescaled, and 0 for the others."""
    kept = likely * (torch.arange(len(likely)) < count)
    return kept / kept.sum()


def by_likelihood(answer: Tensor, places: Tensor) -> Tensor:
    """The six numbers, likeliest word first. The last three are equally likely, so which of them is kept is all one."""
    answer = answer[places]
    return torch.cat([answer[:3], answer[3:].sort(descending=True).values])


if __name__ == "__main__":
    checks = [check_cross_entropy, check_step, check_chunks, check_perplexity, check_reach, check_keep_likely]
    run_main(lambda: main(__file__, *checks))
