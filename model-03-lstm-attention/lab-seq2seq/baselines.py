"""What can be had without a model: copy every word, or look up its commonest modern form:  python baselines.py"""

import sys
from argparse import Namespace
from collections import Counter, defaultdict
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parents[1]))  # the repository's root, for `shared`

from shared.run.cli import ArgumentParser, read_flags, run_main


def parse_flags() -> Namespace:
    """Whether to keep the scores."""
    parser = ArgumentParser(description=__doc__, epilog="example: python baselines.py")
    parser.add_argument("--keep", action="store_true", help="write the scores into results/")
    return parser.parse_args()


if __name__ == "__main__":
    read_flags(parse_flags)  # before PyTorch is imported, which takes a second

from shared.results.labs import keep_baseline
from shared.run.experiment import command_line
from shared.show.tables import wrapped

from examples import Lines, read_pairs
from tasks import split_scores


def copied(lines: Lines) -> list[str]:
    """Every old word as it stands."""
    return [old for line in lines for old, _ in line]


def most_frequent(train: Lines, lines: Lines) -> list[str]:
    """For every old word the modern form that it has most often in training; a word never seen there is copied."""
    forms = defaultdict(Counter)
    for line in train:
        for old, modern in line:
            forms[old][modern] += 1
    return [forms[old].most_common(1)[0][0] if old in forms else old for old in copied(lines)]


def main() -> None:
    """Score both on the held-out plays."""
    flags = parse_flags()
    splits = read_pairs()
    methods = {"copy unchanged": copied, "most frequent form": lambda lines: most_frequent(splits["train"], lines)}
    for row, predict in methods.items():
        scores = split_scores(splits, predict)
        print(wrapped(f"{row}: " + ", ".join(f"{name} {score:.4f}" for name, score in scores.items()), indent=4))
        if flags.keep:
            keep_baseline(FOLDER, command_line(), "spelling", row, scores)


if __name__ == "__main__":
    run_main(main)
