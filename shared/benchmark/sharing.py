"""A training step by one process and by two, each on a core of its own; and what it would be on several machines.

    torchrun --nproc-per-node=2 -m shared.benchmark.sharing model-01-rnn '{"vocab_size": 17706}'

prints what a step of one stage takes where so many processes share it.
"""

import itertools
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import torch

from shared.benchmark.costs import NEW_SHAPES, Case
from shared.errors import UserError
from shared.model.language_model import LanguageModel, num_parameters
from shared.run import processes
from shared.run.device import prepare_process, seconds_of
from shared.run.experiment import loop_settings, probe
from shared.run.interrupts import StopSignal
from shared.run.language_modeling import language_task, trial_step
from shared.run.optimizers import optimizers_for
from shared.run.training import Loop
from shared.show.tables import for_terminal
from shared.text.batches import Lanes

ROOT = Path(__file__).resolve().parents[2]
STEPS = 60  # timed, after those that are not counted
ROUNDS = 3  # of one process and two in turn, so that a busy minute falls on both; the fastest counts
BYTES = 4  # of a gradient's number


# ------------------------------------------------------------------------------------------------ what is measured


def sharing_costs(cases: list[Case]) -> list[dict]:
    """A row for each stage: seconds of a step in float32 by one process and by two, each held to one core."""
    rows = []
    for case in cases:
        rounds = [[launched(case.but(precision="float32"), count) for count in (1, 2)] for _ in range(ROUNDS)]
        alone, both = (min(found, key=lambda row: row["seconds"]) for found in zip(*rounds))
        rows.append({"stage": case.stage} | alone | {"seconds_by_two": both["seconds"]})
    return rows


def launched(case: Case, count: int) -> dict:
    """What `step_cost` finds where torchrun starts so many processes."""
    words = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
    words += ["-m", "shared.benchmark.sharing", case.stage, json.dumps(case.changes)]
    variables = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, cwd=ROOT, env=variables, capture_output=True, text=True, encoding="utf-8")
    if done.returncode:
        raise UserError(f"{count} processes could not be measured: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def step_cost(case: Case) -> dict:
    """Seconds of a training step in this process, which may be one of several, and what of it the optimizer takes."""
    device, settings = torch.device("cpu"), case.settings
    prepare_process(device)
    model, lanes = case.model().train(), case.lanes()
    trial = trial_step(model, lanes, device)
    probe(model, settings, device, trial)
    seconds = median(step_times(model, lanes, settings))
    trial(settings["precision"])  # gradients for the optimizers
    own = sum(seconds_of(optimizer.step, device) for optimizer in optimizers_for(model, settings))
    found = {"precision": settings["precision"], "optimizer": settings["optimizer"]}
    return found | {"parameters": num_parameters(model), "seconds": seconds, "optimizer_seconds": own}


def step_times(model: LanguageModel, lanes: Lanes, settings: dict) -> list[float]:
    """How long each of some steps of THE loop takes: as many in every process, for they wait for one another."""
    task = language_task(model, lanes, lanes.ids, None, settings, torch.device("cpu"))
    loop = Loop(model, optimizers_for(model, settings), task, loop_settings(settings), Path(), {})
    times = []
    with StopSignal() as stop, loop.open_bar():
        for _ in range(NEW_SHAPES + STEPS):
            began = time.perf_counter()
            loop.training_step(stop)
            times.append(time.perf_counter() - began)
    return times[NEW_SHAPES:]


# --------------------------------------------------------------------------------------- what it would be elsewhere


def message_bytes(parameters: int, machines: int) -> float:
    """What each machine sends in a step, where sums go round in a ring: each part of the gradients passes by twice.

    >>> message_bytes(1_000_000, 2)
    4000000.0
    """
    return BYTES * parameters * 2 * (machines - 1) / machines


def expected_seconds(row: dict, machines: int, bits_per_second: float) -> float:
    """A step by several machines like this one, one process each: lanes are shared, the optimizer's work is not.

    >>> row = {"parameters": 1_000_000, "seconds": 0.5, "optimizer_seconds": 0.1}
    >>> round(expected_seconds(row, 2, 1e8), 6)  # .4 / 2 + .1, and 32 million bits
    0.62
    """
    shared = (row["seconds"] - row["optimizer_seconds"]) / machines
    return shared + row["optimizer_seconds"] + 8 * message_bytes(row["parameters"], machines) / bits_per_second


def sharing_lines(rows: list[dict]) -> list[list[str]]:
    """A line for each stage, below a line of heads."""
    links = list(itertools.product((2, 4), (1, 10)))
    lines = [["model", "one process", "two", "speed-up", "optimizer's part", "sent in a step"]]
    lines[0] += [f"{machines} machines, {gigabits} Gbit/s" for machines, gigabits in links]
    for row in rows:
        alone = row["seconds"]
        times = [alone, row["seconds_by_two"]]
        line = [row["stage"], *(f"{1e3 * seconds:.0f} ms" for seconds in times), f"{alone / times[1]:.2f}x"]
        line += [f"{1e3 * row['optimizer_seconds']:.0f} ms", f"{message_bytes(row['parameters'], 2) / 1e6:.1f} MB"]
        expected = [expected_seconds(row, machines, gigabits * 1e9) for machines, gigabits in links]
        lines.append([*line, *(f"{1e3 * seconds:.0f} ms, {alone / seconds:.2f}x" for seconds in expected)])
    return lines


def sharing_table(rows: list[dict]) -> str:
    """The lines for a terminal."""
    return for_terminal(sharing_lines(rows))


if __name__ == "__main__":
    processes.start()
    stage, changes = sys.argv[1:]
    found = step_cost(Case(stage, changes=json.loads(changes)))
    if processes.is_writer():
        print(json.dumps(found))
