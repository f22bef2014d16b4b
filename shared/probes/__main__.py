"""What has each stage learned? Eleven probes put questions on plays that no stage has read.

    python -m shared.probes                             the stages that have been trained, from their checkpoints/
    python -m shared.probes --checkpoints PATH ...      other runs; several seeds of a stage become one row

    names       two speak by turns, renamed by lot: is the name that is due remembered?
    next        is the one who answers likelier to speak than the one who has just spoken?
    agreement   thou art, you are; he hath, they have; this day, these days
    pronouns    the king, then he; the queen, then she
    copying     is a rare word, or a name put in by hand, likelier when it comes again?
    form        the speaker's line, the length of verses, rhymes

A question compares the log probabilities of continuations that differ in one thing, so that it is no help to be
frequent or to fit the topic. Who knows nothing has half of them right. Asked are models that read words, on their
validation and test plays. Counting, which is no network, is the first row.

Prints a table for each probe: the share of questions answered rightly, by how many tokens before the answer the word
stands that decides, with standard errors. Writes probes.json and the picture probes.png.
"""

import argparse
import sys
import time

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
from shared.stages import ROOT


def parse_flags() -> argparse.Namespace:
    """The command line."""
    parser = ArgumentParser(prog="python -m shared.probes", description=__doc__)
    parser.add_argument(
        "--checkpoints",
        type=some_path,
        nargs="+",
        metavar="PATH",
        help="files best.pt, or folders that hold one [those of the stages' checkpoints/]",
    )
    why = "the text that the runs have read, where it no longer lies where it was: a name, text files, or a folder"
    parser.add_argument("--data", type=path_or_name, nargs="+", action=OneOrMore, metavar="PATH", help=why)
    parser.add_argument(
        "--out", type=some_path, default=ROOT / "comparison", metavar="DIR", help="where to write [comparison]"
    )
    return parser.parse_args()


if __name__ == "__main__":
    read_flags(parse_flags)  # before PyTorch is imported, which takes a second

import numpy as np
import torch

from shared.compare.measures import plain
from shared.compare.runs import (
    Trained,
    by_stage,
    check_comparable,
    load_corpus_of,
    load_trained,
    named_checkpoints,
    stage_checkpoints,
)
from shared.errors import UserError
from shared.measure.ngrams import MOST_COUNTED, KneserNey, mean_nats
from shared.probes.asking import Reader, by_counting, by_model, margins
from shared.probes.catalogue import CHANCE, PROBES
from shared.probes.plays import Plays, words_of
from shared.probes.questions import fair
from shared.probes.scores import FEWEST, summary
from shared.probes.tables import example, printed
from shared.run.device import prepare_process
from shared.run.records import machine, write_json
from shared.show.curves import probes_figure
from shared.show.figures import save_figure
from shared.text.corpus import Corpus
from shared.text.tokenizer import Tokenizer, tokenizer_from_dict

ORDER = 8  # the longest n-gram that is counted


def main() -> None:
    """Find the runs, make the questions, ask all, print, and keep the numbers and the picture."""
    began, flags = time.perf_counter(), parse_flags()
    make_folder(flags.out, "--out")
    cpu = torch.device("cpu")
    prepare_process(cpu)
    paths = named_checkpoints(flags.checkpoints) if flags.checkpoints else stage_checkpoints()
    runs = [load_trained(path, cpu) for path in paths]
    check_comparable(runs)
    corpus, tokenizer = load_corpus_of(runs, flags.data), tokenizer_from_dict(runs[0].saved["tokenizer"])
    results = ask_all(runs, corpus, tokenizer) | {
        "command": rebuilt_command(["python", "-m", "shared.probes", *sys.argv[1:]], drop=["--out", "--checkpoints"]),
        "machine": machine(),
        "seconds": round(time.perf_counter() - began, 1),
    }
    results = plain(results)
    print(printed(results), flush=True)
    write_json(flags.out / "probes.json", results)
    log(f"{results['seconds']:.0f} s; kept {flags.out / 'probes.json'}")
    if any(probe["rows"][0]["by_distance"] for probe in results["probes"]):  # few questions cannot be parted further
        save_figure(probes_figure(results["probes"]), flags.out / "probes.png")
        log(f"picture     {flags.out / 'probes.png'}")


