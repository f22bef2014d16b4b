"""Text to token ids and back: by words, by characters, or by byte-pair encoding (BPE), behind one interface.

    text                 to be kind
    char                 t o ␣ b e ␣ k i n d        few different tokens, long sequences
    bpe                  to | ␣be | ␣k | ind        frequent words whole, rare ones in parts
    word                 to | be | <unk>            many different tokens; rare words are out of the vocabulary

Every tokenizer is trained on the training text alone. A larger vocabulary makes the text shorter, and each single
prediction harder, which is why the same model has another perplexity under another tokenizer.
"""

import codecs
import heapq
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from difflib import get_close_matches
from itertools import pairwise

from shared.errors import UserError

# An accent may be a character of its own (category M). Python's \w does not count it as part of a word, so it is named.
MARKS = "".join(chr(code) for code in range(0x300, 0x20000) if unicodedata.category(chr(code)).startswith("M"))
LETTER = r"[^\W_]"  # a letter or digit of any script: \w without the underscore
LETTERS = rf"{LETTER}(?:{LETTER}|[{MARKS}])*"
WORD = rf"{LETTERS}(?:['’‐‑-]{LETTERS})*"  # inner apostrophes and hyphens: o'er, ne'er-do-well
SIGN = rf"\S[{MARKS}]*"  # any other visible sign, with its accents if it has some
WORD_TOKEN = re.compile(rf"{WORD}|\n|{SIGN}")

# Byte-pair encoding never joins across these chunks: a word with the space before it, a number, a run of signs, white
# space. Without them a frequent phrase such as "of the" would become one token.
CHUNK = re.compile(
    r" ?'?[^\W\d_]+(?:'[^\W\d_]+)*"  # " speak", " 'tis", "know't"
    r"| ?\d+"  # " 1599"
    r"| ?(?:[^\w\s]|_)+"  # ",--"
    r"|\s+?(?= \S)"  # white space, leaving the last space to the word it stands before
    r"|\s+"
)

VISIBLE = {" ": "␣", "\n": "↵", "\t": "→"}
# What an editor makes of the typewriter's signs -> those signs, to be suggested for them.
LOOKALIKES = {"‘": "'", "’": "'", "“": '"', "”": '"', "«": '"', "»": '"', "–": "-", "—": "-", "‐": "-", "‑": "-"}


class Tokenizer:
    """What the three tokenizers have in common.

    name        "word", "char" or "bpe"
    lossless    True when decode(encode(text)) is text; only then are bits per character defined
    unk_id      id of <unk>, the token that stands for every word out of the vocabulary, or None where there is none; a
                sampler never generates it
    newline_id  id to start from when there is no prompt
    vocab_size  number of ids; they run from 0
    """

    name: str
    lossless = True
    unk_id: int | None = None
    newline_id: int
    vocab_size: int

    @classmethod
    def train(cls, text: str, vocab_size: int | None = None) -> "Tokenizer":
        """Choose the vocabulary from a training text; vocab_size is an upper limit."""
        raise NotImplementedError

    def encode(self, text: str) -> list[int]:
        """Text -> ids."""
        raise NotImplementedError

    def decode(self, ids: list[int]) -> str:
        """Ids -> text."""
        streamer = self.streamer()
        return "".join(map(streamer.push, ids)) + streamer.flush()

    def streamer(self) -> "Streamer":
        """A decoder that takes one id at a time; what it gives, laid end to end, is what decode gives."""
        raise NotImplementedError

    def glyph(self, token: int) -> str:
        """A short visible form of one token, for the axes of plots."""
        raise NotImplementedError

    def check_prompt(self, text: str) -> list[tuple[str, list[str]]]:
        """The words or signs of text that the vocabulary lacks, in order, each with the nearest that it has."""
        return []

    def share_unknown(self, ids: list[int]) -> float:
        """The share of ids that are the unknown token, from 0 to 1."""
        return sum(token == self.unk_id for token in ids) / max(len(ids), 1)

    def to_dict(self) -> dict:
        """Plain types for a checkpoint; tokenizer_from_dict turns them back into the tokenizer."""
        raise NotImplementedError


class Streamer:
    """Turns ids into text one at a time. This one looks every id up and remembers nothing."""

    def __init__(self, texts: Sequence[str] | Sequence[bytes]) -> None:
        self.texts = texts  # text of each id

    def push(self, token: int) -> str:
        """The text that can be shown now that this id is known; it may be empty."""
        return self.texts[token]

    def flush(self) -> str:
        """The text that was still waiting when the last id had come."""
        return ""


