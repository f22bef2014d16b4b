"""Files that are on the disk whole or not at all: whatever is kept is written through `whole_file`.

And files that others have made, read whole or refused in one line: `read_file`.
"""

import errno
import os
import stat
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from tqdm import tqdm

from shared.errors import UserError

CHUNK = 1 << 22  # bytes that are read at once: about as many as a slow disk gives between two looks at the bar
PATIENCE = 2  # seconds: so long nobody wonders what is going on
WAITS = (0.1, 0.2, 0.4, 0.8, 1.6)  # seconds for another program to close a file


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A new file for the bytes of `path`, which takes that name when the `with` block ends well.

    Until then, whatever happens (a crash, a full disk, Ctrl-C), an older file at `path` stays as it was. OSError where
    nothing can be written there.
    """
    if path.exists() and not path.is_file():  # a device or a pipe, which must not be replaced
        with open(path, "wb", opener=at_once) as file:
            yield file
        return
    part = part_of(path, str(os.getpid()))  # its own, so that two processes never write into one
    try:
        with open(part, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # else a power cut might leave the new name with no bytes behind it
        take_name(part, path)
        sync_folder(path.parent)
    finally:
        if os.path.exists(part):  # never raises, unlike unlink in a folder that is no folder
            part.unlink()


def take_name(part: Path, path: Path) -> None:
    """Give a file or a folder that is whole its name.

    Windows refuses that while another program has the older file open, as a virus scanner or a synchronised folder does
    now and then: it is waited for, but not for long.
    """
    for seconds in WAITS if os.name == "nt" else ():
        with suppress(PermissionError):
            return os.replace(part, path)
        time.sleep(seconds)
    os.replace(part, path)


def read_file(path: Path, most: int, advice: str) -> bytes:
    """All bytes of a file of at most so many, with a bar if that takes a while.

    UserError, with what to give instead, where there is no file, it cannot be read, or it is no file: to open a pipe
    may take for ever, and a device may have no end.
    """
    try:
        known = os.stat(path)
        if stat.S_ISDIR(known.st_mode):
            raise UserError(f"{path} is a folder; {advice}")
        if not stat.S_ISREG(known.st_mode):
            raise UserError(f"{path} is a pipe or a device and no file; {advice}")
        with open(path, "rb") as file:
            return read_stream(file, path, most, advice, known.st_size)
    except (FileNotFoundError, ValueError):  # ValueError: a name that no file can have
        raise UserError(f"no file {path}; {advice}") from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {why(error)}; {advice}") from None


def read_stream(file: BinaryIO, path: Path, most: int, advice: str, size: int | None = None) -> bytes:
    """All that comes, `size` bytes if that is known; UserError where it is more than `most`."""
    chunks, count = [], 0
    with tqdm(desc=path.name, total=size, unit="B", unit_scale=True, file=sys.stderr, delay=1) as bar:
        while count <= most and (size or 0) <= most:
            chunk = file.read(CHUNK)
            if not chunk:
                return b"".join(chunks)
            chunks.append(chunk)
            count += len(chunk)
            bar.update(len(chunk))
    raise UserError(f"{path} is larger than {most / 1e6:,.0f} MB; {advice}")


def why(error: Exception) -> str:
    """What went wrong with a file, in a few words: of a full disk, that it is full."""
    if isinstance(error.__context__, OSError):  # in place of which PyTorch has raised an error of its own
        error = error.__context__
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full"
    return getattr(error, "strerror", None) or str(error).partition("\n")[0] or type(error).__name__


@contextmanager
def seconds_told(doing: str) -> Iterator[None]:
    """Show on stderr for how long the block has been at it, once that is longer than PATIENCE: no bar can be drawn."""
    ended, began = threading.Event(), time.time()

    def tell() -> None:
        if ended.wait(PATIENCE):
            return
        with tqdm(desc=doing, bar_format="{desc}: {elapsed}", file=sys.stderr, leave=False) as counter:
            counter.start_t = began
            while not ended.wait(PATIENCE):
                counter.refresh()

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def at_once(path: str, flags: int) -> int:
    """Open a device or a pipe; OSError for a pipe that nobody reads, where one would wait for ever."""
    number = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    if hasattr(os, "O_NONBLOCK"):
        os.set_blocking(number, True)
    return number


def part_of(path: Path, process: str = "*") -> Path:
    """Where the process of this number writes what becomes `path`: in the same folder, as no rename crosses disks."""
    return path.with_name(f".{path.name}.{process}.part")


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk, as far as the system can: Windows and some networks' disks cannot."""
    with suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)
