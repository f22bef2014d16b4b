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
from shared.schema import check
from shared.text.base import Tokenizer
from shared.text.byte_pairs import BPETokenizer
from shared.text.characters import CharTokenizer
from shared.text.words import WordTokenizer

TOKENIZERS = {kind.name: kind for kind in (WordTokenizer, CharTokenizer, BPETokenizer)}
# What `to_dict` of each has saved.
SCHEMAS = {
    "word": {"name": str, "words": [str], "keeps_blanks?": bool},
    "char": {"name": str, "characters": str},
    "bpe": {"name": str, "merges": [[int]]},
}
VOCABULARY_BYTES = 2**25  # of all pieces together: merges that double from one to the next would fill any memory


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


def check_tokenizer(saved: dict) -> int:
    """The size of the vocabulary that to_dict saved; ValueError where no tokenizer of ours can have saved this.

    >>> check_tokenizer({"name": "char", "characters": "\\nab"})
    3
    """
    check(saved, dict, "tokenizer")
    check(saved.get("name"), set(TOKENIZERS), "tokenizer.name")
    check(saved, SCHEMAS[saved["name"]], "tokenizer")
    if saved["name"] == "bpe":
        check_merges(saved["merges"])
        return 256 + len(saved["merges"])
    texts = list(saved.get("words", saved.get("characters")))
    if len(set(texts)) != len(texts) or "" in texts:
        raise ValueError("tokenizer has two tokens that are the same, or one that is empty")
    if "\n" not in texts or saved["name"] == "word" and texts[:2] != ["<unk>", "\n"]:
        raise ValueError("tokenizer has no newline, or not in its place")
    if any("\ud800" <= sign <= "\udfff" for text in texts for sign in text):
        raise ValueError("tokenizer has half of a surrogate pair, which is no character")
    return len(texts)


def check_merges(merges: list) -> None:
    """ValueError where one of byte-pair encoding's merges joins what is not there yet, or they grow without end."""
    sizes, total = [1] * 256, 256  # bytes of each token, and of all
    for place, merge in enumerate(merges):
        if len(merge) != 2 or not all(0 <= token < len(sizes) for token in merge):
            raise ValueError(f"tokenizer.merges[{place}] does not join two tokens from before it")
        sizes.append(sizes[merge[0]] + sizes[merge[1]])
        total += sizes[-1]
        if total > VOCABULARY_BYTES:
            raise ValueError(f"tokenizer.merges[{place}] makes a token of {sizes[-1]:,} bytes, which is too long")
    if len(set(map(tuple, merges))) != len(merges):
        raise ValueError("tokenizer.merges joins one pair twice")


def fingerprint(saved: dict) -> str:
    """The SHA-256 of what to_dict saved: equal for tokenizers that cut every text into the same ids."""
    return hashlib.sha256(json.dumps(saved, sort_keys=True).encode("utf-8")).hexdigest()
