"""How far back can each stage look? All four learn lag, copy and associative recall, where the right place is known.

    python -m shared.recall                       every task and stage: about six minutes on one core
    python -m shared.recall --quick               short distances, few steps: about one minute
    python -m shared.recall --task copy           one task; --stage chooses one model

Every stage trains for the same number of steps on the same questions. Those with a cell have one layer of it, the last
one or two blocks, as the task needs; all are as wide as brings them nearest to PARAMETERS. Distances rise during
training: short ones are learned first. Then come fresh questions: how many are answered rightly at which distance, and
how much attention falls on the place of the answer. That is told of the layer that does best on other questions.
Windows are longer than all distances.

The stage with a cell and attention has the cell of stage 1 here, so that attention alone is what it has more. With an
LSTM it does not learn to look in so few steps (try --cell lstm).
"""

import json
import math
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Generator, Tensor

from shared.model.language_model import LanguageModel
from shared.recall.scores import ask_all, best_head, score
from shared.recall.tasks import TASKS, Questions, RecallTask
from shared.run.cli import ArgumentParser, log, make_folder, number, rebuilt_command, run_main
from shared.run.optimizers import make_optimizers
from shared.run.records import machine, read_json, write_json
from shared.run.training import LoopSettings, Task, train
from shared.show.curves import recall_figure
from shared.show.figures import save_figure
from shared.stages import ROOT, STAGES, load_stage, model_class

PARAMETERS = 100_000
WIDTHS = range(16, 257, 4)
NUM_HEADS = 1
BATCH_TOKENS = 2048  # a step reads as many whole sequences as fit into so many tokens
VALIDATION_BATCHES, CHOOSING_BATCHES, TEST_BATCHES = 2, 4, 16
CLIMB = 0.3  # the share of training in which distances rise
EVALUATIONS = 4
SCHEDULE = dict(warmup_steps=20, decay_share=0.6, gradient_clip=1.0)


@dataclass(frozen=True)
class Recipe:
    """How long a stage learns a task, and up to which reach; `cell` is that of the stage with attention and a cell."""

    max_steps: int
    longest: int
    cell: str = "rnn"


PRESETS = {"default": Recipe(max_steps=800, longest=64), "quick": Recipe(max_steps=200, longest=16)}


# ------------------------------------------------------------------------------------------------------------ training


def settings_of(stage: str, task: RecallTask, window: int, cell: str) -> dict:
    """What a stage's model is built with, but for its width: those of these settings that its constructor takes."""
    wanted = dict(num_layers=1, num_heads=NUM_HEADS, memory_length=window, context_length=window)
    names = load_stage(stage).model_settings
    if "attention" in names:
        wanted["cell"] = cell
    elif "num_heads" in names:  # attention is all it has
        wanted["num_layers"] = task.num_blocks
    return {name: value for name, value in wanted.items() if name in names}


def build(stage: str, vocab_size: int, settings: dict, seed: int) -> LanguageModel:
    """A stage's own model, at the width that brings it nearest to PARAMETERS."""

    def make(hidden_size: int) -> LanguageModel:
        torch.manual_seed(seed)
        return model_class(stage)(vocab_size, hidden_size=hidden_size, **settings)

    return min(map(make, WIDTHS), key=lambda model: abs(num_parameters(model) - PARAMETERS))


def num_parameters(model: LanguageModel) -> int:
    """How many numbers the model learns."""
    return sum(parameter.numel() for parameter in model.parameters())


def random_source(seed: int, use: str) -> Generator:
    """Random numbers for one use, independent of those for the others."""
    uses = ("training", "validation", "choosing", "test")
    return Generator().manual_seed(len(uses) * seed + uses.index(use))


def reach_at(step: int, max_steps: int, reaches: tuple[int, ...], generator: Generator) -> int:
    """The reach to practise at a step: any of those climbed so far, so that the short ones are not forgotten."""
    climbed = 1 + int(step / (CLIMB * max_steps) * (len(reaches) - 1))
    return reaches[torch.randint(min(climbed, len(reaches)), (), generator=generator)]


