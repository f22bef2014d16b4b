"""One budget for all: equal parameters and tokens, in folders of their own, by the stages' own train.py."""

import json
import signal
import subprocess

import pytest
from checkpoints import finished

from shared.compare import budget as budget
from shared.compare.budget import Budget, budget_settings, parameters_with, run_training, train_missing
from shared.errors import UserError
from shared.run.checkpoint import load_checkpoint
from shared.stages import ROOT, STAGES, load_stage, model_class
from shared.text.corpus import load_corpus
from shared.text.tokenizer import train_tokenizer

# As many entries as these tokenizers have on the bundled text.
VOCABULARIES = {"word": 17_706, "char": 85, "bpe": 1024}


def asked(**changes):
    return Budget(**(dict(data="shakespeare", tokenizer="word", tokens=100_000, seed=1, device="cpu") | changes))


def built(stage, settings, vocab_size):
    """The real model, as train.py makes it."""
    names = load_stage(stage).model_settings
    return model_class(stage)(**({name: settings[name] for name in names} | {"vocab_size": vocab_size}))


@pytest.mark.parametrize("tokenizer, vocab_size", VOCABULARIES.items())
def test_all_models_of_a_budget_have_the_same_number_of_parameters_within_ten_per_cent(tokenizer, vocab_size):
    sizes = []
    for stage, settings in budget_settings(asked(tokenizer=tokenizer), vocab_size).items():
        sizes.append(sum(parameter.numel() for parameter in built(stage, settings, vocab_size).parameters()))
        assert parameters_with(load_stage(stage), settings, vocab_size) == sizes[-1]
    assert len(sizes) == len(STAGES) and max(sizes) < 1.1 * min(sizes)


def test_the_stages_defaults_are_no_such_match():
    """So the widths are worth fitting."""
    sizes = [parameters_with(load_stage(stage), load_stage(stage).settings("word"), 17_706) for stage in STAGES]
    assert max(sizes) > 1.1 * min(sizes)


@pytest.mark.parametrize("tokens", [100_000, 2_000_000])
@pytest.mark.parametrize("tokenizer, vocab_size", VOCABULARIES.items())
def test_all_stages_read_the_same_number_of_tokens_to_within_half_a_step(tokenizer, vocab_size, tokens):
    for settings in budget_settings(asked(tokenizer=tokenizer, tokens=tokens), vocab_size).values():
        step = settings["batch_size"] * settings["context_length"]
        assert abs(settings["max_steps"] * step - tokens) <= step / 2


def test_everything_but_width_length_and_seed_is_as_the_stage_has_it():
    for stage, settings in budget_settings(asked(seed=5), 17_706).items():
        defaults = load_stage(stage).settings("word")
        changed = {name for name in settings if settings[name] != defaults.get(name)}
        assert changed <= {"hidden_size", "max_steps", "seed"} and settings["seed"] == 5


# ------------------------------------------------------------------------------------------------------------- running
@pytest.fixture
def text(tmp_path):
    path = tmp_path / "short.txt"
    whole = (ROOT / "data" / "shakespeare.txt").read_text(encoding="utf-8")
    path.write_text(whole[:60_000], encoding="utf-8", newline="\n")
    return path


