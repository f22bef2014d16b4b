"""Programs of the course in processes of their own that start at once: forks of this one, which has PyTorch already.

Such a process can be killed like any other: after some seconds, or at one of its operations on the files of a folder.
"""

import atexit
import builtins
import io
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from terminal import run, split

CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate")  # as Python's audit names them
LONGEST = 300  # seconds, after which a program hangs


@dataclass
class Ended:
    """How a program ended: its exit status, below zero the signal that killed it, and what it printed."""

    status: int
    out: str
    err: str
    operations: int = 0  # how many changes it made to the folder that was watched

    @property
    def killed(self) -> bool:
        """Was it killed before its end?"""
        return self.status == -signal.SIGKILL

    @property
    def done(self) -> bool:
        """Did it come to its end, with nothing to complain of?"""
        return self.status == 0 and "Traceback" not in self.err and "Warning" not in self.err

    @property
    def refused(self) -> bool:
        """Did it end with the one line that a mistake gets, notices before it aside?"""
        lines = self.err.rstrip("\n").splitlines()
        complaints = [line for line in lines if line.startswith("error: ") or "; --help lists all flags" in line]
        return self.status == 2 and "Traceback" not in self.err and len(complaints) == 1 and complaints == lines[-1:]


class Operations:
    """Counts what a process changes in a folder: opening to write, writing, fsync, renaming, removing, making.

    At number `at` it kills the process, as a power cut would; a write that is killed leaves half of its bytes. Of the
    writes to one file the first, second, fourth, eighth ... count, since a checkpoint is written in hundreds.
    """

    def __init__(self, folder: Path, at: int | None):
        self.folder, self.at, self.count = str(folder), at, 0
        self.open, self.fsync = io.open, os.fsync

    def tick(self, last_deed: Callable[[], object] = lambda: None) -> None:
        """One more operation; where it is the one to die at, do the last deed and die."""
        self.count += 1
        if self.count == self.at:
            last_deed()
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self) -> None:
        """From now on, until the process ends."""
        sys.addaudithook(self.heard)
        io.open = builtins.open = self.opened
        os.fsync = self.synced

    def heard(self, event: str, given: tuple) -> None:
        """Python is about to do something."""
        if event in CHANGES and self.folder in str(given[0]):
            self.tick()

    def synced(self, number: int) -> None:
        """fsync, of whatever."""
        self.tick()
        self.fsync(number)

    def opened(self, file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, *more):
        """A file as `open` gives it; in the folder one whose writes are counted."""
        if self.folder not in str(file) or not set(mode) & set("wax+"):
            return self.open(file, mode, buffering, encoding, errors, newline, *more)
        self.tick()
        raw = WatchedFile(file, mode.replace("b", "").replace("t", ""))
        raw.operations = self
        binary = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        return binary if "b" in mode else io.TextIOWrapper(binary, encoding, errors, newline)


class WatchedFile(io.FileIO):
    """A file whose writes are operations."""

    operations: Operations
    writes = 0

    def write(self, data) -> int:
        """Write bytes; half of them, where the process is killed at this operation."""
        self.writes += 1
        if self.writes & (self.writes - 1) == 0:  # a power of two
            half = bytes(data)[: len(data) // 2]
            self.operations.tick(lambda: super(WatchedFile, self).write(half))
        return super().write(data)


# A process, from its start to its end


def begin(work: str | Callable[[], None], folder: Path, logs: Path, operations: Operations | None = None) -> int:
    """Begin a command line or a function in `folder`: the process's number. What it prints goes to files in `logs`."""
    logs.mkdir(parents=True, exist_ok=True)
    process = os.fork()
    if process:
        return process
    status = 1
    try:
        status = be(work, folder, logs, operations)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def be(work: str | Callable[[], None], folder: Path, logs: Path, operations: Operations | None) -> int:
    """Be this program, from its start to its exit status."""
    atexit._clear()  # what the tests wanted done at their end
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, name in enumerate((os.devnull, logs / "out", logs / "err")):
        os.dup2(os.open(name, os.O_RDWR | (os.O_CREAT | os.O_TRUNC if number else 0), 0o600), number)
    sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", closefd=False)
    sys.stdout = sys.__stdout__ = open(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.__stderr__ = open(2, "w", encoding="utf-8", closefd=False, buffering=1)
    os.chdir(folder)
    if operations:
        operations.watch()
    status = 0
    try:
        if callable(work):
            work()
        else:
            sys.argv = split(work)[1:]
            run(sys.argv)
    except SystemExit as end:
        status = end.code or 0
    except BaseException:
        traceback.print_exc()
        status = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    if operations:
        (logs / "operations").write_text(str(operations.count), encoding="utf-8")
    return status


def end(process: int, logs: Path) -> Ended:
    """Wait for a process that was begun, but not for ever."""
    deadline = time.monotonic() + LONGEST
    while not (found := os.waitpid(process, os.WNOHANG))[0]:
        if time.monotonic() > deadline:
            os.kill(process, signal.SIGKILL)
        time.sleep(0.003)
    out, err = ((logs / name).read_text(encoding="utf-8", errors="replace") for name in ("out", "err"))
    counted = logs / "operations"
    operations = int(counted.read_text(encoding="utf-8")) if counted.exists() else 0
    return Ended(os.waitstatus_to_exitcode(found[1]), out, err, operations)


def whole(work: str | Callable[[], None], folder: Path, logs: Path) -> Ended:
    """A program that is left alone."""
    return end(begin(work, folder, logs), logs)


def killed_at(at: int | None, watched: Path, work: str, folder: Path, logs: Path) -> Ended:
    """A program that is killed at operation number `at` in the folder `watched`; at none, they are only counted."""
    return end(begin(work, folder, logs, Operations(watched, at)), logs)


def killed_after(seconds: float, work: str, folder: Path, logs: Path) -> Ended:
    """A program that is killed after so many seconds, unless it came to its end before."""
    process = begin(work, folder, logs)
    time.sleep(seconds)
    os.kill(process, signal.SIGKILL)  # nothing happens to one that has ended: it still waits to be asked how
    return end(process, logs)


def interpreter_killed_after(seconds: float, work: str, folder: Path, logs: Path) -> Ended:
    """The same in a new interpreter, as a learner starts it."""
    process = subprocess.Popen(
        [sys.executable, *split(work)[1:]], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
    )
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
    return Ended(process.returncode, out, err)
