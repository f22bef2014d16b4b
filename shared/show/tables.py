"""Numbers -> text: the tables of benchmarks and comparisons, Markdown, and a few ways to write one number."""

import math
import shutil
import sys
import textwrap
from collections.abc import Callable, Collection
from statistics import mean

# -------------------------------------------------------------------------------------------- what a benchmark measured

# A column's title -> the figure it shows, and how.
COLUMNS = {
    "training": ("training_tokens_per_second", "{:,.0f}"),
    "of f32": ("share_of_float32_matmul", "{:.0%}"),
    "of bf16": ("share_of_bfloat16_matmul", "{:.0%}"),
    "writing 1": ("generation_1_tokens_per_second", "{:,.0f}"),
    "writing 64": ("generation_64_tokens_per_second", "{:,.0f}"),
    "peak MiB": ("peak_mib", "{:,.0f}"),
}

LEGEND = """\
training     tokens/s: forward, backward, clipping and optimizer
of f32, bf16 its matrix products, but for the optimizer's, as a share of what this machine reaches in one large \
product: {float32:,.0f} GFLOP/s in float32, {bfloat16:,.0f} in bfloat16
writing      tokens/s with 1 or 64 texts side by side, in float32
peak MiB     {memory}"""


def cost_table(content: dict, earlier: dict | None = None) -> str:
    """All rows of a benchmark and what the columns mean; with an earlier benchmark's content, ratios to its rows."""
    lines = [["", "precision", *COLUMNS]]
    for row in content["rows"]:
        title = row["stage"] if row["variant"] == "default" else f"  {row['variant']}"
        lines.append([title, row["precision"], *(cell(row, *how) for how in COLUMNS.values())])
        if row["variant"] == "scratch":
            lines.append(ratios("    of PyTorch's", row, same_row(content["rows"], row | {"variant": "default"})))
        if earlier:
            lines.append(ratios("    of earlier", row, same_row(earlier["rows"], row)))
    gigaflops = {name: rate / 1e9 for name, rate in content["matmul_flops_per_second"].items()}
    told = all(row["peak_mib"] is not None for row in content["rows"])
    memory = "of a training process, Python and PyTorch included (on a GPU: what was allocated there)"
    legend = LEGEND.format(**gigaflops, memory=memory if told else "not measured: this system does not tell it")
    notes = [*legend.splitlines(), *differences(content, earlier or content)]
    return "\n".join([for_terminal(lines), "", *(wrapped(note, indent=13) for note in notes)])


def cost_lines(usual: dict, narrow: dict) -> list[list[str]]:
    """The table of costs as a page shows it: a line a stage, at its default settings.

    usual, narrow: two benchmarks of one machine; in the second it was held to the instructions of an ordinary laptop.
    """
    lines = [["model", "training", "in", "in float32", "of the best", "with AVX2 only", "writing", "64 at once", "MiB"]]
    for row in (row for row in usual["rows"] if row["variant"] == "default"):
        of_stage = {each["variant"]: each for each in usual["rows"] if each["stage"] == row["stage"]}
        exact = of_stage.get("float32", row)
        held = next(each for each in narrow["rows"] if (each["stage"], each["variant"]) == (row["stage"], "default"))
        shown = [(row, "training"), (exact, "training"), (exact, "of f32"), (held, "training")]
        shown += [(row, name) for name in ("writing 1", "writing 64", "peak MiB")]
        figures = [cell(each, *COLUMNS[name]) for each, name in shown]
        lines.append([row["stage"], figures[0], row["precision"], *figures[1:]])
    return lines


def same_row(rows: list[dict], wanted: dict) -> dict:
    """The row of the same stage and variant that was computed in the same way; an empty one if there is none."""
    names = ("stage", "variant", "precision", "optimizer")
    return next((row for row in rows if all(row[name] == wanted[name] for name in names)), {})


def ratios(title: str, row: dict, reference: dict) -> list[str]:
    """A line of the table: each figure as a multiple of the reference's."""
    keys = [key for key, _ in COLUMNS.values()]
    there = [key for key in keys if is_positive(row.get(key)) and is_positive(reference.get(key))]
    multiples = {key: row[key] / reference[key] for key in there}
    return [title, "", *(cell(multiples, key, "{:.2f}x") for key in keys)]


