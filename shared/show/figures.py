"""What all figures share: size, fonts, title and caption, tokens along an axis, the look of a series, saving.

Figures are built without pyplot, matplotlib's usual entrance: no global state, no window, and no display to need.
"""

import re
import sys
import textwrap
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps, font_manager
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties

from shared.errors import UserError
from shared.files import whole_file, why

WIDTH = 8.0  # inches; with DPI, 1200 pixels: as many as a phone has across
DPI = 150
COLOUR_MAP = "viridis"  # perceptually uniform: equal steps of a weight look equally large, in greyscale as well
FONTS = ["DejaVu Sans"]  # matplotlib brings it along; `find_fonts` appends families that have what it lacks
NOWHERE: set[str] = set()  # the signs that no installed font can draw
TOLD: set[str] = set()  # those of them that there has been a line on
PLACEHOLDERS = re.compile("last ?resort|blank|fallback|nonunicode", re.IGNORECASE)  # fonts of boxes, by their names
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
    figure.suptitle(textwrap.fill(drawable(title), 62), fontsize=14, family=FONTS, parse_math=False)
    set_caption(figure, caption)
    return figure


def write_title(figure: Figure, title: str, **place: float) -> None:
    """Write the title in letters for a phone, in lines that fit."""
    figure.suptitle(textwrap.fill(drawable(title), 42), fontsize=21, family=FONTS, parse_math=False, **place)


def set_caption(figure: Figure, caption: str) -> None:
    """Write the caption below the figure, each of its paragraphs in lines that fit."""
    figure.supxlabel("\n".join(textwrap.fill(part, 96) for part in caption.split("\n")), x=0.01, ha="left", fontsize=11)


def hatch_background(axes: Axes) -> None:
    """Fill the axes with grey stripes, which show where a map is masked: no colour of a scale, and no bright spot."""
    axes.patch.set(facecolor="0.78", edgecolor="0.62", hatch="////", linewidth=0)


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
    try:
        with whole_file(path) as file:
            figure.savefig(file, format=kind, dpi=DPI, metadata=metadata)
    except OSError as error:
        way_on = "make room, or name a folder that exists and can be written to"
        raise UserError(f"cannot write {path}: {why(error)}; {way_on}") from error
    tell_what_was_not_drawn()


def token_label(token: str) -> str:
    """A token as an axis label: only what can be drawn, and not too long. No code point is cut in two."""
    parts = [drawable(sign) for sign in token[: LABEL_LENGTH + 1]]
    if sum(map(len, parts)) <= LABEL_LENGTH:
        return "".join(parts)
    while sum(map(len, parts)) >= LABEL_LENGTH:
        parts.pop()
    return "".join(parts) + "…"


def drawable(text: str) -> str:
    """The text with the code point, as U+4E2D, of every sign that no font can draw; it would be an empty box."""
    find_fonts(text)
    return "".join(f"U+{ord(sign):04X}" if sign in NOWHERE else sign for sign in text)


def find_fonts(text: str) -> None:
    """Append to FONTS the installed families that have the signs of this text which those before lack.

    matplotlib takes each sign from the first of the families that has it. What none has is noted in NOWHERE.
    """
    paths = [font_manager.findfont(FontProperties(family=[name])) for name in FONTS]
    fonts = [font_manager.get_font(path) for path in paths]
    missing = {sign for sign in set(text) - NOWHERE if not any(font.get_char_index(ord(sign)) for font in fonts)}
    found = families_with(missing) if missing else {}
    while found:
        # The family that has most of them, so that a text is in one font if it can be.
        best = max(found, key=lambda name: (len(found[name] & missing), name))
        if not found[best] & missing:
            break
        FONTS.append(best)
        missing -= found.pop(best)
    NOWHERE.update(missing)


def families_with(signs: Iterable[str]) -> dict[str, set[str]]:
    """The installed font families that have some of these signs -> which ones."""
    known = {entry.fname for entry in font_manager.fontManager.ttflist}
    for path in set(font_manager.findSystemFonts()) - known:  # installed since matplotlib made its list
        try:
            font_manager.fontManager.addfont(path)
        except Exception:  # whatever is wrong with it: bitmaps only, damaged
            continue
    found = {}
    for entry in font_manager.fontManager.ttflist:
        if entry.name not in found and not PLACEHOLDERS.search(entry.name) and signs_in(entry.fname, signs):
            # Of a family's files, the one that is drawn with: the bold one may have more.
            found[entry.name] = signs_in(font_manager.findfont(FontProperties(family=[entry.name])), signs)
    return found


def signs_in(path: str, signs: Iterable[str]) -> set[str]:
    """Those of the signs for which a font's file has an outline; a font of coloured pictures may have none."""
    try:
        font = font_manager.get_font(path)
        return {sign for sign in signs if font.get_char_index(ord(sign)) and any(font.load_char(ord(sign)).bbox)}
    except (OSError, RuntimeError):  # removed since, or damaged
        return set()


def tell_what_was_not_drawn() -> None:
    """A line on the signs that no font has, if there are new ones, and what helps. No font has control signs."""
    signs = sorted(sign for sign in NOWHERE - TOLD if not unicodedata.category(sign).startswith("C"))
    TOLD.update(NOWHERE)
    if signs:
        name = unicodedata.name(signs[0], "a sign")
        print(
            f"no installed font has {signs[0]} ({name}){f' and {len(signs) - 1} more signs' if signs[1:] else ''}, so "
            "pictures show code points; install one that has, from https://fonts.google.com/noto for instance",
            file=sys.stderr,
        )


def write_tokens(
    axis: Axis, tokens: Sequence[str], smallest: float = 7, largest: float = 12, room: float = 250
) -> None:
    """Write every token at its place along an axis; the more share its room, the smaller, between these font sizes."""
    size = float(np.clip(room / len(tokens), smallest, largest))
    find_fonts("".join(tokens))  # of all tokens at once, since looking takes its time
    labels = [token_label(token) for token in tokens]
    axis.set_ticks(range(len(labels)), labels, fontsize=size, family=FONTS, parse_math=False)
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
