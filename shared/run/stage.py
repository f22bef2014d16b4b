"""A stage as its train.py describes it, and what train.py and generate.py do: read the flags, then do the work.

Nothing here imports PyTorch, which takes a second: so --help and a wrong flag are answered at once.
"""

import re
from argparse import ArgumentTypeError, Namespace
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from shared.run.cli import ArgumentParser, OneOrMore, path_or_name, read_flags, run_main, some_path, wait_briefly
from shared.run.flags import (
    DEVICES,
    EPSILON,
    LENGTH,
    TITLES,
    add_flag,
    add_sampling_flags,
    add_training_flags,
    some_text,
)
from shared.stages import model_class
from shared.text.tokenizer import TOKENIZERS

COMMON = dict(
    data="shakespeare", tokenizer="word", vocab_size=None, epochs=None, seed=1, device="auto", precision="auto",
    eval_interval=None, optimizer="muon", weight_decay=0.05, epsilon=EPSILON, warmup_steps=50, decay_share=0.6,
    average_share=0.0, gradient_clip=1.0,
)  # fmt: skip


@dataclass(frozen=True)
class Stage:
    """A stage as its train.py describes it.

    `defaults` are for words; `by_tokenizer` overrides some of them for another tokenizer, `quick` for the run of a
    minute, `thorough`, again by tokenizer, for the one of twenty minutes. `model_settings` names those that the model's
    constructor takes besides vocab_size. `add_flags(parser)` adds the stage's own flags. The model is the class of
    model.py that shared/stages.py names.
    """

    folder: Path
    defaults: dict
    model_settings: tuple[str, ...]
    by_tokenizer: dict[str, dict] = field(default_factory=dict)
    quick: dict = field(default_factory=dict)
    thorough: dict[str, dict] = field(default_factory=dict)
    add_flags: Callable[[ArgumentParser], None] = lambda parser: None

    @property
    def model(self) -> type:
        """The model's class, for which PyTorch is imported."""
        return model_class(self.folder.name)

    def presets(self, tokenizer: str) -> dict[str, dict]:
        """What each preset changes; a tokenizer that has no thorough settings of its own takes those for words."""
        found = {"quick": self.quick}
        if self.thorough:
            found["thorough"] = self.thorough.get(tokenizer, self.thorough["word"])
        return found

    def settings(self, tokenizer: str, preset: str = "default") -> dict:
        """All settings: the common ones, the stage's, and what tokenizer and preset change. The last wins."""
        changes = self.by_tokenizer.get(tokenizer, {}) | self.presets(tokenizer).get(preset, {})
        return COMMON | self.defaults | changes | {"tokenizer": tokenizer}


def too_short(max_steps: int, default_steps: int) -> str:
    """A warning where a run has less than a third of the default's steps; nothing where it has more."""
    if 3 * max_steps >= default_steps:
        return ""
    return f"{max_steps:,} of the default's {default_steps:,} steps do not rank stages"


def train_stage(stage: Stage) -> None:
    """The whole of train.py: read the flags, train, say how good it is and what to type next."""
    flags = read_flags(lambda: training_flags(stage))
    wait_briefly()
    from shared.run.language_modeling import train_language_model  # and with it PyTorch

    run_main(lambda: train_language_model(stage, flags))


def generate_stage(folder: Path) -> None:
    """The whole of generate.py, for the stage in `folder`."""
    flags = read_flags(lambda: generation_flags(folder))
    from shared.run.generation import write_text  # and with it PyTorch

    run_main(lambda: write_text(folder, flags))


