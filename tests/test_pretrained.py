"""The runs that come with the course: what is packed is what is read, and a file that was touched is refused."""

import hashlib
import json
import math
import re
import shlex
import shutil
import sys
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch
from checkpoints import random_checkpoint
from options import STAGE_1, STAGE_2, STAGE_4

from shared.compare import __main__ as compare
from shared.compare import measures
from shared.compare import pretrained as comparing
from shared.errors import UserError
from shared.measure.evaluation import evaluate
from shared.model.packing import round_weights
from shared.results.pretrained import check_pretrained, pack_runs, pretrained_table
from shared.run import generation
from shared.run.checkpoint import save_checkpoint
from shared.run.moments import FILE as MOMENTS
from shared.run.pretrained import (
    HEAD,
    MAGIC,
    VERSION,
    load_pretrained,
    pretrained_file,
    read_pretrained,
    vocabulary_file,
)
from shared.run.records import read_json, write_json
from shared.run.restore import restore_language_model
from shared.run.stage import generation_flags
from shared.stages import ROOT, STAGES
from shared.text.corpus import load_corpus
from shared.text.tokenizer import train_tokenizer

CPU = torch.device("cpu")
WORKFLOW = (ROOT / ".github" / "workflows" / "page.yml").read_text(encoding="utf-8")
PROMPT = "If music be the food of love, play on"
every_stage = pytest.mark.parametrize("stage", STAGES)


