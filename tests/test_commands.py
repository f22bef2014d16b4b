"""train.py and generate.py as a learner types them, in a copy of the course, from nothing to text and pictures.

Each stage is trained, and writes its first text, in processes of its own; all else is asked within this one.
"""

import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from terminal import copy_course, copy_folder, split, started, typed

from shared.model.sampling import generate
from shared.run import experiment, generation
from shared.run.checkpoint import load_checkpoint
from shared.run.folder import RUN_FILES, make_room
from shared.run.restore import restore_language_model
from shared.run.stage import generate_stage, train_stage
from shared.show import maps
from shared.stages import ROOT, STAGES, load_stage, model_class
from shared.text.corpus import load_corpus
from shared.text.signs import printable
from shared.text.tokenizer import tokenizer_from_dict

STAGE_1, STAGE_2, STAGE_3, STAGE_4 = STAGES
ATTENTIVE = {STAGE_3, STAGE_4}
SIZES = "--hidden-size 16 --num-layers 2 --batch-size 4 --context-length 128"
SMALL = f"--max-steps 6 --eval-interval 3 {SIZES} --device cpu"
FIXED = "--precision float32 --optimizer adamw"  # what `auto` finds may differ from run to run and machine to machine
PROMPT = "But tell me, dost thou know my"  # of the short text's held-out part
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="session")
def course(tmp_path_factory):
    return copy_course(tmp_path_factory.mktemp("course"))


@pytest.fixture(scope="module", autouse=True)
def at_work(course, request):
    """Stage -> what its training prints, and what the command prints that it names as the next one, once they are done.

    They run beside this module's first tests, which do without them.
    """

    def train_and_write(stage):
        training = started(course / stage, f"python train.py --data ../short.txt {SMALL}")
        return training, started(course / stage, next_command(training.out))

    wanted = any("trained" in item.fixturenames for item in request.session.items if item.module is request.module)
    pool = ThreadPoolExecutor(max_workers=2)
    yield {stage: pool.submit(train_and_write, stage) for stage in STAGES if wanted}
    pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="module")
def trained(course, at_work):
    """stage -> its folder in the copy, what training printed, and what is in best.pt."""

    def get(stage):
        shown, _ = at_work[stage].result()
        best = load_checkpoint(course / stage / "checkpoints" / "best.pt")
        return SimpleNamespace(folder=course / stage, best=best, **vars(shown))

    return get


@pytest.fixture(scope="module")
def first_text(at_work):
    """stage -> what the command that training names as the next one prints."""
    return lambda stage: at_work[stage].result()[1]


def next_command(stdout: str) -> str:
    return stdout.splitlines()[-1].removeprefix("next").strip()


def restored(best: dict):
    """A checkpoint's model and tokenizer."""
    model = model_class(best["stage"])(**best["model_settings"])
    model.load_state_dict(best["weights"])
    return model.eval(), tokenizer_from_dict(best["tokenizer"])


def whole_text_loss(best: dict, text: str) -> tuple[float, int]:
    """Nats over all tokens but the first, from one forward pass over the whole text; and their number."""
    model, tokenizer = restored(best)
    ids = torch.tensor(tokenizer.encode(text))
    with torch.no_grad():
        logits, _, _ = model(ids[None, :-1])
    return F.cross_entropy(logits[0].double(), ids[1:], reduction="sum").item(), len(ids) - 1


def whole_text(best: dict, prompt: str, count: int = 100, seed: int = 1) -> str:
    """What generate.py has to print for these tokens, decoded in one go."""
    model, tokenizer = restored(best)
    ids = tokenizer.encode(prompt)
    generator = torch.Generator().manual_seed(seed)
    steps = generate(model, ids, temperature=0.8, banned=tokenizer.unk_id, generator=generator)
    return tokenizer.decode(ids + [step.item() for step in islice(steps, count)])


@pytest.fixture
def answered(monkeypatch, capsys):
    """stage, line -> exit status, stdout and stderr of the command, run here."""

    def run(stage, line):
        _, program, *words = split(line)
        monkeypatch.setattr(sys, "argv", [program, *words])
        code = 0
        try:
            if program == "train.py":
                train_stage(load_stage(stage))
            else:
                generate_stage(ROOT / stage)
        except SystemExit as end:
            code = end.code
        shown = capsys.readouterr()
        return SimpleNamespace(code=code, out=shown.out, err=shown.err)

    return run


@pytest.fixture
def refused(answered):
    """stage, line -> the one line with which it is refused."""

    def run(stage, line):
        shown = answered(stage, line)
        assert shown.code == 2 and shown.out == "" and shown.err.count("\n") == 1, shown.err
        return shown.err

    return run


# Training


