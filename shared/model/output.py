"""The output layer: from features to the next token's probabilities, with the embedding used backwards.

N tokens, E embedding, V vocabulary
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Where a large vocabulary is cut, frequent tokens first. In English text the 512 most frequent words are four fifths
# of all tokens, and the next 3,600 most of the rest.
CUTS = (512, 4096)


class TiedOutput(nn.Module):
    """A softmax over the vocabulary that uses the embedding's vectors: weight tying, and an adaptive softmax.

    *Weight tying* (Press & Wolf 2017, "Using the Output Embedding to Improve Language Models"): a word has one vector,
    for reading and for writing, so rare words learn from both.

    *Adaptive softmax* (Grave et al. 2017, "Efficient softmax approximation for GPUs"): with tens of thousands of words,
    this layer would be most of the work of training. So a large vocabulary is cut into a *head* of frequent words and
    *tail clusters* of rarer ones. The head also has one entry for each cluster, and the choice has two steps:

        p(word) = p(word | head)                         for a frequent word
        p(word) = p(cluster | head) p(word | cluster)    for a rarer one

    These are exact probabilities and sum to 1. Scoring a text needs a cluster only where the next word is in it. Unlike
    in the paper, vectors of rare words are as long as the others, since they are the embedding's. Token ids have to be
    ordered by frequency. A small vocabulary is all head: the plain softmax.
    """

    def __init__(self, embedding: nn.Embedding):
        super().__init__()
        vocab_size, embedding_size = embedding.weight.shape
        self.starts = [0] + [cut for cut in CUTS if cut < vocab_size // 2]  # the first id of the head, of each cluster
        self.sizes = [stop - start for start, stop in zip(self.starts, self.starts[1:] + [vocab_size])]
        self.embedding = embedding
        self.bias = nn.Parameter(torch.zeros(vocab_size))
        # The head's entries for the tail clusters.
        self.band_vectors = nn.Parameter(torch.zeros(len(self.sizes) - 1, embedding_size))
        self.band_bias = nn.Parameter(torch.zeros(len(self.sizes) - 1))

    def head_and_tails(self) -> list[tuple[Tensor, Tensor]]:
        """A weight (n, E) and a bias (n) for the head, and for each tail cluster."""
        # Split once: a slice for each cluster would make as many gradients, each as large as the whole embedding.
        weights, biases = self.embedding.weight.split(self.sizes), self.bias.split(self.sizes)
        head = torch.cat([weights[0], self.band_vectors]), torch.cat([biases[0], self.band_bias])
        return [head, *zip(weights[1:], biases[1:])]

    def forward(self, features: Tensor) -> Tensor:
        """Logits of all tokens: features (..., E) -> (..., V). With tail clusters they are log probabilities."""
        head, *tails = self.head_and_tails()
        scores = F.linear(features, *head)  # (..., head + number of clusters)
        if not tails:
            return scores
        frequent, clusters = scores.log_softmax(-1).split([self.sizes[0], len(tails)], dim=-1)
        # log p(cluster) + log p(word | cluster)
        rarer = [clusters[..., k, None] + F.linear(features, *tail).log_softmax(-1) for k, tail in enumerate(tails)]
        return torch.cat([frequent, *rarer], dim=-1)  # (..., V)

    def loss(self, features: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy in nats: features (..., E), targets (...) -> (...). Clusters without a target cost nothing."""
        shape, features, targets = targets.shape, features.flatten(0, -2), targets.flatten()  # (N, E), (N)
        members = [(targets >= start) & (targets < start + size) for start, size in zip(self.starts, self.sizes)]
        # The head's answer for a rarer word is the entry of its cluster.
        answers = targets
        for k, member in enumerate(members[1:]):
            answers = answers.masked_fill(member, self.sizes[0] + k)
        head, *tails = self.head_and_tails()
        nats = F.cross_entropy(F.linear(features, *head), answers, reduction="none")  # (N)
        # For those words the choice within the cluster is added: -log of a product is a sum.
        for (weight, bias), start, member in zip(tails, self.starts[1:], members[1:]):
            rows = member.nonzero().squeeze(-1)
            within = F.cross_entropy(F.linear(features[rows], weight, bias), targets[rows] - start, reduction="none")
            nats = nats.index_add(0, rows, within.to(nats.dtype))
        return nats.view(shape)
