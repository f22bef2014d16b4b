"""A lab's results: finished runs and baselines as small JSON files, and its chapter's tables, written from them."""

import re
from collections import defaultdict
from pathlib import Path
from statistics import mean

from shared.errors import UserError
from shared.results.kept import shared_command, thin
from shared.run.records import machine, read_json, slug, write_json
from shared.show.tables import in_minutes, markdown, spread

CURVE_FIELDS = ("step", "seconds", "train_loss", "validation_loss")


def file_name(result: dict) -> str:
    """The name that a kept result's file must have: copy-additive-seed1.json, or without a seed for a baseline."""
    seed = f"-seed{result['settings']['seed']}" if "settings" in result else ""
    return f"{slug(result['table'])}-{slug(result['row'])}{seed}.json"


def kept_lab_run(summary: dict, records: list[dict]) -> dict:
    """What is kept of a finished run of a lab: its summary and its learning curve."""
    curve = [{name: record[name] for name in CURVE_FIELDS if name in record} for record in thin(records)]
    command = shared_command(summary["command"], summary["settings"].get("data", ""))
    return summary | {"command": command, "curve": curve}


def keep_baseline(folder: Path, command: str, table: str, row: str, scores: dict[str, float]) -> Path:
    """Keep what a method without training reaches, in the lab's results/ -> the file."""
    result = {"command": command, "table": table, "row": row, "scores": scores, "machine": machine()}
    path = folder / "results" / file_name(result)
    write_json(path, result)
    return path


def load_lab_results(folder: Path) -> list[dict]:
    """All that is kept in a lab's results/, by name of file."""
    results = []
    for path in sorted((folder / "results").glob("*.json")):
        result = read_json(path)
        if "scores" in result:  # other files there are the lab's own, for a figure say
            if path.name != file_name(result):
                raise UserError(f"{folder.name}/results/{path.name} should be {file_name(result)}; keep that run again")
            results.append(result)
    return results


def lab_tables(results: list[dict]) -> str:
    """A table for each `table`; baselines stand above what was trained. Nothing where nothing was kept."""
    if not results:
        return ""
    by_table = defaultdict(list)
    for result in results:
        by_table[result["table"]].append(result)
    parts = [lab_table(name, by_table[name]) for name in sorted(by_table, key=by_number)]
    machines = sorted({"{system} ({cpu}), threads: {cores}, PyTorch {torch}".format(**result["machine"])
                       for result in results})  # fmt: skip
    return "\n\n".join([*parts, f"Means over the seeds, least and most in parentheses. Run on {'; '.join(machines)}."])


def by_number(name: str) -> list:
    """A key to sort names by, in which lag 5 stands before lag 20."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def lab_table(name: str, results: list[dict]) -> str:
    """One table: a row for each `row`, a column for each score."""
    heads = list(dict.fromkeys(head for result in results for head in result["scores"]))
    by_row = defaultdict(list)
    for result in results:
        by_row["settings" in result, result["row"]].append(result)
    lines = [["", *heads, "parameters", "time", "seeds"]]
    lines += [lab_row(row, by_row[trained, row], heads) for trained, row in sorted(by_row)]
    return f"**{name}**\n\n{markdown(lines)}"


def lab_row(name: str, results: list[dict], heads: list[str]) -> list[str]:
    """One row over its seeds."""
    cells = [name]
    for head in heads:
        values = [result["scores"][head] for result in results if head in result["scores"]]
        cells.append(spread(values, 3) if values else "")
    if "settings" not in results[0]:
        return [*cells, "", "", ""]
    seconds = mean(result["command_seconds"] for result in results)
    return [*cells, f"{results[0]['parameters']:,}", in_minutes(seconds), str(len(results))]
