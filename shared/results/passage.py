"""The chapters' pictures: a kept default run of each stage reads one passage of a test play, and is drawn.

All stages read the same text, so their maps can be laid beside each other. What was measured is kept beside the runs as
passage.json, so that the pictures can be drawn again without the checkpoints.
"""

import json
import re
from dataclasses import asdict
from pathlib import Path

import torch

from shared.compare.measures import expectations
from shared.errors import UserError
from shared.measure.faithfulness import attention_on
from shared.measure.influence import influence
from shared.measure.units import SHOWN, names_of_speakers, unit_traces
from shared.model.language_model import LanguageModel
from shared.results.kept import kept_default, rounded
from shared.results.samples import write_sample
from shared.run.records import machine, read_json, read_summary, write_text
from shared.run.restore import restore_language_model
from shared.show.curves import learning_curve_figure
from shared.show.figures import save_figure
from shared.show.maps import attention_figure, choosing_note, influence_figure
from shared.show.reading import units_figure
from shared.stages import STAGES, stage_title
from shared.text.corpus import load_corpus, text_of_run
from shared.text.tokenizer import Tokenizer

# Twelfth Night, act 2, scene 4. Two speak, the first speaks again, and words come back: pains, sir, thy, pleasure.
PASSAGE = """DUKE:
There's for thy pains.

CLOWN:
No pains, sir; I take pleasure in singing, sir.

DUKE:
I'll pay thy pleasure"""
KEPT = "passage.json"
TEMPERATURES = (0, 0.8, 1.5)  # the likeliest word each time; nearer to chance than to habit; mostly chance
VALIDATION_TOKENS = 4096  # read to find a unit that tells where speakers' names are
NAMED = "One unit's cell fills where a name is due, and is wiped when the speech begins"  # a test asks the kept numbers
GUESSES = 3  # likeliest words shown in place of the passage's last


def measure_passage(out_dir: Path, root: Path) -> str:
    """Let a finished run read the passage, and keep what it looked at and what mattered to it -> its stage.

    UserError: no finished run, or not the one whose default run is kept: chapter and pictures would be of two.
    """
    summary = read_summary(out_dir)
    stage, seed = summary["stage"], summary["settings"]["seed"]
    path = kept_default(root, stage, seed)
    run = read_json(path) if path.is_file() else {}
    if run.get("validation", {}) != summary.get("validation"):
        raise UserError(
            f"{out_dir} holds none of the kept default runs; keep it first: python -m shared.results keep {out_dir}"
        )
    model, tokenizer, _ = restore_language_model(out_dir / "best.pt")
    tokens = torch.tensor(tokenizer.encode(PASSAGE))  # (T)
    validation = load_corpus(text_of_run(summary["settings"]["data"], root / stage)).validation
    text = torch.tensor(tokenizer.encode(validation)[:VALIDATION_TOKENS])  # (N)
    names = names_of_speakers([tokenizer.glyph(token) for token in text.tolist()])
    attention = attention_on(model, tokens)
    kept = {
        "command": run["command"],
        "stage": stage,
        "seed": seed,
        "machine": machine(),
        "validation": run["validation"],
        "text": PASSAGE,
        "unit": tokenizer.unit,
        "tokens": [tokenizer.glyph(token) for token in tokens.tolist()],
        "influence": influence(model, tokens),
        "attention": attention and asdict(attention),
        "units": unit_traces(model, tokens, text, names),
        "guess": last_guess(model, tokenizer, tokens),
        "samples": [write_sample(model, tokenizer, temperature) for temperature in TEMPERATURES],
    }
    # On one line, since it is mostly numbers: 20,000 of them in stage 4.
    write_text(root / stage / "results" / KEPT, json.dumps(kept, default=lambda tensor: plain(tensor.tolist())) + "\n")
    return stage


def last_guess(model: LanguageModel, tokenizer: Tokenizer, tokens: torch.Tensor) -> dict:
    """What a model expects in place of the last of the tokens (T), and how much its first guess hangs on each before.

    `influence` (T - 1) sums to 1; `actual`: how likely the last token was.
    """
    expected = expectations(model, tokenizer, tokens)
    return {
        "influence": influence(model, tokens[:-1], num_rows=1)[0],
        "next": [row | {"probability": rounded(row["probability"], 3)} for row in expected["next"][-2][:GUESSES]],
        "actual": rounded(expected["actual_next"][-2], 3),
    }


def check_passage(root: Path) -> None:
    """UserError where a stage's pictures are of another run than the one that is kept now."""
    for stage in STAGES:
        path = root / stage / "results" / KEPT
        if path.is_file():
            kept = read_json(path)
            if kept["validation"] != read_json(kept_default(root, stage, kept["seed"]))["validation"]:
                raise UserError(
                    f"the pictures of {stage} are of an older run; run: python -m shared.results draw, with the folder "
                    "of the run that is kept"
                )


def plain(values: list | float | bool) -> list | float | bool:
    """Nested lists of numbers, to as many figures as can be seen."""
    return [plain(value) for value in values] if isinstance(values, list) else rounded(values, 3)


def title_in_chapter(folder: Path, picture: str) -> str:
    """The text that stands for a picture in its chapter, `![text](figures/picture.png)`: what it was found to show."""
    chapter = folder / "README.md"
    text = chapter.read_text(encoding="utf-8") if chapter.is_file() else ""
    found = re.search(rf"!\[([^\]]+)\]\(figures/{picture}\.png\)", text)
    return found[1] if found else f"{stage_title(folder.name)}: {picture.replace('_', ' ')}"


def draw_passage(stage: str, root: Path) -> list[Path]:
    """Draw a chapter's pictures from what is kept: its maps of the passage, and the learning curve of that run."""
    kept = read_json(root / stage / "results" / KEPT)
    run = read_json(kept_default(root, stage, kept["seed"]))
    tokens, attention = kept["tokens"], kept["attention"]
    titles = {name: title_in_chapter(root / stage, name) for name in ("learning_curve", "influence", "attention")}
    figures = {
        "learning_curve": learning_curve_figure(run["curve"], titles["learning_curve"]),
        "influence": influence_figure(kept["influence"], tokens, len(tokens), titles["influence"]),
    }
    if attention:
        note = choosing_note(attention["loss"], attention["loss_uniform"], kept["unit"])
        figures["attention"] = attention_figure(
            attention["weights"], attention["seen"], tokens, len(tokens), titles["attention"], note=note
        )
    if units := kept.get("units"):
        traces = {name: units[name] for name in SHOWN}
        figures["gates"] = units_figure(traces, units["units"], units["telling"], tokens, NAMED)
    paths = {picture: root / stage / "figures" / f"{picture}.png" for picture in figures}
    for picture, figure in figures.items():
        paths[picture].parent.mkdir(parents=True, exist_ok=True)
        save_figure(figure, paths[picture])
    return list(paths.values())


def draw(out_dirs: list[Path], root: Path) -> list[Path]:
    """Draw the chapters of these runs' stages; without runs, all chapters from what is kept -> the pictures."""
    stages = [measure_passage(out_dir, root) for out_dir in out_dirs]
    stages = stages or [stage for stage in STAGES if (root / stage / "results" / KEPT).is_file()]
    if not stages:
        raise UserError("no stage has read the passage yet; name the folders of finished runs")
    return [path for stage in stages for path in draw_passage(stage, root)]
