"""Choosing the next token, and writing a text with one token's work a step."""

import itertools
import math

import pytest
import torch
from options import OPTIONS, VOCAB_SIZE, build
from properties import given, settings, st

from shared.errors import UserError
from shared.model.sampling import filter_logits, generate, sample

every_option = pytest.mark.parametrize("name", OPTIONS)
INF = math.inf


def kept(logits, **filters):
    """The tokens that a filter leaves, of one row of logits."""
    return filter_logits(torch.tensor([logits]), **filters)[0].isfinite().nonzero().flatten().tolist()


def log(*probabilities):
    return [math.log(p) for p in probabilities]


def seeded(seed):
    return torch.Generator().manual_seed(seed)


# -------------------------------------------------------------------------------------------------------------- filters
def test_top_k_keeps_the_k_likeliest():
    logits = [0.1, 3.0, -1.0, 2.0, 1.0]
    assert kept(logits, top_k=1) == [1]
    assert kept(logits, top_k=3) == [1, 3, 4]
    assert kept(logits, top_k=5) == kept(logits, top_k=500) == [0, 1, 2, 3, 4]


def test_top_k_keeps_k_tokens_where_several_are_equally_likely():
    assert len(kept([1.0, 1.0, 1.0, 0.0], top_k=2)) == 2


def test_top_p_keeps_the_smallest_set_that_reaches_p():
    logits = log(0.125, 0.5, 0.125, 0.25)
    assert kept(logits, top_p=0.4) == [1]
    assert kept(logits, top_p=0.6) == [1, 3]
    assert kept(logits, top_p=0.8) == [0, 1, 3]
    assert kept(logits, top_p=0.9) == [0, 1, 2, 3]


def test_top_p_stops_where_p_is_reached_exactly():
    assert kept([0.0] * 4, top_p=0.5) == [0, 1]  # quarters are exact in binary


def test_top_p_takes_the_earlier_of_equally_likely_tokens():
    assert kept([0.0] * 8, top_p=0.5) == [0, 1, 2, 3]
    assert kept([0.0] * 8, top_p=0.51) == [0, 1, 2, 3, 4]


def test_the_likeliest_token_always_stays():
    for p in (0.0, 1e-9, 0.1):
        assert kept(log(0.2, 0.5, 0.3), top_p=p) == [1]


@pytest.mark.parametrize("vocab_size", [10, 1000, 50_000])
def test_a_top_p_of_one_keeps_everything(vocab_size):
    """Rounding must not cost the rarest tokens their chance: a float's running sum reaches 1 before the end."""
    for seed in range(3):
        logits = 4 * torch.randn(2, vocab_size, generator=seeded(seed))
        assert torch.equal(filter_logits(logits, top_p=1.0), logits)


@settings(max_examples=200)
@given(
    weights=st.lists(st.integers(1, 40), min_size=1, max_size=12),
    k=st.integers(1, 15),
    p=st.floats(0.01, 0.999),
)
def test_filters_agree_with_their_definitions(weights, k, p):
    logits = log(*[weight / sum(weights) for weight in weights])
    by_likelihood = sorted(range(len(weights)), key=lambda token: -weights[token])
    assert sorted(weights[t] for t in kept(logits, top_k=k)) == sorted(weights[t] for t in by_likelihood[:k])
    sums = [s / sum(weights) for s in itertools.accumulate(weights[token] for token in by_likelihood)]
    if min(abs(s - p) for s in sums) > 1e-5:  # nearer than that, a float's rounding decides
        needed = 1 + sum(s < p for s in sums[:-1])
        assert kept(logits, top_p=p) == sorted(by_likelihood[:needed])


def test_rows_are_filtered_each_by_itself():
    logits = torch.randn(5, 9, generator=seeded(0))
    together = filter_logits(logits, top_k=6, top_p=0.7)
    for row in range(5):
        assert torch.equal(together[row : row + 1], filter_logits(logits[row : row + 1], top_k=6, top_p=0.7))


def test_top_p_counts_among_those_that_top_k_left():
    """Of the two that are left, the first has .4 / .7, which is enough; of all four it has .4, which is not."""
    logits = log(0.4, 0.3, 0.2, 0.1)
    assert kept(logits, top_k=2, top_p=0.55) == [0]
    assert kept(logits, top_p=0.55) == [0, 1]


# --------------------------------------------------------------------------------------------------------------- sample
def counts(logits, draws=20_000, seed=0, **sampling):
    tokens = sample(torch.tensor([logits]).expand(draws, -1), generator=seeded(seed), **sampling)
    assert tokens.shape == (draws,)
    return torch.bincount(tokens, minlength=len(logits)).tolist()


def chi_square(observed, probabilities):
    total = sum(observed)
    return sum((o - total * p) ** 2 / (total * p) for o, p in zip(observed, probabilities, strict=True))


