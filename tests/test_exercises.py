"""The exercises: starters are unwritten, solutions are right, and the usual mistakes are found and named."""

import inspect
import math
import shutil
import sys

import pytest
import torch
import torch.nn.functional as F
from terminal import copy_folder, started, typed

from shared.errors import UserError
from shared.model.sampling import filter_logits
from shared.run.exercises import Wrong, expect_close, load_answers, name_of, verdict
from shared.stages import LABS, ROOT, STAGES, load_module


def part(stage: str, name: str):
    return load_module(ROOT / stage / "exercises" / f"{name}.py")


def functions(module) -> dict:
    return {name: f for name, f in vars(module).items() if inspect.isfunction(f) and f.__module__ == module.__name__}


def checks(stage: str) -> dict:
    """The function that is tried -> its check."""
    found = functions(part(stage, "check")).values()
    return {name_of(check): check for check in found if check.__name__.startswith("check_")}


FOLDERS = (*STAGES, *LABS)
ALL = [(stage, name) for stage in FOLDERS for name in checks(stage)]


@pytest.mark.parametrize("stage", FOLDERS)
def test_exercises_checks_and_solutions_are_of_the_same_functions(stage):
    starters, solutions = functions(part(stage, "exercises")), functions(part(stage, "solutions"))
    assert list(checks(stage)) == list(starters) == list(solutions)
    assert 4 <= len(starters) <= 6
    for name, starter in starters.items():
        assert inspect.signature(starter) == inspect.signature(solutions[name])


@pytest.mark.parametrize("stage, name", ALL)
def test_a_starter_is_not_written_yet(stage, name):
    assert verdict(checks(stage)[name], part(stage, "exercises")) == "not written yet"


@pytest.mark.parametrize("stage, name", ALL)
def test_a_solution_is_right(stage, name):
    assert verdict(checks(stage)[name], part(stage, "solutions")) == "right"


@pytest.mark.claims
@pytest.mark.parametrize("stage", FOLDERS)
def test_the_chapter_tells_of_its_exercises_in_their_order(stage):
    chapter = (ROOT / stage / "README.md").read_text(encoding="utf-8")
    told = chapter[chapter.index("## Exercises") :]
    places = [told.index(f"`{name}`") for name in checks(stage)]
    assert places == sorted(places)


# Mistakes that people make. Each is a function that a learner might have written, and a part of what the check says.


def step_without_tanh(x_t, h, w_ih, w_hh, b_ih, b_hh):
    return x_t @ w_ih.T + b_ih + h @ w_hh.T + b_hh


def step_with_the_transpose(x_t, h, w_ih, w_hh, b_ih, b_hh):
    return torch.tanh(x_t @ w_ih.T + b_ih + h @ w_hh + b_hh)


def step_with_one_bias(x_t, h, w_ih, w_hh, b_ih, b_hh):
    return torch.tanh(x_t @ w_ih.T + h @ w_hh.T + b_hh)


def chunks_shifted_within(ids, batch_size, context_length):
    """The last target of each row is the row's own first token."""
    num_batches = (len(ids) - 1) // (batch_size * context_length)
    rows = ids[: batch_size * num_batches * context_length].view(batch_size, -1)
    return [(inputs, inputs.roll(-1, dims=1)) for inputs in rows.split(context_length, dim=1)]


def chunks_in_reading_order(ids, batch_size, context_length):
    """Row after row of the text in one batch: the next batch's rows are the text of none of them."""
    num_batches = (len(ids) - 1) // (batch_size * context_length)
    length = num_batches * batch_size * context_length
    shape = (num_batches, batch_size, context_length)
    return list(zip(ids[:length].view(shape), ids[1 : length + 1].view(shape)))


def chunks_without_a_last_target(ids, batch_size, context_length):
    num_batches = len(ids) // (batch_size * context_length)
    length = num_batches * context_length
    inputs = ids[: batch_size * length].view(batch_size, length)
    targets = ids[1 : batch_size * length + 1].view(batch_size, length)
    return list(zip(inputs.split(context_length, dim=1), targets.split(context_length, dim=1)))


def chunks_told_their_inputs(ids, batch_size, context_length):
    num_batches = (len(ids) - 1) // (batch_size * context_length)
    rows = ids[: batch_size * num_batches * context_length].view(batch_size, -1)
    return [(inputs, inputs) for inputs in rows.split(context_length, dim=1)]


def perplexity_of_means(losses):
    return math.exp(sum(piece.mean().item() for piece in losses) / len(losses))


def mean_of_perplexities(losses):
    return sum(piece.mean().exp().item() for piece in losses) / len(losses)


def mean_of_exponentials(losses):
    return torch.cat(losses).exp().mean().item()


def reach_backwards(cell, inputs, h):
    return part("model-01-rnn", "solutions").reach(cell, inputs, h).flip(0)


def reach_of_the_mean(cell, inputs, h):
    return part("model-01-rnn", "solutions").reach(cell, inputs, h) / len(h)


def step_with_gates_in_another_order(gates, c):
    i, f, o, g = gates.chunk(4, dim=-1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def step_that_shows_the_old_cell(gates, c):
    i, f, g, o = gates.chunk(4, dim=-1)
    return torch.sigmoid(o) * torch.tanh(c), torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)


def step_with_four_sigmoids(gates, c):
    i, f, g, o = torch.sigmoid(gates).chunk(4, dim=-1)
    c = f * c + i * g
    return o * torch.tanh(c), c


def step_that_returns_the_cell_first(gates, c):
    return part("model-02-lstm", "solutions").step(gates, c)[::-1]


def forget_bias_that_is_the_gate(steps):
    return 0.5 ** (1 / steps)


def latch_that_leaks():
    weights = torch.tensor([[0.0], [0.0], [20.0], [0.0]])
    return weights, torch.zeros(4, 1), torch.tensor([20.0, 5.0, 0.0, 20.0])


def latch_that_is_always_on():
    return torch.zeros(4, 1), torch.zeros(4, 1), torch.full((4,), 20.0)


def latch_that_is_flat():
    return torch.zeros(4), torch.zeros(4), torch.zeros(4)


def chunks_with_a_new_memory(lstm, x, length):
    return torch.cat([lstm(chunk)[0] for chunk in x.split(length, dim=1)], dim=1)


def chunks_with_their_gradient(lstm, x, length):
    return lstm(x)[0]


def chunks_that_cut_the_cell_only(lstm, x, length):
    state, hidden = None, []
    for chunk in x.split(length, dim=1):
        states, (h, c) = lstm(chunk, state)
        state = h, c.detach()
        hidden.append(states)
    return torch.cat(hidden, dim=1)


