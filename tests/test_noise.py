"""The noise test: no model may predict what cannot be predicted.

Uniform random tokens hold ln V nats each, for whoever cannot see the future. A model that beats this on fresh tokens
has looked at the answer, by whatever way; it learns to do so where a way is open. So each stage is trained here as in
earnest: the training path, the carried state, the loss.
"""

import math
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from options import OPTIONS, STAGE_3, STAGE_4, build, by_mechanism

from shared.measure.evaluation import evaluate
from shared.model.window import last_places, sliding_window
from shared.stages import ROOT, load_module
from shared.text.batches import Lanes

SYMBOLS = 8
FLOOR = math.log(SYMBOLS)
MARGIN = 0.01  # nats; chance and too short a training stay well within it
CONTEXT_LENGTH = 8
BATCH_SIZE = 32
STEPS = 400


def noise(count, seed):
    return torch.randint(SYMBOLS, (count,), generator=torch.Generator().manual_seed(seed))


def nats_on_fresh_noise(name):
    """Train on noise, with an epoch's end on the way, and score noise that was never seen."""
    model = build(name, torch.float32, window=CONTEXT_LENGTH, vocab_size=SYMBOLS, num_layers=1, dropout=0.1).train()
    batches = Lanes(noise(BATCH_SIZE * CONTEXT_LENGTH * 100, seed=1), BATCH_SIZE, CONTEXT_LENGTH, seed=0)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    carry = None
    for number in range(STEPS):
        batch = batches.batch(number)
        total, state = model.loss(batch.inputs, batch.targets, None if batch.restart else carry)
        carry = model.carry(state)
        optimizer.zero_grad()
        (total / batch.targets.numel()).backward()
        optimizer.step()
    return evaluate(model, noise(8000, seed=2), CONTEXT_LENGTH).loss


@pytest.mark.parametrize("name", by_mechanism(OPTIONS))
def test_no_stage_predicts_noise(name):
    assert nats_on_fresh_noise(name) > FLOOR - MARGIN


# ----------------------------------------------------------------------------------- twins with a leak, which must fail
# Each stands in for a function of window.py, so that all else of the model is as it is.


def last_state_asks_for_all(attention, queries, keys, values, window, return_weights=False):
    """The query at every position is the chunk's last state, and it sees the whole chunk."""
    _, weights = sliding_window(attention, queries, keys, values, window, return_weights)
    return attention(queries[:, -1:].expand_as(queries), keys, values, None)[0], weights


def no_mask(attention, queries, keys, values, window, return_weights=False):
    """Each position sees the whole chunk."""
    return attention(queries, keys, values, None)


def one_too_many(attention, queries, keys, values, window, return_weights=False):
    """Each position sees one token too far: an error of one in the mask's diagonal."""
    _, weights = sliding_window(attention, queries, keys, values, window, return_weights)
    past = keys.size(-2) - queries.size(-2)
    mask = torch.ones(queries.size(-2), keys.size(-2), dtype=torch.bool).tril(past + 1)
    return attention(queries, keys, values, mask)[0], weights


def shifted_too_far(attention, queries, keys, values, window, return_weights=False):
    """A place is found by its own state and gives the word after it: at the newest place that is the answer."""
    keys, values = (F.pad(part[:, 1:], (0, 0, 0, 1)) for part in (keys, values))
    return sliding_window(attention, queries, keys, values, window, return_weights)


def copied_from_one_further(words, num_queries, window):
    """The place looked at is right, but the word that is copied is the one after it."""
    return last_places(F.pad(words[:, 1:], (0, 1)), num_queries, window)


KINDS = ["3-lstm-additive", "3-lstm-dot", "3-lstm-multi-head"]
LEAKS = [
    *product(KINDS, ["sliding_window"], [last_state_asks_for_all, one_too_many, shifted_too_far]),
    *product(KINDS, ["last_places"], [copied_from_one_further]),
    *product(["4-rotary", "4-sinusoidal"], ["sliding_window"], [no_mask, one_too_many]),
]
SLOW = [
    pytest.param("4-learned", "sliding_window", leak, marks=pytest.mark.thorough) for leak in (no_mask, one_too_many)
]


@pytest.mark.parametrize("name, what, leak", by_mechanism(LEAKS) + SLOW)
def test_a_twin_that_looks_ahead_is_found_out(name, what, leak, monkeypatch):
    stage = {"3": STAGE_3, "4": STAGE_4}[name[0]]
    monkeypatch.setattr(load_module(ROOT / stage / "model.py"), what, leak)
    assert nats_on_fresh_noise(name) < FLOOR - 10 * MARGIN
