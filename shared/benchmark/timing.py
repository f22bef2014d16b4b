"""How long a step takes and how much memory a process needs, each measured where nothing else has run before."""

import itertools
import os
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import TypeVar

import torch

from shared.errors import UserError
from shared.run.device import choose_device

SECONDS = 2.0  # how long a step is measured, at least
UNCOUNTED, COUNTED = 3, 5  # steps: the first ones, and at least so many after them
MATMUL_SIZE = 1024

Result = TypeVar("Result")


def median_seconds(steps: Iterator, device: torch.device) -> float:
    """The median time of one step of an endless iterator: unlike the mean, no single slow step can spoil it.

    The first steps are not counted, since memory is allocated and kernels are chosen in them.
    """
    times = []
    while len(times) < UNCOUNTED + COUNTED or sum(times) < SECONDS:
        start = time.perf_counter()
        next(steps)
        if device.type != "cpu":
            torch.accelerator.synchronize()  # a GPU only queues what it is given; the step ends when that is done
        times.append(time.perf_counter() - start)
    return statistics.median(times[UNCOUNTED:])


def matmul_rate(device_name: str, dtype_name: str) -> float:
    """Floating-point operations a second in the product of two square matrices: about the best this machine does."""
    device = choose_device(device_name)
    a, b = torch.randn(2, MATMUL_SIZE, MATMUL_SIZE, device=device, dtype=getattr(torch, dtype_name))
    return 2 * MATMUL_SIZE**3 / median_seconds((a @ b for _ in itertools.count()), device)


def peak_mib(device: torch.device) -> float | None:
    """The most memory that this process, or the GPU for it, has held so far; None where the system does not tell."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    if device.type != "cpu":  # a Mac's GPU does not remember its peak
        return None
    status = Path("/proc/self/status")
    if status.exists():  # on Linux the peak of getrusage is handed down from the process that started this one
        lines = status.read_text(encoding="utf-8").splitlines()
        return next((int(line.split()[1]) / 2**10 for line in lines if line.startswith("VmHWM")), None)
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)  # bytes on macOS, KiB elsewhere


def in_fresh_process(
    function: Callable[..., Result], *arguments: object, variables: dict[str, str] | None = None
) -> Result:
    """function(*arguments), computed by a Python that has done nothing else, with more variables of the system.

    Ctrl-C reaches that one as well, and ends it without a word.
    """
    before, heard = dict(os.environ), signal.getsignal(signal.SIGINT)
    os.environ.update(variables or {})  # PyTorch reads them there when it is imported
    try:
        how = {"initializer": signal.signal, "initargs": (signal.SIGINT, signal.SIG_DFL)}
        with ProcessPoolExecutor(1, mp_context=get_context("spawn"), **how) as pool:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # inherited by the new one, and so in force until it is ready
            found = pool.submit(function, *arguments)
            signal.signal(signal.SIGINT, heard)
            try:
                return found.result()
            except KeyboardInterrupt:
                for process in active_children():  # else the pool would wait for its end
                    process.terminate()
                raise
    except BrokenProcessPool:
        raise UserError("the system ended a measurement, perhaps for want of memory; close other programs, try again")
    finally:
        os.environ.clear()
        os.environ.update(before)
