"""The benchmark: it times what training does, counts what a hand counts, and shows what it measured."""

import contextlib
import dataclasses
import json
import math
import os
import subprocess
import sys
from itertools import islice
from types import SimpleNamespace

import pytest
import torch
from terminal import started
from torch.utils.flop_counter import FlopCounterMode

from shared.benchmark import __main__ as benchmark
from shared.benchmark import busy, costs, gpu, sharing, timing
from shared.benchmark.costs import Case, flops_per_token, training_cost, training_steps
from shared.benchmark.timing import in_fresh_process, median_seconds, peak_mib
from shared.errors import UserError
from shared.model.language_model import state_bytes
from shared.results.tables import gpu_tables
from shared.run.optimizers import optimizers_for
from shared.run.records import TABLE, read_json, write_json
from shared.run.training import LoopSettings, Task, train
from shared.show.tables import cost_table, scaling_tables
from shared.stages import ROOT, STAGES, load_stage, model_class
from shared.text.corpus import load_corpus
from shared.text.tokenizer import train_tokenizer

CPU = torch.device("cpu")
TINY = dict(
    vocab_size=300, batch_size=4, context_length=8, hidden_size=16, num_layers=2, dropout=0.0, num_heads=2,
    memory_length=8, cell="lstm", implementation="torch", precision="float32", optimizer="adamw",
)  # fmt: skip


def tiny(stage, **changes):
    return Case(stage, changes=TINY | changes)


# ------------------------------------------------------------------------------------------------------------- stages


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_is_loaded_with_its_own_model_and_leaves_the_name_model_alone(monkeypatch, stage):
    somebody = SimpleNamespace()
    monkeypatch.setitem(sys.modules, "model", somebody)
    assert load_stage(stage).model is model_class(stage)
    assert load_stage(stage).folder.name == stage
    assert sys.modules["model"] is somebody


# ------------------------------------------------------------------------------------------------------------- counting


def lstm_flops(batch, time, hidden, layers, vocab):
    """A product of (n, k) and (k, m) is 2 n k m operations; backward makes two products of each."""
    tokens = batch * time
    layer = 3 * 2 * tokens * hidden * 4 * hidden  # input to gates
    layer += 3 * 2 * tokens * hidden * 4 * hidden  # hidden state to gates
    layer -= 2 * batch * hidden * 4 * hidden  # no gradient flows back into the state carried in
    return layers * layer + 3 * 2 * tokens * hidden * vocab


def transformer_flops(batch, time, past, hidden, layers, vocab):
    tokens, keys = batch * time, past + time
    projections = 2 * tokens * (3 + 1 + 4 + 4) * hidden**2
    attention = 2 * (2 * batch * time * keys * hidden)  # scores and mixtures, all heads together
    return 3 * (layers * (projections + attention) + 2 * tokens * hidden * vocab)


@pytest.mark.parametrize("implementation", ["torch", "scratch"])
def test_the_flops_of_an_lstm_are_those_counted_by_hand(implementation):
    case = tiny("model-02-lstm", implementation=implementation)
    assert flops_per_token(case) * 4 * 8 == lstm_flops(batch=4, time=8, hidden=16, layers=2, vocab=300)


def test_the_flops_of_a_transformer_are_those_counted_by_hand():
    expected = transformer_flops(batch=4, time=8, past=7, hidden=16, layers=2, vocab=300)
    assert flops_per_token(tiny("model-04-mini-transformer")) * 4 * 8 == expected


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="without oneDNN nothing is hidden")
def test_counted_in_float32_the_fused_lstm_would_be_missing():
    case = tiny("model-02-lstm")
    batch = case.lanes().batch(0)
    with FlopCounterMode(display=False) as counter:
        case.model()(batch.inputs)[0].sum().backward()
    assert counter.get_total_flops() == 3 * 2 * 4 * 8 * 16 * 300  # the output layer alone


# --------------------------------------------------------------------------------------------------- what is measured


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("stage", STAGES)
def test_the_steps_that_are_timed_are_those_of_the_training_loop(tmp_path, stage, optimizer):
    case = tiny(stage, optimizer=optimizer)
    settings, lanes, model, twin = case.settings, case.lanes(), case.model(), case.model()
    list(islice(training_steps(model, lanes, settings, CPU), 3))

    def step(batch, carry):
        nats, state = twin.loss(batch.inputs, batch.targets, None if batch.restart else carry)
        return nats, batch.targets.numel(), twin.carry(state)

    level = LoopSettings(3, settings["learning_rate"], 0, 0.0, settings["gradient_clip"], eval_interval=9)
    optimizers = optimizers_for(twin, settings | {"optimizer": optimizer})
    train(twin, optimizers, Task(lanes.batch, step, lambda: 0.0, str), level, tmp_path, {})
    for name, weight in model.state_dict().items():
        torch.testing.assert_close(weight, twin.state_dict()[name], msg=name)


