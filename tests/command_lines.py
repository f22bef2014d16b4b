"""Command lines by chance, over every program of the course: what a person, or a cat on the keyboard, may type.

    found = campaign_command_lines(2000, seed=1)

Each runs in a copy of the course that has short plays and small trained models, which it finds as they were. It has to
end with status 0, or with one line that says what is wrong and status 2.
"""

import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from repository import FILES

from shared.stages import LABS, ROOT, STAGES

MAIN = 'if __name__ == "__main__":'
INTERNAL = {"shared/benchmark/sharing.py"}  # is started by a program, never typed
# The files with which one starts the course's programs, as paths from the root.
PROGRAMS = sorted(
    {
        path.relative_to(ROOT).as_posix()
        for path in FILES
        if path.suffix == ".py" and "tests" not in path.parts and MAIN in path.read_text(encoding="utf-8")
    }
    - INTERNAL
)
# The exit status 1 is an answer of theirs: not all exercises are right.
ANSWER_1 = re.compile("exercises/check.py$")
PAGE = "one_page.py"  # is bare Python, with nothing of the course, and complains as Python does
DESK = "@"  # in a word: the folder in which files for the programs lie
# Where Ctrl-C comes while Python clears something away, it is lost, and Python says so in its own way.
LOST_CTRL_C = re.compile(r"Exception ignored in:? .*\nTraceback .*\n(?:  .*\n)+KeyboardInterrupt:? ?\n")
PATIENCE = 3  # seconds that a program may take before it gets Ctrl-C


# ------------------------------------------------------------------------------------------------- a copy of the course


@dataclass(frozen=True)
class Ended:
    """How a program ended. status: None where it had to be killed; stopped: it got Ctrl-C, as it took long."""

    status: int | None
    stopped: bool
    out: str
    err: str


class Course:
    """A copy of the course in `folder`, and a process that runs its programs; use it in a `with` block.

    trained: the stages and labs of which there are runs.
    """

    def __init__(self, folder: Path, trained: Collection[str] = (*STAGES, *LABS)) -> None:
        self.root, self.desk, self.kept, self.trained = folder / "course", folder / "desk", folder / "kept", trained

    def __enter__(self) -> "Course":
        for path in FILES:
            if path.relative_to(ROOT).parts[0] not in ("tests", ".git") and path.suffix not in (".png", ".md"):
                place = self.root / path.relative_to(ROOT)
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, place)
        shorten_plays(self.root)
        lay_out(self.desk)
        here = {"OMP_NUM_THREADS": "1", "HOME": str(self.desk), "COLUMNS": "80"}
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "tests" / "forking.py")],
            cwd=self.root, env=os.environ | here, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.train_all()
        self.keep()
        return self

    def __exit__(self, *error: object) -> None:
        self.process.communicate()

    def ask(self, program: str, words: list[str] | None, patience: float) -> Ended:
        """Have the process run a program; without words, have it tell what its parser takes."""
        words = words and [word.replace(DESK + "/", f"{self.desk}/") for word in words]
        print(
            json.dumps({"program": program, "words": words, "patience": patience}), file=self.process.stdin, flush=True
        )
        return Ended(**json.loads(self.process.stdout.readline()))

    def run(self, program: str, words: list[str], patience: float = PATIENCE) -> Ended:
        """How a program ends with these words, in the course as it was made."""
        try:
            return self.ask(program, words, patience)
        finally:
            self.put_back()

    def parsers(self) -> dict[str, dict]:
        """Program -> what its parser takes, as tests/forking.py describes it."""
        return {program: json.loads(self.ask(program, None, PATIENCE).out) for program in PROGRAMS}

    def train_all(self) -> None:
        """Small runs, each in the checkpoints/ of its stage or lab."""
        small = "--max-steps 1 --batch-size 2 --hidden-size 8 --device cpu".split()
        text = "--data @/short.txt --context-length 8 --precision float32".split()
        lab = {
            "lab-forecast": ["--past-length", "24"],
            "lab-classify": ["--fold", "1"],
            "lab-seq2seq": ["--context", "0"],
        }
        for folder in self.trained:
            ended = self.ask(f"{folder}/train.py", [*small, *lab.get(Path(folder).name, text)], 60)
            assert ended.status == 0, ended.err

    def keep(self) -> None:
        """Remember all files as they are."""
        shutil.copytree(self.root, self.kept / "course")
        shutil.copytree(self.desk, self.kept / "desk", symlinks=True)
        self.states = {path: state(path) for path in self.everything()}

    def everything(self) -> list[Path]:
        """All files and folders of the copy and the desk, those above others last."""
        return sorted([*self.root.rglob("*"), *self.desk.rglob("*")], reverse=True)

    def put_back(self) -> None:
        """Have all files be again what they were, and no others."""
        for path in self.everything():
            if path not in self.states:
                path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
            elif state(path) != self.states[path]:
                path.unlink()
        for path in reversed(self.states):
            if not os.path.lexists(path):
                kept = self.kept / path.relative_to(self.root.parent)
                path.mkdir() if kept.is_dir() else shutil.copy2(kept, path, follow_symlinks=False)
                self.states[path] = state(path)


