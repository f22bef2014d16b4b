"""Moments of a training: they change nothing of it, take little room, and the page lets one slide through them."""

import json
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from made_up import HOSTILE, results_of
from options import OPTIONS, build

from shared.compare.watching import watched
from shared.measure.influence import influence
from shared.run.checkpoint import load_checkpoint
from shared.run.moments import FEW, FILE, MOMENTS, SHORT, Moments, look, moments_of, parsed, read_moments
from shared.run.optimizers import make_optimizers
from shared.run.training import LoopSettings, Task, train
from shared.show.page import page
from shared.stages import ROOT
from shared.text.batches import Lanes
from shared.text.corpus import Corpus, load_corpus
from shared.text.prompts import PASSAGE, passage_for
from shared.text.tokenizer import TOKENIZERS, train_tokenizer

TEXT = "If music be the food of love, play on,\nGive me excess of it; that, surfeiting, may sicken and so die.\n" * 6
TOKENIZER = TOKENIZERS["word"].train(TEXT)
PASSAGE_IDS = TOKENIZER.encode(TEXT)[:12]
STEPS = 9
KINDS = ["1", "2-lstm-torch", "3-lstm-multi-head", "4-rotary"]


class Run:
    """A training of a small model with dropout, that keeps moments if it is asked to."""

    def __init__(self, folder, kind="3-lstm-multi-head", keep=True):
        folder.mkdir(exist_ok=True)
        self.folder, self.keep = folder, keep
        self.model = build(kind, dtype=torch.float32, vocab_size=TOKENIZER.vocab_size, dropout=0.3)
        self.optimizers = make_optimizers(self.model, "adamw", 0.01, weight_decay=0.1)
        self.lanes = Lanes(torch.tensor(TOKENIZER.encode(TEXT)), 2, 5, seed=1)

    def train(self, max_steps=STEPS, resume=None, fail_at=None):
        def step(batch, carry):
            nats, state = self.model.loss(batch.inputs, batch.targets, None if batch.restart else carry)
            return nats, batch.targets.numel(), self.model.carry(state)

        def batch(number):
            if number == fail_at:
                raise RuntimeError("the power is gone")
            return self.lanes.batch(number)

        task = Task(batch, step, lambda: 1.0, describe=str)
        if self.keep:
            chosen = {"max_steps": max_steps, "seed": 1}
            task = replace(task, watch=Moments(self.model, PASSAGE_IDS, TOKENIZER, self.folder, chosen))
        settings = LoopSettings(max_steps, 0.01, 2, 0.5, 1.0, 3)
        torch.manual_seed(5 if resume is None else 99)
        train(self.model, self.optimizers, task, settings, self.folder, {"stage": "a test", "settings": {}}, resume)
        return {name: weight.tolist() for name, weight in self.model.state_dict().items()}

    def moments(self):
        """Without the clock's times."""
        return [moment | {"seconds": 0} for moment in read_moments(self.folder / FILE)]


# ------------------------------------------------------------------------------------------------------------- keeping


@pytest.mark.parametrize("steps", [1, 7, 400, SHORT - 1, SHORT, 6000, 1_000_000])
def test_moments_go_from_the_first_step_to_the_last_and_grow_apart(steps):
    moments = moments_of(steps)
    assert moments[0] == 0 and moments[-1] == steps and len(moments) <= MOMENTS
    gaps = np.diff(moments)
    assert min(gaps) >= 1 and all(np.diff(gaps) >= -1)  # a step of rounding
    assert len(moments) == (MOMENTS if steps >= SHORT else FEW) or steps < 100


@pytest.mark.parametrize("kind", KINDS)
def test_a_training_learns_the_same_bit_for_bit_with_and_without(kind, tmp_path):
    with_moments, without = Run(tmp_path / "with", kind), Run(tmp_path / "without", kind, keep=False)
    assert with_moments.train() == without.train()
    assert [moment["step"] for moment in with_moments.moments()] == list(range(STEPS + 1))
    assert not (tmp_path / "without" / FILE).exists()
    last = [load_checkpoint(tmp_path / name / "last.pt")["random"]["cpu"] for name in ("with", "without")]
    assert torch.equal(*last)


