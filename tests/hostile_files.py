"""Files that no program of the course has written, in the places of those that one has: each with who may meet them.

`spoilt()` gives every pair of a hostile file and a command that reads it; the campaign tries them all.
"""

import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from shared.stages import ROOT

RNN = ROOT / "model-01-rnn"
FORECAST, TRANSLATE = (ROOT / "model-03-lstm-attention" / lab for lab in ("lab-forecast", "lab-seq2seq"))
CLASSIFY = ROOT / "model-04-mini-transformer" / "lab-classify"
LARGE = 600_000_000  # bytes, which take no room on the disk
DEEP = b"[" * 200_000


@dataclass(frozen=True)
class Hostile:
    """A hostile file: its name, and how to put it at a path, where a sound one may lie."""

    name: str
    make: Callable[[Path], None]


def content(name: str, change: Callable[[bytes], bytes]) -> Hostile:
    """A file whose bytes are made of those of the sound one."""

    def make(path: Path) -> None:
        path.write_bytes(change(path.read_bytes() if path.is_file() else b""))

    return Hostile(name, make)


def instead(name: str, put: Callable[[Path], object]) -> Hostile:
    """Something else in the file's place."""

    def make(path: Path) -> None:
        path.unlink(missing_ok=True)
        put(path)

    return Hostile(name, make)


def large(path: Path) -> None:
    """A file that ends far away."""
    with open(path, "wb") as file:
        file.truncate(LARGE)


def noise(count: int) -> bytes:
    """Bytes by chance, always the same."""
    return random.Random(27).randbytes(count)


# What may lie under the name of any file.
PLACES = [
    instead("nothing", lambda path: None),
    instead("a folder", Path.mkdir),
    instead("a link to itself", lambda path: path.symlink_to(path.name)),
    instead("a file of 600 MB", large),
]
if os.name != "nt":
    PLACES += [
        instead("a pipe that nobody writes to", os.mkfifo),
        instead("a device without an end", lambda path: path.symlink_to("/dev/zero")),
        instead("a device of chance", lambda path: path.symlink_to("/dev/urandom")),
        instead("a device that is full", lambda path: path.symlink_to("/dev/full")),
        instead("the memory of the process", lambda path: path.symlink_to("/proc/self/mem")),
    ]

# What may stand in any text.
BYTES = [
    content("no byte", lambda sound: b""),
    content("one newline", lambda sound: b"\n"),
    content("bytes by chance", lambda sound: noise(5000)),
    content("a line of bytes by chance", lambda sound: noise(5000).replace(b"\n", b"")),
    content("zeros", lambda sound: bytes(5000)),
    content("UTF-16", lambda sound: (sound or b"To be\n" * 500).decode("utf-8", "replace").encode("utf-16")),
    content("Latin letters", lambda sound: sound + "Düsseldorf\n".encode("latin-1") * 300),
    content("a picture", lambda sound: b"\x89PNG\r\n\x1a\n" + noise(3000)),
    content("a byte order mark", lambda sound: b"\xef\xbb\xbf" + sound),
    content("escape codes", lambda sound: sound + b"\x1b]0;title\x07\x1b[2J\n" * 300),
    content("zeros behind it", lambda sound: sound + bytes(3000)),
]
# JSON of other kinds, in the place of a file or of a line.
KINDS = {
    "a list": b"[1, 2]", "a number": b"5", "a text": b'"text"', "null": b"null", "true": b"true", "an object": b"{}",
    "a foreign object": b'{"a": 1}', "half of an object": b'{"step": 1, "tok', "brackets without an end": DEEP,
    "braces without an end": b'{"a":' * 200_000, "a number of 400 digits": b"1" * 400,
    "a number of 9,000 digits": b"1" * 9000,
    "two objects": b"{}{}", "words": b"To be, or not to be", "NaN": b"NaN", "half of a pair": b'{"stage": "\\ud800"}',
}  # fmt: skip
VALUES = {
    "missing": None, "null": b"null", "a text": b'"7"', "a list": b"[7]", "an object": b"{}", "true": b"true",
    "NaN": b"NaN", "infinite": b"1e999", "below zero": b"-7", "huge": b"1" * 400, "half of a pair": b'"\\ud800"',
    "up the tree": b'"../../../up"', "with a zero": b'"a\\u0000b"', "a quotation mark": b'"\\""',
    "many brackets": DEEP + b"]" * 200_000,
}  # fmt: skip


def with_value(sound: bytes, name: bytes, value: bytes | None) -> bytes:
    """JSON in which every value of this name is another, or is not there."""
    begin, parts = b'"' + name + b'": ', []
    for part in sound.split(begin)[1:]:
        end = end_of_value(part)
        parts.append((b'"' + name + b"x" if value is None else begin + value, part[end:], part[:end]))
    first = sound.split(begin)[0]
    return first + b"".join((new + b'": ' + old + rest) if value is None else new + rest for new, rest, old in parts)


