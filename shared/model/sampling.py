"""From logits to the next token, and from a prompt to a text, one token's work a step."""

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from shared.errors import UserError
from shared.model.language_model import LanguageModel, map_tensors
from shared.model.output import TiedOutput

COLDEST = 1e-6  # below this temperature only the likeliest token is left; dividing by less would overflow


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
    logits = logits.detach().cpu().double()
    if banned is not None:
        logits = logits.index_fill(-1, torch.tensor([banned]), float("-inf"))
    if temperature < COLDEST:
        return logits.argmax(-1)
    probabilities = filter_logits(logits / temperature, top_k, top_p).softmax(-1)
    # A point drawn on a line on which every token lies as long as it is probable. torch.multinomial draws a number for
    # every token of the vocabulary instead, which takes ten times as long.
    ends = probabilities.cumsum(-1)  # (B, V)
    points = torch.rand(len(ends), 1, generator=generator, dtype=torch.float64) * ends[:, -1:]
    return torch.searchsorted(ends, points, right=True).squeeze(-1)


def sample_by_bands(
    output: TiedOutput,
    features: Tensor,
    temperature: float = 1.0,
    banned: int | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """`sample(output(features), temperature, ...)`, but a band of rarer tokens is only computed where a draw needs it.

    features (B, E) -> (B). Temperature above 0. To read the vectors of all words takes longer than all the rest of a
    step, and four words of five are among the few hundred most frequent.

    Again each token lies on a line, p ** (1 / temperature) long. How long a band of n tokens with the probability p is
    in all shows only when it is computed; but by Jensen's inequality never longer than n times (p / n) ** (1 /
    temperature), nor, below temperature 1, than p ** (1 / temperature). It gets that much room. A point that falls into
    the room which the band's tokens leave empty counts for nothing, and another is drawn.
    """
    power = 1 / temperature
    (first, *bands), num_frequent = output.bands(), output.sizes[0]
    logs = F.linear(features, *first).cpu().double().log_softmax(-1)  # (B, num_frequent + bands) log probabilities
    room = logs * power  # logarithms, too
    for k, (_, bias) in enumerate(bands, start=num_frequent):
        room[:, k] += max(0, 1 - power) * math.log(len(bias))
    if banned is not None and banned < num_frequent:
        room[:, banned] = float("-inf")
    tokens = torch.full((len(features),), -1)
    while (missing := tokens < 0).any():
        lengths = room.softmax(-1)
        ends = lengths.cumsum(-1)
        points = torch.rand(len(ends), 1, generator=generator, dtype=torch.float64) * ends[:, -1:]
        choice = torch.searchsorted(ends, points, right=True)  # (B, 1)
        place = 1 - (ends.gather(1, choice) - points) / lengths.gather(1, choice)  # from 0 to 1 within what was chosen
        choice = choice.squeeze(-1)
        tokens = torch.where(missing & (choice < num_frequent), choice, tokens)
        for k, (start, (weight, bias)) in enumerate(zip(output.starts[1:], bands), start=num_frequent):
            rows = (missing & (choice == k)).nonzero().squeeze(-1)
            if len(rows) == 0:
                continue
            within = F.linear(features[rows.to(features.device)], weight, bias).cpu().double().log_softmax(-1)
            within = (logs[rows, k, None] + within) * power  # (rows, n)
            if banned is not None and start <= banned < start + len(bias):
                within[:, banned - start] = float("-inf")
            ends_within = (within - room[rows, k, None]).exp().cumsum(-1)  # the last one is at most 1
            found = torch.searchsorted(ends_within, place[rows], right=True).squeeze(-1)
            tokens[rows] = torch.where(found < len(bias), start + found, -1)
            room[rows, k] = within.logsumexp(-1)  # now it is known
    return tokens


@torch.inference_mode()
def generate(
    model: LanguageModel,
    prompt: list[int],
    num_samples: int = 1,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    banned: int | None = None,
    generator: torch.Generator | None = None,
) -> Iterator[Tensor]:
    """Read the prompt once, then yield the next tokens (num_samples) for ever, each step feeding only the newest.

    The arguments after `num_samples` are those of `sample`. The model is to be in eval mode. UserError where it
    computes no numbers, as after a training at too high a rate.
    """
    device = model.embedding.weight.device
    free = temperature >= COLDEST and top_k is None and top_p is None
    features, state = model.next_features(torch.tensor([prompt], device=device), None)
    features = features.expand(num_samples, -1)  # (num_samples, E)
    state = map_tensors(lambda tensor: tensor.repeat_interleave(num_samples, dim=0), state)
    while True:
        if not features.sum().isfinite():
            raise UserError("the model's output is no number any more; train it again and use a lower --learning-rate")
        if free:
            tokens = sample_by_bands(model.output, features, temperature, banned, generator)
        else:
            tokens = sample(model.output(features), temperature, top_k, top_p, banned, generator)
        yield tokens
        features, state = model.next_features(tokens[:, None].to(device), state)
