"""Stage 1: an Elman RNN. All that it remembers is one vector a layer, rewritten at every token.

What is new here: the recurrent layer, written out, and how layers are stacked (`features`). Inherited from
shared/model/language_model.py and the same in all stages: the embedding, the tied output layer, the loss.

    token ids  ->  embedding  ->  RNN layers  ->  features  ->  logits of the next token
    (B, T)         (B, T, E)      (B, T, H)       (B, T, H)     (B, T, V)

B batch, T time, E embedding (as large as H), H hidden, V vocabulary
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shared.model.language_model import LanguageModel, State


class RNNLayer(nn.Module):
    """h_t = tanh(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh) (Elman 1990, "Finding Structure in Time").

    Its parameters have the names and shapes of a one-layer `nn.RNN`, so weights can be copied from one to the other.
    """

    def __init__(self, input_size: int, hidden_size: int):
        super().__init__()
        self.weight_ih_l0 = nn.Parameter(torch.empty(hidden_size, input_size))
        self.weight_hh_l0 = nn.Parameter(torch.empty(hidden_size, hidden_size))
        self.bias_ih_l0 = nn.Parameter(torch.zeros(hidden_size))
        self.bias_hh_l0 = nn.Parameter(torch.zeros(hidden_size))
        nn.init.xavier_uniform_(self.weight_ih_l0)
        # An orthogonal matrix keeps the length of what it multiplies: the first gradients neither vanish nor explode.
        nn.init.orthogonal_(self.weight_hh_l0)

    def cell(self, input_share: Tensor, h: Tensor) -> Tensor:
        """One step: the input's share W_ih x_t + b_ih (B, H), the last hidden state (B, H) -> the next (B, H)."""
        return torch.tanh(input_share + F.linear(h, self.weight_hh_l0, self.bias_hh_l0))

    def forward(self, x: Tensor, h: Tensor | None) -> tuple[Tensor, Tensor]:
        """x (B, T, E), h (B, H) or None for zeros -> hidden states (B, T, H), the last one (B, H)."""
        # The input's share needs no memory: one large product for all steps instead of T small ones.
        input_shares = F.linear(x, self.weight_ih_l0, self.bias_ih_l0)  # (B, T, H)
        if h is None:
            h = torch.zeros_like(input_shares[:, 0])  # (B, H)
        # The memory's share has to wait for the step before: the loop over time that makes the network recurrent.
        hidden = []
        for input_share in input_shares.unbind(1):
            h = self.cell(input_share, h)  # (B, H)
            hidden.append(h)
        return torch.stack(hidden, dim=1), h


class RNN(LanguageModel):
    """Embedding, RNN layers one on the other, tied output layer. State: a hidden vector (B, H) a layer."""

    def __init__(self, vocab_size: int, hidden_size: int = 128, num_layers: int = 2, dropout: float = 0.0):
        super().__init__(vocab_size, hidden_size, dropout)
        self.layers = nn.ModuleList(RNNLayer(hidden_size, hidden_size) for _ in range(num_layers))

    def features(self, tokens: Tensor, state: State, return_attention: bool) -> tuple[Tensor, tuple[Tensor, ...], None]:
        """tokens (B, T) -> top layer's hidden states (B, T, H), every layer's last one, no attention."""
        x = self.dropout(self.embedding(tokens))  # (B, T, E)
        new_state = []
        # Each layer reads the hidden states of the layer below as if they were words.
        for layer, h in zip(self.layers, state or [None] * len(self.layers)):
            x, h = layer(x, h)  # (B, T, H), (B, H)
            # Dropout leaves out some numbers in training, other ones each time: against learning by heart.
            x = self.dropout(x)
            new_state.append(h)
        return x, tuple(new_state), None
