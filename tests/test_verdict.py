"""The end of a training says whether it is good: beside counting, beside the chapter's default run, for its steps."""

import json
import re

import pytest

from shared.measure.ngrams import score
from shared.run.stage import Stage, too_short
from shared.run.verdict import verdict

IDS = [token % 7 for token in range(300)], [token * 3 % 7 for token in range(60)]


@pytest.fixture
def stage(tmp_path):
    """A stage of 90 steps, with four kept runs: two of them on the text "abc", by words."""
    results = tmp_path / "results"
    results.mkdir()
    kept = {"word-default-seed1": ("abc", 60.0), "word-default-seed2": ("abc", 70.0)}
    kept |= {"word-default-seed3": ("other", 5.0), "char-default-seed1": ("abc", 4.0)}
    for name, (text, perplexity) in kept.items():
        run = {"corpus": {"sha256": text}, "validation": {"perplexity": perplexity}, "training_seconds": 120}
        (results / f"text-{name}.json").write_text(json.dumps(run), encoding="utf-8")
    return Stage(folder=tmp_path, defaults=dict(max_steps=90), model_settings=())


def told(stage, perplexity=50.0, corpus="abc", tokenizer="word", max_steps=90, ids=IDS):
    return verdict(stage, dict(tokenizer=tokenizer, max_steps=max_steps), corpus, ids, 7, perplexity, 90.0)


def test_counting_on_the_same_ids_says_whether_anything_was_learned(stage):
    counted = score(*IDS, 7, 5).orders[-1].perplexity
    better, worse = told(stage, counted - 0.1)[0], told(stage, counted + 0.1)[0]
    assert f"perplexity {counted:.2f} (5-grams" in better
    assert better.endswith("is better") and worse.endswith("learned less")


@pytest.mark.parametrize("tokenizer, corpus, shown", [("word", "abc", "65.00"), ("char", "abc", "4.00")])
def test_the_default_run_is_the_mean_of_the_kept_ones_of_this_text_and_tokenizer(stage, tokenizer, corpus, shown):
    assert f"perplexity {shown} in 2.0 minutes" in told(stage, corpus=corpus, tokenizer=tokenizer)[1]


def test_without_kept_runs_of_this_text_there_is_no_default_to_name(stage):
    assert [line.split()[0] for line in told(stage, corpus="mine")] == ["counting", "time"]


def test_a_text_too_short_to_count_is_no_mistake(stage):
    assert [line.split()[0] for line in told(stage, ids=([1, 2, 3], [1, 2]))] == ["chapter", "time"]


def test_a_run_of_under_a_third_of_the_steps_does_not_rank_stages(stage):
    assert "29 of the default's 90 steps do not rank stages" in told(stage, max_steps=29)[-1]
    assert told(stage, max_steps=30)[-1] == "time        1.5 minutes"
    assert too_short(1, 3) == "" and too_short(1, 4)


def test_the_verdict_fits_a_terminal_of_80_columns(stage):
    assert all(len(line) <= 80 for line in told(stage, perplexity=1e5, max_steps=1))
    assert len(told(stage)) <= 3 and not re.search(r"\n", "".join(told(stage)))
