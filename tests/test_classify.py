"""The lab on comedy, history and tragedy: what reaches the model, what it may depend on, and its commands."""

import hashlib
import json
import math
import os
import random
import re
import shlex
import subprocess
import sys
import warnings
from itertools import combinations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from terminal import copy_folder, typed
from torch import nn

from shared.measure.faithfulness import rank_correlation
from shared.model.attention import MultiHeadAttention
from shared.results.labs import load_lab_results
from shared.stages import ROOT, load_folder

LAB = "model-04-mini-transformer/lab-classify"
MODULES = ("data", "model", "encoders", "folds", "explain", "pictures", "baselines", "train", "classify")
PNG = b"\x89PNG\r\n\x1a\n"


lab = load_folder(ROOT / LAB, MODULES)
Passage = lab.data.Passage


@pytest.fixture(scope="module")
def passages():
    return lab.data.read_passages()


# ---------------------------------------------------------------------------------------------------------- the data


def test_a_passage_is_200_words_of_one_play_in_their_order(passages):
    words = {}
    for passage in passages:
        own = [token for token in passage.tokens if token[0].isalnum()]
        assert len(own) == 200
        words.setdefault(passage.play, []).extend(own)
    for title, (genre, text) in lab.data.read_plays().items():
        kept = re.sub(r"(?m)^[^a-z\n]*:$", " ", text).lower()
        expected = re.findall(r"[^\W_]+(?:['-][^\W_]+)*", kept)
        assert words[title] == expected[: len(words[title])]
        assert 0 < len(expected) - len(words[title]) <= 200
        assert {passage.genre for passage in passages if passage.play == title} == {genre}


def test_no_speakers_name_is_left_over_a_speech():
    for _, text in lab.data.read_plays().values():
        speakers = {line for line in text.splitlines() if line.isupper() and line.endswith(":")}
        assert len(speakers) > 10
        assert not speakers & set(lab.data.without_speakers(text).splitlines())


@pytest.fixture(scope="module")
def named_passages():
    return lab.data.read_passages(speakers=True)


@pytest.mark.claims
def test_with_speakers_the_names_are_there_to_leak(passages, named_passages):
    unnamed, named = (sum(passage.tokens.count("horatio") for passage in kind) for kind in (passages, named_passages))
    assert named > 3 * unnamed > 0


@pytest.mark.claims
def test_there_are_37_plays_and_no_poem(passages):
    plays = {passage.play: passage.genre for passage in passages}
    assert len(plays) == 37 and "Sonnets" not in plays
    assert [list(plays.values()).count(genre) for genre in range(3)] == [15, 10, 12]


def test_folds_share_no_play_and_each_has_all_three_genres(passages):
    folds = lab.data.folds_by_play(passages)
    inside = [{(p.play, p.genre) for p, fold in zip(passages, folds) if fold == number} for number in range(6)]
    assert all(not one & other for one, other in combinations(inside, 2))
    assert all({genre for _, genre in fold} == {0, 1, 2} for fold in inside)
    assert {len(fold) for fold in inside} == {6, 7}


def test_random_folds_do_share_plays(passages):
    folds = lab.data.folds_at_random(passages)
    inside = [{p.play for p, fold in zip(passages, folds) if fold == number} for number in range(6)]
    assert all(one & other for one, other in combinations(inside, 2))


def test_passages_and_folds_are_the_same_in_every_process(passages):
    """Sets of words come in another order wherever words hash differently: no fold may depend on it."""
    code = (
        "import sys; sys.path[:0] = ['.', '../..']\n"
        "import data, hashlib\n"
        "passages = data.read_passages()\n"
        "told = repr((passages, data.folds_by_play(passages), data.folds_at_random(passages)))\n"
        "print(hashlib.sha256(told.encode()).hexdigest())"
    )
    other_seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    elsewhere = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / LAB, capture_output=True, check=True, encoding="utf-8",
        env=os.environ | {"PYTHONHASHSEED": other_seed},
    )  # fmt: skip
    told = repr((passages, lab.data.folds_by_play(passages), lab.data.folds_at_random(passages)))
    assert elsewhere.stdout.strip() == hashlib.sha256(told.encode()).hexdigest()


