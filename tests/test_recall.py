"""Claims about recall: the place holds the answer, nothing else tells it, and what is measured is what happened."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from matplotlib.colors import to_rgb
from terminal import typed
from torch import nn

from shared.errors import UserError
from shared.model.language_model import num_parameters
from shared.recall import __main__ as recall
from shared.recall import puzzles, teaching
from shared.recall import scores as recall_scores
from shared.recall.puzzles import (
    DIGITS,
    FIRST_PLACES,
    KEYS,
    LAG_SYMBOLS,
    LAGS,
    MARK,
    NO_QUESTION,
    PUZZLES,
    QUESTION,
    SEPARATOR,
    VALUES,
    Questions,
    random_source,
)
from shared.run.records import write_json
from shared.show.curves import recall_figure
from shared.stages import ROOT, STAGES

NAMES = list(PUZZLES)
RNN, LSTM, ATTENTION_LSTM, TRANSFORMER = STAGES


def questions(name: str, reach: int = 16, num_tokens: int = 2048, seed: int = 0) -> Questions:
    return PUZZLES[name].generate(reach, num_tokens, torch.Generator().manual_seed(seed))


def build(stage: str, name: str, window: int, start: str = "own"):
    settings = teaching.settings_of(stage, PUZZLES[name], window)
    return teaching.build(stage, PUZZLES[name].vocab_size, settings, seed=0, start=start)


def four_sigma(share: float, count: int) -> float:
    return 4 * math.sqrt(share * (1 - share) / count)


# ------------------------------------------------------------------------------------------------------- the questions


@pytest.mark.parametrize("reach", [8, 32, 512])
@pytest.mark.parametrize("name, num_marked", [("latch", 1), ("adding", 2)])
def test_a_question_at_the_end_asks_for_the_sum_of_all_marked_digits(name, num_marked, reach):
    made = questions(name, reach)
    for tokens, places, answers in zip(made.tokens.tolist(), made.places.tolist(), made.answers.tolist()):
        marked = [t + 1 for t, token in enumerate(tokens) if token == MARK]
        [asked] = (t for t, token in enumerate(tokens) if token == QUESTION)
        assert len(marked) == num_marked and 1 <= marked[0] < FIRST_PLACES and asked == marked[0] + reach
        assert all(token < DIGITS for token in tokens if token not in (MARK, QUESTION))
        assert places.pop(asked) == marked and answers.pop(asked) == sum(tokens[place] for place in marked)
        assert all(place == [NO_QUESTION] * num_marked for place in places) and not any(answers)


@pytest.mark.parametrize("reach", [8, 512])
def test_the_second_marked_digit_is_anywhere_in_the_first_half(reach):
    made = questions("adding", reach, num_tokens=520 * 500)
    gaps = made.places[made.asked].diff().squeeze(1)
    assert gaps.min() == 2 and 0.35 * reach < gaps.max() <= reach / 2
    assert 0.3 < (gaps < 2 * (reach / 4) ** 0.5).double().mean() < 0.7


def test_a_sum_has_no_better_guess_than_one_in_ten_even_for_who_knows_one_of_the_two():
    pairs = torch.cartesian_prod(torch.arange(DIGITS), torch.arange(DIGITS))
    assert torch.bincount(pairs.sum(1)).max() == len(pairs) / PUZZLES["adding"].num_symbols
    for digit in range(DIGITS):
        assert torch.bincount(pairs[pairs[:, 0] == digit].sum(1)).max() == 1


@pytest.mark.parametrize("reach", [4, 8, 64])
def test_a_mark_asks_for_the_symbol_so_many_tokens_before_it(reach):
    made = questions("lag", reach)
    for tokens, places in zip(made.tokens.tolist(), made.places[..., 0].tolist()):
        for t, (token, place) in enumerate(zip(tokens, places)):
            before = t - LAGS[token - LAG_SYMBOLS] if token >= LAG_SYMBOLS else NO_QUESTION
            assert place == max(before, NO_QUESTION)
            assert place == NO_QUESTION or tokens[place] < LAG_SYMBOLS
    used = {LAGS[token - LAG_SYMBOLS] for token in made.tokens[made.asked].tolist()}
    assert used == {lag for lag in LAGS if lag <= reach}


@pytest.mark.parametrize("reach", [1, 4, 33])
def test_a_string_is_asked_for_symbol_by_symbol_after_its_second_separator(reach):
    made = questions("copy", reach)
    for tokens, places, answers in zip(made.tokens.tolist(), made.places[..., 0].tolist(), made.answers.tolist()):
        string = tokens[1 : reach + 1]
        assert tokens == [SEPARATOR, *string, SEPARATOR, *string[:-1]]
        assert answers[reach + 1 :] == string
        assert places == [NO_QUESTION] * (reach + 1) + list(range(1, reach + 1))
    assert (made.distances[made.asked] == reach).all()


@pytest.mark.parametrize("reach", [2, 16, 64])
def test_a_key_asks_for_its_value_when_it_comes_again(reach):
    made = questions("associative", reach)
    for tokens, places in zip(made.tokens.tolist(), made.places[..., 0].tolist()):
        found = {}
        for t, (token, place) in enumerate(zip(tokens, places)):
            if t % 2:
                assert place == NO_QUESTION and token < VALUES
            else:
                assert VALUES <= token < VALUES + KEYS
                assert place == found.get(token, NO_QUESTION)
                found[token] = t + 1
        assert len(found) == reach // 2 and len(tokens) == 2 * reach


@pytest.mark.parametrize("name", ["copy", "associative"])
def test_the_answer_is_the_next_token(name):
    made = questions(name)
    inner = made.asked[:, :-1]
    assert inner.any()
    assert torch.equal(made.answers[:, :-1][inner], made.tokens[:, 1:][inner])


@pytest.mark.parametrize("name", NAMES)
def test_tokens_answers_and_places_are_where_they_may_be(name):
    made, puzzle = questions(name, reach=64, num_tokens=4096), PUZZLES[name]
    assert 0 <= made.tokens.min() and made.tokens.max() < puzzle.vocab_size
    assert made.tokens.numel() <= 4096 and made.tokens.size(1) <= 2 * 64 + 1
    num_places = made.places.size(-1)
    assert 0 <= made.answers.min() and made.answers.max() <= num_places * (puzzle.num_symbols - 1) < puzzle.vocab_size
    assert made.distances[made.asked].min() > 0
    assert made.distances[made.asked].max() > 60  # with reach 64
    tokens_at_places = [made.tokens[b, made.places[b, t]].sum() for b, t in made.asked.nonzero()]
    assert torch.equal(torch.stack(tokens_at_places), made.answers[made.asked])
    assert not made.answers[~made.asked].any()


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_has_enough_sequences_at_every_reach(name):
    puzzle = PUZZLES[name]
    for reach in puzzle.reaches:
        made = puzzle.batch(reach, random_source(0, "training"))
        assert made.tokens.size(0) == max(16, 2048 // made.tokens.size(1))


ONE_PLACE = [name for name in NAMES if name != "adding"]  # the answer is a token of the text, and not a sum


def share_right_without_the_place(made: Questions, num_symbols: int) -> tuple[float, int]:
    """How often somebody is right who reads all up to the question but the answer's place, and names what is there
    most often; and of how many."""
    right = []
    for row, t in made.asked.nonzero().tolist():
        seen = made.tokens[row, : t + 1].tolist()
        del seen[made.places[row, t, 0]]
        counts = torch.bincount(torch.tensor(seen), minlength=num_symbols)[:num_symbols]
        right.append(counts.argmax() == made.answers[row, t])
    return sum(right).item() / len(right), len(right)


@pytest.mark.parametrize("name", ONE_PLACE)
def test_nothing_but_its_place_tells_the_answer(name):
    chance = 1 / PUZZLES[name].num_symbols
    share, count = share_right_without_the_place(questions(name, reach=8, num_tokens=20_000), PUZZLES[name].num_symbols)
    assert count > 1000
    assert abs(share - chance) < four_sigma(chance, count)


@pytest.mark.parametrize("name", ONE_PLACE)
def test_an_answer_that_stood_in_a_second_place_would_be_noticed(name):
    made, chance = questions(name, reach=8, num_tokens=20_000), 1 / PUZZLES[name].num_symbols
    leaky = made.tokens.clone()
    rows, t = made.asked.nonzero(as_tuple=True)
    other = (made.places[rows, t, 0] + 2) % (t + 1)  # a place already read, and another one
    leaky[rows, other] = made.answers[rows, t]
    share, count = share_right_without_the_place(Questions(leaky, made.places), PUZZLES[name].num_symbols)
    assert share - chance > four_sigma(chance, count)


@pytest.mark.parametrize("name", NAMES)
def test_the_token_just_read_tells_nothing_of_the_answer(name):
    puzzle = PUZZLES[name]
    first, second = questions(name, num_tokens=60_000, seed=1), questions(name, num_tokens=60_000, seed=2)
    counts = torch.zeros(puzzle.vocab_size, puzzle.vocab_size)
    read, answers = first.tokens[first.asked], first.answers[first.asked]
    counts.index_put_((read, answers), torch.ones(len(read)), accumulate=True)
    right = counts.argmax(1)[second.tokens[second.asked]] == second.answers[second.asked]
    chance = 1 / puzzle.num_symbols
    assert abs(right.float().mean() - chance) < four_sigma(chance, len(right))


@pytest.mark.parametrize("name", ONE_PLACE)
def test_symbols_are_uniform(name):
    made, number = questions(name, num_tokens=60_000), PUZZLES[name].num_symbols
    answers = made.answers[made.asked]
    shares = torch.bincount(answers, minlength=number) / len(answers)
    independent = len(answers) // 4  # at least: a symbol may be asked for several times
    assert (shares - 1 / number).abs().max() < four_sigma(1 / number, independent)


@pytest.mark.parametrize("name", NAMES)
def test_questions_repeat_with_their_seed_and_not_with_another(name):
    assert torch.equal(questions(name).tokens, questions(name).tokens)
    assert not torch.equal(questions(name).tokens, questions(name, seed=1).tokens)


def test_questions_for_training_choosing_and_measuring_differ_for_every_seed():
    drawn = {
        tuple(torch.randint(2**40, (4,), generator=random_source(seed, use)).tolist())
        for seed in range(5)
        for use in ("training", "validation", "choosing", "test")
    }
    assert len(drawn) == 20


# ---------------------------------------------------------------------------------------------------------- the scores


class Reader(nn.Module):
    """Stands for a model: `answer(tokens)` gives logits, `look(tokens)` attention."""

    def __init__(self, answer, look=lambda tokens: None):
        super().__init__()
        self.answer, self.look = answer, look

    def forward(self, tokens, state=None, return_attention=False):
        return self.answer(tokens), None, self.look(tokens)


def right_logits(made: Questions, vocab_size: int):
    return lambda tokens: F.one_hot(made.answers, vocab_size).float()


def uniform_attention(tokens):
    """One layer, two heads; every query spreads its attention over itself and what came before."""
    weights = torch.ones(tokens.size(1), tokens.size(1)).tril()
    weights = weights / weights.sum(-1, keepdim=True)
    return weights.expand(tokens.size(0), 1, 2, -1, -1)


def oracle_attention(made: Questions, layer: int, head: int):
    """Two layers of three heads, of which one looks at the answer and the others look at the first token."""

    def look(tokens):
        size, length = tokens.shape
        weights = torch.zeros(size, 2, 3, length, length)
        weights[..., 0] = 1
        oracle = F.one_hot(made.places.clamp(min=0), length).float().mean(2)  # half on each place of a sum
        weights[:, layer, head] = oracle
        return weights

    return look


@pytest.mark.parametrize("name", NAMES)
def test_whoever_guesses_is_right_once_in_as_many_times_as_there_are_symbols(name):
    puzzle, made = PUZZLES[name], questions(name, num_tokens=60_000)
    guess = torch.Generator().manual_seed(5)

    def answer(tokens):
        logits = torch.rand(*tokens.shape, puzzle.num_symbols, generator=guess)
        return F.one_hot(torch.full_like(tokens, 9)) if name == "adding" else logits  # 9 is the most frequent sum

    for row in recall_scores.score(recall_scores.ask(Reader(answer), made), head=None):
        assert abs(row["accuracy"] - 1 / puzzle.num_symbols) < four_sigma(1 / puzzle.num_symbols, row["questions"])


@pytest.mark.parametrize("name", NAMES)
def test_attention_on_the_answer_counts_as_one_and_its_head_is_found(name):
    made, puzzle = questions(name), PUZZLES[name]
    reader = Reader(right_logits(made, puzzle.vocab_size), oracle_attention(made, layer=1, head=2))
    replies = recall_scores.ask(reader, made)
    head = recall_scores.best_head(replies)
    assert head == 1 * 3 + 2
    rows = recall_scores.score(replies, head)
    assert all(row["accuracy"] == row["mass"] == 1 for row in rows)
    assert sum(row["questions"] for row in rows) == int(made.asked.sum())


@pytest.mark.parametrize("name", NAMES)
def test_uniform_attention_has_one_share_of_what_it_may_see_on_the_answer(name):
    made, puzzle = questions(name), PUZZLES[name]
    replies = recall_scores.ask(Reader(right_logits(made, puzzle.vocab_size), uniform_attention), made)
    expected = [made.places.size(-1) / (t + 1) for _, t in made.asked.nonzero().tolist()]
    for head in range(2):
        np.testing.assert_allclose(replies.masses[:, head], expected, rtol=1e-6)


def test_a_wrong_answer_and_attention_one_place_off_count_as_nothing():
    made = questions("copy")
    vocab_size = PUZZLES["copy"].vocab_size
    wrong = Questions((made.tokens + 1) % vocab_size, made.places)
    beside = Questions(made.tokens, torch.where(made.asked[..., None], made.places + 1, NO_QUESTION))
    replies = recall_scores.ask(Reader(right_logits(wrong, vocab_size), oracle_attention(beside, 0, 1)), made)
    assert not replies.right.any()
    assert not replies.masses[:, 1].any()


def test_distances_are_put_together_up_to_powers_of_two():
    distances = torch.tensor([1, 2, 3, 4, 5, 8, 9, 16, 64])
    right = torch.tensor([1, 0, 1, 0, 1, 1, 0, 0, 1]).bool()
    masses = torch.stack([torch.zeros(9), torch.arange(9) / 10], dim=1)
    rows = recall_scores.score(recall_scores.Replies(right, distances, masses), head=1)
    assert [row["distance"] for row in rows] == [1, 2, 4, 8, 16, 64]
    assert [row["questions"] for row in rows] == [1, 1, 2, 2, 2, 1]
    assert [row["accuracy"] for row in rows] == [1, 0, 0.5, 1, 0, 1]
    assert [row["mass"] for row in rows] == pytest.approx([0, 0.1, 0.25, 0.45, 0.65, 0.8])


def test_batches_of_different_lengths_are_asked_as_one():
    sets = [questions("copy", reach=4), questions("copy", reach=8)]
    model = build(TRANSFORMER, "copy", window=32)
    together = recall_scores.ask_all(model, sets)
    assert torch.equal(together.distances, torch.cat([made.distances[made.asked] for made in sets]))
    assert together.masses.shape == (len(together.right), PUZZLES["copy"].num_blocks * teaching.NUM_HEADS)


def test_the_head_is_chosen_on_other_questions_than_it_is_measured_on(monkeypatch):
    asked, chosen_from = [], []
    ask_all = recall_scores.ask_all

    def spy(model, sets):
        asked.append(list(sets))
        return ask_all(model, asked[-1])

    def choose(replies):
        chosen_from.append(replies)
        return 1

    monkeypatch.setattr(recall_scores, "ask_all", spy)
    monkeypatch.setattr(recall_scores, "best_head", choose)
    puzzle = PUZZLES["associative"]
    model = build(TRANSFORMER, "associative", window=32)
    rows = recall_scores.measure(model, puzzle, reaches=(6, 16), seed=1)
    choosing, measuring = asked
    sequences = [{tuple(row) for made in sets for row in made.tokens.tolist()} for sets in (choosing, measuring)]
    assert sequences[0] and sequences[1] and not sequences[0] & sequences[1]
    assert len(chosen_from) == 1
    assert len(chosen_from[0].right) == sum(int(made.asked.sum()) for made in choosing)
    expected = recall_scores.score(ask_all(model, measuring), head=1)
    assert rows == [row | {"layer": 2} for row in expected]


# ------------------------------------------------------------------------------------------------ models and training


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("stage", STAGES)
def test_all_stages_have_nearly_the_same_number_of_parameters(stage, name):
    assert abs(num_parameters(build(stage, name, window=8)) / teaching.PARAMETERS - 1) < 0.1


def test_the_stage_with_a_cell_and_attention_has_the_cell_of_the_stage_before():
    assert str(build(LSTM, "lag", window=8).layers[0]).partition("(")[0] in str(build(ATTENTION_LSTM, "lag", window=8))


@pytest.mark.parametrize("stage", STAGES)
def test_a_uniform_start_changes_recurrent_weights_and_nothing_else(stage):
    own, uniform = (build(stage, "lag", window=8, start=start) for start in ("own", "uniform"))
    for (name, before), after in zip(own.named_parameters(), uniform.parameters()):
        recurrent = "_l0" in name
        assert torch.equal(before, after) != recurrent
        assert not recurrent or after.abs().max() <= own.embedding.embedding_dim**-0.5


@pytest.mark.parametrize("stage", [ATTENTION_LSTM, TRANSFORMER])
@pytest.mark.parametrize("name", NAMES)
def test_the_window_reaches_the_first_token_of_the_longest_sequence(stage, name):
    windows = []

    def look(model, puzzle, reaches, seed):
        tokens = questions(name, reaches[-1], 1).tokens
        _, _, attention = model(tokens, return_attention=True)
        windows.append((attention[..., -1, 0] > 0).all().item())
        return []

    recipe = recall.Recipe(max_steps=1, longest=64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recall, "teach", lambda *arguments: None)
        patch.setattr(recall, "measure", look)
        recall.examine(stage, PUZZLES[name], recipe, 1, Path())
    assert windows and all(windows)


@pytest.mark.parametrize("stage", STAGES)
def test_only_answers_count_in_the_loss(stage):
    made = questions("associative", reach=4, num_tokens=64)
    model = build(stage, "associative", window=16)
    logits, _, _ = model(made.tokens)
    expected = [
        -logits[row, t].log_softmax(-1)[made.tokens[row, made.places[row, t, 0]]].item()
        for row, t in made.asked.nonzero().tolist()
    ]
    nats, count = teaching.answer_loss(model, made)
    assert count == len(expected) and nats.item() == pytest.approx(sum(expected), rel=1e-5)


@pytest.mark.parametrize("longest, name, courses", [
    (64, "lag", [(4, 8, 16, 32, 64)]),
    (16, "associative", [(6, 16)]),
    (16, "copy", [(8,), (16,)]),
    (512, "latch", [(8, 16, 32, 64, 128, 256, 512)]),
    (32, "adding", [(8, 16, 32)]),
])  # fmt: skip
def test_copies_of_each_length_have_a_model_of_their_own_and_the_other_puzzles_one_for_all(longest, name, courses):
    assert PUZZLES[name].courses(longest) == courses


def test_training_climbs_from_the_shortest_distance_to_all_of_them():
    reaches, source = (4, 8, 16), torch.Generator().manual_seed(0)
    climb = [teaching.reach_at(step, 1000, reaches, source) for step in range(1000)]
    assert set(climb[:100]) == {4}
    assert set(climb[650:]) == {4, 8, 16}


def test_a_transformer_learns_where_to_look(monkeypatch, tmp_path):
    monkeypatch.setattr(puzzles, "BATCH_TOKENS", 1024)
    monkeypatch.setitem(teaching.LEARNING_RATES, TRANSFORMER, 0.01)
    recipe = recall.Recipe(max_steps=80, longest=8)
    rows = recall.examine(TRANSFORMER, PUZZLES["lag"], recipe, 1, tmp_path)["rows"]
    assert min(row["accuracy"] for row in rows) > 0.9
    assert min(row["mass"] for row in rows) > 0.5


# --------------------------------------------------------------------------------------------- the figure, the command


def results() -> dict:
    """Two puzzles, two stages, of which one has attention."""

    def row(distance, accuracy, mass):
        return {"distance": distance, "accuracy": accuracy, "least": accuracy - 0.1, "most": 1.0, "mass": mass}

    stages = {"without": [row(4, 1.0, None), row(16, 0.25, None)], "with": [row(4, 0.9, 0.8), row(16, 0.7, 0.6)]}
    return {"Lag": {"chance": 0.125, "stages": stages}, "Copy": {"chance": 0.5, "stages": stages}}


def test_the_figure_draws_a_row_of_panels_a_puzzle_with_its_own_chance():
    figure = recall_figure(results(), "title")
    panels = [axes for axes in figure.axes if axes.get_title()]
    assert [axes.get_title().partition(":")[0] for axes in panels] == ["Lag", "Lag", "Copy", "Copy"]
    for axes, chance in zip(panels[::2], (0.125, 0.5)):
        level, without, having = axes.lines
        assert list(level.get_ydata()) == [chance, chance]
        assert [list(line.get_xdata()) for line in (without, having)] == [[4, 16], [4, 16]]
        assert [list(line.get_ydata()) for line in (without, having)] == [[1, 0.25], [0.9, 0.7]]
        ends = [part.get_segments() for part in axes.collections]
        assert np.allclose(ends[1], [[[4, 0.8], [4, 1]], [[16, 0.6], [16, 1]]])
    for axes in panels[1::2]:
        without, having = axes.lines
        assert list(without.get_ydata()) == [] and list(having.get_ydata()) == [0.8, 0.6]


def test_four_stages_differ_in_marker_dashes_and_grey():
    row = {"distance": 4, "accuracy": 0.5, "least": 0.4, "most": 0.6, "mass": 0.5}
    stages = dict.fromkeys("abcd", [row])
    lines = recall_figure({"Lag": {"chance": 0.1, "stages": stages}}, "title").axes[0].lines[1:]
    greys = sorted(np.dot(to_rgb(line.get_color()), (0.299, 0.587, 0.114)) for line in lines)
    assert len({line.get_marker() for line in lines}) == 4
    assert len({str(line._unscaled_dash_pattern) for line in lines}) == 4
    assert np.diff(greys).min() > 0.1


def test_a_figure_of_nothing_is_refused():
    with pytest.raises(ValueError):
        recall_figure({}, "title")


def test_the_command_trains_prints_keeps_and_draws(tmp_path):
    line = f"python -m shared.recall --quick --task copy --stage {TRANSFORMER} --max-steps 2 --seed 7"
    shown = typed(ROOT, f"{line} --out {tmp_path}")
    kept = json.loads((tmp_path / "recall-own-copy.json").read_text(encoding="utf-8"))
    assert str(tmp_path) not in json.dumps(kept)
    [run] = kept["stages"][TRANSFORMER]
    assert run["command"] == line
    assert run["seed"] == 7 and kept["recipe"]["max_steps"] == 2 and "torch" in run["machine"]
    rows = run["rows"]
    assert [row["distance"] for row in rows] == [8, 16, 32]
    printed = next(line for line in shown.out.splitlines() if line.startswith(TRANSFORMER))
    assert printed.split()[2:] == [f"{row['accuracy']:.3f}" for row in rows]
    assert (tmp_path / "recall-own.png").read_bytes().startswith(b"\x89PNG")


def rows(accuracy):
    return [{"distance": 4, "accuracy": accuracy, "mass": None}]


def test_a_run_takes_the_place_of_one_of_its_seed_and_joins_the_others(tmp_path):
    path, recipe = tmp_path / "recall-quick-lag.json", {"max_steps": 3}
    assert recall.kept_stages(path, recipe) == {}
    first, second, again = (
        {"seed": seed, "rows": found} for seed, found in ((1, rows(0.1)), (2, rows(0.2)), (1, rows(0.3)))
    )
    stages = recall.with_run({}, LSTM, second)
    stages = recall.with_run(stages, RNN, first)
    stages = recall.with_run(stages, LSTM, first)
    assert list(stages) == [RNN, LSTM] and stages[LSTM] == [first, second]
    assert recall.with_run(stages, LSTM, again)[LSTM] == [again, second]
    write_json(path, {"task": "lag", "chance": 0.1, "recipe": recipe, "stages": stages})
    assert recall.kept_stages(path, recipe) == stages
    assert recall.kept_stages(path, {"max_steps": 4}) == {}


def test_seeds_are_shown_by_their_mean_the_least_and_the_most():
    masses = ((0.5, None), (0.7, None), (0.6, None))
    runs = [
        {
            "rows": [
                {"distance": 4, "accuracy": accuracy, "mass": mass[0]},
                {"distance": 8, "accuracy": 1, "mass": mass[1]},
            ]
        }
        for accuracy, mass in zip((0.2, 0.6, 0.1), masses)
    ]
    near, far = recall_scores.over_seeds(runs)
    assert near == pytest.approx({"distance": 4, "accuracy": 0.3, "least": 0.1, "most": 0.6, "mass": 0.6})
    assert far == {"distance": 8, "accuracy": 1, "least": 1, "most": 1, "mass": None}


def test_a_picture_shows_the_puzzles_of_one_recipe(monkeypatch, tmp_path):
    drawn = []
    monkeypatch.setattr(recall, "recall_figure", lambda puzzles, title: drawn.append(list(puzzles)))
    monkeypatch.setattr(recall, "save_figure", lambda figure, path: None)
    for name, max_steps in (("lag", 3), ("copy", 4), ("associative", 3)):
        write_json(
            recall.result_path(tmp_path, "quick", name),
            {"task": name, "chance": 0.1, "recipe": {"max_steps": max_steps}, "stages": {}},
        )
    recall.draw(tmp_path, "quick", {"max_steps": 3})
    assert drawn == [["lag", "associative"]]


def test_a_folder_that_cannot_be_made_is_a_users_mistake(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(UserError, match="--out"):
        teaching.make_folder(tmp_path / "file" / "below", "--out")
