"""Checkpoints that somebody has changed, and every command that loads one: a mistake is one line, or does no harm.

python -c "import mutations; print(mutations.campaign_mutations(1000, seed=1))"     in tests/
"""

import copy
import io
import math
import os
import random
import re
import runpy
import shutil
import sys
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from unittest import mock

import torch
from torch import Tensor, nn

from shared.stages import LABS, ROOT, STAGES

SEQ2SEQ, FORECAST, CLASSIFY = LABS
STAGE_1, STAGE_2, STAGE_3, STAGE_4 = STAGES
TEXT = ROOT / "data" / "shakespeare.txt"
SMALL = "--max-steps 3 --eval-interval 2 --batch-size 4"
STAGE = f"--data short.txt {SMALL} --hidden-size 16 --context-length 16 --num-layers 1 --precision float32"
STAGE += " --no-moments"
# The sound runs, each small: where it is trained, and with which flags.
RUNS = {
    "rnn": (STAGE_1, f"{STAGE} --tokenizer char"),
    "lstm": (STAGE_2, f"{STAGE} --tokenizer bpe --vocab-size 300 --cell gru --optimizer adamw"),
    "attention": (STAGE_3, f"{STAGE} --tokenizer word --num-heads 2 --memory-length 4"),
    "transformer": (STAGE_4, f"{STAGE} --tokenizer word --num-heads 2 --positions learned"),
    "rotary": (STAGE_4, f"{STAGE} --tokenizer char --num-heads 2 --average-share 0.5"),
    "copy": (SEQ2SEQ, f"{SMALL} --task copy --hidden-size 8 --longest 3"),
    "forecast": (FORECAST, f"{SMALL} --hidden-size 8 --lengths 40 60 --past-length 9 --horizon 4 --quantiles .2 .5 .8"),
    "classify": (CLASSIFY, f"{SMALL} --fold 1 --embedding learned"),
}  # fmt: skip
# What loads a checkpoint: of the runs named, the file that it reads, and the command; {run} is the run's folder.
RESUME = "train.py --resume --max-steps 4 --out-dir {run}"
ALL_STAGES = ("rnn", "lstm", "attention", "transformer", "rotary")
START = "train.py --start-from {run} --data short.txt --max-steps 1 --batch-size 4 --no-moments --out-dir started"
COMMANDS = [
    (ALL_STAGES, "best.pt", "generate.py To --max-new-tokens 3 --checkpoint {run}"),
    (ALL_STAGES, "last.pt", RESUME),
    (("rnn", "lstm", "attention"), "best.pt", START),
    (("rnn",), "best.pt", "-m shared.compare --no-live --prompt To --out compared --checkpoints {run}"),
    (("transformer",), "best.pt", "-m shared.probes --out probed --checkpoints {run}"),
    (("rnn", "rotary"), "best.pt", "-m shared.results keep {run} --preset flags"),
    (("copy",), "best.pt", "translate.py abc --checkpoint {run}"),
    (("copy",), "best.pt", "lengths.py {run}"),
    (("copy", "forecast", "classify"), "last.pt", RESUME),
    (("forecast",), "best.pt", "forecast.py --checkpoint {run}"),
    (("forecast",), "best.pt", "explain.py {run}/best.pt"),
    (("classify",), "last.pt", "classify.py --text words,words --checkpoint {run}/last.pt"),
]
CONTROL = re.compile(r"[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")  # tqdm's own return apart

# ------------------------------------------------------------------------------------------------------------ mutating

ODD = [
    10**9, -1, 0, 1, 2**63, 10**5000, math.nan, math.inf, -math.inf, 0.5, 1e308, True, False, None, complex(1, 2),
    "", "x" * 10**5, "\n", "\x1b]0;owned\x07\x1b[31m", "\ud800", "../../etc/passwd", "/dev/zero", b"bytes",
    [], {}, (), [[]] * 3, [1, "2", None], {"a": {"b": [1]}}, {1: 2}, set("ab"),
    torch.tensor(1.0), torch.ones(2), torch.zeros(0, 3),
]  # fmt: skip


