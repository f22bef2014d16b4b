"""Text to ids and back: what every tokenizer promises, and each one's own rules."""

import hashlib
import json
import random
import re
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from properties import given, settings, st

from shared.errors import UserError
from shared.text import byte_pairs
from shared.text.byte_pairs import CHUNK, BPETokenizer, ByteStreamer, learn_merges
from shared.text.characters import CharTokenizer
from shared.text.corpus import load_corpus
from shared.text.signs import visible
from shared.text.spacing import WordStreamer, bare
from shared.text.tokenizer import tokenizer_from_dict, train_tokenizer
from shared.text.words import WordTokenizer, count_bare, split_tokens

BUNDLED = Path(__file__).parents[1] / "data" / "shakespeare.txt"
NAMES = ["word", "char", "bpe"]
PLAY = """ROMEO:
O, she doth teach the torches to burn bright!
'Tis not i' th' night--'tis day, the ne'er-do-well (so he) said 'Hold!' to the lords' sons.

ROMEO:
O, she doth teach naïve Ζεύς and हिन्दी 1599 times: 'Tis café 🎭.

"""
# Dense in everything that joins words or stands alone, and beside it any character at all.
TRICKY = st.text(alphabet="ab1éΖहि\u0301'’-‐–—\"“”_()[].,;:!?&$ \t\n\u00a0")
ANY_TEXT = st.one_of(TRICKY, st.text())  # st.text() makes no lone surrogates


@pytest.fixture(scope="module", params=NAMES)
def trained(request):
    return train_tokenizer(request.param, PLAY + PLAY, vocab_size=300 if request.param == "bpe" else None)


def every_word_of(text):
    """A word tokenizer to which no word of the text is unknown."""
    return WordTokenizer(["<unk>", "\n", *sorted(count_bare(text).keys() - {"<unk>", "\n"})])


def stream(streamer, ids):
    return "".join(streamer.push(token) for token in ids) + streamer.flush()


# -------------------------------------------------------------------------------------------------- every tokenizer


def test_ids_run_from_zero_to_the_vocabulary_size(trained):
    ids = trained.encode(PLAY)
    assert set(ids) <= set(range(trained.vocab_size))
    with pytest.raises(IndexError):
        trained.decode([trained.vocab_size])


def test_a_saved_tokenizer_comes_back_through_json_unchanged(trained):
    again = tokenizer_from_dict(json.loads(json.dumps(trained.to_dict())))
    assert type(again) is type(trained)
    assert again.encode(PLAY) == trained.encode(PLAY)
    assert again.to_dict() == trained.to_dict()


def test_training_twice_gives_the_same_vocabulary(trained):
    size = 300 if trained.name == "bpe" else None
    assert train_tokenizer(trained.name, PLAY + PLAY, size).to_dict() == trained.to_dict()


def test_the_newline_id_is_a_newline_even_if_the_training_text_has_none():
    for name in NAMES:
        tokenizer = train_tokenizer(name, "to be or not to be")
        assert tokenizer.decode([tokenizer.newline_id]) == "\n"
        assert tokenizer.encode("\n") == [tokenizer.newline_id]


def test_lossless_tokenizers_say_so_and_are(trained):
    assert trained.lossless == (trained.name != "word")
    if trained.lossless:
        assert trained.decode(trained.encode(PLAY)) == PLAY


@given(data=st.data())
def test_streamed_text_equals_decoded_text_for_any_ids(trained, data):
    ids = data.draw(st.lists(st.integers(0, trained.vocab_size - 1)))
    assert stream(trained.streamer(), ids) == trained.decode(ids)


def test_only_the_word_tokenizer_has_an_unknown_token(trained):
    assert (trained.unk_id is not None) == (trained.name == "word")
    assert trained.share_unknown(trained.encode("")) == 0


def test_no_tokenizer_for_an_unknown_name():
    with pytest.raises(UserError, match="word, char, bpe"):
        train_tokenizer("sentencepiece", PLAY)


def test_every_glyph_is_visible_and_in_the_font_of_the_plots(trained):
    from matplotlib import font_manager
    from matplotlib.ft2font import FT2Font

    font = FT2Font(font_manager.findfont("DejaVu Sans")).get_charmap()
    for token in range(trained.vocab_size):
        glyph = trained.glyph(token)
        assert glyph and not re.search(r"\s", glyph) and glyph.isprintable()
    for text in " \n\t\x00\u0301":
        assert all(ord(sign) in font for sign in visible(text))


# ------------------------------------------------------------------------------------------------------------- char


def test_characters_are_sorted_and_each_has_one_id():
    tokenizer = CharTokenizer.train("banana")
    assert tokenizer.encode("\nabn") == [0, 1, 2, 3]


