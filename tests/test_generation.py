"""generate.py from within: which prompt is read, where a text stops, and what reaches the terminal."""

import io
import sys
from argparse import Namespace

import pytest
import torch
from options import build
from properties import given, st

from shared.errors import UserError
from shared.run.generation import Sample, bold, converse, encode_prompt, read_prompt, write_samples
from shared.run.stage import generation_flags
from shared.stages import ROOT, STAGES
from shared.text.tokenizer import TOKENIZERS, CharTokenizer, WordTokenizer, train_tokenizer

STAGE = ROOT / next(iter(STAGES))
TEXT = "to be, or not to be: that is the question.\n\nto be, to be, or not to be.\n\n"
ALPHABET = CharTokenizer.train("abcdefghij")  # eleven tokens, as many as the small models have


def flags(**changes):
    asked = dict(seed=1, num_samples=1, temperature=0.8, top_k=None, top_p=None, max_new_tokens=30, stop=None)
    return Namespace(**(asked | changes))


def parsed(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["generate.py", *words])
    return generation_flags(STAGE)


def refusal(monkeypatch, capsys, *words):
    with pytest.raises(SystemExit) as caught:
        parsed(monkeypatch, *words)
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


# The prompt


@pytest.mark.parametrize("words", [["To be"], ["To", "be"], ["--prompt", "To be"], ["--prompt=To be"]])
def test_a_prompt_may_be_given_with_its_flag_or_without(monkeypatch, words):
    assert parsed(monkeypatch, "--seed", "2", *words).prompt == "To be"


def test_without_a_prompt_it_is_empty(monkeypatch):
    assert parsed(monkeypatch, "--seed", "2").prompt == ""


@pytest.mark.parametrize("others", [["--prompt", "or"], ["--prompt-file", "or.txt"], ["--interactive"]])
def test_one_prompt_is_enough(monkeypatch, capsys, others):
    assert others[0] in refusal(monkeypatch, capsys, "To be", *others)


def test_a_prompt_that_begins_with_a_dash_is_told_how_to_be_typed(monkeypatch, capsys):
    assert "--prompt=-king" in refusal(monkeypatch, capsys, "--prompt", "-king")
    assert parsed(monkeypatch, "--prompt=-king").prompt == "-king"
    assert "-- -king" in refusal(monkeypatch, capsys, "-king")
    assert parsed(monkeypatch, "--", "-king").prompt == "-king"


@pytest.mark.parametrize(
    "content, prompt", [("é\r\nbe\r\n", "é\nbe"), ("\ufeffto", "to"), ("to\n\n", "to\n"), ("\n", "")]
)
def test_a_prompt_from_a_file_is_its_text_but_for_the_newline_at_its_end(tmp_path, monkeypatch, content, prompt):
    (tmp_path / "prompt.txt").write_bytes(content.encode())
    assert read_prompt(str(tmp_path / "prompt.txt")) == prompt
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content.encode()), "ascii"))
    assert read_prompt("-") == prompt


@pytest.mark.parametrize("content, reason", [(b"caf\xe9", "not UTF-8"), (None, "no file")])
def test_a_prompt_file_that_cannot_be_read_is_one_line(tmp_path, content, reason):
    if content:
        (tmp_path / "prompt.txt").write_bytes(content)
    with pytest.raises(UserError, match=reason):
        read_prompt(str(tmp_path / "prompt.txt"))


def test_characters_that_the_model_never_learned_are_left_out_with_one_notice(capsys):
    tokenizer = CharTokenizer.train("cafe be\n")
    assert tokenizer.decode(encode_prompt(tokenizer, "café 中be中")) == "caf be"
    (line,) = capsys.readouterr().err.splitlines()
    assert "'é' (it knows 'e')" in line and "'中'" in line and "left out" in line


def test_of_many_unknown_words_only_the_first_are_named(capsys):
    encode_prompt(WordTokenizer.train(TEXT), " ".join(f"zz{number}" for number in range(100)))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 9 and "92 more" in lines[-1]


def test_a_prompt_of_unknown_characters_alone_starts_on_a_new_line(capsys):
    assert encode_prompt(ALPHABET, "中") == [ALPHABET.newline_id]


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_bytes_that_are_no_text_are_refused_in_one_line(tokenizer):
    with pytest.raises(UserError, match="no UTF-8 text"):
        encode_prompt(train_tokenizer(tokenizer, TEXT), b"caf\xe9".decode("utf-8", errors="surrogateescape"))


