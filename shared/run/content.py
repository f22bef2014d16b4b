"""What a checkpoint holds, and what in it has to agree: nobody else looks at a content that is not as it says here.

    best.pt     what it takes to use a model: who it is, how it was trained, its weights and how far it had come
    last.pt     that, and what it takes to go on: optimizers, averaged weights, carried state, random numbers

What is said of `settings` here holds for all trainings; what a language model adds is in LANGUAGE, and each lab tells
`load_checkpoint` what it adds.
"""

import math
import re
import shlex
from typing import Any

import torch
from torch import Tensor

from shared.run.flags import DEVICES, OPTIMIZERS, PRECISIONS
from shared.schema import NAME, PLAIN, SHA256, Between, check, part_name, shown
from shared.text.tokenizer import TOKENIZERS, check_tokenizer

WHOLE, SIZE = range(1, 2**53), range(1, 10**6 + 1)
NUMBER, SHARE, LEFT_OUT = Between(0, 1e300), Between(0, 1), Between(0, 0.95)

# How a training went on, in stages and labs alike.
SETTINGS = {
    "seed": range(2**53), "device": set(DEVICES), "precision?": set(PRECISIONS), "optimizer": set(OPTIMIZERS),
    "max_steps": WHOLE, "batch_size": SIZE, "eval_interval": (None, WHOLE), "learning_rate": NUMBER,
    "warmup_steps": range(2**53), "decay_share": SHARE, "average_share?": SHARE, "weight_decay": NUMBER,
    "epsilon?": NUMBER, "gradient_clip": NUMBER, "hidden_size": SIZE, "dropout": LEFT_OUT,
}  # fmt: skip
# A language model's sizes, and whatever else its stage leaves to choose.
MODEL_SETTINGS = {
    "hidden_size": SIZE, "num_layers": SIZE, "dropout": LEFT_OUT, "num_heads?": SIZE, "cell?": {"rnn", "lstm", "gru"},
    "implementation?": {"torch", "scratch"}, "attention?": {"additive", "dot", "multi-head"}, "memory_length?": SIZE,
    "context_length?": range(2, 10**6 + 1), "positions?": {"rotary", "sinusoidal", "learned"},
}  # fmt: skip
LANGUAGE = {
    "settings": SETTINGS | MODEL_SETTINGS | {
        "data": (str, [str]), "tokenizer": set(TOKENIZERS), "vocab_size": (None, WHOLE), "epochs": (None, NUMBER),
        "context_length": range(2, 10**6 + 1), ...: PLAIN,
    },
    "model_settings": MODEL_SETTINGS | {"vocab_size": range(1, 2**31)},
    "tokenizer": dict,
    "corpus": {"name": NAME, "sha256": SHA256},
    ...: object,
}  # fmt: skip

COUNT = range(2**53)
BEST = {
    "stage": NAME,
    "settings": {"max_steps?": WHOLE, ...: PLAIN},
    "weights": {...: Tensor},
    "progress": {
        "step": COUNT, "tokens": COUNT, "seconds": NUMBER, "best_loss": Between(-math.inf), "best_step": COUNT,
    },
    "command?": re.compile(r"[^\0-\x08\x0b-\x1f\x7f-\x9f]{1,100000}"),
    ...: object,
}  # fmt: skip
LAST = {
    "optimizers": [{"state": dict, "param_groups": list}],
    "average?": {...: Tensor},
    "carry": object,
    "interval": [(Tensor, int)],
    "random": {"cpu": Tensor, ...: Tensor},
    ...: object,
}

# A tensor of a checkpoint is a plain one, of one of these types.
DEEPEST = 10  # parts within parts
TYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.int64, torch.uint8)


def check_parts(content: Any, most_parts: int, most_bytes: int) -> None:
    """ValueError for anything but plain values and tensors of numbers, and for more of them than a file has room for.

    So nothing in it is larger than it looks: a list may hold itself, and a tensor one number a thousand million times.
    """
    rest, num_parts, num_bytes = [("", 0, content)], 0, 0
    while rest:
        name, depth, part = rest.pop()
        num_parts += 1
        num_bytes += part.numel() * part.element_size() if isinstance(part, Tensor) else 0
        if num_parts > most_parts or num_bytes > most_bytes or depth > DEEPEST:
            raise ValueError(f"{name or 'it'} would be larger than the file")
        if isinstance(part, dict) and all(isinstance(key, str | int) for key in part):
            rest += [(part_name(name, key), depth + 1, value) for key, value in part.items()]
        elif isinstance(part, list | tuple):
            rest += [(name, depth + 1, value) for value in part]
        elif type(part) is Tensor:
            check_tensor(part, name)
        elif not (part is None or type(part) in (bool, float, str) or type(part) is int and abs(part) < 2**63):
            raise ValueError(f"{name or 'it'} holds a {type(part).__name__} that has no place in a checkpoint")


