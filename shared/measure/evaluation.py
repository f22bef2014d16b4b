"""How well a model predicts a text: every token scored once, nats summed, divided once."""

import math
import sys
from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm import tqdm

from shared.model.language_model import LanguageModel

LANES = 32  # the text is read at this many places side by side, whatever the batch size in training
WARM_UP = 512  # tokens each place reads before its first scored one, so that hardly any prediction lacks its past


@dataclass(frozen=True)
class Evaluation:
    """Summed nats over `count` tokens; `characters` of text they stand for, where the tokenizer loses nothing."""

    nats: float
    count: int
    characters: int | None = None

    @property
    def loss(self) -> float:
        """Nats per token."""
        return self.nats / self.count

    @property
    def perplexity(self) -> float:
        """exp of the mean loss: as unsure as a choice between so many equally likely tokens."""
        return math.exp(self.loss) if self.loss < 700 else math.inf

    @property
    def bits_per_character(self) -> float | None:
        """The same loss for each character, in bits: whatever the tokens are. None where they lose some of the text."""
        return self.nats / math.log(2) / self.characters if self.characters else None


@torch.no_grad()
def token_losses(model: LanguageModel, ids: Tensor, context_length: int, lanes: int = LANES) -> Tensor:
    """The loss of every token but the first, in nats: ids (N) -> (N - 1), float64, on the CPU.

    The text is cut into `lanes` stretches. Each reads up to WARM_UP unscored tokens from before it, and the state is
    passed on in chunks of half a context. So no model is asked to predict without its past, but at the text's start.
    """
    model.eval()
    length = math.ceil((len(ids) - 1) / lanes)
    losses = torch.zeros(lanes, length, dtype=torch.float64)
    starts = torch.arange(0, len(ids) - 1, length)  # a stretch scores the targets start + 1 .. start + length
    # The text's first stretches have less to read beforehand; stretches with equal warm-up go in one batch.
    for warm_up in starts.clamp(max=WARM_UP).unique().tolist():
        rows = (starts.clamp(max=WARM_UP) == warm_up).nonzero().squeeze(-1)
        losses[rows] = _stretch_losses(model, ids, starts[rows] - warm_up, warm_up, length, max(1, context_length // 2))
    return losses.flatten()[: len(ids) - 1]


def _stretch_losses(model: LanguageModel, ids: Tensor, starts: Tensor, warm_up: int, length: int, chunk: int) -> Tensor:
    """Losses (rows, length) of the targets that follow `warm_up` tokens read from each start."""
    device = model.embedding.weight.device
    positions = starts[:, None] + torch.arange(warm_up + length + 1)
    window = ids[positions.clamp(max=len(ids) - 1)].to(device)  # past the text's end: repeats, dropped by the caller
    tokens, targets = window[:, :-1], window[:, 1:]
    state, losses = None, torch.zeros(len(starts), length, dtype=torch.float64)
    for first in range(0, warm_up, chunk):
        _, state, _ = model.features(tokens[:, first : min(first + chunk, warm_up)], state, False)
    chunks = range(warm_up, warm_up + length, chunk)
    for first in tqdm(chunks, "scoring", file=sys.stderr, delay=3, mininterval=0.5, leave=False):
        part = slice(first, first + chunk)
        nats, state = model.loss(tokens[:, part], targets[:, part], state, reduction="none")
        losses[:, first - warm_up : first - warm_up + chunk] = nats
    return losses


def evaluate(model: LanguageModel, ids: Tensor, context_length: int, characters: int | None = None) -> Evaluation:
    """Score a whole text. The model is left in eval mode."""
    losses = token_losses(model, ids, context_length)
    return Evaluation(losses.sum().item(), len(losses), characters)


@torch.no_grad()
def evaluate_in_windows(model: LanguageModel, ids: Tensor, length: int, windows: int, seed: int) -> float:
    """Nats per token over random windows of `length` tokens, each read without what comes before it.

    A common estimate, and so here for comparison with others. It is higher than `evaluate`'s, since the first tokens of
    a window lack their past, and it varies with the windows drawn.
    """
    model.eval()
    generator = torch.Generator().manual_seed(seed)
    starts = torch.randint(len(ids) - length, (windows,), generator=generator)
    texts = ids[starts[:, None] + torch.arange(length + 1)].to(model.embedding.weight.device)
    nats = [model.loss(part[:, :-1], part[:, 1:])[0].item() for part in texts.split(LANES)]
    return sum(nats) / (windows * length)
