"""The comparison's pictures: what is drawn is what was measured, on one scale, told apart without colour."""

import warnings

import numpy as np
import pytest

from shared.show import curves as draw
from shared.show import figures
from shared.show import maps as map_plots

STAGES = ["one", "two", "three", "four"]
TITLES = {stage: stage.upper() for stage in STAGES}
WORDS = ["to", "be", ",", "or", "not", "$a_", "↵", "東", "a" * 40]
LENGTHS = [1, 2, 4, 8, 16]


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).random(shape) + 0.5


def context(stages=STAGES):
    curves = [
        {"stage": stage, "nats": numbers(5, seed=seed).tolist(), "standard_error": (numbers(5) / 9).tolist()}
        for seed, stage in enumerate(stages)
    ]
    return {"lengths": LENGTHS, "targets": 1000, "stages": curves}


def learning():
    return [
        {"stage": stage, "tokens": [100, 200, 300], "seconds": [1.0, 2.5, 3.5 + seed], "validation_loss": [6, 5, 4.5]}
        for seed, stage in enumerate(STAGES)
    ]


def positions(length=128):
    return [
        {"stage": stage, "nats": numbers(length, seed=seed), "counts": [9] * (length - 1) + [2]}
        for seed, stage in enumerate(STAGES)
    ]


def gradient():
    norms = [np.exp(-numbers() * (seed + 1) * np.arange(100)) for seed in range(4)]
    norms[3][40:] = 0
    stages = [{"stage": stage, "norms": norm.tolist()} for stage, norm in zip(STAGES, norms)]
    return {"distances": list(range(100)), "targets": 64, "stages": stages}


def influence(count):
    return {name: np.tril(numbers(len(WORDS), len(WORDS), seed=seed)) / 20 for seed, name in enumerate(STAGES[:count])}


def gates(high=0.9):
    return {name: np.linspace(0.1, high, len(WORDS)) for name in ("input", "forget", "output", "cell")}


FIGURES = {
    "learning": lambda: draw.learning_comparison_figure(learning(), TITLES),
    "context": lambda: draw.context_figure(context(), TITLES),
    "position": lambda: draw.position_figure(positions(), TITLES),
    "gradient": lambda: draw.gradient_figure(gradient(), TITLES),
}


def curves(axes):
    """Name -> (x, y) of every curve that the legend names."""
    found = {}
    for handle, label in zip(*axes.get_legend_handles_labels()):
        line = handle[0] if isinstance(handle, tuple) else handle
        found[label] = line.get_xdata(), line.get_ydata()
    return found


def maps(figure):
    return [axes for axes in figure.axes if axes.images]


def test_the_context_curve_stands_at_its_lengths_with_its_errors():
    figure = draw.context_figure(context(), TITLES)
    axes = figure.axes[0]
    for curve in context()["stages"]:
        x, y = curves(axes)[TITLES[curve["stage"]]]
        assert list(x) == LENGTHS and list(y) == curve["nats"]
    bars = axes.containers[0].lines[2][0].get_segments()
    expected = np.subtract(context()["stages"][0]["nats"], context()["stages"][0]["standard_error"])
    np.testing.assert_allclose([bar[0][1] for bar in bars], expected)
    assert [text.get_text() for text in axes.get_xticklabels()] == [str(length) for length in LENGTHS]
    assert "1,000 tokens" in figure.get_supxlabel().replace("\n", " ")


def test_learning_is_drawn_against_tokens_and_against_seconds():
    above, below = draw.learning_comparison_figure(learning(), TITLES).axes[:2]
    for curve in learning():
        assert list(curves(above)[TITLES[curve["stage"]]][0]) == curve["tokens"]
        assert list(curves(below)[TITLES[curve["stage"]]][0]) == curve["seconds"]
        assert list(curves(above)[TITLES[curve["stage"]]][1]) == curve["validation_loss"]
    assert "tokens" in above.get_xlabel() and "seconds" in below.get_xlabel()
    assert above.get_ylim() == below.get_ylim()


def test_a_run_without_records_leaves_the_learning_curves_of_the_others():
    records = learning()
    records[0] |= {"tokens": [], "seconds": [], "validation_loss": []}
    above = draw.learning_comparison_figure(records, TITLES).axes[0]
    assert [len(x) for x, _ in curves(above).values()] == [0, 3, 3, 3]


@pytest.mark.parametrize("length", [1, 2, 5, 128])
def test_a_point_of_the_position_curve_is_the_mean_of_all_tokens_since_the_last(length):
    axes = draw.position_figure(positions(length), TITLES).axes[0]
    for stage in positions(length):
        ends, means = curves(axes)[TITLES[stage["stage"]]]
        assert ends[0] == 1 and ends[-1] == length
        start = 0
        for end, mean in zip(ends, means):
            losses = [stage["nats"][place] for place in range(start, end) for _ in range(stage["counts"][place])]
            assert mean == pytest.approx(sum(losses) / len(losses))
            start = end


