"""The five forecasters: against plain references, and against the mistakes that usual versions make quietly."""

import math

import pytest
import torch
import torch.nn.functional as F
from forecasting import (
    CAUSAL_ATTENTION,
    FUTURE_SIZE,
    HIDDEN_SIZE,
    NUM_FUTURE,
    NUM_PAST,
    NUM_TARGETS,
    OPTIONS,
    PAST_SIZE,
    build,
    close,
    lab,
    randn,
    window,
)
from torch import nn

parts, models = lab.parts, lab.model
every_model = pytest.mark.parametrize("name", OPTIONS)

# Unsorted on purpose; as many samples as future steps, where a mask of the wrong rank mixes them without an error.
PAST_LENGTHS = torch.tensor([3, 7, 1, 5])
FUTURE_LENGTHS = torch.tensor([4, 2, 3, 1])


# -------------------------------------------------------------------------------------------------- the one signature


@every_model
def test_every_model_keeps_the_one_signature(name):
    model = build(name)
    prediction = model(*window())
    quantiles = OPTIONS[name][1].get("num_quantiles")
    assert prediction.shape == (3, NUM_FUTURE, NUM_TARGETS) + ((quantiles,) if quantiles else ())
    with_weights, weights = model(*window(), return_attention=True)
    close(with_weights, prediction)
    if name == "encoder-decoder":
        assert weights is None
    else:
        assert weights.shape[0] == 3 and weights.shape[2:] == (NUM_FUTURE, NUM_PAST + NUM_FUTURE)
        close(weights.sum(-1), torch.ones(weights.shape[:-1], dtype=torch.float64))


@every_model
def test_lengths_cannot_be_passed_by_position(name):
    with pytest.raises(TypeError):
        build(name)(*window(), torch.tensor([7, 7, 7]))


@pytest.mark.parametrize("lengths", [[0, 3, 3], [8, 3, 3], [3, 3], [[3], [3], [3]]])
def test_impossible_lengths_are_refused(lengths):
    with pytest.raises(ValueError, match="lengths"):
        build("query")(*window(), past_lengths=torch.tensor(lengths))


@every_model
def test_gradients_reach_every_parameter(name):
    model = build(name)
    (model(*window()) ** 2).sum().backward()
    dead = {key for key, parameter in model.named_parameters() if parameter.grad is None or not parameter.grad.any()}
    # A bias that moves all scores of a softmax alike changes nothing.
    assert all("score.bias" in key or "key.bias" in key for key in dead), dead


# ------------------------------------------------------------------------------------------------- padding and company


def padded(garbage: float):
    """Four samples of different lengths, with `garbage` in the padding."""
    past, future = window(batch_size=4)
    past = past.where(parts.real_steps(past, PAST_LENGTHS), garbage)
    future = future.where(parts.real_steps(future, FUTURE_LENGTHS), garbage)
    return past, future


def check_alone_equals_in_company(model, garbage=1e6):
    """A sample's forecast is the one that it gets alone, without padding and without lengths."""
    past, future = padded(garbage)
    together, weights = model(
        past, future, past_lengths=PAST_LENGTHS, future_lengths=FUTURE_LENGTHS, return_attention=True
    )
    for sample, (num_past, num_future) in enumerate(zip(PAST_LENGTHS.tolist(), FUTURE_LENGTHS.tolist())):
        one = slice(sample, sample + 1)
        alone, own_weights = model(past[one, :num_past], future[one, :num_future], return_attention=True)
        close(together[one, :num_future], alone, 1e-11)
        if weights is not None:
            real = [*range(num_past), *range(NUM_PAST, NUM_PAST + num_future)]
            close(weights[one, :, :num_future][..., real], own_weights, 1e-11)
            padding = sorted(set(range(NUM_PAST + NUM_FUTURE)) - set(real))
            assert weights[one, :, :num_future][..., padding].count_nonzero() == 0


@every_model
@pytest.mark.parametrize("garbage", [1e6, math.nan, -math.inf])
def test_batch_mates_and_the_contents_of_padding_change_nothing(name, garbage):
    check_alone_equals_in_company(build(name), garbage)


