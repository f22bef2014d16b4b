"""A model that is too large for the machine is refused before it takes any memory."""

import pytest
import torch
from options import HIDDEN_SIZE, OPTIONS, VOCAB_SIZE
from torch import nn

from shared.errors import UserError
from shared.run import memory
from shared.run.memory import TRAINED, machine_memory, make_within_memory
from shared.stages import model_class

CPU = torch.device("cpu")


def test_a_model_within_memory_is_made(monkeypatch):
    monkeypatch.setattr(memory, "machine_memory", lambda: 4 * (TRAINED * 12 + 5))
    assert make_within_memory(lambda: nn.Linear(3, 3), CPU, held=5).weight.device.type == "cpu"
    with pytest.raises(UserError, match="memory"):
        make_within_memory(lambda: nn.Linear(3, 3), CPU, held=6)


def test_what_a_gpu_holds_needs_no_room_outside_of_it(monkeypatch):
    monkeypatch.setattr(memory, "machine_memory", lambda: 4 * 12)
    assert make_within_memory(lambda: nn.Linear(3, 3), torch.device("meta"), held=1000).weight.device.type == "meta"


class Untouched(nn.Linear):
    """One whose weights no number is written to."""

    def reset_parameters(self) -> None:
        pytest.fail("the weights are filled")


def test_what_is_refused_is_never_filled(monkeypatch):
    monkeypatch.setattr(memory, "machine_memory", lambda: 4 * TRAINED * 10**6)
    with pytest.raises(UserError, match="smaller --batch-size or --hidden-size"):
        make_within_memory(lambda: Untouched(1000, 1001), CPU, held=0)
    with pytest.raises(pytest.fail.Exception):
        make_within_memory(lambda: Untouched(1000, 999), CPU, held=0)


def test_a_weight_that_two_modules_share_is_weighed_once_and_later_models_not_at_all(monkeypatch):

    def make() -> nn.Module:
        one, other = nn.Linear(3, 3), nn.Linear(3, 3, device="meta")
        other.weight = one.weight
        return one

    monkeypatch.setattr(memory, "machine_memory", lambda: 4 * TRAINED * (12 + 12))
    make_within_memory(make, CPU, held=0)
    nn.Linear(100, 100)


@pytest.mark.parametrize("name", OPTIONS)
def test_every_model_can_be_weighed_and_is_the_same_then(name):
    stage, options = OPTIONS[name]

    def make() -> nn.Module:
        torch.manual_seed(1)
        return model_class(stage)(VOCAB_SIZE, hidden_size=HIDDEN_SIZE, num_layers=2, **options)

    assert all(map(torch.equal, make_within_memory(make, CPU, held=0).parameters(), make().parameters()))


def test_the_machine_has_some_memory():
    assert machine_memory() > 2**28
