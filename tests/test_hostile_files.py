"""Files that no program of the course has written: each is refused in one line that names it, or does no harm."""

import errno
import io
import json
import os
from pathlib import Path

import hostile_files
import pytest
from checkpoints import finished
from hypothesis import assume, given
from hypothesis import strategies as st

from shared import files
from shared.errors import UserError
from shared.files import read_file, read_stream, seconds_told, why
from shared.run.moments import read_moments
from shared.run.records import read_records, read_summary
from shared.stages import ROOT
from shared.text import portions as long_texts
from shared.text.corpus import load_corpus
from shared.text.portions import CUT, portions
from shared.text.tokenizer import train_tokenizer

ADVICE = "give another"
RECORD = {"step": 10, "tokens": 100, "seconds": 1.5, "train_loss": 2.0, "learning_rate": 0.01}
LINES = [RECORD, RECORD | {"step": 20, "validation_loss": 1.5}, RECORD | {"step": 30}]
SOUND = "".join(json.dumps(record) + "\n" for record in LINES).encode()


def answer(read, path: Path):
    """What reading gives, or the one line that it is refused with, which names the file."""
    try:
        return read(path)
    except UserError as error:
        assert "\n" not in str(error) and str(path) in str(error)
        return str(error)


def each(ways):
    return pytest.mark.parametrize("hostile", ways, ids=[hostile.name for hostile in ways])


# Runs


@each(hostile_files.json_lines(hostile_files.RECORD_FIELDS, 8))
def test_records_are_sound_or_refused_in_a_line_that_names_the_file(tmp_path, hostile):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(SOUND)
    hostile.make(path)
    found = answer(read_records, path)
    assert isinstance(found, str) or all(record["step"] <= 30 and record["train_loss"] < 3 for record in found)


@pytest.mark.parametrize(
    "line, told",
    [
        (b"[1, 2]", "line 2, is no record of a training: it is of type list, not a table of names"),
        (b'{"step": "30"}', "line 2, is no record of a training: tokens is missing"),
        (SOUND.replace(b"10,", b"5,", 1).splitlines()[0], "line 2, is no record of a training: step 5 after step 10"),
        (SOUND.replace(b"2.0", b"NaN").splitlines()[1], "line 2, .* train_loss is nan, not a number"),
        (b"To be", "line 2, .* not JSON"),
    ],
)
def test_a_line_that_is_no_record_is_told_with_its_number(tmp_path, line, told):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(SOUND.splitlines(keepends=True)[0] + line + b"\n" + SOUND.splitlines(keepends=True)[2])
    with pytest.raises(UserError, match=told):
        read_records(path)


@pytest.mark.parametrize("rest", [b"", b'{"st', b'{"step": 40, "tokens', b"\0" * 100])
def test_what_a_crash_leaves_of_the_last_line_is_left_out(tmp_path, rest):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(SOUND + rest)
    assert read_records(path) == LINES


def summary() -> dict:
    return finished("model-01-rnn", {"data": "short.txt"})


@each(hostile_files.json_files(hostile_files.SUMMARY_FIELDS, 8))
def test_a_summary_is_sound_or_refused_in_a_line_that_names_the_file(tmp_path, hostile):
    path = tmp_path / "summary.json"
    path.write_text(json.dumps(summary()), encoding="utf-8")
    hostile.make(path)
    found = answer(lambda path: read_summary(path.parent), path) if path.is_file() else summary()
    assert isinstance(found, str) or found.keys() == summary().keys()


@each(hostile_files.json_lines(hostile_files.MOMENT_FIELDS, 4))
def test_what_is_no_moment_is_left_out(tmp_path, hostile):
    path = tmp_path / "moments.jsonl"
    path.write_bytes((ROOT / "model-01-rnn" / "results" / "moments.jsonl").read_bytes())
    hostile.make(path)
    assert isinstance(read_moments(path), list)


# Texts


