"""Arrays to matplotlib Figures: attention maps, influence maps and learning curves.

Knows numpy arrays and strings only. Figures are built without pyplot, so there is no global state, no window and no
display to need; a caller saves them with `save_figure`.

Shapes: T tokens, L layers, H heads. In every map the row is the token just read (whose reading leads to the prediction
of the token after it) and the column is an earlier token, or the same one.
"""

import os
import textwrap
from pathlib import Path

import numpy as np
from matplotlib import colormaps, font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FuncFormatter, MaxNLocator, NullLocator

from shared.errors import UserError

TOKENS_SHOWN = 40  # more labels than this cannot be read on a phone
LABEL_LENGTH = 14  # characters of a token's label
WIDTH = 8.0  # inches; with DPI, 1200 pixels: as many as a phone has across
DPI = 150
COLOUR_MAP = "viridis"
PROMPT_LINE = "tab:red"
NATS = "nats per token"
FONT = "DejaVu Sans"  # matplotlib brings it along, so what it can draw is known everywhere


def attention_figure(attention, tokens, prompt_length, title):
    """Every head's attention map, under one large map of their mean; a single head is the large map alone.

    attention (L, H, T, T): weights from 0 to 1; a row sums to 1, or is all 0 where nothing may be seen.
    tokens: T visible strings, of which the first `prompt_length` are the prompt. Returns a Figure.
    ValueError: the shapes do not fit together, or a weight is not a number.
    """
    attention = np.asarray(attention, dtype=float)
    _check_map(attention, tokens, dimensions=4)
    layers, heads = attention.shape[:2]
    caption = "Each row: how the model spread its attention right after reading that row's token. Blank: not yet read."
    if not attention.diagonal(axis1=2, axis2=3).any():
        caption += " The diagonal is 0: this attention looks only at what came before the token just read."
    single = layers * heads == 1
    name = "" if single else f"mean of the {layers * heads} heads below"
    small = (0, 0) if single else (layers, heads)
    scale = _colour_scale()
    figure, large, panels = _map_figure(small, title, caption, "attention weight", scale, tokens, prompt_length)
    _draw_large_map(large, attention.mean(axis=(0, 1)), tokens, prompt_length, scale, name, "token looked at")
    for (layer, head), axes in np.ndenumerate(panels):
        _draw_map(axes, attention[layer, head], prompt_length, scale)
        axes.set(xticks=[], yticks=[])
        if layer == 0:
            axes.set_title(f"head {head + 1}", fontsize=11)
        if head == 0:
            axes.set_ylabel(f"layer {layer + 1}", fontsize=11)
    return figure


def influence_figure(influence, tokens, prompt_length, title):
    """One large map of how much each token read so far mattered for the next prediction.

    influence (T, T): not negative; a row sums to 1, or is all 0. `tokens` and `prompt_length` as in `attention_figure`.
    Returns a Figure. ValueError: the shapes do not fit together, or a value is not a number.
    """
    influence = np.asarray(influence, dtype=float)
    _check_map(influence, tokens, dimensions=2)
    caption = (
        "Each row: how much the prediction made after reading that row's token would change if one token's "
        "embedding changed a little, as shares of 1. Blank: not yet read."
    )
    scale = _colour_scale()
    figure, large, _ = _map_figure((0, 0), title, caption, "share of influence", scale, tokens, prompt_length)
    _draw_large_map(large, influence, tokens, prompt_length, scale, "", "token that mattered")
    return figure


