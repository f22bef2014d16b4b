"""Finished runs as small JSON files: what is kept of a run, what its file is called, and how all are read again."""

import shlex
from pathlib import Path

from shared.errors import UserError
from shared.run.cli import rebuilt_command
from shared.run.records import read_json, slug

# What a kept run is called; `flags` is for runs with flags of their own, which the tables then show.
PRESETS = ("default", "quick", "thorough", "flags")
CURVE_POINTS = 60
CURVE_FIELDS = ("step", "tokens", "seconds", "train_loss", "validation_loss")


# ------------------------------------------------------------------------------------------------- reading what is kept


def load_results(root: Path) -> tuple[list[dict], list[dict]]:
    """All kept runs, and all kept counts of n-grams, below the repository's root.

    UserError: a file whose name says something else than its content, so that no run hides under another's name.
    """
    runs = []
    for path in sorted(root.glob("*/results/*-seed*.json")):
        run = read_json(path)
        if (run.get("stage"), path.name) != (path.parents[1].name, file_name(run)):
            raise UserError(f"{path.relative_to(root)} holds another run than its name says; keep that run again")
        runs.append(run)
    return runs, [read_json(path) for path in sorted(root.glob("shared/results/ngram-*.json"))]


def default_runs(runs: list[dict]) -> list[dict]:
    """The runs without flags: on the bundled plays, cut into words."""
    return [run for run in runs if file_name(run).startswith("shakespeare-word-default-")]


def kept_default(root: Path, stage: str, seed: int) -> Path:
    """Where the default run of this seed is kept."""
    return root / stage / "results" / f"shakespeare-word-default-seed{seed}.json"


def best_order(count: dict) -> dict:
    """The scores of the n-grams of that order which did best on the validation text."""
    return count["orders"][count["best_order"] - 1]


# ------------------------------------------------------------------------------------------------------- keeping a run


def kept_run(summary: dict, records: list[dict], preset: str, vocab_size: int, sample: dict) -> dict:
    """What is kept of a finished run: its summary without this machine's paths, its learning curve and a sample."""
    corpus = summary["corpus"]["name"]
    return summary | {
        "preset": preset,
        "vocab_size": vocab_size,
        "command": shared_command(summary["command"], corpus),
        "settings": summary["settings"] | {"data": corpus},
        "curve": [{name: rounded(record[name]) for name in CURVE_FIELDS if name in record} for record in thin(records)],
        "sample": sample,
    }


def rounded(value: float, figures: int = 6) -> float:
    """Six figures: more than any reader of a learning curve can see."""
    return float(f"{value:.{figures}g}") if isinstance(value, float) else value


def thin(records: list[dict], limit: int = CURVE_POINTS) -> list[dict]:
    """At most `limit` records, evenly spread, first and last among them; those with a validation loss come first."""
    scored = evenly([record for record in records if "validation_loss" in record], limit // 2)
    others = evenly([record for record in records if "validation_loss" not in record], limit - len(scored))
    return sorted(scored + others, key=lambda record: record["step"])


def evenly(items: list, limit: int) -> list:
    """At most `limit` of the items, at equal distances, with the first and the last."""
    if len(items) <= limit:
        return items
    return [items[round(place * (len(items) - 1) / (limit - 1))] for place in range(limit)]


# ------------------------------------------------------------------------------------- what a run is called, and typed


def file_name(run: dict) -> str:
    """The name that a kept run's file must have: shakespeare-word-default-seed1.json"""
    corpus, settings = Path(run["corpus"]["name"]).stem, run["settings"]
    return f"{corpus}-{settings['tokenizer']}-{slug(label(run))}-seed{settings['seed']}.json"


def label(run: dict) -> str:
    """The name of a run's preset, or its flags."""
    return own_flags(run["command"]) if run["preset"] == "flags" else run["preset"]


def words_of(command: str) -> list[str]:
    """A command that was kept, as words; UserError where somebody has made it none."""
    try:
        return shlex.split(command)
    except ValueError:
        raise UserError(f"what should be the command of a run is none: {command}; train that run again") from None


def own_flags(command: str) -> str:
    """The flags of a command but those that every table names anyway: the text, its tokens, the seed.

    >>> own_flags("python train.py --data tinyshakespeare --dropout 0.4 --seed 2")
    '--dropout 0.4'
    """
    flags = [word.replace("_", "-") if word.startswith("--") else word for word in words_of(command)[2:]]
    return rebuilt_command(flags, drop=["--data", "--tokenizer", "--seed"])


def shared_command(command: str, corpus: str) -> str:
    """The command as somebody else would type it: the corpus by its name, and no word on where the run was kept.

    >>> shared_command("python train.py --data=mine/text.txt --seed=2 --out-dir runs/2", "text.txt")
    'python train.py --data text.txt --seed 2'
    """
    names = {"--data": corpus, "--start-from": "best.pt"}
    return rebuilt_command(words_of(command), drop=["--out-dir", "--resume"], replace=names)