def chunks_with_a_gradient_in_the_last_only(lstm, x, length):
    hidden = part("model-02-lstm", "solutions").read_in_chunks(lstm, x, length)
    start = (x.size(1) - 1) // length * length
    return torch.cat([hidden[:, :start].detach(), hidden[:, start:]], dim=1)


def chunks_cut_once(lstm, x, length):
    start = (x.size(1) - 1) // length * length
    if start == 0:
        return lstm(x)[0]
    first, (h, c) = lstm(x[:, :start])
    return torch.cat([first, lstm(x[:, start:], (h.detach(), c.detach()))[0]], dim=1)


def chunks_without_the_rest(lstm, x, length):
    whole = x[:, : x.size(1) // length * length] if x.size(1) > length else x
    return part("model-02-lstm", "solutions").read_in_chunks(lstm, whole, length)


def attend_unscaled(queries, keys, values, mask):
    return part("model-03-lstm-attention", "solutions").attend(
        queries * math.sqrt(queries.size(-1)), keys, values, mask
    )


def attend_with_nan(queries, keys, values, mask):
    scores = queries @ keys.transpose(1, 2) / math.sqrt(queries.size(-1))
    weights = scores.masked_fill(~mask, float("-inf")).softmax(-1)
    return weights @ values, weights


def attend_with_a_large_number(queries, keys, values, mask):
    """A row that may see nothing gets uniform weights."""
    scores = queries @ keys.transpose(1, 2) / math.sqrt(queries.size(-1))
    weights = scores.masked_fill(~mask, -1e9).softmax(-1)
    return weights @ values, weights


def attend_with_nothing_at_all(queries, keys, values, mask):
    """Zeros for every query as soon as one of them sees no key."""
    context, weights = part("model-03-lstm-attention", "solutions").attend(queries, keys, values, mask)
    return (context, weights) if mask.any(-1).all() else (context * 0, weights * 0)


def attend_masked_afterwards(queries, keys, values, mask):
    scores = queries @ keys.transpose(1, 2) / math.sqrt(queries.size(-1))
    weights = scores.softmax(-1) * mask
    return weights @ values, weights


def attend_with_the_mask_reversed(queries, keys, values, mask):
    return part("model-03-lstm-attention", "solutions").attend(queries, keys, values, ~mask)


def attend_over_the_queries(queries, keys, values, mask):
    scores = queries @ keys.transpose(1, 2) / math.sqrt(queries.size(-1))
    weights = scores.masked_fill(~mask, float("-inf")).softmax(-2).nan_to_num(0)
    return weights @ values, weights


def additive_scores_transposed(queries, keys, w, u, v):
    pairs = torch.tanh((queries @ w.T)[:, None] + (keys @ u.T)[:, :, None])
    return pairs @ v


def additive_scores_with_the_same_matrix(queries, keys, w, u, v):
    return part("model-03-lstm-attention", "solutions").additive_scores(queries, keys, w, w, v)


def memory_mask_without_its_own_place(num_queries, num_past, window):
    steps_back = torch.arange(num_past, num_past + num_queries)[:, None] - torch.arange(num_past + num_queries)
    return (steps_back >= 1) & (steps_back <= window)


def memory_mask_long_by_one(num_queries, num_past, window):
    steps_back = torch.arange(num_past, num_past + num_queries)[:, None] - torch.arange(num_past + num_queries)
    return (steps_back >= 0) & (steps_back <= window)


def memory_mask_without_the_past(num_queries, num_past, window):
    steps_back = torch.arange(num_queries)[:, None] - torch.arange(num_past + num_queries)
    return (steps_back >= 0) & (steps_back < window)


def memory_mask_of_numbers(num_queries, num_past, window):
    return part("model-03-lstm-attention", "solutions").memory_mask(num_queries, num_past, window).float()


def mix_in_copies_of_one_place(written, gate, weights, words):
    """Of a word that stands in several places, the weight of one."""
    copied = torch.zeros_like(written).scatter_(-1, words[:, None].expand_as(weights), weights)
    return (1 - gate[..., None]) * written + gate[..., None] * copied


def mix_in_copies_with_the_gate_reversed(written, gate, weights, words):
    return part("model-03-lstm-attention", "solutions").mix_in_copies(written, 1 - gate, weights, words)


def mix_in_copies_on_top(written, gate, weights, words):
    """What is copied is added, and nothing taken away for it."""
    copied = torch.zeros_like(written).scatter_add_(-1, words[:, None].expand_as(weights), weights)
    return written + gate[..., None] * copied


def peeks_never(model, tokens, vocab_size):
    return False


def peeks_always(model, tokens, vocab_size):
    return True


def peeks_at_the_last_token_only(model, tokens, vocab_size):
    changed = tokens.clone()
    changed[:, -1] = (changed[:, -1] + 1) % vocab_size
    return bool((model(changed) - model(tokens))[:, :-1].abs().max() > 1e-6)


def peeks_with_one_other_token(model, tokens, vocab_size):
    before = model(tokens)
    for place in range(1, tokens.size(1)):
        changed = tokens.clone()
        changed[:, place] = (changed[:, place] + 1) % vocab_size
        if (model(changed) - before)[:, :place].abs().max() > 1e-6:
            return True
    return False


def peeks_that_looks_at_the_changed_place_too(model, tokens, vocab_size):
    changed = tokens.clone()
    changed[:, -1] = (changed[:, -1] + 1) % vocab_size
    return bool((model(changed) - model(tokens)).abs().max() > 1e-6)


def peeks_by(differ):
    """A careful search, but with another idea of when two tensors of logits (1, T, V) differ."""

    def peeks(model, tokens, vocab_size):
        before = model(tokens)
        for place in range(1, tokens.size(1)):
            for other in range(vocab_size):
                changed = tokens.clone()
                changed[:, place] = other
                if differ(model(changed)[:, :place], before[:, :place]):
                    return True
        return False

    return peeks


def peeks_except_for_the_first_id(model, tokens, vocab_size):
    return part("model-03-lstm-attention", "solutions").peeks(lambda t: model(t.clamp(min=1)), tokens, vocab_size)


def peeks_except_for_the_last_id(model, tokens, vocab_size):
    return part("model-03-lstm-attention", "solutions").peeks(model, tokens, vocab_size - 1)


def peeks_or_says_nothing(model, tokens, vocab_size):
    return part("model-03-lstm-attention", "solutions").peeks(model, tokens, vocab_size) or None


def heads_by_view(x, w_q, w_k, w_v, w_o, num_heads):
    """The right shape, and heads made of whole tokens."""
    size = (x.size(0), num_heads, x.size(1), -1)
    q, k, v = ((x @ w.T).view(size) for w in (w_q, w_k, w_v))
    found = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    return found.reshape(x.shape) @ w_o.T


def heads_not_put_back(x, w_q, w_k, w_v, w_o, num_heads):
    q, k, v = ((x @ w.T).unflatten(-1, (num_heads, -1)).transpose(1, 2) for w in (w_q, w_k, w_v))
    found = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    return found.reshape(x.shape) @ w_o.T


def heads_scaled_by_the_whole_size(x, w_q, w_k, w_v, w_o, num_heads):
    q, k, v = ((x @ w.T).unflatten(-1, (num_heads, -1)).transpose(1, 2) for w in (w_q, w_k, w_v))
    found = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=x.size(-1) ** -0.5)
    return found.transpose(1, 2).flatten(2) @ w_o.T


