"""The one contract that all four models keep, and what they share: tied embeddings, logits and the loss.

B batch, T time, E embedding, V vocabulary
"""

from collections.abc import Callable

from torch import Tensor, nn

from shared.model.output import TiedOutput

# What a model carries from token to token: nested tuples of tensors (batch first) and ints, or None at the start.
State = tuple | Tensor | int | None


def map_tensors(function: Callable[[Tensor], Tensor], state: State) -> State:
    """Apply `function` to every tensor of a state and keep its nesting.

    >>> map_tensors(lambda tensor: tensor, (3, None))
    (3, None)
    """
    if isinstance(state, Tensor):
        return function(state)
    if isinstance(state, tuple):
        return tuple(map_tensors(function, part) for part in state)
    return state


def state_bytes(state: State) -> int:
    """The memory that a state's tensors need, in bytes."""
    if isinstance(state, Tensor):
        return state.numel() * state.element_size()
    return sum(map(state_bytes, state)) if isinstance(state, tuple) else 0


def num_parameters(model: nn.Module) -> int:
    """How many numbers a model learns."""
    return sum(parameter.numel() for parameter in model.parameters())


class LanguageModel(nn.Module):
    """Token ids in, scores for the next token out, and a state that stands for all that was read before.

    Every stage keeps these promises, and tests hold it to them:

    - *Any chunking gives the same answer.* A text read token by token, or in pieces of any size with the state handed
      on, gives the same logits as the text read at once.
    - *Nothing later is seen.* The logits at a position depend on the tokens up to that position, and on none after it.
    - *Rows know nothing of each other.* Each text of a batch gets the answer that it would get alone.
    - *The state is bounded.* However long the text, what is carried on stays below a fixed size.
    - *The loss is the cross-entropy of the logits*, in nats: minus the log of the probability that the model gave to
      the token that came.

    A stage writes one method, `features`: everything between the embedding and the output layer. Here is the rest.
    """

    def __init__(self, vocab_size: int, hidden_size: int, dropout: float = 0.0):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, hidden_size)
        # Features are about 1 in size, so their products with these vectors, the first logits, are about 1 too.
        nn.init.normal_(self.embedding.weight, std=hidden_size**-0.5)
        # Weight tying: the output layer has no table of its own, it uses the embedding backwards (see output.py).
        self.output = TiedOutput(self.embedding)
        self.dropout = nn.Dropout(dropout)

    def features(self, tokens: Tensor, state: State, return_attention: bool) -> tuple[Tensor, State, Tensor | None]:
        """tokens (B, T), state -> features (B, T, E), new state, attention or None. What a stage has to write.

        Tokens have to enter through `self.embedding`, in one call: that is where influence is measured.
        """
        raise NotImplementedError

    def forward(
        self, tokens: Tensor, state: State = None, return_attention: bool = False
    ) -> tuple[Tensor, State, Tensor | None]:
        """Logits of the next token at every position.

        tokens (B, T) int64, state from the last call or None
        -> logits (B, T, V), state, attention (B, layers, heads, T, T_key) or None.
        """
        features, state, attention = self.features(tokens, state, return_attention)  # (B, T, E)
        return self.output(features), state, attention

    def next_logits(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Logits of the token after the last one alone: tokens (B, T) -> (B, V), state. What writing text needs."""
        features, state, _ = self.features(tokens, state, return_attention=False)
        return self.output(features[:, -1]), state

    def loss(
        self, tokens: Tensor, targets: Tensor, state: State = None, reduction: str = "sum"
    ) -> tuple[Tensor, State]:
        """Cross-entropy of `forward`'s logits with the targets, in nats, without building all of the logits.

        tokens, targets (B, T) -> the sum, or (B, T) with reduction="none"; and the state.
        """
        features, state, _ = self.features(tokens, state, return_attention=False)  # (B, T, E)
        nats = self.output.loss(features, targets)  # (B, T)
        return nats.sum() if reduction == "sum" else nats, state

    def carry(self, state: State) -> State:
        """What the next training chunk starts from: the state, cut off from the gradients of the past.

        This is truncated backpropagation through time: what was read flows on, the gradient stops at the chunk's start.
        """
        return map_tensors(Tensor.detach, state)

    def trace(self, tokens: Tensor) -> dict[str, Tensor]:
        """Named inner values worth looking at, each (T, size), for tokens (1, T); empty where a model offers none."""
        return {}
