"""What every exercises/check.py calls: try the functions that the learner wrote, and say of each what is wrong."""

import shutil
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor

from shared.errors import UserError
from shared.run.cli import ArgumentParser
from shared.stages import load_module


class Wrong(Exception):
    """An answer that is not right. The message says what was tried and what came out."""


def expect(holds: bool, otherwise: str) -> None:
    """Wrong, with the message `otherwise`, unless the condition holds."""
    if not holds:
        raise Wrong(otherwise)


def expect_shape(answer: Tensor, shape: tuple[int, ...], what: str) -> None:
    """Wrong unless the answer is a tensor of this shape."""
    expect(isinstance(answer, Tensor), f"{what}: a tensor is expected, and not {type(answer).__name__}")
    expect(tuple(answer.shape) == shape, f"{what}: shape {shape} is expected, and not {tuple(answer.shape)}")


def expect_close(answer: Tensor, wanted: Tensor, what: str, tolerance: float = 1e-4) -> None:
    """Wrong unless the answer is a tensor of the wanted shape whose numbers differ by at most `tolerance`."""
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
    try:
        check(getattr(answers, name_of(check)))
    except NotImplementedError:
        return "not written yet"
    except Wrong as wrong:
        return f"wrong. {wrong}"
    except Exception as error:  # whatever the learner's function may raise
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == answers.__file__]
        where = f"line {lines[-1]}" if lines else "what it returns cannot be used"
        return f"wrong. {where}: {one_line(error)}"
    return "right"


def one_line(error: Exception) -> str:
    """An error as Python names it, without what follows in further lines."""
    return traceback.format_exception_only(error)[0].splitlines()[0]


def load_answers(path: Path) -> ModuleType:
    """The file with the functions to check; UserError where Python cannot run it."""
    try:
        return load_module(path)
    except SyntaxError as error:
        raise UserError(f"{path.name}, line {error.lineno}: {error.msg}")
    except Exception as error:
        raise UserError(f"{path.name} cannot be imported: {one_line(error)}")


def main(check_file: str, *checks: Callable[[Callable], None]) -> None:
    """Try all exercises of a folder and print a line for each. Exit status 1 unless all are right."""
    parser = ArgumentParser(description="Check what you wrote in answers.py, which is yours: git does not see it.")
    parser.add_argument("--solutions", action="store_true", help="check solutions.py instead")
    name = "solutions.py" if parser.parse_args().solutions else "answers.py"
    folder = Path(check_file).resolve().parent
    if not (folder / name).exists():
        shutil.copyfile(folder / "exercises.py", folder / name)
        print(f"made {name}, a copy of exercises.py: write your functions there")
    answers = load_answers(folder / name)
    verdicts = []
    for number, check in enumerate(checks, start=1):
        verdicts.append(verdict(check, answers))
        print(f"{number} {name_of(check)}: {verdicts[-1]}", flush=True)
    right = verdicts.count("right")
    print(f"{right} of {len(verdicts)} right in {name}")
    if right < len(verdicts):
        raise SystemExit(1)