@given(st.text())
def test_characters_bring_any_text_back(text):
    tokenizer = CharTokenizer.train(text)
    assert tokenizer.decode(tokenizer.encode(text)) == text


@given(st.text())
def test_unknown_characters_are_left_out_and_the_others_read(text):
    tokenizer = CharTokenizer.train("cafe 'Hold'")
    known = "".join(sign for sign in text if sign in tokenizer.characters)
    assert tokenizer.decode(tokenizer.encode(text)) == known
    unknown = [sign for sign, _ in tokenizer.check_prompt(text)]
    assert unknown == list(dict.fromkeys(sign for sign in text if sign not in tokenizer.characters))


def test_a_character_of_the_held_out_text_alone_has_a_place():
    tokenizer = CharTokenizer.train("to be", held_out="or not 👍🏽")
    assert tokenizer.decode(tokenizer.encode("or not 👍🏽")) == "or not 👍🏽"
    assert tokenizer.check_prompt("or not 👍🏽") == []
    assert CharTokenizer.train("to be", held_out="be to").characters == CharTokenizer.train("to be").characters


def test_characters_saved_before_keep_their_ids():
    tokenizer = tokenizer_from_dict({"name": "char", "characters": "\nabe"})
    assert tokenizer.encode("a beam\n") == [1, 2, 3, 1, 0]
    assert tokenizer.to_dict() == {"name": "char", "characters": "\nabe"}


def test_unknown_characters_are_told_with_their_nearest():
    tokenizer = CharTokenizer.train("cafe 'Hold'")
    assert tokenizer.check_prompt("‘CÉ ☃") == [("‘", ["'"]), ("C", ["c"]), ("É", ["e"]), ("☃", [])]
    assert tokenizer.check_prompt("cafe") == []


def test_a_vocabulary_too_small_for_the_characters_is_refused():
    with pytest.raises(UserError, match="4 different characters"):
        CharTokenizer.train("abc", vocab_size=3)
    assert CharTokenizer.train("abc", vocab_size=4).vocab_size == 4


# ------------------------------------------------------------------------------------------------------------- word


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("o'er ne'er-do-well", ["o'er", "ne'er-do-well"]),
        ("'tis th' hour", ["'", "tis", "th", "'", "hour"]),
        ("speak--it", ["speak", "-", "-", "it"]),
        ("(Hail, king!)\n\n", ["(", "Hail", ",", "king", "!", ")", "\n", "\n"]),
        ("snake_case _so_ 3.5.", ["snake_case", "_", "so", "_", "3.5", "."]),
        ("1,000.5 at 10:30, 5:", ["1,000.5", "at", "10:30", ",", "5", ":"]),
        ("U.S.A., e.g. so.It", ["U.S.A.", ",", "e.g.", "so", ".", "It"]),
        ("(see http://a.b/c?d=1).", ["(", "see", "http://a.b/c?d=1", ")", "."]),
        ("می‌خواهم col·lega צה״ל co\u00adop", ["می‌خواهم", "col·lega", "צה״ל", "co\u00adop"]),
        ("ok👍🏽 👨‍👩‍👧🇩🇪🇧🇷 1️⃣", ["ok", "👍🏽", "👨‍👩‍👧", "🇩🇪", "🇧🇷", "1️⃣"]),
        ("10\u202f000 \u00a0;", ["10", "\u202f", "000", ";"]),
        ("naïve nai\u0308ve Ζεύς l’été हिन्दी", ["naïve", "nai\u0308ve", "Ζεύς", "l’été", "हिन्दी"]),
        ("To to TO", ["To", "to", "TO"]),
        (" \t ", []),
    ],
)
def test_a_token_is_a_word_a_visible_sign_or_a_newline(text, tokens):
    assert list(map(bare, split_tokens(text))) == tokens


def test_the_vocabulary_is_every_word_seen_twice_most_frequent_first_then_by_alphabet():
    tokenizer = WordTokenizer.train("b b a a c c c once\n")
    assert tokenizer.words == ["<unk>", "\n", "c", "a", "b"]
    assert WordTokenizer.train("b b a a c c c once\n", vocab_size=4).words == ["<unk>", "\n", "c", "a"]


def test_words_seen_once_are_unknown_and_counted():
    tokenizer = WordTokenizer.train("to be or not to be")
    ids = tokenizer.encode("to be or not to be")
    assert [token == tokenizer.unk_id for token in ids] == [False, False, True, True, False, False]
    assert tokenizer.share_unknown(ids) == pytest.approx(2 / 6)


def test_a_word_vocabulary_keeps_room_for_unknown_and_newline():
    with pytest.raises(UserError, match="too small"):
        WordTokenizer.train("a a", vocab_size=1)