@every_model
def test_the_gradient_is_a_number_though_padding_is_not(name):
    model = build(name)
    past, future = (x.requires_grad_() for x in padded(math.nan))
    prediction = model(past, future, past_lengths=PAST_LENGTHS, future_lengths=FUTURE_LENGTHS)
    target = randn(4, NUM_FUTURE, NUM_TARGETS).where(parts.real_steps(future, FUTURE_LENGTHS), math.nan)
    if prediction.dim() == 4:
        total, _ = lab.losses.quantile_error(prediction, target, (0.1, 0.5, 0.9), FUTURE_LENGTHS)
    else:
        total, _ = lab.losses.squared_error(prediction, target, FUTURE_LENGTHS)
    total.backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters() if parameter.grad is not None)
    for x, lengths in ((past, PAST_LENGTHS), (future, FUTURE_LENGTHS)):
        assert x.grad.where(parts.real_steps(x, lengths), 0.0).isfinite().all()
        assert x.grad.where(~parts.real_steps(x, lengths), 0.0).count_nonzero() == 0


@every_model
def test_lengths_that_are_all_full_change_nothing(name):
    model = build(name)
    past, future = window()
    full = model(past, future, past_lengths=torch.full((3,), NUM_PAST), future_lengths=torch.full((3,), NUM_FUTURE))
    close(full, model(past, future))


def check_order_of_samples(model):
    past, future = window(batch_size=4)
    order = torch.tensor([2, 0, 3, 1])
    given = dict(past_lengths=PAST_LENGTHS, future_lengths=FUTURE_LENGTHS)
    moved = dict(past_lengths=PAST_LENGTHS[order], future_lengths=FUTURE_LENGTHS[order])
    real = parts.real_steps(future, FUTURE_LENGTHS)[order].squeeze(-1)
    close(model(past[order], future[order], **moved)[real], model(past, future, **given)[order][real])


@every_model
def test_forecasts_come_in_the_order_of_the_samples(name):
    check_order_of_samples(build(name))


# Broken twins: each is a mistake that circulates, and must be found out.


def reads_padding(lstm, x, lengths=None, state=None):
    return lstm(x, state)


def forgets_to_unsort(lstm, x, lengths=None, state=None):
    if lengths is None:
        return lstm(x, state)
    order = lengths.argsort(descending=True)
    state = None if state is None else tuple(part[:, order] for part in state)
    packed = nn.utils.rnn.pack_padded_sequence(x[order], lengths[order], batch_first=True)
    packed, state = lstm(packed, state)
    return nn.utils.rnn.pad_packed_sequence(packed, batch_first=True, total_length=x.size(1))[0], state


def without_total_length(lstm, x, lengths=None, state=None):
    if lengths is None:
        return lstm(x, state)
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    packed, state = lstm(packed, state)
    return nn.utils.rnn.pad_packed_sequence(packed, batch_first=True)[0], state


@pytest.mark.parametrize("name", ["encoder-decoder", "attention", "transformer", "stacked-residual"])
@pytest.mark.parametrize("broken", [reads_padding, forgets_to_unsort])
def test_a_last_state_read_from_padding_or_from_another_sample_would_be_found_out(name, broken, monkeypatch):
    monkeypatch.setattr(models, "read", broken)
    with pytest.raises(AssertionError):
        check_alone_equals_in_company(build(name))


def test_an_lstm_that_forgets_to_unsort_would_be_found_out_by_the_order_too(monkeypatch):
    monkeypatch.setattr(models, "read", forgets_to_unsort)
    with pytest.raises(AssertionError):
        check_order_of_samples(build("attention"))


def test_unpacking_without_total_length_would_be_found_out(monkeypatch):
    monkeypatch.setattr(models, "read", without_total_length)
    past, future = window(batch_size=2)
    with pytest.raises((AssertionError, RuntimeError)):
        prediction = build("encoder-decoder")(past, future, future_lengths=torch.tensor([2, 3]))
        assert prediction.shape[1] == NUM_FUTURE