def heads_that_see_the_future(x, w_q, w_k, w_v, w_o, num_heads):
    q, k, v = ((x @ w.T).unflatten(-1, (num_heads, -1)).transpose(1, 2) for w in (w_q, w_k, w_v))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2) @ w_o.T


def heads_without_an_output(x, w_q, w_k, w_v, w_o, num_heads):
    q, k, v = ((x @ w.T).unflatten(-1, (num_heads, -1)).transpose(1, 2) for w in (w_q, w_k, w_v))
    return F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)


def rotate_neighbours(x, positions):
    """The other pairing, of neighbours. As good, but not what the exercise asks for."""
    turned = part("model-04-mini-transformer", "solutions").rotate(torch.cat([x[:, ::2], x[:, 1::2]], dim=1), positions)
    return torch.stack(turned.chunk(2, dim=1), dim=-1).flatten(1)


def rotate_backwards(x, positions):
    return part("model-04-mini-transformer", "solutions").rotate(x, -positions)


def rotate_by_rows(x, positions):
    return part("model-04-mini-transformer", "solutions").rotate(x, torch.arange(len(x)))


def cache_without_an_end(q, k, v, cache, window):
    keys, values = k[None], v[None]
    if cache is not None:
        keys, values = torch.cat([cache[0], keys]), torch.cat([cache[1], values])
    return (keys @ q / math.sqrt(len(q))).softmax(0) @ values, (keys, values)


def cache_longer_by_one(q, k, v, cache, window):
    """Right as to what is seen, but the oldest entry is kept for nothing."""
    keys, values = k[None], v[None]
    if cache is not None:
        keys, values = torch.cat([cache[0], keys])[-window:], torch.cat([cache[1], values])[-window:]
    return (keys @ q / math.sqrt(len(q))).softmax(0) @ values, (keys, values)


def cache_without_its_own_token(q, k, v, cache, window):
    seen, new = cache or (k[None], v[None]), part("model-04-mini-transformer", "solutions").attend_next
    return (seen[0] @ q / math.sqrt(len(q))).softmax(0) @ seen[1], new(q, k, v, cache, window)[1]


def cache_cut_with_minus_zero(q, k, v, cache, window):
    """[-(window - 1):] keeps all when the window is 1."""
    keys, values = k[None], v[None]
    if cache is not None:
        keys, values = torch.cat([cache[0], keys]), torch.cat([cache[1], values])
    context = (keys @ q / math.sqrt(len(q))).softmax(0) @ values
    return context, (keys[-(window - 1) :], values[-(window - 1) :])


def cross_entropy_by(loss):
    """The loss as some function of the probabilities (N, V) and of those of the targets (N)."""

    def cross_entropy(scores, targets):
        probabilities = scores.softmax(1)
        return loss(probabilities, probabilities[torch.arange(len(scores)), targets])

    return cross_entropy


def cross_entropy_of_columns(scores, targets):
    return -scores.softmax(0)[torch.arange(len(scores)), targets].log().mean()


def cross_entropy_that_overflows(scores, targets):
    return (scores.exp().sum(1).log() - scores[torch.arange(len(scores)), targets]).mean()


def keep_likely_by(stops, rescaled=True, top_k_first=True):
    """Another top-p: the sum of the likelier words, that with the word itself, and p -> which words are dropped."""

    def keep_likely(probabilities, top_k, top_p):
        def by_top_k(likely):
            return likely * (torch.arange(len(likely)) < (top_k or len(likely)))

        likely, places = probabilities.sort(descending=True, stable=True)
        if top_k_first:
            likely = by_top_k(likely)
            likely = likely / likely.sum()
        if top_p is not None:
            sums = likely.cumsum(0)
            likely = likely.masked_fill(stops(sums - likely, sums, top_p), 0)
        likely = by_top_k(likely)
        kept = torch.zeros_like(likely).scatter(0, places, likely)
        return kept / kept.sum() if rescaled else probabilities * (kept > 0)

    return keep_likely


def top_p_right(before, after, top_p):
    dropped = before >= top_p
    dropped[0] = False
    return dropped


def keep_likely_with_all_equals(probabilities, top_k, top_p):
    kept = part("model-01-rnn", "solutions").keep_likely(probabilities, top_k, top_p)
    kept = probabilities * (probabilities >= probabilities[kept > 0].min())
    return kept / kept.sum()


def keep_likely_one_more(probabilities, top_k, top_p):
    return part("model-01-rnn", "solutions").keep_likely(probabilities, top_k and top_k + 1, top_p)


def keep_likely_sorted(probabilities, top_k, top_p):
    return part("model-01-rnn", "solutions").keep_likely(probabilities, top_k, top_p).sort(descending=True).values


def causal_weights_by(scale=None, hidden=-math.inf, dim=-1, first=1, reverse=False, afterwards=False):
    """The weights with something else in one place."""

    def causal_weights(queries, keys):
        scores = queries @ keys.T / (queries.size(1) ** 0.5 if scale is None else scale(queries.size(1)))
        future = torch.ones_like(scores).triu(first).bool()
        future = future.T if reverse else future
        return scores.softmax(dim) * ~future if afterwards else scores.masked_fill(future, hidden).softmax(dim)

    return causal_weights


def rms_norm_by(divisor, centred=False):
    """Each word divided by something else."""

    def rms_norm(x, weight):
        x = x - x.mean(1, keepdim=True) if centred else x
        return x / divisor(x) * weight

    return rms_norm


def root_mean_square(x):
    return x.square().mean(1, keepdim=True).sqrt()


# The labs


def beam_of_the_best_each(totals, log_p, width):
    best, symbols = (totals[:, None] + log_p).max(1)
    best, order = best.sort(descending=True)
    return best[:width], order[:width], symbols[order][:width]


