"""Kept results -> tables: every kept run, what a token costs, puzzles with a known answer, how fast a GPU is."""

from collections import defaultdict
from pathlib import Path
from statistics import mean

import torch

from shared.benchmark.sharing import sharing_lines
from shared.errors import UserError
from shared.model.language_model import LanguageModel, map_tensors
from shared.recall.puzzles import PUZZLES
from shared.results.kept import PRESETS, best_order, file_name, label, own_flags
from shared.run.records import TABLE, differing_setting, read_json
from shared.show.tables import COLUMNS, cell, cost_lines, in_minutes, markdown, spread
from shared.stages import STAGES, load_stage, stage_title
from shared.text.tokenizer import TOKENIZERS

LONGER_THAN_A_WINDOW = 256  # tokens

# ------------------------------------------------------------------------------------------------------ every kept run


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


def table(corpus: str, tokenizer: str, runs: list[dict], counts: list[dict]) -> str:
    """One corpus cut in one way: counting first, then a row for each preset and stage.

    UserError: results that cannot be compared, because text or vocabulary differ.
    """
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
    rows += [counting_row(count, lossless) for count in counts]
    by_row = defaultdict(list)
    for run in runs:
        by_row[PRESETS.index(run["preset"]), run["stage"], label(run)].append(run)
    rows += [run_row(by_row[key], lossless, counts) for key in sorted(by_row)]

    unknown = f", `<unk>` is {counts[0]['validation_share_unknown']:.1%} of it" if counts and not lossless else ""
    caption = f"**{corpus}**, tokens: {tokenizer}, a vocabulary of {sources.pop()[1]:,}; validation text{unknown}"
    return f"{caption}\n\n{markdown(rows, left=(0, 1, len(rows[0]) - 2))}"


def counting_row(count: dict, lossless: bool) -> list[str]:
    """The n-grams of the best order."""
    scores = best_order(count)
    measures = [f"{scores['perplexity']:.1f}", "1"]
    if lossless:
        measures = [f"{scores['nats']:.3f}", "", f"{scores['bits_per_character']:.3f}"]
    name = f"counting, up to {count['best_order']} tokens"
    return [name, "", *measures, "", in_minutes(count["seconds"]), "", ""]


def run_row(runs: list[dict], lossless: bool, counts: list[dict]) -> list[str]:
    """One stage with one preset, over its seeds; `counts` holds the counting of the same tokens, if it was kept.

    UserError: runs that differ in more than their seed.
    """
    for run in runs[1:]:
        if difference := differing_setting(run, runs[0]["settings"]):
            names = f"{file_name(runs[0])} and {file_name(run)} of {run['stage']}"
            raise UserError(f"{names} are no repetitions of one run: {difference}; run one of them again")

    stage, name = runs[0]["stage"], label(runs[0])
    name = f"`{name}`" if runs[0]["preset"] == "flags" else name
    scores = [run["validation"] for run in runs]
    measures = measures_in_nats(scores) if lossless else measures_in_words(scores, counts)
    computed = sorted({run["settings"]["precision"] for run in runs})
    duration = in_minutes(mean(run["command_seconds"] for run in runs))
    return [
        f"[{stage_title(stage)}](../../{stage}/README.md)", name, *measures, f"{runs[0]['parameters'] / 1e6:.2f} M",
        duration, " or ".join(computed), str(len(runs)),
    ]  # fmt: skip


def measures_in_nats(scores: list[dict]) -> list[str]:
    """Of a lossless tokenizer: nats per token, the same in windows where that was measured, bits per character."""
    nats, bits = ([score[name] for score in scores] for name in ("nats_per_token", "bits_per_character"))
    in_windows = [score["nats_in_windows"] for score in scores if "nats_in_windows" in score]
    return [spread(nats, 3), f"{mean(in_windows):.3f}" if in_windows else "", spread(bits, 3)]


def measures_in_words(scores: list[dict], counts: list[dict]) -> list[str]:
    """Of words: perplexity, and its share of counting's."""
    perplexities = [score["perplexity"] for score in scores]
    shares = [f"{mean(perplexities) / best_order(count)['perplexity']:.2f}" for count in counts]
    return [spread(perplexities, 1), *(shares or [""])]


# --------------------------------------------------------------------------------------------------- what a token costs


