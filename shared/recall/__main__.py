"""What can each stage hold, and what can it look up? All four learn puzzles in which the right place is known.

    python -m shared.recall                       every puzzle and stage: about ten minutes on one core
    python -m shared.recall --quick               short distances, few steps: about one minute
    python -m shared.recall --task latch          one puzzle; --stage chooses one model
    python -m shared.recall --seed 2              once more; what is shown then is the mean of all seeds

    latch         a marked digit among others, asked for up to 512 tokens later: "which digit was marked?"
    adding        two marked digits: "what is their sum?"
    lag           marks among random symbols: "which symbol stood 7 tokens ago?"
    copy          a string of random symbols, to be written a second time
    associative   pairs of a key and a value: "which value came with this key?"

Every stage trains for the same number of steps on the same questions, and has about 30,000 parameters. Stages 1 to 3
have one layer, the transformer as many blocks as the puzzle takes: one, or two where a token must first learn what
stands before it. Learning rates are each stage's own. In training, distances rise: short ones are learned first. Then
come fresh questions. The table says which share of them is answered rightly at which distance and, where there is
attention, which share of it lies on the places asked for (in the layer that looks there most, chosen on other
questions). Windows are longer than all distances.
"""

import argparse
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from shared.run.cli import ArgumentParser, log, read_flags, rebuilt_command, run_main, some_path, wait_briefly
from shared.run.flags import SEED, WHOLE
from shared.stages import ROOT, STAGES


def parse_flags() -> argparse.Namespace:
    """The command line."""
    parser = ArgumentParser(prog="python -m shared.recall", description=__doc__)
    parser.add_argument("--task", choices=("latch", "adding", "lag", "copy", "associative"), help="only this puzzle")
    parser.add_argument("--stage", choices=STAGES, help="only this one")
    parser.add_argument("--quick", action="store_true", help="short distances, few steps: about one minute")
    why = "training steps a model; to copy, each length has a model of its own"
    parser.add_argument("--max-steps", type=WHOLE, help=why)
    parser.add_argument("--optimizer", choices=("muon", "adamw"), default="muon", help="who changes the weights [muon]")
    why = "recurrent weights at the start: the stage's own way, or as PyTorch draws them [own]"
    parser.add_argument("--start", choices=("own", "uniform"), default="own", help=why)
    parser.add_argument("--seed", type=SEED, default=1, help="fixes weights and questions [1]")
    parser.add_argument("--out", type=some_path, default=ROOT / "comparison", help="where results go [comparison]")
    return parser.parse_args()


if __name__ == "__main__":
    read_flags(parse_flags)  # before PyTorch is imported, which takes a second
    wait_briefly()

from shared.model.language_model import num_parameters
from shared.recall.puzzles import PUZZLES, Puzzle
from shared.recall.scores import measure, over_seeds
from shared.recall.teaching import LEARNING_RATES, build, settings_of, teach
from shared.run.records import COUNT, NUMBER, TABLE, TEXT, machine, read_json, write_json
from shared.show.curves import recall_figure
from shared.show.figures import save_figure
from shared.show.tables import for_terminal


@dataclass(frozen=True)
class Recipe:
    """How long a stage learns a puzzle, up to which reach, by which optimizer and from which start."""

    max_steps: int
    longest: int
    optimizer: str = "muon"
    start: str = "own"


ROWS = [{"distance": COUNT, "accuracy": NUMBER, "mass": (None, NUMBER)} | TABLE]
RUNS = [{"seed": COUNT, "rows": ROWS} | TABLE]
RESULT = {"task": TEXT, "chance": NUMBER, "recipe": TABLE, "stages": {f"{stage}?": RUNS for stage in STAGES}} | TABLE
PRESETS = {"default": Recipe(max_steps=600, longest=512), "quick": Recipe(max_steps=150, longest=32)}
FINDING = "Gates add up over 512 tokens; only attention looks things up"  # of the default recipe


def examine(stage: str, puzzle: Puzzle, recipe: Recipe, seed: int, out_dir: Path) -> dict:
    """Train one stage on one puzzle, measure it at all reaches -> what came out."""
    began, rows = time.perf_counter(), []
    for reaches in puzzle.courses(recipe.longest):
        window = 2 * reaches[-1] + 2  # no sequence is longer, so nothing is out of sight
        settings = settings_of(stage, puzzle, window)
        model = build(stage, puzzle.vocab_size, settings, seed, recipe.start)
        used = settings | {"task": puzzle.title, "reaches": reaches, "seed": seed, "optimizer": recipe.optimizer}
        identity = {"stage": stage, "settings": used}
        teach(model, puzzle, reaches, recipe.max_steps, identity, out_dir / f"reach-{reaches[-1]}")
        rows += measure(model, puzzle, reaches, seed)
    return {
        "settings": settings | {"hidden_size": model.embedding.embedding_dim, "learning_rate": LEARNING_RATES[stage]},
        "parameters": num_parameters(model),
        "seed": seed,
        "seconds": round(time.perf_counter() - began, 1),
        "machine": machine(),
        "rows": rows,
    }


