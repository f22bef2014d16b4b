"""No run is lost: one training at a time in a folder, each earlier run kept, and a kill leaves all of them whole."""

import errno
import json
import os
import shutil
import subprocess
import sys
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from matplotlib.figure import Figure
from torch import nn

from shared import files
from shared.errors import UserError
from shared.files import whole_file
from shared.run import experiment, training
from shared.run.checkpoint import load_checkpoint, save_checkpoint
from shared.run.experiment import Run
from shared.run.folder import LOCK, RUN_FILES, earlier_runs, free_folder, lock_folder, make_room
from shared.run.records import read_records, write_text
from shared.run.training import Task
from shared.show import curves
from shared.stages import ROOT

SETTINGS = dict(
    learning_rate=0.01, warmup_steps=1, decay_share=0.5, gradient_clip=1.0, eval_interval=2, optimizer="adamw",
    weight_decay=0.0, device="cpu", seed=1,
)  # fmt: skip


@pytest.fixture(autouse=True)
def quick_writing(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda number: None)  # no test cuts the power
    monkeypatch.setattr(curves, "learning_curve_figure", lambda *given: Figure(figsize=(0.1, 0.1)))
    monkeypatch.setattr(training, "LOG_INTERVAL", 1)


def train(out_dir: Path, max_steps: int = 4, resume: bool = False, before_step=lambda number: None, **changes) -> None:
    """A whole run of a model of two weights, from taking its folder to the summary."""
    torch.manual_seed(0)
    model, done = nn.Linear(1, 1), []

    def step(number, carry):
        before_step(number)
        done.append(number)
        return (model(torch.ones(1, 1)) - number).square().sum(), 1, None

    saved = load_checkpoint(out_dir / "last.pt") if resume else None
    run = Run("a test", SETTINGS | {"max_steps": max_steps} | changes, out_dir, saved)
    # The held-out loss is lower at every evaluation, so that best.pt is written each time.
    run.train(model, Task(lambda number: number, step, lambda: 100.0 - done[-1], str), {})
    run.load_best(model)
    run.finish(model)


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in RUN_FILES if (folder / name).is_file()}


def folders(out_dir: Path) -> list[Path]:
    """Where whole runs may lie: what begins with a dot is not finished."""
    previous = out_dir / "previous"
    return [out_dir, *(path for path in previous.glob("*") if not path.name.startswith("."))]


# Killed anywhere


class Killed(BaseException):
    """The process is gone: nothing catches it, and nothing more reaches the disk."""


class Killer:
    """Counts what changes the folder (opening to write, renaming, removing, making), and ends it all at one point."""

    def __init__(self):
        self.folder, self.points, self.at = None, 0, None
        sys.addaudithook(self)  # for good: there is no way to remove one

    def __call__(self, event, given):
        if self.folder is None or event not in ("open", "os.rename", "os.remove", "os.link", "os.mkdir", "os.rmdir"):
            return
        if self.folder not in str(given[0]) or (event == "open" and given[1] in ("r", "rb")):
            return
        self.points += 1
        if self.at is not None and self.points >= self.at:
            raise Killed

    def run(self, out_dir: Path, at: int | None, work) -> bool:
        """Do some work in a folder, killed at this point; whether it came to its end."""
        self.folder, self.points, self.at = str(out_dir), 0, at
        try:
            work(out_dir)
        except Killed:
            return False
        finally:
            self.folder = None
        return True


KILLER = Killer()


def killed_at_each_point(tmp_path, prepare, work):
    """The folders that are left when a process was killed at its first point, its second, and so on."""
    for at in count(1):
        out_dir = tmp_path / str(at)
        out_dir.mkdir()
        prepare(out_dir)
        if KILLER.run(out_dir, at, work):
            assert at > 20, "too few points: nothing was watched"
            return
        yield out_dir


def test_a_finished_run_is_whole_wherever_a_second_one_is_killed_and_after_a_third(tmp_path):
    first = {}

    def prepare(out_dir):
        train(out_dir)
        first.update(contents(out_dir))

    for out_dir in killed_at_each_point(tmp_path, prepare, lambda out_dir: train(out_dir, 6)):
        assert first in map(contents, folders(out_dir)), out_dir.name
        assert all(read_records(folder / "metrics.jsonl")[-1:] for folder in earlier_runs(out_dir))
        train(out_dir, 2)
        assert first in map(contents, folders(out_dir)), out_dir.name
        assert load_checkpoint(out_dir / "last.pt")["progress"]["step"] == 2
        assert not list(out_dir.glob(".*")) and not list((out_dir / "previous").glob(".*"))


