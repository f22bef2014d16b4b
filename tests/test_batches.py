"""Lanes of text: nothing is skipped, repeated or looked up beyond the end, and a state always finds its own text."""

import pytest
import torch
from properties import given, settings, st

from shared.errors import UserError
from shared.text.batches import Lanes

# Token number n of the text is n, so that a batch tells where in the text it was taken.
SIZES = st.tuples(st.integers(1, 6), st.integers(1, 9), st.integers(1, 200), st.integers(0, 50))


def lanes(batch_size, context_length, spare=100, seed=0):
    """Lanes over a text `spare` tokens longer than the shortest that is allowed."""
    ids = torch.arange(batch_size * context_length + context_length + spare)
    return Lanes(ids, batch_size, context_length, seed)


@settings(max_examples=100)
@given(SIZES)
def test_every_chunk_continues_the_last_and_targets_are_the_next_tokens(sizes):
    batches = lanes(*sizes)
    batch_size, context_length = sizes[:2]
    following = None
    for number in range(2 * batches.steps_per_epoch + 1):
        batch = batches.batch(number)
        assert batch.inputs.shape == batch.targets.shape == (batch_size, context_length)
        assert torch.equal(batch.targets, batch.inputs + 1)
        assert torch.equal(batch.inputs[:, 0, None] + torch.arange(context_length), batch.inputs)
        assert batch.restart == (number % batches.steps_per_epoch == 0)
        if not batch.restart:
            assert torch.equal(batch.inputs[:, 0], following)
        following = batch.inputs[:, -1] + 1


@settings(max_examples=100)
@given(SIZES)
def test_an_epoch_reads_no_token_twice_and_leaves_only_a_little_at_the_ends(sizes):
    batches = lanes(*sizes)
    batch_size, context_length = sizes[:2]
    for epoch in range(3):
        numbers = range(epoch * batches.steps_per_epoch, (epoch + 1) * batches.steps_per_epoch)
        read = torch.cat([batches.batch(number).inputs.flatten() for number in numbers]).sort().values
        assert torch.equal(read, torch.arange(read[0], read[0] + len(read))), "lanes overlap, or leave a gap"
        assert 0 <= read[0] < context_length
        assert read[-1] + 1 < len(batches.ids), "the last target lies beyond the text"
        assert len(batches.ids) - len(read) < batch_size * context_length + context_length


def test_a_batch_is_a_function_of_its_number_alone():
    one, other = lanes(3, 5, seed=7), lanes(3, 5, seed=7)
    forwards = [one.batch(number) for number in range(40)]
    torch.manual_seed(123)  # not of the global random numbers either
    for number in reversed(range(40)):
        batch = other.batch(number)
        assert torch.equal(batch.inputs, forwards[number].inputs)
        assert batch.restart == forwards[number].restart


def test_epochs_start_at_different_places_and_use_them_all():
    batches = lanes(2, 8)
    starts = [batches.batch(epoch * batches.steps_per_epoch).inputs[0, 0].item() for epoch in range(400)]
    assert set(starts) == set(range(8))
    assert min(starts.count(start) for start in range(8)) > 20
    assert sum(a != b for a, b in zip(starts, starts[1:])) > 300


def test_another_seed_cuts_the_text_at_other_places():
    def first_inputs(seed):
        batches = lanes(2, 8, seed=seed)
        return [batches.batch(epoch * batches.steps_per_epoch).inputs[0, 0].item() for epoch in range(20)]

    assert first_inputs(0) != first_inputs(1)


@pytest.mark.parametrize("batch_size, context_length", [(1, 1), (3, 4), (32, 64)])
def test_a_text_too_short_for_one_batch_is_the_users_mistake(batch_size, context_length):
    needed = batch_size * context_length + context_length
    for length in (0, 1, needed - 1):
        with pytest.raises(UserError, match="--batch-size") as mistake:
            Lanes(torch.arange(length), batch_size, context_length, seed=0)
        assert "\n" not in str(mistake.value)
    shortest = Lanes(torch.arange(needed), batch_size, context_length, seed=0)
    assert max(shortest.batch(number).targets.max() for number in range(100)) < needed
