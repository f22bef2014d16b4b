"""Five forecasters behind one signature. They differ in how the future gets at the past.

B batch, Tp past steps, Tf future steps, Fp past columns, Ff future columns, H hidden, O targets, Q quantiles

The first O columns of the past are the targets, its last Ff columns those that are known of the future too, in the
same order. A forecaster inherits padding, the linear head and the season from `Forecaster`, and writes `features`.
"""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shared.model.attention import MultiHeadAttention, attend, masked_softmax

from parts import (
    GateAddNorm,
    Lengths,
    LinearPart,
    blank_padding,
    read,
    real_steps,
    require_even,
    season_ago,
    sinusoids,
    step_positions,
    visible_steps,
    without_level,
)


class Forecaster(nn.Module):
    """What the five share: padding is blanked, a linear head, and what the forecast is added to.

    feature_size   numbers that the head gets for each step
    num_quantiles  0: the mean is forecast, else so many quantiles
    season         forecast the change since `season` steps ago (1: the last value; 24: this hour, a day ago), and hide
                   the level of the targets' past from the network; 0: forecast the value itself
    num_seasons    the change since the mean of so many seasons, not of the last alone
    linear         (past steps, future steps) of a LinearPart beside the network, or None
    """

    def __init__(
        self,
        past_size: int,
        future_size: int,
        num_targets: int,
        feature_size: int,
        *,
        num_quantiles: int = 0,
        season: int = 0,
        num_seasons: int = 1,
        linear: tuple[int, int] | None = None,
    ):
        super().__init__()
        self.past_size, self.future_size, self.num_targets = past_size, future_size, num_targets
        self.num_quantiles, self.season, self.num_seasons = num_quantiles, season, num_seasons
        self.head = nn.Linear(feature_size, num_targets * max(1, num_quantiles))
        self.linear = LinearPart(*linear) if linear else None

    def forward(
        self,
        past: Tensor,
        future: Tensor,
        *,
        past_lengths: Lengths = None,
        future_lengths: Lengths = None,
        return_attention: bool = False,
    ) -> Tensor | tuple[Tensor, Tensor | None]:
        """past (B, Tp, Fp), future (B, Tf, Ff), how many steps of each are real (B), by default all
        -> (B, Tf, O) or, with quantiles, (B, Tf, O, Q); and, if asked for, weights (B, heads, Tf, Tp + Tf) or None.

        Forecasts of padded steps mean nothing.
        """
        past, future = blank_padding(past, past_lengths), blank_padding(future, future_lengths)
        targets = past[..., : self.num_targets]  # (B, Tp, O)

        # With a season the network forecasts a change, and how high its window lies would only distract it.
        if self.season:
            past = torch.cat([without_level(targets, past_lengths), past[..., self.num_targets :]], dim=-1)
        features, weights = self.features(past, future, past_lengths, future_lengths)  # (B, Tf, feature_size)
        prediction = self.head(features).unflatten(-1, (self.num_targets, -1))  # (B, Tf, O, Q or 1)

        # What the network does not have to know: last season's value, and whatever a linear map of the past can tell.
        if self.season:
            base = season_ago(targets, future.size(1), self.season, self.num_seasons, past_lengths)  # (B, Tf, O)
            prediction = prediction + base[..., None]
        if self.linear is not None:
            prediction = prediction + self.linear(targets, future.size(1), past_lengths)[..., None]
        if not self.num_quantiles:
            prediction = prediction.squeeze(-1)  # (B, Tf, O)
        return (prediction, weights) if return_attention else prediction

    def features(
        self, past: Tensor, future: Tensor, past_lengths: Lengths, future_lengths: Lengths
    ) -> tuple[Tensor, Tensor | None]:
        """past (B, Tp, Fp), future (B, Tf, Ff), both 0 in the padding; lengths (B), or None where every step is real
        -> features (B, Tf, feature_size), attention weights (B, heads, Tf, Tp + Tf) or None."""
        raise NotImplementedError


