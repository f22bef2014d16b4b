"""Claims about the comparison's page: its text, and what it does in a browser (skipped where there is none)."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from in_browser import CONTRASTS, CONTROL_NAMES
from made_up import HOSTILE, NAMES, TITLES, WORDS, results_of

import shared.show.page as page_module
from shared.show.page import page

PHONE = {"width": 390, "is_mobile": True, "has_touch": True}

# The text of the file


class Parts(HTMLParser):
    """A page's elements as (tag, attributes), and the texts of its scripts and styles."""

    def __init__(self, html):
        super().__init__(convert_charrefs=False)
        self.elements, self.texts, self.inside = [], {}, None
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self.inside = dict(attributes).get("id", tag) if tag in ("script", "style") else None

    def handle_endtag(self, tag):
        self.inside = None

    def handle_data(self, text):
        if self.inside:
            self.texts[self.inside] = self.texts.get(self.inside, "") + text

    def addresses(self):
        return [value for _, found in self.elements for name, value in found.items() if name in ("src", "href")]


def hostile_results():
    """Tokens, names and titles that would do harm if anything took them for markup or for a template."""
    words = [HOSTILE, "<!--", "\u2028\u2029", "\ud800", "$data ${style}", "]]>", "&lt;", "", "' onclick='", "中"]
    results = results_of(words)
    results["corpus"]["name"] = results["tokenizer"]["name"] = results["command"] = HOSTILE
    for part in [*results["table"], *results["prompt"]["stages"]]:
        part["title"] = HOSTILE
    results["prompt"]["cut"] = HOSTILE
    return results


def test_the_embedded_data_are_what_was_given():
    assert json.loads(Parts(page(hostile_results())).texts["data"]) == hostile_results()


def test_no_word_of_the_data_adds_an_element():
    plain, hostile = Parts(page(results_of())), Parts(page(hostile_results()))
    assert [tag for tag, _ in hostile.elements] == [tag for tag, _ in plain.elements]


def test_data_that_are_not_escaped_would_be_seen(monkeypatch):
    monkeypatch.setattr(page_module, "_embedded", lambda data: json.dumps(data))
    assert "b" in [tag for tag, _ in Parts(page(hostile_results())).elements]
    with pytest.raises(ValueError):
        json.loads(Parts(page(hostile_results())).texts["data"])


def test_the_page_names_no_source_outside_itself():
    parts = Parts(page(results_of()))
    assert all(address.startswith(("#", "data:")) for address in parts.addresses())
    assert not re.search(r"url\(|@import", parts.texts["style"])
    assert not re.search(r"\b(fetch|XMLHttpRequest|WebSocket|EventSource|import|sendBeacon)\b", parts.texts["script"])
    # One name of a standard, which is no source.
    assert set(re.findall(r"https?://[^\"' ]*", page(results_of()))) == {"http://www.w3.org/2000/svg"}


def test_every_link_leads_to_a_place_on_the_page():
    parts = Parts(page(results_of()))
    identities = [found["id"] for _, found in parts.elements if "id" in found]
    assert len(identities) == len(set(identities))
    assert {address[1:] for address in parts.addresses() if address.startswith("#")} <= set(identities)


def test_the_policy_allows_this_script_and_this_style_and_no_other():
    parts = Parts(page(results_of()))
    policy = next(found["content"] for tag, found in parts.elements if tag == "meta" and "http-equiv" in found)
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    for kind in ("script", "style"):
        name = base64.b64encode(hashlib.sha256(parts.texts[kind].encode("utf-8")).digest()).decode("ascii")
        assert rules[f"{kind}-src"] == f"'sha256-{name}'"
    assert rules["default-src"] == "'none'" and rules["img-src"] == "data:"


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_json_has_not_is_refused(number):
    with pytest.raises(ValueError):
        page(results_of() | {"table": [{"parameters": number}]})


# In a browser


@pytest.fixture
def show(open_html):
    """show(results, **settings) -> the page in a tab."""

    def show(results, width=1280, change=str, **settings):
        return open_html(change(page(results)), width, **settings)

    return show


def stage_of(tab, stage):
    return tab.locator(f"[data-stage={NAMES[stage]}]")


