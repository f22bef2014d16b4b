"""The list of stages and labs, and how to load their modules when several are needed in one process."""

import importlib.util
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

ROOT = Path(__file__).resolve().parents[1]

# Folder -> name of the model's class in its model.py.
STAGES = {
    "model-01-rnn": "RNN",
    "model-02-lstm": "LSTM",
    "model-03-lstm-attention": "AttentionLSTM",
    "model-04-mini-transformer": "MiniTransformer",
}

LABS = (
    "model-03-lstm-attention/lab-seq2seq",
    "model-03-lstm-attention/lab-forecast",
    "model-04-mini-transformer/lab-classify",
)


def load_module(path: Path) -> ModuleType:
    """Import a file by its path, under a name made of it.

    Every stage has a model.py, so as `model` only one of them could be loaded; this one is `model_01_rnn_model`.
    """
    name = "_".join(path.resolve().relative_to(ROOT).with_suffix("").parts).replace("-", "_")
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # before it runs: dataclasses and pickle look their module up here
        spec.loader.exec_module(module)
    return sys.modules[name]


def model_class(stage: str) -> type:
    """The stage's model, by the name of its folder."""
    return getattr(load_module(ROOT / stage / "model.py"), STAGES[stage])


def stage_title(stage: str) -> str:
    """A stage's model or a lab in words, by the name of its folder: "Mini Transformer", "Forecast lab"."""
    if stage not in STAGES:
        return f"{stage.removeprefix('lab-').capitalize()} lab"
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", STAGES[stage])


def load_folder(folder: Path, names: Sequence[str]) -> SimpleNamespace:
    """Load modules of one folder that import each other by plain names; `names` in the order in which they need that.

    A train.py says `from model import ...`, which Python looks up in `sys.modules`. So while a folder is loaded here,
    its modules have the plain names; afterwards whoever had these names before gets them back.
    """
    before = {name: sys.modules.pop(name, None) for name in names}
    try:
        for name in names:
            sys.modules[name] = load_module(folder / f"{name}.py")
        return SimpleNamespace(**{name: sys.modules[name] for name in names})
    finally:
        for name in names:
            sys.modules.pop(name, None)
        sys.modules.update({name: module for name, module in before.items() if module is not None})


def load_stage(stage: str) -> Any:  # a Stage of shared/run, of which this module knows nothing
    """What the stage's train.py says of it (its STAGE: defaults, presets, settings), by the name of its folder."""
    return load_module(ROOT / stage / "train.py").STAGE