class EncoderDecoderLSTM(Forecaster):
    """Everything that the future learns of the past passes through the encoder's last state (Sutskever et al. 2014)."""

    def __init__(
        self, past_size: int, future_size: int, num_targets: int,
        hidden_size: int = 32, num_layers: int = 1, dropout: float = 0.0, **shared: Any,
    ):  # fmt: skip
        super().__init__(past_size, future_size, num_targets, hidden_size, **shared)
        self.encoder = nn.LSTM(past_size, hidden_size, num_layers, batch_first=True)
        self.decoder = nn.LSTM(future_size, hidden_size, num_layers, batch_first=True)
        self.dropout = nn.Dropout(dropout)

    def features(
        self, past: Tensor, future: Tensor, past_lengths: Lengths, future_lengths: Lengths
    ) -> tuple[Tensor, Tensor | None]:
        _, state = read(self.encoder, past, past_lengths)  # the outputs, one for each past step, are thrown away
        decoded, _ = read(self.decoder, future, future_lengths, state)  # (B, Tf, H)
        return self.dropout(decoded), None


class AttentionLSTM(Forecaster):
    """The decoder asks: its output is the query, encoder and decoder outputs laid end to end are keys and values.

    Positions are added to queries and keys, which are compared, and not to the values, which are taken home: a state
    tells poorly how long ago it was.

    dropout            on what attention brought, before the gate
    attention_dropout  on the attention weights
    lstm_dropout       on what an LSTM layer hands to the layer above it; with one layer there is none
    """

    def __init__(
        self, past_size: int, future_size: int, num_targets: int,
        hidden_size: int = 32, num_layers: int = 1, num_heads: int = 4, gating: bool = True, causal: bool = True,
        dropout: float = 0.0, attention_dropout: float = 0.0, lstm_dropout: float = 0.0, **shared: Any,
    ):  # fmt: skip
        require_even(hidden_size)
        super().__init__(past_size, future_size, num_targets, hidden_size, **shared)
        self.encoder = nn.LSTM(past_size, hidden_size, num_layers, batch_first=True, dropout=lstm_dropout)
        self.decoder = nn.LSTM(future_size, hidden_size, num_layers, batch_first=True, dropout=lstm_dropout)
        self.attention = MultiHeadAttention(hidden_size, hidden_size, num_heads, attention_dropout)
        self.skip = GateAddNorm(hidden_size, dropout, gating)
        self.causal = causal

    def features(
        self, past: Tensor, future: Tensor, past_lengths: Lengths, future_lengths: Lengths
    ) -> tuple[Tensor, Tensor | None]:
        encoded, state = read(self.encoder, past, past_lengths)  # (B, Tp, H)
        decoded, _ = read(self.decoder, future, future_lengths, state)  # (B, Tf, H)
        states = torch.cat([encoded, decoded], dim=1)  # (B, Tp + Tf, H)

        positions = sinusoids(step_positions(past, future, past_lengths), states.size(-1))  # (B, Tp + Tf, H)
        keys = states + positions
        queries = keys[:, past.size(1) :]  # (B, Tf, H): the future's steps are those that ask

        # In an LSTM's output nothing is of a later step, so the mask is all that keeps the future's order.
        mask = visible_steps(past, future, past_lengths, future_lengths, self.causal)
        context, weights = self.attention(queries, keys, states, mask)
        return self.skip(context, decoded), weights


