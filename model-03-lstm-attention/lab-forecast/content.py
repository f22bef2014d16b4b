"""What a checkpoint of this lab holds, beside what every checkpoint does: which series, on which scale, which model."""

from torch import Tensor

from shared.run.content import LEFT_OUT, SETTINGS, SIZE, check_agreement, check_number_of_weights
from shared.schema import NAME, PLAIN, SHA256, Between, check

from csv_files import SEPARATORS
from csv_numbers import DECIMALS, THOUSANDS
from csv_times import FILLS
from model import MODELS

NAMES, STEPS = (None, [str]), range(2**24)
SERIES = {
    "data": str, "target": NAMES, "known_future": NAMES, "past_only": NAMES, "lag": STEPS, "lengths": (None, [SIZE]),
    "past_length": SIZE, "horizon": SIZE, "pad?": (None, bool),
    "separator?": (None, set(SEPARATORS)), "decimal?": (None, set(DECIMALS)), "thousands?": (None, set(THOUSANDS)),
    "date_format?": (None, str), "time?": (None, str), "sort?": (None, bool), "drop_doubles?": (None, bool),
    "fill?": (None, set(FILLS)),
}  # fmt: skip
MODEL = {
    "hidden_size": SIZE, "num_layers?": SIZE, "num_heads?": SIZE, "num_blocks?": SIZE, "gating?": bool,
    "causal?": bool, "dropout?": LEFT_OUT, "attention_dropout?": LEFT_OUT, "lstm_dropout?": LEFT_OUT,
    "season?": STEPS, "num_seasons?": SIZE,
}  # fmt: skip
CONTENT = {
    "settings": SETTINGS | SERIES | MODEL | {
        "model": set(MODELS), "quantiles": (None, [Between(0, 1)]), "linear": bool, ...: PLAIN,
    },
    "model_settings": MODEL | {
        "past_size": SIZE, "future_size": SIZE, "num_targets": SIZE, "num_quantiles?": STEPS, "literal?": bool,
        "linear?": [SIZE],
    },
    "series": {"name": NAME, "sha256": SHA256},
    "scale": {"means": Tensor, "deviations": Tensor},
    ...: object,
}  # fmt: skip


def check_content(content: dict) -> None:
    """ValueError where a checkpoint is none of this lab: what `load_checkpoint` is told of it."""
    check(content, CONTENT)
    settings, model, scale = content["settings"], content["model_settings"], content["scale"]
    check_agreement(content, {*MODELS[settings["model"]].flags, "season", "num_seasons"} & settings.keys())
    if len(settings["quantiles"] or []) != model.get("num_quantiles", 0):
        raise ValueError("model_settings.num_quantiles is not the number of settings.quantiles")
    if len(settings["lengths"] or [1, 1]) != 2 or len(model.get("linear", [1, 1])) != 2:
        raise ValueError("settings.lengths or model_settings.linear are not two numbers")
    if max(model["num_targets"], model["future_size"]) > model["past_size"]:
        raise ValueError("model_settings has more targets or known columns than columns")
    for name, numbers in scale.items():
        if numbers.shape != (model["past_size"],) or not numbers.is_floating_point():
            raise ValueError(f"scale.{name} has not a number for each of the {model['past_size']} columns")
    if not (scale["deviations"] > 0).all():
        raise ValueError("scale.deviations are not all above 0")
    size, steps = settings["hidden_size"], settings["past_length"] * settings["horizon"] * settings["linear"]
    layers = model.get("num_layers", 0) + model.get("num_blocks", 0)
    check_number_of_weights(content, size * (model["past_size"] + layers * size) + steps)