def token_of(tab, stage, index):
    return stage_of(tab, stage).locator(".token").nth(index)


def chosen(tab, stage=1):
    return int(stage_of(tab, stage).locator("[aria-current=true]").get_attribute("data-index"))


def marks(tab, stage):
    """The weights that the marks show: the square of what the style says."""
    read = "tokens => tokens.map(token => Number(token.style.getPropertyValue('--weight')) ** 2)"
    return np.array(stage_of(tab, stage).locator(".token").evaluate_all(read))


def cells(tab, selector):
    return tab.locator(selector).evaluate_all(
        "rows => rows.map(row => [...row.children].map(cell => cell.innerText.trim()))"
    )


def map_of(results, stage, kind, layer=None, head=None):
    """A map of the results (T, T), by numpy: of one layer and head, or the mean of all."""
    weights = np.array(results["prompt"]["stages"][stage - 1][kind])
    if kind == "influence":
        return weights
    layers = slice(None) if layer is None else slice(layer, layer + 1)
    heads = slice(None) if head is None else slice(head, head + 1)
    return weights[layers, heads].mean(axis=(0, 1))


def assert_shows(tab, stage, weights):
    np.testing.assert_allclose(marks(tab, stage), weights, atol=2e-3)


def test_the_script_may_fetch_nothing(show):
    tab = show(results_of())
    blocked = "fetch('data:text/plain,x').then(() => 'let through', () => 'blocked')"
    assert tab.evaluate(blocked) == "blocked"
    assert any("Content Security Policy" in error for error in tab.errors)
    tab.errors.clear()


def test_a_picture_from_outside_would_be_seen(show):
    tab = show(
        results_of(), change=lambda html: html.replace("<main>", "<main><img src='https://example.invalid/x.png'>")
    )
    assert tab.errors != [] or tab.requests != [tab.address]
    tab.errors.clear()
    tab.requests[1:] = []


def test_moving_the_mouse_chooses_a_token_in_every_stage(show):
    results = results_of()
    tab = show(results)
    token_of(tab, 1, 6).hover()
    for stage in TITLES:
        assert chosen(tab, stage) == 6
        assert_shows(tab, stage, map_of(results, stage, "influence")[6])
    assert "token 7 of 14" in tab.locator("#chosen").inner_text()
    token_of(tab, 4, 2).hover()
    assert chosen(tab) == 2


def test_a_click_keeps_the_choice_until_a_second_one_or_escape(show):
    tab = show(results_of())
    token_of(tab, 1, 3).click()
    token_of(tab, 1, 8).hover()
    assert chosen(tab) == 3 and "kept" in tab.locator("#chosen").inner_text()
    token_of(tab, 1, 3).click()
    token_of(tab, 1, 8).hover()
    assert chosen(tab) == 8
    token_of(tab, 1, 8).click()
    tab.keyboard.press("Escape")
    token_of(tab, 1, 5).hover()
    assert chosen(tab) == 5


def test_arrow_keys_walk_through_the_text(show):
    tab = show(results_of())
    token_of(tab, 1, 5).focus()
    for key, place in [
        ("Home", 0),
        ("ArrowLeft", 0),
        ("ArrowRight", 1),
        ("End", 13),
        ("ArrowRight", 13),
        ("ArrowLeft", 12),
    ]:
        tab.keyboard.press(key)
        assert chosen(tab) == place
        assert tab.evaluate("Number(document.activeElement.dataset.index)") == place
    box = token_of(tab, 1, 12).bounding_box()
    tab.keyboard.press("ArrowUp")
    assert token_of(tab, 1, chosen(tab)).bounding_box()["y"] < box["y"] - box["height"] / 2
    tab.keyboard.press("ArrowDown")
    assert abs(token_of(tab, 1, chosen(tab)).bounding_box()["y"] - box["y"]) < box["height"] / 2


