"""What the pages say holds: links lead somewhere, the workflow types the README's commands, the tree is complete."""

import re
from collections import Counter
from pathlib import Path

import pytest
from repository import FILES, SHARED

from shared.stages import ROOT, STAGES

pytestmark = pytest.mark.claims

PAGES = sorted(path for path in FILES if path.suffix == ".md")
README = (ROOT / "README.md").read_text(encoding="utf-8")
WORKFLOW = (ROOT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8")
CPU_BUILD = "python -m pip install torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu && "


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


# Links


def prose(text: str) -> str:
    """A page without its code."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]*`", "code", text)


def links(text: str) -> list[str]:
    """The targets of a page's links and pictures."""
    return re.findall(r"\]\(([^()\s]+)\)", prose(text)) + re.findall(r'(?:href|src)="([^"]+)"', prose(text))


def anchors(text: str) -> set[str]:
    """The names by which GitHub reaches a page's headings: lower case, no signs, hyphens for spaces."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    found, seen = set(), Counter()
    for heading in re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE):
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


def test_the_front_page_can_be_read_in_one_sitting():
    assert len(re.sub(r"<details>.*?</details>", "", README, flags=re.DOTALL).split()) <= 1500


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