def built_but_never_passed(past, future, past_lengths, future_lengths, causal):
    return parts.visible_steps(past, future, None, None, causal)


def the_wrong_rank(past, future, past_lengths, future_lengths, causal):
    """Lengths by sample where queries should stand: runs wherever the batch is as large as the horizon."""
    right = parts.visible_steps(past, future, past_lengths, future_lengths, causal)
    return right[:, 0] if past_lengths is not None else right


def the_wrong_lengths(past, future, past_lengths, future_lengths, causal):
    """What happens when lengths are passed by position and the two change places."""
    if past_lengths is None:
        return parts.visible_steps(past, future, None, None, causal)
    return parts.visible_steps(past, future, future_lengths, past_lengths, causal)


@pytest.mark.parametrize("name", ["attention", "query"])
@pytest.mark.parametrize("broken", [built_but_never_passed, the_wrong_rank, the_wrong_lengths])
def test_a_mask_that_is_not_passed_or_mixes_samples_would_be_found_out(name, broken, monkeypatch):
    monkeypatch.setattr(models, "visible_steps", broken)
    with pytest.raises(AssertionError):
        check_alone_equals_in_company(build(name))


def test_values_that_stay_in_the_padding_would_be_found_out(monkeypatch):
    monkeypatch.setattr(models, "blank_padding", lambda x, lengths: x)
    with pytest.raises(AssertionError):
        check_alone_equals_in_company(build("query"), garbage=math.nan)


def test_positions_counted_from_the_padded_end_would_be_found_out(monkeypatch):
    monkeypatch.setattr(models, "step_positions", lambda past, future, _: parts.step_positions(past, future, None))
    with pytest.raises(AssertionError):
        check_alone_equals_in_company(build("query"))


# -------------------------------------------------------------------------------------------------------------- causal


def check_causal(model, lengths):
    """What is known of step 2 changes the forecasts of steps 2 and 3, and not one bit of those before."""
    past, future = window()
    given = dict(past_lengths=torch.tensor([7, 5, 6]), future_lengths=torch.tensor([4, 4, 4])) if lengths else {}
    changed = future.clone()
    changed[:, 2] += 1.0
    before, after = model(past, future, **given), model(past, changed, **given)
    assert torch.equal(before[:, :2], after[:, :2])
    assert all((before[:, step] != after[:, step]).any() for step in (2, 3))


CAUSAL = [name for name in OPTIONS if "ahead" not in name and "stacked" not in name]


@pytest.mark.parametrize("lengths", [False, True], ids=["no lengths", "lengths"])
@pytest.mark.parametrize("name", CAUSAL)
def test_what_is_known_of_a_step_changes_no_earlier_forecast(name, lengths):
    check_causal(build(name), lengths)


def masked_only_with_lengths(past, future, past_lengths, future_lengths, causal):
    return parts.visible_steps(past, future, past_lengths, future_lengths, causal and past_lengths is not None)


def shows_the_next_step(past, future, past_lengths, future_lengths, causal):
    mask = parts.visible_steps(past, future, past_lengths, future_lengths, causal)
    return mask | mask.roll(-1, dims=1)


@pytest.mark.parametrize("name", ["attention", "query"])
@pytest.mark.parametrize("broken", [masked_only_with_lengths, shows_the_next_step])
def test_a_model_that_sees_the_next_step_would_be_found_out(name, broken, monkeypatch):
    monkeypatch.setattr(models, "visible_steps", broken)
    with pytest.raises(AssertionError):
        check_causal(build(name), lengths=False)


@pytest.mark.parametrize("name", ["attention-sees-ahead", "query-sees-ahead"])
def test_without_the_causal_mask_a_forecast_uses_what_is_known_of_later_steps(name):
    with pytest.raises(AssertionError):
        check_causal(build(name), lengths=False)


