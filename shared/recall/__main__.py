"""How far back can each stage look? All four learn three puzzles in which the right place is known.

    python -m shared.recall                       every puzzle and stage: about six minutes on one core
    python -m shared.recall --quick               short distances, few steps: about one minute
    python -m shared.recall --task copy           one puzzle; --stage chooses one model

    lag           marks among random symbols: "which symbol stood 7 tokens ago?"
    copy          a string of random symbols, to be written a second time
    associative   pairs of a key and a value: "which value came with this key?"

Every stage trains for the same number of steps on the same kind of questions, and has about 100,000 parameters. Stages
1 to 3 have one layer, the transformer as many blocks as the puzzle takes: one, or two for associative recall. In
training, distances rise: short ones are learned first. Then come fresh questions. The table says which share of them is
answered rightly at which distance and, where there is attention, which share of it lies on the place of the answer (in
the layer that looks there most, chosen on other questions). Windows are longer than all distances.

The stage with a cell and attention has stage 1's plain cell here, so that attention is all that it has beyond stage 1.
With an LSTM it does not learn to look in so few steps (try --cell lstm).
"""

import argparse
import json
import math
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from shared.run.cli import ArgumentParser, log, number, read_flags, rebuilt_command, run_main, wait_briefly
from shared.stages import ROOT, STAGES


def parse_flags() -> argparse.Namespace:
    """The command line."""
    parser = ArgumentParser(prog="python -m shared.recall", description=__doc__)
    parser.add_argument("--task", choices=("lag", "copy", "associative"), help="only this puzzle")
    parser.add_argument("--stage", choices=STAGES, help="only this one")
    parser.add_argument("--quick", action="store_true", help="short distances, few steps: about one minute")
    why = "training steps a puzzle; copy shares them among its models, one for each length"
    parser.add_argument("--max-steps", type=number(int, low=1), help=why)
    parser.add_argument(
        "--cell", choices=("rnn", "lstm", "gru"), default="rnn", help="of the stage with a cell and attention [rnn]"
    )
    parser.add_argument("--seed", type=number(int, low=0, high=1e9), default=1, help="fixes weights and questions [1]")
    parser.add_argument("--out", type=Path, default=ROOT / "comparison", help="where results go [comparison]")
    return parser.parse_args()


if __name__ == "__main__":
    read_flags(parse_flags)  # before PyTorch is imported, which takes a second
    wait_briefly()

from shared.model.language_model import num_parameters
from shared.recall.puzzles import PUZZLES, Puzzle
from shared.recall.scores import measure
from shared.recall.teaching import build, settings_of, teach
from shared.run.records import machine, read_json, write_json
from shared.show.curves import recall_figure
from shared.show.figures import save_figure
from shared.show.tables import for_terminal


@dataclass(frozen=True)
class Recipe:
    """How long a stage learns a puzzle, and up to which reach; `cell`: of the stage that has a cell and attention."""

    max_steps: int
    longest: int
    cell: str = "rnn"


PRESETS = {"default": Recipe(max_steps=800, longest=64), "quick": Recipe(max_steps=200, longest=16)}


def examine(stage: str, puzzle: Puzzle, recipe: Recipe, seed: int, out_dir: Path) -> dict:
    """Train one stage on one puzzle, measure it at the longest reach of every course -> what came out."""
    began, courses, rows = time.perf_counter(), puzzle.courses(recipe.longest), []
    for reaches in courses:
        window = 2 * reaches[-1] + 2  # no sequence is longer, so nothing is out of sight
        settings = settings_of(stage, puzzle, window, recipe.cell)
        model = build(stage, puzzle.vocab_size, settings, seed)
        identity = {"stage": stage, "settings": settings | {"task": puzzle.title, "reaches": reaches, "seed": seed}}
        max_steps = math.ceil(recipe.max_steps / len(courses))
        teach(model, puzzle, reaches, max_steps, identity, out_dir / f"reach-{reaches[-1]}")
        rows += measure(model, puzzle, reaches[-1], seed)
    return {
        "settings": settings | {"hidden_size": model.embedding.embedding_dim},
        "parameters": num_parameters(model),
        "seconds": round(time.perf_counter() - began, 1),
        "rows": rows,
    }


