"""The frame of a training command: resuming, the run's folder and its summary.

The stages and the labs share it. It knows neither what is learned nor from what.
"""

import copy
import sys
import time
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import torch
from torch import nn

from shared.errors import UserError
from shared.files import seconds_told
from shared.model.language_model import map_tensors, num_parameters
from shared.run import processes
from shared.run.checkpoint import load_checkpoint
from shared.run.cli import log, outlive_reader, rebuilt_command, typable
from shared.run.device import (
    choose_device,
    choose_precision,
    prepare_process,
    random_state,
    seconds_of,
    set_random_state,
)
from shared.run.flags import EVALUATIONS
from shared.run.folder import cannot_write, check_files, drop_parts, free_folder, lock_folder, make_room
from shared.run.interrupts import ProcessEnded, exit_status
from shared.run.optimizers import learning_rate_factor, optimizers_for
from shared.run.records import machine, read_records, write_json
from shared.run.restore import load_weights
from shared.run.training import LoopSettings, Progress, Task, train
from shared.stages import stage_title
from shared.text.signs import printable

# What may differ from the saved run when it is resumed: nothing that its past depended on. A text is known by its hash.
FREE_ON_RESUME = {"data", "device", "precision", "eval_interval"}
MORE_ON_RESUME = {"max_steps", "epochs"}  # a finished run may go on
LESS_ON_RESUME = {"learning_rate"}  # one whose loss was no number any more may go on with smaller steps


