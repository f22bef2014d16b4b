"""The contract that all four models keep, with every option: one text, one meaning, however it is cut and asked."""

import io
import math

import pytest
import torch
import torch.nn.functional as F
from options import HIDDEN_SIZE, OPTIONS, VOCAB_SIZE, WINDOW, WITH_ATTENTION, build, random_tokens

from shared.model import output
from shared.model.language_model import map_tensors, state_bytes
from shared.run.device import autocast, choose_device, prepare_process

LENGTH = 150  # many windows, and more than one of sliding_window's blocks
every_option = pytest.mark.parametrize("name", OPTIONS)
with_attention = pytest.mark.parametrize("name", WITH_ATTENTION)
NUM_HEADS = 2


def can_carry(name):
    return name not in ("4-sinusoidal", "4-learned")


def num_heads(name):
    return 1 if name.endswith(("additive", "dot")) else NUM_HEADS


def read_in_chunks(model, tokens, chunk):
    """Logits, attention by absolute position and the last state of a text read `chunk` tokens at a time."""
    state, all_logits, all_weights = None, [], []
    for start in range(0, tokens.size(1), chunk):
        logits, state, weights = model(tokens[:, start : start + chunk], state, return_attention=True)
        all_logits.append(logits)
        if weights is not None:
            stop = start + logits.size(1)  # the last column is token stop - 1, and columns count back from it
            all_weights.append(F.pad(weights, (stop - weights.size(-1), tokens.size(1) - stop)))
    return torch.cat(all_logits, 1), torch.cat(all_weights, -2) if all_weights else None, state


def visible_pairs(length):
    """[t][s]: whether the token just read, t, may look at token s, from the definition of the window."""
    return torch.tensor([[t - WINDOW < s <= t for s in range(length)] for t in range(length)])


# ------------------------------------------------------------------------------------------------ one text, one meaning
@every_option
@torch.no_grad()
def test_a_text_read_in_chunks_of_any_size_gives_the_same_logits_and_attention_as_read_at_once(name):
    model, tokens = build(name), random_tokens(2, LENGTH)
    whole_logits, _, whole_weights = model(tokens, return_attention=True)
    assert whole_logits.shape == (2, LENGTH, VOCAB_SIZE)
    for chunk in (1, 7, WINDOW, 3 * WINDOW):
        logits, weights, _ = read_in_chunks(model, tokens, chunk)
        torch.testing.assert_close(logits, whole_logits, rtol=0, atol=1e-9)
        if name in WITH_ATTENTION:
            torch.testing.assert_close(weights, whole_weights, rtol=0, atol=1e-9)


@every_option
@torch.no_grad()
def test_what_was_read_before_matters(name):
    """Or the state would be an ornament, and the test above would say nothing."""
    model, tokens = build(name), random_tokens(1, LENGTH)
    with_past, _, _ = model(tokens)
    without_past, _, _ = model(tokens[:, -3:])
    assert (with_past[:, -3:] - without_past).abs().max() > 1e-3


@every_option
@torch.no_grad()
def test_a_changed_future_token_changes_no_earlier_logit(name):
    model, tokens = build(name), random_tokens(1, 3 * WINDOW)
    logits, _, _ = model(tokens)
    for changed in (1, WINDOW - 1, WINDOW, 2 * WINDOW, 3 * WINDOW - 1):
        others = tokens.clone()
        others[0, changed] = (tokens[0, changed] + 1) % VOCAB_SIZE
        difference = (model(others)[0] - logits).abs().amax(-1)[0]  # (T)
        assert difference[:changed].max() < 1e-12
        assert difference[changed] > 1e-6


@every_option
@torch.no_grad()
def test_rows_of_a_batch_know_nothing_of_each_other_even_where_the_batch_is_as_large_as_the_text_is_long(name):
    model = build(name)
    for batch_size, length in ((4, 25), (7, 7), (WINDOW, WINDOW)):
        tokens = random_tokens(batch_size, length)
        logits, _, weights = model(tokens, return_attention=True)
        for row in range(batch_size):
            alone, _, alone_weights = model(tokens[row : row + 1], return_attention=True)
            torch.testing.assert_close(logits[row : row + 1], alone, rtol=0, atol=1e-12)
            if weights is not None:
                torch.testing.assert_close(weights[row : row + 1], alone_weights, rtol=0, atol=1e-12)