@contextmanager
def less_to_measure(corpus):
    """Measure less than by default, on this corpus."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(comparing, "load_corpus_of", lambda runs, data: corpus)
        patch.setattr(measures, "GENERATED", 3)
        patch.setattr(measures, "CONTEXT_LENGTHS", [1, 2, 4])
        patch.setattr(measures, "DISTANCES", 20)
        patch.setattr(measures, "GRADIENT_TARGETS", 4)
        yield


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """A repository whose four default runs are tiny, packed and measured, on a text of its own."""
    root = tmp_path_factory.mktemp("repository")
    text = root / "short.txt"
    whole = (ROOT / "data" / "shakespeare.txt").read_text(encoding="utf-8")
    text.write_text(whole[:40_000], encoding="utf-8", newline="\n")
    corpus = load_corpus(str(text), at_blank_line=True)
    tokenizer = train_tokenizer("word", corpus.train)
    validation = torch.tensor(tokenizer.encode(corpus.validation))
    runs = {stage: root / "runs" / stage for stage in STAGES}
    for stage, folder in runs.items():
        saved = random_checkpoint(stage, tokenizer, corpus, str(text))
        command = f"python train.py --data {shlex.quote(str(text))} --out-dir {shlex.quote(str(folder))} --seed 1"
        save_checkpoint(folder / "best.pt", saved | {"command": command})
        model, _, _ = restore_language_model(folder / "best.pt")
        loss = evaluate(model, validation, saved["settings"]["context_length"]).loss
        summary = {
            "command": command,
            "stage": stage,
            "settings": saved["settings"],
            "parameters": 1,
            "training_tokens": saved["progress"]["tokens"],
            "training_seconds": 1.0,
            "command_seconds": 1.0,
            "machine": {},
            "corpus": saved["corpus"],
            "validation": {"nats_per_token": loss, "perplexity": math.exp(loss), "tokens": len(validation) - 1},
        }
        write_json(folder / "summary.json", summary)
        write_json(root / stage / "results" / "shakespeare-word-default-seed1.json", summary)
        record = {"step": 20, "tokens": 2000, "seconds": 9.0, "train_loss": 5.5}
        lines = [json.dumps(line) + "\n" for line in (record, record | {"validation_loss": loss})]
        (folder / "metrics.jsonl").write_text("".join(lines), encoding="utf-8", newline="\n")
    with less_to_measure(corpus):
        pack_runs(list(runs.values()), root)
    return SimpleNamespace(root=root, runs=runs, corpus=corpus, tokenizer=tokenizer, validation=validation)


# ---------------------------------------------------------------------------------------------------------- round trip


@every_stage
def test_a_packed_run_is_the_run_with_its_weights_rounded(packed, stage):
    model, tokenizer, saved = load_pretrained(stage, root=packed.root)
    run, words, checkpoint = restore_language_model(packed.runs[stage] / "best.pt")
    round_weights(run)
    assert model.state_dict().keys() == run.state_dict().keys() == saved["weights"].keys()
    assert all(torch.equal(model.state_dict()[name], weight) for name, weight in run.state_dict().items())
    assert not model.training and tokenizer.to_dict() == words.to_dict() == saved["tokenizer"]
    assert saved["settings"] == checkpoint["settings"] | {"data": "short.txt"}
    for name in ("stage", "model_settings", "corpus", "progress"):
        assert saved[name] == checkpoint[name]


@every_stage
def test_a_packed_run_names_its_command_and_no_path(packed, stage):
    content = pretrained_file(stage, packed.root).read_bytes()
    assert str(packed.root).encode() not in content
    assert load_pretrained(stage, root=packed.root)[2]["command"] == "python train.py --data short.txt --seed 1"


def test_packing_twice_writes_the_same_bytes(packed, monkeypatch):
    before = comparing.digests(packed.root)
    monkeypatch.setattr("shared.results.pretrained.measure_pretrained", lambda root: None)
    pack_runs(list(reversed(packed.runs.values())), packed.root)
    assert comparing.digests(packed.root) == before


def test_the_moments_of_a_run_are_packed_with_it(packed, monkeypatch):
    monkeypatch.setattr("shared.results.pretrained.measure_pretrained", lambda root: None)
    stage = next(iter(STAGES))
    kept, copy = packed.runs[stage] / MOMENTS, pretrained_file(stage, packed.root).with_name(MOMENTS)
    moment = {"step": 0, "tokens": 0, "seconds": 0.0, "passage": ["to", "be"], "next": [["be"], ["or"]]}
    moment |= {"next_p": "1;1", "true_p": "1", "influence": "1000;400 600", "attention": None, "sample": "to"}
    kept.write_text(json.dumps(moment) + '\n{"step": 1', encoding="utf-8")  # a crash cut the last line off
    pack_runs(list(packed.runs.values()), packed.root)
    assert copy.read_text(encoding="utf-8") == json.dumps(moment) + "\n"
    kept.unlink()
    pack_runs(list(packed.runs.values()), packed.root)
    assert not copy.exists()


@every_stage
def test_the_packed_runs_of_the_course_are_those_that_are_kept(stage):
    """Their weights lost at most .002 nats; the rest of the claim is `python -m shared.results check`."""
    model, tokenizer, saved = load_pretrained(stage)
    assert saved["command"] == "python train.py --seed 1" and tokenizer.vocab_size == 17_706
    kept = json.loads((ROOT / "shared" / "results" / "pretrained.json").read_text(encoding="utf-8"))
    assert abs(kept["measured"]["rounding"][stage]) <= 0.002
    assert model(torch.zeros(1, 3, dtype=torch.long))[0].isfinite().all()
    check_pretrained(ROOT)


# ------------------------------------------------------------------------------------------------------- damaged files


@pytest.fixture
def copied(packed, tmp_path):
    """A packed run of stage 2 and the vocabulary, in a repository that a test may spoil -> the root, the run's file."""
    for path in (pretrained_file(STAGE_2, packed.root), vocabulary_file(packed.root)):
        copy = tmp_path / path.relative_to(packed.root)
        copy.parent.mkdir(parents=True)
        shutil.copyfile(path, copy)
    return tmp_path, pretrained_file(STAGE_2, tmp_path)


def complaint(root, stage=STAGE_2) -> str:
    """What a person reads who loads this run; it has to be one line that says how to go on."""
    with pytest.raises(UserError, match="git checkout") as caught:
        load_pretrained(stage, root=root)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("size", [0, 3, HEAD.size - 1, HEAD.size, HEAD.size + 100, -1, -5000])
def test_a_file_that_was_cut_off_is_refused(copied, size):
    root, path = copied
    path.write_bytes(path.read_bytes()[:size])
    assert "damaged" in complaint(root)


@pytest.mark.parametrize("more", [b"\0", b"\0" * 4096])
def test_a_file_with_something_behind_it_is_refused(copied, more):
    root, path = copied
    path.write_bytes(path.read_bytes() + more)
    assert "damaged" in complaint(root)


