"""A process that has imported PyTorch and the course once, and then runs programs of the course, each in a fork of it.

    python forking.py        in a copy of the course; a line of JSON on standard input is a command line to run, and a
                             line of JSON on standard output says how it ended

A fork starts in milliseconds and has nothing of what another one left behind, but for files. Its memory is bounded, its
standard input is at its end, a training loop gets Ctrl-C after a few steps, and so does whatever takes long. What does
not heed that is killed.
"""

import argparse
import atexit
import gc
import importlib
import json
import os
import resource
import runpy
import signal
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path

import torch

MEMORY = 1 << 31  # bytes that a program may have, beside what is imported
STEPS = 2  # of a training loop
HEED = 20  # seconds in which a program has to end after Ctrl-C; after half of them comes another, as from a person
SHOWN = 200_000  # bytes of what it prints
ROOT = Path.cwd()


def import_all() -> None:
    """All modules of shared that are no programs, and what they import."""
    programs = []
    for path in sorted(Path("shared").rglob("*.py")):
        name = ".".join(path.with_suffix("").parts).removesuffix(".__init__")
        if 'if __name__ == "__main__":' in path.read_text(encoding="utf-8"):
            programs.append(name)
        else:
            importlib.import_module(name)
    for name in programs:  # some are imported by others; to be run, they have to be new
        sys.modules.pop(name, None)
    torch.optim.AdamW([torch.zeros(1, requires_grad=True)])  # the first one imports much


def stop_loops_early() -> None:
    """Have every training loop press Ctrl-C after a few steps."""
    from shared.run.training import Loop

    step, count = Loop.training_step, []

    def training_step(loop: Loop, *given: object) -> object:
        count.append(1)
        if len(count) == STEPS < loop.settings.max_steps:
            os.kill(os.getpid(), signal.SIGINT)
        return step(loop, *given)

    Loop.training_step = training_step


def describe(parser: argparse.ArgumentParser) -> dict:
    """What a program's parser takes: its flags and texts, and its commands with theirs."""
    found = {"flags": [], "texts": [], "commands": {}}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found["commands"] = {name: describe(each) for name, each in action.choices.items()}
            continue
        told = {"names": action.option_strings, "nargs": action.nargs, "choices": list(action.choices or [])}
        told |= {"kind": kind_of(action), "metavar": str(action.metavar)}
        found["flags" if action.option_strings else "texts"].append(told)
    return found


def kind_of(action: argparse.Action) -> str:
    """What a flag takes: "whole" and "real" numbers, "text", which may be a path, or what its choices say."""
    with suppress(Exception):
        if isinstance(action.type("1"), int):
            return "whole"
        if isinstance(action.type("1"), float):
            return "real"
    return "choice" if action.choices else "text"


def look_at_parser() -> None:
    """Have the first parser that is asked tell what it takes, and the program end there."""

    def tell(parser: argparse.ArgumentParser, *_: object) -> None:
        print(json.dumps(describe(parser)))
        sys.exit(0)

    from shared.run.cli import ArgumentParser

    argparse.ArgumentParser.parse_args = ArgumentParser.parse_args = tell


def run(program: str, words: list[str]) -> None:
    """What `python PROGRAM ...` does in the program's folder, or `python -m` for one of shared."""
    path = ROOT / program
    sys.path.insert(0, str(ROOT))
    if program.startswith("shared/"):
        sys.argv = [str(path), *words]
        name = ".".join(Path(program).with_suffix("").parts).removesuffix(".__main__")
        runpy.run_module(name, run_name="__main__", alter_sys=True)
    else:
        os.chdir(path.parent)
        sys.argv = [path.name, *words]
        sys.path.insert(0, str(path.parent))
        runpy.run_path(str(path), run_name="__main__")


def status_of(program: str, words: list[str]) -> int:
    """Run a program as Python does; its exit status."""
    try:
        run(program, words)
        return 0
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        return 1 if isinstance(end.code, str) else end.code or 0
    except BaseException as error:
        traceback.print_exc()
        return 130 if isinstance(error, KeyboardInterrupt) else 1


def be_the_program(asked: dict, out: int, err: int) -> None:
    """In the fork: bound the memory, run, and end with the program's exit status."""
    os.setsid()
    os.dup2(out, 1)
    os.dup2(err, 2)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, [pages * resource.getpagesize() + MEMORY] * 2)
    if asked["words"] is None:
        look_at_parser()
    else:
        stop_loops_early()
    status = status_of(asked["program"], asked["words"] or [])
    with suppress(Exception):
        atexit._run_exitfuncs()
        sys.stdout.flush()
    os._exit(status & 255)


def computed(process: int) -> float:
    """Seconds that a process has computed, whatever else the machine had to do."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def wait(process: int, patience: float) -> tuple[int | None, bool]:
    """A process's exit status, None where it had to be killed, and whether it got Ctrl-C before."""
    began, stops, pause = time.monotonic(), [], 0.001
    while not stops or time.monotonic() - stops[0] < HEED:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status), bool(stops)
        impatient = computed(process) > patience or time.monotonic() - began > 5 * patience
        if impatient and (not stops or (len(stops) == 1 and time.monotonic() - stops[0] > HEED / 2)):
            stops.append(time.monotonic())
            os.killpg(process, signal.SIGINT)
        time.sleep(pause)
        pause = min(0.05, 1.2 * pause)
    os.killpg(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return None, True


def answer(asked: dict) -> dict:
    """Run what is asked, and say how it ended."""
    files = [os.memfd_create(name) for name in ("out", "err")]
    process = os.fork()
    if not process:
        be_the_program(asked, *files)
    status, stopped = wait(process, asked["patience"])
    with suppress(ProcessLookupError):
        os.killpg(process, signal.SIGKILL)  # what it started itself, and left behind
    out, err = (os.pread(file, SHOWN, max(0, os.fstat(file).st_size - SHOWN)) for file in files)
    for file in files:
        os.close(file)
    shown = {"out": out.decode("utf-8", "replace"), "err": err.decode("utf-8", "replace")}
    return shown | {"status": status, "stopped": stopped}


def main() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.path[0] = str(ROOT)  # in place of the tests' folder
    import_all()
    gc.freeze()  # a fork shares what it has not touched
    questions, answers = os.fdopen(os.dup(0), encoding="utf-8"), os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # for the programs, to which nobody speaks
    for line in questions:
        print(json.dumps(answer(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