def stop_in_step_3(number):
    if number == 3:
        raise RuntimeError("the power is gone")


def timeless(out_dir: Path) -> list[dict]:
    return [record | {"seconds": 0} for record in read_records(out_dir / "metrics.jsonl")]


def test_a_resumed_run_that_is_killed_anywhere_can_be_resumed_to_the_same_end(tmp_path):
    (tmp_path / "whole").mkdir()
    train(tmp_path / "whole", 6)
    whole = timeless(tmp_path / "whole")

    def prepare(out_dir):
        with pytest.raises(RuntimeError):
            train(out_dir, 6, before_step=stop_in_step_3)

    for out_dir in killed_at_each_point(tmp_path, prepare, lambda out_dir: train(out_dir, 6, resume=True)):
        found = timeless(out_dir)
        assert found == whole[: len(found)] and len(found) >= 2, out_dir.name
        assert load_checkpoint(out_dir / "best.pt") and load_checkpoint(out_dir / "last.pt")
        train(out_dir, 6, resume=True)
        assert timeless(out_dir) == whole, out_dir.name


def test_moving_a_run_file_by_file_would_lose_it(tmp_path):
    """The broken twin: it keeps one earlier run, and renames its files one after the other."""

    def start_carelessly(out_dir):
        previous = out_dir / "previous"
        previous.mkdir(exist_ok=True)
        for name in RUN_FILES:
            (previous / name).unlink(missing_ok=True)
            (out_dir / name).rename(previous / name)
        train(out_dir, 6)

    first, lost = {}, 0

    def prepare(out_dir):
        train(out_dir)
        first.update(contents(out_dir))

    for out_dir in killed_at_each_point(tmp_path, prepare, start_carelessly):
        lost += first not in map(contents, [*folders(out_dir), out_dir / "previous"])
    assert lost >= len(RUN_FILES) - 1


# Earlier runs


def test_every_run_with_a_checkpoint_is_kept_and_the_line_says_where(tmp_path, capsys):
    kept = []
    for steps in (4, 2, 2, 2):
        train(tmp_path, steps)
        kept.append(contents(tmp_path))
    assert [contents(path) for path in earlier_runs(tmp_path)] == kept[:-1]
    assert str(tmp_path / "previous" / "3") in capsys.readouterr().err


def test_a_folder_of_other_files_keeps_them_where_they_are(tmp_path):
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    train(tmp_path, 2)
    train(tmp_path, 2)
    assert (tmp_path / "notes.txt").read_text(encoding="utf-8") == "mine"
    assert {path.name for path in (tmp_path / "previous" / "1").iterdir()} == set(RUN_FILES)


def test_numbers_go_on_behind_the_highest_and_past_what_has_another_name(tmp_path):
    (tmp_path / "previous" / "9").mkdir(parents=True)
    (tmp_path / "previous" / "10 good").mkdir()
    save_checkpoint(tmp_path / "previous" / "best.pt", {"kept": "by an older version"})
    save_checkpoint(tmp_path / "best.pt", {"kept": "now"})
    make_room(tmp_path)
    assert earlier_runs(tmp_path) == [tmp_path / "previous", tmp_path / "previous" / "10"]


def test_where_there_is_no_checkpoint_the_latest_kept_run_is_named(tmp_path):
    train(tmp_path, 2)
    make_room(tmp_path)
    with pytest.raises(UserError, match="no checkpoint at .*; an earlier run is kept: --checkpoint .*previous.1 .or"):
        load_checkpoint(tmp_path / "best.pt")
    with pytest.raises(UserError, match="an earlier run is kept: --out-dir .*previous.1 .or"):
        load_checkpoint(tmp_path / "last.pt", flag="--out-dir")
    (tmp_path / "previous" / "1" / "last.pt").unlink()
    with pytest.raises(UserError, match="train first"):
        load_checkpoint(tmp_path / "last.pt", flag="--out-dir")


