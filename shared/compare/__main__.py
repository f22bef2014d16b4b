"""Lay trained stages side by side: one table, their learning curves, how far each memory reaches, what each looks at.

    python -m shared.compare                            the stages that have been trained, from their checkpoints/
    python -m shared.compare --prompt "To be or not"    maps of your own text
    python -m shared.compare --train                    train all four under one budget first, kept apart: the same
                                                        text, number of tokens and, by width, number of parameters
    python -m shared.compare --checkpoints PATH ...     other runs; several seeds of a stage become one row
    python -m shared.compare --no-live                  a page without the models in it, a small file
    python -m shared.compare --pretrained               the runs that come with the course, without any training

Writes comparison/index.html, and beside it results.json with every number shown, table.md and the pictures. The table
says how well each stage predicts held-out text and what it costs; counting, which is no network, is its first row.
"""

import argparse
import sys
import time
from pathlib import Path

from shared.run.cli import (
    ArgumentParser,
    OneOrMore,
    log,
    make_folder,
    path_or_name,
    read_flags,
    rebuilt_command,
    run_main,
    some_path,
)
from shared.run.flags import DEVICES, SEED, WHOLE
from shared.stages import ROOT
from shared.text.corpus import NAMES
from shared.text.tokenizer import TOKENIZERS, Tokenizer, tokenizer_from_dict

PROMPT_LENGTH = 100  # characters of a prompt from another text
TRAINING_TOKENS = 2_000_000


def parse_flags() -> argparse.Namespace:
    """The command line."""
    parser = ArgumentParser(prog="python -m shared.compare", description=__doc__)
    add = parser.add_argument
    add("--prompt", help="the text whose maps are drawn [a held-out line of the text that the runs have read]")
    add("--out", type=some_path, default=ROOT / "comparison", metavar="DIR", help="where to write [comparison]")
    add("--device", choices=DEVICES, default="auto", help="where to compute [auto]")
    add("--no-live", action="store_true", help="leave the models out of the page: 13 MB less, and nothing to type into")
    add(
        "--data",
        type=path_or_name,
        nargs="+",
        action=OneOrMore,
        metavar="PATH",
        help="the text that the runs have read, where it no longer lies where it was; with --train the one to read: "
        f"{', '.join(NAMES)}, text files, or a folder of them [shakespeare]",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--checkpoints",
        type=some_path,
        nargs="+",
        metavar="PATH",
        help="files best.pt, or folders that hold one: also checkpoints/previous/1 of a stage, an earlier run",
    )
    which.add_argument("--train", action="store_true", help="compare runs under one budget, and train those missing")
    which.add_argument("--pretrained", action="store_true", help="compare the runs that come with the course, at once")
    add("--tokens", type=WHOLE, help=f"with --train: tokens each stage reads [{TRAINING_TOKENS:,}]")
    add("--tokenizer", choices=sorted(TOKENIZERS), help="with --train: what a token is [word]")
    add("--seed", type=SEED, help="with --train: another seed is kept beside the first [1]")
    flags = parser.parse_args()
    for name in ("tokens", "tokenizer", "seed"):
        if getattr(flags, name) is not None and not flags.train:
            parser.error(f"--{name} says how to train; add --train, or leave it away")
    if flags.pretrained and flags.data:
        parser.error("--pretrained runs have read the bundled plays; leave --data away")
    if flags.train and (flags.data == "-" or isinstance(flags.data, list) and "-" in flags.data):
        parser.error("each stage reads the text anew, and standard input can be read once; give a file with --data")
    return flags


if __name__ == "__main__":
    read_flags(parse_flags)  # before PyTorch is imported, which takes a second

from matplotlib.figure import Figure

from shared.compare.budget import Budget, train_missing
from shared.compare.live import live_models
from shared.compare.measures import plain
from shared.compare.measuring import measure, with_prompt
from shared.compare.pretrained import load_comparison
from shared.compare.runs import (
    check_comparable,
    firsts_of,
    load_corpus_of,
    load_trained,
    named_checkpoints,
    stage_checkpoints,
)
from shared.compare.watching import watched
from shared.run.device import choose_device, prepare_process
from shared.run.generation import encode_prompt
from shared.run.records import write_json, write_text
from shared.show.curves import (
    context_figure,
    gates_figure,
    gradient_figure,
    learning_comparison_figure,
    position_figure,
)
from shared.show.figures import save_figure
from shared.show.maps import attention_figure, choosing_note, influence_comparison_figure
from shared.show.page import page
from shared.show.tables import comparison_lines, for_terminal, markdown, wrapped
from shared.text.prompts import PASSAGE, prompt_for


