"""Five forecasters behind one signature. They differ in how the future gets at the past.

B batch, Tp past steps, Tf future steps, Fp past columns, Ff future columns, H hidden, O targets, Q quantiles

The first O columns of the past are the targets, its last Ff columns those that are known of the future too, in the
same order.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shared.model.attention import MultiHeadAttention, attend, masked_softmax

from parts import (
    GateAddNorm,
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
        past_lengths: Tensor | None = None,
        future_lengths: Tensor | None = None,
        return_attention: bool = False,
    ):
        """past (B, Tp, Fp), future (B, Tf, Ff), how many steps of each are real (B), by default all
        -> (B, Tf, O) or, with quantiles, (B, Tf, O, Q); and, if asked for, weights (B, heads, Tf, Tp + Tf) or None.

        Forecasts of padded steps mean nothing.
        """
        past, future = blank_padding(past, past_lengths), blank_padding(future, future_lengths)
        targets = past[..., : self.num_targets]
        if self.season:
            past = torch.cat([without_level(targets, past_lengths), past[..., self.num_targets :]], dim=-1)
        features, weights = self.features(past, future, past_lengths, future_lengths)  # (B, Tf, feature_size)
        prediction = self.head(features).unflatten(-1, (self.num_targets, -1))  # (B, Tf, O, Q or 1)
        if self.season:
            base = season_ago(targets, future.size(1), self.season, self.num_seasons, past_lengths)  # (B, Tf, O)
            prediction = prediction + base[..., None]
        if self.linear is not None:
            prediction = prediction + self.linear(targets, future.size(1), past_lengths)[..., None]
        if not self.num_quantiles:
            prediction = prediction.squeeze(-1)  # (B, Tf, O)
        return (prediction, weights) if return_attention else prediction

    def features(self, past: Tensor, future: Tensor, past_lengths: Tensor | None, future_lengths: Tensor | None):
        """-> features (B, Tf, feature_size), weights or None. Whatever stands in the padding is 0."""
        raise NotImplementedError


class EncoderDecoderLSTM(Forecaster):
    """Everything that the future learns of the past passes through the encoder's last state (Sutskever et al. 2014)."""

    def __init__(
        self, past_size: int, future_size: int, num_targets: int,
        hidden_size: int = 32, num_layers: int = 1, dropout: float = 0.0, **shared,
    ):  # fmt: skip
        super().__init__(past_size, future_size, num_targets, hidden_size, **shared)
        self.encoder = nn.LSTM(past_size, hidden_size, num_layers, batch_first=True)
        self.decoder = nn.LSTM(future_size, hidden_size, num_layers, batch_first=True)
        self.dropout = nn.Dropout(dropout)

    def features(self, past, future, past_lengths, future_lengths):
        _, state = read(self.encoder, past, past_lengths)
        decoded, _ = read(self.decoder, future, future_lengths, state)  # (B, Tf, H)
        return self.dropout(decoded), None


class AttentionLSTM(Forecaster):
    """The decoder asks: its output is the query, encoder and decoder outputs laid end to end are keys and values.

    Positions are added to what is compared, not to what is taken home: a state tells poorly how long ago it was.
    """

    def __init__(
        self, past_size: int, future_size: int, num_targets: int,
        hidden_size: int = 32, num_layers: int = 1, num_heads: int = 4, gating: bool = True, causal: bool = True,
        dropout: float = 0.0, **shared,
    ):  # fmt: skip
        require_even(hidden_size)
        super().__init__(past_size, future_size, num_targets, hidden_size, **shared)
        self.encoder = nn.LSTM(past_size, hidden_size, num_layers, batch_first=True)
        self.decoder = nn.LSTM(future_size, hidden_size, num_layers, batch_first=True)
        self.attention = MultiHeadAttention(hidden_size, hidden_size, num_heads)
        self.skip = GateAddNorm(hidden_size, dropout, gating)
        self.causal = causal

    def features(self, past, future, past_lengths, future_lengths):
        encoded, state = read(self.encoder, past, past_lengths)  # (B, Tp, H)
        decoded, _ = read(self.decoder, future, future_lengths, state)  # (B, Tf, H)
        states = torch.cat([encoded, decoded], dim=1)  # (B, Tp + Tf, H)
        keys = states + sinusoids(step_positions(past, future, past_lengths), states.size(-1))
        queries = keys[:, past.size(1) :]  # (B, Tf, H)
        mask = visible_steps(past, future, past_lengths, future_lengths, self.causal)
        context, weights = self.attention(queries, keys, states, mask, return_weights=True)
        return self.skip(context, decoded), weights