def learning_curve_figure(records, title, unit=NATS):
    """Training and validation loss against steps; a loss in nats per token is shown as perplexity too, on the right.

    records: the dicts of a metrics.jsonl: `step`, `train_loss` and, where it was measured, `validation_loss`; unit:
    what both are in. Returns a Figure. ValueError: no records.
    """
    if not records:
        raise ValueError("a learning curve needs at least one record")
    figure = _new_figure(5.5, title)
    axes = figure.add_subplot()
    steps = np.array([record["step"] for record in records])
    losses = np.array([record["train_loss"] for record in records], dtype=float)
    axes.plot(steps, losses, ".", color="tab:blue", alpha=0.25, markeredgewidth=0, label="training")
    axes.plot(steps, _smooth(losses), color="tab:blue", linewidth=2, label="training, smoothed")
    _draw_validation(figure, axes, records, unit)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))
    axes.set_xlabel("optimizer steps", fontsize=12)
    axes.set_ylabel(f"loss ({unit})", fontsize=12)
    axes.tick_params(labelsize=11)
    if unit == NATS:  # the right-hand axis keeps the left one's ticks and only renames them: perplexity = exp(nats)
        right = axes.secondary_yaxis("right")
        right.yaxis.set_major_formatter(FuncFormatter(lambda nats, _: _perplexity(nats)))
        right.set_ylabel("perplexity per token", fontsize=12)
        right.tick_params(labelsize=11)
    axes.grid(color="0.9")
    axes.legend(loc="upper right", fontsize=11)
    return figure


def save_figure(figure, path):
    """Write a figure to `path` (.png, .svg or .pdf) whole or not at all; its title and caption go in as metadata.

    UserError: another suffix, or a folder that is missing or cannot be written to.
    """
    path = Path(path)
    kind = path.suffix.lower().removeprefix(".")
    if kind not in ("png", "svg", "pdf"):
        raise UserError(f"cannot save a picture as {path.name}: end the name in .png, .svg or .pdf")
    description = "Subject" if kind == "pdf" else "Description"  # each format's own word
    metadata = {"Title": figure.get_suptitle(), description: figure.get_supxlabel().replace("\n", " ")}
    part = path.with_name(f".{path.name}.{os.getpid()}.part")  # same folder: a rename across disks is not atomic
    try:
        figure.savefig(part, format=kind, dpi=DPI, metadata=metadata)
        os.replace(part, path)
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"cannot write {path}: {reason}; name a folder that exists and can be written to") from error
    finally:
        if os.path.exists(part):  # never raises, unlike unlink in a folder that is no folder
            part.unlink()


def _check_map(weights, tokens, dimensions):
    if weights.ndim != dimensions or weights.shape[-2:] != (len(tokens), len(tokens)) or weights.size == 0:
        raise ValueError(f"a map of shape {weights.shape} does not fit {len(tokens)} tokens")
    if not np.isfinite(weights).all():  # it would be drawn blank, as if not yet read
        raise ValueError("a map holds values that are not finite numbers")