def test_each_text_is_one_stop_of_the_tab_key_and_the_focus_is_seen(show):
    tab = show(results_of())
    stops = tab.locator(".text").evaluate_all(
        "all => all.map(text => text.querySelectorAll('[tabindex=\"0\"]').length)"
    )
    assert stops == [1, 1, 1, 1]
    tab.locator("#after").focus()
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.className") == "token"
    assert tab.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_a_tap_chooses_on_a_phone_which_shows_one_stage_at_a_time(show):
    tab = show(results_of(), **PHONE)
    assert [stage_of(tab, stage).is_visible() for stage in TITLES] == [True, False, False, False]
    token_of(tab, 1, 4).tap()
    assert chosen(tab) == 4
    tab.get_by_role("button", name="4 Mini transformer").tap()
    assert [stage_of(tab, stage).is_visible() for stage in TITLES] == [False, False, False, True]
    token_of(tab, 4, 7).tap()
    assert chosen(tab, 4) == 7
    tab.get_by_role("button", name="Token before").tap()
    assert chosen(tab, 4) == 6


@pytest.mark.parametrize("width", [360, 390, 768])
def test_nothing_is_wider_than_the_screen(show, width):
    long = ["honorificabilitudinitatibus" * 3, *WORDS]
    tab = show(results_of(long), width=width, is_mobile=True, has_touch=True)
    tab.get_by_role("button", name="All").click()
    tab.locator("[data-kind=attention]").evaluate_all("buttons => buttons.forEach(button => button.click())")
    tab.locator("details").evaluate_all("all => all.forEach(details => (details.open = true))")
    tab.wait_for_timeout(50)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width


def test_the_numbers_of_a_stage_are_in_its_table(show):
    results = results_of()
    tab = show(results)
    token_of(tab, 4, 9).click()
    stage_of(tab, 4).locator("summary").click()
    expected = 100 * map_of(results, 4, "influence")[9, :10]
    rows = cells(tab, f"[data-stage={NAMES[4]}] tbody tr")
    assert rows == [[str(at + 1), WORDS[at].replace("\n", "↵"), f"{expected[at]:.2f}%"] for at in range(10)]
    assert "influence, after reading token 10, “that”" in stage_of(tab, 4).locator("caption").inner_text()
    stage_of(tab, 4).locator("[data-kind=attention]").click()
    expected = 100 * map_of(results, 4, "attention")[9, :10]
    shown = [float(row[2].rstrip("%")) for row in cells(tab, f"[data-stage={NAMES[4]}] tbody tr")]
    np.testing.assert_allclose(shown, expected, atol=0.0051)
    tab.locator("#before").click()
    assert len(cells(tab, f"[data-stage={NAMES[4]}] tbody tr")) == 9


def test_layer_and_head_choose_the_map_that_is_shown(show):
    results = results_of()
    tab = show(results)
    token_of(tab, 4, 10).click()
    last = stage_of(tab, 4)
    assert last.locator("select").first.is_hidden()
    last.locator("[data-kind=attention]").click()
    assert last.locator("[data-kind=attention]").get_attribute("aria-pressed") == "true"
    assert_shows(tab, 4, map_of(results, 4, "attention")[10])
    for layer, head in [(2, None), (2, 3), (None, 3), (0, 0)]:
        last.locator("[data-part=layer]").select_option("mean" if layer is None else str(layer))
        last.locator("[data-part=head]").select_option("mean" if head is None else str(head))
        assert_shows(tab, 4, map_of(results, 4, "attention", layer, head)[10])
    assert_shows(tab, 3, map_of(results, 3, "influence")[10])  # each stage keeps its own
    last.locator("[data-kind=influence]").click()
    assert_shows(tab, 4, map_of(results, 4, "influence")[10])


def test_keys_switch_stage_map_layer_and_head(show):
    results = results_of()
    tab = show(results)
    token_of(tab, 1, 10).focus()
    tab.keyboard.press("End")
    tab.keyboard.press("4")
    assert [stage_of(tab, stage).is_visible() for stage in TITLES] == [False, False, False, True]
    assert tab.evaluate("document.activeElement.closest('section').dataset.stage") == NAMES[4]
    for key, layer, head in [("a", None, None), ("l", 0, None), ("l", 1, None), ("h", 1, 0), ("h", 1, 1), ("h", 1, 2)]:
        tab.keyboard.press(key)
        assert_shows(tab, 4, map_of(results, 4, "attention", layer, head)[13])
    assert "attention, layer 2, head 3" in tab.locator("#spoken").inner_text()
    for head in (3, None, 0):  # after the last one, the mean again
        tab.keyboard.press("h")
        assert_shows(tab, 4, map_of(results, 4, "attention", 1, head)[13])
    tab.keyboard.press("A")
    assert_shows(tab, 4, map_of(results, 4, "influence")[13])
    tab.keyboard.press("0")
    assert all(stage_of(tab, stage).is_visible() for stage in TITLES)
    tab.keyboard.press("Control+4")
    assert all(stage_of(tab, stage).is_visible() for stage in TITLES)


