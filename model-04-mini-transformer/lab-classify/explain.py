"""Two answers to the question which words mattered: where attention dwells, and what the gradient says.

B batch, T time, C classes
"""

import torch
from torch import Tensor

from shared.measure.faithfulness import rank_correlation
from shared.model.attention import padding_mask

from model import Classifier


def explain(model: Classifier, words: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """words (B, T) or (B, T, C), lengths (B) -> log p (B, C), attention (B, T), gradient times input (B, T).

    attention[b, s]: how much word s is looked at, as the mean over layers, heads and the words that look; sums to 1.
    gradient[b, s]: d log p(answer) / d e_s . e_s, e_s the word's embedding, answer the likeliest class. Were log p
    linear, it would fall by that much if e_s were set to zero; below zero the word speaks against the answer.
    Padding has 0 in both. ValueError: the model has no attention.
    """
    if not model.blocks:
        raise ValueError("a model without attention has nothing to compare the gradient with")
    was_training = model.training
    model.eval()
    # Word ids have no gradient, so it is taken at the vectors that they stand for.
    embedded = model.embedding(words).detach().requires_grad_()  # (B, T, C)
    with torch.enable_grad():
        logits, weights = model.read(embedded, lengths, return_attention=True)
        log_p = logits.log_softmax(-1)  # (B, C)
        # Texts of a batch know nothing of each other: the gradient of the sum holds that of each.
        gradients = torch.autograd.grad(log_p.max(-1).values.sum(), embedded)[0]  # (B, T, C)
    model.train(was_training)
    gradient_times_input = (gradients * embedded.detach()).sum(-1)  # (B, T)
    return log_p.detach(), received(weights.detach(), lengths), gradient_times_input


def received(weights: Tensor, lengths: Tensor) -> Tensor:
    """How much each word is looked at: weights (B, layers, heads, T, T), lengths (B) -> (B, T), each row with sum 1."""
    real = padding_mask(lengths, weights.size(-1)).transpose(1, 2)  # (B, T, 1): the words that look
    looks = weights.mean((1, 2)).masked_fill(~real, 0.0)  # (B, T, T): how much word t looks at word s
    return looks.sum(1) / lengths[:, None]  # (B, T)


def correlations(
    model: Classifier, examples: list[tuple[Tensor, int]], device: torch.device | str = "cpu"
) -> list[float]:
    """For each passage, the rank correlation of attention with the size of gradient times input.

    None at all for a model without attention; 0 where either is the same for all words.
    """
    if not model.blocks:
        return []
    found = []
    for words, _ in examples:
        _, attention, gradient = explain(model, words[None].to(device), torch.tensor([len(words)], device=device))
        found.append(rank_correlation(attention[0], gradient[0].abs()) or 0.0)
    return found