# ----------------------------------------------------------------------------------------------------------------- loss
@every_option
@torch.no_grad()
def test_the_loss_is_the_cross_entropy_of_the_logits(name):
    model, text = build(name), random_tokens(3, 2 * WINDOW + 1)
    tokens, targets = text[:, :-1], text[:, 1:]
    state_for_loss, state_for_logits = None, None
    for part in (slice(0, WINDOW + 2), slice(WINDOW + 2, None)):  # the second from a state
        logits, next_state, _ = model(tokens[:, part], state_for_logits)
        expected = F.cross_entropy(logits.transpose(1, 2), targets[:, part], reduction="none")  # (B, T)
        each, state = model.loss(tokens[:, part], targets[:, part], state_for_loss, reduction="none")
        total, _ = model.loss(tokens[:, part], targets[:, part], state_for_loss)
        assert each.shape == targets[:, part].shape and total.shape == ()
        torch.testing.assert_close(each, expected, rtol=0, atol=1e-12)
        torch.testing.assert_close(total, expected.sum(), rtol=1e-12, atol=0)
        state_for_loss, state_for_logits = state, next_state


def gradients(model, total):
    """Of the mean, as in training: a gradient that is taken early has to be scaled with the loss."""
    model.zero_grad()
    (total / 720).backward()
    return {name: parameter.grad for name, parameter in model.named_parameters()}


@every_option
def test_the_loss_of_a_large_vocabulary_and_its_gradients_are_those_of_all_its_logits(name):
    vocab_size = 1200
    model = build(name, vocab_size=vocab_size)
    text = torch.randint(vocab_size, (8, 91), generator=torch.Generator().manual_seed(2))
    total, _ = model.loss(text[:, :-1], text[:, 1:])
    found = gradients(model, total)
    logits, _, _ = model(text[:, :-1])
    expected = F.cross_entropy(logits.flatten(0, 1), text[:, 1:].flatten(), reduction="sum")
    torch.testing.assert_close(total, expected, rtol=1e-12, atol=0)
    for parameter, gradient in gradients(model, expected).items():
        torch.testing.assert_close(found[parameter], gradient, rtol=0, atol=1e-12, msg=parameter)


@pytest.fixture
def banded(monkeypatch):
    """A vocabulary of 20 in bands: 4 frequent tokens, then 3, then the rest."""
    monkeypatch.setattr(output, "CUTS", (4, 7))
    model = build("1", vocab_size=20)
    assert len(model.output.band_vectors) == 2
    return model


@torch.no_grad()
def test_the_probabilities_of_a_banded_vocabulary_are_those_of_the_formula(banded):
    features = torch.randn(3, 5, HIDDEN_SIZE, dtype=torch.float64)
    log_probabilities = banded.output(features)
    torch.testing.assert_close(
        log_probabilities.exp().sum(-1), torch.ones(3, 5, dtype=torch.float64), rtol=0, atol=1e-12
    )
    vectors, bias, layer = banded.embedding.weight, banded.output.bias, banded.output

    def softmax(feature, rows):
        """rows: (vector, bias) of every choice."""
        exponentials = [math.exp(feature @ vector + offset) for vector, offset in rows]
        return [part / sum(exponentials) for part in exponentials]

    words = list(zip(vectors, bias))
    for position in ((0, 0), (2, 4)):
        feature = features[position]
        first = softmax(feature, words[:4] + list(zip(layer.band_vectors, layer.band_bias)))
        expected = first[:4]
        for band, (start, stop) in enumerate(((4, 7), (7, 20))):
            expected += [first[4 + band] * share for share in softmax(feature, words[start:stop])]
        assert log_probabilities[position].exp().tolist() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("targets", [[0, 1, 2], [4, 5, 6], [7, 19, 8], [0, 6, 19]], ids=str)
def test_a_banded_loss_needs_no_target_in_every_band(banded, targets):
    targets = torch.tensor([targets])
    tokens = random_tokens(1, 3)
    each, _ = banded.loss(tokens, targets, reduction="none")
    expected = F.cross_entropy(banded(tokens)[0][0], targets[0], reduction="none")
    torch.testing.assert_close(each[0], expected, rtol=0, atol=1e-12)
    each.sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in banded.parameters())


# ------------------------------------------------------------------------------------------------------------ attention
@every_option
@torch.no_grad()
@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-12), (torch.float32, 1e-6)], ids=["f64", "f32"])
def test_asking_for_attention_changes_no_logit(name, dtype, tolerance):
    model, tokens = build(name, dtype), random_tokens(2, 3 * WINDOW)
    plain, _, nothing = model(tokens)
    asked, _, weights = model(tokens, return_attention=True)
    assert nothing is None
    assert (weights is None) == (name not in WITH_ATTENTION)
    torch.testing.assert_close(asked, plain, rtol=0, atol=tolerance)


