"""Checkpoints: written whole or not at all, loaded without running anybody's code."""

import os
import pickle
import zipfile
from pathlib import Path

import torch

from shared.errors import UserError


def save_checkpoint(path: Path, content: dict) -> None:
    """Write next to the goal, then rename: a crash or a full disk leaves the older checkpoint as it was."""
    temporary = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:  # torch.save reports a full disk as a RuntimeError
        temporary.unlink(missing_ok=True)
        raise UserError(f"could not write {path}: {error}; make room or choose another --out-dir") from error


def load_checkpoint(path: Path, device: str | torch.device = "cpu") -> dict:
    """Read a checkpoint onto a device. Only tensors and plain Python values are accepted (`weights_only`)."""
    if not path.is_file():
        raise UserError(f"there is no checkpoint at {path}; train first: python train.py (or: python train.py --quick)")
    try:
        content = torch.load(path, map_location=device, weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile, ValueError, KeyError, OSError) as error:
        raise UserError(f"{path} is damaged or not a checkpoint; train again or name another --checkpoint") from error
    if not isinstance(content, dict) or not {"stage", "settings", "weights"} <= content.keys():
        raise UserError(f"{path} was not written by this course's train.py; name another --checkpoint")
    return content
