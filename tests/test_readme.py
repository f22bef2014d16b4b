"""What the pages say holds: links lead somewhere, the workflow types the README's commands, the tree is complete."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest
from pages import PAGES, name_of, tables, without_fences, without_folded
from repository import FILES, SHARED

from shared.stages import ROOT, STAGES

pytestmark = pytest.mark.claims

README = (ROOT / "README.md").read_text(encoding="utf-8")
WORKFLOW = (ROOT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8")
CPU_BUILD = "python -m pip install torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu && "


# Links


def prose(text: str) -> str:
    """A page without its code."""
    return re.sub(r"`[^`\n]*`", "code", without_fences(text))


def links(text: str) -> list[str]:
    """The targets of a page's links and pictures."""
    return re.findall(r"\]\(([^()\s]+)\)", prose(text)) + re.findall(r'(?:href|src)="([^"]+)"', prose(text))


def anchors(text: str) -> set[str]:
    """The names by which GitHub reaches a page's headings: lower case, no signs, hyphens for spaces."""
    found, seen = set(), Counter()
    for heading in re.findall(r"^#+ (.+)$", without_fences(text), flags=re.MULTILINE):
        anchor = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        found.add(f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor)
        seen[anchor] += 1
    return found


def broken(page: Path) -> list[str]:
    """The relative links of a page that lead nowhere."""
    found = []
    for link in links(page.read_text(encoding="utf-8")):
        place, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", place):
            continue
        target = (page.parent / place).resolve() if place else page
        if not target.exists():
            found.append(link)
        elif anchor and target.suffix == ".md" and anchor not in anchors(target.read_text(encoding="utf-8")):
            found.append(link)
    return found


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_and_anchor_leads_somewhere(page):
    assert broken(page) == []


def test_a_link_that_leads_nowhere_is_seen(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# Twice\n## Twice\n## What's `new`?\n[a](#twice) [b](#twice-1) [c](#whats-new) ![d](page.md)\n"
        "[e](#thrice) [over\ntwo lines](gone.md#twice) [f](https://example.org/gone)\n```\n# Code\n[g](gone)\n```\n"
        "[h](#code)",
        encoding="utf-8",
    )
    assert broken(page) == ["#thrice", "gone.md#twice", "#code"]


def names(path: Path) -> set[str]:
    """What a Python file defines at its top or in a class, as `name`, `Class` or `Class.name`."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        found |= defined(node)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{name}" for part in node.body for name in defined(part)}
    return found


def defined(node: ast.stmt) -> set[str]:
    """The names that a statement defines."""
    if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
        return {node.name}
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}


def misnamed(page: Path) -> list[str]:
    """A page's links into code whose text is a name that the file does not have, or that count lines."""
    found = []
    text = without_fences(page.read_text(encoding="utf-8"))
    for name, link in re.findall(r"\[`([^`\n]+)`\]\(([^()\s]+\.py(?:#[^()\s]*)?)\)", text):
        place, line, _ = link.partition("#")
        spoken = re.fullmatch(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)?)(?:\(.*\))?", name)
        if line or (spoken and not name.endswith(".py") and spoken[1] not in names(page.parent / place)):
            found.append(f"{name}: {link}")
    return found


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_into_code_are_by_names_that_the_file_has(page):
    assert misnamed(page) == []


def test_a_link_to_a_name_that_is_gone_or_to_a_line_is_seen(tmp_path):
    (tmp_path / "code.py").write_text("LIMIT = 3\n\n\nclass Cell:\n    def step(self): pass\n", encoding="utf-8")
    page = tmp_path / "page.md"
    page.write_text(
        "[`Cell`](code.py) [`Cell.step`](code.py) [`LIMIT`](code.py) [`code.py`](code.py) [`step()`](code.py)"
        "[`Cell.stop`](code.py) [`code.py`](code.py#L3)",
        encoding="utf-8",
    )
    assert misnamed(page) == ["step(): code.py", "Cell.stop: code.py", "code.py: code.py#L3"]


# Length, pictures


def test_the_front_page_can_be_read_in_one_sitting():
    assert len(without_folded(README).split()) <= 1500


CONTRIBUTING = (ROOT / ".github" / "CONTRIBUTING.md").read_text(encoding="utf-8")
PICTURES = sorted(path for path in FILES if path.suffix == ".png")


def drawn_by() -> dict[str, str]:
    """Every picture that CONTRIBUTING.md names -> the command that draws it."""
    (table,) = [table for table in tables(CONTRIBUTING) if table[0][0] == "picture"]
    return {name: row[-1] for row in table[1:] for name in re.findall(r"`([^`]+)`", row[0])}


