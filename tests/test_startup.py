"""Commands begin quickly and quietly: --help needs no large package, and Ctrl-C ends them at any moment."""

import re

import pytest
from repository import FILES
from terminal import started

from shared.stages import ROOT

STAGE_1 = ROOT / "model-01-rnn"
# Folder and program of every command of the course.
BEGINS = re.compile(r"^ +(?:run_main|train_stage|generate_stage)\(", re.MULTILINE)
PROGRAMS = [
    path
    for path in FILES
    if path.suffix == ".py" and not {"run", "tests"} & set(path.parts) and BEGINS.search(path.read_text("utf-8"))
]
COMMANDS = {
    (ROOT, "-m " + ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__"))
    if path.is_relative_to(ROOT / "shared")
    else (path.parent, path.name)
    for path in PROGRAMS
}
named = pytest.mark.parametrize("folder, program", sorted(COMMANDS), ids=lambda part: getattr(part, "name", part))


def test_there_are_commands_of_every_kind():
    names = {program for _, program in COMMANDS}
    assert {"train.py", "generate.py", "check.py", "prepare.py", "-m shared.compare", "-m shared.ngram"} <= names


@named
def test_help_imports_neither_pytorch_nor_numpy_nor_matplotlib(folder, program, tmp_path):
    for name in ("torch", "numpy", "matplotlib"):
        (tmp_path / f"{name}.py").write_text(f"raise AssertionError('imported {name}')\n", encoding="utf-8")
    shown = started(folder, f"python {program} --help", PYTHONPATH=str(tmp_path))
    assert shown.out.startswith("usage: ") and shown.err == ""
    assert max(map(len, shown.out.splitlines())) <= 80
    assert re.search(r"^(example:|   ) python ", shown.out, re.MULTILINE), "there is an example"


@pytest.mark.parametrize("columns", [60, 40, 10])
def test_help_fits_a_narrow_terminal_as_far_as_its_words_do(columns):
    shown = started(STAGE_1, "python train.py --help", COLUMNS=str(columns)).out
    assert columns < 60 or max(map(len, shown.splitlines())) <= columns


@pytest.mark.parametrize("folder, program", [(STAGE_1, "train.py"), (ROOT, "-m shared.compare")])
def test_a_wrong_flag_is_answered_before_a_large_package_is_imported(folder, program, tmp_path):
    (tmp_path / "torch.py").write_text("raise AssertionError\n", encoding="utf-8")
    shown = started(folder, f"python {program} --no-such-flag", code=2, PYTHONPATH=str(tmp_path))
    assert shown.out == "" and shown.err.count("\n") == 1


# Ctrl-C

INTERRUPTED = """
import signal
import sys


class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            print("interrupted", file=sys.stderr)
            sys.meta_path.remove(self)
            signal.raise_signal(signal.SIGINT)


sys.meta_path.insert(0, Interrupt())
"""


@pytest.mark.parametrize("module", ["argparse", "tqdm", "torch", "numpy", "torch.nn.functional", "shared.run.device"])
@pytest.mark.parametrize(
    "folder, program",
    [
        (ROOT / "model-01-rnn", "train.py"),
        (ROOT / "model-01-rnn", "generate.py"),
        (ROOT, "-m shared.ablate model-01-rnn"),
    ],
    ids=["train", "generate", "ablate"],
)
def test_ctrl_c_while_a_module_is_imported_ends_quietly(folder, program, module, tmp_path):
    """Also where the module is imported by code that takes an interruption for its own failure."""
    (tmp_path / "sitecustomize.py").write_text(INTERRUPTED.format(module=module), encoding="utf-8")
    shown = started(folder, f"python {program}", code=130, PYTHONPATH=str(tmp_path))
    assert (shown.out, shown.err) == ("", "interrupted\n")
