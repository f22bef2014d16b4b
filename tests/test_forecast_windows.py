"""How the forecasting lab cuts windows, and that whoever gets padded ones forecasts as if nothing had been padded."""

from dataclasses import replace

import pytest
import torch
from forecasting import OPTIONS, build, close, lab

from shared.errors import UserError

series_module, windows_module = lab.series, lab.windows
Span, Windows = series_module.Span, windows_module.Windows


def counting(*sizes: int, ends: tuple[int, int, int] | None = None):
    """Tables of so many rows; row i of all holds i, 100 + i, 200 + i: target, past-only, known."""
    values = torch.arange(float(sum(sizes)))[:, None] + torch.tensor([0.0, 100.0, 200.0])
    spans = (Span("one", 0, ends),) if ends else series_module.spans_of([f"table {size}" for size in sizes], sizes)
    return series_module.Series("counting", "", ("a", "b", "c"), values, torch.zeros(3), torch.ones(3), 1, 1, spans)


# ------------------------------------------------------------------------------------------------------- whole windows


def test_a_window_is_its_rows_in_order():
    batch = Windows(counting(50), "training", 5, 3).batch(torch.tensor([0, 7]))
    for row, start in enumerate((5, 12)):
        assert batch.past[row, :, 0].tolist() == list(range(start - 5, start))
        assert batch.past[row, :, 2].tolist() == [200 + i for i in range(start - 5, start)]
        assert batch.future[row].tolist() == [[200 + i] for i in range(start, start + 3)]
        assert batch.targets[row].tolist() == [[i] for i in range(start, start + 3)]
    assert batch.lengths == {}, "a model is told of no padding where there is none"


@pytest.mark.parametrize("part, first, last", [("training", 5, 30), ("validation", 30, 40), ("test", 40, 50)])
def test_every_forecast_lies_in_its_part_and_every_possible_one_is_there(part, first, last):
    windows = Windows(counting(50), part, 5, 3)
    targets = torch.cat([batch.targets for batch in windows.batches(4)])
    assert targets[:, 0, 0].tolist() == list(range(first, last - 2))
    assert targets.min() == first and targets.max() == last - 1 and len(windows) == len(targets)
    assert sum(len(batch.past) for batch in windows.batches(2, step=3)) == len(range(0, len(windows), 3))


def test_whole_windows_are_cut_from_each_table_by_itself():
    windows = Windows(counting(20, 5, 30), "training", 5, 3)
    first = [batch.targets[0, 0, 0].item() for batch in windows.batches(1)]
    assert first == [
        *range(5, 10),
        *range(30, 41),
    ]  # training ends at rows 12, 23 and 43; the middle table is too short


def test_a_part_too_short_for_one_window_is_told():
    with pytest.raises(UserError, match="too few rows for one window.*--pad"):
        Windows(counting(50), "test", 5, 11)
    with pytest.raises(UserError, match="too few rows for one window") as error:
        Windows(counting(1, 1), "test", 5, 11, pad=True)
    assert "--pad" not in str(error.value)


def test_the_standard_protocol_of_etth1_has_so_many_windows():
    """The usual evaluation: rows 8,640 and 11,520 divide, and the test part gives 2,880 - H + 1 forecasts."""
    series = counting(17_420, ends=series_module.ETTH1_PARTS)
    assert [len(Windows(series, "test", 96, horizon)) for horizon in (24, 96)] == [2857, 2785]


def test_a_series_on_another_scale_keeps_its_units():
    series = series_module.flow_pressure(5)
    moved = series.rescaled(torch.tensor([4.0, 1.0]), torch.tensor([0.5, 2.0]))
    close(moved.in_units(moved.values[:, :1]), series.in_units(series.values[:, :1]), 1e-5)
    close(moved.values[:, 1] * 2 + 1, series.values[:, 1] * series.deviations[1] + series.means[1], 1e-5)


# ------------------------------------------------------------------------------------------------------ padded windows


@pytest.mark.parametrize("part", series_module.PARTS)
def test_padded_windows_begin_at_every_row_of_a_part_but_a_tables_first_and_stay_in_their_table(part):
    series = counting(20, 5, 30)
    windows = Windows(series, part, 6, 4, pad=True)
    seen = []
    for number in range(len(windows)):
        batch = windows.batch(torch.tensor([number]))
        past, targets = batch.past[0, :, 0].tolist(), batch.targets[0, :, 0].tolist()
        [span] = [span for span in series.spans if span.begin <= targets[0] < span.ends[-1]]
        first, last = span.part(part)
        assert targets == list(range(int(targets[0]), min(int(targets[0]) + 4, last)))
        assert past == list(range(max(span.begin, int(targets[0]) - 6), int(targets[0])))
        assert windows.table(number) == span.name
        seen.append(targets[0])
    rows = [range(max(span.begin + 1, span.part(part)[0]), span.part(part)[1]) for span in series.spans]
    assert seen == [row for part_rows in rows for row in part_rows]


def test_a_batch_is_as_long_as_its_longest_window_with_zeros_behind_the_others():
    windows = Windows(counting(20), "training", 6, 4, pad=True)
    batch = windows.batch(torch.tensor([2, 10, 0]))  # the first rows to be forecast are 3, 11 and 1
    assert batch.lengths["past_lengths"].tolist() == [3, 6, 1]
    assert batch.lengths["future_lengths"].tolist() == [4, 1, 4]
    assert batch.past[:, :, 0].tolist() == [[0, 1, 2, 0, 0, 0], [5, 6, 7, 8, 9, 10], [0, 0, 0, 0, 0, 0]]
    assert batch.past[:, :, 2].tolist() == [[200, 201, 202, 0, 0, 0], [*range(205, 211)], [200, 0, 0, 0, 0, 0]]
    assert batch.targets[..., 0].tolist() == [[3, 4, 5, 6], [11, 0, 0, 0], [1, 2, 3, 4]]
    assert windows.batch(torch.tensor([0, 2])).past.shape[1] == 3


