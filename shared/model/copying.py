"""Copying: the next token is taken from the vocabulary, or from what was just read.

    p(word) = (1 - g) * p(word by the output layer) + g * (the attention on those places where the word stands)

A mixture of two answers, with a gate g between 0 and 1: a pointer (Merity et al. 2017, "Pointer Sentinel Mixture
Models"; there the gate is one more key of the same softmax, here it is a number that the features give). A name that
the output layer finds unlikely, since it is rare, becomes likely where it has just been said.

B batch, T time, E embedding, V vocabulary, W window: how many places may be copied from
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shared.model.output import TiedOutput


@dataclass(frozen=True)
class Pointing:
    """Features (B, T, E), and the window that each looks back on: weights and tokens (B, T, W) of its places."""

    features: Tensor
    weights: Tensor
    tokens: Tensor

    def __getitem__(self, places: Any) -> "Pointing":
        """The same for some of the (B, T) places, as if they were one tensor."""
        return Pointing(self.features[places], self.weights[places], self.tokens[places])


class CopyingOutput(TiedOutput):
    """A tied output layer whose answer is mixed with what attention points at."""

    def __init__(self, embedding: nn.Embedding):
        super().__init__(embedding)
        self.gate = nn.Linear(embedding.embedding_dim, 1)
        # At the start the output layer has nearly all the say: a pointer that has learned nothing points anywhere.
        nn.init.zeros_(self.gate.weight)
        nn.init.constant_(self.gate.bias, -2.0)

    def forward(self, pointing: Pointing) -> Tensor:
        """Log probabilities of all tokens: -> (..., V)."""
        written = super().forward(pointing.features).log_softmax(-1)
        # A word that stands in several places has the weights of all of them.
        copied = torch.zeros_like(written).scatter_add(-1, pointing.tokens, pointing.weights.to(written.dtype))
        return self.mix(written, copied, self.gate(pointing.features))

    def loss(self, pointing: Pointing, targets: Tensor) -> Tensor:
        """Cross-entropy in nats: targets (...) -> (...). Looks for the target alone, so no (..., V) is built."""
        nats = super().loss(pointing.features, targets)
        found = (pointing.weights * (pointing.tokens == targets[..., None])).sum(-1)
        return -self.mix(-nats, found, self.gate(pointing.features).squeeze(-1))

    @staticmethod
    def mix(written: Tensor, copied: Tensor, gate: Tensor) -> Tensor:
        """log((1 - g) exp(written) + g copied), where `gate` is g before its sigmoid."""
        # In logarithms, for a probability may be too small for a float. So may one of 0, which is what most words of
        # the vocabulary have that stand nowhere in the window.
        copied = copied.clamp(min=torch.finfo(copied.dtype).tiny).log()
        return torch.logaddexp(F.logsigmoid(-gate) + written, F.logsigmoid(gate) + copied)
