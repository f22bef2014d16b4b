"""Token ids as training batches: lanes of text read side by side, each continuing where it stopped.

    ids        a b c d e f g h i j k l m n o    batch_size 2, context_length 3

    lane 0     a b c d e f                      chunk 0: inputs a b c   targets b c d     state dropped before it
    lane 1     g h i j k l                               inputs g h i   targets h i j
                                                chunk 1: inputs d e f   targets e f g     state carried
                                                         inputs j k l   targets k l m

n and o leave room to begin a little later in another epoch.

This is what truncated backpropagation through time needs. The text is far too long to be read at once, so it is read in
chunks, and what the model remembers is carried from each to the next while gradients stop at a chunk's beginning. Row 0
of a chunk goes on where row 0 of the last one stopped, and so does row 1: whatever is carried belongs to the text just
before.
"""

from array import array
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from shared.errors import UserError


def as_tensor(ids: array) -> Tensor:
    """The ids that `encode_long` gives as a tensor (N) of short integers, in the same memory."""
    return torch.from_numpy(np.asarray(ids))


@dataclass(frozen=True)
class Batch:
    """inputs and targets (B, T) int64, the target being the next token; `restart` where the text jumps, so that no
    state may be carried into this batch.
    """

    inputs: Tensor
    targets: Tensor
    restart: bool


class Lanes:
    """The batches of an endless training run, by number.

    Batch n is a function of n and `seed` alone, so a resumed run repeats nothing and skips nothing. Every epoch starts
    elsewhere in the text (later by less than one context, drawn from `seed`), so that its chunks are cut at other
    places than the last epoch's.

    >>> lanes = Lanes(torch.arange(15), batch_size=2, context_length=3, seed=0)
    >>> first, second = lanes.batch(0), lanes.batch(1)
    >>> (second.inputs - first.inputs).tolist()  # each lane reads on
    [[3, 3, 3], [3, 3, 3]]
    >>> first.restart, second.restart, lanes.batch(2).restart
    (True, False, True)
    """

    def __init__(self, ids: Tensor, batch_size: int, context_length: int, seed: int) -> None:
        self.ids, self.batch_size, self.context_length, self.seed = ids, batch_size, context_length, seed
        needed = batch_size * context_length + context_length
        if len(ids) < needed:
            raise UserError(
                f"the training text has {len(ids):,} tokens, but {batch_size} lanes of {context_length} tokens need "
                f"{needed:,} or more; use a longer text, or a smaller --batch-size or --context-length"
            )
        # What does not fill a last chunk of every lane is left out. It lies at the text's end, and is never read.
        self.steps_per_epoch = (len(ids) - context_length) // (batch_size * context_length)

    def batch(self, number: int) -> Batch:
        """The batch of step `number`, counted from 0."""
        epoch, chunk = divmod(number, self.steps_per_epoch)
        # A generator for every pair of seed and epoch: what is drawn depends on nothing that was drawn before.
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        offset = torch.randint(self.context_length, (), generator=generator).item()
        lane_length = self.steps_per_epoch * self.context_length
        starts = offset + torch.arange(self.batch_size) * lane_length + chunk * self.context_length  # (B)
        # One token more than is read: the targets are the inputs, one token on.
        window = self.ids[starts[:, None] + torch.arange(self.context_length + 1)].long()  # (B, T + 1)
        return Batch(window[:, :-1], window[:, 1:], restart=chunk == 0)
