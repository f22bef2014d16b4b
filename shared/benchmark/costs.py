"""What one stage costs, measured in a process that has done nothing else: speed, memory, arithmetic."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from shared.benchmark.timing import median_seconds, peak_mib
from shared.model.language_model import LanguageModel, num_parameters
from shared.model.sampling import generate
from shared.run.averaging import WeightAverage
from shared.run.device import autocast, choose_device, prepare_process
from shared.run.experiment import probe
from shared.run.language_modeling import trial_step
from shared.run.optimizers import optimizers_for
from shared.run.stage import COMMON
from shared.stages import load_stage
from shared.text.batches import Lanes

NEW_SHAPES = 150  # steps of training before one is timed
FILLED = 512  # tokens of text before generation is timed: more than any window holds by default
# Tokens are drawn with a frequency that is their rank to this power (Zipf's law). With this one the 512 most frequent
# words are as large a part as in the bundled text. That matters for adaptive softmax, which does less work for frequent
# words: uniform tokens would make it look slower than it is.
FREQUENCY_POWER = -1.12


@dataclass(frozen=True)
class Case:
    """What is measured: a stage at its default settings, but for `changes`."""

    stage: str
    device: str = "cpu"
    changes: dict = field(default_factory=dict)

    def but(self, **changes: object) -> "Case":
        """This case with more changes."""
        return replace(self, changes=self.changes | changes)

    @property
    def settings(self) -> dict:
        """All settings, as a run of train.py would have them."""
        return COMMON | load_stage(self.stage).defaults | self.changes

    def model(self) -> LanguageModel:
        """The stage's model, new."""
        torch.manual_seed(1)
        stage, settings = load_stage(self.stage), self.settings
        return stage.model(settings["vocab_size"], **{name: settings[name] for name in stage.model_settings})

    def tokens(self, count: int) -> Tensor:
        """Random ids (count), the frequent ones first, as in a real vocabulary."""
        frequencies = torch.arange(1, self.settings["vocab_size"] + 1) ** FREQUENCY_POWER
        return frequencies.multinomial(count, replacement=True, generator=torch.Generator().manual_seed(1))

    def lanes(self) -> Lanes:
        """Training batches; the first hundred belong to one epoch, so state is carried through them."""
        batch_size, context_length = self.settings["batch_size"], self.settings["context_length"]
        return Lanes(self.tokens((100 * batch_size + 1) * context_length), batch_size, context_length, seed=1)


def training_cost(case: Case) -> dict:
    """What training costs: tokens a second, the process's peak memory (start-up probe included), operations a token."""
    device, settings = choose_device(case.device), case.settings
    prepare_process(device)
    model, lanes = case.model().to(device).train(), case.lanes()
    probe(model, settings, device, trial_step(model, lanes, device))
    steps = training_steps(model, lanes, settings, device)
    # How many rare words a batch has differs from step to step, and in bfloat16 each number that is new costs some
    # twenty milliseconds, once. A training has thousands of steps, so they are not what it costs.
    for _ in itertools.islice(steps, NEW_SHAPES):
        pass
    seconds = median_seconds(steps, device)
    return {
        "precision": settings["precision"],
        "optimizer": settings["optimizer"],
        "parameters": num_parameters(model),
        "training_tokens_per_second": lanes.batch_size * lanes.context_length / seconds,
        "peak_mib": peak_mib(device),  # before anything but training has happened here
        "flops_per_token": flops_per_token(case),
    }


def training_steps(model: LanguageModel, lanes: Lanes, settings: dict, device: torch.device) -> Iterator[None]:
    """Training without end, one step whenever the next is asked for.

    The same work as a step of THE loop (shared/run/training.py), without its logging, evaluation and saving.
    """
    optimizers = optimizers_for(model, settings)
    average = WeightAverage(model, settings["average_share"] * settings["max_steps"])
    carry = None
    for batch in map(lanes.batch, itertools.count()):
        state = None if batch.restart else carry
        with autocast(device, settings["precision"]):
            nats, state = model.loss(batch.inputs.to(device), batch.targets.to(device), state)
        carry = model.carry(state)
        (nats / batch.targets.numel()).backward()
        nn.utils.clip_grad_norm_(model.parameters(), settings["gradient_clip"])
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        average.update()
        yield


def generation_cost(case: Case, batch_sizes: tuple[int, ...] = (1, 64), text_length: int = FILLED) -> dict:
    """Tokens a second, all texts of a batch together, when each already has `text_length` tokens."""
    device, rates = choose_device(case.device), {}
    prepare_process(device)
    model, prompt = case.model().to(device).eval(), case.tokens(text_length).tolist()
    for size in batch_sizes:
        rates[f"generation_{size}_tokens_per_second"] = size / median_seconds(generate(model, prompt, size), device)
    return rates


def flops_per_token(case: Case) -> float:
    """Floating-point operations in the matrix products of a training step, forward and backward, per token.

    Counted in float64 on the CPU. There an LSTM's products are done one by one; the kernel that does them all at once
    in float32 hides them from PyTorch's counter. The optimizer's products are left out: the time they take counts
    as overhead.
    """
    model, lanes = case.model().double(), case.lanes()
    first, second = lanes.batch(0), lanes.batch(1)
    _, state = model.loss(first.inputs, first.targets)
    with FlopCounterMode(display=False) as counter:
        nats, _ = model.loss(second.inputs, second.targets, model.carry(state))
        nats.backward()
    return counter.get_total_flops() / second.targets.numel()
