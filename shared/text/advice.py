"""What a reader should know of a text before hours are spent on it."""

import re
from collections import Counter

from shared.text.corpus import Corpus
from shared.text.signs import CONTROLS, printable, visible
from shared.text.tokenizer import Tokenizer

UNKNOWN_SHARE = 0.2  # of more <unk> than this, a model learns little but <unk>
SHOWN = 5  # examples in a line


def advice(corpus: Corpus, tokenizer: Tokenizer, train_ids: list[int]) -> list[str]:
    """A line for each thing that is unusual about a text, or about reading it by these tokens; most often none."""
    lines = []
    controls = Counter(re.findall(f"[{''.join(map(re.escape, map(chr, CONTROLS)))}]", corpus.train + corpus.held_out))
    if controls:
        lines.append(
            f"{corpus.name} holds {controls.total():,} control characters ({listed(map(printable, controls))}), such "
            "as a terminal's colour codes; they are learned, and shown as signs: remove them to be rid of them"
        )
    share = tokenizer.share_unknown(train_ids)
    if share > UNKNOWN_SHARE:
        lines.append(
            f"{share:.0%} of the text is <unk>, which stands for every rare word and is never written; this text is "
            "better read with --tokenizer char or --tokenizer bpe"
        )
    new = sorted(set(corpus.held_out) - set(corpus.train)) if tokenizer.name == "char" else []
    if new:
        lines.append(
            f"{len(new):,} characters occur in the held-out text alone ({listed(map(visible, new))}); they have a "
            "place in the vocabulary, but nothing is learned of them"
        )
    return lines


def listed(signs: object) -> str:
    """The first few, with dots if there are more."""
    first = list(signs)
    return " ".join(first[:SHOWN]) + (" ..." if len(first) > SHOWN else "")
