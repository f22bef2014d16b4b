"""Who changes the weights: Muon for matrices and AdamW for the rest, or AdamW for all; and how much at which step."""

import math
from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from shared.model.output import TiedOutput
from shared.run.content import check_tensors
from shared.run.flags import EPSILON


class Muon(Optimizer):
    """Replaces each matrix's update by the nearest orthogonal one (Jordan et al. 2024).

    So directions that the gradient hardly shows learn as fast as those that it shows strongly. A step is scaled to the
    size of AdamW's, so that one learning rate serves both (Liu et al. 2025).

    `torch.optim.Muon` does the same in bfloat16, which many processors only imitate, fifty times as slowly. This one
    works in float32, and takes matrices of one shape together: the same steps on every machine, in about equal time.
    """

    def __init__(self, matrices: Iterable[nn.Parameter], lr: float, weight_decay: float, momentum: float = 0.95):
        super().__init__(matrices, dict(lr=lr, weight_decay=weight_decay, momentum=momentum))

    @torch.no_grad()
    def step(self) -> None:
        """Change every matrix that has a gradient."""
        for group in self.param_groups:
            alike = defaultdict(list)  # shape -> matrices
            for matrix in group["params"]:
                if matrix.grad is not None:
                    alike[matrix.shape].append(matrix)
            for (rows, columns), matrices in alike.items():
                smoothed = torch.stack([self._smoothed(matrix, group["momentum"]) for matrix in matrices])
                updates = orthogonalized(smoothed)  # (N, rows, columns)
                size = 0.2 * math.sqrt(max(rows, columns))  # AdamW's steps have a root mean square of about .2
                for matrix, update in zip(matrices, updates):
                    matrix.mul_(1 - group["lr"] * group["weight_decay"])
                    matrix.add_(update, alpha=-group["lr"] * size)

    def _smoothed(self, matrix: nn.Parameter, momentum: float) -> Tensor:
        """The gradient, averaged over the last steps, with the newest counting more (Nesterov's momentum)."""
        state = self.state[matrix]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(matrix)
        average = state["momentum_buffer"].lerp_(matrix.grad, 1 - momentum)
        return matrix.grad.lerp(average, momentum)


def orthogonalized(matrices: Tensor, steps: int = 5) -> Tensor:
    """(N, R, C) -> (N, R, C): each with its singular values near 1 (about .7 to 1.2), its directions kept.

    The Newton-Schulz iteration x <- a x + b (x x') x + c (x x')^2 x, with Jordan's coefficients. Every iterate is a
    polynomial q of the first x x' times the first x, so the loop can do with matrices of the smaller side squared.
    """
    x = matrices.mT if matrices.size(1) > matrices.size(2) else matrices  # (N, S, L), S the smaller side
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)  # no singular value is above 1 now

    a, b, c = 3.4445, -4.7750, 2.0315
    gram = x @ x.mT  # (N, S, S)
    identity = torch.eye(gram.size(1), device=x.device)
    p = q = a * identity + torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
    for _ in range(steps - 1):
        gram = p @ gram @ p  # of the iterate q x
        p = a * identity + torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        q = p @ q
    x = q @ x  # (N, S, L)
    return x.mT if matrices.size(1) > matrices.size(2) else x


def hidden_matrices(model: nn.Module) -> list[nn.Parameter]:
    """The hidden weight matrices: those but of embeddings and of an output tied to one, which stay with AdamW."""
    tables = [module for module in model.modules() if isinstance(module, nn.Embedding | TiedOutput)]
    excluded = {id(parameter) for table in tables for parameter in table.parameters()}
    return [parameter for parameter in model.parameters() if parameter.ndim == 2 and id(parameter) not in excluded]


def make_optimizers(
    model: nn.Module, kind: str, learning_rate: float, weight_decay: float, epsilon: float = EPSILON
) -> list[Optimizer]:
    """`muon` or `adamw` -> the optimizers that together own all parameters.

    AdamW (Loshchilov & Hutter 2019) divides each weight's step by the size of its recent gradients plus `epsilon`.
    """
    adamw = dict(lr=learning_rate, betas=(0.9, 0.98), eps=epsilon, weight_decay=weight_decay, fused=True)
    if kind == "adamw":
        return [AdamW(model.parameters(), **adamw)]
    matrices = hidden_matrices(model)
    ids = {id(matrix) for matrix in matrices}
    rest = [parameter for parameter in model.parameters() if id(parameter) not in ids]
    return [Muon(matrices, lr=learning_rate, weight_decay=weight_decay), AdamW(rest, **adamw)]


def optimizers_for(model: nn.Module, settings: dict) -> list[Optimizer]:
    """The optimizers that a run's settings ask for."""
    return make_optimizers(
        model,
        settings["optimizer"],
        settings["learning_rate"],
        settings["weight_decay"],
        settings.get("epsilon", EPSILON),
    )


# What an optimizer remembers of each weight that it has changed, of the weight's shape; AdamW counts steps as well.
REMEMBERED = {Muon: ["momentum_buffer"], AdamW: ["exp_avg", "exp_avg_sq"]}


def optimizer_states(optimizers: list[Optimizer], saved: list[dict]) -> list[dict]:
    """What `load_state_dict` of each optimizer can be given, from what was saved; ValueError where it does not fit.

    PyTorch would find that out in the middle of a step, or never. What is no memory of a weight (rates, decay) stays as
    it is: the settings say it.
    """
    if len(saved) != len(optimizers):
        raise ValueError(f"optimizers are {len(saved)}, not {len(optimizers)}")
    states = []
    for place, (optimizer, memory) in enumerate(zip(optimizers, saved)):
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        names = REMEMBERED[type(optimizer)]
        for number, found in memory["state"].items():
            if type(number) is not int or not 0 <= number < len(parameters) or not isinstance(found, dict):
                raise ValueError(f"optimizers[{place}].state has more than there are weights")
            expected = dict.fromkeys(names, parameters[number].detach())
            if isinstance(optimizer, AdamW):
                expected["step"] = torch.zeros(())
            check_tensors(found, expected, f"optimizers[{place}].state.{number}")
        copies = {
            number: {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in found.items()}
            for number, found in memory["state"].items()
        }
        states.append({"state": copies, "param_groups": optimizer.state_dict()["param_groups"]})
    return states


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
