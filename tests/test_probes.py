"""Claims about the probes: who knows nothing answers half, who knows the answers all, and no question is unfair."""

import json
import math
from random import Random

import numpy as np
import pytest
import torch
from checkpoints import random_checkpoint
from options import HIDDEN_SIZE, MECHANISMS, OPTIONS, STAGE_1, STAGE_2, VOCAB_SIZE
from PIL import Image
from terminal import typed

from shared.measure.ngrams import KneserNey
from shared.probes import agreement, copying, dialogue, form
from shared.probes.asking import by_counting, by_model, margins
from shared.probes.catalogue import CHANCE, PROBES
from shared.probes.plays import Plays, find_speeches, lines, words_of
from shared.probes.questions import MOST, Question, crossed, encode, fair
from shared.probes.scores import clustered_error, seed_error, summary
from shared.probes.tables import example, notebook, printed
from shared.run.checkpoint import save_checkpoint
from shared.show.curves import probes_figure
from shared.stages import ROOT, model_class
from shared.text.corpus import load_corpus
from shared.text.tokenizer import train_tokenizer

NAMES = [probe.title for probe in PROBES]
CROSSED = [
    name for name in NAMES if not name.startswith(("copying: second", "copying: third", "form: the", "form: len"))
]


@pytest.fixture(scope="module")
def corpus():
    return load_corpus(at_blank_line=True)


@pytest.fixture(scope="module")
def tokenizer(corpus):
    return train_tokenizer("word", corpus.train)


@pytest.fixture(scope="module")
def plays(corpus, tokenizer):
    return Plays(words_of(f"{corpus.validation}\n{corpus.test}"), words_of(corpus.train), frozenset(tokenizer.words))


@pytest.fixture(scope="module")
def counts(corpus, tokenizer):
    return KneserNey(np.array(tokenizer.encode(corpus.train)), tokenizer.vocab_size, order=8)


@pytest.fixture(scope="module")
def asked(plays, tokenizer, counts):
    """The bundled plays' questions, by probe, as the command asks them."""
    return {probe.title: fair(probe.make(plays), plays.known, tokenizer, counts)[0] for probe in PROBES}


class Twin(torch.nn.Module):
    """A model whose scores are computed from the tokens by a plain function; it keeps the contract of next_logits."""

    def __init__(self, logits_of):
        super().__init__()
        self.embedding = torch.nn.Embedding(1, 1)
        self.logits_of = logits_of

    def next_logits(self, tokens, state):
        return torch.stack([self.logits_of(tuple(row)) for row in tokens.tolist()]), state


def score(questions, read):
    return summary([each.question for each in questions], margins(questions, read)[None])


# -------------------------------------------------------------------------------------------- a probe can fail and pass


@pytest.mark.parametrize("name", NAMES)
def test_a_uniform_model_scores_chance(asked, tokenizer, name):
    uniform = Twin(lambda tokens: torch.zeros(tokenizer.vocab_size))
    found = score(asked[name], by_model(uniform))
    assert abs(found["share"] - CHANCE) <= 2 * found["error"] + 1e-12
    assert found["nats"] == 0


