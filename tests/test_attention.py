"""The attention toolbox against plain loops and torch's own modules; its masks, its windows and its memory."""

import math

import pytest
import torch
import torch.nn.functional as F
from properties import given, settings, st
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import shared.model.attention as toolbox
import shared.model.window as window_module
from shared.model.attention import (
    AdditiveAttention,
    DotAttention,
    MultiHeadAttention,
    attend,
    causal_mask,
    masked_softmax,
    padding_mask,
)
from shared.model.window import fused_attend, last_places, sliding_window, weights_map

SIZE = 6
KINDS = {
    "additive": lambda: AdditiveAttention(SIZE, SIZE, 4),
    "dot": lambda: DotAttention(),
    "multi-head": lambda: MultiHeadAttention(SIZE, SIZE, num_heads=2),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def build(kind, dtype=torch.float64):
    torch.manual_seed(0)
    return KINDS[kind]().to(dtype)


def randn(*shape, seed=1, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def close(actual, expected, tolerance=1e-12):
    torch.testing.assert_close(actual, expected, rtol=0, atol=tolerance)


# ---------------------------------------------------------------------------------------------------------------- masks
def test_a_causal_mask_is_what_its_definition_says():
    for num_queries, num_keys, window in [(4, 4, None), (2, 5, None), (3, 7, 2), (1, 6, 9), (4, 3, None), (5, 4, 2)]:
        mask = causal_mask(num_queries, num_keys, window)
        assert mask.shape == (num_queries, num_keys) and mask.dtype == torch.bool
        for query in range(num_queries):
            newest = num_keys - num_queries + query
            oldest = 0 if window is None else newest - window + 1
            assert mask[query].tolist() == [oldest <= key <= newest for key in range(num_keys)]


def test_a_padding_mask_shows_each_sequence_its_own_tokens():
    mask = padding_mask(torch.tensor([2, 4, 0]), 4)
    assert mask.shape == (3, 1, 4)
    assert mask.int().tolist() == [[[1, 1, 0, 0]], [[1, 1, 1, 1]], [[0, 0, 0, 0]]]


def test_masked_weights_are_exactly_zero_and_the_rest_is_a_softmax_of_what_is_seen():
    scores, mask = randn(3, 5, 7) * 50, randn(3, 5, 7, seed=2) > 0
    mask[..., 0] = True
    weights = masked_softmax(scores, mask)
    assert weights[~mask].count_nonzero() == 0
    for b in range(3):
        for q in range(5):
            close(weights[b, q][mask[b, q]], scores[b, q][mask[b, q]].softmax(-1))


# ------------------------------------------------------------------------------------------- scaled dot product: attend
@pytest.mark.parametrize(
    "mask", [None, causal_mask(5, 8), causal_mask(5, 8, window=3)], ids=["all", "causal", "window"]
)
def test_explicit_weights_are_the_softmax_and_outputs_are_the_fused_kernels(mask):
    q, k, v = (randn(2, 3, length, 4, seed=length + 7, dtype=torch.float32) for length in (5, 8, 8))
    context, weights = attend(q, k, v, mask)
    scores = torch.einsum("bhqd,bhkd->bhqk", q, k) / math.sqrt(4)
    close(weights, (scores if mask is None else scores.masked_fill(~mask, -math.inf)).softmax(-1), 1e-6)
    close(context, F.scaled_dot_product_attention(q, k, v, attn_mask=mask), 1e-6)


@pytest.mark.parametrize("mask", [causal_mask(6, 6), causal_mask(6, 6).tril(-1)], ids=["causal", "none for the first"])
def test_many_keys_are_given_to_the_fused_kernel_and_nothing_changes(mask, monkeypatch):
    def context_and_gradients():
        parts = [randn(2, 3, 6, 4, seed=seed).requires_grad_() for seed in (1, 2, 3)]
        context, _ = fused_attend(*parts, mask)
        return [context, *torch.autograd.grad(context.square().sum(), parts)]

    fused_calls = []
    fused_kernel = F.scaled_dot_product_attention
    monkeypatch.setattr(
        F, "scaled_dot_product_attention", lambda *x, **y: fused_calls.append(1) or fused_kernel(*x, **y)
    )
    written_out = context_and_gradients()
    assert not fused_calls
    monkeypatch.setattr(window_module, "FUSED_FROM", 6)
    for fused, explicit in zip(context_and_gradients(), written_out, strict=True):
        close(fused, explicit)
    assert fused_calls


def test_queries_that_continue_a_cache_see_all_of_it():
    """The last 3 of 10 tokens, asked alone, see what they see when all 10 are asked at once."""
    q, k, v = randn(1, 10, 4), randn(1, 10, 4, seed=2), randn(1, 10, 4, seed=3)
    whole, _ = attend(q, k, v, causal_mask(10, 10))

    def differs(rest):
        return (rest - whole[:, -3:]).abs().max() > 1e-12

    assert not differs(attend(q[:, -3:], k, v, causal_mask(3, 10))[0])
    # The usual mistake: is_causal aligns its mask at the top left, so the first new token sees the oldest key only.
    assert differs(F.scaled_dot_product_attention(q[:, -3:], k, v, is_causal=True))


# ------------------------------------------------------------------------------------------------------------- additive
def test_additive_attention_is_the_papers_formula_in_plain_python():
    attention = AdditiveAttention(query_size=3, key_size=5, attention_size=4).double()
    queries, keys, values = randn(2, 3, 3), randn(2, 6, 5, seed=2), randn(2, 6, 2, seed=3)
    mask = causal_mask(3, 6) & padding_mask(torch.tensor([6, 4]), 6)
    context, weights = attention(queries, keys, values, mask)
    assert context.shape == (2, 3, 2) and weights.shape == (2, 1, 3, 6)
    W, w, U = (tensor.tolist() for tensor in (attention.query.weight, attention.query.bias, attention.key.weight))
    v = attention.score.weight[0].tolist()

    def score(query, key):
        inner = [
            sum(W[a][i] * x for i, x in enumerate(query)) + w[a] + sum(U[a][i] * x for i, x in enumerate(key))
            for a in range(4)
        ]
        return sum(v[a] * math.tanh(inner[a]) for a in range(4))

    for b in range(2):
        for t in range(3):
            query, seen = queries[b, t].tolist(), [s for s in range(6) if mask[b, t, s]]
            exponentials = {s: math.exp(score(query, keys[b, s].tolist())) for s in seen}
            expected = [exponentials.get(s, 0.0) / sum(exponentials.values()) for s in range(6)]
            close(weights[b, 0, t], torch.tensor(expected, dtype=torch.float64))
            for d in range(2):
                by_hand = sum(p * values[b, s, d].item() for s, p in enumerate(expected))
                assert context[b, t, d].item() == pytest.approx(by_hand, abs=1e-12)


# ----------------------------------------------------------------------------------------------------------- multi-head
def torchs_twin(attention, query_size, key_size):
    """`nn.MultiheadAttention` with the same weights."""
    module = nn.MultiheadAttention(
        query_size, attention.num_heads, bias=False, kdim=key_size, vdim=key_size, batch_first=True
    ).double()
    projections = [attention.query.weight, attention.key.weight, attention.value.weight]
    with torch.no_grad():
        if query_size == key_size:
            module.in_proj_weight.copy_(torch.cat(projections))
        else:
            for theirs, ours in zip((module.q_proj_weight, module.k_proj_weight, module.v_proj_weight), projections):
                theirs.copy_(ours)
        module.out_proj.weight.copy_(attention.output.weight)
    return module


@pytest.mark.parametrize("causal, num_queries, num_keys", [
    (False, 7, 7), (False, 3, 7), (False, 7, 3), (True, 7, 7), (True, 3, 7), (True, 1, 7)
])  # fmt: skip
@pytest.mark.parametrize("padding", [False, True], ids=["full", "padded"])
@pytest.mark.parametrize("key_size", [8, 5])
def test_multi_head_attention_is_torchs_own(causal, num_queries, num_keys, padding, key_size):
    attention = MultiHeadAttention(query_size=8, key_size=key_size, num_heads=4).double()
    # As many samples as there are keys: a mask of the wrong rank mixes samples then, without an error.
    queries, keys = randn(num_keys, num_queries, 8), randn(num_keys, num_keys, key_size, seed=2)
    lengths = torch.arange(num_keys) % num_keys + 1
    mask, their_masks = None, {}
    if causal:
        mask = causal_mask(num_queries, num_keys)
        their_masks["attn_mask"] = ~mask  # there, True means hidden
    if padding:
        real = padding_mask(lengths, num_keys)
        mask = real if mask is None else mask & real
        their_masks["key_padding_mask"] = ~real[:, 0]
    ours, our_weights = attention(queries, keys, keys, mask)
    twin = torchs_twin(attention, 8, key_size)
    theirs, their_weights = twin(queries, keys, keys, average_attn_weights=False, **their_masks)
    assert ours.shape == (num_keys, num_queries, 8) and our_weights.shape == (num_keys, 4, num_queries, num_keys)
    close(ours, theirs)
    close(our_weights, their_weights)


def test_multi_head_attention_refuses_heads_that_do_not_divide_its_size():
    with pytest.raises(ValueError, match="multiple"):
        MultiHeadAttention(query_size=8, key_size=8, num_heads=3)


def test_weights_are_handed_out_before_dropout_and_the_context_is_taken_after_it():
    torch.manual_seed(0)
    attention = MultiHeadAttention(SIZE, SIZE, num_heads=2, dropout=0.5).double()
    x = randn(2, 9, SIZE)
    expected_context, expected = attention.eval()(x, x, x, causal_mask(9, 9))
    context, weights = attention.train()(x, x, x, causal_mask(9, 9))
    close(weights, expected)
    assert (context - expected_context).abs().max() > 0.01
    mean = sum(attention(x, x, x, causal_mask(9, 9))[0] for _ in range(2000)) / 2000
    assert (mean - expected_context).abs().max() < 0.1 * expected_context.abs().max()


# ------------------------------------------------------------------------------------------------------ all three kinds
@every_kind
def test_a_query_that_may_attend_to_nothing_gets_zeros_and_breaks_no_gradient(kind):
    attention, x = build(kind), randn(3, 4, SIZE).requires_grad_()
    mask = causal_mask(4, 4).tril(-1) & padding_mask(torch.tensor([4, 2, 0]), 4)
    context, weights = attention(x, x, x, mask)
    nothing = ~mask.any(-1)  # (B, Tq)
    assert nothing.tolist() == [[True, False, False, False], [True, False, False, False], [True] * 4]
    assert context[nothing].count_nonzero() == 0
    assert weights.transpose(1, 2)[nothing].count_nonzero() == 0
    gradient = torch.autograd.grad(context.square().sum(), [x, *attention.parameters()])
    assert all(part.isfinite().all() for part in gradient)
    assert gradient[0][2].count_nonzero() == 0, "a sequence without any key has nothing to learn"
    # The usual mistake, -inf before the softmax, fails this very check.
    scores = (x @ x.transpose(1, 2)).masked_fill(~mask, -math.inf)
    assert not torch.autograd.grad((scores.softmax(-1) @ x).sum(), x)[0].isfinite().all()


@every_kind
def test_padding_has_no_say(kind):
    attention, queries, keys = build(kind), randn(3, 2, SIZE), randn(3, 5, SIZE, seed=2)
    lengths = torch.tensor([5, 3, 1])
    context, _ = attention(queries, keys, keys, padding_mask(lengths, 5))
    for row, length in enumerate(lengths.tolist()):
        alone, _ = attention(queries[row : row + 1], keys[row : row + 1, :length], keys[row : row + 1, :length])
        close(context[row : row + 1], alone)


@every_kind
def test_a_batch_as_large_as_its_texts_are_long_does_not_mix_them(kind):
    attention, x = build(kind), randn(6, 6, SIZE)
    for mask in (causal_mask(6, 6), causal_mask(6, 6) & padding_mask(torch.arange(1, 7), 6)):
        context, weights = attention(x, x, x, mask)
        for row in range(6):
            own = x[row : row + 1]
            own_mask = mask if mask.dim() == 2 else mask[row : row + 1]
            alone, alone_weights = attention(own, own, own, own_mask)
            close(context[row : row + 1], alone)
            close(weights[row : row + 1], alone_weights)


# ------------------------------------------------------------------------------------------------------- sliding window
def band(num_queries, past, window):
    """The window's mask, pair by pair."""
    rows = [[past + q - s in range(window) for s in range(past + num_queries)] for q in range(num_queries)]
    return torch.tensor(rows)


@every_kind
@settings(max_examples=60)
@given(
    num_queries=st.integers(1, 20),
    past=st.integers(0, 12),
    window=st.integers(1, 15),
    block_size=st.integers(1, 8),
)
def test_a_sliding_window_is_full_attention_with_a_banded_mask(kind, num_queries, past, window, block_size):
    attention, results = build(kind), []
    mask = band(num_queries, past, window)
    for in_blocks in (True, False):
        queries = randn(2, num_queries, SIZE).requires_grad_()
        keys, values = (randn(2, past + num_queries, SIZE, seed=seed).requires_grad_() for seed in (2, 3))
        if in_blocks:
            context, weights = sliding_window(
                attention, queries, keys, values, window, return_weights=True, block_size=block_size
            )
            weights = weights_map(weights, past + num_queries)
            unasked, nothing = sliding_window(attention, queries, keys, values, window, block_size=block_size)
            assert nothing is None
            close(unasked, context)
        else:
            context, weights = attention(queries, keys, values, mask)
        wanted = [queries, keys, values, *attention.parameters()]
        gradients = torch.autograd.grad((context * randn(*context.shape, seed=4)).sum(), wanted)
        results.append([context, weights, *gradients])
    for blocks, whole in zip(*results, strict=True):
        close(blocks, whole)


@pytest.mark.parametrize("num_queries, past, window", [(1, 0, 4), (3, 0, 2), (3, 5, 2), (2, 1, 9), (4, 4, 4)])
def test_what_stands_in_a_window_is_what_its_weights_are_of(num_queries, past, window):
    """Laid out over the text, place s of every window is column s of the map; a window ends with its own place."""
    numbers = torch.arange(1, past + num_queries + 1)[None]  # (1, Tk): no place is 0
    places = last_places(numbers, num_queries, window)
    for q, row in enumerate(places[0].tolist()):
        end = past + q + 1
        assert row == [0] * (window - end) + list(range(max(1, end - window + 1), end + 1))
    spread = weights_map(places.float(), past + num_queries)  # each number as the weight of its own place
    assert torch.equal(spread[0], numbers * band(num_queries, past, window))


# --------------------------------------------------------------------------------------------------------------- memory
class PeakMemory(TorchDispatchMode):
    """The most bytes alive at once among all tensors that operations made, counted after each of them."""

    def __init__(self):
        super().__init__()
        self.alive, self.peak = {}, 0  # where a storage lies -> a weak reference to it, its bytes

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        result = function(*arguments, **(keywords or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                self.alive[storage.data_ptr()] = (StorageWeakRef(storage), storage.nbytes())
        self.alive = {where: entry for where, entry in self.alive.items() if not entry[0].expired()}
        self.peak = max(self.peak, sum(size for _, size in self.alive.values()))
        return result


def peak_of_forward_and_backward(attention, length, window=32):
    x = torch.randn(1, length, SIZE, requires_grad=True)
    with PeakMemory() as memory:
        context, _ = attention(x, window)
        context.sum().backward()
    return memory.peak


def grows_linearly(attention):
    """Twice the length needs at most about twice the memory, forward and backward together."""
    at_256, at_512, at_1024 = (peak_of_forward_and_backward(attention, length) for length in (256, 512, 1024))
    return at_512 <= 2.2 * at_256 and at_1024 <= 2.2 * at_512


def test_the_memory_meter_knows_what_a_plain_sum_of_squares_needs():
    with PeakMemory() as memory:
        for _ in range(3):  # freed each time, so it counts once
            (torch.ones(1000) * 2).sum()
    assert 8000 <= memory.peak <= 8100


@every_kind
def test_memory_of_forward_and_backward_grows_with_the_length_and_not_with_its_square(kind):
    module = build(kind, torch.float32)
    assert grows_linearly(lambda x, window: sliding_window(module, x, x, x, window))


@every_kind
def test_so_does_memory_where_the_weights_of_every_window_are_kept(kind):
    module = build(kind, torch.float32)
    assert grows_linearly(lambda x, window: sliding_window(module, x, x, x, window, return_weights=True))


def test_memory_grows_with_the_length_where_the_window_is_the_whole_text():
    """There every query sees all before it: what stays linear is that each block is computed again."""
    module = MultiHeadAttention(SIZE, SIZE, num_heads=2)
    assert grows_linearly(lambda x, window: sliding_window(module, x, x, x, x.size(1)))


@every_kind
def test_all_pairs_at_once_fail_the_memory_check(kind):
    """For additive attention that is the (B, T, T, H) tensor of the usual code."""
    module = build(kind, torch.float32)
    assert not grows_linearly(lambda x, window: module(x, x, x, causal_mask(x.size(1), x.size(1), window)))


def test_the_tanh_of_all_pairs_is_not_kept_for_the_backward_pass(monkeypatch):
    module = AdditiveAttention(SIZE, SIZE, 32)

    def attention(x, window):
        return torch.cat([module(queries, x, x)[0] for queries in x.split(128, dim=1)], dim=1), None

    def gradients():
        x = randn(1, 300, SIZE, dtype=torch.float32).requires_grad_()
        return torch.autograd.grad(attention(x, 32)[0].square().sum(), [x, *module.parameters()])

    recomputed, recomputed_gradients = peak_of_forward_and_backward(attention, 1024), gradients()
    monkeypatch.setattr(toolbox, "checkpoint", lambda function, *tensors, use_reentrant: function(*tensors))
    assert peak_of_forward_and_backward(attention, 1024) > 2 * recomputed
    for mine, plain in zip(recomputed_gradients, gradients(), strict=True):
        assert torch.equal(mine, plain)