class TransformerBlock(nn.Module):
    """The past looks at itself, then the future looks at the past; a GateAddNorm after each."""

    def __init__(self, size: int, num_heads: int, dropout: float, gating: bool):
        super().__init__()
        self.self_attention = MultiHeadAttention(size, size, num_heads)
        self.cross_attention = MultiHeadAttention(size, size, num_heads)
        self.encoder_skip = GateAddNorm(size, dropout, gating)
        self.decoder_skip = GateAddNorm(size, dropout, gating)

    def forward(self, encoded: Tensor, decoded: Tensor, mask: Tensor):
        """(B, Tp, H), (B, Tf, H), mask (B, 1, Tp) -> the same two, and weights (B, heads, Tf, Tp)."""
        context, _ = self.self_attention(encoded, encoded, encoded, mask)
        encoded = self.encoder_skip(context, encoded)
        context, weights = self.cross_attention(decoded, encoded, encoded, mask, return_weights=True)
        return encoded, self.decoder_skip(context, decoded), weights


class TransformerLSTM(Forecaster):
    """LSTMs as above, then blocks of encoder self-attention and decoder cross-attention.

    The decoder's LSTM carries what the future itself tells; attention reaches into the past only. Positions are added
    to the LSTMs' outputs.
    """

    def __init__(
        self, past_size: int, future_size: int, num_targets: int,
        hidden_size: int = 32, num_layers: int = 1, num_heads: int = 4, num_blocks: int = 2, gating: bool = True,
        dropout: float = 0.0, **shared,
    ):  # fmt: skip
        require_even(hidden_size)
        super().__init__(past_size, future_size, num_targets, hidden_size, **shared)
        self.encoder = nn.LSTM(past_size, hidden_size, num_layers, batch_first=True)
        self.decoder = nn.LSTM(future_size, hidden_size, num_layers, batch_first=True)
        blocks = [TransformerBlock(hidden_size, num_heads, dropout, gating) for _ in range(num_blocks)]
        self.blocks = nn.ModuleList(blocks)

    def features(self, past, future, past_lengths, future_lengths):
        encoded, state = read(self.encoder, past, past_lengths)  # (B, Tp, H)
        decoded, _ = read(self.decoder, future, future_lengths, state)  # (B, Tf, H)
        positions = sinusoids(step_positions(past, future, past_lengths), encoded.size(-1))
        encoded, decoded = encoded + positions[:, : past.size(1)], decoded + positions[:, past.size(1) :]
        mask = real_steps(past, past_lengths).transpose(1, 2)  # (B, 1, Tp)
        all_weights = []
        for block in self.blocks:
            encoded, decoded, weights = block(encoded, decoded, mask)
            all_weights.append(weights)
        return decoded, F.pad(torch.cat(all_weights, dim=1), (0, future.size(1)))  # (B, blocks * heads, Tf, Tp + Tf)


class QueryAttention(Forecaster):
    """One head and no recurrence. Queries and keys come from inputs plus positions, values are the inputs themselves.

    So a weight is a statement about an input, and the forecast is a linear map of their mixture: nothing else could
    explain it.
    """

    def __init__(
        self, past_size: int, future_size: int, num_targets: int,
        hidden_size: int = 32, causal: bool = True, **shared,
    ):  # fmt: skip
        require_even(hidden_size)
        super().__init__(past_size, future_size, num_targets, past_size, **shared)
        self.embed = nn.Linear(past_size, hidden_size)
        self.query = nn.Linear(hidden_size, hidden_size)
        self.key = nn.Linear(hidden_size, hidden_size)
        self.causal = causal

    def features(self, past, future, past_lengths, future_lengths):
        inputs = torch.cat([past, future_inputs(past, future)], dim=1)  # (B, Tp + Tf, Fp)
        embedded = self.embed(inputs)  # (B, Tp + Tf, H)
        embedded = embedded + sinusoids(step_positions(past, future, past_lengths), embedded.size(-1))
        queries = self.query(embedded[:, past.size(1) :])  # (B, Tf, H)
        mask = visible_steps(past, future, past_lengths, future_lengths, self.causal)
        context, weights = attend(queries, self.key(embedded), inputs, mask, return_weights=True)
        return context, weights[:, None]


