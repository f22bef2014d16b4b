"""What keeps the course readable: imports run one way, files stay short, and nothing tells of one person's machine."""

import ast
import fnmatch
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from shared.stages import ROOT, STAGES

TEXT_KINDS = {".py", ".md", ".txt", ".csv", ".json", ".jsonl", ".html", ".ini", ".toml", ".sh", ""}
EMOJI = re.compile("[\U0001f000-\U0001faff\u2600-\u26ff\u2705\u2728\u274c\u2764\u2b50\ufe0f]")
# Joined here, so that this file does not contain what it looks for.
MACHINE_PATH = re.compile(r"(?<![\w.~-])/(?:" + "|".join(["work", "tmp", "root", "home", "Users"]) + r")/")


def repository_files() -> list[Path]:
    """Every file that belongs to the repository, by git or, in a copy without it, by walking and .gitignore."""
    if shutil.which("git") and (ROOT / ".git").exists():
        command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
        names = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode("utf-8").split("\0")
        return [ROOT / name for name in names if name and (ROOT / name).is_file()]
    ignored = [line.strip("/") for line in (ROOT / ".gitignore").read_text(encoding="utf-8").split()] + [".git"]
    return [path for path in ROOT.rglob("*") if path.is_file() and not is_ignored(path.relative_to(ROOT), ignored)]


def is_ignored(path: Path, patterns: list[str]) -> bool:
    names = [*path.parts, *(parent.as_posix() for parent in path.parents)]
    return any(fnmatch.fnmatch(name, pattern) for name in names for pattern in patterns)


FILES = repository_files()
SHARED = [path for path in FILES if path.is_relative_to(ROOT / "shared") and path.suffix == ".py"]


def of(name: str) -> list[Path]:
    """The modules of one of shared's packages."""
    return [path for path in SHARED if path.is_relative_to(ROOT / "shared" / name)]


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


@pytest.mark.parametrize(
    "package, never",
    [("text", ["model", "run", "show"]), ("model", ["text", "run", "show"]), ("show", ["text", "model", "run"])],
)
def test_text_model_and_show_know_nothing_of_each_other_or_of_run(package, never):
    assert importers(of(package), *(f"shared.{name}" for name in never)) == set()


def test_a_wrong_import_would_be_seen(tmp_path):
    (tmp_path / "wrong.py").write_text("def late():\n    from shared import run\n", encoding="utf-8")
    assert "shared.run" in imports(tmp_path / "wrong.py")
    assert importers([ROOT / "shared" / "run" / "training.py"], "shared.run")


def test_packages_never_import_the_commands_that_stand_on_them():
    commands = {f"shared.{path.stem}" for path in SHARED if path.parent == ROOT / "shared"}
    commands -= {"shared.__init__", "shared.errors", "shared.stages"}
    assert importers(of("text") + of("model") + of("run") + of("show"), *commands) == set()


def test_only_stages_names_the_stages():
    naming = {path.name for path in SHARED if any(stage in text for text in strings(path) for stage in STAGES)}
    assert naming == {"stages.py"}


@pytest.mark.parametrize("stage", STAGES)
def test_a_model_imports_torch_and_shared_and_no_other_stage(stage):
    roots = {name.partition(".")[0] for name in imports(ROOT / stage / "model.py")}
    assert roots <= {"torch", "shared"} | sys.stdlib_module_names


# Files


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


def test_no_emoji_stands_in_the_prose():
    prose = [path for path in FILES if path.suffix == ".md"]
    assert [path for path in prose if EMOJI.search(path.read_text(encoding="utf-8"))] == []


def test_only_the_test_of_downloading_speaks_http():
    programs = [path for path in FILES if path.suffix == ".py"]
    speaking = importers(programs, "requests", "urllib", "http", "socket")
    assert speaking <= {"shared/text/download.py", "tests/test_download.py"}