def beam_by(total):
    """A step of a beam with another idea of what a way to go on is worth."""

    def beam_step(totals, log_p, width):
        best, place = total(totals[:, None], log_p).flatten().topk(width)
        return best, place // log_p.size(1), place % log_p.size(1)

    return beam_step


def beam_changed_over(totals, log_p, width):
    best, beginnings, symbols = part(SPELLING, "solutions").beam_step(totals, log_p, width)
    return best, symbols, beginnings


def letters_by(total):
    """A loss with another idea of how nats (B, T), 0 in the padding, and the lengths (B) become one number."""

    def loss_per_letter(logits, targets, pad):
        nats = F.cross_entropy(logits.transpose(1, 2), targets, ignore_index=pad, reduction="none")
        return total(nats, (targets != pad).sum(1))

    return loss_per_letter


def windows_end_to_end(series, num_past, num_future):
    whole = series.unfold(0, num_past + num_future, num_past + num_future)
    return whole[:, :num_past], whole[:, num_past:]


def windows_without_the_last(series, num_past, num_future):
    past, future = part(FORECAST, "solutions").windows(series, num_past, num_future)
    return past[:-1], future[:-1]


def windows_that_give_the_answer_away(series, num_past, num_future):
    whole = series.unfold(0, num_past + num_future, 1)
    return whole[:, :num_past], whole[:, num_past - 1 : -1]


def error_by(total):
    """An error with another idea of how squares (B, Tf), which places are real and the lengths become one number."""

    def masked_error(forecast, target, lengths):
        real = torch.arange(target.size(1)) < lengths[:, None]
        return total((forecast - target) ** 2, real, lengths)

    return masked_error


def occlusion_of(values):
    """Occlusion with another idea of what is made of the forecasts without each step, and the one of the whole past."""

    def occlusion(forecast, past):
        without = past.repeat(len(past), 1).fill_diagonal_(0)
        return values(torch.stack([*map(forecast, without)]), forecast(past))

    return occlusion


def occlusion_in_place(forecast, past):
    before, moved = forecast(past), torch.zeros(len(past))
    for step in range(len(past)):
        past[step] = 0
        moved[step] = (forecast(past) - before).abs()
    return moved / moved.sum()


def occlusion_that_puts_nothing_back(forecast, past):
    return occlusion_in_place(forecast, past.clone())


def season_from_the_beginning(past, num_future, season):
    return past[:, torch.arange(num_future) % season]


def pool_by_product(x, lengths):
    real = torch.arange(x.size(1)) < lengths[:, None]
    return (x * real[..., None]).sum(1) / lengths[:, None]


def split_passages(plays, num_folds):
    return [number % num_folds for number in range(len(plays))]


def split_by_letter(plays, num_folds):
    return [ord(play[0]) % 2 for play in plays]


def split_in_pieces(plays, num_folds):
    """Whole plays, but most of them in the first fold."""
    order = {play: max(0, number - 3) for number, play in enumerate(dict.fromkeys(plays))}
    return [order[play] % num_folds for play in plays]


def f1_by(total):
    """The mean over classes of something else than F1, of TP, of how often the class is wanted, and how often given."""

    def macro_f1(wanted, given, num_classes):
        classes = torch.arange(num_classes)[:, None]
        asked, answered = wanted == classes, given == classes
        right, asked, answered = (part.sum(1).double() for part in (asked & answered, asked, answered))
        return total(right, asked, answered).item()

    return macro_f1


