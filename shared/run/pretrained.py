"""The default runs that come with the course: weights in a quarter of the room, and what each run says of itself.

A file results/pretrained.bin holds, one after the other:

    8 bytes     MAGIC
    4 + 4       the format's version, and how many bytes the header has: whole numbers, little endian
    32 bytes    the SHA-256 of all that follows
    header      JSON: the run's command, settings, progress and losses, and where each tensor stands
    weights     as `shared.model.packing.pack` writes them

All stages read the same words, so these lie beside them once, in shared/results/vocabulary.json.
"""

import hashlib
import json
import struct
from pathlib import Path

import torch

from shared.errors import UserError
from shared.files import read_file, whole_file
from shared.model.language_model import LanguageModel
from shared.model.packing import layout, pack, unpack
from shared.run.cli import quoted
from shared.run.content import BEST, LANGUAGE, least_weights
from shared.run.records import write_text
from shared.schema import NAME, PLAIN, SHA256, check
from shared.stages import ROOT, model_class
from shared.text.tokenizer import Tokenizer, check_tokenizer, fingerprint, tokenizer_from_dict

PRETRAINED = "pretrained"  # what --checkpoint calls them
MAGIC = b"4memory\n"
VERSION = 1
HEAD = struct.Struct("<8sII32s")
LARGEST_FILE = 2**26  # bytes; a file beyond that is none of these, and is not read
FIELDS = {
    "stage": NAME, "command": str, "settings": LANGUAGE["settings"], "model_settings": LANGUAGE["model_settings"],
    "corpus": LANGUAGE["corpus"], "tokenizer": SHA256, "progress": BEST["progress"], "validation": {...: PLAIN},
    "records": [{...: (int, float)}], "tensors": [dict],
}  # fmt: skip


def pretrained_file(stage: str, root: Path = ROOT) -> Path:
    """Where a stage's packed run lies."""
    return root / stage / "results" / "pretrained.bin"


def vocabulary_file(root: Path = ROOT) -> Path:
    """Where the tokenizer of all packed runs lies."""
    return root / "shared" / "results" / "vocabulary.json"


# ------------------------------------------------------------------------------------------------------------- writing


def write_pretrained(path: Path, run: dict, model: LanguageModel) -> None:
    """Write a run: `run` has the FIELDS of its header but for the tensors, which come from the model."""
    tensors, weights = pack(model)
    header = json.dumps(run | {"tensors": tensors}, separators=(",", ":")).encode("utf-8")
    header += b" " * (-len(header) % 4)  # so that the weights begin at a multiple of 4
    digest = hashlib.sha256(header + weights).digest()
    with whole_file(path) as file:
        file.write(HEAD.pack(MAGIC, VERSION, len(header), digest) + header + weights)


def write_vocabulary(tokenizer: Tokenizer, root: Path = ROOT) -> None:
    """Write the tokenizer of all packed runs."""
    write_text(vocabulary_file(root), json.dumps(tokenizer.to_dict(), separators=(",", ":")) + "\n")


# ------------------------------------------------------------------------------------------------------------- reading


def load_pretrained(
    stage: str, device: str | torch.device = "cpu", root: Path = ROOT
) -> tuple[LanguageModel, Tokenizer, dict]:
    """A stage's packed run: its model, its tokenizer, and all else that a checkpoint would say.

    UserError: there is no such file, it is damaged, or it is of another stage or vocabulary.
    """
    path = pretrained_file(stage, root)
    header, content = read_pretrained(path)
    if header["stage"] != stage:
        raise UserError(f"{path} holds a model of {header['stage']}, not of {stage}; {fetch(path)}")
    try:
        if least_weights(header["model_settings"]) > len(content):  # a byte or more each
            raise ValueError("the file is too small for such a model")
        model = model_class(stage)(**header["model_settings"])
        tensors, num_bytes = layout(model)
        if header["tensors"] != tensors or len(content) != num_bytes:
            raise ValueError("the weights are not those of such a model")
        weights = unpack(tensors, content)
        if not all(tensor.isfinite().all() for tensor in weights.values()):
            raise ValueError("not all weights are numbers")
    except Exception as error:  # what a model's class makes of settings that nobody meant can be anything
        raise damaged(path) from error
    saved = header | {"tokenizer": read_vocabulary(header, root), "weights": under_all_names(model, weights)}
    model.load_state_dict(saved["weights"])
    return model.to(device).eval(), tokenizer_from_dict(saved["tokenizer"]), saved


def read_pretrained(path: Path) -> tuple[dict, bytes]:
    """Header and weights of a packed run, whose checksum is right and whose header has all its fields."""
    if not path.is_file():
        raise UserError(f"there is no pretrained model at {path}; {fetch(path)}, or train one: python train.py")
    if not HEAD.size <= path.stat().st_size <= LARGEST_FILE:
        raise damaged(path)
    content = read_file(path, LARGEST_FILE, fetch(path))
    magic, version, length, digest = HEAD.unpack_from(content)
    if magic != MAGIC:
        raise damaged(path)
    if version != VERSION:
        raise UserError(f"{path} is of format {version}, which this version of the course does not read; {fetch(path)}")
    content = content[HEAD.size :]
    if length > len(content) or hashlib.sha256(content).digest() != digest:
        raise damaged(path)
    try:
        header = json.loads(content[:length])
        check(header, FIELDS, "header")
    except (ValueError, RecursionError) as error:
        raise damaged(path) from error
    return header, content[length:]


def under_all_names(model: LanguageModel, weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights under all names that they have in the model's state_dict, where tied ones have two."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {name: weights[names[id(tensor)]] for name, tensor in model.state_dict(keep_vars=True).items()}


def read_vocabulary(header: dict, root: Path) -> dict:
    """The tokenizer that a packed run's header means, as `to_dict` saved it; UserError where it is not there."""
    path = vocabulary_file(root)
    if not path.is_file() or path.stat().st_size > LARGEST_FILE:
        raise damaged(path)
    try:
        saved = json.loads(read_file(path, LARGEST_FILE, fetch(path)))
        vocab_size = check_tokenizer(saved)
    except (ValueError, RecursionError) as error:
        raise damaged(path) from error
    if fingerprint(saved) != header["tokenizer"] or vocab_size != header["model_settings"]["vocab_size"]:
        raise damaged(path)
    return saved


def damaged(path: Path) -> UserError:
    """The complaint about a file that is not what was written."""
    return UserError(f"{path} is damaged or missing; {fetch(path)}")


def fetch(path: Path) -> str:
    """How to have a file again that comes with the course."""
    return f"get it again: git checkout -- {quoted(str(path))}"
