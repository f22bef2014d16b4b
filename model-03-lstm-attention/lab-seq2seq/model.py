"""Sequence to sequence with attention: an encoder reads, a decoder writes and looks back at what was read.

B batch, S source time, T target time, E embedding, H hidden, A inner size of additive attention, V vocabulary

Read it in the order of the data: `Encoder.forward`, then `Seq2Seq.read`, `advance` (one step of the decoder) and
`forward` (all steps, with the right answers fed in: teacher forcing). How an answer is found without them: search.py.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from shared.model.attention import AdditiveAttention, MultiHeadAttention, attend, masked_softmax, padding_mask

PAD, BOS, EOS = range(3)  # filler behind short sequences; what the decoder reads first; the end of every sequence

# What the decoder needs of a source: keys and values (both None without attention), mask (B, 1, S), summary (B, H).
Memory = tuple[Tensor | None, Tensor | None, Tensor, Tensor]
# An LSTM's own state, from the lowest layer to the top one: hidden vector and cell, each (B, H).
Layers = tuple[tuple[Tensor, Tensor], ...]
# What the decoder takes along from step to step: that, and the last context (B, H).
State = tuple[Layers, Tensor]


class Encoder(nn.Module):
    """Reads the whole source, by default from both ends: every state knows what stands before it and behind it."""

    def __init__(self, embedding_size: int, hidden_size: int, num_layers: int, bidirectional: bool, dropout: float):
        super().__init__()
        self.directions = 2 if bidirectional else 1
        if hidden_size % self.directions:
            raise ValueError(f"hidden_size {hidden_size} must be even for two directions")
        self.lstm = nn.LSTM(
            embedding_size,
            hidden_size // self.directions,
            num_layers,
            batch_first=True,
            bidirectional=bidirectional,
            dropout=dropout if num_layers > 1 else 0.0,  # PyTorch's dropout stands between layers
        )

    def forward(self, embedded: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """embedded (B, S, E), lengths (B), all at least 1 -> the top layer's states (B, S, H), its last ones (B, H).

        Packing lets each sequence end where it ends. Without it the backward direction begins in the padding, and the
        last state of the forward one is read from there.
        """
        packed = pack_padded_sequence(embedded, lengths.cpu(), batch_first=True, enforce_sorted=False)
        states, (last, _) = self.lstm(packed)  # last (layers * directions, B, H / directions)
        # As long as the batch is padded, which may be longer than its longest sequence: the mask has that length.
        states, _ = pad_packed_sequence(states, batch_first=True, total_length=embedded.size(1))  # (B, S, H)
        top = last[-self.directions :]  # (directions, B, H / directions)
        return states, top.transpose(0, 1).flatten(1)  # (B, H)


class DecoderCells(nn.Module):
    """The decoder's LSTM, taken a step at a time: each layer reads the one below, with dropout between them."""

    def __init__(self, input_size: int, hidden_size: int, num_layers: int, dropout: float):
        super().__init__()
        input_sizes = [input_size] + [hidden_size] * (num_layers - 1)
        self.cells = nn.ModuleList(nn.LSTMCell(size, hidden_size) for size in input_sizes)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, layers: Layers) -> Layers:
        """x (B, input_size), the layers' states of the last step -> those of this one."""
        new_layers = []
        for cell, state in zip(self.cells, layers):
            if new_layers:
                x = self.dropout(x)
            h, c = cell(x, state)  # (B, H) each
            new_layers.append((h, c))
            x = h
        return tuple(new_layers)