def tempered(logits, temperature):
    exponentials = [math.exp(logit / temperature) for logit in logits]
    return [part / sum(exponentials) for part in exponentials]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_tokens_come_as_often_as_the_temperature_says(temperature):
    logits = [0.0, 0.5, -1.0, 1.5, 0.2, 1.0]
    observed = counts(logits, temperature=temperature)
    assert chi_square(observed, tempered(logits, temperature)) < 35.9  # one in a million, at 5 degrees of freedom
    assert chi_square(observed, tempered(logits, temperature * 1.25)) > 35.9


def test_filtered_tokens_share_what_is_left_by_their_probabilities():
    observed = counts(log(0.1, 0.4, 0.2, 0.3), top_k=2)
    assert observed[0] == observed[2] == 0
    assert chi_square([observed[1], observed[3]], [4 / 7, 3 / 7]) < 23.9  # one in a million, at 1 degree


def test_temperature_zero_takes_the_likeliest():
    logits = torch.randn(50, 20, generator=seeded(1))
    assert torch.equal(sample(logits, temperature=0), logits.argmax(-1))
    assert torch.equal(sample(logits, top_k=1, generator=seeded(0)), logits.argmax(-1))


@pytest.mark.parametrize("sampling", [{}, dict(temperature=0), dict(top_k=1), dict(top_p=0.1), dict(temperature=5.0)])
def test_a_banned_token_is_never_chosen_though_it_be_the_likeliest(sampling):
    observed = counts([9.0, 1.0, 0.5], banned=0, **sampling)
    assert observed[0] == 0 and observed[1] > 0


def test_sampling_leaves_its_logits_alone():
    logits = torch.randn(3, 7, generator=seeded(2))
    before = logits.clone()
    sample(logits, temperature=0.5, top_k=3, top_p=0.5, banned=1)
    assert torch.equal(logits, before)


# ------------------------------------------------------------------------------------------------------------- generate
PROMPT = [3, 1, 4, 1, 5]


def take(steps, tokens):
    return torch.stack(list(itertools.islice(tokens, steps)), dim=1)  # (samples, steps)


@torch.no_grad()
def from_the_whole_text(model, num_samples, steps, **sampling):
    """The same text the slow way: at every step the model reads all of it again."""
    text = torch.tensor([PROMPT]).expand(num_samples, -1)
    for _ in range(steps):
        logits, _, _ = model(text)
        text = torch.cat([text, sample(logits[:, -1], **sampling)[:, None]], dim=1)
    return text[:, len(PROMPT) :]


@every_option
def test_a_text_written_step_by_step_is_the_one_written_by_reading_all_again_at_every_step(name):
    """Over three windows, greedily and by chance, one text and several."""
    model = build(name)
    greedy = take(30, generate(model, PROMPT, temperature=0))
    assert torch.equal(greedy, from_the_whole_text(model, 1, 30, temperature=0))
    several = take(30, generate(model, PROMPT, num_samples=3, temperature=1.5, generator=seeded(4)))
    assert several.shape == (3, 30)
    assert torch.equal(several, from_the_whole_text(model, 3, 30, temperature=1.5, generator=seeded(4)))
    assert len({tuple(row) for row in several.tolist()}) == 3


@every_option
def test_each_step_feeds_only_the_newest_token(name, monkeypatch):
    model, fed = build(name), []
    features = model.features
    monkeypatch.setattr(
        model, "features", lambda *inputs, **options: fed.append(tuple(inputs[0].shape)) or features(*inputs, **options)
    )
    take(6, generate(model, PROMPT, num_samples=2))
    assert fed == [(1, len(PROMPT))] + [(2, 1)] * 5


@pytest.mark.parametrize("name", [name for name in OPTIONS if name not in ("4-sinusoidal", "4-learned")])
def test_each_step_embeds_only_the_newest_token(name):
    """But for positions that are places in a window: there the window's tokens are looked up again."""
    model, embedded = build(name), []
    model.embedding.register_forward_hook(lambda module, inputs, output: embedded.append(inputs[0].numel()))
    take(6, generate(model, PROMPT))
    assert embedded == [len(PROMPT), 1, 1, 1, 1, 1]


@every_option
def test_the_same_seed_writes_the_same_text_and_another_seed_another(name):
    model = build(name)
    first, again, other = (take(20, generate(model, PROMPT, generator=seeded(seed))) for seed in (7, 7, 8))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_a_banned_token_is_never_written():
    model = build("2-gru-torch")
    unbanned = take(200, generate(model, PROMPT, num_samples=4, generator=seeded(0)))
    commonest = torch.bincount(unbanned.flatten(), minlength=VOCAB_SIZE).argmax().item()
    written = take(200, generate(model, PROMPT, num_samples=4, banned=commonest, generator=seeded(0)))
    assert (written != commonest).all()


@pytest.mark.parametrize("sampling", [dict(), dict(temperature=0), dict(top_k=3)], ids=str)
def test_a_model_that_computes_no_numbers_ends_in_one_line(sampling):
    model = build("1")
    torch.nn.init.constant_(model.embedding.weight, math.inf)
    with pytest.raises(UserError, match="no number any more.*use a lower --learning-rate"):
        take(1, generate(model, PROMPT, **sampling))
