"""Perplexity, and the lanes in which a text is scored: every token once, each after its own past."""

import math
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from options import OPTIONS, VOCAB_SIZE, build, by_mechanism, random_tokens
from torch import nn

from shared.measure.evaluation import LANES, WARM_UP, Evaluation, evaluate, evaluate_in_windows, token_losses
from shared.stages import ROOT
from shared.text.batches import Lanes

every_option = pytest.mark.parametrize("name", OPTIONS)


# -------------------------------------------------------------------------------------------------------------- metrics
def test_perplexity_is_the_exponential_of_the_mean_over_tokens():
    """Two batches, of unequal length and difficulty; the mean of their perplexities is something else."""
    easy, hard = [math.log(2)] * 30, [math.log(50)] * 10
    whole = Evaluation(sum(easy) + sum(hard), 40)
    assert whole.perplexity == pytest.approx(2 ** (3 / 4) * 50 ** (1 / 4))


def test_a_uniform_guess_is_as_perplexed_as_there_are_tokens():
    assert Evaluation(100 * math.log(65), 100).perplexity == pytest.approx(65)


def test_bits_per_character_count_characters_and_not_tokens():
    """8 bits for a token that stands for 4 characters are 2 bits for each of them."""
    assert Evaluation(10 * math.log(256), 10, characters=40).bits_per_character == pytest.approx(2)
    assert Evaluation(10 * math.log(256), 10).bits_per_character is None


def test_a_hopeless_model_has_infinite_perplexity():
    assert Evaluation(1e6, 10).perplexity == math.inf


# ---------------------------------------------------------------------------------- what is read, by a model that tells
class Reader(nn.Module):
    """Takes down what it is given. Its state: how many tokens were read, and the last one; token n of the text is n."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(1, 1)
        self.chunks = []

    def features(self, tokens, state, return_attention):
        read, last = state or (0, tokens[:, 0] - 1)
        assert torch.equal(tokens[:, 0], last + 1), "the state belongs to another place in the text"
        self.chunks.append(tokens.size(1))
        return None, (read + tokens.size(1), tokens[:, -1]), None

    def loss(self, tokens, targets, state, reduction):
        assert reduction == "none"
        real = tokens < self.last_token  # past the end, the last token is repeated
        assert torch.equal(targets[real], tokens[real] + 1)
        read, last = state or (0, tokens[:, 0] - 1)
        going_on = real[:, 0]
        assert torch.equal(tokens[going_on, 0], last[going_on] + 1), "the state belongs to another place in the text"
        assert (read == 0) == (state is None)
        assert (tokens[:, 0][going_on] >= read).all() and (read >= min(WARM_UP, int(tokens[0, 0])))
        self.chunks.append(tokens.size(1))
        return targets.float(), (read + tokens.size(1), tokens[:, -1])


@pytest.mark.parametrize("lanes", [1, 3, LANES])
@pytest.mark.parametrize("length", [2, 3, 5, 31, 32, 33, 34, 64, 65, 100, 1000, 5000])
def test_every_token_but_the_first_is_scored_once_after_its_own_past(length, lanes):
    """The reader gives its target's number for a loss, so the losses must come out as 1, 2, 3, ..."""
    reader = Reader()
    reader.last_token = length - 1
    losses = token_losses(reader, torch.arange(length), context_length=16, lanes=lanes)
    assert torch.equal(losses, torch.arange(1, length, dtype=torch.float64))
    assert max(reader.chunks) <= 8, "no chunk is longer than half a context"


# -------------------------------------------------------------------------------------------------- against brute force
@torch.no_grad()
def token_by_token(model, ids):
    """The text read from its first token to its last with one state: the plainest scoring there is."""
    state, losses = None, []
    for token, target in zip(ids[:-1], ids[1:]):
        logits, state, _ = model(token.view(1, 1), state)
        losses.append(F.cross_entropy(logits[0], target[None]))
    return torch.stack(losses)


