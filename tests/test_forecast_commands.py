"""The forecasting lab as a learner uses it: train, forecast, explain and baselines, in a copy of the course."""

import json
import os
import re
import shlex
import sys

import pytest
import torch
from forecasting import FOLDER, lab
from terminal import copy_folder, typed

from shared.run.cli import run_main
from shared.stages import ROOT

SMALL = "--max-steps 4 --eval-interval 2 --hidden-size 8 --batch-size 4 --past-length 8 --horizon 3 --device cpu"
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The lab's folder in a copy of what it needs, with a table in it."""
    root = tmp_path_factory.mktemp("course")
    copy_folder("shared", root)
    copy = copy_folder(FOLDER.relative_to(ROOT), root, "results")
    rows = "".join(f"2024-01-{1 + i // 24:02} {i % 24:02}:00,{i % 24},{i * i % 7}\n" for i in range(240))
    (copy / "own.csv").write_text("time,heat,wind\n" + rows, encoding="utf-8", newline="\n")
    for folder, tables in {"wells": {"north": (0, 20), "south": (20, 61), "west": (100, 109)}, "empty": {}}.items():
        (copy / folder).mkdir()
        for name, part in tables.items():  # each too short for a whole window of 72 and 24 steps
            lines = ["time,heat,wind", *rows.splitlines()[slice(*part)]]
            (copy / folder / f"{name}.csv").write_text("\n".join(lines), encoding="utf-8", newline="\n")
    return copy


@pytest.fixture(scope="module")
def trained(folder):
    typed(folder, f"python train.py {SMALL} --lag 2")
    return folder


def test_training_leaves_a_model_a_curve_and_a_summary_with_the_tables_row(trained):
    out = trained / "checkpoints"
    assert {"best.pt", "last.pt", "metrics.jsonl", "learning_curve.png", "summary.json"} <= set(os.listdir(out))
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert (summary["table"], summary["row"]) == ("flow-pressure, lag 2", "AttentionLSTM")
    shares = {f"{name} on the lag" for name in ("weight", "gradient", "occlusion")}
    assert set(summary["scores"]) == {"MSE / noise"} | shares and 0 <= summary["gradient_peak"] <= 8
    assert summary["scores"]["MSE / noise"] > 0.8


def test_a_forecast_prints_a_line_a_step_and_draws_both_pictures(trained):
    done = typed(trained, "python forecast.py --visualize pictures --window 5")
    lines = done.out.splitlines()
    assert len(lines) == 1 + 3 and lines[0].split() == ["step", "truth", "forecast"]
    series = lab.series.flow_pressure(2)
    truth = series.in_units(lab.windows.Windows(series, "test", 8, 3).batch(torch.tensor([5])).targets)[0, :, 0]
    for step, (line, expected) in enumerate(zip(lines[1:], truth.tolist())):
        number, shown, _ = line.split()
        assert int(number) == step and abs(float(shown) - expected) < 1e-3
    for name in ("forecast.png", "attention.png"):
        assert (trained / "pictures" / name).read_bytes().startswith(PNG)


def test_a_forecast_can_be_made_from_a_shorter_past(trained):
    assert len(typed(trained, "python forecast.py --past-length 3").out.splitlines()) == 4


def test_explain_prints_three_measures_and_draws_them(trained):
    twice = "checkpoints/best.pt checkpoints/best.pt"
    done = typed(trained, f"python explain.py {twice} --picture lag.png --json lag.json")
    assert [line.split()[1] for line in done.out.splitlines()[:3]] == ["weight", "gradient", "occlusion"]
    assert (trained / "lag.png").read_bytes().startswith(PNG)
    kept = json.loads((trained / "lag.json").read_text(encoding="utf-8"))
    assert kept["lag"] == 2 and len(kept["shares"]) == 2, "two models of one kind are both shown"