RNN, LSTM, ATTENTION, TRANSFORMER = STAGES
SPELLING, FORECAST, GENRE = LABS
MISTAKES = [
    (RNN, "cross_entropy", cross_entropy_by(lambda _, p: -p.log().sum()), "small scores", "Is it the sum?"),
    (RNN, "cross_entropy", cross_entropy_by(lambda _, p: p.log().mean()), "small scores", "Is the sign missing?"),
    (RNN, "cross_entropy", cross_entropy_by(lambda _, p: -p.log2().mean()), "small scores", "Is it in bits?"),
    (RNN, "cross_entropy", cross_entropy_by(lambda _, p: -p.mean().log()), "small scores", "log of the mean"),
    (RNN, "cross_entropy", cross_entropy_by(lambda all, _: -all.log().mean()), "small scores", "minus the score of"),
    (RNN, "cross_entropy", cross_entropy_of_columns, "small scores", "Those of each row should"),
    (RNN, "cross_entropy", cross_entropy_by(lambda _, p: -p.log().mean()), "some thousands", "log a - log b"),
    (RNN, "cross_entropy", cross_entropy_that_overflows, "some thousands", "subtract each row's largest score first"),
    (RNN, "step", step_without_tanh, "beside torch.nn.RNNCell", "Is the tanh missing?"),
    (RNN, "step", step_with_the_transpose, "beside torch.nn.RNNCell", "W h is h @ W.T"),
    (RNN, "step", step_with_one_bias, "beside torch.nn.RNNCell", "Is b_ih missing?"),
    (RNN, "chunks", chunks_shifted_within, "targets of batch 0", "a row its own first token?"),
    (RNN, "chunks", chunks_in_reading_order, "inputs of batch 0", "where the row above it stops?"),
    (RNN, "chunks", chunks_without_a_last_target, "RuntimeError: shape", ""),
    (RNN, "chunks", chunks_told_their_inputs, "targets of batch 0", "Are the targets the inputs themselves?"),
    (RNN, "perplexity", perplexity_of_means, "pieces of [1, 3] tokens", "mean of the pieces' means?"),
    (RNN, "perplexity", mean_of_perplexities, "pieces of [1, 3] tokens", "mean of the pieces' perplexities?"),
    (RNN, "perplexity", mean_of_exponentials, "pieces of [4] tokens", "Is it the mean of e to each loss?"),
    (RNN, "reach", reach_backwards, "a cell that keeps half", "Is the order reversed?"),
    (RNN, "reach", reach_of_the_mean, "a cell that keeps half", "Is it the gradient of the mean?"),
    (RNN, "keep_likely", keep_likely_one_more, "top_k=1, top_p=None", "One more is kept"),
    (RNN, "keep_likely", keep_likely_by(lambda b, a, p: a > p), "top_p=0.5", "the word left out with which"),
    (RNN, "keep_likely", keep_likely_by(lambda b, a, p: b > p), "top_p=0.625", "no further word is needed"),
    (RNN, "keep_likely", keep_likely_by(lambda b, a, p: b >= p), "top_p=0.0: 1 is expected", "Is no word left?"),
    (RNN, "keep_likely", keep_likely_by(top_p_right, rescaled=False), "top_k=1", "add up to 1 again"),
    (
        RNN,
        "keep_likely",
        keep_likely_by(top_p_right, top_k_first=False),
        "top_k=2, top_p=0.55",
        "measured before top_k",
    ),
    (RNN, "keep_likely", keep_likely_with_all_equals, "top_k=4", "Are all kept that are as likely"),
    (RNN, "keep_likely", keep_likely_sorted, "top_k=None, top_p=None", "Every word should keep its place"),
    (LSTM, "step", step_with_gates_in_another_order, "c beside torch.nn.LSTMCell", "in the order i, f, o, g?"),
    (LSTM, "step", step_that_shows_the_old_cell, "h beside torch.nn.LSTMCell", "Is the old cell shown?"),
    (LSTM, "step", step_with_four_sigmoids, "c beside torch.nn.LSTMCell", "Is g a sigmoid?"),
    (LSTM, "step", step_that_returns_the_cell_first, "c beside torch.nn.LSTMCell", "Is c returned first?"),
    (
        LSTM,
        "forget_bias",
        forget_bias_that_is_the_gate,
        "what is left after 1 steps",
        "the number whose sigmoid is 0.5",
    ),
    (LSTM, "latch", latch_that_leaks, "after the first, h falls to", "a thousand steps leave 0.0012 of it"),
    (LSTM, "latch", latch_that_is_always_on, "before the first, h rises to", "i * g is 1, and so much"),
    (LSTM, "latch", latch_that_is_flat, "shape (4, 1) is expected, and not (4,)", "One row for each of i, f, g, o"),
    (LSTM, "read_in_chunks", chunks_with_a_new_memory, "hidden states", "Does each chunk begin with a new state?"),
    (
        LSTM,
        "read_in_chunks",
        chunks_with_their_gradient,
        "does the gradient of the state after step 4 reach",
        "are h and c detached, both of them?",
    ),
    (
        LSTM,
        "read_in_chunks",
        chunks_that_cut_the_cell_only,
        "does the gradient of the state after step 4 reach",
        "are h and c detached, both of them?",
    ),
    (
        LSTM,
        "read_in_chunks",
        chunks_cut_once,
        "does the gradient of the state after step 4 reach",
        "are h and c detached, both of them?",
    ),
    (
        LSTM,
        "read_in_chunks",
        chunks_with_a_gradient_in_the_last_only,
        "the gradient of the state after step 0 reach",
        "beginning of its own chunk",
    ),
    (
        LSTM,
        "read_in_chunks",
        chunks_without_the_rest,
        "shape (2, 10, 4) is expected, and not (2, 8, 4)",
        "shorter chunk left out?",
    ),
    (ATTENTION, "causal_weights", causal_weights_by(scale=lambda _: 1), "5 tokens", "Is the root missing?"),
    (ATTENTION, "causal_weights", causal_weights_by(scale=lambda size: size), "5 tokens", "divided by D, and not by"),
    (ATTENTION, "causal_weights", causal_weights_by(first=9), "5 tokens", "Is the future still seen?"),
    (ATTENTION, "causal_weights", causal_weights_by(afterwards=True), "5 tokens", "after the softmax?"),
    (ATTENTION, "causal_weights", causal_weights_by(dim=0), "5 tokens", "Do the columns add up to 1?"),
    (ATTENTION, "causal_weights", causal_weights_by(reverse=True), "5 tokens", "Is the mask reversed?"),
    (ATTENTION, "causal_weights", causal_weights_by(first=0), "not nan, at [0, 0]", "not see its own place?"),
    (ATTENTION, "causal_weights", causal_weights_by(hidden=0), "5 tokens", "Are hidden scores set to 0?"),
    (ATTENTION, "causal_weights", causal_weights_by(hidden=-1), "5 tokens", "above the diagonal they are 0"),
    (ATTENTION, "attend", attend_unscaled, "all keys seen, weights", "Is the root missing?"),
    (ATTENTION, "attend", attend_with_nan, "sees none, weights: 0 is expected, and not nan", "Set such rows to 0"),
    (
        ATTENTION,
        "attend",
        attend_with_a_large_number,
        "sees none, weights: 0 is expected, and not 0.2",
        "Where all scores are equally low",
    ),
    (ATTENTION, "attend", attend_with_nothing_at_all, "a query that sees none, weights", "Do all queries get zeros?"),
    (ATTENTION, "attend", attend_masked_afterwards, "some keys hidden, weights", "after the softmax?"),
    (ATTENTION, "attend", attend_with_the_mask_reversed, "all keys seen, weights", "Is the mask reversed?"),
    (ATTENTION, "attend", attend_over_the_queries, "all keys seen, weights", "Do the weights of each key"),
    (
        ATTENTION,
        "additive_scores",
        additive_scores_transposed,
        "shape (2, 3, 5) is expected, and not (2, 5, 3)",
        "Are queries and keys exchanged?",
    ),
    (
        ATTENTION,
        "additive_scores",
        additive_scores_with_the_same_matrix,
        "beside a loop over all pairs",
        "Is W used for the keys too?",
    ),
    (
        ATTENTION,
        "memory_mask",
        memory_mask_without_its_own_place,
        "a window of 3: 1 is expected, and not 0, at [0, 0]",
        "own place missing?",
    ),
    (
        ATTENTION,
        "memory_mask",
        memory_mask_long_by_one,
        "a window of 3: 0 is expected, and not 1, at [3, 0]",
        "too long by one?",
    ),
    (
        ATTENTION,
        "memory_mask",
        memory_mask_without_the_past,
        "a window of 2: 1 is expected, and not 0, at [0, 1]",
        "Does query 0 stand at key 0?",
    ),
    (
        ATTENTION,
        "memory_mask",
        memory_mask_of_numbers,
        "torch.bool is expected, and not torch.float32",
        "Are these floats?",
    ),
    (
        ATTENTION,
        "mix_in_copies",
        mix_in_copies_of_one_place,
        "beside a loop over all places",
        "the weight of one of them?",
    ),
    (
        ATTENTION,
        "mix_in_copies",
        mix_in_copies_with_the_gate_reversed,
        "beside a loop over all places",
        "Is the gate reversed?",
    ),
    (
        ATTENTION,
        "mix_in_copies",
        mix_in_copies_on_top,
        "beside a loop over all places",
        "Is what is written left whole?",
    ),
    (ATTENTION, "peeks", peeks_never, "the mean of the whole text goes free", "every token but the first"),
    (ATTENTION, "peeks", peeks_always, "is accused", "only at those before?"),
    (ATTENTION, "peeks", peeks_at_the_last_token_only, "the next token goes free", "every token but the first"),
    (
        ATTENTION,
        "peeks",
        peeks_by(lambda a, b: (a - b)[:, -1].abs().max() > 1e-6),
        "the last token, at the first goes free",
        "at all places before it?",
    ),
    (ATTENTION, "peeks", peeks_with_one_other_token, "whether a 3 comes next goes free", "every id from 0"),
    (ATTENTION, "peeks", peeks_that_looks_at_the_changed_place_too, "is accused", "only at those before?"),
    (
        ATTENTION,
        "peeks",
        peeks_except_for_the_first_id,
        "whether a 0 comes next, in the last logit goes free",
        "every id from 0",
    ),
    (
        ATTENTION,
        "peeks",
        peeks_except_for_the_last_id,
        "whether a 6 comes next, in two logits goes free",
        "every id from 0",
    ),
    (ATTENTION, "peeks", peeks_or_says_nothing, "True or False is expected, and not None", "Is a return missing?"),
    (
        ATTENTION,
        "peeks",
        peeks_by(lambda a, b: not a.equal(b)),
        "rounds in the eighth decimal is accused",
        "Rounding is no leak.",
    ),
    (ATTENTION, "peeks", peeks_by(lambda a, b: (a - b).max() > 1e-6), "whether a 0 comes next", "One logit is enough"),
    (
        ATTENTION,
        "peeks",
        peeks_by(lambda a, b: (a - b)[..., 0].abs().max() > 1e-6),
        "in the last logit goes free",
        "One logit is enough",
    ),
    (
        ATTENTION,
        "peeks",
        peeks_by(lambda a, b: (a - b).sum(-1).abs().max() > 1e-6),
        "in two logits goes free",
        "One logit is enough",
    ),
    (
        ATTENTION,
        "peeks",
        peeks_by(lambda a, b: (a - b).abs().mean() > 1e-6),
        "in the sixth decimal goes free",
        "One logit is enough",
    ),
    (TRANSFORMER, "rms_norm", lambda x, weight: x / root_mean_square(x), "beside torch.nn.RMSNorm", "weight missing?"),
    (TRANSFORMER, "rms_norm", rms_norm_by(lambda x: x.norm(dim=1, keepdim=True)), "RMSNorm", "divided by the length?"),
    (TRANSFORMER, "rms_norm", rms_norm_by(lambda x: root_mean_square(x) ** 2), "RMSNorm", "Is the root missing?"),
    (TRANSFORMER, "rms_norm", rms_norm_by(root_mean_square, centred=True), "RMSNorm", "Is the mean taken away first?"),
    (TRANSFORMER, "rms_norm", rms_norm_by(lambda x: x.std(1, keepdim=True)), "RMSNorm", "the standard deviation?"),
    (
        TRANSFORMER,
        "rms_norm",
        rms_norm_by(lambda x: root_mean_square(x.flatten()[None])),
        "RMSNorm",
        "all words at once?",
    ),
    (TRANSFORMER, "rms_norm", rms_norm_by(lambda x: root_mean_square(x.T).T), "RMSNorm", "column by column?"),
    (TRANSFORMER, "rms_norm", rms_norm_by(lambda x: 1 / root_mean_square(x)), "RMSNorm", "multiplied by the root"),
    (TRANSFORMER, "rms_norm", rms_norm_by(root_mean_square), "words of zeros: 0 is expected, and not nan", "0 / 0"),
    (TRANSFORMER, "self_attention", heads_by_view, "2 heads", "Do the heads come from a view"),
    (TRANSFORMER, "self_attention", heads_not_put_back, "2 heads", "put back without a transpose?"),
    (TRANSFORMER, "self_attention", heads_scaled_by_the_whole_size, "2 heads", "divided by the root of E?"),
    (TRANSFORMER, "self_attention", heads_that_see_the_future, "1 heads", "Is the future seen?"),
    (TRANSFORMER, "self_attention", heads_without_an_output, "1 heads", "Is w_o missing?"),
    (TRANSFORMER, "rotate", rotate_neighbours, "beside complex numbers", "Are neighbours paired?"),
    (TRANSFORMER, "rotate", rotate_backwards, "beside complex numbers", "Is it turned backwards?"),
    (TRANSFORMER, "rotate", rotate_by_rows, "beside complex numbers", "Are the rows counted?"),
    (
        TRANSFORMER,
        "attend_next",
        cache_without_an_end,
        "a window of 3, token 2, keys in the cache",
        "at most 2 before it are of use",
    ),
    (
        TRANSFORMER,
        "attend_next",
        cache_longer_by_one,
        "a window of 3, token 2, keys in the cache",
        "at most 2 before it are of use",
    ),
    (TRANSFORMER, "attend_next", cache_without_its_own_token, "a window of", "Is its own token missing?"),
    (TRANSFORMER, "attend_next", cache_cut_with_minus_zero, "a window of 1", "[-0:] keeps everything"),
    (
        TRANSFORMER,
        "furthest",
        lambda num_layers, window: num_layers * window,
        "2 layers, a window of 5",
        "counted in every layer?",
    ),
    (TRANSFORMER, "furthest", lambda num_layers, window: window, "2 layers, a window of 5", "That is one layer's."),
    (SPELLING, "padding_mask", lambda n, s: torch.arange(s) >= n[:, None, None], "2, 3 letters", "Is it reversed?"),
    (SPELLING, "padding_mask", lambda n, s: torch.arange(s) <= n[:, None, None], "2, 3 letters", "one place too long"),
    (SPELLING, "padding_mask", lambda n, s: torch.arange(s) < n[:, None], "shape (2, 1, 3)", "Is the 1 in the middle"),
    (SPELLING, "shift_right", lambda targets, begin: targets, "begin 1", "Are these the targets themselves?"),
    (SPELLING, "shift_right", lambda targets, begin: targets.roll(1, 1), "begin 1", "Does the last target come first?"),
    (SPELLING, "shift_right", lambda t, begin: F.pad(t[:, 1:], (0, 1), value=begin), "begin 1", "shifted to the left"),
    (SPELLING, "shift_right", lambda t, begin: F.pad(t, (1, 0), value=begin), "shape (2, 4)", "still there?"),
    (SPELLING, "loss_per_letter", lambda x, y, _: F.cross_entropy(x.flatten(0, 1), y.flatten()), "of 1", "Is padding"),
    (SPELLING, "loss_per_letter", letters_by(lambda x, n: x.mean()), "of 1", "divided by all places"),
    (
        SPELLING,
        "loss_per_letter",
        letters_by(lambda x, n: (x.sum(1) / n).mean()),
        "of 1",
        "the mean of each word's mean",
    ),
    (SPELLING, "loss_per_letter", letters_by(lambda x, n: x.sum()), "no padding", "Is it the sum?"),
    (SPELLING, "beam_step", beam_of_the_best_each, "shape (2,)", "Is it the best way of each beginning?"),
    (SPELLING, "beam_step", beam_by(lambda old, new: new), "then, than, totals", "own log p missing?"),
    (SPELLING, "beam_step", beam_by(lambda old, new: old * new), "the empty one, totals", "Is log p multiplied?"),
    (SPELLING, "beam_step", beam_changed_over, "the empty one, beginnings", "changed over?"),
    (FORECAST, "windows", windows_without_the_last, "past: shape (3, 2)", "Is the last window missing?"),
    (FORECAST, "windows", windows_end_to_end, "past: shape (3, 2)", "where the one before ended?"),
    (FORECAST, "windows", windows_that_give_the_answer_away, "future: 4 is expected", "gives the answer away"),
    (FORECAST, "masked_error", error_by(lambda x, real, n: x.mean()), "4, 1 and 2", "Is padding counted?"),
    (
        FORECAST,
        "masked_error",
        error_by(lambda x, real, n: (x * real).sum() / n.sum()),
        "not nan",
        "Pick the real steps",
    ),
    (FORECAST, "masked_error", error_by(lambda x, real, n: x[real].sum() / x.numel()), "zeros in", "by all places"),
    (
        FORECAST,
        "masked_error",
        error_by(lambda x, real, n: (x.where(real, 0).sum(1) / n).mean()),
        "zeros in the padding",
        "Is it the mean of each row's mean?",
    ),
    (FORECAST, "masked_error", error_by(lambda x, real, n: x[real].sum()), "no padding", "Is it the sum?"),
    (FORECAST, "season_ago", lambda x, n, s: x[:, -1:].expand(-1, n), "a season of 3", "Is it the last value?"),
    (FORECAST, "season_ago", season_from_the_beginning, "a season of 3", "Is it the first season"),
    (FORECAST, "season_ago", lambda x, n, s: x[:, 3 - torch.arange(n) % s], "a season of 3", "run backwards?"),
    (FORECAST, "season_ago", lambda x, n, s: x[:, 4 - s :][:, :n], "shape (2, 5)", "It should repeat"),
    (FORECAST, "occlusion", occlusion_of(lambda without, before: without), "linear", "Is it the forecast without"),
    (FORECAST, "occlusion", occlusion_of(lambda x, y: (x - y) / (x - y).sum()), "linear", "Can a share be below 0?"),
    (FORECAST, "occlusion", occlusion_of(lambda x, y: (x - y).abs()), "linear", "Do the shares sum to 1?"),
    (FORECAST, "occlusion", occlusion_that_puts_nothing_back, "linear", "Is a step put back"),
    (FORECAST, "occlusion", occlusion_in_place, "the past that was given has been changed", "Change a copy"),
    (GENRE, "pool", lambda x, lengths: x.mean(1), "zeros in the padding", "Is the padding in the mean?"),
    (GENRE, "pool", lambda x, lengths: x.sum(1) / lengths[:, None], "other numbers in the padding", "The sum over the"),
    (GENRE, "pool", pool_by_product, "NaN in the padding", "Fill it with zeros instead"),
    (GENRE, "split_by_play", split_passages, "the play A lies in several folds", "gives away what is asked"),
    (GENRE, "split_by_play", split_by_letter, "folds 0 to 2 are expected", "Deal the plays out like cards"),
    (GENRE, "split_by_play", split_in_pieces, "plays, too unequal", "Deal the plays out like cards"),
    (GENRE, "counts_of_others", lambda x: x.sum(0).expand_as(x), "five plays", "Are the play's own counts still in?"),
    (GENRE, "counts_of_others", lambda counts: counts, "five plays", "Are these the counts of the play itself?"),
    (GENRE, "counts_of_others", lambda x: (x.sum(0) - x) / (len(x) - 1), "five plays", "Is it the mean?"),
    (GENRE, "macro_f1", lambda a, b, n: (a == b).float().mean().item(), "mixed up", "Is it accuracy?"),
    (GENRE, "macro_f1", f1_by(lambda r, a, b: (r / a.clamp(min=1)).mean()), "mixed up", "Is it the mean recall?"),
    (GENRE, "macro_f1", f1_by(lambda r, a, b: (r / b.clamp(min=1)).mean()), "mixed up", "Is it the mean precision?"),
    (GENRE, "macro_f1", f1_by(lambda r, a, b: (2 * r / (a + b)).nanmean()), "neither", "nobody wanted or gave left"),
    (GENRE, "macro_f1", f1_by(lambda r, a, b: (r / (a + b).clamp(min=1)).mean()), "all right", "Is a factor of 2"),
]


