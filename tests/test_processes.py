"""Several processes learn what one learns: torchrun --nproc-per-node=2 train.py"""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from shared.errors import UserError
from shared.run import processes
from shared.run.checkpoint import load_checkpoint
from shared.run.interrupts import ProcessEnded, StopSignal
from shared.text.batches import Batch
from shared.text.corpus import load_corpus

ROOT = Path(__file__).resolve().parents[1]
STEPS = 20
LIMIT = 900  # seconds, against hanging
SMALL = "--dropout 0 --batch-size 7 --max-steps 20 --eval-interval 10"  # 7 are no multiple of 2 or 3
LANGUAGE = "--tokenizer char --context-length 24 --hidden-size 32 --precision float32 --no-moments"
PROGRAMS = {
    "stage 1": f"model-01-rnn/train.py --data short.txt {LANGUAGE} {SMALL}",
    "stage 2": f"model-02-lstm/train.py --data short.txt {LANGUAGE} {SMALL}",
    "stage 3": f"model-03-lstm-attention/train.py --data short.txt {LANGUAGE} {SMALL}",
    "stage 4": f"model-04-mini-transformer/train.py --data short.txt {LANGUAGE} {SMALL}",
    "seq2seq": f"model-03-lstm-attention/lab-seq2seq/train.py --task copy --hidden-size 16 {SMALL}",
    "forecast": f"model-03-lstm-attention/lab-forecast/train.py --precision float32 {SMALL}",
    "classify": f"model-04-mini-transformer/lab-classify/train.py --fold 1 {SMALL}",
}
RARER_WORDS = PROGRAMS["stage 1"].replace("short.txt --tokenizer char", "shakespeare --tokenizer word")

pytestmark = pytest.mark.skipif(not torch.distributed.is_available(), reason="this PyTorch is not built for several")


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "short.txt"
    path.write_text(load_corpus().train[:40_000], encoding="utf-8")
    return path


def environment(**variables):
    usual = {name: value for name, value in os.environ.items() if name != "MASTER_PORT"}
    return usual | {"OMP_NUM_THREADS": "1", "USE_LIBUV": "0"} | variables


def train_by_several(folder, trainings):
    """trainings: (number of processes, command, event), as several.py takes them."""
    words = [sys.executable, str(ROOT / "tests" / "several.py"), str(folder), json.dumps(trainings)]
    started = []
    for rank in range(max(count for count, *_ in trainings)):
        variables = environment(RANK=str(rank), LOCAL_WORLD_SIZE="2", TORCHELASTIC_RUN_ID="test")
        started.append(subprocess.Popen(words, env=variables, stderr=subprocess.PIPE, text=True, encoding="utf-8"))
    try:
        told = [started[0].communicate(timeout=LIMIT)[1]]
        assert started[0].returncode == 0, told[0]
        told += [process.communicate(timeout=LIMIT)[1] for process in started[1:]]
    finally:
        for process in started:
            process.kill()
    assert [process.returncode for process in started] == [0] * len(started), told
    assert not any(told[1:]), "process 0 speaks for all"
    return told[0]


def torchrun(words, **settings):
    """Start `words` by two processes."""
    return subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", *map(str, words)],
        env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8", **settings,
    )  # fmt: skip


def own_lines(stderr):
    """What the course's programs said, of all that torchrun says besides."""
    return [line for line in stderr.splitlines() if line.startswith(("error: ", "stopped", "train.py: "))]


def command(program, text, folder, *more):
    return " ".join(
        [program.replace("short.txt", shlex.quote(text.as_posix())), "--out-dir", shlex.quote(folder.as_posix()), *more]
    )