def state(path: Path) -> tuple | None:
    """What is another after a file was written; None of a folder."""
    found = path.lstat()
    return None if path.is_dir() and not path.is_symlink() else (found.st_mtime_ns, found.st_size, found.st_ino)


def shorten_plays(root: Path) -> None:
    """Leave of each play its beginning, and few lines of the Folio, so that nothing takes long."""
    data, pairs = root / "data", root / "model-03-lstm-attention" / "lab-seq2seq" / "data" / "pairs.txt"
    lines = pairs.read_text(encoding="utf-8").splitlines(keepends=True)
    few = [line for place, line in enumerate(lines) if place % 100 == 0 or line.startswith("#")]
    pairs.write_text("".join(few), encoding="utf-8", newline="\n")
    text, rows = (data / "shakespeare.txt").read_text(encoding="utf-8"), []
    head, *table = (data / "works.csv").read_text(encoding="utf-8").splitlines()
    short = ""
    for row in table:
        about, start, _ = row.rsplit(",", 2)
        work = text[int(start) :][:2500]
        rows.append(f"{about},{len(short)},{len(short) + len(work)}")
        short += work
    (data / "shakespeare.txt").write_text(short, encoding="utf-8", newline="\n")
    (data / "works.csv").write_text("\n".join([head, *rows]) + "\n", encoding="utf-8", newline="\n")


def lay_out(desk: Path) -> None:
    """Files for the programs to read."""
    (desk / "folder").mkdir(parents=True)
    text = (ROOT / "data" / "shakespeare.txt").read_text(encoding="utf-8")[:6000]
    rows = [f"2024-01-{1 + hour // 24:02} {hour % 24:02}:00,{hour % 7},{hour % 24}" for hour in range(700)]
    contents = {
        "short.txt": text.encode(),
        "folder/a.txt": text.encode(),
        "empty.txt": b"",
        "noise.bin": bytes(range(256)) * 20,
        "table.csv": "\n".join(["date,load,heat", *rows]).encode(),
        "some.json": b'{"rows": []}',
        "list.json": b"[1, 2]",
    }
    for name, content in contents.items():
        (desk / name).write_bytes(content)
    (desk / "loop").symlink_to("loop")


# ------------------------------------------------------------------------------------------------------ words by chance

SURROGATE = os.fsdecode(b"caf\xe9")  # what Python makes of bytes that are no UTF-8
TEXTS = [
    "To be", "", " ", "\n", "a\nb", "\0", "a\0b", "\x1b]0;title\x07", "\x9b31m", SURROGATE, "\udfff", "Ärger 😀 學",
    "e\u0301", "-x", "--x y", "--", "-", "=", "a" * 5000, "<unk>", "1.1", "9" * 5000, "%s %(prog)s {0}",
]  # fmt: skip
PATHS = [
    "@/short.txt", "@/folder", "@/empty.txt", "@/noise.bin", "@/table.csv", "@/some.json", "@/list.json", "@/missing",
    "@/loop", "@/short.txt/below", "@/new/deeper/still", "@/new.png", "@/new.json", "x" * 300, "x" * 5000,
    "@/" + "/".join(["y" * 200] * 30), "@/" + "y" * 240, "@/" + "ü" * 200, "a\0b", "a\nb.png", "\x1b[31mred",
    SURROGATE, SURROGATE + ".png", "", " ", ".", "..", "./.", "~", "~/new", "~no-such-user", "-", "--", "/dev/null",
    "/dev/full", "shakespeare", "pretrained", "checkpoints", "checkpoints/last.pt", "nul", "學.json",
]  # fmt: skip
WHOLE = ["1", "2", "3", "8", "12"]
ODD = [
    "0", "-1", "-0", "+2", "1_000", "٣", "２", "", " ", "\n1", "1.5", "1e3", "0x10", "nan", "inf", "--", "-", "½",
    "100000", "1000000000", str(10**12), str(10**30), "1" + "0" * 400, "9" * 5000, "a\0", "\x1b[31m1",
]  # fmt: skip
REAL = ["0.5", "0.1", "1", "0.01", "0.9"]
ODD_REAL = [*ODD, "-0.0", "1e-320", "1e38", "1e308", "1e400", "-1e400", "infinity", "NaN", "0,5", "٣.٥", ".", "1e"]
# What keeps a training short, of the flags that a program has. What chance draws comes after it, and counts.
SMALL = {"--max-steps": "2", "--batch-size": "2", "--hidden-size": "8", "--context-length": "8", "--order": "3",
         "--data": "@/short.txt", "--max-new-tokens": "5", "--past-length": "24", "--fold": "1", "--steps": "2",
         "--longest": "3", "--tokens": "500"}  # fmt: skip


