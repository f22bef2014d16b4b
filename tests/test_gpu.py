"""On a GPU: every stage and lab trains, goes on and writes there as on a processor, and its checkpoints move both ways.

Skipped where there is none; `python -m shared.benchmark.gpu` runs them among other things. Try them out without one by
GPU_TESTS_ON=cpu python -m pytest -m gpu tests/test_gpu.py
"""

import json
import math
import os
import signal

import pytest
import torch
from terminal import copy_course, typed

from shared.measure.evaluation import evaluate
from shared.run import device as devices
from shared.run.checkpoint import load_checkpoint
from shared.run.restore import restore_language_model
from shared.stages import LABS, STAGES
from shared.text.corpus import load_corpus

GPU = os.environ.get("GPU_TESTS_ON", "cuda")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(GPU == "cuda" and not torch.cuda.is_available(), reason="needs an NVIDIA GPU"),
]
SMALL = "--hidden-size 24 --num-layers 1 --batch-size 4 --context-length 128 --max-steps 8 --eval-interval 4"
CLOSE = 2e-4  # relative: sums come in another order


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    return copy_course(tmp_path_factory.mktemp("course"))


def line(out_dir, more="", device=GPU, program="train.py"):
    precision = "" if "--precision" in more else "--precision float32"
    return f"python {program} --data ../short.txt {SMALL} --device {device} {precision} {more} --out-dir {out_dir}"


@pytest.fixture(scope="module")
def trained(course):
    """stage -> the folder of a run that was trained on the GPU."""
    runs = {}

    def get(stage):
        if stage not in runs:
            runs[stage] = course / stage / "checkpoints"
            typed(course / stage, line(runs[stage], "--dropout 0"))
        return runs[stage]

    return get


def losses(out_dir):
    lines = (out_dir / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(each)["validation_loss"] for each in lines]


def loss_on(device, checkpoint, course):
    """What a checkpoint's model loses on the held-out text there."""
    device = devices.choose_device(device)
    devices.prepare_process(device)
    model, tokenizer, _ = restore_language_model(checkpoint, device)
    ids = torch.tensor(tokenizer.encode(load_corpus(str(course / "short.txt")).validation))
    return evaluate(model, ids, 128).loss


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_learns_there_and_writes(course, trained, stage):
    found = losses(trained(stage))
    assert found[-1] < found[0]
    text = typed(course / stage, f'python generate.py "To be" --device {GPU} --max-new-tokens 20').out
    assert text.startswith("To be") and len(text) > 20


@pytest.mark.parametrize("stage", STAGES)
def test_a_run_that_was_stopped_there_goes_on_to_the_same_end(course, trained, tmp_path, stage):
    """With as much dropout as one may take: where its random numbers are not restored, the end is another."""
    typed(course / stage, line(tmp_path / "whole", "--dropout 0.5"))
    typed(course / stage, line(tmp_path / "stopped", "--dropout 0.5", program="stopped.py"), code=128 + signal.SIGINT)
    typed(course / stage, f"python train.py --resume --data ../short.txt --out-dir {tmp_path}/stopped")
    assert losses(tmp_path / "stopped") == pytest.approx(losses(tmp_path / "whole"), rel=CLOSE)


@pytest.mark.parametrize("first, second", [(GPU, "cpu"), ("cpu", GPU)])
@pytest.mark.parametrize("stage", STAGES)
def test_a_checkpoint_moves_there_and_back(course, trained, tmp_path, stage, first, second):
    """Without dropout, which draws other random numbers there."""
    typed(course / stage, line(tmp_path / "run", "--dropout 0", first, "stopped.py"), code=128 + signal.SIGINT)
    here, there = (loss_on(each, tmp_path / "run" / "best.pt", course) for each in (first, second))
    assert here == pytest.approx(there, rel=CLOSE)
    typed(course / stage, f"python train.py --resume --data ../short.txt --device {second} --out-dir {tmp_path}/run")
    assert losses(tmp_path / "run") == pytest.approx(losses(trained(stage)), rel=2e-3)


@pytest.mark.parametrize("stage", STAGES)
def test_bfloat16_learns_as_float32_does(course, trained, tmp_path, stage):
    typed(course / stage, line(tmp_path, "--dropout 0 --precision bfloat16"))
    assert losses(tmp_path) == pytest.approx(losses(trained(stage)), rel=0.02)
    assert {each.dtype for each in load_checkpoint(tmp_path / "best.pt")["weights"].values()} == {torch.float32}


def test_the_stages_are_compared_there(course, trained, tmp_path):
    paths = " ".join(str(trained(stage)) for stage in STAGES)
    typed(course, f"python -m shared.compare --checkpoints {paths} --device {GPU} --no-live --out {tmp_path}")
    assert (tmp_path / "index.html").is_file()
    found = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert "NaN" not in json.dumps(found)


@pytest.mark.parametrize("lab", LABS)
def test_a_lab_learns_there(course, tmp_path, lab):
    typed(course / lab, f"python train.py --device {GPU} --max-steps 4 --hidden-size 16 --out-dir {tmp_path}")
    assert load_checkpoint(tmp_path / "best.pt")["progress"]["step"] <= 4
    assert math.isfinite(load_checkpoint(tmp_path / "best.pt")["progress"]["best_loss"])
