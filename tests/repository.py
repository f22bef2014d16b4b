"""The repository's own files, for the tests that read them."""

import fnmatch
import shutil
import subprocess
from pathlib import Path

from shared.stages import ROOT


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
