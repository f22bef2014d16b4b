"""The repository's pages, taken apart for the tests that hold them to what they say."""

import re
from dataclasses import dataclass
from pathlib import Path

from repository import FILES

from shared.stages import ROOT

PAGES = sorted(path for path in FILES if path.suffix == ".md")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@dataclass(frozen=True)
class Fence:
    """A block of code of a page: what stands behind its first three backticks, its text, the number of that line."""

    language: str
    body: str
    line: int


def fences(text: str) -> list[Fence]:
    """All fenced blocks of a page, in order; one may be indented, as in a list."""
    found, lines, start = [], text.splitlines(), None
    for number, line in enumerate(lines, 1):
        if start is None and (opened := re.fullmatch(r"( *)```(\w*)", line)):
            indent, language, start = *opened.groups(), number
        elif start is not None and line.strip() == "```":
            body = "\n".join(each.removeprefix(indent) for each in lines[start : number - 1])
            found.append(Fence(language, body + "\n", start))
            start = None
    assert start is None, f"the block of line {start} has no end"
    return found


def without_fences(text: str) -> str:
    return re.sub(r"^ *```\w*\n.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)


def without_generated(text: str) -> str:
    """A page without what `python -m shared.results write` writes between markers."""
    return re.sub(r"<!-- (\w+) -->.*?<!-- /\1 -->", "", text, flags=re.DOTALL)


def without_folded(text: str) -> str:
    return re.sub(r"<details>.*?</details>", "", text, flags=re.DOTALL)


def tables(text: str) -> list[list[list[str]]]:
    """All Markdown tables of a page, each a list of lines of cells; the rule below the heads is left out."""
    found = []
    for block in re.findall(r"(?:^ *\|.*\|$\n?){2,}", without_fences(text), flags=re.MULTILINE):
        lines = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip()[1:-1])] for line in block.splitlines()]
        found.append([cells for cells in lines if not all(re.fullmatch(r":?-+:?", cell) for cell in cells)])
    return found


def num_words(text: str) -> int:
    """How many words a page has to be read, without what is folded, code, tables, pictures and what is generated.

    A piece of code within a sentence is one word, and so is a formula.
    """
    text = without_fences(without_folded(without_generated(text)))
    text = re.sub(r"^ *\|.*$|!\[[^\]]*\]\([^)]*\)|<[^>]+>", "", text, flags=re.MULTILINE)
    text = re.sub(r"`[^`]+`", "code", re.sub(r"\]\([^)]*\)", "]", text))
    return len(re.findall(r"\S*\w\S*", text))
