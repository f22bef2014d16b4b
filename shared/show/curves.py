"""Numbers over time, text or distance -> line plots: learning curves, loss by context, gradients, gates, recall.

Takes plain numbers and strings and returns matplotlib Figures; a caller saves them with `save_figure`.
"""

import math
import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FuncFormatter, Locator, LogLocator, MaxNLocator, NullLocator

from shared.show.figures import (
    COLOUR_MAP,
    FONTS,
    TOKENS_SHOWN,
    drawable,
    new_figure,
    one_entry_a_label,
    series_style,
    set_caption,
    write_tokens,
)
from shared.show.tables import perplexity_text

NATS = "nats per token"  # the unit of a language model's loss; a lab may have another
FIRST_FALL = 0.1  # of the steps; the loss falls so far in them that all that follows would look flat beside it
SMALLEST_SHARE = 1e-4  # of the pull of the token just read: what is weaker falls off the picture

# ------------------------------------------------------------------------------------------------------ one run's curve


def learning_curve_figure(records: Sequence[dict], title: str, unit: str = NATS) -> Figure:
    """Training and validation loss against steps; a loss in nats per token is shown as perplexity too, on the right.

    The first fall of the training loss goes out of the picture at its top, so that what comes after it can be read.
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
    _leave_out_first_fall(axes, steps)
    if losses[0] > axes.get_ylim()[1]:
        set_caption(figure, f"{figure.get_supxlabel()} The training loss comes down from {losses[0]:.3g}.".strip())
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))
    axes.set_xlabel("optimizer steps", fontsize=12)
    axes.set_ylabel(f"loss ({unit})", fontsize=12)
    axes.tick_params(labelsize=11)
    if unit == NATS:
        _add_perplexity_axis(axes)
    axes.grid(color="0.9")
    axes.legend(loc="upper right", fontsize=11)
    return figure


def _smooth(values: np.ndarray) -> np.ndarray:
    """A centred running mean over about a fifteenth of the curve; at the ends, over as much of it as there is."""
    window = np.ones(1 + len(values) // 15)
    return np.convolve(values, window, "same") / np.convolve(np.ones(len(values)), window, "same")


def _draw_validation(figure: Figure, axes: Axes, records: Sequence[dict], unit: str) -> None:
    """Validation losses as points, the lowest as a star; the legend and the caption say how good it is."""
    measured = [(record["step"], record["validation_loss"]) for record in records if _is_measured(record)]
    if not measured:
        return
    step, loss = min(measured, key=lambda point: point[1])
    best = f"step {step:,}: " + (f"perplexity {perplexity_text(loss)}" if unit == NATS else f"{loss:.3g}")
    axes.plot(*zip(*measured), "o-", color="tab:orange", linewidth=1, markersize=5, label="validation")
    axes.plot(step, loss, "*", color="tab:red", markersize=16, linestyle="none", label=f"best, {best}")
    set_caption(figure, f"Best validation loss at {best}{f', {loss:.3f} ' if unit == NATS else ' '}{unit}.")


def _leave_out_first_fall(axes: Axes, steps: np.ndarray) -> None:
    """End the loss axis, at the top, where all curves are after their first fall."""
    begin = steps[0] + FIRST_FALL * (steps[-1] - steps[0])
    points = np.concatenate([line.get_xydata() for line in axes.lines])  # (points, 2): step, loss
    after = points[(points[:, 0] >= begin) & np.isfinite(points[:, 1]), 1]
    if after.size and after.min() < after.max():
        room = 0.05 * (after.max() - after.min())
        axes.set_ylim(after.min() - room, after.max() + room)


def _is_measured(record: dict) -> bool:
    """Whether there is a validation loss to draw: most records have none, and a run that diverged has no finite one."""
    loss = record.get("validation_loss")
    return loss is not None and np.isfinite(loss)


class RoundPerplexities(Locator):
    """Ticks at round perplexities on an axis of nats."""

    def __call__(self) -> np.ndarray:
        """The ticks' places, in nats."""
        low, high = np.exp(np.clip(self.axis.get_view_interval(), -300, 300))  # a run that diverged has any loss
        if high < 4 * low:  # equal steps, as 50, 60, 70: their logarithms are not too unequal
            locator = MaxNLocator(7, steps=[1, 2, 5, 10])
        else:
            locator = LogLocator(subs=(1, 2, 5) if high < 1e4 * low else (1,))
        ticks = locator.tick_values(low, high)
        return np.log(ticks[ticks > 0])


def _add_perplexity_axis(axes: Axes) -> None:
    """Say on the right what the losses on the left are as perplexities, exp(nats)."""
    right = axes.secondary_yaxis("right")
    right.yaxis.set_major_locator(RoundPerplexities())
    right.yaxis.set_major_formatter(FuncFormatter(lambda nats, _: perplexity_text(nats)))
    right.set_ylabel("perplexity per token", fontsize=12)
    right.tick_params(labelsize=11)


