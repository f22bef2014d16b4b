"""A self-attention classifier: every word looks at every other, then all of them vote.

B batch, T time (the longest passage in the batch), C classes, H hidden
"""

import torch
from torch import Tensor, nn

from shared.model.attention import MultiHeadAttention, padding_mask

SETTINGS = ("hidden_size", "num_blocks", "num_heads", "dropout")  # what a Classifier is built with


def sinusoids(length: int, size: int, device=None) -> Tensor:
    """Positions for a text of any length, (length, size): a sine and a cosine for each wave (Vaswani et al. 2017).

    They are computed for the text at hand, so no text is too long.
    """
    frequencies = 10000.0 ** (-torch.arange(0, size, 2, device=device) / size)
    angles = torch.arange(length, device=device)[:, None] * frequencies  # (length, size / 2)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)  # (length, size)


def masked_mean(x: Tensor, lengths: Tensor) -> Tensor:
    """The mean over each text's own words: x (B, T, H), lengths (B) -> (B, H). An empty text has a mean of zeros."""
    real = padding_mask(lengths, x.size(1)).transpose(1, 2)  # (B, T, 1)
    return x.masked_fill(~real, 0.0).sum(1) / lengths.clamp(min=1)[:, None]


class Block(nn.Module):
    """Self-attention that adds to a stream; the norm comes first (pre-norm), unlike the figure of 2017.

    Were the sum normed instead, no word could weigh more than another in the mean that follows.
    """

    def __init__(self, hidden_size: int, num_heads: int, dropout: float):
        super().__init__()
        self.norm = nn.LayerNorm(hidden_size)
        self.attention = MultiHeadAttention(hidden_size, hidden_size, num_heads)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor, return_weights: bool):
        """x (B, T, H), mask (B, 1, T) -> x (B, T, H), weights (B, heads, T, T) or None."""
        normed = self.norm(x)
        attended, weights = self.attention(normed, normed, normed, mask, return_weights)
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

    def forward(self, words: Tensor, lengths: Tensor, return_attention: bool = False):
        """words (B, T) or (B, T, C), whose rows are `lengths` (B) long and the rest padding of any finite content
        -> logits (B, C), weights (B, layers, heads, T, T) or None."""
        return self.read(self.embedding(words), lengths, return_attention)

    def read(self, embedded: Tensor, lengths: Tensor, return_attention: bool = False):
        """As `forward`, from embedded words (B, T, C)."""
        mask = padding_mask(lengths, embedded.size(1))  # (B, 1, T)
        x = self.expand(embedded)  # (B, T, H)
        x = x + self.position_size * sinusoids(x.size(1), x.size(2), x.device)
        all_weights = []
        for block in self.blocks:
            x, weights = block(x, mask, return_attention)
            all_weights.append(weights)
        added = self.output(self.dropout(masked_mean(x, lengths)))  # (B, C)
        logits = self.vote_size * masked_mean(embedded, lengths) + added
        return logits, torch.stack(all_weights, 1) if return_attention and all_weights else None
