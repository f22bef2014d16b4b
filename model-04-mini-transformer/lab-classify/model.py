"""A self-attention classifier: every word looks at every other, then all of them vote.

An encoder, in the words of the paper of 2017: no causal mask, since the whole text is there before the question is
asked. The only mask hides padding.

B batch, T time (the longest passage in the batch), C classes, H hidden
"""

import torch
from torch import Tensor, nn

from shared.model.attention import MultiHeadAttention, padding_mask

SETTINGS = ("hidden_size", "num_blocks", "num_heads", "dropout")  # what a Classifier is built with


def sinusoids(length: int, size: int, device: torch.device | None = None) -> Tensor:
    """Sinusoidal positions, (length, size): a sine and a cosine for each wave (Vaswani et al. 2017, section 3.5).

    They are computed for the text at hand, so no text is too long.
    """
    # The first wave turns by one radian a word and each next one more slowly: fast waves tell neighbours apart, slow
    # ones the beginning from the end.
    frequencies = 10000.0 ** (-torch.arange(0, size, 2, device=device) / size)  # (size / 2)
    angles = torch.arange(length, device=device)[:, None] * frequencies  # (length, size / 2)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)  # (length, size)


def masked_mean(x: Tensor, lengths: Tensor) -> Tensor:
    """Mean pooling over each text's own words: x (B, T, H), lengths (B) -> (B, H). An empty text has zeros."""
    real = padding_mask(lengths, x.size(1)).transpose(1, 2)  # (B, T, 1)
    # Filled with zeros and not multiplied by them: if padding held an infinity, 0 times it would be NaN.
    total = x.masked_fill(~real, 0.0).sum(1)  # (B, H)
    return total / lengths.clamp(min=1)[:, None]


class Block(nn.Module):
    """Self-attention with a residual connection; the norm comes first (pre-norm), unlike the figure of 2017.

    Were the sum normed instead (post-norm), no word could weigh more than another in the mean that follows. No MLP
    comes after it, as it does in a transformer's block: there is little to learn from 31 plays.
    """

    def __init__(self, hidden_size: int, num_heads: int, dropout: float):
        super().__init__()
        self.norm = nn.LayerNorm(hidden_size)
        self.attention = MultiHeadAttention(hidden_size, hidden_size, num_heads)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, T, H), mask (B, 1, T) -> x (B, T, H), weights (B, heads, T, T)."""
        normed = self.norm(x)
        # Self-attention: queries, keys and values are three projections of the same words.
        attended, weights = self.attention(normed, normed, normed, mask)  # (B, T, H), (B, heads, T, T)
        return x + self.dropout(attended), weights


class Classifier(nn.Module):
    """Embedding, positions, blocks of self-attention, mean over the words, linear layer.

    A word's embedding has one number a class. With `vocab_size` the table of embeddings is learned and a text comes as
    word ids (B, T); without, each word comes as its counted evidence (B, T, C), which is its embedding as it is.
    """

    def __init__(
        self,
        num_classes: int = 3,
        hidden_size: int = 16,
        num_blocks: int = 1,
        num_heads: int = 2,
        dropout: float = 0.1,
        vocab_size: int | None = None,
    ):
        super().__init__()
        # By two, because each wave of the positions is a sine and a cosine.
        if hidden_size % (2 * num_heads):
            raise ValueError(f"hidden_size {hidden_size} must be a multiple of 2 * num_heads = {2 * num_heads}")
        self.embedding = nn.Identity() if vocab_size is None else nn.Embedding(vocab_size, num_classes)
        if vocab_size is not None:
            nn.init.normal_(self.embedding.weight, std=0.1)
        self.expand = nn.Linear(num_classes, hidden_size)
        self.position_size = nn.Parameter(torch.tensor(0.1))
        self.blocks = nn.ModuleList(Block(hidden_size, num_heads, dropout) for _ in range(num_blocks))
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(hidden_size, num_classes)
        # Training starts from the words' own vote, and the blocks learn what to add to it.
        self.vote_size = nn.Parameter(torch.tensor(10.0))
        nn.init.zeros_(self.output.weight)

    def forward(self, words: Tensor, lengths: Tensor, return_attention: bool = False) -> tuple[Tensor, Tensor | None]:
        """words (B, T) or (B, T, C), whose rows are `lengths` (B) long and the rest padding of any finite content
        -> logits (B, C), weights (B, layers, heads, T, T) or None."""
        return self.read(self.embedding(words), lengths, return_attention)

    def read(self, embedded: Tensor, lengths: Tensor, return_attention: bool = False) -> tuple[Tensor, Tensor | None]:
        """As `forward`, from embedded words (B, T, C): a gradient can be taken with respect to them."""
        mask = padding_mask(lengths, embedded.size(1))  # (B, 1, T): no word looks at padding
        x = self.expand(embedded)  # (B, T, H)
        # Without positions, attention would read a bag of words.
        x = x + self.position_size * sinusoids(x.size(1), x.size(2), x.device)
        all_weights = []
        for block in self.blocks:
            x, weights = block(x, mask)
            all_weights.append(weights)
        added = self.output(self.dropout(masked_mean(x, lengths)))  # (B, C)
        logits = self.vote_size * masked_mean(embedded, lengths) + added  # (B, C): the vote, and what attention adds
        return logits, torch.stack(all_weights, 1) if return_attention and all_weights else None
