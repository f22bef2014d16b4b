"""Is there memory for a model? Asked while it is made: a system may promise what it lacks, and then end programs."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from shared.errors import UserError

TRAINED = 4  # numbers for each weight that is trained: itself, its gradient, and what AdamW remembers of it
LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")  # of a container, on Linux


def machine_memory() -> float:
    """Bytes that a program may have here; infinite on Windows, which refuses at once what it does not have."""
    found = [float("inf")]
    if hasattr(os, "sysconf"):
        with suppress(ValueError, OSError):
            found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    with suppress(ImportError):  # Windows has no such module
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)  # what `ulimit -v` allows
        found += [limit] if limit != resource.RLIM_INFINITY else []
    for limit in map(Path, LIMITS):
        with suppress(OSError, ValueError):  # "max" where there is none
            found.append(int(limit.read_text(encoding="utf-8")))
    return min(found)


def make_within_memory(make: Callable[[], nn.Module], device: torch.device, held: int) -> nn.Module:
    """The model that `make` makes, on the device. A step of its training holds `held` numbers or more until it ends.

    UserError where that would take more memory than the machine has. A GPU has its own, and says so when that is full:
    only the weights, which are made outside of it, have to find room here.
    """
    memory, needed = machine_memory(), {"held": 4 * held if device.type == "cpu" else 0}  # a float32 has 4 bytes

    def weigh(module: nn.Module, name: str, weight: nn.Parameter) -> None:
        needed[id(weight)] = 4 * (TRAINED if device.type == "cpu" else 1) * weight.numel()  # a tied weight counts once
        check_room(sum(needed.values()), memory)

    # PyTorch calls it for each weight that a module is given, which then has a place and no numbers yet: most systems
    # find the room for a tensor only where something is written to it.
    hook = register_module_parameter_registration_hook(weigh)
    try:
        return make().to(device)
    finally:
        hook.remove()


def check_room(needed: int, memory: float) -> None:
    """UserError where more bytes are needed than there are."""
    if needed > memory:
        raise UserError(
            f"to train this would take at least {needed / 2**30:,.1f} GiB of memory, and there are "
            f"{memory / 2**30:,.1f}; give a smaller --batch-size or --hidden-size, or fewer layers"
        )
