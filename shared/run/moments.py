"""What a model could do at some thirty moments of its training, kept as moments.jsonl: so that one can watch it learn.

A moment takes about as long as a step. So a run of fewer than 1,500 steps, as with --quick, keeps half as many: they
are to take no more than a fiftieth of a training.

At each moment the model reads one short held-out passage, and a line of the file says what it expected at every place,
what mattered to it there, and what it would write. A line's fields:

    step, tokens, seconds     how far the training had come
    passage                   the T tokens read, as strings
    next, next_p              the likeliest next tokens after each place, and their probabilities
    true_p                    the probability of the token that came, after each place but the last
    influence, attention      row t: thousandths for the tokens 0..t, from the place t; attention is the mean of all
                              heads, and None where a model has none
    sample                    a few tokens that the model writes from an empty page

Rows of numbers are strings, "1000;512 488", which take a third of the room that lists would take in a JSON file.
"""

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import Tensor

from shared.errors import UserError
from shared.files import read_file
from shared.measure.influence import influence
from shared.model.language_model import LanguageModel
from shared.model.sampling import generate
from shared.run.cli import log
from shared.run.records import COUNT, write_text
from shared.schema import Between, check
from shared.text.tokenizer import Tokenizer

FILE = "moments.jsonl"
MOMENTS = 30
FEW = 15  # moments of a run that is shorter than
SHORT = 1500  # steps
EARLY = 20  # steps: moments are about this close at first, and further apart in proportion to the steps done
LIKELIEST = 5
SAMPLE_TOKENS = 20
MOST_LETTERS = 24  # of a token: a text of one endless word would fill the file
MOST_BYTES = 2_000_000
MOMENT = {
    "step": COUNT, "tokens": COUNT, "seconds": Between(0, 1e15), "passage": [str], "next": [[str]], "next_p": str,
    "true_p": str, "influence": str, "attention": (None, str), "sample": str, ...: object,
}  # fmt: skip


def moments_of(max_steps: int, count: int | None = None) -> list[int]:
    """At most `count` steps from 0 to max_steps: close together while a model learns fast, then ever further apart.

    Where no count is given: MOMENTS, or FEW where the run is short.

    >>> moments_of(1000, 6)
    [0, 24, 76, 192, 445, 1000]
    """
    count = count or (FEW if max_steps < SHORT else MOMENTS)
    ratio = (max_steps / EARLY + 1) ** (1 / (count - 1))
    return sorted({round(EARLY * (ratio**moment - 1)) for moment in range(count)})


class Moments:
    """Keeps the moments of one training: call it after every step.

    Nothing that it does changes what is learned, and whatever goes wrong in it ends the keeping, never the training.
    """

    def __init__(self, model: LanguageModel, passage: list[int], tokenizer: Tokenizer, out_dir: Path, settings: dict):
        self.model, self.passage, self.tokenizer = model, passage, tokenizer
        self.path, self.seed = out_dir / FILE, settings["seed"]
        self.due = set(moments_of(settings["max_steps"])) if len(passage) > 1 else set()
        self.begun = False

    def __call__(self, step: int, tokens: int, seconds: float) -> None:
        """Write a line of the file, if one is due at this step."""
        try:
            if not self.begun:
                self.begin(step)
            if step in self.due:
                moment = {"step": step, "tokens": tokens, "seconds": round(seconds, 2)}
                moment |= look(self.model, self.passage, self.tokenizer, self.seed)
                with open(self.path, "a", encoding="utf-8", newline="\n") as file:
                    file.write(json.dumps(moment, allow_nan=False) + "\n")
                self.due.remove(step)
        except Exception as error:  # a picture book is not worth a training
            log(f"notice      no more moments are kept in {self.path}: {error or type(error).__name__}")
            self.due.clear()

    def begin(self, step: int) -> None:
        """A new file; on --resume the old one, without what was written after the step that the run goes on from."""
        self.begun = True
        kept = [moment for moment in read_moments(self.path) if moment["step"] <= step] if step else []
        self.due -= {moment["step"] for moment in kept}
        if self.due:
            write_text(self.path, "".join(json.dumps(moment) + "\n" for moment in kept))


