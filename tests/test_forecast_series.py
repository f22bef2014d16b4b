"""The forecasting lab's series, windows, losses, baselines and measures, each against its definition."""

import hashlib
import math

import pytest
import torch
from forecasting import build, close, lab, randn
from torch import nn

from shared.errors import UserError

series_module, measures, losses, baselines = lab.series, lab.measures, lab.losses, lab.baselines

TABLE = "date,load,wind,heat\n" + "".join(
    f"2024-01-{1 + hour // 24:02} {hour % 24:02}:00:00,{hour % 24 + 0.5},{hour * hour % 7},{hour}\n"
    for hour in range(96)
)


def write(tmp_path, text: str, name: str = "table.csv") -> str:
    (tmp_path / name).write_text(text, encoding="utf-8", newline="\n")
    return str(tmp_path / name)


# ------------------------------------------------------------------------------------------------------- flow-pressure


@pytest.mark.parametrize("lag", [0, 5, 60])
def test_pressure_is_the_rule_and_a_noise_of_the_variance_that_it_tells(lag):
    series = series_module.flow_pressure(lag)
    pressure, flow = (series.values * series.deviations + series.means).T
    dips = flow.roll(lag)
    dips[:lag] = 0
    noise = pressure + series_module.DIP * dips - series_module.PRESSURE
    assert abs(noise.mean()) < 4 * series_module.NOISE / math.sqrt(len(noise))
    scaled_variance = noise.var() / series.deviations[0] ** 2
    assert abs(scaled_variance / series.noise_variance - 1) < 4 * math.sqrt(2 / len(noise))
    # Not foretold by the noise before it, by the flow at any other time or by the dips.
    for other in (noise.roll(1), flow.roll(lag + 1), flow.roll(lag - 1), dips):
        assert abs(torch.corrcoef(torch.stack([noise, other]))[0, 1]) < 4 / math.sqrt(len(noise))


def test_flow_is_known_of_the_future_and_every_run_reads_the_same_series():
    series = series_module.flow_pressure(5)
    assert (series.columns, series.num_targets, series.num_known, series.lag) == (("pressure", "flow"), 1, 1, 5)
    assert torch.equal(series.values, series_module.flow_pressure(5).values)
    assert series.sha256 != series_module.flow_pressure(6).sha256


# ----------------------------------------------------------------------------------------------------------- CSV files


def test_a_tables_columns_stand_in_the_order_targets_past_only_known_future(tmp_path):
    series = series_module.load_series(write(tmp_path, TABLE), 5, ["heat"], ["wind"], ["load"])
    assert series.name == "table.csv" and series.columns == ("heat", "load", "wind")
    assert (series.num_targets, series.num_known) == (1, 1)
    heat = (series.values * series.deviations + series.means)[:, 0]
    close(heat, torch.arange(96.0), 1e-4)
    close(series.in_units(series.values[:, :1])[:, 0], torch.arange(96.0), 1e-4)


def test_only_the_training_part_says_what_is_scaled_by_what(tmp_path):
    changed = TABLE.replace(",95\n", ",9999\n").replace(",60\n", ",-9999\n")
    first, second = (
        series_module.load_series(write(tmp_path, text), 5, ["heat"], None, ["load"]) for text in (TABLE, changed)
    )
    assert torch.equal(first.means, second.means) and torch.equal(first.deviations, second.deviations)
    training = first.values[: first.ends[0]]
    close(training[:, :2].mean(0), torch.zeros(2), 1e-6)
    close(training[:, :2].std(0, correction=0), torch.ones(2), 1e-6)


