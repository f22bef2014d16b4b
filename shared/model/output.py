"""The output layer: from features to the next token's probabilities, with the embedding used backwards.

N tokens, E embedding, V vocabulary
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Where a large vocabulary is cut into bands, frequent tokens first. In English text the 512 most frequent words are
# four fifths of all tokens, and the next 3,600 most of the rest.
CUTS = (512, 4096)


class TiedOutput(nn.Module):
    """A softmax over the vocabulary that uses the embedding's vectors, in bands where the vocabulary is large.

    Tying (Press & Wolf 2017, "Using the Output Embedding to Improve Language Models") gives a word one vector for
    reading and for writing, so rare words learn from both.

    With tens of thousands of words, this layer is most of the work of training. Banded (an adaptive softmax, Grave et
    al. 2017), it first chooses among the most frequent words and one entry for each band of rarer ones, and only then
    within the band:

        p(word) = p(word | first choice)                   for a frequent word
        p(word) = p(band | first choice) p(word | band)    for a rarer one

    These are exact probabilities and sum to 1. Scoring a text needs a band only where the next word is in it. Unlike in
    the paper, rare words' vectors are as long as the others, since they are the embedding's. Token ids are to be
    ordered by frequency.
    """

    def __init__(self, embedding: nn.Embedding):
        super().__init__()
        vocab_size, embedding_size = embedding.weight.shape
        self.starts = [0] + [cut for cut in CUTS if cut < vocab_size // 2]  # the first id of each band
        self.sizes = [stop - start for start, stop in zip(self.starts, self.starts[1:] + [vocab_size])]
        self.embedding = embedding
        self.bias = nn.Parameter(torch.zeros(vocab_size))
        self.band_vectors = nn.Parameter(torch.zeros(len(self.sizes) - 1, embedding_size))
        self.band_bias = nn.Parameter(torch.zeros(len(self.sizes) - 1))

    def bands(self) -> list[tuple[Tensor, Tensor]]:
        """A weight (n, E) and a bias (n) for the first choice, and for the choice within each band of rarer tokens."""
        # Split once: each slice of its own would make a gradient as large as the whole embedding.
        weights, biases = self.embedding.weight.split(self.sizes), self.bias.split(self.sizes)
        first = torch.cat([weights[0], self.band_vectors]), torch.cat([biases[0], self.band_bias])
        return [first, *zip(weights[1:], biases[1:])]

    def forward(self, features: Tensor) -> Tensor:
        """Logits of all tokens: features (..., E) -> (..., V). With bands they are log probabilities."""
        first, *bands = self.bands()
        choice = F.linear(features, *first)
        if not bands:
            return choice
        frequent, band_choice = choice.log_softmax(-1).split([self.sizes[0], len(bands)], dim=-1)
        rarer = [band_choice[..., k, None] + F.linear(features, *band).log_softmax(-1) for k, band in enumerate(bands)]
        return torch.cat([frequent, *rarer], dim=-1)

    def loss(self, features: Tensor, targets: Tensor) -> Tensor:
        """Cross entropy in nats: features (N, E), targets (N) -> (N). Computes a band only where a target is in it."""
        members = [(targets >= start) & (targets < start + size) for start, size in zip(self.starts, self.sizes)]
        choice = targets
        for k, member in enumerate(members[1:]):
            choice = choice.masked_fill(member, self.sizes[0] + k)
        first, *bands = self.bands()
        nats = F.cross_entropy(F.linear(features, *first), choice, reduction="none")
        for (weight, bias), start, member in zip(bands, self.starts[1:], members[1:]):
            rows = member.nonzero().squeeze(-1)
            within = F.cross_entropy(F.linear(features[rows], weight, bias), targets[rows] - start, reduction="none")
            nats = nats.index_add(0, rows, within.to(nats.dtype))
        return nats
