"""The cells written out in stages 1 and 2 against torch's own, and a step by hand."""

import math

import pytest
import torch
from options import HIDDEN_SIZE, build, random_tokens
from torch import nn

from shared.model.recurrent import TORCH_LAYERS
from shared.stages import ROOT, load_module

stage_1 = load_module(ROOT / "model-01-rnn" / "model.py")
stage_2 = load_module(ROOT / "model-02-lstm" / "model.py")

B, T, E, H = 3, 9, 5, 4
# A layer of this course, torch's module, the number of vectors in its state.
LAYERS = [
    pytest.param(stage_1.RNNLayer, nn.RNN, 1, id="rnn"),
    pytest.param(stage_2.LSTMLayer, nn.LSTM, 2, id="lstm"),
    pytest.param(stage_2.GRULayer, nn.GRU, 1, id="gru"),
    pytest.param(TORCH_LAYERS["rnn"], nn.RNN, 1, id="library-rnn"),
    pytest.param(TORCH_LAYERS["lstm"], nn.LSTM, 2, id="library-lstm"),
    pytest.param(TORCH_LAYERS["gru"], nn.GRU, 1, id="library-gru"),
]


def run_ours(layer, x, state):
    """Stage 1's layer takes a lone vector for its state, the others a tuple."""
    if isinstance(layer, stage_1.RNNLayer):
        hidden, last = layer(x, state[0] if state else None)
        return hidden, (last,)
    return layer(x, state)


def run_torch(module, x, state):
    if state is not None:
        state = tuple(vector[None] for vector in state)
        state = state if isinstance(module, nn.LSTM) else state[0]
    hidden, last = module(x, state)
    return hidden, tuple(vector[0] for vector in (last if isinstance(last, tuple) else (last,)))


@pytest.mark.parametrize("from_a_state", [False, True], ids=["from-zeros", "from-a-state"])
@pytest.mark.parametrize("ours, torchs, num_states", LAYERS)
def test_a_layer_computes_what_torchs_module_computes_with_the_same_weights_and_learns_the_same(
    ours, torchs, num_states, from_a_state
):
    torch.manual_seed(0)
    module = torchs(E, H, batch_first=True).double()
    layer = ours(E, H).double()
    layer.load_state_dict(module.state_dict())
    results = []
    for run, cell in ((run_ours, layer), (run_torch, module)):
        torch.manual_seed(1)
        x = torch.randn(B, T, E, dtype=torch.float64, requires_grad=True)
        start = tuple(torch.randn(B, H, dtype=torch.float64, requires_grad=True) for _ in range(num_states))
        hidden, last = run(cell, x, start if from_a_state else None)
        assert hidden.shape == (B, T, H)
        assert [vector.shape for vector in last] == [(B, H)] * num_states
        loss = (hidden * torch.randn(B, T, H, dtype=torch.float64)).sum() + sum((vector**2).sum() for vector in last)
        wanted = [x, *(start if from_a_state else ()), *(dict(cell.named_parameters())[n] for n in module.state_dict())]
        results.append([hidden, *last, *torch.autograd.grad(loss, wanted)])
    for mine, theirs in zip(*results, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@torch.no_grad()
def test_weights_move_between_the_implementations(cell):
    library, scratch = build(f"2-{cell}-torch", seed=1), build(f"2-{cell}-scratch", seed=2)
    tokens = random_tokens(2, 30)
    expected, _, _ = library(tokens)
    assert (scratch(tokens)[0] - expected).abs().max() > 0.01
    scratch.load_state_dict(library.state_dict())
    torch.testing.assert_close(scratch(tokens)[0], expected, rtol=0, atol=1e-12)
    back = build(f"2-{cell}-torch", seed=3)
    back.load_state_dict(scratch.state_dict())
    assert torch.equal(back(tokens)[0], expected)


@pytest.mark.parametrize("name", ["2-lstm-torch", "2-lstm-scratch", "3-lstm-dot"])
def test_forget_gates_start_open(name):
    """A bias of 1 in all: the two biases are added, so the other one is 0."""
    for layer in build(name).layers:
        forget = slice(HIDDEN_SIZE, 2 * HIDDEN_SIZE)
        total = layer.bias_ih_l0[forget] + layer.bias_hh_l0[forget]
        assert torch.equal(total, torch.ones_like(total))


# ------------------------------------------------------------------------------------------------ a step by hand, H = 1
def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def one_step(layer, weight_ih, weight_hh, bias_ih, bias_hh, x, state):
    """One step of a layer of one unit, with these numbers as its weights -> the new state's numbers."""
    layer = layer.double()
    with torch.no_grad():
        for name, values in dict(weight_ih=weight_ih, weight_hh=weight_hh, bias_ih=bias_ih, bias_hh=bias_hh).items():
            parameter = getattr(layer, name + "_l0")
            parameter.copy_(torch.tensor(values, dtype=torch.float64).view_as(parameter))
        vectors = tuple(torch.tensor([[value]], dtype=torch.float64) for value in state)
        _, last = run_ours(layer, torch.tensor([[[x]]], dtype=torch.float64), vectors)
    return [vector.item() for vector in last]


def test_one_step_of_the_rnn_by_hand():
    (h,) = one_step(stage_1.RNNLayer(1, 1), [0.5], [-2.0], [0.1], [0.2], 3.0, (0.4,))
    assert h == pytest.approx(math.tanh(0.5 * 3.0 + 0.1 - 2.0 * 0.4 + 0.2), abs=1e-15)


def test_one_step_of_the_lstm_by_hand():
    weights = dict(weight_ih=[0.1, 0.2, 0.3, 0.4], weight_hh=[0.5, -0.6, 0.7, -0.8])
    h, c = one_step(
        stage_2.LSTMLayer(1, 1), **weights, bias_ih=[0, 1, 0, 0], bias_hh=[0.1] * 4, x=2.0, state=(0.5, -1.5)
    )
    keep = sigmoid(0.2 * 2 - 0.6 * 0.5 + 1.1)
    write = sigmoid(0.1 * 2 + 0.5 * 0.5 + 0.1)
    candidate = math.tanh(0.3 * 2 + 0.7 * 0.5 + 0.1)
    show = sigmoid(0.4 * 2 - 0.8 * 0.5 + 0.1)
    assert c == pytest.approx(keep * -1.5 + write * candidate, abs=1e-15)
    assert h == pytest.approx(show * math.tanh(c), abs=1e-15)


def test_one_step_of_the_gru_by_hand_with_the_reset_gate_after_the_product():
    weights = dict(weight_ih=[0.1, 0.2, 0.3], weight_hh=[0.5, -0.6, 0.7])
    (h,) = one_step(stage_2.GRULayer(1, 1), **weights, bias_ih=[0, 0, 0.2], bias_hh=[0, 0, 0.9], x=2.0, state=(0.5,))
    reset, keep = sigmoid(0.1 * 2 + 0.5 * 0.5), sigmoid(0.2 * 2 - 0.6 * 0.5)
    candidate = math.tanh(0.3 * 2 + 0.2 + reset * (0.7 * 0.5 + 0.9))  # the bias shows the order: the gate scales it too
    assert h == pytest.approx((1 - keep) * candidate + keep * 0.5, abs=1e-15)
