"""The forecasting lab's series, losses, baselines and measures, each against its definition."""

import hashlib
import math

import pytest
import torch
from forecasting import build, close, lab, randn
from torch import nn

from shared.errors import UserError

series_module, windows_module = lab.series, lab.windows
measures, losses, baselines = lab.measures, lab.losses, lab.baselines

TABLE = "date,load,wind,heat\n" + "".join(
    f"2024-01-{1 + hour // 24:02} {hour % 24:02}:00:00,{hour % 24 + 0.5},{hour * hour % 7},{hour}\n"
    for hour in range(96)
)


def write(tmp_path, text: str, name: str = "table.csv") -> str:
    (tmp_path / name).write_text(text, encoding="utf-8", newline="\n")
    return str(tmp_path / name)


def load(path: str, target=None, past_only=None, known_future=None):
    """The series of a table, or of a folder of them."""
    return series_module.load_series(path, target=target, past_only=past_only, known_future=known_future)


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


@pytest.mark.parametrize("lag", [3, 30])
def test_many_short_series_keep_the_rule_from_their_first_row_on(lag):
    series = series_module.flow_pressure(lag, lengths=(24, 72))
    sizes = [span.ends[-1] - span.begin for span in series.spans]
    assert min(sizes) == 24 and max(sizes) == 72 and sum(sizes) == len(series.values) > 29_900
    pressure, flow = (series.values * series.deviations + series.means).T
    noise = []
    for span, size in zip(series.spans, sizes):
        rows = slice(span.begin, span.begin + size)
        dips = torch.cat([torch.zeros(lag), flow[rows]])[:size]
        noise.append(pressure[rows] + series_module.DIP * dips - series_module.PRESSURE)
    noise = torch.cat(noise)
    assert abs(noise.mean()) < 4 * series_module.NOISE / math.sqrt(len(noise))
    scaled_variance = noise.var() / series.deviations[0] ** 2
    assert abs(scaled_variance / series.noise_variance - 1) < 4 * math.sqrt(2 / len(noise))


# ----------------------------------------------------------------------------------------------------------- CSV files


def test_a_tables_columns_stand_in_the_order_targets_past_only_known_future(tmp_path):
    series = load(write(tmp_path, TABLE), ["heat"], ["load"], ["wind"])
    assert series.name == "table.csv" and series.columns == ("heat", "load", "wind")
    assert (series.num_targets, series.num_known) == (1, 1)
    heat = (series.values * series.deviations + series.means)[:, 0]
    close(heat, torch.arange(96.0).double(), 1e-4)
    close(series.in_units(series.values[:, :1])[:, 0], torch.arange(96.0).double(), 1e-4)


def test_only_the_training_part_says_what_is_scaled_by_what(tmp_path):
    changed = TABLE.replace(",95\n", ",9999\n").replace(",60\n", ",-9999\n")
    first, second = (load(write(tmp_path, text), ["heat"], ["load"]) for text in (TABLE, changed))
    assert torch.equal(first.means, second.means) and torch.equal(first.deviations, second.deviations)
    training = first.values[slice(*first.spans[0].part("training"))]
    close(training[:, :2].mean(0), torch.zeros(2), 1e-6)
    close(training[:, :2].std(0, correction=0), torch.ones(2), 1e-6)


