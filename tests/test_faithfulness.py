"""Uniform attention reaches every kind of attention, and the two answers to whether attention tells the truth."""

import math

import pytest
import torch
import torch.nn.functional as F
from options import OPTIONS, WITH_ATTENTION, build, by_mechanism, random_tokens

from shared.measure.evaluation import evaluate
from shared.measure.faithfulness import attention_on, evaluate_uniform, map_correlation, ranks, uniform_attention
from shared.model import attention as toolbox
from shared.model import window
from shared.model.attention import AdditiveAttention, DotAttention, MultiHeadAttention, attend
from shared.model.window import fused_attend

SIZE = 6
KINDS = {
    "additive": lambda: AdditiveAttention(SIZE, SIZE, 4),
    "dot": lambda: DotAttention(),
    "multi-head": lambda: MultiHeadAttention(SIZE, SIZE, num_heads=2),
    "multi-head with dropout": lambda: MultiHeadAttention(SIZE, SIZE, num_heads=2, dropout=0.5),
}


def randn(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def built(kind):
    torch.manual_seed(0)
    return KINDS[kind]().double()


# --------------------------------------------------------------------------------------------------- uniform attention
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 0, 1, 0, 0], [0, 0, 0, 0, 0]], dtype=torch.bool)
SHARES = torch.tensor([[0.2] * 5, [0.5, 0, 0.5, 0, 0], [0.0] * 5], dtype=torch.float64)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_within_it_every_key_that_may_be_seen_has_the_same_weight(kind, training):
    attention = built(kind).train(training)
    queries, keys = randn(2, 3, SIZE), randn(2, 5, SIZE, seed=2)
    with uniform_attention():
        _, weights = attention(queries, keys, keys, MASK)
        _, unmasked = attention(queries, keys, keys, None)
    torch.testing.assert_close(weights, SHARES.expand_as(weights), rtol=0, atol=1e-12)
    torch.testing.assert_close(unmasked, torch.full_like(unmasked, 0.2), rtol=0, atol=1e-12)


def test_where_the_fused_kernel_would_be_used_the_mean_of_the_values_comes_out_too(monkeypatch):
    calls, kernel = [], F.scaled_dot_product_attention

    def fused(*arguments, **options):
        calls.append(1)
        return kernel(*arguments, **options)

    monkeypatch.setattr(window.F, "scaled_dot_product_attention", fused)
    monkeypatch.setattr(window, "FUSED_FROM", 1)  # on a CPU, only many keys are worth it
    queries, keys, values = randn(2, 3, SIZE), randn(2, 5, SIZE, seed=2), randn(2, 5, 4, seed=3)
    chosen, _ = fused_attend(queries, keys, values, MASK)
    with uniform_attention():
        context, _ = fused_attend(queries, keys, values, MASK)
    again, _ = fused_attend(queries, keys, values, MASK)
    assert len(calls) == 2  # and not within the block
    torch.testing.assert_close(context, SHARES @ values, rtol=0, atol=1e-12)
    assert torch.equal(chosen, again) and (chosen - context).abs().max() > 0.01


def test_an_attention_with_a_softmax_of_its_own_would_be_seen():
    """A broken twin: it takes no part in this file's masked softmax, so it would go on choosing."""

    class Twin(DotAttention):
        def forward(self, queries, keys, values, mask=None):
            weights = (queries @ keys.mT).masked_fill(~mask, -math.inf).softmax(-1)
            return weights @ values, weights[:, None]

    queries, keys = randn(2, 2, SIZE), randn(2, 5, SIZE, seed=2)
    for attention, uniform in ((DotAttention(), True), (Twin(), False)):
        with uniform_attention():
            _, weights = attention(queries, keys, keys, MASK[:2])
        assert torch.allclose(weights, SHARES[:2].expand_as(weights)) == uniform


def test_it_ends_with_its_block_even_where_that_fails_and_may_be_nested():
    queries, keys = randn(1, 3, SIZE), randn(1, 5, SIZE, seed=2)
    before, _ = attend(queries, keys, keys)
    with pytest.raises(RuntimeError, match="on purpose"), uniform_attention():
        raise RuntimeError("on purpose")
    with uniform_attention():
        with uniform_attention():
            pass
        inside, _ = attend(queries, keys, keys)
    after, _ = attend(queries, keys, keys)
    assert torch.equal(before, after) and not torch.allclose(before, inside)