def test_what_killed_processes_had_half_written_is_removed(tmp_path):
    (tmp_path / ".last.pt.4711.part").write_bytes(b"half")
    train(tmp_path, 2)
    assert {path.name for path in tmp_path.iterdir()} == set(RUN_FILES)


# One training at a time

HOLDER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from shared.run.folder import lock_folder
lock = lock_folder(Path(sys.argv[2]))
print("taken", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that has the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(ROOT), str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout.readline().strip() == b"taken"
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize("resume", [False, True])
def test_a_second_training_in_a_folder_is_refused_in_one_line_and_touches_nothing(tmp_path, holder, resume):
    save_checkpoint(tmp_path / "last.pt", {"stage": "a test", "settings": SETTINGS, "weights": {}})
    before = contents(tmp_path)
    flags = SimpleNamespace(out_dir=str(tmp_path), resume=resume, max_steps=3)
    with pytest.raises(UserError, match=r"a training is running in .*, since \d\d:\d\d; .*--out-dir") as caught:
        experiment.start_run("a test", flags, SETTINGS, {})
    assert "\n" not in str(caught.value) and contents(tmp_path) == before and not (tmp_path / "previous").exists()


def test_a_killed_process_leaves_its_folder_free(tmp_path, holder):
    holder.kill()
    holder.wait()
    assert (tmp_path / LOCK).exists()
    free_folder(lock_folder(tmp_path))
    assert not (tmp_path / LOCK).exists()


def test_a_finished_and_a_stopped_training_leave_their_folder_free_and_no_trace_of_it(tmp_path):
    def stop(number):
        raise KeyboardInterrupt

    train(tmp_path, 2)
    assert not (tmp_path / LOCK).exists()
    with pytest.raises(SystemExit):
        train(tmp_path, 2, before_step=stop)
    assert not (tmp_path / LOCK).exists()


# Going on


def test_a_finished_run_goes_on_for_more_steps_and_says_what_the_schedule_means(tmp_path, capsys):
    train(tmp_path, 4)
    train(tmp_path, 8, resume=True)
    assert load_checkpoint(tmp_path / "last.pt")["progress"]["step"] == 8
    assert [record["step"] for record in read_records(tmp_path / "metrics.jsonl")] == list(range(1, 9))
    assert "from step 4 to 8: the learning rate goes from 0 to 0.01" in capsys.readouterr().err
    assert json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))["settings"]["max_steps"] == 8


@pytest.mark.parametrize(
    "given, settings",
    [
        ({"max_steps": 9}, {"max_steps": 9, "epochs": None}),
        ({"max_steps": 4}, {"max_steps": 4, "epochs": 1.0}),
        ({"epochs": 2.0}, {"max_steps": 4, "epochs": 2.0}),
        ({"learning_rate": 0.001}, {"learning_rate": 0.001}),
    ],
)
def test_more_steps_and_a_lower_rate_are_taken_on_resume(given, settings):
    saved = {"settings": SETTINGS | {"max_steps": 4, "epochs": 1.0}}
    assert experiment.resumed_settings(saved, {}, {}, given) == saved["settings"] | settings


@pytest.mark.parametrize("given", [{"max_steps": 3}, {"epochs": 0.5}, {"learning_rate": 0.02}, {"seed": 2}])
def test_fewer_steps_and_a_higher_rate_are_refused_on_resume(given):
    saved = {"settings": SETTINGS | {"max_steps": 4, "epochs": 1.0}}
    with pytest.raises(UserError, match="the saved run has --"):
        experiment.resumed_settings(saved, {}, {}, given)


@pytest.mark.parametrize("flag", ["--quick", "--thorough"])
@pytest.mark.parametrize("steps", [2, 8])
def test_a_preset_changes_no_saved_run_and_is_what_the_refusal_names(flag, steps):
    saved = {"settings": SETTINGS | {"max_steps": 4}}
    with pytest.raises(UserError, match=f"--max-steps 4, not {steps} as {flag}: .* leave {flag} away"):
        experiment.resumed_settings(saved, {}, {"max_steps": steps}, {}, flag)
    with pytest.raises(UserError, match="--max-steps 4, not 3; it may become more"):
        experiment.resumed_settings(saved, {}, {"max_steps": steps}, {"max_steps": 3}, flag)


