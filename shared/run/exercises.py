"""What every exercises/check.py calls: try the functions that the learner wrote, and say of each what is wrong."""

import shutil
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor

from shared.errors import UserError
from shared.run.flags import exercise_flags
from shared.stages import load_module


class Wrong(Exception):
    """An answer that is not right. The message says what was tried and what came out."""


def expect(holds: bool, otherwise: str) -> None:
    """Raise Wrong, with the message `otherwise`, unless the condition holds."""
    if not holds:
        raise Wrong(otherwise)


def expect_shape(answer: Tensor, shape: tuple[int, ...], what: str) -> None:
    """Raise Wrong unless the answer is a tensor of this shape; `what` names what was tried."""
    expect(isinstance(answer, Tensor), f"{what}: a tensor is expected, and not {type(answer).__name__}")
    expect(tuple(answer.shape) == shape, f"{what}: shape {shape} is expected, and not {tuple(answer.shape)}")


def expect_close(answer: Tensor, wanted: Tensor, what: str, tolerance: float = 1e-4) -> None:
    """Raise Wrong unless the answer has the wanted shape and its numbers differ by at most `tolerance`."""
    expect_shape(answer, tuple(wanted.shape), what)
    kinds = wanted.dtype, answer.dtype
    expect((kinds[0] == torch.bool) == (kinds[1] == torch.bool), f"{what}: {kinds[0]} is expected, and not {kinds[1]}")
    far = ~torch.isclose(answer.double(), wanted.double(), rtol=0, atol=tolerance)
    if far.any():
        place = tuple(far.nonzero()[0].tolist())  # the first one
        found = f"{wanted[place].item():.4g} is expected, and not {answer[place].item():.4g}"
        raise Wrong(f"{what}: {found}" + (f", at {list(place)}" if place else ""))


def name_of(check: Callable) -> str:
    """The name of the function that a check tries: check_step tries step."""
    return check.__name__.removeprefix("check_")


def verdict(check: Callable[[Callable], None], answers: ModuleType) -> str:
    """What the check finds of the function that it is named for: right, not written yet, or what is wrong."""
    function = getattr(answers, name_of(check), None)
    if not callable(function):
        return "wrong. There is no function of this name any more"
    try:
        check(function)
    except Wrong as wrong:
        return f"wrong. {wrong}"
    except (Exception, SystemExit) as error:  # whatever the learner's function may raise
        if isinstance(error, NotImplementedError) and not error.args:  # PyTorch raises some too, with a text
            return "not written yet"
        unclear = "it cannot be called so, or what it returns cannot be used: "
        return f"wrong. {line_of(error, answers.__file__) or unclear}{told(error)}"
    return "right"


def line_of(error: BaseException, file: str) -> str:
    """The line of this file that raised the error, or nothing if it was none."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f"line {lines[-1]}: " if lines else ""


def told(error: BaseException) -> str:
    """The error's kind and the first line of what it says."""
    return f"{type(error).__name__}: {error}".splitlines()[0]


def load_answers(path: Path) -> ModuleType:
    """The file with the functions to check; UserError where Python cannot run it."""
    try:
        return load_module(path)
    except (Exception, SystemExit) as error:
        raise UserError(f"{path.name} cannot be run: {line_of(error, str(path))}{told(error)}")


def make_answers(folder: Path) -> Path:
    """The learner's file, answers.py; a copy of exercises.py where there is none yet."""
    path = folder / "answers.py"
    if not path.exists():
        try:
            shutil.copyfile(folder / "exercises.py", path)
        except OSError as error:
            raise UserError(f"cannot make {path}: {error.strerror}")
        print(f"made {path.name}, a copy of exercises.py: write your functions there")
    return path


def main(check_file: str, *checks: Callable[[Callable], None]) -> None:
    """Try all exercises of a folder and print a line for each. Exit status 1 unless all are right.

    check_file: the check.py that calls. checks: one for each exercise; check_step is given the learner's `step`, and
    raises Wrong (by `expect` and the like) unless it does what it should.
    """
    folder = Path(check_file).resolve().parent
    path = folder / "solutions.py" if exercise_flags().solutions else make_answers(folder)
    answers = load_answers(path)
    verdicts = []
    for number, check in enumerate(checks, start=1):
        verdicts.append(verdict(check, answers))
        print(f"{number} {name_of(check)}: {verdicts[-1]}", flush=True)
    right = verdicts.count("right")
    print(f"{right} of {len(verdicts)} right in {path.name}")
    if right < len(verdicts):
        raise SystemExit(1)
