"""By words, a text of any script and any use of blanks comes back as it was, but for runs of blanks."""

import re
import time

import pytest
from properties import given, settings, st

from shared.text.decoding import normalise
from shared.text.words import WordTokenizer, split_tokens

# A few lines each, dense in what is cut or spaced in another way than in English prose.
TEXTS = {
    "French": "« Où est l’été ? » dit-il ; « là\u202f! » : voilà.\nAujourd’hui, à 10\u202f000 km\u00a0: rien !\n",
    "Spanish": "¿Dónde estás? ¡Aquí!, dijo él: «sí».\nNo… ¿y tú?\n",
    "German": "„Komm!“, rief er. ‚Nein‘ sagt »sie« – und geht.\nEr kauft’s für 3,50 €, z.B. 5 % mehr.\n",
    "Swiss": "«Komm!», rief er. ‹Nein›, sagt sie.\n",
    "Catalan": "La col·lega parla d'Il·lusions; paral·lel.\n",
    "Arabic": "أين الكتاب؟ هنا، في البيت؛ نعم.\nقال: «نعم»، ثم ذهب.\n",
    "Persian": "کتاب‌ها را می‌خواهم؛ نیم‌روز، خانه.\nکجا می‌روی؟\n",
    "Urdu": "یہ کیا ہے؟ کتاب، قلم۔\n",
    "Hindi": "राम ने क्षण भर देखा। क्‍या, आकाश?\nहृदय॥\n",
    "Hebrew": 'צה״ל וג׳ורג׳ באו, ד״ר.\nבית־ספר: "כן".\n',
    "Chinese": "江心低山？下楼，长海“白上”。\n听东白山、江短《青》！\n",
    "Japanese": "「日本、今日は。」と言った！\nアイス・クリーム（２つ）〜\n",
    "Korean": "그는 “좋아!”라고 말했다(정말).\n",
    "Emoji": "ok 👍🏽👍 👨‍👩‍👧 coming 🇩🇪🇧🇷 ❤️‍🔥! 1️⃣ 🏴󠁧󠁢󠁥󠁮󠁧󠁿\n",
    "Numbers": "3.14, 1,000,000; 10:30 -5 50% $3 5 € 2021-03-04 27/04/2021\n",
    "Addresses": "See http://a.b/c?d=1, e.g. me@host.org (U.S.A.).\n#Title @name ~/file.txt C:\\x\\y.txt\n",
    "Code": "def get_value(self_, n=0):\n    return foo.bar(x)[i] + C++ - C# * 2 # i++ != '0'\n"
    'snakeCase.camelCase -> a->b; "\\n"\n',
    "Lyrics": "'Cause rock 'n' roll (yeah)\n(x2) don’t—don't -- no ... oh-oh\n",
    "Records": '{"id": 0, "text": "said \\"no\\"", "sum": 1000.5}\na,b,c\tx\n',
    "Colours": "\x1b[31mlove\x1b[0m and \x1b]0;title\x07 king.\n",
}


def lines_of(text):
    """What is promised of each line: runs of blanks are one, and none stands at either end."""
    return [re.sub("[ \t]+", " ", line).strip() for line in text.split("\n")]


@pytest.mark.parametrize("name", TEXTS)
def test_every_line_of_any_script_comes_back(name):
    text = normalise(TEXTS[name])
    tokenizer = WordTokenizer.train(text * 3)
    assert [tokenizer.decode(tokenizer.encode(line)) for line in text.split("\n")] == lines_of(text)
    assert tokenizer.decode(tokenizer.encode(text)).split("\n") == lines_of(text)
    assert tokenizer.share_unknown(tokenizer.encode(text)) == 0


ALPHABET = "ab1é\u0301Жहि\u200c\u200d'’-_.,;:!?()[]«»„“”؟،。#@/\\$%&<> \t\n\u00a0\u202f👍🏽👩🇩🇪\x1b\xad"


@settings(max_examples=500)
@given(st.text(st.sampled_from(ALPHABET)))
def test_decoded_text_is_read_back_as_the_same_tokens_where_blanks_are_kept(text):
    known = WordTokenizer.train(text * 3 + "\nf(x) or (x)" * 99)
    for tokenizer in (known, WordTokenizer(known.words[: len(known.words) // 2 + 1], keeps_blanks=True)):
        ids = tokenizer.encode(text)
        assert tokenizer.encode(tokenizer.decode(ids)) == ids
    assert known.keeps_blanks


def test_a_text_that_follows_the_rules_of_print_has_one_token_for_a_sign():
    tokenizer = WordTokenizer.train("Well, well (he said): go.\nSo, ho!\n" * 20)
    assert not tokenizer.keeps_blanks
    assert all(word == "\n" or word == word.strip() for word in tokenizer.words)


@pytest.mark.parametrize(("odd", "kept"), [("C++ is foo.bar\n", True), ("the lords' sons, 'tis 'so' ' say\n", False)])
def test_a_use_of_signs_that_rules_cannot_bring_back_is_seen_in_one_line_of_a_thousand(odd, kept):
    tokenizer = WordTokenizer.train("Well, well (he said): go.\n" * 500 + odd + "So, ho!\n" * 500)
    assert tokenizer.keeps_blanks == kept


def test_another_text_has_a_token_for_each_use_of_a_sign_and_a_new_use_is_read_as_the_closest():
    tokenizer = WordTokenizer.train("la mer ; le ciel ; foo(x) ou (x)\n" * 20)
    assert {" ; ", "(", " ("} <= set(tokenizer.words)
    assert tokenizer.decode(tokenizer.encode("la mer; le ciel")) == "la mer ; le ciel"
    assert tokenizer.decode(tokenizer.encode("x(")) == "x("
    assert tokenizer.check_prompt("mer; (") == []


def test_the_end_of_a_line_or_of_the_text_leaves_open_which_use_of_a_sign_is_meant():
    tokenizer = WordTokenizer.train("下楼，长海。听东。\n" * 20)
    assert (
        len(
            {tokenizer.encode(text)[-1] for text in ("听东。下楼", "听东。\n", "听东。")}
            - set(tokenizer.encode("下楼\n"))
        )
        == 1
    )


def test_a_blank_that_no_token_stands_for_is_none():
    tokenizer = WordTokenizer.train("to be, to be")
    assert tokenizer.encode("to\u00a0be") == tokenizer.encode("to be")
    assert tokenizer.check_prompt("to\u00a0be") == []


@pytest.mark.parametrize(
    "part", [" ", "\u00a0", "a.", "_", "1.", "'", "http://", "a-", "🇩", "👩\u200d", "e\u0301", "<unk>"]
)
@pytest.mark.parametrize("end", ["", "ab", " (", "\n"])
def test_no_long_run_of_anything_takes_more_than_a_moment(part, end):
    began = time.process_time()
    split_tokens("x" + part * 20_000 + end)
    assert time.process_time() - began < 1  # where each place looks at all that follows, it takes many seconds
