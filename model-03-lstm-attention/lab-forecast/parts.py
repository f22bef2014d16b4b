"""What the forecasters are made of: padding kept out, an LSTM that skips it, what may be seen, positions, GateAddNorm.

B batch, Tp past steps, Tf future steps, F columns, H hidden

Sequences are padded at their end. Masks are boolean and True means "may attend", as in shared/model/attention.py.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from shared.model.attention import causal_mask, padding_mask

Lengths = Tensor | None  # of each sample's real steps (B); None where every step is real
LSTMState = tuple[Tensor, Tensor]  # hidden vectors and cells of all layers, both (layers, B, H)

SHORTEST_WAVE, LONGEST_WAVE = 4.0, 1000.0  # steps: the one tells neighbours apart, the other the ends of a long window


def real_steps(x: Tensor, lengths: Lengths) -> Tensor:
    """True where a step is no padding: x (B, T, F) -> (B, T, 1)."""
    if lengths is None:
        return torch.ones(x.shape[:2] + (1,), dtype=torch.bool, device=x.device)
    return padding_mask(lengths.to(x.device), x.size(1)).transpose(1, 2)


def blank_padding(x: Tensor, lengths: Lengths) -> Tensor:
    """Zeros for whatever stands in the padding. A NaN there would outlive its attention weight of 0: 0 * NaN is NaN."""
    if lengths is None:
        return x
    if lengths.shape != x.shape[:1] or lengths.min() < 1 or lengths.max() > x.size(1):
        raise ValueError(f"lengths must be {x.size(0)} numbers from 1 to {x.size(1)}, not {lengths.tolist()}")
    return x.masked_fill(~real_steps(x, lengths), 0.0)


def read(lstm: nn.LSTM, x: Tensor, lengths: Lengths = None, state: LSTMState | None = None) -> tuple[Tensor, LSTMState]:
    """Run an LSTM over the real steps only: (B, T, F) -> outputs (B, T, H), 0 in the padding, and its last real state.

    A packed sequence leaves padding out, so that the state is the one after each sequence's own last step.
    """
    if lengths is None:
        return lstm(x, state)
    packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
    packed, state = lstm(packed, state)
    # Without total_length the longest sequence of the batch would decide how many steps come back.
    return pad_packed_sequence(packed, batch_first=True, total_length=x.size(1))[0], state


def visible_steps(past: Tensor, future: Tensor, past_lengths: Lengths, future_lengths: Lengths, causal: bool) -> Tensor:
    """Which steps of past and future, laid end to end, each future step may see: -> (B, Tf, Tp + Tf) bool.

    All of the real past; of the real future everything or, if `causal`, the present step and those before it.
    """
    num_future = future.size(1)
    past_steps = real_steps(past, past_lengths).transpose(1, 2).expand(-1, num_future, -1)  # (B, Tf, Tp)
    future_steps = real_steps(future, future_lengths).transpose(1, 2).expand(-1, num_future, -1)  # (B, Tf, Tf)
    if causal:  # (Tf, Tf) & (B, Tf, Tf): a later step is hidden in every sample, padding in its own
        future_steps = future_steps & causal_mask(num_future, num_future, device=future.device)
    return torch.cat([past_steps, future_steps], dim=-1)


def step_positions(past: Tensor, future: Tensor, past_lengths: Lengths) -> Tensor:
    """How many steps after the first one to be forecast: -Tp .. -1, then 0 .. Tf - 1, for each sample (B, Tp + Tf).

    Counted from there, a step's position does not depend on how much padding stands between past and future.
    """
    num_past, num_future = past.size(1), future.size(1)
    if past_lengths is None:
        past_lengths = torch.full(past.shape[:1], num_past)
    past_positions = torch.arange(num_past) - past_lengths.cpu()[:, None]  # (B, Tp)
    future_positions = torch.arange(num_future).expand(past.size(0), -1)  # (B, Tf)
    return torch.cat([past_positions, future_positions], dim=1).to(past)


def require_even(size: int) -> None:
    """ValueError for a size that cannot be half sines and half cosines."""
    if size % 2:
        raise ValueError(f"positions need an even hidden size, not {size}")


def sinusoids(positions: Tensor, size: int) -> Tensor:
    """Sines and cosines of positions (B, T) -> (B, T, size), as in Vaswani et al. 2017, section 3.5, in other waves.

    Theirs are up to 60,000 steps long; with few columns, waves of a window's own length tell its steps apart better.
    """
    require_even(size)
    ratio = LONGEST_WAVE / SHORTEST_WAVE
    exponents = torch.linspace(0, 1, size // 2, dtype=positions.dtype, device=positions.device)
    angles = positions[..., None] * (2 * math.pi / SHORTEST_WAVE) * ratio**-exponents  # (B, T, size / 2)
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def without_level(values: Tensor, lengths: Lengths) -> Tensor:
    """Values (B, Tp, O) less their mean over the real steps; the padding stays 0."""
    real = real_steps(values, lengths)  # (B, Tp, 1)
    return (values - values.sum(1, keepdim=True) / real.sum(1, keepdim=True)) * real


def season_ago(values: Tensor, num_future: int, season: int, count: int = 1, lengths: Lengths = None) -> Tensor:
    """The mean of the values 1, 2 .. `count` seasons before each future step, as far as they are known.

    values (B, Tp, O) -> (B, Tf, O). Beyond the first season the future repeats. A past of less than `count` seasons has
    as many as fit into it; one shorter than a season repeats its own length.
    """
    if lengths is None:
        lengths = torch.full(values.shape[:1], values.size(1))
    lengths = lengths.to(values.device)[:, None]  # (B, 1)
    period = lengths.clamp(max=season)  # (B, 1)
    counts = (lengths // period).clamp(max=count)  # (B, 1): how many seasons this past can answer with

    # Where, in the last season of the past, the step stands that each future step repeats; from there back by seasons.
    latest = lengths - period + torch.arange(num_future, device=values.device) % period  # (B, Tf)
    total = 0.0
    for back in range(min(count, values.size(1))):  # no past has more seasons than steps
        steps = (latest - back * period).clamp(min=0)  # (B, Tf)
        known = (back < counts)[..., None]  # (B, 1, 1)
        total = total + values.gather(1, steps[..., None].expand(-1, -1, values.size(-1))) * known  # (B, Tf, O)
    return total / counts[..., None]


def last_values(values: Tensor, count: int, lengths: Lengths = None) -> Tensor:
    """The last `count` real values, the first of them repeated where there are fewer: (B, Tp, O) -> (B, count, O)."""
    if lengths is None:
        lengths = torch.full(values.shape[:1], values.size(1))
    steps = lengths.to(values.device)[:, None] + torch.arange(-count, 0, device=values.device)  # (B, count)
    return values.gather(1, steps.clamp(min=0)[..., None].expand(-1, -1, values.size(-1)))


class LinearPart(nn.Module):
    """A linear map from a target's last values, less the newest, to its future; the same for all targets.

    It stands beside a network, as the autoregressive part of LSTNet does (Lai et al. 2018, section 3.6), and starts
    at zero, so that the network has the first word.
    """

    def __init__(self, num_past: int, num_future: int):
        super().__init__()
        self.map = nn.Linear(num_past, num_future)
        nn.init.zeros_(self.map.weight)
        nn.init.zeros_(self.map.bias)

    def forward(self, values: Tensor, num_future: int, lengths: Lengths) -> Tensor:
        """(B, Tp, O) -> (B, Tf, O)."""
        values = last_values(values, self.map.in_features, lengths)  # (B, num_past, O)
        changes = (values - values[:, -1:]).transpose(1, 2)  # (B, O, num_past)
        return self.map(changes)[..., :num_future].transpose(1, 2)  # (B, O, Tf) -> (B, Tf, O)


class GLU(nn.Module):
    """Gated linear unit (Dauphin et al. 2017): (W1 x + b1) * sigmoid(W2 x + b2), as wide as its input."""

    def __init__(self, size: int):
        super().__init__()
        self.value = nn.Linear(size, size)
        self.gate = nn.Linear(size, size)

    def forward(self, x: Tensor) -> Tensor:
        """(..., H) -> (..., H)."""
        return self.value(x) * torch.sigmoid(self.gate(x))


class GateAddNorm(nn.Module):
    """A skip connection whose branch can be shut: LayerNorm(GLU(dropout(x)) + residual) (Lim et al. 2021).

    Without `gating` it is the plain one, LayerNorm(dropout(x) + residual).
    """

    def __init__(self, size: int, dropout: float = 0.0, gating: bool = True):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.glu = GLU(size) if gating else nn.Identity()
        self.norm = nn.LayerNorm(size)

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        """Both (..., H) -> (..., H)."""
        return self.norm(self.glu(self.dropout(x)) + residual)
