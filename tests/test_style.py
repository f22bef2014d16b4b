"""What keeps the course readable: imports run one way, functions stay short, nothing tells of one person's machine."""

import ast
import re
import sys
from pathlib import Path

import pytest
from repository import FILES, SHARED

from shared.stages import ROOT, STAGES

TEXT_KINDS = {".py", ".md", ".txt", ".csv", ".json", ".jsonl", ".html", ".ini", ".toml", ".sh", ""}
EMOJI = re.compile("[\U0001f000-\U0001faff\u2600-\u26ff\u2705\u2728\u274c\u2764\u2b50\ufe0f]")
LONGEST_FUNCTION = 40  # lines
# Joined here, so that this file does not contain what it looks for.
MACHINE_PATH = re.compile(r"(?<![\w.~-])/(?:" + "|".join(["work", "tmp", "root", "home", "Users"]) + r")/")


def of(name: str) -> list[Path]:
    """The modules of one of shared's packages, or the one module of that name."""
    return [path for path in SHARED if path.relative_to(ROOT / "shared").parts[0] in (name, f"{name}.py")]


def imports(path: Path) -> set[str]:
    """The full names of all modules that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def importers(paths: list[Path], *modules: str) -> set[str]:
    """Those of the files that import one of the modules, or something below it."""
    below = tuple(module + "." for module in modules)
    return {
        path.relative_to(ROOT).as_posix()
        for path in paths
        if any(name in modules or name.startswith(below) for name in imports(path))
    }


def strings(path: Path) -> list[str]:
    """All strings in a file's code; docstrings are not among them."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in prose]
    return [node.value for node in constants if isinstance(node.value, str)]


def test_there_is_something_to_check():
    assert {ROOT / "requirements.txt", ROOT / "shared" / "errors.py", Path(__file__).resolve()} <= set(FILES)
    assert all(of(name) for name in ("text", "model", "run", "show"))
    assert not any("checkpoints" in path.parts or "__pycache__" in path.parts for path in FILES)


# Imports run one way


# A floor of the house -> what it may import of shared. Whatever is not named here is a command, and may import all.
FLOORS = {
    "errors": set(),
    "files": {"errors"},
    "stages": set(),
    "schema": set(),
    "text": {"errors", "files", "schema"},
    "model": {"errors"},
    "measure": {"errors", "text", "model"},
    "show": {"errors", "files"},
    "run": {"errors", "files", "stages", "schema", "text", "model", "measure", "show"},
}
PARTS = {path.relative_to(ROOT / "shared").parts[0].removesuffix(".py") for path in SHARED} - {"__init__"}
COMMANDS = sorted(PARTS - set(FLOORS))


def parts_imported(paths: list[Path]) -> set[str]:
    """The parts of shared that some files import: "text" for shared.text.corpus."""
    names = {name for path in paths for name in imports(path)}
    return {name.split(".")[1] for name in names if name.startswith("shared.")} & PARTS


@pytest.mark.parametrize("floor", FLOORS)
def test_a_floor_imports_only_what_lies_below_it(floor):
    assert parts_imported(of(floor)) <= FLOORS[floor] | {floor}


def test_no_floor_stands_on_one_that_stands_on_it():
    """The table of floors itself allows no circle: in its order, each names only what came before."""
    seen = set()
    for floor, below in FLOORS.items():
        assert below <= seen
        seen.add(floor)


def test_commands_import_each_other_in_no_circle():
    used = {command: parts_imported(of(command)) & set(COMMANDS) - {command} for command in COMMANDS}
    while free := [command for command in used if not used[command]]:
        used = {command: others - set(free) for command, others in used.items() if command not in free}
    assert used == {}


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_no_floor_can_be_run(command):
    """Every other part of shared is a command, and says how to type it: python -m shared.NAME"""
    main = next(path for path in of(command) if path.stem in ("__main__", command))
    text = main.read_text(encoding="utf-8")
    assert f"python -m shared.{command}" in text and '__name__ == "__main__"' in text


