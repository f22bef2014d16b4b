"""How long a comparison will take, by trying a small part of it first."""

import time
from collections.abc import Callable

import torch

from shared.compare import measures
from shared.compare.measures import HeldOut
from shared.compare.runs import Trained
from shared.measure.evaluation import LANES, WARM_UP
from shared.measure.reach import context_losses, position_losses, spread_targets
from shared.run.flags import EVALUATIONS
from shared.run.optimizers import optimizers_for
from shared.run.stage import Stage

PROBE_TARGETS, PROBE_TOKENS = 32, 2048
DRAWING, GENERATING, COUNTING = 5.0, 0.7, 3e-6  # seconds for all pictures, for each run, for each token counted


def measuring_seconds(stages: list[list[Trained]], texts: dict[str, HeldOut], tokens_to_count: float) -> float:
    """Seconds that measuring and drawing will take; stages: the runs of each. Takes a fiftieth of that itself."""
    ids = texts["validation"].ids
    lengths = [length for length in measures.CONTEXT_LENGTHS if length == 1 or length <= len(ids) // 2]
    targets = spread_targets(len(ids), lengths[-1], PROBE_TARGETS)
    share = min(measures.CONTEXT_TARGETS, len(ids) - lengths[-1]) / len(targets)
    scored = sum(len(text.ids) + min(len(text.ids), LANES * WARM_UP) for text in texts.values())
    probe, seconds = ids[:PROBE_TOKENS], DRAWING + COUNTING * tokens_to_count
    for runs in stages:
        model = runs[0].model
        with torch.no_grad():
            attends = model(ids[None, :2].to(model.embedding.weight.device), return_attention=True)[2] is not None
        per_token = seconds_of(position_losses, model, probe, measures.WINDOW) / len(probe)
        faithful = 2 * (min(len(ids), measures.FAITHFUL_TOKENS) + LANES * WARM_UP) if attends else 0
        once = min(len(ids), measures.POSITION_TOKENS) + faithful + 3 * measures.GRADIENT_TARGETS * measures.DISTANCES
        seconds += share * seconds_of(context_losses, model, ids, targets, lengths)
        seconds += per_token * (once + scored * len(runs)) + GENERATING * len(runs)
    return seconds


def training_seconds(stage: Stage, settings: dict, vocab_size: int, validation_tokens: int) -> float:
    """Seconds that a training will take on the CPU, its evaluations included, by the time of one step."""
    model = stage.model(vocab_size, **{name: settings[name] for name in stage.model_settings})
    optimizers = optimizers_for(model, settings)
    tokens = torch.randint(vocab_size, (settings["batch_size"], settings["context_length"] + 1))

    def step() -> None:
        model.zero_grad()
        (model.loss(tokens[:, :-1], tokens[:, 1:])[0] / tokens.numel()).backward()
        for optimizer in optimizers:
            optimizer.step()

    seconds = seconds_of(step)
    scored = EVALUATIONS * (validation_tokens + min(validation_tokens, LANES * WARM_UP))
    # A step reads forwards and backwards, which takes three times as long as forwards alone.
    return seconds * (settings["max_steps"] + scored / tokens.numel() / 3)


def seconds_of(work: Callable, *given: object) -> float:
    """The shorter of two tries: the first also pays for what is done once."""
    found = []
    for _ in range(2):
        began = time.perf_counter()
        work(*given)
        found.append(time.perf_counter() - began)
    return min(found)