def test_a_setting_that_is_newer_than_the_saved_run_has_todays_default():
    saved = {"settings": dict(SETTINGS)}
    defaults = {"seed": 7, "newer": "default"}
    assert experiment.resumed_settings(saved, defaults, {}, {"newer": "default"}) == SETTINGS | {"newer": "default"}


# Written whole


@pytest.mark.parametrize("kind", ["text", "bytes"])
def test_a_write_that_fails_leaves_the_older_file_and_nothing_else(tmp_path, monkeypatch, kind):
    path = tmp_path / "kept.txt"
    path.write_text("older", encoding="utf-8")
    monkeypatch.setattr(os, "fsync", lambda number: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        if kind == "text":
            write_text(path, "newer")
        else:
            with whole_file(path) as file:
                file.write(b"newer")
    assert path.read_text(encoding="utf-8") == "older" and list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name == "nt", reason="there are no named pipes in folders")
def test_a_pipe_or_a_device_is_written_to_and_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write_text(tmp_path / "pipe", "for whoever reads")
    assert os.read(reader, 100) == b"for whoever reads"
    os.close(reader)


# What happens to the folder meanwhile


def at_step_3(deed):
    """Something that is done in step 3, when last.pt has been written."""
    return lambda number: deed() if number == 3 else None


def test_a_run_whose_folder_is_deleted_ends_with_its_weights_in_a_new_one(tmp_path):
    train(tmp_path / "run", 6, before_step=at_step_3(lambda: shutil.rmtree(tmp_path / "run")))
    assert load_checkpoint(tmp_path / "run" / "last.pt")["progress"]["step"] == 6
    assert [record["step"] for record in read_records(tmp_path / "run" / "metrics.jsonl")] == [4, 5, 6]
    summary = json.loads((tmp_path / "run" / "summary.json").read_text(encoding="utf-8"))
    assert summary["training_tokens"] == 6


def test_a_run_whose_folder_became_a_file_ends_in_one_line(tmp_path):
    def replaced():
        shutil.rmtree(tmp_path / "run")
        (tmp_path / "run").write_bytes(b"")

    with pytest.raises(
        UserError, match="cannot write .*run.metrics.jsonl: [^;]+; make room, or choose another"
    ) as told:
        train(tmp_path / "run", 6, before_step=at_step_3(replaced))
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("name", ["metrics.jsonl", "last.pt", "best.pt", "summary.json", "learning_curve.png"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_a_disk_that_is_full_or_fails_leaves_last_pt_and_tells_how_to_go_on(tmp_path, monkeypatch, name, number):
    failing = []

    def opened(path, mode="r", *more, **how):
        if failing and name in str(path) and set(mode) & set("wa"):
            raise OSError(number, os.strerror(number))
        return open(path, mode, *more, **how)

    for module in (files, training):
        monkeypatch.setattr(module, "open", opened, raising=False)
    with pytest.raises(UserError, match=f"cannot write .*{name}: .*--resume") as told:
        train(tmp_path, 6, before_step=at_step_3(lambda: failing.append(True)))
    assert ("the disk is full" if number == errno.ENOSPC else os.strerror(number)) in str(told.value)
    assert load_checkpoint(tmp_path / "last.pt")["progress"]["step"] in (2, 4, 6)
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".part")]
    failing.clear()
    train(tmp_path, 6, resume=True)
    assert load_checkpoint(tmp_path / "last.pt")["progress"]["step"] == 6
    assert (tmp_path / "summary.json").is_file()


@pytest.mark.parametrize("name", RUN_FILES)
def test_what_is_no_file_in_the_place_of_a_runs_is_refused_before_training(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(UserError, match=f"{name} is no file; move it away"):
        train(tmp_path)


def test_foreign_records_are_refused_before_the_text_is_read(tmp_path):
    train(tmp_path)
    (tmp_path / "metrics.jsonl").write_text("[1, 2]\n", encoding="utf-8")
    flags = SimpleNamespace(out_dir=str(tmp_path), resume=True)
    with pytest.raises(UserError, match="metrics.jsonl, line 1, is no record of a training"):
        experiment.start_run("a test", flags, SETTINGS | {"max_steps": 4}, {})
