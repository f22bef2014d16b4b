"""Train a forecaster:  python train.py"""

import sys
from argparse import Namespace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository's root, for `shared`

from shared.run.cli import read_flags, wait_briefly

from flags import FOLDER, defaults_for, parse_flags

if __name__ == "__main__":
    read_flags(parse_flags)  # before PyTorch is imported, which takes a second
    wait_briefly()

import torch
from torch import Tensor

from shared.errors import UserError
from shared.model.language_model import num_parameters
from shared.results.kept import shared_command
from shared.run.cli import log, quoted, run_main
from shared.run.device import autocast
from shared.run.experiment import Run, probe, start_run
from shared.run.memory import make_within_memory
from shared.run.processes import share
from shared.run.training import Task
from shared.text.signs import printable

from content import check_content
from csv_files import TABLE_SETTINGS
from losses import quantile_error, squared_error
from model import MODELS, Forecaster
from scores import EVALUATION_BATCH, lab_scores
from series import PARTS, Series, series_of
from windows import Batch, Windows, windows_of

QUICK = dict(max_steps=300)


def chosen_series(settings: dict) -> Series:
    """The series that the settings name; UserError where they contradict each other or it.

    Settles `pad`, which was left open unless the flag was given: of several series many will be short.
    """
    lengths = settings["lengths"]
    if lengths and settings["data"] != "flow-pressure":
        raise UserError(f"--lengths is for flow-pressure; {settings['data']} has lengths of its own, so leave it out")
    if lengths and lengths[0] > lengths[1]:
        raise UserError(f"--lengths {lengths[0]} {lengths[1]} goes down; give the shortest length first")
    series = series_of(settings)
    if series.lag is not None and series.lag > settings["past_length"]:
        raise UserError(f"--lag {series.lag} lies before --past-length {settings['past_length']}; give a longer past")
    if settings["pad"] is None:
        settings["pad"] = len(series.spans) > 1
    return series


def check(settings: dict) -> None:
    """UserError where settings contradict each other."""
    quantiles = settings["quantiles"]
    if quantiles and (len(quantiles) % 2 == 0 or sorted(set(quantiles)) != quantiles):
        raise UserError("--quantiles must rise, and be odd in number, so that one of them is in the middle")
    if settings["lstm_dropout"] and settings["num_layers"] == 1:
        raise UserError("--lstm-dropout falls between layers, and there is one; give --num-layers 2 or more")


def check_flags(flags: Namespace, settings: dict) -> None:
    """UserError for a flag that this model or this series has no use for."""
    model, data = settings["model"], settings["data"]
    of_models = {name for choice in MODELS.values() for name in choice.flags} - set(MODELS[model].flags)
    of_tables = {"target", "known_future", "past_only", *TABLE_SETTINGS}
    of_series = of_tables if data == "flow-pressure" else {"lag"}
    for who, names in ((model, of_models), (data, of_series)):
        for name in sorted(names):
            if getattr(flags, name) is not None:
                raise UserError(f"{who} has no use for --{name.replace('_', '-')}; leave it out")


def model_settings(settings: dict, series: Series) -> dict:
    """What the model's constructor takes."""
    choice = MODELS[settings["model"]]
    sizes = dict(
        past_size=series.values.size(1), future_size=series.num_known, num_targets=series.num_targets,
        num_quantiles=len(settings["quantiles"] or []), season=settings["season"], num_seasons=settings["num_seasons"],
    )  # fmt: skip
    if settings["linear"]:
        sizes["linear"] = (settings["past_length"], settings["horizon"])
    return sizes | choice.fixed | {name: settings[name] for name in choice.flags}


def make_model(settings: dict, constructor: dict, device: torch.device) -> Forecaster:
    """The model, its weights drawn with the run's seed."""

    def make() -> Forecaster:
        torch.manual_seed(settings["seed"])
        return MODELS[settings["model"]].model_class(**constructor)

    vectors = settings["batch_size"] * (settings["past_length"] + settings["horizon"])
    try:
        return make_within_memory(make, device, held=vectors * settings["hidden_size"])
    except ValueError as error:
        raise UserError(f"there is no such model: {error}; change --hidden-size or --num-heads")


def error_of(prediction: Tensor, batch: Batch, quantiles: list[float] | None) -> tuple[Tensor, int]:
    """Summed loss over the real steps and number of its terms: squared errors or, with quantiles, pinball losses."""
    if quantiles:
        return quantile_error(prediction, batch.targets, quantiles, batch.future_lengths)
    return squared_error(prediction, batch.targets, batch.future_lengths)


def table_name(series: Series, settings: dict) -> str:
    """The table in which runs on this series belong."""
    name = f"{series.name}, {settings['horizon']} steps" if series.lag is None else f"flow-pressure, lag {series.lag}"
    if settings["lengths"]:
        name += ", series of {} to {} steps".format(*settings["lengths"])
    if settings["pad"] and len(series.spans) == 1:  # with one series, it is not what is usual
        name += ", padded"
    return name


