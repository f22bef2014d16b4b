"""Stage 4: a decoder-only transformer. No recurrence: every layer looks at the window of past tokens directly.

B batch, T time, E embedding = hidden size, D = E / heads, V vocabulary, W context_length, P past tokens in the cache
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shared.model.attention import attend, sliding_window
from shared.model.language_model import LanguageModel, State


def rotation(positions: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Cosine and sine, each (T, size / 2), of the angles position * 10000^(-2 i / size) (Su et al. 2021).

    positions (T), on the CPU. In float64, so that angles stay exact however far into a text they are.
    """
    frequencies = 10000.0 ** (-torch.arange(0, size, 2, dtype=torch.float64) / size)
    angles = positions[:, None] * frequencies
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Turn each pair of numbers (x_i, x_{i + D/2}) by its position's angle: x (..., T, D), cosine and sine (T, D / 2).

    A query and a key so turned have a product that depends on their distance and not on where they stand.
    """
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cosine - second * sine, first * sine + second * cosine], dim=-1)


def sinusoids(length: int, size: int) -> Tensor:
    """The 2017 transformer's fixed positions, (length, size): sines in the even places, cosines in the odd ones."""
    cosine, sine = rotation(torch.arange(length), size)
    return torch.stack([sine, cosine], dim=-1).flatten(1).float()


class SelfAttention(nn.Module):
    """Multi-head self-attention over the last `context_length` tokens, with a cache of their keys and values."""

    def __init__(self, hidden_size: int, num_heads: int, context_length: int):
        super().__init__()
        self.num_heads, self.context_length = num_heads, context_length
        self.query_key_value = nn.Linear(hidden_size, 3 * hidden_size, bias=False)
        self.output = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, x: Tensor, cache: tuple[Tensor, Tensor] | None, rotations, return_weights: bool):
        """x (B, T, E), cache of keys and values (B, heads, P, D), the new positions' rotations or None
        -> (B, T, E), the new cache, weights (B, heads, T, P + T) or None."""
        parts = self.query_key_value(x).unflatten(-1, (3, self.num_heads, -1))  # (B, T, 3, heads, D)
        q_and_k, v = parts.permute(2, 0, 3, 1, 4).split([2, 1])  # (2, B, heads, T, D) and (1, B, heads, T, D)
        if rotations is not None:
            q_and_k = rotate(q_and_k, *rotations)
        (q, k), [v] = q_and_k, v  # (B, heads, T, D) each
        if cache is not None:
            k = torch.cat([cache[0].to(k.dtype), k], dim=2)  # (B, heads, P + T, D)
            v = torch.cat([cache[1].to(v.dtype), v], dim=2)
        keep = min(self.context_length - 1, k.size(2))
        cache = (k[:, :, k.size(2) - keep :], v[:, :, v.size(2) - keep :])
        x, weights = sliding_window(attend, q, k, v, self.context_length, return_weights=return_weights)
        x = x.transpose(1, 2).flatten(2)  # (B, T, E)
        return self.output(x), cache, weights


class Block(nn.Module):
    """Attention, then a small network for each token alone; each adds to a stream that runs through all layers.

    The norm comes before each part (pre-norm), unlike the figure of 2017: so the stream itself is never squeezed, and
    training is stable without much care (Xiong et al. 2020).
    """

    def __init__(self, hidden_size: int, num_heads: int, context_length: int, dropout: float):
        super().__init__()
        self.attention_norm = nn.RMSNorm(hidden_size)
        self.attention = SelfAttention(hidden_size, num_heads, context_length)
        self.network_norm = nn.RMSNorm(hidden_size)
        self.expand = nn.Linear(hidden_size, 4 * hidden_size, bias=False)
        self.contract = nn.Linear(4 * hidden_size, hidden_size, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, cache, rotations, return_weights: bool):
        """x (B, T, E) -> x (B, T, E), cache, weights (B, heads, T, P + T) or None."""
        attended, cache, weights = self.attention(self.attention_norm(x), cache, rotations, return_weights)
        x = x + self.dropout(attended)
        x = x + self.dropout(self.contract(F.gelu(self.expand(self.network_norm(x)))))
        return x, cache, weights