@pytest.mark.parametrize("split", ["play", "random"])
@pytest.mark.parametrize("inner", [False, True])
def test_every_passage_is_asked_about_once_and_never_by_a_model_that_trained_on_it(split, inner):
    few = [Passage(f"play {index % 12}", index % 3, (f"word{index}", "same")) for index in range(72)]
    dealt = lab.data.SPLITS[split](few)
    asked = []
    for number in range(1, 7):
        fold = lab.train.make_fold(number, few, dealt, {"inner": inner, "embedding": "learned"})
        asked += fold.held_out
        assert len(fold.train) + len(fold.held_out) == (60 if inner else 72)
        assert len(fold.train) == sum(passage.play not in fold.unread for passage in few) or split == "random"
        reported = {p.play for p, at in zip(few, dealt) if at == number - 1}
        known = {p.play for p in few if any(piece in fold.encoder.ids for piece in p.tokens[:1])}
        if split == "play":
            assert not known & (reported | {p.play for p in fold.held_out})
    assert sorted(p.tokens for p in asked) == sorted(p.tokens for p in few)


# ------------------------------------------------------------------------------------------------------ naive Bayes


def test_naive_bayes_is_what_one_works_out_by_hand():
    # Comedy has "love love joke" in two passages, tragedy "death" in one: V = 3, priors 2/3 and 1/3.
    few = [Passage("a", 0, ("love", "love")), Passage("b", 0, ("joke",)), Passage("c", 2, ("death",))]
    bayes = lab.baselines.NaiveBayes(few)
    comedy, history, tragedy = bayes.scores(["love", "death", "unheard"])
    assert comedy == pytest.approx(math.log(2 / 3 * 3 / 6 * 1 / 6))
    assert tragedy == pytest.approx(math.log(1 / 3 * 1 / 4 * 2 / 4))
    assert history == -math.inf
    assert bayes.classify(["love"]) == 0 and bayes.classify(["death", "death"]) == 2


def test_the_largest_class_is_the_training_parts():
    few = [Passage("a", 1, ("x",)), Passage("b", 1, ("x",)), Passage("c", 2, ("x",))]
    assert lab.baselines.LargestClass(few).classify(("anything",)) == 1


def test_accuracy_counts_passages_and_its_mean_counts_folds():
    scores = lab.baselines.accuracies([[True, True, True], [False]])
    assert scores["accuracy"] == pytest.approx(0.75) and scores["mean of folds"] == pytest.approx(0.5)


@pytest.mark.claims
def test_names_over_speeches_make_a_random_split_look_easy(passages, named_passages):
    """The trap that the lab is about, on a third of the plays."""
    named, unnamed = (
        [passage for passage in kind if sum(map(ord, passage.play)) % 3 == 0] for kind in (named_passages, passages)
    )
    accuracy = {}
    for split, deal in lab.data.SPLITS.items():
        for kind, chosen in (("named", named), ("unnamed", unnamed)):
            right = lab.baselines.cross_validate(lab.baselines.NaiveBayes, chosen, deal(chosen))
            accuracy[split, kind] = lab.baselines.accuracies(right)["accuracy"]
    assert accuracy["random", "named"] > 0.9
    assert accuracy["random", "unnamed"] > accuracy["play", "unnamed"] + 0.1


# --------------------------------------------------------------------------------------------------------- encoders


def test_pieces_are_all_runs_of_five_letters_of_the_marked_word():
    for word in ("a", "the", "king", "murder", "ne'er-do-well"):
        marked = f"<{word}>"
        assert "".join(piece[0] for piece in lab.encoders.pieces(word)) == marked[: max(1, len(marked) - 4)]
        assert all(piece in marked for piece in lab.encoders.pieces(word))


def test_log_odds_are_those_of_the_formula():
    counts = torch.tensor([[3.0, 1.0, 0.0], [2.0, 6.0, 0.0]], dtype=torch.float64)
    totals, mean_total = [4, 8], 6
    p = [[(counts[c, g].item() + totals[c] / mean_total) / totals[c] for g in range(3)] for c in range(2)]
    expected = [[math.log(p[c][g]) - (math.log(p[0][g]) + math.log(p[1][g])) / 2 for c in range(2)] for g in range(3)]
    torch.testing.assert_close(lab.encoders.log_odds(counts), torch.tensor(expected, dtype=torch.float64))