def of_tensor(tensor: Tensor, chance: random.Random) -> Any:
    """A tensor that is not what this one is."""

    def holding(value: float) -> Tensor:
        changed = tensor.double().clone().reshape(-1)
        changed[:1] = value
        return changed.reshape(tensor.shape).to(tensor.dtype if tensor.is_floating_point() else torch.float32)

    return chance.choice([
        lambda: holding(math.nan), lambda: holding(math.inf), lambda: holding(-1e30), lambda: tensor[None],
        lambda: tensor.reshape(-1), lambda: torch.cat([tensor, tensor]) if tensor.dim() else tensor.repeat(3),
        lambda: tensor[:0] if tensor.dim() else tensor.bool(), lambda: tensor.mT if tensor.dim() > 1 else -tensor,
        lambda: tensor.double(), lambda: tensor.to(torch.int64), lambda: tensor.to(torch.complex64),
        lambda: tensor.bool(), lambda: tensor.to(torch.bfloat16), lambda: tensor.float().to_sparse(),
        lambda: nn.Parameter(tensor.float()), lambda: tensor.float().requires_grad_(), lambda: tensor.to("meta"),
        lambda: torch.zeros((), dtype=tensor.dtype).expand(tensor.shape),
        lambda: torch.zeros((), dtype=tensor.dtype).expand(10**9), lambda: tensor.tolist(),
    ])()  # fmt: skip


def parts(content: Any, path: tuple = ()) -> Iterator[tuple]:
    """The paths of all parts within parts; of a long list, its first, second and last."""
    yield path
    if isinstance(content, dict):
        for key in content:
            yield from parts(content[key], (*path, key))
    elif isinstance(content, list | tuple):
        for place in sorted({0, 1, len(content) - 1} & set(range(len(content)))):
            yield from parts(content[place], (*path, place))


def replaced(content: Any, path: tuple, change: Callable[[Any], Any]) -> Any:
    """A copy of content in which one part is what `change` makes of it; Ellipsis takes the part away."""
    if not path:
        return change(content)
    key, *rest = path
    new = replaced(content[key], tuple(rest), change)
    if isinstance(content, dict):
        return {name: new if name == key else part for name, part in content.items() if name != key or new is not ...}
    among = [new if place == key else part for place, part in enumerate(content) if place != key or new is not ...]
    return type(content)(among)


def mutated(content: dict, others: list[dict], chance: random.Random) -> tuple[str, Any]:
    """What was changed, and the changed content, which shares what is left with the sound one."""
    told = []
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        if isinstance(content, dict) and content:
            change, content = mutated_once(content, chance.choice(others), chance)
            told.append(change[:200])
    return "; ".join(told), content


