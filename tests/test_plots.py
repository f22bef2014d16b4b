"""Claims about the pictures: what is drawn is what was given, where it belongs, and readable."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from shared.errors import UserError
from shared.show import curves, figures, reading, worked
from shared.show import maps as map_plots

ROOT = Path(__file__).resolve().parents[1]
WORDS = ["to", "be", ",", "or", "not", "to", "be", ":", "that", "is", "the", "question"]


def causal_rows(*shape, own_token=True, seed=0):
    """Random rows that sum to 1 over what may be seen; without `own_token` the first row is all 0."""
    scores = np.random.default_rng(seed).random(shape) + 0.01
    scores *= np.tri(shape[-1], k=0 if own_token else -1)
    sums = scores.sum(-1, keepdims=True)
    return np.divide(scores, sums, out=np.zeros_like(scores), where=sums > 0)


def words(count):
    return [WORDS[index % len(WORDS)] for index in range(count)]


def attention_map(attention, tokens, *rest, seen=None, **options):
    """The figure of a model that may look at what it has read."""
    seen = np.tri(len(tokens), dtype=bool) if seen is None else seen
    return map_plots.attention_figure(attention, seen, tokens, *rest, **options)


def maps(figure):
    return [axes for axes in figure.axes if axes.images]


def drawn(axes):
    """The array behind a map, with NaN where it is hatched."""
    return axes.images[0].get_array().filled(np.nan)


def hatched_future(weights):
    return np.where(np.tri(len(weights), dtype=bool), weights, np.nan)


def labels(axis):
    return [text.get_text() for text in axis.get_ticklabels()]


def all_text(figure):
    texts = [text.get_text() for text in figure.texts] + [axes.get_title() for axes in figure.axes]
    names = [axes.get_xlabel() + " " + axes.get_ylabel() for axes in figure.axes]
    return " ".join([figure.get_suptitle(), figure.get_supxlabel(), *texts, *names]).replace("\n", " ")


def pixel(figure, axes, row, column):
    """The colour (0 to 255) that the finished picture shows in the middle of a cell."""
    figure.canvas.draw()
    picture = np.asarray(figure.canvas.buffer_rgba())
    x, y = axes.transData.transform((column, row))
    return picture[picture.shape[0] - 1 - int(y), int(x), :3]


@pytest.mark.parametrize("layers, heads", [(1, 2), (1, 4), (4, 4), (2, 1)])
def test_under_the_large_map_stands_every_head_of_every_layer_and_after_the_first_layer_the_mean(layers, heads):
    attention = causal_rows(layers, heads, 7, 7)
    _, *small = maps(attention_map(attention, words(7), 3, "title"))
    mean = small.pop(heads)
    assert mean.get_title() == "mean" and len(small) == layers * heads
    np.testing.assert_allclose(drawn(mean), hatched_future(attention.mean((0, 1))), atol=1e-15)
    for index, axes in enumerate(small):
        np.testing.assert_array_equal(drawn(axes), hatched_future(attention[index // heads, index % heads]))


def with_one_that_chooses(layer, head):
    """Three layers of two heads with nearly even rows, but one, which looks at the token before the last."""
    attention = causal_rows(3, 2, 6, 6) / 10 + 0.9 * np.tri(6) / np.arange(1, 7)[:, None]
    attention[layer, head] = np.eye(6, k=-1)
    attention[layer, head, 0, 0] = 1
    return attention


@pytest.mark.parametrize("best", [(0, 0), (2, 1)])
def test_the_large_map_is_the_head_that_chooses_most_and_its_title_says_so(best):
    attention = with_one_that_chooses(*best)
    large = maps(attention_map(attention, words(6), 3, "title"))[0]
    np.testing.assert_array_equal(drawn(large), hatched_future(attention[best]))
    assert large.get_title() == f"layer {best[0] + 1}, head {best[1] + 1}: chooses most"


def test_a_head_that_is_asked_for_is_the_large_map_and_is_framed_below():
    attention = with_one_that_chooses(2, 1)
    large, *small = maps(attention_map(attention, words(6), 3, "title", head=(1, 0)))
    np.testing.assert_array_equal(drawn(large), hatched_future(attention[1, 0]))
    assert large.get_title() == "layer 2, head 1"
    assert [axes.spines["left"].get_edgecolor()[:3] == (0, 0, 0) for axes in small].index(True) == 3  # after the mean
    large = maps(attention_map(attention, words(6), 3, "title", head=(2, 1)))[0]
    assert large.get_title() == "layer 3, head 2: chooses most"


def entropy_share(row):
    """A row's entropy as a share of the most that it could be, by the definition."""
    return -sum(weight * np.log(weight) for weight in row if weight) / np.log(len(row))


