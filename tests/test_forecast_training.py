"""What the forecasters learn on flow-pressure, where the answer is known: trained here and now.

By default one of them, for a second; the others, in the settings of train.py, are thorough.
"""

import json
import sys

import pytest
from forecasting import lab

from shared.run.cli import run_main


def trained(tmp_path, monkeypatch, *flags: str) -> tuple[dict[str, float], int]:
    """Train with these flags -> the scores in the run's summary, and the lag at which the gradient is largest."""
    monkeypatch.setattr(sys, "argv", ["train.py", "--device", "cpu", "--out-dir", str(tmp_path), *flags])
    run_main(lab.train.main)
    summary = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    return summary["scores"], summary["gradient_peak"]


def test_within_150_steps_query_attention_finds_a_near_lag(tmp_path, monkeypatch):
    flags = "--model query-attention --lag 5 --past-length 12 --horizon 4 --max-steps 150".split()
    found, peak = trained(tmp_path, monkeypatch, *flags)
    assert found["MSE / noise"] < 1.2 and found["weight on the lag"] > 0.9 and peak == 5


@pytest.mark.thorough
@pytest.mark.parametrize("lag", ["5", "20", "60"])
def test_query_attention_comes_near_the_noise_and_puts_its_weight_on_the_lag(lag, tmp_path, monkeypatch):
    found, peak = trained(tmp_path, monkeypatch, "--model", "query-attention", "--lag", lag)
    assert found["MSE / noise"] < 1.2 and found["weight on the lag"] > 0.9
    assert peak == int(lag)


@pytest.mark.thorough
@pytest.mark.parametrize("lag", ["5", "20", "60"])
def test_the_attention_lstm_comes_near_the_noise(lag, tmp_path, monkeypatch):
    found, peak = trained(tmp_path, monkeypatch, "--lag", lag)
    assert found["MSE / noise"] < 1.2 and peak == int(lag)


@pytest.mark.thorough
def test_from_series_too_short_for_a_whole_window_the_attention_lstm_learns_the_rule(tmp_path, monkeypatch):
    found, peak = trained(tmp_path, monkeypatch, "--lengths", "24", "72")
    assert found["MSE / noise"] < 1.2 and peak == 5


@pytest.mark.thorough
@pytest.mark.parametrize("model, learns", [("stacked-literal", False), ("stacked-residual", True)])
def test_of_the_stacked_forms_one_learns_and_neithers_weights_show_the_lag(model, learns, tmp_path, monkeypatch):
    found, _ = trained(tmp_path, monkeypatch, "--model", model)
    variance = 1 / lab.series.flow_pressure(5).noise_variance  # of the training part, in units of noise
    assert (found["MSE / noise"] < 1.2) == learns and (found["MSE / noise"] > 0.9 * variance) == (not learns)
    assert found["weight on the lag"] < 0.02