def answer_loss(model: LanguageModel, questions: Questions) -> tuple[Tensor, int]:
    """The nats of all answers, and their number. Nothing else in a sequence can be foreseen, so nothing else counts."""
    nats, _ = model.loss(questions.tokens, questions.answers, reduction="none")  # (B, T)
    return nats[questions.asked].sum(), int(questions.asked.sum())


def teach(
    model: LanguageModel, task: RecallTask, reaches: tuple[int, ...], max_steps: int, identity: dict, out_dir: Path
) -> None:
    """Train on questions that are new at every step. The model is left with its last weights.

    `identity` (stage, settings with a seed) goes into the checkpoints in `out_dir`.
    """
    seed = identity["settings"]["seed"]
    fresh, held_out = random_source(seed, "training"), random_source(seed, "validation")
    unseen = [task.generate(reaches[-1], BATCH_TOKENS, held_out) for _ in range(VALIDATION_BATCHES)]

    def batch(step: int) -> Questions:
        return task.generate(reach_at(step, max_steps, reaches, fresh), BATCH_TOKENS, fresh)

    def step(questions: Questions, carry: None) -> tuple[Tensor, int, None]:
        return *answer_loss(model, questions), None

    @torch.no_grad()
    def evaluate() -> float:
        losses = [answer_loss(model.eval(), questions) for questions in unseen]
        return sum(nats.item() for nats, _ in losses) / sum(count for _, count in losses)

    eval_interval = math.ceil(max_steps / EVALUATIONS)
    settings = LoopSettings(max_steps, task.learning_rate, eval_interval=eval_interval, **SCHEDULE)
    optimizers = make_optimizers(model, "muon", task.learning_rate, weight_decay=0.0)
    make_folder(out_dir, "--out")
    loop_task = Task(batch, step, evaluate, "loss {:.3f}".format, unit="answers")
    train(model, optimizers, loop_task, settings, out_dir, identity)


# ----------------------------------------------------------------------------------------------- measuring, reporting


def measure(model: LanguageModel, task: RecallTask, reach: int, seed: int) -> list[dict]:
    """Choose a head on some questions; score it and the answers on others -> a row a distance."""
    choosing, test = random_source(seed, "choosing"), random_source(seed, "test")
    head = best_head(ask_all(model, (task.generate(reach, BATCH_TOKENS, choosing) for _ in range(CHOOSING_BATCHES))))
    replies = ask_all(model, (task.generate(reach, BATCH_TOKENS, test) for _ in range(TEST_BATCHES)))
    layer = None if head is None else head // NUM_HEADS + 1
    return [row | {"layer": layer} for row in score(replies, head)]


def examine(stage: str, task: RecallTask, recipe: Recipe, seed: int, out_dir: Path) -> dict:
    """Train one stage on one task, measure it at the longest reach of every course -> what came out."""
    began, courses, rows = time.perf_counter(), task.courses(recipe.longest), []
    for reaches in courses:
        settings = settings_of(stage, task, 2 * reaches[-1] + 2, recipe.cell)
        model = build(stage, task.vocab_size, settings, seed)
        identity = {"stage": stage, "settings": settings | {"task": task.title, "reaches": reaches, "seed": seed}}
        max_steps = math.ceil(recipe.max_steps / len(courses))
        teach(model, task, reaches, max_steps, identity, out_dir / f"reach-{reaches[-1]}")
        rows += measure(model, task, reaches[-1], seed)
    return {
        "settings": settings | {"hidden_size": model.embedding.embedding_dim},
        "parameters": num_parameters(model),
        "seconds": round(time.perf_counter() - began, 1),
        "rows": rows,
    }


def label(stage: str, result: dict) -> str:
    """The stage's name, and its cell where that was chosen."""
    return f"{stage}, {result['settings']['cell']} cell" if "cell" in result["settings"] else stage


