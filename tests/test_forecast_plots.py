"""The forecasting lab's pictures show the arrays they were given, where they belong."""

import numpy as np
import pytest
from forecasting import lab

plots = lab.plots


def drawn(axes, label):
    """x and y of the line with this label."""
    [line] = [line for line in axes.get_lines() if line.get_label() == label]
    return line.get_xdata(), line.get_ydata()


def test_a_forecast_stands_right_of_its_past_at_the_same_steps_as_the_truth():
    past, truth, forecast = np.arange(5.0), np.array([9.0, 8.0, 7.0]), np.array([9.5, 8.5, 7.5])
    band = np.array([[9.0, 8.0, 7.0], [10.0, 9.0, 8.0]])
    known = ("flow", np.arange(8.0))
    figure = plots.forecast_figure(past, truth, forecast, band, "pressure", "a title", known)
    above, below = figure.axes
    for label, steps, values in (
        ("past", range(-5, 0), past),
        ("truth", range(3), truth),
        ("forecast", range(3), forecast),
    ):
        x, y = drawn(above, label)
        assert list(x) == list(steps) and list(y) == list(values)
    corners = above.collections[0].get_paths()[0].vertices
    assert {(0.0, 9.0), (0.0, 10.0), (2.0, 7.0), (2.0, 8.0)} <= set(map(tuple, corners))
    flow = below.get_lines()[0]
    assert list(flow.get_xdata()) == list(range(-5, 3)) and list(flow.get_ydata()) == list(known[1])
    assert (above.get_ylabel(), below.get_ylabel()) == ("pressure", "flow")


def test_without_band_and_known_column_there_is_one_panel_and_no_word_of_a_band():
    figure = plots.forecast_figure(np.zeros(3), np.zeros(2), np.zeros(2), None, "heat", "a title")
    assert len(figure.axes) == 1 and "band" not in figure.get_supxlabel() and not figure.axes[0].collections


def test_an_attention_map_is_the_mean_of_the_heads_and_blank_where_nothing_may_be_seen():
    weights = np.random.default_rng(0).random((2, 3, 7))
    weights[:, 0, 5:] = 0
    image = plots.attention_figure(weights, 4, "a title").axes[0].get_images()[0]
    shown = image.get_array()
    assert np.array_equal(shown.mask, weights.mean(0) == 0) and shown.mask.sum() == 2
    assert np.allclose(shown.filled(0), weights.mean(0))
    assert (image.norm.vmin, image.norm.vmax) == (0, 1)
    left, right, bottom, top = image.get_extent()
    assert (left, right, bottom, top) == (-4.5, 2.5, 2.5, -0.5)  # the past is negative, step 0 the first forecast


def test_a_map_with_a_value_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="finite"):
        plots.attention_figure(np.full((1, 2, 3), np.nan), 1, "a title")


@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_every_model_has_a_panel_with_its_own_shares(count):
    generator = np.random.default_rng(0)
    shares = {f"model {i}": {"gradient": list(generator.random(30)), "occlusion": list(generator.random(30))}
              for i in range(count)}  # fmt: skip
    shares["model 0"]["weight"] = list(generator.random(30))
    figure = plots.lag_figure(shares, 5)
    panels = [axes for axes in figure.axes if axes.axison]
    assert [axes.get_title() for axes in panels] == list(shares)
    for axes, measured in zip(panels, shares.values()):
        *lines, truth = axes.get_lines()
        assert [list(line.get_ydata()) for line in lines] == [profile[:13] for profile in measured.values()]
        assert list(truth.get_xdata()) == [5, 5]
        assert [line.get_color() for line in lines] == [plots.STYLES[name]["color"] for name in measured]
    assert [text.get_text() for text in panels[0].get_legend().get_texts()] == ["weight", "gradient", "occlusion"]


def test_without_a_true_lag_the_whole_profile_is_drawn():
    figure = plots.lag_figure({"a model": {"gradient": [0.1] * 30}}, None)
    [line] = figure.axes[0].get_lines()
    assert len(line.get_ydata()) == 30


@pytest.mark.parametrize("count", [1, 3, 6])
def test_nothing_in_the_lag_figure_lies_over_something_else(count):
    figure = plots.lag_figure({f"model {i}": {"gradient": [0.1] * 30} for i in range(count)}, 5)
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()
    boxes = [axes.get_tightbbox(renderer) for axes in figure.axes if axes.axison]
    boxes += [text.get_window_extent(renderer) for text in (figure._suptitle, figure._supxlabel)]
    for place, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:place])