def introduce(run: Run, series: Series, windows: Windows, model: Forecaster, step_seconds: float) -> None:
    """Say what is going to happen before it does."""
    settings = run.settings
    minutes = max(0.1, settings["max_steps"] * step_seconds * 1.2 / 60)
    row, parameters = MODELS[settings["model"]].row, num_parameters(model)
    log(f"{row} on {run.device}, {parameters:,} parameters, optimizer {settings['optimizer']}")
    for line in series.understood:
        log(f"table       {line}")
    several = f"{len(series.spans):,} series, " if len(series.spans) > 1 else ""
    log(f"series      {series.name}: {several}{len(series.values):,} rows of {', '.join(series.columns)}")
    up_to = "up to " if settings["pad"] else ""
    log(f"windows     {len(windows):,} for training: {up_to}{windows.past_length} steps back, {windows.horizon} ahead")
    log(f"training    {settings['max_steps']:,} steps of {settings['batch_size']} windows: about {minutes:.1f} minutes")


def learning(model: Forecaster, training: Windows, validation: Windows, settings: dict, device: torch.device) -> Task:
    """What the loop needs to know: random windows of the training part, and the error on the validation part."""
    quantiles = settings["quantiles"]

    def batch(step: int) -> Batch:
        generator = torch.Generator().manual_seed(settings["seed"] * 1_000_003 + step)
        return training.batch(torch.randint(len(training), (settings["batch_size"],), generator=generator)).to(device)

    def step(batch: Batch, carry: None) -> tuple[Tensor, int, None]:
        with autocast(device, settings["precision"]):
            prediction = model(*batch.inputs, **batch.lengths)
        return *error_of(prediction.float(), batch, quantiles), None

    def evaluate() -> float:
        model.eval()
        total = count = 0
        with torch.no_grad():
            for batch in validation.batches(EVALUATION_BATCH, step=settings["horizon"]):
                batch = batch.to(device)
                error, terms = error_of(model(*batch.inputs, **batch.lengths), batch, quantiles)
                total, count = total + error.item(), count + terms
        return total / count

    return Task(batch, step, evaluate, lambda loss: f"{unit_of(settings)} {loss:.4f}", unit="forecasts")


def unit_of(settings: dict) -> str:
    """What the loss is in; both are on the scale of training, on which a column's variance is 1."""
    return "pinball loss" if settings["quantiles"] else "mean squared error"


def main() -> None:
    flags = parse_flags()
    run = start_run("lab-forecast", flags, defaults_for(flags.data), {"quick": QUICK}, check_content)
    settings, device = run.settings, run.device
    check_flags(flags, settings)
    check(settings)
    series = chosen_series(settings)
    if run.saved and run.saved["series"]["sha256"] != series.sha256:
        raise UserError(f"{settings['data']} is not the series that the saved run read; train anew without --resume")
    training, validation, test = (windows_of(series, part, settings) for part in PARTS)
    constructor = model_settings(settings, series)
    model = make_model(settings, constructor, device)
    task = learning(model, training, validation, settings, device)

    def trial_step(precision: str) -> None:
        batch = share(task.batch(0))
        with autocast(device, precision):
            prediction = model(*batch.inputs, **batch.lengths)
        error_of(prediction.float(), batch, settings["quantiles"])[0].backward()

    introduce(run, series, training, model, probe(model, settings, device, trial_step))
    run.train(model, task, {
        "model_settings": constructor,
        "series": {"name": printable(series.name), "sha256": series.sha256},
        "scale": {"means": series.means, "deviations": series.deviations},
    })  # fmt: skip
    run.load_best(model)
    finish(run, model, series, lab_scores(model, series, test, settings["quantiles"], device))


def row_name(settings: dict) -> str:
    """The row of a run in its table."""
    season, parts = settings["season"], [MODELS[settings["model"]].row]
    if season:
        count = max(1, min(settings["num_seasons"], settings["past_length"] // season))  # as many as there is room for
        several = f"from {count} season{'s' if count > 1 else ''} of {season}"
        parts.append("from the last value" if season == count == 1 else several)
    if settings["linear"]:
        parts.append("linear part")
    if settings["quantiles"]:
        parts.append("quantiles")
    return ", ".join(parts)


def finish(run: Run, model: Forecaster, series: Series, found: dict) -> None:
    """Write the summary, with no path of this machine in it, and say how good the model is and what to type next."""
    run.finish(
        model, unit_of(run.settings), table=table_name(series, run.settings), row=row_name(run.settings), **found,
        command=shared_command(run.command, series.name), settings=run.settings | {"data": series.name},
        series={"name": series.name, "sha256": series.sha256},
    )  # fmt: skip
    for name, score in found["scores"].items():
        print(f"{name:22} {score:.3f}")
    print(f"kept in {run.out_dir / 'best.pt'}")
    path = quoted(str(run.out_dir / "best.pt"))
    checkpoint = "" if run.out_dir == FOLDER / "checkpoints" else f" --checkpoint {path}"
    print(f"next: python forecast.py --visualize{checkpoint}")


if __name__ == "__main__":
    run_main(main)