def some_passages(count=12, seed=0):
    """Made-up passages of four plays a genre, each genre with a leaning to words of its own."""
    generator = random.Random(seed)
    made = []
    for index in range(count):
        genre = index % 3
        words = [generator.choice(("love", "king", "death", "the", "of", "sword", "jest")) for _ in range(20)]
        words += [("loving", "kingdom", "deathly")[genre]] * 3
        made.append(Passage(f"play {index % 6}", genre, tuple(words)))
    return made


def test_a_words_evidence_is_the_sum_of_its_pieces_log_odds():
    encoder = lab.encoders.CountedWords.train(some_passages())
    vectors = encoder.encode(["loving", "sword", "zzzzz", "loving"])
    for word, vector in zip(["loving", "sword"], vectors):
        expected = sum(encoder.table[encoder.piece_ids[piece]] for piece in lab.encoders.pieces(word))
        torch.testing.assert_close(vector, expected)
    assert not vectors[2].any()
    assert torch.equal(vectors[0], vectors[3])
    assert vectors[0].argmax() == 0


def test_a_training_passages_evidence_is_that_of_the_other_plays():
    few = some_passages()
    examples = lab.encoders.CountedWords.train(few).examples(few)
    by_play = sorted(few, key=lambda passage: list(dict.fromkeys(p.play for p in few)).index(passage.play))
    assert len(examples) == len(few)
    for passage, (vectors, genre) in zip(by_play, examples):
        others = lab.encoders.CountedWords.train([p for p in few if p.play != passage.play])
        torch.testing.assert_close(vectors, others.encode(passage.tokens), atol=1e-5, rtol=0)
        assert genre == passage.genre


def test_a_word_that_only_one_play_has_is_unknown_to_the_learned_vocabulary():
    few = [Passage("a", 0, ("both", "alone")), Passage("b", 1, ("both",)), Passage("b", 1, ("twice", "twice"))]
    encoder = lab.encoders.LearnedWords.train(few)
    assert encoder.encode(["both", "alone", "twice", "never"]).tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize("name", ["counted", "learned"])
def test_an_encoder_survives_its_checkpoint(name, tmp_path):
    encoder = lab.encoders.ENCODERS[name].train(some_passages())
    torch.save(encoder.to_dict(), tmp_path / "encoder.pt")
    again = lab.encoders.ENCODERS[name].from_dict(torch.load(tmp_path / "encoder.pt", weights_only=True))
    tokens = ["love", "deathly", "unheard", "swordsman"]
    assert torch.equal(encoder.encode(tokens), again.encode(tokens))


# -------------------------------------------------------------------------------------------------------- the model


def build(kind="counted", num_blocks=2, seed=0, **settings):
    """A small model in float64, in eval mode, in which every part matters."""
    torch.manual_seed(seed)
    vocab = {"vocab_size": 11} if kind == "learned" else {}
    settings = dict(hidden_size=8, num_heads=2, num_blocks=num_blocks) | settings
    model = lab.model.Classifier(**settings, **vocab).double()
    with torch.no_grad():
        model.output.weight.normal_()
        model.position_size.fill_(1.0)
    return model.eval()


def random_words(kind, *shape, seed=1):
    generator = torch.Generator().manual_seed(seed)
    if kind == "learned":
        return torch.randint(11, shape, generator=generator)
    return torch.randn(*shape, 3, generator=generator, dtype=torch.float64)


def depends_on_padding(model, kind) -> float:
    """How much the answers change when texts are asked side by side, with padding of any content, and not alone."""
    lengths = torch.tensor([5, 9, 1, 7, 9])
    words = random_words(kind, 5, 9)
    alone = torch.cat([model(words[i : i + 1, :n], torch.tensor([n]))[0] for i, n in enumerate(lengths.tolist())])
    noise = random_words(kind, 5, 13, seed=2)
    padded = torch.cat([words, noise[:, 9:]], dim=1)
    for row, length in enumerate(lengths.tolist()):
        padded[row, length:] = noise[row, length:]
    together, _ = model(padded, lengths)
    return (together - alone).abs().max().item()


KINDS = pytest.mark.parametrize("kind", ["counted", "learned"])


