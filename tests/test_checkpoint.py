"""A checkpoint is on the disk whole or not at all, and reading one runs nobody's code."""

import errno
import os
import pickle
import warnings
import zipfile
from pathlib import Path

import pytest
import torch

from shared.errors import UserError
from shared.model.sampling import generate
from shared.run import checkpoint
from shared.run.checkpoint import FORMAT, load_checkpoint, save_checkpoint
from shared.run.restore import restore_language_model

PROGRESS = {"step": 3, "tokens": 300, "seconds": 1.5, "best_loss": float("inf"), "best_step": 0}


def content(**more) -> dict:
    torch.manual_seed(0)
    weights = {"layer.weight": torch.randn(7, 5), "layer.bias": torch.randn(7)}
    settings = {"seed": 1, "data": "x.txt"}
    return {"stage": "a test", "settings": settings, "weights": weights, "progress": PROGRESS} | more


def complaint(path, **options) -> str:
    """What a person reads who loads this file; it has to be one line."""
    with pytest.raises(UserError) as caught:
        load_checkpoint(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_what_is_saved_is_what_is_loaded(tmp_path):
    state = ((torch.ones(2, 3, dtype=torch.bfloat16), 4), None)
    saved = content(carry=state)
    save_checkpoint(tmp_path / "new" / "folder" / "last.pt", saved)
    loaded = load_checkpoint(tmp_path / "new" / "folder" / "last.pt")
    assert loaded.keys() == saved.keys() | {"format"}
    assert loaded["settings"] == saved["settings"] and loaded["progress"] == saved["progress"]
    assert all(torch.equal(loaded["weights"][name], saved["weights"][name]) for name in saved["weights"])
    (tensor, number), nothing = loaded["carry"]
    assert tensor.dtype == torch.bfloat16 and torch.equal(tensor, state[0][0]) and (number, nothing) == (4, None)


# Writing


def full_disk(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def torch_full_disk(*_, **__):
    raise RuntimeError("[enforce fail at inline_container.cc:1] . PytorchStreamWriter failed\nframe #0: much more")


def half_written(_, file):
    file.write(b"PK\x03\x04 and no more")
    full_disk()


def interrupted(_, file):
    file.write(b"PK\x03\x04 and no more")
    raise KeyboardInterrupt


FAILURES = {
    "fsync": (os, "fsync", full_disk, UserError),
    "rename": (os, "replace", full_disk, UserError),
    "torch": (torch, "save", torch_full_disk, UserError),
    "half": (torch, "save", half_written, UserError),
    "Ctrl-C": (torch, "save", interrupted, KeyboardInterrupt),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failing_write_leaves_the_older_checkpoint_and_nothing_else(tmp_path, monkeypatch, failure):
    path = tmp_path / "last.pt"
    save_checkpoint(path, content(step=1))
    before = path.read_bytes()
    module, name, broken, expected = FAILURES[failure]
    monkeypatch.setattr(module, name, broken)
    with pytest.raises(expected) as caught:
        save_checkpoint(path, content(step=2))
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["last.pt"]


def save_in_place(path, saved):
    """The broken twin: it writes to the goal itself."""
    with open(path, "wb") as file:
        torch.save(saved, file)


def test_writing_to_the_goal_itself_would_lose_the_older_checkpoint(tmp_path, monkeypatch):
    save_in_place(tmp_path / "last.pt", content())
    monkeypatch.setattr(torch, "save", half_written)
    with pytest.raises(OSError):
        save_in_place(tmp_path / "last.pt", content())
    complaint(tmp_path / "last.pt")


def test_a_full_disk_is_told_with_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(UserError, match="cannot write .*best.pt: the disk is full; .*--out-dir"):
        save_checkpoint(tmp_path / "best.pt", content())
    assert list(tmp_path.iterdir()) == []


def test_a_goal_below_a_file_is_a_users_mistake(tmp_path):
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    with pytest.raises(UserError, match="cannot write"):
        save_checkpoint(tmp_path / "file" / "best.pt", content())


def test_the_bytes_are_on_the_disk_before_the_name_changes(tmp_path, monkeypatch):
    done = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda number: (done.append("fsync"), fsync(number)))
    monkeypatch.setattr(os, "replace", lambda *names: (done.append("replace"), replace(*names)))
    save_checkpoint(tmp_path / "best.pt", content())
    assert done[:2] == ["fsync", "replace"]


# Reading


def test_a_missing_checkpoint_names_what_to_run_first(tmp_path):
    message = complaint(tmp_path / "best.pt")
    assert str(tmp_path / "best.pt") in message and "python train.py" in message
    assert "python train.py" in complaint(tmp_path)  # a folder is no checkpoint either


def test_a_truncated_checkpoint_of_any_length_is_one_line(tmp_path):
    save_checkpoint(tmp_path / "whole.pt", content())
    whole = (tmp_path / "whole.pt").read_bytes()
    lengths = {0, 1, 2, 4, 30, len(whole) - 22, len(whole) - 1} | set(range(0, len(whole), 97))
    for length in lengths:
        (tmp_path / "cut.pt").write_bytes(whole[:length])
        assert "damaged" in complaint(tmp_path / "cut.pt"), length


def test_a_flipped_bit_in_a_weight_is_found(tmp_path):
    saved = content()
    save_checkpoint(tmp_path / "best.pt", saved)
    whole = bytearray((tmp_path / "best.pt").read_bytes())
    where = whole.index(saved["weights"]["layer.weight"].numpy().tobytes())
    whole[where + 3] ^= 1
    (tmp_path / "best.pt").write_bytes(whole)
    assert "damaged" in complaint(tmp_path / "best.pt")
    # torch.load alone would have taken it.
    wrong = torch.load(tmp_path / "best.pt", weights_only=True)["weights"]["layer.weight"]
    assert not torch.equal(wrong, saved["weights"]["layer.weight"])


@pytest.mark.parametrize(
    "data", [b"", b"To be, or not to be", b"\x80\x02}q\x00.", bytes(1000), b"PK\x05\x06" + bytes(18)]
)
def test_a_file_of_another_kind_is_one_line(tmp_path, data):
    (tmp_path / "other.pt").write_bytes(data)
    assert "damaged or not a checkpoint" in complaint(tmp_path / "other.pt")


def test_a_file_that_cannot_be_read_is_not_called_damaged(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    (tmp_path / "best.pt").write_bytes(b"whatever it is")
    monkeypatch.setattr(checkpoint, "check_archive", refuse)
    assert complaint(tmp_path / "best.pt").startswith(f"cannot read {tmp_path / 'best.pt'}: ")


def test_too_little_memory_for_a_file_is_not_a_fault_of_the_file(tmp_path, monkeypatch):
    save_checkpoint(tmp_path / "best.pt", {"stage": "x"})
    monkeypatch.setattr(torch, "load", lambda *given, **named: bytearray(2**62))
    with pytest.raises(MemoryError):
        load_checkpoint(tmp_path / "best.pt")


def test_an_archive_that_torch_did_not_write_is_one_line(tmp_path):
    with zipfile.ZipFile(tmp_path / "other.pt", "w") as archive:
        archive.writestr("play.txt", "Enter Hamlet")
    assert "damaged or not a checkpoint" in complaint(tmp_path / "other.pt")


@pytest.mark.parametrize("foreign", [{"state_dict": {}}, torch.ones(3), [1, 2], {"stage": "x", "settings": {}}])
def test_a_torch_file_of_another_program_is_told_from_ours(tmp_path, foreign):
    torch.save(foreign, tmp_path / "foreign.pt")
    assert "not written by this course" in complaint(tmp_path / "foreign.pt")


def test_a_checkpoint_of_another_stage_is_refused_where_the_stage_matters(tmp_path):
    save_checkpoint(tmp_path / "best.pt", content())
    assert load_checkpoint(tmp_path / "best.pt", stage="a test")["stage"] == "a test"
    message = complaint(tmp_path / "best.pt", stage="model-02-lstm")
    assert "a test" in message and "model-02-lstm" in message


def test_a_checkpoint_from_before_there_was_a_format_number_still_writes_text():
    """tests/kept/format-1.pt: stage 2 after four steps, by an older version of this course."""
    path = Path(__file__).parent / "kept" / "format-1.pt"
    assert "format" not in torch.load(path, weights_only=True)
    model, tokenizer, saved = restore_language_model(path)
    steps = generate(model, tokenizer.encode("To be"), temperature=0.0)
    assert saved["stage"] == "model-02-lstm"
    assert tokenizer.decode([next(steps).item() for _ in range(8)]) == "RRFFRFRF"  # so the older version went on


def test_a_checkpoint_from_before_a_stage_was_changed_is_refused_in_one_line():
    """tests/kept/format-1-stage-3.pt: from when stage 3 looked at its states alone and copied nothing."""
    with pytest.raises(
        UserError,
        match=r"saved by an older version of the course, .* \(weights.output.gate.bias is missing\); train again",
    ):
        restore_language_model(Path(__file__).parent / "kept" / "format-1-stage-3.pt")


@pytest.mark.parametrize("number", [FORMAT + 1, 0, "2", None])
def test_a_checkpoint_of_an_unknown_format_is_refused(tmp_path, number):
    torch.save(content(format=number), tmp_path / "later.pt")
    assert "newer version" in complaint(tmp_path / "later.pt")


class Trap:
    """Unpickled without care, it makes a folder."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_a_pickle_that_would_run_code_is_refused_and_its_code_does_not_run(tmp_path):
    torch.save(content(trap=Trap(tmp_path / "sprung")), tmp_path / "evil.pt")
    assert "damaged or not a checkpoint" in complaint(tmp_path / "evil.pt")
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps(content(trap=Trap(tmp_path / "sprung"))))
    assert "damaged or not a checkpoint" in complaint(tmp_path / "evil.pkl")
    assert not (tmp_path / "sprung").exists()
    # The trap is a real one: a careless reader springs it.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.load(tmp_path / "evil.pt", weights_only=False)
    assert (tmp_path / "sprung").is_dir()


def test_a_pickled_module_is_refused(tmp_path):
    torch.save(content(model=torch.nn.Linear(2, 2)), tmp_path / "module.pt")
    assert "damaged or not a checkpoint" in complaint(tmp_path / "module.pt")
