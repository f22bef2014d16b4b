"""Four functions to write. `python check.py` makes a copy, answers.py, for you to write in, and says which are right.

B batch, S source time, T target time, V vocabulary, W beginnings that a beam keeps
"""

import torch
from torch import Tensor


def padding_mask(lengths: Tensor, num_steps: int) -> Tensor:
    """Exercise 1. Which places of the source may the decoder look at? Its real ones, at every step the same.

    lengths (B) of the sources in a batch that is padded to num_steps -> (B, 1, S) bool, True where a letter is real.
    The 1 in the middle stands for the queries: beside scores (B, T, S), each source keeps its own mask.

    Two sources of 2 and 3 letters, three steps: [[[1, 1, 0]], [[1, 1, 1]]]
    """
    raise NotImplementedError


def shift_right(targets: Tensor, begin: int) -> Tensor:
    """Exercise 2. Teacher forcing: what the decoder reads while it is to write the targets.

    targets (B, T), begin: the id that stands before the first letter -> (B, T)

    Targets l, o, v, e, end: the decoder reads begin, l, o, v, e.
    """
    raise NotImplementedError


def loss_per_letter(logits: Tensor, targets: Tensor, pad: int) -> Tensor:
    """Exercise 3. Cross-entropy in nats, the mean over all real letters of the batch; padding counts for nothing.

    logits (B, T, V), targets (B, T), in which `pad` is the id of padding -> a tensor of one number, without dimensions
    """
    raise NotImplementedError


def beam_step(totals: Tensor, log_p: Tensor, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Exercise 4. One step of beam search: of all ways to go on, the `width` likeliest, the likeliest first.

    totals (W): log p of each beginning that was kept; log_p (W, V): log p of each symbol after each beginning
    -> new totals (width), which beginning each goes on from (width), and with which symbol (width)

    W may be less than `width`: at first there is but one beginning, the empty one.
    """
    raise NotImplementedError