def check_sees_itself(model):
    """Each step looks at all of the past, at the future before it and at itself."""
    _, weights = model(*window(), return_attention=True)
    seen = (weights > 0).all(1)[0]  # (Tf, Tp + Tf)
    expected = torch.ones(NUM_FUTURE, NUM_PAST + NUM_FUTURE).tril(NUM_PAST).bool()
    assert torch.equal(seen, expected)


@pytest.mark.parametrize("name", [name for name in CAUSAL_ATTENTION if name != "transformer"])
def test_a_step_sees_the_past_the_steps_before_it_and_itself(name):
    check_sees_itself(build(name))


def hides_the_present(past, future, past_lengths, future_lengths, causal):
    mask = parts.visible_steps(past, future, past_lengths, future_lengths, causal)
    return mask & ~torch.ones(mask.shape[1:]).tril(past.size(1)).triu(past.size(1)).bool()


@pytest.mark.parametrize("broken", [hides_the_present, shows_the_next_step])
def test_a_mask_that_is_one_step_off_would_be_found_out(broken, monkeypatch):
    monkeypatch.setattr(models, "visible_steps", broken)
    with pytest.raises(AssertionError):
        check_sees_itself(build("attention"))


def test_the_transformers_future_looks_into_the_past_only():
    _, weights = build("transformer")(*window(), return_attention=True)
    assert (weights[..., :NUM_PAST] > 0).all() and weights[..., NUM_PAST:].count_nonzero() == 0


# ---------------------------------------------------------------------------------------------------- plain references


def test_gate_add_norm_is_its_formula_number_by_number():
    skip = parts.GateAddNorm(3).double()
    x, residual = randn(2, 3), randn(2, 3, seed=2)
    with torch.no_grad():
        skip.norm.weight.copy_(randn(3, seed=3))
        skip.norm.bias.copy_(randn(3, seed=4))
    w1, b1, w2, b2 = (p.tolist() for p in skip.glu.parameters())
    scale, shift = skip.norm.weight.tolist(), skip.norm.bias.tolist()
    for row in range(2):
        added = []
        for i in range(3):
            value = b1[i] + sum(w1[i][j] * x[row, j].item() for j in range(3))
            gate = b2[i] + sum(w2[i][j] * x[row, j].item() for j in range(3))
            added.append(value / (1 + math.exp(-gate)) + residual[row, i].item())
        mean = sum(added) / 3
        deviation = math.sqrt(sum((a - mean) ** 2 for a in added) / 3 + skip.norm.eps)
        expected = [(a - mean) / deviation * s + t for a, s, t in zip(added, scale, shift)]
        close(skip(x, residual)[row], torch.tensor(expected, dtype=torch.float64))


def test_without_gating_the_skip_is_add_and_norm():
    skip = parts.GateAddNorm(6, gating=False).double()
    x, residual = randn(2, 4, 6), randn(2, 4, 6, seed=2)
    close(skip(x, residual), F.layer_norm(x + residual, (6,)))


def test_a_gate_that_is_shut_leaves_the_residual_alone():
    skip = parts.GateAddNorm(6).double()
    with torch.no_grad():
        skip.glu.gate.bias.fill_(-800.0)
    residual = randn(2, 4, 6)
    close(skip(randn(2, 4, 6, seed=2), residual), F.layer_norm(residual, (6,)))


def test_dropout_falls_on_the_branch_and_not_on_the_residual():
    skip = parts.GateAddNorm(6, dropout=1.0, gating=False).double().train()
    residual = randn(2, 4, 6)
    close(skip(randn(2, 4, 6, seed=2), residual), F.layer_norm(residual, (6,)))


def torch_attention(ours, queries, keys, values, mask):
    """nn.MultiheadAttention with our weights; in its masks True means "may not attend"."""
    theirs = nn.MultiheadAttention(HIDDEN_SIZE, ours.num_heads, bias=False, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([ours.query.weight, ours.key.weight, ours.value.weight]))
        theirs.out_proj.weight.copy_(ours.output.weight)
    barred = ~mask.repeat_interleave(ours.num_heads, dim=0)
    return theirs(queries, keys, values, attn_mask=barred, average_attn_weights=False)


