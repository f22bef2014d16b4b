"""Where and how precisely a run computes: as asked, or whatever measures fastest."""

import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.optim import AdamW

from shared.errors import UserError
from shared.run import device
from shared.run.device import (
    autocast,
    choose_device,
    choose_precision,
    random_state,
    seconds_of,
    set_random_state,
)
from shared.run.experiment import probe
from shared.run.flags import DEVICES, PRECISIONS
from shared.run.language_modeling import trial_step
from shared.run.optimizers import Muon
from shared.stages import ROOT, STAGES, model_class
from shared.text.batches import Lanes

CPU = torch.device("cpu")
UPDATES = {"optimizer": "muon", "learning_rate": 0.01, "weight_decay": 0.1}


@pytest.fixture
def clock(monkeypatch):
    """Time that passes only where a test says so."""
    clock = SimpleNamespace(now=0.0, perf_counter=lambda: clock.now)
    monkeypatch.setattr(device, "time", clock)
    return clock


def trial(clock, seconds: dict):
    """A trial step that takes so long in each precision, and the list of what it was called with."""
    calls = []

    def trial_step(precision):
        calls.append(precision)
        clock.now += seconds[precision]

    return trial_step, calls


# Devices


def have(monkeypatch, *names):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in names)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in names)


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_a_users_mistake_with_a_way_out(monkeypatch, name):
    have(monkeypatch)
    with pytest.raises(UserError, match=f"no {name} device.*--device cpu"):
        choose_device(name)


@pytest.mark.parametrize(
    "there, chosen", [((), "cpu"), (("mps",), "mps"), (("cuda",), "cuda"), (("mps", "cuda"), "cuda")]
)
def test_auto_takes_a_gpu_if_there_is_one(monkeypatch, there, chosen):
    have(monkeypatch, *there)
    assert choose_device("auto") == torch.device(chosen)


def test_a_device_asked_for_by_name_is_taken(monkeypatch):
    have(monkeypatch, "cuda", "mps")
    assert [choose_device(name).type for name in DEVICES if name != "auto"] == ["cpu", "cuda", "mps"]


TAKE_AND_FREE = """
import resource, sys, torch
from shared.run.device import prepare_process
if sys.argv[1] == "prepared":
    prepare_process(torch.device("cpu"))
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for mib in range(8, 25):
    torch.ones(mib, 2**18)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere memory is another library's affair")
def test_memory_that_one_tensor_has_freed_serves_the_next():
    def faults(how):
        command = [sys.executable, "-c", TAKE_AND_FREE, how]
        return int(subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout)

    assert 2 * faults("prepared") < faults("left alone")


# Precision


@pytest.mark.parametrize("precision, dtype", [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_matrix_products_run_in_the_precision_and_weights_stay_float32(precision, dtype):
    layer = nn.Linear(3, 3)
    with autocast(CPU, precision):
        output = layer(torch.ones(2, 3))
    output.sum().backward()
    assert output.dtype == dtype
    assert layer.weight.dtype == layer.weight.grad.dtype == torch.float32


@pytest.mark.parametrize("precision", [name for name in PRECISIONS if name != "auto"])
def test_a_precision_asked_for_is_taken_however_slow(clock, precision):
    trial_step, calls = trial(clock, {"float32": 50.0, "bfloat16": 50.0})
    assert choose_precision(precision, CPU, trial_step) == (precision, 50.0)
    assert set(calls) == {precision}


@pytest.mark.parametrize(
    "exact, short, chosen",
    [
        (1.0, 0.5, "bfloat16"),
        (1.0, 0.76, "bfloat16"),
        (1.0, 0.8, "float32"),
        (1.0, 1.0, "float32"),
        (1.0, 2.0, "float32"),
    ],
)
def test_auto_takes_bfloat16_only_where_it_is_clearly_faster(clock, exact, short, chosen):
    trial_step, _ = trial(clock, {"float32": exact, "bfloat16": short})
    precision, seconds = choose_precision("auto", CPU, trial_step)
    assert precision == chosen
    assert seconds == pytest.approx({"float32": exact, "bfloat16": short}[chosen])


def test_a_busy_moment_while_float32_is_timed_does_not_decide(clock):
    durations = iter([9.0] * 4)  # as long as the first measurement lasts

    def trial_step(precision):
        clock.now += next(durations, 1.0)

    assert choose_precision("auto", CPU, trial_step) == ("float32", 1.0)


def test_a_processor_that_only_imitates_bfloat16_is_asked_once(clock):
    trial_step, calls = trial(clock, {"float32": 1.0, "bfloat16": 40.0})
    assert choose_precision("auto", CPU, trial_step) == ("float32", 1.0)
    assert calls.count("bfloat16") == 1


def test_a_processor_that_cannot_do_bfloat16_at_all_gets_float32(clock):
    """oneDNN refuses an LSTM in bfloat16 on processors before AVX-512."""
    trial_step, _ = trial(clock, {"float32": 1.0, "bfloat16": 1.0})

    def refusing(precision):
        if precision == "bfloat16":
            raise RuntimeError("could not create a primitive descriptor for the LSTM forward propagation primitive")
        trial_step(precision)

    assert choose_precision("auto", CPU, refusing) == ("float32", 1.0)
    with pytest.raises(UserError, match="bfloat16 does not work here.*use --precision float32"):
        choose_precision("bfloat16", CPU, refusing)
    with pytest.raises(RuntimeError, match="not of the precision"):
        choose_precision("float32", CPU, broken)


def broken(precision):
    raise RuntimeError("not of the precision")


@pytest.mark.parametrize("first", [1.0, 9.0])
def test_the_first_call_and_the_slower_ones_do_not_count(clock, first):
    durations = iter([first, 3.0, 2.0, 4.0])

    def function():
        clock.now += next(durations)

    assert seconds_of(function, CPU) == 2.0


# Random numbers


def test_random_numbers_go_on_where_they_stood_on_the_cpu_and_on_its_device(monkeypatch):
    """A GPU's own numbers stand in a module of its kind; here a list plays that part."""
    stood = [torch.tensor([7])]
    module = SimpleNamespace(get_rng_state=lambda: stood[-1], set_rng_state=stood.append)
    monkeypatch.setattr(torch, "get_device_module", lambda device: module)
    states = random_state(torch.device("mps"))
    drawn = torch.rand(3)
    set_random_state(states, torch.device("mps"))
    assert torch.equal(torch.rand(3), drawn) and [state.item() for state in stood] == [7, 7]
    set_random_state(states, torch.device("cuda"))  # resumed elsewhere: what is not known there starts anew
    assert len(stood) == 2