def test_a_resumed_run_ends_as_one_that_was_never_stopped(folder):
    whole, halves = (f"python train.py {SMALL} --lag 2 --dropout 0.2 --out-dir {name}" for name in ("whole", "halves"))
    typed(folder, whole)
    stop = "import sys, train, shared.run.training as t; from shared.run.cli import run_main\n"
    stop += "class Stop(t.StopSignal):\n  n = 0\n  @property\n  def requested(self): Stop.n += 1; return Stop.n > 2\n"
    stop += "  @requested.setter\n  def requested(self, value): pass\n"
    stop += "t.StopSignal = Stop; sys.argv[0] = 'train.py'; run_main(train.main)\n"
    (folder / "stopped.py").write_text(stop, encoding="utf-8")
    assert "--resume" in typed(folder, halves.replace("train.py", "stopped.py"), code=130).err
    typed(folder, halves + " --resume")
    first, second = (torch.load(folder / name / "last.pt", weights_only=True) for name in ("whole", "halves"))
    assert first["progress"]["step"] == second["progress"]["step"] == 4
    assert all(torch.equal(value, second["weights"][name]) for name, value in first["weights"].items())


def test_a_table_of_ones_own_is_learned_with_quantiles_and_forecast_in_its_units(folder):
    line = "--data own.csv --target heat --known-future time --past-only wind --quantiles 0.1 0.5 0.9 --out-dir own"
    typed(folder, f"python train.py {SMALL} {line} --model transformer-lstm --season 1")
    summary = json.loads((folder / "own" / "summary.json").read_text(encoding="utf-8"))
    assert summary["row"] == "TransformerLSTM, from 3 seasons of 1, quantiles" and set(summary["scores"]) == {
        "MSE",
        "MAE",
        "inside 0.1 to 0.9",
    }
    assert "--out-dir" not in summary["command"] and summary["settings"]["data"] == "own.csv"
    done = typed(folder, "python forecast.py --checkpoint own/best.pt --visualize own")
    lines = done.out.splitlines()
    assert len(lines) == 4 and all(len(line.split()) == 6 for line in lines[1:])
    assert [float(line.split()[1]) for line in lines[1:]] == [(192 + i) % 24 for i in range(3)]
    assert (folder / "own" / "forecast.png").read_bytes().startswith(PNG)


def test_many_short_series_are_trained_on_scored_forecast_and_explained(folder):
    done = typed(folder, f"python train.py {SMALL} --lag 2 --lengths 6 12 --past-length 72 --out-dir short")
    count, rows = re.search(r"flow-pressure: ([\d,]+) series, ([\d,]+) rows", done.err).groups()
    assert int(count.replace(",", "")) > 3000 and 29_900 < int(rows.replace(",", "")) <= 30_000
    assert "up to 72 steps back, 3 ahead" in done.err
    summary = json.loads((folder / "short" / "summary.json").read_text(encoding="utf-8"))
    assert summary["table"] == "flow-pressure, lag 2, series of 6 to 12 steps" and summary["settings"]["pad"]
    assert len(summary["scores"]) == 4 and summary["scores"]["MSE / noise"] > 0.8
    lines = typed(folder, "python forecast.py --checkpoint short/best.pt --visualize short").out.splitlines()
    series = lab.series.flow_pressure(2, lengths=(6, 12))
    batch = lab.windows.Windows(series, "test", 72, 3, pad=True).batch(torch.tensor([0]))
    assert len(lines) == 1 + batch.targets.size(1)  # as many as there are before that series ends
    assert abs(float(lines[1].split()[1]) - series.in_units(batch.targets)[0, 0, 0]) < 1e-3
    typed(folder, "python explain.py short/best.pt --picture short/lag.png")
    assert all((folder / "short" / f"{name}.png").exists() for name in ("forecast", "attention", "lag"))
    shown = typed(folder, "python baselines.py --lag 2 --lengths 6 12").out
    assert [line.split("  ")[0] for line in shown.splitlines()] == ["last value", "mean", "the rule itself"]


def test_a_folder_of_tables_of_unequal_length_is_learned_and_each_of_them_forecast(folder):
    small = SMALL.replace("--past-length 8", "--past-length 72")
    columns = "--target heat --known-future time --season 24"
    done = typed(folder, f"python train.py {small} --data wells {columns} --out-dir wells-run")
    assert "wells: 3 series, 70 rows" in done.err and "38 for training: up to 72 steps back" in done.err
    line = "python forecast.py --checkpoint wells-run/best.pt --visualize wells-run --window"
    for window, first in ((0, 16), (4, 20 + 32), (13, 100 + 7)):  # the first of each table's last fifth
        shown = typed(folder, f"{line} {window}").out.splitlines()
        assert float(shown[1].split()[1]) == first % 24
    summary = json.loads((folder / "wells-run" / "summary.json").read_text(encoding="utf-8"))
    assert (summary["table"], summary["settings"]["data"]) == ("wells, 3 steps", "wells")