@pytest.mark.parametrize("name", CROSSED)
def test_a_model_that_knows_frequencies_alone_scores_chance(asked, tokenizer, counts, name):
    """A frequent word is once right and once wrong."""
    frequencies = torch.from_numpy(counts.probabilities(np.arange(tokenizer.vocab_size))[0]).log()
    found = score(asked[name], by_model(Twin(lambda tokens: frequencies)))
    assert found["share"] == pytest.approx(CHANCE, abs=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_a_model_that_guesses_scores_chance(asked, name):
    """Log probabilities by lot: what it prefers has nothing to do with what is right."""
    chance = Random(3)
    found = score(asked[name], lambda wanted: {(c, a): chance.gauss(0, 1) for c in wanted for a in wanted[c]})
    assert abs(found["share"] - CHANCE) <= 3 * found["error"]


@pytest.mark.parametrize("name", NAMES)
def test_a_twin_that_sees_the_answers_scores_one_and_its_opposite_zero(asked, tokenizer, name):
    answers = {}
    for each in asked[name]:
        for context, answer in each.right:
            answers.setdefault(context, set()).add(answer)

    def cheating(sign):
        def logits_of(tokens):
            logits = torch.zeros(tokenizer.vocab_size)
            logits[list(answers.get(tokens, ()))] = sign
            return logits

        return Twin(logits_of)

    assert score(asked[name], by_model(cheating(4.0)))["share"] == 1
    assert score(asked[name], by_model(cheating(-4.0)))["share"] == 0


@pytest.mark.parametrize("name", sorted(set(CROSSED) - {"agreement: nouns"}))  # no noun stands so far from its `this`
def test_counting_is_at_chance_where_the_deciding_word_is_out_of_its_sight(asked, counts, name):
    far = [each for each in asked[name] if each.question.distance >= 8]
    found = score(far, by_counting(counts, 8, newline=1))
    assert (found["share"], found["error"]) == (CHANCE, 0)


def test_counting_knows_a_verb_beside_its_subject(asked, counts):
    near = [each for each in asked["agreement: verbs"] if each.question.distance == 1]
    assert score(near, by_counting(counts, 8, newline=1))["share"] > 0.95


# --------------------------------------------------------------------------------------------------------------- asking


@pytest.mark.parametrize("name", MECHANISMS)
def test_a_model_is_asked_for_what_its_forward_says(name):
    stage, options = OPTIONS[name]
    torch.manual_seed(0)
    model = model_class(stage)(VOCAB_SIZE, hidden_size=HIDDEN_SIZE, **options).eval()
    chance = Random(0)
    contexts = [tuple(chance.choices(range(VOCAB_SIZE), k=length)) for length in (3, 7, 3, 5, 7, 1)]
    found = by_model(model)({context: [2, 5] for context in contexts})
    for context in contexts:
        with torch.no_grad():
            logs = model(torch.tensor([context]))[0][0, -1].log_softmax(-1)
        for answer in (2, 5):
            assert found[context, answer] == pytest.approx(logs[answer].item(), abs=1e-5)


@pytest.mark.parametrize("order", [1, 2, 4])
def test_counting_is_asked_for_what_it_gives_to_the_text(order):
    text = np.array(Random(1).choices(range(5), k=400))
    counts = KneserNey(text, vocab_size=5, order=4)
    contexts = [(1, 2, 3, 4, 0, 1), (0, 0, 1, 3), (2,) * 9]
    found = by_counting(counts, order, newline=1)({context: [0, 3] for context in contexts})
    for context in contexts:
        for answer in (0, 3):
            expected = np.log(counts.probabilities(np.array([*context, answer]))[order - 1, -1])
            assert found[context, answer] == pytest.approx(expected)


def test_margins_are_the_right_continuations_less_the_wrong_ones():
    words = train_tokenizer("word", "a b c d a b c d")
    logs = {("a", "c"): -1.0, ("b", "d"): -2.0, ("a", "d"): -4.0, ("b", "c"): -8.0}
    ids = {((words.find(context),), words.find(answer)): value for (context, answer), value in logs.items()}
    question = crossed((("a",), ("b",)), ("c", "d"), distance=1, source=0)
    assert margins(encode([question], words), lambda wanted: ids).tolist() == [-1 - 2 + 4 + 8]


# ------------------------------------------------------------------------------------------------------------ the traps


@pytest.mark.parametrize("name", CROSSED)
def test_what_is_right_after_one_context_is_wrong_after_the_other(asked, name):
    for each in asked[name]:
        question = each.question
        (here, first), (there, second) = question.right
        assert set(question.wrong) == {(here, second), (there, first)}
        assert first != second and here != there and len(here) == len(there)


@pytest.mark.parametrize(
    "name", ["agreement: verbs", "agreement: nouns", "pronouns", "copying: a planted name", "form: rhymes"]
)
def test_contexts_differ_in_the_deciding_word_alone(asked, name):
    for each in asked[name]:
        (here, _), (there, _) = each.question.right
        differing = [len(here) - place for place, pair in enumerate(zip(here, there)) if pair[0] != pair[1]]
        assert differing == [each.question.distance]


@pytest.mark.parametrize("name", ["names", "who speaks next"])
def test_dialogues_differ_in_their_speakers_names_alone(asked, plays, name):
    for each in asked[name]:
        (here, _), (there, _) = each.question.right
        renamed = [place for place, pair in enumerate(zip(here, there)) if pair[0] != pair[1]]
        assert all(here[place] in plays.names and here[place + 1 : place + 3] == (":", "\n") for place in renamed)
        assert here[-each.question.distance] == each.question.right[0][1]
        assert here[-2:] == ("\n", "\n")


def test_no_name_drawn_for_a_dialogue_is_spoken_in_it(plays):
    for passage in dialogue.dialogues(plays):
        for context in (passage.first, passage.second, passage.swapped):
            spoken = [word for word, after in zip(context, (*context[1:], "")) if after != ":"]
            assert not set(passage.names) & {word.upper() for word in spoken}


def test_a_verse_and_its_shortened_twin_have_the_same_words_in_the_same_order(asked):
    for each in asked["form: length of verses"]:
        question = each.question
        ((whole, answer),), ((shortened, other),) = question.right, question.wrong
        assert answer == other == "\n"
        letters = [[word.lower() for word in context if word != "\n"] for context in (whole, shortened)]
        assert letters[0] == letters[1] and whole.count("\n") == shortened.count("\n")
        assert shortened[-question.distance] == "\n" and "\n" not in shortened[1 - question.distance :]


def test_every_question_is_made_of_known_words_from_the_deciding_one_on(asked, tokenizer):
    for each in (each for questions in asked.values() for each in questions):
        reach = max(each.question.distance, each.question.checked)
        for context, answer in each.sides:
            assert tokenizer.unk_id not in (*context[-reach:], answer)


def small_questions(contexts, answers=("is", "are"), distance=2):
    return [crossed((tuple(here), tuple(there)), answers, distance, source=0) for here, there in contexts]


def test_questions_with_an_unknown_word_between_are_left_out_and_counted():
    words = train_tokenizer("word", "he they now is are he they now is are")
    counts = KneserNey(np.array(words.encode("he they now is are")), words.vocab_size, order=2)
    made = small_questions([
        (["he", "yonder"], ["they", "yonder"]),  # between
        (["yonder", "he", "now"], ["yonder", "they", "now"]),  # before
        (["thou", "now"], ["they", "now"]),  # the deciding word itself
    ])  # fmt: skip
    made += small_questions([(["he", "now"], ["they", "now"])], answers=("is", "art"))
    asked, left_out = fair(made, frozenset(words.words), words, KneserNey(np.array([2, 2, 2]), words.vocab_size, 2))
    assert [each.question for each in asked] == [made[1]] and left_out == {"unknown": 3, "in_training": 0}
    _, left_out = fair(made, frozenset(words.words), words, counts)
    assert left_out["unknown"] == 3


@pytest.mark.parametrize("shared, left_out", [(7, 0), (8, 1), (9, 1)])
def test_questions_with_eight_tokens_in_a_row_from_training_are_left_out_and_counted(shared, left_out):
    letters = "a b c d e f g h i j k l m n o p".split()
    words = train_tokenizer("word", " ".join(letters * 2))
    train = words.encode(" ".join(["p", "p", *letters[:shared], "p", "p"]))
    counts = KneserNey(np.array(train), words.vocab_size, order=8)
    question = Question(((tuple(letters[:12]), "m"),), ((tuple(letters[:12]), "n"),), distance=12, source=0)
    asked, counted = fair([question], frozenset(letters), words, counts)
    assert (len(asked), counted["in_training"]) == (1 - left_out, left_out)


def test_what_was_read_before_a_question_may_be_in_the_training_text():
    letters = "a b c d e f g h i j k l m n o p".split()
    words = train_tokenizer("word", " ".join(letters * 2))
    counts = KneserNey(np.array(words.encode(" ".join(letters[:8]))), words.vocab_size, order=8)
    question = Question(((tuple(letters[:14]), "o"),), ((tuple(letters[:14]), "p"),), distance=3, source=0)
    assert len(fair([question], frozenset(letters), words, counts)[0]) == 1


def test_two_questions_that_join_to_a_training_text_are_not_taken_for_one():
    words = train_tokenizer("word", "a b c d a b c d")
    counts = KneserNey(np.array(words.encode("d a b c")), words.vocab_size, order=4)
    made = [Question(((("b", "c", "c"), "d"),), (), 3, 0), Question(((("a", "b", "c"), "c"),), (), 3, 1)]
    assert len(fair(made, frozenset("abcd"), words, counts)[0]) == 2


def test_at_most_so_many_questions_are_asked_and_always_the_same(plays, tokenizer, counts):
    first, second = (fair(form.verse_length(plays), plays.known, tokenizer, counts)[0] for _ in range(2))
    assert len(first) == MOST and [each.question for each in first] == [each.question for each in second]


def test_questions_are_made_of_the_held_out_plays_alone():
    """Words that only the training text has appear as names put in, never as what is read."""
    held_out, train = (
        "HERO:\nThou art fair, my lord.\n\nDUKE:\nWell.\n\nHERO:\nHe is.\n",
        "BEAR:\nGrowl, thou art.\n\n" * 30,
    )
    plays = Plays(words_of(held_out), words_of(train), frozenset(words_of(held_out + train)))
    for probe in PROBES:
        for question in probe.make(plays):
            assert "Growl" not in {word for context, _ in question.right + question.wrong for word in context}


# -------------------------------------------------------------------------------------------- where questions come from

SCENE = """\
HERO:
Who is there?

FIRST LORD:
A friend;
As good as any.

HERO:
Come.
"""


def plays_of(text, train="", known=""):
    words, trained = words_of(text), words_of(train)
    return Plays(words, trained, frozenset([*words, *trained, *known.split()]))


def test_speeches_begin_at_labels():
    words = words_of(SCENE)
    assert len(find_speeches(words_of(SCENE.title()))) == len(find_speeches(words)) == 3
    speeches = find_speeches(words)
    assert [speech.speaker for speech in speeches] == [("HERO",), ("FIRST", "LORD"), ("HERO",)]
    assert words[speeches[1].first : speeches[1].end] == [*"A friend ; \n As good as any . \n \n".split(" ")]
    assert [words[speech.start] for speech in speeches] == ["HERO", "FIRST", "HERO"]


@pytest.mark.parametrize("end", ["THE END:", "THE END:\n", "KING:\n\nQUEEN:\nCome.\n"])
def test_a_label_under_which_nothing_is_said_is_no_question(end):
    asked = list(form.speakers_line(plays_of(SCENE + "\n" + end)))
    assert len(asked) >= 2 * 3
    for question in asked:
        assert question.right[0][1] != question.wrong[0][1]


def test_lines_cover_a_text_without_its_breaks():
    words = words_of(SCENE)
    assert "\n".join(" ".join(words[start:end]) for start, end in lines(words)).split() == " ".join(words).split()


@pytest.mark.parametrize(
    "text, subject",
    [
        ("thou art", "thou"),
        ("he never hath", "he"),
        ("They , my lord , are", "They"),
        ("I am", "I"),
        ("he that hath", None),  # of another clause
        ("he . Now is", None),
        ("he have", None),  # right in no sense
        ("you is", None),
        ("they say he is", "he"),
    ],
)
def test_a_verb_is_asked_for_after_its_own_subject(text, subject):
    words = text.split(" ")
    place = agreement.subject_of(words, len(words) - 1)
    assert (None if place is None else words[place]) == subject


def test_a_subject_keeps_its_capital():
    questions = list(agreement.verbs_agree(plays_of("Thou art . I am and I am")))
    seen = [(here[-1], there[-1]) for (here, _), (there, _) in (question.right for question in questions)]
    assert seen == [("Thou", "You"), ("I", "He"), ("I", "he")]


def test_asides_put_between_bring_the_subject_far_back():
    plays = plays_of("so , my good lord , thou art . so , sweet friend , he is")
    questions = list(agreement.verbs_agree(plays))
    natural, stretched = questions[::2], questions[1::2]
    assert [question.distance for question in natural] == [1, 1]
    for question in stretched:
        (here, _), _ = question.right
        assert question.distance >= min(agreement.STRETCHED) and here[-1] == "," == here[1 - question.distance]


def test_plurals_are_those_that_the_training_text_has_after_these():
    plays = plays_of("", "this day these days this king this man these men this sword that swords")
    assert agreement.find_plurals(plays) == {"day": "days"}


def test_a_pronoun_is_asked_for_after_the_last_person_named_with_nothing_between_that_has_a_sex():
    text = "HERO:\nThe king comes and he speaks.\n\nDUKE:\nThe king saw her and he went. My lady, well may she go.\n"
    plays = plays_of(text)
    pairs = [(plays.words[cue], plays.words[place]) for cue, place in agreement.persons_before_pronouns(plays)]
    assert pairs == [("king", "he"), ("lady", "she")]
    for question in agreement.pronouns_agree(plays):
        (_, first), (_, second) = question.right
        assert (first, second) == ("he", "she")


def test_names_have_the_sex_of_the_pronouns_near_them():
    train = "ROMEO:\nWell.\n\nJULIET:\nWell.\n\nPARIS:\nWell.\n\n" * 20
    for name, pronoun in (("Romeo", "he"), ("Juliet", "she")):
        train += f"{name} and what {pronoun} did to this and that and other things before and after, I know.\n" * 8
    train += "Paris and what he did to this and that and other things before and after.\n" * 4
    train += "Paris and what she did to this and that and other things before and after.\n" * 4
    assert agreement.sexes_of_names(plays_of("", train)) == (["Romeo"], ["Juliet"])


def test_an_occurrence_is_compared_with_the_first_and_as_much_is_read_before_it():
    filler = ["and"] * 300
    words = [*filler, "lantern", *["so"] * 9, "lantern", *["thus"] * 19, "lantern"]
    plays = Plays(words, ["lantern"] * 3 + ["and"] * 500, frozenset(words))
    (second,), (third,) = list(copying.second_time(plays)), list(copying.third_time(plays))
    assert (second.distance, third.distance) == (10, 20)
    for question in (second, third):
        ((later, word),), ((first, same),) = question.right, question.wrong
        assert word == same == "lantern" and len(later) == len(first)
        assert "lantern" in later and "lantern" not in first


def test_frequent_words_are_no_rare_ones():
    words = [*["and"] * 300, "lantern", "so", "lantern"]
    assert not list(copying.second_time(Plays(words, ["lantern"] * 500, frozenset(words))))


VERSES = """\
HERO:
The day is long and I have much to say
And thou art gone away from me this day
And all the time was lost and went away
"""


def test_only_speeches_whose_lines_all_begin_with_capitals_are_verse():
    assert len(list(form.verses(plays_of(VERSES)))) == 2
    assert not list(form.verses(plays_of(VERSES.replace("And thou", "and thou"))))


def test_rhymes_are_found_in_the_training_text():
    neutral = "".join(f"in line {n} of word{n}\n" for n in range(200))
    plays = plays_of("", "to say\nof day\n\nto say\nof day\n\nof love\nof king\n" + neutral)
    assert form.find_rhymes(plays) == [("day", "say")]


def test_a_couplet_is_asked_for_its_own_rhyme():
    neutral = "".join(f"in line {n} of word{n}\n" for n in range(200))
    train = ("to say\nof day\n\n" + "the king\nthe ring\n\n") * 2 + neutral
    questions = list(form.couplets_rhyme(plays_of(VERSES, train)))
    assert {question.right[0][1] for question in questions} == {"day"}
    assert {question.right[1][1] for question in questions} <= {"king", "ring"}


# --------------------------------------------------------------------------------------------------------------- scores


def test_the_standard_error_is_the_usual_one_where_sources_differ():
    values = np.array([0, 1, 1, 1, 0, 0.5])
    assert clustered_error(values, np.arange(6)) == pytest.approx(values.std() / math.sqrt(6))


def test_asking_the_same_twice_does_not_make_it_surer():
    values, sources = np.array([0, 1, 1, 1, 0, 0.5]), np.arange(6)
    once, twice = clustered_error(values, sources), clustered_error(values.repeat(2), sources.repeat(2))
    assert twice == pytest.approx(once)


def test_seeds_have_an_error_of_their_own():
    assert seed_error(np.array([0.5])) is None
    assert seed_error(np.array([0.5, 0.7, 0.9])) == pytest.approx(0.2 / math.sqrt(3))


def test_a_row_is_a_mean_over_questions_and_seeds_by_distance():
    questions = [Question((), (), distance, source) for source, distance in enumerate([3] * 20 + [4] * 30 + [90])]
    nats = np.array([[1.0] * 20 + [-1.0] * 30 + [2.0], [1.0] * 20 + [0.0] * 30 + [2.0]])
    row = summary(questions, nats)
    assert [(part["distance"], part["share"], part["questions"]) for part in row["by_distance"]] == [
        (2, 1, 20),
        (4, 0.25, 30),
    ]
    assert row["share"] == pytest.approx((21 + 21 + 15) / 102) and row["questions"] == 51
    assert row["nats"] == pytest.approx(nats.mean())


# ---------------------------------------------------------------------------------------------------------- the command


def save_run(folder, stage, tokenizer, corpus, data="shakespeare", seed=1):
    """A checkpoint with random weights, as training leaves it."""
    folder.mkdir(parents=True)
    save_checkpoint(folder / "best.pt", random_checkpoint(stage, tokenizer, corpus, str(data), seed))
    return folder


@pytest.fixture(scope="module")
def done(corpus, tmp_path_factory):
    """The command on two seeds of stage 1 and one of stage 2: what it printed, and the folder that it wrote to."""
    folder = tmp_path_factory.mktemp("probes")
    path = folder / "some.txt"
    path.write_text(corpus.train[:1_200_000], encoding="utf-8", newline="\n")
    some = load_corpus(str(path), at_blank_line=True)
    tokenizer = train_tokenizer("word", some.train)
    runs = [save_run(folder / f"run-{seed}", STAGE_1, tokenizer, some, data=path, seed=seed) for seed in (1, 2)]
    runs.append(save_run(folder / "run-3", STAGE_2, tokenizer, some, data=path))
    shown = typed(ROOT, f"python -m shared.probes --checkpoints {' '.join(map(str, runs))} --out {folder / 'out'}")
    return shown, folder / "out"


def test_every_probe_is_printed_with_its_idea_an_example_chance_and_counting(done):
    shown, _ = done
    told = [probe for probe in PROBES if f"left out    {probe.title}: " not in shown.err]
    assert len(told) >= 8
    for probe in told:
        block = shown.out[shown.out.index(f"{probe.title}\n") :]
        assert probe.idea in block and "Chance: 0.5" in block and " > " in block
    assert shown.out.count("counting, ") == shown.out.count("RNN ") == shown.out.count("LSTM ") == len(told)


def test_seeds_of_a_stage_are_one_row_and_random_weights_know_nothing_of_names(done):
    _, folder = done
    results = json.loads((folder / "probes.json").read_text(encoding="utf-8"))
    assert results["command"] == "python -m shared.probes" and str(folder.parent) not in json.dumps(results)
    for probe in results["probes"]:
        assert [(row["stage"], row["seeds"]) for row in probe["rows"]] == [
            ("counting", []),
            (STAGE_1, [1, 2]),
            (STAGE_2, [1]),
        ]
        assert probe["rows"][1]["seed_error"] is not None and probe["rows"][2]["seed_error"] is None
    verbs = next(probe for probe in results["probes"] if probe["title"] == "agreement: verbs")
    assert all(abs(row["share"] - CHANCE) < 0.2 for row in verbs["rows"][1:])


def test_the_picture_and_the_page_show_every_probe(done, tmp_path):
    _, folder = done
    assert Image.open(folder / "probes.png").text["Title"] == "What has each stage learned?"
    page, probes = (
        notebook(folder / "probes.json"),
        json.loads((folder / "probes.json").read_text(encoding="utf-8"))["probes"],
    )
    assert all(f"| {probe['title']} |" in page and probe["idea"] in page for probe in probes)
    assert notebook(tmp_path / "none.json") == ""


def test_a_panel_shows_what_the_rows_hold(done):
    _, folder = done
    probes = json.loads((folder / "probes.json").read_text(encoding="utf-8"))["probes"]
    figure = probes_figure(probes)
    panels = {axes.get_title(): axes for axes in figure.axes if axes.get_title()}
    for probe in (probe for probe in probes if probe["rows"][0]["by_distance"]):
        drawn = [bars[0].get_ydata().tolist() for bars in panels[probe["title"]].containers]
        assert drawn == [[part["share"] for part in row["by_distance"]] for row in probe["rows"]]


def test_models_that_read_no_words_are_refused(corpus, tmp_path):
    run = save_run(tmp_path / "run", STAGE_1, train_tokenizer("char", corpus.train), corpus)
    line = typed(ROOT, f"python -m shared.probes --checkpoints {run} --out {tmp_path}", code=2).err.splitlines()[-1]
    assert "--tokenizer word" in line and "char" in line


def test_a_text_without_plays_is_refused(tmp_path):
    path = tmp_path / "prose.txt"
    path.write_text("It was a dark and stormy night; the rain fell in torrents.\n\n" * 100, encoding="utf-8")
    corpus = load_corpus(str(path), at_blank_line=True)
    run = save_run(tmp_path / "run", STAGE_1, train_tokenizer("word", corpus.train), corpus, data=path)
    line = typed(ROOT, f"python -m shared.probes --checkpoints {run} --out {tmp_path}", code=2).err.splitlines()[-1]
    assert "prose.txt" in line and "plays" in line


def test_an_example_shows_what_is_right_and_what_is_not():
    question = crossed((("so", "thou", ","), ("so", "you", ",")), ("art", "are"), distance=2, source=0)
    assert example([question]) == ["so thou , > art, not are", "so you , > are, not art"]
    single = Question(((("a", "b"), "\n"),), ((("c", "b"), "\n"),), distance=2, source=0)
    assert example([single]) == ["a b > ↵", "rather than c b > ↵"]


def test_what_is_printed_is_what_is_kept(done):
    shown, folder = done
    assert printed(json.loads((folder / "probes.json").read_text(encoding="utf-8"))) == shown.out.rstrip("\n")
