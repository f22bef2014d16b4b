"""Sequence to sequence with attention: one LSTM reads, another writes and looks back at what was read.

B batch, S source time, T target time, E embedding, H hidden, V vocabulary
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from shared.model.attention import AdditiveAttention, MultiHeadAttention, attend, masked_softmax, padding_mask

PAD, BOS, EOS = range(3)  # filler behind short sequences; what the decoder reads first; the end of every sequence

# What the decoder needs of a source: keys and values (both None without attention), mask (B, 1, S), summary (B, H).
Memory = tuple[Tensor | None, Tensor | None, Tensor, Tensor]
# What it takes along from step to step: hidden vector, cell and context, each (B, H).
State = tuple[Tensor, Tensor, Tensor]


class Encoder(nn.Module):
    """Reads the whole source, by default from both ends: every state knows what stands before it and behind it."""

    def __init__(self, embedding_size: int, hidden_size: int, bidirectional: bool):
        super().__init__()
        directions = 2 if bidirectional else 1
        if hidden_size % directions:
            raise ValueError(f"hidden_size {hidden_size} must be even for two directions")
        self.lstm = nn.LSTM(embedding_size, hidden_size // directions, batch_first=True, bidirectional=bidirectional)

    def forward(self, embedded: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """embedded (B, S, E), lengths (B), all at least 1 -> states (B, S, H), summary (B, H).

        Packing lets each sequence end where it ends. Without it the backward direction begins in the padding, and the
        last state of the forward one is read from there.
        """
        packed = pack_padded_sequence(embedded, lengths.cpu(), batch_first=True, enforce_sorted=False)
        states, (last, _) = self.lstm(packed)
        # As long as the batch is padded, which may be longer than its longest sequence: the mask has that length.
        states, _ = pad_packed_sequence(states, batch_first=True, total_length=embedded.size(1))  # (B, S, H)
        return states, last.transpose(0, 1).flatten(1)  # (directions, B, H / directions) -> (B, H)


class AdditiveLookup(AdditiveAttention):
    """Additive attention (Bahdanau et al. 2015) over a source that is asked again at every step: projected once."""

    def __init__(self, hidden_size: int, num_heads: int):
        super().__init__(hidden_size, hidden_size, hidden_size // 2)

    def project(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """states (B, S, H) -> keys (B, S, A), values (B, S, H)."""
        return self.key(states), states

    def look(self, query: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """query (B, 1, H) -> context (B, 1, H), weights (B, 1 head, 1, S)."""
        keys, values, mask, _ = memory
        weights = masked_softmax(self.pair_scores(self.query(query), keys), mask)  # (B, 1, S)
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
        context, weights = attend(queries, keys, values, mask[:, None], return_weights=True)
        return self.output(context.transpose(1, 2).flatten(2)), weights


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
    """Encoder, decoder and what connects them.

    At step t the decoder's LSTM reads the last output's embedding and the last context; its new state h_t asks the
    encoder's states; tanh(W [h_t; context_t]) gives the scores, as in stage 3. (Bahdanau et al. ask with h_{t-1},
    before the last output has been read. Asking with h_t is Luong et al.'s way; they feed back the tanh, not the
    context.)
    """

    def __init__(
        self,
        vocab_size: int,
        hidden_size: int = 128,
        embedding_size: int = 64,
        attention: str = "additive",
        num_heads: int = 4,
        bidirectional: bool = True,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embedding_size)
        self.dropout = nn.Dropout(dropout)
        self.encoder = Encoder(embedding_size, hidden_size, bidirectional)
        self.bridge = nn.Linear(hidden_size, 2 * hidden_size)
        self.cell = nn.LSTMCell(embedding_size + hidden_size, hidden_size)
        self.attention = ATTENTION[attention](hidden_size, num_heads)
        self.combine = nn.Linear(2 * hidden_size, hidden_size)
        self.output = nn.Linear(hidden_size, vocab_size)

    def read(self, source: Tensor, lengths: Tensor) -> tuple[Memory, State]:
        """source (B, S) ids, lengths (B) -> what the decoder may look at, and the state that it starts from."""
        states, summary = self.encoder(self.dropout(self.embedding(source)), lengths)  # (B, S, H), (B, H)
        h, c = torch.tanh(self.bridge(summary)).chunk(2, dim=-1)
        memory = (*self.attention.project(states), padding_mask(lengths, source.size(1)), summary)
        return memory, (h, c, torch.zeros_like(h))

    def advance(self, embedded: Tensor, state: State, memory: Memory) -> tuple[Tensor, State, Tensor | None]:
        """The last output's embedding (B, E) -> features (B, H), new state, weights (B, heads, 1, S) or None."""
        h, c, context = state
        h, c = self.cell(torch.cat([embedded, context], dim=-1), (h, c))
        context, weights = self.attention.look(h[:, None], memory)  # the query is h, not the tuple (h, c)
        context = context[:, 0]  # (B, H)
        return torch.tanh(self.combine(torch.cat([h, context], dim=-1))), (h, c, context), weights

    def step(self, tokens: Tensor, state: State, memory: Memory) -> tuple[Tensor, State]:
        """One step of use: the last outputs (B) -> logits of the next (B, V), new state."""
        features, state, _ = self.advance(self.embedding(tokens), state, memory)
        return self.output(features), state

    def forward(
        self, source: Tensor, lengths: Tensor, inputs: Tensor, return_attention: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Teacher forcing: source (B, S), lengths (B), inputs (B, T), which begin with BOS
        -> logits (B, T, V), weights (B, heads, T, S) if asked for and there, else None."""
        memory, state = self.read(source, lengths)
        features, weights = [], []
        for embedded in self.dropout(self.embedding(inputs)).unbind(1):  # T times (B, E)
            feature, state, looked = self.advance(embedded, state, memory)
            features.append(feature)
            weights.append(looked)
        logits = self.output(self.dropout(torch.stack(features, dim=1)))  # (B, T, V)
        return logits, torch.cat(weights, dim=2) if return_attention and weights[0] is not None else None

    def loss(self, source: Tensor, lengths: Tensor, targets: Tensor) -> Tensor:
        """Nats of the targets (B, T), which end with EOS and PAD behind it, summed over all that are not PAD."""
        logits, _ = self(source, lengths, shifted(targets))
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=PAD, reduction="sum")


def shifted(targets: Tensor) -> Tensor:
    """What the decoder reads while it is to write the targets (B, T): BOS, then all but their last."""
    return F.pad(targets[:, :-1], (1, 0), value=BOS)