def test_how_much_a_head_chooses_is_its_mean_entropy_against_how_many_tokens_each_row_sees():
    """Without that, one that is even over a short window would win against one that chooses from a long one."""
    attention = causal_rows(2, 3, 9, 9, seed=4) ** 3
    attention /= attention.sum(-1, keepdims=True)
    means = [
        np.mean([entropy_share(maps[row, : row + 1]) for row in range(1, 9)]) for maps in attention.reshape(6, 9, 9)
    ]
    found = map_plots.head_that_chooses_most(attention, np.tri(9, dtype=bool))
    assert found == divmod(int(np.argmin(means)), 3)
    band = np.tri(9, dtype=bool) & ~np.tri(9, k=-2, dtype=bool)  # the last two tokens only
    assert map_plots.head_that_chooses_most(np.stack([band / 2, np.eye(9)])[None], band) == (0, 1)


@pytest.mark.parametrize("length, own_token", [(1, True), (2, False)])
def test_where_no_row_has_a_choice_the_first_head_is_drawn(length, own_token):
    attention = causal_rows(2, 2, length, length, own_token=own_token)
    assert map_plots.head_that_chooses_most(attention, attention[0, 0] > 0) == (0, 0)


def dots(axes):
    """The (row, column) of each mark."""
    return [(int(row), int(column)) for column, row in axes.collections[0].get_offsets()]


def test_the_heaviest_token_before_each_row_is_marked_with_white_in_black():
    influence = np.eye(5) * 9 + 0.1 * np.tri(5)
    influence[2, 0] = influence[3, 2] = influence[4, 1] = 2
    influence[1, 0] = 0  # nothing of the past weighs anything
    figure = map_plots.influence_figure(influence / 12, words(5), 5, "title")
    (axes,) = maps(figure)
    assert dots(axes) == [(2, 0), (3, 2), (4, 1)]
    assert (pixel(figure, axes, 3, 2) > 250).all()
    assert "dot" in all_text(figure).lower()


def test_a_mark_whose_token_is_out_of_sight_is_left_away():
    influence = np.eye(60)
    influence[50, 30] = influence[55, 10] = 0.5
    (axes,) = maps(map_plots.influence_figure(influence / 2, words(60), 60, "title"))
    assert dots(axes) == [(30, 10)]


def test_under_the_map_stands_what_choosing_is_worth():
    note = map_plots.choosing_note(3.804, 3.916, "character")
    assert note == "On this text choosing is worth 0.12 nats a character (3.92 with equal weights, 3.80 as trained)."
    figure = attention_map(causal_rows(2, 2, 5, 5), words(5), 2, "title", note=note)
    assert figure.get_supxlabel().replace("\n", " ").startswith(note)
    assert map_plots.choosing_note(None, None, "word") == ""


def test_small_maps_stand_in_a_grid_of_layers_down_and_heads_across():
    figure = attention_map(causal_rows(3, 2, 5, 5), words(5), 2, "title")
    figure.canvas.draw()
    boxes = [axes.get_position() for axes in maps(figure)[1:] if axes.get_title() != "mean"]
    small = [axes for axes in maps(figure)[1:] if axes.get_title() != "mean"]
    assert [axes.get_title() for axes in small[:2]] == ["head 1", "head 2"]
    assert [axes.get_ylabel() for axes in small[::2]] == ["layer 1", "layer 2", "layer 3"]
    assert boxes[0].x1 < boxes[1].x0 and boxes[0].y0 == pytest.approx(boxes[1].y0)
    assert boxes[2].y1 < boxes[0].y0 and boxes[0].x0 == pytest.approx(boxes[2].x0)


def test_one_layer_with_one_head_is_the_large_map_alone():
    attention = causal_rows(1, 1, 6, 6)
    (only,) = maps(attention_map(attention, words(6), 3, "title"))
    np.testing.assert_array_equal(drawn(only), hatched_future(attention[0, 0]))


def test_the_influence_map_holds_the_array_given():
    influence = causal_rows(6, 6)
    (only,) = maps(map_plots.influence_figure(influence, words(6), 3, "title"))
    np.testing.assert_array_equal(drawn(only), hatched_future(influence))