@each(hostile_files.texts())
def test_a_text_is_read_or_refused_in_a_line_that_names_the_file(tmp_path, hostile):
    path = tmp_path / "play.txt"
    path.write_bytes(b"To be, or not to be\n" * 200)
    hostile.make(path)
    found = answer(lambda path: load_corpus(str(path)), path)
    assert isinstance(found, str) or found.train


def test_what_has_no_end_is_read_no_further_than_is_allowed(tmp_path):
    class Endless(io.RawIOBase):
        count = 0

        def read(self, size=-1):
            self.count += size
            return bytes(size)

    endless = Endless()
    with pytest.raises(UserError, match="standard input is larger than 10 MB; give another"):
        read_stream(endless, Path("standard input"), 10_000_000, ADVICE)
    assert endless.count < 20_000_000


def test_a_file_that_may_not_be_read_or_fails_is_told_with_the_reason(tmp_path, monkeypatch):
    path = tmp_path / "play.txt"
    path.write_bytes(b"To be")
    for number in (errno.EACCES, errno.EIO):

        def fail(*given, number=number, **more):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(files, "open", fail, raising=False)
        with pytest.raises(UserError, match=f"cannot read .*play.txt: {os.strerror(number)}; give another"):
            read_file(path, 100, ADVICE)


@pytest.mark.skipif(os.name == "nt", reason="there are no named pipes in folders")
def test_nothing_waits_for_a_pipe_that_nobody_reads(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError) as caught, files.whole_file(tmp_path / "pipe"):
        pass
    assert caught.value.errno == errno.ENXIO


def test_a_full_disk_is_told_as_one_whatever_pytorch_makes_of_it():
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    try:
        try:
            raise full
        finally:
            raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 704 vs 598\nframe #0")
    except RuntimeError as error:
        assert why(error) == why(full) == "the disk is full"
    assert why(RuntimeError("one line\nand more")) == "one line"


# Long texts

WORDS = st.lists(st.sampled_from(["to", "be", ",", "(", "e\u0301", "’tis", "\n", "\n\n", " ", "3.14", "U.S.A.", "—"]))


@pytest.mark.parametrize("name", ["word", "char", "bpe"])
@given(parts=WORDS, blank=st.sampled_from(["", " "]), size=st.integers(3, 12))
def test_the_tokens_of_a_text_are_those_of_its_portions(name, parts, blank, size):
    text = blank.join(parts)
    tokenizer = train_tokenizer(name, "to be, (or) not to be ’tis 3.14 e\u0301 U.S.A. —\n\n" * 3)
    found = list(portions(text, "testing", size))
    ends = [len("".join(found[: count + 1])) for count in range(len(found) - 1)]
    assert "".join(found) == text
    assume(all(CUT.match(text, end) for end in ends))  # elsewhere a text is cut only where it gives no such place
    assert sum((tokenizer.encode(portion) for portion in found), []) == tokenizer.encode(text)
    assert list(tokenizer.encode_long(text)) == tokenizer.encode(text)


@pytest.mark.parametrize("name", ["word", "bpe"])
def test_a_vocabulary_is_learned_from_the_beginning_of_a_long_text_which_is_told(monkeypatch, capsys, name):
    monkeypatch.setattr(long_texts, "LEARNED", 60)
    begin, rest = "to be or not to be\n" * 3, "zounds zounds zounds\n" * 9
    assert train_tokenizer(name, begin + rest).to_dict() == train_tokenizer(name, (begin + rest)[:60]).to_dict()
    assert "learned from the first 60 of 246 characters" in capsys.readouterr().err


def test_who_waits_is_told_for_how_long(monkeypatch, capsys):
    monkeypatch.setattr(files, "PATIENCE", 0.01)
    waited = 0
    with seconds_told("thinking"):
        while "thinking: 00:00" not in capsys.readouterr().err and waited < 500:
            waited += not files.threading.Event().wait(0.01)
    assert waited < 500