@pytest.mark.parametrize("train", ["to <unk> be <unk>, to be", "( <unk> )[<unk>] to( to[be )be", "< < unk unk > >"])
def test_what_a_text_writes_unk_is_the_unknown_token_and_no_word_of_its_own(train):
    tokenizer = WordTokenizer.train(train)
    assert tokenizer.encode("<unk>") == [tokenizer.unk_id]
    assert tokenizer.words.count("<unk>") == 1
    assert tokenizer.check_prompt("<unk>") == []
    assert tokenizer_from_dict(tokenizer.to_dict()).encode(train) == tokenizer.encode(train)


def test_an_unknown_token_is_shown_like_a_word():
    tokenizer = WordTokenizer.train("be, be, be")
    assert tokenizer.decode(tokenizer.encode("be kind, be")) == "be <unk>, be"


def test_unknown_words_are_told_with_other_capitals_first():
    tokenizer = WordTokenizer.train("ROMEO ROMEO Romeo Romeo Rome Rome ' '")
    assert tokenizer.check_prompt("romeo’ xyzzy Rome romeo") == [
        ("romeo", ["ROMEO", "Romeo", "Rome"]),
        ("’", ["'"]),
        ("xyzzy", []),
    ]


@pytest.mark.parametrize(
    "line",
    [
        "Speak, speak; is't so? No! Well: go.",
        "'Tis so: 'twas so, and 'twill be, as 'twere, 'gainst 'em.",
        "I' the sun, o' th' night, i' faith.",
        "Let me have war--say I--it exceeds peace,--ay!",
        "He (so they say) [aside] is “well” and ‘old’.",
        'She said "no" to "you, sir," and went.',
        "Then cried 'Hold!' and 'Peace, ho!' the lords' sons, 'And why?'",
        "Go to the ne'er-do-well—no–go/stay… 50% of $5.",
        "_tremor cordis_ on me",
    ],
)
def test_print_is_put_together_again(line):
    tokenizer = every_word_of(line)
    assert tokenizer.decode(tokenizer.encode(line)) == line


def test_no_space_stands_at_either_end_of_a_line():
    tokenizer = every_word_of("a b")
    assert tokenizer.decode(tokenizer.encode("  a  b  \n  a \n\n b ")) == "a b\na\n\nb"


def test_a_blank_line_closes_what_the_speech_left_open():
    text = "cried 'Hold, and \"go.\n\ncried 'Hold' and \"go\" now"
    tokenizer = every_word_of(text)
    assert tokenizer.decode(tokenizer.encode(text)) == text


@settings(max_examples=500)
@given(ANY_TEXT)
def test_decoded_words_are_read_back_as_the_same_tokens(text):
    tokenizer = every_word_of(text)
    ids = tokenizer.encode(text)
    assert tokenizer.encode(tokenizer.decode(ids)) == ids


def test_without_its_guard_the_spacing_would_join_two_words():
    class Unguarded(WordStreamer):
        def _would_merge(self, word):
            return False

    tokenizer = every_word_of("pack- saddle")
    ids = tokenizer.encode("pack- saddle")
    assert tokenizer.encode(stream(Unguarded(tokenizer.words), ids)) != ids
    assert tokenizer.encode(tokenizer.decode(ids)) == ids


# From when the published numbers were measured: they hold for this vocabulary and these ids alone.
FINGERPRINTS = {
    "word": "6fa4f0ac75808a09",
    "char": "9842c74464a968ba",
    "bpe": "21058df85ed44c28",
}


@pytest.mark.claims
@pytest.mark.parametrize("name", NAMES)
def test_vocabulary_and_ids_of_the_bundled_text_are_those_of_the_published_numbers(name):
    corpus = load_corpus(at_blank_line=name == "word")
    tokenizer = train_tokenizer(name, corpus.train, held_out=corpus.held_out)
    ids = [tokenizer.encode(text) for text in (corpus.train, corpus.validation, corpus.test)]
    read = json.dumps([tokenizer.to_dict(), ids], sort_keys=True)
    assert hashlib.sha256(read.encode("utf-8")).hexdigest()[:16] == FINGERPRINTS[name]


@pytest.mark.claims
def test_997_of_1000_lines_of_the_bundled_corpus_are_reproduced_exactly():
    text = BUNDLED.read_text(encoding="utf-8")
    tokenizer = every_word_of(text)
    lines = [re.sub(" +", " ", line).strip() for line in text.split("\n")]
    decoded = tokenizer.decode(tokenizer.encode(text)).split("\n")
    assert len(lines) == len(decoded)
    written = [(line, again) for line, again in zip(lines, decoded, strict=True) if line]
    assert sum(line == again for line, again in written) >= 0.997 * len(written)


# -------------------------------------------------------------------------------------------------------------- bpe


