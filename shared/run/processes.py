"""Several processes that train one model, each on its share of every batch: all that they say to one another.

    torchrun --nproc-per-node=2 train.py

Each process has the whole model, and reads some lanes of the batch:

    lanes of a batch       0  1  2  3  4  5  6  7
    process                0  0  0  0  1  1  1  1

    each by itself         its nats, the number of its tokens, its gradients
    summed over all        the same three as one process would have for the whole batch
    each by itself         the optimizer's step, which is the same everywhere: so all weights stay equal

Process 0 is the *writer*: it alone writes files, speaks, and scores the model. A program that torchrun has not started
is one process: then every function here gives back what it is given.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from shared.errors import UserError
from shared.run.interrupts import ProcessEnded

Wishes = tuple[bool, ...]
PATIENCE = timedelta(hours=1)  # with a process that is heard of no more: the others also wait while the writer scores


def start() -> None:
    """Meet the other processes, if torchrun has started any."""
    if "TORCHELASTIC_RUN_ID" in os.environ and int(os.environ["WORLD_SIZE"]) > 1:
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() and dist.is_nccl_available() else "gloo"
        with together():
            dist.init_process_group(backend, timeout=PATIENCE)


def size() -> int:
    """The number of processes."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """The number of this process, from 0."""
    return dist.get_rank() if size() > 1 else 0


def is_writer() -> bool:
    """Is this the process that writes files, speaks and scores?"""
    return rank() == 0


def launcher() -> list[str]:
    """The words before train.py that start as many processes."""
    return ["torchrun", f"--nproc-per-node={os.environ['LOCAL_WORLD_SIZE']}"] if size() > 1 else ["python"]


def check_shares(settings: dict) -> None:
    """UserError where what a run reads cannot be shared by all processes."""
    if settings["batch_size"] < size():
        raise UserError(
            f"a batch of {settings['batch_size']} cannot be shared by {size()} processes; give a larger --batch-size, "
            "or fewer processes"
        )
    if size() > 1 and settings.get("data") == "-":
        raise UserError("several processes cannot read one standard input; keep the text in a file, and name that")


def use_own_gpu() -> None:
    """Have "cuda" mean another GPU in each process of a machine."""
    if size() > 1:
        here, gpus = int(os.environ["LOCAL_WORLD_SIZE"]), torch.cuda.device_count()
        if here > gpus:
            raise UserError(f"{here} processes need {here} GPUs, not {gpus}; start fewer, or give --device cpu")
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))


# --------------------------------------------------------------------------------------------------------- the lanes


def share(batch: Any) -> Any:
    """This process's lanes of a batch, or of a state that is carried.

    A tensor or a list has a row for each lane, and tuples and dataclasses hold such. Shares lie side by side, and
    differ by one lane at most.
    """
    if size() == 1:
        return batch
    if isinstance(batch, Tensor | list):
        return batch[len(batch) * rank() // size() : len(batch) * (rank() + 1) // size()]
    if isinstance(batch, tuple):
        return tuple(map(share, batch))
    if is_dataclass(batch):
        return replace(batch, **{field.name: share(getattr(batch, field.name)) for field in fields(batch)})
    return batch


def all_lanes(state: Any) -> Any:
    """The writer's answer: the state of all lanes, from each process's own. So it can be shared by another number."""
    if size() == 1:
        return state
    parts = [None] * size() if is_writer() else None
    with together():
        dist.gather_object(on_cpu(state), parts)
    return joined(parts) if is_writer() else None


def joined(parts: list) -> Any:
    """What `share` has cut, whole again.

    >>> joined([(torch.tensor([0, 1]), 5), (torch.tensor([2]), 5)])
    (tensor([0, 1, 2]), 5)
    """
    if isinstance(parts[0], Tensor):
        return torch.cat(parts)
    return tuple(map(joined, zip(*parts))) if isinstance(parts[0], tuple) else parts[0]


def on_cpu(state: Any) -> Any:
    """The same tensors where every process can have them."""
    if isinstance(state, Tensor):
        return state.cpu()
    return tuple(map(on_cpu, state)) if isinstance(state, tuple) else state


# ---------------------------------------------------------------------------------------------------------- the sums


def sum_step(model: nn.Module, loss: Tensor, count: int, wishes: Wishes) -> tuple[Tensor, int, Wishes]:
    """Of what each process found in its lanes, what one would have found in the whole batch.

    loss, count: nats and the number of tokens, of whose mean the model's parameters hold the gradients; they are given
    those of the whole batch's mean. wishes: to stop, say. Each is granted where any process has it, so that all do the
    same at the same step.
    """
    if size() == 1:
        return loss, count, wishes
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    # All in one message: each costs the way there and back, and a wait for the slowest, however short it is.
    numbers = torch.tensor([count, *wishes], dtype=loss.dtype, device=loss.device)
    parts = [loss, numbers, *(count * gradient for gradient in gradients)]
    sums = all_reduced(torch.cat([part.flatten() for part in parts])).split([part.numel() for part in parts])
    total, *wishes = sums[1].tolist()
    for gradient, summed in zip(gradients, sums[2:]):
        gradient.copy_(summed.view_as(gradient) / total)
    return sums[0].view(()).to(loss.device), int(total), tuple(map(bool, wishes))


def all_reduced(tensor: Tensor) -> Tensor:
    """The sum of all processes' tensors, equal to the last bit in each; it may take this tensor's place."""
    if tensor.device.type not in ("cpu", "cuda"):
        tensor = tensor.cpu()
    with together():
        dist.all_reduce(tensor)
    return tensor


def from_writer(make: Callable[[], Any]) -> Any:
    """What the writer makes, in every process."""
    if size() == 1:
        return make()
    found = [make() if is_writer() else None]
    with together():
        dist.broadcast_object_list(found)
    return found[0]


@contextmanager
def together() -> Iterator[None]:
    """What is done here needs all processes. ProcessEnded where one of them is not there any more."""
    try:
        yield
    except RuntimeError as error:  # from gloo and NCCL alike
        raise ProcessEnded("another process of this run has ended; start it again") from error


# ------------------------------------------------------------------------------------------------- chance, and the end


def draw_otherwise(seed: int, step: int) -> None:
    """Have dropout draw other numbers in every process than in the writer, which goes on as if it were alone.

    They depend on seed, step and rank alone, so a run that is resumed need not know where they stood.
    """
    if not is_writer():
        torch.manual_seed(((seed * 1_000_003 + step) * 1_009 + rank()) % 2**63)


def leave_the_rest_to_the_writer() -> None:
    """Part, when the training is done: scoring and drawing is the writer's. The others end here."""
    if not is_writer():
        raise SystemExit(0)
