"""Arrays to pictures: a passage with marked words, and what became of each genre and each play."""

import textwrap
import unicodedata

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from shared.show.figures import DPI, FONTS, WIDTH, drawable

FONT = "DejaVu Sans Mono"  # matplotlib brings it along; every character is equally wide, so lines are easy to fill
FONT_SIZE = 13  # points; a character is then 0.109 inches wide
LINE_LENGTH = 60  # characters
LINE_HEIGHT = 0.26  # inches
COLOURS = ("#e69f00", "#56b4e9", "#444444")  # of the genres; the colour-blind and a grey print can tell them apart


def new_figure(height: float, title: str, caption: str) -> Figure:
    """An empty Figure with its title above and its caption below."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained", dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    figure.suptitle(drawable(title), family=FONTS, fontsize=14, parse_math=False)
    figure.supxlabel(textwrap.fill(caption, 92), x=0.01, ha="left", fontsize=10, parse_math=False)
    return figure


def width(word: str) -> int:
    """How many columns a word takes: two for a sign of full width, as Chinese ones are, else one."""
    return sum(1 + (unicodedata.east_asian_width(sign) in "WF") for sign in word)


def lay_out(words: list[str]) -> list[tuple[int, int]]:
    """Where each word begins: (line, column), with no space before a sign.

    >>> lay_out(["to", "be", ",", "or"])
    [(0, 0), (0, 3), (0, 5), (0, 7)]
    """
    places, line, column = [], 0, 0
    for word in words:
        column += bool(column) and word[0].isalnum()
        if column and column + width(word) > LINE_LENGTH:
            line, column = line + 1, 0
        places.append((line, column))
        column += width(word)
    return places


def marked_words_figure(
    words: list[str], attention: np.ndarray, gradient: np.ndarray, title: str, caption: str
) -> Figure:
    """The passage twice: marked by attention, and by gradient times input; both (T) for T words. Returns a Figure."""
    words = [drawable(word) for word in words]
    lines = lay_out(words)[-1][0] + 1
    figure = new_figure(2 * (LINE_HEIGHT * lines + 0.9) + 1.0, title, caption)
    upper, lower = figure.subplots(2, 1)
    # Attention is a share and has no sign; the gradient has one, so its scale has its middle at zero.
    shares = np.asarray(attention) * len(words)  # 1: as much as if all words were looked at equally
    mark_words(upper, words, shares, Normalize(0, shares.max()), "cividis")
    upper.set_title("Attention: how many even shares of it the word gets", fontsize=12, loc="left")
    most = np.abs(gradient).max() or 1.0
    mark_words(lower, words, np.asarray(gradient), Normalize(-most, most), "PuOr")
    lower.set_title("Gradient times input: for the answer (violet) or against it (orange)", fontsize=12, loc="left")
    return figure


def mark_words(axes: Axes, words: list[str], values: np.ndarray, scale: Normalize, colour_map: str) -> None:
    """Write the words into the axes, each on a ground of its value's colour, and add the colour bar."""
    for word, (line, column), value in zip(words, lay_out(words), values):
        colour = colormaps[colour_map](scale(value))
        light = np.dot(colour[:3], (0.3, 0.6, 0.1)) > 0.5  # as bright as an eye finds red, green and blue
        axes.add_patch(Rectangle((column, line), width(word), 0.9, color=colour, linewidth=0))
        style = {
            "family": [FONT, *FONTS],
            "fontsize": FONT_SIZE,
            "color": "black" if light else "white",
            "parse_math": False,
        }
        axes.text(column, line + 0.48, word, va="center", **style)
    axes.set(xlim=(0, LINE_LENGTH), ylim=(lay_out(words)[-1][0] + 1, 0))
    axes.set_axis_off()
    bar = axes.figure.colorbar(ScalarMappable(scale, colour_map), ax=axes, fraction=0.02, pad=0.01)
    bar.ax.tick_params(labelsize=10)


def confusion_figure(plays: dict, names: list[str], title: str) -> Figure:
    """Rows: what the passages are; columns: what they were taken for.

    plays: title -> (genre, counts (C)), as in `plays_figure`. Returns a Figure.
    """
    counts = np.zeros((len(names), len(names)), dtype=int)
    for genre, called in plays.values():
        counts[genre] += called
    shares = counts / counts.sum(1, keepdims=True).clip(1)
    figure = new_figure(6.0, title, "Each row: where the passages of one genre went, as shares of the row.")
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="cividis", vmin=0, vmax=1)
    for (row, column), share in np.ndenumerate(shares):
        text = f"{share:.0%}\n({counts[row, column]:,})"
        axes.text(column, row, text, ha="center", va="center", fontsize=13, color="black" if share > 0.5 else "white")
    axes.set_xticks(range(len(names)), names, fontsize=12)
    axes.set_yticks(range(len(names)), names, fontsize=12)
    axes.set_xlabel("taken for", fontsize=12)
    axes.set_ylabel("is", fontsize=12)
    figure.colorbar(image, ax=axes, label="share of the row")
    return figure


def plays_figure(plays: dict, names: list[str], title: str) -> Figure:
    """A bar for each play, divided by what its passages were taken for; the most often recognised first in each genre.

    plays: title -> (genre, counts (C)). Returns a Figure.
    """
    rows = {play: (genre, np.asarray(counts) / sum(counts)) for play, (genre, counts) in plays.items()}
    order = sorted(rows, key=lambda play: (rows[play][0], -rows[play][1][rows[play][0]]))
    heights = [index + rows[play][0] for index, play in enumerate(order)]  # a gap between two genres
    figure = new_figure(2.2 + 0.25 * len(order), title, "No model has read in training what it classified.")
    axes = figure.add_subplot()
    left = np.zeros(len(order))  # where the next genre's part of each bar begins
    for genre, name in enumerate(names):
        shares = np.array([rows[play][1][genre] for play in order])
        axes.barh(heights, shares, 0.8, left, color=COLOURS[genre], label=f"taken for {name}")
        left += shares
    axes.set_yticks(heights, [f"{play} ({names[rows[play][0]][0].upper()})" for play in order], fontsize=10)
    axes.set(xlim=(0, 1), ylim=(max(heights) + 0.6, -0.6))
    axes.set_xlabel("share of the play's passages", fontsize=12)
    axes.legend(loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=3, fontsize=11, frameon=False)
    return figure
