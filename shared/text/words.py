"""Text to ids and back by words."""

import re
from collections import Counter, defaultdict
from difflib import get_close_matches
from functools import cache

from shared.errors import UserError
from shared.text.base import Streamer, Tokenizer
from shared.text.portions import portions, to_learn_from
from shared.text.signs import EXTENDERS, MARKS, similar_signs, visible
from shared.text.spacing import SpacedStreamer, WordStreamer, bare, blanks, is_word

LETTER = r"[^\W_]"  # a letter or digit of any script: \w without the underscore
# Python's \w leaves out accents that are characters of their own, and what joins or parts letters without being seen: a
# soft hyphen, and the zero-width joiners of Persian and Hindi. The look ahead only saves time.
INSIDE = rf"(?:(?![\0-\xac])[\xad\u200c\u200d{MARKS}])"
LETTERS = rf"{LETTER}+(?:{INSIDE}{LETTER}*)*"
# o'er, ne'er-do-well, the Catalan col·lega, the Hebrew צה״ל, get_value; and in numbers 3.14, 1,000 and 10:30.
JOINER = r"(?:['’‐‑·‧׳״-]|_+|(?<=\d)[.,:٫٬](?=\d))"
WORD = rf"{LETTERS}(?:{JOINER}{LETTERS})*"
INITIALS = r"(?<!\w\.)(?:[^\W\d_]\.){2,}(?![^\W\d_])"  # U.S.A., e.g.
ADDRESS = r"https?://\S*[^\s.,;:!?()\[\]{}'\"»”’…<>]"  # less the stop or bracket of the sentence about it

# Any other visible sign with its accents; pictures that joiners make one (a family) or skin tones colour; a flag, which
# is two letters of its own alphabet.
SIGN = rf"(?:[🇦-🇿]{{2}}|(?!<unk>)(?:[^\w\s]|_)(?:(?![\0-\u02ff])[{EXTENDERS}]|\u200d[^\w\s])*)"
BLANK = r"[^\S\n]"
# Blanks that stand in a text for a reason: those where no line may break, thin ones, the wide one of Chinese.
SPECIAL = r"[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]"
# A sign is cut out with the blanks about it. A blank between words belongs to no token, unless it is a special one.
WORD_TOKEN = re.compile(
    rf"<unk>|{ADDRESS}|{INITIALS}|{WORD}|\n"
    rf"|(?:(?<!{BLANK}){BLANK}+)?{SIGN}{BLANK}*"
    rf"|(?<!{BLANK}){SPECIAL}(?={LETTER})"
)
OPEN = "\r"  # in place of a blank: the end of a line, which leaves open whether one would stand there

# What share of its lines a text may have that the rules of print do not bring back, and still be said to follow them:
# an apostrophe leaves room for doubt, any other sign hardly does.
APOSTROPHE_SLIPS = 0.005
OTHER_SLIPS = 0.0005
SUGGESTIONS = 20  # words of a prompt for which known ones are looked up
SAMPLE = 100_000  # characters: of a longer text, its beginning, middle and end are looked at


class WordTokenizer(Tokenizer):
    """One token a word (with inner apostrophes and hyphens), a newline, or any other visible sign.

    A word out of the vocabulary becomes <unk>. Words seen only once in training are left out of it, so that the model
    meets <unk> in training and knows what to make of it later. Spaces are no tokens, so runs of them and indentation
    are lost. There are two ways to put spaces back:

    - by the rules of English print, where a text follows them. Then "," is one token, whatever stands about it.
    - as they were. Then a sign's token holds the blanks about it, and ",␣" (a, b) is another token than "," (1,b).
    """

    name = "word"
    unit = "word"
    lossless = False
    unk_id = 0
    newline_id = 1

    def __init__(self, words: list[str], keeps_blanks: bool = False) -> None:
        self.words, self.keeps_blanks = words, keeps_blanks
        self.vocab_size = len(words)
        self.forms = {word: index for index, word in enumerate(words)}
        self.variants = defaultdict(list)  # a sign without blanks -> its forms, the most frequent first
        for word in words:
            self.variants[bare(word)].append(word)
        self.find = cache(self._find)  # a text repeats its words

    @classmethod
    def train(cls, text: str, vocab_size: int | None = None, held_out: str = "") -> "WordTokenizer":
        r"""<unk>, newline, then every word seen twice or more, the most frequent first, equals by alphabet.

        >>> WordTokenizer.train("to be or not to be").words
        ['<unk>', '\n', 'be', 'to']
        >>> WordTokenizer.train("x ; y\nx ; y").words
        ['<unk>', '\n', ' ; ', 'x', 'y']
        """
        if vocab_size is not None and vocab_size < 2:
            raise UserError(f"a word vocabulary of {vocab_size} is too small; it holds <unk> and the newline at least")
        keeps_blanks, text = not follows_print(text), to_learn_from(text)
        counts = count_forms(text) if keeps_blanks else count_bare(text)
        words = [word for word, count in counts.items() if count >= 2 and word not in ("<unk>", "\n")]
        words.sort(key=lambda word: (-counts[word], word))
        return cls(["<unk>", "\n", *words][:vocab_size], keeps_blanks)

    def encode(self, text: str) -> list[int]:
        """Text -> ids; words that the vocabulary lacks become unk_id, and so does what is written "<unk>".

        >>> WordTokenizer.train("to be or not to be").encode("to be kind")
        [3, 2, 0]
        """
        ids = list(map(self.find, split_tokens(text)))
        return [token for token in ids if token is not None] if None in ids else ids

    def _find(self, token: str) -> int | None:
        """The id of a token as `split_tokens` gives it; None for a blank that no token stands for."""
        form = one_blank(token)
        if form not in self.forms:
            form = closest(form, self.variants.get(bare(form)))
        if form:
            return self.forms[form]
        return None if token.isspace() else self.unk_id

    def streamer(self) -> Streamer:
        return (SpacedStreamer if self.keeps_blanks else WordStreamer)(self.words)

    def glyph(self, token: int) -> str:
        return visible(self.words[token])

    def check_prompt(self, text: str) -> list[tuple[str, list[str]]]:
        """The unknown words, the first of them with up to three known ones each, other capitals first.

        >>> WordTokenizer.train("Romeo Romeo Rome Rome").check_prompt("romeo")
        [('romeo', ['Romeo', 'Rome'])]
        """
        words = dict.fromkeys(map(bare, split_tokens(text)))
        unknown = [word for word in words if word not in self.variants and not word.isspace()]
        # To compare a word with all others takes a while, and nobody reads hundreds of notices.
        return [(word, self._nearest(word) if index < SUGGESTIONS else []) for index, word in enumerate(unknown)]

    def _nearest(self, word: str) -> list[str]:
        known = list(self.variants)[1:]  # all but <unk>
        if not is_word(word):
            return similar_signs(word, known)
        same = [other for other in known if other.casefold() == word.casefold()]
        close = get_close_matches(word, known, n=3)
        return list(dict.fromkeys(same + close))[:3]

    def to_dict(self) -> dict:
        return {"name": self.name, "words": list(self.words)} | ({"keeps_blanks": True} if self.keeps_blanks else {})


