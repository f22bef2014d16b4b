"""A prompt to try a model with: from text that it has not learned from, of words that it knows."""

import re

from shared.text.corpus import Corpus
from shared.text.tokenizer import Tokenizer

USUAL = "To be or not to be"
# From Twelfth Night, which is held out, so no stage has learned it.
PASSAGE = """\
If music be the food of love, play on,
Give me excess of it; that, surfeiting,
The appetite may sicken and so die."""
PASSAGE_TOKENS = 32
LENGTH = 32  # characters: as much as is typed gladly
# What no shell takes for a sign of its own between double quotes, be it a POSIX one, cmd or PowerShell.
HARMLESS = re.compile(r'[^"“”„$`\\!%\n]+')


def prompt_for(corpus: Corpus, tokenizer: Tokenizer, length: int = LENGTH) -> str:
    """The prompt that suits a model of this text, at most `length` characters; empty where no line is known.

    For the plays it is the usual one, else the beginning of a held-out line. In double quotes it can be typed in every
    shell.
    """
    if corpus.name == "shakespeare" and knows(tokenizer, USUAL):
        return USUAL
    text = corpus.validation + "\n" + corpus.test
    spaced = text.count(" ") * 20 > len(text)  # Chinese and Japanese are written without spaces
    for num_words in (3, 2, 1) if spaced else (1,):
        for line in HARMLESS.finditer(text):
            words = line[0].strip(" \t-").split(" ")
            prompt = fitting(words, length) if spaced else "".join(words)[: length // 4]
            visible = re.sub("[\u200c\u200d]", "", prompt).isprintable()  # those join letters, in Persian say
            if len(words) >= num_words and prompt and visible and knows(tokenizer, prompt):
                return prompt
    return ""


def passage_for(corpus: Corpus, tokenizer: Tokenizer, length: int = PASSAGE_TOKENS) -> list[int]:
    """The ids of a short passage that no model of this text has learned from, at most `length` of them.

    For the plays it is a famous one, else it begins at the held-out line that `prompt_for` chooses.
    """
    if corpus.name == "shakespeare":
        return tokenizer.encode(PASSAGE)[:length]
    held_out = corpus.validation + "\n" + corpus.test
    begin = max(0, held_out.find(prompt_for(corpus, tokenizer)))
    return tokenizer.encode(held_out[begin : begin + 100 * length])[:length]


def fitting(words: list[str], length: int) -> str:
    """As many of the words as are at most `length` characters.

    >>> fitting(["To", "be", "or", "not"], length=8)
    'To be or'
    """
    while words and len(" ".join(words)) > length:
        words = words[:-1]
    return " ".join(words)


def knows(tokenizer: Tokenizer, text: str) -> bool:
    """Whether the vocabulary has all of a text."""
    if tokenizer.unk_id is None:
        return not tokenizer.check_prompt(text)
    return tokenizer.unk_id not in tokenizer.encode(text)