def test_windows_of_one_table_are_padded_only_if_asked(folder):
    columns = "--data wells/north.csv --target heat --past-length 72 --horizon 3"
    assert "too few rows for one window" in typed(folder, f"python baselines.py {columns}", code=2).err
    assert "last value" in typed(folder, f"python baselines.py {columns} --pad").out
    assert "too few rows for one window" in typed(folder, f"python baselines.py {columns} --no-pad", code=2).err


def test_dropout_of_weights_and_between_layers_can_be_asked_for(folder):
    line = f"python train.py {SMALL} --lag 2 --num-layers 2 --attention-dropout 0.3 --lstm-dropout 0.2 --out-dir drop"
    typed(folder, line)
    saved = torch.load(folder / "drop" / "best.pt", weights_only=True)["model_settings"]
    assert (saved["attention_dropout"], saved["lstm_dropout"], saved["num_layers"]) == (0.3, 0.2, 2)


def called(module, line: str, capsys, monkeypatch, code: int = 0):
    """As `typed`, in this process, which saves loading torch again."""
    monkeypatch.setattr(sys, "argv", shlex.split(line))
    try:
        run_main(module.main)
        status = 0
    except SystemExit as end:
        status = end.code
    told = capsys.readouterr()
    assert status == code, told.err
    return told


@pytest.mark.parametrize("model", ["encoder-decoder-lstm", "query-attention", "stacked-literal", "stacked-residual"])
def test_every_other_model_trains_and_forecasts(model, tmp_path, capsys, monkeypatch):
    called(lab.train, f"train.py {SMALL} --lag 1 --model {model} --out-dir {tmp_path}", capsys, monkeypatch)
    line = f"forecast.py --checkpoint {tmp_path}/best.pt --visualize {tmp_path}"
    told = called(lab.forecast, line, capsys, monkeypatch)
    assert ("attends to nothing" in told.err) == (model == "encoder-decoder-lstm")
    assert (tmp_path / "attention.png").exists() == (model != "encoder-decoder-lstm")


def test_a_season_is_repeated_only_where_the_past_has_room_for_it(folder):
    line = "python baselines.py --data own.csv --target heat --horizon 3 --past-length"
    assert "24 steps ago" not in typed(folder, f"{line} 12").out
    shown = typed(folder, f"{line} 24").out
    assert "24 steps ago" in shown and "seasons of 24" not in shown
    settings = lab.flags.DEFAULTS | {"season": 24, "num_seasons": 3, "past_length": 50}
    assert "from 2 seasons of 24" in lab.train.row_name(settings)


def test_baselines_are_kept_as_results(folder):
    line = "python baselines.py --lag 2 --past-length 8 --horizon 3"
    shown = typed(folder, line).out
    assert not list((folder / "results").glob("flow-pressure-lag-2-*"))
    assert typed(folder, f"{line} --keep").out == shown
    kept = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in (folder / "results").glob("*.json")}
    assert set(kept) == {
        f"flow-pressure-lag-2-{row}.json" for row in ("last-value", "mean", "the-rule-itself", "linear")
    }
    assert kept["flow-pressure-lag-2-linear.json"]["scores"]["MSE / noise"] < 1.2
    typed(folder, "python baselines.py --data own.csv --target heat --past-length 48 --horizon 3 --keep")
    day = json.loads((folder / "results" / "own-csv-3-steps-24-steps-ago.json").read_text(encoding="utf-8"))
    assert day["scores"] == {"MSE": 0.0, "MAE": 0.0}  # every day is alike


# ------------------------------------------------------------------------------------------- what is still to come


@pytest.fixture(scope="module")
def own(folder):
    """A model of the folder's own table that reads its time and its wind of the future."""
    columns = "--data own.csv --target heat --known-future time wind --season 0 --quantiles 0.1 0.5 0.9"
    told = typed(folder, f"python train.py {SMALL} {columns} --out-dir coming")
    assert (
        "table       commas between columns, whole numbers, dates as year-month-day hour:minute in 'time'" in told.err
    )
    (folder / "plan.csv").write_text("wind\n1\n2\n3\n4\n", encoding="utf-8")
    return folder


