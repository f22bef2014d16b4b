"""What single units of a gated memory do along a text, and how well one of them tells where in a play it is."""

import torch
from torch import Tensor

from shared.model.language_model import LanguageModel

UNITS = 8  # shown: those whose cell moves most along the text
SHOWN = ("forget", "input", "cell")


@torch.no_grad()
def unit_traces(model: LanguageModel, tokens: Tensor, text: Tensor, names: list[bool]) -> dict | None:
    """Gates and cell of the top layer's liveliest units along `tokens` (T); None for a model without these gates.

    One of the units, `telling`, best tells in another `text` (N) which tokens are `names` (N): `inside` and `outside`
    are the means of its cell there and elsewhere, `ranks` is the share of pairs that its cell puts in order.
    """
    traces = model.trace(tokens[None])
    if not set(SHOWN) <= traces.keys():
        return None
    units = traces["cell"].std(0).argsort(descending=True)[:UNITS]  # (UNITS)
    cell, named = model.trace(text[None])["cell"][:, units], torch.tensor(names)  # (N, UNITS), (N)
    ranks = ordered_pairs(cell, named)  # (UNITS)
    telling = (ranks - 0.5).abs().argmax()
    return {
        "units": units.tolist(),
        "telling": units[telling].item(),
        "inside": cell[named, telling].mean(),
        "outside": cell[~named, telling].mean(),
        "ranks": ranks[telling],
        "read": len(text),
    } | {name: traces[name][:, units] for name in SHOWN}


def names_of_speakers(tokens: list[str]) -> list[bool]:
    """True from the blank line before a speaker's name to the colon after it.

    >>> names_of_speakers(["No", ".", "↵", "↵", "DUKE", ":", "↵", "I"])
    [False, False, False, True, True, True, False, False]
    """
    marks, inside = [], False
    for place, token in enumerate(tokens):
        inside = inside or tokens[max(place - 1, 0) : place + 1] == ["↵", "↵"]
        marks.append(inside)
        inside = inside and token != ":"
    return marks


def ordered_pairs(values: Tensor, marked: Tensor) -> Tensor:
    """Of pairs, one value marked and one not, the share in which the marked is larger: the area under the ROC curve.

    values (N, units), marked (N) -> (units). A half is chance; ties count as either.
    """
    ranks = values.argsort(0).argsort(0).double()  # (N, units), from 0
    inside, outside = marked.sum(), (~marked).sum()
    return (ranks[marked].sum(0) - inside * (inside - 1) / 2) / (inside * outside)