def _new_figure(height, title, caption=""):
    """An empty Figure with its title above and its caption below."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained", dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    figure.suptitle(textwrap.fill(_drawable(title), 62), fontsize=14, family=FONT, parse_math=False)
    _set_caption(figure, caption)
    return figure


def _set_caption(figure, caption):
    figure.supxlabel(textwrap.fill(caption, 96), x=0.01, ha="left", fontsize=10)


def _map_figure(small, title, caption, quantity, scale, tokens, prompt_length):
    """Lay out a figure: colour bar, large panel, `small` = (rows, columns) of small panels. No map is drawn yet."""
    rows, columns = small
    if len(tokens) > TOKENS_SHOWN:
        caption += " What fell on earlier tokens is not drawn, so rows may add up to less than 1."
    if _boundary(len(tokens), prompt_length) is not None:
        caption += " Red lines: the prompt ends, the continuation begins."
    heights = [0.2, 7.0] + [rows * 7.2 / max(columns, 4)] * (rows > 0)  # inches, as near as the labels' room allows
    figure = _new_figure(2.2 + sum(heights), title, caption)
    areas = figure.add_gridspec(len(heights), 1, height_ratios=heights)
    bar, large = figure.add_subplot(areas[0]), figure.add_subplot(areas[1])
    panels = areas[2].subgridspec(rows, columns).subplots(squeeze=False) if rows else np.empty((0, 0))
    _draw_colour_bar(figure, bar, quantity, scale)
    return figure, large, panels


def _colour_scale():
    """From weights to colours, one object for every panel of a figure and for its colour bar.

    0 to 1 always, so that pictures can be compared: the first row that sees only itself is 1 in any case. Square root,
    because a row spread over 40 tokens holds weights around 1/40, which a linear scale would draw as nothing.
    """
    return PowerNorm(gamma=0.5, vmin=0.0, vmax=1.0)


def _draw_colour_bar(figure, axes, quantity, scale):
    bar = figure.colorbar(ScalarMappable(scale, COLOUR_MAP), cax=axes, orientation="horizontal", location="top")
    bar.set_ticks([0, 0.01, 0.05, 0.1, 0.25, 0.5, 1], labels=["0", ".01", ".05", ".1", ".25", ".5", "1"])
    bar.ax.xaxis.set_minor_locator(NullLocator())
    bar.ax.tick_params(labelsize=11)
    bar.set_label(f"{quantity} (square-root scale, the same in every map)", fontsize=11)


def _boundary(length, prompt_length):
    """Where, on the axes of the map as drawn, the prompt ends: between two cells, or None if that is out of sight."""
    cells = prompt_length - max(0, length - TOKENS_SHOWN)
    return cells - 0.5 if 0 < cells < min(length, TOKENS_SHOWN) else None


def _draw_map(axes, weights, prompt_length, scale):
    """Draw the last tokens of one map (T, T). What lies in a row's future stays blank: that is not a weight of 0."""
    boundary = _boundary(len(weights), prompt_length)
    weights = weights[-TOKENS_SHOWN:, -TOKENS_SHOWN:]
    future = np.triu(np.ones(weights.shape, dtype=bool), k=1)
    weights = np.ma.array(weights, mask=future)
    axes.imshow(weights, cmap=COLOUR_MAP, norm=scale, interpolation="nearest", origin="upper", aspect="equal")
    axes.spines[:].set_color("0.7")
    if boundary is not None:
        axes.axhline(boundary, color=PROMPT_LINE, linewidth=0.8)
        axes.axvline(boundary, color=PROMPT_LINE, linewidth=0.8)


def _draw_large_map(axes, weights, tokens, prompt_length, scale, name, column_name):
    """A map with every token written on both axes, at its position: two equal words are two rows and two columns."""
    _draw_map(axes, weights, prompt_length, scale)
    axes.set_aspect("auto")  # nearly square by its room; made exactly so after the layout, its labels could be cut off
    labels = [_label(token) for token in tokens[-TOKENS_SHOWN:]]
    positions = range(len(labels))
    style = {"fontsize": float(np.clip(380 / len(labels), 8, 13)), "family": FONT, "parse_math": False}
    axes.set_xticks(positions, labels, rotation=90, **style)
    axes.set_yticks(positions, labels, **style)
    axes.set_xlabel(column_name, fontsize=12)
    axes.set_ylabel("token just read", fontsize=12)
    cut = f"showing the last {TOKENS_SHOWN} of {len(tokens)} tokens" if len(tokens) > TOKENS_SHOWN else ""
    axes.set_title("; ".join(filter(None, [name, cut])), fontsize=12)


def _label(token):
    """A token as an axis label: no glyph that the font lacks, and not too long."""
    text = _drawable(token)
    return text if len(text) <= LABEL_LENGTH else text[: LABEL_LENGTH - 1] + "…"


def _drawable(text):
    """The text with a box for every character that the font cannot draw; matplotlib would warn about each of them."""
    known = font_manager.get_font(font_manager.findfont(FONT)).get_charmap()
    return "".join(character if ord(character) in known else "□" for character in text)