def look(model: LanguageModel, passage: list[int], tokenizer: Tokenizer, seed: int) -> dict:
    """What the model makes of the passage, and what it writes. Draws none of the training's random numbers."""
    was_training = model.training
    model.eval()
    try:
        tokens = torch.tensor(passage, device=model.embedding.weight.device)
        with torch.no_grad():
            logits, _, attention = model(tokens[None], return_attention=True)  # attention (1, layers, heads, T, T_key)
        probabilities = logits[0].softmax(-1).cpu()  # (T, V)
        values, likeliest = probabilities.topk(min(LIKELIEST, tokenizer.vocab_size))  # (T, LIKELIEST) both
        generator = torch.Generator().manual_seed(seed)  # its own
        stream = generate(model, [tokenizer.newline_id], banned=tokenizer.unk_id, generator=generator)
        sample = [next(stream).item() for _ in range(SAMPLE_TOKENS)]
        return {
            "passage": [glyph(tokenizer, token) for token in passage],
            "next": [[glyph(tokenizer, token) for token in row] for row in likeliest.tolist()],
            "next_p": compact(values.tolist(), "{:.3g}".format),
            "true_p": compact([[row[token]] for row, token in zip(probabilities, passage[1:])], "{:.3g}".format),
            "influence": compact_map(influence(model, tokens)),
            "attention": None if attention is None else compact_map(attention[0].mean((0, 1))),
            "sample": tokenizer.decode(sample).strip("\n"),
        }
    finally:
        model.train(was_training)


def glyph(tokenizer: Tokenizer, token: int) -> str:
    """A token as it is shown, cut off where it is endless."""
    return tokenizer.glyph(token)[:MOST_LETTERS]


def compact(rows: Iterable[Iterable[float]], form: Callable[[float], str]) -> str:
    """Rows of numbers as one short string.

    >>> compact([[1.0], [0.25, 0.75]], "{:g}".format)
    '1;0.25 0.75'
    """
    return ";".join(" ".join(map(form, row)) for row in rows)


def compact_map(weights: Tensor) -> str:
    """A map (T, T) in thousandths, of each row only the places that had been read.

    >>> compact_map(torch.tensor([[1.0, 0.0], [0.25, 0.75]]))
    '1000;250 750'
    """
    rows = [row[: place + 1] for place, row in enumerate(weights.tolist())]
    return compact(rows, lambda weight: str(round(1000 * weight)))


# ------------------------------------------------------------------------------------------------------------- reading


def read_moments(path: Path) -> list[dict]:
    """The moments that a run has kept, in order; none where there is no such file.

    One line on lines that are no moments; a crash may have cut off the last one.
    """
    if not path.exists():
        return []
    try:
        lines = read_file(path, MOST_BYTES, "no moment is shown").decode("utf-8", errors="replace").splitlines()
    except UserError as error:
        log(f"notice      {error}")
        return []
    found = [moment for moment in map(parsed, lines) if moment]
    if len(found) < len(lines):
        log(f"notice      {len(lines) - len(found)} lines of {path} are no moments of a training, and are left out")
    # Of a step that stands there twice the later line, which a run that was resumed has written.
    return [moment for _, moment in sorted({moment["step"]: moment for moment in found}.items())]


def parsed(line: str) -> dict | None:
    """A line of the file as a moment; None where it is none."""
    try:
        moment = json.loads(line)
        check(moment, MOMENT)
        return moment if rows_agree(moment) else None
    except (ValueError, RecursionError):
        return None


def rows_agree(moment: dict) -> bool:
    """Have its maps and its probabilities as many numbers as the passage has places? ValueError: they have others."""
    length = len(moment["passage"])
    maps = [moment["influence"]] if moment["attention"] is None else [moment["influence"], moment["attention"]]
    return (
        len(moment["next"]) == length > 1
        and all(row_lengths(part) == list(range(1, length + 1)) for part in maps)
        and row_lengths(moment["next_p"]) == [len(row) for row in moment["next"]]
        and row_lengths(moment["true_p"]) == [1] * (length - 1)
    )


def row_lengths(rows: str) -> list[int]:
    """How many numbers each row of a compact string holds; ValueError where something else stands there.

    >>> row_lengths("1;0.25 0.75")
    [1, 2]
    """
    if not re.fullmatch(r"[0-9.e+\- ;]+", rows) or not all(0 <= float(one) <= 1000 for one in re.split("[ ;]", rows)):
        raise ValueError("no rows of probabilities or thousandths")
    return [row.count(" ") + 1 for row in rows.split(";")]
