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
    TOKENS_SHOWN,
    WIDTH,
    hatch_background,
    new_figure,
    write_tokens,
)

ALIGNMENT_SHOWN = 60  # single characters are narrower than words
PROMPT_LINE = "tab:red"
LEGEND = "Hatched: may not be seen. Dot: the heaviest of the tokens before."


def attention_figure(
    attention: ArrayLike,
    seen: ArrayLike,
    tokens: Sequence[str],
    prompt_length: int,
    title: str,
    head: tuple[int, int] | None = None,
    note: str = "",
) -> Figure:
    """One head's attention as a large map, over small maps of every head and of their mean; a single head is alone.

    attention (L, H, T, T): weights from 0 to 1; a row sums to 1, or is all 0 where nothing may be seen. seen (T, T):
    True where the model may look. tokens: T visible strings, of which the first `prompt_length` are the prompt. head:
    layer and head, from 0, of the large map; by default the one that chooses most. note: what the caption begins with.
    Returns a Figure. ValueError: the shapes do not fit together, or a weight is not a number.
    """
    attention, seen = np.asarray(attention, dtype=float), np.asarray(seen, dtype=bool)
    _check_map(attention, tokens, dimensions=4)
    _check_map(seen, tokens, dimensions=2)
    layers, heads = attention.shape[:2]
    single = layers * heads == 1
    best = head_that_chooses_most(attention, seen)
    layer, column = best if head is None else head
    name = "" if single else f"layer {layer + 1}, head {column + 1}" + ": chooses most" * ((layer, column) == best)
    caption = f"Each row: how the model spread its attention right after reading that row's token. {LEGEND}"
    small = (0, 0) if single else (layers, heads + 1)
    scale = _colour_scale()
    caption = "\n".join(filter(None, [note, caption]))
    figure, large, panels = _map_figure(small, title, caption, "attention weight", scale, tokens, prompt_length)
    _draw_large_map(large, attention[layer, column], seen, tokens, prompt_length, scale, name, "token looked at")
    if not single:
        _draw_small_maps(panels, attention, seen, prompt_length, scale)
        panels[layer, column].spines[:].set(color="black", linewidth=2)
    return figure


def head_that_chooses_most(attention: np.ndarray, seen: np.ndarray) -> tuple[int, int]:
    """(layer, head), from 0, of the map that is furthest from even: attention (L, H, T, T), seen (T, T).

    The entropy of a row of equal weights is the logarithm of how many places may be seen. So a head is judged by its
    rows' entropies as shares of that, from 0 (all weight on one place) to 1; the lowest mean wins. Of a row that sees
    one place at most there is nothing to choose.
    """
    counts = seen.sum(-1)  # (T)
    rows = counts > 1
    if not rows.any():
        return 0, 0
    weights = attention[:, :, rows]  # (L, H, rows, T)
    entropies = -(weights * np.log(np.where(weights > 0, weights, 1))).sum(-1)  # (L, H, rows)
    evenness = (entropies / np.log(counts[rows])).mean(-1)  # (L, H)
    layer, head = np.unravel_index(evenness.argmin(), evenness.shape)
    return int(layer), int(head)


def choosing_note(loss: float | None, loss_uniform: float | None, unit: str) -> str:
    """How much of the loss on a text hangs on choosing: both in nats for each `unit`; "" where nothing was predicted.

    >>> choosing_note(3.8, 3.92, "word")
    'On this text choosing is worth 0.12 nats a word (3.92 with equal weights, 3.80 as trained).'
    """
    if loss is None or loss_uniform is None:
        return ""
    worth = round(loss_uniform, 2) - round(loss, 2)  # of the numbers that are shown, so that they fit together
    return (
        f"On this text choosing is worth {worth:.2f} nats a {unit} ({loss_uniform:.2f} with equal weights, {loss:.2f} "
        "as trained)."
    )


