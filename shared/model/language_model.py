"""The one contract all four models keep, and what they share: tied embeddings, logits and the loss.

B batch, T time, E embedding, V vocabulary
"""

from collections.abc import Callable

from torch import Tensor, nn

from shared.model.output import TiedOutput

# What a model carries from token to token: nested tuples of tensors (batch first) and ints, or None at the start.
State = tuple | Tensor | int | None


def map_tensors(function: Callable[[Tensor], Tensor], state: State) -> State:
    """Apply `function` to every tensor of a state and keep its nesting."""
    if isinstance(state, Tensor):
        return function(state)
    if isinstance(state, tuple):
        return tuple(map_tensors(function, part) for part in state)
    return state


def state_bytes(state: State) -> int:
    """The memory that a state's tensors need, in bytes."""
    sizes = []
    map_tensors(lambda tensor: sizes.append(tensor.numel() * tensor.element_size()) or tensor, state)
    return sum(sizes)


class LanguageModel(nn.Module):
    """Token ids in, logits for the next token out, and a state that stands for all that was read before.

    A stage writes `features`: everything between the embedding and the output layer. The output layer is the embedding
    used backwards (see output.py), which needs vectors of one size: features of another size than the embedding's are
    brought to it by one projection.
    """

    def __init__(self, vocab_size: int, feature_size: int, embedding_size: int | None = None, dropout: float = 0.0):
        super().__init__()
        embedding_size = embedding_size or feature_size
        self.embedding = nn.Embedding(vocab_size, embedding_size)
        # Features are about 1 in size, so this keeps the first logits about 1 in size too.
        nn.init.normal_(self.embedding.weight, std=embedding_size**-0.5)
        self.output = TiedOutput(self.embedding)
        self.dropout = nn.Dropout(dropout)
        same = embedding_size == feature_size
        self.projection = nn.Identity() if same else nn.Linear(feature_size, embedding_size, bias=False)

    def features(self, tokens: Tensor, state: State, return_attention: bool) -> tuple[Tensor, State, Tensor | None]:
        """tokens (B, T), state -> features (B, T, feature_size), new state, attention or None."""
        raise NotImplementedError

    def forward(self, tokens: Tensor, state: State = None, return_attention: bool = False):
        """Logits of the next token at every position.

        tokens (B, T) int64, state from the last call or None
        -> logits (B, T, V), state, attention (B, layers, heads, T, T_key) or None.
        """
        features, state, attention = self.features(tokens, state, return_attention)
        return self.logits(features), state, attention

    def logits(self, features: Tensor) -> Tensor:
        """features (..., feature_size) -> logits (..., V)."""
        return self.output(self.projection(features))

    def next_features(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """What the output layer needs to tell the token after the last one: tokens (B, T) -> (B, E), state."""
        features, state, _ = self.features(tokens, state, return_attention=False)
        return self.projection(features[:, -1]), state

    def loss(
        self, tokens: Tensor, targets: Tensor, state: State = None, reduction: str = "sum"
    ) -> tuple[Tensor, State]:
        """Cross entropy of `forward`'s logits with the targets, in nats, without building all of them.

        tokens, targets (B, T) -> the sum, or (B, T) with reduction="none"; and the state.
        """
        features, state, _ = self.features(tokens, state, return_attention=False)
        nats = self.output.loss(self.projection(features).flatten(0, 1), targets.flatten())  # (B * T)
        return nats.sum() if reduction == "sum" else nats.view(targets.shape), state

    def carry(self, state: State) -> State:
        """What the next training chunk starts from: the state, cut off from the past's gradients."""
        return map_tensors(Tensor.detach, state)

    def trace(self, tokens: Tensor) -> dict[str, Tensor]:
        """Named inner values worth looking at, each (T, size), for tokens (1, T); empty where a model offers none."""
        return {}