@KINDS
@pytest.mark.parametrize("num_blocks", [0, 1, 3])
def test_an_answer_depends_neither_on_its_batch_mates_nor_on_padding(kind, num_blocks):
    assert depends_on_padding(build(kind, num_blocks), kind) < 1e-12


@KINDS
def test_a_model_that_attends_to_padding_or_averages_over_it_is_caught(kind, monkeypatch):
    model = build(kind)
    monkeypatch.setattr(lab.model, "masked_mean", lambda x, lengths: x.mean(1))
    assert depends_on_padding(model, kind) > 1e-3
    monkeypatch.undo()
    for block in model.blocks:
        forward = block.attention.forward
        monkeypatch.setattr(block.attention, "forward", lambda q, k, v, mask, f=forward: f(q, k, v, None))
    assert depends_on_padding(model, kind) > 1e-3


@KINDS
def test_a_batch_as_large_as_its_texts_are_long_mixes_nothing(kind):
    """A mask of the wrong rank would be taken for (B, T) here without an error."""
    model, words, lengths = build(kind), random_words(kind, 6, 6), torch.tensor([1, 2, 3, 4, 5, 6])
    alone = torch.cat([model(words[i : i + 1, : i + 1], lengths[i : i + 1])[0] for i in range(6)])
    torch.testing.assert_close(model(words, lengths)[0], alone, atol=1e-12, rtol=0)


@KINDS
def test_attention_gives_padding_nothing_and_each_real_word_a_sum_of_one(kind):
    lengths = torch.tensor([3, 8])
    _, weights = build(kind)(random_words(kind, 2, 8), lengths, return_attention=True)
    assert weights.shape == (2, 2, 2, 8, 8)
    assert not weights[0, ..., 3:].any()
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 2, 2, 8, dtype=torch.float64))


@KINDS
def test_asking_for_attention_changes_no_answer(kind):
    model, words, lengths = build(kind), random_words(kind, 2, 8), torch.tensor([3, 8])
    silent, nothing = model(words, lengths)
    told, _ = model(words, lengths, return_attention=True)
    assert nothing is None
    torch.testing.assert_close(silent, told, atol=1e-12, rtol=0)


@KINDS
def test_a_text_may_be_far_longer_than_any_in_training(kind):
    model, words = build(kind), random_words(kind, 1, 2000)
    logits, _ = model(words, torch.tensor([2000]))
    assert torch.isfinite(logits).all()
    earlier, _ = model(words[:, :1999], torch.tensor([1999]))
    assert (logits - earlier).abs().max() > 0  # the last word counts too


def test_a_text_without_words_gets_the_bias_and_no_nan():
    model = build()
    logits, _ = model(torch.zeros(2, 4, 3, dtype=torch.float64), torch.tensor([0, 4]))
    torch.testing.assert_close(logits[0], model.output.bias)
    assert torch.isfinite(logits).all()


def test_the_order_of_words_matters_by_their_positions_alone():
    model, words, lengths = build(), random_words("counted", 1, 9), torch.tensor([9])
    turned = words.flip(1)
    assert (model(words, lengths)[0] - model(turned, lengths)[0]).abs().max() > 1e-6
    with torch.no_grad():
        model.position_size.zero_()
    torch.testing.assert_close(model(words, lengths)[0], model(turned, lengths)[0])


def test_positions_are_the_paper_s_formula():
    table = lab.model.sinusoids(7, 6)
    for place in range(7):
        for pair in range(3):
            angle = place / 10000 ** (2 * pair / 6)
            assert table[place, 2 * pair].item() == pytest.approx(math.sin(angle), abs=1e-6)
            assert table[place, 2 * pair + 1].item() == pytest.approx(math.cos(angle), abs=1e-6)


def test_a_block_is_what_torchs_own_parts_compute():
    torch.manual_seed(0)
    block = lab.model.Block(8, 2, 0.0).double().eval()
    reference = nn.MultiheadAttention(8, 2, bias=False, batch_first=True).double().eval()
    with torch.no_grad():
        own: MultiHeadAttention = block.attention
        reference.in_proj_weight.copy_(torch.cat([own.query.weight, own.key.weight, own.value.weight]))
        reference.out_proj.weight.copy_(own.output.weight)
    x, lengths = torch.randn(3, 5, 8, dtype=torch.float64), torch.tensor([5, 2, 4])
    padding = torch.arange(5) >= lengths[:, None]
    normed = F.layer_norm(x, (8,), block.norm.weight, block.norm.bias)
    expected = x + reference(normed, normed, normed, key_padding_mask=padding)[0]
    result, _ = block(x, ~padding[:, None])
    torch.testing.assert_close(result, expected, atol=1e-12, rtol=0)


