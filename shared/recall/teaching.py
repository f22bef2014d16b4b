"""Teach a stage's model a puzzle: build it with as many parameters as the other stages', train it by THE loop."""

import math
from pathlib import Path

import torch
from torch import Generator, Tensor, nn

from shared.model.language_model import LanguageModel, num_parameters
from shared.recall.puzzles import Puzzle, Questions, random_source
from shared.run.cli import make_folder
from shared.run.optimizers import make_optimizers
from shared.run.training import LoopSettings, Task, train
from shared.stages import STAGES, load_stage, model_class

PARAMETERS = 30_000  # every model has about as many
# Each stage's own: the highest of .005, .01 and .02 with which it learns the latch and, if it ever does, adding. Tried
# with a seed that is not among the kept ones.
LEARNING_RATES = dict(zip(STAGES, (0.01, 0.02, 0.02, 0.005)))
WIDTHS = range(16, 257, 4)
NUM_HEADS = 1
VALIDATION_BATCHES = 2
CLIMB = 0.3  # the share of training in which distances rise
EVALUATIONS = 4
SCHEDULE = dict(warmup_steps=20, decay_share=0.6, gradient_clip=1.0)


def settings_of(stage: str, puzzle: Puzzle, window: int) -> dict:
    """What a stage's model is built with, but for its width: those of these settings that its constructor takes."""
    wanted = dict(num_layers=1, num_heads=NUM_HEADS, memory_length=window, context_length=window)
    names = load_stage(stage).model_settings
    if "context_length" in names:  # self-attention is all it has, so it needs as many blocks as the puzzle takes
        wanted["num_layers"] = puzzle.num_blocks
    return {name: value for name, value in wanted.items() if name in names}


def build(stage: str, vocab_size: int, settings: dict, seed: int, start: str = "own") -> LanguageModel:
    """A stage's own model, at the width that brings it nearest to PARAMETERS.

    `start`: with "uniform", recurrent layers begin as PyTorch's do, neither orthogonal nor with open forget gates.
    """

    def make(hidden_size: int) -> LanguageModel:
        return model_class(stage)(vocab_size, hidden_size=hidden_size, **settings)

    nearest = min(WIDTHS, key=lambda width: abs(num_parameters(make(width)) - PARAMETERS))
    torch.manual_seed(seed)
    model = make(nearest)
    if start == "uniform":
        for layer in (module for module in model.modules() if hasattr(module, "weight_hh_l0")):
            for parameter in layer.parameters():
                nn.init.uniform_(parameter, -(nearest**-0.5), nearest**-0.5)
    return model


def reach_at(step: int, max_steps: int, reaches: tuple[int, ...], generator: Generator) -> int:
    """The reach to practise at a step: any of those climbed so far, so that the short ones are not forgotten."""
    climbed = 1 + int(step / (CLIMB * max_steps) * (len(reaches) - 1))
    return reaches[torch.randint(min(climbed, len(reaches)), (), generator=generator)]


def answer_loss(model: LanguageModel, questions: Questions) -> tuple[Tensor, int]:
    """The cross-entropy of all answers in nats, summed, and their number.

    Nothing else in a sequence can be foreseen, so nothing else counts.
    """
    nats, _ = model.loss(questions.tokens, questions.answers, reduction="none")  # (B, T)
    return nats[questions.asked].sum(), int(questions.asked.sum())


def teach(
    model: LanguageModel, puzzle: Puzzle, reaches: tuple[int, ...], max_steps: int, identity: dict, out_dir: Path
) -> None:
    """Train on questions that are new at every step. The model is left with its last weights.

    `identity` (stage, settings with seed and optimizer) goes into the checkpoints in `out_dir`.
    """
    seed, learning_rate = identity["settings"]["seed"], LEARNING_RATES[identity["stage"]]
    fresh, held_out = random_source(seed, "training"), random_source(seed, "validation")
    unseen = [puzzle.batch(reaches[-1], held_out) for _ in range(VALIDATION_BATCHES)]

    def batch(step: int) -> Questions:
        return puzzle.batch(reach_at(step, max_steps, reaches, fresh), fresh)

    # Sequences have nothing to do with one another, so no state is carried from one to the next.
    def step(questions: Questions, carry: None) -> tuple[Tensor, int, None]:
        return *answer_loss(model, questions), None

    @torch.no_grad()
    def evaluate() -> float:
        losses = [answer_loss(model.eval(), questions) for questions in unseen]
        return sum(nats.item() for nats, _ in losses) / sum(count for _, count in losses)

    eval_interval = math.ceil(max_steps / EVALUATIONS)
    settings = LoopSettings(max_steps, learning_rate, eval_interval=eval_interval, **SCHEDULE)
    optimizers = make_optimizers(model, identity["settings"]["optimizer"], learning_rate, weight_decay=0.0)
    make_folder(out_dir, "--out")
    task = Task(batch, step, evaluate, "loss {:.3f}".format, unit="answers")
    train(model, optimizers, task, settings, out_dir, identity)