def test_the_picture_shows_a_weight_at_its_row_and_column_in_the_colour_that_the_bar_gives_it():
    attention = np.zeros((1, 1, 4, 4))
    attention[0, 0, 3] = [0.04, 0.25, 0.71, 0.0]
    figure = attention_map(attention, words(4), 4, "title")
    (axes,) = maps(figure)
    below, above = (axes.transData.transform((0, row))[1] for row in (3, 0))
    assert below < above
    for column, weight in enumerate(attention[0, 0, 3]):
        expected = np.array(matplotlib.colormaps["viridis"](weight**0.5)[:3]) * 255
        np.testing.assert_allclose(pixel(figure, axes, 3, column + 0.3), expected, atol=2)  # beside a mark


def is_grey(colour):
    """Neither a colour of the scale, which has hues from end to end, nor bright."""
    return np.ptp(colour.astype(int)) == 0 and 100 < colour[0] < 215


@pytest.mark.parametrize("own_token", [True, False])
def test_what_may_not_be_seen_is_grey_wherever_it_lies_and_a_weight_of_zero_is_not(own_token):
    """The future, the own place where that is masked, a row with nothing to see, and what left the window."""
    seen = np.tri(5, k=0 if own_token else -1, dtype=bool) & ~np.tri(5, k=-3, dtype=bool)
    figure = attention_map(np.zeros((2, 2, 5, 5)), words(5), 5, "title", seen=seen)
    large, *small = maps(figure)
    for row, column in np.ndindex(5, 5):
        assert is_grey(pixel(figure, large, row, column)) == (not seen[row, column])
    for axes in small:
        np.testing.assert_array_equal(axes.images[0].get_array().mask, ~seen)


def test_a_mask_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="does not fit"):
        attention_map(np.zeros((1, 1, 4, 4)), words(4), 4, "title", seen=np.ones((3, 3)))


def test_the_axes_are_named_for_what_they_are():
    large = maps(attention_map(causal_rows(1, 4, 5, 5), words(5), 2, "title"))[0]
    assert (large.get_ylabel(), large.get_xlabel()) == ("token just read", "token looked at")
    large = maps(map_plots.influence_figure(causal_rows(5, 5), words(5), 2, "title"))[0]
    assert (large.get_ylabel(), large.get_xlabel()) == ("token just read", "token that mattered")


def test_influence_is_never_called_attention():
    text = all_text(map_plots.influence_figure(causal_rows(60, 60), words(60), 30, "title"))
    assert "influence" in text and "attention" not in text.lower()


def every_token_has_its_own_row_and_column(axes, tokens):
    """True if the labels, read in axis order, are the tokens, at positions 0, 1, 2 ..."""
    positions = list(range(len(tokens)))
    return all(list(axis.get_ticklocs()) == positions and labels(axis) == tokens for axis in (axes.xaxis, axes.yaxis))


def test_repeated_words_are_kept_apart_by_position():
    tokens = ["the", "sea", "the", "the"]
    for figure in (
        attention_map(causal_rows(1, 1, 4, 4), tokens, 2, "title"),
        map_plots.influence_figure(causal_rows(4, 4), tokens, 2, "title"),
    ):
        figure.canvas.draw()
        assert every_token_has_its_own_row_and_column(maps(figure)[0], tokens)


def test_a_categorical_axis_which_merges_repeated_words_would_be_found_out():
    tokens = ["the", "sea", "the", "the"]
    axes = Figure().add_subplot()
    FigureCanvasAgg(axes.figure)
    axes.scatter(tokens, tokens)
    axes.figure.canvas.draw()
    assert not every_token_has_its_own_row_and_column(axes, tokens)


def one_scale_rules_all(figure):
    """True if every map has one and the same norm and colours, and the figure's one colour bar has them too."""
    images = [axes.images[0] for axes in figure.axes if axes.images]
    bars = [axes._colorbar for axes in figure.axes if hasattr(axes, "_colorbar")]
    scales = {(id(artist.norm), artist.cmap.name) for artist in [*images, *bars]}
    return len(bars) == 1 and len(scales) == 1


