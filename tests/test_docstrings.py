"""Every example (`>>>`) in a docstring is run, and gives what stands below it."""

import doctest
import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest

from shared.stages import ROOT, STAGES

FOLDERS = [ROOT / name for name in ("shared", "data", *STAGES)]
WITH_EXAMPLES = [
    path
    for folder in FOLDERS
    for path in sorted(folder.rglob("*.py"))
    if path.name != "answers.py" and ">>> " in path.read_text(encoding="utf-8")
]


@contextmanager
def loaded(path: Path) -> Iterator[ModuleType]:
    """The module of a file of shared/, by its full name; else by its plain name, as its neighbours import it.

    Several folders have a model.py. So the plain names hold only inside the block, and whoever had them before gets
    them back.
    """
    if path.is_relative_to(ROOT / "shared"):
        yield importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
        return
    names = [neighbour.stem for neighbour in path.parent.glob("*.py")]
    before = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    search = sys.path.copy()
    sys.path.insert(0, str(path.parent))
    try:
        yield importlib.import_module(path.stem)
    finally:
        sys.path[:] = search
        for name in names:
            sys.modules.pop(name, None)
        sys.modules.update(before)


def test_there_are_examples():
    assert len(WITH_EXAMPLES) > 5


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_example_gives_what_stands_below_it(path):
    with loaded(path) as module:
        result = doctest.testmod(module)
    # doctest passes over functions inside functions, in silence; so what it has run is counted.
    assert result.attempted == path.read_text(encoding="utf-8").count(">>> ")
    assert result.failed == 0


def test_a_wrong_example_is_found(tmp_path, capsys):
    (tmp_path / "wrong.py").write_text('"""\n>>> 1 + 1\n3\n"""\n', encoding="utf-8")
    with loaded(tmp_path / "wrong.py") as module:
        assert doctest.testmod(module).failed == 1
    assert "wrong" not in sys.modules and str(tmp_path) not in sys.path