def training_flags(stage: Stage) -> Namespace:
    """The flags given, and only those: what was not given is filled in later from the stage's defaults."""
    parser = ArgumentParser(
        description=f"Train {stage.folder.name} on Shakespeare. No flags are needed. Defaults in brackets are those "
        "for words.",
        epilog="example: python train.py --data my-text.txt --tokenizer char --quick",
    )
    for title in TITLES:  # in this order
        parser.group(title)
    defaults = stage.settings("word")
    why = (
        "shakespeare (bundled, needs no network), tinyshakespeare (downloaded once), text files, a folder of them, or "
        "- for standard input; the last 10% of your own text, several files laid end to end, is held out"
    )
    add_flag(parser, "--data", why, defaults, "text", type=path_or_name, nargs="+", action=OneOrMore, metavar="PATH")
    why = "what a token is; words make readable text soonest"
    add_flag(parser, "--tokenizer", why, defaults, "text", choices=sorted(TOKENIZERS))
    why = "upper limit; by default every word seen twice, every character, or 1,024 bytes and byte pairs"
    add_flag(parser, "--vocab-size", why, defaults, "text", type=LENGTH)
    add_training_flags(parser, stage.folder, defaults, stage.presets("word"))
    why = "train a trained model further, on --data: a best.pt, or its folder, gives weights, sizes and tokenizer"
    add_flag(parser, "--start-from", why, defaults, "start here", type=path_or_name, metavar="PATH")
    why = "keep no moments.jsonl, with which `python -m shared.compare` lets you watch the model learn"
    parser.add_argument("--no-moments", action="store_true", help=why)
    stage.add_flags(parser.group("model"))
    return parser.parse_args()


def layer_and_head(text: str) -> tuple[int, int]:
    """A type for argparse: which head of which layer, counted from 1 -> from 0.

    >>> layer_and_head("3.2")
    (2, 1)
    """
    found = re.fullmatch(r"([1-9]\d*)\.([1-9]\d*)", text, re.ASCII)
    if not found:
        raise ArgumentTypeError(f"{text!r} must be a layer and one of its heads, counted from 1, as 3.2")
    layer, head = found.groups()
    return int(layer) - 1, int(head) - 1


def generation_flags(folder: Path) -> Namespace:
    """The flags of generate.py."""
    parser = ArgumentParser(
        description=f"Write text with the trained {folder.name}, one token at a time.",
        epilog='example: python generate.py --prompt "To be or not to be" --visualize',
    )
    add = parser.add_argument
    text = parser.add_mutually_exclusive_group()
    why = "the text to go on from; without one, writing starts on a new line"
    text.add_argument("words", nargs="*", default="", metavar="PROMPT", help=why)
    text.add_argument("--prompt", metavar="TEXT", help="the same, given as a flag")
    why = "the same from a UTF-8 file, or - for standard input; the newline at its end is left away"
    text.add_argument("--prompt-file", type=path_or_name, metavar="FILE", help=why)
    why = "how much to write; 100 words take less than a second [100]"
    add("--max-new-tokens", type=LENGTH, default=100, help=why)
    why = r"end before this text, which is not printed; \n is a new line, so \n\n ends at a blank one"
    add("--stop", type=some_text, metavar="TEXT", help=why)
    add_sampling_flags(parser)
    why = "the model to use: a file, the folder of a run, or pretrained, which comes with the course"
    why += " [checkpoints/best.pt]"
    add("--checkpoint", type=path_or_name, default=str(folder / "checkpoints" / "best.pt"), metavar="PATH", help=why)
    why = "one token at a time is too little work for a GPU to pay [cpu]"
    parser.group("machine").add_argument("--device", choices=DEVICES, default="cpu", help=why)
    one_of = parser.add_mutually_exclusive_group()  # the maps are of one text
    why = "ask for prompts until an end of file (Ctrl-D; on Windows Ctrl-Z and Enter) or Ctrl-C"
    one_of.add_argument("--interactive", action="store_true", help=why)
    why = "draw the maps into the folder PATH, by default this one"
    one_of.add_argument("--visualize", type=some_path, nargs="?", const=Path("."), metavar="PATH", help=why)
    why = "the head in the large attention map, as layer.head; by default the one that chooses most"
    add("--head", type=layer_and_head, metavar="3.2", help=why)
    flags = parser.parse_args()
    if flags.head and flags.visualize is None:
        parser.error("--head says what to draw; add --visualize, or leave it away")
    if flags.prompt is None:
        flags.prompt = " ".join(flags.words)
    if flags.interactive and (flags.prompt or flags.prompt_file):
        parser.error("--interactive asks for prompts; leave it or the prompt away")
    return flags