class AdditiveLookup(AdditiveAttention):
    """Additive cross-attention (Bahdanau et al. 2015); the source is asked at every step, but projected only once."""

    def __init__(self, hidden_size: int, num_heads: int):
        super().__init__(hidden_size, hidden_size, hidden_size // 2)

    def project(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """states (B, S, H) -> keys (B, S, A), values (B, S, H)."""
        return self.key(states), states

    def look(self, query: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """query (B, 1, H) -> context (B, 1, H), weights (B, 1 head, 1, S)."""
        keys, values, mask, _ = memory
        scores = self.pair_scores(self.query(query), keys)  # (B, 1, S)
        weights = masked_softmax(scores, mask)  # exactly 0 on padding
        return weights @ values, weights[:, None]


class MultiHeadLookup(MultiHeadAttention):
    """Multi-head cross-attention (Vaswani et al. 2017), its keys and values projected once."""

    def __init__(self, hidden_size: int, num_heads: int):
        super().__init__(hidden_size, hidden_size, num_heads)

    def project(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """states (B, S, H) -> keys and values, both (B, heads, S, H / heads)."""
        return self.split_heads(self.key(states)), self.split_heads(self.value(states))

    def look(self, query: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """query (B, 1, H) -> context (B, 1, H), weights (B, heads, 1, S)."""
        keys, values, mask, _ = memory
        queries = self.split_heads(self.query(query))  # (B, heads, 1, H / heads)
        context, weights = attend(queries, keys, values, mask[:, None])  # (B, heads, 1, H / heads), (B, heads, 1, S)
        context = context.transpose(1, 2).flatten(2)  # (B, 1, H): the heads side by side
        return self.output(context), weights


class NoLookup(nn.Module):
    """No attention: the encoder's last state is all that the decoder ever gets to know (Cho et al. 2014)."""

    def __init__(self, hidden_size: int, num_heads: int):
        super().__init__()

    def project(self, states: Tensor) -> tuple[None, None]:
        """Nothing of the states is kept."""
        return None, None

    def look(self, query: Tensor, memory: Memory) -> tuple[Tensor, None]:
        """-> the summary, whatever the query (B, 1, H), and no weights."""
        return memory[-1][:, None], None


ATTENTION = {"additive": AdditiveLookup, "multi-head": MultiHeadLookup, "none": NoLookup}


class Seq2Seq(nn.Module):
    """Encoder, decoder and the attention between them.

    At step t the decoder's LSTM reads the last output's embedding and the last context; its new state h_t (the top
    layer's) asks the encoder's states; tanh(W [h_t; context_t]) gives the scores, as in stage 3. (Bahdanau et al. ask
    with h_{t-1}, before the last output has been read. Asking with h_t is Luong et al.'s way; they feed back the tanh,
    not the context.)

    Source and target may be written in different symbols: with `target_vocab_size` the decoder has an embedding of its
    own. Without it both sides share one vocabulary and one embedding.
    """

    def __init__(
        self,
        source_vocab_size: int,
        target_vocab_size: int | None = None,
        hidden_size: int = 128,
        embedding_size: int = 64,
        num_layers: int = 1,
        attention: str = "additive",
        num_heads: int = 4,
        bidirectional: bool = True,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.source_embedding = nn.Embedding(source_vocab_size, embedding_size)
        self.target_embedding = self.source_embedding
        if target_vocab_size is not None:
            self.target_embedding = nn.Embedding(target_vocab_size, embedding_size)
        self.dropout = nn.Dropout(dropout)
        self.encoder = Encoder(embedding_size, hidden_size, num_layers, bidirectional, dropout)
        self.bridge = nn.Linear(hidden_size, num_layers * 2 * hidden_size)
        self.decoder = DecoderCells(embedding_size + hidden_size, hidden_size, num_layers, dropout)
        self.num_layers = num_layers
        self.attention = ATTENTION[attention](hidden_size, num_heads)
        self.combine = nn.Linear(2 * hidden_size, hidden_size)
        self.output = nn.Linear(hidden_size, target_vocab_size or source_vocab_size)

    @property
    def device(self) -> torch.device:
        """Where the weights are, and where a batch has to go."""
        return self.output.weight.device

    def read(self, source: Tensor, lengths: Tensor) -> tuple[Memory, State]:
        """Encode: source (B, S) ids, lengths (B) -> what the decoder may look at, and the state that it starts from."""
        embedded = self.dropout(self.source_embedding(source))  # (B, S, E)
        states, summary = self.encoder(embedded, lengths)  # (B, S, H), (B, H)

        # Every layer of the decoder starts from what the encoder knows at its end, by way of a map of its own.
        start = torch.tanh(self.bridge(summary)).unflatten(-1, (self.num_layers, 2, -1))  # (B, layers, 2, H)
        layers = tuple(layer.unbind(1) for layer in start.unbind(1))  # (h, c) for each, (B, H)

        memory = (*self.attention.project(states), padding_mask(lengths, source.size(1)), summary)
        return memory, (layers, torch.zeros_like(summary))

    def advance(self, embedded: Tensor, state: State, memory: Memory) -> tuple[Tensor, State, Tensor | None]:
        """Decode a step: the last output's embedding (B, E) -> features (B, H), new state, weights (B, heads, 1, S)
        or None."""
        layers, context = state
        layers = self.decoder(torch.cat([embedded, context], dim=-1), layers)
        h, _ = layers[-1]  # the top layer's. The query is h, not the tuple (h, c)
        context, weights = self.attention.look(h[:, None], memory)
        context = context[:, 0]  # (B, 1, H) -> (B, H)
        features = torch.tanh(self.combine(torch.cat([h, context], dim=-1)))  # (B, H)
        return features, (layers, context), weights

    def step(self, tokens: Tensor, state: State, memory: Memory) -> tuple[Tensor, State]:
        """One step of use: the last outputs (B) -> logits of the next (B, V), new state."""
        features, state, _ = self.advance(self.target_embedding(tokens), state, memory)
        return self.output(features), state

    def forward(
        self, source: Tensor, lengths: Tensor, inputs: Tensor, return_attention: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Teacher forcing: source (B, S), lengths (B), inputs (B, T), which begin with BOS
        -> logits (B, T, V), weights (B, heads, T, S) if asked for and there, else None."""
        memory, state = self.read(source, lengths)
        features, weights = [], []
        # The inputs are all known, and still it takes a loop: each step reads the context that the last one fetched.
        for embedded in self.dropout(self.target_embedding(inputs)).unbind(1):  # T times (B, E)
            feature, state, looked = self.advance(embedded, state, memory)
            features.append(feature)
            weights.append(looked)
        logits = self.output(self.dropout(torch.stack(features, dim=1)))  # (B, T, V)
        if not return_attention or weights[0] is None:
            return logits, None
        return logits, torch.cat(weights, dim=2)  # (B, heads, T, S)

    def loss(self, source: Tensor, lengths: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy in nats, summed over all targets (B, T) but PAD, which stands behind the EOS that ends each."""
        logits, _ = self(source, lengths, shifted(targets))
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=PAD, reduction="sum")


def shifted(targets: Tensor) -> Tensor:
    """What the decoder reads while it is to write the targets (B, T): BOS, then all but their last.

    >>> shifted(torch.tensor([[5, 6, EOS]])).tolist()
    [[1, 5, 6]]
    """
    return F.pad(targets[:, :-1], (1, 0), value=BOS)
