"""Commands as a learner types them: `typed` runs them within the tests, `started` in a process of their own.

What they write goes into a copy of the course, which `copy_folder` makes.
"""

import importlib
import io
import os
import runpy
import shlex
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from shared.stages import ROOT, STAGES

TESTS = ROOT / "tests"
# What Python keeps to itself unless it is asked with -W.
SILENT = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)

# A train.py that gets Ctrl-C in its fifth step.
STOPPED = """
import signal
import sys

sys.argv[0] = "train.py"
import train
from shared.text.batches import Lanes

batch = Lanes.batch


def stop_in_step_5(lanes, step):
    if step == 4:
        signal.raise_signal(signal.SIGINT)
    return batch(lanes, step)


Lanes.batch = stop_in_step_5
train.train_stage(train.STAGE)
"""


def copy_folder(name: str | Path, root: Path, *left_out: str) -> Path:
    """Copy a folder of the course to the same place below `root`, without what running it made and what is left out."""
    made_later = shutil.ignore_patterns("checkpoints", "*.png", "answers.py", *left_out)
    return Path(shutil.copytree(ROOT / name, root / name, ignore=made_later))


def copy_course(root: Path) -> Path:
    """A copy of the course in `root`, as it is when freshly cloned, and a short text: nobody's own runs are touched."""
    for name in (*STAGES, "shared", "data"):
        copy_folder(name, root)
    text = (ROOT / "data" / "shakespeare.txt").read_text(encoding="utf-8")[:20_000]
    (root / "short.txt").write_text(text, encoding="utf-8", newline="\n")
    for stage in STAGES:
        (root / stage / "stopped.py").write_text(STOPPED, encoding="utf-8")
    return root


def typed(folder: Path, line: str, stdin: str = "", code: int = 0) -> SimpleNamespace:
    """What the command `line` prints, and that it ends with this exit status, and never with a traceback or a warning.

    The command, `python file.py ...` or `python -m module ...`, runs in this process, since a new one takes seconds to
    import PyTorch. It finds what a new process would: nothing of the course is imported yet, so a copy of the course
    runs its own files. A command that fails unforeseen fails the test with its traceback.
    """
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", newline="\n") for _ in range(2))
    with new_program(folder, split(line)[1:], stdin) as run, redirect_stdout(out), redirect_stderr(err):
        status = run()
    shown = SimpleNamespace(out=written(out), err=written(err))
    assert status == code, shown.err
    return shown


def started(folder: Path, line: str, stdin: str = "", code: int = 0, **environment: str) -> SimpleNamespace:
    """As `typed`, in a new process: for what only that can show (signals, encodings, a first import)."""
    done = subprocess.run(
        [sys.executable, *split(line)[1:]],
        cwd=folder,
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        env=os.environ | environment,
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr and "Warning" not in done.stderr, done.stderr
    return SimpleNamespace(out=done.stdout, err=done.stderr)


def split(line: str) -> list[str]:
    """The words of a command line, as shlex.split finds them, but a backslash is a letter: Windows' paths have them."""
    words = shlex.shlex(line, posix=True, punctuation_chars=False)
    words.whitespace_split, words.commenters, words.escape = True, "", ""
    return list(words)


@contextmanager
def new_program(folder: Path, words: list[str], stdin: str) -> Iterator:
    """A function that runs the command and returns its exit status; whatever the command changed is put back."""
    root = next(place for place in (folder, *folder.parents) if (place / "shared").is_dir())
    kept = take_modules(ROOT)
    try:
        with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng(devices=[]):
            patch.chdir(folder)
            patch.setattr(sys, "argv", words)
            patch.setattr(sys, "path", [place for place in sys.path if Path(place) not in (ROOT, TESTS, Path())])
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode("utf-8")), "utf-8"))
            importlib.invalidate_caches()  # files may have been written a moment ago
            yield lambda: status_of(words)
    finally:
        take_modules(root)
        sys.modules.update(kept)


def status_of(words: list[str]) -> int:
    """Run the command in this process as it is; its exit status."""
    with warnings.catch_warnings(record=True) as warned:
        for kind in SILENT:
            warnings.simplefilter("ignore", kind)
        try:
            run(words)
            status = 0
        except SystemExit as end:
            status = end.code or 0
    assert not warned, [str(warning) for warning in warned]
    return status


def run(words: list[str]) -> None:
    """What `python` does with these words."""
    if words[0] == "-m":
        sys.path.insert(0, os.getcwd())
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        script = Path(words[0]).resolve()
        sys.path.insert(0, str(script.parent))
        runpy.run_path(str(script), run_name="__main__")


def take_modules(root: Path) -> dict:
    """Forget what was imported from the course in `root`, but for its tests; name -> module."""
    ours, others = f"{root}{os.sep}", (f"{root / 'tests'}{os.sep}", f"{sys.prefix}{os.sep}")
    taken = {}
    for name, module in list(sys.modules.items()):
        # Not getattr(module, "__file__"): some of PyTorch's modules make up an answer, or fail, whatever is asked.
        file = str(getattr(module, "__dict__", {}).get("__file__"))
        if name.partition(".")[0] == "shared" or (file.startswith(ours) and not file.startswith(others)):
            taken[name] = sys.modules.pop(name)
    return taken


def written(stream: io.TextIOWrapper) -> str:
    """All that was written to a stream that keeps it."""
    stream.flush()
    return stream.buffer.getvalue().decode("utf-8")
