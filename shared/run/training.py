"""THE loop: batch, loss, backward, clip, step; evaluate and save now and then. It knows nothing of language."""

import json
import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from tqdm import tqdm

from shared.errors import UserError
from shared.model.language_model import map_tensors
from shared.run.averaging import WeightAverage
from shared.run.checkpoint import save_checkpoint
from shared.run.cli import log
from shared.run.device import random_state, set_random_state
from shared.run.interrupts import StopSignal
from shared.run.optimizers import learning_rate_factor, set_learning_rate

LOG_INTERVAL = 10  # steps between two lines of metrics; fewer looks at a GPU's loss keep it busy
SAVE_SECONDS = 30  # a crash loses no more than this


@dataclass(frozen=True)
class Task:
    """What is learned. `step` and `evaluate` are all that the loop knows of it.

    batch(n) -> the batch of step n; step(batch, carry) -> (summed loss, number of terms, next carry);
    evaluate() -> mean loss on held-out data; describe(loss) -> a few words for the progress bar; unit: what the terms
    are; look(): whatever is worth seeing after an evaluation.
    """

    batch: Callable[[int], Any]
    step: Callable[[Any, Any], tuple[Tensor, int, Any]]
    evaluate: Callable[[], float]
    describe: Callable[[float], str]
    look: Callable[[], None] = lambda: None
    unit: str = "terms"


@dataclass(frozen=True)
class LoopSettings:
    """How long and how fast. Schedules count steps, so a slower machine learns the same."""

    max_steps: int
    learning_rate: float
    warmup_steps: int
    decay_share: float
    gradient_clip: float
    eval_interval: int
    average_share: float = 0.0  # of all steps, in the average of the weights that is scored and kept; 0 for no average


@dataclass
class Progress:
    """Where a run stands; saved with last.pt, and all that a resumed run needs to know of the past but its tensors."""

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
    KeyboardInterrupt after a Ctrl-C, when last.pt is written, and UserError where the loss stops being a number.
    """
    average = WeightAverage(model, settings.average_share * settings.max_steps)
    path = out_dir / "metrics.jsonl"
    progress, carry, (interval_loss, interval_count) = restore(model, optimizers, average, resume, path)
    metrics = open(path, "a" if resume else "w", encoding="utf-8", newline="\n")
    bar = tqdm(total=settings.max_steps, initial=progress.step, unit="step", dynamic_ncols=True, mininterval=0.5)
    started = saved = interval_started = time.perf_counter()
    seconds_before = progress.seconds

    def save_last() -> None:
        progress.seconds = seconds_before + time.perf_counter() - started
        states = {"optimizers": [optimizer.state_dict() for optimizer in optimizers], "average": average.state_dict()}
        # Cloned, because a window of a larger tensor would be saved with all of it.
        states |= {"carry": map_tensors(Tensor.clone, carry), "interval": (interval_loss, interval_count)}
        states |= {"random": random_state(interval_loss.device)}
        save_checkpoint(out_dir / "last.pt", checkpoint(model, identity, progress) | states)

    with StopSignal() as stop, metrics, bar:
        while progress.step < settings.max_steps:
            model.train()
            rate = settings.learning_rate * learning_rate_factor(
                progress.step, settings.max_steps, settings.warmup_steps, settings.decay_share
            )
            set_learning_rate(optimizers, rate)
            loss, count, carry = task.step(task.batch(progress.step), carry)
            (loss / count).backward()
            nn.utils.clip_grad_norm_(model.parameters(), settings.gradient_clip)
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad()
            average.update()
            progress.step += 1
            progress.tokens += count
            interval_loss, interval_count = interval_loss + loss.detach(), interval_count + count
            bar.update()

            last = progress.step == settings.max_steps
            due = last or progress.step % settings.eval_interval == 0
            if due or progress.step % LOG_INTERVAL == 0:
                record = {"train_loss": interval_loss.item() / interval_count, "learning_rate": rate}
                speed = interval_count / (time.perf_counter() - interval_started)
                bar.set_postfix_str(f"{task.describe(record['train_loss'])}, {speed:,.0f} {task.unit}/s")
                interval_loss, interval_count = torch.zeros_like(interval_loss), 0
                with average.lend() if due else nullcontext():
                    if due:
                        record["validation_loss"] = task.evaluate()
                    if not all(map(math.isfinite, record.values())):
                        raise UserError(f"the loss is no number after step {progress.step}; lower --learning-rate")
                    progress.seconds = seconds_before + time.perf_counter() - started
                    where = {"step": progress.step, "tokens": progress.tokens, "seconds": progress.seconds}
                    metrics.write(json.dumps(where | record) + "\n")
                    metrics.flush()
                    if due and record["validation_loss"] < progress.best_loss:
                        progress.best_loss, progress.best_step = record["validation_loss"], progress.step
                        save_checkpoint(out_dir / "best.pt", checkpoint(model, identity, progress))
                    interval_started = time.perf_counter()
                    if due:
                        log(f"step {progress.step:,}: validation {task.describe(record['validation_loss'])}")
                        task.look()
            if due or stop.requested or time.perf_counter() - saved > SAVE_SECONDS:
                save_last()
                saved = time.perf_counter()
            if stop.requested:
                raise KeyboardInterrupt
    return progress


def checkpoint(model: nn.Module, identity: dict, progress: Progress) -> dict:
    """What a checkpoint holds at least: who the model is, its weights and how far it came."""
    return identity | {"weights": model.state_dict(), "progress": asdict(progress)}


def restore(model: nn.Module, optimizers: list[Optimizer], average: WeightAverage, saved: dict | None, metrics: Path):
    """Put everything back as it was when last.pt was written -> progress, carry, (loss, count) not yet in a record."""
    device = next(model.parameters()).device
    if saved is None:
        return Progress(), None, (torch.zeros((), device=device), 0)
    model.load_state_dict(saved["weights"])
    for optimizer, state in zip(optimizers, saved["optimizers"]):
        optimizer.load_state_dict(state)
    average.load_state_dict(saved.get("average", {}))
    set_random_state(saved["random"], device)
    progress = Progress(**saved["progress"])
    # Lines that were written after the checkpoint will be written again; a crash may have cut off the last one.
    if metrics.exists():
        lines = [line for line in metrics.read_text(encoding="utf-8").splitlines() if line.endswith("}")]
        kept = [line + "\n" for line in lines if json.loads(line)["step"] <= progress.step]
        metrics.write_text("".join(kept), encoding="utf-8", newline="\n")
    carry, interval = map_tensors(lambda tensor: tensor.to(device), (saved["carry"], saved["interval"]))
    return progress, carry, interval
