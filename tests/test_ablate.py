"""Ablations: each variant changes what it says and nothing else, no run is made twice, and the table adds up."""

import json
import math
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from options import STAGE_1, STAGE_2, STAGE_3, STAGE_4

from shared import ablate
from shared.ablate import RECIPE, VARIANTS, LockedDropout, Text, Variant, fitting, new_model, run_variant, table
from shared.errors import UserError
from shared.model.output import TiedOutput
from shared.run.training import Task
from shared.stages import ROOT, load_stage
from shared.text.tokenizer import train_tokenizer

SPEECH = "O Romeo, Romeo, wherefore art thou Romeo?\nDeny thy father and refuse thy name;\n\n"


@pytest.fixture(scope="module")
def text():
    tokenizer = train_tokenizer("word", SPEECH * 30, None)
    ids = torch.tensor(tokenizer.encode(SPEECH * 30))
    return Text(ids, ids[:60], tokenizer, "shakespeare", "1" * 64)


def small(stage, **changes):
    sizes = dict(hidden_size=8, num_layers=2, num_heads=2, batch_size=3, context_length=32)
    known = dict(max_steps=4, eval_interval=100, precision="float32", optimizer="muon")
    return load_stage(stage).settings("word") | sizes | known | changes


def test_a_locked_mask_is_the_same_at_every_step_and_another_for_every_text():
    torch.manual_seed(0)
    dropped = LockedDropout(0.5)(torch.ones(64, 10, 16))
    assert torch.equal(dropped, dropped[:, :1].expand(-1, 10, -1))
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert len({tuple(row) for row in dropped[:, 0].tolist()}) > 60
    assert torch.equal(LockedDropout(0.5).eval()(torch.ones(2, 3, 4)), torch.ones(2, 3, 4))


@pytest.mark.parametrize("stage", [STAGE_2, STAGE_4])
def test_every_dropout_of_a_model_is_locked(stage, text):
    settings = small(stage, dropout=0.5)
    model = new_model(load_stage(stage), VARIANTS["dropout .3, one mask for a chunk"], settings, text)
    assert not any(isinstance(module, torch.nn.Dropout) for module in model.modules())
    assert any(isinstance(module, LockedDropout) and module.p == 0.5 for module in model.modules())


def test_untied_tables_begin_equal_and_learn_apart(text):
    model = new_model(load_stage(STAGE_1), VARIANTS["input and output tables not tied"], small(STAGE_1), text)
    tied = new_model(load_stage(STAGE_1), Variant(), small(STAGE_1), text)
    ids = text.training[:9][None]
    assert torch.equal(model.eval()(ids)[0], tied.eval()(ids)[0])
    assert len(list(model.parameters())) == len(list(tied.parameters())) + 1
    model.loss(ids[:, :-1], ids[:, 1:])[0].backward()
    read = ids[0, 0]
    unread = next(token for token in range(text.tokenizer.vocab_size) if token not in ids)
    assert model.embedding.weight.grad[read].any() and not model.embedding.weight.grad[unread].any()
    assert model.output.embedding.weight.grad[unread].any()


@pytest.mark.parametrize("stage", [STAGE_1, STAGE_2, STAGE_4])
@torch.no_grad()
def test_a_stage_that_is_let_copy_keeps_the_contract(stage, text):
    """In chunks as at once, no answer by what comes later, a loss of its own logits, which are log probabilities."""
    model = new_model(load_stage(stage), VARIANTS["words copied from the last 64"], small(stage), text).double().eval()
    model.pointer.query.weight.mul_(20)  # or all places would look about alike
    ids = text.training[:200].view(2, 100)
    whole, _, _ = model(ids)
    torch.testing.assert_close(whole.exp().sum(-1), torch.ones(2, 100).double(), rtol=0, atol=1e-12)
    nats, _ = model.loss(ids[:, :-1], ids[:, 1:], reduction="none")
    torch.testing.assert_close(-nats, whole[:, :-1].gather(-1, ids[:, 1:, None])[..., 0], rtol=0, atol=1e-12)
    for length in (1, 7, 90):
        state, parts = None, []
        for chunk in ids.split(length, dim=1):
            logits, state, _ = model(chunk, model.carry(state))
            parts.append(logits)
        torch.testing.assert_close(torch.cat(parts, dim=1), whole, rtol=0, atol=1e-9)
    others = ids.clone()
    others[:, 60] = (ids[:, 60] + 1) % text.tokenizer.vocab_size
    difference = (model(others)[0] - whole).abs().amax((0, 2))
    assert difference[:60].max() < 1e-12 and difference[60] > 1e-6


