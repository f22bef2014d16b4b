"""From logits to the next token, and from a prompt to a text: decoding, one token a step."""

import sys
from collections.abc import Iterator

import torch
from torch import Generator, Tensor
from tqdm import tqdm

from shared.errors import UserError
from shared.model.language_model import LanguageModel, map_tensors

PROMPT_PART = 4096  # tokens
COLDEST = 1e-6  # below this temperature only the likeliest token is left; dividing by less would overflow


def filter_logits(logits: Tensor, top_k: int | None = None, top_p: float | None = None) -> Tensor:
    """Set all but the likeliest tokens to -inf. logits (B, V) -> (B, V).

    top_k keeps the k likeliest. top_p, nucleus sampling, keeps the smallest set of likeliest tokens that together
    reach probability p (Holtzman et al. 2020, "The Curious Case of Neural Text Degeneration"), at least one.
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
    generator: Generator | None = None,
) -> Tensor:
    """Choose a next token for every row: logits (B, V) -> (B).

    Temperature 0 takes the likeliest; below 1 sharpens, above 1 flattens. `banned` is never chosen. The draw is made
    on the CPU, so a seed means the same on every device.
    """
    logits = logits.detach().cpu().double()
    if banned is not None:
        logits = logits.index_fill(-1, torch.tensor([banned]), float("-inf"))
    if temperature < COLDEST:
        return logits.argmax(-1)
    probabilities = filter_logits(logits / temperature, top_k, top_p).softmax(-1)
    # Lay the tokens on a line, each as long as it is probable, and see where a random point falls. (torch.multinomial
    # draws a number for every token of the vocabulary instead, which takes ten times as long.)
    ends = probabilities.cumsum(-1)  # (B, V)
    points = torch.rand(len(ends), 1, generator=generator, dtype=torch.float64) * ends[:, -1:]
    return torch.searchsorted(ends, points, right=True).squeeze(-1)


@torch.inference_mode()
def generate(
    model: LanguageModel,
    prompt: list[int],
    num_samples: int = 1,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    banned: int | None = None,
    generator: Generator | None = None,
) -> Iterator[Tensor]:
    """Read the prompt once, then yield the next tokens (num_samples) for ever, each step feeding only the newest.

    The arguments after `num_samples` are those of `sample`. The model is to be in eval mode. UserError where it
    computes no numbers, as after a training at too high a rate.
    """
    device = model.embedding.weight.device
    # A long prompt is read in parts, each going on from the last: all of it at once would not fit into the memory.
    state, parts = None, torch.tensor([prompt], device=device).split(PROMPT_PART, dim=1)
    for part in tqdm(parts, "reading the prompt", file=sys.stderr, delay=2, leave=False):
        logits, state = model.next_logits(part, state)  # (1, V)
    # From here on the samples go their own ways, each with a copy of what the prompt left.
    logits = logits.expand(num_samples, -1)  # (num_samples, V)
    state = map_tensors(lambda tensor: tensor.repeat_interleave(num_samples, dim=0), state)
    while True:
        if not logits.sum().isfinite():
            raise UserError("the model's output is no number any more; train it again and use a lower --learning-rate")
        tokens = sample(logits, temperature, top_k, top_p, banned, generator)  # (num_samples)
        yield tokens
        # The state holds all that was read, so one new token is one token's work.
        logits, state = model.next_logits(tokens[:, None].to(device), state)