# ------------------------------------------------------------------------------------------------- printing and keeping


def label(stage: str, result: dict) -> str:
    """The stage's name, and its cell where that was chosen."""
    return f"{stage}, {result['settings']['cell']} cell" if "cell" in result["settings"] else stage


def table(found: dict) -> str:
    """One puzzle: a line of accuracies a stage and, where there is attention, a line of its mass on the answers."""
    distances = [row["distance"] for row in next(iter(found["stages"].values()))["rows"]]
    lines = [["distance up to", *map(str, distances)]]
    for stage, result in found["stages"].items():
        for name in ("accuracy", "mass"):
            values = [row[name] for row in result["rows"]]
            if None not in values:
                title = f"{label(stage, result):35}accuracy" if name == "accuracy" else f"{'':35}attention"
                lines.append([title, *(f"{value:.3f}" for value in values)])
    return f"{found['task']}: a guess is right in {found['chance']:.3f}\n{for_terminal(lines)}"


def draw(folder: Path, preset: str, last: dict) -> Path:
    """Draw all puzzles that the folder holds and that ran with the last one's recipe and seed -> the picture's path."""
    paths = [result_path(folder, preset, name) for name in PUZZLES]
    results = [read_json(path) for path in paths if path.exists()]
    alike = [result for result in results if all(result[name] == last[name] for name in ("recipe", "seed"))]
    puzzles = {}
    for result in alike:
        named = {label(stage, found): found for stage, found in result["stages"].items()}
        puzzles[result["task"]] = result | {"stages": named}
    path = folder / f"recall-{preset}.png"
    save_figure(recall_figure(puzzles, "How far back can each stage look?"), path)
    return path


def result_path(folder: Path, preset: str, name: str) -> Path:
    """The file for what was found with one puzzle."""
    return folder / f"recall-{preset}-{name}.json"


def kept_stages(path: Path, content: dict) -> dict:
    """What the file already holds, if it is of the same recipe and seed: with --stage, the others stay."""
    old = read_json(path) if path.exists() else {}
    old_recipe, recipe = (json.dumps([each.get(name) for name in ("recipe", "seed")]) for each in (old, content))
    return old["stages"] if old_recipe == recipe else {}


# --------------------------------------------------------------------------------------------------------- the command


def main() -> None:
    """Puzzle by puzzle: train, ask, print, keep the numbers and draw them."""
    flags = parse_flags()
    preset = "quick" if flags.quick else "default"
    recipe = replace(PRESETS[preset], cell=flags.cell)
    if flags.max_steps:
        recipe = replace(recipe, max_steps=flags.max_steps)
    if recipe != PRESETS[preset] or flags.seed != 1:
        preset = "own"  # flags of one's own never overwrite what a preset's long run found
    for name in [flags.task] if flags.task else PUZZLES:
        found, puzzle = {}, PUZZLES[name]
        for stage in [flags.stage] if flags.stage else STAGES:
            log(f"{puzzle.title}: training {stage}")
            found[stage] = examine(stage, puzzle, recipe, flags.seed, flags.out / "recall" / name / stage)
        content = {
            "command": rebuilt_command(["python", "-m", "shared.recall", *sys.argv[1:]], drop=["--out"]),
            "seed": flags.seed,
            "recipe": asdict(recipe),
            "machine": machine(),
        }
        path = result_path(flags.out, preset, name)
        found = kept_stages(path, content) | found
        found = {stage: found[stage] for stage in STAGES if stage in found}
        content |= {"task": puzzle.title, "chance": 1 / puzzle.num_symbols, "stages": found}
        print(table(content), end="\n\n", flush=True)
        write_json(path, content)
        picture = draw(flags.out, preset, read_json(path))
    print(f"kept        {picture} and the numbers beside it")


if __name__ == "__main__":
    run_main(main)
