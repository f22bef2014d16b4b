"""Kept results: no machine in them, right means, and a README that says what the files say."""

import dataclasses
import json
import platform
import random
import re
import shutil
import sys
from statistics import mean

import numpy as np
import pytest
from campaign import PARTS
from PIL import Image
from terminal import typed

from shared import ngram
from shared.ablate import RECIPE
from shared.errors import UserError
from shared.results import __main__ as results
from shared.results import pages
from shared.results.excerpts import first_speeches, front_scores, perplexities, runs_by_stage, temperatures
from shared.results.kept import file_name, kept_run, load_results, own_flags, shared_command, thin
from shared.results.passage import PASSAGE, check_passage, draw, title_in_chapter
from shared.results.picture import FINDING, RECALLED, draw_memories
from shared.results.samples import nats_in_windows
from shared.results.tables import campaign_table, gpu_tables, puzzle_table, stage_costs, tables
from shared.run.records import differing_setting, read_json, write_json
from shared.run.stage import COMMON
from shared.show.curves import gradient_figure
from shared.show.maps import head_that_chooses_most
from shared.show.tables import in_minutes, spread
from shared.stages import ROOT, STAGES, load_stage, model_class, stage_title
from shared.text.corpus import load_corpus
from shared.text.tokenizer import TOKENIZERS

STAGE = "model-01-rnn"
LAST = "model-04-mini-transformer"
MARKERS = "<!-- results -->\n<!-- /results -->"
SCORES = "<!-- scores -->\n<!-- /scores -->"
COSTS = "<!-- costs -->\n<!-- /costs -->"
NOTEBOOK = "shared/results/README.md"


def summary(stage=STAGE, tokenizer="word", seed=1, perplexity=60.0, nats=1.5, seconds=300.0, **settings):
    """A summary as training writes it, of a run with the stage's default settings."""
    described = load_stage(stage)
    known = COMMON | described.defaults | described.by_tokenizer.get(tokenizer, {})
    chosen = dict(tokenizer=tokenizer, seed=seed, precision="bfloat16", optimizer="muon", data="/home/me/text.txt")
    return {
        "command": f"python train.py --seed {seed} --data /home/me/text.txt --out-dir /home/me/run",
        "stage": stage,
        "settings": known | chosen | settings,
        "corpus": {"name": "shakespeare", "sha256": load_corpus().sha256},
        "parameters": 4_813_353,
        "command_seconds": seconds,
        "validation": {"nats_per_token": nats, "perplexity": perplexity, "bits_per_character": nats / 0.6931},
        "machine": {"cores": 2, "cpu": "AVX512", "system": "Linux x86_64", "python": "3.11.7", "torch": "2.13.0"},
    }


def run(preset="default", vocab_size=17_000, **of_summary):
    records = [{"step": 10, "tokens": 100, "seconds": 1.0, "train_loss": 5.0}]
    return kept_run(
        summary(**of_summary), records, preset, vocab_size, {"text": "To be", "seed": 1, "temperature": 0.8}
    )


def counting(perplexity=120.0, vocab_size=17_000, tokenizer="word"):
    row = {"nats": 1.75, "perplexity": perplexity, "bits_per_character": 2.5}
    return {
        "command": "python -m shared.ngram", "corpus": {"name": "shakespeare", "sha256": load_corpus().sha256},
        "tokenizer": tokenizer, "vocab_size": vocab_size, "validation_share_unknown": 0.031, "seconds": 12.0,
        "best_order": 2, "orders": [row | {"perplexity": 500.0}, row],
    }  # fmt: skip


def cells(text, beginning):
    """The cells of the table's line that begins so."""
    line = next(line for line in text.splitlines() if line.startswith(f"| {beginning}"))
    return [cell.strip() for cell in line.strip("|").split("|")]


@pytest.fixture
def root(tmp_path):
    """A copy of a repository: three kept runs, counting, and pages in step with them."""
    for seed, perplexity in ((1, 60.0), (2, 61.0), (3, 65.0)):
        kept = run(seed=seed, perplexity=perplexity)
        write_json(tmp_path / STAGE / "results" / file_name(kept), kept)
    write_json(tmp_path / "shared" / "results" / "ngram-shakespeare-word.json", counting())
    for page in ("README.md", NOTEBOOK, f"{STAGE}/README.md", f"{STAGE}/results/README.md"):
        markers = {"README.md": SCORES, f"{STAGE}/README.md": f"{COSTS}\n\n{MARKERS}"}.get(page, MARKERS)
        (tmp_path / page).write_text(f"# Title\n\n{markers}\n\nThe end.\n", encoding="utf-8")
    results.write(tmp_path)
    return tmp_path


