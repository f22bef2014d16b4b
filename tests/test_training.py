"""The loop learns as a plain loop would, and a run that was stopped goes on as if it never had been."""

import json
import math
import signal
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from shared.errors import UserError
from shared.run import training
from shared.run.averaging import WeightAverage
from shared.run.checkpoint import load_checkpoint
from shared.run.experiment import longer_schedule
from shared.run.interrupts import exit_status
from shared.run.optimizers import (
    Muon,
    hidden_matrices,
    learning_rate_factor,
    make_optimizers,
    optimizers_for,
    orthogonalized,
    set_learning_rate,
)
from shared.run.training import LoopSettings, Task, train
from shared.stages import STAGES, model_class
from shared.text.batches import Lanes

VOCAB_SIZE, BATCH_SIZE, CONTEXT_LENGTH = 9, 2, 5
STEPS = 7  # in epochs of 3, so that a run restarts its text on the way
IDS = torch.randint(VOCAB_SIZE, (40,), generator=torch.Generator().manual_seed(3))
SIZES = dict(vocab_size=VOCAB_SIZE, hidden_size=8, num_layers=2, dropout=0.3)
KINDS = {  # one stage of each kind
    "recurrent": ("model-01-rnn", {}),
    "attention": ("model-03-lstm-attention", dict(num_heads=2, memory_length=4)),
    "transformer": ("model-04-mini-transformer", dict(num_heads=2, context_length=CONTEXT_LENGTH)),
}


def settings(**changes) -> LoopSettings:
    usual = dict(
        max_steps=STEPS, learning_rate=0.01, warmup_steps=2, decay_share=0.5, gradient_clip=1.0, eval_interval=3,
        average_share=0.4,
    )  # fmt: skip
    return LoopSettings(**(usual | changes))


class Run:
    """A small training run of a stage; `before_step(n)` is called before the arithmetic of step n."""

    def __init__(self, out_dir, kind="recurrent", optimizer="adamw", before_step=lambda number: None):
        stage, options = KINDS[kind]
        torch.manual_seed(0)
        self.out_dir, self.before_step = out_dir, before_step
        self.model = model_class(stage)(**SIZES, **options)
        self.optimizers = make_optimizers(self.model, optimizer, 0.01, weight_decay=0.1)
        self.lanes = Lanes(IDS, BATCH_SIZE, CONTEXT_LENGTH, seed=1)
        self.batches = []
        out_dir.mkdir(exist_ok=True)

    def batch(self, number):
        self.batches.append(number)
        return number, self.lanes.batch(number)

    def step(self, numbered, carry):
        number, batch = numbered
        self.before_step(number)
        nats, state = self.model.loss(batch.inputs, batch.targets, None if batch.restart else carry)
        return nats, batch.targets.numel(), self.model.carry(state)

    def evaluate(self):
        self.model.eval()
        with torch.no_grad():
            return self.model.loss(IDS[None, :-1], IDS[None, 1:])[0].item() / (len(IDS) - 1)

    def train(self, resume=None, **changes):
        task = Task(self.batch, self.step, self.evaluate, describe=str)
        return train(self.model, self.optimizers, task, settings(**changes), self.out_dir, IDENTITY, resume)

    def resume(self, **changes):
        torch.manual_seed(99)  # another process would not have this run's random state
        return self.train(resume=load_checkpoint(self.out_dir / "last.pt"), **changes)


IDENTITY = {"stage": "a test", "settings": {}}


@pytest.fixture(autouse=True)
def frequent_records(monkeypatch):
    monkeypatch.setattr(training, "LOG_INTERVAL", 2)


def interrupt_at(step, number=signal.SIGINT, times=1):
    def before_step(current):
        for _ in range(times * (current == step)):
            signal.raise_signal(number)

    return before_step


def fail_at(step):
    def before_step(current):
        if current == step:
            raise RuntimeError("the power is gone")

    return before_step