class TransformerBlock(nn.Module):
    """The past looks at itself, then the future looks at the past; a GateAddNorm after each."""

    def __init__(self, size: int, num_heads: int, dropout: float, gating: bool):
        super().__init__()
        self.self_attention = MultiHeadAttention(size, size, num_heads)
        self.cross_attention = MultiHeadAttention(size, size, num_heads)
        self.encoder_skip = GateAddNorm(size, dropout, gating)
        self.decoder_skip = GateAddNorm(size, dropout, gating)

    def forward(self, encoded: Tensor, decoded: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, Tp, H), (B, Tf, H), mask (B, 1, Tp) -> the same two, and weights (B, heads, Tf, Tp)."""
        context, _ = self.self_attention(encoded, encoded, encoded, mask)
        encoded = self.encoder_skip(context, encoded)
        context, weights = self.cross_attention(decoded, encoded, encoded, mask)
        return encoded, self.decoder_skip(context, decoded), weights


class TransformerLSTM(Forecaster):
    """LSTMs as above, then blocks of encoder self-attention and decoder cross-attention.

    The decoder's LSTM carries what the future itself tells; attention reaches into the past only. Positions are added
    to the LSTMs' outputs.
    """

    def __init__(
        self, past_size: int, future_size: int, num_targets: int,
        hidden_size: int = 32, num_layers: int = 1, num_heads: int = 4, num_blocks: int = 2, gating: bool = True,
        dropout: float = 0.0, **shared: Any,
    ):  # fmt: skip
        require_even(hidden_size)
        super().__init__(past_size, future_size, num_targets, hidden_size, **shared)
        self.encoder = nn.LSTM(past_size, hidden_size, num_layers, batch_first=True)
        self.decoder = nn.LSTM(future_size, hidden_size, num_layers, batch_first=True)
        blocks = [TransformerBlock(hidden_size, num_heads, dropout, gating) for _ in range(num_blocks)]
        self.blocks = nn.ModuleList(blocks)

    def features(
        self, past: Tensor, future: Tensor, past_lengths: Lengths, future_lengths: Lengths
    ) -> tuple[Tensor, Tensor | None]:
        encoded, state = read(self.encoder, past, past_lengths)  # (B, Tp, H)
        decoded, _ = read(self.decoder, future, future_lengths, state)  # (B, Tf, H)

        positions = sinusoids(step_positions(past, future, past_lengths), encoded.size(-1))  # (B, Tp + Tf, H)
        encoded, decoded = encoded + positions[:, : past.size(1)], decoded + positions[:, past.size(1) :]

        mask = real_steps(past, past_lengths).transpose(1, 2)  # (B, 1, Tp): the same for every query
        all_weights = []
        for block in self.blocks:
            encoded, decoded, weights = block(encoded, decoded, mask)
            all_weights.append(weights)
        weights = torch.cat(all_weights, dim=1)  # (B, blocks * heads, Tf, Tp)
        return decoded, F.pad(weights, (0, future.size(1)))  # (B, blocks * heads, Tf, Tp + Tf): 0 on the future


class QueryAttention(Forecaster):
    """One head and no recurrence. Queries and keys come from inputs plus positions, values are the inputs themselves.

    So a weight is a statement about an input, and the forecast is a linear map of their mixture: nothing else could
    explain it.
    """

    def __init__(
        self, past_size: int, future_size: int, num_targets: int,
        hidden_size: int = 32, causal: bool = True, **shared: Any,
    ):  # fmt: skip
        require_even(hidden_size)
        super().__init__(past_size, future_size, num_targets, past_size, **shared)
        self.embed = nn.Linear(past_size, hidden_size)
        self.query = nn.Linear(hidden_size, hidden_size)
        self.key = nn.Linear(hidden_size, hidden_size)
        self.causal = causal

    def features(
        self, past: Tensor, future: Tensor, past_lengths: Lengths, future_lengths: Lengths
    ) -> tuple[Tensor, Tensor | None]:
        inputs = torch.cat([past, future_inputs(past, future)], dim=1)  # (B, Tp + Tf, Fp)
        embedded = self.embed(inputs)  # (B, Tp + Tf, H)
        embedded = embedded + sinusoids(step_positions(past, future, past_lengths), embedded.size(-1))

        queries = self.query(embedded[:, past.size(1) :])  # (B, Tf, H)
        keys = self.key(embedded)  # (B, Tp + Tf, H)
        mask = visible_steps(past, future, past_lengths, future_lengths, self.causal)
        context, weights = attend(queries, keys, inputs, mask)  # (B, Tf, Fp), (B, Tf, Tp + Tf)
        return context, weights[:, None]


def future_inputs(past: Tensor, future: Tensor) -> Tensor:
    """The future in the past's columns, 0 where a column is not known: (B, Tf, Ff) -> (B, Tf, Fp)."""
    return F.pad(future, (past.size(-1) - future.size(-1), 0))