def test_every_picture_has_its_command_and_a_place_in_a_page():
    assert sorted(drawn_by()) == [name_of(path) for path in PICTURES]
    assert all(re.search(r"`python [^`]+`", command) for command in drawn_by().values())
    shown = {(page.parent / link).resolve() for page in PAGES for link in links(page.read_text(encoding="utf-8"))}
    assert [name_of(path) for path in PICTURES if path not in shown] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_picture_says_in_words_what_it_shows(page):
    text = without_fences(page.read_text(encoding="utf-8"))
    told = re.findall(r"!\[([^\]]*)\]\([^)]+\)", text)
    told += [(re.findall(r'alt="([^"]+)"', tag) or [""])[0] for tag in re.findall(r"<img [^>]*>", text)]
    assert all(len(words.split()) >= 3 for words in told), told


# Commands


def commands() -> list[str]:
    """The front page's blocks of code that make or use the environment: set-up on three systems, tests on two."""
    blocks = re.findall(r"^```(?:sh|powershell)\n(.*?)\n```$", README, flags=re.MULTILINE | re.DOTALL)
    return [block for block in blocks if ".venv" in block]


def test_two_commands_do_all_the_set_up_on_each_system():
    linux, macos, windows, tests, tests_on_windows = commands()
    assert CPU_BUILD in linux and linux.replace(CPU_BUILD, "") == macos
    assert all("\n" not in command for command in commands())
    assert all("--quick" in command and "generate.py" in command for command in (linux, macos, windows))
    assert all("tests" in command and "-m pytest" in command for command in (tests, tests_on_windows))


def test_the_cpu_build_is_of_the_version_that_is_required():
    assert re.search(r"torch==\S+", CPU_BUILD)[0] in (ROOT / "requirements.txt").read_text(encoding="utf-8").split()


def test_the_windows_commands_stop_at_a_failure_and_use_the_environments_python():
    for command in (commands()[2], commands()[4]):
        assert "&&" not in command  # PowerShell 5 does not know it
        steps = re.split(r"[;{}]", command.replace("if ($?)", "then"))
        calls = [step.split()[0] for step in steps if step.split() and step.split()[0] not in ("then", "cd")]
        assert all(call.endswith(r".venv\Scripts\python.exe") for call in calls if call != "py")
        assert calls.count("py") == command.startswith("py ") and command.count("if ($?)") == len(calls) - 1


def test_the_workflow_types_the_commands_of_the_front_page():
    typed = [line.strip() for line in WORKFLOW.splitlines()]
    assert [typed.count(command) for command in commands()] == [1] * 5
    assert any(line.endswith("bash .ci/run") for line in typed)


def test_the_workflow_takes_the_pythons_that_the_front_page_names():
    oldest, newest = re.search(r"Python (3\.\d+) to (3\.\d+)", README).groups()
    assert f'python: ["{oldest}", "{newest}"]' in WORKFLOW
    target = re.search(r'target-version = "py3(\d+)"', (ROOT / ".ruff.toml").read_text(encoding="utf-8"))[1]
    assert oldest == f"3.{target}"


# What is where


def tree() -> dict[str, str]:
    """The paths that the front page's tree names, each with what it says of it."""
    block = re.search(r"^```\n(README\.md .*?)\n```$", README, flags=re.MULTILINE | re.DOTALL)[1]
    paths, folders = {}, []
    for line in block.splitlines():
        name, _, told = line.strip().partition(" ")
        depth = (len(line) - len(line.lstrip())) // 2
        folders[depth:] = [name]
        paths["".join(part for part in folders[:depth] if part.endswith("/")) + name] = told.strip()
    return paths


def test_the_tree_names_what_there_is():
    for path in tree():
        assert list(ROOT.glob(path)), path


def test_the_tree_names_every_module_of_shared():
    named = set(tree())
    packages = {name_of(path.parent) + "/" for path in SHARED if path.name == "__main__.py"}
    modules = {name_of(path) for path in SHARED if path.name != "__init__.py"}
    modules = {path for path in modules if not path.startswith(tuple(packages))} | packages
    assert modules <= named
    assert {f"{stage}/" for stage in STAGES} <= named


def test_the_version_is_told_once_and_cited_as_it_is():
    assert re.findall(r"[Vv]ersion (\d+\.\d+)", README) == re.findall(r"version = \{(.*)\}", README)