def test_a_gradient_is_drawn_as_a_share_of_the_nearest_and_a_zero_is_no_point():
    axes = draw.gradient_figure(gradient(), TITLES).axes[0]
    for stage in gradient()["stages"]:
        x, y = curves(axes)[TITLES[stage["stage"]]]
        norms = np.array(stage["norms"])
        np.testing.assert_array_equal(x, np.arange(1, 101))  # the token just read is the first one back
        np.testing.assert_allclose(y, np.where(norms > 0, norms / norms[0], np.nan))
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert [text.get_text() for text in axes.get_xticklabels()] == ["1", "2", "4", "8", "16", "32", "64"]


@pytest.mark.parametrize("distances", [1, 2, 3, 300])
def test_the_gradients_axes_are_the_same_however_small_or_short_the_curves(distances):
    norms = {"all": np.ones(distances), "tiny": 10.0 ** -np.arange(distances), "none": np.zeros(distances)}
    stages = [{"stage": stage, "norms": values.tolist()} for stage, values in zip(STAGES, norms.values())]
    measured = {"distances": list(range(distances)), "targets": 1, "stages": stages}
    axes = draw.gradient_figure(measured, TITLES).axes[0]
    assert axes.get_ylim() == (draw.SMALLEST_SHARE, 1.3) and axes.get_xlim() == (1, max(2, distances))


def test_the_gradients_picture_says_what_was_found_and_what_a_token_is_called():
    figure = draw.gradient_figure(gradient(), TITLES, "Attention keeps its whole window", "words")
    assert figure.get_suptitle() == "Attention keeps its whole window"
    assert figure.axes[0].get_xlabel().startswith("words back")
    assert "1/100" in [text.get_text() for text in figure.axes[0].get_yticklabels()]


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_all_influence_maps_have_one_scale_and_hold_what_was_given(count):
    figure = map_plots.influence_comparison_figure(influence(count), WORDS)
    found = maps(figure)
    assert [axes.get_title() for axes in found] == STAGES[:count]
    for axes, given in zip(found, influence(count).values()):
        drawn = axes.images[0].get_array().filled(np.nan)
        np.testing.assert_array_equal(drawn, np.where(np.tri(len(WORDS), dtype=bool), given, np.nan))
        assert axes.images[0].norm is found[0].images[0].norm
    assert (found[0].images[0].norm.vmin, found[0].images[0].norm.vmax) == (0, 1)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_every_row_of_maps_names_its_tokens_and_so_does_every_column(count):
    """A word twice in the text is two rows, and every map has tokens at its left or another map there."""
    found = maps(map_plots.influence_comparison_figure(influence(count), WORDS))
    for index, axes in enumerate(found):
        assert len(axes.get_yticklabels()) == (len(WORDS) if index % 2 == 0 else 0)
        assert len(axes.get_xticklabels()) == (len(WORDS) if index + 2 >= count else 0)


def test_a_map_that_does_not_fit_its_tokens_is_a_mistake():
    with pytest.raises(ValueError, match="does not fit"):
        map_plots.influence_comparison_figure(influence(2), WORDS[:-1])


def test_gates_are_lines_on_a_scale_from_0_to_1_or_higher_where_the_cell_is():
    axes = draw.gates_figure(gates(), WORDS, "LSTM").axes[0]
    for name, values in gates().items():
        np.testing.assert_array_equal(curves(axes)[name][1], values)
    assert axes.get_ylim() == (0, 1)
    assert draw.gates_figure(gates(3.0), WORDS, "LSTM").axes[0].get_ylim()[1] > 3
    assert len(axes.get_xticklabels()) == len(WORDS) and axes.get_xlabel() == "token just read"


@pytest.mark.parametrize("name", FIGURES)
def test_both_axes_are_named_and_every_stage_is_in_the_legend(name):
    for axes in FIGURES[name]().axes:
        assert axes.get_xlabel() and axes.get_ylabel()
        assert [text.get_text() for text in axes.get_legend().get_texts()] == list(TITLES.values())


@pytest.mark.parametrize("name", FIGURES)
def test_stages_are_told_apart_without_colour(name):
    """Each has a dash pattern and a marker of its own, and a lightness of its own."""
    lines = [line for line in FIGURES[name]().axes[0].lines if len(line.get_xdata()) > 1][:4]
    assert len({line.get_marker() for line in lines}) == 4
    lightness = sorted(np.dot(line.get_color()[:3], (0.299, 0.587, 0.114)) for line in lines)
    assert np.diff(lightness).min() > 0.08


@pytest.mark.parametrize(
    "draw",
    [
        *FIGURES.values(),
        lambda: map_plots.influence_comparison_figure(influence(3), WORDS),
        lambda: draw.gates_figure(gates(), WORDS, "LSTM $x_"),
        lambda: draw.context_figure(context(STAGES[:1]), TITLES),
    ],
)
def test_saving_gives_a_picture_and_no_warning(draw, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figures.save_figure(draw(), tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