def test_a_token_that_may_look_at_nothing_is_told_so(show):
    tab = show(results_of())
    stage_of(tab, 3).locator("[data-kind=attention]").click()
    token_of(tab, 3, 0).click()
    assert marks(tab, 3).max() == 0
    assert "nothing before it" in stage_of(tab, 3).locator(".most").inner_text()


def test_what_is_chosen_is_said(show):
    results = results_of()
    tab = show(results, **PHONE)
    token_of(tab, 1, 5).tap()
    assert tab.locator("#spoken").get_attribute("aria-live") == "polite"
    most = int(map_of(results, 1, "influence")[5].argmax())
    guess = results["prompt"]["stages"][0]["next"][5][0]["token"].replace("\n", "↵")
    said = tab.locator("#spoken").inner_text()
    assert said.startswith("Token 6, “to”. RNN, influence. Most influence: ")
    assert f"“{WORDS[most]}” ({most + 1})" in said and f"Likeliest next: “{guess}”" in said
    assert "LSTM" not in said  # it is not shown


def test_the_guesses_and_what_followed_are_those_of_the_results(show):
    results = results_of()
    tab = show(results)
    token_of(tab, 2, 8).click()
    given = results["prompt"]["stages"][1]
    words = stage_of(tab, 2).locator(".word").evaluate_all("all => all.map(word => word.firstChild.data)")
    assert words == [guess["token"].replace("\n", "↵") for guess in given["next"][8]]
    bars = (
        stage_of(tab, 2)
        .locator(".fill")
        .evaluate_all("all => all.map(bar => bar.offsetWidth / bar.parentNode.clientWidth)")
    )
    np.testing.assert_allclose(bars, [guess["probability"] for guess in given["next"][8]], atol=0.02)
    actual = f"{100 * given['actual_next'][8]:.{int(given['actual_next'][8] < 0.1)}f}%"
    assert stage_of(tab, 2).locator(".followed").inner_text() == f"Then came “that”, to which it gave {actual}."
    ticks = stage_of(tab, 2).locator(".word").evaluate_all("all => all.map(word => word.textContent.includes('✓'))")
    assert ticks == [word == "that" for word in words] and any(ticks)
    token_of(tab, 2, 13).click()
    assert stage_of(tab, 2).locator(".followed").inner_text() == "The text ends here."


def test_tokens_read_next_and_later_look_different_without_colour(show):
    tab = show(results_of())
    token_of(tab, 1, 6).click()
    style = "(token, name) => getComputedStyle(token)[name]"
    styles = [token_of(tab, 1, at).evaluate(f"token => ({style})(token, 'borderTopStyle')") for at in (6, 7)]
    assert styles == ["solid", "dashed"]
    strongest, weakest = marks(tab, 1)[:7].argmax(), marks(tab, 1)[:7].argmin()
    bars = [
        token_of(tab, 1, int(at)).evaluate("token => getComputedStyle(token).boxShadow") for at in (strongest, weakest)
    ]
    heights = [-float(re.findall(r"(-?[\d.]+)px", bar)[1]) for bar in bars]
    assert heights[0] > heights[1] + 1


def test_gates_are_never_shown_as_bare_means(show):
    tab = show(results_of())
    for gate in ("forget", "input gate", "gates"):
        assert gate not in tab.locator("#reader").inner_text().lower()


def test_faithfulness_stands_beside_attention_and_nowhere_else(show):
    tab = show(results_of())
    for stage in (3, 4):
        assert stage_of(tab, stage).locator(".facts dd").all_inner_texts() == ["4.066", "4.121", "+0.055", "0.31"]
        assert "−0.12 to 0.66" in stage_of(tab, stage).inner_text()
    assert stage_of(tab, 1).locator(".facts").count() == 0
    assert tab.locator("#about-agreement").is_visible()


