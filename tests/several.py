"""One of several processes that test_processes.py starts: trainings, one after the other, by some or all of them.

    several.py FOLDER [[2, "model-01-rnn/train.py --max-steps 20", "stop 8"], ...]

Each is trained by the first so many processes, without its final scoring. "stop 8": before step 8 is counted, the last
of them hears Ctrl-C; with "kill 8" it ends on the spot.
"""

import json
import os
import runpy
import shlex
import signal
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch.distributed as dist

from shared.run import processes, training

training_step = training.Loop.training_step


def end() -> None:
    """End a training in place of the scoring."""
    raise SystemExit(0)


def interrupted(event: str, at: str):
    """A training step before which the last process is interrupted."""

    def step(loop, stop):
        if loop.progress.step == int(at) and processes.rank() == processes.size() - 1:
            signal.raise_signal(signal.SIGINT) if event == "stop" else os._exit(9)
        return training_step(loop, stop)

    return step


def run(program: str, flags: list[str]) -> None:
    """Run a program as if it had been typed in its folder, up to its end or Ctrl-C."""
    path = ROOT / program
    sys.argv = [path.name, *flags]
    sys.path.insert(0, str(path.parent))
    try:
        runpy.run_path(str(path), run_name="__main__")
    except SystemExit as stopped:
        if stopped.code not in (0, 128 + signal.SIGINT):
            raise
    finally:
        sys.path.remove(str(path.parent))
        for name, module in list(sys.modules.items()):  # the next program has a model.py of its own
            if Path(getattr(module, "__file__", None) or "").parent == path.parent:
                del sys.modules[name]


def main(folder: str, trainings: list[tuple[int, str, str]]) -> None:
    """Meet for each training anew, but where torchrun has started us."""
    training.LOG_INTERVAL = 1
    processes.leave_the_rest_to_the_writer = end
    rank = int(os.environ["RANK"])
    by_torchrun = "MASTER_PORT" in os.environ
    if not by_torchrun:
        processes.start = lambda: None
    for number, (count, command, *event) in enumerate(trainings):
        if rank >= count:
            continue
        if count > 1 and not by_torchrun:
            store = dist.FileStore(f"{folder}/meeting-{number}", count)
            dist.init_process_group("gloo", store=store, rank=rank, world_size=count)
        training.Loop.training_step = interrupted(*event[0].split()) if event else training_step
        program, *flags = shlex.split(command)
        run(program, flags)
        if dist.is_initialized():
            dist.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
