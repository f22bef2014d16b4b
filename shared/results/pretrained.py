"""The runs that come with the course: packing them, and what the notebook and its check say of them."""

import json
import math
from pathlib import Path

from shared.compare.pretrained import MEASURE, digests, kept_file, measure_pretrained
from shared.errors import UserError
from shared.results.kept import CURVE_FIELDS, kept_default, rounded, shared_command
from shared.run.moments import FILE as MOMENTS
from shared.run.moments import read_moments
from shared.run.pretrained import pretrained_file, read_pretrained, write_pretrained, write_vocabulary
from shared.run.records import read_json, read_records, read_summary, write_text
from shared.run.restore import restore_language_model
from shared.show.tables import markdown
from shared.stages import STAGES, stage_title
from shared.text.tokenizer import fingerprint


def pack_runs(out_dirs: list[Path], root: Path) -> list[Path]:
    """Pack a finished run of each stage and measure them; without any, measure again what is packed -> the files.

    UserError: not one run of each stage, or not the ones whose default runs are kept.
    """
    if out_dirs:
        runs = [restore_language_model(out_dir / "best.pt") for out_dir in out_dirs]
        headers = [header_of(saved, out_dir) for out_dir, (_, _, saved) in zip(out_dirs, runs)]
        check_packable(headers, root)
        write_vocabulary(runs[0][1], root)
        for header, (model, _, _), out_dir in zip(headers, runs, out_dirs):
            path = pretrained_file(header["stage"], root)
            write_pretrained(path, header, model)
            path.with_name(MOMENTS).unlink(missing_ok=True)
            if moments := read_moments(out_dir / MOMENTS):  # with which the page shows how the run learned
                write_text(path.with_name(MOMENTS), "".join(json.dumps(moment) + "\n" for moment in moments))
    measure_pretrained(root)
    return [pretrained_file(stage, root) for stage in STAGES] + [kept_file(root)]


def header_of(saved: dict, out_dir: Path) -> dict:
    """What a packed run says of itself: a checkpoint's content without this machine's paths, and its losses."""
    corpus = saved["corpus"]["name"]
    records = [record for record in read_records(out_dir / "metrics.jsonl") if "validation_loss" in record]
    return {
        "stage": saved["stage"],
        "command": shared_command(saved["command"], corpus),
        "settings": saved["settings"] | {"data": corpus},
        "model_settings": saved["model_settings"],
        "corpus": saved["corpus"],
        "tokenizer": fingerprint(saved["tokenizer"]),
        "progress": saved["progress"],
        "validation": read_summary(out_dir)["validation"],
        "records": [{name: rounded(record[name]) for name in CURVE_FIELDS if name in record} for record in records],
    }


def check_packable(runs: list[dict], root: Path) -> None:
    """UserError where these headers are not of one run of each stage, on the same tokens, whose results are kept."""
    if sorted(run["stage"] for run in runs) != sorted(STAGES):
        raise UserError(f"name a finished run of each stage: {', '.join(STAGES)}")
    if len({run["tokenizer"] for run in runs}) > 1:
        raise UserError("the runs cut their text into different tokens; name runs with one vocabulary")
    for run in runs:
        check_kept(run, root)


def check_kept(run: dict, root: Path) -> None:
    """UserError where a header is not of the kept default run of its stage and seed."""
    path = kept_default(root, run["stage"], run["settings"]["seed"])
    if not path.is_file() or read_json(path)["validation"] != run["validation"]:
        raise UserError(f"this run of {run['stage']} is none of the kept default runs; pack the one that is kept")


def pretrained_table(root: Path) -> str:
    """A row for each stage: the perplexity of the run, and of its packed weights; nothing where none are packed."""
    if not kept_file(root).is_file():
        return ""
    lines = [["model", "perplexity of the run", "of its packed weights", "change in nats", "size", "made by"]]
    measured = read_json(kept_file(root))["measured"]
    for row in (row for row in measured["table"] if row["stage"] in STAGES):
        path = pretrained_file(row["stage"], root)
        header, _ = read_pretrained(path)
        lines.append([
            f"[{stage_title(row['stage'])}](../../{row['stage']}/README.md)",
            f"{math.exp(header['validation']['nats_per_token']):.2f}", f"{row['validation_perplexity']:.2f}",
            f"{measured['rounding'][row['stage']]:+.5f}", f"{path.stat().st_size / 1e6:.1f} MB",
            f"`{header['command']}`",
        ])  # fmt: skip
    return markdown(lines, left=(0, 5))


def check_pretrained(root: Path) -> None:
    """UserError where a packed run is not the kept default run, or the measurements are of other files."""
    if not kept_file(root).is_file():
        return
    if read_json(kept_file(root))["files"] != digests(root):
        raise UserError(f"the packed runs were measured when they were others; run: {MEASURE}")
    for stage in STAGES:
        check_kept(read_pretrained(pretrained_file(stage, root))[0], root)