def test_a_run_that_is_resumed_has_the_moments_of_one_that_was_not(tmp_path):
    whole, stopped = Run(tmp_path / "whole"), Run(tmp_path / "stopped")
    weights = whole.train()
    with pytest.raises(RuntimeError):
        stopped.train(fail_at=5)  # last.pt is of step 3, so two moments are written twice
    assert [moment["step"] for moment in stopped.moments()] == [0, 1, 2, 3, 4, 5]
    with open(stopped.folder / FILE, "a", encoding="utf-8") as file:
        file.write('{"step": 6, "tok')  # a crash in the midst of a line
    again = Run(tmp_path / "stopped")
    assert again.train(resume=load_checkpoint(tmp_path / "stopped" / "last.pt")) == weights
    assert again.moments() == whole.moments()


def test_a_finished_run_that_goes_on_keeps_the_moments_it_had(tmp_path):
    run = Run(tmp_path)
    run.train()
    before = run.moments()
    Run(tmp_path).train(max_steps=12, resume=load_checkpoint(tmp_path / "last.pt"))
    assert run.moments()[: len(before)] == before and run.moments()[-1]["step"] == 12


def test_a_new_run_begins_a_new_file(tmp_path):
    (tmp_path / FILE).write_text("of an older run\n", encoding="utf-8")
    run = Run(tmp_path)
    run.train()
    assert [moment["step"] for moment in run.moments()] == list(range(STEPS + 1))


@pytest.mark.parametrize("fault", ["a folder in its place", "a full disk", "no numbers"])
def test_whatever_goes_wrong_the_training_ends_well_after_one_line(fault, tmp_path, monkeypatch, capsys):
    expected = Run(tmp_path / "whole", keep=False).train()
    run = Run(tmp_path / "faulty")
    if fault == "a folder in its place":
        (run.folder / FILE).mkdir()
    elif fault == "a full disk":
        error = OSError(28, "No space left on device")
        monkeypatch.setattr("shared.run.moments.open", lambda *_, **__: (_ for _ in ()).throw(error), raising=False)
    else:
        monkeypatch.setattr("shared.run.moments.influence", lambda *_: torch.full((12, 12), math.nan))
    assert run.train() == expected
    assert capsys.readouterr().err.count("no more moments are kept") == 1


# ------------------------------------------------------------------------------------------------- what a moment holds


@pytest.mark.parametrize("kind", KINDS)
def test_a_moment_holds_what_the_model_expects_and_where_it_looks(kind):
    model = build(kind, dtype=torch.float32, vocab_size=TOKENIZER.vocab_size)
    found, tokens = look(model, PASSAGE_IDS, TOKENIZER, 1), torch.tensor(PASSAGE_IDS)
    with torch.no_grad():
        logits, _, attention = model(tokens[None], return_attention=True)
    probabilities = logits[0].softmax(-1)
    assert found["passage"] == [TOKENIZER.glyph(token) for token in PASSAGE_IDS]
    assert [row[0] for row in found["next"]] == [TOKENIZER.glyph(row.argmax().item()) for row in probabilities]
    following = probabilities[range(len(tokens) - 1), tokens[1:]]
    assert [float(p) for p in found["true_p"].split(";")] == pytest.approx(following.tolist(), rel=5e-3)
    maps = {"influence": influence(model, tokens)} | (
        {} if attention is None else {"attention": attention[0].mean((0, 1))}
    )
    for name, expected in maps.items():
        rows = [[int(each) for each in row.split(" ")] for row in found[name].split(";")]
        assert [len(row) for row in rows] == list(range(1, 13))
        for place, row in enumerate(rows):
            assert row == pytest.approx((1000 * expected[place, : place + 1]).tolist(), abs=0.51)
    assert found["attention"] is None or attention is not None


def test_the_file_of_a_default_run_is_small(tmp_path):
    corpus = load_corpus("shakespeare", at_blank_line=True)
    tokenizer = train_tokenizer("word", corpus.train)
    passage = passage_for(corpus, tokenizer)
    model = build("4-rotary", dtype=torch.float32, vocab_size=tokenizer.vocab_size, window=64)
    line = json.dumps(look(model, passage, tokenizer, 1))
    assert 24 <= len(passage) <= 32
    assert len(line) * MOMENTS < 250_000


