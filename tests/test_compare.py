"""The comparison: every number in its files is what a plain recomputation gives, and nothing unequal is compared."""

import contextlib
import io
import json
import math
import re
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import terminal
import torch
import torch.nn.functional as F
from checkpoints import random_checkpoint
from options import STAGE_1, STAGE_2, STAGE_3, STAGE_4

from shared.compare import __main__ as compare
from shared.compare import counting, estimate
from shared.compare import measures as comparison
from shared.compare import runs as compared_runs
from shared.compare.budget import Budget
from shared.compare.guessing import find_passage, passage_to_guess
from shared.compare.measures import WINDOW, held_out, plain
from shared.compare.runs import load_corpus_of, load_trained, named_checkpoints, too_short_to_rank
from shared.errors import UserError
from shared.measure.faithfulness import map_correlation, uniform_attention
from shared.measure.influence import influence
from shared.measure.ngrams import score
from shared.measure.reach import spread_targets
from shared.run.checkpoint import load_checkpoint, save_checkpoint
from shared.show import curves, figures
from shared.stages import ROOT, STAGES, load_stage, model_class
from shared.text.corpus import load_corpus
from shared.text.tokenizer import TOKENIZERS, train_tokenizer

PROMPT = "If music be the food of love, play on, to be or not to be"
PNG = b"\x89PNG\r\n\x1a\n"


# ------------------------------------------------------------------------------------------------------ runs to compare
def save_run(folder, stage, data, tokenizer="word", seed=1, **changes):
    """What a training leaves behind, but with random weights, large enough for every part to matter."""
    corpus = load_corpus(str(data), at_blank_line=tokenizer == "word")
    vocabulary = train_tokenizer(tokenizer, corpus.train)
    save_checkpoint(folder / "best.pt", random_checkpoint(stage, vocabulary, corpus, str(data), seed, **changes))
    records = [
        {"step": 10, "tokens": 1000, "seconds": 4.0, "train_loss": 6.5, "validation_loss": 6.0},
        {"step": 15, "tokens": 1500, "seconds": 6.0, "train_loss": 6.0},
        {"step": 20, "tokens": 2000, "seconds": 8.0 + seed, "train_loss": 5.5, "validation_loss": 5.0},
    ]
    lines = "".join(json.dumps(record) + "\n" for record in records)
    (folder / "metrics.jsonl").write_text(lines, encoding="utf-8", newline="\n")
    return folder / "best.pt"


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """A short text of our own, of which 5 % each are held out."""
    path = tmp_path_factory.mktemp("text") / "short.txt"
    whole = (ROOT / "data" / "shakespeare.txt").read_text(encoding="utf-8")
    path.write_text(whole[:60_000], encoding="utf-8", newline="\n")
    return path


@pytest.fixture(scope="module")
def runs(text, tmp_path_factory):
    """One run of each stage, and a second seed of stage 4."""
    folder = tmp_path_factory.mktemp("runs")
    paths = [save_run(folder / stage, stage, text) for stage in STAGES]
    return [*paths, save_run(folder / "again", STAGE_4, text, seed=2)]


LENGTHS = [1, 2, 4, 8, 16, 32, 64]
DISTANCES = 70


def typed(*words, pictures=False):
    """What the command does with this command line; it measures less than by default, and draws only if asked to."""
    with pytest.MonkeyPatch.context() as patch:
        if not pictures:
            patch.setattr(compare, "figures_of", lambda results: {})
        patch.setattr(sys, "argv", ["compare.py", *map(str, words)])
        patch.setattr(comparison, "GENERATED", 3)
        patch.setattr(comparison, "CONTEXT_LENGTHS", LENGTHS)
        patch.setattr(comparison, "DISTANCES", DISTANCES)
        patch.setattr(comparison, "GRADIENT_TARGETS", 8)
        compare.main()