def is_positive(figure: object) -> bool:
    """Whether there is a figure, as there is none for what was not measured, and a ratio to it."""
    return isinstance(figure, (int, float)) and figure > 0


def differences(content: dict, earlier: dict) -> list[str]:
    """How machine and settings differ from the earlier benchmark's; where they do, a ratio says little of the code."""
    notes = [f"earlier: {name} {earlier['machine'].get(name)}" for name, value in content["machine"].items()
             if earlier["machine"].get(name) != value]  # fmt: skip
    for row in content["rows"]:
        before = same_row(earlier["rows"], row).get("settings", row["settings"])
        changed = [f"{name} {before[name]}" for name, value in row["settings"].items() if before.get(name) != value]
        notes += [f"earlier: {row['stage']}, {row['variant']}: {', '.join(changed)}"] if changed else []
    return notes


def cell(figures: dict, key: str, style: str) -> str:
    """One figure; a dash for what was not measured."""
    return "-" if figures.get(key) is None else style.format(figures[key])


def scaling_tables(points: list[dict]) -> str:
    """A table for each thing that was varied: microseconds a token, and peak memory where that was measured."""
    parts = []
    for what in dict.fromkeys(point["what"] for point in points):
        chosen = [point for point in points if point["what"] == what]
        writing = "generation_1_tokens_per_second" in chosen[0]
        key = "generation_1_tokens_per_second" if writing else "training_tokens_per_second"
        values = [f"{value:,}" for value in dict.fromkeys(point["value"] for point in chosen)]
        times = [[f"{'writing' if writing else 'training'}, microseconds a token, by {what}", *values]]
        peaks = [["  peak MiB"] + [""] * len(values)]
        for stage in dict.fromkeys(point["stage"] for point in chosen):
            row = [point for point in chosen if point["stage"] == stage]
            times.append([stage, *(f"{1e6 / point[key]:,.0f}" for point in row)])
            peaks.append([stage, *(cell(point, "peak_mib", "{:,.0f}") for point in row)])
        parts.append(for_terminal(times + ([] if writing else peaks)))
    return "\n\n".join(parts)


# ------------------------------------------------------------------------------------------- what a comparison measured

# A comparison's measures, one a line of its table -> where in a stage's row the figure is, and how it is shown.
MEASURES = {
    "perplexity, validation": (("validation_perplexity",), "{:.1f}"),
    "    over seeds, least": (("validation_perplexity_spread", 0), "{:.1f}"),
    "    over seeds, most": (("validation_perplexity_spread", 1), "{:.1f}"),
    "perplexity, test": (("test_perplexity",), "{:.1f}"),
    "bits per character, validation": (("validation_bits_per_character",), "{:.3f}"),
    "bits per character, test": (("test_bits_per_character",), "{:.3f}"),
    "parameters": (("parameters",), "{:,}"),
    "training, tokens": (("training_tokens",), "{:,.0f}"),
    "training, seconds": (("training_seconds",), "{:,.0f}"),
    "training, tokens/s": (("training_tokens_per_second",), "{:,.0f}"),
    "generation, tokens/s": (("generation_tokens_per_second",), "{:,.0f}"),
    "checkpoint, bytes": (("checkpoint_bytes",), "{:,.0f}"),
    "state after 16 tokens, bytes": (("state_bytes", "16"), "{:,}"),
    "state after 256 tokens, bytes": (("state_bytes", "256"), "{:,}"),
    "state after 1,024 tokens, bytes": (("state_bytes", "1024"), "{:,}"),
    "runs": (("runs",), "{}"),
}


def comparison_lines(rows: list[dict]) -> list[list[str]]:
    """A comparison's table: stages across, measures down; a measure that no stage has is left out."""
    lines = [["", *(row["title"] for row in rows)]]
    for name, (path, style) in MEASURES.items():
        figures = [figure_at(row, path) for row in rows]
        if any(figure is not None for figure in figures):
            lines.append([name, *("-" if figure is None else style.format(figure) for figure in figures)])
    return lines


