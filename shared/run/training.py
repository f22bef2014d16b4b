"""THE loop: batch, loss, backward, clip, step; evaluate and save now and then. It knows nothing of language.

Start at `train`, which tells the story; each of its lines is a method of `Loop` below it.
"""

import json
import math
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from tqdm import tqdm

from shared.errors import UserError
from shared.model.language_model import map_tensors
from shared.run import processes
from shared.run.averaging import WeightAverage
from shared.run.checkpoint import save_checkpoint
from shared.run.cli import bar_size, lacks_memory, log
from shared.run.content import check_tensors
from shared.run.device import random_state, set_random_state
from shared.run.folder import cannot_go_on
from shared.run.interrupts import StopSignal
from shared.run.optimizers import learning_rate_factor, optimizer_states, set_learning_rate
from shared.run.records import read_records, write_text
from shared.run.restore import another_version

LOG_INTERVAL = 10  # steps between two lines of metrics
LOOK_AT_ONCE = {"cpu"}  # a GPU would have to be waited for at each step
SAVE_SECONDS = 30  # a crash loses no more work than this


@dataclass(frozen=True)
class Task:
    """What is learned. `batch`, `step` and `evaluate` are all that the loop knows of it.

    batch(n)            the batch of step n
    step(batch, carry)  -> summed loss, number of terms in the sum, and what the next step starts from
    evaluate()          -> mean loss on held-out data
    describe(loss)      -> a few words for the progress bar
    look()              whatever is worth seeing after an evaluation
    unit                what the terms are: "tokens", say
    watch(step, tokens, seconds)   called before the first step and after each: what there is to see of the learning
    try_carry(carry)    fails where no step can start from a carry that came in a file
    """

    batch: Callable[[int], Any]
    step: Callable[[Any, Any], tuple[Tensor, int, Any]]
    evaluate: Callable[[], float]
    describe: Callable[[float], str]
    look: Callable[[], None] = lambda: None
    unit: str = "terms"
    watch: Callable[[int, int, float], None] = lambda step, tokens, seconds: None
    try_carry: Callable[[Any], None] = lambda carry: None


@dataclass(frozen=True)
class LoopSettings:
    """How long and how fast. Schedules count steps, so a slower machine learns the same."""

    max_steps: int
    learning_rate: float
    warmup_steps: int
    decay_share: float
    gradient_clip: float
    eval_interval: int
    average_share: float = 0.0  # of all steps, in the moving average of the weights that is scored; 0 for no average


@dataclass
class Progress:
    """Where a run stands; saved with every checkpoint, since a resumed run has to know it."""

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    best_loss: float = float("inf")
    best_step: int = 0


def train(
    model: nn.Module,
    optimizers: list[Optimizer],
    task: Task,
    settings: LoopSettings,
    out_dir: Path,
    identity: dict,
    resume: dict | None = None,
) -> Progress:
    """Train until `max_steps`, leaving best.pt, last.pt and metrics.jsonl in `out_dir`.

    `identity` goes into each checkpoint beside the weights; `resume` is the content of a last.pt. Raises
    KeyboardInterrupt with the signal's number after a Ctrl-C, when last.pt is written, and UserError where the loss
    stops being a number.
    """
    loop = Loop(model, optimizers, task, settings, out_dir, identity)
    if resume is not None:
        loop.restore(resume)
    elif processes.is_writer():
        write_text(out_dir / "metrics.jsonl", "")

    with StopSignal() as stop, loop.open_bar():
        loop.watch()
        if processes.size() > 1:
            loop.save_last()  # whichever of them may end, there is something to go on from
        while loop.progress.step < settings.max_steps:
            # Learn from one batch.
            stopping, saving = loop.training_step(stop)
            loop.watch()

            # Every few steps, write down how it goes; more rarely, score the model on text that it does not learn from.
            evaluation_due = loop.evaluation_due()
            if evaluation_due:
                loop.evaluate_and_keep_best()
            elif loop.progress.step % LOG_INTERVAL == 0:
                loop.write_record(loop.end_interval())

            # Save what a resumed run needs. Ctrl-C waits for the step at hand, so that nothing is half done here.
            if evaluation_due or stopping or saving:
                loop.save_last()
            if stopping:
                raise KeyboardInterrupt(stop.number)
        if stop.requested:  # while the last step was scored
            raise KeyboardInterrupt(stop.number)
    return loop.progress