class MiniTransformer(LanguageModel):
    """Embedding, blocks, norm, tied output layer.

    With rotary positions the state is the number of tokens read and every layer's keys and values (B, heads, up to
    W - 1, D). With sinusoidal or learned ones a position is a place in the window, so the window cannot slide: when it
    is full, its last half is read again from position 0, and the state holds the token ids in place of their number.
    """

    def __init__(
        self,
        vocab_size: int,
        hidden_size: int = 128,
        num_layers: int = 4,
        num_heads: int = 4,
        context_length: int = 64,
        dropout: float = 0.0,
        positions: str = "rotary",
    ):
        super().__init__(vocab_size, hidden_size, dropout=dropout)
        if hidden_size % (2 * num_heads):  # rotation turns pairs
            raise ValueError(f"hidden_size {hidden_size} must be a multiple of 2 * num_heads = {2 * num_heads}")
        self.context_length, self.head_size, self.positions = context_length, hidden_size // num_heads, positions
        self.blocks = nn.ModuleList(Block(hidden_size, num_heads, context_length, dropout) for _ in range(num_layers))
        self.norm = nn.RMSNorm(hidden_size)
        if positions == "learned":
            self.place = nn.Embedding(context_length, hidden_size)
            nn.init.normal_(self.place.weight, std=hidden_size**-0.5)
        elif positions == "sinusoidal":
            self.place = nn.Embedding.from_pretrained(sinusoids(context_length, hidden_size))

    def features(self, tokens: Tensor, state: State, return_attention: bool):
        """tokens (B, T) -> features (B, T, E), state, weights (B, layers, heads, T, P + T) or None."""
        if self.positions != "rotary":
            return self.read_in_windows(tokens, state, return_attention)
        past, caches = state or (0, None)
        length = past + tokens.size(1)
        x = self.embedding(tokens)  # (B, T, E)
        rotations = [part.to(x) for part in rotation(torch.arange(past, length), self.head_size)]
        x, caches, weights = self.read(x, caches, rotations, return_attention)
        return x, (length, caches), weights

    def carry(self, state: State) -> State:
        """Keys and values of the chunk before, but only where positions are relative and the window can slide."""
        return super().carry(state) if self.positions == "rotary" else None

    def read(self, x: Tensor, caches: State, rotations, return_attention: bool):
        """Embedded tokens (B, T, E) through all blocks -> features (B, T, E), new caches, weights or None."""
        x = self.dropout(x)
        new_caches, all_weights = [], []
        for block, cache in zip(self.blocks, caches or [None] * len(self.blocks)):
            x, cache, weights = block(x, cache, rotations, return_attention)
            new_caches.append(cache)
            all_weights.append(weights)
        return self.dropout(self.norm(x)), tuple(new_caches), torch.stack(all_weights, 1) if return_attention else None

    def read_in_windows(self, tokens: Tensor, state: State, return_attention: bool):
        """As `read`, for positions that are places in a window: a full window starts again with its last half."""
        past, caches = state or (tokens[:, :0], None)
        ids = torch.cat([past, tokens], dim=1)  # (B, P + T)
        x = self.embedding(ids)  # (B, P + T, E)
        start, done, features, all_weights = 0, past.size(1), [], []
        while done < ids.size(1):
            if done - start == self.context_length:
                start = done - self.context_length // 2
                _, caches, _ = self.read(x[:, start:done] + self.place.weight[: done - start], None, None, False)
            stop = min(start + self.context_length, ids.size(1))
            places = self.place.weight[done - start : stop - start]
            part, caches, weights = self.read(x[:, done:stop] + places, caches, None, return_attention)
            features.append(part)
            all_weights.append(F.pad(weights, (start, ids.size(1) - stop)) if return_attention else None)
            done = stop
        return (
            torch.cat(features, dim=1),  # (B, T, E)
            (ids[:, start:], caches),
            torch.cat(all_weights, dim=3) if return_attention else None,  # (B, layers, heads, T, P + T)
        )
