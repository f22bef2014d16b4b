"""The campaign: whatever can go wrong with files and processes is done to the course, again and again, and counted.

`python -m pytest -m campaign` does all of it. The variable CAMPAIGN says how: `short` for a sample that takes a minute
or two, `keep` for the whole and its counts written to shared/results/campaign.json, if nothing went wrong.

A part is a function that does its worst so many times and returns one word for each of them, with the reason where the
word is "bad".
"""

import json
import os
import random
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path

import forked
import hostile_files
import torch
from command_lines import campaign_command_lines
from mutations import campaign_mutations
from torch import Tensor

import shared.results.__main__
from shared.errors import UserError
from shared.run.checkpoint import load_checkpoint
from shared.run.cli import run_main
from shared.run.folder import MORE_FILES, RUN_FILES, earlier_runs
from shared.run.pretrained import load_pretrained, pretrained_file
from shared.stages import ROOT, STAGES, load_stage, model_class

MODE = os.environ.get("CAMPAIGN", "full")
SEED = 27
WORDS = ("resumed exactly", "begun again", "refused", "harmless", "bad")
PARTS = (
    "killed at every operation on a file",
    "killed at every operation while going on",
    "killed at a random moment",
    "killed at a random moment, in a new interpreter",
    "a byte changed in a run's file",
    "a run's file cut off",
    "a byte changed in a packed run",
    "a packed run cut off",
    "a text to learn from",
    "a command line by chance",
    "a checkpoint that somebody has changed",
    "a file that no program of the course has written",
)
Outcome = tuple[str, str]  # one of WORDS, and what to know of it
TIMES = {"seconds", "training_seconds", "command_seconds", "command"}  # what no two runs need to have alike
TOKENIZERS = {"word": "", "char": "", "bpe": " --vocab-size 280"}
LOOK = "--max-steps 6 --eval-interval 3 --device cpu"
PRECISIONS = dict(zip(STAGES, ("bfloat16", "float32", "float32", "bfloat16")))  # no LSTM in bfloat16 everywhere
SIZES = "--hidden-size 16 --num-layers 1 --batch-size 2 --context-length 256 --dropout 0.2"


def size(full: int, short: int) -> int:
    """How often: in the whole campaign, and in the short one."""
    return short if MODE == "short" else full


