"""What all figures share: size, fonts, title and caption, tokens along an axis, the look of a series, saving.

Figures are built without pyplot, matplotlib's usual entrance: no global state, no window, and no display to need.
"""

import os
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps, font_manager
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from shared.errors import UserError

WIDTH = 8.0  # inches; with DPI, 1200 pixels: as many as a phone has across
DPI = 150
COLOUR_MAP = "viridis"  # perceptually uniform: equal steps of a weight look equally large, in greyscale as well
FONT = "DejaVu Sans"  # matplotlib brings it along, so what it can draw is known everywhere
TOKENS_SHOWN = 40  # more labels than this cannot be read on a phone
LABEL_LENGTH = 14  # characters of a token's label

# The first, second, third and fourth series of a plot differ in all three, so that they can be told apart by those who
# see no colours, and on paper. The shades are places on the colour map, about equally far apart in lightness.
SERIES_MARKERS = ("o", "s", "^", "D")
SERIES_DASHES = ("-", (0, (5, 2)), (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5)))
SERIES_SHADES = (0.0, 0.3, 0.55, 0.8)


def new_figure(height: float, title: str, caption: str = "") -> Figure:
    """An empty Figure, `height` inches high, with its title above and its caption below."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained", dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    figure.suptitle(textwrap.fill(drawable(title), 62), fontsize=14, family=FONT, parse_math=False)
    set_caption(figure, caption)
    return figure


def set_caption(figure: Figure, caption: str) -> None:
    """Write the caption below the figure, in lines that fit."""
    figure.supxlabel(textwrap.fill(caption, 96), x=0.01, ha="left", fontsize=10)


def save_figure(figure: Figure, path: str | Path) -> None:
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


def token_label(token: str) -> str:
    """A token as an axis label: no glyph that the font lacks, and not too long."""
    text = drawable(token)
    return text if len(text) <= LABEL_LENGTH else text[: LABEL_LENGTH - 1] + "…"


def drawable(text: str) -> str:
    """The text with a box for every character that the font cannot draw; matplotlib would warn about each of them."""
    known = font_manager.get_font(font_manager.findfont(FONT)).get_charmap()
    return "".join(character if ord(character) in known else "□" for character in text)


def write_tokens(axis: Axis, tokens: Sequence[str], smallest: float = 7, largest: float = 12) -> None:
    """Write every token at its place along an axis; the more there are, the smaller, between these font sizes."""
    size = float(np.clip(250 / len(tokens), smallest, largest))
    labels = [token_label(token) for token in tokens]
    axis.set_ticks(range(len(labels)), labels, fontsize=size, family=FONT, parse_math=False)
    if axis.axis_name == "x":
        axis.set_tick_params(rotation=90)


def series_style(index: int) -> dict:
    """How the series of this number is drawn, as arguments of matplotlib's `plot`; the fifth looks like the first."""
    place = index % len(SERIES_MARKERS)
    return {
        "color": colormaps[COLOUR_MAP](SERIES_SHADES[place]),
        "marker": SERIES_MARKERS[place],
        "linestyle": SERIES_DASHES[place],
        "linewidth": 2,
        "markersize": 11 - 2 * place,  # where curves lie on each other, the lower markers still show
        "markeredgecolor": "black",
        "markeredgewidth": 0.5,
    }


def one_entry_a_label(panels: Iterable[Axes]) -> tuple[list[Artist], list[str]]:
    """Handles and labels for a legend that serves several panels."""
    entries = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels()):
            entries.setdefault(label, handle)
    return list(entries.values()), list(entries)