def test_a_wrong_import_would_be_seen(tmp_path):
    (tmp_path / "wrong.py").write_text("def late():\n    from shared import run\n", encoding="utf-8")
    assert "shared.run" in imports(tmp_path / "wrong.py")
    assert parts_imported([tmp_path / "wrong.py"]) == {"run"}
    assert importers([ROOT / "shared" / "run" / "training.py"], "shared.run")


def test_only_stages_names_the_stages():
    naming = {path.name for path in SHARED if any(stage in text for text in strings(path) for stage in STAGES)}
    assert naming == {"stages.py"}


@pytest.mark.parametrize("stage", STAGES)
def test_a_model_imports_torch_and_shared_and_no_other_stage(stage):
    roots = {name.partition(".")[0] for name in imports(ROOT / stage / "model.py")}
    assert roots <= {"torch", "shared"} | sys.stdlib_module_names


# Files and functions


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """All functions and methods of a file, those inside others as well."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]


def lines_without_docstring(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """From the line with `def` to the last one."""
    first = function.body[0]
    prose = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    return function.end_lineno - function.lineno + 1 - prose * (first.end_lineno - first.lineno + 1)


def test_no_function_is_longer_than_a_screen():
    """Comments count, so the cure for a long function is a second one, whose name says what the lines do."""
    programs = [path for path in FILES if path.suffix == ".py" and path.parent != ROOT / "tests"]
    lengths = {
        f"{path.relative_to(ROOT).as_posix()}: {function.name}": lines_without_docstring(function)
        for path in programs
        for function in functions(path)
    }
    assert {name: length for name, length in lengths.items() if length > LONGEST_FUNCTION} == {}


def test_a_functions_length_is_counted_without_its_docstring(tmp_path):
    lines = ["def f():", '    """One.', "", "    Two.", '    """', "    # why", "    return 1"]
    (tmp_path / "module.py").write_text("\n".join(lines), encoding="utf-8")
    assert [lines_without_docstring(function) for function in functions(tmp_path / "module.py")] == [3]


def test_markdown_tables_are_written_in_one_place():
    """A second writer would align, escape or join in its own way."""
    programs = [path for path in FILES if path.suffix == ".py" and path.parent != ROOT / "tests"]
    writing = {path.relative_to(ROOT).as_posix() for path in programs if {"---:", " | "} & set(strings(path))}
    assert writing == {"shared/show/tables.py"}


def test_every_module_says_in_its_first_line_what_it_is_for():
    modules = [path for path in FILES if path.suffix == ".py" and path.name != "__init__.py"]
    silent = [path for path in modules if not path.read_text(encoding="utf-8").startswith(('"""', 'r"""'))]
    assert silent == []


# Nothing of one person's machine


def test_no_file_contains_a_path_of_somebodys_machine():
    texts = [path for path in FILES if path.suffix in TEXT_KINDS and path.parent != ROOT / "tests"]
    telling = [path for path in texts if MACHINE_PATH.search(path.read_text(encoding="utf-8"))]
    assert telling == []


@pytest.mark.parametrize("text, told", [("see /{}/x", True), ("a/{}/b", False), ("~/{}/b", False), ("'/{}/", True)])
def test_a_path_of_somebodys_machine_is_told_from_a_relative_one(text, told):
    assert bool(MACHINE_PATH.search(text.format("tmp"))) == told


def test_every_system_can_hold_every_file():
    """Windows and macOS take a.txt and A.txt for one file; Windows refuses some names, and long paths."""
    names = [path.relative_to(ROOT).as_posix() for path in FILES]
    assert len({name.casefold() for name in names}) == len(names)
    refused = re.compile(r"""[<>:"|?*\\]|[. ](/|$)|(^|/)(con|prn|aux|nul|com\d|lpt\d)(\.|/|$)""", re.IGNORECASE)
    assert [name for name in names if refused.search(name) or len(name) > 180] == []


def test_no_emoji_stands_in_the_prose():
    prose = [path for path in FILES if path.suffix == ".md"]
    assert [path for path in prose if EMOJI.search(path.read_text(encoding="utf-8"))] == []


def test_only_the_test_of_downloading_speaks_http():
    programs = [path for path in FILES if path.suffix == ".py"]
    speaking = importers(programs, "requests", "urllib", "http", "socket")
    assert speaking <= {"shared/text/download.py", "tests/test_download.py"}
