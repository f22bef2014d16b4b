"""Train all stages under one budget: the same text, the same number of tokens, about as many parameters."""

import subprocess
import sys
from bisect import bisect_left
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch

from shared.compare.estimate import training_seconds
from shared.errors import UserError
from shared.model.language_model import num_parameters
from shared.run.cli import log
from shared.run.interrupts import StopSignal
from shared.run.records import differing_setting, read_summary
from shared.run.stage import Stage
from shared.show.tables import in_minutes
from shared.stages import STAGES, load_stage
from shared.text.corpus import NAMES, load_corpus, user_path
from shared.text.tokenizer import train_tokenizer

WIDTHS = range(8, 4096, 8)  # multiples of every number of heads that a stage has by default


@dataclass(frozen=True)
class Budget:
    """What every stage gets alike: text, tokenizer, number of training tokens, seed and device."""

    data: str | list[str]
    tokenizer: str
    tokens: int
    seed: int
    device: str


def parameters_with(stage: Stage, settings: dict, vocab_size: int) -> int:
    """How many parameters a stage's model has with these settings."""
    with torch.device("meta"):  # tensors that have a shape but no numbers: quick to make, whatever their size
        model = stage.model(vocab_size, **{name: settings[name] for name in stage.model_settings})
    return num_parameters(model)


def fit_width(stage: Stage, settings: dict, vocab_size: int, goal: int) -> int:
    """The hidden size with which the model has nearest to `goal` parameters."""

    def size(width: int) -> int:
        return parameters_with(stage, settings | {"hidden_size": width}, vocab_size)

    # The size grows with the width, so the first width that is large enough is found by halving; the one below it may
    # be nearer.
    place = bisect_left(WIDTHS, goal, lo=1, hi=len(WIDTHS) - 1, key=size)
    return min(WIDTHS[place - 1 : place + 1], key=lambda width: abs(size(width) - goal))


def budget_settings(budget: Budget, vocab_size: int) -> dict[str, dict]:
    """Stage -> its settings: hidden sizes are fitted so that all models have about the median parameter count.

    The median is that of the stages' defaults. All other settings stay as the defaults have them, but for the number
    of steps, which comes from the budget's tokens, and the seed.
    """
    described = {stage: load_stage(stage) for stage in STAGES}
    defaults = {stage: each.settings(budget.tokenizer) for stage, each in described.items()}
    goal = median(parameters_with(described[stage], defaults[stage], vocab_size) for stage in STAGES)
    found = {}
    for stage, settings in defaults.items():
        found[stage] = settings | {
            "hidden_size": fit_width(described[stage], settings, vocab_size, goal),
            "max_steps": max(1, round(budget.tokens / (settings["batch_size"] * settings["context_length"]))),
            "seed": budget.seed,
        }
    return found


def train_missing(budget: Budget, folder: Path) -> list[Path]:
    """Train every stage whose run under this budget is not yet in `folder` -> all best.pt there, of all seeds.

    Runs are kept as <stage>/seed<N>/. An unfinished one is resumed, and one of another budget is a UserError.
    """
    corpus = load_corpus(budget.data, at_blank_line=budget.tokenizer == "word")
    tokenizer = train_tokenizer(budget.tokenizer, corpus.train, held_out=corpus.held_out)
    vocab_size = tokenizer.vocab_size
    log(f"budget      {budget.tokens:,} tokens of {corpus.name} for each stage, by {budget.tokenizer}")
    wanted = budget_settings(budget, vocab_size)
    # A run of another budget is refused before any training, which takes long.
    for stage, settings in wanted.items():
        for path in kept_runs(folder / stage):
            check_budget(read_summary(path.parent), settings, corpus.sha256, path.parent)
    folders = {stage: (folder / stage / f"seed{budget.seed}").resolve() for stage in wanted}
    missing = [stage for stage, out_dir in folders.items() if not (out_dir / "summary.json").is_file()]
    if missing and not torch.cuda.is_available():  # a GPU would make this an overestimate by far
        tokens = len(tokenizer.encode(corpus.validation))
        each = [training_seconds(load_stage(stage), wanted[stage], vocab_size, tokens) for stage in missing]
        log(f"training    takes about {in_minutes(sum(each))} in all, and then some to measure")
    for stage in missing:
        run_training(stage, wanted[stage], budget, folders[stage])
    return [summary.with_name("best.pt") for stage in wanted for summary in kept_runs(folder / stage)]


def kept_runs(folder: Path) -> list[Path]:
    """The summaries of a stage's finished runs, in the order of their seeds."""
    return sorted(folder.glob("seed*/summary.json"), key=lambda path: (len(path.parent.name), path))


def check_budget(summary: dict, settings: dict, sha256: str, folder: Path) -> None:
    """UserError where a finished run is not what this budget asks for."""
    difference = differing_setting(summary, settings)
    if summary["corpus"]["sha256"] != sha256:
        difference = "it read another text"
    if difference:
        raise UserError(f"{folder} holds a run of another budget ({difference}); move it away or give another --out")


def run_training(stage: str, settings: dict, budget: Budget, out_dir: Path) -> None:
    """The stage's own train.py, in a process of its own; KeyboardInterrupt where it was stopped."""
    names = [budget.data] if isinstance(budget.data, str) else budget.data
    data = [name if name in NAMES else str(user_path(name).resolve()) for name in names]
    flags = {"tokenizer": budget.tokenizer, "device": budget.device, "out-dir": str(out_dir)}
    flags |= {name: settings[name.replace("-", "_")] for name in ("hidden-size", "max-steps", "seed")}
    command = [sys.executable, "train.py", *(f"--{name}={value}" for name, value in flags.items()), "--data", *data]
    command += ["--resume"] if (out_dir / "last.pt").is_file() else []
    log(f"training    {stage}: hidden size {settings['hidden_size']}, {settings['max_steps']:,} steps, in {out_dir}")
    with StopSignal() as stop:  # Ctrl-C reaches the training as well, which then saves what it has
        code = subprocess.call(command, cwd=load_stage(stage).folder, stdout=sys.stderr)
    if stop.requested:
        raise KeyboardInterrupt(stop.number)
    if code:
        raise UserError(f"{stage} could not be trained; its last line says why")