@torch.no_grad()
def test_what_is_changed_in_stage_3_is_what_the_variant_says(text):
    stage, ids = load_stage(STAGE_3), text.training[None, :90]
    recipe, unmixed, of_states, as_in_translation = (
        new_model(stage, VARIANTS[name], small(STAGE_3), text).double().eval()
        for name in (RECIPE, "nothing copied", "places give states", "past states as keys and values, nothing copied")
    )
    # Nothing copied: what the output layer writes, and that alone.
    pointing, _, _ = recipe.features(ids, None, False)
    written = TiedOutput.forward(unmixed.output, pointing.features).log_softmax(-1)
    torch.testing.assert_close(unmixed(ids)[0], written, rtol=0, atol=1e-12)
    torch.testing.assert_close(-unmixed.loss(ids, ids, reduction="none")[0], written.gather(-1, ids[..., None])[..., 0])
    # What a place offers: h_(s-1) and h_s, or h_(s-1) twice.
    states, before, embedded = torch.randn(3, 1, 5, 8).unbind()
    assert of_states.places(states, before, embedded) == (before, states)
    assert as_in_translation.places(states, before, embedded) == (before, before)
    assert recipe.places(states, before, embedded) == (before, embedded)


def test_nothing_is_carried_where_nothing_shall_be():
    seen = []
    task = Task(
        batch=None, step=lambda batch, carry: seen.append(carry) or (0.0, 1, "state"), evaluate=None, describe=None
    )
    ablate.without_carry(task).step("batch", "state")
    task.step("batch", "state")
    assert seen == [None, "state"]


def test_a_run_with_more_steps_than_the_recipe_is_scored_once_too(monkeypatch, text):
    scored = []
    monkeypatch.setattr(ablate, "evaluate", lambda *given: scored.append(1) or SimpleNamespace(loss=-len(scored)))
    recipe = small(STAGE_1, max_steps=2, eval_interval=2)
    variant = VARIANTS["half the hidden size, twice the steps"]
    assert run_variant(load_stage(STAGE_1), variant, variant.changed(recipe) | {"seed": 1}, text) == -1


@pytest.mark.parametrize("stage", [STAGE_1, STAGE_2, STAGE_3, STAGE_4])
def test_every_variant_trains_and_no_two_end_alike(stage, text):
    recipe = small(stage, dropout=0.2, learning_rate=0.02, decay_share=0.6, warmup_steps=1)
    scores = {}
    for name, variant in fitting(recipe).items():
        try:
            scores[name] = run_variant(load_stage(stage), variant, variant.changed(recipe) | {"seed": 1}, text)
        except UserError as error:  # a processor that has no bfloat16 for this stage's layers
            assert variant.settings == dict(precision="bfloat16") and "does not work here" in str(error)
    assert all(map(math.isfinite, scores.values()))
    assert len(set(scores.values())) == len(scores) > 10
    assert scores[RECIPE] == run_variant(load_stage(stage), Variant(), recipe | {"seed": 1}, text)


def test_a_variant_that_this_processor_cannot_compute_is_left_out_and_said(text, tmp_path, monkeypatch, capsys):
    def run(stage, variant, settings, text):
        if "precision" in variant.settings:
            raise UserError("bfloat16 does not work here")
        return 4.0

    monkeypatch.setattr(ablate, "run_variant", run)
    monkeypatch.setattr(ablate, "settle", lambda stage, text, whole, chosen: small(STAGE_2))
    kept = ablate.ablate(STAGE_2, text, [1], tmp_path / "ablation.json")
    names = [run["variant"] for run in kept["runs"]]
    assert "matrix products in bfloat16" not in names and RECIPE in names and len(names) > 5
    assert capsys.readouterr().err.count("left out: bfloat16 does not work here") == 1


def test_a_variant_that_is_the_recipe_itself_is_left_out():
    names = set(fitting(small(STAGE_4, dropout=0.0)))
    assert "no dropout" not in names and {"dropout .1", "learned positions", RECIPE} <= names
    names = set(fitting(small(STAGE_2, dropout=0.1)))
    assert not names & {"dropout .1", "learned positions"} and "no dropout" in names


