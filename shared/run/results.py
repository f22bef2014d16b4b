"""Results that stay true: finished runs as small JSON files, and the tables, which are written from nothing else."""

import json
import math
import platform
import re
import shlex
from collections import defaultdict
from pathlib import Path
from statistics import mean

import torch

from shared.errors import UserError
from shared.show.tables import cost_lines, markdown
from shared.text.tokenizer import TOKENIZERS

# What a kept run is called; `flags` is for runs with flags of their own, which the tables then show.
PRESETS = ("default", "quick", "thorough", "flags")
MARKERS = ("<!-- results -->", "<!-- /results -->")
CURVE_POINTS = 60
CURVE_FIELDS = ("step", "tokens", "seconds", "train_loss", "validation_loss")

# In these, runs of one row may differ: chance, where it ran, and what the start-up probe chose there.
FREE_IN_A_ROW = {"seed", "data", "device", "precision", "optimizer", "eval_interval"}


def machine() -> dict:
    """What a time was measured on. Neither the machine's name nor a path."""
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
    """The lines of a metrics.jsonl, but for one that a crash cut off; none where there is no such file."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def write_text(path: Path, text: str) -> None:
    """Write a text file, its folder included; UserError where that cannot be done."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; give a path that you may write to") from None


def write_json(path: Path, content: dict) -> None:
    """Write a JSON file, as `write_text` does."""
    write_text(path, json.dumps(content, indent=2) + "\n")


# ------------------------------------------------------------------------------------------------------ keeping a run


def kept_run(summary: dict, records: list[dict], preset: str, vocab_size: int, sample: dict) -> dict:
    """What is kept of a finished run: its summary without this machine's paths, its learning curve and a sample."""
    corpus = summary["corpus"]["name"]
    return summary | {
        "preset": preset,
        "vocab_size": vocab_size,
        "command": shared_command(summary["command"], corpus),
        "settings": summary["settings"] | {"data": corpus},
        "curve": [{name: rounded(record[name]) for name in CURVE_FIELDS if name in record} for record in thin(records)],
        "sample": sample,
    }


def shared_command(command: str, corpus: str) -> str:
    """The command as somebody else would type it: the corpus by its name, and no word on where the run was kept."""
    words = []
    for word in shlex.split(command):
        flag, equals, value = word.partition("=")
        words += [flag, value] if flag.startswith("--") and equals else [word]
    kept = []
    for before, word in zip(["", *words], words):
        flag, before = word.replace("_", "-"), before.replace("_", "-")
        if "--out-dir" not in (flag, before) and flag != "--resume":
            kept.append(corpus if before == "--data" else word)
    return shlex.join(kept)


def rounded(value: float) -> float:
    """Six figures: more than any reader of a learning curve can see."""
    return float(f"{value:.6g}") if isinstance(value, float) else value