def figure_at(row: dict, path: tuple[str | int, ...]) -> float | None:
    """What lies in nested dicts and lists at the end of a path; None where the path ends early."""
    for step in path:
        row = None if row is None else row[step]
    return row


# ------------------------------------------------------------------------------------------------ any table, any number


def aligned(lines: list[list[str]]) -> str:
    """Columns of equal width, the first one to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*lines)]
    starts = [line[0].ljust(widths[0]) for line in lines]
    rests = [[text.rjust(width) for text, width in zip(line[1:], widths[1:])] for line in lines]
    return "\n".join("  ".join([start, *rest]).rstrip() for start, rest in zip(starts, rests))


def terminal_width() -> float:
    """The columns of the terminal that standard output is; infinite where it is a file or a pipe."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else math.inf


def for_terminal(lines: list[list[str]], layout: Callable[[list[list[str]]], str] = aligned) -> str:
    """Lines of cells, the first of them the heads, as a table; where a terminal is too narrow, a block for each line.

    A file or a pipe gets the table always: another program may read it.
    """
    table = layout(lines)
    return table if max(map(len, table.splitlines())) <= terminal_width() else blocks(lines)


def blocks(lines: list[list[str]]) -> str:
    """Each line but the first as a block: its own head, and below it the other heads with the line's cells.

    >>> print(blocks([["model", "perplexity", "seconds"], ["RNN", "71.1", "58"]]))
    model:
    RNN
      perplexity  71.1
      seconds       58
    """
    heads, *rows = lines
    # An empty cell says nothing here: in a table it only holds the place.
    pairs = [[pair for pair in zip(heads[1:], row[1:]) if pair[1]] for row in rows]
    bodies = [aligned([[f"  {head}", cell] for head, cell in pair]) if pair else "" for pair in pairs]
    title = f"{heads[0]}:\n" if heads[0] else ""
    return title + "\n".join(f"{row[0]}\n{body}".rstrip() for row, body in zip(rows, bodies))


def wrapped(text: str, indent: int = 0) -> str:
    """A line, cut between words where a terminal is too narrow for it; all parts but the first are indented."""
    width = terminal_width()
    if len(text) <= width:
        return text
    margin = " " * min(indent, width // 3)
    # A path longer than a line stays whole, so that it can be copied.
    return textwrap.fill(text, width, subsequent_indent=margin, break_long_words=False, break_on_hyphens=False)


def markdown(lines: list[list[str]], left: Collection[int] = (0,)) -> str:
    """Lines of cells as a Markdown table; the columns numbered in `left` are aligned left, the others right.

    >>> print(markdown([["model", "perplexity"], ["RNN", "71.1"]]))
    | model | perplexity |
    | --- | ---: |
    | RNN | 71.1 |
    """
    rule = ["---" if column in left else "---:" for column in range(len(lines[0]))]
    return "\n".join("| " + " | ".join(line) + " |" for line in [lines[0], rule, *lines[1:]])


def spread(values: list[float], digits: int) -> str:
    """The mean, and from where to where the values go.

    >>> spread([51.0, 50.5, 52.4], 1)
    '51.3 (50.5 to 52.4)'
    """
    around = f" ({min(values):.{digits}f} to {max(values):.{digits}f})" if len(values) > 1 else ""
    return f"{mean(values):.{digits}f}{around}"


def perplexity_text(nats: float) -> str:
    """The perplexity that belongs to a loss in nats, its exponential, in about three figures.

    >>> perplexity_text(4.2), perplexity_text(7.0), perplexity_text(800.0)
    ('66.7', '1,097', 'inf')
    """
    perplexity = math.exp(nats) if nats < 700 else math.inf  # a run that diverged: infinite is the right answer
    return f"{perplexity:,.0f}" if 100 <= perplexity < 1e6 else f"{perplexity:.3g}"


def in_minutes(seconds: float) -> str:
    """Seconds below two minutes, minutes from there on.

    >>> in_minutes(61.2), in_minutes(150)
    ('62 s', '2.5 min')
    """
    return f"{math.ceil(seconds)} s" if seconds < 120 else f"{seconds / 60:.1f} min"