# ------------------------------------------------------------------------------------------------------ keeping a run


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A real training of four steps."""
    folder = tmp_path_factory.mktemp("finished")
    rng = random.Random(1)
    words = ["to", "be", "or", "not", "what", "is", "it", "night", "my", "lord"]
    speeches = (f"ROMEO:\n{' '.join(rng.choices(words, k=9))}.\n" for _ in range(400))
    (folder / "text.txt").write_text("\n".join(speeches), encoding="utf-8")
    flags = "--max-steps 4 --hidden-size 16 --batch-size 4 --context-length 8 --precision float32"
    flags += f" --data {folder / 'text.txt'} --out-dir={folder / 'run'}"
    typed(ROOT / STAGE, f"python train.py {flags}")
    return folder / "run"


@pytest.fixture
def tiny_defaults(monkeypatch):
    """The stage as if that training had had its default settings."""
    described = load_stage(STAGE)
    tiny = dict(max_steps=4, hidden_size=16, batch_size=4, context_length=8)
    changed = dataclasses.replace(described, defaults=described.defaults | tiny, quick={})
    monkeypatch.setattr(pages, "load_stage", lambda stage: changed)


def test_a_kept_run_has_its_summary_its_curve_and_a_sample(finished, tiny_defaults, tmp_path):
    path = results.keep(finished, "default", tmp_path)
    assert path == tmp_path / STAGE / "results" / "text-word-default-seed1.json"
    kept = json.loads(path.read_text(encoding="utf-8"))
    before = json.loads((finished / "summary.json").read_text(encoding="utf-8"))
    for name in before.keys() - {"command", "settings"}:
        assert kept[name] == before[name]
    lines = (finished / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    assert [point["step"] for point in kept["curve"]] == [json.loads(line)["step"] for line in lines]
    assert kept["curve"][-1]["validation_loss"] == pytest.approx(json.loads(lines[-1])["validation_loss"], rel=1e-5)
    assert len(kept["sample"]["text"]) >= 250 and kept["sample"]["prompt"].isspace()
    assert load_results(tmp_path) == ([kept], [])


def test_a_run_on_characters_is_scored_in_windows_on_its_own_text_only(tmp_path):
    path, tokenizer = tmp_path / "text.txt", TOKENIZERS["char"].train("to be or not to be\n" * 400)
    path.write_text("to be or not to be\n" * 400, encoding="utf-8")
    model = model_class(STAGE)(tokenizer.vocab_size, hidden_size=8).eval()
    summary = {"stage": STAGE, "settings": {"data": str(path)}, "corpus": {"sha256": load_corpus(str(path)).sha256}}
    assert 0 < nats_in_windows(model, tokenizer, summary) < 10
    path.write_text("not to be or to be\n" * 400, encoding="utf-8")
    with pytest.raises(UserError, match="is not the text of this run any more"):
        nats_in_windows(model, tokenizer, summary)


def test_keeping_a_run_twice_writes_the_same_bytes(finished, tiny_defaults, tmp_path):
    first = results.keep(finished, "default", tmp_path).read_bytes()
    assert results.keep(finished, "default", tmp_path).read_bytes() == first


def test_a_kept_run_names_no_path_and_no_machine(finished, tiny_defaults, tmp_path):
    original = (finished / "summary.json").read_text(encoding="utf-8")
    text = results.keep(finished, "default", tmp_path).read_text(encoding="utf-8")
    assert str(finished.parent) in original  # what there is to leave out
    assert str(finished.parent) not in text and finished.parent.name not in text
    assert not platform.node() or platform.node() not in json.loads(text).get("machine", {}).values()
    assert json.loads(text)["settings"]["data"] == "text.txt"


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("python train.py", "python train.py"),
        ("python train.py --data /a/b.txt --seed 2", "python train.py --data tinyshakespeare --seed 2"),
        ("python train.py --data=/a/b.txt --seed=2", "python train.py --data tinyshakespeare --seed 2"),
        ("python train.py --out-dir '/a b/c' --seed 2", "python train.py --seed 2"),
        ("python train.py --out_dir=/a/b --max_steps 3", "python train.py --max_steps 3"),
        ("python train.py --resume --out-dir /a/b", "python train.py"),
        ("python train.py --data a.txt b.txt --seed 2", "python train.py --data tinyshakespeare --seed 2"),
        ("python train.py --start-from /a/best.pt", "python train.py --start-from best.pt"),
    ],
)
def test_a_kept_command_is_what_somebody_else_would_type(typed, kept):
    assert shared_command(typed, "tinyshakespeare") == kept


def test_a_runs_own_flags_are_those_that_no_table_names():
    typed = "python train.py --data a.txt b.txt --tokenizer=char --weight_decay 0.1 --seed 2 --quick"
    assert own_flags(typed) == "--weight-decay 0.1 --quick"


def test_a_run_with_other_settings_is_not_kept_under_a_presets_name(finished, tmp_path):
    with pytest.raises(UserError, match="is no default run: batch_size 4, not"):
        results.keep(finished, "default", tmp_path)
    with pytest.raises(UserError, match="is no quick run"):
        results.keep(finished, "quick", tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_run_with_flags_of_its_own_is_kept_under_these(finished, tmp_path):
    path = results.keep(finished, "flags", tmp_path)
    assert path.name.startswith("text-word-max-steps-4-hidden-size-16-") and path.name.endswith("-seed1.json")
    assert "data" not in path.name and "out" not in path.name


@pytest.mark.parametrize(
    ("command", "flags"),
    [
        ("python train.py", ""),
        ("python train.py --data tinyshakespeare --tokenizer char --seed 2 --dropout .4", "--dropout .4"),
        ("python train.py --thorough --hidden_size 64 --tokenizer word", "--thorough --hidden-size 64"),
    ],
)
def test_the_flags_that_make_a_run_its_own(command, flags):
    assert own_flags(command) == flags


@pytest.mark.claims
def test_a_kept_run_with_flags_of_its_own_has_todays_settings_in_all_that_they_do_not_name():
    runs = [run for run in load_results(ROOT)[0] if run["preset"] == "flags"]
    assert runs
    for run in runs:
        settings, flags = run["settings"], own_flags(run["command"]).split()
        preset = "thorough" if "--thorough" in flags else "default"
        expected = load_stage(run["stage"]).settings(settings["tokenizer"], preset)
        unnamed = {name: value for name, value in expected.items() if "--" + name.replace("_", "-") not in flags}
        assert differing_setting(run, unnamed) is None, run["command"]


def test_runs_with_different_flags_have_different_rows_and_files():
    first, second = (run(preset="flags") | {"command": f"python train.py --dropout {p}"} for p in (0.1, 0.4))
    assert file_name(first) == "shakespeare-word-dropout-0-1-seed1.json" != file_name(second)
    text = tables([first, second, run()], [])
    assert [cells(text, "[")[1]] == ["default"] and "| `--dropout 0.1` |" in text and "| `--dropout 0.4` |" in text


def test_a_run_that_is_not_finished_is_not_kept(finished, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(finished, copy)
    (copy / "summary.json").unlink()
    with pytest.raises(UserError, match="no finished run"):
        results.keep(copy, "default", tmp_path)


@pytest.mark.parametrize("evaluations", [0, 1, 7, 1000])
@pytest.mark.parametrize("length", [1, 59, 60, 61, 1000])
def test_a_thinned_curve_has_at_most_sixty_points_and_keeps_ends_and_validation(length, evaluations):
    records = [{"step": step, "train_loss": 1.0} for step in range(length)]
    for record in records[:: max(1, length // evaluations)] if evaluations else []:
        record["validation_loss"] = 2.0
    kept = thin(records)
    assert len(kept) == min(length, 60) or (evaluations == 1000 and 30 <= len(kept) <= 60)
    assert all(record in records for record in kept)
    steps = [record["step"] for record in kept]
    assert steps == sorted(set(steps)) and steps[0] == 0 and steps[-1] == length - 1
    if evaluations <= 7:
        assert [r for r in kept if "validation_loss" in r] == [r for r in records if "validation_loss" in r]


# ---------------------------------------------------------------------------------------------------------- the tables


def page(root, name):
    return (root / name).read_text(encoding="utf-8")


def test_a_row_has_the_mean_over_seeds_and_from_where_to_where_they_go(root):
    row = cells(page(root, NOTEBOOK), "[RNN]")
    assert row[2:4] == ["62.0 (60.0 to 65.0)", f"{62 / 120:.2f}"]
    assert row[4:] == ["4.81 M", "5.0 min", "bfloat16", "3"]


def test_an_ablation_that_is_kept_stands_beside_the_stages_runs_and_nowhere_else(root):
    assert "what is changed" not in page(root, f"{STAGE}/results/README.md")
    for tokens, more in (("char", 0.2), ("word", 0.1)):
        settings = dict(hidden_size=8, max_steps=9, tokenizer=tokens)
        kept = [
            dict(variant=name, whole=False, seed=1, nats_per_token=nats, seconds=9, settings=settings)
            for name, nats in ((RECIPE, 4.0), (f"other {tokens}s", 4 + more))
        ]
        name = "ablation.json" if tokens == "word" else "ablation-mine-char.json"
        write_json(root / STAGE / "results" / name, {"command": "python -m shared.ablate", "runs": kept})
    with pytest.raises(UserError, match=f"{STAGE}/results/README.md is not what the results say"):
        results.check(root)
    results.write(root)
    text = page(root, f"{STAGE}/results/README.md")
    assert cells(text, "other chars")[1:3] == ["4.200", "+0.200"]
    assert cells(text, "other words")[1:3] == ["60.3", "+10.5%"]
    assert text.index("other words") < text.index("other chars")  # the default run's tokens first
    assert not any("what is changed" in page(root, name) for name in ("README.md", NOTEBOOK, f"{STAGE}/README.md"))


def test_counting_comes_first_with_its_best_order(root):
    text = page(root, NOTEBOOK)
    assert cells(text, "counting")[:4] == ["counting, up to 2 tokens", "", "120.0", "1"]
    assert text.index("| counting") < text.index("| [RNN]")
    assert "17,000" in text and "3.1%" in text


def test_the_front_page_has_counting_and_the_default_runs_and_nothing_else(root):
    for other in (run(preset="thorough", perplexity=33.0), run(tokenizer="char", nats=1.1)):
        write_json(root / STAGE / "results" / file_name(other), other)
    results.write(root)
    text = page(root, "README.md")
    assert "**counting 120.0 → RNN 62.0**" in text and "33.0" not in text
    assert "33.0" in page(root, NOTEBOOK) and "1.100" in page(root, NOTEBOOK)


def test_the_front_page_begins_with_one_line_of_perplexities_and_the_last_stages_first_speeches():
    sample = {"text": "\nKING:\nNo.\n\nQUEEN:\nWhy?\n", "seed": 1, "temperature": 0.8}
    last = run(stage=LAST, perplexity=57.25) | {"sample": sample}
    text = front_scores([run(perplexity=60.0), run(perplexity=63.0, seed=2), last], [counting()])
    assert text.splitlines()[0] == "**counting 120.0 → RNN 61.5 → Mini Transformer 57.2**"
    assert text.endswith("(seed 1, temperature 0.8, unedited):\n\n```text\nKING:\nNo.\n\nQUEEN:\nWhy?\n```")


@pytest.mark.parametrize(("lines", "speeches"), [(1, 1), (2, 1), (3, 2), (5, 2), (6, 3), (9, 3)])
def test_a_sample_is_cut_between_speeches_once_it_has_its_lines(lines, speeches):
    text = "A:\none\n\nB:\ntwo\n\nC:\nthree\nfour"
    assert first_speeches(text, lines) == "\n\n".join(text.split("\n\n")[:speeches])


def test_without_counting_the_front_page_shows_the_stages_alone():
    assert front_scores([run()], []).startswith("**RNN 60.0**")


def test_lossless_tokenizers_show_nats_and_bits_per_character():
    text = tables([run(tokenizer="char", vocab_size=69)], [counting(tokenizer="char", vocab_size=69)])
    assert cells(text, "counting")[2:5] == ["1.750", "", "2.500"]
    assert cells(text, "[RNN]")[2:5] == ["1.500", "", f"{1.5 / 0.6931:.3f}"]
    with_windows = run(tokenizer="char")
    with_windows["validation"]["nats_in_windows"] = 1.625
    assert cells(tables([with_windows], []), "[RNN]")[3] == "1.625"
    assert "perplexity" not in text and "<unk>" not in text


def test_every_corpus_tokenizer_preset_and_stage_has_its_own_row():
    runs = [run(), run(stage="model-02-lstm"), run(preset="thorough"), run(tokenizer="char")]
    text = tables(runs, [])
    assert text.count("| [") == 4 and text.count("**shakespeare**") == 2


def on_gpu(stage=STAGE, command="python train.py", perplexity=60.0, seconds=20.0, **changes):
    score = {"perplexity": perplexity, "nats_per_token": 1.5}
    machine = {"gpu": "NVIDIA H100", "torch": "2.13.0+cu130", "cuda": "13.0", "python": "3.11.7"}
    return {
        "stage": stage, "corpus": "shakespeare", "tokenizer": "word", "command": command, "seed": 1, "settings": {},
        "validation": score, "training_seconds": seconds, "command_seconds": seconds + 10, "training_tokens": 8e6,
        "machine": machine,
    } | changes  # fmt: skip


def test_a_gpus_runs_have_a_table_a_text_and_a_row_a_stage_and_its_flags(root):
    runs = [on_gpu(command=f"python train.py --seed {seed}", perplexity=60.0 + seed, seed=seed) for seed in (1, 2, 3)]
    runs += [on_gpu(command="python train.py --thorough", perplexity=50.0), on_gpu(stage=LAST, perplexity=55.0)]
    runs += [on_gpu(corpus="tinyshakespeare", tokenizer="char")]
    write_json(root / "shared" / "results" / "gpu.json", runs)
    with pytest.raises(UserError, match=f"{NOTEBOOK} is not what the results say"):
        results.check(root)
    results.write(root)
    words, characters = page(root, NOTEBOOK).partition("shakespeare on a GPU")[2].split("**tinyshakespeare on a GPU")
    first, thorough, last = (line.strip("| ").split(" | ") for line in words.splitlines() if line.startswith("| ["))
    assert first[1:] == ["default", "62.0 (61.0 to 63.0)", "8.0 M", "400,000", "20 s", "30 s", "3"]
    assert thorough[1:3] == ["`--thorough`", "50.0"] and last[0] == f"[Mini Transformer](../../{LAST}/README.md)"
    assert "NVIDIA H100, PyTorch 2.13.0+cu130, CUDA 13.0" in words
    assert cells(characters, "[RNN]")[2] == "1.500"


def test_where_no_gpu_was_measured_none_is_shown(root, tmp_path):
    assert gpu_tables(tmp_path / "gpu.json") == "" and "GPU" not in page(root, NOTEBOOK)


CAMPAIGN = ROOT / "shared" / "results" / "campaign.json"


def test_the_campaigns_table_adds_up_what_was_counted(tmp_path):
    parts = {"killed": {"tried": 1200, "resumed exactly": 1000, "begun again": 200, "bad": 0}}
    parts |= {"damaged": {"tried": 30, "refused": 20, "harmless": 10, "bad": 0}}
    machine = {"cores": 2, "torch": "2.13.0", "python": "3.11.7"}
    write_json(tmp_path / "kept.json", {"command": "x", "seed": 7, "minutes": 30, "machine": machine, "parts": parts})
    text = campaign_table(tmp_path / "kept.json")
    assert "| killed | 1,200 | 1,000 | 200 |  |  | 0 |" in text
    assert "| all | 1,230 | 1,000 | 200 | 20 | 10 | 0 |" in text and text.endswith("seed 7")
    assert campaign_table(tmp_path / "none.json") == ""


@pytest.mark.claims
@pytest.mark.skipif(not CAMPAIGN.exists(), reason="no counts of the campaign are kept")
def test_the_campaigns_counts_are_of_all_its_parts_by_the_thousand_and_nothing_was_lost():
    kept = read_json(CAMPAIGN)["parts"]
    assert list(kept) == list(PARTS) and not any(part["bad"] for part in kept.values())
    kills = sum(part["tried"] for name, part in kept.items() if name.startswith("killed"))
    damages = sum(part["tried"] for name, part in kept.items() if "byte" in name or "cut" in name)
    assert kills > 1000 and damages > 1000


@pytest.mark.claims
def test_the_front_page_tells_no_more_attempts_than_were_made():
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    told = int(re.search(r"in \[([\d,]+) attempts to", page)[1].replace(",", ""))
    made = sum(part["tried"] for part in read_json(CAMPAIGN)["parts"].values())
    assert 0 <= made - told < 1000


def test_a_spread_is_shown_only_where_there_are_several_seeds():
    assert spread([60.0], 1) == "60.0"
    assert spread([60.0, 63.0], 1) == "61.5 (60.0 to 63.0)"
    assert (in_minutes(119), in_minutes(150)) == ("119 s", "2.5 min")


@pytest.mark.parametrize(
    ("runs", "counts", "complaint"),
    [
        ([run(), run(seed=2, hidden_size=96)], [], "no repetitions of one run: hidden_size"),
        ([run(), run(stage="model-02-lstm", vocab_size=9)], [], "different texts or vocabularies"),
        ([run()], [counting(vocab_size=9)], "different texts or vocabularies"),
        ([run()], [counting(), counting()], "several n-gram results"),
    ],
)
def test_what_cannot_be_compared_does_not_get_into_one_table(runs, counts, complaint):
    with pytest.raises(UserError, match=complaint):
        tables(runs, counts)


def test_counting_is_taken_as_the_ngram_command_writes_it(monkeypatch, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("to be or not to be\n\n" * 300, encoding="utf-8")
    path = tmp_path / "shared" / "results" / "ngram-text-word.json"
    path.parent.mkdir(parents=True)
    monkeypatch.setattr(sys, "argv", ["ngram", "--data", str(text), "--order", "3", "--json", str(path)])
    ngram.main()
    written = json.loads(path.read_text(encoding="utf-8"))
    best = written["orders"][written["best_order"] - 1]
    shown = cells(tables(*load_results(tmp_path)), "counting")
    assert shown[2] == f"{best['perplexity']:.1f}"


# -------------------------------------------------------------------------------------------- the front page's picture


def comparison(stages=tuple(STAGES), corpus="shakespeare", tokenizer="word"):
    """Of the results.json of a comparison, what the picture needs."""
    rows = [{"stage": stage, "title": stage_title(stage), "validation_perplexity": 60.0} for stage in stages]
    norms = [{"stage": stage, "norms": [1.0, 0.5, 0.25]} for stage in stages]
    return {
        "command": "python -m shared.compare --checkpoints /home/me/one.pt /home/me/two.pt --out /home/me/out",
        "corpus": {"name": corpus}, "tokenizer": {"name": tokenizer}, "machine": {"cores": 2},
        "table": [{"stage": "counting", "title": "counting", "validation_perplexity": 104.0}, *rows],
        "curves": {"gradient": {"distances": [0, 1, 2], "targets": 9, "stages": norms}},
    }  # fmt: skip


def test_a_comparisons_gradient_is_kept_and_drawn_without_a_path_of_this_machine(tmp_path):
    write_json(tmp_path / "comparison" / "results.json", comparison())
    assert results.keep(tmp_path / "comparison", "default", tmp_path) == tmp_path / "shared/results/gradient.png"
    kept = json.loads(page(tmp_path, "shared/results/gradient.json"))
    assert kept["command"] == "python -m shared.compare"
    assert kept["gradient"] == comparison()["curves"]["gradient"]
    assert list(kept["titles"]) == list(kept["validation_perplexity"]) == list(STAGES)
    assert Image.open(tmp_path / "shared/results/gradient.png").text["Title"].replace("\n", " ") == FINDING


@pytest.mark.parametrize(
    "other", [comparison(stages=[STAGE]), comparison(corpus="mine.txt"), comparison(tokenizer="char")]
)
def test_the_front_pages_picture_is_of_all_stages_on_the_bundled_words(other, tmp_path):
    write_json(tmp_path / "comparison" / "results.json", other)
    with pytest.raises(UserError, match="all stages on the bundled words"):
        results.keep(tmp_path / "comparison", "default", tmp_path)
    assert not (tmp_path / "shared").exists()


@pytest.mark.claims
def test_the_front_pages_picture_is_of_runs_like_the_kept_ones():
    reached = json.loads(page(ROOT, "shared/results/gradient.json"))["validation_perplexity"]
    for stage, of_stage in runs_by_stage(load_results(ROOT)[0]).items():
        assert reached[stage] == pytest.approx(mean(perplexities(of_stage)), rel=0.02)


@pytest.mark.claims
def test_the_front_pages_picture_is_drawn_from_what_is_kept():
    kept = json.loads(page(ROOT, "shared/results/gradient.json"))
    figure = gradient_figure(kept["gradient"], kept["titles"], FINDING, "words")
    told = Image.open(ROOT / "shared" / "results" / "gradient.png").text
    assert (told["Title"], told["Description"]) == (figure.get_suptitle(), figure.get_supxlabel().replace("\n", " "))


@pytest.mark.claims
def test_the_rnn_lets_go_the_lstm_fades_and_attention_keeps_its_whole_window():
    """The title of the front page's picture, asked of the numbers that it is drawn from: shares of the nearest pull."""
    kept = json.loads(page(ROOT, "shared/results/gradient.json"))["gradient"]["stages"]
    rnn, lstm, attention, transformer = (np.array(stage["norms"]) / stage["norms"][0] for stage in kept)
    assert rnn[64:].max() < 1 / 500
    assert 1 / 1000 < lstm[200:].mean() < lstm[64:128].mean() < lstm[16:32].mean()
    for windowed in (attention, transformer):  # a window of 64 words; layers reach further, but not for ever
        assert windowed[16:64].min() > 1 / 50 and windowed[192:].max() < 1 / 1000


