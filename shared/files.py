"""Files that are on the disk whole or not at all: whatever is kept is written through `whole_file`."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

WAITS = (0.1, 0.2, 0.4, 0.8, 1.6)  # seconds for another program to close a file


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A new file for the bytes of `path`, which takes that name when the `with` block ends well.

    Until then, whatever happens (a crash, a full disk, Ctrl-C), an older file at `path` stays as it was. OSError where
    nothing can be written there.
    """
    if path.exists() and not path.is_file():  # a device or a pipe has a reader already, and must not be replaced
        with open(path, "wb") as file:
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
