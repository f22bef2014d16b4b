"""Text to token ids and back: by words, by characters, or by byte-pair encoding (BPE), behind one interface.

    text                 to be kind
    char                 t o ␣ b e ␣ k i n d        few different tokens, long sequences
    bpe                  to | ␣be | ␣k | ind        frequent words whole, rare ones in parts
    word                 to | be | <unk>            many different tokens; rare words are out of the vocabulary

Every tokenizer is trained on the training text alone. A larger vocabulary makes the text shorter, and each single
prediction harder, which is why the same model has another perplexity under another tokenizer.
"""

import hashlib
import json

from shared.errors import UserError
from shared.text.base import Tokenizer
from shared.text.byte_pairs import BPETokenizer
from shared.text.characters import CharTokenizer
from shared.text.words import WordTokenizer

TOKENIZERS = {kind.name: kind for kind in (WordTokenizer, CharTokenizer, BPETokenizer)}


def find_tokenizer(name: str) -> type[Tokenizer]:
    """The class of that name; UserError if there is none."""
    if name not in TOKENIZERS:
        raise UserError(f"there is no tokenizer {name!r}; choose one of {', '.join(TOKENIZERS)}")
    return TOKENIZERS[name]


def train_tokenizer(name: str, text: str, vocab_size: int | None = None, held_out: str = "") -> Tokenizer:
    """Train the tokenizer of that name on a text; characters that only the held-out text has get a place as well.

    >>> train_tokenizer("char", "to be").vocab_size
    6
    """
    return find_tokenizer(name).train(text, vocab_size, held_out)


def tokenizer_from_dict(saved: dict) -> Tokenizer:
    """The tokenizer that to_dict saved.

    >>> tokenizer_from_dict({"name": "char", "characters": "\\nab"}).encode("ab")
    [1, 2]
    """
    contents = {key: value for key, value in saved.items() if key != "name"}
    return find_tokenizer(saved["name"])(**contents)


def fingerprint(saved: dict) -> str:
    """The SHA-256 of what to_dict saved: equal for tokenizers that cut every text into the same ids."""
    return hashlib.sha256(json.dumps(saved, sort_keys=True).encode("utf-8")).hexdigest()
