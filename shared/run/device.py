"""Where to compute and how precisely: asked for by name, or found out by trying."""

import ctypes
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import torch

from shared.errors import UserError
from shared.run.cli import lacks_memory
from shared.run.processes import use_own_gpu

WORTH_IT = 1.3  # bfloat16 has to be so many times faster before it is chosen


def choose_device(name: str) -> torch.device:
    """The device asked for; `auto` takes a GPU if there is one. UserError where PyTorch finds none of its kind."""
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = next(candidate for candidate in ("cuda", "mps", "cpu") if available[candidate])
    if not available[name]:
        raise UserError(f"PyTorch finds no {name} device here; use --device cpu, or leave --device away")
    return torch.device(name)


def prepare_process(device: torch.device) -> None:
    """Set, for all of this process, what makes computing on the device fast and right."""
    if device.type == "cpu":
        keep_freed_memory()
    if device.type == "cuda":
        use_own_gpu()
        # With a mask, cuDNN's attention has NaN gradients at some lengths (github.com/pytorch/pytorch/issues/196678).
        torch.backends.cuda.enable_cudnn_sdp(False)


def keep_freed_memory() -> None:
    """Have Linux's C library keep what tensors free, up to 32 MiB each, for the next tensors.

    It would give much of it back to the system after every training step and fetch it again for the next one. Then
    the system empties each page, and the processor's caches know none of them.
    """
    trim_threshold, mmap_threshold = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of mallopt(3)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None  # musl has none
    if mallopt:
        mallopt(trim_threshold, 2**31 - 1)
        mallopt(mmap_threshold, 2**25)  # older versions refuse more


def autocast(device: torch.device, precision: str) -> AbstractContextManager:
    """Within it, matrix products run in `precision`; weights, sums and losses stay float32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16")


def random_state(device: torch.device) -> dict[str, torch.Tensor]:
    """Where the random numbers of the CPU and of this device stand: all that a model on it draws from."""
    states = {"cpu": torch.get_rng_state()}
    if device.type != "cpu":
        states[device.type] = torch.get_device_module(device).get_rng_state()
    return states


def set_random_state(states: dict[str, torch.Tensor], device: torch.device) -> None:
    """Go on from what `random_state` gave; a device of another kind starts anew."""
    torch.set_rng_state(states["cpu"].cpu())
    if device.type != "cpu" and device.type in states:
        torch.get_device_module(device).set_rng_state(states[device.type].cpu())


def seconds_of(function: Callable[[], None], device: torch.device, repeats: int = 3) -> float:
    """The shortest of a few timed calls, after one that is not counted."""
    times = []
    for _ in range(1 + repeats):
        start = time.perf_counter()
        function()
        if device.type != "cpu":
            torch.accelerator.synchronize()
        times.append(time.perf_counter() - start)
    return min(times[1:])


def choose_precision(wanted: str, device: torch.device, trial_step: Callable[[str], None]) -> tuple[str, float]:
    """The precision to train in and what a step takes in it, in seconds; `auto` takes bfloat16 if it is `WORTH_IT`.

    `trial_step(precision)` computes one step's loss and gradients.
    """
    if wanted == "auto":
        return faster_precision(device, trial_step)
    try:
        return wanted, seconds_of(lambda: trial_step(wanted), device)
    except RuntimeError as error:
        if wanted == "float32" or lacks_memory(error):
            raise
        raise UserError(f"{wanted} does not work here: {error}; use --precision float32".replace("\n", " ")) from error


def faster_precision(device: torch.device, trial_step: Callable[[str], None]) -> tuple[str, float]:
    """Time both. Many processors have no bfloat16 arithmetic: most layers then imitate it slowly, and some refuse."""
    exact = seconds_of(lambda: trial_step("float32"), device)
    start = time.perf_counter()
    try:
        trial_step("bfloat16")
    except RuntimeError:
        return "float32", exact
    if time.perf_counter() - start > 3 * exact:  # so slow that there is no need to measure it well
        return "float32", exact
    short = seconds_of(lambda: trial_step("bfloat16"), device)
    exact = min(exact, seconds_of(lambda: trial_step("float32"), device))  # a busy moment may have passed by now
    return ("bfloat16", short) if exact >= WORTH_IT * short else ("float32", exact)