@pytest.mark.parametrize("layers, heads", [(1, 1), (1, 4), (4, 4)])
def test_every_map_and_the_colour_bar_share_one_scale_from_0_to_1(layers, heads):
    figure = attention_map(causal_rows(layers, heads, 5, 5) / 9, words(5), 2, "title")
    figure.canvas.draw()
    assert one_scale_rules_all(figure)
    assert maps(figure)[0].images[0].get_clim() == (0, 1)
    assert one_scale_rules_all(map_plots.influence_figure(causal_rows(5, 5), words(5), 2, "title"))


def test_a_colour_bar_that_belongs_to_the_last_panel_only_would_be_found_out():
    figure = Figure()
    for index, axes in enumerate(figure.subplots(1, 3)):
        image = axes.imshow(causal_rows(5, 5, seed=index))
    figure.colorbar(image)
    assert not one_scale_rules_all(figure)


@pytest.mark.parametrize("length, prompt, line", [(40, 10, 9.5), (41, 10, 8.5), (123, 100, 16.5)])
def test_the_last_forty_tokens_are_shown_with_the_line_where_the_prompt_ends(length, prompt, line):
    attention = causal_rows(2, 2, length, length)
    figure = attention_map(attention, words(length), prompt, "title")
    large, *small = maps(figure)
    np.testing.assert_array_equal(drawn(small[4]), hatched_future(attention[1, 1, -40:, -40:]))
    assert every_token_has_its_own_row_and_column(large, words(length)[-40:])
    for axes in (large, *small):
        across, down = axes.lines
        assert list(across.get_ydata()) == [line, line] and list(down.get_xdata()) == [line, line]
    notice = f"showing the last 40 of {length} tokens"
    assert (notice in all_text(figure)) == (length > 40)


def test_influence_says_where_it_cut():
    text = all_text(map_plots.influence_figure(causal_rows(123, 123), words(123), 100, "title"))
    assert "showing the last 40 of 123 tokens" in text


@pytest.mark.parametrize("length, prompt", [(5, 0), (5, 5), (60, 20), (60, 10)])
def test_no_line_is_drawn_where_prompt_or_continuation_is_out_of_sight(length, prompt):
    figure = map_plots.influence_figure(causal_rows(length, length), words(length), prompt, "title")
    assert not maps(figure)[0].lines
    assert "Red" not in all_text(figure)


@pytest.mark.parametrize("length", [1, pytest.param(2, marks=pytest.mark.thorough), 40])
@pytest.mark.parametrize("own_token", [True, False])
def test_short_texts_zero_rows_and_hostile_tokens_draw_without_a_warning(length, own_token):
    hostile = ["$\\frac{$", "$", "a_b^c", "\\x", "{", "%", "#", "中文", "\n", "\t", "", "\ud800", "␣", "⏎", "w" * 500]
    tokens = [hostile[index % len(hostile)] for index in range(length)]
    title = "$\\frac{$ 中文 _ " + "long " * 40
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        attention = causal_rows(1, 2, length, length, own_token=own_token)
        attention_map(attention, tokens, 1, title).canvas.draw()
        map_plots.influence_figure(attention[0, 0], tokens, 1, title).canvas.draw()


def test_tokens_are_written_as_they_are_apart_from_long_ones():
    tokens = ["$x_1$", "a_b", "\\n", "␣", "⏎", "é", "honorificabilitudinitatibus"]
    large = maps(map_plots.influence_figure(causal_rows(7, 7), tokens, 4, "title"))[0]
    assert labels(large.xaxis) == [*tokens[:6], "honorificabil…"]


FRAKTUR = "𝔄"  # of the fonts that matplotlib brings, STIXGeneral has it and DejaVu Sans does not


@pytest.fixture
def fonts(monkeypatch):
    """As on a new machine: a function that says which families are installed; nothing has been looked for."""
    entries = font_manager.fontManager.ttflist

    def install(*names, new=()):
        chosen = [entry for entry in entries if entry.name in names]
        later = [entry.fname for entry in entries if entry.name in new]
        monkeypatch.setattr(font_manager.fontManager, "ttflist", chosen)
        monkeypatch.setattr(font_manager, "findSystemFonts", lambda: later)
        monkeypatch.setattr(figures, "FONTS", ["DejaVu Sans"])
        monkeypatch.setattr(figures, "NOWHERE", set())
        monkeypatch.setattr(figures, "TOLD", set())

    return install


