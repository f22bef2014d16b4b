"""Keep finished runs, and write the numbers in README.md and the chapters from what is kept:

    python -m shared.results keep model-02-lstm/checkpoints     copy a finished run into the stage's results/
    python -m shared.results write                              write what stands between the markers in the pages
    python -m shared.results check                              complain if pages, files and defaults disagree

Kept runs are model-0*/results/<corpus>-<tokenizer>-<preset>-seed<N>.json, and <table>-<row>-seed<N>.json in a lab's
results/. Counting comes from
`python -m shared.ngram --json shared/results/ngram-<corpus>-<tokenizer>.json`.
"""

import hashlib
from itertools import islice
from pathlib import Path

import torch

from shared.ablate import tables as ablation_tables
from shared.errors import UserError
from shared.measure.evaluation import evaluate_in_windows
from shared.model.language_model import LanguageModel
from shared.model.sampling import generate
from shared.results import labs as lab_results
from shared.results.kept import PRESETS, file_name, kept_run, load_results
from shared.results.tables import MARKERS, chapter, costs, replace_between_markers, tables
from shared.run.cli import ArgumentParser, run_main
from shared.run.generation import load_model
from shared.run.records import differing_setting, read_json, read_records, write_json
from shared.stages import LABS, ROOT, load_stage, model_class
from shared.text.corpus import SHAKESPEARE, load_corpus, text_of_run
from shared.text.tokenizer import Tokenizer

# A blank line: every tokenizer knows it, and in a play a new speech begins after it.
PROMPT = "\n\n"
SAMPLE_SEED, SAMPLE_TEMPERATURE = 1, 0.8
WINDOWS = 256, 640  # characters in a window, and windows
SAMPLE_CHARACTERS = 300  # about sixty words; counted in characters, samples of all tokenizers are equally long


def check_preset(run: dict, what: str) -> None:
    """A run may be called by a preset's name only if it has the settings that train.py gives to that preset now."""
    if run["preset"] == "flags":
        return
    settings = run["settings"]
    expected = load_stage(run["stage"]).settings(settings["tokenizer"], run["preset"], settings["optimizer"])
    if difference := differing_setting(run, expected):
        raise UserError(f"{what} is no {run['preset']} run: {difference}; train again, or keep it with --preset flags")


def nats_in_windows(model: LanguageModel, tokenizer: Tokenizer, summary: dict) -> float:
    """The estimate that most published numbers on characters are."""
    corpus = load_corpus(text_of_run(summary["settings"]["data"], ROOT / summary["stage"]))
    if corpus.sha256 != summary["corpus"]["sha256"]:
        raise UserError(f"{summary['settings']['data']} is not the text of this run any more; train again")
    return evaluate_in_windows(model, torch.tensor(tokenizer.encode(corpus.validation)), *WINDOWS, seed=SAMPLE_SEED)


@torch.no_grad()
def write_sample(model: LanguageModel, tokenizer: Tokenizer) -> dict:
    """An unedited sample, and how it was drawn."""
    generator = torch.Generator().manual_seed(SAMPLE_SEED)
    steps = generate(
        model,
        tokenizer.encode(PROMPT),
        temperature=SAMPLE_TEMPERATURE,
        banned=tokenizer.unk_id,
        generator=generator,
    )
    streamer, text = tokenizer.streamer(), ""
    for token in islice(steps, SAMPLE_CHARACTERS):
        text += streamer.push(token.item())
        if len(text) >= SAMPLE_CHARACTERS:
            break
    return {"prompt": PROMPT, "seed": SAMPLE_SEED, "temperature": SAMPLE_TEMPERATURE, "text": text + streamer.flush()}


