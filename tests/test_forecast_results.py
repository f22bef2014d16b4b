"""What the forecasting chapter claims, checked against the runs that are kept beside it."""

import re

import pytest
from forecasting import FOLDER, lab

from shared.results.labs import load_lab_results

pytestmark = pytest.mark.claims

RESULTS = load_lab_results(FOLDER)
LAGS = (5, 20, 60)
FREE = {"seed", "device", "eval_interval", "data"}  # of these a claim does not speak


def scores(table: str, row: str) -> list[dict]:
    """The scores of one row, a dict a seed."""
    return [result["scores"] for result in RESULTS if (result["table"], result["row"]) == (table, row)]


def errors(table: str, row: str, score: str = "MSE / noise") -> list[float]:
    return [found[score] for found in scores(table, row)]


def trained() -> list[dict]:
    return [result for result in RESULTS if "settings" in result]


def test_every_trained_row_has_three_seeds_of_the_same_settings():
    rows = {}
    for result in trained():
        rows.setdefault((result["table"], result["row"]), []).append(result["settings"])
    for runs in rows.values():
        assert sorted(settings["seed"] for settings in runs) == [1, 2, 3]
        assert all(settings | {"seed": 1} == runs[0] | {"seed": 1} for settings in runs)


@pytest.mark.parametrize("result", trained(), ids=lambda result: f"{result['table']}-{result['row']}")
def test_every_kept_run_is_what_its_command_gives_today(result, monkeypatch):
    monkeypatch.setattr("sys.argv", result["command"].split()[1:])
    flags = {name: value for name, value in vars(lab.train.parse_flags()).items() if value is not None}
    settings = lab.train.defaults_for(flags.get("data")) | flags
    settings["pad"] = settings["lengths"] is not None  # what training settles where the flag is not given
    settings = {name: settings[name] for name in result["settings"].keys() - FREE}
    assert settings == {name: value for name, value in result["settings"].items() if name not in FREE}
    assert re.search(r"--seed (\d)", result["command"])[1] == str(result["settings"]["seed"])


@pytest.mark.parametrize("lag", LAGS)
@pytest.mark.parametrize("row", ["QueryAttention", "AttentionLSTM"])
def test_attention_comes_within_a_fifth_of_the_noise_at_every_lag(lag, row):
    assert len(found := errors(f"flow-pressure, lag {lag}", row)) == 3 and max(found) < 1.2


def test_series_too_short_for_a_whole_window_teach_the_same_rule():
    found = errors("flow-pressure, lag 5, series of 24 to 72 steps", "AttentionLSTM")
    assert len(found) == 3 and max(found) < 1.2


def test_at_lag_60_the_last_state_alone_is_not_enough():
    with_attention, without = (errors("flow-pressure, lag 60", row) for row in ("AttentionLSTM", "EncoderDecoderLSTM"))
    assert min(without) > 2 * max(with_attention)


@pytest.mark.parametrize("lag", LAGS)
def test_a_query_over_inputs_and_positions_puts_its_weight_on_the_lag(lag):
    assert min(errors(f"flow-pressure, lag {lag}", "QueryAttention", "weight on the lag")) > 0.9


def test_the_gradient_is_largest_at_the_lag_in_every_model_that_learned():
    learned = [result for result in trained() if result["scores"].get("MSE / noise", 9) < 2]
    assert {result["row"] for result in learned} >= {
        "QueryAttention", "AttentionLSTM", "EncoderDecoderLSTM", "TransformerLSTM", "StackedAttentionLSTM, residual",
    }  # fmt: skip
    for result in learned:
        assert result["gradient_peak"] == result["settings"]["lag"], result["row"]


def test_the_literal_stack_does_not_learn_the_residual_does_and_neithers_weights_show_the_lag():
    table, name = "flow-pressure, lag 5", "StackedAttentionLSTM, "
    [variance] = errors(table, "mean")
    assert all(abs(found / variance - 1) < 0.02 for found in errors(table, name + "literal"))
    assert max(errors(table, name + "residual")) < 1.2
    for form in ("literal", "residual"):
        assert max(errors(table, name + form, "weight on the lag")) < 0.02  # of 96 steps each gets about 0.01


def test_on_etth1_attention_beats_the_last_state_and_the_day_before():
    table, way = "etth1, 24 steps", "from 3 seasons of 24"
    attention, last_state = (errors(table, f"{row}, {way}", "MSE") for row in ("AttentionLSTM", "EncoderDecoderLSTM"))
    assert len(attention) == len(last_state) == 3
    assert max(attention) < min(last_state) and max(attention) < 0.424
    assert sum(attention) / 3 < 0.35


def test_the_baselines_of_etth1_are_the_published_ones():
    """Mean squared and absolute error of two forecasts that need no training, as anyone can work out."""
    for row, expected in {"24 steps ago": (0.424, 0.389)}.items():
        [found] = scores("etth1, 24 steps", row)
        assert (round(found["MSE"], 3), round(found["MAE"], 3)) == expected
