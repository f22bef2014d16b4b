"""Keep finished runs, and write the numbers in the pages from what is kept:

    python -m shared.results keep model-02-lstm/checkpoints     copy a finished run into the stage's results/
    python -m shared.results keep comparison                    copy the front page's picture from a comparison
    python -m shared.results draw model-02-lstm/checkpoints     draw a chapter's pictures of one passage for all stages
    python -m shared.results pack RUN_DIR ...                   pack a kept default run of each stage for --pretrained
    python -m shared.results write                              write what stands between the markers in the pages
    python -m shared.results check                              complain if pages, files and defaults disagree

Kept runs are model-0*/results/<corpus>-<tokenizer>-<preset>-seed<N>.json, and <table>-<row>-seed<N>.json in a lab's
results/. Counting comes from `python -m shared.ngram --json shared/results/ngram-<corpus>-<tokenizer>.json`, ablations
from `python -m shared.ablate`, costs from `python -m shared.benchmark`, the probes from `python -m shared.probes --out
shared/results`. The pages are README.md, the notebook of
results (shared/results/README.md), the chapters, and the README.md beside each stage's kept runs.
"""

from argparse import Namespace
from pathlib import Path

from shared.results.kept import PRESETS, file_name, kept_run
from shared.run.cli import ArgumentParser, read_flags, run_main, some_path


def parse_flags() -> Namespace:
    """The command line."""
    parser = ArgumentParser(prog="python -m shared.results", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="keep | draw | pack | write | check")
    keeper = commands.add_parser("keep", help="copy a finished run into its stage's results/")
    keeper.add_argument(
        "out_dir",
        type=some_path,
        help="the run's --out-dir, which by default is a stage's checkpoints/; or comparison/",
    )
    keeper.add_argument(
        "--preset",
        choices=PRESETS,
        default="default",
        help="what to call it; flags is for a run with flags of its own [default]",
    )
    drawer = commands.add_parser("draw", help="draw the chapters' pictures: each stage reads the same passage")
    drawer.add_argument(
        "out_dirs",
        type=some_path,
        nargs="*",
        metavar="OUT_DIR",
        help="folders of runs that are kept; without any, all pictures are drawn again from what is kept",
    )
    packer = commands.add_parser("pack", help="pack a kept default run of each stage, so that it comes with the course")
    packer.add_argument(
        "out_dirs",
        type=some_path,
        nargs="*",
        metavar="RUN_DIR",
        help="folders of the runs, one a stage; without any, what is packed is measured again",
    )
    commands.add_parser("write", help="write the results in the pages")
    commands.add_parser("check", help="exit with an error if the pages are not what the files say")
    return parser.parse_args()


if __name__ == "__main__":
    read_flags(parse_flags)  # before PyTorch is imported, which takes a second

from shared.results import labs
from shared.results.pages import check, check_preset, write
from shared.results.passage import draw
from shared.results.picture import draw_memories, keep_gradient
from shared.results.pretrained import pack_runs
from shared.results.samples import WINDOW_LENGTH, nats_in_windows, write_sample
from shared.results.worked import draw_worked
from shared.run.records import read_records, read_summary, write_json
from shared.run.restore import restore_language_model
from shared.stages import LABS, ROOT


def main() -> None:
    """Read the command line and do one of the five."""
    flags = parse_flags()
    if flags.command == "keep":
        print(f"kept        {keep(flags.out_dir, flags.preset, ROOT).relative_to(ROOT)}")
    elif flags.command == "draw":
        worked = [] if flags.out_dirs else draw_worked(ROOT)
        for path in draw(flags.out_dirs, ROOT) + draw_memories(ROOT) + worked:
            print(f"drawn       {path.relative_to(ROOT)}")
    elif flags.command == "pack":
        for path in pack_runs(flags.out_dirs, ROOT):
            print(f"packed      {path.relative_to(ROOT)}")
    else:
        {"write": write, "check": check}[flags.command](ROOT)


def keep(out_dir: Path, preset: str, root: Path) -> Path:
    """Copy a finished run into the results/ of its stage or lab, or a comparison's picture into these -> the file."""
    if (out_dir / "results.json").is_file():
        return keep_gradient(out_dir / "results.json", root / "shared" / "results")
    summary, records = read_summary(out_dir), read_records(out_dir / "metrics.jsonl")
    if "scores" in summary:  # a lab's run: it brings its own scores
        return keep_lab_run(summary, records, root)

    stage = summary["stage"]
    check_preset(summary | {"preset": preset}, f"the run in {out_dir}")
    model, tokenizer, _ = restore_language_model(out_dir / "best.pt", stage=stage, flag="--out-dir")
    if tokenizer.name == "char" and summary["validation"]["tokens"] > WINDOW_LENGTH:
        summary["validation"]["nats_in_windows"] = nats_in_windows(model, tokenizer, summary)
    run = kept_run(summary, records, preset, tokenizer.vocab_size, write_sample(model, tokenizer))
    path = root / stage / "results" / file_name(run)
    write_json(path, run)
    return path


def keep_lab_run(summary: dict, records: list[dict], root: Path) -> Path:
    """Copy a lab's finished run into its results/ -> the file."""
    run = labs.kept_lab_run(summary, records)
    lab = next(lab for lab in LABS if lab.endswith("/" + summary["stage"]))
    path = root / lab / "results" / labs.file_name(run)
    write_json(path, run)
    return path


if __name__ == "__main__":
    run_main(main)
