"""The flags of train.py, and those of a series, which baselines.py has too. Nothing here imports PyTorch."""

from argparse import BooleanOptionalAction, Namespace
from pathlib import Path
from typing import Any

from shared.run.cli import ArgumentParser, number, path_or_name
from shared.run.flags import DEPTH, LENGTH, add_flag, add_training_flags

from csv_dates import ORDERS
from csv_files import SEPARATORS, TABLE_SETTINGS
from csv_numbers import DECIMALS, THOUSANDS
from csv_times import FILLS

FOLDER = Path(__file__).resolve().parent
MODEL_NAMES = (
    "encoder-decoder-lstm", "attention-lstm", "transformer-lstm", "query-attention", "stacked-literal",
    "stacked-residual",
)  # fmt: skip

DEFAULTS = dict(
    # the series, and how it is cut into windows
    data="flow-pressure", target=None, known_future=None, past_only=None, lag=5, lengths=None,
    past_length=72, horizon=24, pad=None,
    # the forecaster
    model="attention-lstm", hidden_size=32, num_layers=1, num_heads=4, num_blocks=2, gating=True, causal=True,
    quantiles=None, season=0, num_seasons=1, linear=False,
    # how it learns
    max_steps=600, batch_size=32, learning_rate=0.01, warmup_steps=50, decay_share=0.6, gradient_clip=1.0,
    optimizer="adamw", weight_decay=0.0, dropout=0.0, attention_dropout=0.0, lstm_dropout=0.0,
    seed=1, device="auto", precision="float32", eval_interval=None,
)  # fmt: skip
# Hours of temperatures are few and noisy, and most of what can be known of them is what was at this hour before.
TABLES = dict(past_length=96, season=24, num_seasons=3, dropout=0.3, learning_rate=0.003, weight_decay=1.0)

# Flag -> what it is for, and how argparse reads it.
TABLE_FLAGS = {
    "--separator": ("the sign between columns", dict(choices=tuple(SEPARATORS))),
    "--decimal": ("the decimal mark", dict(choices=tuple(DECIMALS))),
    "--thousands": ("the mark between thousands", dict(choices=tuple(THOUSANDS))),
    "--date-format": (
        f"how dates are written: {', '.join(ORDERS)}, unix, or a format of Python's strptime such as %d.%m.%y",
        dict(metavar="FORMAT"),
    ),
    "--time": ("the column with the time of the rows; none takes them as they come", dict(metavar="COLUMN")),
    "--sort": ("put the rows in the order of time", dict(action=BooleanOptionalAction)),
    "--drop-doubles": ("keep the first row of each time", dict(action=BooleanOptionalAction)),
    "--fill": (
        "fill missing values and rows: forward repeats the value before, linear draws a line, which looks ahead",
        dict(choices=FILLS),
    ),
}


def add_series_flags(parser: ArgumentParser) -> None:
    """Which series, and how it is cut into windows."""

    def flag(name: str, why: str, **options: Any) -> None:
        add_flag(parser, name, why, DEFAULTS, **options)

    why = "flow-pressure (made here), etth1 (downloaded once), a CSV file, or a folder of them: a series each"
    flag("--data", why, type=path_or_name)
    flag("--target", "columns to forecast; of etth1 by default all", nargs="+", metavar="COLUMN")
    flag("--known-future", "columns known of the future; dates become hour and weekday", nargs="+", metavar="COLUMN")
    flag("--past-only", "columns that are known of the past only", nargs="+", metavar="COLUMN")
    flag("--lag", "flow-pressure: how many steps after a spike pressure dips", type=number(int, low=0, high=10**6))
    why = "flow-pressure: not one long series but many short ones, of lengths in between"
    flag("--lengths", why, nargs=2, type=LENGTH, metavar=("SHORTEST", "LONGEST"))
    flag("--past-length", "steps that a forecast looks back on", type=LENGTH)
    flag("--horizon", "steps that are forecast at once", type=LENGTH)
    why = "use windows that a series is too short for, padded; by default where there are several series"
    flag("--pad", why, action=BooleanOptionalAction)
    add_table_flags(parser)


def add_table_flags(parser: ArgumentParser) -> None:
    """How a CSV file is written and what may be done with its rows; what is not given is found out."""
    group = parser.add_argument_group("a CSV file, where what was found out is not right or not enough")
    for name, (why, options) in TABLE_FLAGS.items():
        group.add_argument(name, help=why.replace("%", "%%"), **options)


def series_flags(flags: Namespace) -> dict:
    """Those of the flags that say where the series is and how it is written."""
    given = {name: getattr(flags, name) for name in ("data", *TABLE_SETTINGS)}
    return {name: value for name, value in given.items() if value is not None}


def parse_flags() -> Namespace:
    """The flags given; what was not given is None and comes from the defaults, which depend on --data."""
    others = ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in TABLES.items())
    parser = ArgumentParser(
        description="Train a forecaster. No flags are needed. Defaults in brackets are those for flow-pressure; for "
        f"any other series: {others}.",
        epilog="example: python train.py --data my-table.csv --target load --quick",
    )
    add_training_flags(parser, FOLDER, DEFAULTS)
    add_series_flags(parser)

    def flag(name: str, why: str, **options: Any) -> None:
        add_flag(parser, name, why, DEFAULTS, **options)

    flag("--model", "which forecaster", choices=MODEL_NAMES)
    share, dropped = number(float, above=0, high=0.999), number(float, low=0, high=0.95)
    flag("--quantiles", "shares of all outcomes to forecast, not the mean: 0.1 0.5 0.9", nargs="+", type=share)
    flag(
        "--season",
        "forecast the change since so many steps ago; 0: the value itself",
        type=number(int, low=0, high=10**6),
    )
    flag("--num-seasons", "since the mean of so many seasons", type=LENGTH)
    flag("--linear", "a linear map of each target's past beside the network", action=BooleanOptionalAction)
    flag("--num-heads", "heads of attention; must divide --hidden-size", type=LENGTH)
    flag("--num-blocks", "blocks of transformer-lstm", type=DEPTH)
    flag("--gating", "GateAddNorm around attention, or plain add-and-norm", action=BooleanOptionalAction)
    flag("--causal", "a forecast step sees no known column of a later step", action=BooleanOptionalAction)
    flag("--attention-dropout", "attention-lstm: share of attention weights left out in training", type=dropped)
    flag("--lstm-dropout", "attention-lstm: share left out between layers, of which it takes two", type=dropped)
    return parser.parse_args()


def defaults_for(data: str | None) -> dict:
    """Defaults for this series: what was tuned for the synthetic one is too little for measured ones."""
    return DEFAULTS if data in (None, "flow-pressure") else DEFAULTS | TABLES
