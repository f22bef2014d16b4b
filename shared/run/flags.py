"""The flags that commands share, and why their defaults are what they are.

Nothing here imports PyTorch, which takes a second: so --help and a wrong flag are answered at once.
"""

import argparse
from argparse import Namespace
from collections.abc import Iterable
from pathlib import Path

from shared.run.cli import ArgumentParser, number, some_path
from shared.text.decoding import normalise

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "float32", "bfloat16")
OPTIMIZERS = ("muon", "adamw")

EPSILON = 1e-8  # as in PyTorch
EVALUATIONS = 6  # a run, unless --eval-interval says otherwise

WHOLE, POSITIVE, SHARE = number(int, low=1), number(float, above=0), number(float, low=0, high=1)
# Of what all has to be in memory at once, or be gone through one by one.
LENGTH, WIDTH, DEPTH = number(int, low=1, high=10**6), number(int, low=1, high=10**5), number(int, low=1, high=1000)
SEED = number(int, low=0)

# Flag -> why its default is what it is, and how argparse reads it. A command has those that it has a default for.
FLAGS = {
    "--max-steps": (
        "training steps; by default as many as fit into five minutes on two cores, or fewer where those suffice",
        dict(type=WHOLE),
    ),
    "--epochs": ("passes over the training text, instead of --max-steps", dict(type=POSITIVE)),
    "--batch-size": (
        "examples side by side in a step; more is faster per example, fewer gives more steps",
        dict(type=WIDTH),
    ),
    "--context-length": (
        "tokens a training step reads at once, and how far back its gradients go",
        dict(type=number(int, low=2, high=10**6)),
    ),
    "--hidden-size": ("numbers in a hidden vector; larger learns more a step but is slower", dict(type=WIDTH)),
    "--num-layers": ("layers one on the other; more are slower, and few suffice for so little data", dict(type=DEPTH)),
    "--learning-rate": ("size of a step at its highest; as high as training stays stable", dict(type=POSITIVE)),
    "--decay-share": (
        "share of the steps, the last ones, in which the learning rate falls to 0; weights come to rest",
        dict(type=SHARE),
    ),
    "--average-share": (
        "share of the steps that the average of the weights remembers, which is scored and kept; 0 for no average",
        dict(type=SHARE),
    ),
    "--dropout": (
        "share of activations left out in training, against learning by heart",
        dict(type=number(float, low=0, high=0.95)),
    ),
    "--epsilon": (
        "added to what AdamW divides a step by: 1e-4 holds back the vectors of rare words, and pays where a short text "
        "is read many times",
        dict(type=POSITIVE),
    ),
    "--seed": (
        "fixes initialisation, data order and dropout; for the very same numbers on a CPU also give --precision, "
        "which auto chooses by timing",
        dict(type=SEED),
    ),
    "--device": ("auto takes a GPU if PyTorch finds one", dict(choices=DEVICES)),
    "--precision": (
        "auto times both here and takes bfloat16 only if it is at least 1.3 times as fast",
        dict(choices=PRECISIONS),
    ),
    "--optimizer": (
        "muon learns more a step; adamw, for all weights, is what most programs use and wants its own --learning-rate",
        dict(choices=OPTIMIZERS),
    ),
    "--eval-interval": (
        f"steps between validations; by default {EVALUATIONS} a run, which costs a few per cent",
        dict(type=WHOLE),
    ),
}

# The titles under which --help shows the flags of a training, and those that are not about training itself.
TITLES = ("start here", "text", "model", "training", "machine")
GROUPS = {
    "--hidden-size": "model",
    "--num-layers": "model",
    "--context-length": "model",
    "--dropout": "model",
    "--device": "machine",
    "--precision": "machine",
}

# Presets that a command may have, and their flags' help texts.
PRESETS = {
    "quick": "a minute or a little more, to see that everything works: too short to rank models",
    "thorough": "about twenty minutes on two cores: more steps, in some stages a wider model, and more dropout",
}


def add_flag(
    parser: ArgumentParser, name: str, why: str, defaults: dict, group: str = "training", **options: object
) -> None:
    """A flag that is None where it is not given; its help ends with the default in brackets."""
    value = defaults.get(name.lstrip("-").replace("-", "_"))
    shown = "" if value is None else f" [{value}]"
    parser.group(GROUPS.get(name, group)).add_argument(name, help=(why + shown).replace("%", "%%"), **options)


def add_training_flags(
    parser: ArgumentParser, folder: Path, defaults: dict, presets: Iterable[str] = ("quick",)
) -> None:
    """The common flags that `defaults` has a value for, those of the presets, and those that say where a run goes."""
    for name, (why, options) in FLAGS.items():
        if name.lstrip("-").replace("-", "_") in defaults:
            add_flag(parser, name, why, defaults, **options)
    parser.add_argument(
        "--out-dir", type=some_path, default=str(folder / "checkpoints"), help="where the run is kept [checkpoints]"
    )
    parser.add_argument("--resume", action="store_true", help="go on from last.pt in --out-dir, with its settings")
    one_of = parser.add_mutually_exclusive_group()
    for name in presets:
        one_of.add_argument(f"--{name}", dest="preset", action="store_const", const=name, help=PRESETS[name])


def add_sampling_flags(parser: ArgumentParser) -> None:
    """How the next token is chosen from its probabilities."""
    add = parser.group("choosing the next token").add_argument
    why = "below 1 plays safe, above 1 dares, 0 takes the likeliest; 0.8 is readable [0.8]"
    add("--temperature", type=number(float, low=0), default=0.8, help=why)
    why = "choose among the k likeliest tokens only; by default among all"
    add("--top-k", type=WHOLE, help=why)
    why = "choose among the likeliest tokens that together reach this probability; by default among all"
    add("--top-p", type=number(float, above=0, high=1), help=why)
    why = "the same seed gives the same text; change it for another [1]"
    add("--seed", type=SEED, default=1, help=why)
    add("--num-samples", type=DEPTH, default=1, help="how many texts to write side by side [1]")


def some_text(text: str) -> str:
    r"""A type for argparse: a text that is not empty. \n in it is a new line, which some shells cannot type.

    >>> some_text(r"ROMEO:\n")
    'ROMEO:\n'
    """
    if not text:
        raise argparse.ArgumentTypeError("must not be empty; leave the flag away")
    return normalise(text.replace(r"\n", "\n"))


def exercise_flags() -> Namespace:
    """The flags of every exercises/check.py."""
    parser = ArgumentParser(
        description="Check what you wrote in answers.py, which is yours: git does not see it.",
        epilog="example: python check.py",
    )
    parser.add_argument("--solutions", action="store_true", help="check solutions.py instead")
    return parser.parse_args()
