"""A mean of the weights over many steps.

The weights of single steps lie around a better place than any of them, and the mean of many is nearer to it (Polyak &
Juditsky 1992). Here a step counts less and less the longer ago it was.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


def running_mean(model: nn.Module, memory: float) -> AveragedModel | None:
    """A copy of the model, to hold the mean of its weights over about the last `memory` steps; None for 0."""
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(1 - 1 / max(1, memory))) if memory else None


@contextmanager
def averaged(model: nn.Module, average: AveragedModel | None) -> Iterator[None]:
    """Within it the model has the mean's weights, if there is a mean; then its own again."""
    if average is None:
        yield
        return
    own = {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(average.module.state_dict())
    try:
        yield
    finally:
        model.load_state_dict(own)