class Answers:
    """Stands for the learner's file with one function in it."""

    __file__ = __file__

    def __init__(self, **answers):
        vars(self).update(answers)


@pytest.mark.parametrize(
    "stage, name, mistake, said, hint", MISTAKES, ids=lambda value: getattr(value, "__name__", None)
)
def test_a_mistake_is_found_and_named(stage, name, mistake, said, hint):
    """First what was tried and what came out, then where to look."""
    found, second = (verdict(checks(stage)[name], Answers(**{name: mistake})) + "\n").split("\n", 1)
    assert found.startswith("wrong. ") and said in found
    assert hint in second


def test_every_exercise_has_a_mistake_that_is_found():
    assert {(stage, name) for stage, name, *_ in MISTAKES} == set(ALL)


# Answers that are not even wrong


def test_what_a_function_raises_is_told_with_its_line():
    def step(*_):
        return {}["h"]

    line = step.__code__.co_firstlineno + 1
    assert verdict(checks(RNN)["step"], Answers(step=step)) == f"wrong. line {line}: KeyError: 'h'"


def test_what_cannot_be_used_is_told_as_what_it_is():
    nothing = Answers(step=lambda *_: None)
    assert verdict(checks(RNN)["step"], nothing).endswith("expected, and not NoneType\n  Is the return missing?")
    assert verdict(checks(LSTM)["step"], nothing).startswith("wrong. it cannot be called so, or what it returns cannot")
    assert verdict(checks(RNN)["step"], Answers(step=lambda x_t: x_t)).startswith("wrong. it cannot be called so")


