"""Every stage with every option that changes its arithmetic, small enough to test in milliseconds."""

from collections.abc import Iterable

import pytest
import torch

from shared.stages import model_class

WINDOW = 10  # memory_length of stage 3, context_length of stage 4
HIDDEN_SIZE = 12
VOCAB_SIZE = 11

STAGE_1, STAGE_2 = "model-01-rnn", "model-02-lstm"
STAGE_3, STAGE_4 = "model-03-lstm-attention", "model-04-mini-transformer"

# Name -> stage, options.
OPTIONS = {"1": (STAGE_1, {})}
OPTIONS |= {
    f"2-{cell}-{implementation}": (STAGE_2, dict(cell=cell, implementation=implementation))
    for cell in ("lstm", "gru")
    for implementation in ("torch", "scratch")
}
OPTIONS |= {
    f"3-{cell}-{attention}": (STAGE_3, dict(cell=cell, attention=attention, num_heads=2))
    for cell in ("lstm", "gru", "rnn")
    for attention in ("additive", "dot", "multi-head")
}
OPTIONS |= {
    f"4-{positions}": (STAGE_4, dict(positions=positions, num_heads=2))
    for positions in ("rotary", "sinusoidal", "learned")
}
WITH_ATTENTION = [name for name in OPTIONS if name[0] in "34"]

# One option of each mechanism: recurrence, gates, attention over past states, self-attention, and positions that are
# places in a window.
MECHANISMS = ("1", "2-lstm-torch", "3-lstm-multi-head", "4-rotary", "4-learned")


def by_mechanism(cases: Iterable[str | tuple]) -> list:
    """Cases for a check that takes its time, each an option or a tuple that begins with one.

    A mechanism is then tested once, by its option above; all other options are tried by `-m thorough`.
    """
    cases = [(case,) if isinstance(case, str) else case for case in cases]
    return [pytest.param(*case, marks=[] if case[0] in MECHANISMS else pytest.mark.thorough) for case in cases]


def build(name: str, dtype=torch.float64, seed: int = 0, window: int = WINDOW, **settings):
    """The model of one row of the table, in eval mode, with weights large enough for every part to matter."""
    stage, options = OPTIONS[name]
    sizes = dict(vocab_size=VOCAB_SIZE, hidden_size=HIDDEN_SIZE, num_layers=2)
    length = {STAGE_3: dict(memory_length=window), STAGE_4: dict(context_length=window)}.get(stage, {})
    torch.manual_seed(seed)
    model = model_class(stage)(**(sizes | length | options | settings)).to(dtype)
    with torch.no_grad():
        model.embedding.weight.mul_(2)
        for parameter in model.parameters():
            if not parameter.any():  # biases that start at zero would hide a mistake in their place
                parameter.normal_(std=0.5)
    return model.eval()


def random_tokens(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randint(VOCAB_SIZE, shape, generator=torch.Generator().manual_seed(seed))