@pytest.mark.parametrize("tokenizer", ["char", "bpe"])
def test_lossless_tokenizers_train_report_bits_per_character_and_write(course, tmp_path, tokenizer):
    flags = f"{SMALL} --tokenizer {tokenizer} --out-dir {tmp_path}" + " --vocab-size 300" * (tokenizer == "bpe")
    run = typed(course / STAGE_2, f"python train.py --data ../short.txt {flags}")
    best, validation = load_checkpoint(tmp_path / "best.pt"), load_corpus(str(course / "short.txt")).validation
    nats, count = whole_text_loss(best, validation)
    _, tokens = restored(best)
    characters = len(validation) - len(tokens.decode(tokens.encode(validation)[:1]))
    bits = float(re.search(r"([\d.]+) bits per character", run.out)[1])
    assert bits == pytest.approx(nats / math.log(2) / characters, abs=0.002 * count / characters / math.log(2) + 0.0005)
    assert f"({tokenizer})" in run.err and "<unk>" not in run.err
    prompt = split(next_command(run.out))[3]
    assert prompt in validation
    text = typed(course / STAGE_2, next_command(run.out)).out
    assert text == printable(whole_text(best, prompt)) + "\n"
    if tokenizer == "char":
        shown = typed(course / STAGE_2, f'python generate.py --checkpoint {tmp_path}/best.pt --prompt "crème ☃"')
        assert shown.out.startswith("crme ") and shown.err.count("\n") == 1
        assert "'è' (it knows 'e')" in shown.err and "'☃'" in shown.err
    else:  # no sign is unknown to byte pairs, and a terminal that cannot show one is no reason to stop
        line = f'python generate.py --checkpoint {tmp_path}/best.pt --prompt "crème ☃" --max-new-tokens 5'
        assert started(course / STAGE_2, line, PYTHONIOENCODING="ascii").out.startswith("cr?me ?")


def test_bfloat16_trains_and_is_scored_in_float32(course, tmp_path):
    line = f"python train.py --data ../short.txt {SMALL} --precision bfloat16 --optimizer muon --out-dir {tmp_path}"
    run = typed(course / STAGE_1, line)
    assert "in bfloat16, optimizer muon" in run.err
    best = load_checkpoint(tmp_path / "best.pt")
    assert {weight.dtype for weight in best["weights"].values()} == {torch.float32}
    nats, count = whole_text_loss(best, load_corpus(str(course / "short.txt")).validation)
    assert float(re.search(r"([\d.]+) nats per token", run.out)[1]) == pytest.approx(nats / count, abs=0.002)


def test_previous_never_mixes_the_files_of_two_runs(tmp_path):
    for name in RUN_FILES:
        (tmp_path / name).write_text("finished", encoding="utf-8")
    make_room(tmp_path)
    (tmp_path / "last.pt").write_text("stopped early", encoding="utf-8")
    make_room(tmp_path)
    first, second = (
        {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "previous" / number).iterdir()}
        for number in "12"
    )
    assert set(first) == set(RUN_FILES) and set(first.values()) == {"finished"}
    assert second.pop("last.pt") == "stopped early"
    assert "finished" not in second.values()


# Stopping and going on