def test_the_attention_lstm_is_lstms_torch_attention_and_the_skip():
    model = build("attention-layers")
    past, future = window(batch_size=4)
    encoded, state = model.encoder(past)
    decoded, _ = model.decoder(future, state)
    states = torch.cat([encoded, decoded], 1)
    positions = parts.sinusoids(torch.arange(-NUM_PAST, NUM_FUTURE, dtype=torch.float64)[None], HIDDEN_SIZE)
    mask = torch.ones(NUM_FUTURE, NUM_PAST + NUM_FUTURE).tril(NUM_PAST).bool().expand(4, -1, -1)
    keys = states + positions
    context, expected_weights = torch_attention(model.attention, keys[:, NUM_PAST:], keys, states, mask)
    expected = model.head(model.skip(context, decoded))
    prediction, weights = model(past, future, return_attention=True)
    close(prediction, expected)
    close(weights, expected_weights)


def test_the_transformers_last_block_attends_as_torchs_does():
    model = build("transformer")
    past, future = window(batch_size=4)
    seen = []
    model.blocks[-1].cross_attention.register_forward_hook(lambda module, given, made: seen.append((given, made)))
    given = dict(past_lengths=PAST_LENGTHS, future_lengths=FUTURE_LENGTHS)
    _, weights = model(past, future, return_attention=True, **given)
    (queries, keys, values, mask, *_), (context, _) = seen[0]
    expected, expected_weights = torch_attention(
        model.blocks[-1].cross_attention, queries, keys, values, mask.expand(-1, NUM_FUTURE, -1)
    )
    close(context, expected)
    close(weights[:, -2:, :, :NUM_PAST], expected_weights)


def test_the_mask_means_to_the_fused_kernel_what_it_means_here():
    model, (past, future) = build("query"), padded(0.0)
    seen = {}
    for part in ("query", "key"):
        getattr(model, part).register_forward_hook(lambda module, given, made, part=part: seen.update({part: made}))
    mask = parts.visible_steps(past, future, PAST_LENGTHS, FUTURE_LENGTHS, causal=True)
    prediction = model(past, future, past_lengths=PAST_LENGTHS, future_lengths=FUTURE_LENGTHS)
    inputs = torch.cat([past, F.pad(future, (PAST_SIZE - FUTURE_SIZE, 0))], 1)
    fused = F.scaled_dot_product_attention(seen["query"], seen["key"], inputs, attn_mask=mask)
    close(model.head(fused), prediction)
    reversed_mask = F.scaled_dot_product_attention(seen["query"], seen["key"], inputs, attn_mask=~mask)
    assert (model.head(reversed_mask) - prediction).abs().max() > 1e-3


def test_query_attention_is_its_definition_in_loops():
    model = build("query")
    past, future = window(batch_size=1)
    prediction, weights = model(past, future, return_attention=True)
    rows = [*past[0], *(torch.cat([torch.zeros(PAST_SIZE - FUTURE_SIZE).double(), row]) for row in future[0])]
    places = parts.sinusoids(torch.arange(-NUM_PAST, NUM_FUTURE, dtype=torch.float64)[None], HIDDEN_SIZE)[0]
    hidden = [model.embed(row) + place for row, place in zip(rows, places)]
    for step in range(NUM_FUTURE):
        query = model.query(hidden[NUM_PAST + step])
        scores = [(query @ model.key(other)).item() / math.sqrt(HIDDEN_SIZE) for other in hidden[: NUM_PAST + step + 1]]
        total = sum(map(math.exp, scores))
        shares = [math.exp(score) / total for score in scores]
        close(weights[0, 0, step, : len(shares)], torch.tensor(shares, dtype=torch.float64), 1e-11)
        mixture = sum(share * row for share, row in zip(shares, rows))
        close(prediction[0, step], model.head(mixture), 1e-11)


def test_the_encoder_decoder_knows_the_past_by_its_last_state_alone():
    model = build("encoder-decoder")
    past, future = window()
    _, state = model.encoder(past)
    decoded, _ = model.decoder(future, state)
    close(model(past, future), model.head(decoded))