def ask_all(runs: list[Trained], corpus: Corpus, tokenizer: Tokenizer) -> dict:
    """What came out of every probe, for counting and for each stage with all its runs."""
    if tokenizer.name != "word":
        raise UserError(
            f"the probes ask for words, and these runs read other tokens ({tokenizer.name}); "
            "name runs trained with --tokenizer word: --checkpoints PATH"
        )
    log("probing     making the questions")
    train = np.array(tokenizer.encode_long(corpus.train)[:MOST_COUNTED], dtype=np.int64)
    counts = KneserNey(train, tokenizer.vocab_size, ORDER)
    probes = make_probes(corpus, tokenizer, counts)

    log("probing     counting")
    order = best_order(counts, tokenizer.encode(corpus.validation))
    rows = [{"stage": "counting", "title": f"counting, {order}-grams", "seeds": []}]
    found = [answers([by_counting(counts, order, tokenizer.newline_id)], probes)]
    for of_stage in by_stage(runs):
        stage, title = of_stage[0].stage, of_stage[0].title
        log(f"probing     {stage}" + (f", {len(of_stage)} runs" if len(of_stage) > 1 else ""))
        rows.append({"stage": stage, "title": title, "seeds": [run.saved["settings"]["seed"] for run in of_stage]})
        found.append(answers([by_model(run.model) for run in of_stage], probes))
    for index, probe in enumerate(probes):
        probe["rows"] = [row | of_row[index] for row, of_row in zip(rows, found)]
        del probe["asked"]
    return {
        "corpus": {"name": corpus.name, "sha256": corpus.sha256},
        "tokenizer": {"name": tokenizer.name, "vocab_size": tokenizer.vocab_size},
        "probes": probes,
    }


def make_probes(corpus: Corpus, tokenizer: Tokenizer, counts: KneserNey) -> list[dict]:
    """The questions of each probe, as `asked`, with what is told about them; UserError where there are none."""
    words, train = words_of(f"{corpus.validation}\n{corpus.test}"), words_of(corpus.train)
    known = frozenset(word for word in {*words, *train} if tokenizer.find(word) != tokenizer.unk_id)
    plays, probes = Plays(words, train, known), []
    for probe in PROBES:
        asked, left_out = fair(probe.make(plays), known, tokenizer, counts)
        if len(asked) < FEWEST:
            log(f"left out    {probe.title}: the held-out text gives only {len(asked)} questions")
            continue
        questions = [each.question for each in asked]
        told = {"title": probe.title, "idea": probe.idea, "chance": CHANCE, "example": example(questions)}
        probes.append(told | {"left_out": left_out, "asked": asked})
    if not probes:
        raise UserError(
            f"{corpus.name} gives no questions: the probes need plays, each speech below its speaker's name "
            "and a colon; name runs on such a text with --checkpoints"
        )
    return probes


def best_order(counts: KneserNey, validation: list[int]) -> int:
    """How long the n-grams are that do best on the validation text."""
    return 1 + int(mean_nats(counts.probabilities(np.array(validation))).argmin())


def answers(readers: list[Reader], probes: list[dict]) -> list[dict]:
    """The summary of each probe, for the readers of one row, one a seed."""
    asked = [each for probe in probes for each in probe["asked"]]  # at once, since probes share contexts
    nats = np.stack([margins(asked, read) for read in readers])  # (seeds, questions)
    ends = np.cumsum([len(probe["asked"]) for probe in probes])
    parts = np.split(nats, ends[:-1], axis=1)
    return [summary([each.question for each in probe["asked"]], part) for probe, part in zip(probes, parts)]


if __name__ == "__main__":
    run_main(main)