def random_value(chance: random.Random, flag: dict) -> str:
    """A value for a flag, more often than not one that it may take."""
    usual, odd = {"whole": (WHOLE, ODD), "real": (REAL, ODD_REAL), "choice": (flag["choices"], TEXTS)}.get(
        flag["kind"], (PATHS, TEXTS)
    )
    if flag["kind"] == "choice" and chance.random() < 0.1:
        return chance.choice(flag["choices"]).upper()[: chance.randrange(9)]
    return str(chance.choice(usual if chance.random() < 0.6 else odd))


def random_values(chance: random.Random, flag: dict) -> list[str]:
    """As many values as a flag takes, now and then one more or one fewer."""
    usual = {None: [1], "?": [0, 1], "*": [0, 1, 2, 3], "+": [1, 1, 2, 3]}.get(flag["nargs"], [flag["nargs"]])
    count = max(0, chance.choice(usual) + chance.choice([0] * 18 + [1, -1]))
    return [random_value(chance, flag) for _ in range(count)]


def random_flag(chance: random.Random, flag: dict) -> list[str]:
    """A flag with its values, in one of its spellings or in none."""
    name, values = chance.choice(flag["names"]), random_values(chance, flag)
    change = chance.random()
    if change < 0.05:
        name = name[: chance.randrange(1, len(name))]
    elif change < 0.15:
        name = "--" + name[2:].replace("-", "_")
    elif change < 0.17:
        name = name.upper()
    return [f"{name}={values[0]}", *values[1:]] if values and chance.random() < 0.3 else [name, *values]


def random_words(chance: random.Random, parser: dict) -> list[str]:
    """Words for a program: those that keep it short, some flags, texts, and now and then what is none of these."""
    words = []
    if parser["commands"]:
        command = chance.choice([*parser["commands"]])
        words, parser = [command], parser["commands"][command]
    names = [name for name in SMALL if any(name in flag["names"] for flag in parser["flags"])]
    small = [[name, SMALL[name]] for name in names if chance.random() < 0.95]
    flags = [flag for flag in parser["flags"] if "--help" not in flag["names"] or chance.random() < 0.1]
    drawn = [
        random_flag(chance, chance.choice(flags)) for _ in range(chance.choice([0, 1, 1, 1, 2, 2, 3, 5]) * bool(flags))
    ]
    drawn += [random_values(chance, text) for text in parser["texts"] if chance.random() < 0.8]
    drawn += [[chance.choice(TEXTS)]] * (chance.random() < 0.03)
    chance.shuffle(drawn)
    return words + sum(small + drawn, [])


def random_command_line(chance: random.Random, parsers: dict[str, dict]) -> tuple[str, list[str]]:
    """A program and the words after it. parsers: those of `Course.parsers`."""
    program = chance.choice([*parsers])
    words = random_words(chance, parsers[program])
    if program.endswith(PAGE):  # Python's own argparse takes --steps=-- for a list, before 3.13
        words = [word for word in words if not word.endswith("=--")]
    return program, words


# ---------------------------------------------------------------------------------------------------------- the verdict


def fault(program: str, ended: Ended) -> str:
    """What is wrong with how a program ended; nothing where all is well."""
    err = LOST_CTRL_C.sub("", ended.err) if ended.stopped else ended.err
    lines = err.rstrip("\n").split("\n")
    last = lines[-1].rpartition("\r")[2]
    if ended.status is None:
        return "it did not heed Ctrl-C"
    page = program.endswith(PAGE)
    if "Traceback" in err and not (page and ended.stopped):
        return "a traceback: " + last
    if "Warning: " in ended.err:
        return "a warning: " + ended.err
    sign = re.search(r"[\x00-\x08\x0b-\x0c\x0e-\x1f\x7f-\x9f]", ended.out + ended.err)
    if sign and not page:
        return f"a control character reached the terminal: {sign[0]!r}"
    told = last.startswith("error: ") or (len(lines) == 1 and "--help" in last) or (page and ": error: " in ended.err)
    if ended.status == 2 and not told:
        return f"no line that says why: {last!r}"
    if ended.status == 2 and len(last) > 1500 and not page:
        return f"an endless line: {last[:200]!r}"
    usual = {0, 2, 130, 1 if ANSWER_1.search(program) else 0}
    return "" if ended.status in usual else f"status {ended.status}: {last!r}"


def campaign_command_lines(count: int, seed: int, folder: Path | None = None) -> dict:
    """Try so many command lines -> how many were tried, by exit status, and those that ended badly, with the reason."""
    chance, found, bad = random.Random(seed), Counter(), []
    with tempfile.TemporaryDirectory(dir=folder) as place, Course(Path(place)) as course:
        parsers = course.parsers()
        for _ in range(count):
            program, words = random_command_line(chance, parsers)
            ended = course.run(program, words)
            found[str(ended.status)] += 1
            if reason := fault(program, ended):
                bad.append({"program": program, "words": words, "reason": reason})
    return {"tried": count, "by_status": dict(found), "bad": bad}
