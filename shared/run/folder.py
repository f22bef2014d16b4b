"""The folder of a run: of one training at a time, and made empty for a new one, which keeps the run before it."""

import atexit
import os
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from shared.errors import UserError
from shared.files import part_of, sync_folder, take_name, whole_file, why
from shared.run.cli import log

# What a training leaves in its folder, where other files may lie as well; and what some of them add.
RUN_FILES = ("last.pt", "best.pt", "metrics.jsonl", "learning_curve.png", "summary.json")
MORE_FILES = ("moments.jsonl", "confusion.png", "plays.png")
LOCK = ".training"  # is there while a training runs, or after one that was killed


def lock_folder(folder: Path) -> TextIO:
    """Take a folder for this process, until the lock that is returned is freed or the process ends in any way.

    UserError where another process has it, or where nothing can be written.
    """
    check_file(folder / LOCK)
    try:
        file = open(folder / LOCK, "a+", encoding="utf-8")
    except OSError as error:
        raise cannot_write(folder, error) from error
    if not lock(file):
        file.seek(0)
        since = file.read().removeprefix(time.strftime("%Y-%m-%d ")) or "just now"
        raise UserError(f"a training is running in {folder}, since {since}; wait for it or choose another --out-dir")
    if not (folder / LOCK).exists() or not os.path.samestat(os.fstat(file.fileno()), os.stat(folder / LOCK)):
        return lock_folder(folder)  # the one who had it has removed the file meanwhile
    file.truncate(0)
    file.write(time.strftime("%Y-%m-%d %H:%M"))
    file.flush()
    atexit.register(free_folder, file)  # however the program ends, unless it is killed
    return file


def lock(file: TextIO) -> bool:
    """Lock an open file for this process, if no other has it. The system itself frees it where a process crashed."""
    if os.name == "nt":
        import msvcrt

        os.lseek(file.fileno(), 1 << 20, os.SEEK_SET)  # a byte far behind the text: what is locked cannot be read
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:  # a network's disk that has no locks: better to train without one than not at all
        pass
    return True


def free_folder(lock: TextIO) -> None:
    """Let others have a folder that `lock_folder` took, and leave no trace of it. Once is enough."""
    if lock.closed:
        return
    if os.name == "nt":
        lock.close()  # an open file cannot be removed there
    with suppress(OSError):
        os.unlink(lock.name)
    lock.close()


def check_files(folder: Path) -> None:
    """UserError where something else lies in a folder under the name of one of a run's files: a pipe, say."""
    for name in RUN_FILES + MORE_FILES:
        check_file(folder / name)


def check_file(path: Path) -> None:
    """UserError where a path is that of something else than a file, which must not be written to or removed."""
    if path.exists() and not path.is_file():
        raise UserError(f"{path} is no file; move it away or choose another --out-dir")


def make_room(folder: Path) -> None:
    """Clear a folder for a new run. One that has a checkpoint is kept in previous/<number>/ until somebody deletes it.

    A process that is killed anywhere in here loses nothing: the run is whole in its new place, under one rename, before
    any file of it is removed from the old one.
    """
    files = [folder / name for name in RUN_FILES + MORE_FILES if (folder / name).exists()]
    try:
        if any(file.suffix == ".pt" for file in files):
            log(f"the run that was in {folder} is now in {keep(files, folder / 'previous')}, until you delete it")
        for file in files:  # last.pt first: without it, --resume takes none of the others for a run to go on with
            file.unlink()
        open(folder / "metrics.jsonl", "ab").close()  # can anything be written here?
    except OSError as error:
        raise cannot_write(folder, error) from error


def keep(files: list[Path], previous: Path) -> Path:
    """Copy a run's files to a new numbered folder in `previous`; return that folder."""
    kept, part = previous / str(1 + max(numbers_in(previous), default=0)), previous / ".part"
    shutil.rmtree(part, ignore_errors=True)  # a crash may have left half a copy
    part.mkdir(parents=True)
    for file in files:
        with open(file, "rb") as original, whole_file(part / file.name) as copy:
            shutil.copyfileobj(original, copy)
    take_name(part, kept)
    sync_folder(previous)
    return kept


def drop_parts(folder: Path) -> None:
    """Remove what processes that were killed had not yet written whole."""
    for name in RUN_FILES + MORE_FILES:
        for part in folder.glob(part_of(Path(name)).name):
            part.unlink(missing_ok=True)


def earlier_runs(folder: Path, name: str = "best.pt") -> list[Path]:
    """The folders of the runs that were kept when later ones began, the oldest first, where they hold this file.

    An older version of the course kept one only, in previous/ itself.
    """
    previous = folder / "previous"
    folders = [previous, *(previous / str(number) for number in sorted(numbers_in(previous)))]
    return [path for path in folders if (path / name).is_file()]


def numbers_in(previous: Path) -> list[int]:
    """The numbers of the runs that are kept in `previous`, in any order."""
    return [int(path.name) for path in previous.glob("[0-9]*") if path.name.isdecimal()]


def cannot_write(path: Path, error: Exception, way_on: str = "make room, or choose another --out-dir") -> UserError:
    """What to say where a run's folder, or a file in it, cannot be written."""
    return UserError(f"cannot write {path}: {why(error)}; {way_on}")


def cannot_go_on(path: Path, error: Exception) -> UserError:
    """The same of a file that a training writes: what it has learned until its last.pt is not lost."""
    last = path.with_name("last.pt")
    if not os.path.isfile(last):
        return cannot_write(path, error)
    return cannot_write(path, error, f"when that is mended, go on from {last} with --resume")