def test_influence_is_never_called_attention(show):
    tab = show(results_of(stages=(1, 2)))
    assert set(re.findall(r".*\battention\b.*", tab.locator("#reader").inner_text())) == {
        "Influence. This model has no attention."
    }


@pytest.mark.parametrize("stages", [(1,), (2, 4), (1, 2, 3)])
def test_any_stages_can_be_shown_each_with_its_own_number(show, stages):
    tab = show(results_of(stages=stages))
    assert tab.locator(".stage h3").all_inner_texts() == [f"{stage} {TITLES[stage]}" for stage in stages]
    token_of(tab, stages[-1], 3).click()
    assert [chosen(tab, stage) for stage in stages] == [3] * len(stages)
    assert tab.locator(".chart").count() == 5


@pytest.mark.parametrize("count", [1, 3])
def test_a_short_prompt_can_be_read(show, count):
    tab = show(results_of(WORDS[:count]))
    token_of(tab, 4, count - 1).focus()
    for key in ("End", "ArrowRight", "ArrowUp", "Home", "a", "l", "h"):
        tab.keyboard.press(key)
    assert chosen(tab) == 0 and f"of {count}" in tab.locator("#chosen").inner_text()


def test_in_a_long_prompt_the_chosen_token_stays_in_sight_and_the_page_still(show):
    results = results_of((WORDS * 15)[:200])
    results["prompt"]["cut"] = "60 tokens at the beginning are not shown"
    tab = show(results)
    assert tab.locator("#cut").inner_text() == results["prompt"]["cut"]
    token_of(tab, 1, 0).focus()
    before = tab.evaluate("scrollY")
    for key in ("End", "Home", "End"):
        tab.keyboard.press(key)
        inside = """texts => texts.every(text => {
            const [box, token] = [text, text.querySelector('[aria-current]')].map(one => one.getBoundingClientRect());
            return token.top >= box.top && token.bottom <= box.bottom;
        })"""
        assert tab.locator(".text").evaluate_all(inside)
    assert tab.evaluate("scrollY") == before


def test_a_text_does_not_slide_away_below_the_mouse(show):
    tab = show(results_of((WORDS * 15)[:200]))
    half = token_of(tab, 1, 120)  # to be seen in part, at the lower edge
    half.evaluate("token => (token.parentNode.scrollTop = token.offsetTop + 15 - token.parentNode.clientHeight)")
    tops = [text.evaluate("text => text.scrollTop") for text in tab.locator(".text").all()]
    stage_of(tab, 1).locator(".text").scroll_into_view_if_needed()
    box = half.bounding_box()
    tab.mouse.move(box["x"] + box["width"] / 2, box["y"] + 8)
    assert chosen(tab) == 120
    assert stage_of(tab, 1).locator(".text").evaluate("text => text.scrollTop") == tops[0]
    assert stage_of(tab, 2).locator(".text").evaluate("text => text.scrollTop") != tops[1]  # the others follow


def test_hostile_words_are_shown_as_they_are(show):
    results = hostile_results()
    tab = show(results)
    tab.locator("details").evaluate_all("all => all.forEach(details => (details.open = true))")
    texts = stage_of(tab, 1).locator(".token").evaluate_all("all => all.map(token => token.textContent)")
    expected = [word.replace(" ", "␣") or "∅" for word in results["prompt"]["tokens"]]
    assert texts[0] == HOSTILE and texts[4:] == expected[4:]
    assert tab.locator("#cut").inner_text() == HOSTILE
    assert tab.locator("script").count() == 4 and tab.locator("[onclick]").count() == 0
    assert tab.locator(".token b, td b, th b, li b, figcaption b").count() == 0