def table(found: dict) -> str:
    """One task: a line of accuracies a stage and, where there is attention, a line of its mass on the answers."""
    distances = [row["distance"] for row in next(iter(found["stages"].values()))["rows"]]
    lines = [f"{found['task']}: a guess is right in {found['chance']:.3f}"]
    lines.append("distance up to".ljust(46) + cells(distances, "d"))
    for stage, result in found["stages"].items():
        lines.append(
            f"{label(stage, result):35}accuracy   " + cells([row["accuracy"] for row in result["rows"]], ".3f")
        )
        if result["rows"][0]["mass"] is not None:
            lines.append(f"{'':35}attention  " + cells([row["mass"] for row in result["rows"]], ".3f"))
    return "\n".join(lines)


def cells(values: list, form: str) -> str:
    """Numbers in columns."""
    return "".join(f"{value:{form}}".rjust(7) for value in values)


def draw(folder: Path, preset: str, last: dict) -> Path:
    """Draw all tasks that the folder holds and that ran with the last one's recipe and seed -> the picture's path."""
    paths = [result_path(folder, preset, name) for name in TASKS]
    results = [read_json(path) for path in paths if path.exists()]
    alike = [result for result in results if all(result[name] == last[name] for name in ("recipe", "seed"))]
    tasks = {}
    for result in alike:
        named = {label(stage, found): found for stage, found in result["stages"].items()}
        tasks[result["task"]] = result | {"stages": named}
    path = folder / f"recall-{preset}.png"
    save_figure(recall_figure(tasks, "How far back can each stage look?"), path)
    return path


def result_path(folder: Path, preset: str, name: str) -> Path:
    """The file for what one task found."""
    return folder / f"recall-{preset}-{name}.json"


def kept_stages(path: Path, content: dict) -> dict:
    """What the file already holds, if it is of the same recipe and seed: with --stage, the others stay."""
    old = read_json(path) if path.exists() else {}
    old_recipe, recipe = (json.dumps([each.get(name) for name in ("recipe", "seed")]) for each in (old, content))
    return old["stages"] if old_recipe == recipe else {}


def parse_flags():
    """The command line."""
    parser = ArgumentParser(prog="python -m shared.recall", description=__doc__)
    parser.add_argument("--task", choices=TASKS, help="only this one")
    parser.add_argument("--stage", choices=STAGES, help="only this one")
    parser.add_argument("--quick", action="store_true", help="short distances, few steps: about one minute")
    why = "training steps a task; copy shares them among its models"
    parser.add_argument("--max-steps", type=number(int, low=1), help=why)
    parser.add_argument(
        "--cell", choices=("rnn", "lstm", "gru"), default="rnn", help="of the stage with a cell and attention [rnn]"
    )
    parser.add_argument("--seed", type=number(int, low=0, high=1e9), default=1, help="fixes weights and questions [1]")
    parser.add_argument("--out", type=Path, default=ROOT / "comparison", help="where results go [comparison]")
    return parser.parse_args()


def main() -> None:
    """Task by task: train, ask, print, keep the numbers and draw them."""
    flags = parse_flags()
    preset = "quick" if flags.quick else "default"
    recipe = replace(PRESETS[preset], cell=flags.cell)
    if flags.max_steps:
        recipe = replace(recipe, max_steps=flags.max_steps)
    if recipe != PRESETS[preset] or flags.seed != 1:
        preset = "own"  # flags of one's own never overwrite what a preset's long run found
    for name in [flags.task] if flags.task else TASKS:
        found, task = {}, TASKS[name]
        for stage in [flags.stage] if flags.stage else STAGES:
            log(f"{task.title}: training {stage}")
            found[stage] = examine(stage, task, recipe, flags.seed, flags.out / "recall" / name / stage)
        content = {
            "command": rebuilt_command(["python", "-m", "shared.recall", *sys.argv[1:]], drop=["--out"]),
            "seed": flags.seed,
            "recipe": asdict(recipe),
            "machine": machine(),
        }
        path = result_path(flags.out, preset, name)
        found = kept_stages(path, content) | found
        found = {stage: found[stage] for stage in STAGES if stage in found}
        content |= {"task": task.title, "chance": 1 / task.num_symbols, "stages": found}
        print(table(content), end="\n\n", flush=True)
        write_json(path, content)
        picture = draw(flags.out, preset, read_json(path))
    print(f"kept        {picture} and the numbers beside it")


if __name__ == "__main__":
    run_main(main)