def test_dates_become_places_on_the_circles_of_day_and_week(tmp_path):
    series = series_module.load_series(write(tmp_path, TABLE), 5, ["heat"], ["date"])
    assert series.num_known == 4
    values = (series.values * series.deviations + series.means).double()
    for hour in (0, 5, 30, 95):
        day = (hour // 24) % 7  # 2024 began on a Monday
        expected = [f(2 * math.pi * x) for x in (hour % 24 / 24, day / 7) for f in (math.sin, math.cos)]
        close(values[hour, 1:], torch.tensor(expected, dtype=torch.float64), 1e-5)


def test_where_nothing_is_known_of_the_future_the_decoder_reads_zeros(tmp_path):
    series = series_module.load_series(write(tmp_path, TABLE), 5, ["heat"])
    assert series.num_known == 1 and series.values[:, 1].count_nonzero() == 0


def test_etth1_is_known_by_its_hash_and_all_its_columns_are_targets(tmp_path, monkeypatch):
    header = "date," + ",".join(series_module.ETTH1_COLUMNS) + "\n"
    text = header + "".join(f"2016-07-01 00:00:00,{i},{i},1,1,1,1,{i}\n" for i in range(50))
    monkeypatch.setattr(series_module, "ETTH1_SHA256", hashlib.sha256(text.encode()).hexdigest())
    monkeypatch.setattr(series_module, "ETTH1_PARTS", (20, 30, 40))
    series = series_module.load_series(write(tmp_path, text, "copy.csv"))
    assert series.name == "etth1" and series.num_targets == 7 and series.num_known == 4 and series.ends == (20, 30, 40)
    one = series_module.load_series(write(tmp_path, text, "copy.csv"), 5, ["OT"], None, ["HUFL"])
    assert one.columns[:2] == ("OT", "HUFL") and one.num_targets == 1


MISTAKES = {
    "no such file": (None, dict(target=["heat"]), "cannot read"),
    "no target": (TABLE, {}, "--target, out of: date, load, wind, heat"),
    "no such column": (TABLE, dict(target=["haet"]), "no column 'haet'; did you mean 'heat'?"),
    "twice": (TABLE, dict(target=["heat"], past_only=["heat"]), "named twice"),
    "a word": (TABLE.replace(",7\n", ",much\n"), dict(target=["heat"]), "line 9: 'much' is not a number"),
    "a gap": (TABLE.replace(",7\n", ",\n"), dict(target=["heat"]), "line 9: '' is not a number"),
    "infinite": (TABLE.replace(",7\n", ",inf\n"), dict(target=["heat"]), "'inf' is not a number"),
    "a date as target": (TABLE, dict(target=["date"]), "'date', line 2: '2024-01-01 00:00:00' is not a number"),
    "a ragged line": (TABLE.replace(",7\n", "\n"), dict(target=["heat"]), "line 9: 3 cells, but 4 columns"),
    "empty": ("", dict(target=["heat"]), "has no rows"),
    "a header alone": ("a,b\n", dict(target=["a"]), "has no rows"),
    "two of a name": ("a,a\n1,2\n", dict(target=["a"]), "two columns named 'a'"),
    "semicolons": (TABLE.replace(",", ";"), dict(target=["heat"]), "no column 'heat'"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_a_table_is_told_in_one_line(mistake, tmp_path):
    text, columns, message = MISTAKES[mistake]
    path = str(tmp_path / "none.csv") if text is None else write(tmp_path, text)
    with pytest.raises(UserError) as error:
        series_module.load_series(path, 5, **columns)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_a_table_that_is_not_utf_8_is_told_in_one_line(tmp_path):
    (tmp_path / "table.csv").write_bytes("höhe\n1\n".encode("latin-1"))
    with pytest.raises(UserError, match="not UTF-8"):
        series_module.load_series(str(tmp_path / "table.csv"), 5, ["höhe"])


def test_a_byte_order_mark_and_blank_lines_do_no_harm(tmp_path):
    text = "\ufeff" + TABLE.replace("\n", "\n\n")
    series = series_module.load_series(write(tmp_path, text), 5, ["heat"])
    assert len(series.values) == 96


# ------------------------------------------------------------------------------------------------------------- windows


def counting(rows=50, ends=(30, 40, 50)):
    """A series whose row i holds i, 100 + i, 200 + i: target, past-only, known."""
    values = torch.arange(float(rows))[:, None] + torch.tensor([0.0, 100.0, 200.0])
    return series_module.Series("counting", "", ("a", "b", "c"), values, torch.zeros(3), torch.ones(3), 1, 1, ends)


def test_a_window_is_its_rows_in_order():
    batch = series_module.Windows(counting(), "training", 5, 3).batch(torch.tensor([0, 7]))
    for row, start in enumerate((5, 12)):
        assert batch.past[row, :, 0].tolist() == list(range(start - 5, start))
        assert batch.past[row, :, 2].tolist() == [200 + i for i in range(start - 5, start)]
        assert batch.future[row].tolist() == [[200 + i] for i in range(start, start + 3)]
        assert batch.targets[row].tolist() == [[i] for i in range(start, start + 3)]


@pytest.mark.parametrize("part, first, last", [("training", 5, 30), ("validation", 30, 40), ("test", 40, 50)])
def test_every_forecast_lies_in_its_part_and_every_possible_one_is_there(part, first, last):
    windows = series_module.Windows(counting(), part, 5, 3)
    targets = torch.cat([batch.targets for batch in windows.batches(4)])
    assert targets[:, 0, 0].tolist() == list(range(first, last - 2))
    assert targets.min() == first and targets.max() == last - 1 and len(windows) == len(targets)
    assert sum(len(batch.past) for batch in windows.batches(2, step=3)) == len(range(0, len(windows), 3))


def test_a_part_too_short_for_one_window_is_told():
    with pytest.raises(UserError, match="too few for one window"):
        series_module.Windows(counting(), "test", 5, 11)


def test_the_standard_protocol_of_etth1_has_so_many_windows():
    """The usual evaluation: rows 8,640 and 11,520 divide, and the test part gives 2,880 - H + 1 forecasts."""
    series = counting(17_420, series_module.ETTH1_PARTS)
    assert [len(series_module.Windows(series, "test", 96, horizon)) for horizon in (24, 96)] == [2857, 2785]


def test_a_series_on_another_scale_keeps_its_units():
    series = series_module.flow_pressure(5)
    moved = series.rescaled(torch.tensor([4.0, 1.0]), torch.tensor([0.5, 2.0]))
    close(moved.in_units(moved.values[:, :1]), series.in_units(series.values[:, :1]), 1e-5)
    close(moved.values[:, 1] * 2 + 1, series.values[:, 1] * series.deviations[1] + series.means[1], 1e-5)


# -------------------------------------------------------------------------------------------------------------- losses

LENGTHS = torch.tensor([2, 4, 1])


def garbled():
    """Targets and forecasts (3, 4, 2) with NaN in the padding."""
    real = torch.arange(4) < LENGTHS[:, None]
    target = randn(3, 4, 2).where(real[..., None], math.nan)
    return randn(3, 4, 2, seed=2).where(real[..., None], math.inf), target


@pytest.mark.parametrize("error, one", [("squared_error", lambda d: d * d), ("absolute_error", abs)])
def test_errors_are_summed_over_real_steps_only(error, one):
    prediction, target = garbled()
    total, count = getattr(losses, error)(prediction, target, LENGTHS)
    terms = [one((prediction - target)[b, t, o].item()) for b in range(3) for t in range(LENGTHS[b]) for o in range(2)]
    assert count == len(terms) == 14 and abs(total.item() - sum(terms)) < 1e-12
    everything, count = getattr(losses, error)(torch.ones(3, 4, 2), torch.zeros(3, 4, 2))
    assert everything == 24 and count == 24


def test_quantile_losses_are_summed_over_real_steps_only():
    quantiles = (0.1, 0.5, 0.8)
    _, target = garbled()
    real = (torch.arange(4) < LENGTHS[:, None])[..., None, None]
    prediction = randn(3, 4, 2, 3, seed=3).where(real, math.nan)
    total, count = losses.quantile_error(prediction, target, quantiles, LENGTHS)
    expected = 0.0
    for b in range(3):
        for t in range(LENGTHS[b]):
            for o in range(2):
                for number, q in enumerate(quantiles):
                    missing = (target[b, t, o] - prediction[b, t, o, number]).item()
                    expected += (q * missing if missing > 0 else (q - 1) * missing) / len(quantiles)
    assert count == 14 and abs(total.item() - expected) < 1e-12


@pytest.mark.parametrize("error", ["squared_error", "quantile_error"])
def test_the_gradient_ignores_what_stands_in_the_padding(error):
    _, target = garbled()
    wide = (3, 4, 2, 3) if error == "quantile_error" else (3, 4, 2)
    prediction = randn(*wide, seed=4).requires_grad_()
    more = ((0.1, 0.5, 0.9),) if error == "quantile_error" else ()
    total, _ = getattr(losses, error)(prediction, target, *more, LENGTHS)
    total.backward()
    real = (torch.arange(4) < LENGTHS[:, None]).reshape(3, 4, *[1] * (len(wide) - 2)).expand(wide)
    assert prediction.grad[real].isfinite().all() and (prediction.grad[real] != 0).all()
    assert prediction.grad[~real].count_nonzero() == 0


def test_a_loss_that_multiplies_by_the_mask_would_be_found_out():
    prediction, target = garbled()
    real = (torch.arange(4) < LENGTHS[:, None])[..., None]
    assert ((prediction - target) ** 2 * real).sum().isnan()


@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.9])
def test_the_quantile_loss_is_least_at_the_quantile(quantile):
    outcomes = randn(1, 2001, 1, seed=5)
    candidates = torch.linspace(-3, 3, 601, dtype=torch.float64)
    costs = [losses.quantile_error(c.expand(1, 2001, 1, 1), outcomes, (quantile,))[0].item() for c in candidates]
    best = candidates[min(range(601), key=costs.__getitem__)]
    assert abs(best - outcomes.quantile(quantile)) < 0.02


# ----------------------------------------------------------------------------------------------------------- baselines


def test_the_linear_baseline_finds_a_linear_rule_and_the_rule_itself_leaves_only_noise():
    series = series_module.flow_pressure(3, rows=16_000)
    settings = dict(past_length=40, horizon=4)
    windows = series_module.Windows(series, "test", 40, 4)
    rows = {row: baselines.errors(forecast, windows)["MSE"] / series.noise_variance
            for row, forecast in baselines.baselines(series, settings).items()}  # fmt: skip
    spread = 4 * math.sqrt(2 / 3200)
    assert abs(rows["the rule itself"] - 1) < spread and abs(rows["linear"] - 1) < spread + 0.1
    variance = 1 / series.noise_variance
    assert abs(rows["mean"] / variance - 1) < 0.2 and abs(rows["last value"] / (2 * variance) - 1) < 0.2


def test_the_linear_baseline_is_ridge_regression():
    series = series_module.flow_pressure(3, rows=1000)
    parts = [series_module.Windows(series, part, 6, 2) for part in ("training", "validation", "test")]
    linear = baselines.LinearForecast(*parts[:2])

    def table(windows):
        batch = next(windows.batches(len(windows)))
        past, future = batch.past.double(), batch.future.double()
        change = batch.targets[..., 0].double() - past[:, -1:, 0]
        ones = torch.ones(len(past), 1, dtype=torch.float64)
        return torch.cat([past[:, :-1, 0] - past[:, -1:, 0], past[..., 1], future[..., 0], ones], 1), change

    (x, y), (held_x, held_y), (test_x, _) = map(table, parts)
    fits = []
    for ridge in baselines.RIDGES:  # a penalty is as many more rows, which ask for weights of zero
        strength = math.sqrt(ridge * len(x))
        rows = torch.cat([x, strength * torch.eye(x.size(1), dtype=torch.float64)])
        weights = torch.linalg.lstsq(rows, torch.cat([y, torch.zeros(x.size(1), 2, dtype=torch.float64)])).solution
        fits.append((((held_y - held_x @ weights) ** 2).sum().item(), weights))
    batch = next(parts[2].batches(len(parts[2])))
    expected = test_x @ min(fits, key=lambda fit: fit[0])[1] + batch.past[:, -1:, 0]
    close(linear(*batch.inputs)[..., 0].double(), expected, 1e-5)


# ------------------------------------------------------------------------------------------------------------ measures


class Lagged(nn.Module):
    """Forecasts what the known column was `lag` steps before, and says that it looked there."""

    num_quantiles = 0

    def __init__(self, lag):
        super().__init__()
        self.lag = lag

    def forward(self, past, future, return_attention=False):
        whole = torch.cat([past[..., -1], future[..., 0]], 1)
        steps = torch.arange(past.size(1), whole.size(1)) - self.lag
        weights = torch.zeros(len(past), 2, future.size(1), whole.size(1))
        weights[:, :, range(len(steps)), steps] = 1.0
        prediction = 3 * whole[:, steps, None]
        return (prediction, weights) if return_attention else prediction


@pytest.mark.parametrize("lag", [0, 2, 6])
def test_all_three_measures_find_the_lag_of_a_model_that_is_one(lag):
    windows = series_module.Windows(series_module.flow_pressure(2, rows=500), "test", 6, 9)
    shares = measures.profiles(Lagged(lag), windows, "cpu")
    assert set(shares) == {"weight", "gradient", "occlusion"}
    for profile in shares.values():
        assert profile.shape == (7,)
        close(profile, torch.eye(7)[lag], 1e-6)


def test_by_lag_is_the_mean_along_diagonals():
    matrix = randn(2, 3, 7)
    found = measures.by_lag(matrix, num_past=4)
    for lag in range(5):
        terms = [matrix[b, t, 4 + t - lag].item() for b in range(2) for t in range(3)]
        assert abs(found[lag].item() - sum(terms) / len(terms)) < 1e-12


def small_batch(model):
    past, future = randn(2, 6, model.past_size), randn(2, 3, model.future_size, seed=2)
    return series_module.Batch(past, future, torch.zeros(2, 3, model.num_targets))


def test_the_gradient_is_what_a_small_change_of_an_input_does():
    model = build("attention")
    batch = small_batch(model)
    found = measures.gradient(model, batch)
    step = 1e-6
    for where, sequence, offset in (("past", batch.past, 0), ("future", batch.future, 6)):
        for s in range(sequence.size(1)):
            squares = torch.zeros(2, 3, dtype=torch.float64)
            for column in range(sequence.size(2)):
                up, down = sequence.clone(), sequence.clone()
                up[:, s, column] += step
                down[:, s, column] -= step
                inputs = [(up, batch.future), (down, batch.future)]
                if where == "future":
                    inputs = [(batch.past, up), (batch.past, down)]
                high, low = (model(*pair).sum(-1) for pair in inputs)  # (B, Tf)
                squares += ((high - low) / (2 * step)) ** 2
            close(found[:, :, offset + s], squares.sqrt(), 1e-6)


def test_occlusion_is_what_a_missing_step_does():
    model = build("query")
    batch = small_batch(model)
    found = measures.occlusion(model, batch)
    before = model(*batch.inputs)
    for step in (0, 5):
        past = batch.past.clone()
        past[:, step] = 0
        close(found[:, :, step], (model(past, batch.future) - before).abs().mean(-1))
    future = batch.future.clone()
    future[:, 1] = 0
    close(found[:, :, 7], (model(batch.past, future) - before).abs().mean(-1))


def test_a_model_that_answers_the_same_to_everything_has_shares_of_zero():
    windows = series_module.Windows(series_module.flow_pressure(2, rows=500), "test", 6, 9)
    constant = lab.model.QueryAttention(2, 1, 1)
    with torch.no_grad():
        constant.head.weight.zero_()
    shares = measures.profiles(constant, windows, "cpu")
    assert shares["gradient"].count_nonzero() == 0 and shares["occlusion"].count_nonzero() == 0


def test_scores_are_means_over_every_window_and_the_share_between_the_outermost_quantiles():
    series = series_module.flow_pressure(2, rows=600)
    windows = series_module.Windows(series, "test", 6, 9)
    model = lab.model.QueryAttention(2, 1, 1, num_quantiles=3).eval()
    with torch.no_grad():
        model.head.bias.copy_(torch.tensor([-0.5, 0.1, 0.5]))
    found = lab.scores.forecast_errors(model, windows, [0.1, 0.5, 0.9], "cpu")
    batch = windows.batch(torch.arange(len(windows)))
    with torch.no_grad():
        low, middle, high = model(*batch.inputs).unbind(-1)
    assert abs(found["MSE"] - ((middle - batch.targets) ** 2).mean().item()) < 1e-5
    assert abs(found["MAE"] - (middle - batch.targets).abs().mean().item()) < 1e-5
    inside = ((low <= batch.targets) & (batch.targets <= high)).float().mean().item()
    assert 0 < inside < 1 and abs(found["inside 0.1 to 0.9"] - inside) < 1e-6