@with_attention
@torch.no_grad()
def test_attention_has_a_map_for_every_layer_and_head_over_all_that_is_remembered_and_just_read(name):
    model = build(name)
    layers = 1 if name.startswith("3") else 2
    _, state, weights = model(random_tokens(3, 4), return_attention=True)
    assert weights.shape == (3, layers, num_heads(name), 4, 4)
    _, _, weights = model(random_tokens(3, 5), state, return_attention=True)
    assert weights.shape == (3, layers, num_heads(name), 5, 9)


@with_attention
@torch.no_grad()
def test_each_token_looks_at_its_window_and_nowhere_else(name):
    """Zero above the diagonal and before the window; elsewhere every remembered token has some weight."""
    weights = build(name)(random_tokens(2, 5 * WINDOW), return_attention=True)[2]
    visible = visible_pairs(5 * WINDOW).expand(weights.shape)
    assert weights[~visible].count_nonzero() == 0
    if can_carry(name):  # the other positions start their window anew when it is full, so they see a part of it
        assert (weights[visible] > 0).all()
    sums = weights.sum(-1)
    torch.testing.assert_close(sums, torch.ones_like(sums), rtol=0, atol=1e-12)


@with_attention
@torch.no_grad()
def test_windows_that_start_anew_never_forget_more_than_half(name):
    weights = build(name)(random_tokens(1, 5 * WINDOW), return_attention=True)[2]
    seen = weights.count_nonzero(-1)[..., WINDOW:]
    assert seen.max() == WINDOW
    assert seen.min() == (WINDOW if can_carry(name) else WINDOW // 2 + 1)


@with_attention
@torch.no_grad()
def test_attention_is_taken_before_dropout(name):
    """In training mode too: rows sum to 1, nothing is dropped out of them."""
    model = build(name, dropout=0.5).train()
    for _ in range(3):
        sums = model(random_tokens(2, 20), return_attention=True)[2].sum(-1)
        torch.testing.assert_close(sums, torch.ones_like(sums), rtol=0, atol=1e-12)


@with_attention
@torch.no_grad()
def test_in_eval_mode_dropout_changes_nothing(name):
    tokens = random_tokens(2, 20)
    expected, _, expected_weights = build(name, dropout=0.0)(tokens, return_attention=True)
    logits, _, weights = build(name, dropout=0.5)(tokens, return_attention=True)
    assert torch.equal(logits, expected) and torch.equal(weights, expected_weights)
    logits, _, weights = build(name, dropout=0.0).train()(tokens, return_attention=True)
    assert torch.equal(logits, expected) and torch.equal(weights, expected_weights)


# ---------------------------------------------------------------------------------------------------------------- state
def leaves(state):
    """All that is not a tuple, in order."""
    return [leaf for part in state for leaf in leaves(part)] if isinstance(state, tuple) else [state]


@every_option
@torch.no_grad()
def test_the_state_is_nested_tuples_of_batch_first_tensors_and_ints(name):
    _, state, _ = build(name)(random_tokens(5, WINDOW + 3))
    assert isinstance(state, tuple)
    for leaf in leaves(state):
        assert type(leaf) in (torch.Tensor, int)
        assert type(leaf) is int or leaf.size(0) == 5


@every_option
@torch.no_grad()
def test_a_saved_state_goes_on_where_it_stopped(name):
    model, tokens = build(name), random_tokens(2, 4 * WINDOW)
    _, state, _ = model(tokens[:, : 3 * WINDOW])
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    loaded = torch.load(file, weights_only=True)
    assert state_bytes(loaded) == state_bytes(state)
    rest = tokens[:, 3 * WINDOW :]
    assert torch.equal(model(rest, loaded)[0], model(rest, state)[0])


@every_option
@torch.no_grad()
def test_the_state_stops_growing(name):
    """Whatever has been read: constant in stages 1 and 2, and at most a window's worth in stages 3 and 4."""
    model, tokens, numbers = build(name), random_tokens(2, LENGTH), 2 * HIDDEN_SIZE * 8  # bytes of two float64 vectors
    sizes = []
    state = None
    for token in tokens.split(1, dim=1):
        _, state, _ = model(token, state)
        sizes.append(state_bytes(state))
    vectors = 2 * (2 if "lstm" in name or name in ("2-embedding", "3-embedding") else 1)  # two layers
    if name[0] in "12":
        assert set(sizes) == {vectors * numbers}
    elif name.startswith("3"):
        ids = 2 * WINDOW * 8
        assert set(sizes[WINDOW:]) == {(vectors + 2 * WINDOW) * numbers + ids}  # a key, a value and a word a place
    else:
        ids = 0 if can_carry(name) else 2 * WINDOW * 8
        assert max(sizes) <= 2 * 2 * (WINDOW - 1) * numbers + ids  # keys and values of two layers
        assert max(sizes[-2 * WINDOW :]) == max(sizes)
    assert state_bytes(model(tokens)[1]) <= max(sizes)


@every_option
def test_carry_hands_on_the_state_without_its_gradients_or_nothing_at_all(name):
    model, tokens = build(name), random_tokens(2, 7)
    _, state, _ = model(tokens)
    carried = model.carry(state)
    if not can_carry(name):
        assert carried is None
        return
    pairs = list(zip(leaves(state), leaves(carried), strict=True))
    assert all(before == after for before, after in pairs if isinstance(before, int))
    tensors = [(before, after) for before, after in pairs if not isinstance(before, int)]
    assert any(before.requires_grad for before, _ in tensors)
    for before, after in tensors:
        assert torch.equal(before, after) and not after.requires_grad


@every_option
def test_a_second_training_chunk_can_be_learned_from_after_the_first_ones_graph_is_gone(name):
    model, tokens = build(name).train(), random_tokens(2, 3 * WINDOW)
    state = None
    for chunk in tokens.split(WINDOW, dim=1):
        total, state = model.loss(chunk, chunk, model.carry(state))
        total.backward()
        learning = (parameter for parameter in model.parameters() if parameter.requires_grad and parameter.numel())
        used = [parameter.grad for parameter in learning]
        assert all(gradient.isfinite().all() for gradient in used)


@every_option
@torch.no_grad()
def test_a_state_can_be_repeated_and_gathered_along_the_batch(name):
    model, tokens = build(name), random_tokens(3, WINDOW + 4)
    _, state, _ = model(tokens)
    following = random_tokens(3, 2 * WINDOW, seed=5)
    expected, _, _ = model(following, state)

    chosen = torch.tensor([2, 0, 2, 1])
    gathered = map_tensors(lambda tensor: tensor[chosen], state)
    torch.testing.assert_close(model(following[chosen], gathered)[0], expected[chosen], rtol=0, atol=1e-12)

    repeated = map_tensors(lambda tensor: tensor.repeat_interleave(2, dim=0), state)
    logits, _, _ = model(following.repeat_interleave(2, dim=0), repeated)
    torch.testing.assert_close(logits, expected.repeat_interleave(2, dim=0), rtol=0, atol=1e-12)


# ------------------------------------------------------------------------------------------------------- embedding, GPU
@every_option
@torch.no_grad()
def test_tokens_enter_through_the_embedding_alone(name):
    """Scrambled ids with equally scrambled embeddings give the same logits, scrambled."""
    model, tokens = build(name), random_tokens(2, 2 * WINDOW)
    expected, _, _ = model(tokens)
    order = torch.randperm(VOCAB_SIZE, generator=torch.Generator().manual_seed(3))
    model.embedding.weight.copy_(model.embedding.weight[order.argsort()])
    model.output.bias.copy_(model.output.bias[order.argsort()])
    torch.testing.assert_close(model(order[tokens])[0], expected[..., order.argsort()], rtol=0, atol=1e-12)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="the fused kernels run on a GPU only")