def records(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def assert_same(folder, whole, tolerance):
    """Each step has the loss that it has where one process trains throughout, and so have the evaluations."""
    ours, theirs = records(folder), records(whole)
    assert [record["step"] for record in ours] == list(range(1, STEPS + 1)), "one writer, one line a step"
    for name in ("train_loss", "validation_loss"):
        found, expected = ([record[name] for record in lines if name in record] for lines in (ours, theirs))
        assert len(expected) == (2 if name == "validation_loss" else STEPS)
        assert found == pytest.approx(expected, rel=0, abs=tolerance), name
    assert ours[-1]["tokens"] == theirs[-1]["tokens"]


# What they learn


def test_two_processes_learn_what_one_learns_and_one_goes_on_where_they_stopped(text, tmp_path):
    stage, lab = (PROGRAMS[name] + " --optimizer adamw" for name in ("stage 2", "forecast"))
    told = train_by_several(
        tmp_path,
        [
            (1, command(stage, text, tmp_path / "stage alone")),
            (2, command(stage, text, tmp_path / "stage"), "stop 12"),
            (1, command(stage, text, tmp_path / "stage", "--resume")),
            (1, command(lab, text, tmp_path / "lab alone")),
            (2, command(lab, text, tmp_path / "lab")),
        ],
    )
    (stopped,) = own_lines(told)
    assert "torchrun --nproc-per-node 2 train.py" in stopped
    for name in ("stage", "lab"):
        assert_same(tmp_path / name, tmp_path / f"{name} alone", 1e-5)


@pytest.mark.thorough
@pytest.mark.parametrize("optimizer, most, tolerance", [("adamw", 3, 1e-5), ("muon", 2, 1e-3)])
def test_several_processes_learn_what_one_learns_in_all_stages_and_labs(text, tmp_path, optimizer, most, tolerance):
    cases = [(name, count) for name in PROGRAMS for count in range(1, most + 1)]
    cases += [("rarer words", 1), ("rarer words", 2)] if optimizer == "adamw" else []
    programs = PROGRAMS | {"rarer words": RARER_WORDS}
    train_by_several(
        tmp_path,
        [
            (count, command(f"{programs[name]} --optimizer {optimizer}", text, tmp_path / f"{name} by {count}"))
            for name, count in cases
        ],
    )
    for name, count in cases:
        assert_same(tmp_path / f"{name} by {count}", tmp_path / f"{name} by 1", tolerance)


@pytest.mark.thorough
def test_a_run_goes_on_by_any_number_of_processes(text, tmp_path):
    trainings = []
    for name in ("stage 3", "stage 4"):
        trainings.append((1, command(PROGRAMS[name], text, tmp_path / f"{name} alone")))
        for first, then in ((1, 2), (3, 2)):
            folder = tmp_path / f"{name} {first} {then}"
            trainings.append((first, command(PROGRAMS[name], text, folder), "stop 12"))
            trainings.append((then, command(PROGRAMS[name], text, folder, "--resume")))
    train_by_several(tmp_path, trainings)
    for name in ("stage 3", "stage 4"):
        for way in ("1 2", "3 2"):
            assert_same(tmp_path / f"{name} {way}", tmp_path / f"{name} alone", 1e-3)


@pytest.mark.thorough
def test_with_dropout_a_run_of_two_that_was_stopped_goes_on_exactly(text, tmp_path):
    program = PROGRAMS["stage 1"].replace("--dropout 0 ", "--dropout 0.3 ")
    train_by_several(
        tmp_path,
        [
            (2, command(program, text, tmp_path / "whole")),
            (2, command(program, text, tmp_path / "parts"), "stop 12"),
            (2, command(program, text, tmp_path / "parts", "--resume")),
        ],
    )
    assert_same(tmp_path / "parts", tmp_path / "whole", 0.0)


# How they end


def test_where_one_process_is_killed_the_writer_says_how_to_go_on(text, tmp_path):
    training = command(PROGRAMS["stage 1"], text, tmp_path / "run")
    script = [ROOT / "tests" / "several.py", tmp_path, json.dumps([(2, training, "kill 3")])]
    started = torchrun(script)
    _, told = started.communicate(timeout=LIMIT)
    assert started.returncode
    (line,) = own_lines(told)
    assert line.startswith(f"error: another process of this run has ended; go on from {tmp_path / 'run' / 'last.pt'}")
    assert "torchrun --nproc-per-node 2 train.py" in line and line.endswith("--resume")
    assert load_checkpoint(tmp_path / "run" / "last.pt")["progress"]["step"] == 0
    assert not (tmp_path / "run" / ".training").exists(), "the folder is free again"


@pytest.mark.thorough
@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_two_processes_that_are_asked_to_stop_save_and_say_how_to_go_on(text, tmp_path, number):
    program, *flags = shlex.split(command(PROGRAMS["stage 1"], text, tmp_path / "run", "--max-steps", "100000"))
    started = torchrun([program, *flags], cwd=ROOT)
    began = time.monotonic()
    while not (tmp_path / "run" / "metrics.jsonl").exists() or not records(tmp_path / "run"):
        assert started.poll() is None and time.monotonic() - began < LIMIT
        time.sleep(0.05)
    started.send_signal(number)
    (line,) = own_lines(started.communicate(timeout=LIMIT)[1])
    assert line.startswith("stopped; go on from") and line.endswith("--resume")
    assert load_checkpoint(tmp_path / "run" / "last.pt")["progress"]["step"] > 0


@pytest.mark.thorough
@pytest.mark.parametrize(
    "flags, told",
    [
        ("--max-stepz 3", "train.py: unrecognized arguments"),
        ("--batch-size 1", "error: a batch of 1 cannot be shared by 2 processes"),
        ("--resume", "error: there is no checkpoint"),  # which the writer alone looks for
    ],
)
def test_a_mistake_is_told_once(tmp_path, flags, told):
    started = torchrun(["train.py", "--out-dir", tmp_path / "run", *flags.split()], cwd=ROOT / "model-01-rnn")
    out, error = started.communicate(timeout=LIMIT)
    (line,) = own_lines(error)
    assert line.startswith(told) and not out and started.returncode


@pytest.mark.thorough
def test_a_whole_training_by_torchrun_leaves_one_run(text, tmp_path):
    program, *flags = shlex.split(command(PROGRAMS["stage 1"], text, tmp_path / "run"))
    started = torchrun([program, *flags], cwd=ROOT)
    out, _ = started.communicate(timeout=LIMIT)
    assert started.returncode == 0
    assert [line.split()[0] for line in out.splitlines()].count("validation") == 1
    summary = json.loads((tmp_path / "run" / "summary.json").read_text(encoding="utf-8"))
    assert summary["machine"]["processes"] == 2
    files = {path.name for path in (tmp_path / "run").iterdir()}
    assert files == {"best.pt", "last.pt", "metrics.jsonl", "summary.json", "learning_curve.png"}


# The parts


@pytest.fixture
def as_process(monkeypatch):
    """as_process(1, 3): from here on this is process 1 of 3."""

    def be(rank, size):
        monkeypatch.setattr(processes, "size", lambda: size)
        monkeypatch.setattr(processes, "rank", lambda: rank)

    return be


@dataclass(frozen=True)
class Examples:
    inputs: torch.Tensor
    names: list
    longest: int


@pytest.mark.parametrize("lanes, size", [(6, 2), (7, 2), (7, 3), (3, 3)])
def test_shares_are_contiguous_as_even_as_can_be_and_together_the_whole(as_process, lanes, size):
    rows = torch.arange(2 * lanes).view(lanes, 2)
    whole = (Examples(rows, list(range(lanes)), 5), ((rows, None), 3), Batch(rows, rows + 1, True))
    shares = []
    for rank in range(size):
        as_process(rank, size)
        shares.append(processes.share(whole))
    sizes = [len(examples.names) for examples, *_ in shares]
    assert max(sizes) - min(sizes) <= 1
    assert sum((examples.names for examples, *_ in shares), []) == list(range(lanes))
    assert all(examples.inputs[:, 0].tolist() == [2 * name for name in examples.names] for examples, *_ in shares)
    assert all(examples.longest == 5 and batch.restart is True for examples, _, batch in shares)
    (joined, nothing), number = processes.joined([state for _, state, _ in shares])
    assert joined.equal(rows) and nothing is None and number == 3


def test_each_process_draws_other_numbers_at_each_step_and_the_writer_goes_on(as_process):
    drawn = {}
    for rank, step in [(1, 0), (1, 1), (2, 0), (1, 0)]:
        as_process(rank, 3)
        processes.draw_otherwise(seed=1, step=step)
        assert drawn.setdefault((rank, step), first := torch.rand(()).item()) == first
    assert len(set(drawn.values())) == 3
    torch.manual_seed(1)
    expected = torch.rand(2).tolist()
    torch.manual_seed(1)
    as_process(0, 3)
    processes.draw_otherwise(seed=1, step=0)
    first = torch.rand(()).item()
    processes.draw_otherwise(seed=1, step=1)
    assert [first, torch.rand(()).item()] == expected


@pytest.mark.parametrize("settings, told", [({"batch_size": 2}, "a batch of 2"), ({"data": "-"}, "standard input")])
def test_what_cannot_be_shared_is_refused(as_process, settings, told):
    settings = {"batch_size": 3, "data": "shakespeare"} | settings
    processes.check_shares(settings)
    as_process(1, 3)
    with pytest.raises(UserError, match=told):
        processes.check_shares(settings)


def test_more_processes_than_gpus_are_refused(as_process, monkeypatch):
    as_process(0, 3)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(UserError, match="3 processes need 3 GPUs, not 2; start fewer"):
        processes.use_own_gpu()


def test_a_process_that_has_lost_another_is_not_cut_off_by_the_signal_that_follows():
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(ProcessEnded), StopSignal() as stop, processes.together():
            raise RuntimeError("Connection closed by peer")
        signal.raise_signal(signal.SIGTERM)
        assert stop.requested
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, getattr(signal, "SIGHUP", signal.SIGTERM)):
            signal.signal(number, stop._before[number])
    assert signal.getsignal(signal.SIGTERM) is before
