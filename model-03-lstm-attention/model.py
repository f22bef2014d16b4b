"""Stage 3: an LSTM that can look back. At each token it attends to a window of its own past states.

What is new against stage 2: after the recurrent layers, attention over past states. The layers themselves are PyTorch's
own here (shared/model/recurrent.py), and attention is in shared/model/attention.py.

    token ids  ->  embedding  ->  LSTM layers  ->  h, context  ->  features  ->  logits of the next token
    (B, T)         (B, T, E)      (B, T, H)        (B, T, H) each  (B, T, H)     (B, T, V)

B batch, T time, E embedding (as large as H), H hidden, V vocabulary, M memory_length
"""

import torch
from torch import Tensor, nn

from shared.model.attention import AdditiveAttention, DotAttention, MultiHeadAttention
from shared.model.language_model import LanguageModel, State
from shared.model.recurrent import TORCH_LAYERS, open_forget_gates
from shared.model.window import sliding_window


class AttentionLSTM(LanguageModel):
    """Recurrent layers as in stage 2; the top state h_t is the query, the M top states before it are keys and values.

    The context is mixed in by tanh(W [h; context]) (Luong et al. 2015, equation 5) and is not fed back into the cell.
    A state never sees itself: it would find there what it already has, and look nowhere else.
    State: (a layer's state for every layer, the last M top states (B, up to M, H)).
    """

    def __init__(
        self,
        vocab_size: int,
        hidden_size: int = 128,
        num_layers: int = 2,
        dropout: float = 0.0,
        cell: str = "lstm",
        attention: str = "multi-head",
        num_heads: int = 4,
        memory_length: int = 64,
    ):
        super().__init__(vocab_size, hidden_size, dropout)
        self.layers = nn.ModuleList(TORCH_LAYERS[cell](hidden_size, hidden_size) for _ in range(num_layers))
        if cell == "lstm":
            for layer in self.layers:
                open_forget_gates(layer)
        self.memory_length = memory_length
        self.attention = {
            "additive": lambda: AdditiveAttention(hidden_size, hidden_size, hidden_size // 4),
            "dot": lambda: DotAttention(),
            "multi-head": lambda: MultiHeadAttention(hidden_size, hidden_size, num_heads),
        }[attention]()
        self.combine = nn.Linear(2 * hidden_size, hidden_size)

    def features(
        self, tokens: Tensor, state: State, return_attention: bool
    ) -> tuple[Tensor, tuple[tuple, Tensor], Tensor | None]:
        """tokens (B, T) -> features (B, T, H), state, weights (B, 1 layer, heads, T, memory + T) or None."""
        layer_states, memory = state or ([None] * len(self.layers), None)

        # The recurrent layers, as in stage 2.
        x = self.dropout(self.embedding(tokens))  # (B, T, E)
        new_states = []
        for layer, layer_state in zip(self.layers, layer_states):
            x, layer_state = layer(x, layer_state)  # (B, T, H), vectors (B, H)
            x = self.dropout(x)
            new_states.append(layer_state)

        # The top states are the queries. They look at the states before them, in this chunk and in what was carried on.
        memory = x if memory is None else torch.cat([memory.to(x.dtype), x], dim=1)  # (B, memory + T, H)
        context, weights = sliding_window(
            self.attention, x, memory, memory, self.memory_length, see_self=False, return_weights=return_attention
        )  # (B, T, H), (B, heads, T, memory + T)

        # What the state knows and what it found, combined.
        both = torch.cat([x, context.to(x.dtype)], dim=-1)  # (B, T, 2 H)
        x = torch.tanh(self.combine(both))  # (B, T, H)
        state = (tuple(new_states), memory[:, -self.memory_length :])
        return self.dropout(x), state, weights[:, None] if return_attention else None
