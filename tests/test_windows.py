"""The course on Windows, as far as that can be imitated elsewhere (see windows.py)."""

import os
import sys

import pytest
from terminal import typed

from shared.run.checkpoint import load_checkpoint
from shared.run.folder import LOCK, RUN_FILES
from shared.stages import ROOT, STAGES

if sys.platform != "linux":
    pytest.skip("Windows is imitated on Linux", allow_module_level=True)

from windows import as_windows

STAGE = next(iter(STAGES))
SMALL = "--max-steps 4 --eval-interval 2 --hidden-size 8 --batch-size 4 --device cpu --precision float32"


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    folder = tmp_path_factory.mktemp("Übung 试 (1)")
    path = folder / "short text.txt"
    path.write_bytes((ROOT / "data" / "shakespeare.txt").read_bytes()[:20_000].replace(b"\n", b"\r\n"))
    return path


@pytest.fixture(scope="module")
def run(text):
    """The folder of a training that was done, and then went on, on Windows; and what was printed."""
    folder = text.parent / "my run"
    with as_windows():
        first = typed(ROOT / STAGE, f"python train.py --data '{text}' {SMALL} --out-dir '{folder}'")
        typed(ROOT / STAGE, f"python train.py --resume --max-steps 6 --out-dir '{folder}'")
    return folder, first


def test_a_training_goes_on_and_leaves_what_it_leaves_elsewhere(run):
    folder, _ = run
    assert {path.name for path in folder.iterdir()} == set(RUN_FILES)
    assert load_checkpoint(folder / "last.pt")["progress"]["step"] == 6


def test_what_is_to_be_typed_next_is_quoted_for_its_shells(run):
    folder, shown = run
    assert shown.out.splitlines()[-1].endswith(f' --checkpoint "{folder / "best.pt"}"')


def test_a_text_is_generated_and_the_runs_are_compared(run, tmp_path):
    folder, _ = run
    with as_windows():
        shown = typed(ROOT / STAGE, f"python generate.py --checkpoint '{folder}' --max-new-tokens 5")
        typed(ROOT, f"python -m shared.compare --checkpoints '{folder}' --no-live --out '{tmp_path}'")
    assert shown.out and (tmp_path / "index.html").is_file()
