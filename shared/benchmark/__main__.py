"""What each stage costs on this machine: speed of training and generation, memory, and the share that is arithmetic.

    python -m shared.benchmark                          every stage at its default settings: two to three minutes
    python -m shared.benchmark --json before.json       keep the figures ...
    python -m shared.benchmark --against before.json    ... and see later what a change did to them
    python -m shared.benchmark --scaling                also how costs grow with context, text, vocabulary and width;
                                                        about ten minutes
    python -m shared.benchmark --busy                   how long a step takes beside one and two busy programs: four
                                                        minutes, on a machine with nothing else to do
    python -m shared.benchmark --processes              how long a step takes one process and two, each on one core; ten
                                                        minutes, likewise

Training is forward, backward, clipping and the optimizer, in the precision that the start-up probe chooses here, and
in float32 where that is another. Generation is one token at a time with sampling, when the
window is full. Every speed is the median of many steps, measured in a fresh process, so that memory or caches that one
measurement leaves behind cannot change the next.
"""

import argparse
import sys

from shared.run.cli import BRIEF_WAITS, ArgumentParser, log, read_flags, rebuilt_command, run_main, some_path
from shared.run.flags import DEVICES
from shared.stages import STAGES


def parse_flags() -> argparse.Namespace:
    """The command line."""
    parser = ArgumentParser(prog="python -m shared.benchmark", description=__doc__)
    parser.add_argument("--stage", choices=STAGES, help="measure only this one")
    parser.add_argument("--device", choices=DEVICES, default="cpu", help="where to compute [cpu]")
    parser.add_argument("--scaling", action="store_true", help="also vary context, vocabulary, width and text length")
    parser.add_argument("--busy", action="store_true", help="measure training beside busy programs, and nothing else")
    parser.add_argument("--processes", action="store_true", help="measure one process and two, and nothing else")
    parser.add_argument("--json", type=some_path, metavar="PATH", help="also write the figures to this file")
    parser.add_argument("--against", type=some_path, metavar="PATH", help="show ratios to what an earlier --json kept")
    return parser.parse_args()


if __name__ == "__main__":
    read_flags(parse_flags)  # before PyTorch is imported, which takes a second

from shared.benchmark.busy import busy_costs, busy_table
from shared.benchmark.costs import Case, generation_cost, training_cost
from shared.benchmark.sharing import sharing_costs, sharing_table
from shared.benchmark.timing import in_fresh_process, matmul_rate
from shared.run.records import TABLE, TEXT, machine, read_json, write_json
from shared.show.tables import cost_table, scaling_tables
from shared.text.corpus import load_corpus
from shared.text.tokenizer import train_tokenizer

SCALES = {
    "context_length": (64, 128, 256, 512, 1024),
    "vocab_size": (1000, 3000, 10_000, 30_000),
    "hidden_size": (64, 128, 256, 512),
}
# What --against has to hold.
BENCHMARK = {
    "machine": TABLE,
    "rows": [{"stage": TEXT, "variant": TEXT, "precision": TEXT, "optimizer": TEXT, "settings": TABLE, ...: object}],
    ...: object,
}  # fmt: skip
TEXT_LENGTHS = (64, 256, 1024)


# --------------------------------------------------------------------------------------------------- what is measured


def measure(case: Case, variant: str, matmul: dict[str, float]) -> dict:
    """One row: what training and generation cost. matmul: how fast this machine multiplies matrices, by precision.

    Generation works in float32 whatever the precision of training, so the float32 row does not measure it again.
    """
    log(f"measuring   {case.stage}, {variant}")
    row = {"stage": case.stage, "variant": variant, "settings": case.settings}
    row |= in_fresh_process(training_cost, case, variables=BRIEF_WAITS)  # as train.py has them
    row |= in_fresh_process(generation_cost, case) if variant != "float32" else {}
    rate = row["training_tokens_per_second"] * row["flops_per_token"]
    return row | {f"share_of_{name}_matmul": rate / limit for name, limit in matmul.items()}


def measure_stage(case: Case, matmul: dict[str, float]) -> list[dict]:
    """The rows of one stage: as the probe chooses, in float32 if that is something else, and with scratch cells."""
    rows = [measure(case, "default", matmul)]
    if rows[0]["precision"] != "float32":
        rows.append(measure(case.but(precision="float32"), "float32", matmul))
    # A stage that trains PyTorch's layers by default has its cell written out in model.py too: measured beside it.
    if case.settings.get("implementation", "scratch") != "scratch":
        rows.append(measure(case.but(precision=rows[0]["precision"], implementation="scratch"), "scratch", matmul))
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
    """The settings to change. A longer context needs as long a window of attention, and room for fewer rows."""
    return {what: value} | ({"memory_length": value, "batch_size": 4} if what == "context_length" else {})


# --------------------------------------------------------------------------------------------------------- the command


def main() -> None:
    """Measure, print, keep."""
    flags = parse_flags()
    earlier = read_json(flags.against, BENCHMARK) if flags.against else None
    vocab_size = train_tokenizer("word", load_corpus().train).vocab_size
    cases = [Case(stage, flags.device, {"vocab_size": vocab_size}) for stage in STAGES if flags.stage in (None, stage)]
    command = rebuilt_command(["python", "-m", "shared.benchmark", *sys.argv[1:]], drop=["--json", "--against"])
    content = {"command": command, "machine": machine(), "device": flags.device}
    if flags.busy:
        content["rows"] = busy_costs(cases)
        print(busy_table(content["rows"]))
    elif flags.processes:
        content["rows"] = sharing_costs(cases)
        print(sharing_table(content["rows"]))
    else:
        measure_all(cases, flags, content, earlier)
    if flags.json:
        write_json(flags.json, content)


def measure_all(cases: list[Case], flags: argparse.Namespace, content: dict, earlier: dict | None) -> None:
    """Fill in `content` what the stages cost, and print it."""
    matmul = {name: in_fresh_process(matmul_rate, flags.device, name) for name in ("float32", "bfloat16")}
    content["matmul_flops_per_second"] = matmul
    content["rows"] = [row for case in cases for row in measure_stage(case, matmul)]
    print(cost_table(content, earlier), flush=True)
    content["scaling"] = [point for case in cases if flags.scaling for point in measure_scaling(case)]
    if flags.scaling:
        print("\n" + scaling_tables(content["scaling"]))


if __name__ == "__main__":
    run_main(main)