@pytest.mark.parametrize("name, value", [("passage", "ab"), ("next", ["x", "y"]), ("step", True), ("sample", 5)])
def test_a_line_with_something_of_another_kind_is_no_moment(name, value):
    line = (ROOT / "model-01-rnn" / "results" / "moments.jsonl").read_text(encoding="utf-8").splitlines()[0]
    assert parsed(line) and not parsed(json.dumps(json.loads(line) | {name: value}))


def test_the_passage_is_held_out():
    corpus = load_corpus("shakespeare", at_blank_line=True)
    assert PASSAGE in corpus.validation + corpus.test and PASSAGE not in corpus.train


@pytest.mark.parametrize("name", ["word", "char", "bpe"])
def test_the_passage_of_another_text_begins_at_a_held_out_line(name):
    train_text, held = "The owl sees the mouse.\n" * 40, "The mouse sees the owl.\n" * 40
    corpus = Corpus("own", train_text, held, held, "0" * 64)
    tokenizer = train_tokenizer(name, train_text, None, held)
    passage = passage_for(corpus, tokenizer)
    assert 1 < len(passage) <= 32
    assert tokenizer.decode(passage)[:4].strip() in held


def test_a_text_of_one_word_has_no_moments(tmp_path):
    moments = Moments(build("1", dtype=torch.float32), [1], TOKENIZER, tmp_path, {"max_steps": 10, "seed": 1})
    moments(0, 0, 0.0)
    assert not (tmp_path / FILE).exists()


# ------------------------------------------------------------------------------------------------------------- reading


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """The files of four small runs."""
    folder = tmp_path_factory.mktemp("kept")
    for kind in KINDS:
        Run(folder / kind, kind).train()
    return folder


def good(kept) -> dict:
    return read_moments(kept / "1" / FILE)[0]


@pytest.mark.parametrize(
    "broken",
    [
        lambda good: "{}",
        lambda good: "[]",
        lambda good: "null",
        lambda good: "not JSON",
        lambda good: "[" * 100_000,
        lambda good: json.dumps(good)[:200],
        lambda good: json.dumps(good | {"step": "many"}),
        lambda good: json.dumps(good | {"step": -1}),
        lambda good: json.dumps(good | {"influence": good["influence"].replace(";", " ")}),
        lambda good: json.dumps(good | {"influence": "nan" + good["influence"][4:]}),
        lambda good: json.dumps(good | {"next": good["next"][1:]}),
        lambda good: json.dumps(good | {"next": [[1]] + good["next"][1:]}),
        lambda good: json.dumps(good | {"next_p": "<b>"}),
        lambda good: json.dumps(good | {"sample": None}),
    ],
)
def test_a_line_that_is_no_moment_is_left_out_and_told(broken, kept, tmp_path, capsys):
    moment = good(kept)
    (tmp_path / FILE).write_text(f"{broken(moment)}\n{json.dumps(moment)}\n", encoding="utf-8")
    assert read_moments(tmp_path / FILE) == [moment]
    assert capsys.readouterr().err.count("1 lines of") == 1


def test_a_file_far_too_large_is_not_read(tmp_path, capsys):
    (tmp_path / FILE).write_bytes(b"\xff\n" * 1_500_000)
    assert read_moments(tmp_path / FILE) == []
    assert "larger than 2 MB" in capsys.readouterr().err


def stages_of(kept):
    """What a comparison asks of its runs."""
    records = [
        {"step": 3, "seconds": 30.0, "validation_loss": 2.5},
        {"step": 4, "seconds": 40.0, "train_loss": 2.0},
        {"step": 6, "seconds": 80.0, "validation_loss": 2.0},
    ]
    return [
        SimpleNamespace(stage=OPTIONS[kind][0], title=kind, path=kept / kind / "best.pt", records=records)
        for kind in KINDS
    ]