def no_box_is_drawn(figure):
    """matplotlib warns of each sign for which it draws a box."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.canvas.draw()


def test_a_sign_that_the_usual_font_lacks_is_drawn_in_an_installed_one_that_has_it(fonts, tmp_path, capsys):
    fonts("DejaVu Sans", "STIXSizeOneSym", "STIXGeneral")
    figure = map_plots.influence_figure(causal_rows(3, 3), ["to", FRAKTUR, "be"], 1, f"title {FRAKTUR}")
    no_box_is_drawn(figure)
    assert labels(maps(figure)[0].xaxis) == ["to", FRAKTUR, "be"] and figure.get_suptitle() == f"title {FRAKTUR}"
    assert figures.FONTS == ["DejaVu Sans", "STIXGeneral"]  # and none for what the usual one has
    figures.save_figure(figure, tmp_path / "map.png")
    assert capsys.readouterr().err == ""


def test_a_font_that_was_installed_after_matplotlib_made_its_list_is_found(fonts):
    fonts("DejaVu Sans", new=["STIXGeneral"])
    assert figures.drawable(FRAKTUR) == FRAKTUR


@pytest.mark.parametrize("others", [[], ["Last Resort High-Efficiency", "STIXNonUnicode"]], ids=["no font", "boxes"])
def test_signs_that_no_font_has_are_written_as_code_points_and_one_line_says_so(fonts, others, tmp_path, capsys):
    fonts("DejaVu Sans", *others)
    figures.save_figure(
        map_plots.influence_figure(causal_rows(1, 1), ["to"], 1, "of which there is nothing to say"),
        tmp_path / "plain.png",
    )
    tokens = ["中", "中文字", "\ue000", "\ud800"]
    figure = attention_map(causal_rows(1, 1, 4, 4), tokens, 1, "天 title")
    no_box_is_drawn(figure)
    assert labels(maps(figure)[0].xaxis) == ["U+4E2D", "U+4E2DU+6587…", "U+E000", "U+D800"]  # none is cut in two
    assert figure.get_suptitle() == "U+5929 title"
    for name in ("first.png", "second.pdf"):
        figures.save_figure(figure, tmp_path / name)
    (line,) = capsys.readouterr().err.splitlines()
    assert "中 (CJK UNIFIED IDEOGRAPH-4E2D) and 3 more signs" in line and "install" in line


def test_a_control_character_is_a_code_point_that_no_font_is_asked_for(fonts, tmp_path, capsys):
    fonts("DejaVu Sans")
    figure = map_plots.influence_figure(causal_rows(2, 2), ["\x1b[2J", "\n"], 1, "title")
    no_box_is_drawn(figure)
    assert labels(maps(figure)[0].xaxis) == ["U+001B[2J", "U+000A"]
    figures.save_figure(figure, tmp_path / "map.png")
    assert capsys.readouterr().err == ""


def test_a_font_file_that_is_gone_or_damaged_is_passed_over(tmp_path):
    (tmp_path / "damaged.ttf").write_bytes(b"no font")
    assert figures.signs_in(str(tmp_path / "damaged.ttf"), "a") == set() == figures.signs_in("gone.ttf", "a")


@pytest.mark.parametrize("layers, heads", [pytest.param(1, 1, marks=pytest.mark.thorough), (1, 4), (4, 4)])
@pytest.mark.parametrize("length", [1, pytest.param(24, marks=pytest.mark.thorough), 60])
@pytest.mark.parametrize("token", ["a", "honorificabilitudinitatibus"])
def test_nothing_is_drawn_beyond_the_edge_of_the_picture_or_over_something_else(layers, heads, length, token):
    attention = causal_rows(layers, heads, length, length)
    figure = attention_map(attention, [token] * length, length // 2, "long title " * 12)
    figure.draw_without_rendering()
    boxes = [axes.get_tightbbox() for axes in figure.axes] + [text.get_window_extent() for text in figure.texts]
    width, height = figure.canvas.get_width_height()
    assert all(box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height for box in boxes)
    overlaps = [(one, two) for index, one in enumerate(boxes) for two in boxes[:index] if one.overlaps(two)]
    assert not overlaps


@pytest.mark.parametrize("shape, count", [((1, 1, 3, 4), 3), ((1, 1, 3, 3), 4), ((3, 3), 3), ((1, 1, 0, 0), 0)])
def test_attention_of_the_wrong_shape_is_refused(shape, count):
    with pytest.raises(ValueError, match="does not fit"):
        attention_map(np.zeros(shape), words(count), 1, "title")


def test_a_value_that_is_not_a_number_is_refused_since_it_would_look_like_the_future():
    with pytest.raises(ValueError, match="finite"):
        map_plots.influence_figure(np.full((2, 2), np.nan), words(2), 1, "title")


def metrics(steps=50):
    """Losses like those of a run: training falls, validation (every fifth record) turns up again after step 300."""
    records = []
    for step in range(10, 10 * steps + 1, 10):
        record = {"step": step, "tokens": step * 64, "seconds": step / 10, "learning_rate": 0.001}
        record["train_loss"] = 5.0 - step / 200 + 0.2 * (-1) ** (step // 10)
        if step % 50 == 0:
            record["validation_loss"] = 4.0 + ((step - 300) / 300) ** 2
        records.append(record)
    return records


def curve_line(figure, start):
    return next(line for line in figure.axes[0].lines if line.get_label().startswith(start))


def test_the_curve_marks_the_true_minimum_and_writes_its_perplexity():
    figure = curves.learning_curve_figure(metrics(), "title")
    star = curve_line(figure, "best")
    assert (list(star.get_xdata()), list(star.get_ydata())) == ([300], [4.0])
    assert "step 300" in star.get_label() and f"{np.exp(4.0):.1f}" in star.get_label()
    validation = curve_line(figure, "validation")
    assert list(validation.get_xdata()) == list(range(50, 501, 50))


def test_the_picture_begins_after_the_first_fall_and_shows_all_that_comes_after():
    records = metrics(100)
    for record, loss in zip(records, (90.0, 60.0, 30.0)):
        record["train_loss"] = loss
    figure = curves.learning_curve_figure(records, "title")
    low, high = figure.axes[0].get_ylim()
    late = [record[name] for record in records[12:] for name in ("train_loss", "validation_loss") if name in record]
    assert low < min(late) and max(late) < high < 10
    assert "comes down from 90" in all_text(figure)


@pytest.mark.parametrize("low, high", [(1.2, 1.9), (3.9, 4.6), (3.8, 5.0), (4.0, 8.0), (4.0, 30.0)])
def test_perplexity_ticks_are_round_numbers_and_neither_few_nor_many(low, high):
    axes = figures.new_figure(5.0, "title").add_subplot()
    curves._add_perplexity_axis(axes)
    axes.set_ylim(low, high)
    axes.figure.canvas.draw()
    (right,) = axes.child_axes
    inside = [np.exp(tick) for tick in right.get_yticks() if low <= tick <= high]
    assert 3 <= len(inside) <= 12
    for tick in inside:
        assert float(f"{tick:.2g}") == pytest.approx(tick, rel=1e-9)  # two figures say it whole
        assert f"{tick:.1e}"[2] in "05" or high - low < 2  # 1, 1.5, 2, and so on, where the axis is long


def test_the_right_hand_axis_is_the_exponential_of_the_left_one():
    figure = curves.learning_curve_figure(metrics(), "title")
    figure.canvas.draw()
    axes = figure.axes[0]
    (right,) = axes.child_axes
    assert axes.get_ylabel() == "loss (nats per token)" and right.get_ylabel() == "perplexity per token"
    assert right.get_ylim() == axes.get_ylim()
    for nats, text in zip(right.get_yticks(), labels(right.yaxis)):
        assert float(text.replace(",", "")) == pytest.approx(np.exp(nats), rel=0.006)


def test_the_raw_training_loss_is_drawn_untouched_behind_its_running_mean():
    records = metrics(100)
    raw, smooth = curves.learning_curve_figure(records, "title").axes[0].lines[:2]
    losses = [record["train_loss"] for record in records]
    assert list(raw.get_ydata()) == losses and raw.get_alpha() < 0.5
    width = 1 + len(losses) // 15
    for centre in (10, 50, 80):
        start = centre - width // 2
        assert smooth.get_ydata()[centre] == pytest.approx(sum(losses[start : start + width]) / width)


def test_smoothing_leaves_a_constant_curve_alone_up_to_its_ends():
    for length in (1, 2, 39, 40, 1000):
        np.testing.assert_allclose(curves._smooth(np.full(length, 3.5)), np.full(length, 3.5))


@pytest.mark.parametrize("missing", [{}, {"validation_loss": None}, {"validation_loss": float("nan")}])
def test_a_curve_needs_no_validation_and_one_record_is_enough(missing):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = curves.learning_curve_figure([{"step": 1, "train_loss": 9.0, **missing}], "title")
        figure.canvas.draw()
    assert not any(line.get_label().startswith("best") for line in figure.axes[0].lines)


@pytest.mark.parametrize("loss", [1e4, float("inf"), float("nan")])
def test_the_curve_of_a_run_that_diverged_is_still_drawn(loss):
    records = [*metrics(), {"step": 510, "train_loss": loss, "validation_loss": loss}]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = curves.learning_curve_figure(records, "title")
        figure.canvas.draw()
    assert list(curve_line(figure, "best").get_xdata()) == [300]
    assert max(len(text) for text in labels(figure.axes[0].child_axes[0].yaxis)) < 10


def test_a_curve_of_no_records_is_refused():
    with pytest.raises(ValueError, match="record"):
        curves.learning_curve_figure([], "title")


@pytest.mark.parametrize(
    "suffix, magic", [(".png", b"\x89PNG"), (".PNG", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")]
)
def test_the_suffix_chooses_the_format_and_only_the_picture_is_left_behind(tmp_path, suffix, magic):
    path = tmp_path / f"map{suffix}"
    path.write_text("an older picture", encoding="utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figures.save_figure(map_plots.influence_figure(causal_rows(3, 3), words(3), 1, "title"), path)
    assert path.read_bytes().startswith(magic)
    assert os.listdir(tmp_path) == [path.name]


def test_title_and_caption_travel_inside_the_png(tmp_path):
    figures.save_figure(
        map_plots.influence_figure(causal_rows(3, 3), words(3), 1, "Who mattered?"), tmp_path / "map.png"
    )
    text = Image.open(tmp_path / "map.png").text
    assert text["Title"] == "Who mattered?"
    assert text["Description"].startswith("Each row: ") and "\n" not in text["Description"]


@pytest.mark.parametrize("name", ["map", "map.jpeg", "map.png.txt"])
def test_an_unknown_suffix_is_one_line_that_names_the_known_ones(tmp_path, name):
    with pytest.raises(UserError, match=r"\.png, \.svg or \.pdf") as caught:
        figures.save_figure(Figure(), tmp_path / name)
    assert "\n" not in str(caught.value) and not os.listdir(tmp_path)


@pytest.mark.parametrize("folder", ["nowhere", "a_file", "n" * 300])
def test_a_folder_that_is_missing_or_none_is_one_line_for_the_user(tmp_path, folder):
    (tmp_path / "a_file").touch()
    with pytest.raises(UserError, match="cannot write") as caught:
        figures.save_figure(curves.learning_curve_figure(metrics(), "title"), tmp_path / folder / "curve.png")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "failure, expected", [(OSError(28, "No space left on device"), UserError), (KeyboardInterrupt, KeyboardInterrupt)]
)
def test_a_save_that_fails_half_way_keeps_the_old_picture_and_leaves_no_temporary_file(tmp_path, failure, expected):
    class Failing(Figure):
        def savefig(self, file, **settings):
            file.write(b"half a pict")
            raise failure

    path = tmp_path / "map.png"
    path.write_bytes(b"the old picture")
    with pytest.raises(expected):
        figures.save_figure(Failing(), path)
    assert path.read_bytes() == b"the old picture"
    assert os.listdir(tmp_path) == ["map.png"]


def test_pyplot_and_torch_are_never_imported(tmp_path):
    code = f"""
