"""Whatever a checkpoint holds, a command that loads it says in one line what is wrong, or works; at little cost."""

import io
import os
import subprocess
import sys
import zipfile

import pytest
import torch
from checkpoints import random_checkpoint
from mutations import RESUME, RUNS, Runs, attempt, campaign_mutations, words_of
from options import STAGE_1, STAGE_4

from shared.errors import UserError
from shared.run.checkpoint import load_checkpoint, save_checkpoint
from shared.run.restore import restore_language_model
from shared.stages import ROOT
from shared.text.corpus import Corpus
from shared.text.tokenizer import train_tokenizer

TEXT = "To be, or not to be\n" * 20
CORPUS = Corpus("a text", TEXT, TEXT, TEXT, "0" * 64)
BOTH = ("settings", "model_settings")


def sound(stage=STAGE_1, kind="char") -> dict:
    """The content of a checkpoint with which nothing is wrong."""
    changes = {"precision": "float32", "vocab_size": None}
    return random_checkpoint(stage, train_tokenizer(kind, TEXT), CORPUS, "a text", **changes)


def complaint(path) -> str:
    """The one line about a file that is no sound checkpoint of a stage."""
    with pytest.raises(UserError) as caught:
        restore_language_model(path)
    message = str(caught.value)
    assert "\n" not in message and message.isprintable() and len(message) < 400 + len(str(path))
    return message


def told(tmp_path, **other) -> str:
    """The one line about a sound checkpoint in which some parts are others; None takes one away."""
    content = {name: part for name, part in (sound() | other).items() if part is not None}
    torch.save({"format": 2} | content, tmp_path / "best.pt")
    return complaint(tmp_path / "best.pt")


def changed(part: str, **changes) -> dict:
    """A part of a sound checkpoint with other values in it."""
    return {part: sound()[part] | changes}


def with_bias(bias) -> dict:
    return {"weights": sound()["weights"] | {"output.bias": bias}}