def merges_by_recounting(text, count):
    """Byte pair encoding as its definition has it: count all pairs anew before each merge."""
    words = [list(chunk.encode()) for chunk in CHUNK.findall(text)]
    merges = []
    while len(merges) < count:
        counts = Counter(pair for word in words for pair in pairwise(word))
        pair = min(counts, key=lambda pair: (-counts[pair], pair), default=None)
        if pair is None or counts[pair] < 2:
            break
        merges.append(pair)
        words = [join_by_hand(word, pair, 255 + len(merges)) for word in words]
    return merges


def join_by_hand(word, pair, new):
    position = 0
    while position < len(word) - 1:
        if (word[position], word[position + 1]) == pair:
            word = word[:position] + [new] + word[position + 2 :]
        position += 1
    return word


@given(st.text(alphabet="aab é'\n-", max_size=200), st.integers(0, 30))
def test_incremental_counts_choose_the_same_merges_as_recounting(text, count):
    assert learn_merges(text, count) == merges_by_recounting(text, count)


@given(ANY_TEXT)
def test_encoding_applies_every_merge_in_the_order_learned(text):
    tokenizer = BPETokenizer.train(PLAY, vocab_size=320)
    expected = []
    for chunk in CHUNK.findall(text):
        word = list(chunk.encode())
        for index, pair in enumerate(tokenizer.merges):
            word = join_by_hand(word, pair, 256 + index)
        expected += word
    assert tokenizer.encode(text) == expected


@settings(max_examples=500)
@given(ANY_TEXT)
def test_bytes_bring_any_text_back(text):
    assert "".join(CHUNK.findall(text)) == text
    tokenizer = BPETokenizer.train(PLAY, vocab_size=320)
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_a_text_never_seen_comes_back_byte_for_byte():
    tokenizer = BPETokenizer.train("low lower lowest")
    for text in ["👩‍🚀", "\x00", "\u0301", "\r\n \t", "漢字", "low low", ""]:
        assert tokenizer.decode(tokenizer.encode(text)) == text
        assert tokenizer.check_prompt(text) == []


def test_half_a_surrogate_pair_is_refused_in_one_line():
    with pytest.raises(UserError, match=r"U\+D83D"):
        BPETokenizer.train("low").encode("a\ud83d")


def test_a_character_is_streamed_only_when_all_its_bytes_are_there():
    tokenizer = BPETokenizer.train("plain")
    streamer = tokenizer.streamer()
    assert [streamer.push(token) for token in "é🎭".encode()] == ["", "é", "", "", "", "🎭"]
    assert streamer.flush() == ""


def test_bytes_that_are_no_character_become_the_replacement_sign():
    tokenizer = BPETokenizer.train("plain")
    ids = [0xC3, ord("a"), 0xFF, 0xF0, 0x9F]
    assert tokenizer.decode(ids) == stream(tokenizer.streamer(), ids) == "\ufffda\ufffd\ufffd"


def test_decoding_each_token_alone_would_break_characters():
    class Alone(ByteStreamer):
        def push(self, token):
            return self.texts[token].decode("utf-8", errors="replace")

    tokenizer = BPETokenizer.train("plain")
    ids = tokenizer.encode("é")
    assert stream(Alone(tokenizer.bytes), ids) != tokenizer.decode(ids) == "é"


@pytest.mark.parametrize("letters", ["ACGT", "A"])
def test_a_line_without_a_gap_is_learned_and_encoded_in_time_that_grows_with_its_length(letters):
    text = "".join(random.Random(0).choices(letters, k=30_000))
    began = time.process_time()
    tokenizer = BPETokenizer.train(text, vocab_size=512)
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert time.process_time() - began < 5  # to count a chunk anew for each merge takes a minute


def test_a_byte_vocabulary_has_its_size_and_stops_when_no_pair_repeats():
    assert BPETokenizer.train(PLAY * 9, vocab_size=300).vocab_size == 300
    assert BPETokenizer.train("ab", vocab_size=1000).vocab_size == 256
    assert BPETokenizer.train(BUNDLED.read_text(encoding="utf-8")[:200_000]).vocab_size == 1024
    with pytest.raises(UserError, match="256 bytes"):
        BPETokenizer.train("ab", vocab_size=255)


def test_a_bar_shows_how_far_learning_is_when_it_takes_a_while(monkeypatch, capsys):
    BPETokenizer.train(PLAY, vocab_size=300)
    assert capsys.readouterr().err == ""
    bar = byte_pairs.tqdm
    monkeypatch.setattr(byte_pairs, "tqdm", lambda **settings: bar(**settings | {"delay": 0}))
    BPETokenizer.train(PLAY, vocab_size=300)
    assert "byte pairs" in capsys.readouterr().err


def test_no_token_of_the_byte_vocabulary_crosses_from_one_word_into_the_next():
    tokenizer = BPETokenizer.train("all the king " * 50)
    assert b" king" in tokenizer.bytes
    assert not any(b" " in token[1:] for token in tokenizer.bytes)