def test_missing_values_are_a_dash_and_nothing_fails(show):
    results = results_of()
    for row in results["table"]:
        row |= {name: None for name in row if name not in ("stage", "title", "runs")}
    for stage in results["prompt"]["stages"]:
        stage["actual_next"] = [None] * len(WORDS)
        stage["next"][3] = [{"token": "be", "probability": None}]
        stage["influence"][3] = [None] * len(WORDS)
        if stage["faithfulness"]:
            stage["faithfulness"] = {name: None for name in stage["faithfulness"]}
    results["tokenizer"] |= {"share_unknown_validation": None, "share_unknown_test": None}
    results["curves"]["learning"] = [{"stage": NAMES[1], "tokens": [], "seconds": [], "validation_loss": []}]
    results["curves"]["context"]["stages"][0]["nats"][4] = None
    results["curves"]["gradient"]["stages"][0]["norms"][5:] = [None] * 60
    tab = show(results)
    token_of(tab, 2, 3).click()
    assert "to which it gave –" in stage_of(tab, 2).locator(".followed").inner_text()
    assert stage_of(tab, 4).locator(".facts dd").all_inner_texts() == ["–"] * 4
    assert {text for row in cells(tab, "#table tbody tr") for text in row[1:]} == {"–", "1", "3"}
    assert tab.locator(".chart").count() == 3
    for word in ("NaN", "null", "undefined", "Infinity"):
        assert word not in tab.locator("body").inner_text()
        assert word not in tab.locator("#charts").inner_html()


def test_the_results_are_in_the_table_with_what_they_mean(show):
    results = results_of()
    tab = show(results)
    rows = {row[0]: row[1:] for row in cells(tab, "#table tbody tr")}
    table = results["table"]
    assert cells(tab, "#table thead tr") == [["", *(row["title"] for row in table)]]
    assert rows["Test perplexity"] == [f"{row['test_perplexity']:.1f}" for row in table]
    low, high = table[2]["validation_perplexity_spread"]
    assert rows["Validation perplexity"][2] == f"{table[2]['validation_perplexity']:.1f}\n{low:.1f} to {high:.1f}"
    assert rows["Parameters"] == ["–", "5.51 M", "6.21 M", "6.91 M", "7.61 M"]
    assert rows["State after 16 tokens"][1] == "2.05 kB" and rows["State after 1,024 tokens"][4] == "524 kB"
    assert rows["Time in training"] == ["7 s", "5.3 min", "5.7 min", "6.0 min", "6.3 min"]
    caption = tab.locator("#table caption").inner_text()
    assert (
        "Tokenizer: word, a vocabulary of 17,706; <unk> is 3.5% of the validation text and 4.1% of the test" in caption
    )
    assert results["command"] in tab.locator("#machine").inner_text()


@pytest.mark.parametrize("too_short", ["", "Runs as short as these do not rank stages: RNN."])
def test_of_runs_that_were_too_short_the_page_says_so_and_gives_no_verdict(show, too_short):
    page = show(results_of() | {"too_short": too_short})
    assert (
        page.locator("#too-short").is_visible()
        == page.get_by_text("do not rank stages").is_visible()
        == bool(too_short)
    )
    assert page.get_by_text("has learned nothing").is_visible() == (not too_short)


def test_curves_differ_by_dashes_and_are_named(show):
    tab = show(results_of())
    for chart in tab.locator(".chart").all():
        dashes = chart.locator("[data-series] .line").evaluate_all(
            "all => all.map(line => line.getAttribute('stroke-dasharray'))"
        )
        assert len(dashes) == 4 == len(set(dashes))
        names = chart.locator("text.name").all_text_contents()
        assert {f"{stage} {TITLES[stage]}" for stage in TITLES} <= set(names)
        places = sorted(
            chart.locator("text.name:not([text-anchor])").evaluate_all(
                "all => all.map(name => name.getBoundingClientRect().top)"
            )
        )
        assert np.diff(places).min() >= 12  # no name upon another


def test_a_curve_is_where_its_numbers_say(show):
    results = results_of()
    tab = show(results)
    chart = tab.locator(".chart").nth(2)
    for stage, given in zip(TITLES, results["curves"]["context"]["stages"]):
        path = chart.locator(f"[data-series={NAMES[stage]}] .line").get_attribute("d")
        drawn = np.array(re.findall(r"([\d.]+) ([\d.]+)", path), dtype=float)
        for place, values in [(0, np.log(results["curves"]["context"]["lengths"])), (1, given["nats"])]:
            correlation = np.corrcoef(drawn[:, place], values)[0, 1]
            assert abs(correlation) > 0.9999 and (correlation > 0) == (place == 0)


