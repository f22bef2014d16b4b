"""The list of stages, and how to get at their models when several are needed in one process."""

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace

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
    """Import a file by its path: every stage has a model.py, so each gets a module name of its own."""
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


def load_folder(folder: Path, names: Sequence[str]) -> SimpleNamespace:
    """Modules of one folder that import each other by plain names, in the order in which they need one another.

    Several folders cannot share a name such as `model`. So each has it only while it is loaded here, and whoever had it
    before gets it back.
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


def load_stage(stage: str):
    """What the stage's train.py says of it (its STAGE: defaults, presets, settings), by the name of its folder."""
    return load_folder(ROOT / stage, ("model", "train")).train.STAGE
