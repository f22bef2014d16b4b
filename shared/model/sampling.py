"""From logits to the next token, and from a prompt to a text, one token's work a step."""

from collections.abc import Iterator

import torch
from torch import Tensor

from shared.model.language_model import LanguageModel, map_tensors


def filter_logits(logits: Tensor, top_k: int | None = None, top_p: float | None = None) -> Tensor:
    """Set all but the likeliest tokens to -inf. logits (B, V) -> (B, V).

    top_k keeps the k likeliest. top_p keeps the smallest set of likeliest tokens that together reach probability p
    (Holtzman et al. 2020, "The Curious Case of Neural Text Degeneration"); the likeliest token always stays.
    """
    if top_k is not None:
        values, likeliest = logits.topk(min(top_k, logits.size(-1)))  # (B, k) both
        logits = torch.full_like(logits, float("-inf")).scatter(-1, likeliest, values)
    if top_p is not None and top_p < 1:  # at 1, a rounded sum would cost the rarest tokens their chance
        probabilities, order = logits.softmax(-1).sort(descending=True, stable=True)
        before = probabilities.cumsum(-1) - probabilities  # the probability of all likelier tokens
        dropped = torch.zeros_like(before, dtype=torch.bool).scatter(-1, order, before >= top_p)
        dropped.scatter_(-1, order[:, :1], False)
        logits = logits.masked_fill(dropped, float("-inf"))
    return logits


def sample(
    logits: Tensor,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    banned: int | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Choose a next token for every row: logits (B, V) -> (B).

    Temperature 0 takes the likeliest; below 1 sharpens, above 1 flattens. `banned` is never chosen. The draw is made
    on the CPU, so a seed means the same on every device.
    """
    logits = logits.detach().float().cpu()
    if banned is not None:
        logits = logits.index_fill(-1, torch.tensor([banned]), float("-inf"))
    if temperature < 1e-6:  # so sharp that only the likeliest is left; dividing by less would overflow
        return logits.argmax(-1)
    probabilities = filter_logits(logits / temperature, top_k, top_p).softmax(-1)
    # A point drawn on a line on which every token lies as long as it is probable. torch.multinomial draws a number for
    # every token of the vocabulary instead, which takes ten times as long.
    ends = probabilities.cumsum(-1, dtype=torch.float64)  # (B, V)
    points = torch.rand(len(ends), 1, generator=generator, dtype=torch.float64) * ends[:, -1:]
    return torch.searchsorted(ends, points, right=True).squeeze(-1)


@torch.inference_mode()
def generate(model: LanguageModel, prompt: list[int], num_samples: int = 1, **sampling) -> Iterator[Tensor]:
    """Read the prompt once, then yield the next tokens (num_samples) for ever, each step feeding only the newest.

    `sampling` goes to `sample`. The model is to be in eval mode.
    """
    device = model.embedding.weight.device
    logits, state, _ = model(torch.tensor([prompt], device=device))
    logits = logits[:, -1].expand(num_samples, -1)  # (num_samples, V)
    state = map_tensors(lambda tensor: tensor.repeat_interleave(num_samples, dim=0), state)
    while True:
        tokens = sample(logits, **sampling)
        yield tokens
        logits, state, _ = model(tokens[:, None].to(device), state)
        logits = logits[:, -1]