class WeightedBlock(nn.Module):
    """Two LSTM layers, then each state x times its own softmax weight w.

    `literal`  w x, with the score v . tanh(W x + b): additive attention's, but for the query, which is not there
    else       LayerNorm(x + T w x), with the score v . x + b

    Nobody asks here: a state's weight depends on that state alone, and is the same for every step that is forecast.
    """

    def __init__(self, input_size: int, hidden_size: int, literal: bool):
        super().__init__()
        self.lstm = nn.LSTM(input_size, hidden_size, num_layers=2, batch_first=True)
        self.literal = literal
        if literal:
            self.score = nn.Sequential(
                nn.Linear(hidden_size, hidden_size), nn.Tanh(), nn.Linear(hidden_size, 1, bias=False)
            )
        else:
            self.score = nn.Linear(hidden_size, 1)
            self.norm = nn.LayerNorm(hidden_size)

    def forward(
        self, past: Tensor, future: Tensor, past_lengths: Lengths, future_lengths: Lengths
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(B, Tp, F), (B, Tf, F) -> (B, Tp, H), (B, Tf, H), weights (B, Tp + Tf)."""
        sizes = [past.size(1), future.size(1)]
        real = torch.cat([real_steps(past, past_lengths), real_steps(future, future_lengths)], dim=1)  # (B, Tp + Tf, 1)

        # The future goes on where the past ended, so that the two are read as one sequence.
        past, state = read(self.lstm, past, past_lengths)
        future, _ = read(self.lstm, future, future_lengths, state)
        x = torch.cat([past, future], dim=1)  # (B, Tp + Tf, H)

        weights = masked_softmax(self.score(x).squeeze(-1), real.squeeze(-1))  # (B, Tp + Tf)
        weighted = weights[..., None] * x  # (B, Tp + Tf, H)
        if not self.literal:
            # T w is about 1, whatever T, so that what is passed on does not shrink as windows grow.
            weighted = self.norm(x + real.sum(1, keepdim=True) * weighted)
        past, future = weighted.split(sizes, dim=1)
        return past, future, weights


NUM_STACKED = 3  # blocks in the form that circulates


class StackedAttentionLSTM(Forecaster):
    """[LSTM, LSTM, attention] three times, over past and future as one sequence.

    The `literal` form is the one that circulates. Its weights are about 1 / T each, so every block makes what the input
    changes T times smaller. What is left are the biases: a constant. The residual form learns. In neither do the
    weights explain.
    """

    def __init__(
        self, past_size: int, future_size: int, num_targets: int,
        hidden_size: int = 32, literal: bool = False, **shared: Any,
    ):  # fmt: skip
        super().__init__(past_size, future_size, num_targets, hidden_size, **shared)
        sizes = [past_size] + [hidden_size] * NUM_STACKED
        self.blocks = nn.ModuleList(WeightedBlock(*pair, literal) for pair in zip(sizes[:-1], sizes[1:]))

    def features(
        self, past: Tensor, future: Tensor, past_lengths: Lengths, future_lengths: Lengths
    ) -> tuple[Tensor, Tensor | None]:
        num_future, future = future.size(1), future_inputs(past, future)  # (B, Tf, Fp)
        all_weights = []
        for block in self.blocks:
            past, future, weights = block(past, future, past_lengths, future_lengths)
            all_weights.append(weights)
        weights = torch.stack(all_weights, dim=1)[:, :, None]  # (B, blocks, 1, Tp + Tf)
        return future, weights.expand(-1, -1, num_future, -1)  # the same row for every step


class Choice(NamedTuple):
    """What `--model` can choose: its row in a table, its class, what is fixed of its settings and what flags set."""

    row: str
    model_class: type[Forecaster]
    fixed: dict
    flags: tuple[str, ...]


LSTM = ("hidden_size", "num_layers", "dropout")
ATTENTION = (*LSTM, "num_heads", "gating", "causal", "attention_dropout", "lstm_dropout")
MODELS = {
    "encoder-decoder-lstm": Choice("EncoderDecoderLSTM", EncoderDecoderLSTM, {}, LSTM),
    "attention-lstm": Choice("AttentionLSTM", AttentionLSTM, {}, ATTENTION),
    "transformer-lstm": Choice("TransformerLSTM", TransformerLSTM, {}, (*LSTM, "num_heads", "num_blocks", "gating")),
    "query-attention": Choice("QueryAttention", QueryAttention, {}, ("hidden_size", "causal")),
    "stacked-literal": Choice(
        "StackedAttentionLSTM, literal", StackedAttentionLSTM, {"literal": True}, ("hidden_size",)
    ),
    "stacked-residual": Choice("StackedAttentionLSTM, residual", StackedAttentionLSTM, {}, ("hidden_size",)),
}
