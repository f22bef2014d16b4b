"""Claims about the models that run in the comparison's page: PyTorch's numbers, and what a reader can do."""

import base64
import random
from pathlib import Path

import pytest
import torch
from in_browser import CONTRASTS, CONTROL_NAMES, SCROLLED
from made_up import results_of
from options import OPTIONS, build

from shared.compare.live import live_models
from shared.compare.runs import Trained
from shared.model.packing import pack, round_weights, whole_numbers
from shared.model.sampling import sample
from shared.show.page import FOLDER, WORKER, page
from shared.stages import STAGES
from shared.text.tokenizer import TOKENIZERS

TEXT = "To be, or not to be: that is the question.\nWhether 'tis nobler in the mind to suffer\n" * 20
LENGTH = 47  # tokens: more than any window here, and twice as many as a window that is read again from its half


@pytest.fixture
def tab(tab_with):
    """A page with the worker's scripts and nothing else."""
    tab = tab_with(java_script_enabled=True)
    tab.requests, tab.errors = [], []
    tab.goto("about:blank")
    tab.add_script_tag(content="\n".join((FOLDER / name).read_text(encoding="utf-8") for name in WORKER))
    yield tab
    assert tab.errors == []


def described(name, model):
    """A model as the page is given it."""
    tensors, weights = pack(model)
    _, options = OPTIONS[name]
    sizes = dict(hidden_size=12, num_heads=2, memory_length=10, context_length=10)
    header = {"model": type(model).__name__, "settings": {"cell": "rnn"} | sizes | options, "tensors": tensors}
    return {"header": header, "weights": base64.b64encode(weights).decode()}


READ = """([{header, weights}, ids]) => {
    const bytes = Uint8Array.from(atob(weights), (sign) => sign.charCodeAt(0));
    const model = buildModel(header, bytes);
    const half = ids.length >> 1, first = model.readAll(model.start(), ids.slice(0, half));
    const steps = [...first, ...model.readAll(first[half - 1].state, ids.slice(half))];
    const guesses = steps.map((step) => model.guess(step)), vocabulary = guesses[0].length;
    const some = ids.map((_, at) => (at * 89) % vocabulary);
    const several = model.logProbabilities(steps, some);
    if (some.some((one, at) => Math.abs(several[at] - guesses[at][one]) > 1e-5)) throw "of one token otherwise";
    const heads = steps.map(({attention}) => attention.map((layer) => layer.map(({weights}) => Array.from(weights))));
    return guesses.map((guess, at) => [Array.from(guess), heads[at]]);
}"""