def test_on_a_gpu_asking_for_attention_changes_no_logit_and_a_token_without_a_past_leaves_no_nan():
    for name in WITH_ATTENTION:
        model, tokens = build(name, torch.float32).cuda(), random_tokens(2, LENGTH).cuda()
        with torch.backends.cudnn.flags(enabled=False):  # its recurrent layers have no backward pass in eval mode
            plain, _, _ = model(tokens)
            asked, _, _ = model(tokens, return_attention=True)
        torch.testing.assert_close(asked, plain, rtol=0, atol=1e-6, msg=name)
        gradient = torch.autograd.grad(plain[:, :2].sum(), model.embedding.weight)[0]
        assert gradient.isfinite().all(), name


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="the fused kernels run on a GPU only")
@pytest.mark.parametrize("length", [64, 65, 192])
def test_on_a_gpu_training_in_bfloat16_has_finite_gradients_at_lengths_that_have_failed(length):
    device = choose_device("cuda")
    prepare_process(device)
    for name in WITH_ATTENTION:
        model, tokens = build(name, torch.float32).to(device).train(), random_tokens(2, length + 1).to(device)
        with autocast(device, "bfloat16"):
            nats, _ = model.loss(tokens[:, :-1], tokens[:, 1:])
        nats.backward()
        assert all(weight.grad.isfinite().all() for weight in model.parameters() if weight.grad is not None), name
