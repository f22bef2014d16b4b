"""Weights -> heat maps: attention of every head, influence, and the alignment of two texts.

Takes arrays and strings and returns matplotlib Figures; a caller saves them with `save_figure`.

T tokens, L layers, H heads. Attention is what a model's weights were; influence is how much the prediction depends on a
token, by its gradient, and exists for models without attention too. In every map the row is the token just read, after
which the next one is predicted, and the column is an earlier token, or the same one.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from numpy.typing import ArrayLike

from shared.show.figures import (
    COLOUR_MAP,
    FONTS,
    TOKENS_SHOWN,
    WIDTH,
    find_fonts,
    new_figure,
    token_label,
    write_tokens,
)

ALIGNMENT_SHOWN = 60  # single characters are narrower than words
PROMPT_LINE = "tab:red"


def attention_figure(attention: ArrayLike, tokens: Sequence[str], prompt_length: int, title: str) -> Figure:
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


def influence_figure(influence: ArrayLike, tokens: Sequence[str], prompt_length: int, title: str) -> Figure:
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


def influence_comparison_figure(maps: Mapping[str, ArrayLike], tokens: Sequence[str]) -> Figure:
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
    figure = new_figure(1.6 + 3.9 * rows, "Influence", caption)
    areas = figure.add_gridspec(2, 1, height_ratios=[0.2, 3.9 * rows])
    scale = _colour_scale()
    _draw_colour_bar(figure, figure.add_subplot(areas[0]), "share of influence", scale)
    panels = areas[1].subgridspec(rows, 2).subplots(squeeze=False)
    for axes, name in zip(panels.flat, maps):
        _draw_map(axes, maps[name], len(tokens), scale)
        axes.set_title(name, fontsize=12)
    _label_outer_panels(panels, len(maps), tokens[-TOKENS_SHOWN:])
    return figure


def alignment_figure(weights: ArrayLike, written: Sequence[str], read: Sequence[str], title: str) -> Figure:
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
    figure = new_figure(1.9 + height, title, caption)
    areas = figure.add_gridspec(2, 1, height_ratios=[0.2, height])
    bar, axes = figure.add_subplot(areas[0]), figure.add_subplot(areas[1])
    scale = _colour_scale()
    _draw_colour_bar(figure, bar, "attention weight", scale)
    axes.imshow(np.ma.array(weights, mask=blank), cmap=COLOUR_MAP, norm=scale, interpolation="nearest", aspect="auto")
    write_tokens(axes.xaxis, read)
    write_tokens(axes.yaxis, written)
    axes.tick_params(axis="x", rotation=0)
    axes.set_xlabel("symbol read", fontsize=12)
    axes.set_ylabel("symbol written", fontsize=12)
    return figure


def _check_map(weights: np.ndarray, tokens: Sequence[str], dimensions: int) -> None:
    """ValueError unless these are maps (..., T, T) of T tokens, and all numbers are finite."""
    if weights.ndim != dimensions or weights.shape[-2:] != (len(tokens), len(tokens)) or weights.size == 0:
        raise ValueError(f"a map of shape {weights.shape} does not fit {len(tokens)} tokens")
    if not np.isfinite(weights).all():  # it would be drawn blank, as if not yet read
        raise ValueError("a map holds values that are not finite numbers")


def _map_figure(
    small: tuple[int, int],
    title: str,
    caption: str,
    quantity: str,
    scale: PowerNorm,
    tokens: Sequence[str],
    prompt_length: int,
) -> tuple[Figure, Axes, np.ndarray]:
    """Lay out a figure: colour bar, large panel, `small` = (rows, columns) of small panels. No map is drawn yet."""
    rows, columns = small
    if len(tokens) > TOKENS_SHOWN:
        caption += " What fell on earlier tokens is not drawn, so rows may add up to less than 1."
    if _boundary(len(tokens), prompt_length) is not None:
        caption += " Red lines: the prompt ends, the continuation begins."
    heights = [0.2, 7.0] + [rows * 7.2 / max(columns, 4)] * (rows > 0)  # inches, as near as the labels' room allows
    figure = new_figure(2.2 + sum(heights), title, caption)
    areas = figure.add_gridspec(len(heights), 1, height_ratios=heights)
    bar, large = figure.add_subplot(areas[0]), figure.add_subplot(areas[1])
    panels = areas[2].subgridspec(rows, columns).subplots(squeeze=False) if rows else np.empty((0, 0))
    _draw_colour_bar(figure, bar, quantity, scale)
    return figure, large, panels


def _colour_scale() -> PowerNorm:
    """From weights to colours, one object for every panel of a figure and for its colour bar.

    0 to 1 always, so that pictures can be compared: the first row that sees only itself is 1 in any case. Square root,
    because a row spread over 40 tokens holds weights around 1/40, which a linear scale would draw as nothing.
    """
    return PowerNorm(gamma=0.5, vmin=0.0, vmax=1.0)


def _draw_colour_bar(figure: Figure, axes: Axes, quantity: str, scale: PowerNorm) -> None:
    """Lay the colour bar, with its ticks and what it measures, into `axes`."""
    bar = figure.colorbar(ScalarMappable(scale, COLOUR_MAP), cax=axes, orientation="horizontal", location="top")
    bar.set_ticks([0, 0.01, 0.05, 0.1, 0.25, 0.5, 1], labels=["0", ".01", ".05", ".1", ".25", ".5", "1"])
    bar.ax.xaxis.set_minor_locator(NullLocator())
    bar.ax.tick_params(labelsize=11)
    bar.set_label(f"{quantity} (square-root scale, the same in every map)", fontsize=11)


def _boundary(length: int, prompt_length: int) -> float | None:
    """Where, on the axes of the map as drawn, the prompt ends: between two cells, or None if that is out of sight."""
    cells = prompt_length - max(0, length - TOKENS_SHOWN)
    return cells - 0.5 if 0 < cells < min(length, TOKENS_SHOWN) else None


def _draw_map(axes: Axes, weights: np.ndarray, prompt_length: int, scale: PowerNorm) -> None:
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


def _draw_large_map(
    axes: Axes,
    weights: np.ndarray,
    tokens: Sequence[str],
    prompt_length: int,
    scale: PowerNorm,
    name: str,
    column_name: str,
) -> None:
    """A map with every token written on both axes, at its position: two equal words are two rows and two columns."""
    _draw_map(axes, weights, prompt_length, scale)
    # The layout has given the map a nearly square room. Exactly square cells could push its labels out of sight.
    axes.set_aspect("auto")
    find_fonts("".join(tokens))
    labels = [token_label(token) for token in tokens[-TOKENS_SHOWN:]]
    positions = range(len(labels))
    style = {"fontsize": float(np.clip(380 / len(labels), 8, 13)), "family": FONTS, "parse_math": False}
    axes.set_xticks(positions, labels, rotation=90, **style)
    axes.set_yticks(positions, labels, **style)
    axes.set_xlabel(column_name, fontsize=12)
    axes.set_ylabel("token just read", fontsize=12)
    cut = f"showing the last {TOKENS_SHOWN} of {len(tokens)} tokens" if len(tokens) > TOKENS_SHOWN else ""
    axes.set_title("; ".join(filter(None, [name, cut])), fontsize=12)


def _label_outer_panels(panels: np.ndarray, count: int, tokens: Sequence[str]) -> None:
    """Write the tokens at the left of each row of panels and under each column; take away the panels without a map."""
    columns = panels.shape[1]
    for index, axes in enumerate(panels.flat):
        if index >= count:
            axes.remove()
            continue
        axes.set(xticks=[], yticks=[])
        if index % columns == 0:
            write_tokens(axes.yaxis, tokens, 5, 9)
        if index + columns >= count:
            write_tokens(axes.xaxis, tokens, 5, 9)