def main() -> None:
    """Find the runs, measure them, write the files."""
    began = time.perf_counter()
    flags = parse_flags()
    make_folder(flags.out, "--out")  # first of all: better now than after minutes of work, if it cannot be
    device = choose_device(flags.device)
    prepare_process(device)
    if flags.pretrained:
        runs, tokenizer, measured = load_comparison(device, ROOT)
        text, ids = prompt_of(flags, tokenizer, PASSAGE)
    else:
        runs = [load_trained(path, device) for path in find_checkpoints(flags)]
        check_comparable(runs)
        corpus, tokenizer = load_corpus_of(runs, flags.data), tokenizer_from_dict(runs[0].saved["tokenizer"])
        usual = PASSAGE if corpus.name == NAMES[0] else prompt_for(corpus, tokenizer, PROMPT_LENGTH)
        text, ids = prompt_of(flags, tokenizer, usual)
        measured = measure(runs, corpus, tokenizer, flags.out / "counting.json", rounding=not flags.no_live)
    results = with_prompt(measured, runs, tokenizer, text, ids)
    results["moments"] = watched(firsts_of(runs))
    results["command"] = rebuilt_command(["python", "-m", "shared.compare", *sys.argv[1:]])
    live = None if flags.no_live else live_models(firsts_of(runs), tokenizer)
    write_all(plain(results), flags.out, live)
    log(f"{time.perf_counter() - began:.0f} s; open {(flags.out / 'index.html').resolve()}")


# ------------------------------------------------------------------------------------------------------ what to compare


def find_checkpoints(flags: argparse.Namespace) -> list[Path]:
    """The checkpoints to compare, at least one."""
    if flags.train:
        budget = Budget(
            data=flags.data or NAMES[0],
            tokenizer=flags.tokenizer or "word",
            tokens=flags.tokens or TRAINING_TOKENS,
            seed=1 if flags.seed is None else flags.seed,
            device=flags.device,
        )
        return train_missing(budget, flags.out / "checkpoints")
    if flags.checkpoints:
        return named_checkpoints(flags.checkpoints)
    return stage_checkpoints()


def prompt_of(flags: argparse.Namespace, tokenizer: Tokenizer, usual: str) -> tuple[str, list[int]]:
    """The text whose maps are drawn, and its ids: that of --prompt, or the usual one."""
    text = usual if flags.prompt is None else flags.prompt
    return text, encode_prompt(tokenizer, text)


# --------------------------------------------------------------------------------------------------------------- write


def write_all(results: dict, folder: Path, live: dict | None) -> None:
    """results.json, table.md, the pictures, and the page; the table to stdout."""
    lines = comparison_lines(results["table"])
    told = [caption(results), *([results["too_short"]] if results["too_short"] else [])]
    print(*map(wrapped, told), for_terminal(lines), sep="\n\n", flush=True)
    write_json(folder / "results.json", results)
    write_text(folder / "table.md", "\n\n".join([*told, markdown(lines)]) + "\n")
    for name, figure in figures_of(results).items():
        save_figure(figure, folder / f"{name}.png")
    write_text(folder / "index.html", page(results, live))


def caption(results: dict) -> str:
    """The text, the tokenizer, its share of <unk> and the machine: without them the table means nothing."""
    corpus, tokenizer = results["corpus"], results["tokenizer"]
    shares = [tokenizer[f"share_unknown_{name}"] for name in ("validation", "test")]
    unknown = ["{} {:.1%}".format(*pair) for pair in zip(("validation", "test"), shares) if pair[1] is not None]
    measured_on = "{cores} cores ({cpu}), {system}, Python {python}, PyTorch {torch}".format(**results["machine"])
    return (
        f"{corpus['name']}, tokens: {tokenizer['name']}, a vocabulary of {tokenizer['vocab_size']:,}"
        + (f"; <unk> is {', '.join(unknown)} of the text" if unknown else "")
        + f". Measured on {measured_on}; training as each run noted it, until its best.pt was written."
    )


def figures_of(results: dict) -> dict[str, Figure]:
    """All pictures of a comparison, by the names of their files."""
    curves, prompt = results["curves"], results["prompt"]
    titles = {row["stage"]: row["title"] for row in results["table"]}
    figures = {
        "learning": learning_comparison_figure(curves["learning"], titles),
        "context": context_figure(curves["context"], titles),
        "position": position_figure(curves["position"]["stages"], titles),
        "gradient": gradient_figure(curves["gradient"], titles),
        "influence": influence_comparison_figure(
            {stage["title"]: stage["influence"] for stage in prompt["stages"]}, prompt["tokens"]
        ),
    }
    for stage in prompt["stages"]:
        name, tokens = stage["stage"], prompt["tokens"]
        if stage["attention"]:
            choosing, title = stage["choosing"], f"{stage['title']}: where it looks"
            note = choosing_note(choosing["loss"], choosing["loss_uniform"], results["tokenizer"]["unit"])
            figures[f"attention-{name}"] = attention_figure(
                stage["attention"], choosing["seen"], tokens, len(tokens), title, note=note
            )
        if stage["gates"]:
            figures[f"gates-{name}"] = gates_figure(stage["gates"], tokens, stage["title"])
    return figures


if __name__ == "__main__":
    run_main(main)
