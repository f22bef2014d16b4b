"""What a model's trace tells: the gates and the memory that its own arithmetic has, token by token."""

import pytest
import torch
from options import HIDDEN_SIZE, OPTIONS, STAGE_2, build, random_tokens

GATED = [name for name, (stage, _) in OPTIONS.items() if stage == STAGE_2]
LENGTH = 9


@pytest.mark.parametrize("name", [name for name in OPTIONS if name not in GATED])
def test_a_model_without_gates_of_its_own_traces_nothing(name):
    assert build(name).trace(random_tokens(1, LENGTH)) == {}


@pytest.mark.parametrize("name", GATED)
def test_a_trace_holds_named_arrays_of_all_units_at_all_tokens(name):
    trace = build(name).trace(random_tokens(1, LENGTH))
    assert list(trace)[0] in ("input", "reset")
    assert all(values.shape == (LENGTH, HIDDEN_SIZE) for values in trace.values())
    for gate in trace.keys() - {"candidate", "cell", "hidden"}:
        assert (trace[gate] > 0).all() and (trace[gate] < 1).all()


@pytest.mark.parametrize("name", GATED)
def test_the_memory_traced_is_the_state_of_the_top_layer_after_each_token(name):
    model, tokens = build(name), random_tokens(1, LENGTH)
    memory = list(model.trace(tokens).values())[-1]
    for last in range(LENGTH):
        with torch.no_grad():
            _, state, _ = model(tokens[:, : last + 1])
        torch.testing.assert_close(memory[last], state[-1][-1][0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", [name for name in GATED if "gru" not in name])
def test_the_gates_traced_make_cell_and_output_by_the_lstms_equations(name):
    model, tokens = build(name), random_tokens(1, LENGTH)
    i, f, g, o, c = model.trace(tokens).values()
    before = torch.cat([torch.zeros_like(c[:1]), c[:-1]])
    torch.testing.assert_close(c, f * before + i * g, rtol=0, atol=1e-12)
    with torch.no_grad():
        hidden, _, _ = model.features(tokens, None, False)
    torch.testing.assert_close(o * torch.tanh(c), hidden[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", [name for name in GATED if "gru" in name])
def test_the_gates_traced_make_the_hidden_state_by_the_grus_equations(name):
    r, z, n, h = build(name).trace(random_tokens(1, LENGTH)).values()
    before = torch.cat([torch.zeros_like(h[:1]), h[:-1]])
    torch.testing.assert_close(h, (1 - z) * n + z * before, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", GATED)
def test_tracing_changes_nothing_in_the_model(name):
    model, tokens = build(name), random_tokens(1, LENGTH)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    model.trace(tokens)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
