"""The course on Windows, as far as that can be imitated elsewhere (see like_windows.py), and on old consoles."""

import errno
import io
import os
import runpy
import shutil
import subprocess
import sys
import threading

import pytest
from terminal import TESTS, typed

from shared.errors import UserError
from shared.run.checkpoint import load_checkpoint
from shared.run.folder import MORE_FILES, RUN_FILES
from shared.stages import ROOT, STAGES

if sys.platform != "linux":
    pytest.skip("Windows is imitated on Linux alone", allow_module_level=True)

from like_windows import as_windows

STAGE = next(iter(STAGES))
SMALL = (
    "--tokenizer char --max-steps 4 --eval-interval 2 --hidden-size 8 --batch-size 4 --device cpu --precision float32"
)


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """A text with Windows' line ends, in a folder of which a shell understands little."""
    path = tmp_path_factory.mktemp("Übung 试 (R&D)") / "short text.txt"
    words = (ROOT / "data" / "shakespeare.txt").read_text(encoding="utf-8")[:20_000]
    path.write_text(words.replace("you", "你"), encoding="utf-8", newline="\r\n")
    return path


@pytest.fixture(scope="module")
def run(text):
    """The folder of a training that was begun, and then went on; and what was printed first."""
    folder = text.parent / "run"
    with as_windows():
        first = typed(ROOT / STAGE, f"python train.py --data '{text}' {SMALL} --out-dir '{folder}'")
        typed(ROOT / STAGE, f"python train.py --resume --max-steps 6 --out-dir '{folder}'")
    return folder, first


def module(name):
    """The names of one of the course's files, which has found Windows."""
    with as_windows():
        return runpy.run_path(str(ROOT / name))


# A run


def test_a_training_goes_on_and_leaves_what_it_leaves_elsewhere(run):
    folder, _ = run
    assert set(RUN_FILES) <= {path.name for path in folder.iterdir()} <= {*RUN_FILES, *MORE_FILES}
    assert load_checkpoint(folder / "last.pt")["progress"]["step"] == 6


def test_the_next_command_is_quoted_for_the_shells_there(run):
    folder, shown = run
    assert shown.out.splitlines()[-1].endswith(f' --checkpoint "{folder / "best.pt"}"')


def test_a_new_run_keeps_the_one_before(run, text):
    folder, _ = run
    with as_windows():
        typed(ROOT / STAGE, f"python train.py --data '{text}' {SMALL} --out-dir '{folder}'")
    assert load_checkpoint(folder / "previous" / "1" / "last.pt")["progress"]["step"] == 6


def test_text_is_generated_and_runs_are_compared(run, tmp_path):
    folder, _ = run
    with as_windows():
        shown = typed(ROOT / STAGE, f"python generate.py --checkpoint '{folder}' --max-new-tokens 5")
        typed(ROOT, f"python -m shared.compare --checkpoints '{folder}' --no-live --out '{tmp_path}'")
    assert shown.out and (tmp_path / "index.html").is_file()


# Files that are open


def test_a_file_that_another_program_closes_in_a_moment_is_replaced(tmp_path):
    path = tmp_path / "last.pt"
    path.write_bytes(b"older")
    reader = open(path, "rb")
    threading.Timer(0.05, reader.close).start()
    with as_windows(), module("shared/files.py")["whole_file"](path) as file:
        file.write(b"newer")
    assert path.read_bytes() == b"newer" and list(tmp_path.iterdir()) == [path]


def test_one_that_stays_open_is_told_in_one_line_and_stays_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "last.pt"
    path.write_bytes(b"older")
    files = module("shared/files.py")
    files["take_name"].__globals__["WAITS"] = (0, 0)
    save = module("shared/run/checkpoint.py")["save_checkpoint"]
    save.__globals__["whole_file"] = files["whole_file"]
    with as_windows(), open(path, "rb"), pytest.raises(UserError, match=r"cannot write \S+last\.pt: .*cannot access"):
        save(path, {})
    assert path.read_bytes() == b"older" and list(tmp_path.iterdir()) == [path]