def test_a_comparison_lays_the_moments_of_its_runs_side_by_side(kept):
    found = watched(stages_of(kept))
    assert found["passage"] == [TOKENIZER.glyph(token) for token in PASSAGE_IDS]
    assert [stage["stage"] for stage in found["stages"]] == [OPTIONS[kind][0] for kind in KINDS]
    known = [moment["validation"] and moment["validation"]["step"] for moment in found["stages"][0]["moments"]]
    assert known == [None, None, None, 3, 3, 3, 6, 6, 6, 6]
    clock = {moment["step"]: moment["seconds"] for moment in found["stages"][0]["moments"]}
    assert [clock[step] for step in (0, 1, 3, 4, 5, 6)] == [0, 10, 30, 40, 60, 80]  # of the records, evenly between
    assert len(json.dumps(found)) < len(KINDS) * 2_000_000


def test_without_a_learning_curve_a_moments_own_clock_counts(kept):
    alone = stages_of(kept)[:1]
    alone[0].records = []
    seconds = [moment["seconds"] for moment in watched(alone)["stages"][0]["moments"]]
    assert seconds == [moment["seconds"] for moment in read_moments(alone[0].path.with_name(FILE))] and seconds[-1] > 0


def test_runs_without_moments_have_no_section(tmp_path):
    assert watched([SimpleNamespace(stage="x", title="x", path=tmp_path / "best.pt", records=[])]) is None