@pytest.mark.parametrize("stage", STAGES)
def test_the_text_read_before_generation_is_timed_fills_every_default_window(stage):
    described = load_stage(stage)
    for changes in ({}, *described.by_tokenizer.values()):
        model = Case(stage, changes=changes | dict(vocab_size=20, hidden_size=16)).model().eval()
        tokens = torch.zeros(1, costs.FILLED + 1, dtype=torch.long)
        with torch.no_grad():
            _, full, _ = model(tokens[:, :-1])
            _, after, _ = model(tokens[:, -1:], full)
        assert 0 < state_bytes(full) == state_bytes(after)


@pytest.mark.claims
def test_random_tokens_are_as_often_frequent_ones_as_in_the_bundled_text():
    text = load_corpus().train
    tokenizer = train_tokenizer("word", text)
    drawn = Case("model-01-rnn", changes={"vocab_size": tokenizer.vocab_size}).tokens(100_000)
    uniform = torch.randint(tokenizer.vocab_size, (100_000,))  # what the check is against

    def share_of_frequent(ids):
        return (ids < 512).float().mean().item()

    real = share_of_frequent(torch.tensor(tokenizer.encode(text)))
    assert drawn.max() < tokenizer.vocab_size
    assert abs(share_of_frequent(drawn) - real) < 0.05 < abs(share_of_frequent(uniform) - real)


def test_the_median_leaves_out_the_first_steps_and_a_stray_one(monkeypatch):
    monkeypatch.setattr(timing, "SECONDS", 0)
    lasting = iter([9.0, 9.0, 9.0, 1.0, 1.0, 50.0, 1.0, 1.0])
    clock = {"now": 0.0}
    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock["now"])

    def steps():
        for seconds in lasting:
            clock["now"] += seconds
            yield

    assert median_seconds(steps(), CPU) == 1.0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux hands a peak down")
def test_a_fresh_processs_peak_is_its_own_and_not_its_parents():
    import resource

    ballast = torch.ones(100 * 2**20)  # 400 MiB
    parent = peak_mib(CPU)
    del ballast
    assert 0 < in_fresh_process(peak_mib, CPU) < parent - 200
    usual = in_fresh_process(resource.getrusage, resource.RUSAGE_SELF).ru_maxrss / 2**10
    assert usual >= parent - 1  # the usual way, which would fail the check above


def test_a_peak_grows_with_what_the_process_holds():
    before = peak_mib(CPU)
    if before is None:
        pytest.skip("this system does not tell")
    # More than all that this process can have freed since its peak.
    size = int(before) + 64
    held = torch.ones(size, 2**18)
    assert peak_mib(CPU) >= size
    del held


def test_where_the_system_does_not_tell_memory_the_table_says_so(monkeypatch):
    monkeypatch.setattr(timing, "Path", lambda name: SimpleNamespace(exists=lambda: False))
    monkeypatch.setitem(sys.modules, "resource", None)  # as on Windows: importing it fails
    assert peak_mib(CPU) is None
    shown = cost_table(content(peak_mib=None))
    assert "not measured" in shown and shown.splitlines()[1].split()[-1] == "-"
    assert "not measured" not in cost_table(content())


# -------------------------------------------------------------------------------------------------------------- tables


def content(**changes):
    """A benchmark's content with one row."""
    row = dict(
        stage="model-02-lstm", variant="default", precision="float32", optimizer="adamw", settings={"hidden_size": 256},
        flops_per_token=10, training_tokens_per_second=1000.0, generation_1_tokens_per_second=50.0, peak_mib=600.0,
        generation_64_tokens_per_second=800.0, share_of_float32_matmul=0.5, share_of_bfloat16_matmul=0.1,
    )  # fmt: skip
    rates = {"float32": 1e11, "bfloat16": 5e11}
    return {"machine": {"cores": 2}, "matmul_flops_per_second": rates, "rows": [row | changes], "scaling": []}