def metrics(out_dir) -> list[dict]:
    return [json.loads(line) for line in (out_dir / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def timeless(value):
    """The same nested value without what a clock said, and with tensors as bytes, so that == compares all of it."""
    if isinstance(value, dict):
        return {key: timeless(part) for key, part in value.items() if key != "seconds"}
    if isinstance(value, list | tuple):
        return [timeless(part) for part in value]
    return (value.dtype, tuple(value.shape), value.tolist()) if isinstance(value, torch.Tensor) else value


def everything(out_dir) -> list:
    """All that a run leaves behind."""
    return timeless([load_checkpoint(out_dir / "last.pt"), load_checkpoint(out_dir / "best.pt"), metrics(out_dir)])


# Going on


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """kind, optimizer -> all that an uninterrupted run leaves behind."""
    known = {}

    def get(kind, optimizer):
        if (kind, optimizer) not in known:
            run = Run(tmp_path_factory.mktemp("whole"), kind, optimizer)
            run.train()
            known[kind, optimizer] = everything(run.out_dir)
        return known[kind, optimizer]

    return get


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_run_stopped_at_any_step_and_resumed_equals_an_uninterrupted_one(tmp_path, uninterrupted, kind, optimizer):
    for stop in range(STEPS):
        first = Run(tmp_path / str(stop), kind, optimizer, interrupt_at(stop))
        with pytest.raises(KeyboardInterrupt):
            first.train()
        second = Run(first.out_dir, kind, optimizer)
        second.resume()
        assert everything(first.out_dir) == uninterrupted(kind, optimizer), f"stopped in step {stop}"


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_crashed_goes_on_from_its_last_evaluation_to_the_same_end(tmp_path, uninterrupted, kind):
    for crash, batches in {4: [3, 4, 5, 6], 6: [6]}.items():  # evaluations follow steps 2, 5 and 6
        with pytest.raises(RuntimeError, match="power"):
            Run(tmp_path / str(crash), kind, before_step=fail_at(crash)).train()
        with open(tmp_path / str(crash) / "metrics.jsonl", "a", encoding="utf-8") as file:
            file.write('{"step": 6, "tok')  # a line that the crash cut off
        second = Run(tmp_path / str(crash), kind)
        second.resume()
        assert second.batches == batches
        assert everything(tmp_path / str(crash)) == uninterrupted(kind, "adamw")


@pytest.mark.parametrize("stop", range(STEPS))
def test_a_resumed_run_repeats_no_batch_and_skips_none(tmp_path, stop):
    first, second = Run(tmp_path, before_step=interrupt_at(stop)), Run(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        first.train()
    second.resume()
    assert first.batches + second.batches == list(range(STEPS))


@pytest.mark.parametrize("forgotten", ["optimizers", "average", "random", "carry", "interval", "progress"])
def test_resuming_without_any_one_part_of_the_state_would_end_elsewhere(tmp_path, uninterrupted, forgotten):
    """So each of them is needed, and the tests above see whether it is there."""
    with pytest.raises(KeyboardInterrupt):
        Run(tmp_path, before_step=interrupt_at(4)).train()  # within an epoch and between two records
    saved, second = load_checkpoint(tmp_path / "last.pt"), Run(tmp_path)
    fresh = {
        "optimizers": [optimizer.state_dict() for optimizer in second.optimizers],
        "average": WeightAverage(second.model, 0.4 * STEPS).state_dict(),
        "random": {"cpu": torch.get_rng_state()},
        "carry": None,
        "interval": (torch.zeros(()), 0),
        "progress": saved["progress"] | {"step": 4},
    }
    second.train(resume=saved | {forgotten: fresh[forgotten]})
    assert everything(tmp_path) != uninterrupted("recurrent", "adamw")


def test_resuming_a_finished_run_changes_nothing(tmp_path, uninterrupted):
    Run(tmp_path).train()
    again = Run(tmp_path)
    assert again.resume().step == STEPS and again.batches == []
    assert everything(tmp_path) == uninterrupted("recurrent", "adamw")


# Stopping


def test_ctrl_c_finishes_the_step_at_hand_and_saves_it(tmp_path):
    run = Run(tmp_path, before_step=interrupt_at(1))
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run.train()
    assert load_checkpoint(tmp_path / "last.pt")["progress"]["step"] == 2
    assert run.batches == [0, 1]
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_polite_kill_and_a_closed_terminal_save_too(tmp_path, name):
    if not hasattr(signal, name):
        pytest.skip("this system has no such signal")
    with pytest.raises(KeyboardInterrupt) as stopped:
        Run(tmp_path, before_step=interrupt_at(1, getattr(signal, name))).train()
    assert load_checkpoint(tmp_path / "last.pt")["progress"]["step"] == 2
    assert exit_status(stopped.value) == {"SIGTERM": 143, "SIGHUP": 129}[name]


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no such signal")
def test_a_signal_that_is_ignored_stays_ignored(tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as under nohup
    try:
        assert Run(tmp_path, before_step=interrupt_at(1, signal.SIGHUP)).train().step == STEPS
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_second_ctrl_c_stops_at_once(tmp_path):
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        Run(tmp_path, before_step=interrupt_at(1, times=2)).train()
    assert not (tmp_path / "last.pt").exists()
    assert signal.getsignal(signal.SIGINT) is before


def test_outside_the_main_thread_which_alone_hears_signals_it_trains_too(tmp_path):
    with ThreadPoolExecutor() as threads:
        assert threads.submit(Run(tmp_path).train).result().step == STEPS


# Saving


def test_last_is_written_at_evaluations_and_whenever_enough_time_has_passed(tmp_path, monkeypatch):
    clock = SimpleNamespace(now=0.0, perf_counter=lambda: clock.now)
    written = []

    def before_step(number):
        clock.now += 0.4 * training.SAVE_SECONDS  # three steps are more than SAVE_SECONDS, two are not

    def note(path, content):
        written.append((path.name, content["progress"]["step"]))

    monkeypatch.setattr(training, "time", clock)
    monkeypatch.setattr(training, "save_checkpoint", note)
    Run(tmp_path, before_step=before_step).train(max_steps=12, eval_interval=5)
    # By time after 3, then an evaluation after 5, by time after 8, evaluations after 10 and at the end.
    assert [step for name, step in written if name == "last.pt"] == [3, 5, 8, 10, 12]


def test_best_holds_the_weights_of_the_lowest_validation_loss(tmp_path):
    run = Run(tmp_path)
    losses, seen = iter([3.0, 1.0, 2.0, 1.0]), []

    def scripted():
        seen.append({name: weight.clone() for name, weight in run.model.state_dict().items()})
        return next(losses)

    run.evaluate = scripted
    progress = run.train(max_steps=4, eval_interval=1)
    best = load_checkpoint(tmp_path / "best.pt")
    assert timeless(best["weights"]) == timeless(seen[1])
    assert timeless(best["weights"]) != timeless(seen[2])
    assert (progress.best_loss, progress.best_step) == (1.0, 2)  # of two equal ones, the first


def test_every_checkpoint_says_what_it_is_of(tmp_path):
    Run(tmp_path).train()
    for name in ("best.pt", "last.pt"):
        saved = load_checkpoint(tmp_path / name)
        assert {key: saved[key] for key in IDENTITY} == IDENTITY


def test_looking_happens_after_every_evaluation(tmp_path):
    run, looked = Run(tmp_path), []
    task = Task(run.batch, run.step, run.evaluate, describe=str, look=lambda: looked.append(len(run.batches)))
    train(run.model, run.optimizers, task, settings(), tmp_path, IDENTITY)
    assert looked == [3, 6, 7]


# Learning


def test_the_loop_learns_as_a_plain_loop_does(tmp_path):
    run, plain = Run(tmp_path), Run(tmp_path)
    rates = [0.005, 0.01, 0.01, 0.01, 0.01 * 3 / 3.5, 0.01 * 2 / 3.5, 0.01 * 1 / 3.5]
    torch.manual_seed(5)
    run.train()
    torch.manual_seed(5)
    optimizer, state = (
        torch.optim.AdamW(plain.model.parameters(), betas=(0.9, 0.98), weight_decay=0.1, fused=True),
        None,
    )
    for number in range(STEPS):
        optimizer.param_groups[0]["lr"] = rates[number]
        batch = plain.lanes.batch(number)
        logits, state, _ = plain.model(batch.inputs, state if number % 3 else None)
        state = plain.model.carry(state)
        optimizer.zero_grad()
        nn.functional.cross_entropy(logits.flatten(0, 1), batch.targets.flatten()).backward()
        nn.utils.clip_grad_norm_(plain.model.parameters(), 1.0)
        optimizer.step()
    for name, weight in plain.model.state_dict().items():
        torch.testing.assert_close(run.model.state_dict()[name], weight, rtol=1e-5, atol=1e-6)


def test_the_training_loss_of_a_record_is_the_mean_over_all_terms_since_the_last_one(tmp_path):
    weight = nn.Parameter(torch.ones(()))
    model = nn.ParameterList([weight])
    losses, counts = [2.0, 6.0, 9.0, 1.0, 4.0], [1, 3, 2, 5, 4]

    def step(number, carry):
        return weight * 0 + losses[number], counts[number], None

    task = Task(lambda number: number, step, lambda: 1.0, str)
    train(model, [torch.optim.SGD([weight])], task, settings(max_steps=5, eval_interval=100), tmp_path, IDENTITY)
    told = {record["step"]: record["train_loss"] for record in metrics(tmp_path)}
    assert told == {2: pytest.approx(8 / 4), 4: pytest.approx(10 / 7), 5: pytest.approx(4 / 4)}
    assert [record["tokens"] for record in metrics(tmp_path)] == [4, 11, 15]


def test_a_step_follows_the_gradient_of_the_mean_loss(tmp_path):
    weight = nn.Parameter(torch.ones(()))
    task = Task(lambda number: number, lambda number, carry: (weight * 40, 40, None), lambda: 1.0, str)
    plain = settings(max_steps=3, learning_rate=0.25, warmup_steps=0, decay_share=0, gradient_clip=math.inf)
    train(nn.ParameterList([weight]), [torch.optim.SGD([weight])], task, plain, tmp_path, IDENTITY)
    assert weight.item() == 0.25  # a gradient of 1, three times


@pytest.mark.parametrize(
    "share, seen", [(0.0, [0.75, 0.5, 0.25]), (1.0, [0.75, 0.625, 0.5]), (2 / 3, [0.75, 0.625, 0.4375])]
)
def test_what_is_scored_and_kept_is_the_average_and_what_learns_is_not(tmp_path, share, seen):
    """The weight goes 1, .75, .5, .25. An average over 3 is their mean; one over 2 goes half the way to the third."""
    model, scored = nn.ParameterList([nn.Parameter(torch.ones(()))]), []
    task = Task(
        lambda number: number,
        lambda number, carry: (model[0] * 40, 40, None),
        evaluate=lambda: scored.append(model[0].item()) or -len(scored),  # each better than the one before
        describe=str,
        look=lambda: scored.append(model[0].item()),
    )
    plain = dict(max_steps=3, learning_rate=0.25, warmup_steps=0, decay_share=0, gradient_clip=math.inf)
    every = settings(**plain, eval_interval=1, average_share=share)
    train(model, [torch.optim.SGD(model.parameters())], task, every, tmp_path, IDENTITY)
    assert scored == [value for value in seen for _ in ("evaluate", "look")]
    assert model[0].item() == 0.25
    assert load_checkpoint(tmp_path / "best.pt")["weights"]["0"].item() == seen[-1]
    assert load_checkpoint(tmp_path / "last.pt")["weights"]["0"].item() == 0.25


def test_an_average_is_given_back_even_if_scoring_fails(tmp_path):
    model = nn.ParameterList([nn.Parameter(torch.ones(()))])
    average = WeightAverage(model, 4)
    average.update()
    nn.init.zeros_(model[0])
    with pytest.raises(RuntimeError, match="power"), average.in_use():
        assert model[0].item() == 1
        raise RuntimeError("the power is gone")
    assert model[0].item() == 0


class NormRecorder(torch.optim.SGD):
    """Notes how long the gradient is when a step is taken."""

    def step(self):
        gradients = [parameter.grad for group in self.param_groups for parameter in group["params"]]
        norm = nn.utils.get_total_norm([gradient for gradient in gradients if gradient is not None])
        self.norms = [*getattr(self, "norms", []), norm.item()]


def recorded_norms(tmp_path, clip):
    run = Run(tmp_path)
    run.optimizers = [NormRecorder(run.model.parameters())]
    run.train(gradient_clip=clip)
    return run.optimizers[0].norms


def test_gradients_are_clipped_before_the_step(tmp_path):
    free, clipped = recorded_norms(tmp_path, math.inf), recorded_norms(tmp_path, 0.01)
    assert min(free) > 0.02  # so that there is something to clip
    assert clipped == pytest.approx([0.01] * STEPS, rel=1e-3)


@pytest.mark.parametrize("broken", ["train_loss", "validation_loss"])
def test_a_loss_that_is_no_number_ends_the_run_with_what_to_do(tmp_path, broken):
    run = Run(tmp_path)
    if broken == "train_loss":
        step = run.step
        run.step = lambda batch, carry: (step(batch, carry)[0] * math.nan, 1, None)
    else:
        run.evaluate = lambda: math.nan
    with pytest.raises(UserError, match="--learning-rate"):
        run.train()
    assert not (tmp_path / "best.pt").exists()
    assert all(math.isfinite(value) for record in metrics(tmp_path) for value in record.values())


def bad_at(step, how):
    """A run in which the loss, or else only its gradient, is no number in this step."""

    def make(out_dir, before_step=lambda number: None):
        run = Run(out_dir, before_step=before_step)
        whole_step = run.step

        def broken_step(numbered, carry):
            nats, terms, carry = whole_step(numbered, carry)
            if numbered[0] != step:
                return nats, terms, carry
            if how == "loss":
                return nats * math.nan, terms, carry
            # d sqrt(x) / dx is infinite at 0, and 0 times that is no number.
            weight = next(run.model.parameters()).flatten()[0]
            return nats + torch.sqrt(0 * weight), terms, carry

        run.step = broken_step
        return run

    return make


def finite(path) -> bool:
    return all(weight.isfinite().all() for weight in load_checkpoint(path)["weights"].values())


@pytest.mark.parametrize("how", ["loss", "gradient"])
@pytest.mark.parametrize("interrupted", [False, True])
@pytest.mark.parametrize("step", [3, 4, 6])
def test_no_step_is_taken_that_is_no_number_and_the_line_says_where_to_go_on(tmp_path, how, interrupted, step):
    run = bad_at(step, how)(tmp_path, interrupt_at(step) if interrupted else lambda number: None)
    good = 3 if step < 6 else 6  # the last evaluation before it
    with pytest.raises(UserError) as caught:
        run.train()
    message = str(caught.value)
    assert f"no number in step {step + 1};" in message and f"last.pt is from step {good}" in message
    assert "--resume and a lower --learning-rate" in message and "\n" not in message
    assert load_checkpoint(tmp_path / "last.pt")["progress"]["step"] == good
    assert finite(tmp_path / "last.pt") and finite(tmp_path / "best.pt")
    assert all(weight.isfinite().all() for weight in run.model.parameters())
    again = Run(tmp_path)
    assert again.resume(learning_rate=0.001).step == STEPS and again.batches[0] == good


def test_a_timed_save_keeps_no_weights_that_are_no_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "SAVE_SECONDS", -1)  # at every step
    with pytest.raises(UserError, match="last.pt is from step 5"):
        bad_at(5, "loss")(tmp_path).train(eval_interval=100)
    assert load_checkpoint(tmp_path / "last.pt")["progress"]["step"] == 5 and finite(tmp_path / "last.pt")


@pytest.mark.parametrize("stop", [0, 1])
def test_weights_thrown_so_far_that_nothing_can_be_computed_from_them_are_not_saved(tmp_path, stop):
    run = Run(tmp_path, before_step=interrupt_at(stop))
    with pytest.raises(UserError, match="no number in step [12]; train again with a lower --learning-rate"):
        run.train(learning_rate=1e38)
    assert not (tmp_path / "last.pt").exists() and not (tmp_path / "best.pt").exists()


@pytest.mark.parametrize("how", ["loss", "gradient"])
@pytest.mark.parametrize("interrupted", [False, True])
def test_a_gpu_is_not_asked_at_each_step_but_before_anything_is_written(tmp_path, monkeypatch, how, interrupted):
    monkeypatch.setattr(training, "LOOK_AT_ONCE", set())  # as if this were one
    run = bad_at(4, how)(tmp_path, interrupt_at(4) if interrupted else lambda number: None)
    with pytest.raises(UserError, match="no number in step 5; .*last.pt is from step 3"):
        run.train()
    assert run.batches[-1] == (4 if interrupted else 5)  # a record is due after step 6
    assert finite(tmp_path / "last.pt") and finite(tmp_path / "best.pt")


def strict(text):
    raise AssertionError(f"{text} is not JSON")


def test_metrics_are_json_for_strict_readers_too(tmp_path):
    Run(tmp_path).train()
    lines = (tmp_path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line, parse_constant=strict) for line in lines]
    assert [record["step"] for record in records] == [2, 3, 4, 6, 7]
    assert [record["step"] for record in records if "validation_loss" in record] == [3, 6, 7]


# The schedule


def test_the_learning_rate_warms_up_stays_level_and_decays_to_nearly_nothing():
    factors = [learning_rate_factor(step, 100, warmup_steps=10, decay_share=0.4) for step in range(100)]
    assert factors[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert set(factors[9:61]) == {1.0}
    assert factors[60:] == pytest.approx([(100 - step) / 40 for step in range(60, 100)])
    assert 0 < factors[-1] < 0.03  # the last step still learns something


@pytest.mark.parametrize("max_steps", [1, 2, 7, 1000])
def test_no_schedule_divides_by_zero_or_leaves_0_to_1(max_steps):
    for warmup_steps in (0, 1, 50):
        for decay_share in (0.0, 0.3, 1.0):
            for step in range(max_steps):
                assert 0 < learning_rate_factor(step, max_steps, warmup_steps, decay_share) <= 1


def test_the_schedule_counts_steps_whatever_the_clock_says(tmp_path, monkeypatch):
    Run(tmp_path / "usual").train()
    clock = SimpleNamespace(now=0.0)
    clock.perf_counter = lambda: clock.__setattr__("now", clock.now + 3600) or clock.now
    monkeypatch.setattr(training, "time", clock)
    Run(tmp_path / "slow").train()
    assert metrics(tmp_path / "slow")[-1]["seconds"] > 3600
    assert everything(tmp_path / "slow") == everything(tmp_path / "usual")


# The optimizers


@pytest.mark.parametrize("kind", ["adamw", "muon"])
@pytest.mark.parametrize("stage", STAGES)
def test_the_optimizers_own_every_parameter_exactly_once(stage, kind):
    model = model_class(stage)(vocab_size=VOCAB_SIZE, hidden_size=16)
    optimizers = make_optimizers(model, kind, 0.01, 0.0)
    owned = [id(parameter) for each in optimizers for group in each.param_groups for parameter in group["params"]]
    assert sorted(owned) == sorted(id(parameter) for parameter in model.parameters())


@pytest.mark.parametrize("stage", STAGES)
def test_muon_is_given_matrices_only_and_never_the_embedding(stage):
    model = model_class(stage)(vocab_size=VOCAB_SIZE, hidden_size=16)
    matrices = hidden_matrices(model)
    assert matrices and all(matrix.ndim == 2 for matrix in matrices)
    assert all(matrix is not model.embedding.weight for matrix in matrices)


SHAPES = [(24, 24), (64, 16), (16, 64), (48, 16), (64, 16), (24, 24), (1, 8)]


def test_muon_in_float32_takes_the_steps_of_pytorchs_to_the_digits_that_bfloat16_has():
    """Tall, wide and square matrices, several of one shape among them, over a few steps."""
    torch.manual_seed(0)
    ours, theirs = ([nn.Parameter(torch.ones(shape)) for shape in SHAPES] for _ in range(2))
    pair = (
        Muon(ours, lr=0.1, weight_decay=0.2),
        torch.optim.Muon(theirs, lr=0.1, weight_decay=0.2, adjust_lr_fn="match_rms_adamw"),
    )
    for _ in range(4):
        for mine, its in zip(ours, theirs):
            mine.grad = torch.randn_like(mine)
            its.grad = mine.grad.clone()
        for optimizer in pair:
            optimizer.step()
    for mine, its in zip(ours, theirs):
        moved = (its - 1).norm()
        assert (mine - its).norm() < 0.02 * moved
    assert any(not torch.equal(mine, its) for mine, its in zip(ours, theirs)), "rounded to bfloat16 as well?"


def test_muon_goes_on_from_what_pytorchs_had_saved():
    """Runs that were begun with it are resumed."""
    torch.manual_seed(0)
    matrix = nn.Parameter(torch.randn(8, 4))
    before = torch.optim.Muon([matrix], lr=0.1)
    matrix.grad = torch.randn(8, 4)
    before.step()
    after = Muon([matrix], lr=0.1, weight_decay=0.0)
    after.load_state_dict(before.state_dict())
    momentum = after.state[matrix]["momentum_buffer"].clone()
    after.step()
    assert torch.allclose(after.state[matrix]["momentum_buffer"], momentum.lerp(matrix.grad, 0.05))


@pytest.mark.parametrize("rows, columns", [(20, 20), (60, 20), (20, 60)])
def test_an_orthogonalized_matrix_keeps_its_directions_and_evens_out_their_sizes(rows, columns):
    """Against the singular value decomposition, with sizes that differ a hundredfold."""
    torch.manual_seed(0)
    left, _ = torch.linalg.qr(torch.randn(2, rows, 20 if rows > 20 else rows))
    right, _ = torch.linalg.qr(torch.randn(2, columns, 20 if columns > 20 else columns))
    sizes = torch.logspace(0, -2, 20)
    found = orthogonalized(left * sizes @ right.mT)
    along = left.mT @ found @ right  # diagonal, if the directions are kept
    evened = along.diagonal(dim1=1, dim2=2)
    assert evened.min() > 0.6 and evened.max() < 1.3
    assert (along - torch.diag_embed(evened)).abs().max() < 1e-3


def test_a_matrix_without_a_gradient_or_with_one_of_zeros_stays_where_it_is():
    torch.manual_seed(0)
    still, zero, moving = (nn.Parameter(torch.ones(4, 4)) for _ in range(3))
    zero.grad, moving.grad = torch.zeros(4, 4), torch.randn(4, 4)
    Muon([still, zero, moving], lr=0.1, weight_decay=0.0).step()
    assert torch.equal(still, torch.ones(4, 4)) and torch.equal(zero, torch.ones(4, 4))
    assert not torch.equal(moving, torch.ones(4, 4))


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_the_learning_rate_reaches_every_parameter(kind):
    model = model_class("model-01-rnn")(vocab_size=VOCAB_SIZE, hidden_size=16)
    optimizers = make_optimizers(model, kind, 0.01, 0.0)
    set_learning_rate(optimizers, 0.125)
    assert {group["lr"] for optimizer in optimizers for group in optimizer.param_groups} == {0.125}


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_epsilon_holds_back_weights_with_small_gradients(kind):
    def moved(epsilon, gradient):
        model = model_class("model-01-rnn")(vocab_size=VOCAB_SIZE, hidden_size=16)
        before = model.embedding.weight.detach().clone()
        for parameter in model.parameters():
            parameter.grad = torch.full_like(parameter, gradient)
        for optimizer in make_optimizers(model, kind, 0.01, 0.0, epsilon):
            optimizer.step()
        return (before - model.embedding.weight).mean().item()

    assert moved(1e-8, 1e-4) == pytest.approx(0.01, rel=1e-3)  # as far as with a gradient 10,000 times as large
    assert moved(1e-8, 1.0) == pytest.approx(0.01, rel=1e-3)
    assert moved(1e-4, 1e-4) == pytest.approx(0.005, rel=1e-3)
    assert moved(1e-4, 1.0) == pytest.approx(0.01, rel=1e-3)


def test_settings_that_know_no_epsilon_get_pytorchs():
    model = model_class("model-01-rnn")(vocab_size=VOCAB_SIZE, hidden_size=16)
    known = {"optimizer": "muon", "learning_rate": 0.01, "weight_decay": 0.1}

    def epsilon(settings):
        return optimizers_for(model, settings)[1].defaults["eps"]

    assert epsilon(known) == torch.optim.AdamW(model.parameters()).defaults["eps"]
    assert epsilon(known | {"epsilon": 0.5}) == 0.5


@pytest.mark.parametrize("decay_share, average_share", [(0.6, 0.0), (0.0, 0.1), (0.0, 0.0)])
def test_a_finished_run_that_goes_on_says_how_its_learning_rate_does(decay_share, average_share):
    settings = dict(learning_rate=0.02, warmup_steps=5, decay_share=decay_share, average_share=average_share)
    saved = {"settings": settings | {"max_steps": 100}, "progress": {"step": 100}}
    told = longer_schedule(saved, settings | {"max_steps": 200})
    assert "from step 100 to 200: the learning rate" in told
    assert ("from 0 to 0.017, " in told and "falls to 0 at step 200" in told) == (decay_share > 0)
    assert ("stays at 0.02" in told) == (decay_share == 0)
    assert ("average is what is scored and kept" in told) == (average_share > 0)
