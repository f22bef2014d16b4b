"""What each stage costs on this machine: speed of training and generation, memory, and the share that is arithmetic.

    python -m shared.benchmark                          every stage at its default settings: two to three minutes
    python -m shared.benchmark --json before.json       keep the figures ...
    python -m shared.benchmark --against before.json    ... and see later what a change did to them
    python -m shared.benchmark --scaling                also how costs grow with context, text, vocabulary and width;
                                                        about ten minutes

Training is forward, backward, clipping and the optimizer, in the precision and with the optimizer that the start-up
probe chooses here, and in float32 where that is another. Generation is one token at a time with sampling, when the
window is full. Every speed is the median of many steps, taken in a fresh process, so none feels the one before.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from shared.errors import UserError
from shared.model.language_model import LanguageModel
from shared.model.sampling import generate
from shared.run.averaging import WeightAverage
from shared.run.cli import ArgumentParser, log, run_main, typed_command
from shared.run.device import DEVICES, autocast, choose_device
from shared.run.experiment import probe
from shared.run.language_modeling import COMMON, trial_step
from shared.run.measuring import in_fresh_process, matmul_rate, median_seconds, peak_mib
from shared.run.optimizers import optimizers_for
from shared.run.results import machine, read_json, write_json
from shared.show.tables import cost_table, scaling_tables
from shared.stages import STAGES, load_stage
from shared.text.batches import Lanes
from shared.text.corpus import load_corpus
from shared.text.tokenizer import train_tokenizer

FILLED = 512  # tokens of text before generation is timed: more than any window holds by default
# Words occur in proportion to this power of their rank: so the 512 most frequent ones are as large a part as in the
# bundled text. The output layer does less work for frequent words, and uniform tokens would make it look slower.
FREQUENCY_POWER = -1.12

SCALES = {
    "context_length": (64, 128, 256, 512, 1024),
    "vocab_size": (1000, 3000, 10_000, 30_000),
    "hidden_size": (64, 128, 256, 512),
}
TEXT_LENGTHS = (64, 256, 1024)


@dataclass(frozen=True)
class Case:
    """What is measured: a stage at its default settings, but for `changes`."""

    stage: str
    device: str = "cpu"
    changes: dict = field(default_factory=dict)

    def but(self, **changes) -> "Case":
        return replace(self, changes=self.changes | changes)

    @property
    def settings(self) -> dict:
        return COMMON | load_stage(self.stage).defaults | self.changes

    def model(self) -> LanguageModel:
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


# --------------------------------------------------------------------------------------------- run in a fresh process


def training_cost(case: Case) -> dict:
    """Tokens a second, the process's peak memory, start-up probe included, and the arithmetic in a token."""
    device, settings = choose_device(case.device), case.settings
    model, lanes = case.model().to(device).train(), case.lanes()
    probe(model, settings, device, trial_step(model, lanes, device))
    seconds = median_seconds(training_steps(model, lanes, settings, device), device)
    return {
        "precision": settings["precision"],
        "optimizer": settings["optimizer"],
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "training_tokens_per_second": lanes.batch_size * lanes.context_length / seconds,
        "peak_mib": peak_mib(device),  # before anything but training has happened here
        "flops_per_token": flops_per_token(case),
    }


def training_steps(model: LanguageModel, lanes: Lanes, settings: dict, device: torch.device) -> Iterator[None]:
    """Training without end, one step whenever the next is asked for."""
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


# ------------------------------------------------------------------------------------------------------- what is asked


def measure(case: Case, variant: str, matmul: dict[str, float]) -> dict:
    """One row. Generation works in float32 always, so the float32 row has no other figures of it to show."""
    log(f"measuring   {case.stage}, {variant}")
    row = {"stage": case.stage, "variant": variant, "settings": case.settings} | in_fresh_process(training_cost, case)
    row |= in_fresh_process(generation_cost, case) if variant != "float32" else {}
    rate = row["training_tokens_per_second"] * row["flops_per_token"]
    return row | {f"share_of_{name}_matmul": rate / limit for name, limit in matmul.items()}


def measure_stage(case: Case, matmul: dict[str, float]) -> list[dict]:
    """The rows of one stage: as the probe chooses, in float32 if that is something else, and with scratch cells."""
    rows = [measure(case, "default", matmul)]
    chosen = {name: rows[0][name] for name in ("precision", "optimizer")}
    if chosen["precision"] != "float32":
        rows.append(measure(case.but(**chosen).but(precision="float32"), "float32", matmul))
    if case.settings.get("implementation", "scratch") != "scratch":  # its model.py also writes out what PyTorch has
        rows.append(measure(case.but(**chosen, implementation="scratch"), "scratch", matmul))
    return rows


def measure_scaling(case: Case) -> list[dict]:
    """One stage's points: what was varied, its value, the cost; in float32 with AdamW, so that nothing else varies."""
    log(f"scaling     {case.stage}")
    case, points = case.but(precision="float32", optimizer="adamw"), []
    for what, values in SCALES.items():
        # Without attention, a longer context costs the same per token.
        for value in values if what != "context_length" or "num_heads" in case.settings else ():
            cost = in_fresh_process(training_cost, case.but(**scaled(what, value)))
            points.append({"stage": case.stage, "what": what, "value": value} | cost)
    for length in TEXT_LENGTHS:
        cost = in_fresh_process(generation_cost, case, (1,), length)
        points.append({"stage": case.stage, "what": "text length", "value": length} | cost)
    return points


def scaled(what: str, value: int) -> dict:
    """The settings to change: attention reaches as far as the context, and few long texts fit side by side."""
    return {what: value} | ({"memory_length": value, "batch_size": 4} if what == "context_length" else {})


def main() -> None:
    """Measure, print, keep."""
    parser = ArgumentParser(prog="python -m shared.benchmark", description=__doc__)
    parser.add_argument("--stage", choices=STAGES, help="measure only this one")
    parser.add_argument("--device", choices=DEVICES, default="cpu", help="where to compute [cpu]")
    parser.add_argument("--scaling", action="store_true", help="also vary context, vocabulary, width and text length")
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write the figures to this file")
    parser.add_argument("--against", type=Path, metavar="PATH", help="show ratios to what an earlier --json kept")
    flags = parser.parse_args()
    earlier = read_json(flags.against) if flags.against else None
    if earlier is not None and not {"machine", "rows"} <= earlier.keys():
        raise UserError(f"{flags.against} is no benchmark; give a file that --json wrote")
    vocab_size = train_tokenizer("word", load_corpus().train).vocab_size
    cases = [Case(stage, flags.device, {"vocab_size": vocab_size}) for stage in STAGES if flags.stage in (None, stage)]
    matmul = {name: in_fresh_process(matmul_rate, flags.device, name) for name in ("float32", "bfloat16")}
    command = typed_command("shared.benchmark", "--json", "--against")
    content = {"command": command, "machine": machine(), "device": flags.device, "matmul_flops_per_second": matmul}
    content["rows"] = [row for case in cases for row in measure_stage(case, matmul)]
    print(cost_table(content, earlier), flush=True)
    content["scaling"] = [point for case in cases if flags.scaling for point in measure_scaling(case)]
    if flags.scaling:
        print("\n" + scaling_tables(content["scaling"]))
    if flags.json:
        write_json(flags.json, content)


if __name__ == "__main__":
    run_main(main)