# ---------------------------------------------------------------------------------------------------------------- char


class CharTokenizer(Tokenizer):
    """One token a character: the smallest vocabulary and the longest sequences."""

    name = "char"

    def __init__(self, characters: str) -> None:
        self.characters = characters
        self.ids = {character: index for index, character in enumerate(characters)}
        self.vocab_size = len(characters)
        self.newline_id = self.ids["\n"]

    @classmethod
    def train(cls, text: str, vocab_size: int | None = None) -> "CharTokenizer":
        r"""The characters of the text, in the order of their code points, and the newline.

        >>> CharTokenizer.train("to be").characters
        '\n beot'
        """
        characters = "".join(sorted({*text, "\n"}))
        if vocab_size is not None and vocab_size < len(characters):
            raise UserError(
                f"the text has {len(characters)} different characters, more than a vocabulary of {vocab_size}; "
                "leave the vocabulary size out, or use the word or bpe tokenizer"
            )
        return cls(characters)

    def encode(self, text: str) -> list[int]:
        """Text -> ids; UserError if a character did not occur in the training text.

        >>> CharTokenizer.train("to be").encode("bet")
        [2, 3, 5]
        """
        try:
            return [self.ids[character] for character in text]
        except KeyError:
            raise UserError(self._complaint(text)) from None

    def streamer(self) -> Streamer:
        return Streamer(self.characters)

    def glyph(self, token: int) -> str:
        return visible(self.characters[token])

    def check_prompt(self, text: str) -> list[tuple[str, list[str]]]:
        """The unknown characters, each with known ones that look or mean the same.

        >>> CharTokenizer.train("cafe").check_prompt("café")
        [('é', ['e'])]
        """
        unknown = dict.fromkeys(character for character in text if character not in self.ids)
        return [(character, similar_signs(character, self.ids)) for character in unknown]

    def _complaint(self, text: str) -> str:
        unknown = self.check_prompt(text)
        hints = [repr(sign) + (f" (try {near[0]!r})" if near else "") for sign, near in unknown[:8]]
        more = f" and {len(unknown) - 8} more" if len(unknown) > 8 else ""
        return f"characters that the training text does not have: {', '.join(hints)}{more}; write the text without them"

    def to_dict(self) -> dict:
        return {"name": self.name, "characters": self.characters}


# ---------------------------------------------------------------------------------------------------------------- word


class WordTokenizer(Tokenizer):
    """One token a word (with inner apostrophes and hyphens), a newline, or any other visible sign.

    A word out of the vocabulary becomes <unk>. Words seen only once in training are left out of it, so that the model
    meets <unk> in training and knows what to make of it later. Spaces are no tokens: decode puts them back by the
    rules of print, so runs of spaces and indentation are lost.
    """

    name = "word"
    lossless = False
    unk_id = 0
    newline_id = 1

    def __init__(self, words: list[str]) -> None:
        self.words = words
        self.ids = {word: index for index, word in enumerate(words)}
        # No text is cut into the token "<unk>": a prompt that contains these five signs gives <, unk and >.
        del self.ids[words[self.unk_id]]
        self.vocab_size = len(words)

    @classmethod
    def train(cls, text: str, vocab_size: int | None = None) -> "WordTokenizer":
        r"""<unk>, newline, then every word seen twice or more, the most frequent first, equals by alphabet.

        >>> WordTokenizer.train("to be or not to be").words
        ['<unk>', '\n', 'be', 'to']
        """
        if vocab_size is not None and vocab_size < 2:
            raise UserError(f"a word vocabulary of {vocab_size} is too small; it holds <unk> and the newline at least")
        counts = Counter(WORD_TOKEN.findall(text))
        words = [word for word, count in counts.items() if count >= 2 and word != "\n"]
        words.sort(key=lambda word: (-counts[word], word))
        return cls(["<unk>", "\n", *words][:vocab_size])

    def encode(self, text: str) -> list[int]:
        """Text -> ids; words that the vocabulary lacks become unk_id.

        >>> WordTokenizer.train("to be or not to be").encode("to be kind")
        [3, 2, 0]
        """
        return [self.ids.get(word, self.unk_id) for word in WORD_TOKEN.findall(text)]

    def streamer(self) -> Streamer:
        return WordStreamer(self.words)

    def glyph(self, token: int) -> str:
        return visible(self.words[token])

    def check_prompt(self, text: str) -> list[tuple[str, list[str]]]:
        """The unknown words, each with up to three known ones, other capitals first.

        >>> WordTokenizer.train("Romeo Romeo Rome Rome").check_prompt("romeo")
        [('romeo', ['Romeo', 'Rome'])]
        """
        unknown = dict.fromkeys(word for word in WORD_TOKEN.findall(text) if word not in self.ids)
        return [(word, self._nearest(word)) for word in unknown]

    def _nearest(self, word: str) -> list[str]:
        if not is_word(word):
            return similar_signs(word, self.ids)
        same = [known for known in self.ids if known.casefold() == word.casefold()]
        close = get_close_matches(word, self.ids, n=3)
        return list(dict.fromkeys(same + close))[:3]

    def to_dict(self) -> dict:
        return {"name": self.name, "words": list(self.words)}