import sys
import numpy as np
from shared.show import curves, figures, reading, worked
from shared.show import maps as map_plots
drawn = [
    map_plots.attention_figure(np.ones((2, 2, 1, 1)), [[True]], ["a"], 1, "t"),
    map_plots.influence_figure(np.ones((1, 1)), ["a"], 1, "t"),
    curves.learning_curve_figure([{{"step": 1, "train_loss": 2.0}}], "t"),
]
for figure in drawn:
    for kind in ("png", "svg", "pdf"):
        figures.save_figure(figure, {str(tmp_path)!r} + "/picture." + kind)
print(sorted({{"matplotlib.pyplot", "torch"}} & set(sys.modules)))
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_figures_are_as_wide_as_a_phone_has_pixels_and_no_label_is_tiny():
    figure = attention_map(causal_rows(4, 4, 60, 60), words(60), 30, "title")
    assert figure.get_size_inches()[0] * figures.DPI == 1200
    sizes = [text.get_fontsize() for axes in figure.axes for text in axes.get_xticklabels() + axes.get_yticklabels()]
    assert min(sizes) >= 8


# ------------------------------------------------------------------------------------------------- a text, word by word


def test_every_word_is_shaded_by_its_share_and_the_guesses_stand_beside_it():
    shares = {"RNN": [0.1, 0.2, 0.7], "LSTM": [0.5, 0.5, 0.0]}
    likely = [{"token": "$be$", "probability": 0.5}, {"token": "me", "probability": 0.25}]
    guesses = {name: {"influence": row, "next": likely} for name, row in shares.items()}
    figure = reading.memories_figure(guesses, ["I", "pay", "thy"], "pleasure", "One line")
    texts = [text.get_text() for text in figure.axes[0].texts]
    for told in ("RNN", "LSTM", "I", "pay", "thy", "$be$", "50%", "25%"):
        assert texts.count(told) == (1 if told in shares else 2)
    assert "pleasure" in figure.get_supxlabel()
    darkest, palest = reading.AMBER(1.0), reading.AMBER(0.0)
    colours = [patch.get_facecolor() for patch in figure.axes[0].patches]
    assert colours.count(darkest) == 1 and colours.count(palest) == 1  # shares of .7 and 0, on one scale
    with pytest.raises(ValueError, match="do not fit 2 tokens"):
        reading.memories_figure(guesses, ["I", "pay"], "thy", "One line")


