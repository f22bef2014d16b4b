"""Who changes the weights: Muon for matrices and AdamW for the rest, or AdamW for all; and how much at which step."""

import torch
from torch import nn
from torch.optim import AdamW, Muon, Optimizer

from shared.model.output import TiedOutput
from shared.run.device import seconds_of
from shared.run.flags import EPSILON

MUON_SHARE = 0.75  # Muon is chosen if its own work adds at most this share to a step: it learns that much more a step


def hidden_matrices(model: nn.Module) -> list[nn.Parameter]:
    """The hidden weight matrices: those but of embeddings and of an output tied to one, which stay with AdamW."""
    tables = [module for module in model.modules() if isinstance(module, nn.Embedding | TiedOutput)]
    excluded = {id(parameter) for table in tables for parameter in table.parameters()}
    return [parameter for parameter in model.parameters() if parameter.ndim == 2 and id(parameter) not in excluded]


def make_optimizers(
    model: nn.Module, kind: str, learning_rate: float, weight_decay: float, epsilon: float = EPSILON
) -> list[Optimizer]:
    """`muon` or `adamw` -> the optimizers that together own all parameters.

    AdamW (Loshchilov & Hutter 2019) divides each weight's step by the size of its recent gradients plus `epsilon`. Muon
    (Jordan et al. 2024) replaces each matrix's update by the nearest orthogonal one, so that weak directions learn as
    fast as strong ones. Its step is scaled to the size of AdamW's, so that one learning rate serves both.
    """
    adamw = dict(lr=learning_rate, betas=(0.9, 0.98), eps=epsilon, weight_decay=weight_decay, fused=True)
    if kind == "adamw":
        return [AdamW(model.parameters(), **adamw)]
    matrices = hidden_matrices(model)
    ids = {id(matrix) for matrix in matrices}
    rest = [parameter for parameter in model.parameters() if id(parameter) not in ids]
    muon = Muon(matrices, lr=learning_rate, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")
    return [muon, AdamW(rest, **adamw)]


def optimizers_for(model: nn.Module, settings: dict) -> list[Optimizer]:
    """The optimizers that a run's settings ask for."""
    return make_optimizers(
        model,
        settings["optimizer"],
        settings["learning_rate"],
        settings["weight_decay"],
        settings.get("epsilon", EPSILON),
    )


def choose_optimizer(wanted: str, model: nn.Module, step_seconds: float) -> tuple[str, float]:
    """The optimizer to use and what its matrix updates add to a step, in seconds.

    `auto` takes Muon where it is affordable: it works in bfloat16, which some processors only imitate.
    """
    if wanted == "adamw":
        return "adamw", 0.0
    matrices = [nn.Parameter(matrix.detach().clone()) for matrix in hidden_matrices(model)]
    for matrix in matrices:
        matrix.grad = torch.ones_like(matrix)
    seconds = seconds_of(Muon(matrices).step, matrices[0].device, repeats=2)
    affordable = seconds <= MUON_SHARE * step_seconds
    return ("muon", seconds) if affordable or wanted == "muon" else ("adamw", 0.0)


def learning_rate_factor(step: int, max_steps: int, warmup_steps: int, decay_share: float) -> float:
    """Up in a line over the warm-up, level, then down in a line to 0 over the last `decay_share` of all steps."""
    rising = (step + 1) / max(1, warmup_steps)
    falling = (max_steps - step) / max(1, decay_share * max_steps)
    return min(1.0, rising, falling)


def set_learning_rate(optimizers: list[Optimizer], learning_rate: float) -> None:
    """Give every parameter of every optimizer this learning rate."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