def test_a_prompt_that_a_system_of_ascii_did_not_read_is_read_as_utf_8():
    tokenizer = CharTokenizer.train("caf\N{LATIN SMALL LETTER E WITH ACUTE} \N{CJK UNIFIED IDEOGRAPH-4E2D}\n")
    for text in ("caf\N{LATIN SMALL LETTER E WITH ACUTE}", "\N{CJK UNIFIED IDEOGRAPH-4E2D}"):
        unread = text.encode().decode("ascii", errors="surrogateescape")
        assert tokenizer.decode(encode_prompt(tokenizer, unread)) == text


def test_a_conversation_goes_on_after_bytes_that_are_no_text(monkeypatch, capsys):
    stdin = io.TextIOWrapper(io.BytesIO(b"caf\xe9\nabc\n"), "utf-8", errors="surrogateescape")
    monkeypatch.setattr(sys, "stdin", stdin)
    converse(build("1", dtype=torch.float32), ALPHABET, flags(max_new_tokens=2))
    shown = capsys.readouterr()
    assert "no UTF-8 text" in shown.err and "abc" in shown.out


# Where a text stops


def written(tokenizer, ids, stop):
    """What is shown of these tokens, piece by piece."""
    sample, pieces = Sample(tokenizer, [tokenizer.newline_id], stop), []
    for token in ids:
        if not sample.ended:
            pieces.append(sample.push(token))
    return [*pieces, sample.flush()], sample


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
@given(st.text(alphabet="to be,.\n", max_size=40), st.text(alphabet="to be,.\n", min_size=1, max_size=6))
def test_a_text_ends_before_the_stop_however_it_is_cut_into_tokens(tokenizer, text, stop):
    tokenizer = train_tokenizer(tokenizer, TEXT)
    ids = tokenizer.encode(text)
    whole = tokenizer.decode([tokenizer.newline_id, *ids])[1:]
    pieces, sample = written(tokenizer, ids, stop)
    assert "".join(pieces) == whole.partition(stop)[0]
    assert sample.ended == (stop in whole)


def test_no_more_waits_than_may_be_the_beginning_of_the_stop():
    pieces, _ = written(ALPHABET, ALPHABET.encode("abcababd"), "abd")
    assert pieces == ["", "", "abc", "", "", "ab", "", "", ""]


def test_without_a_stop_every_token_is_shown_at_once():
    assert written(ALPHABET, ALPHABET.encode("abc"), None)[0] == ["a", "b", "c", ""]


@pytest.mark.parametrize("num_samples", [1, 3])
def test_every_sample_ends_at_the_stop_and_what_follows_is_not_generated(capsys, num_samples):
    model, prompt = build("1", dtype=torch.float32), ALPHABET.encode("abc")
    free = write_samples(model, ALPHABET, prompt, flags(num_samples=num_samples))
    stop = ALPHABET.decode(free[0][3:5])
    capsys.readouterr()
    ended = write_samples(model, ALPHABET, prompt, flags(num_samples=num_samples, stop=stop))
    shown = capsys.readouterr().out
    for ids, whole in zip(ended, free):
        text = ALPHABET.decode(whole)
        assert ids == whole[: text.index(stop) + len(stop)] if stop in text else ids == whole
        assert "abc" + text.partition(stop)[0] in shown
    if num_samples == 1:
        assert shown == "abc" + ALPHABET.decode(free[0]).partition(stop)[0] + "\n"


def test_an_empty_stop_is_refused_and_backslash_n_is_a_new_line(monkeypatch, capsys):
    assert "--stop" in refusal(monkeypatch, capsys, "--stop", "")
    assert parsed(monkeypatch, "--stop", r"\n\nROMEO").stop == "\n\nROMEO"


# What reaches the terminal


def test_control_characters_never_reach_the_terminal_raw(capsys):
    tokenizer = CharTokenizer.train("abcdefgh\x1b\x9b")
    model = build("1", dtype=torch.float32)
    for num_samples in (1, 2):
        write_samples(model, tokenizer, tokenizer.encode("\x1ba\x9b"), flags(num_samples=num_samples, temperature=9))
    shown = capsys.readouterr().out
    assert "\x1b" not in shown and "\x9b" not in shown and "␛" in shown


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("environment, marked", [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_on_a_terminal_the_prompt_is_told_from_the_text_unless_that_is_not_wanted(monkeypatch, environment, marked):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert bold("To be") == ("\x1b[1mTo be\x1b[0m" if marked else "To be")


def test_in_files_and_pipes_the_text_is_plain(capsys, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    write_samples(build("1", dtype=torch.float32), ALPHABET, ALPHABET.encode("abc"), flags())
    assert "\x1b" not in capsys.readouterr().out