# --------------------------------------------------------------------------------------------------------------- check


def test_tables_that_were_just_written_pass_the_check_and_the_rest_of_the_readme_stays(root):
    results.check(root)
    text = (root / "README.md").read_text(encoding="utf-8")
    assert text.startswith("# Title\n\n<!-- scores -->\n**counting")
    assert text.endswith("\n<!-- /scores -->\n\nThe end.\n")
    results.write(root)
    assert (root / "README.md").read_text(encoding="utf-8") == text


@pytest.mark.parametrize("name", ["perplexity", "command_seconds", "parameters"])
def test_a_changed_number_in_a_file_fails_the_check(root, name):
    path = root / STAGE / "results" / "shakespeare-word-default-seed2.json"
    kept = json.loads(path.read_text(encoding="utf-8"))
    holder = kept["validation"] if name == "perplexity" else kept
    holder[name] *= 1.1
    if name == "parameters":
        for other in path.parent.glob("*.json"):
            write_json(other, json.loads(other.read_text(encoding="utf-8")) | {"parameters": kept["parameters"]})
    write_json(path, kept)
    with pytest.raises(UserError, match="not what the results say"):
        results.check(root)


@pytest.mark.parametrize("name", ["README.md", NOTEBOOK, f"{STAGE}/README.md"])
def test_a_changed_number_in_a_page_fails_the_check(root, name):
    path = root / name
    path.write_text(path.read_text(encoding="utf-8").replace("62.0", "52.0"), encoding="utf-8", newline="\n")
    with pytest.raises(UserError, match=f"^{name} is not what the results say"):
        results.check(root)