def test_ratios_are_to_the_same_row_of_the_earlier_run():
    now = content(training_tokens_per_second=1500.0, peak_mib=300.0)
    earlier = content()
    earlier["rows"].insert(0, content(stage="model-01-rnn", training_tokens_per_second=1.0)["rows"][0])
    line = next(line for line in cost_table(now, earlier).splitlines() if "earlier" in line)
    assert line.split()[2:] == ["1.50x", "1.00x", "1.00x", "1.00x", "1.00x", "0.50x"]


@pytest.mark.parametrize("change", [{"precision": "bfloat16"}, {"optimizer": "muon"}, {"variant": "float32"}])
def test_what_was_computed_in_another_way_is_not_compared(change):
    line = next(line for line in cost_table(content(), content(**change)).splitlines() if "of earlier" in line)
    assert line.split()[2:] == ["-"] * 6


def test_scratch_cells_are_shown_as_a_multiple_of_pytorchs():
    both = content()
    both["rows"] += content(variant="scratch", training_tokens_per_second=400.0, peak_mib=700.0)["rows"]
    line = next(line for line in cost_table(both).splitlines() if "of PyTorch's" in line)
    assert line.split()[2] == "0.40x" and line.split()[-1] == "1.17x"


def test_another_machine_or_another_setting_is_told_beside_ratios():
    earlier = content(settings={"hidden_size": 128}) | {"machine": {"cores": 8}}
    shown = cost_table(content(), earlier)
    assert "earlier: cores 8" in shown and "earlier: model-02-lstm, default: hidden_size 128" in shown
    assert "earlier:" not in cost_table(content(), content())


def test_scaling_shows_microseconds_a_token():
    points = [
        {"stage": "a", "what": "hidden_size", "value": 64, "training_tokens_per_second": 1e5, "peak_mib": 500},
        {"stage": "a", "what": "hidden_size", "value": 128, "training_tokens_per_second": 2e4, "peak_mib": 700},
        {"stage": "a", "what": "text length", "value": 64, "generation_1_tokens_per_second": 1e3},
    ]
    training, writing = scaling_tables(points).split("\n\n")
    assert [line.split()[-2:] for line in training.splitlines()[:2]] == [["64", "128"], ["10", "50"]]
    assert training.splitlines()[-1].split()[1:] == ["500", "700"]
    assert writing.splitlines()[1].split() == ["a", "1,000"]


# -------------------------------------------------------------------------------------------------------------- command


@pytest.fixture
def small(monkeypatch):
    """The command on stages of a few hundred weights, without fresh processes and waiting."""
    described = {
        stage: dataclasses.replace(
            load_stage(stage),
            defaults=load_stage(stage).defaults
            | {name: value for name, value in TINY.items() if name in load_stage(stage).defaults},
        )
        for stage in STAGES
    }
    monkeypatch.setattr(costs, "load_stage", described.get)
    monkeypatch.setattr(benchmark, "train_tokenizer", lambda name, text: SimpleNamespace(vocab_size=300))
    monkeypatch.setattr(
        benchmark, "in_fresh_process", lambda function, *arguments, variables=None: function(*arguments)
    )
    monkeypatch.setattr(costs, "FILLED", 16)
    monkeypatch.setattr(benchmark, "TEXT_LENGTHS", (4, 8))
    monkeypatch.setattr(benchmark, "SCALES", dict(context_length=(4, 8), vocab_size=(50, 100), hidden_size=(8, 16)))
    monkeypatch.setattr(timing, "SECONDS", 0)
    monkeypatch.setattr(timing, "MATMUL_SIZE", 64)


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["benchmark", *map(str, arguments)])
    benchmark.main()


