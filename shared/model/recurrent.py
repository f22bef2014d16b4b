"""PyTorch's own recurrent layers, one layer each, with the state that this course uses: a tuple of vectors (B, H)."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


@contextmanager
def onednn(wanted: bool) -> Iterator[None]:
    """Within it, PyTorch uses oneDNN, Intel's library for neural networks, only if wanted (and if it would anyway)."""
    before = torch.backends.mkldnn.enabled
    torch.backends.mkldnn.enabled = before and wanted
    try:
        yield
    finally:
        torch.backends.mkldnn.enabled = before


class _OneLayer:
    """Put before a module of torch.nn, turns (1, B, H) states into (B, H) ones and a lone state into a tuple of one."""

    def __init__(self, input_size: int, hidden_size: int):
        super().__init__(input_size, hidden_size, batch_first=True)

    def forward(self, x: Tensor, state: tuple[Tensor, ...] | None = None) -> tuple[Tensor, tuple[Tensor, ...]]:
        """x (B, T, E), state of vectors (B, H) or None for zeros -> hidden states (B, T, H), the last state."""
        if state is not None:
            state = tuple(vector[None] for vector in state)  # (1, B, H)
            state = state if isinstance(self, nn.LSTM) else state[0]
        # oneDNN repacks the weights at every call; for a single token that would dominate.
        with onednn(x.size(1) > 1):
            x, state = super().forward(x, state)
        state = state if isinstance(self, nn.LSTM) else (state,)
        return x, tuple(vector[0] for vector in state)


class TorchRNN(_OneLayer, nn.RNN):
    """`nn.RNN`: tanh(W_ih x + b_ih + W_hh h + b_hh)."""


class TorchLSTM(_OneLayer, nn.LSTM):
    """`nn.LSTM`: gates stacked in the order i, f, g, o."""


class TorchGRU(_OneLayer, nn.GRU):
    """`nn.GRU`: gates stacked in the order r, z, n."""


TORCH_LAYERS = {"rnn": TorchRNN, "lstm": TorchLSTM, "gru": TorchGRU}


@torch.no_grad()
def open_forget_gates(layer: nn.Module) -> None:
    """Start an LSTM layer with forget gates that keep more than half: about sigmoid(1) = 0.73 a step.

    A bias of 1 for the forget gate (Jozefowicz et al. 2015). Gates are stacked as i, f, g, o, so it is the second
    quarter; of the two biases that are added up, one is 1 and the other 0.
    """
    hidden_size = layer.hidden_size
    layer.bias_ih_l0[hidden_size : 2 * hidden_size] = 1.0
    layer.bias_hh_l0[hidden_size : 2 * hidden_size] = 0.0