@dataclass
class Run:
    """One run of a training command: its settings, where it is kept, and the checkpoint that it goes on from."""

    name: str  # the stage's or the lab's folder
    settings: dict
    out_dir: Path
    saved: dict | None = None  # last.pt, on --resume
    lock: TextIO | None = None  # while the folder is this run's alone
    progress: Progress | None = None  # when it has been trained
    began: float = field(default_factory=time.perf_counter)

    @property
    def command(self) -> str:
        """What was typed when the run began."""
        return (self.saved or {}).get("command") or command_line()

    @property
    def device(self) -> torch.device:
        """Where this run computes."""
        return choose_device(self.settings["device"])

    def train(self, model: nn.Module, task: Task, identity: dict) -> None:
        """Train by the loop; `identity` is what a checkpoint holds beside the stage, the settings and the weights."""
        self.take_folder()
        settings = self.settings
        settings["eval_interval"] = settings["eval_interval"] or -(-settings["max_steps"] // EVALUATIONS)
        if self.saved and settings["max_steps"] != self.saved["settings"]["max_steps"]:
            log(longer_schedule(self.saved, settings))
        if self.saved and settings.get("precision") == "float32":  # on another machine it may have been bfloat16
            self.saved["carry"] = map_tensors(in_float32, self.saved["carry"])
        optimizers = optimizers_for(model, settings)
        identity = {"stage": self.name, "settings": settings, "command": self.command} | identity
        try:
            loop = loop_settings(settings)
            self.progress = train(model, optimizers, task, loop, self.out_dir, identity, self.saved)
        except ProcessEnded as ended:
            raise UserError(f"another process of this run has ended; {self.way_on}") from ended
        except KeyboardInterrupt as stopped:
            saved = (self.out_dir / "last.pt").is_file()
            log(f"stopped; {self.way_on}" if saved else "stopped, before there was anything to save")
            if self.lock:
                free_folder(self.lock)
            raise SystemExit(exit_status(stopped))
        processes.leave_the_rest_to_the_writer()

    @property
    def way_on(self) -> str:
        """How to go on from last.pt."""
        more = [] if "--resume" in sys.argv else ["--resume"]
        again = rebuilt_command([*processes.launcher(), *typed_words(), *more])
        return f"go on from {self.out_dir / 'last.pt'} with: {typable(again)}"

    def take_folder(self) -> None:
        """Have the run's folder for this run alone; a new run finds room in it."""
        if not processes.is_writer():
            return
        if self.lock is None:
            try:
                self.out_dir.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise cannot_write(self.out_dir, error) from error
            self.lock = lock_folder(self.out_dir)
        check_files(self.out_dir)
        drop_parts(self.out_dir)
        if self.saved is None:
            make_room(self.out_dir)

    def load_best(self, model: nn.Module) -> None:
        """Give the model the weights that did best on held-out data."""
        path = self.out_dir / "best.pt"
        load_weights(model, load_checkpoint(path, self.name)["weights"], path)

    def finish(self, model: nn.Module, unit: str = "nats per token", **found: object) -> None:
        """Draw the learning curve, whose loss is in `unit`; write what was run, on what and what was `found` as JSON.

        A stage finds `corpus` and `validation`; a lab finds the `table` and `row` that it belongs to, and `scores`, a
        dict of column head -> float.
        """
        from shared.show.curves import learning_curve_figure  # here: no training waits for Matplotlib to start
        from shared.show.figures import save_figure

        records = read_records(self.out_dir / "metrics.jsonl")
        seconds_before = self.saved["progress"]["seconds"] if self.saved else 0.0
        summary = {
            "command": self.command,
            "stage": self.name,
            "settings": self.settings,
            "parameters": num_parameters(model),
            "training_tokens": self.progress.tokens,
            "training_seconds": round(self.progress.seconds, 1),
            "command_seconds": round(seconds_before + time.perf_counter() - self.began, 1),
            "machine": machine() | ({"processes": processes.size()} if processes.size() > 1 else {}),
        }
        try:
            if records:  # else somebody has deleted them
                title = f"{stage_title(self.name)}: loss while training"
                save_figure(learning_curve_figure(records, title, unit), self.out_dir / "learning_curve.png")
            write_json(self.out_dir / "summary.json", summary | found)
        except UserError as error:
            raise UserError(f"{error}; what was learned is kept, and --resume writes the rest") from None
        if self.lock:
            free_folder(self.lock)


def start_run(
    name: str,
    flags: Namespace,
    defaults: dict,
    presets: dict[str, dict],
    check: Callable[[dict], None] | None = None,
) -> Run:
    """The run that these flags ask for: the defaults, changed by a preset, changed by the flags that were given.

    With --resume the saved run's settings count instead; `check` is what `load_checkpoint` is told of a lab. Prepares
    this process for computing on the run's device. UserError where another training runs in the folder: better now than
    when the text is read.
    """
    given = {flag: value for flag, value in vars(flags).items() if value is not None}
    out_dir, resume = Path(given.pop("out_dir")).resolve(), given.pop("resume")
    given.pop("no_moments", None)  # no setting: nothing of what is learned depends on it
    preset_name = given.pop("preset", "")
    preset = presets.get(preset_name, {})
    if "epochs" in given:  # they say how many steps there are
        preset = {flag: value for flag, value in preset.items() if flag != "max_steps"}
    processes.start()
    run = Run(name, defaults | preset | given, out_dir)
    if processes.is_writer() and out_dir.is_dir():
        run.lock = lock_folder(out_dir)
    if resume:
        run.saved = processes.from_writer(
            lambda: load_checkpoint(out_dir / "last.pt", name, "--out-dir", last=True, check=check)
        )
        run.settings = resumed_settings(run.saved, defaults, preset, given, f"--{preset_name}")
        read_records(out_dir / "metrics.jsonl")  # a file that is none is refused now, and not when the text is read
    processes.check_shares(run.settings)
    prepare_process(run.device)
    outlive_reader("stdout")  # what a training prints is in its folder as well
    return run


def resumed_settings(saved: dict, defaults: dict, preset: dict, given: dict, preset_flag: str = "--quick") -> dict:
    """The saved run's settings; a flag that contradicts them is a mistake, unless it cannot change what was learned.

    `defaults` are for what there was no setting for when the run was saved; `preset_flag` asked for the preset.
    """
    before = defaults | saved["settings"]
    settings = dict(before)
    for name, value in (preset | given).items():
        if name == "precision" and value == "auto":
            continue  # it was settled when the run began
        known = before.get(name)
        typed = name in given and known is not None  # what the saved run left open cannot become more or less
        may_grow, may_shrink = typed and name in MORE_ON_RESUME, typed and name in LESS_ON_RESUME
        if name in FREE_ON_RESUME or (may_grow and value > known) or (may_shrink and value < known):
            settings[name] = value
            if name == "max_steps" and "epochs" in settings:
                settings["epochs"] = None  # else they would go on to say how many steps there are
        elif value != known:
            flag = "--" + name.replace("_", "-")
            if name not in given:
                raise UserError(
                    f"the saved run has {flag} {known}, not {value} as {preset_flag}: a preset is for a new run; "
                    f"leave {preset_flag} away, or leave --resume away"
                )
            may = "it may become more, " if may_grow else "it may become less, " if may_shrink else ""
            raise UserError(
                f"the saved run has {flag} {known}, not {value}; {may}leave {flag} away, or leave --resume away"
            )
    return settings


def longer_schedule(saved: dict, settings: dict) -> str:
    """What it means for the learning rate that a run goes on for more steps than it was begun with."""
    step, more = saved["progress"]["step"], settings["max_steps"]
    going_on = f"going on    from step {step:,} to {more:,}: the learning rate "
    if settings["decay_share"] == 0:  # then weights come to rest by their average, if they do
        averaged = settings.get("average_share") and "; the weights' average is what is scored and kept"
        return f"{going_on}stays at {settings['learning_rate']:.2g}{averaged or ''}"
    before, now = (
        each["learning_rate"]
        * learning_rate_factor(step, each["max_steps"], settings["warmup_steps"], settings["decay_share"])
        for each in (saved["settings"], settings)
    )
    return (
        f"{going_on}goes from {before:.2g} to {now:.2g}, as a run of {more:,} steps has it here, and falls to 0 at "
        f"step {more:,}"
    )


def in_float32(tensor: torch.Tensor) -> torch.Tensor:
    """The same numbers in float32; whole numbers stay as they are."""
    return tensor.float() if tensor.is_floating_point() else tensor


def loop_settings(settings: dict) -> LoopSettings:
    """Those of a run's settings that the loop needs."""
    return LoopSettings(**{name: settings[name] for name in LoopSettings.__dataclass_fields__ if name in settings})


def probe(model: nn.Module, settings: dict, device: torch.device, trial_step: Callable[[str], None]) -> float:
    """Settle the precision by trying, and return a step's seconds. Changes no weight.

    `trial_step(precision)` computes one step's loss and gradients.
    """
    before = random_state(device)
    with seconds_told("trying out a training step"):
        precision, seconds = choose_precision(settings["precision"], device, trial_step)
    settings["precision"] = processes.from_writer(lambda: precision)  # in another process the clock may say otherwise
    set_random_state(before, device)  # what dropout drew is not missing later
    # What updating adds: a step of a copy, with the gradients that the trial has left.
    twin = copy.deepcopy(model)
    for parameter, original in zip(twin.parameters(), model.parameters()):
        parameter.grad = original.grad  # which a copy does not have
    seconds += sum(seconds_of(optimizer.step, device) for optimizer in optimizers_for(twin, settings))
    model.zero_grad()
    return seconds


def command_line() -> str:
    """The command as it was typed, its program by the file's name alone. Several processes learn what one does."""
    return printable(rebuilt_command(["python", *typed_words()]))


def typed_words() -> list[str]:
    """The program and what was typed after it."""
    return [Path(sys.argv[0]).name, *sys.argv[1:]]