def influence_figure(influence: ArrayLike, tokens: Sequence[str], prompt_length: int, title: str) -> Figure:
    """One large map of how much each token read so far mattered for the next prediction.

    influence (T, T): not negative; a row sums to 1, or is all 0. `tokens` and `prompt_length` as in `attention_figure`.
    Returns a Figure. ValueError: the shapes do not fit together, or a value is not a number.
    """
    influence = np.asarray(influence, dtype=float)
    _check_map(influence, tokens, dimensions=2)
    caption = (
        "Each row: how much the prediction made after reading that row's token would change if one token's "
        f"embedding changed a little, as shares of 1. {LEGEND}"
    )
    scale = _colour_scale()
    figure, large, _ = _map_figure((0, 0), title, caption, "share of influence", scale, tokens, prompt_length)
    _draw_large_map(large, influence, _past(tokens), tokens, prompt_length, scale, "", "token that mattered")
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
        "embedding, as shares of 1. Rows: token just read; columns: token that mattered. Hatched: not yet read."
    )
    rows = -(-len(maps) // 2)
    figure = new_figure(1.6 + 3.9 * rows, "Influence", caption)
    areas = figure.add_gridspec(2, 1, height_ratios=[0.2, 3.9 * rows])
    scale = _colour_scale()
    _draw_colour_bar(figure, figure.add_subplot(areas[0]), "share of influence", scale)
    panels = areas[1].subgridspec(rows, 2).subplots(squeeze=False)
    for axes, name in zip(panels.flat, maps):
        _draw_map(axes, maps[name], _past(tokens), len(tokens), scale)
        axes.set_title(name, fontsize=12)
    _label_outer_panels(panels, len(maps), tokens[-TOKENS_SHOWN:])
    return figure


def alignment_figure(weights: ArrayLike, written: Sequence[str], read: Sequence[str], title: str) -> Figure:
    """Where a decoder looked in its source: a row for each symbol written, a column for each one read.

    weights (T, S): from 0 to 1; a row that is all 0 is hatched: nothing was looked up for that symbol. written and
    read: T and S visible strings. Returns a Figure. ValueError: the shapes do not fit, or a weight is not a number.
    """
    weights = np.asarray(weights, dtype=float)
    if weights.shape != (len(written), len(read)) or weights.size == 0 or not np.isfinite(weights).all():
        raise ValueError(f"weights of shape {weights.shape} do not fit {len(written)} x {len(read)} symbols")
    caption = "Each row: how the model spread its attention over the source when it wrote that row's symbol."
    if max(weights.shape) > ALIGNMENT_SHOWN:
        caption += f" Showing the first {ALIGNMENT_SHOWN} symbols of each side."
        weights, written, read = (part[:ALIGNMENT_SHOWN] for part in (weights[:, :ALIGNMENT_SHOWN], written, read))
    unused = ~weights.any(axis=1, keepdims=True) & np.ones(weights.shape, dtype=bool)
    if unused.any():
        caption += " Hatched rows: nothing was looked up for that symbol."
    height = float(np.clip(WIDTH * len(written) / len(read), 2.5, 9.0))  # inches; about square cells
    figure = new_figure(1.9 + height, title, caption)
    areas = figure.add_gridspec(2, 1, height_ratios=[0.2, height])
    bar, axes = figure.add_subplot(areas[0]), figure.add_subplot(areas[1])
    scale = _colour_scale()
    _draw_colour_bar(figure, bar, "attention weight", scale)
    hatch_background(axes)
    axes.imshow(np.ma.array(weights, mask=unused), cmap=COLOUR_MAP, norm=scale, interpolation="nearest", aspect="auto")
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
    if not np.isfinite(weights).all():
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


def _past(tokens: Sequence[str]) -> np.ndarray:
    """True for the token just read and all before it: (T, T)."""
    return np.tri(len(tokens), dtype=bool)


def _draw_map(axes: Axes, weights: np.ndarray, seen: np.ndarray, prompt_length: int, scale: PowerNorm) -> None:
    """Draw the last tokens of one map (T, T). What may not be seen is hatched: that is not a weight of 0."""
    boundary = _boundary(len(weights), prompt_length)
    weights = np.ma.array(weights, mask=~seen)[-TOKENS_SHOWN:, -TOKENS_SHOWN:]
    hatch_background(axes)
    axes.imshow(weights, cmap=COLOUR_MAP, norm=scale, interpolation="nearest", origin="upper", aspect="equal")
    axes.spines[:].set_color("0.7")
    if boundary is not None:
        axes.axhline(boundary, color=PROMPT_LINE, linewidth=0.8)
        axes.axvline(boundary, color=PROMPT_LINE, linewidth=0.8)


def _draw_small_maps(
    panels: np.ndarray, attention: np.ndarray, seen: np.ndarray, prompt_length: int, scale: PowerNorm
) -> None:
    """Draw every head's map, layers down and heads across, and their mean beside the first row: panels (L, H + 1)."""
    heads = attention.shape[1]
    for (layer, column), axes in np.ndenumerate(panels):
        if layer and column == heads:
            axes.remove()
            continue
        weights = attention[layer, column] if column < heads else attention.mean(axis=(0, 1))
        _draw_map(axes, weights, seen, prompt_length, scale)
        axes.set(xticks=[], yticks=[])
        if layer == 0:
            axes.set_title(f"head {column + 1}" if column < heads else "mean", fontsize=11)
        if column == 0:
            axes.set_ylabel(f"layer {layer + 1}", fontsize=11)


def _mark_heaviest(axes: Axes, weights: np.ndarray) -> None:
    """A dot on the heaviest token of each row's past, as far as it is among those drawn; weights (T, T)."""
    past = np.tril(weights, k=-1)
    rows = np.flatnonzero(past.any(-1))
    first = max(0, len(weights) - TOKENS_SHOWN)
    places = np.stack([past[rows].argmax(-1), rows]) - first  # (2, rows): across, down
    # White with a black edge: it is seen on dark cells and on bright ones.
    axes.scatter(*places[:, places.min(0) >= 0], s=14, color="white", edgecolor="black", linewidth=0.8, zorder=2)


def _draw_large_map(
    axes: Axes,
    weights: np.ndarray,
    seen: np.ndarray,
    tokens: Sequence[str],
    prompt_length: int,
    scale: PowerNorm,
    name: str,
    column_name: str,
) -> None:
    """A map with every token written on both axes, at its position: two equal words are two rows and two columns."""
    _draw_map(axes, weights, seen, prompt_length, scale)
    _mark_heaviest(axes, weights)
    # The layout has given the map a nearly square room. Exactly square cells could push its labels out of sight.
    axes.set_aspect("auto")
    for axis in (axes.xaxis, axes.yaxis):
        write_tokens(axis, tokens[-TOKENS_SHOWN:], smallest=8, largest=13, room=380)
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
