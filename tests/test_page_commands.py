"""Every command that a page tells its reader to type: known, in the right folder, and understood by its program.

`-m thorough` also runs them, page by page, in a copy of the course in which plays and trainings are short.
"""

import argparse
import csv
import importlib
import io
import os
import re
import shlex
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path

import pytest
from pages import PAGES, fences, name_of, without_fences
from terminal import copy_folder, new_program, typed

from shared.stages import LABS, ROOT, STAGES

SHELLS = ("sh", "powershell")
PYTHONS = ("python", "python3", "py", ".venv/bin/python", ".venv/Scripts/python.exe")
# What is no program of this course -> what of it a page may type.
OTHERS = {
    "python -m venv": ".venv",
    "python -m pip": r"install (-r \S+|torch==\S+ --index-url \S+|--require-hashes( -r tests/lock\S*\.txt)+)",
    "python -m pytest": r"|-n2 --dist=loadfile|-m (campaign|claims|gpu|thorough)|tests/\S+.*",
    ".": ".venv/bin/activate",
    "bash": r"\.ci/run",
    "ruff": r"check \.|format \.",
    "diff": r"\S+ \S+",
    "git": r"clone \S+",
}


# ------------------------------------------------------------------------------------------ a page's commands, in order


def folder_of(page: Path) -> Path:
    """Where a page's commands are to be typed: a chapter's in its folder, all others in the repository's root."""
    folder = page.parent
    return folder if name_of(folder) in (*STAGES, *LABS) else ROOT


def commands(block: str, folder: Path) -> list[tuple[Path, list[str]]]:
    """The commands of a block that is typed in `folder`: the folder in which each runs, and its words."""
    found, outside = [], []
    for line in block.replace("\\", "/").replace("if ($?)", "").splitlines():
        words = shlex.shlex(line, posix=True, punctuation_chars="();&|{}")
        words.whitespace_split, command = True, []
        for word in [*words, ";"]:
            if word not in ("(", ")", "{", "}", "};", ";", "&&"):
                command.append(word)
                continue
            if command[:1] == ["cd"]:
                folder = (folder / command[1]).resolve()
                assert folder.is_dir(), f"there is no folder {folder}"
            elif command:
                found.append((folder, plain(command, folder)))
            command = []
            if word == "(":
                outside.append(folder)
            elif word == ")":
                folder = outside.pop()
    return found


def plain(words: list[str], folder: Path) -> list[str]:
    """A command with `python` for whichever Python it names; AssertionError where that is not the environment's own."""
    program = Path(words[0])
    if ".venv" in program.parts and program.name.startswith("python"):
        named = Path(os.path.normpath(folder / program))  # not resolved: it is a link to the system's Python
        assert named.is_relative_to(ROOT / ".venv"), f"{words[0]} in {folder}"
        return ["python", *words[1:]]
    if words[0] == "torchrun":  # what several processes are to run, one runs as well
        assert re.fullmatch(r"--nproc-per-node=\d", words[1])
        return ["python", *words[2:]]
    return ["python", *words[1:]] if words[0] in PYTHONS else words


def program_of(words: list[str]) -> str:
    """What of a command names its program: `python train.py`, `python -m shared.compare`, `diff`."""
    if words[0] != "python":
        return words[0]
    return " ".join(words[: 3 if words[1] == "-m" else 2])


def is_ours(words: list[str]) -> bool:
    return program_of(words) not in OTHERS and re.fullmatch(r"python (\S+\.py|-m shared\.\S+)", program_of(words))