@pytest.mark.parametrize("name", OPTIONS)
def test_it_changes_a_model_that_attends_and_no_other(name):
    """In the weights that it returns, too: each row is uniform over the window."""
    model, tokens = build(name), random_tokens(2, 30)
    with torch.no_grad():
        plain, _, _ = model(tokens)
        with uniform_attention():
            changed, _, attention = model(tokens, return_attention=True)
    assert torch.equal(plain, changed) == (name not in WITH_ATTENTION)
    if attention is not None:
        seen = (attention > 0).double()
        expected = seen / seen.sum(-1, keepdim=True).clamp(min=1)
        torch.testing.assert_close(attention, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "name", by_mechanism(["1", "3-lstm-additive", "3-lstm-dot", "3-lstm-multi-head", "4-rotary", "4-learned"])
)
def test_the_uniform_loss_is_that_of_the_same_model_with_every_score_zero(name, monkeypatch):
    """The oracle makes the scores zero by the weights that they come from, or in the softmax itself."""
    model, ids = build(name), random_tokens(150)
    found, before = evaluate_uniform(model, ids, 10), evaluate(model, ids, 10)
    original = toolbox.masked_softmax
    monkeypatch.setattr(toolbox, "masked_softmax", lambda scores, mask: original(0 * scores, mask))
    expected = evaluate(model, ids, 10)
    assert found.count == expected.count == 149
    assert found.nats == pytest.approx(expected.nats, abs=1e-9)
    assert (found.nats == before.nats) == (name not in WITH_ATTENTION)


# --------------------------------------------------------------------------------------------------------- correlation
def slow_ranks(values):
    """By counting: of equal values, each gets the middle of the places that they take."""
    return [sum(v < x for v in values) + (1 + sum(v == x for v in values)) / 2 for x in values]


def slow_correlation(a, b):
    """Pearson's formula, in plain Python, on ranks."""
    a, b = slow_ranks(a), slow_ranks(b)
    mean_a, mean_b = sum(a) / len(a), sum(b) / len(b)
    both = sum((x - mean_a) * (y - mean_b) for x, y in zip(a, b))
    sizes = math.sqrt(sum((x - mean_a) ** 2 for x in a) * sum((y - mean_b) ** 2 for y in b))
    return both / sizes


@pytest.mark.parametrize("values", [[3, 1, 2], [1, 1, 1, 1], [5, 1, 5, 0], [0.5]])
def test_equal_values_share_their_ranks(values):
    assert ranks(torch.tensor(values)).tolist() == slow_ranks(values)


def test_the_correlation_of_maps_is_the_mean_of_their_rows_over_past_tokens():
    attention, influence = randn(9, 9).abs().tril().round(decimals=1), randn(9, 9, seed=2).abs().tril()
    rows = [slow_correlation(attention[t, :t].tolist(), influence[t, :t].tolist()) for t in range(3, 9)]
    assert map_correlation(attention, influence) == pytest.approx(sum(rows) / 6, abs=1e-12)


def test_a_map_agrees_with_itself_and_contradicts_its_reverse():
    attention = randn(8, 8).abs().tril(-1)
    assert map_correlation(attention, attention**3) == pytest.approx(1)
    assert map_correlation(attention, -attention) == pytest.approx(-1)


def test_the_own_token_does_not_count():
    attention, influence = randn(8, 8).abs().tril(), randn(8, 8, seed=2).abs().tril()
    assert map_correlation(attention, influence) == map_correlation(attention.tril(-1), influence + 9 * torch.eye(8))


def test_where_nothing_has_an_order_there_is_no_correlation():
    uniform = torch.ones(6, 6).tril(-1)
    assert map_correlation(uniform, randn(6, 6).abs()) is None
    assert map_correlation(randn(3, 3).abs(), randn(3, 3).abs()) is None


# ------------------------------------------------------------------------------------------------ attention on one text


@pytest.mark.parametrize("name", by_mechanism(OPTIONS))
def test_attention_on_a_text_is_the_models_own_and_its_losses_are_of_that_text(name):
    model, tokens = build(name), random_tokens(25)
    found = attention_on(model, tokens)
    with torch.no_grad():
        logits, _, weights = model(tokens[None], return_attention=True)
        if weights is None:
            assert found is None
            return
        with uniform_attention():
            without_choice, _, _ = model(tokens[None])
    torch.testing.assert_close(found.weights, weights[0].float(), rtol=0, atol=0)
    for loss, scores in ((found.loss, logits), (found.loss_uniform, without_choice)):
        assert loss == pytest.approx(F.cross_entropy(scores[0, :-1], tokens[1:]).item(), abs=1e-12)
    assert found.loss != found.loss_uniform


@pytest.mark.parametrize("name", by_mechanism(WITH_ATTENTION))
def test_a_place_is_seen_if_its_token_can_have_weight_however_little_it_has(name):
    """The window's end is known; a trained weight can round to 0 and is then a weight of 0 all the same."""
    model, tokens = build(name, torch.float32), random_tokens(25)
    found = attention_on(model, tokens)
    assert (found.weights[:, :, ~found.seen] == 0).all()
    rows, columns = torch.arange(25)[:, None], torch.arange(25)
    assert not found.seen[columns > rows].any() and found.seen[(columns < rows) & (rows - columns < 5)].all()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(100)  # scores so far apart that a softmax underflows
    harder = attention_on(model, tokens)
    assert torch.equal(harder.seen, found.seen)


def test_a_single_token_has_a_map_and_no_loss():
    found = attention_on(build("4-rotary"), torch.tensor([3]))
    assert found.weights.shape[-2:] == (1, 1) and found.loss is found.loss_uniform is None