def thin(records: list[dict], limit: int = CURVE_POINTS) -> list[dict]:
    """At most `limit` records, evenly spread, first and last among them; those with a validation loss come first."""
    scored = evenly([record for record in records if "validation_loss" in record], limit // 2)
    others = evenly([record for record in records if "validation_loss" not in record], limit - len(scored))
    return sorted(scored + others, key=lambda record: record["step"])


def evenly(items: list, limit: int) -> list:
    """At most `limit` of the items, at equal distances, with the first and the last."""
    if len(items) <= limit:
        return items
    return [items[round(place * (len(items) - 1) / (limit - 1))] for place in range(limit)]


def own_flags(command: str) -> str:
    """The flags of a command but those that every table names anyway: the text, its tokens, the seed.

    >>> own_flags("python train.py --data tinyshakespeare --dropout 0.4 --seed 2")
    '--dropout 0.4'
    """
    words = shlex.split(command)[2:]
    flags = [word.replace("_", "-") if word.startswith("--") else word for word in words]
    told = ("--data", "--tokenizer", "--seed")
    return shlex.join(word for before, word in zip(["", *flags], flags) if not {before, word} & set(told))


def slug(text: str) -> str:
    """A name fit for a file.

    >>> slug("ETTh1, 24 hours: LSTM")
    'etth1-24-hours-lstm'
    """
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def label(run: dict) -> str:
    """The name of a run's preset, or its flags."""
    return own_flags(run["command"]) if run["preset"] == "flags" else run["preset"]


def file_name(run: dict) -> str:
    """The name a kept run's file must have: shakespeare-word-default-seed1.json"""
    corpus, settings = Path(run["corpus"]["name"]).stem, run["settings"]
    return f"{corpus}-{settings['tokenizer']}-{slug(label(run))}-seed{settings['seed']}.json"


def differing_setting(run: dict, settings: dict) -> str | None:
    """The first setting in which a run is not what `settings` says, in words; None if there is none."""
    for name in sorted((run["settings"].keys() & settings.keys()) - FREE_IN_A_ROW):
        if run["settings"][name] != settings[name]:
            return f"{name} {run['settings'][name]}, not {settings[name]}"
    return None


# ---------------------------------------------------------------------------------------------------------- the tables


def load_results(root: Path) -> tuple[list[dict], list[dict]]:
    """All kept runs, and all kept counts of n-grams, below the repository's root."""
    runs = []
    for path in sorted(root.glob("*/results/*-seed*.json")):
        run = read_json(path)
        if (run.get("stage"), path.name) != (path.parents[1].name, file_name(run)):
            raise UserError(f"{path.relative_to(root)} holds another run than its name says; keep that run again")
        runs.append(run)
    return runs, [read_json(path) for path in sorted(root.glob("shared/results/ngram-*.json"))]


def tables(runs: list[dict], counts: list[dict]) -> str:
    """A table for every corpus and tokenizer, since only on the same tokens can numbers be compared."""
    groups = defaultdict(lambda: ([], []))
    for run in runs:
        groups[run["corpus"]["name"], run["settings"]["tokenizer"]][0].append(run)
    for count in counts:
        groups[count["corpus"]["name"], count["tokenizer"]][1].append(count)
    names = sorted(groups, key=lambda name: (name[0], list(TOKENIZERS).index(name[1])))
    parts = [table(corpus, tokenizer, *groups[corpus, tokenizer]) for corpus, tokenizer in names]
    machines = sorted({"{cores} cores ({cpu}), {system}, Python {python}, PyTorch {torch}".format(**run["machine"])
                       for run in runs})  # fmt: skip
    parts += [f"Means over the seeds, least and most in parentheses. Measured on {'; '.join(machines)}."] * bool(runs)
    return "\n\n".join(parts)


def costs(root: Path) -> str:
    """What a token costs on the machine at hand; nothing where no benchmark is kept."""
    usual, narrow = (root / "shared" / "results" / f"benchmark{suffix}.json" for suffix in ("", "-avx2"))
    if not usual.is_file():
        return ""
    usual, narrow = read_json(usual), read_json(narrow)
    rates = {name: rate / 1e9 for name, rate in usual["matmul_flops_per_second"].items()}
    chosen = " or ".join(sorted({f"{row['precision']} and {row['optimizer']}" for row in narrow["rows"]}))
    return "\n\n".join(
        [
            "**What it costs**, in tokens a second (`python -m shared.benchmark`)",
            markdown(cost_lines(usual, narrow)),
            f"*Of the best*: the share of {rates['float32']:,.0f} GFLOP/s, this machine's rate in one large float32 "
            f"product ({rates['bfloat16']:,.0f} in bfloat16), that training in float32 reaches. *With AVX2 only*: the "
            "same machine held to the instructions of an ordinary laptop (`ONEDNN_MAX_CPU_ISA=AVX2 "
            f"ATEN_CPU_CAPABILITY=avx2`), where training chooses {chosen}. "
            "*Writing*: one text, then 64 texts side by side. *MiB*: the most memory that training needs, with Python "
            "and PyTorch.",
        ]
    )


def chapter(runs: list[dict], counts: list[dict]) -> str:
    """What a stage's chapter shows of its default runs on the bundled words: score, learning curve and a sample."""
    runs = [run for run in runs if file_name(run).startswith("shakespeare-word-default-")]
    if not runs:
        return ""
    perplexities = [run["validation"]["perplexity"] for run in runs]
    seeds = f"seed {runs[0]['settings']['seed']}" if len(runs) == 1 else f"the mean of {len(runs)} seeds"
    steps, duration = runs[0]["settings"]["max_steps"], in_minutes(mean(run["command_seconds"] for run in runs))
    lines = [f"Validation perplexity {spread(perplexities, 1)}, {seeds}, after {steps:,} steps in {duration}."]
    for count in counts:
        if (count["corpus"]["name"], count["tokenizer"]) == ("shakespeare", "word"):
            lines += [f"Counting reaches {count['orders'][count['best_order'] - 1]['perplexity']:.1f}."]
    sample = runs[0]["sample"]
    lines += ["", "![Learning curve](figures/learning_curve.png)", ""]
    lines += [f"An unedited sample (seed {sample['seed']}, temperature {sample['temperature']}):", ""]
    return "\n".join([*lines, "```text", sample["text"].strip("\n"), "```"])


def table(corpus: str, tokenizer: str, runs: list[dict], counts: list[dict]) -> str:
    """One corpus cut in one way: counting first, then a row for each preset and stage."""
    sources = {(result["corpus"]["sha256"], result["vocab_size"]) for result in runs + counts}
    if len(sources) > 1:
        raise UserError(
            f"results on {corpus}, {tokenizer}, are of different texts or vocabularies; run the older again"
        )
    if len(counts) > 1:
        raise UserError(f"there are several n-gram results for {corpus} and {tokenizer}; keep one")
    lossless = TOKENIZERS[tokenizer].lossless
    measures = ["nats per token", "in windows", "bits per character"] if lossless else ["perplexity", "of counting"]
    rows = [["model", "preset", *measures, "parameters", "training", "in", "seeds"]]
    rows += [["---", "---"] + ["---:"] * (len(measures) + 2) + ["---", "---:"]]
    counted = counts[0]["orders"][counts[0]["best_order"] - 1] if counts else None
    if counted:
        shown = [f"{counted['nats']:.3f}", "", f"{counted['bits_per_character']:.3f}"] if lossless else [
            f"{counted['perplexity']:.1f}", "1"]  # fmt: skip
        name = f"counting, up to {counts[0]['best_order']} tokens"
        rows.append([name, "", *shown, "", in_minutes(counts[0]["seconds"]), "", ""])
    by_row = defaultdict(list)
    for run in runs:
        by_row[PRESETS.index(run["preset"]), run["stage"], label(run)].append(run)
    rows += [run_row(by_row[key], lossless, counted) for key in sorted(by_row)]
    text = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    unknown = f", `<unk>` is {counts[0]['validation_share_unknown']:.1%} of it" if counts and not lossless else ""
    caption = f"**{corpus}**, tokens: {tokenizer}, a vocabulary of {sources.pop()[1]:,}; validation text{unknown}"
    return f"{caption}\n\n{text}"


def run_row(runs: list[dict], lossless: bool, counted: dict | None) -> list[str]:
    """One stage with one preset, over its seeds."""
    for run in runs[1:]:
        if difference := differing_setting(run, runs[0]["settings"]):
            names = f"{file_name(runs[0])} and {file_name(run)} of {run['stage']}"
            raise UserError(f"{names} are no repetitions of one run: {difference}; run one of them again")
    scores = [run["validation"] for run in runs]
    if lossless:
        nats, bits = ([score[name] for score in scores] for name in ("nats_per_token", "bits_per_character"))
        in_windows = [score["nats_in_windows"] for score in scores if "nats_in_windows" in score]
        measures = [spread(nats, 3), f"{mean(in_windows):.3f}" if in_windows else "", spread(bits, 3)]
    else:
        perplexities = [score["perplexity"] for score in scores]
        share = f"{mean(perplexities) / counted['perplexity']:.2f}" if counted else ""
        measures = [spread(perplexities, 1), share]
    parameters = f"{runs[0]['parameters'] / 1e6:.2f} M"
    computed = sorted({f"{run['settings']['precision']}, {run['settings']['optimizer']}" for run in runs})
    stage, duration = runs[0]["stage"], in_minutes(mean(run["command_seconds"] for run in runs))
    name = f"`{label(runs[0])}`" if runs[0]["preset"] == "flags" else runs[0]["preset"]
    return [f"[{stage}]({stage})", name, *measures, parameters, duration, " or ".join(computed),
            str(len(runs))]  # fmt: skip


def spread(values: list[float], digits: int) -> str:
    """The mean, and from where to where the values go.

    >>> spread([51.0, 50.5, 52.4], 1)
    '51.3 (50.5 to 52.4)'
    """
    around = f" ({min(values):.{digits}f} to {max(values):.{digits}f})" if len(values) > 1 else ""
    return f"{mean(values):.{digits}f}{around}"


def in_minutes(seconds: float) -> str:
    """Seconds below two minutes, minutes from there on."""
    return f"{math.ceil(seconds)} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def replace_between_markers(text: str, content: str, name: str) -> str:
    """`text` with `content` between the two markers; `name` is what a complaint calls it."""
    begin, end = MARKERS
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise UserError(f"{name} needs one line {begin} and below it one line {end}; put them where the tables belong")
    before, rest = text.split(begin)
    return f"{before}{begin}\n{content}{chr(10) if content else ''}{end}{rest.split(end)[1]}"
