"""What a reader should know of a text before hours are spent on it."""

import re
from collections import Counter
from collections.abc import Sequence

from shared.text.corpus import Corpus
from shared.text.portions import portions
from shared.text.signs import CONTROLS, printable, visible
from shared.text.tokenizer import Tokenizer

UNKNOWN_SHARE = 0.2  # of more <unk> than this, a model learns little but <unk>
SHOWN = 5  # examples in a line


def advice(corpus: Corpus, tokenizer: Tokenizer, train_ids: Sequence[int]) -> list[str]:
    """A line for each thing that is unusual about a text, or about reading it by these tokens; most often none."""
    lines = []
    control = re.compile(f"[{''.join(map(re.escape, map(chr, CONTROLS)))}]")
    controls = Counter()
    for text in (corpus.train, corpus.held_out):
        for portion in portions(text, "looking for control characters"):
            controls.update(control.findall(portion))
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
    if tokenizer.name == "char":
        lines += new_characters(corpus, tokenizer)
    return lines


def new_characters(corpus: Corpus, tokenizer: Tokenizer) -> list[str]:
    """What becomes of characters that the training text, or the vocabulary of an earlier model, does not have."""
    learned = set(corpus.train)
    signs = learned | set(corpus.held_out)
    left_out = [sign for sign, _ in tokenizer.check_prompt("".join(sorted(signs)))]
    new = sorted(signs - learned - set(left_out))
    lines = []
    if left_out:
        lines.append(f"the vocabulary lacks {counted(left_out)}, which are left out of the text")
    if new:
        where = f"the held-out text alone has {counted(new)}"
        lines.append(f"{where}; they have a place in the vocabulary, but nothing is learned of them")
    return lines


def counted(signs: list[str]) -> str:
    """How many characters, and which."""
    return f"{len(signs):,} character{'s' if len(signs) > 1 else ''} ({listed(map(visible, signs))})"


def listed(signs: object) -> str:
    """The first few, with dots if there are more."""
    first = list(signs)
    return " ".join(first[:SHOWN]) + (" ..." if len(first) > SHOWN else "")