# The rules of print. English ones: only English writes th' and 'tis.
ENDS = frozenset(",.;:!?)]}”…%")  # no space before
BEGINS = frozenset("([{“‘«¿¡$£€#")  # no space after
HYPHENS = frozenset("-‐‑–—/")  # no space on either side
PAIRED = frozenset('"_')  # the same sign opens and closes
APOSTROPHES = frozenset("'’")
JOINERS = frozenset("'’‐‑-")  # between letters, these make one word of two
CUT_AT_THE_END = {"a", "ha", "i", "o", "th", "wi"}  # i' th' sun, o' clock
CUT_AT_THE_START = {"em", "fore", "gainst", "mongst", "scape", "t", "tis", "twas", "tween", "twere", "twill", "twixt"}
CUT_AT_THE_START |= {"ere", "twould"}


class WordStreamer(Streamer):
    """Puts words and signs together as print does, looking only at what it has already written.

    An apostrophe can begin a quotation, end one, or stand for a letter left out: that is a guess, wrong in one line of
    several hundred.

    >>> words = WORD_TOKEN.findall("'Tis he--(so they say) who cried 'Hold!' i' the dark.")
    >>> streamer = WordStreamer(words)
    >>> "".join(streamer.push(token) for token in range(len(words)))
    "'Tis he--(so they say) who cried 'Hold!' i' the dark."
    """

    def __init__(self, words: list[str]) -> None:
        super().__init__(words)
        self.last = "\n"
        self.tight = True  # the next token follows without a space: so at a line's start and after "("
        self.touches_word = False  # last is a joiner written right after a word
        self.opened = set()  # quotation marks that wait for their partner
        self.quote_began = False  # last is an apostrophe that opens a quotation, or the start of 'tis

    def push(self, token: int) -> str:
        word = self.texts[token]
        space_before, tight_after = self._spaces(word)
        space = " " if space_before and (not self.tight or self._would_merge(word)) else ""
        self.touches_word = word in JOINERS and is_word(self.last) and not space
        self.last, self.tight = word, tight_after
        return space + word

    def _would_merge(self, word: str) -> bool:
        """Whether, without a space, this and what is written would be read back as one token."""
        return (is_word(word) and self.touches_word) or word[0] in MARKS

    def _spaces(self, word: str) -> tuple[bool, bool]:
        """(a space may stand before this word, no space may stand after it)"""
        if word == "\n":
            self._new_line()
            return False, True
        if is_word(word):
            self._note_quotation(word)
            return True, False
        if word in APOSTROPHES or word in PAIRED:
            opens = self._apostrophe_opens() if word in APOSTROPHES else word not in self.opened
            self._open_or_close(word, opens)
            return opens, opens
        if word in HYPHENS:
            return False, True
        if word == "‘":
            self.opened.add("'")
        return word not in ENDS, word in BEGINS

    def _new_line(self) -> None:
        if self.last == "\n":  # a blank line ends a speech, and with it whatever quotation was left open
            self.opened.clear()
        self.quote_began = False

    def _apostrophe_opens(self) -> bool:
        """Guess whether an apostrophe starts a quotation or 'tis, or ends a quotation, th' or the lords'."""
        if self.tight:
            return True
        if not is_word(self.last):
            return "'" not in self.opened
        if self.last.lower() in CUT_AT_THE_END:
            return False
        plural = len(self.last) > 4 and self.last.endswith("s")  # short words in s are as, his, this, was
        return not plural and "'" not in self.opened

    def _open_or_close(self, sign: str, opens: bool) -> None:
        if sign in PAIRED:
            self.opened ^= {sign}
            return
        self.quote_began = opens
        if not opens and self.last.lower() not in CUT_AT_THE_END:
            self.opened.discard("'")

    def _note_quotation(self, word: str) -> None:
        """After an opening apostrophe, the word tells a quotation from 'tis."""
        if self.quote_began and word.lower() not in CUT_AT_THE_START:
            self.opened.add("'")
        self.quote_began = False


