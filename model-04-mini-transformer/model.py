"""Stage 4: a decoder-only transformer. No recurrence: every layer looks at the window of past tokens directly.

What is new against stage 3: attention in every layer, and nothing else that remembers. Positions have to be put in
(`rotate`), and keys and values of past tokens are kept: the key/value cache.

    token ids  ->  embedding  ->  blocks: attention, feed-forward  ->  features  ->  logits of the next token
    (B, T)         (B, T, E)      (B, T, E)                            (B, T, E)     (B, T, V)

B batch, T time, E embedding = hidden size, D = E / heads, V vocabulary, W context_length, P past tokens in the cache
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shared.model.attention import attend
from shared.model.language_model import LanguageModel, State
from shared.model.window import fused_attend, sliding_window, weights_map

Cache = tuple[Tensor, Tensor]  # a layer's keys and values, (B, heads, P, D) each
Rotation = tuple[Tensor, Tensor]  # cosine and sine, (T, D / 2) each

# ---------------------------------------------------------------------------------- rotary positions (Su et al. 2021)


def rotation(positions: Tensor, size: int) -> Rotation:
    """Cosine and sine, each (T, size / 2), of the angles position * 10000^(-2 i / size), for positions (T) on the CPU.

    In float64, so that angles stay exact however far into a text they are.
    """
    frequencies = 10000.0 ** (-torch.arange(0, size, 2, dtype=torch.float64) / size)  # (size / 2)
    angles = positions[:, None] * frequencies  # (T, size / 2)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Turn each pair of numbers (x_i, x_{i + D/2}) by its position's angle: x (..., T, D), cosine and sine (T, D / 2).

    A query and a key so turned have a product that depends on their distance and not on where they stand.
    """
    first, second = x.chunk(2, dim=-1)  # (..., T, D / 2) each
    return torch.cat([first * cosine - second * sine, first * sine + second * cosine], dim=-1)


# ------------------------------------------------------------------------------------------------------------ a block


class SelfAttention(nn.Module):
    """Multi-head self-attention over the last `context_length` tokens, with a cache of their keys and values."""

    def __init__(self, hidden_size: int, num_heads: int, context_length: int):
        super().__init__()
        self.num_heads, self.context_length = num_heads, context_length
        self.query_key_value = nn.Linear(hidden_size, 3 * hidden_size, bias=False)
        self.output = nn.Linear(hidden_size, hidden_size, bias=False)

    def split_heads(self, x: Tensor) -> Tensor:
        """(B, T, E) -> (B, heads, T, D): each head gets its own part of every vector."""
        return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)

    def forward(
        self, x: Tensor, cache: Cache | None, rotations: Rotation | None, return_weights: bool
    ) -> tuple[Tensor, Cache, Tensor | None]:
        """x (B, T, E), the cache or None, the new positions' rotations
        -> (B, T, E), the new cache, weights (B, heads, T, P + T) or None."""
        # One product for all three: what a token asks for, what it is found by, and what it gives.
        q, k, v = self.query_key_value(x).chunk(3, dim=-1)  # (B, T, E) each
        q, k, v = self.split_heads(q), self.split_heads(k), self.split_heads(v)  # (B, heads, T, D) each
        if rotations is not None:  # else the words' vectors hold their places already
            q, k = rotate(q, *rotations), rotate(k, *rotations)  # (B, heads, T, D) each

        # Keys and values of past tokens do not change when a new one comes. So they are kept, not computed again.
        if cache is not None:
            k = torch.cat([cache[0].to(k.dtype), k], dim=2)  # (B, heads, P + T, D)
            v = torch.cat([cache[1].to(v.dtype), v], dim=2)  # (B, heads, P + T, D)
        # The next token sees itself and the context_length - 1 tokens before it: the window slides.
        keep = min(self.context_length - 1, k.size(2))
        new_cache = (k[:, :, k.size(2) - keep :], v[:, :, v.size(2) - keep :])

        attention = attend if return_weights else fused_attend
        x, weights = sliding_window(attention, q, k, v, self.context_length, return_weights=return_weights)
        weights = weights_map(weights, k.size(2)) if return_weights else None  # (B, heads, T, P + T)
        x = x.transpose(1, 2).flatten(2)  # (B, T, E): the heads side by side again
        return self.output(x), new_cache, weights