def test_the_command_prints_what_it_keeps(small, monkeypatch, capsys, tmp_path):
    run(monkeypatch, "--scaling", "--json", tmp_path / "kept.json")
    lines = capsys.readouterr().out.splitlines()
    kept = json.loads((tmp_path / "kept.json").read_text(encoding="utf-8"))
    assert kept["command"] == "python -m shared.benchmark --scaling"
    assert {row["stage"] for row in kept["rows"] if row["variant"] == "default"} == set(STAGES)
    assert [row["stage"] for row in kept["rows"] if row["variant"] == "scratch"] == ["model-02-lstm"]
    for row in kept["rows"]:
        rate = row["training_tokens_per_second"]
        assert rate > 0 and math.isfinite(rate) and row["precision"] in ("float32", "bfloat16")
        for name, limit in kept["matmul_flops_per_second"].items():
            assert row[f"share_of_{name}_matmul"] == pytest.approx(rate * row["flops_per_token"] / limit)
        if row["variant"] == "default":
            line = next(line for line in lines if line.startswith(row["stage"]))
            assert line.split()[1:3] == [row["precision"], f"{rate:,.0f}"]
    varied = {(point["stage"], point["what"]) for point in kept["scaling"]}
    for stage in STAGES:
        attends = "num_heads" in load_stage(stage).defaults
        assert ((stage, "context_length") in varied) == attends
        assert {(stage, what) for what in ("vocab_size", "hidden_size", "text length")} <= varied


def test_against_shows_ratios_to_a_kept_run(small, monkeypatch, capsys, tmp_path):
    run(monkeypatch, "--stage", "model-01-rnn", "--json", tmp_path / "kept.json")
    run(monkeypatch, "--stage", "model-01-rnn", "--against", tmp_path / "kept.json")
    assert "of earlier" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["{}", "no json", None])
def test_an_earlier_file_that_is_no_benchmark_is_a_users_mistake(monkeypatch, tmp_path, text):
    path = tmp_path / "earlier.json"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match="earlier.json"):
        run(monkeypatch, "--against", path)


def test_the_probe_chooses_what_is_timed(small):
    cost = training_cost(Case("model-01-rnn", changes={"vocab_size": 300}))
    assert cost["precision"] in ("float32", "bfloat16") and cost["optimizer"] in ("muon", "adamw")
    wanted = training_cost(tiny("model-01-rnn", precision="float32", optimizer="muon"))
    assert (wanted["precision"], wanted["optimizer"]) == ("float32", "muon")


# ----------------------------------------------------------------------------------------------------- busy programs


def test_every_way_of_waiting_reaches_the_process_that_is_measured_and_no_later_one():
    before = dict(os.environ)
    for variables in busy.WAYS.values():
        found = in_fresh_process(variables_of_the_system, variables=variables)
        assert (before | variables).items() <= found.items()
    assert os.environ == before


def variables_of_the_system():
    return dict(os.environ)


def test_busy_programs_run_while_a_step_is_measured_and_end_with_it(monkeypatch):
    started = []
    popen = busy.subprocess.Popen
    monkeypatch.setattr(
        busy.subprocess, "Popen", lambda *how, **more: started.append(popen(*how, **more)) or started[-1]
    )
    with pytest.raises(KeyboardInterrupt), busy.busy_programs(2):
        assert [program.poll() for program in started] == [None, None]
        raise KeyboardInterrupt
    assert all(program.poll() is not None for program in started) and len(started) == 2


def test_steps_are_measured_beside_none_one_and_two_programs(monkeypatch):
    beside = []
    monkeypatch.setattr(busy, "SECONDS", 0.01)
    monkeypatch.setattr(busy, "busy_programs", lambda number: beside.append(number) or contextlib.nullcontext())
    found = busy.step_milliseconds(tiny("model-02-lstm"))
    assert beside == [0, 1, 2] and len(found) == 3 and min(found) > 0


def test_the_table_of_busy_programs_shows_the_ratio():
    table = busy.busy_table([{"stage": "model-01-rnn", "way": "briefly, as here", "milliseconds": [30.0, 75.0, 90.4]}])
    assert table.splitlines()[1].split()[-7:] == ["30", "ms", "75", "ms", "90", "ms", "2.5x"]


# ---------------------------------------------------------------------------------------------------- several processes

SHARED = {"stage": "model-01-rnn", "parameters": 2_000_000, "optimizer_seconds": 0.01, "seconds": 0.05}


@pytest.mark.thorough
def test_a_step_by_one_process_and_by_two_is_timed_where_torchrun_starts_them():
    case = tiny("model-02-lstm", precision="float32")
    alone, both = (sharing.launched(case, count) for count in (1, 2))
    assert alone["parameters"] == both["parameters"] > 0
    assert all(row["seconds"] > 0 < row["optimizer_seconds"] for row in (alone, both))


def test_the_fastest_of_several_rounds_counts(monkeypatch):
    times = iter([0.5, 0.4, 0.3, 0.6, 0.7, 0.2])
    monkeypatch.setattr(sharing, "launched", lambda case, count: {"seconds": next(times)})
    (row,) = sharing.sharing_costs([tiny("model-01-rnn")])
    assert (row["seconds"], row["seconds_by_two"]) == (0.3, 0.2)