def in_parallel(work: Callable[..., Outcome], jobs: Iterable[tuple]) -> list[Outcome]:
    """work(*job) for each job, on all cores; each worker is a fork of this process."""
    jobs = list(jobs)
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("fork")) as pool:
        return list(pool.map(work, *zip(*jobs), chunksize=max(1, len(jobs) // 64)))


def counts(outcomes: Iterable[Outcome]) -> dict[str, int]:
    """How many were tried, and how many came out in which way."""
    found = Counter(word for word, _ in outcomes)
    return {"tried": found.total()} | {word: found[word] for word in WORDS if found[word] or word == "bad"}


def bad(told: str, ended: forked.Ended | None = None) -> Outcome:
    """Something that must not be, and the end of what the program said."""
    return "bad", told + (f": status {ended.status}, {ended.out[-300:]}{ended.err[-1500:]}" if ended else "")


@cache
def warm_up() -> None:
    """Import, once, what every fork would have to import."""
    import torch._dynamo  # noqa: F401  the optimizers import it

    import shared.ngram
    import shared.run.generation
    import shared.run.language_modeling  # noqa: F401
    from shared.show.curves import learning_curve_figure

    record = {"step": 1, "tokens": 1, "train_loss": 1.0, "validation_loss": 2.0}
    learning_curve_figure([record], "", "").savefig(os.devnull, format="png")  # Matplotlib looks for its fonts
    for stage in STAGES:
        load_stage(stage), model_class(stage)


# ----------------------------------------------------------------------------------------------------------- a training


@dataclass(frozen=True)
class Training:
    """A tiny training, whose folder has an earlier run in it, and how it ends if nobody disturbs it."""

    stage: str
    tokenizer: str
    base: Path  # has the folders `earlier` and `whole`, and what the programs print
    text: Path
    seconds: float = 2.0  # that it takes

    @property
    def folder(self) -> Path:
        """Where its train.py lies."""
        return ROOT / self.stage

    def line(self, out_dir: Path, steps: str = LOOK, seed: int = 1) -> str:
        """The command that trains it."""
        precision = f"--precision {PRECISIONS[self.stage]}"
        flags = f"--tokenizer {self.tokenizer}{TOKENIZERS[self.tokenizer]} {precision} {steps} {SIZES} --seed {seed}"
        return f"python train.py --data {self.text} {flags} --out-dir {out_dir}"

    def place(self, name: object) -> tuple[Path, Path]:
        """A folder in which the earlier run lies, and one for what is printed."""
        out_dir, logs = self.base / f"run-{name}", self.base / f"logs-{name}"
        shutil.copytree(self.base / "earlier", out_dir)
        return out_dir, logs

    def clear(self, name: object) -> None:
        """Remove what `place` made."""
        for kind in ("run", "logs"):
            shutil.rmtree(self.base / f"{kind}-{name}", ignore_errors=True)


def prepared(stage: str, tokenizer: str, base: Path) -> Training:
    """The training of a stage on a few speeches, with its earlier run and its undisturbed end."""
    text = base / "short.txt"
    if not text.exists():
        plays = (ROOT / "data" / "shakespeare.txt").read_text(encoding="utf-8")[:8000]
        text.write_text(plays, encoding="utf-8", newline="\n")
    training = Training(stage, tokenizer, base / f"{stage}-{tokenizer}", text)
    earlier, logs = training.base / "earlier", training.base / "logs"
    ended = forked.whole(training.line(earlier, LOOK.replace("6", "2"), seed=2), training.folder, logs)
    assert ended.done, ended.err
    shutil.copytree(earlier, training.base / "whole")
    began = time.perf_counter()
    ended = forked.whole(training.line(training.base / "whole"), training.folder, logs)
    assert ended.done, ended.err
    return replace(training, seconds=time.perf_counter() - began)


def pairs() -> list[tuple[str, str]]:
    """Every stage with every tokenizer; in the short campaign every stage with one."""
    names = list(TOKENIZERS)
    few = [(stage, names[number % len(names)]) for number, stage in enumerate(STAGES)]
    return few if MODE == "short" else [(stage, tokenizer) for stage in STAGES for tokenizer in names]


def still(value: object) -> object:
    """A checkpoint's or a record's content, but for times, in a form in which == means bit for bit."""
    if isinstance(value, Tensor):
        return value.dtype, tuple(value.shape), value.reshape(-1).view(torch.uint8).numpy().tobytes()
    if isinstance(value, dict):
        return {name: still(part) for name, part in value.items() if name not in TIMES}
    return [still(part) for part in value] if isinstance(value, (list, tuple)) else value


def left(out_dir: Path) -> dict[str, object]:
    """What a finished training left in its folder, but for times and its picture."""
    found = {name: still(load_checkpoint(out_dir / name)) for name in ("best.pt", "last.pt")}
    for name in ("metrics.jsonl", "moments.jsonl"):
        lines = (out_dir / name).read_text(encoding="utf-8").splitlines()
        found[name] = [still(json.loads(line)) for line in lines]
    found["summary.json"] = still(json.loads((out_dir / "summary.json").read_text(encoding="utf-8")))
    return found


def files(folder: Path) -> dict[str, bytes]:
    """The files of a run, byte for byte."""
    return {name: (folder / name).read_bytes() for name in RUN_FILES + MORE_FILES if (folder / name).is_file()}


def settled(training: Training, out_dir: Path, logs: Path) -> Outcome:
    """What a learner does after a kill: go on with --resume or, if told that there is nothing to go on with, again.

    Then all has to be as if nothing had happened.
    """
    earlier = files(training.base / "earlier")
    if earlier not in map(files, [out_dir, *earlier_runs(out_dir)]):
        return bad(f"the earlier run is gone: {sorted(map(str, out_dir.rglob('*')))}")
    word, before = "resumed exactly", files(out_dir).get("last.pt")
    ended = forked.whole(training.line(out_dir) + " --resume", training.folder, logs)
    if ended.refused and before in (None, earlier["last.pt"]):  # nothing was saved yet
        word = "begun again"
        ended = forked.whole(training.line(out_dir), training.folder, logs)
    if not ended.done:
        return bad("it could not be gone on with", ended)
    if earlier not in map(files, earlier_runs(out_dir)):
        return bad(f"the earlier run is not kept: {sorted(map(str, out_dir.rglob('*')))}")
    if hidden := [str(path) for path in out_dir.rglob(".*")]:
        return bad(f"left behind: {hidden}")
    expected, found = left(training.base / "whole"), left(out_dir)
    different = [name for name in expected if found[name] != expected[name]]
    return bad(f"it ended elsewhere: {different}") if different else (word, "")


# ---------------------------------------------------------------------------------------------------------------- kills


def operations(training: Training, half_way: int = 0) -> int:
    """How many operations on files this training makes; with `half_way`, when it goes on after a kill at that one."""
    out_dir, logs = training.place("counted")
    line = training.line(out_dir)
    if half_way:
        assert forked.killed_at(half_way, out_dir, line, training.folder, logs).killed
        line += " --resume"
    ended = forked.killed_at(None, out_dir, line, training.folder, logs)
    assert ended.done, ended.err
    training.clear("counted")
    return ended.operations


def killed_at_operation(training: Training, at: int, half_way: int = 0) -> Outcome:
    """A training that is killed at one operation on a file: at its first go, or going on after an earlier kill."""
    name = f"{half_way}-{at}"
    out_dir, logs = training.place(name)
    line = training.line(out_dir)
    if half_way:
        forked.killed_at(half_way, out_dir, line, training.folder, logs)
        line += " --resume"
    ended = forked.killed_at(at, out_dir, line, training.folder, logs)
    word, told = settled(training, out_dir, logs) if ended.killed else bad("it was not killed", ended)
    training.clear(name)
    return word, f"{training.stage}, {training.tokenizer}, operation {name}: {told}"


def killed_at_random(training: Training, number: int, kill: Callable = forked.killed_after) -> list[Outcome]:
    """A training that is killed at random moments, and gone on with, until it has come to its end."""
    longest = training.seconds * 1.2 + 4 * (kill is not forked.killed_after)  # a new interpreter starts for long
    chance = random.Random(f"{SEED} {training.base.name} {number}")
    out_dir, logs = training.place(f"random-{number}")
    resume, kills = "", 0
    for _ in range(size(6, 3)):
        ended = kill(chance.uniform(0, longest), training.line(out_dir) + resume, training.folder, logs)
        if ended.done:
            break
        if not ended.killed and not (resume and ended.refused):
            return [bad(f"{training.base.name}, {number}, after {kills} kills", ended)]
        kills += ended.killed
        resume = " --resume" * ended.killed  # where there was nothing to go on with, it begins again
    word, told = settled(training, out_dir, logs)
    training.clear(f"random-{number}")
    return [(word, f"{training.base.name}, {number}: {told}")] * kills


# -------------------------------------------------------------------------------------------------------------- damages

WRITING = "python generate.py --checkpoint {out_dir}/best.pt --max-new-tokens 8"
GOING_ON = "python train.py --resume --out-dir {out_dir}"
READERS = {"best.pt": WRITING, "last.pt": GOING_ON, "metrics.jsonl": GOING_ON, "moments.jsonl": GOING_ON}


def read(training: Training, name: str, out_dir: Path, logs: Path) -> forked.Ended:
    """Have the program run that reads this file of a run."""
    if name == "summary.json":
        return forked.whole(partial(keep, out_dir, logs), training.folder, logs)
    return forked.whole(READERS[name].format(out_dir=out_dir), training.folder, logs)


def keep(out_dir: Path, root: Path) -> None:
    """As `python -m shared.results keep`, but that the run is kept below another root, under whatever name it gives."""
    run_main(lambda: print(shared.results.__main__.keep(out_dir, "flags", root).suffix))


def said(ended: forked.Ended, out_dir: Path) -> list[str]:
    """What a program printed, but for the time that it took and where."""
    return [line for line in ended.out.replace(str(out_dir), "").splitlines() if not line.startswith("time ")]


def flipped(content: bytes, number: int, count: int) -> bytes:
    """Another value in one byte, anywhere."""
    chance, spoiled = random.Random(f"{SEED} {number}"), bytearray(content)
    spoiled[chance.randrange(len(spoiled))] ^= chance.randrange(1, 256)
    return bytes(spoiled)


def cut(content: bytes, number: int, count: int) -> bytes:
    """Only the beginning: of `count` lengths between nothing and all, by turns at and between the parts of a file."""
    starts = [found.start() for found in re.finditer(rb"PK[\x01-\x08]{2}|\n", content)]
    place = number * len(content) // count
    return content[: starts[number * len(starts) // count] if number % 2 and starts else place]


def damaged(training: Training, name: str, spoil: Callable, number: int, count: int) -> Outcome:
    """A finished run of which one file is spoiled, and what the program that reads it makes of that."""
    out_dir, logs = (training.base / f"{kind}-{name}-{number}" for kind in ("run", "logs"))
    shutil.copytree(training.base / "whole", out_dir, ignore=shutil.ignore_patterns("previous"))
    (out_dir / name).write_bytes(spoil((out_dir / name).read_bytes(), number, count))
    before, told = files(out_dir), f"{training.base.name}, {name} {spoil.__name__}, {number}"
    ended = read(training, name, out_dir, logs)
    if ended.refused and ended.out == "" and files(out_dir) == before:
        outcome = "refused", told
    elif ended.done and said(ended, out_dir) == undamaged(training, name):
        outcome = "harmless", told
    else:
        outcome = bad(told, ended)
    for folder in (out_dir, logs):
        shutil.rmtree(folder)
    return outcome


@cache
def undamaged(training: Training, name: str) -> list[str]:
    """What the program that reads this file says where it is whole. Each worker asks for itself."""
    out_dir, logs = (training.base / f"{kind}-{name}-{os.getpid()}" for kind in ("sound", "logs"))
    shutil.copytree(training.base / "whole", out_dir)
    ended = read(training, name, out_dir, logs)
    assert ended.done, ended.err
    return said(ended, out_dir)


def pretrained_damaged(stage: str, base: Path, spoil: Callable, number: int, count: int) -> Outcome:
    """The packed run that comes with a stage, spoiled."""
    root, told = base / f"root-{stage}-{number}", f"{stage}, pretrained.bin {spoil.__name__}, {number}"
    pretrained_file(stage, root).parent.mkdir(parents=True)
    pretrained_file(stage, root).write_bytes(spoil(pretrained_file(stage).read_bytes(), number, count))
    try:
        load_pretrained(stage, root=root)
        return bad(told + ": it was read")
    except UserError as error:
        return ("refused", told) if "\n" not in str(error) else bad(f"{told}: {error}")
    except Exception as error:
        return bad(f"{told}: {error!r}")
    finally:
        shutil.rmtree(root)


# -------------------------------------------------------------------------------------------------------------- corpora

# The scripts that a text may be in, by where Unicode has them; the last ones are no letters at all.
SCRIPTS = (
    (0x20, 0x7F), (0xA0, 0x250), (0x370, 0x400), (0x400, 0x530), (0x590, 0x600), (0x600, 0x700), (0x900, 0x980),
    (0xE00, 0xE80), (0x10A0, 0x1100), (0x1200, 0x1380), (0x3040, 0x3100), (0x4E00, 0x9FFF), (0xAC00, 0xD7A4),
    (0x10000, 0x10080), (0x1D400, 0x1D800), (0x1F300, 0x1F700), (0x20000, 0x2A6D7), (0, 0x20), (0x80, 0xA0),
    (0x300, 0x370), (0x2000, 0x2070), (0xE000, 0xF900), (0xFFF0, 0x10000), (0xE0000, 0xE0080),
)  # fmt: skip


def letters(chance: random.Random, count: int) -> str:
    """Random signs of one to three scripts, with blanks and new lines here and there."""
    ranges = chance.sample(SCRIPTS, chance.randint(1, 3))
    signs = [chr(chance.randrange(*chance.choice(ranges))) for _ in range(chance.choice((1, 5, 60, 1000)))]
    return "".join(chance.choices([*signs, " ", "\n"], [1] * len(signs) + [len(signs) / 6, len(signs) / 40], k=count))


def corpus(number: int) -> bytes:
    """A text, or what somebody might take for one."""
    chance = random.Random(f"{SEED} corpus {number}")
    count = int(10 ** chance.uniform(0 if number % 4 == 0 else 3.5, 5.3))
    text = letters(chance, count)
    kinds: list[Callable[[], bytes]] = [
        lambda: text.encode(),
        lambda: text.replace("\n", "").encode(),  # one endless line
        lambda: text.replace(" ", "").replace("\n", "").encode(),  # one endless word
        lambda: text.replace("\n", "\r\n").encode(),
        lambda: b"\xef\xbb\xbf" + text.encode(),
        lambda: text.encode("utf-16"),
        lambda: text[: count // 2].encode() + text[count // 2 :].encode("utf-16-le"),
        lambda: text[: count // 2].encode() + text[count // 2 :].encode("latin-1", "replace") + b"\xe9",
        lambda: chance.randbytes(count),
        lambda: text.encode()[: -chance.randint(1, 3)],  # cut within a sign, perhaps
        lambda: bytes(count),
        lambda: chance.choice((b"\n", b" ", b"\t", b"\r", b"\x0c", "\u2028".encode(), b"a", b"a ")) * count,
        lambda: bytes(chance.randrange(32) for _ in range(count)),
        lambda: b"",
        lambda: b"the cat sat on the mat.\n" * (count // 20) + text.encode(),
    ]
    return kinds[number % len(kinds)]()


def learned(base: Path, number: int) -> list[Outcome]:
    """A text to learn from: a training of two steps, what it writes then, and counting."""
    stage, tokenizer = list(STAGES)[number // 3 % 4], list(TOKENIZERS)[number % 3]
    place = base / f"corpus-{number}"
    place.mkdir()
    (place / "text.txt").write_bytes(corpus(number))
    flags = f"--data {place}/text.txt --tokenizer {tokenizer}"
    small = SIZES.replace("256", str(4 ** (number % 5)))
    lines = [
        f"python train.py {flags} {small} --max-steps 2 --device cpu --out-dir {place}/run",
        WRITING.format(out_dir=f"{place}/run") + " --num-samples 2",
        f"python -m shared.ngram {flags}",
    ]
    found = []
    for line in lines:
        ended = forked.whole(line, ROOT if "ngram" in line else ROOT / stage, place / "logs")
        told = f"corpus {number}, {stage}, {tokenizer}: {line}"
        fine = ended.done or ended.refused
        found.append(("refused" if ended.refused else "harmless", told) if fine else bad(told, ended))
    shutil.rmtree(place)
    return found


# --------------------------------------------------------------------------------------------------- from other modules


def outcomes_of(tried: int, refused: int, faults: list) -> list[Outcome]:
    """What another module has counted, as outcomes; what is neither refused nor a fault did no harm."""
    harmless = tried - refused - len(faults)
    return [("refused", "")] * refused + [("harmless", "")] * harmless + [bad(str(fault)) for fault in faults]


def call(part: Callable[..., list[Outcome]], *given: object) -> list[Outcome]:
    """For jobs of several parts at once."""
    return part(*given)


def command_lines(base: Path, count: int, seed: int) -> list[Outcome]:
    """So many command lines of tests/command_lines.py."""
    found = campaign_command_lines(count, seed, base)
    return outcomes_of(count, found["by_status"].get("2", 0), found["bad"])


def mutations(base: Path, count: int, seed: int) -> list[Outcome]:
    """So many changed checkpoints of tests/mutations.py."""
    folder = base / str(seed)
    folder.mkdir()
    found = campaign_mutations(count, seed, folder)
    return outcomes_of(count, found["refused"], found["others"])


@cache
def hostile_pairs() -> list[tuple]:
    """The files of tests/hostile_files.py, each with a command that reads it, in an order of chance."""
    return random.Random(SEED).sample(found := list(hostile_files.spoilt()), len(found))


def hostile(training: Training, number: int) -> Outcome:
    """One of these pairs, tried on a finished run of stage 1."""

    def whole(line: str, folder: Path, logs: Path) -> forked.Ended:
        word, _, out_dir = line.partition(" ")
        return forked.whole(partial(keep, Path(out_dir), logs) if word == "keep" else line, folder, logs)

    whole_run = training.base / "whole"
    told, ended = hostile_files.tried(training.base, whole_run, training.text, hostile_pairs()[number], number, whole)
    if ended.refused:
        return "refused", told
    return ("harmless", told) if ended.done else bad(told, ended)
