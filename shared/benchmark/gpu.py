"""All that is worth knowing of the course on an NVIDIA GPU, in less than eight minutes: tests, whole trainings, speeds.

    python -m shared.benchmark.gpu                       on a machine with such a GPU, in the course's folder
    python -m shared.benchmark.gpu --device cpu --tiny   the same parts with next to nothing to do: does it all work?

Writes into gpu-report/: report.json, where each part has its place; runs.json, for shared/results/gpu.json; and
log.txt, all that the parts printed. Each part has a limit of time of its own, and where one fails, the next begins.
"""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from shared.run.cli import (
    ArgumentParser,
    log,
    make_folder,
    path_or_name,
    read_flags,
    rebuilt_command,
    run_main,
    some_path,
)
from shared.stages import ROOT, STAGES

SECONDS = 470  # for all parts together
LEAST = 5  # a part that has fewer is left out
GRACE = 4  # to end after a Ctrl-C
GOAL = 1.4655  # nats a character of tinyshakespeare, with a model of nanoGPT's size
CHARACTERS = (
    "--data {characters} --tokenizer char --hidden-size 384 --num-layers 6 --num-heads 6 --context-length 256 "
    "--batch-size 64 --dropout 0.2 --precision bfloat16 --learning-rate 0.004 --max-steps 1200 --decay-share 0.8 "
    "--eval-interval 100"
)
TINY = " --data {characters} --max-steps 2 --batch-size 2 --hidden-size 24 --num-layers 1 --context-length 16"
MODES = ("as it is", "default", "reduce-overhead")  # of torch.compile; the last one makes CUDA graphs


@dataclass(frozen=True)
class Part:
    """Something to find out: a command, how many seconds it may take, and what it tells once it has ended."""

    name: str
    words: list[str]
    limit: float
    told: Callable[[str], dict] = lambda out: {}
    folder: Path = ROOT


def parse_flags() -> Namespace:
    """The command line."""
    parser = ArgumentParser(prog="python -m shared.benchmark.gpu", description=__doc__)
    add = parser.add_argument
    add("--device", choices=["cuda", "cpu"], default="cuda", help="where to compute; cpu only to try this out [cuda]")
    add("--tiny", action="store_true", help="two steps of tiny models: the numbers say nothing")
    add("--out", type=some_path, default=ROOT / "gpu-report", metavar="DIR", help="where to write [gpu-report]")
    why = "the text of the model of nanoGPT's size: a path, where there is no network [tinyshakespeare]"
    add("--characters", type=path_or_name, default="tinyshakespeare", metavar="PATH", help=why)
    add("--measure", choices=["generation", *MODES], help="only this, and print it: what the whole command calls")
    return parser.parse_args()


if __name__ == "__main__":
    FLAGS = read_flags(parse_flags)  # before PyTorch is imported, which takes a second

import torch

from shared.benchmark.costs import Case, generation_cost, training_steps
from shared.benchmark.timing import median_seconds
from shared.run.device import choose_device, prepare_process
from shared.run.records import machine, read_json, read_records, write_json
from shared.text.corpus import NAMES, user_path

*_, LAST = STAGES


# ------------------------------------------------------------------------------------------------------------ the parts


def parts(flags: Namespace) -> list[Part]:
    """What is found out. Stage 1 comes last, since its loop over time is far too slow there to come to its end."""
    first, *others = STAGES
    # The tests run programs, so most of their time is PyTorch's start. Many run at once, if pytest-xdist is there.
    tests = ["-m", "pytest", "-m", "gpu", *["-n", "8"] * bool(find_spec("xdist"))]
    return [
        measurement(flags, "generation", 40),
        Part("tests", [*tests, *["-k", "rnn and learns"] * flags.tiny], 100),
        training(flags, LAST, "characters, a model of nanoGPT's size", CHARACTERS),
        *(training(flags, stage, f"{stage}, default") for stage in reversed(others)),
        *(measurement(flags, mode, 30) for mode in MODES[: 2 if flags.tiny else 3]),
        training(flags, first, f"{first}, default"),
    ]


def training(flags: Namespace, stage: str, name: str, more: str = "") -> Part:
    """A run of a stage's train.py, from its start to its last line."""
    out_dir = flags.out / "runs" / f"{stage}{'-characters' if more else ''}"
    line = f"train.py --device {flags.device} --seed 1 {more}{TINY * flags.tiny}"
    words = [word.format(characters=flags.characters) for word in line.split()]
    return Part(name, [*words, "--out-dir", str(out_dir)], 62, lambda out: training_told(out_dir), ROOT / stage)


def training_told(out_dir: Path) -> dict:
    """How far a run came in how much time, whether or not it came to its end; and, if so, what is kept of it."""
    records = read_records(out_dir / "metrics.jsonl")
    scored = [record for record in records if "validation_loss" in record]
    reached = [record["seconds"] for record in scored if record["validation_loss"] <= GOAL]
    told = {
        "steps": records[-1]["step"],
        "training_seconds": records[-1]["seconds"],
        "tokens_per_second": records[-1]["tokens"] / records[-1]["seconds"],
        "lowest_nats": min(record["validation_loss"] for record in scored) if scored else None,
        f"seconds_to_{GOAL}_nats": reached[0] if reached else None,
    }
    summary = out_dir / "summary.json"
    return told | {"run": kept_run(read_json(summary))} if summary.is_file() else told


def kept_run(summary: dict) -> dict:
    """A finished run as a row of shared/results/gpu.json."""
    corpus = summary["corpus"]["name"]
    settings = summary["settings"] | {"data": corpus}
    row = {"corpus": corpus, "tokenizer": settings["tokenizer"], "seed": settings["seed"]}
    command = rebuilt_command(shlex.split(summary["command"]), drop=["--out-dir"], replace={"--data": corpus})
    return summary | row | {"settings": settings, "command": command, "machine": graphics_machine()}