def score_of(block, state, literal):
    """v . tanh(W x + b), as the form that circulates has it, or v . x + b."""
    if not literal:
        return (block.score.weight[0] @ state + block.score.bias[0]).item()
    inner, _, vector = block.score
    return (vector.weight[0] @ torch.tanh(inner.weight @ state + inner.bias)).item()


def stacked_block(block, x, literal):
    """One block in plain loops over samples and steps."""
    x, _ = block.lstm(x)
    out = torch.zeros_like(x)
    for sample in range(len(x)):
        scores = [score_of(block, state, literal) for state in x[sample]]
        total = sum(map(math.exp, scores))
        for step, state in enumerate(x[sample]):
            weighted = math.exp(scores[step]) / total * state
            out[sample, step] = weighted if literal else block.norm(state + len(scores) * weighted)
    return out


@pytest.mark.parametrize("literal", [True, False])
def test_the_stacked_model_is_its_definition_in_loops(literal):
    model = build("stacked-literal" if literal else "stacked-residual")
    past, future = window(batch_size=2)
    x = torch.cat([past, F.pad(future, (PAST_SIZE - FUTURE_SIZE, 0))], 1)
    for block in model.blocks:
        x = stacked_block(block, x, literal)
    close(model(past, future), model.head(x[:, NUM_PAST:]), 1e-11)


def spread_over_inputs(name, num_past):
    """How much the forecasts of fresh weights differ from window to window, against the head's own size."""
    model = build(name, hidden_size=16)
    past, future = window(batch_size=16, num_past=num_past)
    return (model(past, future).std(0).mean() / model.head.weight.abs().mean()).item()


def test_the_literal_form_shrinks_what_it_passes_on_by_about_the_length_a_block():
    short, long = (spread_over_inputs("stacked-literal", num_past) for num_past in (20, 100))
    # Three blocks over 104 / 24 times as many steps.
    assert short < 1e-3 and 0.3 < short / long / (104 / 24) ** 3 < 3


def test_the_residual_form_does_not_shrink():
    short, long = (spread_over_inputs("stacked-residual", num_past) for num_past in (20, 100))
    assert short > 0.1 and 0.5 < short / long < 2


@pytest.mark.parametrize("name", ["stacked-literal", "stacked-residual"])
def test_weights_without_a_query_are_the_same_for_every_forecast_step(name):
    _, weights = build(name)(*window(), return_attention=True)
    assert torch.equal(weights, weights[:, :, :1].expand_as(weights))