def _smooth(values):
    """A centred running mean over about a fortieth of the curve; at the ends, over as much of it as there is."""
    window = np.ones(1 + len(values) // 40)
    return np.convolve(values, window, "same") / np.convolve(np.ones(len(values)), window, "same")


def _draw_validation(figure, axes, records, unit):
    """Validation losses as points, the lowest as a star; the legend and the caption say how good it is."""
    measured = [(record["step"], record["validation_loss"]) for record in records if _is_measured(record)]
    if not measured:
        return
    step, loss = min(measured, key=lambda point: point[1])
    best = f"step {step:,}: " + (f"perplexity {_perplexity(loss)}" if unit == NATS else f"{loss:.3g}")
    axes.plot(*zip(*measured), "o-", color="tab:orange", linewidth=1, markersize=5, label="validation")
    axes.plot(step, loss, "*", color="tab:red", markersize=16, linestyle="none", label=f"best, {best}")
    _set_caption(figure, f"Best validation loss at {best}{f', {loss:.3f} ' if unit == NATS else ' '}{unit}.")


def _is_measured(record):
    loss = record.get("validation_loss")
    return loss is not None and np.isfinite(loss)


def _perplexity(nats):
    with np.errstate(over="ignore"):  # a run that diverged: infinite is the right answer
        value = np.exp(nats)
    return f"{value:,.0f}" if 100 <= value < 1e6 else f"{value:.3g}"


RECALL_MARKERS = ("o", "s", "^", "D")
RECALL_DASHES = ("-", (0, (5, 2)), (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5)))
RECALL_SHADES = (0.0, 0.3, 0.55, 0.8)  # of the colour map: as far apart in lightness, so that greyscale keeps them


def recall_figure(tasks, title):
    """A row of panels a task: answers found against distance, and attention on the answer's place, if there is any.

    tasks: name -> {"chance": a guess's accuracy, "stages": name -> {"rows": dicts of `distance` (tokens), `accuracy`
    and `mass` (0 to 1; mass None without attention)}}. Returns a Figure. ValueError: no tasks.
    """
    if not tasks:
        raise ValueError("a recall figure needs at least one task")
    stages = list(dict.fromkeys(stage for task in tasks.values() for stage in task["stages"]))
    caption = (
        "Distance: how many tokens before the one just read the answer stands, up to the number given. Dotted: a "
        "guess. Attention: weight on the answer's own place, in the head that does best on other questions."
    )
    figure = _new_figure(2.1 + 2.9 * len(tasks), title, caption)
    areas = figure.add_gridspec(2, 1, height_ratios=[0.4, 2.9 * len(tasks)])
    panels = areas[1].subgridspec(len(tasks), 2).subplots(squeeze=False, sharey=True)
    for (name, task), (accuracy, mass) in zip(tasks.items(), panels):
        _prepare_recall_panel(accuracy, f"{name}: answers found", task)
        _prepare_recall_panel(mass, f"{name}: attention on the answer", task)
        accuracy.axhline(task["chance"], color="0.4", linestyle=":", linewidth=1)
        for stage, result in task["stages"].items():
            rows, style = result["rows"], _recall_style(stages.index(stage))
            accuracy.plot([row["distance"] for row in rows], [row["accuracy"] for row in rows], label=stage, **style)
            rows = [row for row in rows if row["mass"] is not None]
            mass.plot([row["distance"] for row in rows], [row["mass"] for row in rows], **style)
    legend = figure.add_subplot(areas[0])
    legend.set_axis_off()
    legend.legend(*_one_entry_a_label(panels[:, 0]), loc="center", ncols=2, fontsize=11, handlelength=4)
    return figure


def _prepare_recall_panel(axes, name, task):
    distances = sorted({row["distance"] for result in task["stages"].values() for row in result["rows"]})
    axes.set_title(name, fontsize=12)
    axes.set_xscale("log", base=2)
    axes.set_xticks(distances, [str(distance) for distance in distances])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set(xlim=(distances[0] / 1.3, distances[-1] * 1.3), ylim=(-0.03, 1.05), yticks=[0, 0.25, 0.5, 0.75, 1])
    axes.set_xlabel("distance (tokens)", fontsize=11)
    axes.tick_params(labelsize=11)
    axes.grid(color="0.9")


