"""Stage 3: an LSTM that can look back. At each token it attends to a window of its own past, and may copy from it.

What is new against stage 2: after the recurrent layers, attention over the last places of the text, and an output layer
that can copy a word found there. The layers themselves are PyTorch's own here (shared/model/recurrent.py), attention is
in shared/model/attention.py, and copying in shared/model/copying.py.

    token ids  ->  embedding  ->  LSTM layers  ->  h, context  ->  features  ->  log probabilities of the next token
    (B, T)         (B, T, E)      (B, T, H)        (B, T, H) each  (B, T, H)     (B, T, V)

B batch, T time, E embedding (as large as H), H hidden, V vocabulary, M memory_length, P places read before (up to M),
W places in a window: M, or as many as there are
"""

import torch
from torch import Tensor, nn

from shared.model.attention import AdditiveAttention, DotAttention, MultiHeadAttention
from shared.model.copying import CopyingOutput, Pointing
from shared.model.language_model import LanguageModel, State
from shared.model.recurrent import TORCH_LAYERS, open_forget_gates
from shared.model.window import last_places, sliding_window, weights_map

Memory = tuple[Tensor, Tensor, Tensor]  # of the places read last: keys (B, P, H), values (B, P, E), words (B, P)


class AttentionLSTM(LanguageModel):
    """Recurrent layers as in stage 2; the top state h_t is a query to the last M places of the text, its own included.

    A place s has the state from before its word for a key, h_(s-1), and the word's vector for a value: what came after
    states like mine? (Keys and values apart: Daniluk et al. 2017, "Frustratingly Short Attention Spans"; this pair, in
    a cache beside the model: Grave et al. 2017, "Improving Neural Language Models with a Continuous Cache".) The
    context is mixed in by tanh(W [h; context]) (Luong et al. 2015, equation 5) and is not fed back into the cell. The
    first head's weights are also what the output layer copies by.
    State: (a layer's state for every layer, the last M places).
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
        self.output = CopyingOutput(self.embedding)

    def places(self, states: Tensor, before: Tensor, embedded: Tensor) -> tuple[Tensor, Tensor]:
        """What a place of the text is found by, its key, and what it gives, its value. (`shared.ablate` tries others.)

        states h_s and the ones before them, h_(s-1), (B, T, H); the words' vectors (B, T, E) -> keys, values.
        """
        # Found by the state from before its word, a place gives that word. So a state can ask: after states like mine,
        # what came? With h_s as the key of place s, the word that followed would lie one place further on.
        return before, embedded

    def features(
        self, tokens: Tensor, state: State, return_attention: bool
    ) -> tuple[Pointing, tuple[tuple, Memory], Tensor | None]:
        """tokens (B, T) -> features (B, T, H) with the window they look at, state, attention or None.

        Attention is (B, 1 layer, heads, T, P + T).
        """
        layer_states, memory = state or ([None] * len(self.layers), None)

        # The recurrent layers, as in stage 2.
        embedded = x = self.dropout(self.embedding(tokens))  # (B, T, E)
        new_states = []
        for layer, layer_state in zip(self.layers, layer_states):
            x, layer_state = layer(x, layer_state)  # (B, T, H), vectors (B, H)
            x = self.dropout(x)
            new_states.append(layer_state)

        # The state from before each word, h_(s-1): in a chunk's first place, the last state of the chunk before (as the
        # layer handed it on, without dropout).
        first = torch.zeros_like(x[:, :1]) if memory is None else layer_states[-1][0][:, None]  # (B, 1, H)
        before = torch.cat([first.to(x.dtype), x[:, :-1]], dim=1)  # (B, T, H)
        keys, values = self.places(x, before, embedded)  # (B, T, H), (B, T, E)
        words = tokens
        if memory is not None:
            keys, values, words = (
                torch.cat([old.to(new.dtype), new], dim=1) for old, new in zip(memory, (keys, values, words))
            )  # (B, P + T, H), (B, P + T, E), (B, P + T)

        context, weights = sliding_window(
            self.attention, x, keys, values, self.memory_length, return_weights=True
        )  # (B, T, H), (B, heads, T, W)

        # What the state knows and what it found, combined.
        both = torch.cat([x, context.to(x.dtype)], dim=-1)  # (B, T, 2 H)
        x = self.dropout(torch.tanh(self.combine(both)))  # (B, T, H)
        # The output layer may also copy a word: the first head points at it.
        pointing = Pointing(x, weights[:, 0], last_places(words, tokens.size(1), weights.size(-1)))

        memory = tuple(part[:, -self.memory_length :] for part in (keys, values, words))
        attention = weights_map(weights, words.size(1))[:, None] if return_attention else None
        return pointing, (tuple(new_states), memory), attention