# ----------------------------------------------------------------------------------------------------------------- bpe


class BPETokenizer(Tokenizer):
    """Byte-pair encoding: start from the 256 bytes of UTF-8, and join the most frequent pair of neighbours to a token.

    That is a merge, and it is repeated until the vocabulary is full. So frequent words become one token, rare ones a
    few, and as any text is bytes, nothing is unknown (Sennrich et al. 2016, arXiv 1508.07909; over bytes as in GPT-2).
    """

    name = "bpe"
    newline_id = ord("\n")

    def __init__(self, merges: list[tuple[int, int]]) -> None:
        self.merges = [tuple(pair) for pair in merges]  # merge number i joins two tokens into token 256 + i
        self.merged_id = {pair: 256 + index for index, pair in enumerate(self.merges)}
        self.bytes = [bytes([value]) for value in range(256)]
        for left, right in self.merges:
            self.bytes.append(self.bytes[left] + self.bytes[right])
        self.vocab_size = len(self.bytes)
        self.cache = {}  # chunk -> its ids: a text repeats its words

    @classmethod
    def train(cls, text: str, vocab_size: int | None = None) -> "BPETokenizer":
        """Learn merges until the vocabulary is full (1,024 unless told) or no pair occurs twice.

        >>> BPETokenizer.train("low low low", vocab_size=259).bytes[256:]
        [b'lo', b'low', b' low']
        """
        vocab_size = 1024 if vocab_size is None else vocab_size
        if vocab_size < 256:
            raise UserError(f"a bpe vocabulary of {vocab_size} is too small; the 256 bytes are always in it")
        return cls(learn_merges(text, vocab_size - 256))

    def encode(self, text: str) -> list[int]:
        """Text -> ids.

        >>> BPETokenizer.train("low low low", vocab_size=259).encode("slow low")
        [115, 257, 258]
        """
        ids = []
        for chunk in CHUNK.findall(text):
            if chunk not in self.cache:
                self.cache[chunk] = self._encode_chunk(chunk)
            ids += self.cache[chunk]
        return ids

    def _encode_chunk(self, chunk: str) -> list[int]:
        """Apply the merges in the order in which they were learned."""
        ids = utf8(chunk)
        while len(ids) > 1:
            pair = min(pairwise(ids), key=lambda pair: self.merged_id.get(pair, self.vocab_size))
            if pair not in self.merged_id:  # not even the pair that was learned first of all that are here
                break
            ids = merge(ids, pair, self.merged_id[pair])
        return ids

    def decode(self, ids: list[int]) -> str:
        """Ids -> text; bytes that are not UTF-8, which a model may well generate, become U+FFFD."""
        return b"".join(self.bytes[token] for token in ids).decode("utf-8", errors="replace")

    def streamer(self) -> Streamer:
        return ByteStreamer(self.bytes)

    def glyph(self, token: int) -> str:
        try:
            return visible(self.bytes[token].decode("utf-8"))
        except UnicodeDecodeError:  # part of a character
            return "0x" + self.bytes[token].hex()

    def to_dict(self) -> dict:
        return {"name": self.name, "merges": [list(pair) for pair in self.merges]}


class ByteStreamer(Streamer):
    """Holds back the bytes of a character until it is complete: one character may be spread over several tokens."""

    def __init__(self, texts: list[bytes]) -> None:
        super().__init__(texts)
        self.decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, token: int) -> str:
        return self.decoder.decode(self.texts[token])

    def flush(self) -> str:
        return self.decoder.decode(b"", final=True)