def test_runs_are_kept_one_by_one_and_never_repeated(text, tmp_path, monkeypatch, capsys):
    path, trained = tmp_path / "results" / "ablation.json", []
    monkeypatch.setattr(ablate, "read_text", lambda data, tokenizer, whole: text)
    monkeypatch.setattr(
        ablate, "settle", lambda stage, text, whole, chosen: small(STAGE_1, optimizer="adamw", learning_rate=0.003)
    )

    def stop_at_the_fourth(stage, variant, settings, text):
        if len(trained) == 3:
            raise KeyboardInterrupt
        trained.append(settings["seed"])
        return 5.0

    monkeypatch.setattr(ablate, "run_variant", stop_at_the_fourth)
    with pytest.raises(KeyboardInterrupt):
        ablate.ablate(STAGE_1, text, [1, 2], path)
    assert len(json.loads(path.read_text(encoding="utf-8"))["runs"]) == 3
    monkeypatch.setattr(ablate, "run_variant", lambda *given: trained.append(given[2]["seed"]) or 4.0)
    monkeypatch.setattr(sys, "argv", ["ablate", STAGE_1, "--seeds", "1", "2", "--json", str(path)])
    ablate.main()
    variants = len(fitting(small(STAGE_1, optimizer="adamw", learning_rate=0.003)))
    assert trained == [1] * variants + [2] * variants
    assert len(capsys.readouterr().out.splitlines()) == variants + 4
    kept = json.loads(path.read_text(encoding="utf-8"))["runs"]
    used = {run["variant"]: run["settings"] for run in kept}
    recipe, half = used[RECIPE], used["half the hidden size, twice the steps"]
    assert (2 * half["hidden_size"], half["max_steps"]) == (recipe["hidden_size"], 2 * recipe["max_steps"])
    # Whole runs are others than those on a part, and have a table of their own.
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--whole", "--only", "AdamW"])
    ablate.main()
    added = [(run["variant"], run["seed"]) for run in json.loads(path.read_text(encoding="utf-8"))["runs"][len(kept) :]]
    # With .003 it is the recipe.
    chosen = [RECIPE, *(f"AdamW for all weights, rate {rate}" for rate in (".0015", ".006", ".012", ".024"))]
    assert added == [(name, seed) for seed in (1, 2) for name in chosen]
    shown = capsys.readouterr().out
    assert len(shown.splitlines()) == variants + 4 + 1 + len(chosen) + 4 and shown.count(" --whole`") == 1


def test_runs_of_another_recipe_are_neither_mixed_with_these_nor_lost(text, tmp_path, monkeypatch):
    path = tmp_path / "ablation.json"
    monkeypatch.setattr(ablate, "run_variant", lambda *given: 4.0)
    monkeypatch.setattr(ablate, "settle", lambda stage, text, whole, chosen: small(STAGE_1))
    ablate.ablate(STAGE_1, text, [1], path)
    before = path.read_text(encoding="utf-8")
    ablate.ablate(STAGE_1, text, [1], path)
    monkeypatch.setattr(ablate, "settle", lambda stage, text, whole, chosen: small(STAGE_1, dropout=0.25))
    with pytest.raises(UserError, match=r"another recipe \(dropout .*, not 0.25\); move it away or .* --json"):
        ablate.ablate(STAGE_1, text, [1], path)
    assert path.read_text(encoding="utf-8") == before
    ablate.ablate(STAGE_1, text, [1], path, whole=True, only="AdamW")
    with pytest.raises(UserError, match=r"another text \(shakespeare\); give another --json"):
        ablate.ablate(STAGE_1, replace(text, corpus="mine.txt"), [1], path)
    with pytest.raises(UserError, match=r"another text \(shakespeare\); give another --json"):
        ablate.ablate(STAGE_1, replace(text, sha256="0" * 64), [1], path)  # of the same name