def test_training_on_the_cpu_asks_no_gpu(monkeypatch):
    """A GPU whose driver is too old is counted all the same, and to ask it for anything is an error."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "_lazy_init", lambda: pytest.fail("a GPU was asked"))
    learner = model_class(next(iter(STAGES)))(vocab_size=9, hidden_size=8)
    lanes = Lanes(torch.arange(60) % 9, batch_size=2, context_length=5, seed=1)
    probe(learner, {"precision": "auto"} | UPDATES, CPU, trial_step(learner, lanes, CPU))
    set_random_state(random_state(CPU), CPU)


# All of it, as train.py asks for it


@pytest.mark.parametrize("stage", STAGES)
def test_probing_settles_what_was_auto_and_leaves_no_trace(stage):
    torch.manual_seed(0)
    learner = model_class(stage)(vocab_size=9, hidden_size=8, dropout=0.5)
    weights = {name: weight.clone() for name, weight in learner.state_dict().items()}
    before = torch.get_rng_state()
    settings = {"precision": "auto"} | UPDATES
    lanes = Lanes(torch.arange(60) % 9, batch_size=2, context_length=5, seed=1)
    assert probe(learner, settings, CPU, trial_step(learner, lanes, CPU)) > 0
    assert settings["precision"] in ("float32", "bfloat16")
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(weights[name], weight) for name, weight in learner.state_dict().items())
    assert not any(parameter.grad.any() for parameter in learner.parameters() if parameter.grad is not None)


def test_what_the_optimizers_take_belongs_to_a_steps_seconds(clock, monkeypatch):
    learner = model_class(next(iter(STAGES)))(vocab_size=9, hidden_size=8)
    lanes = Lanes(torch.arange(60) % 9, batch_size=2, context_length=5, seed=1)

    def step(optimizer):
        moved = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        clock.now += any(parameter.grad is not None and parameter.grad.any() for parameter in moved)

    for optimizer in (Muon, AdamW):
        monkeypatch.setattr(optimizer, "step", step)
    settings = {"precision": "float32"} | UPDATES
    assert probe(learner, settings, CPU, trial_step(learner, lanes, CPU)) == 2
