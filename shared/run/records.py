"""What a run leaves as text: JSON and its lines, read and written whole, and the machine that made them."""

import json
import platform
import re
from pathlib import Path

from shared.errors import UserError
from shared.files import whole_file


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


def read_json(path: Path) -> dict:
    """The content of a JSON file; UserError where it cannot be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; give the path of a file that you may read") from None
    except ValueError:
        raise UserError(f"{path} is not JSON; write it again with the command that made it") from None


def read_records(path: Path) -> list[dict]:
    """The lines of a metrics.jsonl, one JSON object each; none where there is no such file.

    A crash may have cut off the last line, which then does not end in a brace; it is left out.
    """
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def write_text(path: Path, text: str) -> None:
    """Write a text file whole, its folder included; UserError where that cannot be done."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as file:
            file.write(text.encode("utf-8"))
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; give a path that you may write to") from None


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
