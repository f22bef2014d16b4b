"""What programs notice of Windows, on a system that is another: `with as_windows():`, and import the course within.

Signals, locks and the name of the system are Windows'; a file that is open cannot be replaced, renamed or removed, and
folders cannot be opened. Paths, consoles and shells are not imitated.
"""

import builtins
import errno
import fcntl
import os
import signal
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from shared.stages import ROOT

SIGNALS = {"SIGABRT", "SIGFPE", "SIGILL", "SIGINT", "SIGSEGV", "SIGTERM", "SIG_DFL", "SIG_IGN"}
MISSING = ("fcntl", "grp", "pwd", "resource", "termios")  # modules


class Stand(ModuleType):
    """Stands in for a module: what is asked of it, and set, is the module's own, but for what `changed` names.

    Of what the module has in capitals only `constants` are there, if they are given.
    """

    def __init__(self, module: ModuleType, constants: Collection[str] = (), **changed: object) -> None:
        vars(self).update(changed, _module=module, _constants=constants)

    def __getattr__(self, name: str) -> object:
        if self._constants and name.isupper() and name not in self._constants:
            raise AttributeError(name)
        return getattr(self._module, name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._module, name, value)


def locking(number: int, mode: int, size: int) -> None:
    """msvcrt.locking: a lock on the bytes that follow, which nobody waits for."""
    fcntl.lockf(number, fcntl.LOCK_EX | fcntl.LOCK_NB, size, 0, os.SEEK_CUR)


def is_open(path: str | Path) -> bool:
    """Whether this process, or one that it has started, has the file open."""
    path = os.path.realpath(path)
    processes = [os.getpid(), *(int(child) for child in children())]
    links = [f"/proc/{process}/fd/{number}" for process in processes for number in os.listdir(f"/proc/{process}/fd")]
    return any(os.path.lexists(link) and os.path.realpath(link) == path for link in links)


def children() -> list[str]:
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii").split()


def unless_open(change: Callable) -> Callable:
    """A function of `os` that takes paths, and refuses those of files that are open."""

    def changed(*paths: str | Path, **options: object) -> None:
        for path in paths:
            if os.path.isfile(path) and is_open(path):
                raise PermissionError(errno.EACCES, "The process cannot access the file", os.fspath(path))
        return change(*paths, **options)

    return changed


def unless_folder(open_file: Callable) -> Callable:
    """os.open, for files alone."""

    def opened(path: str | Path, *flags: object, **options: object) -> int:
        if os.path.isdir(path):
            raise PermissionError(errno.EACCES, "Access is denied", os.fspath(path))
        return open_file(path, *flags, **options)

    return opened


@contextmanager
def as_windows() -> Iterator[None]:
    """Within it, what the course imports anew finds Windows, as far as the head of this file says."""
    stands = {"os": Stand(os, name="nt"), "sys": Stand(sys, platform="win32"), "signal": Stand(signal, SIGNALS)}
    stands["msvcrt"] = SimpleNamespace(locking=locking, LK_NBLCK=2)
    usual = builtins.__import__

    def imported(name: str, names: dict | None = None, *more: object, **options: object) -> object:
        if not str((names or {}).get("__file__")).startswith(f"{ROOT}{os.sep}"):
            return usual(name, names, *more, **options)
        if name in MISSING:
            raise ModuleNotFoundError(f"No module named {name!r}")
        return stands.get(name) or usual(name, names, *more, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builtins, "__import__", imported)
        for name in ("replace", "rename", "unlink", "remove"):
            patch.setattr(os, name, unless_open(getattr(os, name)))
        patch.setattr(os, "open", unless_folder(os.open))
        yield