def end_of_value(text: bytes) -> int:
    """How many bytes the JSON value takes with which this begins."""
    depth, quoted = 0, False
    for place, sign in enumerate(text):
        quoted ^= sign == ord('"')
        if not quoted:
            depth += (sign in b"[{") - (sign in b"]}")
            if depth < 0 or (depth == 0 and sign in b","):
                return place
    return len(text)


def cuts(number: int) -> list[Hostile]:
    """The beginning of a file, of so many lengths."""
    return [
        content(f"{part}/{number + 1} of it", lambda sound, part=part: sound[: len(sound) * part // (number + 1)])
        for part in range(1, number + 1)
    ]


def json_files(fields: list[str], number_of_cuts: int) -> list[Hostile]:
    """What may stand in the place of a JSON file with these fields."""
    found = [content(name, lambda sound, new=new: new) for name, new in KINDS.items()]
    for field in fields:
        for name, value in VALUES.items():
            change = lambda sound, field=field, value=value: with_value(sound, field.encode(), value)  # noqa: E731
            found.append(content(f"{field} is {name}", change))
    return [*PLACES, *BYTES, *found, *cuts(number_of_cuts)]


def json_lines(fields: list[str], number_of_cuts: int) -> list[Hostile]:
    """What may stand in the place of a file of JSON lines with these fields."""
    found = []
    for where in ("first", "middle", "last"):
        for name, new in KINDS.items():
            change = lambda sound, new=new, where=where: with_line(sound, new, where)  # noqa: E731
            found.append(content(f"{name} as the {where} line", change))
    backwards = content("lines backwards", lambda sound: b"".join(reversed(sound.splitlines(keepends=True))))
    twice = content("all lines twice", lambda sound: sound * 2)
    return [*json_files(fields, number_of_cuts), *found, backwards, twice]


def with_line(sound: bytes, new: bytes, where: str) -> bytes:
    """Lines with another one first, in the middle, or last and without a newline."""
    lines = sound.splitlines(keepends=True)
    place = {"first": 0, "middle": len(lines) // 2, "last": len(lines)}[where]
    return b"".join([*lines[:place], new + b"\n" * (where != "last"), *lines[place:]])


def texts() -> list[Hostile]:
    """What may be given as a text, a prompt, a table."""
    monsters = {
        "a word of 3 million letters": lambda sound: b"a" * 3_000_000,
        "one line of blanks": lambda sound: b" " * 100_000,
        "accents without letters": lambda sound: "\u0301".encode() * 100_000,
        "quotation marks": lambda sound: b'"' * 9_999,
        "separators": lambda sound: b",;|\t\n" * 5_000,
        "a name and nothing": lambda sound: b"date,OT\n",
        "numbers of 9,000 digits": lambda sound: b"date,OT\n" + (b"1" * 9000 + b",1\n") * 50,
    }
    return [*PLACES, *BYTES, *(content(name, change) for name, change in monsters.items()), *cuts(3)]


def checkpoints() -> list[Hostile]:
    """What may be given as a checkpoint: beside the usual, one that is cut off, or sound, but of another program."""
    whole = content("a whole one", lambda sound: sound)
    return [
        *PLACES,
        *BYTES,
        *(content(name, lambda sound, new=new: new) for name, new in KINDS.items()),
        *cuts(8),
        whole,
    ]


# Who reads what. {run}: the folder of a finished run, {path}: the hostile file, {out}: where to write, {text}: the text
# of the run.
GOING_ON = (RNN, "python train.py --resume --out-dir {run} --max-steps 8")
ANEW = (RNN, "python train.py --out-dir {run} --data {text} --max-steps 2 --device cpu --precision float32 "
        "--hidden-size 16 --num-layers 1 --batch-size 2 --context-length 64")  # fmt: skip
WRITING = (RNN, "python generate.py --checkpoint {run} --max-new-tokens 3 To be")
COMPARING = (ROOT, "python -m shared.compare --checkpoints {run} --out {out} --no-live --prompt To")
COMPARING_THERE = (ROOT, "python -m shared.compare --checkpoints {run} --out {run} --no-live --prompt To")
KEEPING = (ROOT, "keep {run}")
DRAWING = (ROOT, "python -m shared.results draw {run}")
PACKING = (ROOT, "python -m shared.results pack {run}")
RECORD_FIELDS = ["step", "tokens", "seconds", "train_loss", "validation_loss"]
SUMMARY_FIELDS = [
    "command", "stage", "settings", "seed", "tokenizer", "data", "parameters", "training_tokens", "training_seconds",
    "machine", "corpus", "name", "sha256", "validation", "perplexity", "nats_per_token",
]  # fmt: skip
MOMENT_FIELDS = ["step", "passage", "next", "next_p", "true_p", "influence", "attention", "sample"]
OF_A_RUN = {
    "metrics.jsonl": (json_lines(RECORD_FIELDS, 4), [GOING_ON, COMPARING, KEEPING, ANEW, WRITING]),
    "summary.json": (json_files(SUMMARY_FIELDS, 4), [KEEPING, DRAWING, PACKING, GOING_ON]),
    "moments.jsonl": (json_lines(MOMENT_FIELDS, 4), [GOING_ON, COMPARING]),
    "learning_curve.png": (PLACES, [GOING_ON, ANEW]),
    ".training": (PLACES, [GOING_ON, ANEW]),
    "previous": (PLACES, [GOING_ON, ANEW]),
    "counting.json": (json_files([], 0), [COMPARING_THERE]),
}
SMALL = "--max-steps 1 --device cpu --precision float32 --hidden-size 16 --num-layers 1 --batch-size 2 --out-dir {out}"
OF_TEXTS = [
    (RNN, f"python train.py --data {{path}} --tokenizer word --context-length 64 {SMALL}"),
    (RNN, f"python train.py --data {{path}} --tokenizer char --context-length 64 {SMALL}"),
    (RNN, f"python train.py --data {{path}} --tokenizer bpe --vocab-size 260 --context-length 64 {SMALL}"),
    (RNN, "python train.py --resume --out-dir {run} --data {path}"),
    (RNN, "python generate.py --checkpoint {run} --max-new-tokens 3 --prompt-file {path}"),
    (ROOT, "python -m shared.ngram --order 3 --data {path}"),
    (ROOT, "python -m shared.ngram --order 2 --tokenizer char --data {path} {text}"),
    (ROOT, "python -m shared.compare --checkpoints {run} --out {out} --no-live --data {path}"),
    (ROOT, "python -m shared.probes --checkpoints {run} --out {out} --data {path}"),
    (FORECAST, "python baselines.py --data {path} --target OT"),
    (FORECAST, f"python train.py --data {{path}} --target OT {SMALL}"),
]


OF_CHECKPOINTS = [
    (RNN, "python generate.py --checkpoint {path} --max-new-tokens 3 To be"),
    (RNN, f"python train.py --start-from {{path}} --data {{text}} --context-length 64 {SMALL}"),
    (ROOT, "python -m shared.compare --checkpoints {path} --out {out} --no-live --prompt To"),
    (ROOT, "python -m shared.probes --checkpoints {path} --out {out} --data {text}"),
    (FORECAST, "python forecast.py --checkpoint {path}"),
    (FORECAST, "python explain.py {path}"),
    (TRANSLATE, "python translate.py --checkpoint {path} thou art"),
    (CLASSIFY, "python classify.py --checkpoint {path}"),
]


def spoilt() -> Iterator[tuple[str, Hostile, Path, str]]:
    """Every pair: which file is spoilt, how, and the folder and the command that reads it.

    "a text" and "a checkpoint" lie outside the run.
    """
    for name, (ways, commands) in OF_A_RUN.items():
        for hostile in ways:
            for folder, line in commands:
                yield name, hostile, folder, line
    for hostile in texts():
        for folder, line in OF_TEXTS:
            yield "a text", hostile, folder, line
    for hostile in checkpoints():
        for folder, line in OF_CHECKPOINTS:
            yield "a checkpoint", hostile, folder, line


def tried(
    base: Path, run: Path, text: Path, pair: tuple[str, Hostile, Path, str], number: int, whole: Callable
) -> tuple[str, object]:
    """Try one pair on a copy of a finished run: what was tried, and how the program ended.

    whole(line, folder, logs): what runs a command to its end.
    """
    name, hostile, folder, line = pair
    places = {kind: base / f"{kind}-{number}" for kind in ("run", "out", "logs")}
    shutil.copytree(run, places["run"])
    places["out"].mkdir()
    sound = {"a text": text, "a checkpoint": run / "best.pt"}
    path = places["out"] / "hostile" if name in sound else places["run"] / name
    if name == "previous":
        shutil.rmtree(path, ignore_errors=True)
    elif name in sound:
        shutil.copyfile(sound[name], path)
    hostile.make(path)
    command = line.format(run=places["run"], out=places["out"], path=path, text=text)
    try:
        return f"{name}, {hostile.name}: {line}", whole(command, folder, places["logs"])
    finally:
        for place in places.values():
            shutil.rmtree(place, ignore_errors=True)
