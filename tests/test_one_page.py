"""Each stage on one page: four programs that differ in their model alone, and that keep what the course promises."""

import math
import re
import sys

import pytest
import torch
import torch.nn.functional as F
from terminal import typed
from torch import nn

from shared.measure.ngrams import score
from shared.stages import ROOT, STAGES, load_module
from shared.text.corpus import load_corpus
from shared.text.tokenizer import train_tokenizer

PAGES = {stage: ROOT / stage / "one_page.py" for stage in STAGES}
RNN, LSTM, ATTENTION, TRANSFORMER = STAGES
VOCAB_SIZE = 8
FLOOR, MARGIN = math.log(VOCAB_SIZE), 0.01  # nats; what uniform noise holds, and what chance may take from it

every_page = pytest.mark.parametrize("stage", STAGES)


def load(stage):
    return load_module(PAGES[stage])


def build(stage, dtype=torch.float64, hidden_size=12):
    torch.manual_seed(0)
    return load(stage).Model(VOCAB_SIZE, hidden_size=hidden_size).to(dtype)


def noise(*shape, seed=1):
    return torch.randint(VOCAB_SIZE, shape, generator=torch.Generator().manual_seed(seed))


def frame(stage):
    """The page without its model and its first line, which names the stage."""
    lines = PAGES[stage].read_text(encoding="utf-8").splitlines()
    begin = next(index for index, line in enumerate(lines) if line.endswith("- the model"))
    end = next(index for index, line in enumerate(lines) if line.endswith("- the same on all four pages"))
    return lines[1:begin], lines[end:]


# The page


@every_page
def test_a_page_has_at_most_120_lines(stage):
    assert len(PAGES[stage].read_text(encoding="utf-8").splitlines()) <= 120


@every_page
def test_a_page_imports_torch_and_the_standard_library_alone(stage):
    found = re.findall(r"^(?:import|from) (\w+)", PAGES[stage].read_text(encoding="utf-8"), re.MULTILINE)
    assert found and set(found) <= {"torch"} | sys.stdlib_module_names


def test_the_four_pages_are_the_same_but_for_the_model():
    assert frame(RNN) == frame(LSTM) == frame(ATTENTION) == frame(TRANSFORMER)


@every_page
def test_a_page_learns_from_and_is_scored_on_the_plays_that_the_stages_have(stage):
    corpus, page = load_corpus(), load(stage)
    assert (page.plays("train"), page.plays("validation")) == (corpus.train, corpus.validation)


def test_a_page_runs_as_typed_says_how_long_and_ends_with_a_loss_and_a_text(monkeypatch):
    shown = typed(ROOT / RNN, "python one_page.py --steps 2").out
    assert "seconds to go" in shown
    nats = float(re.search(r"validation loss ([\d.]+) nats a character", shown)[1])
    assert 2 < nats < 5  # two steps from ln 69
    assert "HAMLET:\n" in shown and len(shown.split("HAMLET:\n")[1]) >= 400


@every_page
def test_a_page_scores_every_character_once_in_nats(stage):
    page, model, ids = load(stage), build(stage, torch.float32), noise(3 * 64 + 1)
    windows = ids[:-1].view(3, 64)
    with torch.no_grad():
        nats = F.cross_entropy(model(windows).flatten(0, 1), ids[1:])
    assert page.evaluate(model, ids) == pytest.approx(nats.item(), rel=1e-5)


# The model


@every_page
def test_a_changed_later_character_changes_no_earlier_logit(stage):
    model, ids = build(stage), noise(2, 20)
    changed = ids.clone()
    changed[:, 11:] = (changed[:, 11:] + 1) % VOCAB_SIZE
    before, after = model(ids), model(changed)
    assert torch.equal(before[:, :11], after[:, :11]) and not torch.equal(before[:, 11:], after[:, 11:])


@every_page
def test_rows_of_a_batch_know_nothing_of_each_other(stage):
    model, ids = build(stage), noise(3, 20)
    torch.testing.assert_close(model(ids)[1], model(ids[1:2])[0], rtol=0, atol=1e-12)


def test_the_rnn_is_torchs():
    model, ids = build(RNN), noise(2, 9)
    twin = nn.RNN(12, 12, batch_first=True).double()
    weights = [model.input.weight, model.recurrent.weight, model.input.bias, torch.zeros(12)]
    twin.load_state_dict(dict(zip(["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"], weights)))
    torch.testing.assert_close(model(ids), model.output(twin(model.embedding(ids))[0]), rtol=0, atol=1e-12)


def test_the_lstm_is_torchs():
    model, ids = build(LSTM), noise(2, 9)
    twin = nn.LSTM(12, 12, batch_first=True).double()
    weights = [model.input.weight, model.recurrent.weight, model.input.bias, torch.zeros(48)]
    twin.load_state_dict(dict(zip(["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"], weights)))
    torch.testing.assert_close(model(ids), model.output(twin(model.embedding(ids))[0]), rtol=0, atol=1e-12)


@pytest.mark.parametrize("stage", [ATTENTION, TRANSFORMER])
def test_attention_is_torchs(stage):
    q, k, v = torch.randn(3, 2, 7, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    torch.testing.assert_close(load(stage).attend(q, k, v), expected, rtol=0, atol=1e-12)


# The noise test: no page may predict what cannot be predicted


def nats_on_fresh_noise(stage, steps, monkeypatch):
    page = load(stage)
    monkeypatch.setattr(page, "WINDOW", 8)
    monkeypatch.setattr("builtins.print", lambda *words, **options: None)
    torch.manual_seed(0)
    model = page.Model(VOCAB_SIZE, hidden_size=16)
    page.train(model, noise(40_000), steps)
    return page.evaluate(model, noise(8001, seed=2))


@every_page
def test_no_page_predicts_noise(stage, monkeypatch):
    assert nats_on_fresh_noise(stage, 200, monkeypatch) > FLOOR - MARGIN


@pytest.mark.parametrize("stage", [ATTENTION, TRANSFORMER])
def test_a_page_whose_attention_sees_one_character_too_far_is_found_out(stage, monkeypatch):
    def leaky(q, k, v):
        scores = q @ k.transpose(-2, -1) / k.size(-1) ** 0.5
        # Stage 3's keys are one place behind its queries, so it takes two places to see the answer.
        visible = torch.ones_like(scores, dtype=torch.bool).tril(2 if stage == ATTENTION else 1)
        return scores.masked_fill(~visible, -torch.inf).softmax(dim=-1) @ v

    monkeypatch.setattr(load(stage), "attend", leaky)
    assert nats_on_fresh_noise(stage, 600, monkeypatch) < FLOOR - 10 * MARGIN


@pytest.mark.thorough
@every_page
def test_a_page_beats_counting_of_order_three(stage, monkeypatch):
    page, corpus = load(stage), load_corpus()
    tokenizer = train_tokenizer("char", corpus.train)
    train, validation = tokenizer.encode(corpus.train), tokenizer.encode(corpus.validation)
    counted = score(train, validation, tokenizer.vocab_size, order=3).orders[2].loss
    monkeypatch.setattr("builtins.print", lambda *words, **options: None)
    torch.manual_seed(0)
    model = page.Model(tokenizer.vocab_size)
    page.train(model, torch.tensor(train), page.STEPS)
    assert page.evaluate(model, torch.tensor(validation)) < counted - 0.1
