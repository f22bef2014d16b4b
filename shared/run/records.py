"""What a run leaves as text: JSON and its lines, read and written whole, and the machine that made them."""

import json
import platform
import re
from pathlib import Path

from shared.errors import UserError
from shared.files import read_file, whole_file, why
from shared.stages import LABS, STAGES

MOST_BYTES = 100_000_000  # of JSON: a training of a million steps writes 20
RECORD = {"step": int, "tokens": int, "seconds": float, "train_loss": float}
BEGINNING = b'{"step": '  # of each line
SUMMARY = {
    "command": str, "stage": str, "settings": {"seed": int}, "parameters": int, "training_tokens": int,
    "training_seconds": float, "command_seconds": float, "machine": dict,
}  # fmt: skip
# What a stage's summary has beside that; a lab's has a table, a row and scores.
OF_STAGE = {
    "settings": {"seed": int, "tokenizer": str},
    "corpus": {"name": str, "sha256": str},
    "validation": {"nats_per_token": float, "perplexity": float, "tokens": int},
}
OF_LAB = {"table": str, "row": str, "scores": dict}


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


def read_json(path: Path, shape: object = dict) -> dict:
    """The content of a JSON file; UserError where it cannot be read, or lacks what is asked for (see `misfit`)."""
    again = "write it again with the command that made it"
    try:
        content = json.loads(read_file(path, MOST_BYTES, "give the path of a file that you may read"))
    except (ValueError, RecursionError):
        raise UserError(f"{path} is not JSON; {again}") from None
    if fault := misfit(content, shape):
        raise UserError(f"{path} is not what is read here: {fault}; {again}")
    return content


def misfit(content: object, shape: object, name: str = "all of it") -> str | None:
    """What in JSON is not of this shape, in words; None where all is. What more there is does no harm.

    A shape is a type, where float is any number, or a dict of name -> shape, or a list of the shape of all its items,
    or a tuple of the shape of what may also be null.

    >>> misfit({"step": 3}, {"step": int}), misfit({"step": "3"}, {"step": int})
    (None, 'step is no whole number')
    """
    if isinstance(shape, type):
        kind, fits = KINDS[shape]
        return None if fits(content) else f"{name} is no {kind}"
    if isinstance(shape, tuple):
        return None if content is None else misfit(content, shape[0], name)
    if type(content) is not type(shape):
        return f"{name} is no {KINDS[type(shape)][0]}"
    if isinstance(shape, list):
        return next(filter(None, (misfit(each, shape[0], name) for each in content)), None)
    missing = next((f"{key} is missing" for key in shape if key not in content), None)
    return missing or next(filter(None, (misfit(content[key], part, key) for key, part in shape.items())), None)


def is_number(value: object) -> bool:
    """A number that can be reckoned with: neither true nor false, neither NaN nor infinite, and not absurd."""
    return type(value) in (int, float) and abs(value) < 1e15


UNFIT = re.compile("[\0-\x08\x0b-\x1f\x7f\ud800-\udfff]")
KINDS = {
    int: ("whole number", lambda value: type(value) is int and is_number(value)),
    float: ("number", is_number),
    bool: ("true or false", lambda value: isinstance(value, bool)),
    # Without what no file can be named, and no terminal should be sent.
    str: ("text", lambda value: isinstance(value, str) and not UNFIT.search(value)),
    dict: ("object", lambda value: isinstance(value, dict)),
    list: ("list", lambda value: isinstance(value, list)),
}


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
    scored = isinstance(record, dict) and "validation_loss" in record
    return misfit(record, RECORD | ({"validation_loss": float} if scored else {})), record


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