def test_what_comes_after_the_last_row_has_the_times_that_follow_and_reads_back(own):
    line = "python forecast.py --checkpoint coming/best.pt --future plan.csv --csv coming.csv"
    shown = typed(own, line).out.splitlines()
    assert shown[0].split() == ["step", "time", "forecast", "0.1", "0.5", "0.9"]
    kept = (own / "coming.csv").read_text(encoding="utf-8").splitlines()
    assert [" ".join(row.split(",")).split() for row in kept] == [row.split() for row in shown]
    assert [row.split(",")[1] for row in kept[1:]] == [f"2024-01-11 0{hour}:00:00" for hour in range(3)]
    back = lab.series.load_series(str(own / "coming.csv"), target=["forecast"], known_future=["0.1"])
    assert [f"{value:.2f}" for value in back.in_units(back.values[:, :1])[:, 0].tolist()] == [
        row.split(",")[2] for row in kept[1:]
    ]


def test_a_forecast_of_what_is_to_come_reads_the_last_rows_and_what_is_known(own):
    """The same forecast as of a window of the test part, if the rows from there on are cut off."""
    rows = (own / "own.csv").read_text(encoding="utf-8").splitlines()
    (own / "until.csv").write_text("\n".join(rows[: 1 + 200]), encoding="utf-8")
    (own / "then.csv").write_text("\n".join([rows[0], *rows[201:204]]), encoding="utf-8")
    window = typed(own, "python forecast.py --checkpoint coming/best.pt --window 8").out.splitlines()  # 192 + 8
    line = "python forecast.py --checkpoint coming/best.pt --data until.csv --future then.csv --visualize coming"
    coming = typed(own, line).out.splitlines()
    assert [row.split()[-4:] for row in window] == [row.split()[-4:] for row in coming]
    assert coming[1].split()[1:3] == rows[201].split(",")[0].split()[:1] + ["08:00:00"]
    assert (own / "coming" / "forecast.png").read_bytes().startswith(PNG)


def test_what_is_to_come_after_a_table_without_known_columns_or_times_needs_no_more(folder):
    (folder / "bare.csv").write_text("heat\n" + "".join(f"{i % 5}.5\n" for i in range(60)), encoding="utf-8")
    typed(folder, f"python train.py {SMALL} --data bare.csv --target heat --season 5 --out-dir bare")
    shown = typed(folder, "python forecast.py --checkpoint bare/best.pt --future").out.splitlines()
    assert shown[0].split() == ["step", "forecast"] and len(shown) == 4


COMING = {
    "--future": "the model reads 'wind' of the future; give a CSV file with 3 coming rows as --future FILE",
    "--future none.csv": "no file none.csv; name the file of the coming rows with --future",
    "--future two.csv": "two.csv has 2 rows, but 3 steps are forecast",
    "--future own.csv": "row 1 is of 2024-01-01 00:00:00, but the series goes on with 2024-01-11 00:00:00",
    "--future bare-plan.csv": "bare-plan.csv has no column 'wind'",
    "--future dated.csv": "columns that held dates in training must hold dates here, and numbers numbers",
    "--future plan.csv --data wells": "goes on from one series; name the file of one of them with --data",
    "--future plan.csv --data short.csv": "short.csv has 6 rows, but the model looks back on 8",
    "--data backwards.csv": "line 3: 2024-01-10 22:00:00 comes after 2024-01-10 23:00:00; --sort",
    "--csv none/../own.csv/x.csv": "cannot write",
}


@pytest.mark.parametrize("flags", COMING)
def test_what_is_missing_for_a_forecast_is_told_in_one_line(flags, own, capsys, monkeypatch):
    monkeypatch.chdir(own)
    header, *rows = (own / "own.csv").read_text(encoding="utf-8").splitlines()
    made = {"two": ["wind", "1", "2"], "bare-plan": ["rain", "1", "2", "3"]}
    made["dated"] = ["time,wind", *(f"2024-01-11 0{hour}:00,2024-02-0{hour + 1}" for hour in range(3))]
    for name, lines in (made | {"short": [header, *rows[:6]], "backwards": [header, *rows[::-1]]}).items():
        (own / f"{name}.csv").write_text("\n".join(lines), encoding="utf-8")
    line = f"forecast.py --checkpoint coming/best.pt {flags}"
    told = called(lab.forecast, line, capsys, monkeypatch, code=2)
    assert COMING[flags] in told.err.splitlines()[-1]
    assert len(told.err.strip().splitlines()) == 1 + ("--csv" in flags)


