"""Numbers over time, text or distance -> line plots: learning curves, loss by context, gradients, gates, recall.

Takes plain numbers and strings and returns matplotlib Figures; a caller saves them with `save_figure`.
"""

import numpy as np
from matplotlib import colormaps
from matplotlib.ticker import EngFormatter, FuncFormatter, MaxNLocator, NullLocator

from shared.show.figures import (
    COLOUR_MAP,
    TOKENS_SHOWN,
    new_figure,
    one_entry_a_label,
    series_style,
    set_caption,
    write_tokens,
)

NATS = "nats per token"
# -------------------------------------------------------------------------------------------- stages beside each other

GRADIENT_FLOOR = 1e-12  # beside a gradient of 1, less than this is lost in float32's rounding many times over


def learning_curve_figure(records, title, unit=NATS):
    """Training and validation loss against steps; a loss in nats per token is shown as perplexity too, on the right.

    records: the dicts of a metrics.jsonl: `step`, `train_loss` and, where it was measured, `validation_loss`; unit:
    what both are in. Returns a Figure. ValueError: no records.
    """
    if not records:
        raise ValueError("a learning curve needs at least one record")
    figure = new_figure(5.5, title)
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
        right.yaxis.set_major_formatter(FuncFormatter(lambda nats, _: perplexity_text(nats)))
        right.set_ylabel("perplexity per token", fontsize=12)
        right.tick_params(labelsize=11)
    axes.grid(color="0.9")
    axes.legend(loc="upper right", fontsize=11)
    return figure


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
    best = f"step {step:,}: " + (f"perplexity {perplexity_text(loss)}" if unit == NATS else f"{loss:.3g}")
    axes.plot(*zip(*measured), "o-", color="tab:orange", linewidth=1, markersize=5, label="validation")
    axes.plot(step, loss, "*", color="tab:red", markersize=16, linestyle="none", label=f"best, {best}")
    set_caption(figure, f"Best validation loss at {best}{f', {loss:.3f} ' if unit == NATS else ' '}{unit}.")


def _is_measured(record):
    loss = record.get("validation_loss")
    return loss is not None and np.isfinite(loss)


def perplexity_text(nats):
    with np.errstate(over="ignore"):  # a run that diverged: infinite is the right answer
        value = np.exp(nats)
    return f"{value:,.0f}" if 100 <= value < 1e6 else f"{value:.3g}"