class Block(nn.Module):
    """Attention, then a feed-forward network (MLP) for each token alone; each adds to the residual stream.

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

    def forward(
        self, x: Tensor, cache: Cache | None, rotations: Rotation | None, return_weights: bool
    ) -> tuple[Tensor, Cache, Tensor | None]:
        """x (B, T, E) -> x (B, T, E), cache, weights (B, heads, T, P + T) or None."""
        # Look at the others, and add what was found.
        attended, cache, weights = self.attention(self.attention_norm(x), cache, rotations, return_weights)
        x = x + self.dropout(attended)
        # Think alone, and add that.
        thought = self.contract(F.gelu(self.expand(self.network_norm(x))))  # (B, T, 4 E) inside, (B, T, E) outside
        return x + self.dropout(thought), cache, weights


# ---------------------------------------------------------------------------------------------------------- the model


class MiniTransformer(LanguageModel):
    """Embedding, blocks, norm, tied output layer.

    State, with rotary positions: the number of tokens read, and every layer's cache, of up to W - 1 tokens.
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
        super().__init__(vocab_size, hidden_size, dropout)
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

    def features(self, tokens: Tensor, state: State, return_attention: bool) -> tuple[Tensor, State, Tensor | None]:
        """tokens (B, T) -> features (B, T, E), state, weights (B, layers, heads, T, P + T) or None."""
        if self.positions != "rotary":
            return self.read_in_windows(tokens, state, return_attention)
        past, caches = state or (0, None)
        length = past + tokens.size(1)
        x = self.embedding(tokens)  # (B, T, E)
        cosine, sine = rotation(torch.arange(past, length), self.head_size)  # (T, D / 2) each
        rotations = cosine.to(x), sine.to(x)
        x, caches, weights = self.read(x, caches, rotations, return_attention)
        return x, (length, caches), weights

    def read(
        self, x: Tensor, caches: tuple[Cache, ...] | None, rotations: Rotation | None, return_attention: bool
    ) -> tuple[Tensor, tuple[Cache, ...], Tensor | None]:
        """Embedded tokens (B, T, E) through all blocks -> features (B, T, E), new caches, weights or None."""
        x = self.dropout(x)
        new_caches, all_weights = [], []
        for block, cache in zip(self.blocks, caches or [None] * len(self.blocks)):
            x, cache, weights = block(x, cache, rotations, return_attention)
            new_caches.append(cache)
            all_weights.append(weights)
        weights = torch.stack(all_weights, 1) if return_attention else None  # (B, layers, heads, T, P + T)
        return self.dropout(self.norm(x)), tuple(new_caches), weights

    def carry(self, state: State) -> State:
        """Keys and values of the chunk before, but only where positions are relative and the window can slide."""
        return super().carry(state) if self.positions == "rotary" else None

    # ------------------------------------------------------- learned and sinusoidal positions: places in a window

    def read_in_windows(
        self, tokens: Tensor, state: State, return_attention: bool
    ) -> tuple[Tensor, State, Tensor | None]:
        """As `features`, where a token's position is a place in the window, added to its vector.

        Such a window cannot slide: all places would change. When it is full, its last half is read again from place 0.
        State: the ids (B, P) of the tokens in the window, and every layer's cache.
        """
        past, caches = state or (tokens[:, :0], None)
        ids = torch.cat([past, tokens], dim=1)  # (B, P + T)
        x = self.embedding(ids)  # (B, P + T, E)
        start, done, features, all_weights = 0, past.size(1), [], []  # the window's first token; how many are read
        while done < ids.size(1):
            if done - start == self.context_length:
                start = done - self.context_length // 2
                _, caches, _ = self.read_placed(x[:, start:done], 0, None, False)
            stop = min(start + self.context_length, ids.size(1))
            part, caches, weights = self.read_placed(x[:, done:stop], done - start, caches, return_attention)
            features.append(part)
            # Weight 0 on what is in the window no more, and on what is yet to come.
            all_weights.append(F.pad(weights, (start, ids.size(1) - stop)) if return_attention else None)
            done = stop
        weights = torch.cat(all_weights, dim=3) if return_attention else None  # (B, layers, heads, T, P + T)
        return torch.cat(features, dim=1), (ids[:, start:], caches), weights

    def read_placed(
        self, x: Tensor, first: int, caches: tuple[Cache, ...] | None, return_attention: bool
    ) -> tuple[Tensor, tuple[Cache, ...], Tensor | None]:
        """`read` x (B, T, E), with the vectors of the places from `first` on added. Queries and keys are not turned."""
        x = x + self.place.weight[first : first + x.size(1)]
        return self.read(x, caches, None, return_attention)


def sinusoids(length: int, size: int) -> Tensor:
    """The 2017 transformer's fixed positions, (length, size): sines in the even places, cosines in the odd ones."""
    cosine, sine = rotation(torch.arange(length), size)
    return torch.stack([sine, cosine], dim=-1).flatten(1).float()