def snapshot(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "written", ["own.csv", "OTHER/../own.csv", "linked.csv", "coming/best.pt", "coming/metrics.jsonl"]
)
def test_a_forecast_is_never_written_over_a_file_that_is_no_forecast(written, own, capsys, monkeypatch):
    monkeypatch.chdir(own)
    (own / "OTHER").mkdir(exist_ok=True)
    if not (own / "linked.csv").exists():
        (own / "linked.csv").hardlink_to(own / "own.csv")
    before = snapshot(own)
    line = f"forecast.py --checkpoint coming/best.pt --future plan.csv --csv {written}"
    told = called(lab.forecast, line, capsys, monkeypatch, code=2)
    assert "give another name" in told.err and len(told.err.strip().splitlines()) == 1
    assert not told.out and snapshot(own) == before


@pytest.mark.parametrize("written", ["own.csv", "coming/best.pt", "coming/summary.json"])
def test_shares_are_never_written_over_a_file_that_holds_none(written, own, capsys, monkeypatch):
    monkeypatch.chdir(own)
    before = snapshot(own)
    told = called(lab.explain, f"explain.py coming/best.pt --json {written}", capsys, monkeypatch, code=2)
    assert "give another name" in told.err and len(told.err.strip().splitlines()) == 1 and snapshot(own) == before


def test_an_earlier_forecast_is_written_anew_but_not_while_it_is_read(own, capsys, monkeypatch):
    monkeypatch.chdir(own)
    line = "forecast.py --checkpoint coming/best.pt --future plan.csv --csv anew.csv"
    called(lab.forecast, line, capsys, monkeypatch)
    first = (own / "anew.csv").read_bytes()
    called(lab.forecast, line + " --past-length 4", capsys, monkeypatch)
    assert (own / "anew.csv").read_bytes() != first
    # Forecasts of others as a table to learn from.
    rows = "".join(f"{i},{i % 5}.5\n" for i in range(60))
    for name in ("earlier", "moved", "steps"):
        (own / f"{name}.csv").write_text("step,forecast\n" + rows, encoding="utf-8")
    train = f"train.py {SMALL} --data earlier.csv --target forecast --known-future step --season 5 --out-dir earlier"
    called(lab.train, train, capsys, monkeypatch)
    before = snapshot(own)
    for read in ("--data moved.csv --csv moved.csv", "--data moved.csv --csv earlier.csv", "--csv steps.csv"):
        line = f"forecast.py --checkpoint earlier/best.pt --future steps.csv {read}"
        told = called(lab.forecast, line, capsys, monkeypatch, code=2).err.splitlines()
        assert "is a table that the forecast is made from; give another name" in told[-1] and snapshot(own) == before


def test_a_table_out_of_order_is_forecast_in_order_if_that_is_asked_for(own):
    rows = (own / "own.csv").read_text(encoding="utf-8").splitlines()
    (own / "backwards.csv").write_text("\n".join([rows[0], *rows[:0:-1]]), encoding="utf-8")
    line = "python forecast.py --checkpoint coming/best.pt"
    told = typed(own, f"{line} --data backwards.csv --sort")
    assert told.out == typed(own, line).out and "sorted by time" in told.err