def test_a_long_speech_goes_on_in_the_next_line_and_no_line_begins_with_a_sign():
    tokens = ["DUKE", ":", "↵"] + ["pleasure", ","] * 8 + ["↵", "↵", "CLOWN", ":", "↵", "No"]
    lines = reading.speech_lines(tokens)
    assert [place for line in lines for place in line] == list(range(len(tokens)))
    assert all(tokens[line[0]] not in (",", "↵", ":") for line in lines) and tokens[lines[-1][0]] == "CLOWN"
    assert max(sum(len(tokens[place]) for place in line) for line in lines) <= 31


def test_a_strip_holds_a_units_numbers_from_the_first_word_down_and_the_telling_one_is_framed():
    traces = {"forget": np.random.default_rng(0).random((3, 2)), "cell": np.array([[1, -2], [0, 3], [2.5, 1]])}
    figure = reading.units_figure(traces, [48, 72], 72, ["I", "pay", "thy"], "A unit")
    panels = maps(figure)
    for axes, values in zip(panels, traces.values()):
        np.testing.assert_array_equal(axes.images[0].get_array(), values)
        assert labels(axes.xaxis) == ["72"] and axes.patches[0].get_x() == 0.5
    assert labels(panels[0].yaxis) == ["I", "pay", "thy"] and panels[0].yaxis_inverted()