def keep(out_dir: Path, preset: str, root: Path) -> Path:
    """Copy a finished run into its stage's results/ -> the file."""
    if not (out_dir / "summary.json").is_file():
        raise UserError(f"there is no finished run in {out_dir}; give the --out-dir of a training that came to its end")
    summary = read_json(out_dir / "summary.json")
    records = read_records(out_dir / "metrics.jsonl")
    stage = summary["stage"]
    if "scores" in summary:
        run = lab_results.kept_lab_run(summary, records)
        path = root / next(lab for lab in LABS if lab.endswith("/" + stage)) / "results" / lab_results.file_name(run)
        write_json(path, run)
        return path
    check_preset(summary | {"preset": preset}, f"the run in {out_dir}")
    model, tokenizer = load_model(stage, model_class(stage), out_dir / "best.pt", "cpu")
    if tokenizer.name == "char" and summary["validation"]["tokens"] > WINDOWS[0]:
        summary["validation"]["nats_in_windows"] = nats_in_windows(model, tokenizer, summary)
    run = kept_run(summary, records, preset, tokenizer.vocab_size, write_sample(model, tokenizer))
    path = root / stage / "results" / file_name(run)
    write_json(path, run)
    return path


def updated_pages(root: Path) -> list[tuple[Path, str, str]]:
    """README.md and the chapters that have results: (path, as it is, as it should be)."""
    runs, counts = load_results(root)
    contents = {root / "README.md": "\n\n".join(part for part in (tables(runs, counts), costs(root)) if part)}
    for stage in sorted({run["stage"] for run in runs}):
        contents[root / stage / "README.md"] = chapter([run for run in runs if run["stage"] == stage], counts)
        # Shortest name first: that of the bundled words, which the default run is of.
        for ablated in sorted((root / stage / "results").glob("ablation*.json"), key=lambda path: len(path.name)):
            contents[root / stage / "README.md"] += f"\n\n{ablation_tables(read_json(ablated))}"
    for lab in LABS:
        if kept := lab_results.load_lab_results(root / lab):
            contents[root / lab / "README.md"] = lab_results.lab_tables(kept)
    pages = []
    for path, content in contents.items():
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        silent = not content and not any(marker in text for marker in MARKERS)  # nothing to say, and nothing said
        name = path.relative_to(root).as_posix()
        pages.append((path, text, text if silent else replace_between_markers(text, content, name)))
    return pages


def write(root: Path) -> None:
    """Write the results into README.md and the chapters."""
    for path, before, after in updated_pages(root):
        if after != before:
            path.write_text(after, encoding="utf-8", newline="\n")


def check(root: Path) -> None:
    """UserError if a page is not what the files say, or a file is not what the code and the corpus are now."""
    bundled = hashlib.sha256(SHAKESPEARE.read_bytes()).hexdigest()
    runs, counts = load_results(root)
    for run in runs:
        check_preset(run, f"{run['stage']}/results/{file_name(run)}")
    for result in runs + counts:
        if result["corpus"]["name"] == "shakespeare" and result["corpus"]["sha256"] != bundled:
            raise UserError(f"data/shakespeare.txt has changed since this was run: {result['command']}; run it again")
    for path, before, after in updated_pages(root):
        if before != after:
            name = path.relative_to(root).as_posix()
            raise UserError(f"{name} is not what the results say; run: python -m shared.results write")


def main() -> None:
    """Read the command line and do one of the three."""
    parser = ArgumentParser(prog="python -m shared.results", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="keep | write | check")
    keeper = commands.add_parser("keep", help="copy a finished run into its stage's results/")
    keeper.add_argument("out_dir", type=Path, help="the run's --out-dir; by default a stage's checkpoints/")
    keeper.add_argument(
        "--preset",
        choices=PRESETS,
        default="default",
        help="what to call it; flags is for a run with flags of its own [default]",
    )
    commands.add_parser("write", help="write the tables in README.md and the chapters")
    commands.add_parser("check", help="exit with an error if the tables are not what the files say")
    flags = parser.parse_args()
    if flags.command == "keep":
        print(f"kept        {keep(flags.out_dir, flags.preset, ROOT).relative_to(ROOT)}")
    else:
        {"write": write, "check": check}[flags.command](ROOT)


if __name__ == "__main__":
    run_main(main)
