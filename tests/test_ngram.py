"""Counting as a language model: modified Kneser-Ney against its definition."""

import json
import math
import random
import sys
from collections import Counter, defaultdict

import numpy as np
import pytest
from properties import given, settings, st

from shared import ngram
from shared.errors import UserError
from shared.measure.ngrams import KneserNey, Level, estimate_discounts, score

TOKENS = st.lists(st.integers(0, 5), min_size=8, max_size=120)


def by_definition(train, order, vocab_size, history, token):
    """p(token | history), the recursion written out with dictionaries."""
    history = tuple(history)[max(0, len(history) - order + 1) :]
    grams = {n: [tuple(train[i : i + n]) for i in range(len(train) - n + 1)] for n in range(1, order + 1)}

    def counts(n):
        if n == order:
            return Counter(grams[n])
        before = defaultdict(set)
        for gram in grams[n + 1]:
            before[gram[1:]].add(gram[0])
        return Counter({gram: len(tokens) for gram, tokens in before.items()})

    def probability(n, context):
        if n == 0:
            return 1 / vocab_size
        table = counts(n)
        shorter = probability(n - 1, context[1:])
        if len(context) < n - 1:  # the text's beginning
            return probability(n - 1, context)
        following = {gram[-1]: count for gram, count in table.items() if gram[:-1] == context}
        if not following:
            return shorter
        discounts, _ = estimate_discounts(np.array(list(table.values())))
        total = sum(following.values())
        reserved = sum(discounts[min(count, 3)] for count in following.values()) / total
        count = following.get(token, 0)
        return (count - discounts[min(count, 3)]) / total + reserved * shorter

    return probability(order, history)


def next_token_distribution(model, history):
    """The last order's probabilities of every token after this history."""
    return np.array(
        [model.probabilities(np.array([*history, token]))[:, -1] for token in range(model.vocab_size)]
    ).T  # (order, V)


# --------------------------------------------------------------------------------------------------------- Kneser-Ney


@settings(max_examples=60)
@given(TOKENS, st.lists(st.integers(0, 7), min_size=1, max_size=8), st.integers(1, 4))
def test_probabilities_are_those_of_the_definition(train, text, order):
    model = KneserNey(np.array(train), 8, order)
    got = model.probabilities(np.array(text))[-1]
    # At the text's beginning there is less history than the order asks for; from there on the two must agree.
    for t in range(order - 1, len(text)):
        assert got[t] == pytest.approx(by_definition(train, order, 8, text[:t], text[t]), rel=1e-12)


@settings(max_examples=60)
@given(TOKENS, st.lists(st.integers(0, 7), max_size=6), st.integers(1, 5))
def test_every_distribution_sums_to_one_after_any_history_even_one_never_seen(train, history, order):
    model = KneserNey(np.array(train), 8, order)
    distributions = next_token_distribution(model, history)
    assert distributions.shape == (order, 8)
    assert (distributions > 0).all()
    np.testing.assert_allclose(distributions.sum(axis=1), 1, rtol=1e-12)


def test_distributions_sum_to_one_where_all_four_discounts_are_in_use():
    rng = random.Random(1)
    train = [int(12 * rng.random() ** 3) for _ in range(3000)]  # a few tokens frequent, the others rare
    model = KneserNey(np.array(train), 14, 3)
    assert model.levels[1].preceded.remark is None and model.levels[2].occurring.remark is None
    for history in ([], [3], [3, 5], [13, 13], [0, 0, 0], [2, 11]):
        np.testing.assert_allclose(next_token_distribution(model, history).sum(axis=1), 1, rtol=1e-12)
    text = [rng.randrange(14) for _ in range(60)]
    got = model.probabilities(np.array(text))[-1]
    for t in range(2, 60):
        assert got[t] == pytest.approx(by_definition(train, 3, 14, text[:t], text[t]), rel=1e-12)


# a b a c a b, worked by hand. Pairs: ab twice; ba, ac, ca once: three seen once, one seen twice, none more often, so
# 3 / (3 + 2) = .6 is taken from each. Before a stand b and c, before b only a, before c only a: counts 2, 1, 1 of 4,
# from which 2 / (2 + 2) = .5 each is taken: 1.5 / 4, shared among three tokens.
A, B, C = 0, 1, 2
WORKED = np.array([A, B, A, C, A, B])
SHORT = {A: 1.5 / 4 + 1.5 / 4 / 3, B: 0.5 / 4 + 1.5 / 4 / 3, C: 0.5 / 4 + 1.5 / 4 / 3}  # .5 .25 .25
AFTER_A = {A: 0.4 * 0.5, B: 1.4 / 3 + 0.4 * 0.25, C: 0.4 / 3 + 0.4 * 0.25}  # a is followed 3 times, by 2 kinds