def learn_merges(text: str, count: int) -> list[tuple[int, int]]:
    """The pairs of tokens to join, in order: each time the most frequent one, of equals the one with smaller ids.

    To count all pairs anew for every merge would take minutes. But only those chunks change that hold the joined pair,
    so only their pairs are counted again. A heap tells which pair is the most frequent. When a count changes, the new
    one is added to the heap, and the old one is passed over when it comes up.

    >>> learn_merges("low low low", 2)  # l o, then lo w
    [(108, 111), (256, 119)]
    """
    # A text repeats its chunks, so each different one is worked on once and counted as often as it occurs.
    chunks = Counter(CHUNK.findall(text))
    words, repeats = [utf8(chunk) for chunk in chunks], list(chunks.values())
    counts, places = Counter(), defaultdict(set)  # pair -> how often; pair -> the words that hold it
    for index in range(len(words)):
        count_pairs(words[index], repeats[index], counts)
        for pair in pairwise(words[index]):
            places[pair].add(index)
    heap = [(-times, pair) for pair, times in counts.items()]  # negative, since a heap gives the smallest first
    heapq.heapify(heap)

    merges = []
    while heap and len(merges) < count:
        times, pair = heapq.heappop(heap)
        if -times != counts[pair]:  # an old count
            continue
        if -times < 2:  # what occurs once is no pattern
            break
        merges.append(pair)
        changed = set()
        for index in places.pop(pair):
            before, after = words[index], merge(words[index], pair, 255 + len(merges))
            count_pairs(before, -repeats[index], counts)
            count_pairs(after, repeats[index], counts)
            words[index] = after
            for other in pairwise(after):
                places[other].add(index)
            changed.update(pairwise(before), pairwise(after))
        for other in changed:
            heapq.heappush(heap, (-counts[other], other))
    return merges


def count_pairs(word: list[int], times: int, counts: Counter) -> None:
    """Add each pair of neighbours to counts, `times` times; a negative number takes them away again."""
    for pair in pairwise(word):
        counts[pair] += times


def merge(ids: list[int], pair: tuple[int, int], new_id: int) -> list[int]:
    """Replace every occurrence of the pair, from the left.

    >>> merge([1, 2, 3, 1, 2], (1, 2), 256)
    [256, 3, 256]
    """
    merged, position = [], 0
    while position < len(ids):
        found = tuple(ids[position : position + 2]) == pair
        merged.append(new_id if found else ids[position])
        position += 2 if found else 1
    return merged


def utf8(text: str) -> list[int]:
    """The bytes of the text as numbers; UserError for half a surrogate pair, which no UTF-8 text can hold."""
    try:
        return list(text.encode("utf-8"))
    except UnicodeEncodeError as error:
        sign = f"U+{ord(text[error.start]):04X}"
        raise UserError(f"the text holds {sign}, half of a surrogate pair and no character; remove it") from None


# ------------------------------------------------------------------------------------------------- what all of them use


def is_word(token: str) -> bool:
    """Whether a word token is a word (or number, or <unk>) and no single sign or newline."""
    return token[0].isalnum() or token == "<unk>"


def similar_signs(sign: str, known: dict) -> list[str]:
    """The known signs that stand for the same: other capitals, without its accent, or the typewriter's form.

    >>> similar_signs("É", {"e": 0, "E": 1})
    ['E']
    """
    plain = unicodedata.normalize("NFKD", sign)[0]
    candidates = [sign.swapcase(), LOOKALIKES.get(sign, plain), plain, plain.swapcase()]
    return list(dict.fromkeys(found for found in candidates if found in known))[:1]


def visible(text: str) -> str:
    r"""The text with signs in place of what cannot be seen.

    >>> visible(" to\n")
    '␣to↵'
    """
    shown = "".join(VISIBLE.get(sign, sign if sign.isprintable() else f"U+{ord(sign):04X}") for sign in text)
    return "◌" + shown if shown[0] in MARKS else shown


TOKENIZERS = {kind.name: kind for kind in (WordTokenizer, CharTokenizer, BPETokenizer)}


def find_tokenizer(name: str) -> type[Tokenizer]:
    """The class of that name; UserError if there is none."""
    if name not in TOKENIZERS:
        raise UserError(f"there is no tokenizer {name!r}; choose one of {', '.join(TOKENIZERS)}")
    return TOKENIZERS[name]


def train_tokenizer(name: str, text: str, vocab_size: int | None = None) -> Tokenizer:
    """Train the tokenizer of that name on a text.

    >>> train_tokenizer("char", "to be").vocab_size
    6
    """
    return find_tokenizer(name).train(text, vocab_size)


def tokenizer_from_dict(saved: dict) -> Tokenizer:
    """The tokenizer that to_dict saved.

    >>> tokenizer_from_dict({"name": "char", "characters": "\\nab"}).encode("ab")
    [1, 2]
    """
    contents = {key: value for key, value in saved.items() if key != "name"}
    return find_tokenizer(saved["name"])(**contents)
