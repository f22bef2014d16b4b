"""Pictures that need no trained model: gradients on their way back through an RNN, and rotary positions.

Both are worked out in a second, by torch and by stage 4's own `rotate`.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from shared.results.kept import rounded
from shared.run.records import read_json, write_json
from shared.show.figures import save_figure
from shared.show.worked import gradients_figure, rotary_figure
from shared.stages import ROOT, STAGES, load_module

RNN, *_, TRANSFORMER = STAGES
SIZE, STEPS, SMALL, LARGE = 32, 40, 0.01, 3.0  # numbers in a memory, steps, and the sizes of the inputs
STARTS = {"uniform": 0.0, "orthogonal": 1.0, "orthogonal, times 3": 3.0}  # 0: as PyTorch starts
CURVES = [("orthogonal, times 3", SMALL), ("orthogonal", SMALL), ("uniform", SMALL), ("orthogonal", LARGE)]
CURVES += [("uniform", LARGE)]
KEEPS = "Only an orthogonal start and small inputs keep the gradient as it is"  # tests ask for both titles
DISTANCE = "Rotary positions: only the distance between two words counts"
PAIRS = (0, 4)  # which pairs of a head's numbers are drawn: a fast one and a slow one
PLACES = (40, 400)  # where in the text the query stands
FURTHEST = 32  # words back that the key is looked at


def backward_shares(start: str, size: float, seed: int = 0) -> Tensor:
    """How much of a gradient is left so many steps back in an untrained RNN, as a share of that at the last step.

    start: how W_hh begins, one of STARTS; size: of the random inputs. -> (STEPS), the last step first.
    """
    torch.manual_seed(seed)
    cell = nn.RNNCell(SIZE, SIZE)
    if gain := STARTS[start]:
        nn.init.orthogonal_(cell.weight_hh, gain=gain)
        nn.init.zeros_(cell.bias_ih)
        nn.init.zeros_(cell.bias_hh)
    h, memories = torch.zeros(SIZE), []
    for x_t in size * torch.randn(STEPS, SIZE):
        h = cell(x_t, h)
        memories.append(h)
    norms = torch.stack(torch.autograd.grad(h.sum(), memories)).norm(dim=1)  # (STEPS)
    return (norms / norms[-1]).flip(0)


def keep_gradients(path: Path) -> None:
    """Work out the curves of the picture, and keep them."""
    curves = [
        {
            "start": start,
            "inputs": size,
            "shares": [rounded(share, 3) for share in backward_shares(start, size).tolist()],
        }
        for start, size in CURVES
    ]
    write_json(path, {"command": "python -m shared.results draw", "seed": 0, "size": SIZE, "curves": curves})


def turned_pairs() -> tuple[Tensor, Tensor, Tensor]:
    """Rotary positions by stage 4's own `rotate`: a fast and a slow pair by position, and products by distance.

    -> angles a word of the pairs drawn (2), the pairs at positions 0 to 7 (2, 8, 2), products (PLACES, FURTHEST + 1).
    """
    model = load_module(ROOT / TRANSFORMER / "model.py")
    ones = torch.ones(SIZE, dtype=torch.float64)
    first = torch.cat([ones[: SIZE // 2], 0 * ones[: SIZE // 2]])  # each pair points to the right: (1, 0)
    turned = model.rotate(first, *model.rotation(torch.arange(8), SIZE))  # (8, SIZE)
    pairs = torch.stack([turned[:, [pair, pair + SIZE // 2]] for pair in PAIRS])  # (2, 8, 2)
    angles = torch.atan2(pairs[:, 1, 1], pairs[:, 1, 0])  # (2): from position 0 to position 1
    products = []
    for place in PLACES:
        q = model.rotate(ones[None], *model.rotation(torch.tensor([place]), SIZE))  # (1, SIZE)
        keys = model.rotate(ones, *model.rotation(place - torch.arange(FURTHEST + 1), SIZE))  # (FURTHEST + 1, SIZE)
        products.append(keys @ q[0])
    return angles, pairs, torch.stack(products)


def draw_worked(root: Path) -> list[Path]:
    """Keep the numbers of chapter 1's gradients, and draw them and chapter 4's rotary positions -> the pictures."""
    keep_gradients(root / RNN / "results" / "gradients.json")
    angles, pairs, products = turned_pairs()
    figures = {
        root / RNN / "figures" / "gradients.png": gradients_figure(
            read_json(root / RNN / "results" / "gradients.json")["curves"], LARGE, KEEPS
        ),
        root / TRANSFORMER / "figures" / "rotary.png": rotary_figure(angles, pairs, products, PLACES, DISTANCE),
    }
    for path, figure in figures.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        save_figure(figure, path)
    return list(figures)