def test_at_the_start_the_counted_model_answers_as_the_sum_of_evidence_does():
    model = lab.model.Classifier().eval()
    words, lengths = random_words("counted", 20, 9).float(), torch.full((20,), 9)
    with torch.no_grad():
        model.output.bias.zero_()
    assert torch.equal(model(words, lengths)[0].argmax(-1), words.sum(1).argmax(-1))


def test_predict_sorts_by_length_and_answers_in_the_order_asked():
    model = build(num_blocks=1).float()
    examples = [(random_words("counted", n, seed=n).float(), 0) for n in (7, 2, 9, 4, 4)]
    expected = torch.cat([model(words[None], torch.tensor([len(words)]))[0].log_softmax(-1) for words, _ in examples])
    torch.testing.assert_close(lab.train.predict(model, examples, "cpu", batch_size=2), expected)


# ------------------------------------------------------------------------------------------- attention and gradient


def test_gradient_times_input_is_what_finite_differences_say():
    model, words, lengths = build(), random_words("counted", 2, 6), torch.tensor([6, 4])
    log_p, _, gradient = lab.explain.explain(model, words, lengths)
    answers, step = log_p.argmax(-1), 1e-6
    for row, length in enumerate([6, 4]):
        for place in range(length):
            sides = []
            for sign in (1, -1):
                moved = words.clone()
                moved[row, place] *= 1 + sign * step  # along the embedding itself
                sides.append(model(moved, lengths)[0].log_softmax(-1)[row, answers[row]].item())
            assert gradient[row, place].item() == pytest.approx((sides[0] - sides[1]) / (2 * step), abs=1e-6)
    assert not gradient[1, 4:].any()


def test_attention_received_is_the_mean_over_layers_heads_and_real_words():
    model, words, lengths = build(), random_words("learned", 2, 6), torch.tensor([6, 4])
    model = build("learned")
    _, weights = model(words, lengths, return_attention=True)
    _, received, _ = lab.explain.explain(model, words, lengths)
    for row, length in enumerate([6, 4]):
        for place in range(6):
            looks = [weights[row, l, h, q, place].item() for l in range(2) for h in range(2) for q in range(length)]
            assert received[row, place].item() == pytest.approx(np.mean(looks), abs=1e-12)
    torch.testing.assert_close(received.sum(-1), torch.ones(2, dtype=torch.float64))


def test_explaining_leaves_the_model_as_it_was():
    model = build().train()
    lab.explain.explain(model, random_words("counted", 1, 5), torch.tensor([5]))
    assert model.training and all(parameter.grad is None for parameter in model.parameters())


def test_rank_correlation_is_spearmans():
    generator = np.random.default_rng(0)
    first, second = generator.permutation(20), generator.permutation(20)
    expected = 1 - 6 * ((first - second) ** 2).sum() / (20 * (20**2 - 1))  # the textbook's formula, without ties
    first, second = torch.tensor(first), torch.tensor(second)
    assert rank_correlation((first / 9).exp(), second**3) == pytest.approx(expected)
    assert rank_correlation(torch.ones(3), torch.arange(3)) is None


# ------------------------------------------------------------------------------------------------------- pictures


def test_every_word_is_drawn_twice_where_it_belongs():
    words = ["to", "be", ",", "or", "not", "x" * 80] * 9
    figure = lab.pictures.marked_words_figure(words, np.full(54, 1 / 54), np.linspace(-1, 1, 54), "title", "caption")
    for axes in figure.axes[:2]:
        assert [text.get_text() for text in axes.texts] == words
    places = lab.pictures.lay_out(words)
    assert places == sorted(set(places))
    width = lab.pictures.LINE_LENGTH  # a word that is longer has a line of its own
    assert all(column + len(word) <= max(width, len(word)) for (_, column), word in zip(places, words))


