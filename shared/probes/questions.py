"""What a question is, and how those that would not be fair are found and left out.

A question compares log probabilities. In the plainest form a context has a right and a wrong continuation. Most probes
cross two contexts: what is right after the one is wrong after the other.

    thou , my good lord ,   art  and not  are
    you  , my good lord ,   are  and not  art

So a word that is likely everywhere, or fits the topic, is right once and wrong once, and gains nothing by it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from random import Random

import numpy as np

from shared.measure.ngrams import KneserNey
from shared.text.spacing import is_word
from shared.text.tokenizer import Tokenizer
from shared.text.words import OPEN

Context = tuple[str, ...]
Continuation = tuple[Context, str]  # a context, and a word that may come next
Ids = tuple[int, ...]
Side = list[tuple[Ids, int]]  # continuations in ids

SEED = 1  # of what is left to chance in the questions, so that everybody asks the same
MOST = 1000  # questions of a probe: more would take longer and say little more


@dataclass(frozen=True)
class Question:
    """Words for which the `right` continuations should be likelier, in sum, than the `wrong` ones.

    distance: how many tokens before the answer that word stands which decides. source: which part of the text it was
    made from; questions of one part are no independent evidence. checked: from so many tokens before the answer on, all
    must be known words; by default from the deciding one on.
    """

    right: tuple[Continuation, ...]
    wrong: tuple[Continuation, ...]
    distance: int
    source: int
    checked: int = 0


def crossed(contexts: tuple[Context, Context], answers: tuple[str, str], distance: int, source: int) -> Question:
    """The question in which the first answer is right after the first context, and the second after the second."""
    (here, there), (first, second) = contexts, answers
    return Question(((here, first), (there, second)), ((here, second), (there, first)), distance, source)


@dataclass(frozen=True)
class Encoded:
    """A question in ids."""

    right: Side
    wrong: Side
    question: Question

    @property
    def sides(self) -> Side:
        """All continuations, right and wrong."""
        return self.right + self.wrong


def encode(questions: Iterable[Question], tokenizer: Tokenizer) -> list[Encoded]:
    """Words to ids."""

    def find(word: str) -> int:
        """The id of a word or a sign; which blanks stand about a sign is left open."""
        return tokenizer.find(word if is_word(word) or word == "\n" else OPEN + word + OPEN)

    ids = cache(lambda context: tuple(map(find, context)))  # a question has each of its contexts twice

    def encoded(side: tuple[Continuation, ...]) -> Side:
        return [(ids(context), find(answer)) for context, answer in side]

    return [Encoded(encoded(question.right), encoded(question.wrong), question) for question in questions]


# ---------------------------------------------------------------------------------------------------- what is left out


def fair(
    questions: Iterable[Question], known: frozenset[str], tokenizer: Tokenizer, counts: KneserNey
) -> tuple[list[Encoded], dict[str, int]]:
    """The questions that may be asked, at most MOST, and how many were left out for which reason.

    unknown: between the deciding word and the answer stands <unk>, which may be any word. in_training: the training
    text has as many of these tokens in a row as the longest n-gram of `counts`, so they may be known by heart.
    """
    questions = list(questions)
    asked = encode((question for question in questions if not has_unknown(question, known)), tokenizer)
    longest = len(counts.levels)
    # Laid end to end. What crosses from one stretch to the next is no n-gram of either, and is not looked at.
    parts = [(n, part) for n, each in enumerate(asked) for part in stretches(each, at_least=longest - 1)]
    tokens = np.array([token for _, part in parts for token in part], dtype=np.int64)
    owners = np.array([n for n, part in parts for _ in part], dtype=np.int64)
    places = np.array([place for _, part in parts for place in range(len(part))], dtype=np.int64)
    learned = set(owners[counts.seen(tokens) & (places >= longest - 1)].tolist())
    left_out = {"unknown": len(questions) - len(asked), "in_training": len(learned)}
    asked = [each for n, each in enumerate(asked) if n not in learned]
    return (Random(SEED).sample(asked, MOST) if len(asked) > MOST else asked), left_out


def has_unknown(question: Question, known: frozenset[str]) -> bool:
    """Whether an answer is no known word, or anything from the deciding word on, in any context."""
    reach = max(question.distance, question.checked)
    sides = question.right + question.wrong
    return any(not known.issuperset((*context[-reach:], answer)) for context, answer in sides)


def stretches(asked: Encoded, at_least: int) -> list[Ids]:
    """From the deciding word on, or from a few tokens before it, to the right answers."""
    reach = max(asked.question.distance, asked.question.checked, at_least)
    return [(*context[-reach:], answer) for context, answer in asked.right]