# ----------------------------------------------------------------------------------------- what models make of padding


def short_tables(model):
    """Padded windows of random tables, 3 to 12 rows long, and some of them as one batch."""
    sizes = [12, 3, 7, 9, 4]
    generator = torch.Generator().manual_seed(3)
    values = torch.randn(sum(sizes), model.past_size, generator=generator, dtype=torch.float64)
    scale = torch.zeros(model.past_size), torch.ones(model.past_size)
    spans = series_module.spans_of(["a"] * 5, sizes)
    series = series_module.Series("short", "", (), values, *scale, model.num_targets, model.future_size, spans)
    windows = Windows(series, "training", 6, 3, pad=True)
    return windows, torch.arange(len(windows) - 1, -1, -1)


def agrees_with_each_window_alone(model, told=lambda batch: batch.lengths) -> bool:
    """Whether a batch's forecasts are those that each window gets alone, without padding and without lengths."""
    windows, which = short_tables(model)
    batch = windows.batch(which)
    together = model(*batch.inputs, **told(batch))
    for row, number in enumerate(which):
        alone = windows.batch(number[None])
        assert alone.lengths == {}
        expected = model(*alone.inputs)[0]
        if not torch.allclose(together[row, : len(expected)], expected, rtol=0, atol=1e-11):
            return False
    return True


every_model = pytest.mark.parametrize("name", OPTIONS)


@every_model
def test_windows_of_unequal_length_are_forecast_as_each_is_alone(name):
    assert agrees_with_each_window_alone(build(name))


def told_nothing(batch):
    return {}


def told_one_step_too_many(batch):
    longer = (batch.past_lengths + 1).clamp(max=batch.past.size(1))
    return {"past_lengths": longer, "future_lengths": batch.future_lengths}


def told_of_each_others_lengths(batch):
    return {"past_lengths": batch.past_lengths.roll(1), "future_lengths": batch.future_lengths}


@every_model
@pytest.mark.parametrize("told", [told_nothing, told_one_step_too_many, told_of_each_others_lengths])
def test_a_wrong_length_is_seen(name, told):
    assert not agrees_with_each_window_alone(build(name), told)


def loss_of_each(windows, which, model) -> tuple[float, int]:
    """Squared errors of windows that are forecast alone, and how many there are."""
    alone = [windows.batch(number[None]) for number in which]
    return (
        sum(((model(*batch.inputs) - batch.targets) ** 2).sum().item() for batch in alone),
        sum(batch.targets.numel() for batch in alone),
    )


@pytest.fixture
def learning():
    """A forecaster, windows of short tables and what the loop is told to do with them."""
    model = build("attention")
    windows, which = short_tables(model)
    settings = dict(quantiles=None, seed=1, batch_size=8, precision="float32", horizon=3)
    return model, windows, which, lab.train.learning(model, windows, windows, settings, torch.device("cpu"))


def test_a_training_step_sums_the_errors_that_each_window_has_alone(learning):
    model, windows, which, task = learning
    total, count, _ = task.step(windows.batch(which), None)
    expected, terms = loss_of_each(windows, which, model)
    assert count == terms and abs(total.item() - expected) < 1e-4  # the loop's loss is float32


def test_evaluation_averages_the_errors_that_each_window_has_alone(learning):
    model, windows, _, task = learning
    expected, terms = loss_of_each(windows, torch.arange(0, len(windows), 3), model)
    assert abs(task.evaluate() - expected / terms) < 1e-9


@pytest.mark.parametrize("lost", ["past_lengths", "future_lengths"])
def test_a_training_that_does_not_tell_the_lengths_would_be_found_out(learning, lost, monkeypatch):
    model, windows, which, task = learning
    batch = windows.batch(which)
    full = {"past_lengths": batch.past.size(1), "future_lengths": batch.future.size(1)}[lost]
    total, _, _ = task.step(replace(batch, **{lost: torch.full_like(batch.past_lengths, full)}), None)
    assert abs(total.item() - loss_of_each(windows, which, model)[0]) > 0.1


def test_scores_are_means_over_real_steps_alone():
    model = build("query-quantiles")
    windows, which = short_tables(model)
    found = lab.scores.forecast_errors(model, windows, [0.1, 0.5, 0.9], "cpu")
    alone = [windows.batch(number[None]) for number in which]
    with torch.no_grad():
        pairs = [(model(*batch.inputs), batch.targets) for batch in alone]
    misses = torch.cat([(prediction[..., 1] - targets).flatten() for prediction, targets in pairs])
    inside = torch.cat(
        [((low <= targets) & (targets <= high)).flatten() for (low, _, high), targets in
         ((prediction.unbind(-1), targets) for prediction, targets in pairs)]
    )  # fmt: skip
    expected = {"MSE": (misses**2).mean(), "MAE": misses.abs().mean(), "inside 0.1 to 0.9": inside.double().mean()}
    assert {name: abs(found[name] - value.item()) < 1e-9 for name, value in expected.items()} == dict.fromkeys(
        expected, True
    )