def test_a_removed_file_and_a_renamed_file_fail_the_check(root):
    path = root / STAGE / "results" / "shakespeare-word-default-seed2.json"
    path.rename(path.with_name("shakespeare-word-default-seed7.json"))
    with pytest.raises(UserError, match="seed7.json holds another run"):
        results.check(root)
    path.with_name("shakespeare-word-default-seed7.json").unlink()
    with pytest.raises(UserError, match="not what the results say"):
        results.check(root)


def test_results_are_stale_once_train_py_has_other_defaults(root, monkeypatch):
    described = load_stage(STAGE)
    changed = dataclasses.replace(described, defaults=described.defaults | {"learning_rate": 0.5})
    monkeypatch.setattr(pages, "load_stage", lambda stage: changed)
    with pytest.raises(UserError, match="seed1.json is no default run: learning_rate"):
        results.check(root)


def test_results_are_stale_once_the_corpus_has_changed(root):
    path = root / "shared" / "results" / "ngram-shakespeare-word.json"
    for file in [path, *(root / STAGE / "results").glob("*.json")]:
        kept = json.loads(file.read_text(encoding="utf-8"))
        write_json(file, kept | {"corpus": {"name": "shakespeare", "sha256": "0" * 64}})
    results.write(root)
    with pytest.raises(UserError, match="has changed since"):
        results.check(root)


