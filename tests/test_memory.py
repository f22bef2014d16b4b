"""How far a memory reaches: each measure against the plainest loop that does the same."""

import pytest
import torch
import torch.nn.functional as F
from options import OPTIONS, build, by_mechanism, random_tokens

from shared.measure.evaluation import token_losses
from shared.measure.reach import context_losses, gradient_by_distance, position_losses, spread_targets

WINDOW = 5
LENGTHS = [1, 2, 4, 8, 16, 32, 64, 128]
every_option = pytest.mark.parametrize("name", OPTIONS)


def small(name):
    return build(name, window=WINDOW, hidden_size=8)


@torch.no_grad()
def loss_after(model, tokens, target):
    """One text, read from nothing at once."""
    logits, _, _ = model(tokens[None])
    return F.cross_entropy(logits[0, -1], target).item()


# ------------------------------------------------------------------------------------------------------------- targets
@pytest.mark.parametrize("number, longest, count", [(600, 32, 50), (5000, 512, 1000), (70_000, 512, 1000), (40, 8, 99)])
def test_targets_are_different_tokens_with_enough_before_them(number, longest, count):
    targets = spread_targets(number, longest, count)
    assert len(targets) == min(count, number - longest)
    assert (targets.diff() > 0).all()
    assert longest <= targets.min() and targets.max() < number


def test_targets_are_spread_over_a_text_of_the_bundled_plays_length():
    targets = spread_targets(62_680, 512, 1000)
    assert targets.max() > 62_000 and targets.diff().max() <= 64


# ------------------------------------------------------------------------------------------------------------- context
@pytest.mark.parametrize("name", by_mechanism(OPTIONS))
def test_with_so_many_tokens_of_context_exactly_those_were_read_and_from_nothing(name):
    model, ids = small(name), random_tokens(400)
    targets = spread_targets(len(ids), LENGTHS[-1], 8)
    losses = context_losses(model, ids, targets, LENGTHS)
    assert losses.shape == (len(LENGTHS), 8)
    for row, length in enumerate(LENGTHS):
        for column, target in enumerate(targets.tolist()):
            expected = loss_after(model, ids[target - length : target], ids[target])
            assert losses[row, column].item() == pytest.approx(expected, abs=1e-9)


@every_option
def test_what_lies_further_back_changes_nothing(name):
    model, ids = build(name, window=20, hidden_size=8), random_tokens(60)
    other = ids.clone()
    other[:40] = (other[:40] + 1) % 11
    target = torch.tensor([50])
    before, after = (context_losses(model, text, target, [1, 5, 10, 11]) for text in (ids, other))
    assert torch.equal(before[:3], after[:3])
    assert not torch.equal(before[3], after[3])


def test_a_measure_that_carries_the_state_on_would_be_seen():
    """A broken twin: it passes one state from reading to reading, so that every length has the whole past."""

    def twin(model, ids, targets, lengths):
        losses = token_losses(model, ids, context_length=16)[targets - 1]
        return losses.expand(len(lengths), -1)

    model, ids, target = small("2-lstm-torch"), random_tokens(60), torch.tensor([50])
    other = ids.clone()
    other[:40] = (other[:40] + 1) % 11
    assert context_losses(model, ids, target, [5]) == context_losses(model, other, target, [5])
    assert twin(model, ids, target, [5]) != twin(model, other, target, [5])


def test_targets_at_any_places_and_any_lengths_do():
    model, ids = small("2-lstm-torch"), random_tokens(90)
    targets, lengths = torch.tensor([77, 31, 89, 30, 31]), [3, 7, 30]
    losses = context_losses(model, ids, targets, lengths)
    for row, length in enumerate(lengths):
        for column, target in enumerate(targets.tolist()):
            expected = loss_after(model, ids[target - length : target], ids[target])
            assert losses[row, column].item() == pytest.approx(expected, abs=1e-9)


def test_readings_that_start_at_one_place_are_done_once():
    """64 apart, the readings of 64 to 512 tokens are shared: per target, hardly more than the longest is read."""
    model, ids = small("1"), random_tokens(3000)
    targets, read = spread_targets(len(ids), 512, 38), []
    model.embedding.register_forward_hook(lambda module, inputs, output: read.append(inputs[0].numel()))
    context_losses(model, ids, targets, [64, 128, 256, 512])
    apart = len(targets) * (64 + 128 + 256 + 512)
    assert sum(read) < 0.65 * apart


