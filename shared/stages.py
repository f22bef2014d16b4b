"""The list of stages, and how to get at their models when several are needed in one process."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

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


def load_stage(stage: str):
    """What the stage's train.py says of it (its STAGE: defaults, presets, settings), by the name of its folder.

    Run as a script, train.py finds its neighbour model.py under the plain name `model`. Four neighbours cannot share
    that name, so each has it only while its own train.py is read, and whoever had it before gets it back.
    """
    before = sys.modules.get("model")
    sys.modules["model"] = load_module(ROOT / stage / "model.py")
    try:
        return load_module(ROOT / stage / "train.py").STAGE
    finally:
        del sys.modules["model"]
        if before is not None:
            sys.modules["model"] = before
