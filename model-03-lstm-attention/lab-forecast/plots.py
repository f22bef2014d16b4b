"""The lab's pictures: a forecast with its band, what it attended to, and how far back each model's answer lies.

They take arrays and return matplotlib Figures; a caller saves them with shared/show/figures.py's save_figure.

Tp past steps, Tf future steps
"""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from shared.show.figures import COLOUR_MAP, FONTS, drawable, hatch_background, new_figure

# Hollow and of three sizes, so that all can be seen where they agree.
STYLES = {
    name: dict(color=colour, marker=marker, markersize=size, markerfacecolor="none", linewidth=1.2)
    for name, colour, marker, size in (
        ("weight", "tab:blue", "o", 10),
        ("gradient", "tab:orange", "s", 6.5),
        ("occlusion", "tab:green", "^", 4),
    )
}
LAGS_BEYOND = 7  # how much of the axis lies beyond the true lag


def forecast_figure(
    past: ArrayLike,
    truth: ArrayLike | None,
    forecast: ArrayLike,
    band: tuple[ArrayLike, ArrayLike] | None,
    column: str,
    title: str,
    known: tuple[str, ArrayLike] | None = None,
) -> Figure:
    """One column's past (Tp), what came (Tf) or None, its forecast (Tf) and the outermost quantiles, (2, Tf) or None.

    known: the name and the values (Tp + Tf) of a column that is known of the future, for a panel below; or None.
    """
    came = "what the model forecasts." if truth is None else "what came, and what the model had forecast."
    caption = f"Left of the line: what the model was shown. Right of it: {came}"
    if band is not None:
        caption += " The band lies between the outermost quantiles."
    heights = [3] if known is None else [3, 1]
    figure = new_figure(5.0 if known is None else 6.5, title, caption)
    panels = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)

    # Steps are counted from the first that is forecast, as everywhere in this lab: the past is negative.
    axes, before, after = panels[0, 0], np.arange(-len(past), 0), np.arange(len(forecast))
    axes.plot(before, past, color="0.35", linewidth=1.5, label="past")
    if truth is not None:
        axes.plot(after, truth, "o", color="0.1", markersize=4, label="truth")
    if band is not None:
        axes.fill_between(after, band[0], band[1], color="tab:blue", alpha=0.25, linewidth=0, label="band")
    axes.plot(after, forecast, color="tab:blue", linewidth=2, label="forecast")
    axes.set_ylabel(drawable(column), family=FONTS, fontsize=12, parse_math=False)
    axes.legend(fontsize=11, ncols=4, loc="upper center", bbox_to_anchor=(0.5, 1.12), frameon=False)
    if known is not None:
        panels[1, 0].plot(np.arange(-len(past), len(forecast)), known[1], color="tab:green", linewidth=1.5)
        panels[1, 0].set_ylabel(drawable(known[0]), family=FONTS, fontsize=12, parse_math=False)
    for axes in panels[:, 0]:
        axes.axvline(-0.5, color="tab:red", linewidth=1)
        axes.tick_params(labelsize=11)
        axes.grid(color="0.9")
    axes.set_xlabel("step (0: the first that is forecast)", fontsize=12)
    return figure


def attention_figure(weights: ArrayLike, num_past: int, title: str) -> Figure:
    """The mean over heads of weights (heads, Tf, Tp + Tf): the step forecast down, the step looked at across."""
    weights = np.asarray(weights, dtype=float)
    heads, num_future, num_steps = weights.shape
    if not np.isfinite(weights).all():
        raise ValueError("a map holds values that are not finite numbers")
    caption = (
        f"Each row: where the forecast of one step looked, the mean of {heads} heads; it adds up to 1. Red line: the "
    )
    caption += "forecast begins. Hatched: may not be seen. A stripe that runs to the lower right is a fixed lag."
    figure = new_figure(4.6, title, caption)
    axes = figure.add_subplot()
    scale = PowerNorm(gamma=0.5, vmin=0.0, vmax=1.0)  # 0 to 1 always, so that pictures can be compared
    extent = (-num_past - 0.5, num_steps - num_past - 0.5, num_future - 0.5, -0.5)
    shown = np.ma.masked_equal(weights.mean(0), 0.0)  # (Tf, Tp + Tf); a weight of exactly 0 is a masked one
    hatch_background(axes)
    axes.imshow(shown, cmap=COLOUR_MAP, norm=scale, interpolation="nearest", aspect="auto", extent=extent)
    axes.axvline(-0.5, color="tab:red", linewidth=1)
    axes.set_xlabel("step looked at (negative: past)", fontsize=12)
    axes.set_ylabel("step forecast", fontsize=12)
    axes.tick_params(labelsize=11)
    bar = figure.colorbar(ScalarMappable(scale, COLOUR_MAP), ax=axes, location="top", aspect=40)
    bar.set_ticks([0, 0.01, 0.05, 0.1, 0.25, 0.5, 1], labels=["0", ".01", ".05", ".1", ".25", ".5", "1"])
    bar.set_label("attention weight (square-root scale)", fontsize=11)
    return figure


def lag_figure(shares: dict[str, dict[str, list[float]]], lag: int | None) -> Figure:
    """A panel for each model: the share of each lag by weights, gradient and occlusion.

    shares: model -> measure -> a share for each lag from 0; lag: the true one, or None.
    """
    caption = (
        "How much the forecast of a step owes to the step so many steps before it, in shares of 1, by three measures."
    )
    if lag is not None:
        caption += f" Dashed: the true lag, {lag}."
    rows = -(-len(shares) // 2)
    figure = new_figure(1.6 + 2.5 * rows, "Where does the answer come from?", caption)
    panels = figure.subplots(rows, min(2, len(shares)), sharex=True, sharey=True, squeeze=False).flatten()
    for axes, (name, measured) in zip(panels, shares.items()):
        draw_shares(axes, measured, lag)
        axes.set_title(name, fontsize=12)
        axes.set_ylabel("share", fontsize=11)
    for axes in panels[len(shares) :]:
        axes.set_axis_off()
    lines = [Line2D([], [], label=name, **style) for name, style in STYLES.items()]
    panels[0].legend(handles=lines, fontsize=11)
    return figure


def draw_shares(axes: Axes, measured: dict[str, list[float]], lag: int | None) -> None:
    """One panel of `lag_figure`."""
    for name, profile in measured.items():
        axes.plot(profile if lag is None else profile[: lag + LAGS_BEYOND + 1], **STYLES[name])
    if lag is not None:
        axes.axvline(lag, color="0.3", linestyle="--", linewidth=1)
    axes.set_ylim(0, 1.05)
    axes.set_xlabel("steps back", fontsize=11)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.tick_params(labelsize=11, labelbottom=True)
    axes.grid(color="0.9")
