"""The forecasting lab's modules, each under a name of its own, and its models small enough to test in milliseconds."""

import torch

from shared.stages import ROOT, load_folder

FOLDER = ROOT / "model-03-lstm-attention" / "lab-forecast"
MODULES = (
    "parts",
    "losses",
    "csv_files",
    "csv_numbers",
    "csv_dates",
    "csv_times",
    "flags",
    "tables",
    "series",
    "windows",
    "model",
    "measures",
    "scores",
    "plots",
    "shown",
    "beyond",
    "content",
    "forecast",
    "train",
    "baselines",
    "explain",
)

NUM_PAST, NUM_FUTURE = 7, 4
PAST_SIZE, FUTURE_SIZE, NUM_TARGETS = 5, 2, 2
HIDDEN_SIZE = 8


lab = load_folder(FOLDER, MODULES)

# Name -> what --model calls it, options.
OPTIONS = {
    "encoder-decoder": ("encoder-decoder-lstm", dict(num_layers=2)),
    "attention": ("attention-lstm", dict(num_heads=2)),
    "attention-layers": ("attention-lstm", dict(num_heads=4, num_layers=2)),
    "attention-plain-skip": ("attention-lstm", dict(num_heads=2, gating=False)),
    "attention-sees-ahead": ("attention-lstm", dict(num_heads=2, causal=False)),
    "transformer": ("transformer-lstm", dict(num_heads=2)),
    "query": ("query-attention", {}),
    "query-sees-ahead": ("query-attention", dict(causal=False)),
    "stacked-literal": ("stacked-literal", {}),
    "stacked-residual": ("stacked-residual", {}),
    "attention-season": ("attention-lstm", dict(num_heads=2, season=3, num_seasons=2)),
    "query-quantiles": ("query-attention", dict(num_quantiles=3)),
    "attention-quantiles-season": ("attention-lstm", dict(num_heads=2, num_quantiles=3, season=1)),
    "attention-linear": ("attention-lstm", dict(num_heads=2, season=1, linear=(5, 6))),
}
WITH_WEIGHTS = [name for name in OPTIONS if name != "encoder-decoder"]
CAUSAL_ATTENTION = [name for name in WITH_WEIGHTS if OPTIONS[name][1].get("causal", True) and "stacked" not in name]


def build(name: str, **settings):
    """The model of one row of the table, float64, in eval mode, with weights large enough for every part to matter."""
    model, options = OPTIONS[name]
    choice = lab.model.MODELS[model]
    sizes = dict(past_size=PAST_SIZE, future_size=FUTURE_SIZE, num_targets=NUM_TARGETS, hidden_size=HIDDEN_SIZE)
    torch.manual_seed(0)
    built = choice.model_class(**(sizes | choice.fixed | options | settings)).double()
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.mul_(2)
    return built.eval()


def randn(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def window(batch_size: int = 3, num_past: int = NUM_PAST, num_future: int = NUM_FUTURE, seed: int = 1):
    """Random past and future of so many samples."""
    return randn(batch_size, num_past, PAST_SIZE, seed=seed), randn(batch_size, num_future, FUTURE_SIZE, seed=seed + 1)


def close(actual, expected, tolerance=1e-12):
    torch.testing.assert_close(actual, expected, rtol=0, atol=tolerance)
