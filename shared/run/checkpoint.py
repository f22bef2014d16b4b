"""Checkpoints: written whole or not at all, loaded without running anybody's code."""

import zipfile
from pathlib import Path

import torch

from shared.errors import UserError
from shared.files import whole_file
from shared.run.cli import quoted
from shared.run.folder import cannot_go_on, earlier_runs
from shared.stages import STAGES

# Written into every checkpoint, and raised when what it holds changes. 1: before there was such a number; 2: this one.
FORMAT = 2
REQUIRED = {"stage", "settings", "weights"}


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
    if not path.is_dir():
        return path
    files = [folder / name for name in ("best.pt", "last.pt") for folder in (path, path / "checkpoints")]
    return next(filter(Path.is_file, files), files[0])


def load_checkpoint(
    path: Path, device: str | torch.device = "cpu", stage: str | None = None, flag: str = "--checkpoint"
) -> dict:
    """Read a checkpoint, of this stage if one is named, onto a device.

    Only tensors and plain Python values are accepted (`weights_only`), and the file's checksums must be right. Older
    formats are read as well: they hold the same, but for the number. UserError for any other file, and for none, with
    the way on: what to train, or with which `flag` to name an earlier run that is kept.
    """
    path = checkpoint_file(path)
    if not path.is_file():
        way_on = "train first: python train.py (or: python train.py --quick)"
        if stage in STAGES and flag == "--checkpoint":
            way_on += "; or take the one that comes with the course: --checkpoint pretrained"
        for folder in earlier_runs(path.parent, path.name)[-1:]:
            way_on = f"an earlier run is kept: {flag} {quoted(str(folder))} (or train: python train.py)"
        raise UserError(f"there is no checkpoint at {path}; {way_on}")
    try:
        with zipfile.ZipFile(path) as archive:  # torch.load does not look for a flipped bit
            if archive.testzip():
                raise zipfile.BadZipFile
        content = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # what a damaged file makes the reader stumble over can be anything
        raise UserError(f"{path} is damaged or not a checkpoint; train again or name another") from error
    if not isinstance(content, dict) or not REQUIRED <= content.keys():
        raise UserError(f"{path} was not written by this course's train.py; name another checkpoint")
    if content.get("format", 1) not in range(1, FORMAT + 1):
        raise UserError(f"{path} was written by a newer version of this course; update the course, or train again")
    if stage not in (None, content["stage"]):
        raise UserError(f"{path} holds a model of {content['stage']}, not of {stage}; run that folder's programs")
    return content