@pytest.mark.parametrize(("name", "block"), [("README.md", "scores"), (NOTEBOOK, "results")])
@pytest.mark.parametrize(
    "text", ["# No markers\n", "<!-- {} -->\n", "<!-- /{0} -->\n<!-- {0} -->\n", 2 * "<!-- {0} -->\n<!-- /{0} -->\n"]
)
def test_missing_markers_are_one_line_and_change_nothing(root, text, name, block):
    path, text = root / name, text.format(block)
    path.write_text(text, encoding="utf-8")
    for action in (results.write, results.check):
        with pytest.raises(UserError, match=f"^{name} needs one line <!-- {block} -->") as complaint:
            action(root)
        assert "\n" not in str(complaint.value)
    assert path.read_text(encoding="utf-8") == text


def test_a_chapter_shows_its_stages_score_and_sample_and_is_checked(root):
    path = root / STAGE / "README.md"
    text = path.read_text(encoding="utf-8")
    assert "perplexity 62.0 (60.0 to 65.0)" in text and "mean of 3 seeds" in text
    assert "Counting reaches 120.0." in text
    assert "```text\nTo be\n```" in text
    path.write_text(text.replace("62.0", "52.0"), encoding="utf-8")
    with pytest.raises(UserError, match=f"{STAGE}/README.md is not what the results say"):
        results.check(root)