def test_dates_become_places_on_the_circles_of_day_and_week(tmp_path):
    series = load(write(tmp_path, TABLE), ["heat"], None, ["date"])
    assert series.num_known == 4
    values = (series.values * series.deviations + series.means).double()
    for hour in (0, 5, 30, 95):
        day = (hour // 24) % 7  # 2024 began on a Monday
        expected = [f(2 * math.pi * x) for x in (hour % 24 / 24, day / 7) for f in (math.sin, math.cos)]
        close(values[hour, 1:], torch.tensor(expected, dtype=torch.float64), 1e-5)


def test_where_nothing_is_known_of_the_future_the_decoder_reads_zeros(tmp_path):
    series = load(write(tmp_path, TABLE), ["heat"])
    assert series.num_known == 1 and series.values[:, 1].count_nonzero() == 0


def test_etth1_is_known_by_its_hash_and_all_its_columns_are_targets(tmp_path, monkeypatch):
    header = "date," + ",".join(series_module.ETTH1_COLUMNS) + "\n"
    text = header + "".join(f"2016-07-{1 + i // 24:02} {i % 24:02}:00:00,{i},{i},1,1,1,1,{i}\n" for i in range(50))
    monkeypatch.setattr(series_module, "ETTH1_SHA256", hashlib.sha256(text.encode()).hexdigest())
    monkeypatch.setattr(series_module, "ETTH1_PARTS", (20, 30, 40))
    series = load(write(tmp_path, text, "copy.csv"))
    assert series.name == "etth1" and series.num_targets == 7 and series.num_known == 4
    assert [span.ends for span in series.spans] == [(20, 30, 40)]
    one = load(write(tmp_path, text, "copy.csv"), ["OT"], ["HUFL"])
    assert one.columns[:2] == ("OT", "HUFL") and one.num_targets == 1


MISTAKES = {
    "no such file": (None, dict(target=["heat"]), "no file"),
    "no target": (TABLE, {}, "--target, out of: date, load, wind, heat"),
    "no such column": (TABLE, dict(target=["haet"]), "no column 'haet'; did you mean 'heat'?"),
    "twice": (TABLE, dict(target=["heat"], past_only=["heat"]), "named twice"),
    "a word": (TABLE.replace(",7\n", ",much\n"), dict(target=["heat"]), "line 9: 'much' is not a number"),
    "an empty cell": (TABLE.replace(",7\n", ",\n"), dict(target=["heat"]), "line 9: '' is a missing value"),
    "infinite": (TABLE.replace(",7\n", ",inf\n"), dict(target=["heat"]), "'inf' is not a number"),
    "a date as target": (TABLE, dict(target=["date"]), "'date', line 2: '2024-01-01 00:00:00' is not a number"),
    "a ragged line": (TABLE.replace(",7\n", "\n"), dict(target=["heat"]), "line 9: 3 cells, but 4 columns"),
    "empty": ("", dict(target=["heat"]), "has no rows"),
    "a header alone": ("a,b\n", dict(target=["a"]), "has no rows"),
    "two of a name": ("a,a\n1,2\n", dict(target=["a"]), "two columns named 'a'"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_a_table_is_told_in_one_line(mistake, tmp_path):
    text, columns, message = MISTAKES[mistake]
    path = str(tmp_path / "none.csv") if text is None else write(tmp_path, text)
    with pytest.raises(UserError) as error:
        load(path, **columns)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_a_table_that_is_not_utf_8_is_told_in_one_line(tmp_path):
    (tmp_path / "table.csv").write_bytes("höhe\n1\n".encode("latin-1"))
    with pytest.raises(UserError, match="not UTF-8"):
        load(str(tmp_path / "table.csv"), ["höhe"])


def test_a_byte_order_mark_and_blank_lines_do_no_harm(tmp_path):
    text = "\ufeff" + TABLE.replace("\n", "\n\n")
    series = load(write(tmp_path, text), ["heat"])
    assert len(series.values) == 96


def test_a_folder_of_tables_is_a_series_each_in_the_order_of_their_names(tmp_path):
    lines = TABLE.splitlines(keepends=True)
    write(tmp_path, "".join(lines[:11]), "b.csv")
    write(tmp_path, "".join([lines[0], *lines[21:51]]), "a.csv")
    write(tmp_path, "not a table", "notes.txt")
    series = load(str(tmp_path), ["heat"], ["load"], ["date"])
    assert (series.name, len(series.values)) == (tmp_path.name, 40)
    assert [tuple(span) for span in series.spans] == [("a.csv", 0, (18, 24, 30)), ("b.csv", 30, (36, 38, 40))]
    close(
        series.in_units(series.values[:, :1])[:, 0],
        torch.cat([torch.arange(20.0, 50), torch.arange(10.0)]).double(),
        1e-4,
    )
    training = torch.cat([series.values[:18, :2], series.values[30:36, :2]])  # of both, and of nothing else
    close(training.mean(0), torch.zeros(2), 1e-6)
    close(training.std(0, correction=0), torch.ones(2), 1e-6)


def test_a_folder_without_tables_or_with_tables_of_unlike_columns_is_told_in_one_line(tmp_path):
    with pytest.raises(UserError, match="no file in .* whose name ends in .csv"):
        load(str(tmp_path), ["heat"])
    write(tmp_path, TABLE, "a.csv")
    write(tmp_path, TABLE.replace("date", "day"), "b.csv")
    with pytest.raises(UserError, match="b.csv has no column 'date'"):
        load(str(tmp_path), ["heat"], None, ["date"])
    write(tmp_path, TABLE.replace("date", "when"), "a.csv")
    write(tmp_path, "when,heat\n1,1\n2,2\n", "b.csv")
    with pytest.raises(UserError, match="b.csv gives heat, when, but a.csv heat, when hour sin"):
        load(str(tmp_path), ["heat"], None, ["when"])


def test_what_a_folder_holds_has_a_hash_that_any_change_of_a_file_changes(tmp_path):
    write(tmp_path, TABLE, "a.csv")
    write(tmp_path, TABLE, "b.csv")
    before = load(str(tmp_path), ["heat"]).sha256
    assert load(str(tmp_path), ["heat"]).sha256 == before != load(str(tmp_path / "a.csv"), ["heat"]).sha256
    write(tmp_path, TABLE.replace(",95\n", ",96\n"), "b.csv")
    assert load(str(tmp_path), ["heat"]).sha256 != before


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
    settings = dict(past_length=40, horizon=4, pad=False)
    windows = windows_module.windows_of(series, "test", settings)
    rows = {row: baselines.errors(forecast, windows)["MSE"] / series.noise_variance
            for row, forecast in baselines.baselines(series, settings).items()}  # fmt: skip
    spread = 4 * math.sqrt(2 / 3200)
    assert abs(rows["the rule itself"] - 1) < spread and abs(rows["linear"] - 1) < spread + 0.1
    variance = 1 / series.noise_variance
    assert abs(rows["mean"] / variance - 1) < 0.2 and abs(rows["last value"] / (2 * variance) - 1) < 0.2


def test_with_short_series_the_rule_itself_leaves_only_noise_and_the_last_value_is_the_last_real_one():
    series = series_module.flow_pressure(5, lengths=(10, 40))
    settings = dict(past_length=40, horizon=20, pad=True)
    rows = baselines.baselines(series, settings)
    assert "linear" not in rows, "its windows would have to be of one length"
    windows = windows_module.windows_of(series, "training", settings)  # the beginnings of all series are there
    found = baselines.errors(rows["the rule itself"], windows)["MSE"] / series.noise_variance
    assert abs(found - 1) < 4 * math.sqrt(2 / 18_000)
    batch = windows.batch(torch.arange(0, len(windows), 97))
    for row, length in enumerate(batch.past_lengths):
        assert (rows["last value"](batch)[row] == batch.past[row, length - 1, 0]).all()


def test_the_linear_baseline_is_ridge_regression():
    series = series_module.flow_pressure(3, rows=1000)
    parts = [windows_module.Windows(series, part, 6, 2) for part in ("training", "validation", "test")]
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
    close(linear(batch)[..., 0].double(), expected, 1e-5)


# ------------------------------------------------------------------------------------------------------------ measures


class Lagged(nn.Module):
    """Forecasts what the known column was `lag` steps before, and says that it looked there."""

    num_quantiles = 0

    def __init__(self, lag):
        super().__init__()
        self.lag = lag

    def forward(self, past, future, past_lengths=None, future_lengths=None, return_attention=False):
        whole = torch.cat([past[..., -1], future[..., 0]], 1)
        weights = torch.zeros(len(past), 2, future.size(1), whole.size(1))
        prediction = torch.zeros(len(past), future.size(1), 1)
        for row in range(len(past)):
            num_past = past.size(1) if past_lengths is None else int(past_lengths[row])
            real = [*range(num_past), *range(past.size(1), whole.size(1))]
            for step in range(future.size(1)):
                source = real[max(0, num_past + step - self.lag)]
                weights[row, :, step, source] = 1.0
                prediction[row, step, 0] = 3 * whole[row, source]
        return (prediction, weights) if return_attention else prediction


@pytest.mark.parametrize("pad", [False, True], ids=["whole windows", "padded windows"])
@pytest.mark.parametrize("lag", [0, 2, 6])
def test_all_three_measures_find_the_lag_of_a_model_that_is_one(lag, pad):
    series = series_module.flow_pressure(2, rows=500, lengths=(40, 60) if pad else None)  # tests of 8 rows and more
    windows = windows_module.Windows(series, "test", 6, 9, pad)
    shares = measures.profiles(Lagged(lag), windows, "cpu")
    assert set(shares) == {"weight", "gradient", "occlusion"}
    for profile in shares.values():
        assert profile.shape == (7,)
        close(profile, torch.eye(7)[lag], 1e-6)


@pytest.mark.parametrize("past_lengths, future_lengths", [([4, 4], [3, 3]), ([2, 4], [3, 1])])
def test_by_lag_is_the_mean_along_diagonals_over_real_steps(past_lengths, future_lengths):
    matrix = randn(2, 3, 7)
    lengths = torch.tensor(past_lengths), torch.tensor(future_lengths)
    batch = windows_module.Batch(randn(2, 4, 2), randn(2, 3, 1), randn(2, 3, 1), *lengths)
    found = measures.by_lag(matrix, batch, longest=5)
    for lag in range(6):
        terms = []
        for b in range(2):
            real = [*range(past_lengths[b]), 4, 5, 6]  # columns of the real past, then of the future
            for t in range(future_lengths[b]):
                place = past_lengths[b] + t - lag
                terms.append(matrix[b, t, real[place]].item() if place >= 0 else 0.0)
        assert abs(found[lag].item() - sum(terms) / len(terms)) < 1e-12


def small_batch(model):
    past, future = randn(2, 6, model.past_size), randn(2, 3, model.future_size, seed=2)
    lengths = torch.tensor([6, 6]), torch.tensor([3, 3])
    return windows_module.Batch(past, future, torch.zeros(2, 3, model.num_targets), *lengths)


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
    windows = windows_module.Windows(series_module.flow_pressure(2, rows=500), "test", 6, 9)
    constant = lab.model.QueryAttention(2, 1, 1)
    with torch.no_grad():
        constant.head.weight.zero_()
    shares = measures.profiles(constant, windows, "cpu")
    assert shares["gradient"].count_nonzero() == 0 and shares["occlusion"].count_nonzero() == 0


def test_scores_are_means_over_every_window_and_the_share_between_the_outermost_quantiles():
    series = series_module.flow_pressure(2, rows=600)
    windows = windows_module.Windows(series, "test", 6, 9)
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