def test_more_machines_share_the_lanes_but_not_the_optimizer_and_send_more():
    assert [sharing.message_bytes(1000, machines) for machines in (1, 2, 4)] == [0, 4000, 6000]
    # .04 seconds of lanes by two, .01 of the optimizer, and 8 million bytes at a thousand million bits a second
    assert sharing.expected_seconds(SHARED, 2, 1e9) == pytest.approx(0.02 + 0.01 + 0.064)
    table = sharing.sharing_table([SHARED | {"seconds_by_two": 0.04}])
    assert table.splitlines()[1].split()[1:8] == ["50", "ms", "40", "ms", "1.25x", "10", "ms"]


# ------------------------------------------------------------------------------------------------------------- on a GPU


def part(code, told=lambda out: {"out": out.strip()}, limit=20):
    return gpu.Part("a part", ["-c", code], limit, told)


def test_a_part_that_fails_hangs_or_tells_nothing_is_told_and_stops_no_other(monkeypatch, tmp_path, capsys):
    silent = part("import time, signal; signal.signal(signal.SIGINT, signal.SIG_IGN); time.sleep(60)", limit=1)
    broken = part("print('so far'); raise ValueError", told=lambda out: out[10**6])
    found = [silent, broken, part("print('well')")]
    monkeypatch.setattr(gpu, "parts", lambda flags: [*found, gpu.Part("too late", [], 0)])
    monkeypatch.setattr(gpu, "GRACE", 1)
    monkeypatch.setattr(gpu, "LEAST", 0)
    monkeypatch.setattr(sys, "argv", ["gpu", "--device", "cpu", "--out", str(tmp_path / "report")])
    gpu.main(gpu.parse_flags())
    report = read_json(tmp_path / "report" / "report.json")["parts"]
    assert [row["status"] for row in report] == ["stopped after 1 s", "1", "0", "no time left"]
    assert report[1]["told"].startswith("nothing") and report[2]["out"] == "well"
    shown = (tmp_path / "report" / "log.txt").read_text(encoding="utf-8")
    assert "so far" in shown and "ValueError" in shown and "well" in shown
    assert "Traceback" not in capsys.readouterr().err


def test_what_compiling_is_worth_is_a_whole_run():
    rows = [{"mode": mode, "whole_run_seconds": seconds} for mode, seconds in zip(gpu.MODES, (50, 60, 40))]
    assert gpu.pays(rows).startswith("yes, reduce-overhead: ") and gpu.pays(rows[:2]).startswith("no: ")
    assert gpu.pays(rows[1:]) == "not measured"


def test_a_ctrl_c_ends_the_part_of_the_report_that_is_running(tmp_path, monkeypatch):
    """Which is in a session of its own, so that it can be stopped with all that it has started."""
    started = []

    class Interrupted(subprocess.Popen):
        def wait(self, limit=None):
            if not started:
                started.append(self)
                raise KeyboardInterrupt
            return super().wait(limit)

    monkeypatch.setattr(gpu.subprocess, "Popen", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        gpu.run(gpu.Part("sleeping", ["-c", "import time; time.sleep(60)"], 60), 60, tmp_path / "log.txt")
    assert started[0].returncode


@pytest.mark.thorough
def test_the_report_of_a_gpu_is_made_here_too_but_of_a_processor(tmp_path):
    text = (ROOT / "data" / "shakespeare.txt").read_text(encoding="utf-8")[:20_000]
    (tmp_path / "a text.txt").write_text(text, encoding="utf-8", newline="\n")
    path = os.path.relpath(tmp_path / "a text.txt", ROOT)  # from where it is typed, with a blank in it
    started(ROOT, f"python -m shared.benchmark.gpu --device cpu --tiny --characters '{path}' --out {tmp_path}/report")
    report = read_json(tmp_path / "report" / "report.json")["parts"]
    assert len(report) == 9 and {row["status"] for row in report} == {"0"}
    assert all(row["ended"] for row in report if "ended" in row)
    runs = read_json(tmp_path / "report" / "runs.json", [TABLE])
    assert [run["stage"] for run in runs] == [list(STAGES)[-1], *reversed(STAGES)]
    write_json(tmp_path / "gpu.json", runs)
    assert gpu_tables(tmp_path / "gpu.json")