def test_moments_of_another_passage_are_left_out(kept, tmp_path, capsys):
    moment = good(kept)
    lines = [json.dumps(moment), json.dumps(moment | {"step": 1, "passage": ["other"] * len(moment["passage"])})]
    (tmp_path / FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")
    found = watched([SimpleNamespace(stage="x", title="x", path=tmp_path / "best.pt", records=[])])
    assert len(found["stages"][0]["moments"]) == 1 and "another passage" in capsys.readouterr().err


# -------------------------------------------------------------------------------------------------------- in a browser


@pytest.fixture
def show(open_html, kept):
    """show(change, width) -> the page with the moments that `change` makes of those kept."""

    def show(change=lambda moments: moments, width=1280):
        return open_html(page(results_of() | {"moments": change(watched(stages_of(kept)))}), width)

    return show


def panel(tab, kind):
    return tab.locator(f"[data-watched={OPTIONS[kind][0]}]")


def expected_guesses(kept, kind, at, place):
    return [token.replace("\n", "↵") for token in read_moments(kept / kind / FILE)[at]["next"][place]]


def shown_guesses(tab, kind):
    words = panel(tab, kind).locator(".guesses .word").evaluate_all("words => words.map(word => word.firstChild.data)")
    return list(words)


def place_of(tab, kind="1"):
    return int(panel(tab, kind).locator("[aria-current=true]").get_attribute("data-index"))


def test_the_slider_moves_guesses_samples_and_maps_of_all_stages(show, kept):
    tab = show()
    place = place_of(tab)
    for at in (STEPS, 4, 0):
        tab.locator("#moment").fill(str(at))
        for kind in KINDS:
            moment = read_moments(kept / kind / FILE)[at]
            assert shown_guesses(tab, kind) == expected_guesses(kept, kind, at, place)
            sample = panel(tab, kind).locator(".moment-sample").inner_text()
            assert sample.strip() == (moment["sample"].strip() or "(nothing but blank lines)")
            assert f"Step {at}" in panel(tab, kind).inner_text()
            nats = -np.log([float(p) for p in moment["true_p"].split(";")]).mean()
            assert f"{math.exp(nats):,.1f}" in panel(tab, kind).inner_text()
            read = "tokens => tokens.map(token => Number(token.style.getPropertyValue('--weight')) ** 2)"
            weights = panel(tab, kind).locator(".token").evaluate_all(read)
            row = [int(share) / 1000 for share in moment["influence"].split(";")[place].split(" ")]
            assert weights[: place + 1] == pytest.approx(row, abs=2e-3) and not any(weights[place + 1 :])


def test_it_is_worked_by_the_keyboard(show, kept):
    tab = show()
    tab.locator("#moment").focus()
    tab.keyboard.press("Home")
    assert "Step 0" in panel(tab, "1").inner_text()
    tab.keyboard.press("ArrowRight")
    assert "Step 1" in panel(tab, "1").inner_text()
    told = tab.locator("#moment").get_attribute("aria-valuetext")
    assert told.startswith("After up to 10 tokens, perplexity of the passage: 1 ")
    panel(tab, "4-rotary").locator("[aria-current=true]").focus()
    tab.keyboard.press("Home")
    tab.keyboard.press("ArrowRight")
    assert place_of(tab, "1") == place_of(tab, "4-rotary") == 1
    assert shown_guesses(tab, "4-rotary") == expected_guesses(kept, "4-rotary", 1, 1)
    focused = "document.activeElement.dataset.index + document.activeElement.closest('section').dataset.watched"
    assert tab.evaluate(focused) == "1" + OPTIONS["4-rotary"][0]


def test_a_click_chooses_a_place_and_the_text_says_what_came(show):
    tab = show()
    panel(tab, "2-lstm-torch").locator(".token").nth(3).click()
    assert place_of(tab) == 3
    assert "Then came “food”" in panel(tab, "1").inner_text()
    panel(tab, "1").locator(".token").last.click()
    assert "The passage ends here." in panel(tab, "1").inner_text()


def test_attention_is_shown_where_there_is_some(show, kept):
    tab = show()
    tab.select_option("#moment-kind", "attention")
    assert "by-attention" in panel(tab, "4-rotary").locator(".text").get_attribute("class")
    assert "by-influence" in panel(tab, "1").locator(".text").get_attribute("class")
    only = lambda found: found | {"stages": found["stages"][:2]}  # noqa: E731
    assert not show(only).locator("#moment-map").is_visible()


def test_it_plays_to_the_end_and_stops(show):
    tab = show()
    tab.evaluate("showMoment(timeline.length - 3)")
    tab.locator("#play").click()
    assert tab.locator("#play").inner_text() == "Stop"
    tab.wait_for_function("() => byId('play').textContent === 'Play'")
    assert f"Step {STEPS}" in panel(tab, "1").inner_text()


def test_runs_of_other_lengths_are_laid_side_by_side_by_the_tokens_read(show):
    def shortened(found):
        found["stages"][1]["moments"] = found["stages"][1]["moments"][:3]
        return found

    tab = show(shortened)
    assert f"Step {STEPS}, 90 tokens, the last" in panel(tab, "1").inner_text()
    assert "Step 2, 20 tokens, the last" in panel(tab, "2-lstm-torch").inner_text()
    assert "Up to 90 tokens read by each" in tab.inner_text("#moment-is")


def test_hostile_tokens_are_only_text(show):
    def hostile(found):
        found["passage"] = [HOSTILE] * len(found["passage"])
        for stage in found["stages"]:
            stage["title"] = HOSTILE
            for moment in stage["moments"]:
                moment["next"] = [[HOSTILE, "\u2028", "", "' onclick='", "$data"] for _ in moment["next"]]
                moment["sample"] = HOSTILE + "$" + "{style}"
        return found

    tab = show(hostile)
    assert tab.locator("#moments b").count() == len(KINDS)  # the perplexities
    assert HOSTILE in panel(tab, "1").locator(".moment-sample").inner_text()
    assert tab.evaluate("document.documentElement.scrollWidth") <= 1280


@pytest.mark.parametrize("width", [320, 390, 800, 1600])
def test_nothing_is_wider_than_the_screen(show, width):
    def long(found):
        for stage in found["stages"]:
            for moment in stage["moments"]:
                moment["sample"] = moment["next"][0][0] = "w" * 400
        return found

    assert show(long, width).evaluate("document.documentElement.scrollWidth") <= width


def test_the_slider_moves_nothing_but_what_it_shows(show):
    """Places on the page stay where they are when another moment has shorter guesses."""
    tab = show()
    tab.locator("#moment").fill("0")
    tops = "() => [...document.querySelectorAll('.moment-stage h3, .moment-stage .text')].map(one => one.offsetTop)"
    before = tab.evaluate(tops)
    tab.locator("#moment").fill("5")
    assert tab.evaluate(tops) == before


def test_results_without_moments_have_no_section(open_html):
    tab = open_html(page(results_of() | {"moments": None}))
    assert not tab.locator("#moments").is_visible() and not tab.locator("#to-moments").is_visible()
