"""What a run leaves as text: JSON and its lines, read and written whole, and the machine that made them."""

import json
import platform
import re
from pathlib import Path
from typing import Any

from shared.errors import UserError
from shared.files import read_file, whole_file, why
from shared.schema import Between, check
from shared.stages import LABS, STAGES

MOST_BYTES = 100_000_000  # of JSON: a training of a million steps writes 20
# What may stand in it: numbers that can be reckoned with, and texts that can be a file's name and act on no terminal.
COUNT, NUMBER = range(10**15), Between(-1e15, 1e15)
TEXT = re.compile(r"[^\0-\x08\x0b-\x1f\x7f\ud800-\udfff]*")
TABLE = {...: object}
RECORD = {"step": COUNT, "tokens": COUNT, "seconds": NUMBER, "train_loss": NUMBER, "validation_loss?": NUMBER} | TABLE
BEGINNING = b'{"step": '  # of each line
SUMMARY = {
    "command": TEXT, "stage": TEXT, "settings": {"seed": COUNT} | TABLE, "parameters": COUNT, "training_tokens": COUNT,
    "training_seconds": NUMBER, "command_seconds": NUMBER, "machine": TABLE, ...: object,
}  # fmt: skip
# What a stage's summary has beside that; a lab's has a table, a row and scores.
OF_STAGE = {
    "settings": {"seed": COUNT, "tokenizer": TEXT} | TABLE,
    "corpus": {"name": TEXT, "sha256": TEXT} | TABLE,
    "validation": {"nats_per_token": NUMBER, "perplexity": NUMBER, "tokens": COUNT} | TABLE,
}
OF_LAB = {"table": TEXT, "row": TEXT, "scores": TABLE}


def machine() -> dict:
    """What a time was measured on. Neither the machine's name nor a path, since results are shared."""
    import torch  # here, since the rest of this module serves commands that have no use for it

    return {
        "cores": torch.get_num_threads(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def read_json(path: Path, schema: object = TABLE) -> Any:
    """The content of a JSON file; UserError where it cannot be read, or is not as the schema says."""
    again = "write it again with the command that made it"
    try:
        content = json.loads(read_file(path, MOST_BYTES, "give the path of a file that you may read"))
    except (ValueError, RecursionError):
        raise UserError(f"{path} is not JSON; {again}") from None
    try:
        check(content, schema)
    except ValueError as fault:
        raise UserError(f"{path} is not what is read here: {fault}; {again}") from None
    return content


def read_summary(folder: Path) -> dict:
    """What a finished run says of itself; UserError where it has not come to its end, or that is none."""
    path = folder / "summary.json"
    if not path.is_file():
        raise UserError(f"there is no finished run in {folder}; give the --out-dir of a training that came to its end")
    summary = read_json(path, SUMMARY)
    summary = read_json(path, SUMMARY | (OF_LAB if "scores" in summary else OF_STAGE))
    if summary["stage"] not in {*STAGES, *(lab.partition("/")[2] for lab in LABS)}:
        raise UserError(f"{path} is of {summary['stage']}, which is neither a stage nor a lab; name another run")
    return summary


def read_records(path: Path) -> list[dict]:
    """The lines of a metrics.jsonl, one JSON object each; none where there is no such file.

    A crash may have cut off the last line, which is left out. UserError, which names the line, where one is no record.
    """
    if not path.exists():
        return []
    advice = "move it away: then there is no learning curve of what was learned so far"
    lines = read_file(path, MOST_BYTES, advice).split(b"\n")
    records, step = [], 0
    for number, line in enumerate(lines, start=1):
        fault, record = record_of(line)
        # The last line is empty, as a newline ends each, or what a crash has left of it; a power cut may leave zeros.
        if fault and number == len(lines) and BEGINNING.startswith(line.strip(b"\0")[: len(BEGINNING)]):
            break
        fault = fault or (f"step {record['step']} after step {step}" if record["step"] < step else None)
        if fault:
            raise UserError(f"{path}, line {number}, is no record of a training: {fault}; {advice}")
        records.append(record)
        step = record["step"]
    return records


def record_of(line: bytes) -> tuple[str | None, dict]:
    """What is wrong with a line of metrics.jsonl, None where nothing is; and what it says."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return "it is not JSON", {}
    try:
        check(record, RECORD)
    except ValueError as fault:
        return str(fault), {}
    return None, record


def write_text(path: Path, text: str) -> None:
    """Write a text file whole, its folder included; UserError where that cannot be done."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as file:
            file.write(text.encode("utf-8"))
    except OSError as error:
        raise UserError(f"cannot write {path}: {why(error)}; make room, or give a path that you may write to") from None


def write_json(path: Path, content: dict) -> None:
    """Write a JSON file, as `write_text` does."""
    write_text(path, json.dumps(content, indent=2) + "\n")


# Settings in which two runs of one row of a table may differ: chance, where the text lay and where it ran, and the
# precision, which the start-up probe chose for that machine.
FREE_IN_A_ROW = {"seed", "data", "device", "precision", "eval_interval"}


def slug(text: str) -> str:
    """A name fit for a file.

    >>> slug("ETTh1, 24 hours: LSTM")
    'etth1-24-hours-lstm'
    """
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def differing_setting(run: dict, settings: dict) -> str | None:
    """The first setting in which a run is not what `settings` says, in words; None if there is none."""
    for name in sorted((run["settings"].keys() & settings.keys()) - FREE_IN_A_ROW):
        if run["settings"][name] != settings[name]:
            return f"{name} {run['settings'][name]}, not {settings[name]}"
    return None