def test_a_flipped_bit_is_refused_wherever_it_is(copied):
    root, path = copied
    content = path.read_bytes()
    length = HEAD.unpack_from(content)[2]
    inside = (0, 7, 8, 12, 15, 16, 47, HEAD.size, HEAD.size + length - 8, HEAD.size + length, len(content) - 1)
    for place in (*inside, *range(HEAD.size, len(content), len(content) // 20)):
        for bit in (1, 128):
            spoiled = bytearray(content)
            spoiled[place] ^= bit
            path.write_bytes(spoiled)
            complaint(root)


def with_header(path, change) -> None:
    """Write a file again with another header and a checksum that is right: as no accident would leave it."""
    content = path.read_bytes()
    length = HEAD.unpack_from(content)[2]
    header = json.loads(content[HEAD.size : HEAD.size + length])
    weights = content[HEAD.size + length :]
    header = change(header)
    text = header if isinstance(header, bytes) else json.dumps(header).encode("utf-8")
    digest = hashlib.sha256(text + weights).digest()
    path.write_bytes(HEAD.pack(MAGIC, VERSION, len(text), digest) + text + weights)


def changed(header: dict, *keys, value) -> dict:
    """A header in which one part, down a path of keys, is another."""
    part = header
    for key in keys[:-1]:
        part = part[key]
    part[keys[-1]] = value
    return header


HUGE = 10**9
HEADERS = {
    "as it was written": lambda header: header,
    "hidden size": lambda header: changed(header, "model_settings", "hidden_size", value=HUGE),
    "layers": lambda header: changed(header, "model_settings", "num_layers", value=HUGE),
    "vocabulary": lambda header: changed(header, "model_settings", "vocab_size", value=HUGE),
    "a negative size": lambda header: changed(header, "model_settings", "num_layers", value=-1),
    "no number": lambda header: changed(header, "model_settings", "hidden_size", value="many"),
    "infinite": lambda header: changed(header, "model_settings", "hidden_size", value=math.inf),
    "an unknown setting": lambda header: changed(header, "model_settings", "colour", value=1),
    "no setting": lambda header: changed(header, "model_settings", value={}),
    "another cell": lambda header: changed(header, "model_settings", "cell", value="gru"),
    "a shape": lambda header: changed(header, "tensors", 0, "shape", value=[HUGE, HUGE]),
    "an offset": lambda header: changed(header, "tensors", 1, "offset", value=HUGE),
    "a kind": lambda header: changed(header, "tensors", 0, "kind", value="int4"),
    "a name": lambda header: changed(header, "tensors", 0, "name", value="embedding.bias"),
    "no tensors": lambda header: changed(header, "tensors", value=[]),
    "no JSON": lambda header: b"{",
    "no text": lambda header: b"\xff\xff",
    "a list": lambda header: [header],
    "deep": lambda header: b"[" * 100_000,
    "a field less": lambda header: {name: part for name, part in header.items() if name != "corpus"},
    "a field of another kind": lambda header: changed(header, "progress", value=3),
    "another vocabulary": lambda header: changed(header, "tokenizer", value="0" * 64),
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_that_lies_is_refused_before_a_model_is_made_of_it(copied, monkeypatch, name):
    root, path = copied
    with_header(path, HEADERS[name])
    if name == "as it was written":
        load_pretrained(STAGE_2, root=root)
        return
    largest = []
    empty = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *size, **how: largest.append(size) or empty(*size, **how))
    assert "damaged" in complaint(root)
    assert all(math.prod(size[0] if isinstance(size[0], tuple) else size) < 1e7 for size in largest)


def test_a_weight_that_is_no_number_is_refused(copied):
    root, path = copied
    content = bytearray(path.read_bytes())
    length = HEAD.unpack_from(content)[2]
    content[HEAD.size + length : HEAD.size + length + 4] = b"\x00\x00\xc0\x7f"  # NaN, the first row's scale
    content[16:48] = hashlib.sha256(content[HEAD.size :]).digest()
    path.write_bytes(content)
    assert "damaged" in complaint(root)


def test_another_stage_a_newer_format_and_no_file_are_told_apart(copied):
    root, path = copied
    other = pretrained_file(STAGE_1, root)
    assert "there is no pretrained model" in complaint(root, STAGE_1)
    other.parent.mkdir(parents=True)
    shutil.copyfile(path, other)
    assert f"holds a model of {STAGE_2}, not of {STAGE_1}" in complaint(root, STAGE_1)
    content = path.read_bytes()
    path.write_bytes(content[:8] + bytes([VERSION + 1]) + content[9:])
    assert "format 2" in complaint(root)


def test_a_file_beyond_reason_is_not_read(copied, monkeypatch):
    root, path = copied
    monkeypatch.setattr("shared.run.pretrained.LARGEST_FILE", path.stat().st_size - 1)
    assert "damaged" in complaint(root)


@pytest.mark.parametrize("content", [b"", b"{}", b"[1, 2", b'{"name": "word", "words": ["<unk>", "\\n"]}'])
def test_words_that_are_not_the_runs_are_refused(copied, content):
    root, _ = copied
    vocabulary_file(root).write_bytes(content)
    assert "vocabulary.json" in complaint(root)


# ------------------------------------------------------------------------------------------- writing with it, comparing


def test_generate_writes_with_the_run_that_comes_with_the_course(monkeypatch, capsys, tmp_path):
    flags = ["generate.py", "--checkpoint", "pretrained", "--prompt", PROMPT, "--max-new-tokens", "5"]
    monkeypatch.setattr(sys, "argv", [*flags, "--visualize", str(tmp_path)])
    folder = ROOT / STAGE_4
    generation.write_text(folder, generation_flags(folder))
    written = capsys.readouterr().out
    assert written.startswith(PROMPT) and len(written.split()) > len(PROMPT.split())
    assert {path.name for path in tmp_path.iterdir()} == {"attention.png", "influence.png"}


def compared(packed, monkeypatch, out, *words):
    """The results of --pretrained on the tiny packed runs, and the page."""
    monkeypatch.setattr(compare, "ROOT", packed.root)
    monkeypatch.setattr(compare, "figures_of", lambda results: {})
    monkeypatch.setattr(compare, "measure", pytest.fail)  # it takes minutes
    monkeypatch.setattr(sys, "argv", ["compare.py", "--pretrained", "--device", "cpu", "--out", str(out), *words])
    compare.main()
    results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    return results, (out / "index.html").read_text(encoding="utf-8")


def test_compare_shows_the_pretrained_runs_without_measuring_them_again(packed, monkeypatch, tmp_path):
    results, page = compared(packed, monkeypatch, tmp_path / "new")
    assert [row["stage"] for row in results["table"]] == ["counting", *STAGES]
    for stage, row in zip(STAGES, results["table"][1:]):
        model, _, saved = load_pretrained(stage, root=packed.root)
        loss = evaluate(model, packed.validation, saved["settings"]["context_length"]).loss
        assert row["validation_perplexity"] == pytest.approx(math.exp(loss))
        assert results["rounding"][stage] == pytest.approx(loss - saved["validation"]["nats_per_token"], abs=1e-7)
        assert f'id="weights-{stage}"' in page
    learned = results["curves"]["learning"]
    assert [(curve["stage"], curve["tokens"]) for curve in learned] == [(stage, [2000]) for stage in STAGES]
    assert results["prompt"]["text"] == compare.PASSAGE and "--pretrained" in results["command"]


@pytest.mark.claims
def test_the_course_s_own_page_lets_one_watch_all_four_learn_and_stays_under_16_megabytes(monkeypatch, tmp_path):
    monkeypatch.setattr(compare, "figures_of", lambda results: {})
    monkeypatch.setattr(sys, "argv", ["compare.py", "--pretrained", "--device", "cpu", "--out", str(tmp_path)])
    compare.main()
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert [stage["stage"] for stage in results["moments"]["stages"]] == list(STAGES)
    for stage in results["moments"]["stages"]:
        *_, last = stage["moments"]
        run = read_pretrained(pretrained_file(stage["stage"]))[0]
        assert last["step"] == run["settings"]["max_steps"] and last["validation"]["step"] <= run["progress"]["step"]
    assert (tmp_path / "index.html").stat().st_size < 16e6


def test_the_maps_are_those_of_the_prompt_and_agree_with_a_comparison_of_checkpoints(packed, monkeypatch, tmp_path):
    results, _ = compared(packed, monkeypatch, tmp_path, "--prompt", PROMPT, "--no-live")
    assert results["prompt"]["text"] == PROMPT
    runs = comparing.load_runs(CPU, packed.root)
    with less_to_measure(packed.corpus):
        for run, shown in zip(runs, results["prompt"]["stages"]):
            worth = measures.attention_worth(run, packed.validation)
            ids = packed.tokenizer.encode(PROMPT)
            again = measures.plain(measures.prompt_maps([run], packed.tokenizer, ids, worth))
            assert shown["faithfulness"] == again["faithfulness"] and shown["next"] == again["next"]


def test_measurements_of_other_files_are_not_shown(packed, monkeypatch, tmp_path):
    shutil.copytree(packed.root, tmp_path / "copy")
    kept = comparing.kept_file(tmp_path / "copy")
    content = json.loads(kept.read_text(encoding="utf-8"))
    content["files"][STAGE_1] = "0" * 64
    kept.write_text(json.dumps(content), encoding="utf-8")
    for look in (lambda root: comparing.load_comparison(CPU, root), check_pretrained):
        with pytest.raises(UserError, match="shared.results pack"):
            look(tmp_path / "copy")
    kept.write_text("{}", encoding="utf-8")
    with pytest.raises(UserError, match="files is missing"):
        comparing.load_comparison(CPU, tmp_path / "copy")


@pytest.mark.parametrize("words", [["--data", "x.txt"], ["--train"], ["--checkpoints", "x.pt"], ["--seed", "2"]])
def test_pretrained_goes_with_no_flag_that_names_other_runs(monkeypatch, capsys, words):
    monkeypatch.setattr(sys, "argv", ["compare.py", "--pretrained", *words])
    with pytest.raises(SystemExit) as ended:
        compare.parse_flags()
    assert ended.value.code == 2 and len(capsys.readouterr().err.splitlines()) == 1


# -------------------------------------------------------------------------------------------- packing, and the notebook


def test_only_one_kept_default_run_of_each_stage_is_packed(packed):
    paths = list(packed.runs.values())
    for wrong in (paths[:3], [*paths, paths[0]]):
        with pytest.raises(UserError, match="a finished run of each stage"):
            pack_runs(wrong, packed.root)


def test_a_run_that_is_not_kept_is_not_packed(packed, tmp_path):
    shutil.copytree(packed.runs[STAGE_1], tmp_path / "run")
    summary = read_json(tmp_path / "run" / "summary.json")
    summary["validation"]["nats_per_token"] = 1.0
    write_json(tmp_path / "run" / "summary.json", summary)
    before = comparing.digests(packed.root)
    with pytest.raises(UserError, match="none of the kept default runs"):
        pack_runs([tmp_path / "run", *list(packed.runs.values())[1:]], packed.root)
    assert comparing.digests(packed.root) == before


def test_the_notebook_shows_each_run_beside_its_packed_form(packed, tmp_path):
    lines = pretrained_table(packed.root).splitlines()
    assert len(lines) == 2 + len(STAGES)
    for stage, line in zip(STAGES, lines[2:]):
        _, _, saved = load_pretrained(stage, root=packed.root)
        assert stage in line and f"| {saved['validation']['perplexity']:.2f} |" in line
    assert pretrained_table(tmp_path) == "", "nothing is packed"


# ------------------------------------------------------------------------------------------------------- the workflow


def test_the_workflows_commands_are_ones_that_the_programs_take(monkeypatch):
    (command,) = re.findall(r"python -m shared\.compare(.*)", WORKFLOW)
    monkeypatch.setattr(sys, "argv", ["compare.py", *shlex.split(command)])
    flags = compare.parse_flags()
    assert flags.pretrained and f"path: {flags.out.name}\n" in WORKFLOW
    for action in ("actions/upload-pages-artifact@v", "actions/deploy-pages@v"):
        assert len(re.findall(re.escape(action) + r"\d+$", WORKFLOW, flags=re.MULTILINE)) == 1
    assert "pages: write" in WORKFLOW and "id-token: write" in WORKFLOW and "branches: [main]" in WORKFLOW
    assert all((ROOT / file).is_file() for file in re.findall(r" -r (\S+)", WORKFLOW))