def check_tensor(tensor: Tensor, name: str) -> None:
    """ValueError where a tensor is no plain one or not all of it are numbers."""
    plain = tensor.layout is torch.strided and tensor.device.type == "cpu" and not tensor.requires_grad
    if not plain or tensor.dtype not in TYPES or tensor.is_conj() or tensor.is_neg():
        raise ValueError(f"{name} is a tensor of a kind that has no place in a checkpoint")
    if tensor.is_floating_point() and not tensor.isfinite().all():
        raise ValueError(f"not all numbers in {name} are finite")


def check_best(content: dict) -> None:
    """ValueError where a checkpoint lacks what is needed to use its model, or that contradicts itself."""
    check(content, BEST)
    settings, progress = content["settings"], content["progress"]
    if progress["step"] > settings.get("max_steps", math.inf):
        raise ValueError(f"progress.step is {progress['step']}, more than settings.max_steps")
    if progress["best_step"] > progress["step"]:
        raise ValueError(f"progress.best_step is {progress['best_step']}, more than progress.step")
    try:
        shlex.split(content.get("command", ""))
    except ValueError as error:
        raise ValueError("command is no command line") from error


def check_last(content: dict) -> None:
    """ValueError where a checkpoint lacks what is needed to go on with its training.

    What has to fit the model and its optimizers is looked at when these are there, in `Loop.restore`.
    """
    check(content, LAST)
    interval = content["interval"]
    if [type(part) for part in interval] != [Tensor, int]:
        raise ValueError("interval is not a loss and the number of its terms")
    if interval[0].shape != () or not interval[0].is_floating_point():
        raise ValueError("interval begins with something else than a loss")
    try:
        torch.Generator().set_state(content["random"]["cpu"])
    except (RuntimeError, TypeError) as error:
        raise ValueError("random.cpu is no state of random numbers") from error


def check_language_model(content: dict) -> None:
    """ValueError where a stage's checkpoint is none of a language model: it has a tokenizer, which fits the model."""
    check(content, LANGUAGE)
    check_agreement(content, content["model_settings"].keys() - {"vocab_size"})
    check_number_of_weights(content, least_weights(content["model_settings"]))
    settings, tokenizer, vocab_size = content["settings"], content["tokenizer"], content["model_settings"]["vocab_size"]
    size = check_tokenizer(tokenizer)
    if size != vocab_size or tokenizer["name"] != settings["tokenizer"]:
        raise ValueError(
            f"its tokenizer, {tokenizer['name']} with {size} tokens, is not the model's, {settings['tokenizer']} with "
            f"{vocab_size}"
        )


def check_agreement(content: dict, names: set[str]) -> None:
    """ValueError where the model's settings are not what the training's settings say."""
    for name in sorted(names):
        of_model, of_training = (content[part].get(name) for part in ("model_settings", "settings"))
        if of_model != of_training:
            raise ValueError(f"model_settings.{name} is {shown(of_model)}, but settings has {shown(of_training)}")


def least_weights(model_settings: dict) -> int:
    """The fewest weights of a language model of these sizes: a row for each word, and a square matrix for each layer.

    And a row for each place, where positions are learned or looked up.
    """
    rows = model_settings["vocab_size"] + model_settings["num_layers"] * model_settings["hidden_size"]
    if model_settings.get("positions", "rotary") != "rotary":
        rows += model_settings.get("context_length", 0)
    return rows * model_settings["hidden_size"]


def check_number_of_weights(content: dict, needed: int) -> None:
    """ValueError where a checkpoint has fewer weights than the least that its settings need.

    Asked before a model is built, since one that is too large for the computer could not be compared with its weights.
    """
    there = sum(weights.numel() for weights in content["weights"].values())
    if there < needed:
        raise ValueError(f"its settings are those of a model of {needed:,} weights or more, and it has {there:,}")


def check_tensors(tensors: dict, expected: dict[str, Tensor], what: str) -> None:
    """ValueError, which tells the first, where these have other names, shapes or types than the tensors expected."""
    for name in sorted(expected.keys() - tensors.keys()):
        raise ValueError(f"{what}.{name} is missing")
    for name, tensor in tensors.items():
        if name not in expected:
            raise ValueError(f"{part_name(what, name)} is not known")
        if not isinstance(tensor, Tensor):
            raise ValueError(f"{what}.{name} is {shown(tensor)}, not a tensor")
        found, wanted = ((tuple(each.shape), each.dtype) for each in (tensor, expected[name]))
        if found != wanted:
            raise ValueError(f"{what}.{name} has the shape and type {found}, not {wanted}".replace("torch.", ""))