@pytest.mark.parametrize("answers", [Answers(), Answers(step=3)])
def test_a_function_that_is_gone_is_missed(answers):
    assert verdict(checks(RNN)["step"], answers) == "wrong. There is no function of this name any more"


def test_what_pytorch_has_not_implemented_is_a_mistake_of_the_learner():
    def step(*_):
        return torch.arange(3).softmax(-1)

    assert "NotImplementedError" in verdict(checks(RNN)["step"], Answers(step=step))


def test_a_function_that_ends_the_program_does_not_pass():
    def step(*_):
        raise SystemExit(0)

    assert verdict(checks(RNN)["step"], Answers(step=step)).endswith("SystemExit: 0")


def test_numbers_are_compared_one_by_one():
    expect_close(torch.ones(2, 2), torch.ones(2, 2) + 5e-5, "here")
    with pytest.raises(Wrong, match=r"here: 2 is expected, and not 1, at \[1, 0\]"):
        expect_close(torch.ones(2, 2), torch.tensor([[1.0, 1.0], [2.0, 3.0]]), "here")
    with pytest.raises(Wrong, match=r"here: shape \(2,\) is expected, and not \(1, 2\)"):
        expect_close(torch.ones(1, 2), torch.ones(2), "here")


def test_a_cause_is_told_only_where_it_fits():
    def said(answer):
        with pytest.raises(Wrong) as error:
            expect_close(answer, torch.ones(2), "here", hint="general", mistakes={"twice": 2 * torch.ones(2)})
        return str(error.value).split("\n  ")[1]

    assert said(torch.tensor([2.0, 2.0])) == "twice"
    assert said(torch.tensor([2.0, 3.0])) == "general"
    assert said(torch.ones(3)) == "general"