# ---------------------------------------------------------------------------------------------------- worked examples


def test_every_gradient_curve_has_its_name_at_its_end_in_its_colour():
    ends = {("orthogonal", 0.01): 1.0, ("uniform", 0.01): 1e-8, ("uniform", 3): 1e-9}
    given = [{"start": start, "inputs": size, "shares": [1.0, end]} for (start, size), end in ends.items()]
    axes = worked.gradients_figure(given, 3, "Gradients").axes[0]
    assert [text.get_text() for text in axes.texts] == [
        "orthogonal,\nsmall inputs", "uniform,\nsmall inputs", "uniform,\nlarge inputs"
    ]  # fmt: skip
    assert [list(line.get_ydata()) for line in axes.lines] == [curve["shares"] for curve in given]
    assert all(text.get_color() == line.get_color() for text, line in zip(axes.texts, axes.lines))
    heights = [np.log10(text.get_position()[1]) for text in axes.texts]
    assert heights == sorted(heights, reverse=True) and heights[1] - heights[2] > 1  # names do not touch


def test_turned_pairs_are_arrows_and_products_are_curves():
    turns = np.array([[0.0, 1.0, 2.0], [0.0, 0.1, 0.2]])
    pairs = np.stack([np.cos(turns), np.sin(turns)], -1)
    figure = worked.rotary_figure([1, 0.1], pairs, [[3, 2], [3, 2]], [40, 400], "Rotary")
    fast, slow, products = figure.axes
    assert {"0", "1", "2"} <= {text.get_text() for text in fast.texts}
    assert {text.get_text() for text in slow.texts} == {"", "0"}  # numbers that would lie on each other are left out
    assert [list(line.get_ydata()) for line in products.lines] == [[3, 2], [3, 2]]