def test_the_case_worked_by_hand():
    model = KneserNey(WORKED, 3, order=2)
    assert model.remarks() == [
        "1-grams, as they occur: absolute discounting, 0.333 from every count",  # 3, 2, 1: one once, one twice
        "2-grams, as they occur: absolute discounting, 0.600 from every count",
        "1-grams, by what precedes: absolute discounting, 0.500 from every count",
    ]
    got = next_token_distribution(model, [A])
    np.testing.assert_allclose(got[1], [AFTER_A[A], AFTER_A[B], AFTER_A[C]], rtol=1e-12)
    np.testing.assert_allclose(got[1].sum(), 1, rtol=1e-12)
    # b is followed by a alone, once: 0.4 for a, and 0.6 of the shorter context.
    np.testing.assert_allclose(next_token_distribution(model, [B])[1], [0.4 + 0.6 * 0.5, 0.15, 0.15], rtol=1e-12)


def test_shorter_contexts_counted_as_they_occur_would_not_give_the_case_worked_by_hand(monkeypatch):
    monkeypatch.setattr(Level, "count_preceding", lambda self, ends: setattr(self, "preceded", self.occurring))
    got = next_token_distribution(KneserNey(WORKED, 3, order=2), [A])[1]
    assert abs(got[B] - AFTER_A[B]) > 0.01


def test_francisco_is_unlikely_where_san_is_not_before_it():
    """Frequent after one word only, against less frequent after many: the point of counting what precedes."""
    san, francisco, glass, others = 0, 1, 2, [3, 4, 5, 6, 7, 8]
    train = [san, francisco] * 20 + [token for other in others for token in (other, glass, san)]
    assert train.count(francisco) > train.count(glass)
    after_unseen = next_token_distribution(KneserNey(np.array(train), 10, 2), [9])[1]
    assert after_unseen[francisco] < after_unseen[glass]


def test_one_pass_gives_the_models_of_every_order():
    rng = np.random.default_rng(0)
    train, text = rng.integers(0, 12, 4000), rng.integers(0, 12, 300)
    together = KneserNey(train, 12, 5).probabilities(text)
    for order in range(1, 6):
        np.testing.assert_array_equal(together[order - 1], KneserNey(train, 12, order).probabilities(text)[-1])


def test_ids_of_a_huge_vocabulary_do_not_overflow():
    """Five ids below 10 million packed side by side would need 116 bits."""
    vocab_size = 10_000_000
    rng = random.Random(2)
    train = [rng.choice([0, 1, 9_999_998, 9_999_999]) for _ in range(200)]
    text = [rng.choice([0, 1, 5, 9_999_999]) for _ in range(12)]
    got = KneserNey(np.array(train), vocab_size, 5).probabilities(np.array(text))[-1]
    for t in range(4, 12):
        assert got[t] == pytest.approx(by_definition(train, 5, vocab_size, text[:t], text[t]), rel=1e-12)


def test_no_order_beats_chance_on_noise():
    rng = np.random.default_rng(3)
    train, fresh = rng.integers(0, 8, 50_000), rng.integers(0, 8, 20_000)
    result = score(train, fresh, 8, order=6)
    for row in result.orders:
        assert row.loss > math.log(8) - 0.01


# ---------------------------------------------------------------------------------------------------------- discounts


def test_discounts_are_chen_and_goodmans():
    counts = np.array([1] * 10 + [2] * 5 + [3] * 3 + [4] * 2 + [9])
    discounts, remark = estimate_discounts(counts)
    # Y = 10 / (10 + 2 * 5) = 1/2; 1 - 2 Y 5/10; 2 - 3 Y 3/5; 3 - 4 Y 2/3
    np.testing.assert_allclose(discounts, [0, 0.5, 1.1, 5 / 3])
    assert remark is None


@pytest.mark.parametrize(
    ("counts", "discount"),
    [
        ([1] * 6 + [2] * 3 + [3], 0.5),  # none seen four times
        ([1] * 6 + [2] + [3] * 9 + [4], 6 / 8),  # the second would be 2 - 3 * 6/8 * 9 < 0
        ([1] * 1 + [2] * 1 + [3] * 1 + [4] * 3, 1 / 3),  # the third would be 3 - 4 * 1/3 * 3 < 0
        ([5, 7], 0.5),  # nothing seen once
        ([1, 1, 1], 0.5),  # nothing seen twice
        ([], 0.5),
    ],
)
def test_where_a_discount_fails_the_same_is_taken_from_all_and_it_is_said(counts, discount):
    discounts, remark = estimate_discounts(np.array(counts, dtype=np.int64))
    np.testing.assert_allclose(discounts, [0, discount, discount, discount])
    assert "absolute discounting" in remark


