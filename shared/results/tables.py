"""Kept results -> the tables and paragraphs of the pages, which are written from nothing else."""

from collections import defaultdict
from pathlib import Path
from statistics import mean

from shared.errors import UserError
from shared.results.kept import PRESETS, file_name, label
from shared.run.records import differing_setting, read_json
from shared.show.tables import cost_lines, in_minutes, markdown, spread
from shared.text.tokenizer import TOKENIZERS

MARKERS = ("<!-- results -->", "<!-- /results -->")


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


def replace_between_markers(text: str, content: str, name: str) -> str:
    """`text` with `content` between the two markers; `name` is what a complaint calls it."""
    begin, end = MARKERS
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise UserError(f"{name} needs one line {begin} and below it one line {end}; put them where the tables belong")
    before, rest = text.split(begin)
    return f"{before}{begin}\n{content}{chr(10) if content else ''}{end}{rest.split(end)[1]}"