BIAS = sound()["weights"]["output.bias"]
DOUBLING = [[97, 97], *([256 + place] * 2 for place in range(60))]
LOOP = []
LOOP.append(LOOP)
WRONG = {
    "a key is missing": ({"model_settings": None}, "model_settings is missing"),
    "another vocabulary": ({"tokenizer": train_tokenizer("char", "abc").to_dict()}, "its tokenizer, char with 4"),
    "another kind of tokens": ({"tokenizer": train_tokenizer("word", TEXT).to_dict()}, "its tokenizer, word with"),
    "a text for a size": (changed("settings", hidden_size="16"), "settings.hidden_size is '16'"),
    "a huge size": (changed("settings", hidden_size=10**9), "settings.hidden_size is 1000000000"),
    "too large a size": (
        {name: sound()[name] | {"hidden_size": 10**6} for name in BOTH},
        "its settings are those of a model of",
    ),
    "many layers": (
        {name: sound()[name] | {"num_layers": 10**6} for name in BOTH},
        "its settings are those of a model of",
    ),
    "settings that contradict": (changed("model_settings", num_layers=3), "num_layers is 3, but"),
    "a later step than the last": (changed("progress", step=10**9), "progress.step is 1000000000"),
    "NaN for a loss": (changed("progress", best_loss=float("nan")), "progress.best_loss is nan"),
    "weights that are no numbers": (with_bias(BIAS * float("nan")), "output.bias are finite"),
    "weights of another shape": (with_bias(BIAS[:-1]), "weights.output.bias has the shape"),
    "weights of another type": (with_bias(BIAS.double()), "weights.output.bias has the shape"),
    "weights too many": ({"weights": sound()["weights"] | {"\x1b[2J": BIAS}}, r"weights.\x1b[2J is not known"),
    "a tensor of one number": (with_bias(torch.zeros(()).expand(10**9)), "larger than the file"),
    "a sparse tensor": (with_bias(BIAS.to_sparse()), "a kind that has no place"),
    "a parameter": (with_bias(torch.nn.Parameter(BIAS)), "Parameter that has no place"),
    "a list that holds itself": (changed("settings", data=LOOP), "larger than the file"),
    "signs that act": ({"corpus": {"name": "\x1b]0;mine\x07", "sha256": ""}}, r"corpus.name is '\x1b]0;mine\x07'"),
    "a stage with signs that act": ({"stage": "\x1b[31m"}, r"stage is '\x1b[31m'"),
    "merges that double": ({"tokenizer": {"name": "bpe", "merges": DOUBLING}}, "makes a token of"),
    "merges of what comes later": ({"tokenizer": {"name": "bpe", "merges": [[97, 300]]}}, "from before it"),
    "a character twice": ({"tokenizer": {"name": "char", "characters": "\naa"}}, "two tokens that are the same"),
    "half a character": ({"tokenizer": {"name": "char", "characters": "\n\ud800"}}, "half of a surrogate pair"),
    "a word that is none": ({"tokenizer": {"name": "word", "words": ["<unk>", "\n", 7]}}, "tokenizer.words[2] is 7"),
    "an open quotation": ({"command": "python 'train.py"}, "command is no command line"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_with_a_checkpoint_is_told_by_its_name(tmp_path, case):
    other, words = WRONG[case]
    assert words in told(tmp_path, **other)


def test_a_sound_checkpoint_is_read_in_every_way_that_is_tried_here(tmp_path):
    for stage in (STAGE_1, STAGE_4):
        for kind in ("char", "word", "bpe"):
            save_checkpoint(tmp_path / "best.pt", sound(stage, kind))
            model, tokenizer, _ = restore_language_model(tmp_path / "best.pt")
            assert len(model.embedding.weight) == tokenizer.vocab_size


# Archives


def rewritten(path, compress=zipfile.ZIP_STORED, change=lambda name, data: data, twice="") -> None:
    """Write a sound checkpoint to `path` in another archive than torch.save makes."""
    file = io.BytesIO()
    torch.save(sound(), file)
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(path, "w", compress) as new:
        for entry in old.infolist():
            for _ in range(1 + (bool(twice) and entry.filename.endswith(twice))):
                new.writestr(entry.filename, change(entry.filename, old.read(entry)))


def byte_array(name: str, data: bytes) -> bytes:
    """A pickle that asks for a thousand million bytes."""
    return b"\x80\x02c__builtin__\nbytearray\nJ\x00\xca\x9a\x3b\x85R." if name.endswith("data.pkl") else data


def many_zeros(name: str, data: bytes) -> bytes:
    """So many zeros that they fill the memory, and the file hardly."""
    return bytes(3 * 10**8) if name.endswith("/data/0") else data


def overlapping(path) -> None:
    """An archive with two names for the bytes of one entry."""
    rewritten(path)
    content = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        first, second = [entry for entry in archive.infolist() if "/data/" in entry.filename][:2]
    at = content.rindex(second.filename.encode())
    where = first.header_offset.to_bytes(4, "little")
    path.write_bytes(content[: at - 4] + where + content[at:])


ARCHIVES = {
    "compressed": lambda path: rewritten(path, zipfile.ZIP_DEFLATED),
    "an entry twice": lambda path: rewritten(path, twice="data.pkl"),
    "overlapping": overlapping,
    "a byte array": lambda path: rewritten(path, change=byte_array),
    "compressed zeros": lambda path: rewritten(path, zipfile.ZIP_DEFLATED, many_zeros),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("case", [case for case in ARCHIVES if case != "compressed zeros"])
def test_an_archive_that_torch_never_wrote_is_refused(tmp_path, case):
    ARCHIVES[case](tmp_path / "best.pt")
    assert "damaged or not a checkpoint" in complaint(tmp_path / "best.pt")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a system with pipes that have names")
def test_a_pipe_or_a_device_is_never_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(UserError, match="there is no checkpoint at"):
            load_checkpoint(type(tmp_path)(path))


MEASURED = """
import resource, sys, time
sys.path[:0] = sys.argv[1:3]
import pytest
from pathlib import Path
import test_mutations as tests
tests.complaint(Path(sys.argv[3]) / "cc.pt")
most, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
for path in sorted(Path(sys.argv[3]).glob("*.pt")):
    tests.complaint(path)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - most, time.process_time() - began)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux, which tells memory in kibibytes")
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_no_file_takes_much_memory_or_time_to_be_refused(tmp_path):
    for number, case in enumerate(ARCHIVES):
        ARCHIVES[case](tmp_path / f"{number}.pt")
    for case in ("a huge size", "too large a size", "many layers", "a tensor of one number", "merges that double"):
        torch.save(sound() | WRONG[case][0], tmp_path / f"{case}.pt")
    (tmp_path / "cc.pt").write_bytes(b"no checkpoint")
    words = [sys.executable, "-c", MEASURED, str(ROOT), str(ROOT / "tests"), str(tmp_path)]
    memory, seconds = map(float, subprocess.run(words, capture_output=True, text=True, check=True).stdout.split())
    assert memory < 200 * 1024 and seconds < 20


# In every command


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return Runs(tmp_path_factory.mktemp("runs"))


def refused(runs, name, content, words) -> None:
    """Going on with such a last.pt is refused in one line that has these words."""
    run = runs.with_file(name, "last.pt", lambda path: torch.save(content, path))
    outcome = attempt(runs.folder, words_of(RESUME, RUNS[name][0], run))
    assert outcome.kind == "refused" and words in outcome.err, outcome


def test_best_weights_in_the_place_of_a_last_pt_are_told_from_one(runs):
    for name in ("rnn", "copy"):
        refused(runs, name, runs.content(name, "best.pt"), "holds weights to use, as a best.pt does")


def test_what_a_training_could_not_go_on_from_is_told(runs):
    last = runs.content("rnn", "last.pt")
    muon, adamw = last["optimizers"]
    wrong = {number: {"momentum_buffer": torch.zeros(3)} for number in muon["state"]}
    refused(runs, "rnn", last | {"optimizers": [muon | {"state": wrong}, adamw]}, "momentum_buffer has the shape")
    refused(runs, "rnn", last | {"optimizers": [adamw]}, "optimizers are 1, not 2")
    refused(runs, "rnn", last | {"carry": (torch.zeros(4, 17),)}, "no step can start from its carry")
    refused(runs, "rnn", last | {"random": {"cpu": last["random"]["cpu"][:9]}}, "random.cpu is no state")
    refused(runs, "rnn", last | {"settings": last["settings"] | {"max_steps": "3"}}, "settings.max_steps is '3'")
    refused(runs, "rnn", last | {"interval": (torch.zeros(2), 0)}, "interval begins with something else")
    refused(runs, "rnn", last | {"interval": (5, 5)}, "interval is not a loss and the number of its terms")
    late = last["progress"] | {"best_step": last["progress"]["step"] + 1}
    refused(runs, "rnn", last | {"progress": late}, "progress.best_step is 4, more than progress.step")


def test_changed_checkpoints_are_refused_in_one_line_or_do_no_harm_in_any_command(runs):
    found = campaign_mutations(60, seed=2, folder=runs.folder)
    assert found["others"] == [] and found["harmless"] and found["refused"]