def test_the_front_page_needs_a_place_for_its_scores_too(root):
    (root / "README.md").write_text(MARKERS, encoding="utf-8")
    with pytest.raises(UserError, match="README.md needs one line <!-- scores -->"):
        results.write(root)


def test_where_nothing_was_kept_the_readme_has_to_say_nothing(tmp_path):
    results.check(tmp_path)
    path = tmp_path / "README.md"
    path.write_text(f"# Title\n{SCORES}\n", encoding="utf-8")
    results.check(tmp_path)
    path.write_text("<!-- scores -->\n**made up 1.0**\n<!-- /scores -->\n", encoding="utf-8")
    with pytest.raises(UserError, match="not what the results say"):
        results.check(tmp_path)


@pytest.mark.claims
def test_this_repositorys_tables_are_what_its_results_say():
    results.check(ROOT)


# -------------------------------------------------------------------------------------------------------------- command


def test_a_mistake_is_one_line_and_exit_status_2(tmp_path):
    shown = typed(ROOT, f"python -m shared.results keep {tmp_path}", code=2)
    assert shown.out == ""
    assert shown.err.startswith("error: there is no finished run in") and shown.err.count("\n") == 1


def test_check_exits_with_2_where_tables_and_files_differ(root, monkeypatch, capsys):
    monkeypatch.setattr(results, "ROOT", root)
    monkeypatch.setattr(sys, "argv", ["results", "check"])
    results.run_main(results.main)
    (root / "README.md").write_text(MARKERS, encoding="utf-8")
    with pytest.raises(SystemExit) as exit_status:
        results.run_main(results.main)
    assert exit_status.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_an_unknown_preset_is_one_line():
    shown = typed(ROOT, "python -m shared.results keep . --preset slow", code=2)
    assert shown.err.count("\n") == 1 and "slow" in shown.err


def measured(variant, precision, optimizer, training, share=0.2):
    row = dict(stage=STAGE, variant=variant, precision=precision, optimizer=optimizer, peak_mib=700.4)
    row |= dict(parameters=2_350_380, settings={"vocab_size": 17_706})
    row |= dict(training_tokens_per_second=training, share_of_float32_matmul=share)
    return row | dict(generation_1_tokens_per_second=1500.0, generation_64_tokens_per_second=9000.0)


