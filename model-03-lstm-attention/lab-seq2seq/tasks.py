"""The lab's tasks, in one form: where a training batch comes from, what is held out, and what is scored at the end.

Every task has `vocabularies`, `batch(step)`, `held_out` (Examples), `table` and `row` (where its results belong) and
`scores(model)` (column -> share).
"""

from collections.abc import Callable
from pathlib import Path

import torch

from shared.run.checkpoint import checkpoint_file, load_checkpoint
from shared.run.content import LEFT_OUT, SETTINGS, SIZE, check_number_of_weights
from shared.run.restore import rebuild_model
from shared.schema import PLAIN, check

from examples import (
    LETTERS,
    MODERN_SYMBOLS,
    OLD_SYMBOLS,
    Batch,
    Lines,
    SpellingBatches,
    Symbols,
    Vocabularies,
    encoded,
    held_out_strings,
    read_pairs,
    string_batch,
    windows,
)
from model import Seq2Seq
from scores import modernised, string_scores, word_scores

NAME = "lab-seq2seq"
# Task -> the symbols of its source and of its target. The Folio's symbols suffice for both of its sides.
SYMBOLS = {"spelling": (OLD_SYMBOLS, MODERN_SYMBOLS), "copy": (LETTERS, LETTERS), "reverse": (LETTERS, LETTERS)}

# What of a run's settings the model is built with, and what a checkpoint's settings may be.
MODEL_SETTINGS = {
    "hidden_size": SIZE, "embedding_size": SIZE, "num_layers": SIZE, "attention": {"additive", "multi-head", "none"},
    "num_heads": SIZE, "bidirectional": bool, "dropout": LEFT_OUT,
}  # fmt: skip
TASK_SETTINGS = {"task": set(SYMBOLS), "context": range(4), "longest": range(1, 41), "own_vocabularies": bool}

HELD_OUT_WORDS = 5000  # of the validation plays, by which the best weights are chosen; the end scores all words
HELD_OUT_STRINGS = 20  # of every length


class StringTask:
    """Copy or reverse random strings: nothing to know but where to look."""

    def __init__(self, settings: dict):
        self.settings = settings
        self.vocabularies = vocabularies_of(settings)
        self.held_out = held_out_strings(settings["task"], list(range(1, settings["longest"] + 1)), HELD_OUT_STRINGS)
        self.table, self.row = settings["task"], row_name(settings)

    def batch(self, step: int) -> Batch:
        """The training batch of a step."""
        return string_batch(self.settings, step)

    def scores(self, model: Seq2Seq) -> dict[str, float]:
        """On held-out strings of the lengths trained."""
        return string_scores(model, self.settings["task"], self.settings["longest"])


class SpellingTask:
    """The First Folio's words to modern ones; whole plays are held out."""

    def __init__(self, settings: dict):
        self.context = settings["context"]
        self.vocabularies = vocabularies_of(settings)
        self.splits = read_pairs()
        self.batch = SpellingBatches(self.splits["train"], self.vocabularies, settings)
        pairs = windows(self.splits["validation"], self.context)
        self.held_out = encoded(pairs[:: max(1, len(pairs) // HELD_OUT_WORDS)], self.vocabularies)
        context = {0: "word alone", 1: "one neighbour"}.get(self.context, f"{self.context} neighbours")
        self.table, self.row = "spelling", row_name(settings, context)

    def scores(self, model: Seq2Seq) -> dict[str, float]:
        """On all words of the held-out plays, and on those never seen in training."""

        def predict(lines: Lines) -> list[str]:
            return modernised(model, lines, self.vocabularies, self.context)

        return split_scores(self.splits, predict)


def split_scores(splits: dict[str, Lines], predict: Callable[[Lines], list[str]]) -> dict[str, float]:
    """Column -> share of right words; `predict(lines)` gives a modern form for every word of the lines."""
    seen = {old for line in splits["train"] for old, _ in line}
    scores = {}
    for split in ("validation", "test"):
        scores[split], scores[f"{split}, unseen"] = word_scores(splits[split], predict(splits[split]), seen)
    return scores


def vocabularies_of(settings: dict) -> Vocabularies:
    """One vocabulary for both sides or, if the settings ask for it, each side's own."""
    source, target = map(Symbols, SYMBOLS[settings["task"]])
    return Vocabularies(source, target if settings["own_vocabularies"] else source)


def row_name(settings: dict, *more: str) -> str:
    """What a table calls a run: its attention, `more` that its task has to say, and what else is not as usual."""
    attention = settings["attention"]
    parts = ["no attention" if attention == "none" else attention, *more]
    if settings["num_layers"] > 1:
        parts.append(f"{settings['num_layers']} layers")
    if not settings["bidirectional"]:
        parts.append("one direction")
    if settings["own_vocabularies"]:
        parts.append("own vocabularies")
    return ", ".join(parts)


def make_task(settings: dict) -> StringTask | SpellingTask:
    """The task that the settings name."""
    return SpellingTask(settings) if settings["task"] == "spelling" else StringTask(settings)


def vocabulary_sizes(vocabularies: Vocabularies) -> dict[str, int]:
    """What the model has to know of the vocabularies; one that is shared is named once."""
    source, target = vocabularies
    sizes = {"source_vocab_size": source.vocab_size}
    return sizes if target is source else sizes | {"target_vocab_size": target.vocab_size}


def check_content(content: dict) -> None:
    """ValueError where a checkpoint is none of this lab: what `load_checkpoint` is told of it."""
    check(content, {"settings": SETTINGS | MODEL_SETTINGS | TASK_SETTINGS | {...: PLAIN}, ...: object})
    check(content, {"model_settings": {...: PLAIN}, ...: object})
    settings, model_settings = content["settings"], content["model_settings"]
    expected = {name: settings[name] for name in MODEL_SETTINGS} | vocabulary_sizes(vocabularies_of(settings))
    if model_settings != expected:
        raise ValueError("model_settings are not what settings says")
    size = settings["hidden_size"]
    check_number_of_weights(content, size * (settings["embedding_size"] + settings["num_layers"] * size))


def load_model(path: Path, device: torch.device | str = "cpu") -> tuple[Seq2Seq, Vocabularies, dict]:
    """A trained model in eval mode, its vocabularies and its settings, from a checkpoint of this lab."""
    saved, path = load_checkpoint(path, NAME, check=check_content), checkpoint_file(path)
    return rebuild_model(saved, Seq2Seq, path, device), vocabularies_of(saved["settings"]), saved["settings"]