def test_without_a_hint_there_is_no_second_line():
    with pytest.raises(Wrong) as error:
        expect_close(torch.zeros(2), torch.ones(2), "here")
    assert str(error.value) == "here: 1 is expected, and not 0, at [0]"


# The command


@pytest.fixture
def copy(tmp_path):
    """A copy of what the command needs, in which it may write."""
    for name in ("shared", "model-01-rnn/exercises"):
        copy_folder(name, tmp_path)
    return tmp_path / "model-01-rnn" / "exercises"


def test_the_command_makes_a_file_to_write_in_and_never_writes_over_it(copy):
    first = started(copy, "python check.py", code=1)
    assert first.out.splitlines() == [
        "made answers.py, a copy of exercises.py: write your functions there",
        *(f"{number} {name}: not written yet" for number, name in enumerate(checks(RNN), start=1)),
        "0 of 6 right in answers.py",
    ]
    shutil.copyfile(copy / "solutions.py", copy / "answers.py")
    second = typed(copy, "python check.py")
    assert second.out.splitlines()[-1] == "6 of 6 right in answers.py"
    assert (copy / "answers.py").read_bytes() == (copy / "solutions.py").read_bytes()
    assert first.err == second.err == ""


def test_the_solutions_can_be_checked_without_a_file_of_ones_own(copy):
    assert typed(copy, "python check.py --solutions").out.splitlines()[-1] == "6 of 6 right in solutions.py"
    assert not (copy / "answers.py").exists()


@pytest.mark.parametrize(
    "text, said",
    [
        ("def step(:\n", "answers.py cannot be run: SyntaxError: invalid syntax (answers.py, line 1)"),
        (
            "import torch\n\nimport no_such_thing\n",
            "answers.py cannot be run: line 3: ModuleNotFoundError: No module named",
        ),
        ("1 / 0\n", "answers.py cannot be run: line 1: ZeroDivisionError: division by zero"),
        ("exit()\n", "answers.py cannot be run: line 1: SystemExit:"),
    ],
)
def test_a_file_that_cannot_be_run_is_one_line(tmp_path, monkeypatch, text, said):
    monkeypatch.setattr("shared.stages.ROOT", tmp_path)
    monkeypatch.delitem(sys.modules, "answers", raising=False)
    (tmp_path / "answers.py").write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as error:
        load_answers(tmp_path / "answers.py")
    assert str(error.value).startswith(said) and "\n" not in str(error.value)


def test_such_a_file_ends_the_command_with_status_2(copy):
    (copy / "answers.py").write_text("1 / 0\n", encoding="utf-8")
    failed = typed(copy, "python check.py", code=2)
    assert failed.out == ""
    assert failed.err == "error: answers.py cannot be run: line 1: ZeroDivisionError: division by zero\n"


@pytest.mark.skipif(sys.platform == "win32", reason="links need a right of their own there")
def test_a_folder_in_which_no_file_can_be_made_is_one_line(copy):
    (copy / "answers.py").symlink_to(copy / "no" / "such" / "folder")
    failed = typed(copy, "python check.py", code=2)
    assert failed.err.startswith("error: cannot make ") and failed.err.count("\n") == 1


# What the chapters ask beside the functions. tests/test_docstrings.py runs the answers in the solutions' docstrings.


@pytest.mark.parametrize("top_k", [None, 1, 3, 9])
@pytest.mark.parametrize("top_p", [None, 0.0, 0.5, 0.9, 1.0])
def test_unlikely_words_are_left_out_as_in_writing(top_k, top_p):
    torch.manual_seed(0)
    for logits in torch.randn(20, 6, dtype=torch.float64):
        wanted = filter_logits(logits[None], top_k, top_p).softmax(-1)[0]
        answer = part(RNN, "solutions").keep_likely(logits.softmax(-1), top_k, top_p)
        assert torch.allclose(answer, wanted)


def test_a_memory_of_two_points_passes_the_latchs_test():
    """The RNN's equation of the solutions, read as an LSTM is read in check.py."""
    for ones in [[0], [500], [999], [3, 4, 5, 200, 700], []]:
        h, states = 0, []
        for t in range(1000):
            h = math.tanh(2 * h + 4 * (t in ones) - 0.1)
            states.append(h)
        first = ones[0] if ones else 1000
        assert max(states[:first], default=0) < 0.1 and min(states[first:], default=1) > 0.5


def test_turned_vectors_have_a_product_of_their_distance():
    rotate = part(TRANSFORMER, "solutions").rotate
    torch.manual_seed(0)
    q, k = torch.randn(2, 1, 8)

    def product(query_position, key_position):
        turned = rotate(q, torch.tensor([query_position])) @ rotate(k, torch.tensor([key_position])).T
        return turned.item()

    assert product(4, 1) == pytest.approx(product(3, 0), abs=1e-4)
    assert product(53, 50) == pytest.approx(product(3, 0), abs=1e-4)
    assert product(4, 0) != pytest.approx(product(3, 0), abs=1e-2)
