"""A moving average of a model's weights over its latest steps: often better than the weights after any one of them.

A high learning rate keeps the weights moving to and fro. To lower the rate is one way to bring them to rest; to average
over where they have been is another (Polyak & Juditsky 1992).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, get_swa_multi_avg_fn


class WeightAverage:
    """Exponential moving average of a model's weights over about `steps` updates; with 0 steps, no average.

    While there have been fewer updates, it is their plain mean: so the first weights, which are bad, never count more
    than others.
    """

    def __init__(self, model: nn.Module, steps: float):
        self.model = model
        mean, moving = get_swa_multi_avg_fn(), get_ema_multi_avg_fn(1 - 1 / max(2.0, steps))

        def take_in(averages: list[Tensor], weights: list[Tensor], seen: Tensor) -> None:
            # Asked of PyTorch's own count, which is on the CPU: for `seen` a GPU would have to be waited for.
            average = mean if self.average.n_averaged < steps else moving
            average(averages, weights, seen)

        self.average = AveragedModel(model, multi_avg_fn=take_in) if steps else None

    def update(self) -> None:
        """Take the model's present weights into the average."""
        if self.average:
            self.average.update_parameters(self.model)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Use the averaged weights inside the block, then restore the model's own."""
        if not self.average:
            yield
            return
        own = deepcopy(self.model.state_dict())
        self.model.load_state_dict(self.average.module.state_dict())
        try:
            yield
        finally:
            self.model.load_state_dict(own)

    def state_dict(self) -> dict:
        """All that `load_state_dict` needs to go on."""
        return self.average.state_dict() if self.average else {}

    def load_state_dict(self, state: dict) -> None:
        """Go on from what `state_dict` gave."""
        if self.average:
            self.average.load_state_dict(state)