def _recall_style(index):
    place = index % len(RECALL_MARKERS)
    return {
        "color": colormaps[COLOUR_MAP](RECALL_SHADES[place]),
        "marker": RECALL_MARKERS[place],
        "linestyle": RECALL_DASHES[place],
        "linewidth": 2,
        "markersize": 11 - 2 * place,  # where curves lie on each other, the lower markers still show
        "markeredgecolor": "black",
        "markeredgewidth": 0.5,
    }


def _one_entry_a_label(panels):
    """Handles and labels for a legend that serves several panels."""
    entries = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels()):
            entries.setdefault(label, handle)
    return list(entries.values()), list(entries)


# -------------------------------------------------------------------------------------------- stages beside each other

GRADIENT_FLOOR = 1e-12  # beside a gradient of 1, less than this is lost in float32's rounding many times over


def learning_comparison_figure(curves, titles):
    """Every stage's validation loss against the tokens read, and against the seconds spent.

    curves: dicts of `stage`, `tokens`, `seconds` and `validation_loss` (nats per token), lists of one length, which is
    0 where a run left no records; titles: stage -> its name. Returns a Figure.
    """
    figure = _new_figure(8.0, "Learning curves", "The loss on the validation text while training went on.")
    panels = figure.subplots(2, 1, sharey=True)
    for axes, name in zip(panels, ("tokens", "seconds")):
        for index, curve in enumerate(curves):
            axes.plot(curve[name], curve["validation_loss"], label=titles[curve["stage"]], **_recall_style(index))
        axes.set_xlim(left=0)
        axes.xaxis.set_major_formatter(EngFormatter())  # 2 M for two million
        _prepare_loss_panel(axes, {"tokens": "tokens read in training", "seconds": "seconds of training"}[name])
    return figure


def context_figure(context, titles):
    """The loss of the same tokens against how many tokens before them the model was given.

    context: `lengths`, `targets` (how many tokens are scored) and `stages`: dicts of `stage`, `nats` and
    `standard_error`, a number a length. Returns a Figure.
    """
    caption = (
        f"At every length the same {context['targets']:,} tokens are predicted, each by a model that starts from "
        "nothing and reads exactly so many tokens before it. Where a curve is flat, more past is of no use. Bars: one "
        "standard error; the stages' errors go together, since the tokens are the same."
    )
    figure = _new_figure(5.5, "How much past each memory can use", caption)
    axes = figure.add_subplot()
    for index, curve in enumerate(context["stages"]):
        label, style = titles[curve["stage"]], _recall_style(index)
        errors = np.array(curve["standard_error"], dtype=float)  # None, for a single token, becomes NaN: no bar
        axes.errorbar(context["lengths"], curve["nats"], errors, label=label, elinewidth=0.8, **style)
    axes.set_xscale("log", base=2)
    axes.set_xticks(context["lengths"], [str(length) for length in context["lengths"]])
    axes.xaxis.set_minor_locator(NullLocator())
    _prepare_loss_panel(axes, "tokens of context")
    return figure


def position_figure(stages, titles):
    """The loss at each place of a window that is read from nothing; drawn as means over ever longer stretches.

    stages: dicts of `stage`, `nats` and `counts` (tokens behind each mean), a number a place. Returns a Figure.
    """
    caption = (
        "The validation text in windows, each read from nothing. A point is the mean of the places from the last point "
        "to this one, each weighted by its tokens."
    )
    figure = _new_figure(5.5, "Loss by position in a window", caption)
    axes = figure.add_subplot()
    for index, stage in enumerate(stages):
        nats, counts = np.array(stage["nats"], dtype=float), np.array(stage["counts"])
        ends = np.unique(np.geomspace(1, len(nats), 14).round().astype(int))
        starts = np.concatenate([[0], ends[:-1]])
        means = np.add.reduceat(nats * counts, starts) / np.add.reduceat(counts, starts)
        axes.plot(ends, means, label=titles[stage["stage"]], **_recall_style(index))
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())
    _prepare_loss_panel(axes, "position in the window (1: after the first token)")
    return figure