def complaint(folder: Path, words: list[str]) -> str:
    """What is wrong with a command; nothing where its program is there and knows its flags."""
    program = program_of(words)
    if program in OTHERS:
        rest = words[len(program.split()) :]
        files = [word for word in rest if word.endswith((".txt", ".py", "activate")) and ".venv" not in word]
        gone = [word for word in files if not (folder / word).is_file()]
        return "" if re.fullmatch(OTHERS[program], " ".join(rest)) and not gone else f"no such command: {words}"
    if not is_ours(words):
        return f"a command of unknown kind: {words}"
    if words[1] == "-m" and folder != ROOT:
        return f"{program} is typed in the root, not in {folder}"
    if words[1] != "-m" and not (folder / words[1]).is_file():
        return f"{folder} has no {words[1]}"
    return refusal(folder, tuple(words))


@cache
def refusal(folder: Path, words: tuple[str, ...]) -> str:
    """What a program of the course says of its flags before it does anything; nothing where it takes them."""
    told, root = io.StringIO(), str(ROOT)

    def stop(parse_flags):
        parse_flags()
        raise SystemExit(0)

    def parse_only(parser, *given, parse=argparse.ArgumentParser.parse_args):
        parse(parser, *given)
        raise SystemExit(0)

    with new_program(folder, list(words[1:]), "") as run, pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(root)
        patch.setattr(importlib.import_module("shared.run.cli"), "read_flags", stop)
        patch.setattr(argparse.ArgumentParser, "parse_args", parse_only)  # of the programs that have no flags but one
        with redirect_stdout(told), redirect_stderr(told):
            code = run()
    return "" if code == 0 else told.getvalue().strip()


@pytest.mark.claims
@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_of_a_page_is_understood(page):
    for fence in fences(page.read_text(encoding="utf-8")):
        if fence.language in SHELLS:
            found = commands(fence.body, folder_of(page))
            wrong = [text for folder, words in found if (text := complaint(folder, words))]
            assert not wrong, f"line {fence.line}: {wrong}"


@pytest.mark.claims
@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_says_of_what_language_it_is(page):
    known = {"", "text", "python", "pycon", "diff", "mermaid", "bibtex", *SHELLS}
    found = fences(page.read_text(encoding="utf-8"))
    assert {fence.language for fence in found} <= known
    untold = [
        fence.line for fence in found if not fence.language and re.search(r"^\$? ?(python|cd) ", fence.body, re.M)
    ]
    assert untold == []  # a command in a block that no test types


@pytest.mark.claims
@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_within_a_sentence_is_understood_somewhere(page):
    """A sentence may speak of another folder than the page's own: one of those that have the program has to take it."""
    places = dict.fromkeys([folder_of(page), page.parent, ROOT, *(ROOT / name for name in (*STAGES, *LABS))])
    places = [place / below for place in places for below in ("", "exercises") if (place / below).is_dir()]
    for line in re.findall(r"`(?:[A-Z_]+=\S+ )*(python [^`]+)`", without_fences(page.read_text(encoding="utf-8"))):
        words = shlex.split(line.replace("\n", " "))
        if words == ["python", "-m", "shared"]:  # how commands begin
            continue
        told = []
        for place in places:
            told.append(complaint(place, words))
            if not told[-1]:
                break
        assert not told[-1], f"{line}: {set(told)}"


@pytest.mark.claims
@pytest.mark.parametrize(
    "block",
    [
        "python train.py --max-step 3",
        "python train.py --cell gru",
        "cd exercises && python check.py --all",
        "cd nowhere",
        "python test.py",
        "python -m shared.compare",
        "cd .. && python -m shared.results keep",
        "../.venv/Scripts/python.exe train.py; if ($?) { .venv/Scripts/python.exe generate.py }",
        "cd ..\npython -m pip install -r requirement.txt",
        "rm -r checkpoints",
    ],
)
def test_a_command_that_does_not_work_where_the_page_says_is_found(block):
    with pytest.raises(AssertionError):
        found = commands(block, ROOT / "model-01-rnn")
        assert found and not any(complaint(folder, words) for folder, words in found)


