"""Which page shows which results: write them between the page's markers, or complain where page and files disagree."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from shared.ablate import tables as ablation_tables
from shared.errors import UserError
from shared.probes.tables import notebook as probe_tables
from shared.results.excerpts import chapter, front_scores, temperatures
from shared.results.kept import file_name, load_results
from shared.results.labs import lab_tables, load_lab_results
from shared.results.passage import check_passage
from shared.results.pretrained import check_pretrained, pretrained_table
from shared.results.tables import (
    beside_busy_programs,
    campaign_table,
    costs,
    gpu_tables,
    puzzle_table,
    shared_by_processes,
    stage_costs,
    tables,
)
from shared.run.records import differing_setting, read_json, write_text
from shared.stages import LABS, load_stage
from shared.text.corpus import SHAKESPEARE

_, FORECAST_LAB, _ = LABS
# A lab with more results than its chapter can bear -> the tables and rows that stand there.
CHOSEN = {
    FORECAST_LAB: (
        ("flow-pressure, lag 5", "flow-pressure, lag 60", "etth1, 24 steps"),
        (
            *("24 steps ago", "mean of 3 seasons of 24", "mean", "linear", "the rule itself"),
            *("EncoderDecoderLSTM", "AttentionLSTM", "QueryAttention"),
            *("EncoderDecoderLSTM, from 3 seasons of 24", "AttentionLSTM, from 3 seasons of 24"),
            "AttentionLSTM, from 3 seasons of 24, linear part",
        ),
    ),
}


@dataclass(frozen=True)
class Block:
    """A part of a page that is written from kept results; it stands between two markers with its name."""

    page: str
    content: str
    name: str = "results"
    required: bool = True  # whether a page without its markers is a mistake

    @property
    def markers(self) -> tuple[str, str]:
        """The lines before and after it."""
        return f"<!-- {self.name} -->", f"<!-- /{self.name} -->"


def blocks(root: Path) -> list[Block]:
    """All that is written from the results below the repository's root."""
    runs, counts = load_results(root)
    folder = root / "shared" / "results"
    notebook = [tables(runs, counts), gpu_tables(folder / "gpu.json"), costs(folder)]
    notebook += [beside_busy_programs(folder / "busy.json"), shared_by_processes(folder / "processes.json")]
    found = [
        Block("README.md", front_scores(runs, counts), "scores"),
        Block("shared/results/README.md", "\n\n".join(filter(None, notebook))),
        Block("shared/results/README.md", probe_tables(folder / "probes.json"), "probes"),
        Block("shared/results/README.md", puzzle_table(folder), "puzzles"),
        Block("shared/results/README.md", pretrained_table(root), "pretrained"),
        Block("shared/results/README.md", campaign_table(folder / "campaign.json"), "campaign"),
    ]
    for stage in sorted({run["stage"] for run in runs}):
        of_stage = [run for run in runs if run["stage"] == stage]
        found.append(Block(f"{stage}/README.md", chapter(of_stage, counts)))
        found.append(Block(f"{stage}/README.md", stage_costs(folder / "benchmark.json", stage), "costs"))
        if (passage := root / stage / "results" / "passage.json").is_file():
            samples = temperatures(read_json(passage))
            found.append(Block(f"{stage}/README.md", samples, "temperatures", required=False))
        found.append(Block(f"{stage}/results/README.md", ablations(root / stage / "results")))
    return found + [block for lab in LABS for block in lab_blocks(lab, load_lab_results(root / lab))]


def lab_blocks(lab: str, results: list[dict]) -> list[Block]:
    """All results of a lab in its chapter; or a choice of them there, and all in the lab's results/README.md."""
    if lab not in CHOSEN:
        return [Block(f"{lab}/README.md", lab_tables(results))]
    tables, rows = CHOSEN[lab]
    chosen = [result for result in results if result["table"] in tables and result["row"] in rows]
    return [Block(f"{lab}/README.md", lab_tables(chosen)), Block(f"{lab}/results/README.md", lab_tables(results))]


def ablations(folder: Path) -> str:
    """A stage's ablations; the shortest name first: that of the bundled words, which the default run is of."""
    paths = sorted(folder.glob("ablation*.json"), key=lambda path: len(path.name))
    return "\n\n".join(ablation_tables(read_json(path)) for path in paths)


def updated_pages(root: Path) -> list[tuple[Path, str, str]]:
    """Every page with results: (path, as it is, as it should be)."""
    before, after = {}, {}
    for block in blocks(root):
        path = root / block.page
        if path not in before:
            before[path] = after[path] = path.read_text(encoding="utf-8") if path.is_file() else ""
        # A page that has nothing to show need not have a place for it.
        if (block.content and block.required) or any(marker in after[path] for marker in block.markers):
            after[path] = replace_between_markers(after[path], block)
    return [(path, before[path], after[path]) for path in before]


def replace_between_markers(text: str, block: Block) -> str:
    """A page's text with the block's content between its two markers; UserError where these are missing."""
    begin, end = block.markers
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise UserError(
            f"{block.page} needs one line {begin} and below it one line {end}; put them where the results belong"
        )
    head, rest = text.split(begin)
    middle = f"\n{block.content}\n" if block.content else "\n"
    return f"{head}{begin}{middle}{end}{rest.split(end)[1]}"


def write(root: Path) -> None:
    """Write the results into the front page, the notebook and the chapters."""
    for path, before, after in updated_pages(root):
        if after != before:
            write_text(path, after)


def check(root: Path) -> None:
    """UserError if a page is not what the files say, or a file is not what the code and the corpus are now."""
    runs, counts = load_results(root)
    for run in runs:
        check_preset(run, f"{run['stage']}/results/{file_name(run)}")
    bundled = hashlib.sha256(SHAKESPEARE.read_bytes()).hexdigest()
    for result in runs + counts:
        if result["corpus"]["name"] == "shakespeare" and result["corpus"]["sha256"] != bundled:
            raise UserError(f"data/shakespeare.txt has changed since this was run: {result['command']}; run it again")
    check_passage(root)
    check_pretrained(root)
    for path, before, after in updated_pages(root):
        if before != after:
            name = path.relative_to(root).as_posix()
            raise UserError(f"{name} is not what the results say; run: python -m shared.results write")


def check_preset(run: dict, what: str) -> None:
    """A run may be called by a preset's name only if it has the settings that train.py gives to that preset now.

    `what` is what a complaint calls the run. UserError: it has others.
    """
    if run["preset"] == "flags":
        return
    settings = run["settings"]
    expected = load_stage(run["stage"]).settings(settings["tokenizer"], run["preset"])
    if difference := differing_setting(run, expected):
        raise UserError(f"{what} is no {run['preset']} run: {difference}; train again, or keep it with --preset flags")
