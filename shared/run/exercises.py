"""What every exercises/check.py calls: try the functions that the learner wrote, and say of each what is wrong."""

import shutil
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor

from shared.errors import UserError
from shared.files import why
from shared.run.flags import exercise_flags
from shared.stages import load_module


class Wrong(Exception):
    """An answer that is not right. The message says what was tried and what came out; a hint, if any, where to look."""

    def __init__(self, message: str, hint: str = ""):
        super().__init__(f"{message}\n  {hint}" if hint else message)


def expect(holds: bool, otherwise: str, hint: str = "") -> None:
    """Raise Wrong, with the message `otherwise` and the hint, unless the condition holds."""
    if not holds:
        raise Wrong(otherwise, hint)


def expect_shape(answer: Tensor, shape: tuple[int, ...], what: str, hint: str = "") -> None:
    """Raise Wrong unless the answer is a tensor of this shape; `what` names what was tried."""
    hint = "Is the return missing?" if answer is None else hint
    expect(isinstance(answer, Tensor), f"{what}: a tensor is expected, and not {type(answer).__name__}", hint)
    expect(tuple(answer.shape) == shape, f"{what}: shape {shape} is expected, and not {tuple(answer.shape)}", hint)


def is_near(answer: Tensor, value: Tensor, tolerance: float) -> Tensor:
    """Which numbers of two tensors of one shape differ by at most `tolerance`. NaN is near NaN."""
    return torch.isclose(answer.double(), value.double(), rtol=0, atol=tolerance, equal_nan=True)


def expect_close(
    answer: Tensor,
    wanted: Tensor,
    what: str,
    tolerance: float = 1e-4,
    hint: str = "",
    mistakes: Mapping[str, Tensor] | None = None,
) -> None:
    """Raise Wrong unless the answer has the wanted shape and its numbers differ by at most `tolerance`.

    hint: where to look if the answer is wrong. mistakes: a better hint -> what comes out if this mistake is made. It
    is told only where the answer is that, so a cause that is named is a cause that fits.
    """
    for cause, value in (mistakes or {}).items():
        if isinstance(answer, Tensor) and answer.shape == value.shape and is_near(answer, value, tolerance).all():
            hint = cause
            break
    expect_shape(answer, tuple(wanted.shape), what, hint)
    kinds = wanted.dtype, answer.dtype
    boolean = [kind == torch.bool for kind in kinds]
    expect(boolean[0] == boolean[1], f"{what}: {kinds[0]} is expected, and not {kinds[1]}", hint)
    far = ~is_near(answer, wanted, tolerance)
    if far.any():
        place = tuple(far.nonzero()[0].tolist())  # the first one
        found = f"{wanted[place].item():.4g} is expected, and not {answer[place].item():.4g}"
        raise Wrong(f"{what}: {found}" + (f", at {list(place)}" if place else ""), hint)


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
            raise UserError(f"cannot make {path}: {why(error)}")
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
