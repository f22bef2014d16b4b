"""Text to ids and back by byte-pair encoding."""

import codecs
import heapq
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from tqdm import tqdm

from shared.errors import UserError
from shared.text.base import Streamer, Tokenizer
from shared.text.portions import portions, to_learn_from
from shared.text.signs import visible

# Byte-pair encoding never joins across these chunks: a word with the space before it, a number, a run of signs, white
# space. Without them a frequent phrase such as "of the" would become one token.
CHUNK = re.compile(
    r" ?'?[^\W\d_]+(?:'[^\W\d_]+)*"  # " speak", " 'tis", "know't"
    r"| ?\d+"  # " 1599"
    r"| ?(?:[^\w\s]|_)+"  # ",--"
    r"|\s+?(?= \S)"  # white space, leaving the last space to the word it stands before
    r"|\s+"
)


class BPETokenizer(Tokenizer):
    """Byte-pair encoding: start from the 256 bytes of UTF-8, and join the most frequent pair of neighbours to a token.

    That is a merge, and it is repeated until the vocabulary is full. So frequent words become one token, rare ones a
    few, and as any text is bytes, nothing is unknown (Sennrich et al. 2016, arXiv 1508.07909; over bytes as in GPT-2).
    """

    name = "bpe"
    unit = "piece"
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
    def train(cls, text: str, vocab_size: int | None = None, held_out: str = "") -> "BPETokenizer":
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
        """Apply the merges in the order in which they were learned, the places of each from the left.

        A heap tells which is next: it holds the number of a merge and a place for every pair that can be joined.
        """
        chain = Chain([utf8(chunk)])
        heap = [(self.merged_id[pair], place) for place, pair in chain.pairs() if pair in self.merged_id]
        heapq.heapify(heap)
        while heap:
            token, place = heapq.heappop(heap)
            if self.merged_id.get(chain.pair(place)) != token:  # one of the two has been joined to another neighbour
                continue
            chain.join(place, token)
            for changed in (chain.before[place], place):
                if found := self.merged_id.get(chain.pair(changed)):
                    heapq.heappush(heap, (found, changed))
        return chain.tokens()

    def decode(self, ids: Sequence[int]) -> str:
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


class Chain:
    """Sequences of tokens in which two neighbours can be joined without moving the others.

    Each token has a place, and knows the places before and after it. After each sequence stands None, which pairs with
    nothing; so does the last of all before the first, since Python counts place -1 from the end.

    >>> chain = Chain([[1, 2, 3]])
    >>> chain.join(1, 256)
    >>> chain.tokens(), chain.pair(0), chain.pair(1)
    ([1, 256], (1, 256), None)
    """

    def __init__(self, sequences: Iterable[list[int]]) -> None:
        self.ids = [token for sequence in sequences for token in (*sequence, None)]
        self.before = list(range(-1, len(self.ids) - 1))
        self.after = list(range(1, len(self.ids) + 1))

    def pair(self, place: int) -> tuple[int, int] | None:
        """The token at a place and its neighbour on the right, or None where one of the two is missing."""
        left = self.ids[place]
        right = None if left is None else self.ids[self.after[place]]
        return None if right is None else (left, right)

    def pairs(self) -> Iterator[tuple[int, tuple[int, int]]]:
        """Every place that begins a pair, with the pair."""
        return ((place, pair) for place in range(len(self.ids)) if (pair := self.pair(place)))

    def join(self, place: int, token: int) -> None:
        """Put one token in the place of two, the one at this place and its neighbour on the right."""
        gone = self.after[place]
        self.ids[place], self.ids[gone] = token, None
        self.after[place] = self.after[gone]
        self.before[self.after[gone]] = place

    def tokens(self) -> list[int]:
        """All tokens in order."""
        return [token for token in self.ids if token is not None]


def learn_merges(text: str, count: int) -> list[tuple[int, int]]:
    """The pairs of tokens to join, in order: each time the most frequent one, of equals the one with smaller ids.

    To count all pairs anew for every merge would take minutes. But where a pair is joined, only the pairs with its two
    neighbours change, so only these are counted again. A heap tells which pair is the most frequent. When a count
    changes, the new one is added to the heap, and the old one is passed over when it comes up.

    >>> learn_merges("low low low", 2)  # l o, then lo w
    [(108, 111), (256, 119)]
    """
    # A text repeats its chunks, so each different one is worked on once and counted as often as it occurs.
    chunks = Counter()
    for portion in portions(to_learn_from(text), "counting words"):
        chunks.update(CHUNK.findall(portion))
    words = [utf8(chunk) for chunk in chunks]
    chain = Chain(words)
    times = [
        repeats for word, repeats in zip(words, chunks.values()) for _ in (*word, None)
    ]  # how often a place counts
    counts, places = Counter(), defaultdict(list)  # pair -> how often; pair -> where it begins, or once began
    for place, pair in chain.pairs():
        counts[pair] += times[place]
        places[pair].append(place)
    heap = [(-often, pair) for pair, often in counts.items()]  # negative, since a heap gives the smallest first
    heapq.heapify(heap)

    merges = []
    with tqdm(total=count, desc="byte pairs", unit="merge", file=sys.stderr, delay=1) as bar:
        while heap and len(merges) < count:
            often, pair = heapq.heappop(heap)
            if -often != counts[pair]:  # an old count
                continue
            if -often < 2:  # what occurs once is no pattern
                break
            merges.append(pair)
            changed = join_everywhere(chain, pair, 255 + len(merges), times, counts, places)
            for other in changed:
                heapq.heappush(heap, (-counts[other], other))
            bar.update()
    return merges


def join_everywhere(
    chain: Chain, pair: tuple[int, int], token: int, times: list[int], counts: Counter, places: dict
) -> set[tuple[int, int]]:
    """Join every occurrence of a pair, from the left, and keep counts and places right. -> the pairs that changed."""
    changed = set()
    for place in sorted(places.pop(pair)):
        if chain.pair(place) != pair:  # it was: since then one of the two has been joined to another neighbour
            continue
        around = (chain.before[place], place, chain.after[place])
        for old in filter(None, map(chain.pair, around)):
            counts[old] -= times[place]
            changed.add(old)
        chain.join(place, token)
        for begin in around[:2]:
            if new := chain.pair(begin):
                counts[new] += times[place]
                places[new].append(begin)
                changed.add(new)
    return changed


def utf8(text: str) -> list[int]:
    """The bytes of the text as numbers; UserError for half a surrogate pair, which no UTF-8 text can hold."""
    try:
        return list(text.encode("utf-8"))
    except UnicodeEncodeError as error:
        sign = f"U+{ord(text[error.start]):04X}"
        raise UserError(f"the text holds {sign}, half of a surrogate pair and no character; remove it") from None