HOLDER = """
import runpy, sys
sys.path[:0] = sys.argv[1:3]
from pathlib import Path
from like_windows import as_windows
with as_windows():
    lock = runpy.run_path(sys.argv[1] + "/shared/run/folder.py")["lock_folder"](Path(sys.argv[3]))
print("taken", flush=True)
sys.stdin.read()
"""


def test_a_folder_is_locked_against_another_process_and_freed(tmp_path):
    lock_folder = module("shared/run/folder.py")["lock_folder"]
    command = [sys.executable, "-c", HOLDER, str(ROOT), str(TESTS), str(tmp_path)]
    with as_windows(), subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"taken\n"
        with pytest.raises(UserError, match=r"a training is running in .*, since \d\d:\d\d; "):
            lock_folder(tmp_path)
        holder.communicate()
        lock = lock_folder(tmp_path)
        lock_folder.__globals__["free_folder"](lock)
    assert list(tmp_path.iterdir()) == []


# Shells, consoles and signals


@pytest.mark.parametrize(
    ("word", "typed"),
    [
        (r"C:\runs\7", r"C:\runs\7"),
        ("--out-dir=läuft_试", "--out-dir=läuft_试"),
        (r"C:\my runs\best.pt", r'"C:\my runs\best.pt"'),
        ("R&D", '"R&D"'),
        ("it's", '"it\'s"'),
        ("", '""'),
        ("$home", "'$home'"),
        ("a`b'c", "'a`b''c'"),
    ],
)
def test_a_word_is_quoted_for_powershell(word, typed):
    assert module("shared/run/cli.py")["quoted"](word) == typed


def test_a_kept_command_is_typed_as_its_shell_has_it():
    assert module("shared/run/cli.py")["typable"](r"python a.py --data 'C:\R&D\x.txt' --seed 2") == (
        r'python a.py --data "C:\R&D\x.txt" --seed 2'
    )


def test_a_console_keeps_the_writer_that_knows_all_letters(monkeypatch):
    console = io.TextIOWrapper(io.BytesIO(), "utf-8")
    console.isatty = lambda: True
    for name in ("stderr", "__stderr__"):
        monkeypatch.setattr(sys, name, console)
    module("shared/run/cli.py")["outlive_reader"]("stderr")
    assert sys.stderr is console


@pytest.mark.parametrize(
    ("error", "gone"),
    [
        (OSError(errno.EINVAL, "Invalid argument"), True),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), True),
        (OSError(errno.EINVAL, "Invalid argument", "a:b"), False),
        (OSError(errno.ENOSPC, "No space left on device"), False),
    ],
)
def test_a_reader_that_has_gone_is_known(error, gone):
    assert module("shared/run/cli.py")["reader_has_gone"](error) == gone


def test_signals_that_are_missing_are_not_listened_to():
    assert [number.name for number in module("shared/run/interrupts.py")["SIGNALS"]] == ["SIGINT", "SIGTERM"]


def test_an_old_console_and_a_system_that_knows_only_ascii_get_question_marks_and_a_notice(run, tmp_path):
    best = shutil.copy(run[0] / "best.pt", tmp_path)
    words = ["generate.py", "--checkpoint", best, "--prompt", "你 O", "--max-new-tokens", "3"]
    narrow = dict(LC_ALL="C", PYTHONCOERCECLOCALE="0", PYTHONUTF8="0", PYTHONIOENCODING="cp437")
    done = subprocess.run([sys.executable, *words], cwd=ROOT / STAGE, capture_output=True, env=os.environ | narrow)
    told = done.stderr.decode("cp437")
    assert done.returncode == 0 and "Traceback" not in told
    assert done.stdout.startswith(b"? O")
    assert told.splitlines()[-1] == (
        "notice: charmap lacks some of the signs, which became ?; with PYTHONIOENCODING=utf-8 they stay"
    )
