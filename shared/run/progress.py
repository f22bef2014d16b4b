"""Where a run stands, what a checkpoint holds of it, and how a resumed run gets everything back."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel

from shared.model.language_model import map_tensors


@dataclass
class Progress:
    """Where a run stands; saved with last.pt, and all that a resumed run needs to know of the past but its tensors."""

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    best_loss: float = float("inf")
    best_step: int = 0


def checkpoint(model: nn.Module, identity: dict, progress: Progress) -> dict:
    """What a checkpoint holds at least: who the model is, its weights and how far it came."""
    return identity | {"weights": model.state_dict(), "progress": asdict(progress)}


def restore(
    model: nn.Module, average: AveragedModel | None, optimizers: list[Optimizer], saved: dict | None, metrics: Path
):
    """Put everything back as it was when last.pt was written -> progress, carry, (loss, count) not yet in a record."""
    device = next(model.parameters()).device
    if saved is None:
        return Progress(), None, (torch.zeros((), device=device), 0)
    model.load_state_dict(saved["weights"])
    for optimizer, state in zip(optimizers, saved["optimizers"]):
        optimizer.load_state_dict(state)
    if average:
        average.load_state_dict(saved["average"])
    torch.set_rng_state(saved["random"]["cpu"].cpu())
    if torch.cuda.is_available() and saved["random"]["cuda"]:
        torch.cuda.set_rng_state_all([state.cpu() for state in saved["random"]["cuda"]])
    progress = Progress(**saved["progress"])
    # Lines that were written after the checkpoint will be written again; a crash may have cut off the last one.
    if metrics.exists():
        lines = [line for line in metrics.read_text(encoding="utf-8").splitlines() if line.endswith("}")]
        kept = [line + "\n" for line in lines if json.loads(line)["step"] <= progress.step]
        metrics.write_text("".join(kept), encoding="utf-8", newline="\n")
    carry, interval = map_tensors(lambda tensor: tensor.to(device), (saved["carry"], saved["interval"]))
    return progress, carry, interval
