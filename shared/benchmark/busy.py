"""How much longer a training step takes where other programs keep cores busy, by how the threads wait for one another.

After every product of matrices each thread waits until all are done. It may look again and again (spin), which is quick
where nothing else runs. But where another program has a core, the thread that all wait for may be the one that does not
run. Or it may go to sleep and be woken, which takes longer than many products.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from shared.benchmark.costs import Case, training_steps
from shared.benchmark.timing import in_fresh_process
from shared.run.cli import BRIEF_WAITS
from shared.run.device import choose_device, prepare_process
from shared.show.tables import for_terminal

SECONDS = 3.0
BUSY = (0, 1, 2)  # other programs that never rest

# Way of waiting -> the variables of the system that ask for it.
WAYS = {
    "as PyTorch comes": {},
    "briefly, as here": BRIEF_WAITS,
    "asleep at once": {"GOMP_SPINCOUNT": "0"},
    "one thread fewer": {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 2) - 1))},
}


def busy_costs(cases: list[Case]) -> list[dict]:
    """A row for each case and way of waiting, with the milliseconds of a step beside 0, 1 and 2 busy programs."""
    return [
        {"stage": case.stage, "way": way, "milliseconds": in_fresh_process(step_milliseconds, case, variables=waits)}
        for case in cases
        for way, waits in WAYS.items()
    ]


def step_milliseconds(case: Case) -> list[float]:
    """The mean time of a step beside 0, 1 and 2 busy programs: the mean, since the rare long wait is what hurts."""
    device = choose_device("cpu")
    prepare_process(device)
    case = case.but(precision="float32")
    steps = training_steps(case.model().train(), case.lanes(), case.settings, device)
    for _ in range(3):
        next(steps)  # memory is allocated and kernels are chosen in the first ones
    found = []
    for programs in BUSY:
        with busy_programs(programs):
            began, count = time.perf_counter(), 0
            while time.perf_counter() - began < SECONDS or count < 5:
                next(steps)
                count += 1
            found.append(1e3 * (time.perf_counter() - began) / count)
    return found


@contextmanager
def busy_programs(number: int) -> Iterator[None]:
    """So many processes that compute without a pause."""
    command, nowhere = [sys.executable, "-c", "while True: pass"], subprocess.DEVNULL
    programs = [subprocess.Popen(command, stderr=nowhere) for _ in range(number)]
    try:
        time.sleep(0.3 * bool(programs))  # until they have started
        yield
    finally:
        for program in programs:
            program.kill()
            program.wait()


def busy_table(rows: list[dict]) -> str:
    """A line for each stage and way of waiting."""
    lines = [["", "threads wait", "quiet", "one busy program", "two", "one against quiet"]]
    for row in rows:
        quiet, one, two = row["milliseconds"]
        lines.append(
            [row["stage"], row["way"], f"{quiet:.0f} ms", f"{one:.0f} ms", f"{two:.0f} ms", f"{one / quiet:.1f}x"]
        )
    return for_terminal(lines)
