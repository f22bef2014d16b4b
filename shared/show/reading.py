"""A text as models read it, word by word -> words shaded by how much they matter, single units as strips beside them.

Takes numbers and strings and returns matplotlib Figures. Letters are large: the pictures are looked at on a phone too.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from shared.show.figures import FONTS, WIDTH, drawable, find_fonts, new_figure, write_title, write_tokens

AMBER = LinearSegmentedColormap.from_list("amber", ["white", "#fdebc0", "#fbc65a", "#f39a1b"])  # black stays readable
LETTERS = 19  # points; a phone shows them 13 pixels high
LINE, GAP, MARGIN = 0.4, 0.2, 0.15  # inches: of a line of text, between two blocks, at the sides
GUESSES_AT = 5.5  # inches from the left: there the guesses stand
CLOSING = ".,;:!?"  # no space before these


def memories_figure(guesses: Mapping[str, dict], tokens: Sequence[str], actual: str, title: str) -> Figure:
    """The same text once a model: words shaded by their influence on the first guess, and the likeliest guesses.

    guesses: a model's name -> dict of `influence` (T shares that sum to 1) and `next` (dicts of `token` and
    `probability`, the likeliest first); tokens: the T visible strings that were read; actual: what came next.
    Returns a Figure. ValueError: another number of shares than of tokens.
    """
    if any(len(guess["influence"]) != len(tokens) for guess in guesses.values()):
        raise ValueError(f"the shares of influence do not fit {len(tokens)} tokens")
    lines = speech_lines(tokens)
    rows = max(len(lines), 3) + 1  # and the model's name
    height = 1.45 + len(guesses) * (rows * LINE + GAP)
    figure = new_figure(height, "")
    figure.set_layout_engine("none")
    write_title(figure, title, y=1 - 0.12 / height)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, WIDTH), ylim=(height, 0))  # inches, from the top
    axes.axis("off")
    find_fonts("".join(tokens))

    scale = PowerNorm(gamma=0.7, vmin=0, vmax=max(max(guess["influence"]) for guess in guesses.values()))
    top = 1.05
    for name, guess in guesses.items():
        axes.text(MARGIN, top, name, fontsize=LETTERS, weight="bold", va="center")
        axes.text(GUESSES_AT, top, "next word", fontsize=LETTERS - 2, color="0.35", va="center")
        for row, places in enumerate(lines):
            _write_line(axes, tokens, places, guess["influence"], scale, top + (row + 1) * LINE)
        _write_guesses(axes, guess["next"], guesses, top + LINE)
        top += rows * LINE + GAP
    caption = f"Darker: matters more to the first guess. Shakespeare has “{drawable(actual)}”."
    style = {"fontsize": LETTERS - 3, "family": FONTS, "parse_math": False}
    figure.supxlabel(caption, x=MARGIN / WIDTH, y=0.12 / height, ha="left", **style)
    return figure


def speech_lines(tokens: Sequence[str], longest: int = 30) -> list[list[int]]:
    """The places of a play's tokens, line by line: a speech begins a line, and goes on below once it is too long.

    >>> speech_lines(["DUKE", ":", "↵", "No", ".", "↵", "↵", "CLOWN", ":"])
    [[0, 1, 2, 3, 4, 5, 6], [7, 8]]
    """
    lines, length = [[]], 0
    for place, token in enumerate(tokens):
        new_speech = place > 1 and tokens[place - 1] == tokens[place - 2] == "↵"
        too_long = length + len(token) > longest and token not in CLOSING and token != "↵"
        if new_speech or too_long:
            lines.append([])
            length = 0
        lines[-1].append(place)
        length += len(token) + (token not in CLOSING)
    return lines


def _write_line(
    axes: Axes, tokens: Sequence[str], places: Sequence[int], shares: Sequence[float], scale: PowerNorm, y: float
) -> None:
    """Write the tokens of these places from the left margin on, each on a patch of its colour."""
    x, renderer = MARGIN, axes.figure.canvas.get_renderer()
    for place in places:
        token = drawable(tokens[place])
        label = axes.text(
            x, y, token, fontsize=LETTERS - 4 * (token == "↵"), va="center_baseline", family=FONTS, parse_math=False
        )
        width = label.get_window_extent(renderer).width / axes.figure.dpi
        following = tokens[place + 1] if place + 1 < len(tokens) else ""
        space = 0 if following and following in CLOSING else 0.09
        patch = Rectangle((x - 0.02, y - 0.18), width + 0.04, 0.36, color=AMBER(scale(shares[place])), linewidth=0)
        patch.set_zorder(0)
        axes.add_patch(patch)
        x += width + 0.03 + space


def _write_guesses(axes: Axes, likeliest: Sequence[dict], guesses: Mapping[str, dict], top: float) -> None:
    """The likeliest next words below each other, each with its probability, and a bar as long as that."""
    most = max(row["probability"] for guess in guesses.values() for row in guess["next"])
    for index, row in enumerate(likeliest):
        y = top + index * LINE
        width = (WIDTH - MARGIN - GUESSES_AT) * row["probability"] / most
        axes.add_patch(Rectangle((GUESSES_AT - 0.05, y - 0.18), width, 0.36, color="#d5dfee", linewidth=0, zorder=0))
        style = {"fontsize": LETTERS, "va": "center_baseline", "family": FONTS, "parse_math": False}
        axes.text(GUESSES_AT, y, drawable(row["token"]), weight="bold" if index == 0 else "normal", **style)
        axes.text(WIDTH - MARGIN, y, f"{row['probability']:.0%}", ha="right", **style)


def units_figure(
    traces: Mapping[str, ArrayLike], units: Sequence[int], telling: int, tokens: Sequence[str], title: str
) -> Figure:
    """Gates and cell of single units as strips: the text runs down, a column is a unit, and one of them has a frame.

    traces: a gate's name -> T rows of a number a unit, from 0 to 1, and `cell`, of either sign; units: their numbers;
    telling: the one to frame; tokens: T visible strings. Returns a Figure.
    """
    figure = new_figure(0.27 * len(tokens) + 2.5, "")
    write_title(figure, title)
    panels = figure.subplots(1, len(traces), sharey=True)
    for axes, (name, values) in zip(panels, traces.items()):
        signed = name == "cell"
        style = {"cmap": "PuOr_r", "vmin": -3, "vmax": 3} if signed else {"cmap": AMBER, "vmin": 0, "vmax": 1}
        image = axes.imshow(np.asarray(values, dtype=float), aspect="auto", interpolation="nearest", **style)
        bar = figure.colorbar(image, ax=axes, location="bottom", ticks=[-3, 0, 3] if signed else [0, 1], pad=0.01)
        bar.ax.tick_params(labelsize=LETTERS - 4)
        axes.set_title(name, fontsize=LETTERS - 1)
        axes.set_xticks([list(units).index(telling)], [str(telling)], fontsize=LETTERS - 4)
        axes.tick_params(axis="x", top=False, bottom=False, pad=1)
        frame = Rectangle((list(units).index(telling) - 0.5, -0.5), 1, len(tokens), fill=False, linewidth=2.5)
        frame.set_clip_on(False)
        axes.add_patch(frame)
    write_tokens(panels[0].yaxis, tokens, LETTERS - 3, LETTERS - 3)
    return figure