# --------------------------------------------------------------------------------------------------- season, positions


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("season", [1, 3, 9])
@pytest.mark.parametrize("lengths", [None, [7, 2, 5]])
def test_a_season_ago_is_the_mean_of_the_newest_known_values_at_the_same_place_of_the_season(season, lengths, count):
    values = randn(3, NUM_PAST, 2)
    found = parts.season_ago(values, 8, season, count, None if lengths is None else torch.tensor(lengths))
    for sample, length in enumerate(lengths or [NUM_PAST] * 3):
        own = min(season, length)
        for step in range(8):
            places = [place for place in range(length) if (length + step - place) % own == 0]
            terms = [values[sample, place] for place in places[::-1][: min(count, length // own)]]
            close(found[sample, step], sum(terms) / len(terms))


@pytest.mark.parametrize("name", ["attention-season", "attention-quantiles-season", "attention-linear"])
def test_with_a_season_a_past_that_lies_higher_raises_the_forecast_by_as_much(name):
    model = build(name)
    past, future = window()
    higher = past.clone()
    higher[..., :NUM_TARGETS] += torch.tensor([10.0, -3.0])
    moved = model(higher, future) - model(past, future)
    expected = torch.tensor([10.0, -3.0], dtype=torch.float64)
    close(moved, (expected[:, None] if moved.dim() == 4 else expected).expand_as(moved), 1e-11)


def test_a_forecast_of_nothing_new_is_the_value_a_season_ago():
    model = build("attention-season")
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.zero_()
    past, future = window()
    close(model(past, future), parts.season_ago(past[..., :NUM_TARGETS], NUM_FUTURE, 3, 2))


@pytest.mark.parametrize("length", [7, 3])
def test_the_linear_part_is_a_linear_map_of_the_last_values_less_the_newest(length):
    part = parts.LinearPart(5, 6).double()
    with torch.no_grad():
        part.map.weight.copy_(randn(6, 5))
        part.map.bias.copy_(randn(6, seed=2))
    values = randn(1, NUM_PAST, 2, seed=3)
    found = part(values, NUM_FUTURE, torch.tensor([length]))
    for target in range(2):
        known = values[0, :length, target].tolist()
        last = ([known[0]] * 5 + known)[-5:]  # a past shorter than the map repeats its first value
        for step in range(NUM_FUTURE):
            weights, shift = part.map.weight[step].tolist(), part.map.bias[step].item()
            expected = shift + sum(w * (x - last[-1]) for w, x in zip(weights, last))
            assert abs(found[0, step, target].item() - expected) < 1e-12


def test_positions_count_from_the_first_forecast_step_whatever_the_padding():
    past, future = window()
    positions = parts.step_positions(past, future, torch.tensor([7, 2, 4]))
    assert positions[:, NUM_PAST:].tolist() == [[0, 1, 2, 3]] * 3
    for row, length in zip(positions.tolist(), (7, 2, 4)):
        assert row[:length] == list(range(-length, 0))


def test_no_two_steps_of_a_long_window_have_nearly_the_same_position():
    places = parts.sinusoids(torch.arange(-200, 50, dtype=torch.float64)[None], 32)[0]
    close(places.norm(dim=-1), torch.full((250,), 4.0, dtype=torch.float64))  # sqrt(32 / 2)
    distances = torch.cdist(places, places) + 100 * torch.eye(250)
    assert distances.min() > 0.5


def test_an_odd_size_of_positions_is_refused():
    with pytest.raises(ValueError, match="even"):
        parts.sinusoids(torch.zeros(1, 3), 5)


# ------------------------------------------------------------------------------------------------------------- dropout


@pytest.mark.parametrize("name, settings", [
    ("attention", dict(dropout=0.5)),
    ("attention", dict(attention_dropout=0.5)),
    ("attention-layers", dict(lstm_dropout=0.5)),
    ("transformer", dict(dropout=0.5)),
    ("encoder-decoder", dict(dropout=0.5)),
])  # fmt: skip
def test_each_dropout_falls_in_training_alone(name, settings):
    model, without = build(name, **settings), build(name)
    close(model(*window()), without(*window()))
    torch.manual_seed(0)
    assert (model.train()(*window()) - without.train()(*window())).abs().max() > 1e-3


def test_attention_dropout_falls_on_the_weights_and_not_on_those_that_are_shown():
    model = build("attention", attention_dropout=0.5)
    _, in_evaluation = model(*window(), return_attention=True)
    _, in_training = model.train()(*window(), return_attention=True)
    close(in_training, in_evaluation)
    with_none_left = build("attention", attention_dropout=1.0).train()
    features, _ = with_none_left.features(*window(), None, None)
    _, state = with_none_left.encoder(window()[0])
    decoded, _ = with_none_left.decoder(window()[1], state)
    close(features, with_none_left.skip(torch.zeros_like(decoded), decoded))


def test_lstm_dropout_falls_between_layers_and_so_leaves_the_lowest_alone():
    """With a share of all but nothing, the top layer reads zeros: its output no longer depends on the input."""
    model = build("attention-layers", lstm_dropout=1.0).train()
    for lstm, size in ((model.encoder, PAST_SIZE), (model.decoder, FUTURE_SIZE)):
        one, other = (lstm(randn(1, 5, size, seed=seed)) for seed in (1, 2))
        close(one[0], other[0])
        assert not torch.allclose(one[1][0][0], other[1][0][0]), "the lowest layer's last state"