def learning_comparison_figure(curves, titles):
    """Every stage's validation loss against the tokens read, and against the seconds spent.

    curves: dicts of `stage`, `tokens`, `seconds` and `validation_loss` (nats per token), lists of one length, which is
    0 where a run left no records; titles: stage -> its name. Returns a Figure.
    """
    figure = new_figure(8.0, "Learning curves", "The loss on the validation text while training went on.")
    panels = figure.subplots(2, 1, sharey=True)
    for axes, name in zip(panels, ("tokens", "seconds")):
        for index, curve in enumerate(curves):
            axes.plot(curve[name], curve["validation_loss"], label=titles[curve["stage"]], **series_style(index))
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
    figure = new_figure(5.5, "How much past each memory can use", caption)
    axes = figure.add_subplot()
    for index, curve in enumerate(context["stages"]):
        label, style = titles[curve["stage"]], series_style(index)
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
    figure = new_figure(5.5, "Loss by position in a window", caption)
    axes = figure.add_subplot()
    for index, stage in enumerate(stages):
        nats, counts = np.array(stage["nats"], dtype=float), np.array(stage["counts"])
        ends = np.unique(np.geomspace(1, len(nats), 14).round().astype(int))
        starts = np.concatenate([[0], ends[:-1]])
        means = np.add.reduceat(nats * counts, starts) / np.add.reduceat(counts, starts)
        axes.plot(ends, means, label=titles[stage["stage"]], **series_style(index))
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
    figure = new_figure(5.5, "Gradient against distance", caption)
    axes = figure.add_subplot()
    every = max(1, len(gradient["distances"]) // 10)
    for index, stage in enumerate(gradient["stages"]):
        norms = np.array(stage["norms"], dtype=float)
        norms[norms == 0] = np.nan  # a logarithm has no place for it
        axes.plot(
            gradient["distances"], norms, label=titles[stage["stage"]], markevery=(index * every // 4, every),
            **series_style(index),
        )  # fmt: skip
    axes.set_yscale("log")
    axes.set_ylim(bottom=max(GRADIENT_FLOOR, axes.get_ylim()[0]))
    axes.set_xlabel("distance back from the token just read (tokens)", fontsize=12)
    axes.set_ylabel("length of the gradient", fontsize=12)
    axes.tick_params(labelsize=11)
    axes.grid(color="0.9")
    axes.legend(fontsize=11, handlelength=4)
    return figure


def _prepare_loss_panel(axes, what):
    """Name the axes, nats on the left and perplexity on the right."""
    axes.set_xlabel(what, fontsize=12)
    axes.set_ylabel("loss (nats per token)", fontsize=12)
    axes.tick_params(labelsize=11)
    axes.grid(color="0.9")
    axes.legend(fontsize=11, handlelength=4)
    right = axes.secondary_yaxis("right")
    right.yaxis.set_major_formatter(FuncFormatter(lambda nats, _: perplexity_text(nats)))
    right.set_ylabel("perplexity per token", fontsize=12)
    right.tick_params(labelsize=11)


def gates_figure(gates, tokens, title):
    """What gates and memory did along a text: a line each, the mean over the units of their absolute values.

    gates: name -> T numbers; tokens: T visible strings. Returns a Figure.
    """
    caption = (
        "After each token, the mean over all units of the top layer. A gate is between 0, shut, and 1, open; other "
        "values count without their sign."
    )
    figure = new_figure(5.5, f"{title}: gates and memory", caption)
    axes = figure.add_subplot()
    for index, (name, values) in enumerate(gates.items()):
        style = series_style(index) | {"color": colormaps[COLOUR_MAP](0.95 * index / len(gates))}
        axes.plot(values[-TOKENS_SHOWN:], label=name, **style)
    axes.set_ylim(0, max(1.0, *(1.05 * max(values) for values in gates.values())))
    write_tokens(axes.xaxis, tokens[-TOKENS_SHOWN:])
    axes.set_xlabel("token just read", fontsize=12)
    axes.set_ylabel("mean size", fontsize=12)
    axes.grid(color="0.9")
    axes.legend(fontsize=11, handlelength=4, ncols=len(gates), loc="lower center", bbox_to_anchor=(0.5, 1))
    return figure


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
    figure = new_figure(2.1 + 2.9 * len(tasks), title, caption)
    areas = figure.add_gridspec(2, 1, height_ratios=[0.4, 2.9 * len(tasks)])
    panels = areas[1].subgridspec(len(tasks), 2).subplots(squeeze=False, sharey=True)
    for (name, task), (accuracy, mass) in zip(tasks.items(), panels):
        _prepare_recall_panel(accuracy, f"{name}: answers found", task)
        _prepare_recall_panel(mass, f"{name}: attention on the answer", task)
        accuracy.axhline(task["chance"], color="0.4", linestyle=":", linewidth=1)
        for stage, result in task["stages"].items():
            rows, style = result["rows"], series_style(stages.index(stage))
            accuracy.plot([row["distance"] for row in rows], [row["accuracy"] for row in rows], label=stage, **style)
            rows = [row for row in rows if row["mass"] is not None]
            mass.plot([row["distance"] for row in rows], [row["mass"] for row in rows], **style)
    legend = figure.add_subplot(areas[0])
    legend.set_axis_off()
    legend.legend(*one_entry_a_label(panels[:, 0]), loc="center", ncols=2, fontsize=11, handlelength=4)
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