def costs(folder: Path) -> str:
    """What a token costs on the machine at hand, from the benchmarks in a folder; nothing where none is kept."""
    usual, narrow = (folder / f"benchmark{suffix}.json" for suffix in ("", "-avx2"))
    if not usual.is_file():
        return ""
    usual, narrow = read_json(usual), read_json(narrow)
    rates = {name: rate / 1e9 for name, rate in usual["matmul_flops_per_second"].items()}
    chosen = " or ".join(sorted({row["precision"] for row in narrow["rows"]}))
    legend = (
        f"*Of the best*: the share of {rates['float32']:,.0f} GFLOP/s, this machine's rate in one large float32 "
        f"product ({rates['bfloat16']:,.0f} in bfloat16), that training in float32 reaches. *With AVX2 only*: the "
        "same machine held to the instructions of an ordinary laptop (`ONEDNN_MAX_CPU_ISA=AVX2 "
        f"ATEN_CPU_CAPABILITY=avx2`), where training chooses {chosen}. "
        "*Writing*: one text, then 64 texts side by side. *MiB*: the most memory that training needs, with Python "
        "and PyTorch."
    )
    title = "**What it costs**, in tokens a second (`python -m shared.benchmark`)"
    return "\n\n".join([title, markdown(cost_lines(usual, narrow)), legend])


def stage_costs(path: Path, stage: str) -> str:
    """What a chapter says of costs: a row a stage, the chapter's own in bold; nothing where no benchmark is kept."""
    if not path.is_file():
        return ""
    lines = [["", "parameters", "of them the table of words", "training, tokens/s", "writing, tokens/s", "carried on"]]
    for row in (row for row in read_json(path)["rows"] if row["variant"] == "default"):
        settings = load_stage(row["stage"]).settings("word") | row["settings"]  # as it was measured
        table = settings["vocab_size"] * settings["hidden_size"]
        speeds = [cell(row, *COLUMNS[name]) for name in ("training", "writing 1")]
        carried = numbers_carried(row["stage"], settings)
        line = [stage_title(row["stage"]), f"{row['parameters']:,}", f"{table:,}", *speeds, f"{carried:,}"]
        lines.append([f"**{text}**" for text in line] if row["stage"] == stage else line)
    legend = (
        "*Carried on*: how many numbers the model hands from one word to the next, once it has read more words than "
        "its window holds."
    )
    return f"{markdown(lines)}\n\n{legend}"


@torch.inference_mode()
def numbers_carried(stage: str, settings: dict) -> int:
    """The size of a stage's state when every window in it is full; it depends neither on weights nor on the words."""
    described = load_stage(stage)
    options = {name: settings[name] for name in described.model_settings}
    model: LanguageModel = described.model(2, **options).eval()
    _, state, _ = model.features(torch.zeros(1, LONGER_THAN_A_WINDOW, dtype=torch.long), None, False)
    sizes = []
    map_tensors(lambda tensor: sizes.append(tensor.numel()), state)
    return sum(sizes)


def beside_busy_programs(path: Path) -> str:
    """What a training step takes on a busy machine, from the kept benchmark; nothing where none is kept."""
    if not path.is_file():
        return ""
    content = read_json(path)
    lines = [["model", "threads wait", "quiet", "beside one busy program", "beside two"]]
    for row in content["rows"]:
        lines.append([row["stage"], row["way"], *(f"{time:.0f} ms" for time in row["milliseconds"])])
    title = f"**A step of training on a busy machine**, {content['machine']['cores']} cores (`{content['command']}`)"
    return f"{title}\n\n{markdown(lines, left=(0, 1))}"


def shared_by_processes(path: Path) -> str:
    """What a step takes one process and two, and what it would take several machines; nothing where none is kept."""
    if not path.is_file():
        return ""
    content = read_json(path)
    title = f"**A step of training by several processes**, each on one core, in float32 (`{content['command']}`)"
    legend = (
        "*Machines* are calculated, not measured: each with one such core, the lanes shared among them, and the "
        "gradients sent over a network of this speed."
    )
    return f"{title}\n\n{markdown(sharing_lines(content['rows']))}\n\n{legend}"


# ------------------------------------------------------------------------------------------ puzzles with a known answer