def test_characters_of_another_text_have_a_file_and_a_table_of_their_own(tmp_path, monkeypatch, capsys):
    mine = tmp_path / "My text.txt"
    mine.write_text(SPEECH * 150, encoding="utf-8")
    monkeypatch.setattr(ablate, "ROOT", tmp_path)
    nats = {RECIPE: 1.5, "learning rate never lowered": 1.5625, "half the batch, twice the steps": 1.4375}
    names = iter(name for name in VARIANTS if name in nats)
    monkeypatch.setattr(ablate, "fitting", lambda recipe: {name: VARIANTS[name] for name in nats})
    monkeypatch.setattr(ablate, "run_variant", lambda *given: nats[next(names)])
    monkeypatch.setattr(ablate, "probe", choosing(dict(precision="float32")))
    command = ["ablate", STAGE_2, "--data", str(mine), "--tokenizer", "char", "--seeds", "1"]
    monkeypatch.setattr(sys, "argv", command)
    ablate.main()
    kept = json.loads((tmp_path / STAGE_2 / "results" / "ablation-my-text-char.json").read_text(encoding="utf-8"))
    assert kept["command"] == f"python -m shared.ablate {STAGE_2} --data 'My text.txt' --tokenizer char"
    recipe = load_stage(STAGE_2).settings("char")
    assert {run["settings"]["hidden_size"] for run in kept["runs"]} == {recipe["hidden_size"]}
    table = capsys.readouterr().out.splitlines()[2:]
    assert [line.split(" | ")[1:3] for line in (table[0], *table[2:])] == [
        ["nats per token", "against the recipe"],
        ["1.500", ""],
        ["1.562", "+0.062"],
        ["1.438", "-0.062"],
    ]


def test_the_table_compares_means_over_seeds():
    runs = [(RECIPE, 60.0, 10), (RECIPE, 60.0, 12), ("no dropout", 66.0, 9), ("no dropout", 66.0, 9)]
    runs += [("dropout .3", 50.0, 9)]  # with one seed only
    settings = dict(hidden_size=8, max_steps=1000, tokenizer="word")
    runs = [
        dict(variant=name, seed=index % 2, nats_per_token=math.log(perplexity), seconds=s, settings=settings)
        for index, (name, perplexity, s) in enumerate(runs)
    ]
    assert table(runs, "Of what is it made (`a command`").splitlines() == [
        "Of what is it made (`a command`, seeds 0, 1; hidden size 8, 1,000 steps):",
        "",
        "| what is changed | perplexity | against the recipe | seconds |",
        "| --- | ---: | ---: | ---: |",
        "| the recipe | 60.0 (60.0 to 60.0) |  | 11 |",
        "| no dropout | 66.0 (66.0 to 66.0) | +10.0% | 9 |",
    ]


def test_a_part_has_a_third_of_the_training_text_and_of_the_steps_and_the_same_validation_text(tmp_path):
    stage = load_stage(STAGE_1)
    bundled = (ROOT / "data" / "shakespeare.txt").read_text(encoding="utf-8")
    (tmp_path / "text.txt").write_text(bundled[:60_000], encoding="utf-8", newline="\n")
    whole, part = (ablate.read_text(str(tmp_path / "text.txt"), "word", whole) for whole in (True, False))
    assert len(whole.training) * 0.3 < len(part.training) < len(whole.training) * 0.36
    texts = [text.tokenizer.decode(text.training[:5000].tolist()) for text in (whole, part)]
    assert texts[0][:50] == texts[1][:50] and len(part.validation) == len(whole.validation)
    steps = stage.settings("word")["max_steps"]
    assert [ablate.settle(stage, part, whole, {})["max_steps"] for whole in (False, True)] == [steps // 3, steps]


def test_runs_that_are_added_later_train_as_the_kept_ones_whatever_this_machine_would_choose_now(
    text, tmp_path, monkeypatch
):
    lengthened = replace(text, training=text.training.repeat(4))
    trained = []
    monkeypatch.setattr(ablate, "run_variant", lambda *given: trained.append(given[2]) or 4.0)
    for machine in (dict(precision="float32"), dict(precision="bfloat16")):
        monkeypatch.setattr(ablate, "probe", choosing(machine))
        ablate.ablate(STAGE_4, lengthened, [1], tmp_path / "ablation.json", only="positions" if trained else "lowered")
    assert len(trained) > 4
    assert {settings["precision"] for settings in trained} == {"float32"}


def choosing(machine):
    """What `probe` does: `auto` becomes what suits a machine best, and what was asked for stays."""

    def probe(model, settings, *given):
        settings |= {name: best for name, best in machine.items() if settings[name] == "auto"}

    return probe


def test_a_third_of_a_text_without_blank_lines_is_cut_anywhere(tmp_path):
    (tmp_path / "lines.txt").write_text("to be or not to be\n" * 300, encoding="utf-8")
    whole, part = (ablate.read_text(str(tmp_path / "lines.txt"), "char", whole) for whole in (True, False))
    assert len(part.training) == len(whole.training) // 3