@pytest.fixture
def trainings(monkeypatch, text):
    """Instead of training: note each command, and leave the summary that it would leave."""
    commands = []

    def call(command, cwd, stdout):
        given = dict(word.removeprefix("--").split("=", 1) for word in command[2:] if "=" in word)
        given["data"] = command[command.index("--data") + 1]
        out_dir = budget.Path(given["out-dir"])
        commands.append((cwd.name, given, "--resume" in command))
        settings = load_stage(cwd.name).settings(given["tokenizer"])
        settings |= {name.replace("-", "_"): int(given[name]) for name in ("hidden-size", "max-steps", "seed")}
        out_dir.mkdir(parents=True, exist_ok=True)
        summary = finished(cwd.name, settings) | {"corpus": {"name": "a", "sha256": load_corpus(str(text)).sha256}}
        (out_dir / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
        return 0

    monkeypatch.setattr(subprocess, "call", call)
    return commands


def test_what_is_missing_is_trained_each_stage_in_a_folder_of_its_own(trainings, text, tmp_path):
    paths = train_missing(asked(data=str(text)), tmp_path / "runs")
    assert paths == [tmp_path / "runs" / stage / "seed1" / "best.pt" for stage in STAGES]
    assert [stage for stage, _, _ in trainings] == list(STAGES)
    assert {given["out-dir"] for _, given, _ in trainings} == {str(path.parent) for path in paths}
    assert {given["data"] for _, given, _ in trainings} == {str(text)}


def test_what_is_there_is_not_trained_again_and_another_seed_is_kept_beside_it(trainings, text, tmp_path):
    train_missing(asked(data=str(text)), tmp_path)
    train_missing(asked(data=str(text)), tmp_path)
    assert len(trainings) == len(STAGES)
    paths = train_missing(asked(data=str(text), seed=2), tmp_path)
    assert paths == [tmp_path / stage / seed / "best.pt" for stage in STAGES for seed in ("seed1", "seed2")]


def test_a_relative_folder_is_meant_from_where_the_command_was_typed(trainings, text, tmp_path, monkeypatch):
    """And not from the stage's folder, where train.py runs."""
    monkeypatch.chdir(tmp_path)
    paths = train_missing(asked(data=text.name), budget.Path("runs"))
    assert all(path.resolve().is_relative_to(tmp_path / "runs") for path in paths)
    for _, given, _ in trainings:
        assert given["data"] == str(text) and given["out-dir"].startswith(str(tmp_path / "runs"))


def test_an_unfinished_run_is_resumed(trainings, text, tmp_path):
    (tmp_path / list(STAGES)[1] / "seed1").mkdir(parents=True)
    (tmp_path / list(STAGES)[1] / "seed1" / "last.pt").touch()
    train_missing(asked(data=str(text)), tmp_path)
    assert [resumed for _, _, resumed in trainings] == [False, True, False, False]


def test_a_run_of_another_budget_or_text_is_refused(trainings, text, tmp_path):
    train_missing(asked(data=str(text)), tmp_path)
    with pytest.raises(UserError, match=r"another budget \(max_steps .*--out"):
        train_missing(asked(data=str(text), tokens=300_000), tmp_path)
    text.write_text(text.read_text(encoding="utf-8")[:50_000], encoding="utf-8", newline="\n")
    with pytest.raises(UserError, match="it read another text"):
        train_missing(asked(data=str(text), seed=2), tmp_path)
    assert len(trainings) == len(STAGES), "nothing was trained before that was found"


def test_a_training_that_fails_is_told_in_one_line(monkeypatch, text, tmp_path):
    monkeypatch.setattr(subprocess, "call", lambda *arguments, **options: 2)
    with pytest.raises(UserError, match="model-01-rnn could not be trained"):
        train_missing(asked(data=str(text)), tmp_path)


def test_ctrl_c_waits_for_the_training_to_save_and_then_stops(monkeypatch, text, tmp_path):
    saved = []

    def call(command, cwd, stdout):
        signal.raise_signal(signal.SIGINT)  # a terminal sends it to both programs
        saved.append(True)
        return 130

    monkeypatch.setattr(subprocess, "call", call)
    with pytest.raises(KeyboardInterrupt):
        train_missing(asked(data=str(text)), tmp_path)
    assert saved == [True]


def test_the_stages_own_train_py_takes_the_budget_as_it_is_given(text, tmp_path):
    """A real training of one step, whose own summary says that it was within the budget."""
    text.write_text(text.read_text(encoding="utf-8")[:20_000], encoding="utf-8", newline="\n")
    stage, order = list(STAGES)[-1], asked(data=str(text), tokens=2048)
    vocab_size = train_tokenizer("word", load_corpus(str(text), at_blank_line=True).train).vocab_size
    settings = budget_settings(order, vocab_size)[stage]
    run_training(stage, settings | {"hidden_size": 8}, order, tmp_path / "run")
    summary = json.loads((tmp_path / "run" / "summary.json").read_text(encoding="utf-8"))
    budget.check_budget(summary, settings | {"hidden_size": 8}, load_corpus(str(text)).sha256, tmp_path)
    best = load_checkpoint(tmp_path / "run" / "best.pt", stage=stage)
    assert best["model_settings"]["vocab_size"] == vocab_size
    assert best["progress"]["tokens"] == settings["max_steps"] * settings["batch_size"] * settings["context_length"]