def puzzle_table(folder: Path) -> str:
    """What share of its questions each stage answers rightly, by puzzle and distance; nothing where nothing is kept."""
    paths = [folder / f"recall-default-{name}.json" for name in PUZZLES]
    kept = [read_json(path) for path in paths if path.is_file()]
    if not kept:
        return ""
    lines = [["puzzle", "distance up to", "a guess", *map(stage_title, STAGES)]]
    for found in kept:
        for number, row in enumerate(next(iter(found["stages"].values()))[0]["rows"]):
            of_stages = [
                [run["rows"][number]["accuracy"] for run in found["stages"].get(stage, [])] for stage in STAGES
            ]
            shown = [shares(accuracies) if accuracies else "" for accuracies in of_stages]
            lines.append([found["task"], str(row["distance"]), f"{found['chance']:.0%}", *shown])
    return markdown(lines, left=(0,))


def shares(values: list[float]) -> str:
    """The mean of some shares in per cent and, where they differ so far that it shows, the least and the most."""
    low, high = f"{min(values):.0%}", f"{max(values):.0%}"
    return f"{mean(values):.0%}" + f" ({low} to {high})" * (low != high)


# ----------------------------------------------------------------------------------------------------------- on a GPU


def gpu_tables(path: Path) -> str:
    """What training reaches in how much time on a GPU; nothing where nothing was kept.

    path: a JSON list of runs as `kept_run` keeps them, but with `corpus` and `tokenizer` as names, without curve and
    sample, and with the GPU among what `machine` tells.
    """
    if not path.is_file():
        return ""
    groups = defaultdict(list)
    for run in read_json(path, [TABLE]):
        groups[run["corpus"], run["tokenizer"]].append(run)
    return "\n\n".join(gpu_table(*names, groups[names]) for names in sorted(groups))


def campaign_table(path: Path) -> str:
    """What was done to the course on purpose, how often, and what came of it; nothing where nothing was kept.

    path: as tests/test_campaign.py writes it.
    """
    if not path.is_file():
        return ""
    kept, kinds = read_json(path), ["resumed exactly", "begun again", "refused", "harmless", "bad"]
    heads = ["to the same end by --resume", "or from the start", "refused in one line", "harmless", "bad"]
    rows = [["what was done", "times", *heads]]
    for part, counts in kept["parts"].items():
        rows.append([part, f"{counts['tried']:,}", *(f"{counts[kind]:,}" if kind in counts else "" for kind in kinds)])
    total = [sum(counts.get(kind, 0) for counts in kept["parts"].values()) for kind in ("tried", *kinds)]
    rows.append(["all", *(f"{count:,}" for count in total)])
    about = (
        "{minutes} minutes on {machine[cores]} cores, PyTorch {machine[torch]}, Python {machine[python]}, seed {seed}"
    )
    return f"{markdown(rows)}\n\n`{kept['command']}`: {about.format(**kept)}"


def gpu_table(corpus: str, tokenizer: str, runs: list[dict]) -> str:
    """One corpus cut in one way: a row for each stage and its flags, over the seeds."""
    measure, digits = ("nats_per_token", 3) if TOKENIZERS[tokenizer].lossless else ("perplexity", 1)
    by_row = defaultdict(list)
    for run in runs:
        by_row[run["stage"], own_flags(run["command"])].append(run)
    rows = [["model", "flags", measure.replace("_", " "), "tokens read", "tokens/s", "training", "in all", "seeds"]]
    for (stage, flags), of_row in sorted(by_row.items()):
        tokens, seconds, whole = (
            mean(run[name] for run in of_row) for name in ("training_tokens", "training_seconds", "command_seconds")
        )
        score = spread([run["validation"][measure] for run in of_row], digits)
        rows.append([
            f"[{stage_title(stage)}](../../{stage}/README.md)", f"`{flags}`" if flags else "default", score,
            f"{tokens / 1e6:.1f} M", f"{tokens / seconds:,.0f}", in_minutes(seconds), in_minutes(whole),
            str(len(of_row)),
        ])  # fmt: skip
    machines = sorted({"{gpu}, PyTorch {torch}, CUDA {cuda}, Python {python}".format(**run["machine"]) for run in runs})
    caption = f"**{corpus} on a GPU**, tokens: {tokenizer} ({'; '.join(machines)})"
    return f"{caption}\n\n{markdown(rows, left=(0, 1))}"