@pytest.mark.parametrize("vocab_size", [11, 1200])  # a plain softmax, and one with clusters of rarer tokens
@pytest.mark.parametrize("name", OPTIONS)
def test_the_browser_computes_what_pytorch_does(tab, name, vocab_size):
    model = round_weights(build(name, dtype=torch.float32, vocab_size=vocab_size))
    tokens = torch.randint(vocab_size, (1, LENGTH), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        logits, _, attention = model(tokens, return_attention=True)
    answers = tab.evaluate(READ, [described(name, model), tokens[0].tolist()])
    found = torch.tensor([row for row, _ in answers])
    torch.testing.assert_close(found, logits[0].log_softmax(-1), atol=1e-4, rtol=0)
    for place, (_, layers) in enumerate(answers):
        for layer, heads in enumerate(layers):
            for head, weights in enumerate(heads):
                wanted = attention[0, layer, head, place, : place + 1]
                torch.testing.assert_close(
                    torch.tensor(weights, dtype=torch.float32), wanted[-len(weights) :], atol=1e-5, rtol=0
                )
                assert not wanted[: -len(weights)].any()


def test_a_weight_is_rounded_by_half_a_step_at_most():
    torch.manual_seed(0)
    matrix = torch.randn(30, 20) * torch.logspace(-6, 3, 30)[:, None]
    scales, numbers = whole_numbers(matrix)
    assert ((matrix - scales * numbers).abs() <= scales / 2 * 1.0001).all()
    assert numbers.abs().amax(1).eq(127).all()


def test_a_row_of_zeros_stays_zero():
    scales, numbers = whole_numbers(torch.zeros(2, 3))
    assert not (scales * numbers).any() and scales.isfinite().all()


def test_rounding_twice_changes_nothing_more():
    model = round_weights(build("4-rotary", dtype=torch.float32))
    before = [parameter.clone() for parameter in model.parameters()]
    for old, new in zip(before, round_weights(model).parameters()):
        torch.testing.assert_close(new, old, atol=1e-6, rtol=1e-6)


# Tokens

SCRAPS = """to be O 'tis th' lords' -- , . ! ? ; : é e\u0301 ß İ ١٢٣ ½ ² Ⅳ 中文 ไทย हिन्दी न\u200dक
שלום צה״ל العربية 👨‍👩‍👧 👍🏽 🇫🇷 🇫🇷🇩 \u200d \u200b \ufeff \x1c \x85 \x00 \u2028 3.14
1,000 10:30 U.S.A. e.g. http://a.b/c?d=e). <unk> <unk _ __ get_value - ’ ‘ “ ” ( ) [ ]
… $5 % # / \\ * \U000e0100 \u0361 ﬁ ǅ ʰ col·lega o'er ne'er-do-well 😀 \r ａ １""".split()


def strings(count):
    """Random strings of scraps of many scripts, blanks among them."""
    chance = random.Random(5)
    pool = [*SCRAPS, " ", "  ", "\n", "\t", "\u00a0", "\u202f", "\u3000"]
    return ["".join(chance.choices(pool, k=chance.randint(1, 14))) for _ in range(count)]


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize("kind", ["print", "blanks", "scraps"])
def test_the_browser_cuts_a_text_into_the_same_tokens(tab, name, kind):
    some = strings(3000)
    learned = {"print": TEXT, "blanks": "« Oui » ; non ! « Non » ; oui !\n" * 9, "scraps": "".join(some[:1000]) * 2}[
        kind
    ]
    tokenizer = TOKENIZERS[name].train(learned, 300 if name == "bpe" else None)
    both = """([saved, texts]) => {
        const tokenizer = buildTokenizer(saved);
        return texts.map((text) => {
            const ids = tokenizer.encode(text).map(({id}) => id), show = tokenizer.streamer();
            return [ids, ids.map((id) => show(id)).join(""), ids.map((id) => tokenizer.glyph(id))];
        });
    }"""
    for text, (ids, shown, glyphs) in zip(some, tab.evaluate(both, [tokenizer.to_dict(), some])):
        assert ids == tokenizer.encode(text), ascii(text)
        streamer = tokenizer.streamer()
        assert shown == "".join(map(streamer.push, ids)), ascii(text)
        assert glyphs == list(map(tokenizer.glyph, ids)), ascii(text)


# Sampling


@pytest.mark.parametrize(
    "how", [{}, {"temperature": 0.0}, {"temperature": 0.7}, {"top_k": 3}, {"top_p": 0.6}, {"top_k": 5, "top_p": 0.5}]
)
def test_the_same_random_numbers_choose_the_same_tokens(tab, how, monkeypatch):
    torch.manual_seed(1)
    logits, points = torch.randn(200, 40), torch.rand(200, 1, dtype=torch.float64)
    monkeypatch.setattr(torch, "rand", lambda *size, **settings: points)
    wanted = sample(logits, **{"temperature": 1.0} | how, banned=0).tolist()
    names = {"temperature": "temperature", "top_k": "topK", "top_p": "topP"}
    settings = {names[name]: value for name, value in how.items()} | {"banned": 0}
    choose = "([rows, points, how]) => rows.map((row, at) => draw(reshaped(row, how), points[at]))"
    found = tab.evaluate(choose, [logits.double().tolist(), points[:, 0].tolist(), settings])
    assert found == wanted


def test_random_numbers_are_even_and_return_with_their_seed(tab):
    many = "(seed) => { const next = randomNumbers(seed); return Array.from({length: 20000}, next); }"
    numbers = torch.tensor(tab.evaluate(many, 1), dtype=torch.float64)
    assert ((0 <= numbers) & (numbers < 1)).all()
    assert abs(numbers.mean() - 0.5) < 0.01 and abs(numbers.var() - 1 / 12) < 0.005
    assert tab.evaluate(many, 1) == numbers.tolist() != tab.evaluate(many, 2)


# The page

TO_GUESS = {
    "text": "To be, or not to be: that is",
    "before": "To be, or not to be:",
    "words": [
        {"word": "that", "lead": " ", "place": 8, "counting": 0.2},
        {"word": "is", "lead": " ", "place": 9, "counting": 0.1},
    ],
}


@pytest.fixture(scope="module")
def trained():
    """Four models, tiny and untrained, on the words of one text."""
    tokenizer = TOKENIZERS["word"].train(TEXT)
    runs = []
    for name in ("1", "2-lstm-torch", "3-lstm-multi-head", "4-rotary"):
        stage, options = OPTIONS[name]
        model = build(name, dtype=torch.float32, vocab_size=tokenizer.vocab_size)
        settings = dict(hidden_size=12, num_layers=2, memory_length=10, context_length=10) | options
        runs.append(Trained(stage, Path("best.pt"), {"model_settings": settings}, model, []))
    return runs, tokenizer


@pytest.fixture
def open_page(open_html, trained):
    """open_page(width) -> the page with live models."""

    def open_page(width=1280, **settings):
        tab = open_html(page(results_of() | {"to_guess": TO_GUESS}, live_models(*trained)), width, **settings)
        settle(tab)
        return tab

    return open_page


def type_line(tab, text):
    """Type a text and wait until it has been read."""
    tab.fill("#typed", text)
    settle(tab)


def settle(tab):
    """Wait until all that was asked has been answered and drawn."""
    tab.wait_for_function("() => live.settled && live.look")


def surprises(tab):
    """The nats of each token after the first, a row for each stage."""
    settle(tab)
    return [[round(nats, 6) for nats in row[1:]] for row in tab.evaluate("Object.values(live.surprises)")]


def places(tab):
    """Where the chosen token stands in each stage's text."""
    return [
        int(index)
        for index in tab.locator("#live-stages [aria-current]").evaluate_all("all => all.map(one => one.dataset.index)")
    ]


def test_what_is_typed_is_read_by_all_four(open_page, trained):
    tab = open_page()
    runs, tokenizer = trained
    type_line(tab, "that is the question")
    ids = torch.tensor([tokenizer.encode("that is the question")])
    for run in runs:
        with torch.no_grad():
            model = round_weights(run.model)
            losses = model.loss(ids[:, :-1], ids[:, 1:], reduction="none")[0]
        told = tab.inner_text(f"#live-text-{run.stage} .mean")
        assert told == f"Mean {losses.mean():.2f} nats: perplexity {losses.mean().exp():,.1f}."


def test_an_unknown_word_keeps_its_spelling_struck_through(open_page):
    tab = open_page()
    type_line(tab, "to be Quidditch")
    struck = tab.locator("#live-stages s")
    assert struck.all_inner_texts() == ["Quidditch"] * 4
    assert "not in the vocabulary" in tab.inner_text("#live-note")


def test_hostile_text_is_only_text(open_page):
    tab = open_page()
    type_line(tab, "</script><img src=x onerror=alert(1)> & to be \u202e\x00")
    assert tab.locator("#live img").count() == 0


def test_a_long_text_is_read_to_its_last_tokens(open_page):
    tab = open_page()
    type_line(tab, TEXT)
    assert "tokens, of which the last 128 are read." in tab.inner_text("#live-note")
    label = tab.locator("#live-text-model-01-rnn .token").first.get_attribute("aria-label")
    assert "its surprise is not counted" in label  # much stands before it
    assert tab.locator("#live-text-model-01-rnn .token").count() == 128


def test_all_four_write_with_the_same_numbers_and_again_the_same(open_page):
    tab = open_page()
    type_line(tab, "to be")

    def written():
        tab.click("#write")
        tab.wait_for_function("() => document.querySelectorAll('#written .script').length === 4 && live.settled")
        return tab.locator("#written .script").all_inner_texts()

    assert written() == written() and all(len(text) > 20 for text in written())


LONG = "to be or not to be that is the question"


@pytest.mark.parametrize(
    "what, changed",
    [
        ("heads switched off", [False, False, True, True]),
        ("attention made even", [False, False, True, True]),
        ("a token forgotten", [False, False, True, True]),
        ("a token made like any other", [False, False, True, True]),
        ("a gate held", [False, True, True, False]),
        ("another text's memory", [True, True, True, True]),
    ],
)
def test_what_is_broken_changes_the_stages_that_have_it_once_a_bet_is_placed(open_page, what, changed):
    tab = open_page()
    type_line(tab, LONG)
    tab.locator("#live-text-model-01-rnn .token").nth(3).click()
    before = surprises(tab)
    tab.select_option("#break", label=what)
    if what == "heads switched off":
        assert tab.locator("#bets button").first.is_disabled()  # as long as all are on
        for button in range(tab.locator(".switches button").count()):
            tab.locator(".switches button").nth(button).click()
    assert surprises(tab) == before and tab.inner_text("#break-said")
    tab.locator("#bets button").first.click()
    after = surprises(tab)
    assert [old != new for old, new in zip(before, after)] == changed
    if what.startswith("a token"):  # what was read before that token knows nothing of it
        assert [row[:3] for row in after] == [row[:3] for row in before]
    assert f"of {sum(changed)} models" in tab.inner_text("#bet-told")
    tab.select_option("#break", label="nothing")
    assert surprises(tab) == before


def test_where_nothing_is_broken_there_is_nothing_to_bet_on(open_page):
    tab = open_page()
    type_line(tab, LONG)
    bet = tab.locator("#bets button").first
    tab.select_option("#break", label="a gate held")
    tab.select_option("[data-key=only]", "1")
    assert bet.is_disabled()  # no unit is chosen
    tab.locator("[data-unit^='model-02-lstm']").first.click()
    assert bet.is_enabled()
    tab.select_option("#break", label="another text's memory")
    tab.fill("#before-text", " ")
    assert bet.is_disabled()
    tab.fill("#before-text", "Blood and death.")
    bet.click()
    type_line(tab, "to")  # a text of one token has no surprise
    assert tab.inner_text("#bet-told") == ""


def test_choosing_a_unit_leaves_all_gates_held_that_were(open_page):
    tab = open_page()
    type_line(tab, LONG)
    tab.select_option("#break", label="a gate held")
    tab.locator("#bets button").first.click()
    before = surprises(tab)
    tab.locator("[data-unit^='model-01-rnn']").first.click()
    settle(tab)
    assert surprises(tab) == before and tab.locator("[data-key=only]").input_value() == ""


def test_a_broken_model_writes_as_it_reads(open_page):
    """At temperature 0 it writes what it itself expects after what it has written."""
    tab = open_page()
    type_line(tab, LONG)
    tab.locator("#temperature").fill("0")
    tab.select_option("#break", label="a gate held")
    tab.select_option("[data-key=gate]", "output")
    tab.locator("#bets button").first.click()
    settle(tab)
    expected = """async () => {
        const text = byId("typed").value, found = [];
        for (let at = 0; at < 6; at++) {
            byId("typed").value = text + " " + found.join(" ");
            readTyped();
            while (!live.settled) await new Promise((resolve) => setTimeout(resolve, 5));
            chooseToken(live.pieces.length - 1);
            while (!live.settled) await new Promise((resolve) => setTimeout(resolve, 5));
            found.push(live.look["model-02-lstm"].guesses[0].word);
        }
        byId("typed").value = text;
        readTyped();
        return found;
    }"""
    words = tab.evaluate(expected)
    settle(tab)
    tab.click("#write")
    tab.wait_for_function("() => document.querySelectorAll('#written-model-02-lstm .written').length >= 6")
    written = tab.locator("#written-model-02-lstm .written").all_inner_texts()[:6]
    assert [word.strip() for word in written] == words


def test_one_units_gate_can_be_held(open_page):
    tab = open_page()
    type_line(tab, LONG)
    before = surprises(tab)
    tab.locator("[data-unit^='model-02-lstm']").first.click()
    tab.get_by_role("button", name="Hold its gate").click()
    tab.locator("#bets button").first.click()
    after = surprises(tab)
    assert [old != new for old, new in zip(before, after)] == [False, True, False, False]


def test_the_page_opens_where_the_stages_differ_most_and_above_the_fold(open_page):
    tab = open_page()
    spread = """live.pieces.slice(1).map((_, at) => {
        const found = Object.values(live.surprises).map((nats) => Math.exp(-nats[at + 1]));
        return Math.max(...found) - Math.min(...found);
    })"""
    found = tab.evaluate(spread)
    assert places(tab) == [found.index(max(found))] * 4
    ends = tab.locator(".live-guesses li:last-child").evaluate_all(
        "all => all.map(one => one.getBoundingClientRect().bottom)"
    )
    assert len(ends) == 4 and max(ends) < 800


def test_arrow_keys_move_the_place_in_all_stages_and_keep_the_focus(open_page):
    tab = open_page()
    type_line(tab, LONG)
    tab.locator("#live-text-model-02-lstm .token").nth(4).focus()
    tab.locator("#live-text-model-02-lstm .token").nth(4).click()
    for key, place in [
        ("ArrowRight", 5),
        ("ArrowLeft", 4),
        ("Home", 0),
        ("ArrowLeft", 0),
        ("End", 9),
        ("ArrowRight", 9),
    ]:
        tab.keyboard.press(key)
        settle(tab)
        assert places(tab) == [place] * 4
        focused = "document.activeElement.closest('.stage').dataset.stage + document.activeElement.dataset.index"
        assert tab.evaluate(focused) == f"model-02-lstm{place}"
    assert tab.locator("#live-text-model-01-rnn .token[tabindex='0']").count() == 1


def test_nothing_jumps_when_choices_and_answers_appear(open_page):
    tab = open_page()
    type_line(tab, LONG)
    tops = {name: tab.evaluate(TOP, name) for name in ("#breaking", "#units-part")}
    tab.locator("#live-text-model-01-rnn .token").first.click()
    settle(tab)
    type_line(tab, LONG + " Quidditch\nto be " * 3)
    assert tab.evaluate(TOP, "#breaking") == tops["#breaking"]
    tab.select_option("#break", label="attention made even")
    tab.locator("#bets button").first.click()
    settle(tab)
    assert tab.evaluate(TOP, "#units-part") == tops["#units-part"]


TOP = "(name) => document.querySelector(name).getBoundingClientRect().top + scrollY"


def test_units_are_named_and_their_columns_are_the_tokens(open_page, trained):
    tab = open_page()
    type_line(tab, LONG)
    assert tab.locator("#units thead .column").all_inner_texts() == LONG.split()
    rows = tab.locator("#units tbody tr:has(td)")
    assert rows.count() == 30 and rows.first.locator("td").count() == 10
    runs, tokenizer = trained
    # The plain RNN's unit at the last token, against PyTorch.
    with torch.no_grad():
        state = round_weights(runs[0].model)(torch.tensor([tokenizer.encode(LONG)]))[1]
    unit = int(rows.first.locator("button").inner_text())
    hidden = tab.evaluate("live.units['model-01-rnn'].units[0].values.at(-1)")
    assert any(abs(hidden - part.flatten()[-12:][unit].item()) < 1e-4 for part in tensors_of(state))


def tensors_of(state):
    """All tensors of a state, however they are nested."""
    if isinstance(state, torch.Tensor):
        return [state]
    return [tensor for part in state or () for tensor in tensors_of(part)]


def test_one_number_by_hand_moves_the_guess_and_lets_go_again(open_page):
    tab = open_page()
    type_line(tab, LONG)
    for stage, part in [("model-03-lstm-attention", "head 1.1"), ("model-02-lstm", None), ("model-01-rnn", None)]:
        tab.select_option("#hand-stage", stage)
        settle(tab)
        if part:
            tab.select_option("#hand-part", part)
            settle(tab)
        lists = tab.locator("#hand-guesses ol")
        assert lists.nth(0).inner_text() == lists.nth(1).inner_text()
        before = tab.inner_text("#hand")
        tab.locator("#hand-by").fill("1")
        settle(tab)
        assert tab.inner_text("#hand") != before
        tab.click("#hand-reset")
        settle(tab)
        assert tab.inner_text("#hand") == before


@pytest.mark.parametrize("what", ["attention made even", "a token forgotten"])
def test_powers_divided_by_their_sum_are_the_weights_of_broken_attention_too(open_page, what):
    tab = open_page()
    type_line(tab, LONG)
    tab.locator("#live-text-model-01-rnn .token").nth(2).click()
    tab.select_option("#break", label=what)
    tab.locator("#bets button").first.click()
    settle(tab)
    tab.locator("#live-text-model-01-rnn .token").nth(5).click()
    tab.select_option("#hand-stage", "model-03-lstm-attention")
    settle(tab)
    *rows, every = [row.split("\t") for row in tab.inner_text("#hand tbody").split("\n")]
    powers, weights = ([float(row[at].rstrip("%")) for row in rows] for at in (-3, -2))
    for power, weight in zip(powers, weights):
        assert weight == pytest.approx(100 * power / float(every[-3]), abs=0.6)
    assert tab.locator("#hand-slider").is_visible() == (what != "attention made even")


def test_what_was_changed_by_hand_is_as_it_was_at_another_token(open_page):
    tab = open_page()
    type_line(tab, LONG)
    tab.select_option("#hand-stage", "model-03-lstm-attention")
    settle(tab)
    tab.locator("#hand-by").fill("5")
    settle(tab)
    tab.locator("#live-text-model-01-rnn .token").nth(3).click()
    settle(tab)
    assert tab.locator("#hand-by").input_value() == "0" and "none yet" in tab.inner_text("#hand-guesses")


def test_without_a_text_there_are_no_answers_and_nothing_to_press(open_page):
    tab = open_page()
    type_line(tab, LONG)
    tab.locator("[data-unit]").first.click()
    settle(tab)
    tab.fill("#typed", "")
    tab.wait_for_function("() => live.settled && !live.look")
    for name in ("#verdict", "#units", "#hand", "#hand-guesses", "#live-guesses-model-01-rnn"):
        assert tab.inner_text(name) == "", name
    assert tab.is_disabled("#write") and tab.locator("#bets button").first.is_disabled()
    type_line(tab, LONG)
    assert tab.is_enabled("#write") and tab.inner_text("#units") and tab.inner_text("#hand")


def test_what_has_no_chance_is_not_among_the_guesses(open_page):
    tab = open_page()
    type_line(tab, LONG)
    tab.locator("#live-text-model-01-rnn .token").nth(3).click()
    tab.locator("#top-k").fill("2")
    settle(tab)
    for stage in STAGES:
        assert tab.locator(f"#live-guesses-{stage} li").count() == 2
        assert "before the dials for" in tab.inner_text(f"#live-guesses-{stage} .followed")


def test_the_chosen_unit_stays_in_sight_when_others_move_more(open_page):
    tab = open_page()
    type_line(tab, LONG)
    tab.evaluate("() => { live.unit['model-02-lstm'] = 11; readTyped(); }")
    settle(tab)
    shown = tab.locator("[data-unit^='model-02-lstm']").all_inner_texts()
    assert "11" in shown and len(shown) in (10, 11) and "unit 11" in tab.inner_text("#unit-chosen")


def test_the_words_written_are_one_stop_of_the_tab_key_and_arrows_lead_through_them(open_page):
    tab = open_page()
    type_line(tab, "to be")
    tab.click("#write")
    tab.wait_for_function("() => document.querySelectorAll('#written-model-01-rnn .written').length > 3")
    settle(tab)
    assert tab.locator("#written-model-01-rnn [tabindex='0']").count() == 1
    assert all(name for name in tab.locator(".written").evaluate_all("all => all.map(one => one.ariaLabel)"))
    tab.locator("#written-model-01-rnn .written").first.focus()
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("Enter")
    settle(tab)
    assert tab.evaluate("document.activeElement.id") == "write"
    assert tab.locator("#typed").input_value().startswith("to be")


def test_questions_wait_for_a_text_that_all_models_have_read(open_page):
    tab = open_page()
    tab.evaluate(
        """async (long) => {
        byId("typed").value = long;
        readTyped();
        askUnits();
        lookAgain();
        byId("typed").value = "to be";
        readTyped();
        while (!live.settled) await new Promise((resolve) => setTimeout(resolve, 5));
    }""",
        TEXT,
    )
    assert tab.locator("#units thead .column").count() == 2


@pytest.mark.parametrize("media", ["screen", "print"])
def test_a_units_update_fits_a_phone_and_paper(open_page, media):
    tab = open_page(width=390 if media == "screen" else 718)
    type_line(tab, LONG)
    tab.locator("[data-unit^='model-02-lstm']").first.click()
    settle(tab)
    tab.emulate_media(media=media)
    wide = "() => { const box = document.querySelector('#hand .update'); return [box.scrollWidth, box.clientWidth]; }"
    scrolled, there = tab.evaluate(wide)
    assert scrolled <= there + 1


def test_a_long_word_does_not_widen_the_page(open_page):
    tab = open_page(width=390)
    type_line(tab, LONG + " " + "a" * 60)
    tab.select_option("#hand-stage", "model-03-lstm-attention")
    settle(tab)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_guess_gets_half_and_counting_the_other_half(open_page):
    tab = open_page()
    for word in ("THAT", "was"):
        tab.fill("#game-guess", word)
        tab.keyboard.press("Enter")
    rows = [row.split("\t") for row in tab.inner_text("#game-score tbody").split("\n")]
    assert rows[0] == ["You", f"{(0.6 * 0.05) ** -0.5:.1f}"] and rows[1] == ["Counting", f"{(0.2 * 0.1) ** -0.5:.1f}"]
    assert len(rows) == 6 and tab.inner_text("#game-text").startswith("To be, or not to be: that is (you: was)")
    assert tab.is_disabled("#game-guess")


def test_of_questions_that_came_while_one_was_answered_only_the_newest_is(open_page):
    tab = open_page()
    answers = """async (texts) => {
        let answers = 0;
        const draw = worker.onmessage;
        worker.onmessage = (event) => ((answers += event.data.question === "read"), draw(event));
        for (const text of texts) {
            byId("typed").value = text;
            readTyped();
        }
        while (!live.settled) await new Promise((resolve) => setTimeout(resolve, 5));
        return [answers, live.pieces.length];
    }"""
    count, length = tab.evaluate(answers, [" ".join(LONG.split()[: 1 + n % 10]) for n in range(30)])
    assert count < 30 and length == 10  # how few depends on how fast the worker is


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_that_is_read_stands_out_and_every_control_has_a_name(open_page, scheme):
    tab = open_page(color_scheme=scheme)
    type_line(tab, LONG + " Quidditch")
    tab.locator("[data-unit]").first.click()
    tab.select_option("#break", label="heads switched off")
    tab.locator(".switches button").first.click()
    tab.locator("#bets button").first.click()
    settle(tab)
    assert min(one["contrast"] for one in tab.evaluate(CONTRASTS)) >= 4.5
    controls = tab.locator("#live button, #live select, #live input, #live textarea")
    assert all(name.strip() for name in controls.evaluate_all(CONTROL_NAMES))
    levels = tab.locator("h1, h2, h3, h4").evaluate_all(
        "all => all.filter(one => one.offsetParent).map(one => Number(one.tagName[1]))"
    )
    assert levels[0] == 1 and max(new - old for old, new in zip(levels, levels[1:])) <= 1


def test_on_paper_the_text_is_whole_and_there_is_nothing_to_press(open_page):
    tab = open_page(width=718, color_scheme="dark")
    type_line(tab, LONG * 9)
    tab.emulate_media(media="print")
    assert tab.locator("#live-stages").is_visible() and tab.locator("main *").evaluate_all(SCROLLED) == []
    assert min(one["contrast"] for one in tab.evaluate(CONTRASTS)) >= 4.5
    # What is read stays: tokens, the names of units, and which head is looked through.
    kept = ".token, .units button, .heads [aria-pressed=true]"
    assert tab.locator(f"main button:visible:not({kept}), select:visible, input:visible").count() == 0


def test_what_is_told_above_is_not_told_again_below(open_page):
    tab = open_page()
    assert tab.locator("#reader .guesses").count() == 0 and tab.locator("#reader .token").count()
    assert "gradient" in tab.inner_text("#reader > p:visible") and not tab.is_visible("#or-attention")


@pytest.mark.parametrize("width", [320, 390, 800, 1600])
def test_nothing_is_wider_than_the_screen(open_page, width):
    tab = open_page(width=width)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width


def test_without_models_there_is_nothing_to_type_into(open_html):
    assert not open_html(page(results_of())).locator("#live").is_visible()
