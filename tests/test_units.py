"""Claims about single units: which are shown, what the telling one is asked, and what the kept picture says of it."""

import json

import numpy as np
import pytest
import torch
from checkpoints import random_checkpoint

from shared.measure.units import SHOWN, UNITS, names_of_speakers, ordered_pairs, unit_traces
from shared.stages import ROOT, model_class
from shared.text.corpus import load_corpus
from shared.text.tokenizer import TOKENIZERS

PLAY = "KING:\nNo.\n\nQUEEN:\nWhy not, my lord?\n\nKING:\nNo.\n\n" * 9


def random_model(stage):
    tokenizer = TOKENIZERS["word"].train(PLAY)
    checkpoint = random_checkpoint(stage, tokenizer, load_corpus(), "shakespeare")
    model = model_class(stage)(**checkpoint["model_settings"]).eval()
    model.load_state_dict(checkpoint["weights"])
    tokens = tokenizer.encode(PLAY)
    return model, torch.tensor(tokens), names_of_speakers([tokenizer.glyph(token) for token in tokens])


def test_the_units_shown_are_those_whose_cell_moves_most_and_one_of_them_tells_names_best():
    model, tokens, names = random_model("model-02-lstm")
    kept, cell = unit_traces(model, tokens[:20], tokens, names), model.trace(tokens[None, :20])["cell"]
    moves = cell.std(0)
    assert len(kept["units"]) == UNITS and kept["telling"] in kept["units"] and kept["read"] == len(tokens)
    assert moves[kept["units"]].min() >= np.delete(moves.numpy(), kept["units"]).max()
    assert all(kept[name].shape == (20, UNITS) for name in SHOWN)
    torch.testing.assert_close(kept["cell"], cell[:, kept["units"]])
    whole = model.trace(tokens[None])["cell"][:, kept["telling"]]
    assert kept["inside"] == pytest.approx(whole[torch.tensor(names)].mean().item(), abs=1e-6)


@pytest.mark.parametrize("stage", ["model-01-rnn", "model-04-mini-transformer"])
def test_a_model_without_gates_has_no_traces(stage):
    model, tokens, names = random_model(stage)
    assert unit_traces(model, tokens, tokens, names) is None


def test_pairs_in_order_are_counted_as_one_by_one():
    values, marked = torch.rand(30, 4, generator=torch.Generator().manual_seed(1)), torch.arange(30) % 3 == 0
    pairs = values[marked][:, None] > values[~marked][None]  # (inside, outside, 4)
    torch.testing.assert_close(ordered_pairs(values, marked), pairs.double().mean((0, 1)))


@pytest.mark.claims
def test_one_units_cell_fills_where_a_name_is_due_and_is_wiped_when_the_speech_begins():
    kept = json.loads((ROOT / "model-02-lstm" / "results" / "passage.json").read_text(encoding="utf-8"))
    units, names = kept["units"], np.array(names_of_speakers(kept["tokens"]))
    assert units["ranks"] > 0.99 and units["inside"] > 2 > 0.5 > abs(units["outside"])
    cell, forget = (np.array(units[name])[:, units["units"].index(units["telling"])] for name in ("cell", "forget"))
    speech_begins = np.flatnonzero(names[:-1] & ~names[1:]) + 1  # the line break after a name's colon
    assert cell[names].min() > 2 and len(speech_begins) == 2 and forget[speech_begins].max() < 0.2
    assert abs(cell[speech_begins]).max() < 1
