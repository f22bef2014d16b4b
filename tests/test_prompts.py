"""The prompt that a model is tried with: from text that it has not read, known to it, and safe in every shell."""

import shlex

import pytest

from shared.text.corpus import Corpus
from shared.text.prompts import LENGTH, USUAL, prompt_for
from shared.text.tokenizer import TOKENIZERS, train_tokenizer

ENGLISH = "The river runs below the hill and on.\nWe walked along it until night came.\n" * 40


def corpus(train, held_out, name="own.txt"):
    return Corpus(name, train, held_out, "", "")


def tried(train, held_out, tokenizer="word", **options):
    return prompt_for(corpus(train, held_out), train_tokenizer(tokenizer, train), **options)


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_it_is_the_beginning_of_a_held_out_line(tokenizer):
    assert tried(ENGLISH, "We walked below the hill until night came along it.\n", tokenizer) == (
        "We walked below the hill until"
    )


@pytest.mark.parametrize("tokenizer", ["word", "char"])
def test_what_the_vocabulary_lacks_is_passed_over(tokenizer):
    assert tried(ENGLISH, "Zürich below the hill\nnight came along\n", tokenizer) == "night came along"


def test_where_no_long_line_is_known_a_short_one_is_taken_and_where_none_is_there_is_no_prompt():
    assert tried(ENGLISH, "xylophones below the hill\nnight\n") == "night"
    assert tried(ENGLISH, "xylophones are instruments\n") == ""


@pytest.mark.parametrize("sign", '"$`\\!%“')
def test_in_double_quotes_no_shell_takes_a_sign_of_it_for_its_own(sign):
    text = f"the night {sign} below the hill\n"
    prompt = tried(ENGLISH + text * 2, text)
    assert prompt == "below the hill" and shlex.split(f'"{prompt}"') == [prompt]


def test_it_begins_with_no_dash_and_holds_no_control_character():
    text = "- night came along\n"
    assert tried(ENGLISH + text * 2, text) == "night came along"
    text = "the \x1b[31m night came\nit runs below\n"
    assert tried(ENGLISH + text * 2, text, "char") == "it runs below"


def test_a_text_that_is_written_without_spaces_gives_a_few_signs():
    text = "天地玄黃宇宙洪荒日月盈昃辰宿列張\n" * 40
    assert tried(text, "宇宙洪荒日月盈昃辰宿列張\n", "char") == "宇宙洪荒日月盈昃"[: LENGTH // 4]


def test_a_joiner_within_a_word_stays():
    text = "کتاب می\u200cخوانم هر روز\n" * 40
    assert tried(text, text, "bpe") == text.split("\n")[0]


def test_the_plays_have_the_usual_one_unless_their_vocabulary_is_too_small_for_it():
    train = f"{USUAL} that is\n" * 3 + ENGLISH
    plays = corpus(train, ENGLISH, "shakespeare")
    assert prompt_for(plays, train_tokenizer("word", train)) == USUAL
    assert prompt_for(plays, train_tokenizer("word", ENGLISH)) == "The river runs below the hill"