# -------------------------------------------------------------------------------------------- stages beside each other


def learning_comparison_figure(curves: Sequence[dict], titles: Mapping[str, str]) -> Figure:
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


def context_figure(context: dict, titles: Mapping[str, str]) -> Figure:
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


def position_figure(stages: Sequence[dict], titles: Mapping[str, str]) -> Figure:
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
        # The axis is logarithmic, so a point gathers ever more places: those after the last point, up to its own.
        ends = np.unique(np.geomspace(1, len(nats), 14).round().astype(int))
        starts = np.concatenate([[0], ends[:-1]])
        means = np.add.reduceat(nats * counts, starts) / np.add.reduceat(counts, starts)
        axes.plot(ends, means, label=titles[stage["stage"]], **series_style(index))
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())
    _prepare_loss_panel(axes, "position in the window (1: after the first token)")
    return figure


def gradient_figure(
    gradient: dict, titles: dict[str, str], title: str = "How far back each memory reaches", unit: str = "tokens"
) -> Figure:
    """How strongly the next guess hangs on a token so far back, as a share of the token just read; all stages together.

    gradient: `distances` (0: the token just read), `targets`, and `stages`: dicts of `stage` and `norms`, the mean
    length of a prediction's gradient, a number a distance; unit: what a token is called. Returns a Figure.
    """
    caption = (
        f"Pull: the length of the gradient of the log probability of what comes next, by the embedding so many {unit} "
        f"back, beside that of the nearest. Mean over {gradient['targets']} places of the validation text."
    )
    figure = new_figure(5.8, "", caption)
    figure.suptitle(textwrap.fill(drawable(title), 40), fontsize=20, family=FONTS, parse_math=False)
    axes = figure.add_subplot()
    back = np.array(gradient["distances"]) + 1  # counted from 1, since a logarithm has no place for 0
    powers = 2 ** np.arange(int(np.log2(back[-1])) + 1)  # 1, 2, 4, ...: the ticks, and where the markers stand
    for index, stage in enumerate(gradient["stages"]):
        norms = np.array(stage["norms"], dtype=float)
        shares = np.divide(norms, norms[0], out=np.full_like(norms, np.nan), where=norms * norms[0] > 0)
        style = series_style(index) | {"linewidth": 3}
        axes.plot(back, shares, label=titles[stage["stage"]], markevery=list(powers - 1), **style)
    _prepare_gradient_panel(axes, unit, powers, max(2, back[-1]))
    return figure


def _prepare_gradient_panel(axes: Axes, unit: str, powers: np.ndarray, furthest: int) -> None:
    """Logarithms both ways, and letters that can be read on a phone."""
    axes.set_xscale("log", base=2)
    axes.set_xlim(1, furthest)
    axes.set_xticks(powers, [str(power) for power in powers])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_yscale("log")
    axes.set_ylim(SMALLEST_SHARE, 1.3)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: "1" if share == 1 else f"1/{1 / share:,.0f}"))
    axes.set_xlabel(f"{unit} back (1: the one just read)", fontsize=17)
    axes.set_ylabel("pull on the next guess", fontsize=17)
    axes.tick_params(labelsize=15)
    axes.grid(color="0.9")
    axes.legend(fontsize=16, handlelength=3, loc="lower left")


def _prepare_loss_panel(axes: Axes, what: str) -> None:
    """Name the axes, `what` below, nats on the left and perplexity on the right."""
    axes.set_xlabel(what, fontsize=12)
    axes.set_ylabel("loss (nats per token)", fontsize=12)
    axes.tick_params(labelsize=11)
    axes.grid(color="0.9")
    axes.legend(fontsize=11, handlelength=4)
    _add_perplexity_axis(axes)


# --------------------------------------------------------------------------------------------- inside and by experiment