def test_a_kept_benchmark_stands_below_the_results(root):
    rates = {"float32": 150e9, "bfloat16": 800e9}
    usual = [measured("default", "bfloat16", "muon", 9000.0, 0.5), measured("float32", "float32", "muon", 6000.0, 0.3)]
    narrow = [measured("default", "float32", "adamw", 5500.0)]
    for name, rows in (("benchmark", usual), ("benchmark-avx2", narrow)):
        content = {"matmul_flops_per_second": rates, "rows": rows}
        write_json(root / "shared" / "results" / f"{name}.json", content)
    with pytest.raises(UserError, match="is not what the results say"):
        results.check(root)
    results.write(root)
    costs = page(root, NOTEBOOK).partition("What it costs")[2]
    assert cells(costs, STAGE) == [
        STAGE, "9,000", "bfloat16", "6,000", "30%", "5,500", "1,500", "9,000", "700"
    ]  # fmt: skip
    assert "150 GFLOP/s" in costs and "training chooses float32." in costs


def test_a_chapter_shows_what_its_stage_costs_beside_the_others(root):
    rows = [measured("default", "float32", "muon", 31_514.2) | {"stage": stage} for stage in STAGES]
    path = root / "shared" / "results" / "benchmark.json"
    write_json(path, {"rows": rows + [measured("scratch", "float32", "muon", 9000.0)]})
    shown = stage_costs(path, STAGE)
    carried = ["256", "512", f"{512 + 64 * (128 + 128 + 1):,}", f"{4 * 2 * 63 * 128:,}"]
    assert [line.split(" | ")[-1].strip("* |") for line in shown.splitlines()[2:6]] == carried
    own = ["RNN", "2,350,380", "2,266,368", "31,514", "1,500", "256"]  # a table of 17,706 words, 128 numbers each
    assert "| " + " | ".join(f"**{text}**" for text in own) + " |" in shown.splitlines()
    assert shown.count("**") == 2 * len(own)
    assert stage_costs(root / "none.json", STAGE) == ""


def test_a_table_shows_at_each_distance_of_a_puzzle_what_each_stage_answers_rightly(tmp_path):
    assert puzzle_table(tmp_path) == ""
    first, second = list(STAGES)[:2]
    rows = [[{"distance": 8, "accuracy": 1.0}, {"distance": 16, "accuracy": far}] for far in (0.5, 0.3, 0.4)]
    stages = {first: [{"rows": of_seed} for of_seed in rows], second: [{"rows": rows[0]}]}
    write_json(tmp_path / "recall-default-lag.json", {"task": "Lag", "chance": 0.0625, "stages": stages})
    table = puzzle_table(tmp_path).splitlines()
    assert table[0] == f"| puzzle | distance up to | a guess | {' | '.join(map(stage_title, STAGES))} |"
    assert table[2:] == [
        "| Lag | 8 | 6% | 100% | 100% |  |  |",
        "| Lag | 16 | 6% | 40% (30% to 50%) | 50% |  |  |",
    ]


# ------------------------------------------------------------------------------------- the chapters' pictures


def test_the_passage_is_of_a_test_play_and_every_word_of_it_is_known():
    corpus = load_corpus()
    assert corpus.test.count(PASSAGE) == 1 and PASSAGE not in corpus.train + corpus.validation
    tokenizer = TOKENIZERS["word"].train(corpus.train)
    tokens = tokenizer.encode(PASSAGE)
    assert 30 <= len(tokens) <= 36 and tokenizer.unk_id not in tokens
    glyphs = [tokenizer.glyph(token) for token in tokens]
    speakers = [glyph for glyph, colon in zip(glyphs, glyphs[1:]) if glyph.isupper() and colon == ":"]
    assert len(speakers) > len(set(speakers)) > 1  # another one speaks, and a name returns


@pytest.fixture
def stage_root(finished, tmp_path):
    """A repository's root in which that training is kept as the default run of the bundled words."""
    kept = json.loads(results.keep(finished, "flags", tmp_path).read_text(encoding="utf-8"))
    write_json(tmp_path / STAGE / "results" / "shakespeare-word-default-seed1.json", kept)
    return tmp_path


def test_a_chapters_pictures_are_drawn_from_a_kept_run_and_again_without_it(finished, stage_root):
    pictures = draw([finished], stage_root)
    assert {path.name for path in pictures} == {"influence.png", "learning_curve.png"}  # this stage has no attention
    assert all(path.parent == stage_root / STAGE / "figures" for path in pictures)
    before = [path.read_bytes() for path in pictures]
    for path in pictures:
        path.unlink()
    assert draw([], stage_root) == pictures and [path.read_bytes() for path in pictures] == before


def test_what_is_kept_of_the_passage_has_command_seed_and_machine_and_no_path_of_it(finished, stage_root):
    draw([finished], stage_root)
    text = (stage_root / STAGE / "results" / "passage.json").read_text(encoding="utf-8")
    kept = json.loads(text)
    assert kept["command"].startswith("python train.py") and kept["seed"] == 1 and kept["machine"]["torch"]
    assert np.array(kept["influence"]).shape == (len(kept["tokens"]),) * 2 and kept["attention"] is None
    assert str(finished.parent) not in text


def test_with_the_passage_are_kept_the_guesses_at_its_last_word_and_samples_from_cold_to_hot(finished, stage_root):
    draw([finished], stage_root)
    kept = json.loads((stage_root / STAGE / "results" / "passage.json").read_text(encoding="utf-8"))
    guess = kept["guess"]
    assert len(guess["influence"]) == len(kept["tokens"]) - 1 and sum(guess["influence"]) == pytest.approx(1, abs=0.01)
    chances = [row["probability"] for row in guess["next"]]
    assert len(chances) == 3 and chances == sorted(chances, reverse=True) and 0 < guess["actual"] < 1
    assert [sample["temperature"] for sample in kept["samples"]] == [0, 0.8, 1.5]