def test_words_of_every_script_are_drawn_beside_each_other_and_never_as_boxes():
    words = ["中文", "a", "\ue000", "b"]  # two signs of full width; one that no font has
    places = lab.pictures.lay_out(words)
    assert [column for _, column in places][:2] == [0, 5]
    figure = lab.pictures.marked_words_figure(
        words, np.full(4, 1 / 4), np.linspace(-1, 1, 4), "title \ue000", "caption"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib warns of a box
        figure.canvas.draw()
    assert figure.axes[0].texts[2].get_text() == "U+E000" and figure.get_suptitle() == "title U+E000"


def test_the_picture_of_plays_holds_their_shares():
    plays = {"Hamlet": (2, [1, 1, 2]), "Twelfth Night": (0, [3, 0, 1])}
    axes = lab.pictures.plays_figure(plays, lab.data.GENRES, "title").axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["Twelfth Night (C)", "Hamlet (T)"]
    assert [bar.get_width() for bar in axes.patches] == [0.75, 0.25, 0, 0.25, 0.25, 0.5]


def test_the_confusion_matrix_sums_the_plays_of_a_genre():
    plays = {"a": (0, [3, 1, 0]), "b": (0, [3, 1, 0]), "c": (2, [0, 0, 5])}
    axes = lab.pictures.confusion_figure(plays, lab.data.GENRES, "title").axes[0]
    np.testing.assert_allclose(axes.images[0].get_array(), [[0.75, 0.25, 0], [0, 0, 0], [0, 0, 1]])


# --------------------------------------------------------------------------------------------------------- commands

TINY = "--max-steps 4 --eval-interval 2 --batch-size 4 --hidden-size 8 --device cpu"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The lab in a copy of the course that has short plays."""
    root = tmp_path_factory.mktemp("course")
    for name in (LAB, "shared"):
        copy_folder(name, root)
    (root / "data").mkdir()
    text, rows = "", ["title,genre,year,split,start,end"]
    for title, (genre, play) in lab.data.read_plays().items():
        rows.append(f'"{title}",{lab.data.GENRES[genre]},1600,train,{len(text)},{len(text) + 6000}')
        text += play[:6000]
    (root / "data" / "shakespeare.txt").write_text(text, encoding="utf-8", newline="\n")
    (root / "data" / "works.csv").write_text("\n".join(rows) + "\n", encoding="utf-8", newline="\n")
    return root / LAB


@pytest.fixture(scope="module")
def trained(folder):
    return typed(folder, f"python train.py {TINY}").out


def test_training_scores_every_play_by_a_model_that_has_not_read_it(folder, trained):
    summary = json.loads((folder / "checkpoints" / "summary.json").read_text(encoding="utf-8"))
    assert len(summary["plays"]) == 37 and len(summary["folds"]) == 6
    right = sum(called[genre_of(title)] for title, called in summary["plays"].items())
    passages = sum(sum(called.values()) for called in summary["plays"].values())
    assert summary["scores"]["accuracy"] == pytest.approx(right / passages)
    assert summary["scores"]["mean of folds"] == pytest.approx(np.mean(summary["folds"]))
    assert trained.count("accuracy") == 7
    for name in ("confusion.png", "plays.png", "learning_curve.png"):
        assert (folder / "checkpoints" / name).read_bytes().startswith(PNG)


def genre_of(title):
    return lab.data.GENRES[lab.data.read_plays()[title][0]]


STOPPED = """
import train

draw, steps = train.draw, []


def draw_and_fail(*given):
    steps.append(given)
    if len(steps) == 4:
        raise SystemExit(1)  # after step 3, and what was kept last is step 2
    return draw(*given)


train.draw = draw_and_fail
train.main()
"""


def test_a_resumed_training_ends_where_the_whole_one_does(folder, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    line = "python train.py --fold 2 --eval-interval 2 --batch-size 4 --hidden-size 8 --device cpu --dropout 0.5"
    typed(folder, f"{line} --max-steps 4 --out-dir {shlex.quote(whole.as_posix())}")
    (folder / "stopped.py").write_text(STOPPED, encoding="utf-8")
    stopped = line.replace("train.py", "stopped.py")
    typed(folder, f"{stopped} --max-steps 4 --out-dir {shlex.quote(parts.as_posix())}", code=1)
    assert torch.load(parts / "last.pt", weights_only=True)["progress"]["step"] == 2
    typed(folder, f"python train.py --resume --out-dir {shlex.quote(parts.as_posix())}")
    first, second = (torch.load(path / "last.pt", weights_only=True)["weights"] for path in (whole, parts))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_classify_cuts_a_long_text_and_gives_probabilities(folder, trained, tmp_path):
    (tmp_path / "text.txt").write_text("The king is dead, long live the king. " * 60, encoding="utf-8")
    shown = typed(folder, f"python classify.py {shlex.quote((tmp_path / 'text.txt').as_posix())}").out.splitlines()
    assert [line.split("  ")[0] for line in shown] == ["passage 1", "passage 2", "passage 3", "mean of 3 passages"]
    rows = np.array([[float(share) for share in re.findall(r"\d\.\d\d", line)] for line in shown])
    np.testing.assert_allclose(rows.sum(1), 1, atol=0.011)
    np.testing.assert_allclose(rows[:3].mean(0), rows[3], atol=0.011)


def test_a_scrap_at_the_end_does_not_count_as_a_passage(folder, trained):
    shown = typed(folder, "python classify.py", stdin="The king is dead. " * 50 + "Long live the king!")
    assert [line.split("  ")[0] for line in shown.out.splitlines()] == ["passage 1"]
    assert "little to go by" not in shown.err


def test_after_a_split_by_chance_every_model_has_read_some_of_every_play(folder, tmp_path):
    small = "--fold 1 --max-steps 2 --batch-size 4 --hidden-size 8 --device cpu"
    typed(folder, f"python train.py --split random {small} --out-dir {shlex.quote(tmp_path.as_posix())}")
    asked = f"python classify.py --play Hamlet --checkpoint {shlex.quote((tmp_path / 'last.pt').as_posix())}"
    assert "the model of fold 1 has read Hamlet" in typed(folder, asked).err


def test_classify_reads_standard_input_and_ignores_speakers(folder, trained):
    plain = typed(folder, "python classify.py", stdin="Good morrow, cousin.\nIs the day so young?\n").out
    spoken = "BENVOLIO:\nGood morrow, cousin.\n\nROMEO:\nIs the day so young?\n"
    assert typed(folder, "python classify.py", stdin=spoken).out == plain


def test_a_bundled_play_is_classified_by_the_model_that_held_it_out(folder, trained):
    saved = torch.load(folder / "checkpoints" / "last.pt", weights_only=True)
    for index, fold in enumerate(saved["folds"]):
        assert lab.classify.choose_fold(saved, None, fold["plays"][0]) == index
    assert "has read" not in typed(folder, "python classify.py --play Hamlet").err
    number = next(fold["number"] for fold in saved["folds"] if "Hamlet" not in fold["plays"])
    assert "has read Hamlet" in typed(folder, f"python classify.py --play Hamlet --fold {number}").err


def test_visualize_draws_a_passage_and_says_how_far_the_two_agree(folder, trained, tmp_path):
    path = shlex.quote((tmp_path / "marked.png").as_posix())
    shown = typed(folder, f"python classify.py --play Hamlet --passage 2 --visualize {path}").err
    assert re.search(r"rank correlation of -?[01]\.\d\d", shown)
    assert (tmp_path / "marked.png").read_bytes().startswith(PNG)


@pytest.mark.parametrize(
    "program, flags, said",
    [
        ("classify", "nowhere.txt", "no file"),
        ("classify", "--text ''", "no words"),
        ("classify", "--text '... !'", "no words"),
        ("classify", "--play Faust", "there is no play 'Faust'"),
        ("classify", "--text hello --fold 9", "no fold 9"),
        ("classify", "--text hello --passage 7 --visualize", "1 passages"),
        ("classify", "--text hello --visualize marked.bmp", "marked.bmp"),
        ("classify", "--text hello --play Hamlet", "not allowed"),
        ("train", "--fold 1 --hidden-size 9", "there is no such model"),
        ("train", "--fold 7", "at most 6"),
        ("train", "--split thirds", "invalid choice"),
    ],
)
def test_a_mistake_is_one_line(folder, trained, program, flags, said):
    shown = typed(folder, f"python {program}.py {flags}", code=2).err
    lines = [line for line in shown.splitlines() if not line.startswith("so short a text")]
    assert len(lines) == 1 and said in lines[0]


def test_without_a_checkpoint_the_program_says_what_to_do(folder, trained):
    shown = typed(folder, "python classify.py --text hello --checkpoint no.pt", code=2).err.splitlines()
    assert len(shown) == 1 and "train first" in shown[0]


def test_a_model_without_attention_trains_and_has_nothing_to_draw(folder, tmp_path):
    out = shlex.quote((tmp_path / "run").as_posix())
    shown = typed(folder, f"python train.py {TINY} --fold 1 --num-blocks 0 --embedding learned --out-dir {out}").out
    assert "gradient" not in shown
    checkpoint = shlex.quote((tmp_path / "run" / "last.pt").as_posix())
    said = typed(folder, f"python classify.py --text hello --visualize --checkpoint {checkpoint}", code=2).err
    assert "no attention" in said


# ------------------------------------------------------------------------------- what the chapter says of its results


def kept_scores(table: str, row: str, name: str = "accuracy") -> list[float]:
    """One score of all kept results of a row."""
    results = load_lab_results(ROOT / LAB)
    return [result["scores"][name] for result in results if (result["table"], result["row"]) == (table, row)]


PLAY, RANDOM = lab.data.TABLES["play"], lab.data.TABLES["random"]
NETWORK, NO_ATTENTION = "counted embedding, self-attention", "counted embedding, no attention"
CHAPTER = (ROOT / LAB / "README.md").read_text(encoding="utf-8")


@pytest.mark.claims
def test_three_seeds_beat_naive_bayes_on_words_and_the_largest_class():
    seeds = kept_scores(PLAY, NETWORK)
    assert len(seeds) == 3
    assert min(seeds) > max(kept_scores(PLAY, "naive Bayes") + kept_scores(PLAY, "largest class"))


@pytest.mark.claims
def test_attention_adds_less_than_chance_could():
    with_it, without = (np.mean(kept_scores(PLAY, row)) for row in (NETWORK, NO_ATTENTION))
    assert abs(with_it - without) < math.sqrt(0.7 * 0.3 / 4000)  # a standard error, were all passages independent


@pytest.mark.claims
def test_a_table_learned_from_nothing_stays_below_counting():
    learned = kept_scores(PLAY, "learned embedding, self-attention")
    assert len(learned) == 3 and max(learned) < min(kept_scores(PLAY, "naive Bayes"))


@pytest.mark.claims
def test_a_random_split_pretends_much_and_with_names_nearly_everything():
    for row in (NETWORK, NO_ATTENTION, "naive Bayes"):
        assert min(kept_scores(RANDOM, row)) > max(kept_scores(PLAY, row)) + 0.1
    (named,) = kept_scores(RANDOM, "naive Bayes, speakers' names left in")
    assert named > 0.95


@pytest.mark.claims
def test_attention_and_gradient_hardly_agree():
    assert max(map(abs, kept_scores(PLAY, NETWORK, "attention ~ gradient"))) < 0.3


def share(score: float) -> str:
    """A share as the chapter writes it: .715."""
    return f"{score:.3f}".lstrip("0")


@pytest.mark.claims
def test_the_chapters_first_table_is_what_the_baselines_reach():
    told = {"names over speeches left in": "naive Bayes, speakers' names left in", "names taken out": "naive Bayes"}
    for line, row in told.items():
        scores = " | ".join(share(score) for table in (RANDOM, PLAY) for score in kept_scores(table, row))
        assert f"| {line} | {scores} |" in CHAPTER


@pytest.mark.claims
def test_the_chapters_precision_recall_and_f1_are_those_of_the_kept_seed_1():
    genres = {title: genre for title, (genre, _) in lab.data.read_plays().items()}
    result = next(r for r in load_lab_results(ROOT / LAB) if (r["table"], r["row"]) == (PLAY, NETWORK))
    confusion = np.zeros((3, 3))
    for play, taken_for in result["plays"].items():
        confusion[genres[play]] += [taken_for[genre] for genre in lab.data.GENRES]
    right, recall, precision = confusion.diagonal(), *(confusion.diagonal() / confusion.sum(axis) for axis in (1, 0))
    f1 = 2 * right / (confusion.sum(0) + confusion.sum(1))
    for told in (recall[0], precision[0], *f1, f1.mean(), right.sum() / confusion.sum()):
        assert share(told) in CHAPTER