def test_the_numbers_of_a_curve_can_be_read(show):
    results = results_of()
    tab = show(results)
    context, learning = tab.locator(".chart").nth(2), tab.locator(".chart").nth(1)
    context.locator("summary").click()
    learning.locator("summary").click()
    rows = context.locator("tbody tr").all_inner_texts()
    given = results["curves"]["context"]["stages"][3]
    assert len(rows) == 10 and rows[9].split("\t")[-1] == f"{given['nats'][9]:.4g} ± 0.09"
    assert len(learning.locator("tbody tr").all()) == 4 * 6  # measured at different moments: a line each


def test_positions_are_averaged_by_doublings_and_by_counts(show):
    results = results_of(stages=(1,))
    results["curves"]["position"]["stages"] = [
        {"stage": NAMES[1], "length": 5, "nats": [5, 4, 3, 1, 2], "counts": [9, 9, 3, 1, 1]}
    ]
    tab = show(results)
    chart = tab.locator(".chart").nth(3)
    chart.locator("summary").click()
    assert [row.split("\t") for row in chart.locator("tbody tr").all_inner_texts()] == [
        ["1", "5"],
        ["2", "4"],
        ["4", "2.5"],
        ["5", "2"],
    ]


def test_curves_are_drawn_anew_when_the_window_changes(show):
    tab = show(results_of())
    tab.set_viewport_size({"width": 500, "height": 800})
    tab.wait_for_function("document.querySelector('.chart svg').clientWidth <= 470")
    assert tab.evaluate("document.documentElement.scrollWidth") <= 500


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_stands_out_from_its_ground(show, scheme):
    tab = show(results_of(), color_scheme=scheme)
    stage_of(tab, 3).locator("[data-kind=attention]").click()
    tab.locator("details").evaluate_all("all => all.forEach(details => (details.open = true))")
    found = tab.evaluate(CONTRASTS)
    assert len(found) > 300
    assert [one for one in found if one["contrast"] < 4.5] == []


def test_text_that_does_not_stand_out_would_be_seen(show, monkeypatch):
    read = page_module._read
    monkeypatch.setattr(page_module, "_read", lambda name: read(name).replace("--soft: #5f5b53", "--soft: #9a968e"))
    tab = show(results_of())
    assert min(one["contrast"] for one in tab.evaluate(CONTRASTS)) < 4.5


def test_headings_go_down_one_step_at_a_time_and_every_control_has_a_name(show):
    tab = show(results_of())
    levels = tab.locator("h1, h2, h3, h4").evaluate_all(
        "all => all.filter(one => one.offsetParent).map(one => Number(one.tagName[1]))"
    )
    assert levels[0] == 1 and levels.count(1) == 1
    assert max(np.diff(levels)) <= 1
    assert all(name.strip() for name in tab.locator("button, select, summary, a").evaluate_all(CONTROL_NAMES))
    assert [tab.locator(landmark).count() for landmark in ("header", "main", "nav", "footer")] == [1, 1, 1, 1]
    assert tab.locator("[onclick], div[role=button]").count() == 0


@pytest.mark.parametrize("motion, scrolling", [("reduce", "auto"), ("no-preference", "smooth")])
def test_who_prefers_no_motion_gets_none(show, motion, scrolling):
    tab = show(results_of(), reduced_motion=motion)
    duration = token_of(tab, 1, 0).evaluate("token => parseFloat(getComputedStyle(token).transitionDuration)")
    assert (duration == 0) == (motion == "reduce")
    assert tab.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == scrolling


def test_on_paper_the_text_is_whole_and_black_on_white_even_in_dark_mode(show):
    tab = show(results_of((WORDS * 8)[:100]), color_scheme="dark")
    tab.emulate_media(media="print")
    assert tab.locator(".text").evaluate_all("all => all.every(text => text.scrollHeight <= text.clientHeight + 1)")
    assert tab.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert tab.locator("#views button").first.is_hidden()