def future_inputs(past: Tensor, future: Tensor) -> Tensor:
    """The future in the past's columns, 0 where a column is not known: (B, Tf, Ff) -> (B, Tf, Fp)."""
    return F.pad(future, (past.size(-1) - future.size(-1), 0))


class WeightedBlock(nn.Module):
    """Two LSTM layers, then each state times its own softmax weight w: `literal`, w x, or LayerNorm(x + T w x).

    Nobody asks here: a state's weight depends on that state alone, and is the same for every step that is forecast.
    """

    def __init__(self, input_size: int, hidden_size: int, literal: bool):
        super().__init__()
        self.lstm = nn.LSTM(input_size, hidden_size, num_layers=2, batch_first=True)
        self.score = nn.Linear(hidden_size, 1)
        self.norm = nn.Identity() if literal else nn.LayerNorm(hidden_size)
        self.literal = literal

    def forward(self, past: Tensor, future: Tensor, past_lengths, future_lengths):
        """(B, Tp, F), (B, Tf, F) -> (B, Tp, H), (B, Tf, H), weights (B, Tp + Tf)."""
        sizes = [past.size(1), future.size(1)]
        real = torch.cat([real_steps(past, past_lengths), real_steps(future, future_lengths)], dim=1)  # (B, Tp + Tf, 1)
        past, state = read(self.lstm, past, past_lengths)
        future, _ = read(self.lstm, future, future_lengths, state)
        x = torch.cat([past, future], dim=1)  # (B, Tp + Tf, H)
        weights = masked_softmax(self.score(x).squeeze(-1), real.squeeze(-1))  # (B, Tp + Tf)
        weighted = weights[..., None] * x
        if not self.literal:
            weighted = x + real.sum(1, keepdim=True) * weighted
        past, future = self.norm(weighted).split(sizes, dim=1)
        return past, future, weights


class StackedAttentionLSTM(Forecaster):
    """[LSTM, LSTM, attention] three times, over past and future as one sequence.

    The `literal` form is the one that circulates. Its weights are about 1 / T each, so every block makes what the input
    changes T times smaller. What is left are the biases: a constant. The residual form learns. In neither do the
    weights explain.
    """

    def __init__(
        self, past_size: int, future_size: int, num_targets: int,
        hidden_size: int = 32, num_blocks: int = 3, literal: bool = False, **shared,
    ):  # fmt: skip
        super().__init__(past_size, future_size, num_targets, hidden_size, **shared)
        sizes = [past_size] + [hidden_size] * num_blocks
        self.blocks = nn.ModuleList(WeightedBlock(*pair, literal) for pair in zip(sizes[:-1], sizes[1:]))

    def features(self, past, future, past_lengths, future_lengths):
        num_future, future = future.size(1), future_inputs(past, future)
        all_weights = []
        for block in self.blocks:
            past, future, weights = block(past, future, past_lengths, future_lengths)
            all_weights.append(weights)
        weights = torch.stack(all_weights, dim=1)[:, :, None]  # (B, blocks, 1, Tp + Tf)
        return future, weights.expand(-1, -1, num_future, -1)  # the same row for every step


# What --model calls them -> the row in a table, the class, what is fixed and what is set by flags.
LSTM = ("hidden_size", "num_layers", "dropout")
MODELS = {
    "encoder-decoder-lstm": ("EncoderDecoderLSTM", EncoderDecoderLSTM, {}, LSTM),
    "attention-lstm": ("AttentionLSTM", AttentionLSTM, {}, (*LSTM, "num_heads", "gating", "causal")),
    "transformer-lstm": ("TransformerLSTM", TransformerLSTM, {}, (*LSTM, "num_heads", "num_blocks", "gating")),
    "query-attention": ("QueryAttention", QueryAttention, {}, ("hidden_size", "causal")),
    "stacked-literal": ("StackedAttentionLSTM, literal", StackedAttentionLSTM, {"literal": True}, ("hidden_size",)),
    "stacked-residual": ("StackedAttentionLSTM, residual", StackedAttentionLSTM, {}, ("hidden_size",)),
}
