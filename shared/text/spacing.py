"""Words and signs laid end to end: where does a space stand between them?"""

from shared.text.base import Streamer
from shared.text.signs import EXTENDERS


def is_word(token: str) -> bool:
    """Whether a word token is a word (or number, or <unk>) and no sign or newline."""
    return token[0].isalnum() or token == "<unk>"


def bare(token: str) -> str:
    """A token without the blanks about it; a newline and a lone blank stay what they are.

    >>> bare(" ; ")
    ';'
    """
    return token.strip() or token


def blanks(token: str) -> tuple[str, str]:
    """The blank before a token's sign and the one after it; each may be empty.

    >>> blanks(", ")
    ('', ' ')
    """
    before, _, after = token.partition(bare(token))
    return before, after


class SpacedStreamer(Streamer):
    """Puts words and signs together where each sign brings its own blanks: only words need a space between them.

    >>> streamer = SpacedStreamer(["<unk>", "mot", " ; ", "("])
    >>> "".join(map(streamer.push, [1, 2, 1, 1, 3, 1]))
    'mot ; mot mot(mot'
    """

    def __init__(self, words: list[str]) -> None:
        super().__init__(words)
        self.last = "\n"
        self.after = ""  # the blank that the last sign wants after it

    def push(self, token: int) -> str:
        word = self.texts[token]
        before, after = blanks(word)
        if is_word(word) and is_word(self.last):
            blank = " "
        elif "\n" in (word, self.last):  # none stands at either end of a line
            blank = ""
        else:
            blank = self.after or before
        self.last, self.after = word, after
        return blank + bare(word)


# The rules of English print: only English writes th' and 'tis.
ENDS = frozenset(",.;:!?)]}”…%")  # no space before
BEGINS = frozenset("([{“‘«¿¡$£€#")  # no space after
HYPHENS = frozenset("-‐‑–—/")  # no space on either side
PAIRED = frozenset('"_')  # the same sign opens and closes
APOSTROPHES = frozenset("'’")
CLINGING = frozenset(EXTENDERS + "\u200d")  # these become part of a sign before them
JOINERS = frozenset("'’‐‑-")  # between letters, these make one word of two
CUT_AT_THE_END = {"a", "ha", "i", "o", "th", "wi"}  # i' th' sun, o' clock
CUT_AT_THE_START = {"em", "fore", "gainst", "mongst", "scape", "t", "tis", "twas", "tween", "twere", "twill", "twixt"}
CUT_AT_THE_START |= {"ere", "twould"}


class WordStreamer(Streamer):
    """Puts words and signs together as print does, looking only at what it has already written.

    An apostrophe can begin a quotation, end one, or stand for a letter left out: that is a guess, wrong in one line of
    several hundred.

    >>> streamer = WordStreamer(["'", "Tis", "he", "-", "(", "so", ")", "."])
    >>> "".join(map(streamer.push, [0, 1, 2, 3, 3, 4, 5, 6, 7]))
    "'Tis he--(so)."
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
        return (is_word(word) and self.touches_word) or word[0] in CLINGING

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
