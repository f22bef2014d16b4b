"""Checkpoints: written whole or not at all, loaded without running anybody's code."""

import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from shared.errors import UserError
from shared.files import whole_file, why
from shared.run.cli import lacks_memory, quoted
from shared.run.content import check_best, check_language_model, check_last, check_parts
from shared.run.folder import cannot_go_on, earlier_runs
from shared.schema import shown
from shared.stages import STAGES

# Written into every checkpoint, and raised when what it holds changes. 1: before there was such a number; 2: this one.
FORMAT = 2
REQUIRED = {"stage", "settings", "weights"}
END = struct.Struct("<4s8xI6x")  # how an archive ends: with a magic number and, among others, its directory's size
DIRECTORY_BYTES, PICKLE_BYTES = 2**22, 2**24  # some 50,000 tensors; some 500,000 words


def save_checkpoint(path: Path, content: dict) -> None:
    """Write a checkpoint whole, or leave the older one as it was. UserError where it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as file:
            torch.save({"format": FORMAT} | content, file)
    except (OSError, RuntimeError) as error:  # torch.save reports a full disk as a RuntimeError, of many lines
        raise cannot_go_on(path, error) from error


def checkpoint_file(path: Path) -> Path:
    """The checkpoint in a run's folder, or in the folder above its checkpoints/; any other path is that of a file."""
    if not os.path.isdir(path):
        return path
    files = [folder / name for name in ("best.pt", "last.pt") for folder in (path, path / "checkpoints")]
    return next(filter(Path.is_file, files), files[0])


def load_checkpoint(
    path: Path,
    stage: str | None = None,
    flag: str = "--checkpoint",
    last: bool = False,
    check: Callable[[dict], None] | None = None,
) -> dict:
    """What a checkpoint holds, on the CPU, of this stage if one is named; of a `last` one, what it takes to go on too.

    What comes back can be trusted: it is as shared/run/content.py says, and the lab's `check` too, which raises
    ValueError where something is wrong. Only tensors and plain Python values are accepted (`weights_only`), and the
    file's checksums must be right. Older formats are read as well: they hold the same, but for the number. UserError
    for any other file, and for none, with the way on: what to train, or with which `flag` to name an earlier run that
    is kept.
    """
    path = checkpoint_file(path)
    if not os.path.isfile(path):  # nor is a pipe or a device opened, which may never end
        raise UserError(f"there is no checkpoint at {path}; {way_to_one(path, stage, flag)}")
    content = read_archive(path)
    if not isinstance(content, dict) or not REQUIRED <= content.keys() or not isinstance(content["stage"], str):
        raise UserError(f"{path} was not written by this course's train.py; name another checkpoint")
    number = content.get("format", 1)
    if type(number) is not int or number not in range(1, FORMAT + 1):
        raise UserError(f"{path} was written by a newer version of this course; update the course, or train again")
    if stage not in (None, content["stage"]):
        raise UserError(
            f"{path} holds a model of {shown(content['stage'])}, not of {stage}; run that folder's programs"
        )
    if last and "optimizers" not in content:
        raise UserError(
            f"{path} holds weights to use, as a best.pt does, and not what training needs to go on; bring back the "
            "run's own last.pt, or train anew without --resume"
        )
    try:
        check_best(content)
        if last:
            check_last(content)
        check = check or (check_language_model if content["stage"] in STAGES else None)
        if check:
            check(content)
    except ValueError as error:
        raise UserError(f"{path} is damaged or was changed: {error}; train again or name another") from error
    return content


def way_to_one(path: Path, stage: str | None, flag: str) -> str:
    """What to do where there is no checkpoint."""
    for folder in earlier_runs(path.parent, path.name)[-1:]:
        return f"an earlier run is kept: {flag} {quoted(str(folder))} (or train: python train.py)"
    way_on = "train first: python train.py (or: python train.py --quick)"
    if stage in STAGES and flag == "--checkpoint":
        way_on += "; or take the one that comes with the course: --checkpoint pretrained"
    return way_on


def read_archive(path: Path) -> Any:
    """What torch.save wrote, of plain values and finite tensors; UserError for what it never wrote."""
    try:
        num_bytes = check_archive(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UserError(f"cannot read {path}: {why(error)}; mend that, or name another checkpoint") from error
    except Exception as error:  # what a damaged file makes the reader stumble over can be anything
        if lacks_memory(error):
            raise
        raise UserError(f"{path} is damaged or not a checkpoint; train again or name another") from error
    try:
        # Each value takes a byte or more of the file. Tied weights are one tensor there that has two names.
        check_parts(content, most_parts=num_bytes, most_bytes=2 * num_bytes)
    except ValueError as error:
        raise UserError(f"{path} is damaged or was changed: {error}; train again or name another") from error
    return content


def check_archive(path: Path) -> int:
    """The size of a file that is an archive as torch.save writes it; BadZipFile for another.

    Such an archive compresses nothing and holds nothing twice, so that no more comes out of it than is in it.
    """
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - END.size))
        magic, directory_size = END.unpack(file.read())
        if magic != b"PK\5\6" or directory_size > DIRECTORY_BYTES:
            raise zipfile.BadZipFile("no end of a directory, or of too large a one")
        with zipfile.ZipFile(file) as archive:
            entries = sorted(archive.infolist(), key=lambda entry: entry.header_offset)
            ends = [entry.header_offset for entry in entries[1:]] + [archive.start_dir]
            for entry, end in zip(entries, ends):
                if entry.compress_type != zipfile.ZIP_STORED or entry.header_offset + entry.file_size > end:
                    raise zipfile.BadZipFile(f"{entry.filename} is compressed, or overlaps another")
            if len({entry.filename for entry in entries}) < len(entries):
                raise zipfile.BadZipFile("two entries of one name")
            pickle = next(entry for entry in entries if entry.filename.endswith("/data.pkl"))
            # A byte array can be asked for in any size, and a checkpoint has no use for one.
            if pickle.file_size > PICKLE_BYTES or b"bytearray\n" in archive.read(pickle):
                raise zipfile.BadZipFile("values that are none of a checkpoint")
            if archive.testzip():  # torch.load does not look for a flipped bit
                raise zipfile.BadZipFile("a flipped bit")
    return size