# -------------------------------------------------------------------------------------------------------------- score


def test_every_token_but_the_first_is_scored_once():
    train, validation = [0, 1, 2, 1] * 20, [2, 1, 0, 0, 1]
    result = score(train, validation, 3, order=3, characters=8)
    for n, row in enumerate(result.orders, start=1):
        probabilities = KneserNey(np.array(train), 3, n).probabilities(np.array(validation))[-1]
        assert row.count == 4
        assert row.nats == pytest.approx(-sum(math.log(p) for p in probabilities[1:]))
        assert row.bits_per_character == pytest.approx(row.nats / math.log(2) / 8)
    assert result.orders[result.best_order - 1] is min(result.orders, key=lambda row: row.nats)


def test_ids_may_be_lists_arrays_or_tensors():
    import torch

    ids = [0, 1, 2, 1] * 20
    expected = score(ids, ids, 3, order=2)
    assert score(np.array(ids), np.array(ids), 3, 2) == score(torch.tensor(ids), torch.tensor(ids), 3, 2) == expected


@pytest.mark.parametrize(
    ("train", "validation", "order"), [([0] * 30, [0] * 9, 0), ([0] * 9, [0] * 9, 1), ([0] * 30, [0], 1)]
)
def test_too_little_to_count_is_a_users_mistake(train, validation, order):
    with pytest.raises(UserError):
        score(train, validation, 3, order)


# ------------------------------------------------------------------------------------------------------------ command


@pytest.fixture
def corpus_file(tmp_path):
    rng = random.Random(6)
    words = ["to", "be", "or", "not,", "what", "is", "it?"]
    speech = "ROMEO:\n" + "\n".join(" ".join(rng.choices(words, k=8)) for _ in range(200))
    path = tmp_path / "text.txt"
    path.write_text(speech, encoding="utf-8")
    return path


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["ngram", *map(str, arguments)])
    ngram.main()


@pytest.mark.parametrize("name", ["word", "char", "bpe"])
def test_the_command_prints_a_table_and_writes_the_same_numbers(monkeypatch, capsys, corpus_file, tmp_path, name):
    target = tmp_path / "rung0.json"
    run(monkeypatch, "--data", corpus_file, "--tokenizer", name, "--order", 3, "--json", target)
    saved = json.loads(target.read_text(encoding="utf-8"))
    lines = capsys.readouterr().out.split("\n")
    assert len(saved["orders"]) == 3
    for n, row in enumerate(saved["orders"], start=1):
        line = next(line for line in lines if line.split()[:1] == [str(n)])
        assert float(line.split()[1]) == pytest.approx(row["nats"], abs=1e-4)
        assert row["perplexity"] == pytest.approx(math.exp(row["nats"]))
        assert line.endswith("best") == (n == saved["best_order"])
        assert (row["bits_per_character"] is None) == (name == "word")
    assert str(tmp_path) not in target.read_text(encoding="utf-8")
    assert saved["corpus"]["name"] == "text.txt" and saved["tokenizer"] == name


def test_bits_per_character_of_characters_are_nats_over_ln_2(monkeypatch, corpus_file, tmp_path):
    target = tmp_path / "rung0.json"
    run(monkeypatch, "--data", corpus_file, "--tokenizer", "char", "--order", 2, "--json", target)
    for row in json.loads(target.read_text(encoding="utf-8"))["orders"]:
        assert row["bits_per_character"] == pytest.approx(row["nats"] / math.log(2))


def test_flags_may_be_spelled_with_underscores(monkeypatch, capsys, corpus_file):
    run(monkeypatch, "--data", corpus_file, "--vocab_size", 9, "--order", 1)
    assert "vocabulary 9" in capsys.readouterr().out


def test_an_unwritable_result_is_a_users_mistake(monkeypatch, corpus_file, tmp_path):
    (tmp_path / "nowhere").write_text("a file, and no folder", encoding="utf-8")
    with pytest.raises(UserError, match="cannot write"):
        run(monkeypatch, "--data", corpus_file, "--order", 1, "--json", tmp_path / "nowhere" / "x.json")