MISTAKES = {
    "train.py --data none.csv": "no file none.csv",
    "train.py --data own.csv": "name it with --target, out of: time, heat, wind",
    "train.py --data own.csv --target heet": "did you mean 'heat'?",
    "train.py --data own.csv --target zzz": "no column 'zzz'; it has: time, heat, wind",
    "train.py --target flow": "flow-pressure has no use for --target; leave it out",
    "train.py --data own.csv --target heat --lag 3": "own.csv has no use for --lag; leave it out",
    "train.py --model query-attention --dropout 0.3": "query-attention has no use for --dropout; leave it out",
    "train.py --model transformer-lstm --no-causal": "transformer-lstm has no use for --causal; leave it out",
    "train.py --data own.csv --target heat --horizon 100": "too few rows for one window",
    "train.py --data empty --target heat": "give a folder of CSV files, or one file",
    "train.py --data own.csv --target heat --lengths 3 9": "--lengths is for flow-pressure",
    "train.py --lengths 72 24": "--lengths 72 24 goes down",
    "train.py --lengths 24": "--lengths",
    "train.py --lengths 24 72 --lag 72": "no series has more than 72 rows",
    "train.py --lstm-dropout 0.2": "give --num-layers 2 or more",
    "train.py --model transformer-lstm --attention-dropout 0.2": "no use for --attention-dropout; leave it out",
    "train.py --model encoder-decoder-lstm --num-layers 2 --lstm-dropout 0.2": "no use for --lstm-dropout",
    "train.py --lag 90": "--lag 90 lies before --past-length 72",
    "train.py --lag 30000": "give a smaller --lag than 30,000",
    "train.py --model query-attention --hidden-size 33": "even hidden size",
    "train.py --model transformer-lstm --hidden-size 33 --num-heads 3": "even hidden size",
    "train.py --hidden-size 33 --num-heads 3": "even hidden size",
    "baselines.py --lag 90": "--lag 90 lies before --past-length 72",
    "explain.py checkpoints/best.pt other-lag/best.pt": "draw each lag by itself",
    "train.py --quantiles 0.1 0.9": "odd in number",
    "train.py --quantiles 0.9 0.5 0.1": "must rise",
    "train.py --hidden-size 9": "no such model",
    "train.py --model lstm": "invalid choice",
    "forecast.py --checkpoint none.pt": "train first",
    "forecast.py --checkpoint checkpoints/best.pt --window 99999999": "give a lower one",
    "forecast.py --window 3 --future": "--future: not allowed with argument --window",
    "forecast.py --checkpoint checkpoints/best.pt --column flow": "--column can be: pressure",
    "forecast.py --checkpoint checkpoints/best.pt --data own.csv": "--target",
}


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_is_told_in_one_line(line, trained, capsys, monkeypatch):
    monkeypatch.chdir(trained)
    module = getattr(lab, line.split(".py")[0])
    if "other-lag" in line:
        called(lab.train, f"train.py {SMALL} --lag 3 --out-dir other-lag", capsys, monkeypatch)
    told = called(module, line + " --out-dir mistakes" * (module is lab.train), capsys, monkeypatch, code=2)
    assert MISTAKES[line] in told.err and len(told.err.strip().splitlines()) == 1


def test_a_checkpoint_whose_scale_was_kept_in_float32_still_forecasts(trained):
    saved = torch.load(trained / "checkpoints" / "best.pt", weights_only=True)
    saved["scale"] = {name: values.float() for name, values in saved["scale"].items()}
    torch.save(saved, trained / "before.pt")
    line = "python forecast.py --window 3"
    assert typed(trained, f"{line} --checkpoint before.pt").out == typed(trained, line).out


def test_a_run_on_a_table_that_needed_flags_goes_on_without_naming_them_again(own):
    line = f"python train.py {SMALL} --data backwards.csv --target heat --season 0 --sort --out-dir again"
    rows = (own / "own.csv").read_text(encoding="utf-8").splitlines()
    (own / "backwards.csv").write_text("\n".join([rows[0], *rows[:0:-1]]), encoding="utf-8")
    typed(own, line)
    assert "sorted by time" in typed(own, "python forecast.py --checkpoint again/best.pt").err
    (own / "again" / "summary.json").unlink()
    typed(own, "python train.py --resume --out-dir again")
    assert json.loads((own / "again" / "summary.json").read_text(encoding="utf-8"))["settings"]["sort"] is True


def test_a_checkpoint_of_an_older_version_is_told_in_one_line(trained, capsys, monkeypatch):
    monkeypatch.chdir(trained)
    saved = torch.load("checkpoints/best.pt", weights_only=True)
    saved["weights"]["score.weight"] = saved["weights"].pop("head.weight")
    torch.save(saved, "old.pt")
    told = called(lab.forecast, "forecast.py --checkpoint old.pt", capsys, monkeypatch, code=2)
    assert "train again" in told.err and len(told.err.strip().splitlines()) == 1


def test_a_mistake_ends_a_command_with_status_2_and_no_traceback(folder):
    assert "no file none.csv" in typed(folder, "python train.py --data none.csv", code=2).err