@pytest.mark.claims
def test_a_lines_commands_are_taken_apart():
    line = '. .venv/bin/activate && (cd model-01-rnn && python train.py --data "a b") && python -m pytest  # all'
    first, second, third = commands(line, ROOT)
    assert first == (ROOT, [".", ".venv/bin/activate"]) and third == (ROOT, ["python", "-m", "pytest"])
    assert second == (ROOT / "model-01-rnn", ["python", "train.py", "--data", "a b"])


# ------------------------------------------------------------------------------------------------------- typed for real

TINY = "--max-steps 4 --eval-interval 2 --hidden-size 16 --batch-size 4 --device cpu".split()
# Program -> flags that are added, so that it is done in seconds.
SHORT = {
    "python train.py": TINY,
    "python generate.py": ["--max-new-tokens", "5"],
    "python -m shared.recall": ["--quick", "--max-steps", "2", "--task", "lag"],
}
# What is not run, though its flags are read -> why.
LEFT_OUT = {
    "etth1|--column OT": "a table that has to be downloaded",
    "plan.csv|coming.csv|FOLDER|FILE|PATH": "a file of the reader's own",
    "pretrained": "models of the whole plays, and these are short; tests/test_pretrained.py types it with small ones",
    "shared.results": "keeps and writes what the repository's own runs have given",
}
SIGNS_OF_A_PLAY = 6_000
# How much is measured, in the copy: file -> what stands there, and what shall.
LESS = {
    "shared/compare/measures.py": {
        "CONTEXT_TARGETS = 1000": "CONTEXT_TARGETS = 10",
        "POSITION_TOKENS = 32_768": "POSITION_TOKENS = 1024",
        "GRADIENT_TARGETS = 64": "GRADIENT_TARGETS = 2",
        "FAITHFUL_TOKENS = 65_536": "FAITHFUL_TOKENS = 1024",
        "FILLED, GENERATED = 512, 200": "FILLED, GENERATED = 64, 10",
    },
    "shared/recall/scores.py": {"CHOOSING_BATCHES, TEST_BATCHES = 4, 16": "CHOOSING_BATCHES, TEST_BATCHES = 1, 1"},
}


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A copy of the course with the beginnings of all plays, and in it a small model of every stage."""
    root = tmp_path_factory.mktemp("course")
    for name in (*STAGES, "shared", "data"):
        copy_folder(name, root, "*.json")
    for name, changes in LESS.items():
        code = (root / name).read_text(encoding="utf-8")
        for much, little in changes.items():
            assert code.count(much) == 1
            code = code.replace(much, little)
        (root / name).write_text(code, encoding="utf-8")
    text, rows, whole = "", [], (ROOT / "data" / "shakespeare.txt").read_text(encoding="utf-8")
    with (ROOT / "data" / "works.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            work = whole[int(row["start"]) : int(row["end"])]
            work = work[: work.rindex("\n\n", 0, SIGNS_OF_A_PLAY) + 1] if len(work) > SIGNS_OF_A_PLAY else work
            text += "\n" * bool(text)
            rows.append(row | {"start": len(text), "end": len(text) + len(work)})
            text += work
    (root / "data" / "shakespeare.txt").write_text(text, encoding="utf-8", newline="\n")
    with (root / "data" / "works.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    for stage in STAGES:
        typed(root / stage, shlex.join(["python", "train.py", *TINY]))
    return root


@pytest.mark.thorough
@pytest.mark.parametrize("page", [page for page in PAGES if "```sh" in page.read_text(encoding="utf-8")], ids=name_of)
def test_every_command_of_a_page_runs(page, course):
    found = []
    for fence in fences(page.read_text(encoding="utf-8")):
        found += commands(fence.body, folder_of(page)) if fence.language in SHELLS else []
    # A command that stands in the lines of three systems is typed once.
    for folder, line in dict.fromkeys((folder, shlex.join(words)) for folder, words in found):
        words = shlex.split(line)
        if is_ours(words) and not any(re.search(part, line) for part in LEFT_OUT):
            typed(course / folder.relative_to(ROOT), shlex.join(words + SHORT.get(program_of(words), [])))