@pytest.fixture(scope="module")
def compared(runs, text, tmp_path_factory):
    """The files of one comparison, read back, and what is needed to compute its numbers again."""
    out = tmp_path_factory.mktemp("out") / "comparison"
    with contextlib.redirect_stdout(io.StringIO()) as stdout:
        typed("--checkpoints", *runs, "--prompt", PROMPT, "--out", out, "--device", "cpu", pictures=True)
    results = json.loads((out / "results.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)
    corpus = load_corpus(str(text), at_blank_line=True)
    tokenizer = train_tokenizer("word", corpus.train)
    ids = {name: torch.tensor(tokenizer.encode(getattr(corpus, name))) for name in ("train", "validation", "test")}
    models = {path: restored(path) for path in runs}
    firsts = dict(zip(STAGES, runs))
    return SimpleNamespace(
        out=out, results=results, stdout=stdout.getvalue(), tokenizer=tokenizer, ids=ids, paths=firsts, models=models,
        first=lambda stage: models[firsts[stage]], again=models[runs[-1]],
    )  # fmt: skip


def restored(path):
    """The model in a checkpoint."""
    saved = load_checkpoint(path)
    model = model_class(saved["stage"])(**saved["model_settings"])
    model.load_state_dict(saved["weights"])
    return model.eval()


def of(results, stage):
    """The one of several stages' results that is this stage's."""
    return next(result for result in results if result["stage"] == stage)


@torch.no_grad()
def whole_text_loss(model, ids):
    """Nats of every token but the first, from one forward pass over the whole text."""
    logits, _, _ = model(ids[None, :-1])
    return F.cross_entropy(logits[0].double(), ids[1:], reduction="none")


every_stage = pytest.mark.parametrize("stage", STAGES)


# ----------------------------------------------------------------------------------------------------------- the table
@every_stage
@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_rows_perplexity_is_that_of_the_whole_text_read_at_once(compared, stage, split):
    """To a thousandth: evaluation reads in lanes, each after a warm-up."""
    models = [compared.first(stage)] + [compared.again] * (stage == STAGE_4)
    perplexities = [whole_text_loss(model, compared.ids[split]).mean().exp().item() for model in models]
    row = of(compared.results["table"], stage)
    assert row[f"{split}_perplexity"] == pytest.approx(np.mean(perplexities), rel=1e-3)
    assert row[f"{split}_bits_per_character"] is None, "words are not lossless"
    if split == "validation":
        assert row["runs"] == len(models) and row["seeds"] == [1, 2][: len(models)]
        spread = row["validation_perplexity_spread"]
        assert spread is None if len(models) == 1 else spread == pytest.approx(sorted(perplexities), rel=1e-3)


def test_the_first_row_is_what_counting_reaches(compared):
    row, ids = compared.results["table"][0], compared.ids
    vocab_size = compared.tokenizer.vocab_size
    validation = score(ids["train"].tolist(), ids["validation"].tolist(), vocab_size, counting.ORDER)
    test = score(ids["train"].tolist(), ids["test"].tolist(), vocab_size, counting.ORDER)
    assert row["stage"] == "counting" and f"{validation.best_order}-grams" in row["title"]
    chosen_on_validation = validation.best_order - 1
    assert row["validation_perplexity"] == pytest.approx(validation.orders[chosen_on_validation].perplexity, rel=1e-6)
    assert row["test_perplexity"] == pytest.approx(test.orders[chosen_on_validation].perplexity, rel=1e-6)
    assert row["training_tokens"] == len(ids["train"])


def test_counting_is_done_once(compared, monkeypatch, text):
    corpus, tokenizer = load_corpus(str(text), at_blank_line=True), compared.tokenizer
    monkeypatch.setattr(counting, "count_ngrams", pytest.fail)
    texts = {name: held_out(tokenizer, getattr(corpus, name)) for name in ("validation", "test")}
    passage = find_passage(tokenizer, texts["validation"].ids.tolist())
    row = counting.counting(corpus, tokenizer, texts, compared.out / "counting.json", passage)
    given = row.pop("passage")
    for one in (compared.results["to_guess"] or {"words": []})["words"]:
        assert one["counting"] == given[one["place"]]
    assert row == compared.results["table"][0]


def test_a_kept_count_of_another_text_or_vocabulary_is_not_used(compared, tmp_path, text):
    corpus, tokenizer = load_corpus(str(text), at_blank_line=True), compared.tokenizer
    texts = {name: held_out(tokenizer, getattr(corpus, name)) for name in ("validation", "test")}
    kept = json.loads((compared.out / "counting.json").read_text(encoding="utf-8"))
    for name in ("corpus", "tokenizer", "order", "passage"):
        stale = {"key": kept["key"] | {name: "other"}, "row": {"validation_perplexity": 1.0}}
        (tmp_path / "counting.json").write_text(json.dumps(stale), encoding="utf-8")
        row = counting.counting(corpus, tokenizer, texts, tmp_path / "counting.json", kept["key"]["passage"])
        assert row["validation_perplexity"] == pytest.approx(kept["row"]["validation_perplexity"])


@every_stage
def test_a_rows_costs_are_those_of_the_checkpoint_and_of_its_records(compared, stage):
    row, model, path = of(compared.results["table"], stage), compared.first(stage), compared.paths[stage]
    assert row["parameters"] == sum(parameter.numel() for parameter in model.parameters())
    seconds = [9.0] + [10.0] * (stage == STAGE_4)  # as save_run noted them
    assert row["training_tokens"] == 2000
    assert row["training_seconds"] == pytest.approx(np.mean(seconds))
    assert row["training_tokens_per_second"] == pytest.approx(np.mean([2000 / each for each in seconds]), rel=1e-6)
    assert row["generation_tokens_per_second"] > 1
    assert row["checkpoint_bytes"] == pytest.approx(path.stat().st_size, rel=0.001)


@every_stage
@pytest.mark.parametrize("length", [16, 256, 1024])
def test_the_state_carried_has_the_size_of_its_tensors(compared, stage, length):
    """A float32 number is four bytes: counted by what the stage says that it carries."""
    settings = load_checkpoint(compared.paths[stage])["settings"]
    hidden, layers = settings["hidden_size"], settings["num_layers"]
    numbers = {
        STAGE_1: layers * hidden,
        STAGE_2: layers * 2 * hidden,
        STAGE_3: layers * 2 * hidden + min(length, settings.get("memory_length", 0)) * (2 * hidden + 2),
        STAGE_4: layers * 2 * hidden * min(length, settings["context_length"] - 1),
    }[stage]
    assert of(compared.results["table"], stage)["state_bytes"][str(length)] == 4 * numbers


def test_the_share_of_unknown_words_is_counted(compared):
    for split in ("validation", "test"):
        unknown = (compared.ids[split] == compared.tokenizer.unk_id).double().mean().item()
        assert compared.results["tokenizer"][f"share_unknown_{split}"] == pytest.approx(unknown, rel=1e-6)


def test_bits_per_character_are_given_where_a_tokenizer_loses_nothing(text, tmp_path):
    lower = tmp_path / "lower.txt"  # whose held-out parts have no capital that the rest lacks
    lower.write_text(text.read_text(encoding="utf-8").lower(), encoding="utf-8", newline="\n")
    path = save_run(tmp_path / "run", STAGE_1, lower, tokenizer="char")
    typed("--checkpoints", path, "--out", tmp_path / "out", "--device", "cpu", "--prompt", "to be")
    results = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    row, counted = of(results["table"], STAGE_1), of(results["table"], "counting")
    for each in (row, counted):  # a character is a token
        assert each["test_bits_per_character"] == pytest.approx(math.log2(each["test_perplexity"]), rel=1e-6)
    assert results["tokenizer"]["share_unknown_test"] is None
    assert "bits per character, test" in (tmp_path / "out" / "table.md").read_text(encoding="utf-8")


# ---------------------------------------------------------------------------------------------------------- the curves
@every_stage
def test_the_learning_curve_is_the_validations_that_the_run_recorded(compared, stage):
    curve = of(compared.results["curves"]["learning"], stage)
    assert curve == {"stage": stage, "tokens": [1000, 2000], "seconds": [4.0, 9.0], "validation_loss": [6.0, 5.0]}


@every_stage
def test_the_context_curve_is_the_mean_loss_of_the_same_tokens_at_every_length(compared, stage):
    context, ids = compared.results["curves"]["context"], compared.ids["validation"]
    curve, model = of(context["stages"], stage), compared.first(stage)
    targets = spread_targets(len(ids), LENGTHS[-1], comparison.CONTEXT_TARGETS)
    assert context["lengths"] == LENGTHS and context["targets"] == len(targets) > 500
    for place, length in enumerate(LENGTHS):
        with torch.no_grad():
            windows = torch.stack([ids[target - length : target] for target in targets])
            logits = torch.cat([model(part)[0][:, -1] for part in windows.split(100)])
        nats = F.cross_entropy(logits.double(), ids[targets], reduction="none").numpy()
        assert curve["nats"][place] == pytest.approx(nats.mean(), rel=1e-5)
        assert curve["perplexity"][place] == pytest.approx(math.exp(nats.mean()), rel=1e-4)
        assert curve["standard_error"][place] == pytest.approx(nats.std(ddof=1) / len(nats) ** 0.5, rel=1e-4)


@every_stage
def test_the_loss_by_position_averages_to_the_loss_of_the_windows(compared, stage):
    curve, model = of(compared.results["curves"]["position"]["stages"], stage), compared.first(stage)
    ids = compared.ids["validation"]
    total = 0.0
    for start in range(0, len(ids) - 1, WINDOW):
        window = ids[None, start : start + WINDOW + 1]
        with torch.no_grad():
            total += model.loss(window[:, :-1], window[:, 1:])[0].item()
    assert curve["length"] == len(curve["nats"]) == len(curve["counts"]) == WINDOW
    assert sum(curve["counts"]) == len(ids) - 1
    weighted = np.dot(curve["nats"], curve["counts"]) / sum(curve["counts"])
    assert weighted == pytest.approx(total / (len(ids) - 1), abs=1e-6 * weighted)


@every_stage
def test_the_gradients_are_those_of_that_many_places(compared, stage):
    gradient, ids = compared.results["curves"]["gradient"], compared.ids["validation"]
    assert gradient["distances"] == list(range(DISTANCES))
    targets = spread_targets(len(ids), DISTANCES, comparison.CONTEXT_TARGETS)
    targets = targets[:: math.ceil(len(targets) / 8)]
    assert gradient["targets"] == len(targets) > 4
    sizes = np.zeros(DISTANCES)
    for target in targets:
        embedded = []
        model = compared.first(stage)
        hook = model.embedding.register_forward_hook(lambda module, inputs, output, into=embedded: into.append(output))
        logits, _, _ = model(ids[None, target - DISTANCES : target])
        hook.remove()
        (found,) = torch.autograd.grad(logits[0, -1].log_softmax(-1)[ids[target]], embedded)
        sizes += found[0].double().norm(dim=-1).flip(0).numpy() / len(targets)
    # Products in another order: what is small beside the largest is rounded otherwise.
    np.testing.assert_allclose(of(gradient["stages"], stage)["norms"], sizes, rtol=1e-3, atol=1e-6 * sizes.max())


# ------------------------------------------------------------------------------------------------------------ the maps
@pytest.fixture(scope="module")
def prompt(compared):
    return torch.tensor(compared.tokenizer.encode(PROMPT))


@every_stage
def test_every_stage_has_an_influence_map_of_the_same_tokens(compared, stage, prompt):
    shown, facts = of(compared.results["prompt"]["stages"], stage), compared.results["prompt"]
    assert facts["text"] == PROMPT and facts["cut"] is None
    assert facts["tokens"] == [compared.tokenizer.glyph(token) for token in prompt.tolist()]
    expected = influence(compared.first(stage), prompt).numpy()
    np.testing.assert_allclose(shown["influence"], expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(np.sum(shown["influence"], axis=-1), 1, atol=1e-6)


@every_stage
def test_attention_is_there_for_the_stages_that_have_it_and_holds_every_head(compared, stage, prompt):
    shown = of(compared.results["prompt"]["stages"], stage)
    with torch.no_grad():
        _, _, attention = compared.first(stage)(prompt[None], return_attention=True)
    assert (shown["attention"] is None) == (shown["faithfulness"] is None) == (attention is None)
    assert (attention is None) == (stage in (STAGE_1, STAGE_2))
    if attention is not None:
        np.testing.assert_allclose(shown["attention"], attention[0].numpy(), atol=1e-6)


@every_stage
def test_what_was_expected_next_is_the_five_likeliest_and_what_came(compared, stage, prompt):
    shown = of(compared.results["prompt"]["stages"], stage)
    with torch.no_grad():
        probabilities = compared.first(stage)(prompt[None])[0][0].softmax(-1)
    for row, following in enumerate(shown["next"]):
        best = sorted(range(probabilities.size(-1)), key=lambda token: -probabilities[row, token].item())[:5]
        assert [each["token"] for each in following] == [compared.tokenizer.glyph(token) for token in best]
        assert [each["probability"] for each in following] == pytest.approx(probabilities[row, best].tolist(), rel=1e-4)
    came = [probabilities[row, token].item() for row, token in enumerate(prompt[1:].tolist())]
    assert shown["actual_next"][:-1] == pytest.approx(came, rel=1e-4) and shown["actual_next"][-1] is None


@every_stage
def test_gates_are_the_mean_size_of_what_the_model_traces(compared, stage, prompt):
    shown = of(compared.results["prompt"]["stages"], stage)
    trace = compared.first(stage).trace(prompt[None])
    assert (shown["gates"] is None) == (not trace)
    for name, values in trace.items():
        assert shown["gates"][name] == pytest.approx(values.abs().mean(-1).tolist(), rel=1e-5)


@pytest.mark.parametrize("stage", [STAGE_3, STAGE_4])
def test_faithfulness_is_the_loss_without_a_choice_and_the_correlation_with_influence(compared, stage, prompt):
    found = of(compared.results["prompt"]["stages"], stage)["faithfulness"]
    model, ids = compared.first(stage), compared.ids["validation"]
    assert found["tokens"] == len(ids) - 1
    assert found["loss"] == pytest.approx(whole_text_loss(model, ids).mean().item(), rel=1e-3)
    with uniform_attention():
        uniform = whole_text_loss(model, ids).mean().item()
    assert found["loss_uniform"] == pytest.approx(uniform, rel=1e-3) and found["loss_uniform"] != found["loss"]
    models = [model] + [compared.again] * (stage == STAGE_4)
    correlations = []
    for each in models:
        with torch.no_grad():
            _, _, attention = each(prompt[None], return_attention=True)
        correlations.append(map_correlation(attention[0].mean((0, 1)), influence(each, prompt)))
    assert found["correlation"] == pytest.approx(correlations[0], abs=1e-6)
    spread = sorted(correlations) if len(models) > 1 else None
    assert found["correlation_spread"] == (spread and pytest.approx(spread, abs=1e-6))


def test_a_corpus_without_a_test_text_has_no_test_score(compared, text):
    """Tiny Shakespeare, as everyone splits it, is one."""
    tokenizer = compared.tokenizer
    texts = {"validation": held_out(tokenizer, "to be or not to be"), "test": held_out(tokenizer, "")}
    run = load_trained(compared.paths[STAGE_1], torch.device("cpu"))
    row, counted = comparison.scores(run, texts), counting.count_ngrams(compared.ids["train"].numpy(), 2000, texts, [])
    for each in (row, counted):
        assert each["test_perplexity"] is None and each["validation_perplexity"] > 1
    facts = comparison.text_facts(load_corpus(str(text)), tokenizer, texts)
    assert facts["tokenizer"]["share_unknown_test"] is None


@pytest.mark.parametrize("count", [3, 5, 40])
def test_even_a_few_words_of_validation_text_can_be_measured_and_drawn(compared, count, tmp_path):
    ids, run = compared.ids["validation"][:count], load_trained(compared.paths[STAGE_4], torch.device("cpu"))
    context = plain(comparison.context_curves([run], ids))
    assert max(context["lengths"]) <= max(1, count // 2) and context["targets"] == count - max(context["lengths"])
    gradient = plain(comparison.gradient_curves([run], ids))
    position = plain(comparison.position_curve(run, ids))
    assert sum(position["counts"]) == count - 1
    titles = {STAGE_4: run.title}
    for figure in (
        curves.context_figure(context, titles),
        curves.gradient_figure(gradient, titles),
        curves.position_figure([position], titles),
    ):
        figures.save_figure(figure, tmp_path / "figure.png")


def test_a_long_prompt_is_cut_to_its_last_tokens_and_the_page_says_so(runs, tmp_path):
    typed("--checkpoints", runs[0], "--prompt", "to be or not " * 20, "--out", tmp_path, "--device", "cpu")
    prompt = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["prompt"]
    assert len(prompt["tokens"]) == len(prompt["stages"][0]["influence"]) == 40
    assert prompt["cut"] == "the first 40 of 80 tokens of the prompt were left out"


# ----------------------------------------------------------------------------------------------------------- the files
def test_the_page_the_numbers_the_table_and_the_pictures_are_there(compared):
    names = {path.name for path in compared.out.iterdir()}
    pictures = ["learning", "context", "position", "gradient", "influence", f"gates-{STAGE_2}"]
    pictures += [f"attention-{STAGE_3}", f"attention-{STAGE_4}"]
    assert names == {"index.html", "results.json", "table.md", "counting.json", *(f"{name}.png" for name in pictures)}
    for name in pictures:
        assert (compared.out / f"{name}.png").read_bytes().startswith(PNG)
    page = (compared.out / "index.html").read_text(encoding="utf-8")
    assert all(row["title"] in page for row in compared.results["table"])


def test_the_table_shows_the_results_and_is_also_printed(compared):
    text = (compared.out / "table.md").read_text(encoding="utf-8")
    for row in compared.results["table"]:
        for shown in (text, compared.stdout):
            assert f"{row['validation_perplexity']:.1f}" in shown and f"{row['test_perplexity']:.1f}" in shown
        assert row["parameters"] is None or f"| {row['parameters']:,} |" in text
    assert "<unk> is validation" in text and "bits per character" not in text
    widths = {line.count("|") for line in text.splitlines() if line.startswith("|")}
    assert widths == {len(STAGES) + 3}


def test_no_number_in_the_results_is_infinite_or_missing_its_value():
    """json.dumps writes NaN and Infinity, which are no JSON."""
    found = plain({"a": [math.inf, math.nan, 1.0], "b": torch.tensor([1.5, math.nan]), "c": (1, "x", None, True)})
    assert found == {"a": [None, None, 1.0], "b": [1.5, None], "c": [1, "x", None, True]}


def test_the_table_and_the_page_say_of_short_runs_that_they_do_not_rank_stages(compared):
    """All of them had 20 steps."""
    line = compared.results["too_short"]
    assert "do not rank stages" in line and "\n" not in line and "20 of the default's" in line
    table = (compared.out / "table.md").read_text(encoding="utf-8")
    assert table.index(line) < table.index("| perplexity") and line in compared.stdout
    assert all(row["title"] in line for row in compared.results["table"][1:])


def test_runs_of_as_many_steps_as_the_default_rank_stages(compared):
    run = load_trained(compared.paths[STAGE_1], torch.device("cpu"))
    steps = load_stage(STAGE_1).settings("word")["max_steps"]
    long = replace(run, records=[{"step": steps // 3 + 1}])
    assert too_short_to_rank([long, long]) == "" and too_short_to_rank([run, long]).count("default's") == 1
    assert too_short_to_rank([replace(run, records=[])]) == "", "its settings say that it had all steps"


def test_before_it_measures_it_says_how_long_that_takes(runs, tmp_path, capsys):
    typed("--checkpoints", runs[0], "--out", tmp_path, "--device", "cpu", "--prompt", PROMPT)
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("measuring")]
    assert re.fullmatch(r"measuring   takes about \d+ s", told[0]) and told[1].startswith("measuring   counting")


def test_more_work_is_estimated_to_take_longer(compared, monkeypatch):
    run = load_trained(compared.paths[STAGE_2], torch.device("cpu"))
    texts = {"validation": held_out(compared.tokenizer, "to be or not to be " * 200)}
    monkeypatch.setattr(estimate, "seconds_of", lambda work, *given: 1.0)
    once = estimate.measuring_seconds([[run]], texts, 0)
    assert once < estimate.measuring_seconds([[run, run]], texts, 0) < estimate.measuring_seconds([[run]] * 2, texts, 0)
    assert once < estimate.measuring_seconds([[run]], texts, 1e6)
    stage, settings = load_stage(STAGE_2), load_stage(STAGE_2).settings("word") | {"hidden_size": 8, "max_steps": 10}
    short = estimate.training_seconds(stage, settings, 50, 0)
    assert short == 10 and estimate.training_seconds(stage, settings, 50, 1000) > short


# -------------------------------------------------------------------------------------------------- what can go wrong
def refused(*words):
    with pytest.raises(UserError) as complaint:
        typed(*words)
    assert "\n" not in str(complaint.value)
    return str(complaint.value)


def test_runs_with_other_tokenizers_are_refused_with_both_named(runs, text, tmp_path):
    other = save_run(tmp_path / "char", STAGE_2, text, tokenizer="char")
    line = refused("--checkpoints", runs[0], other, "--out", tmp_path)
    assert line.startswith("the tokenizer differs") and "model-01-rnn has word with" in line
    assert "model-02-lstm has char with" in line and "--checkpoints" in line


def test_runs_on_other_texts_are_refused_with_both_named(runs, text, tmp_path):
    longer = tmp_path / "other.txt"
    longer.write_text(text.read_text(encoding="utf-8") + "The end.\n", encoding="utf-8", newline="\n")
    other = save_run(tmp_path / "other", STAGE_2, longer)
    line = refused("--checkpoints", runs[0], other, "--out", tmp_path)
    assert line.startswith("the corpus differs") and "short.txt" in line and "other.txt" in line


def test_a_run_that_is_named_by_its_folder_and_by_its_file_is_one_run(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    best = tmp_path / "checkpoints" / "best.pt"
    best.write_bytes(b"")
    assert named_checkpoints([tmp_path, best, tmp_path / "checkpoints", tmp_path / "x.pt"]) == [best, tmp_path / "x.pt"]


def test_a_text_in_the_home_folder_is_found_again(text, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    content = Path(text).read_text(encoding="utf-8")
    (tmp_path / "mine.txt").write_text(content, encoding="utf-8")
    run = SimpleNamespace(
        stage=STAGE_1,
        saved={
            "settings": {"data": "~/mine.txt"},
            "tokenizer": {"name": "word"},
            "corpus": {"name": "mine.txt", "sha256": load_corpus(str(tmp_path / "mine.txt")).sha256},
        },
    )
    assert load_corpus_of([run], None).train in content


def test_runs_of_one_stage_with_other_settings_are_no_seeds_of_one_run(runs, text, tmp_path):
    wider = save_run(tmp_path / "wider", STAGE_1, text, hidden_size=24)
    assert "hidden_size 24, not 16" in refused("--checkpoints", runs[0], wider, "--out", tmp_path)


def test_a_text_that_the_runs_have_not_read_is_refused(runs, tmp_path):
    line = refused("--checkpoints", runs[0], "--data", "shakespeare", "--out", tmp_path)
    assert line == "shakespeare is not the text that the runs read, short.txt; name that with --data"


def test_a_text_that_has_moved_is_asked_for(text, tmp_path):
    path = save_run(tmp_path / "run", STAGE_1, text)
    saved = load_checkpoint(path)
    saved["settings"]["data"] = "../gone/short.txt"
    save_checkpoint(path, saved)
    assert "say where it lies now: --data PATH" in refused("--checkpoints", path, "--out", tmp_path)


def test_without_any_trained_stage_it_says_how_to_train(tmp_path, monkeypatch):
    monkeypatch.setattr(compared_runs, "ROOT", tmp_path)
    line = refused("--out", tmp_path)
    assert "python train.py in model-01-rnn" in line and "python -m shared.compare --train" in line


def test_missing_stages_are_named_with_the_way_to_train_them_and_the_rest_is_compared(
    text, tmp_path, monkeypatch, capsys
):
    save_run(tmp_path / STAGE_2 / "checkpoints", STAGE_2, text)
    monkeypatch.setattr(compared_runs, "ROOT", tmp_path)
    typed("--out", tmp_path / "out", "--device", "cpu")
    log = capsys.readouterr().err
    for stage in (STAGE_1, STAGE_3, STAGE_4):
        assert f"missing     {stage}, not compared; train it: python train.py in {stage}" in log
    results = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    assert [row["stage"] for row in results["table"]] == ["counting", STAGE_2]


def test_earlier_runs_of_a_stage_that_has_no_other_are_named(text, tmp_path, monkeypatch, capsys):
    earlier = save_run(tmp_path / STAGE_1 / "checkpoints" / "previous" / "1", STAGE_1, text).parent
    monkeypatch.setattr(compared_runs, "ROOT", tmp_path)
    assert refused("--out", tmp_path).endswith(f"--checkpoints {earlier}")
    save_run(tmp_path / STAGE_2 / "checkpoints", STAGE_2, text)
    typed("--out", tmp_path / "out", "--device", "cpu", "--prompt", PROMPT)
    assert f"or name an earlier run with --checkpoints: {earlier}" in capsys.readouterr().err


def test_an_earlier_run_on_the_text_of_the_others_is_named(runs, text, tmp_path):
    longer = tmp_path / "other.txt"
    longer.write_text(text.read_text(encoding="utf-8") + "The end.\n", encoding="utf-8", newline="\n")
    other = save_run(tmp_path / "other", STAGE_2, longer)
    earlier = save_run(tmp_path / "other" / "previous" / "3", STAGE_2, text).parent
    assert refused("--checkpoints", runs[0], other, "--out", tmp_path).endswith(f"--checkpoints, such as {earlier}")


def test_rows_stand_in_the_order_of_the_stages_however_they_are_named(compared, runs, tmp_path):
    typed("--checkpoints", runs[1], runs[0], runs[1], "--out", tmp_path, "--device", "cpu")
    table = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["table"]
    assert [(row["stage"], row["runs"]) for row in table] == [("counting", 1), (STAGE_1, 1), (STAGE_2, 1)]


def test_a_checkpoint_of_something_else_is_refused(compared, tmp_path):
    save_checkpoint(tmp_path / "best.pt", load_checkpoint(compared.paths[STAGE_1]) | {"stage": "lab-copy"})
    assert "holds lab-copy, which is none of the stages" in refused("--checkpoints", tmp_path, "--out", tmp_path)


def test_train_compares_the_runs_under_the_budget(text, tmp_path, monkeypatch):
    """With the training itself replaced by one that leaves random weights."""
    asked = []

    def train_missing(budget, folder):
        asked.append((budget, folder))
        return [save_run(folder / stage, stage, text) for stage in (STAGE_1, STAGE_2)]

    monkeypatch.setattr(compare, "train_missing", train_missing)
    typed("--train", "--data", text, "--tokens", "500", "--seed", "3", "--out", tmp_path, "--device", "cpu")
    assert asked == [(Budget(str(text), "word", 500, 3, "cpu"), tmp_path / "checkpoints")]
    table = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["table"]
    assert [row["stage"] for row in table] == ["counting", STAGE_1, STAGE_2]


@pytest.mark.parametrize(
    "words, reason",
    [
        ("--seed 2", "--seed says how to train; add --train"),
        ("--train --checkpoints a", "not allowed with"),
        ("--tokens 0 --train", "at least 1"),
        ("--checkpoints nowhere/best.pt", "there is no checkpoint at"),
    ],
)
def test_a_mistake_is_one_line_and_exit_status_2(words, reason, tmp_path):
    shown = terminal.typed(ROOT, f"python -m shared.compare {words} --out {tmp_path}", code=2)
    assert shown.out == "" and reason in shown.err and shown.err.count("\n") == 1


# The passage to guess


def test_the_passage_to_guess_is_known_words_that_are_read_again_as_typed():
    lines = ["the king spoke to his men and they heard the king speak to them of war and of men and of peace"] * 3
    tokenizer = TOKENIZERS["word"].train("\n".join(lines))
    text = "the dragon spoke\n" + "\n".join(lines)
    ids = tokenizer.encode(text)
    passage = find_passage(tokenizer, ids)
    assert passage == ids[4 : 4 + len(passage)] and tokenizer.unk_id not in passage
    given = passage_to_guess(tokenizer, passage, [0.5] * len(passage))
    assert len(given["words"]) == 10 and tokenizer.encode(given["text"]) == passage
    assert given["text"] == given["before"] + "".join(one["lead"] + one["word"] for one in given["words"])


@pytest.mark.parametrize("text", ["", "too few words"])
def test_without_enough_held_out_text_there_is_nothing_to_guess(text):
    tokenizer = TOKENIZERS["word"].train("too few words\n" * 5)
    assert find_passage(tokenizer, tokenizer.encode(text)) == [] and passage_to_guess(tokenizer, [], []) is None
