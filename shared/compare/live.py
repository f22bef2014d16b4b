"""The models of a comparison, ready for the page: weights as whole numbers, and what a browser needs to run them."""

from shared.compare.runs import Trained
from shared.model.packing import pack
from shared.text.tokenizer import Tokenizer


def live_models(runs: list[Trained], tokenizer: Tokenizer) -> dict:
    """For each run its header (stage, class, settings, where each tensor stands) and its packed weights; the tokenizer."""
    stages = []
    for run in runs:
        tensors, weights = pack(run.model)
        # Stage 1 has no choice of cells, so its settings name none.
        settings = {"cell": "rnn"} | run.saved["model_settings"]
        header = {"stage": run.stage, "model": type(run.model).__name__, "settings": settings, "tensors": tensors}
        stages.append({"header": header, "weights": weights})
    return {"stages": stages, "tokenizer": tokenizer.to_dict()}
