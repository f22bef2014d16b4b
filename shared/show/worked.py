"""Worked examples -> pictures: gradients by steps back, and numbers turned by their position.

Takes plain numbers and strings and returns matplotlib Figures. Letters are large: they are looked at on a phone too.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from shared.show.figures import COLOUR_MAP, new_figure, series_style, write_title

LETTERS = 17  # points
COLOURS = ("tab:red", "tab:blue", "#a04a00")  # of the starts; dark enough for letters


def gradients_figure(curves: Sequence[dict], large: float, title: str) -> Figure:
    """What is left of a gradient so many steps back, on a logarithmic axis, with each curve's name at its end.

    curves: dicts of `start` (how the matrix begins), `inputs` (their size) and `shares`, a number a step, from 1 on;
    large: the size of inputs that is called so. Returns a Figure.
    """
    figure = new_figure(7.2, "")
    write_title(figure, title)
    axes = figure.add_subplot()
    starts = list(dict.fromkeys(curve["start"] for curve in curves))
    for curve in curves:
        dashes = "--" if curve["inputs"] == large else "-"
        colour = COLOURS[starts.index(curve["start"]) % len(COLOURS)]
        axes.plot(curve["shares"], color=colour, linestyle=dashes, linewidth=3)
    axes.set_yscale("log")
    ends = np.log10([curve["shares"][-1] for curve in curves])
    low, high = ends.min() - 2, max(ends.max(), 0) + 3
    axes.set_ylim(10.0**low, 10.0**high)
    steps = len(curves[0]["shares"]) - 1
    for line, curve, y in zip(axes.lines, curves, spread_out(ends, (high - low) / 9)):
        name = f"{curve['start']},\n{'large' if curve['inputs'] == large else 'small'} inputs"
        style = {"fontsize": LETTERS - 2, "color": line.get_color(), "va": "center", "clip_on": False}
        axes.text(steps * 1.03, 10.0**y, name, **style)
    axes.set_xlim(0, steps)
    axes.set_xlabel("steps back", fontsize=LETTERS)
    axes.set_ylabel("share of the gradient left", fontsize=LETTERS)
    axes.tick_params(labelsize=LETTERS - 2)
    axes.grid(color="0.9")
    return figure


def spread_out(places: ArrayLike, least: float) -> np.ndarray:
    """Places, largest first, moved down so that each is at least so far below the one before.

    >>> spread_out([3.0, 2.5, -1.0], 1.0).tolist()
    [3.0, 2.0, -1.0]
    """
    moved = np.array(places, dtype=float)
    for index in range(1, len(moved)):
        moved[index] = min(moved[index], moved[index - 1] - least)
    return moved


def rotary_figure(
    angles: ArrayLike, pairs: ArrayLike, products: ArrayLike, places: Sequence[int], title: str
) -> Figure:
    """Above, a fast and a slow pair of numbers turned by position; below, products of query and key by distance.

    angles (2): of each pair, in radians a word; pairs (2, positions, 2); products (places, distances): a curve for each
    of the `places` where the query stands. Returns a Figure.
    """
    figure = new_figure(8.6, "")
    write_title(figure, title)
    areas = figure.add_gridspec(2, 1, height_ratios=[4, 3.4])
    for axes, pace, angle, arrows in zip(areas[0].subgridspec(1, 2).subplots(), ("fast", "slow"), angles, pairs):
        _draw_turns(axes, np.asarray(arrows), f"{pace} pair: {angle:.1g} radian a word")
    axes = figure.add_subplot(areas[1])
    for index, (place, curve) in enumerate(zip(places, products)):
        style = series_style(2 * index) | ({"marker": "", "linewidth": 7, "alpha": 0.35} if index == 0 else {})
        axes.plot(curve, label=f"query at word {place}", **style)
    axes.set_xlabel("words between query and key", fontsize=LETTERS)
    axes.set_ylabel("q · k", fontsize=LETTERS)
    axes.tick_params(labelsize=LETTERS - 2)
    axes.grid(color="0.9")
    axes.legend(fontsize=LETTERS - 1)
    return figure


def _draw_turns(axes: Axes, arrows: np.ndarray, name: str) -> None:
    """A pair at each position (positions, 2) as an arrow from the middle, with the position at its tip."""
    told = np.full(2, np.inf)  # the last tip with a number: where tips are close, some have none
    for position, tip in enumerate(arrows):
        colour = colormaps[COLOUR_MAP](0.85 * position / len(arrows))
        axes.annotate("", tip, (0, 0), arrowprops={"arrowstyle": "-|>", "color": colour, "linewidth": 2.5})
        if np.linalg.norm(tip - told) > 0.25:
            axes.text(*(1.2 * tip), str(position), fontsize=LETTERS - 1, ha="center", va="center")
            told = tip
    axes.set(xlim=(-1.4, 1.4), ylim=(-1.4, 1.4), aspect="equal", xticks=[], yticks=[])
    axes.set_title(name, fontsize=LETTERS)