def test_a_chapter_that_has_the_markers_shows_the_samples_at_several_temperatures(root):
    samples = [{"temperature": t, "seed": 1, "text": f"\nKING:\n{t}\n" * 9} for t in (0, 1.5)]
    write_json(root / STAGE / "results" / "passage.json", {"samples": samples, "validation": {}})
    results.write(root)
    chapter = root / STAGE / "README.md"
    assert "temperatures" not in page(root, chapter)
    chapter.write_text(f"{page(root, chapter)}<!-- temperatures -->\n<!-- /temperatures -->\n", encoding="utf-8")
    results.write(root)
    assert temperatures({"samples": samples}) in page(root, chapter)
    assert temperatures({}) == "" and temperatures({"samples": samples}).count("KING:\n0") == 3


def test_one_line_is_drawn_as_all_stages_read_it_once_all_have(tmp_path):
    guess = {"influence": [0.75, 0.25], "next": [{"token": "be", "probability": 0.5}], "actual": 0.5}
    for stage in STAGES:
        assert draw_memories(tmp_path) == []
        kept = {"tokens": ["To", "$be$", "or"], "guess": guess}
        write_json(tmp_path / stage / "results" / "passage.json", kept)
    [path] = draw_memories(tmp_path)
    assert Image.open(path).text["Title"].replace("\n", " ") == RECALLED


def test_pictures_of_an_older_run_than_the_one_kept_are_found(finished, stage_root):
    draw([finished], stage_root)
    check_passage(stage_root)
    path = stage_root / STAGE / "results" / "shakespeare-word-default-seed1.json"
    write_json(path, json.loads(path.read_text(encoding="utf-8")) | {"validation": {"perplexity": 1.0}})
    with pytest.raises(UserError, match="older run"):
        check_passage(stage_root)


def test_only_the_run_that_a_chapter_tells_of_is_drawn(finished, stage_root, tmp_path):
    kept = stage_root / STAGE / "results" / "shakespeare-word-default-seed1.json"
    run = json.loads(kept.read_text(encoding="utf-8"))
    write_json(kept, run | {"validation": {"perplexity": 1.0}})
    with pytest.raises(UserError, match="keep it first"):
        draw([finished], stage_root)
    kept.unlink()
    with pytest.raises(UserError, match="keep it first"):
        draw([finished], stage_root)
    with pytest.raises(UserError, match="no finished run"):
        draw([tmp_path], stage_root)
    with pytest.raises(UserError, match="name the folders"):
        draw([], stage_root)


def of_passage(stage):
    """What is kept of a stage's reading of the passage."""
    path = ROOT / stage / "results" / "passage.json"
    if not path.is_file():
        pytest.skip(f"{stage} has not read the passage")
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.claims
@pytest.mark.parametrize("stage", STAGES)
def test_the_titles_say_of_the_influence_of_the_last_five_tokens_what_the_kept_numbers_say(stage):
    kept = of_passage(stage)
    shares = [sum(row[place - 4 : place + 1]) for place, row in enumerate(kept["influence"]) if place >= 15]
    title = title_in_chapter(ROOT / stage, "influence")
    if "last few words" in title:
        assert mean(shares) > 0.55
    if "CLOWN" in title:
        before_next = kept["tokens"].index("DUKE", 1) - 1
        past = kept["influence"][before_next][:before_next]
        assert kept["tokens"][int(np.argmax(past))] == "CLOWN"
    if "half" in title:
        assert mean(shares) == pytest.approx(0.5, abs=0.1)


@pytest.mark.claims
def test_the_title_says_of_stage_3s_attention_what_the_kept_numbers_say():
    assert "followed thy before: pains" in title_in_chapter(ROOT / "model-03-lstm-attention", "attention")
    kept = of_passage("model-03-lstm-attention")
    weights, seen = (np.array(kept["attention"][name]) for name in ("weights", "seen"))
    row, place = (index for index, token in reversed(list(enumerate(kept["tokens"]))) if token == "thy")
    heaviest = weights[head_that_chooses_most(weights, seen)][row].argmax()
    assert (heaviest, kept["tokens"][heaviest]) == (place + 1, "pains")


@pytest.mark.claims
def test_only_the_attention_lstm_goes_back_to_the_word_that_followed_thy_before():
    for stage in STAGES:
        kept = of_passage(stage)
        guess, first = kept["guess"], kept["tokens"].index("pains")
        goes_back = (guess["next"][0]["token"], int(np.argmax(guess["influence"]))) == ("pains", first)
        assert goes_back == (stage == "model-03-lstm-attention")


def test_attention_is_drawn_from_what_is_kept(tmp_path):
    weights = np.tri(3) / np.arange(1, 4)[:, None]
    attention = {"weights": [[weights.tolist()] * 2], "seen": np.tri(3).tolist(), "loss": 3.5, "loss_uniform": 4.0}
    kept = {"seed": 1, "unit": "word", "tokens": ["To", "be", ","], "influence": weights.tolist()}
    write_json(tmp_path / LAST / "results" / "passage.json", kept | {"attention": attention})
    write_json(tmp_path / LAST / "results" / "shakespeare-word-default-seed1.json", run(stage=LAST))
    pictures = {path.stem: Image.open(path).text for path in draw([], tmp_path)}
    assert pictures.keys() == {"attention", "influence", "learning_curve"}
    assert "choosing is worth 0.50 nats a word" in pictures["attention"]["Description"]
    assert pictures["attention"]["Title"] == "Mini Transformer: attention"


def test_a_pictures_title_is_what_the_chapter_calls_it(tmp_path):
    chapter = "![One](figures/attention.png)\n\n![It looks back: far](figures/influence.png)\n"
    (tmp_path / "README.md").write_text(chapter, encoding="utf-8")
    assert title_in_chapter(tmp_path, "influence") == "It looks back: far"
