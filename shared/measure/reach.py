"""How far back a memory reaches: with the past cut off, by place in a window, and by gradient.

All three read real text from nothing (state None) and look at the loss; none asks what kind of model it has.
N tokens of text, K targets, L lengths, T window
"""

import torch
from torch import Tensor

from shared.measure.influence import gradient_sizes
from shared.model.language_model import LanguageModel

ROWS, CHUNK = 64, 64  # texts side by side, tokens at once: enough to keep a processor busy, and not beyond its cache
SPACING = 64  # tokens between two targets, where the text is long enough


def spread_targets(number_of_ids: int, longest: int, count: int) -> Tensor:
    """Places of `count` tokens to predict, each with `longest` tokens before it; fewer where the text is short. -> (K).

    Every 64th token, then the neighbours of these, until there are enough. So long readings can be shared (see
    `context_losses`).
    """
    places = torch.arange(longest, number_of_ids)
    order = ((places - longest) % SPACING).argsort(stable=True)
    return places[order[:count]].sort().values


@torch.inference_mode()
def context_losses(model: LanguageModel, ids: Tensor, targets: Tensor, lengths: list[int]) -> Tensor:
    """The loss of every target when the model has read exactly so many tokens before it, and nothing earlier.

    ids (N); targets (K), places in ids, each at least the longest length; lengths ascending
    -> (L, K) nats, float64, on the CPU. The model is left in eval mode.

    A reading from one place serves several targets: after n tokens it predicts the one n places on. Readings that start
    at the same place are therefore done once.
    """
    model.eval()
    starts, reading = (targets - torch.tensor(lengths)[:, None]).unique(return_inverse=True)  # (readings), (L, K)
    longest = torch.zeros(len(starts), dtype=torch.long)
    for length, row in zip(lengths, reading):  # ascending: the longest is written last
        longest[row] = length
    losses = torch.full((len(lengths), len(starts)), torch.nan, dtype=torch.float64)
    for number, length in enumerate(lengths, start=1):
        for rows in (longest == length).nonzero().squeeze(-1).split(ROWS):
            losses[:number, rows] = _losses_along(model, ids, starts[rows], lengths[:number])
    return losses.gather(1, reading)


def _losses_along(model: LanguageModel, ids: Tensor, starts: Tensor, lengths: list[int]) -> Tensor:
    """Read on from each start (R) and stop at each length to score the next token -> (L, R) nats."""
    texts = ids[starts[:, None] + torch.arange(lengths[-1] + 1)].to(model.embedding.weight.device)  # (R, longest + 1)
    state, done, losses = None, 0, []
    for length in lengths:
        for first in range(done, length - 1, CHUNK):
            _, state, _ = model.features(texts[:, first : min(first + CHUNK, length - 1)], state, False)
        nats, state = model.loss(texts[:, length - 1 : length], texts[:, length : length + 1], state, reduction="none")
        losses.append(nats[:, 0].cpu().double())
        done = length
    return torch.stack(losses)


@torch.inference_mode()
def position_losses(model: LanguageModel, ids: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """The mean loss at each place of a window, when the text is cut into windows and each is read from nothing.

    ids (N) -> nats (T) per token, and how many tokens (T) each is the mean of: the last window may be shorter.
    Every token but the text's first is scored once. The model is left in eval mode.
    """
    model.eval()
    length = min(length, len(ids) - 1)
    starts = torch.arange(0, len(ids) - 1, length)
    places = starts[:, None] + torch.arange(length + 1)  # (windows, T + 1)
    real = places[:, 1:] < len(ids)
    texts = ids[places.clamp(max=len(ids) - 1)]  # what stands past the end is read last and not counted
    total = torch.zeros(length, dtype=torch.float64)
    for text, counted in zip(texts.split(ROWS), real.split(ROWS)):
        text = text.to(model.embedding.weight.device)
        nats, _ = model.loss(text[:, :-1], text[:, 1:], None, reduction="none")  # (rows, T)
        total += (nats.cpu().double() * counted).sum(0)
    return total / real.sum(0), real.sum(0)


def gradient_by_distance(model: LanguageModel, ids: Tensor, targets: Tensor, length: int) -> Tensor:
    """How large the gradient of a prediction is at the embedding of the token so many places back, as it is.

    ids (N), targets (K) as above, each with `length` tokens before it -> (length): the mean over the targets of
    || d log p(target) / d (embedding) ||, first the token just read (distance 0), then the one before it, and so on.
    """
    model.eval()
    device = model.embedding.weight.device
    sizes = torch.zeros(length, dtype=torch.float64)
    for part in targets.split(ROWS // 4):  # a backward pass keeps every step
        texts = ids[part[:, None] - length + torch.arange(length + 1)].to(device)  # (rows, length + 1)
        last = torch.full((len(part),), length - 1, device=device)
        sizes += gradient_sizes(model, texts[:, :-1], last, texts[:, -1]).sum(0)
    return (sizes / len(targets)).flip(0)