def gates_figure(gates: Mapping[str, Sequence[float]], tokens: Sequence[str], title: str) -> Figure:
    """What gates and cell did along a text: a line each, the mean over the units of their absolute values.

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


def recall_figure(puzzles: Mapping[str, dict], title: str) -> Figure:
    """A row of panels a puzzle: answers found against distance, and attention on the answer's place, if there is any.

    puzzles: name -> {"chance": a guess's accuracy, "stages": name -> list of dicts of `distance` (tokens), `accuracy`,
    its `least` and `most` over seeds, and `mass` (all 0 to 1; mass None without attention)}. Returns a Figure.
    ValueError: no puzzles.
    """
    if not puzzles:
        raise ValueError("a recall figure needs at least one puzzle")
    stages = list(dict.fromkeys(stage for puzzle in puzzles.values() for stage in puzzle["stages"]))
    caption = (
        "Distance: how many tokens before the one just read the answer stands, up to the number given. Dotted: a "
        "guess. Upright lines: from the worst to the best of several seeds. Attention: weight on the answer's own "
        "place (in Adding, on both), in the layer that does best on other questions."
    )
    figure = new_figure(2.1 + 2.4 * len(puzzles), title, caption)
    areas = figure.add_gridspec(2, 1, height_ratios=[0.4, 2.4 * len(puzzles)])
    panels = areas[1].subgridspec(len(puzzles), 2).subplots(squeeze=False, sharey=True)
    for (name, puzzle), (accuracy, mass) in zip(puzzles.items(), panels):
        _prepare_recall_panel(accuracy, f"{name}: answers found", puzzle)
        _prepare_recall_panel(mass, f"{name}: attention on the answer", puzzle)
        accuracy.axhline(puzzle["chance"], color="0.4", linestyle=":", linewidth=1)
        for stage, rows in puzzle["stages"].items():
            style = series_style(stages.index(stage))
            distances = [row["distance"] for row in rows]
            accuracy.plot(distances, [row["accuracy"] for row in rows], label=stage, **style)
            ends = [[row[name] for row in rows] for name in ("least", "most")]
            accuracy.vlines(distances, *ends, color=style["color"], linewidth=1.5)
            rows = [row for row in rows if row["mass"] is not None]
            mass.plot([row["distance"] for row in rows], [row["mass"] for row in rows], **style)
    legend = figure.add_subplot(areas[0])
    legend.set_axis_off()
    legend.legend(*one_entry_a_label(panels[:, 0]), loc="center", ncols=2, fontsize=11, handlelength=4)
    return figure


def _prepare_recall_panel(axes: Axes, name: str, puzzle: dict) -> None:
    """Title and axes of one panel; all distances that were measured stand below it."""
    distances = sorted({row["distance"] for rows in puzzle["stages"].values() for row in rows})
    axes.set_title(name, fontsize=12)
    axes.set_xscale("log", base=2)
    axes.set_xticks(distances, [str(distance) for distance in distances])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set(xlim=(distances[0] / 1.3, distances[-1] * 1.3), ylim=(-0.03, 1.05), yticks=[0, 0.25, 0.5, 0.75, 1])
    axes.set_xlabel("distance (tokens)", fontsize=11)
    axes.tick_params(labelsize=11)
    axes.grid(color="0.9")


# ----------------------------------------------------------------------------------------------------------- the probes


def probes_figure(probes: Sequence[dict]) -> Figure:
    """A panel a probe: the share of questions answered rightly, by how far back the deciding word stands.

    probes: dicts of `title`, `chance` and `rows`, the first of which is counting's: dicts of `title` and `by_distance`,
    dicts of `distance` (tokens, the least of a range), `share` and `error`. Returns a Figure.
    """
    caption = (
        "Up: the share of questions answered rightly. Across: how many tokens before the answer the word stands that "
        "decides, from this number on up to the next. Dotted: chance. Bars: one standard error over questions. Grey "
        "crosses: counting."
    )
    probes = [probe for probe in probes if probe["rows"][0]["by_distance"]]  # some have too few questions to part
    distances = sorted({part["distance"] for probe in probes for part in probe["rows"][0]["by_distance"]})
    rows = math.ceil(len(probes) / 2)
    figure = new_figure(1.6 + 2.3 * rows, "What has each stage learned?", caption)
    areas = figure.add_gridspec(2, 1, height_ratios=[0.4, 2.3 * rows])
    panels = areas[1].subgridspec(rows, 2).subplots(squeeze=False, sharey=True).flatten()
    for probe, axes in zip(probes, panels):
        _prepare_probe_panel(axes, probe, distances)
        for index, row in enumerate(probe["rows"]):
            style = series_style(index - 1) if index else {"color": "0.55", "marker": "x", "linestyle": "-"}
            parts = row["by_distance"]
            shares, errors = ([part[name] for part in parts] for name in ("share", "error"))
            axes.errorbar(
                [part["distance"] for part in parts], shares, errors, label=row["title"], elinewidth=0.8, **style
            )
    for axes in panels[len(probes) :]:
        axes.set_axis_off()
    legend = figure.add_subplot(areas[0])
    legend.set_axis_off()
    legend.legend(*one_entry_a_label(panels), loc="center", ncols=3, fontsize=11, handlelength=4)
    return figure


def _prepare_probe_panel(axes: Axes, probe: dict, distances: Sequence[int]) -> None:
    """Title and axes of one panel; all panels have the same distances, so that they can be compared."""
    axes.set_title(probe["title"], fontsize=12)
    axes.set_xscale("log", base=2)
    axes.set_xticks(distances, [str(distance) for distance in distances])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set(xlim=(distances[0] / 1.4, distances[-1] * 1.4), ylim=(-0.03, 1.05), yticks=[0, 0.25, 0.5, 0.75, 1])
    axes.axhline(probe["chance"], color="0.4", linestyle=":", linewidth=1)
    axes.tick_params(labelsize=11)
    axes.grid(color="0.9")