@pytest.mark.parametrize("name, length", [*product(OPTIONS, [2, 7, 33]), *by_mechanism(product(OPTIONS, [200]))])
def test_a_text_that_the_warm_up_covers_is_scored_as_if_read_token_by_token(name, length):
    model, ids = build(name), random_tokens(length)
    torch.testing.assert_close(token_losses(model, ids, 10), token_by_token(model, ids), rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", by_mechanism(["1", "2-lstm-torch", "2-gru-torch", "3-rnn-multi-head", "4-rotary"]))
def test_in_a_long_text_a_lanes_warm_up_is_as_good_as_all_that_was_before(name):
    """These small models, untrained, forget within the warm-up."""
    model, ids = build(name), random_tokens(LANES * 50)
    assert len(ids) > 3 * WARM_UP
    expected = token_by_token(model, ids)
    torch.testing.assert_close(token_losses(model, ids, 10), expected, rtol=0, atol=1e-6)
    evaluation = evaluate(model, ids, 10, characters=500)
    assert evaluation.count == len(ids) - 1
    assert evaluation.loss == pytest.approx(expected.mean().item(), abs=1e-7)
    assert evaluation.perplexity == pytest.approx(math.exp(expected.mean().item()), rel=1e-6)
    assert evaluation.bits_per_character == pytest.approx(expected.sum().item() / math.log(2) / 500, rel=1e-6)


def test_without_a_warm_up_lanes_would_start_from_nothing(monkeypatch):
    """The check above means something: the lanes' first tokens are scored otherwise."""
    model, ids = build("2-gru-torch"), random_tokens(400)
    monkeypatch.setattr("shared.measure.evaluation.WARM_UP", 0)
    assert (token_losses(model, ids, 10) - token_by_token(model, ids)).abs().max() > 0.01


@pytest.mark.parametrize("name", by_mechanism(OPTIONS))
def test_a_score_depends_on_nothing_but_the_text(name):
    """Not on the mode, dropout, random numbers or what was scored before; and the model is left in eval mode."""
    ids = random_tokens(70)
    first = token_losses(build(name), ids, 10)
    model = build(name, dropout=0.5).train()
    torch.manual_seed(99)
    token_losses(model, random_tokens(40, seed=5), 10)
    assert torch.equal(token_losses(model.train(), ids, 10), first)
    assert not model.training


# ------------------------------------------------------------------------------------------------ on a model that reads
CONTEXT_LENGTH = 16


@pytest.fixture(scope="module")
def text():
    """The ids of some Shakespeare, 11 kinds of character: ten common ones, and the rest."""
    characters = (ROOT / "data" / "shakespeare.txt").read_text(encoding="utf-8")[20_000:100_000].lower()
    common = " etoahsnri"
    return torch.tensor([common.find(character) + 1 for character in characters])


# The last one's windows start anew at other places in other lanes, which only a longer text evens out.
@pytest.mark.parametrize(
    "name, length",
    [
        *by_mechanism([("1", 4000), ("2-lstm-torch", 4000), ("3-gru-multi-head", 4000), ("4-rotary", 4000)]),
        pytest.param("4-learned", 15_900, marks=pytest.mark.thorough),
    ],
)
def test_one_lane_instead_of_many_gives_the_same_loss(name, length, text):
    model = build(name, torch.float32, window=CONTEXT_LENGTH, hidden_size=32, num_layers=1).train()
    training, held_out = text[:-length], text[-length:]
    batches = Lanes(training, 32, CONTEXT_LENGTH, seed=0)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    carry = None
    for number in range(150):
        batch = batches.batch(number)
        total, state = model.loss(batch.inputs, batch.targets, None if batch.restart else carry)
        carry = model.carry(state)
        optimizer.zero_grad()
        (total / batch.targets.numel()).backward()
        optimizer.step()
    shares = torch.bincount(training, minlength=VOCAB_SIZE) / len(training)
    many = token_losses(model, held_out, CONTEXT_LENGTH).mean()
    one = token_losses(model, held_out, CONTEXT_LENGTH, lanes=1).mean()
    assert one < -(shares * shares.log()).sum() - 0.1, "it has learned more than how frequent each character is"
    assert abs(many - one) < 0.002


# -------------------------------------------------------------------------------------------------------------- windows
@every_option
def test_a_window_is_read_without_what_comes_before_it(name):
    model, ids = build(name), random_tokens(21)
    [logits] = model(ids[None, :20])[0].detach()
    expected = F.cross_entropy(logits, ids[1:]).item()
    assert evaluate_in_windows(model, ids, 20, windows=70, seed=1) == pytest.approx(expected)  # there is only one


def test_windows_are_drawn_by_the_seed_and_from_all_of_the_text():
    model, ids = build("1"), random_tokens(400)
    first, again, other = (evaluate_in_windows(model, ids, 10, 50, seed) for seed in (1, 1, 2))
    assert first == again != other
    many = evaluate_in_windows(model, ids, 10, 4000, seed=3)
    nats = [evaluate_in_windows(model, ids[start : start + 11], 10, 1, 0) for start in range(390)]
    assert many == pytest.approx(sum(nats) / len(nats), rel=0.02)
