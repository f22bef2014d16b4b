"""The models of a comparison, ready for the page: weights as whole numbers, and what a browser needs to run them."""

from copy import deepcopy

from shared.compare.measures import HeldOut
from shared.compare.runs import Trained
from shared.measure.evaluation import evaluate
from shared.model.packing import pack, round_weights
from shared.text.tokenizer import Tokenizer


def live_models(runs: list[Trained], tokenizer: Tokenizer) -> dict:
    """For each run its header (stage, class, settings, where each tensor stands) and packed weights; the tokenizer."""
    stages = []
    for run in runs:
        tensors, weights = pack(run.model)
        # Stage 1 has one kind of cell, so its settings name none.
        settings = {"cell": "rnn"} | run.saved["model_settings"]
        header = {"stage": run.stage, "model": type(run.model).__name__, "settings": settings, "tensors": tensors}
        stages.append({"header": header, "weights": weights})
    return {"stages": stages, "tokenizer": tokenizer.to_dict()}


def rounding_cost(run: Trained, text: HeldOut) -> float | None:
    """By how many nats per token the loss rises when weights are rounded as in the page; None without a text."""
    if len(text.ids) < 2:
        return None
    rounded = round_weights(deepcopy(run.model))
    whole, packed = (evaluate(model, text.ids, run.context_length, None) for model in (run.model, rounded))
    return packed.loss - whole.loss
