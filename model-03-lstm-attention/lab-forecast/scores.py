"""How good a forecaster is: its errors over every window and, where the truth is known, what the lag got."""

import torch

from losses import absolute_error, squared_error
from measures import MEASURES, middle, profiles
from model import Forecaster
from parts import real_steps
from series import Series
from windows import Windows

EVALUATION_BATCH = 256


def forecast_errors(
    model: Forecaster, windows: Windows, quantiles: list[float] | None, device: torch.device | str
) -> dict[str, float]:
    """Mean squared and absolute error over the real steps of every window, of the mean or the middle quantile; how
    often the outermost quantiles held the truth between them."""
    model.eval()
    squares = absolutes = inside = count = 0
    with torch.no_grad():
        for batch in windows.batches(EVALUATION_BATCH):
            batch = batch.to(device)
            prediction = model(*batch.inputs, **batch.lengths)
            point = middle(prediction, model.num_quantiles)  # (B, Tf, O)
            squared, terms = squared_error(point, batch.targets, batch.future_lengths)
            absolute, _ = absolute_error(point, batch.targets, batch.future_lengths)
            squares, absolutes, count = squares + squared.item(), absolutes + absolute.item(), count + terms
            if quantiles:
                held = (prediction[..., 0] <= batch.targets) & (batch.targets <= prediction[..., -1])
                inside += (held & real_steps(held, batch.future_lengths)).sum().item()
    scores = {"MSE": squares / count, "MAE": absolutes / count}
    return scores | {f"inside {quantiles[0]} to {quantiles[-1]}": inside / count} if quantiles else scores


def lab_scores(
    model: Forecaster, series: Series, windows: Windows, quantiles: list[float] | None, device: torch.device | str
) -> dict:
    """What a run's summary gets: `scores` for the lab's tables and, where there is a true lag, what that lag got and
    the lag at which the gradient is largest."""
    scores = forecast_errors(model, windows, quantiles, device)
    if series.noise_variance is None:
        return {"scores": scores}
    del scores["MAE"]
    scores = {"MSE / noise": scores.pop("MSE") / series.noise_variance} | scores
    shares = profiles(model, windows, device)
    scores |= {f"{name} on the lag": shares[name][series.lag].item() for name in MEASURES if name in shares}
    return {"scores": scores, "gradient_peak": int(shares["gradient"].argmax())}
