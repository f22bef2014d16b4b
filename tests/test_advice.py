"""Before a training, a line says what is unusual about a text, and what to do; of an ordinary one nothing is said."""

import random

import pytest

from shared.run.language_modeling import encode_text, load_text
from shared.text.advice import advice
from shared.text.corpus import load_corpus
from shared.text.tokenizer import train_tokenizer

WORDS = ["to", "be", "or", "not", "king", "queen", "speak", "shall"]
CHOICE = random.Random(0)
ENGLISH = "".join(" ".join(CHOICE.choices(WORDS, k=6)) + ".\n" for _ in range(400))
CHINESE = "".join("".join(CHOICE.choices("江心低山下楼长海白上听东青归地云花", k=9)) + "。\n" for _ in range(400))
DNA = "".join("".join(CHOICE.choices("ACGT", k=60)) + "\n" for _ in range(100))


def said(tmp_path, text, tokenizer_name):
    path = tmp_path / "own.txt"
    path.write_text(text, encoding="utf-8", newline="\n")
    corpus = load_corpus(str(path))
    tokenizer = train_tokenizer(tokenizer_name, corpus.train, held_out=corpus.held_out)
    return advice(corpus, tokenizer, tokenizer.encode(corpus.train))


@pytest.mark.parametrize("name", ["word", "char", "bpe"])
def test_of_an_ordinary_text_nothing_is_said(tmp_path, name):
    assert said(tmp_path, ENGLISH, name) == []


@pytest.mark.parametrize("text", [CHINESE, DNA])
def test_a_text_that_words_do_not_suit_is_told_so_with_what_would(tmp_path, text):
    [line] = said(tmp_path, text, "word")
    assert "% of the text is <unk>" in line and "--tokenizer char or --tokenizer bpe" in line and "\n" not in line
    assert said(tmp_path, text, "char") == said(tmp_path, text, "bpe") == []


def test_characters_of_the_held_out_text_alone_are_shown_and_what_was_done(tmp_path):
    [line] = said(tmp_path, ENGLISH + "ok 👍🏽\x1b\n" * 20, "char")[1:]
    assert "held-out text alone has 3 characters (U+001B 🏽 👍)" in line and "place in the vocabulary" in line
    assert "\x1b" not in line


@pytest.mark.parametrize("name", ["word", "char", "bpe"])
def test_control_characters_are_counted_and_shown_as_signs(tmp_path, name):
    line = said(tmp_path, ENGLISH.replace("king", "\x1b[31mking\x1b[0m\x9b"), name)[0]
    assert f"{ENGLISH.count('king') * 3:,} control characters (␛ \\x9b)" in line
    assert line.isprintable()


def test_a_file_with_characters_in_its_held_out_text_alone_is_read_whole(tmp_path):
    path = tmp_path / "own.txt"
    path.write_text(ENGLISH + "ok 👍🏽\n" * 20, encoding="utf-8", newline="\n")
    corpus, tokenizer = load_text({"data": str(path), "tokenizer": "char", "vocab_size": None}, None)
    train_ids, validation_ids = encode_text(corpus, tokenizer)
    assert [len(train_ids), len(validation_ids)] == [len(corpus.train), len(corpus.validation)]
    assert tokenizer.decode(tokenizer.encode(corpus.test)) == corpus.test
    assert "🏽" in corpus.test and "🏽" not in corpus.train


def test_characters_that_an_earlier_vocabulary_lacks_are_said_to_be_left_out(tmp_path):
    path = tmp_path / "own.txt"
    path.write_text(ENGLISH + "ok 👍🏽\n" * 400, encoding="utf-8", newline="\n")
    corpus, earlier = load_corpus(str(path)), train_tokenizer("char", ENGLISH)
    [line] = advice(corpus, earlier, earlier.encode(corpus.train))
    assert "lacks 2 characters (🏽 👍), which are left out" in line
