"""Is there memory for a model? Asked before it is made: a system may promise what it lacks, and then end programs."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch
from torch import nn

from shared.errors import UserError
from shared.model.language_model import num_parameters

TRAINED = 4  # numbers for each weight that is trained: itself, its gradient, and what AdamW remembers of it
LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")  # of a container, on Linux


def machine_memory() -> float:
    """Bytes that a program may have here; infinite on Windows, which refuses at once what it does not have."""
    found = [float("inf")]
    if hasattr(os, "sysconf"):
        with suppress(ValueError, OSError):
            found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for limit in map(Path, LIMITS):
        with suppress(OSError, ValueError):  # "max" where there is none
            found.append(int(limit.read_text(encoding="utf-8")))
    return min(found)


def make_within_memory(make: Callable[[], nn.Module], device: torch.device, held: int) -> nn.Module:
    """The model that `make` makes, on the device. A step of its training holds `held` numbers or more until it ends.

    UserError where that would take more memory than the machine has. A GPU has its own, and says so when that is full:
    only the weights, which are made outside of it, have to find room here.
    """
    with torch.device("meta"):  # tensors that have a shape but no numbers: they take no memory, whatever their size
        weights = num_parameters(make())
    needed = 4 * (TRAINED * weights + held if device.type == "cpu" else weights)  # bytes: a float32 has 4
    if needed > machine_memory():
        raise UserError(
            f"to train this would take at least {needed / 2**30:,.1f} GiB of memory, and there are "
            f"{machine_memory() / 2**30:,.1f}; give a smaller --batch-size or --hidden-size, or fewer layers"
        )
    return make().to(device)
