"""From a trained model to an output: greedy, the likeliest symbol at every step, or beam search, which keeps several.

B batch, W width of the beam, V vocabulary
"""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from shared.model.language_model import map_tensors

from model import BOS, EOS, PAD, Memory, Seq2Seq, State


@torch.no_grad()
def greedy(model: Seq2Seq, source: Tensor, lengths: Tensor, max_length: int) -> tuple[Tensor, Tensor]:
    """source (B, S), lengths (B) -> outputs (B, up to max_length), EOS and then PAD at their end; their log p (B)."""
    memory, state = model.read(source, lengths)
    token, total = torch.full_like(lengths, BOS), torch.zeros(len(lengths), device=source.device)  # (B)
    outputs = []
    while len(outputs) < max_length and not ended(token).all():
        log_p, state = next_log_probabilities(model, token, state, memory)  # (B, V)
        best, token = log_p.max(-1)  # (B): the model's own choice is what it reads next
        total = total + best
        outputs.append(token)
    return torch.stack(outputs, dim=1), total


@torch.no_grad()
def beam_search(model: Seq2Seq, source: Tensor, lengths: Tensor, max_length: int, width: int) -> tuple[Tensor, Tensor]:
    """As `greedy`, but keeps the `width` likeliest beginnings at every step, for all sources of the batch at once.

    A good beginning can push out the greedy one and end badly. So the greedy output stays a candidate, and the result
    is never less likely than it.
    """
    batch = len(lengths)
    # Every source stands W times in the batch, once for each beginning that is kept: rows 0 to W - 1 are the first's.
    memory, state = map_tensors(lambda x: x.repeat_interleave(width, dim=0), model.read(source, lengths))
    outputs = torch.full((batch * width, 1), BOS, device=source.device)
    total = torch.full((batch, width), -torch.inf, device=source.device)
    total[:, 0] = 0  # all beginnings are the same empty one: only one of them counts
    while outputs.size(1) <= max_length and not ended(outputs[:, -1]).all():
        log_p, state = next_log_probabilities(model, outputs[:, -1], state, memory)  # (B * W, V)
        extended = total[:, :, None] + log_p.unflatten(0, (batch, width))  # (B, W, V): every way to go on

        # The W likeliest of all W * V; which beginning each goes on from, and with which symbol.
        total, place = extended.flatten(1).topk(width)  # (B, W)
        beginning, token = place // log_p.size(-1), place % log_p.size(-1)  # (B, W)

        # A beginning that is kept twice takes its text and its state along twice, one that is dropped not at all.
        rows = (torch.arange(batch, device=source.device)[:, None] * width + beginning).flatten()  # (B * W)
        outputs = torch.cat([outputs[rows], token.view(-1, 1)], dim=1)
        state = map_tensors(partial(torch.index_select, dim=0, index=rows), state)
    likeliest = torch.arange(batch, device=source.device) * width  # topk sorts: each source's best stands first
    return likelier((outputs[likeliest, 1:], total[:, 0]), greedy(model, source, lengths, max_length))


def next_log_probabilities(model: Seq2Seq, token: Tensor, state: State, memory: Memory) -> tuple[Tensor, State]:
    """log p (B, V) of what follows, and the new state. Behind an end stands PAD, for free; PAD and BOS nowhere else."""
    logits, state = model.step(token, state, memory)
    logits[:, [PAD, BOS]] = -torch.inf
    log_p = logits.log_softmax(-1)
    only_pad = torch.full_like(log_p, -torch.inf)
    only_pad[:, PAD] = 0
    return torch.where(ended(token)[:, None], only_pad, log_p), state


def ended(token: Tensor) -> Tensor:
    """Whether an output is complete, by its last symbol."""
    return (token == EOS) | (token == PAD)


def likelier(one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """For each source that of two (outputs (B, ...), log p (B)) which is likelier, padded to the same length."""
    length = max(one[0].size(1), other[0].size(1))
    outputs = [F.pad(output, (0, length - output.size(1)), value=PAD) for output, _ in (one, other)]  # (B, length)
    first = one[1] >= other[1]
    return torch.where(first[:, None], *outputs), torch.where(first, one[1], other[1])