def gradient_figure(gradient, titles):
    """The size of a prediction's gradient against how long ago the token was read, all stages on one axis.

    gradient: `distances` (0: the token just read), `targets`, and `stages`: dicts of `stage` and `norms`, a number a
    distance. Returns a Figure.
    """
    caption = (
        "How much the log probability of the next token changes with the embedding of a token so far back: the length "
        f"of the gradient, as it is, mean over {gradient['targets']} places of the validation text. Where a curve "
        "falls off the picture or ends, nothing comes through."
    )
    figure = _new_figure(5.5, "Gradient against distance", caption)
    axes = figure.add_subplot()
    every = max(1, len(gradient["distances"]) // 10)
    for index, stage in enumerate(gradient["stages"]):
        norms = np.array(stage["norms"], dtype=float)
        norms[norms == 0] = np.nan  # a logarithm has no place for it
        axes.plot(
            gradient["distances"], norms, label=titles[stage["stage"]], markevery=(index * every // 4, every),
            **_recall_style(index),
        )  # fmt: skip
    axes.set_yscale("log")
    axes.set_ylim(bottom=max(GRADIENT_FLOOR, axes.get_ylim()[0]))
    axes.set_xlabel("distance back from the token just read (tokens)", fontsize=12)
    axes.set_ylabel("length of the gradient", fontsize=12)
    axes.tick_params(labelsize=11)
    axes.grid(color="0.9")
    axes.legend(fontsize=11, handlelength=4)
    return figure


def influence_comparison_figure(maps, tokens):
    """Every stage's influence map, side by side on one scale.

    maps: a name -> influence (T, T), rows summing to 1; tokens: T visible strings. Returns a Figure.
    ValueError: the shapes do not fit together, or a value is not a number.
    """
    maps = {name: np.asarray(influence, dtype=float) for name, influence in maps.items()}
    for influence in maps.values():
        _check_map(influence, tokens, dimensions=2)
    caption = (
        "Each row: how much the prediction made after reading that row's token would change with each token's "
        "embedding, as shares of 1. Rows: token just read; columns: token that mattered. Blank: not yet read."
    )
    rows = -(-len(maps) // 2)
    figure = _new_figure(1.6 + 3.9 * rows, "Influence", caption)
    areas = figure.add_gridspec(2, 1, height_ratios=[0.2, 3.9 * rows])
    scale = _colour_scale()
    _draw_colour_bar(figure, figure.add_subplot(areas[0]), "share of influence", scale)
    panels = areas[1].subgridspec(rows, 2).subplots(squeeze=False)
    for axes, name in zip(panels.flat, maps):
        _draw_map(axes, maps[name], len(tokens), scale)
        axes.set_title(name, fontsize=12)
    _label_outer_panels(panels, len(maps), tokens[-TOKENS_SHOWN:])
    return figure


def gates_figure(gates, tokens, title):
    """What gates and memory did along a text: a line each, the mean over the units of their absolute values.

    gates: name -> T numbers; tokens: T visible strings. Returns a Figure.
    """
    caption = (
        "After each token, the mean over all units of the top layer. A gate is between 0, shut, and 1, open; other "
        "values count without their sign."
    )
    figure = _new_figure(5.5, f"{title}: gates and memory", caption)
    axes = figure.add_subplot()
    for index, (name, values) in enumerate(gates.items()):
        style = _recall_style(index) | {"color": colormaps[COLOUR_MAP](0.95 * index / len(gates))}
        axes.plot(values[-TOKENS_SHOWN:], label=name, **style)
    axes.set_ylim(0, max(1.0, *(1.05 * max(values) for values in gates.values())))
    _write_tokens(axes.xaxis, tokens[-TOKENS_SHOWN:])
    axes.set_xlabel("token just read", fontsize=12)
    axes.set_ylabel("mean size", fontsize=12)
    axes.grid(color="0.9")
    axes.legend(fontsize=11, handlelength=4, ncols=len(gates), loc="lower center", bbox_to_anchor=(0.5, 1))
    return figure


def _prepare_loss_panel(axes, what):
    """Name the axes, nats on the left and perplexity on the right."""
    axes.set_xlabel(what, fontsize=12)
    axes.set_ylabel("loss (nats per token)", fontsize=12)
    axes.tick_params(labelsize=11)
    axes.grid(color="0.9")
    axes.legend(fontsize=11, handlelength=4)
    right = axes.secondary_yaxis("right")
    right.yaxis.set_major_formatter(FuncFormatter(lambda nats, _: _perplexity(nats)))
    right.set_ylabel("perplexity per token", fontsize=12)
    right.tick_params(labelsize=11)


def _label_outer_panels(panels, count, tokens):
    """Write the tokens at the left of each row of panels and under each column; take away the panels without a map."""
    columns = panels.shape[1]
    for index, axes in enumerate(panels.flat):
        if index >= count:
            axes.remove()
            continue
        axes.set(xticks=[], yticks=[])
        if index % columns == 0:
            _write_tokens(axes.yaxis, tokens, 5, 9)
        if index + columns >= count:
            _write_tokens(axes.xaxis, tokens, 5, 9)


def _write_tokens(axis, tokens, smallest=7, largest=12):
    """Every token at its place along an axis."""
    size = float(np.clip(250 / len(tokens), smallest, largest))
    labels = [_label(token) for token in tokens]
    axis.set_ticks(range(len(labels)), labels, fontsize=size, family=FONT, parse_math=False)
    if axis.axis_name == "x":
        axis.set_tick_params(rotation=90)


ALIGNMENT_SHOWN = 60  # single characters are narrower than words


def alignment_figure(weights, written, read, title):
    """Where a decoder looked in its source: a row for each symbol written, a column for each one read.

    weights (T, S): from 0 to 1; a row that is all 0 is left blank: nothing was looked up for that symbol. written and
    read: T and S visible strings. Returns a Figure. ValueError: the shapes do not fit, or a weight is not a number.
    """
    weights = np.asarray(weights, dtype=float)
    if weights.shape != (len(written), len(read)) or weights.size == 0 or not np.isfinite(weights).all():
        raise ValueError(f"weights of shape {weights.shape} do not fit {len(written)} x {len(read)} symbols")
    caption = "Each row: how the model spread its attention over the source when it wrote that row's symbol."
    if max(weights.shape) > ALIGNMENT_SHOWN:
        caption += f" Showing the first {ALIGNMENT_SHOWN} symbols of each side."
        weights, written, read = (part[:ALIGNMENT_SHOWN] for part in (weights[:, :ALIGNMENT_SHOWN], written, read))
    blank = ~weights.any(axis=1, keepdims=True) & np.ones(weights.shape, dtype=bool)
    if blank.any():
        caption += " White rows: nothing was looked up for that symbol."
    height = float(np.clip(WIDTH * len(written) / len(read), 2.5, 9.0))  # inches; about square cells
    figure = _new_figure(1.9 + height, title, caption)
    areas = figure.add_gridspec(2, 1, height_ratios=[0.2, height])
    bar, axes = figure.add_subplot(areas[0]), figure.add_subplot(areas[1])
    scale = _colour_scale()
    _draw_colour_bar(figure, bar, "attention weight", scale)
    axes.imshow(np.ma.array(weights, mask=blank), cmap=COLOUR_MAP, norm=scale, interpolation="nearest", aspect="auto")
    _write_tokens(axes.xaxis, read)
    _write_tokens(axes.yaxis, written)
    axes.tick_params(axis="x", rotation=0)
    axes.set_xlabel("symbol read", fontsize=12)
    axes.set_ylabel("symbol written", fontsize=12)
    return figure