def mutated_once(content: dict, other: dict, chance: random.Random) -> tuple[str, dict]:
    """As `mutated`, by one change."""
    # Among so many weights the settings would seldom be met: first a part of the whole, then a part of that.
    key = chance.choice(list(content))
    path = (key, *chance.choice(list(parts(content[key]))))
    kind = chance.choice(["odd", "odd", "odd", "drop", "tensor", "tensor", "more", "fewer", "swap", "add", "key"])
    changes = {
        "odd": lambda part: copy.deepcopy(chance.choice(ODD)),
        "drop": lambda part: ...,
        "tensor": lambda part: of_tensor(part, chance) if isinstance(part, Tensor) else chance.choice(ODD),
        "more": lambda part: part * 2 if isinstance(part, list | tuple | str | int) else [part],
        "fewer": lambda part: part[: len(part) // 2] if isinstance(part, list | tuple | str) else ...,
        "swap": lambda part: other.get(key, ...),
        "add": lambda part: part | {chance.choice(["new", 7, "\x1b[2J"]): 1} if isinstance(part, dict) else part,
        "key": lambda part: dict.fromkeys(part, 1) if isinstance(part, dict) else part,
    }
    new = replaced(content, (key,) if kind == "swap" else path, changes[kind])
    return f"{kind} at {'.'.join(map(str, path))}", new


# ------------------------------------------------------------------------------------------------------------- running


class Outcome(NamedTuple):
    """How a command ended: its exit status, what it printed, and the traceback of a fault that nobody foresaw."""

    status: int | None
    out: str
    err: str
    traceback: str = ""

    @property
    def kind(self) -> str:
        """ "harmless", "refused" (one line, status 2), or what is wrong."""
        if self.traceback:
            return "traceback"
        if CONTROL.search(self.out + self.err):
            return "control characters"
        errors = [line for line in self.err.splitlines() if line.startswith("error: ")]
        if self.status == 0 and not errors:
            return "harmless"
        return "refused" if self.status == 2 and len(errors) == 1 and self.err.endswith(errors[0] + "\n") else "untold"


def attempt(folder: Path, words: list[str]) -> Outcome:
    """Run `python words...` in this process, in `folder`."""
    streams = [io.TextIOWrapper(io.BytesIO(), "utf-8", errors="surrogatepass", newline="\n") for _ in range(2)]
    failure, status = "", 0
    with own_process(folder, words), redirect_stdout(streams[0]), redirect_stderr(streams[1]):
        try:
            if words[0] == "-m":
                runpy.run_module(words[1], run_name="__main__", alter_sys=True)
            else:
                runpy.run_path(words[0], run_name="__main__")
        except SystemExit as end:
            status = end.code or 0
        except BaseException:
            failure = traceback.format_exc()
    texts = []
    for stream in streams:
        stream.flush()
        texts.append(stream.buffer.getvalue().decode("utf-8", "surrogatepass"))
    return Outcome(status, *texts, failure)


@contextmanager
def own_process(folder: Path, words: list[str]) -> Iterator[None]:
    """What a process has for itself: arguments, place, imports of the folder's own modules, random numbers."""
    before, place, modules = sys.path[:], os.getcwd(), set(sys.modules)
    argv = words[1:] if words[0] == "-m" else words
    with mock.patch("sys.argv", argv), torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sys.path.insert(0, str(Path(words[0]).parent))
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(place)
            sys.path[:] = before
            for name in set(sys.modules) - modules:  # two labs have a module `model` each
                if "." not in name and not name.startswith("model_0"):
                    file = getattr(sys.modules[name], "__file__", None) or ""
                    if file.startswith(str(ROOT)) and name != "shared":
                        del sys.modules[name]


def words_of(command: str, home: str, run: Path) -> list[str]:
    """The words of one of the COMMANDS for a run, whose program lies in `home`."""
    words = [word.format(run=run) for word in command.split()]
    return words if words[0] == "-m" else [str(ROOT / home / words[0]), *words[1:]]


class Runs:
    """The sound runs in a folder of their own, trained when they are first asked for."""

    def __init__(self, folder: Path):
        self.folder, self.contents = folder, {}
        (folder / "short.txt").write_text(TEXT.read_text(encoding="utf-8")[:6_000], encoding="utf-8")

    def content(self, name: str, file: str) -> dict:
        """What the file of a sound run holds."""
        if (name, file) not in self.contents:
            home, flags = RUNS[name]
            if not (self.folder / name).is_dir():
                words = words_of(f"train.py {flags} --out-dir {{run}}", home, self.folder / name)
                outcome = attempt(self.folder, words)
                assert outcome.kind == "harmless", outcome
            self.contents[name, file] = torch.load(self.folder / name / file, weights_only=True)
        return self.contents[name, file]

    def with_file(self, name: str, file: str, write: Callable[[Path], None]) -> Path:
        """A copy of a run in which `write` has made one file anew."""
        self.content(name, file)
        run = self.folder / "changed"
        for made in ("changed", "started", "compared", "probed"):
            shutil.rmtree(self.folder / made, ignore_errors=True)
        shutil.copytree(self.folder / name, run)
        (run / file).unlink()
        write(run / file)
        return run


def campaign_mutations(count: int, seed: int = 1, folder: Path | None = None) -> dict:
    """`count` mutations, each through a command that loads such a file, the commands by turns.

    -> tried; harmless, refused (in one line); and, each with what was done, those that ended otherwise: `others`.
    """
    if folder is None:
        with TemporaryDirectory() as new:
            return campaign_mutations(count, seed, Path(new))
    runs, chance, kinds, others = Runs(folder), random.Random(seed), Counter(), []
    cases = [(name, file, command) for names, file, command in COMMANDS for name in names]
    # One round in four is of all cases; the others leave out what takes its time where a change does no harm.
    quick = [case for case in cases if not ("compare" in case[2] or case[0] == "classify" and case[2] == RESUME)]
    cases += 3 * quick
    for number in range(count):
        name, file, command = cases[number % len(cases)]
        foreign = [runs.content(*chance.choice(cases)[:2]) for _ in range(2)]
        told, content = mutated(runs.content(name, file), foreign, chance)
        run = runs.with_file(name, file, partial(torch.save, content))
        with unkept(command):
            outcome = attempt(folder, words_of(command, RUNS[name][0], run))
        kinds[outcome.kind] += 1
        if outcome.kind not in ("harmless", "refused"):
            others.append({"number": number, "kind": outcome.kind, "command": command, "run": name, "change": told,
                           "end": outcome.traceback[-1500:] or outcome.err[-500:]})  # fmt: skip
    return {"tried": count, "harmless": kinds["harmless"], "refused": kinds["refused"], "others": others}


def unkept(command: str) -> Any:
    """Within it, `python -m shared.results keep` writes nothing into the course."""
    return mock.patch("shared.run.records.write_json") if "results keep" in command else nullcontext()