def test_a_model_that_sees_five_tokens_gains_nothing_from_more():
    """One layer of stage 4, so its reach is its window; and with fewer tokens it does differ."""
    model, ids = build("4-rotary", window=WINDOW, hidden_size=8, num_layers=1), random_tokens(200)
    losses = context_losses(model, ids, spread_targets(len(ids), 64, 30), [1, 4, 5, 6, 64])
    torch.testing.assert_close(losses[2:], losses[2].expand(3, -1), rtol=0, atol=1e-9)
    assert (losses[1] - losses[2]).abs().min() > 0


# ------------------------------------------------------------------------------------------------------------ position
@every_option
@pytest.mark.parametrize("number, length", [(101, 20), (102, 20), (109, 20), (13, 20), (2, 20), (700, 7)])
def test_the_loss_at_a_place_is_the_mean_of_all_windows_that_reach_it(name, number, length):
    model, ids = small(name), random_tokens(number)
    sums, counts = [0.0] * length, [0] * length
    for start in range(0, number - 1, length):
        window = ids[start : start + length + 1]
        with torch.no_grad():
            logits, _, _ = model(window[None, :-1])
        for place, nats in enumerate(F.cross_entropy(logits[0], window[1:], reduction="none").tolist()):
            sums[place] += nats
            counts[place] += 1
    found, found_counts = position_losses(model, ids, length)
    there = min(length, number - 1)
    assert found_counts.tolist() == counts[:there] and sum(counts) == number - 1
    assert found.tolist() == pytest.approx([total / count for total, count in zip(sums, counts) if count], abs=1e-9)


@every_option
def test_the_positions_mean_weighted_by_tokens_is_the_total_loss(name):
    model, ids = small(name), random_tokens(333)
    nats, counts = position_losses(model, ids, 50)
    total = 0.0
    with torch.no_grad():
        for start in range(0, 332, 50):
            window = ids[None, start : start + 51]
            total += model.loss(window[:, :-1], window[:, 1:])[0].item()
    assert (nats * counts).sum().item() / counts.sum().item() == pytest.approx(total / 332, abs=1e-6)


# ------------------------------------------------------------------------------------------------------------ gradient
@pytest.mark.parametrize("name", by_mechanism(OPTIONS))
def test_the_gradient_by_distance_is_what_one_backward_pass_a_text_gives(name):
    model, ids, length = small(name), random_tokens(120), 25
    targets = torch.tensor([25, 40, 77, 90, 91, 119] * 3)
    expected = torch.zeros(length, dtype=torch.float64)
    for target in targets.tolist():
        embedded = []
        hook = model.embedding.register_forward_hook(lambda module, inputs, output, into=embedded: into.append(output))
        logits, _, _ = model(ids[None, target - length : target])
        hook.remove()
        (gradient,) = torch.autograd.grad(logits[0, -1].log_softmax(-1)[ids[target]], embedded)
        expected += gradient[0].norm(dim=-1).flip(0) / len(targets)
    torch.testing.assert_close(gradient_by_distance(model, ids, targets, length), expected, rtol=1e-9, atol=1e-12)


def test_gradients_end_where_the_windows_of_all_layers_end():
    """Two layers that each see five tokens see nine together; a recurrent state has no such end."""
    targets = torch.arange(50, 60)
    windowed = gradient_by_distance(small("4-rotary"), random_tokens(60), targets, 30)
    assert (windowed[:9] > 0).all() and (windowed[9:] == 0).all()
    assert (gradient_by_distance(small("1"), random_tokens(60), targets, 30) > 0).all()


def test_a_gradient_too_small_for_its_square_is_still_measured():
    """In float32 the square of 1e-30 is 0."""
    model = build("1", torch.float32)
    with torch.no_grad():
        for layer in model.layers:
            layer.weight_hh_l0.mul_(0.01)
    sizes = gradient_by_distance(model, random_tokens(60), torch.tensor([50]), 18)
    exact = gradient_by_distance(model.double(), random_tokens(60), torch.tensor([50]), 18)
    assert exact[-1] < 1e-25
    torch.testing.assert_close(sizes, exact, rtol=1e-3, atol=0)


@every_option
def test_measuring_leaves_the_model_in_eval_mode_and_its_weights_without_gradients(name):
    ids, targets = random_tokens(80), torch.tensor([70, 75])
    found = []
    for dropout in (0.0, 0.5):
        model = build(name, window=WINDOW, hidden_size=8, dropout=dropout).train()
        nats, _ = position_losses(model, ids, 20)
        contexts = context_losses(model.train(), ids, targets, [4])
        found.append((contexts, nats, gradient_by_distance(model.train(), ids, targets, 9)))
        assert not model.training and all(parameter.grad is None for parameter in model.parameters())
    for without, with_dropout in zip(*found):
        assert torch.equal(without, with_dropout)