def split_tokens(text: str) -> list[str]:
    r"""Words, newlines, and signs with the blanks about them.

    >>> split_tokens("Well, (he said)")
    ['Well', ', ', '(', 'he', 'said', ')\r']
    """
    return WORD_TOKEN.findall(OPEN + text.replace("\n", f"{OPEN}\n{OPEN}") + OPEN)


def one_blank(token: str) -> str:
    """A sign with runs of blanks about it made one; at a line's end it is open what stands there.

    >>> one_blank("  ;\\t"), one_blank("\\u202f; ")
    (' ; ', '\\u202f; ')
    """

    def one(run: str) -> str:
        if OPEN in run:
            return OPEN
        return run if re.fullmatch(SPECIAL, run) else run and " "  # a special blank that stands alone stays

    before, after = map(one, blanks(token))
    return before + bare(token) + after


def closest(form: str, known: list[str] | None) -> str | None:
    """Of the known forms of a sign the one that contradicts this least, of equals the first; None if there are none.

    >>> closest("( ", ["(", " (", " ( "])
    '('
    """
    return min(known, key=lambda other: contradictions(form, other)) if known else None


def contradictions(form: str, other: str) -> int:
    """On how many sides, 0 to 2, two forms of a sign have other blanks; what is open contradicts nothing."""
    return sum(blank not in (OPEN, there) for blank, there in zip(blanks(form), blanks(other)))


def count_tokens(text: str) -> Counter:
    """How often each token occurs as it is cut out of the text."""
    counts = Counter()
    for portion in portions(text, "counting words"):
        counts.update(split_tokens(portion))
    return counts


def count_bare(text: str) -> Counter:
    """How often each word and sign occurs."""
    counts = Counter()
    for token, count in count_tokens(text).items():
        if token == "\n" or not token.isspace():
            counts[bare(token)] += count
    return counts


def count_forms(text: str) -> Counter:
    """How often each word, and each sign with its blanks occurs. What is open, or seen once, counts for the closest."""
    found = Counter()
    for token, count in count_tokens(text).items():
        found[one_blank(token)] += count
    counts, variants = Counter(), defaultdict(list)
    # The certain ones first, the most frequent first.
    for form, count in sorted(found.items(), key=lambda item: (OPEN in item[0], -item[1], item[0])):
        known = variants[bare(form)]
        near = closest(form, known)
        if near and (count < 2 or OPEN in form and not contradictions(form, near)):
            counts[near] += count
        else:
            form = form.replace(OPEN, " ")  # a use that is seen only at ends of lines
            known.append(form)
            counts[form] += count
    return counts


def follows_print(text: str) -> bool:
    """Whether the rules of English print bring nearly every line of a text back, seen by a sample of it."""
    if len(text) > 3 * SAMPLE:
        middle = len(text) // 2
        text = "\n\n".join([text[:SAMPLE], text[middle : middle + SAMPLE], text[-SAMPLE:]])
    every_word = WordTokenizer(["<unk>", "\n", *(count_bare(text).keys() - {"<unk>", "\n"})])
    again = every_word.decode(every_word.encode(text)).split("\n")
    lines = [re.sub("[ \t]+", " ", line).strip() for line in text.split("\n")]
    slips = [(line, decoded) for line, decoded in zip(lines, again, strict=True) if line != decoded]
    others = sum(re.sub(" ?' ?", "'", line) != re.sub(" ?' ?", "'", decoded) for line, decoded in slips)
    count = sum(map(bool, lines))
    return len(slips) <= APOSTROPHE_SLIPS * count and others <= OTHER_SLIPS * count
