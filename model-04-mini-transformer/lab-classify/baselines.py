"""What counting reaches, the mark that the network has to beat:  python baselines.py

Naive Bayes takes a passage for a bag of words, drawn one by one from its genre's words. `--keep` writes the scores into
results/, from where they get into the chapter.
"""

import math
import sys
from argparse import Namespace
from collections import Counter
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from statistics import mean

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository's root, for `shared`

from shared.run.cli import ArgumentParser, read_flags, run_main


def parse_flags() -> Namespace:
    """Whether to keep the scores."""
    parser = ArgumentParser(
        description="Score the baselines, split by play and, to see the difference, at random.",
        epilog="example: python baselines.py",
    )
    parser.add_argument("--keep", action="store_true", help="write the scores into results/")
    return parser.parse_args()


if __name__ == "__main__":
    read_flags(parse_flags)  # before PyTorch is imported, which takes a second

from shared.files import seconds_told
from shared.results.labs import keep_baseline
from shared.show.tables import wrapped

from data import GENRES, SPLITS, TABLES, Passage, read_passages
from encoders import CountedWords


class LargestClass:
    """Always the genre that has most passages in the training part: what a score has to beat to mean anything."""

    def __init__(self, passages: list[Passage]):
        self.genre = Counter(passage.genre for passage in passages).most_common(1)[0][0]

    def classify(self, tokens: Iterable[str]) -> int:
        """The likeliest genre of a passage, whatever its tokens."""
        return self.genre


class NaiveBayes:
    """The genre c with the highest log p(c) + sum of log p(word | c) (multinomial, add-one smoothing).

    p(word | c) = (how often the word stands in c's passages + 1) / (all words there + V). A word that no training
    passage has says nothing and is passed over.
    """

    def __init__(self, passages: list[Passage]):
        counts = [Counter() for _ in GENRES]  # for each genre, word -> how often
        for passage in passages:
            counts[passage.genre].update(passage.tokens)
        vocabulary = set().union(*counts)
        # Every word of the vocabulary counts once more than it was there, so a genre has V words more.
        totals = [count.total() + len(vocabulary) for count in counts]
        self.word_scores = {
            word: [math.log((count[word] + 1) / total) for count, total in zip(counts, totals)] for word in vocabulary
        }
        genres = Counter(passage.genre for passage in passages)
        self.genre_scores = [
            math.log(genres[c] / len(passages)) if genres[c] else -math.inf for c in range(len(GENRES))
        ]

    def scores(self, tokens: Iterable[str]) -> list[float]:
        """log p(c) + sum of log p(word | c), for each genre c."""
        known = [self.word_scores[token] for token in tokens if token in self.word_scores]
        return [sum(scores) for scores in zip(self.genre_scores, *known)]

    def classify(self, tokens: Iterable[str]) -> int:
        """The likeliest genre."""
        scores = self.scores(tokens)
        return scores.index(max(scores))


class SumOfEvidence:
    """The genre for which the words' evidence (encoders.py) has the largest sum: the network before its first step."""

    def __init__(self, passages: list[Passage]):
        self.encoder = CountedWords.train(passages)

    def classify(self, tokens: Iterable[str]) -> int:
        """The likeliest genre."""
        return self.encoder.encode(tokens).sum(0).argmax().item()  # (T, C) -> (C) -> a genre


BASELINES = {"largest class": LargestClass, "naive Bayes": NaiveBayes, "naive Bayes on pieces": SumOfEvidence}


def cross_validate(kind: type, passages: list[Passage], folds: list[int]) -> list[list[bool]]:
    """For each fold, which of its passages a classifier trained on the other folds gets right."""
    right = []
    for held_out in sorted(set(folds)):
        classifier = kind([passage for passage, fold in zip(passages, folds) if fold != held_out])
        asked = [passage for passage, fold in zip(passages, folds) if fold == held_out]
        right.append([classifier.classify(passage.tokens) == passage.genre for passage in asked])
    return right


def share(marks: list[bool]) -> float:
    """The share of right answers."""
    return sum(marks) / len(marks)


def accuracies(right: list[list[bool]]) -> dict[str, float]:
    """The table's two columns: over all passages, and the mean over the folds."""
    return {"accuracy": share(list(chain.from_iterable(right))), "mean of folds": mean(map(share, right))}


def main() -> None:
    """Score every baseline on both splits, and keep the scores if that was asked for."""
    flags = parse_flags()
    with seconds_told("reading the plays"):
        unnamed, named = read_passages(), read_passages(speakers=True)
    rows = [(row, kind, unnamed) for row, kind in BASELINES.items()]
    rows.append(("naive Bayes, speakers' names left in", NaiveBayes, named))
    for split, deal in SPLITS.items():
        for row, kind, passages in rows:
            with seconds_told(row):
                scores = accuracies(cross_validate(kind, passages, deal(passages)))
            told = "".join(f"{name} {score:.3f}   " for name, score in scores.items())
            print(wrapped(f"split {split:8}{row:40}{told}", indent=14))
            if flags.keep:
                keep_baseline(Path(__file__).resolve().parent, "python baselines.py --keep", TABLES[split], row, scores)


if __name__ == "__main__":
    run_main(main)
