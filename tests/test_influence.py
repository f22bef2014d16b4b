"""The influence map against finite differences, for every stage, on texts longer than the window."""

import pytest
import torch
from options import OPTIONS, VOCAB_SIZE, WITH_ATTENTION, build, by_mechanism, random_tokens

from shared.measure.influence import influence

WINDOW, LENGTH = 4, 11
every_option = pytest.mark.parametrize("name", OPTIONS)


def small(name, **settings):
    return build(name, window=WINDOW, hidden_size=8, **settings)


@torch.no_grad()
def by_finite_differences(model, tokens, step=1e-5):
    """The sizes of d log p(token t+1) / d (embedding of token s), (T, T): every number of every embedding nudged."""
    length, size = len(tokens), model.embedding.embedding_dim
    nudges = step * torch.eye(length * size, dtype=torch.float64).view(-1, length, size)  # (T * E, T, E)
    following = torch.cat([tokens[1:], model(tokens[None])[0][0, -1].argmax()[None]])
    handle = model.embedding.register_forward_hook(lambda module, inputs, output: output + torch.cat([nudges, -nudges]))
    logits, _, _ = model(tokens.expand(2 * length * size, -1))
    handle.remove()
    log_probabilities = logits.log_softmax(-1)[:, range(length), following]  # (2 T E, T)
    up, down = log_probabilities.chunk(2)
    gradients = (up - down) / (2 * step)  # (T * E, T)
    return gradients.view(length, size, length).norm(dim=1).T  # (T, T)


@every_option
def test_influence_is_the_gradient_that_finite_differences_find(name):
    model, tokens = small(name), random_tokens(LENGTH)
    expected = by_finite_differences(model, tokens)
    expected = expected / expected.sum(-1, keepdim=True)
    found = influence(model, tokens)
    assert found.shape == (LENGTH, LENGTH)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-7)


@every_option
def test_rows_sum_to_one_and_the_future_has_no_influence_at_all(name):
    found = influence(small(name), random_tokens(LENGTH))
    assert torch.equal(found, found.tril())
    torch.testing.assert_close(found.sum(-1), torch.ones(LENGTH, dtype=torch.float64), rtol=0, atol=1e-12)
    assert (found.diagonal() > 0).all()


@pytest.mark.parametrize("name", by_mechanism(OPTIONS))
def test_the_last_rows_alone_are_the_last_rows_of_the_whole_map_however_many_are_computed_at_once(name):
    model, tokens = small(name), random_tokens(LENGTH)
    whole = influence(model, tokens)
    for rows_at_once in (1, 3, LENGTH, 100):
        torch.testing.assert_close(influence(model, tokens, rows_at_once=rows_at_once), whole, rtol=0, atol=1e-12)
        some = influence(model, tokens, num_rows=4, rows_at_once=rows_at_once)
        torch.testing.assert_close(some, whole[-4:], rtol=0, atol=1e-12)
    torch.testing.assert_close(influence(model, tokens, num_rows=1), whole[-1:], rtol=0, atol=1e-12)
    torch.testing.assert_close(influence(model, tokens, num_rows=len(tokens) + 3), whole, rtol=0, atol=1e-12)


@every_option
def test_influence_leaves_the_model_as_it_was(name):
    """Its mode, its gradients, its hooks and its weights; and dropout has no part in the map."""
    model, tokens = small(name, dropout=0.5), random_tokens(LENGTH)
    weights = {key: value.clone() for key, value in model.state_dict().items()}
    found = influence(model, tokens)
    assert not model.training
    model.train()
    assert torch.equal(influence(model, tokens), found)
    assert all(module.training for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(model.state_dict()[key], value) for key, value in weights.items())
    assert not model.embedding._forward_hooks


def test_a_prediction_that_nothing_influences_has_a_row_of_zeros():
    model = small("1")
    with torch.no_grad():
        model.embedding.weight.zero_()  # the output layer too: what remains is its bias
    assert torch.equal(influence(model, random_tokens(5)), torch.zeros(5, 5, dtype=torch.float64))


def test_a_text_of_one_token_has_one_row():
    assert influence(small("1"), random_tokens(1)).tolist() == [[1.0]]


@pytest.mark.parametrize("name", WITH_ATTENTION)
def test_influence_is_not_attention(name):
    """What attention ignores may still matter by another way: in stage 3 the recurrent one, in stage 4 the residual."""
    model, tokens = small(name), random_tokens(LENGTH)
    weights = model(tokens[None], return_attention=True)[2][0].mean((0, 1))
    assert (influence(model, tokens) - weights).abs().max() > 0.01


def test_the_token_predicted_is_the_one_that_followed():
    """Changing the last token changes the influence on its own prediction, and what came before stays."""
    model, tokens = small("2-lstm-torch"), random_tokens(LENGTH)
    others = tokens.clone()
    others[-1] = (others[-1] + 1) % VOCAB_SIZE
    first, second = influence(model, tokens), influence(model, others)
    torch.testing.assert_close(first[:-2], second[:-2], rtol=0, atol=1e-12)
    assert (first[-2] - second[-2]).abs().max() > 1e-3
