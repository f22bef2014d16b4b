"""Stage 2: LSTM and GRU. Gates decide what a memory keeps, what is written to it and what of it is shown.

What is new against stage 1: the layer. Its place in the model is the same.

    token ids  ->  embedding  ->  LSTM or GRU layers  ->  features  ->  logits of the next token
    (B, T)         (B, T, E)      (B, T, H)               (B, T, H)     (B, T, V)

B batch, T time, E embedding (as large as H), H hidden, V vocabulary

`LSTMLayer` and `GRULayer` are written out; PyTorch's `nn.LSTM` and `nn.GRU` are their fast twins, and the default.
Parameters have the same names and shapes, so a model trained with one implementation can be loaded with the other.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shared.model.language_model import LanguageModel, State
from shared.model.recurrent import TORCH_LAYERS, open_forget_gates


class GatedLayer(nn.Module):
    """What both layers share: weights for several gates stacked in one matrix, and the loop over time."""

    num_gates: int
    num_states: int
    traced: tuple[str, ...]  # names of what `gates` returns, and of the memory behind them

    def __init__(self, input_size: int, hidden_size: int):
        super().__init__()
        self.hidden_size = hidden_size
        self.weight_ih_l0 = nn.Parameter(torch.empty(self.num_gates * hidden_size, input_size))
        self.weight_hh_l0 = nn.Parameter(torch.empty(self.num_gates * hidden_size, hidden_size))
        self.bias_ih_l0 = nn.Parameter(torch.empty(self.num_gates * hidden_size))
        self.bias_hh_l0 = nn.Parameter(torch.empty(self.num_gates * hidden_size))
        bound = hidden_size**-0.5  # as in `nn.LSTM`
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def forward(self, x: Tensor, state: tuple[Tensor, ...] | None):
        """x (B, T, E), state of vectors (B, H) or None for zeros -> hidden states (B, T, H), the last state."""
        # As in stage 1: the input's share of all gates at once, then the loop over time.
        input_shares = F.linear(x, self.weight_ih_l0, self.bias_ih_l0)  # (B, T, gates * H)
        state = state or (x.new_zeros(x.size(0), self.hidden_size),) * self.num_states
        hidden = []
        for input_share in input_shares.unbind(1):
            state = self.cell(input_share, *state)  # h and, in an LSTM, c: (B, H) each
            hidden.append(state[0])
        return torch.stack(hidden, dim=1), state

    def trace(self, x: Tensor) -> dict[str, Tensor]:
        """What the gates do and what the memory holds after each token of one text: x (T, E) -> arrays (T, H)."""
        state = (x.new_zeros(self.hidden_size),) * self.num_states
        steps = []
        for input_share in F.linear(x, self.weight_ih_l0, self.bias_ih_l0):
            gates = self.gates(input_share, state[0])
            state = self.cell(input_share, *state)
            steps.append(torch.stack([*gates, state[-1]]))
        return dict(zip(self.traced, torch.stack(steps, dim=1)))  # (T, H) each


class LSTMLayer(GatedLayer):
    """Long short-term memory (Hochreiter & Schmidhuber 1997; forget gate: Gers et al. 2000)."""

    num_gates, num_states = 4, 2
    traced = ("input", "forget", "candidate", "output", "cell")

    def gates(self, input_share: Tensor, h: Tensor) -> tuple[Tensor, ...]:
        """The input's share (B, 4 H) and the last hidden state (B, H) -> i, f, g, o, each (B, H)."""
        i, f, g, o = (input_share + F.linear(h, self.weight_hh_l0, self.bias_hh_l0)).chunk(4, dim=-1)
        # A sigmoid lies between 0, shut, and 1, open. The candidate g is what may be written: tanh, so of either sign.
        return torch.sigmoid(i), torch.sigmoid(f), torch.tanh(g), torch.sigmoid(o)

    def cell(self, input_share: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """c_t = f * c + i * g and h_t = o * tanh(c_t), all (B, H)."""
        i, f, g, o = self.gates(input_share, h)
        c = f * c + i * g  # keep a part of the old, write a part of the new
        h = o * torch.tanh(c)  # show a part of the memory
        return h, c


class GRULayer(GatedLayer):
    """Gated recurrent unit (Cho et al. 2014), two gates and no separate cell.

    As in `nn.GRU`, the reset gate acts after the product with the hidden state, and not before it as in the paper.
    """

    num_gates, num_states = 3, 1
    traced = ("reset", "update", "candidate", "hidden")

    def gates(self, input_share: Tensor, h: Tensor) -> tuple[Tensor, ...]:
        """The input's share (B, 3 H) and the last hidden state (B, H) -> r, z, n, each (B, H)."""
        x_r, x_z, x_n = input_share.chunk(3, dim=-1)  # (B, H) each
        h_r, h_z, h_n = F.linear(h, self.weight_hh_l0, self.bias_hh_l0).chunk(3, dim=-1)
        r, z = torch.sigmoid(x_r + h_r), torch.sigmoid(x_z + h_z)
        # r decides how much of the old state the candidate n may see.
        return r, z, torch.tanh(x_n + r * h_n)

    def cell(self, input_share: Tensor, h: Tensor) -> tuple[Tensor]:
        """h_t = (1 - z) * n + z * h, all (B, H)."""
        _, z, n = self.gates(input_share, h)
        # One gate for both: what is kept and what is written add up to 1.
        return ((1 - z) * n + z * h,)


SCRATCH_LAYERS = {"lstm": LSTMLayer, "gru": GRULayer}


class LSTM(LanguageModel):
    """Embedding, LSTM or GRU layers one on the other, tied output layer. State: a layer's (h, c), or (h,) for a GRU."""

    def __init__(
        self,
        vocab_size: int,
        hidden_size: int = 128,
        num_layers: int = 2,
        dropout: float = 0.0,
        cell: str = "lstm",
        implementation: str = "torch",
    ):
        super().__init__(vocab_size, hidden_size, dropout)
        self.cell = cell
        layer_class = {"scratch": SCRATCH_LAYERS, "torch": TORCH_LAYERS}[implementation][cell]
        self.layers = nn.ModuleList(layer_class(hidden_size, hidden_size) for _ in range(num_layers))
        if cell == "lstm":
            for layer in self.layers:
                open_forget_gates(layer)

    def features(
        self, tokens: Tensor, state: State, return_attention: bool
    ) -> tuple[Tensor, tuple[tuple[Tensor, ...], ...], None]:
        """tokens (B, T) -> top layer's hidden states (B, T, H), every layer's last state, no attention."""
        x = self.dropout(self.embedding(tokens))  # (B, T, E)
        new_state = []
        for layer, layer_state in zip(self.layers, state or [None] * len(self.layers)):
            x, layer_state = layer(x, layer_state)  # (B, T, H), vectors (B, H)
            x = self.dropout(x)
            new_state.append(layer_state)
        return x, tuple(new_state), None

    @torch.no_grad()
    def trace(self, tokens: Tensor) -> dict[str, Tensor]:
        """The top layer's gates and memory: tokens (1, T) -> named arrays (T, H). The model is to be in eval mode."""
        x = self.embedding(tokens)  # (1, T, E)
        for layer in self.layers[:-1]:
            x, _ = layer(x, None)  # (1, T, H)
        # PyTorch's layers do not tell what their gates do, but their weights fit the layers written out above.
        top = SCRATCH_LAYERS[self.cell](x.size(-1), self.layers[-1].hidden_size).to(x)
        top.load_state_dict(self.layers[-1].state_dict())
        return top.trace(x[0])