def graphics_machine() -> dict:
    """What a GPU's row names: the card and the versions."""
    there = torch.cuda.is_available()
    return machine() | {"gpu": torch.cuda.get_device_name() if there else "none", "cuda": torch.version.cuda}


def measurement(flags: Namespace, name: str, limit: float) -> Part:
    """One of this file's own measurements, in a process that does nothing else."""
    words = ["-m", "shared.benchmark.gpu", "--measure", name, "--device", flags.device, *["--tiny"] * flags.tiny]
    told = name if name == "generation" else f"a step of {LAST}, {name}"
    return Part(told, words, limit, lambda out: json.loads(out.splitlines()[-1]))


# --------------------------------------------------------------------------------------------------------- measurements


def measure(name: str, device: str, tiny: bool) -> dict:
    """Generation's speed in all stages; or a training step's, with the model compiled in one of the MODES."""
    changes = dict(vocab_size=300, hidden_size=24, num_layers=1) if tiny else dict(vocab_size=12_000)
    if name != "generation":
        how = {"backend": "eager"} if tiny else {"mode": name}  # which compiles nothing, and needs no compiler
        return {"mode": name} | step_cost(Case(LAST, device, changes), {} if name == MODES[0] else how)
    return {stage: generation_cost(Case(stage, device, changes), (64,)) for stage in STAGES}


def step_cost(case: Case, compiled: dict) -> dict:
    """Milliseconds of a training step, what compiling took, and how long the whole default run would take so.

    compiled: how torch.compile compiles it; not at all, if there is nothing.
    """
    device, settings = choose_device(case.device), case.settings
    prepare_process(device)
    model, began = case.model().to(device).train(), time.perf_counter()
    if compiled:
        model.loss = torch.compile(model.loss, **compiled)
    steps = training_steps(model, case.lanes(), settings, device)
    next(steps)
    compiling, step = time.perf_counter() - began, median_seconds(steps, device)
    whole = compiling + settings["max_steps"] * step
    return {"milliseconds": 1e3 * step, "first_step_seconds": compiling, "whole_run_seconds": whole}


# ---------------------------------------------------------------------------------------------------------- the command


def run(part: Part, limit: float, log_file: Path) -> dict:
    """Run a part, for `limit` seconds at most; what came of it, whatever that is."""
    began = time.perf_counter()
    with open(log_file, "a", encoding="utf-8") as file:
        file.write(f"\n\n=== {part.name}: python {' '.join(part.words)}\n\n")
        file.flush()
        at = file.tell()
        process = subprocess.Popen(
            [sys.executable, *part.words],
            cwd=part.folder,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status = str(process.wait(limit))
        except subprocess.TimeoutExpired:
            status = f"stopped after {limit:.0f} s"
            stop(process)
        except KeyboardInterrupt:  # which a process in a session of its own does not hear
            stop(process)
            raise
    result = {"part": part.name, "status": status, "seconds": round(time.perf_counter() - began, 1)}
    try:
        out = log_file.read_bytes()[at:].decode("utf-8", "replace")
        return result | part.told(out)
    except Exception as error:  # it may have been stopped, or failed, before it had anything to tell
        return result | {"told": f"nothing: {error!r}"}


def stop(process: subprocess.Popen) -> None:
    """Ctrl-C for a process and all that it started, and an end where that does not help."""
    for number in ("SIGINT", "SIGKILL"):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, getattr(signal, number))
        else:
            process.kill()
        try:
            process.wait(GRACE)
            return
        except subprocess.TimeoutExpired:
            pass


def pays(results: list[dict]) -> str:
    """Whether compiling would make the default run of the last stage shorter."""
    found = {row["mode"]: row["whole_run_seconds"] for row in results if "mode" in row}
    if MODES[0] not in found or len(found) < 2:
        return "not measured"
    best = min(found, key=found.get)
    seconds = ", ".join(f"{name} {each:.0f} s" for name, each in found.items())
    return f"{'no' if best == MODES[0] else f'yes, {best}'}: a whole run would take {seconds}"


def main(flags: Namespace) -> None:
    """Run the parts one after the other, and keep what they tell after each."""
    choose_device(flags.device)  # without one there is nothing to measure
    if flags.measure:
        print(json.dumps(measure(flags.measure, flags.device, flags.tiny)))
        return
    flags.out = flags.out.resolve()
    if flags.characters not in NAMES:
        flags.characters = str(user_path(flags.characters).resolve())  # the parts run in other folders
    make_folder(flags.out, "--out")
    os.environ["GPU_TESTS_ON"] = flags.device
    began, results = time.perf_counter(), []
    patience = 10 if flags.tiny else 1  # where nothing is measured, a busy machine may take its time
    report = {"command": "python -m shared.benchmark.gpu", "tiny": flags.tiny, "machine": graphics_machine()}
    (flags.out / "log.txt").write_text("", encoding="utf-8")
    for part in parts(flags):
        limit = patience * min(part.limit, SECONDS - (time.perf_counter() - began) / patience)
        ran = (
            run(part, limit, flags.out / "log.txt") if limit > LEAST else {"part": part.name, "status": "no time left"}
        )
        results.append(ran)
        log(f"{part.name:45} {ran['status']}")
        write_json(flags.out / "report.json", report | {"compiling_pays": pays(results), "parts": results})
    write_json(flags.out / "runs.json", [row["run"] for row in results if "run" in row])
    print(f"kept        {flags.out / 'report.json'}, with runs.json and log.txt beside it")


if __name__ == "__main__":
    run_main(lambda: main(FLAGS))