def timeless_metrics(out_dir: Path) -> list[dict]:
    records = [json.loads(line) for line in (out_dir / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [{key: value for key, value in record.items() if key != "seconds"} for record in records]


@pytest.mark.skipif(sys.platform == "win32", reason="one process cannot send another Ctrl-C there")
def test_ctrl_c_ends_a_training_that_says_how_to_go_on(course, tmp_path):
    line = f"python train.py --data ../short.txt {SMALL} {FIXED} --max-steps 1000000 --out-dir {tmp_path}"
    process = subprocess.Popen(
        [sys.executable, *split(line)[1:]],
        cwd=course / STAGE_1,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    before = []
    while "step 3: validation" not in "".join(before[-2:]):
        before.append(process.stderr.readline())
        assert before[-1], "training ended before it could be stopped:\n" + "".join(before)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == 130 and out == "" and "Traceback" not in err
    assert load_checkpoint(tmp_path / "last.pt")["progress"]["step"] >= 3
    assert err.splitlines()[-1].endswith(f" with: {line} --resume")


posix = pytest.mark.skipif(sys.platform == "win32", reason="one process cannot send another such a signal there")


def begin_training(folder: Path, line: str, **streams) -> subprocess.Popen:
    """A training in a process of its own, whose stderr is read up to its first evaluation."""
    process = subprocess.Popen([sys.executable, *split(line)[1:]], cwd=folder, stderr=subprocess.PIPE, **streams)
    before = [b""]
    while b"step 3: validation" not in before[-1]:
        before.append(process.stderr.readline())
        assert before[-1], b"training ended too soon:\n" + b"".join(before)
    return process


@posix
@pytest.mark.parametrize("name, status", [("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_training_that_is_killed_politely_or_loses_its_terminal_saves_and_ends_as_custom_has_it(
    course, tmp_path, name, status
):
    line = f"python train.py --data ../short.txt {SMALL} {FIXED} --max-steps 1000000 --out-dir {tmp_path}"
    process = begin_training(course / STAGE_1, line)
    process.stderr.close()  # the terminal that it wrote to is closed
    process.send_signal(getattr(signal, name))
    assert process.wait() == status
    assert load_checkpoint(tmp_path / "last.pt")["progress"]["step"] >= 3


@posix
def test_a_training_whose_reader_has_seen_enough_goes_on_to_its_end(course, tmp_path):
    line = f"python train.py --data ../short.txt {SMALL} {FIXED} --max-steps 300 --out-dir {tmp_path}"
    streams = dict(stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # as before `2>&1 | head -3`
    process = subprocess.Popen([sys.executable, *split(line)[1:]], cwd=course / STAGE_1, **streams)
    for _ in range(3):
        process.stdout.readline()
    process.stdout.close()
    assert process.wait() == 0
    assert load_checkpoint(tmp_path / "last.pt")["progress"]["step"] == 300
    assert (tmp_path / "summary.json").is_file()


@posix
def test_a_second_training_in_one_folder_is_refused_and_the_first_ends_as_if_alone(course, tmp_path, answered):
    line = f"python train.py --data ../short.txt {SMALL} {FIXED} --max-steps 1000000 --out-dir {tmp_path}"
    first = begin_training(course / STAGE_1, line)
    second = answered(STAGE_1, line.replace("../short.txt", str(course / "short.txt")))
    resumed = answered(STAGE_1, f"python train.py --resume --out-dir {tmp_path}")
    first.send_signal(signal.SIGTERM)
    first.communicate()
    for shown in (second, resumed):
        assert shown.code == 2 and shown.err.count("\n") == 1 and "a training is running in" in shown.err
    assert first.returncode == 143 and not (tmp_path / "previous").exists()
    assert timeless_metrics(tmp_path) and load_checkpoint(tmp_path / "best.pt")


def test_a_run_stopped_by_ctrl_c_is_resumed_by_the_command_it_names_to_the_same_end(course, tmp_path):
    line = f"python train.py --data ../short.txt {SMALL} {FIXED} --max-steps 9 --out-dir"
    stopped = typed(course / STAGE_1, f"{line} {tmp_path / 'stopped'}".replace("train.py", "stopped.py"), code=130)
    saved = load_checkpoint(tmp_path / "stopped" / "last.pt")
    assert saved["progress"]["step"] == 5 and stopped.out == ""

    resumed = typed(course / STAGE_1, stopped.err.splitlines()[-1].partition(" with: ")[2])
    whole = typed(course / STAGE_1, f"{line} {tmp_path / 'whole'}")
    assert resumed.out.splitlines()[0] == whole.out.splitlines()[0]
    assert timeless_metrics(tmp_path / "stopped") == timeless_metrics(tmp_path / "whole")
    summary = json.loads((tmp_path / "stopped" / "summary.json").read_text(encoding="utf-8"))
    assert summary["command"] == f"{line} {tmp_path / 'stopped'}"  # the first one, and not how it was gone on with
    assert summary["command_seconds"] > max(saved["progress"]["seconds"], summary["training_seconds"])


def test_a_second_ctrl_c_before_the_first_save_promises_nothing(tmp_path, monkeypatch, capsys):
    def interrupted(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr(experiment, "train", interrupted)
    settings = load_stage(STAGE_1).settings("word") | {"optimizer": "adamw"}
    run = experiment.Run(STAGE_1, settings, tmp_path / "run")
    with pytest.raises(SystemExit, match="130"):
        run.train(torch.nn.Linear(2, 2), task=None, identity={})
    assert capsys.readouterr().err == "stopped, before there was anything to save\n"


# Flags, and what cannot be done


@pytest.mark.parametrize(
    "flags, reason",
    [
        ("--data {tmp}/none.txt", "none.txt"),
        ("--data {tmp}/empty", "no text in the folder"),
        ("--data {tmp}/tiny.txt", "needs at least"),
        ("--data {tmp}/latin.txt", "UTF-8"),
        ("--data {short} --batch-size 5000", "--batch-size"),
        ("--data {short} --tokenizer char --vocab-size 5", "different characters"),
        ("--data {short} --max-steps 0", "at least 1"),
        ("--data {short} --learning-rate nan", "more than 0"),
        ("--data {short} --seed 99999999999999999999", "at most"),
        ("--resume --out-dir {tmp}/nothing", "python train.py"),
        ("--max-step 5", "--max-step"),
    ],
)
def test_training_flags_that_cannot_be_followed_are_refused(refused, course, tmp_path, flags, reason):
    (tmp_path / "empty").mkdir()
    (tmp_path / "tiny.txt").write_text("To be, or not to be.\n" * 10, encoding="utf-8")
    (tmp_path / "latin.txt").write_bytes("Il était une fois\n".encode("latin-1") * 300)
    out_dir = "" if "--out-dir" in flags else f" --out-dir {tmp_path}/run"
    line = "python train.py " + flags.format(tmp=tmp_path, short=course / "short.txt") + out_dir
    assert reason in refused(STAGE_1, line)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("stage", sorted(ATTENTIVE))
def test_heads_that_do_not_divide_the_hidden_size_are_refused(refused, course, tmp_path, stage):
    line = f"python train.py --data {course}/short.txt {SMALL} --num-heads 3 --out-dir {tmp_path}"
    message = refused(stage, line)
    assert "hidden_size 16" in message or "query_size 16" in message
    assert "--num-heads" in message


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_learning_rate_that_blows_the_model_up_ends_in_one_line(answered, course, tmp_path, optimizer):
    flags = f"{SMALL} --eval-interval 1 --learning-rate 1e9 --precision float32 --optimizer {optimizer}"
    shown = answered(STAGE_1, f"python train.py --data {course}/short.txt {flags} --out-dir {tmp_path}")
    assert shown.code == 2 and "lower --learning-rate" in shown.err.splitlines()[-1]


def test_what_is_kept_and_reported_is_the_best_model_and_not_the_last(answered, course, tmp_path):
    flags = f"{SMALL} {FIXED} --eval-interval 1 --learning-rate 9"
    line = f"python train.py --data {course}/short.txt {flags} --out-dir {tmp_path}"
    assert answered(STAGE_1, line).code == 0
    validation = load_corpus(str(course / "short.txt")).validation
    best, last = (load_checkpoint(tmp_path / name) for name in ("best.pt", "last.pt"))
    assert last["progress"]["best_step"] < 6  # so rough a rate that training made it worse
    (nats, count), (nats_of_last, _) = whole_text_loss(best, validation), whole_text_loss(last, validation)
    reported = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))["validation"]["nats_per_token"]
    assert reported == pytest.approx(nats / count, abs=0.002) and nats < nats_of_last


def unwritable(tmp_path, how) -> Path:
    if how == "below a file":
        (tmp_path / "file").write_text("not a folder", encoding="utf-8")
        return tmp_path / "file" / "run"
    if how == "a file":
        (tmp_path / "file").write_text("not a folder", encoding="utf-8")
        return tmp_path / "file"
    if how == "in the way":
        (tmp_path / "run" / "metrics.jsonl").mkdir(parents=True)
        return tmp_path / "run"
    (tmp_path / "run").mkdir(mode=0o500)
    if os.access(tmp_path / "run", os.W_OK):
        pytest.skip("this user may write everywhere")
    return tmp_path / "run"


@pytest.mark.parametrize("how", ["below a file", "a file", "in the way", "read-only"])
def test_a_folder_that_cannot_be_written_to_is_refused_before_training(answered, course, tmp_path, how):
    line = f"python train.py --data {course}/short.txt {SMALL} --out-dir {unwritable(tmp_path, how)}"
    shown = answered(STAGE_1, line)
    assert shown.code == 2 and "step 3" not in shown.err
    assert "another --out-dir" in shown.err.splitlines()[-1]


@pytest.mark.parametrize("stage", STAGES)
def test_a_run_in_bfloat16_goes_on_in_it(answered, course, tmp_path, stage):
    """What it carries is of that type as well."""
    line = f"python train.py --data {course}/short.txt {SMALL} --out-dir {tmp_path}/run --precision bfloat16"
    shown = answered(stage, line)
    if shown.code:
        assert "bfloat16 does not work here" in shown.err
        pytest.skip("an LSTM in bfloat16 is not for every processor")
    shown = answered(stage, line.replace(" --precision bfloat16", "") + " --max-steps 9 --resume")
    assert shown.code == 0 and "in bfloat16" in shown.err


@pytest.mark.parametrize("stage", [STAGE_1, STAGE_4])  # an LSTM in bfloat16 is not for every processor
def test_a_run_goes_on_in_another_precision_where_its_own_does_not_work(answered, course, tmp_path, stage):
    """Its machine had bfloat16, say, and this one refuses it. What it carries is of the old precision."""
    line = f"python train.py --data {course}/short.txt {SMALL} --out-dir {tmp_path}/run --precision bfloat16"
    assert answered(stage, line).code == 0
    summary = tmp_path / "run" / "summary.json"
    assert json.loads(summary.read_text(encoding="utf-8"))["settings"]["precision"] == "bfloat16"
    resumed = line.replace("bfloat16", "float32") + " --max-steps 9 --resume"
    assert answered(stage, resumed).code == 0
    assert json.loads(summary.read_text(encoding="utf-8"))["settings"]["precision"] == "float32"


def test_a_character_that_only_the_test_text_has_is_told_and_has_a_place(answered, course, tmp_path):
    text = (course / "short.txt").read_text(encoding="utf-8")
    (tmp_path / "own.txt").write_text(text + "\N{SNOWMAN}\n", encoding="utf-8", newline="\n")
    line = f"python train.py {SMALL} --tokenizer char --data {tmp_path}/own.txt --out-dir {tmp_path}/run"
    shown = answered(STAGE_1, line)
    assert shown.code == 0 and "held-out text alone has 1 character (\N{SNOWMAN})" in shown.err
    assert "\N{SNOWMAN}" in load_checkpoint(tmp_path / "run" / "last.pt")["tokenizer"]["characters"]


def test_a_preset_says_nothing_on_steps_where_epochs_do(answered, course, tmp_path):
    line = f"python train.py --quick --epochs 0.01 --hidden-size 8 --data {course}/short.txt --out-dir {tmp_path}"
    assert answered(STAGE_1, line).code == 0
    assert load_checkpoint(tmp_path / "last.pt")["settings"]["max_steps"] == 1
    assert answered(STAGE_1, f"{line} --resume").code == 0


def test_a_quick_run_is_resumed_by_the_command_it_was_started_with(answered, course, tmp_path):
    line = f"python train.py --quick --max-steps 2 {SIZES} --data {course}/short.txt --out-dir {tmp_path}"
    assert answered(STAGE_1, line).code == 0
    assert answered(STAGE_1, line + " --resume").code == 0


def test_quick_and_thorough_are_not_asked_for_at_once(refused):
    assert "not allowed with" in refused(STAGE_1, "python train.py --quick --thorough")


@pytest.mark.parametrize(
    "line",
    ["python train.py --max-steps 5 --epochs 1", 'python generate.py --prompt "To be" --interactive --visualize'],
)
def test_two_flags_that_exclude_each_other_are_refused(refused, line):
    complaint = refused(STAGE_1, line)
    assert "give one of them" in complaint or "not allowed with" in complaint


def test_generating_before_training_names_what_to_run_first(tmp_path):
    for name in (STAGE_1, "shared"):
        copy_folder(name, tmp_path)
    shown = typed(tmp_path / STAGE_1, "python generate.py", code=2)
    assert shown.out == "" and shown.err.count("\n") == 1
    assert "python train.py" in shown.err


def test_help_is_there_for_both_programs(course):
    for program in ("train.py", "generate.py"):
        shown = typed(course / STAGE_3, f"python {program} --help")
        assert shown.out.startswith(f"usage: {program}") and shown.err == ""


# A finished run of each stage


@pytest.mark.parametrize("stage", STAGES)
def test_training_first_says_what_it_is_going_to_do(trained, course, stage):
    run, corpus = trained(stage), load_corpus(str(course / "short.txt"))
    model, tokenizer = restored(run.best)
    before = run.err[: run.err.index("step 3: validation")]
    train_ids, validation_ids = tokenizer.encode(corpus.train), tokenizer.encode(corpus.validation)
    assert f"{stage} on cpu in {run.best['settings']['precision']}" in before
    assert f"short.txt: {len(train_ids):,} training tokens, {len(validation_ids):,} validation tokens" in before
    assert f"{tokenizer.vocab_size:,} tokens (word)" in before
    shares = (train_ids.count(0) / len(train_ids), validation_ids.count(0) / len(validation_ids))
    assert "<unk> is {:.1%} of training, {:.1%} of validation".format(*shares) in before
    assert f"parameters  {sum(parameter.numel() for parameter in model.parameters()):,}," in before
    assert re.search(r"6 steps of 4 x 128 tokens.*about \d+\.\d minutes", before)


@pytest.mark.parametrize("stage", STAGES)
def test_training_leaves_both_checkpoints_the_curve_and_the_numbers(trained, stage):
    out_dir = trained(stage).folder / "checkpoints"
    assert {path.name for path in out_dir.iterdir()} == {*RUN_FILES, "moments.jsonl"}
    assert (out_dir / "learning_curve.png").read_bytes().startswith(PNG)
    records = [json.loads(line) for line in (out_dir / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [record["step"] for record in records if "validation_loss" in record] == [3, 6]
    assert load_checkpoint(out_dir / "last.pt")["progress"]["step"] == 6


@pytest.mark.parametrize("stage", STAGES)
def test_the_reported_perplexity_is_that_of_the_saved_model_on_the_whole_validation_text(trained, course, stage):
    run = trained(stage)
    nats, count = whole_text_loss(run.best, load_corpus(str(course / "short.txt")).validation)
    summary = json.loads((run.folder / "checkpoints" / "summary.json").read_text(encoding="utf-8"))["validation"]
    assert summary["tokens"] == count
    assert summary["nats_per_token"] == pytest.approx(nats / count, abs=0.002)
    assert summary["perplexity"] == pytest.approx(math.exp(summary["nats_per_token"]))
    first = run.out.splitlines()[0]
    assert f"perplexity {summary['perplexity']:.2f}, {summary['nats_per_token']:.4f} nats per token" in first


def test_a_second_run_moves_the_first_to_previous(course, trained, tmp_path):
    shutil.copytree(trained(STAGE_1).folder / "checkpoints", tmp_path / "run")
    kinds = {*RUN_FILES, "moments.jsonl"}
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir() if path.name in kinds}
    line = f"python train.py --data ../short.txt {SMALL} --seed 2 --out-dir {tmp_path / 'run'}"
    run = typed(course / STAGE_1, line)
    kept = tmp_path / "run" / "previous" / "1"
    assert str(kept) in run.err
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == before
    assert (tmp_path / "run" / "best.pt").read_bytes() != before["best.pt"]
    assert load_checkpoint(tmp_path / "run" / "best.pt")["settings"]["seed"] == 2


@pytest.mark.parametrize(
    "flags, reason",
    [
        ("--hidden-size 32", "--hidden-size 16, not 32"),
        ("--seed 7", "--seed 1, not 7"),
        ("--quick", "leave --quick away"),
        ("--thorough", "leave --thorough away"),
        ("--data {other}", "is not the text that the saved run read"),
    ],
)
def test_a_flag_that_contradicts_the_saved_run_is_refused(refused, course, trained, tmp_path, flags, reason):
    other = tmp_path / "other.txt"
    other.write_text((course / "short.txt").read_text(encoding="utf-8") + "Exeunt.\n", encoding="utf-8")
    out_dir = trained(STAGE_1).folder / "checkpoints"
    data = "" if "--data" in flags else f"--data {course}/short.txt "
    assert reason in refused(STAGE_1, f"python train.py --resume --out-dir {out_dir} {data}{flags.format(other=other)}")


def test_a_resumed_run_takes_the_same_flags_again_and_its_text_from_another_place(answered, course, trained, tmp_path):
    shutil.copytree(trained(STAGE_1).folder / "checkpoints", tmp_path / "run")
    shutil.copy(course / "short.txt", tmp_path / "moved.txt")
    flags = f"{SMALL} --precision auto --data {tmp_path}/moved.txt --out-dir {tmp_path}/run"
    shown = answered(STAGE_1, f"python train.py --resume {flags}")
    assert shown.code == 0
    assert shown.out.splitlines()[0] == trained(STAGE_1).out.splitlines()[0]


@pytest.mark.parametrize("place", ["", "/best.pt"])
def test_a_trained_model_learns_another_text_with_its_own_tokenizer(answered, course, trained, tmp_path, place):
    text = (ROOT / "data" / "shakespeare.txt").read_text(encoding="utf-8")[-15_000:]
    (tmp_path / "other.txt").write_text(text, encoding="utf-8", newline="\n")
    start = f"--start-from {trained(STAGE_1).folder / 'checkpoints'}{place}"
    flags = f"--data {tmp_path}/other.txt --max-steps 4 --batch-size 4 --device cpu --out-dir {tmp_path}/run"
    shown = answered(STAGE_1, f"python train.py {flags} {start}")
    assert shown.code == 0 and "<unk> is" in shown.err
    began, ended = trained(STAGE_1).best, load_checkpoint(tmp_path / "run" / "best.pt")
    assert ended["tokenizer"] == began["tokenizer"] and ended["model_settings"] == began["model_settings"]
    assert ended["corpus"]["sha256"] != began["corpus"]["sha256"]
    validation = load_corpus(str(tmp_path / "other.txt")).validation
    assert whole_text_loss(ended, validation)[0] < whole_text_loss(began, validation)[0]
    assert answered(STAGE_1, f"python train.py {flags} {start} --resume --max-steps 5").code == 0


@pytest.mark.parametrize("flag", ["--hidden-size 32", "--num-layers 1", "--tokenizer char", "--vocab-size 9"])
def test_a_flag_that_contradicts_the_model_to_start_from_is_refused(refused, course, trained, tmp_path, flag):
    start = f"--start-from {trained(STAGE_1).folder / 'checkpoints'}"
    message = refused(STAGE_1, f"python train.py --data {course}/short.txt {start} {flag} --out-dir {tmp_path}/run")
    assert flag.split()[0] in message and "--start-from" in message and not (tmp_path / "run").exists()


def test_a_checkpoint_of_another_stage_is_refused_by_both_programs(refused, trained):
    out_dir = trained(STAGE_2).folder / "checkpoints"
    for line in (f"python generate.py --checkpoint {out_dir}/best.pt", f"python train.py --resume --out-dir {out_dir}"):
        message = refused(STAGE_1, line)
        assert STAGE_1 in message and STAGE_2 in message


@pytest.mark.parametrize("columns", [80, 60])
def test_the_bar_is_a_bar_in_a_narrow_terminal(course, tmp_path, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    line = f"python train.py --data ../short.txt {SMALL} --max-steps 20 --out-dir {tmp_path}"
    shown = [part for part in re.split(r"[\r\n]", typed(course / STAGE_1, line).err) if re.match(r" *\d+%\|", part)]
    assert all(len(part.rstrip()) <= columns for part in shown)
    assert len(shown[-1].split("|")[1]) >= 10 and "perplexity" in shown[-1]


# Generating


@pytest.mark.parametrize("stage", STAGES)
def test_the_next_command_that_training_names_writes_text_and_draws_the_maps(trained, first_text, course, stage):
    run, shown = trained(stage), first_text(stage)
    assert PROMPT in load_corpus(str(course / "short.txt")).validation and "<unk>" not in shown.err
    assert split(next_command(run.out)) == ["python", "generate.py", "--prompt", PROMPT, "--visualize"]
    assert shown.out.startswith(PROMPT) and len(shown.out) > 2 * len(PROMPT)
    drawn = {path.name: path for path in run.folder.glob("*.png")}
    assert set(drawn) == {"influence.png"} | ({"attention.png"} if stage in ATTENTIVE else set())
    for path in drawn.values():
        assert path.read_bytes().startswith(PNG)
        assert str(path) in shown.err


@pytest.mark.parametrize("stage", STAGES)
def test_the_streamed_text_is_the_whole_text(trained, first_text, stage):
    assert first_text(stage).out == whole_text(trained(stage).best, PROMPT) + "\n"


def test_writing_imports_neither_matplotlib_nor_pytorchs_compiler(trained, tmp_path):
    for name in ("matplotlib", "sympy"):  # the compiler imports the latter
        (tmp_path / f"{name}.py").write_text(f"raise AssertionError('imported {name}')\n", encoding="utf-8")
    shown = started(trained(STAGE_4).folder, "python generate.py --max-new-tokens 3", PYTHONPATH=str(tmp_path))
    assert shown.out and shown.err == ""


def test_the_same_seed_gives_the_same_text_and_another_seed_another(trained, first_text):
    folder = trained(STAGE_4).folder
    line = f'python generate.py --prompt "{PROMPT}"'
    assert typed(folder, f"{line} --seed 1").out == first_text(STAGE_4).out
    assert typed(folder, f"{line} --seed 2").out != first_text(STAGE_4).out


def test_temperature_0_takes_the_likeliest_whatever_the_seed(trained):
    run = trained(STAGE_3)
    line = f'python generate.py --prompt "{PROMPT}" --temperature 0 --max-new-tokens 12'
    first, second = typed(run.folder, f"{line} --seed 1").out, typed(run.folder, f"{line} --seed 2").out
    model, tokenizer = restored(run.best)
    ids = tokenizer.encode(PROMPT)
    for _ in range(12):
        with torch.no_grad():
            logits = model(torch.tensor([ids]))[0][0, -1]
        logits[tokenizer.unk_id] = -math.inf
        ids.append(logits.argmax().item())
    assert first == second == tokenizer.decode(ids) + "\n"


def test_unknown_words_are_named_with_the_nearest_known_ones(trained):
    run = trained(STAGE_1)
    known = max(run.best["tokenizer"]["words"], key=len)
    shown = typed(run.folder, f'python generate.py --prompt "O {known}x, zzyzx" --max-new-tokens 3')
    told = [line for line in shown.err.splitlines() if "<unk>" in line]
    assert len(told) == 2
    assert repr(known + "x") in told[0] and known in told[0].replace(known + "x", "")
    assert "'zzyzx'" in told[1]


def test_an_empty_prompt_starts_on_a_new_line(trained):
    run = trained(STAGE_1)
    shown = typed(run.folder, "python generate.py --max-new-tokens 20")
    assert shown.out == whole_text(run.best, "\n", count=20) + "\n"


def test_several_samples_are_several_texts_from_one_prompt(trained):
    shown = typed(trained(STAGE_4).folder, f'python generate.py --prompt "{PROMPT}" --num-samples 3').out
    texts = re.split(r"^--- sample \d\n", shown, flags=re.MULTILINE)
    assert texts[0] == "" and len(texts) == 4
    assert all(text.startswith(PROMPT) for text in texts[1:])
    assert len(set(texts[1:])) == 3


def test_a_conversation_answers_every_line_until_the_input_ends(trained):
    line = "python generate.py --interactive --max-new-tokens 5"
    shown = typed(trained(STAGE_2).folder, line, stdin="I am\n\nMADAM is zzyzx\n")
    assert len(re.findall(r"^> ", shown.out, flags=re.MULTILINE)) == 4  # three prompts and the end
    assert "I am" in shown.out and "zzyzx" in shown.err


def test_a_reader_that_has_seen_enough_ends_the_writing_without_complaint(trained):
    process = subprocess.Popen(
        [sys.executable, "generate.py", "--max-new-tokens", "100000"],
        cwd=trained(STAGE_1).folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    process.stdout.read(20)
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait() == 1
    process.stderr.close()


@pytest.mark.parametrize(
    "flags, reason",
    [
        ("--checkpoint {tmp}/none.pt", "python train.py"),
        ("--checkpoint {tmp}/text.pt", "damaged or not a checkpoint"),
        ("--temperature -1", "at least 0"),
        ("--top-p 0", "more than 0"),
        ("--top-k 0", "at least 1"),
        ("--num-samples 0", "at least 1"),
        ("--max-new-tokens 1.5", "not a whole number"),
        ("--seed 99999999999999999999", "at most"),
        ("--visualize {tmp}/text.pt/maps", "--visualize"),
    ],
)
def test_generation_flags_that_cannot_be_followed_are_refused_before_any_text(
    refused, trained, tmp_path, flags, reason
):
    (tmp_path / "text.pt").write_text("To be", encoding="utf-8")
    checkpoint = "" if "--checkpoint" in flags else f"--checkpoint {trained(STAGE_1).folder}/checkpoints/best.pt "
    assert reason in refused(STAGE_1, f"python generate.py {checkpoint}{flags.format(tmp=tmp_path)}")


@pytest.mark.parametrize("place", ["", "/checkpoints"])
def test_a_checkpoint_is_found_in_the_folder_of_its_run(answered, trained, place):
    folder = trained(STAGE_1).folder
    line = f'python generate.py --prompt "{PROMPT}" --max-new-tokens 5 --checkpoint {folder}'
    assert answered(STAGE_1, line + place).out == answered(STAGE_1, f"{line}/checkpoints/best.pt").out != ""


def test_a_folder_without_a_checkpoint_is_told(refused, tmp_path):
    assert "no checkpoint" in refused(STAGE_1, f"python generate.py --checkpoint {tmp_path}")


def test_a_text_that_was_piped_in_is_piped_in_again_to_resume(course, tmp_path):
    text = (course / "short.txt").read_text(encoding="utf-8")
    line = f"python train.py --data - {SMALL} --out-dir {tmp_path}"
    shown = typed(course / STAGE_1, line, stdin=text)
    assert "standard input" in shown.err
    assert "pipe that in again" in typed(course / STAGE_1, line + " --resume", stdin=text[::-1], code=2).err
    for resume in (line + " --resume", f"python train.py --resume --out-dir {tmp_path}"):
        shown = typed(course / STAGE_1, resume, code=2)
        assert "from standard input; pipe the same text in again" in shown.err and shown.err.count("\n") == 1
    typed(course / STAGE_1, line + " --resume", stdin=text)


def test_several_files_are_named_and_known_again(course, tmp_path):
    text = (course / "short.txt").read_text(encoding="utf-8")
    for name, part in (("a.txt", text[:10_000]), ("b.txt", text[10_000:])):
        (tmp_path / name).write_text(part, encoding="utf-8", newline="\n")
    line = f"python train.py {SMALL} --out-dir {tmp_path}/run --data"
    assert "a.txt and 1 more (2 files)" in typed(course / STAGE_1, f"{line} {tmp_path}/a.txt {tmp_path}/b.txt").err
    assert "another" not in typed(course / STAGE_1, f"python train.py --out-dir {tmp_path}/run --resume").err
    assert "not the text" in typed(course / STAGE_1, f"{line} {tmp_path}/b.txt {tmp_path}/a.txt --resume", code=2).err


def test_maps_of_a_long_prompt_read_its_end_only(monkeypatch, trained, tmp_path):
    """A map of all of it would need memory with the square of its length."""
    model, tokenizer, _ = restore_language_model(trained(STAGE_4).folder / "checkpoints" / "best.pt")
    drawn = {}

    def note(weights, glyphs, prompt_length, *_):
        drawn.setdefault("shapes", []).append(weights.shape[-2:])
        drawn["boundary"] = prompt_length
        return Figure()

    monkeypatch.setattr(maps, "attention_figure", lambda weights, seen, *rest: note(weights, *rest))
    monkeypatch.setattr(maps, "influence_figure", note)
    generation.draw_maps(model, tokenizer, [3] * 5000, [4] * 30, tmp_path, "title")
    assert drawn["shapes"] == [(1000, 1000)] * 2 and drawn["boundary"] == 1000 - 20


def test_the_attention_map_is_of_the_head_asked_for_and_says_what_choosing_is_worth(monkeypatch, answered, trained):
    best = trained(STAGE_4).folder / "checkpoints" / "best.pt"
    drawn, draw = [], maps.attention_figure

    def note(*given):
        drawn.append(draw(*given))
        return drawn[-1]

    monkeypatch.setattr(maps, "attention_figure", note)
    line = (
        f'python generate.py --checkpoint {best} --prompt "{PROMPT}" --max-new-tokens 4 --visualize {best.parent}/maps'
    )
    assert answered(STAGE_4, f"{line} --head 1.2").code == 0
    (figure,) = drawn
    assert any(axes.get_title().startswith("layer 1, head 2") for axes in figure.axes)
    assert "choosing is worth" in figure.get_supxlabel() and "a word" in figure.get_supxlabel().replace("\n", " ")
    assert figure.get_suptitle() == "Mini Transformer: where it looks"


@pytest.mark.parametrize(
    "stage, flags, told",
    [
        (STAGE_4, "--visualize {tmp} --head 9.1", "no head 9.1"),
        (STAGE_4, "--visualize {tmp} --head 1.9", "no head 1.9"),
        (STAGE_1, "--visualize {tmp} --head 1.1", "no attention"),
        (STAGE_4, "--head 1.1", "--visualize"),
        (STAGE_4, "--visualize {tmp} --head 0.1", "counted from 1"),
        (STAGE_4, "--visualize {tmp} --head 2", "layer"),
    ],
)
def test_a_head_that_cannot_be_drawn_is_one_line_before_anything_is_written(
    refused, trained, tmp_path, stage, flags, told
):
    best = trained(stage).folder / "checkpoints" / "best.pt"
    line = f'python generate.py --checkpoint {best} --prompt "{PROMPT}" {flags.format(tmp=tmp_path)}'
    assert told in refused(stage, line)


def test_the_folder_for_the_maps_is_made_where_it_is_missing(answered, trained, tmp_path):
    best = trained(STAGE_4).folder / "checkpoints" / "best.pt"
    folder = tmp_path / "new" / "maps"
    line = f'python generate.py --checkpoint {best} --prompt "{PROMPT}" --max-new-tokens 4 --visualize {folder}'
    assert answered(STAGE_4, line).code == 0
    assert {path.name for path in folder.iterdir()} == {"attention.png", "influence.png"}
