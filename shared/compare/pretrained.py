"""A comparison of the runs that come with the course: what takes minutes to measure is kept, and of which files."""

import hashlib
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from shared.compare.measures import held_out, plain
from shared.compare.measuring import measure
from shared.compare.runs import Trained, load_corpus_of
from shared.errors import UserError
from shared.measure.evaluation import evaluate
from shared.run.pretrained import load_pretrained, pretrained_file
from shared.run.records import TABLE, read_json, write_text
from shared.schema import SHA256
from shared.stages import STAGES
from shared.text.tokenizer import Tokenizer, tokenizer_from_dict

MEASURE = "python -m shared.results pack"
KEPT = {"files": {...: SHA256}, "measured": TABLE, ...: object}


def kept_file(root: Path) -> Path:
    """Where the measurements lie."""
    return root / "shared" / "results" / "pretrained.json"


def load_runs(device: torch.device, root: Path) -> list[Trained]:
    """The packed run of every stage; each brings the records of its validations."""
    runs = []
    for stage in STAGES:
        model, _, saved = load_pretrained(stage, device, root)
        runs.append(Trained(stage, pretrained_file(stage, root), saved, model, saved["records"]))
    return runs


def load_comparison(device: torch.device, root: Path) -> tuple[list[Trained], Tokenizer, dict]:
    """The packed runs, their tokenizer, and what `measure` found of exactly these; UserError where it was of others."""
    runs = load_runs(device, root)
    kept = read_json(kept_file(root), KEPT)
    if kept["files"] != digests(root):
        raise UserError(f"{kept_file(root)} was measured of other weights; measure again: {MEASURE}")
    return runs, tokenizer_from_dict(runs[0].saved["tokenizer"]), kept["measured"]


def measure_pretrained(root: Path) -> None:
    """Measure the packed runs, which takes some minutes, and keep what was found."""
    runs = load_runs(torch.device("cpu"), root)
    corpus, tokenizer = load_corpus_of(runs, None), tokenizer_from_dict(runs[0].saved["tokenizer"])
    with TemporaryDirectory() as folder:
        measured = measure(runs, corpus, tokenizer, Path(folder) / "counting.json", rounding=False)
    # The page rounds these weights, which are round already, so what rounding cost is told by the loss before it.
    ids = held_out(tokenizer, corpus.validation).ids
    losses = {run.stage: evaluate(run.model, ids, run.context_length).loss for run in runs}
    measured["rounding"] = {run.stage: losses[run.stage] - run.saved["validation"]["nats_per_token"] for run in runs}
    kept = {"command": MEASURE, "files": digests(root), "measured": plain(measured)}
    write_text(kept_file(root), json.dumps(kept) + "\n")


def digests(root: Path) -> dict[str, str]:
    """The SHA-256 of each packed run, by stage."""
    return {stage: hashlib.sha256(pretrained_file(stage, root).read_bytes()).hexdigest() for stage in STAGES}