# ------------------------------------------------------------------------------------------------- printing and keeping


def table(found: dict) -> str:
    """One puzzle: a line of accuracies a stage and, where there is attention, a line of its mass on the answers."""
    stages = {stage: over_seeds(runs) for stage, runs in found["stages"].items()}
    distances = [row["distance"] for row in next(iter(stages.values()))]
    lines = [["distance up to", *map(str, distances)]]
    for stage, rows in stages.items():
        for name, title in (("accuracy", f"{stage:26}accuracy"), ("mass", f"{'':26}attention")):
            values = [row[name] for row in rows]
            if None not in values:
                lines.append([title, *(f"{value:.3f}" for value in values)])
    return f"{found['task']}: a guess is right in {found['chance']:.3f}\n{for_terminal(lines)}"


def draw(folder: Path, preset: str, recipe: dict) -> Path:
    """Draw all puzzles that the folder holds and that ran by this recipe -> the picture's path."""
    paths = [result_path(folder, preset, name) for name in PUZZLES]
    results = [read_result(path) for path in paths if path.exists()]
    puzzles = {}
    for found in (result for result in results if result["recipe"] == recipe):
        stages = {stage: over_seeds(runs) for stage, runs in found["stages"].items()}
        puzzles[found["task"]] = {"chance": found["chance"], "stages": stages}
    path = folder / f"recall-{preset}.png"
    # What was found out is seen where every stage has tried every puzzle.
    whole = preset == "default" and [len(each["stages"]) for each in puzzles.values()] == len(PUZZLES) * [len(STAGES)]
    title = FINDING if whole else "What can each stage hold, and what look up?"
    save_figure(recall_figure(puzzles, title), path)
    return path


def result_path(folder: Path, preset: str, name: str) -> Path:
    """The file for what was found with one puzzle."""
    return folder / f"recall-{preset}-{name}.json"


def kept_stages(path: Path, recipe: dict) -> dict[str, list[dict]]:
    """What the file already holds, if it is of the same recipe: a list of runs a stage, one a seed."""
    old = read_result(path) if path.exists() else {}
    return old["stages"] if old.get("recipe") == recipe else {}


def read_result(path: Path) -> dict:
    """What was found with one puzzle; UserError where something else stands there."""
    return read_json(path, RESULT)


def with_run(stages: dict[str, list[dict]], stage: str, run: dict) -> dict[str, list[dict]]:
    """The stages' runs and a new one, which takes the place of an older one of its seed. All in their order."""
    others = [other for other in stages.get(stage, []) if other["seed"] != run["seed"]]
    stages = stages | {stage: sorted([*others, run], key=lambda each: each["seed"])}
    return {stage: stages[stage] for stage in STAGES if stage in stages}


# --------------------------------------------------------------------------------------------------------- the command


def main() -> None:
    """Puzzle by puzzle: train, ask, print, keep the numbers and draw them."""
    flags = parse_flags()
    preset = "quick" if flags.quick else "default"
    recipe = replace(PRESETS[preset], optimizer=flags.optimizer, start=flags.start)
    if flags.max_steps:
        recipe = replace(recipe, max_steps=flags.max_steps)
    if recipe != PRESETS[preset]:
        preset = "own"  # flags of one's own never overwrite what a preset's long run found
    command = rebuilt_command(["python", "-m", "shared.recall", *sys.argv[1:]], drop=["--out"])
    for name in [flags.task] if flags.task else PUZZLES:
        puzzle, path = PUZZLES[name], result_path(flags.out, preset, name)
        content = {"task": puzzle.title, "chance": 1 / puzzle.num_symbols, "recipe": asdict(recipe)}
        stages = kept_stages(path, asdict(recipe))  # first, since a damaged file is better refused before a training
        for stage in [flags.stage] if flags.stage else STAGES:
            log(f"{puzzle.title}: training {stage}")
            run = examine(stage, puzzle, recipe, flags.seed, flags.out / "recall" / name / stage)
            stages = with_run(stages, stage, {"command": command} | run)
            write_json(path, content | {"stages": stages})
        print(table(read_json(path)), end="\n\n", flush=True)
        picture = draw(flags.out, preset, asdict(recipe))
    print(f"kept        {picture} and the numbers beside it")


if __name__ == "__main__":
    run_main(main)