class Loop:
    """The state of a training run, and what is done with it at each step."""

    def __init__(
        self,
        model: nn.Module,
        optimizers: list[Optimizer],
        task: Task,
        settings: LoopSettings,
        out_dir: Path,
        identity: dict,
    ):
        self.model, self.optimizers, self.task, self.settings = model, optimizers, task, settings
        self.out_dir, self.identity = out_dir, identity
        self.average = WeightAverage(model, settings.average_share * settings.max_steps)
        self.progress = Progress()
        self.carry = None  # what the next step starts from: the state of a recurrent model, say
        self.learning_rate = 0.0  # of the last step; the schedule sets it
        # Summed loss and number of terms since the last record. The sum stays where the model is: `.item()` waits until
        # a GPU has done all that was asked of it, so the loss is fetched for a record only.
        self.device = next(model.parameters()).device
        self.interval_loss, self.interval_count = torch.zeros((), device=self.device), 0
        # The first step whose loss or gradient was no number; 0 while there is none. It stays on the device likewise.
        self.bad_step = torch.zeros((), dtype=torch.int64, device=self.device)
        self.saved_step = 0  # of last.pt
        self.seed = torch.initial_seed()  # of dropout, in other processes than the first
        self.started = self.last_save = self.interval_started = time.perf_counter()
        self.seconds_before = 0.0  # of a run that is resumed, until it was stopped

    # -------------------------------------------------------------------------------------------------------- a step

    def training_step(self, stop: StopSignal) -> tuple[bool, ...]:
        """One batch: forward, backward, clip, update. Return whether to stop then, and whether to save."""
        step, settings = self.progress.step, self.settings
        self.model.train()  # the last evaluation had switched dropout off
        self.learning_rate = settings.learning_rate * learning_rate_factor(
            step, settings.max_steps, settings.warmup_steps, settings.decay_share
        )
        set_learning_rate(self.optimizers, self.learning_rate)

        # Forward. The task calls the model (for the stages: `language_task` in language_modeling.py), and gives the
        # loss of this batch and the carry, cut off from the gradients of the past. A recurrent model thus learns by
        # truncated backpropagation through time.
        processes.draw_otherwise(self.seed, step)
        loss, count, self.carry = self.task.step(processes.share(self.task.batch(step)), self.carry)
        # Backward. The mean, so that the size of a batch does not change the size of a step.
        (loss / count).backward()
        # Where several processes share the batch, all that follows is of the whole of it, and the same in each of them.
        wishes = stop.requested, self.save_due()
        loss, count, wishes = processes.sum_step(self.model, loss.detach(), count, wishes)
        # One unusual batch can have gradients that would undo much of what was learned.
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), settings.gradient_clip)
        # A step by a gradient that is no number would leave no weight that is one.
        self.look_for_numbers(loss, norm)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad()  # else the next backward pass would add to these gradients
        self.average.update()

        self.progress.step += 1
        self.progress.tokens += count  # or whatever the terms are
        self.interval_loss, self.interval_count = self.interval_loss + loss, self.interval_count + count
        self.bar.update()
        return wishes

    def look_for_numbers(self, loss: Tensor, norm: Tensor) -> None:
        """Note where loss or gradient first is no number, and look at once where no device has to be waited for."""
        bad = (self.bad_step == 0) & ~(loss.isfinite() & norm.isfinite())
        self.bad_step = torch.where(bad, self.progress.step + 1, self.bad_step)
        if self.device.type in LOOK_AT_ONCE:
            self.check_numbers()

    def check_numbers(self) -> None:
        """UserError where a loss or gradient was no number. To be asked before anything is written of these steps."""
        if bad_step := int(self.bad_step):
            raise self.no_number("loss or its gradient is", bad_step)

    def no_number(self, what: str, step: int) -> UserError:
        """What to say and do where training has left the numbers; no further step leads back."""
        way_on = "train again with a lower --learning-rate"
        if self.saved_step:
            last = self.out_dir / "last.pt"
            way_on = f"{last} is from step {self.saved_step}: go on there with --resume and a lower --learning-rate"
        return UserError(f"the {what} no number in step {step}; {way_on} than {self.settings.learning_rate:g}")

    # ------------------------------------------------------------------------------------------------ how it is going

    def evaluation_due(self) -> bool:
        """Is it time to score the model? At the end in any case."""
        step = self.progress.step
        return step == self.settings.max_steps or step % self.settings.eval_interval == 0

    def end_interval(self) -> dict:
        """A record of the steps since the last one: their mean loss, and the learning rate. Begins a new interval."""
        self.check_numbers()
        record = {"train_loss": self.interval_loss.item() / self.interval_count, "learning_rate": self.learning_rate}
        speed = self.interval_count / (time.perf_counter() - self.interval_started)
        told = self.task.describe(record["train_loss"])
        wide = shutil.get_terminal_size().columns >= 100  # elsewhere the bar itself needs the room
        self.bar.set_postfix_str(f"{told}, {speed:,.0f} {self.task.unit}/s" if wide else told)
        self.interval_loss, self.interval_count = torch.zeros_like(self.interval_loss), 0
        self.interval_started = time.perf_counter()
        return record

    def evaluate_and_keep_best(self) -> None:
        """Score the model on held-out data, and write best.pt if it has never been better."""
        record, progress = self.end_interval(), self.progress
        if not processes.is_writer():
            return
        # Where there is a moving average of the weights, that is what is scored and kept: so best.pt may hold averaged
        # weights. The model goes on learning from its own, so last.pt never does.
        with self.average.in_use():
            record["validation_loss"] = self.task.evaluate()
            self.write_record(record)
            best = self.out_dir / "best.pt"
            if record["validation_loss"] < progress.best_loss or not best.is_file():  # which somebody may have deleted
                progress.best_loss, progress.best_step = record["validation_loss"], progress.step
                save_checkpoint(best, self.checkpoint())
            log(f"step {progress.step:,}: validation {self.task.describe(record['validation_loss'])}")
            self.task.look()
        self.interval_started = time.perf_counter()  # the speed shown is that of training alone

    def write_record(self, record: dict) -> None:
        """A line of metrics.jsonl. UserError where a loss is no number any more."""
        if not all(map(math.isfinite, record.values())):
            raise self.no_number("loss is", self.progress.step)
        if not processes.is_writer():
            return
        self.count_seconds()
        where = {"step": self.progress.step, "tokens": self.progress.tokens, "seconds": self.progress.seconds}
        path = self.out_dir / "metrics.jsonl"
        try:
            # Opened for each line: should somebody delete the folder meanwhile, it is made again, as it is for weights.
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(path, "a", encoding="utf-8", newline="\n") as file:
                file.write(json.dumps(where | record) + "\n")
        except OSError as error:
            raise cannot_go_on(path, error) from error

    def watch(self) -> None:
        """Show the task how far the training has come."""
        self.count_seconds()
        if processes.is_writer():
            self.task.watch(self.progress.step, self.progress.tokens, self.progress.seconds)

    def count_seconds(self) -> None:
        """Bring the run's seconds up to date, those before it was resumed included."""
        self.progress.seconds = self.seconds_before + time.perf_counter() - self.started

    def open_bar(self) -> tqdm:
        """The progress bar, at the step where the run stands."""
        total, done = self.settings.max_steps, self.progress.step
        form = "{percentage:3.0f}%|{bar}|{remaining} left{postfix}"
        self.bar = tqdm(total=total, initial=done, bar_format=form, mininterval=0.5, **bar_size())
        return self.bar

    # ------------------------------------------------------------------------------------------- saving and resuming

    def save_due(self) -> bool:
        """Would a crash lose much by now?"""
        return time.perf_counter() - self.last_save > SAVE_SECONDS

    def save_last(self) -> None:
        """Write last.pt: all that a resumed run needs to go on exactly as if it had never been stopped."""
        self.check_numbers()
        self.count_seconds()
        carry = processes.all_lanes(self.carry)
        if processes.is_writer():
            state = {
                "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
                "average": self.average.state_dict(),
                # Cloned, because torch.save writes the whole tensor of which a carried window is only a part.
                "carry": map_tensors(Tensor.clone, carry),
                "interval": (self.interval_loss, self.interval_count),
                "random": random_state(self.device),  # what dropout draws next
            }
            save_checkpoint(self.out_dir / "last.pt", self.checkpoint() | state)
        self.last_save, self.saved_step = time.perf_counter(), self.progress.step

    def checkpoint(self) -> dict:
        """What best.pt and last.pt both hold: who the model is, its weights and how far it came.

        UserError where the weights are no numbers, or so large that what is computed from them will be none.
        """
        if not nn.utils.get_total_norm(self.model.parameters()).isfinite():
            raise self.no_number("weights are", self.progress.step)
        return self.identity | {"weights": self.model.state_dict(), "progress": asdict(self.progress)}

    def restore(self, saved: dict) -> None:
        """Put everything back as it was when last.pt was written. UserError where it is another model's."""
        try:
            check_tensors(saved["weights"], self.model.state_dict(), "weights")
            check_tensors(saved.get("average", {}), self.average.state_dict(), "average")
            states = optimizer_states(self.optimizers, saved["optimizers"])
        except ValueError as error:
            raise another_version(self.out_dir / "last.pt", error) from error
        self.model.load_state_dict(saved["weights"])
        for optimizer, state in zip(self.optimizers, states):
            optimizer.load_state_dict(state)
        self.average.load_state_dict(saved.get("average", {}))
        self.progress = Progress(**saved["progress"])
        self.seconds_before, self.saved_step = self.progress.seconds, self.progress.step
        self.carry, (self.interval_loss, self.interval_count) = map_tensors(
            lambda tensor: tensor.to(self.device), (processes.share(saved["carry"]), saved["interval"])
        )
        try:
            self.task.try_carry(self.carry)
        except (RuntimeError, IndexError, TypeError, ValueError, AttributeError) as error:
            if lacks_memory(error):
                raise
            raise another_version(self.out_dir / "last.pt", ValueError("no step can start from its carry")) from error
        set_random_state(saved["random"], self.device)
        if processes.is_writer():
            drop_records_after(self.out_dir / "metrics.jsonl", self.progress.step)


def drop_records_after(path: Path, step: int) -> None:
    """Take back the lines of metrics.jsonl that were written after last.pt: a resumed run writes them again."""
    if path.exists():
        kept = [json.dumps(record) + "\n" for record in read_records(path) if record["step"] <= step]
        write_text(path, "".join(kept))
