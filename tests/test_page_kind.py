"""Claims about the comparison's page on a phone, on paper and without colours, seen in a browser."""

import itertools

import pytest
from in_browser import CONTRASTS, SCROLLED
from made_up import NAMES, TITLES, WORDS, results_of

from shared.show.page import page

LONG_TITLES = {1: "RNN", 2: "LSTM", 3: "LSTM with Attention", 4: "Mini Transformer"}

# Of what a selector finds, where the boxes stand on the page.
BOXES = """all => all.map((one) => {
    const { left, right, top, bottom } = one.getBoundingClientRect();
    return [one.textContent, left, right, top, bottom];
})"""


@pytest.fixture
def show(open_html):
    """show(width) -> the page of four stages with the course's own names."""

    def show(width=1280, **settings):
        results = results_of()
        for part in [*results["table"][1:], *results["prompt"]["stages"]]:
            part["title"] = LONG_TITLES[int(part["stage"][6:8])]
        return open_html(page(results), width, **settings)

    return show


def overlapping(boxes):
    """The pairs of texts that cover each other by more than a pixel."""
    return [
        (one[0], other[0])
        for one, other in itertools.combinations(boxes, 2)
        if min(one[2], other[2]) - max(one[1], other[1]) > 1 and min(one[4], other[4]) - max(one[3], other[3]) > 1
    ]


def test_texts_that_cover_each_other_would_be_seen():
    assert overlapping([("a", 0, 10, 0, 10), ("b", 8, 20, 8, 20), ("c", 10, 20, 0, 8)]) == [("a", "b")]


# Curves


@pytest.mark.parametrize("width", [320, 390, 800])
def test_no_name_in_a_picture_covers_another_or_leaves_it(show, width):
    tab = show(width)
    for chart in tab.locator(".chart").all():
        names = chart.locator("svg text").evaluate_all(BOXES)
        assert len(names) > 8 and overlapping(names) == []
        [(_, left, right, top, bottom)] = chart.locator("svg").evaluate_all(BOXES)
        for name, *box in names:
            assert left - 1 <= box[0] and box[1] <= right + 1 and top - 1 <= box[2] and box[3] <= bottom + 1, name


def test_curves_that_end_at_one_place_keep_their_names_apart(open_html):
    results = results_of()
    for curve in results["curves"]["learning"]:
        curve["validation_loss"] = results["curves"]["learning"][0]["validation_loss"]
    tab = open_html(page(results), 390)
    for chart in tab.locator(".chart").all()[:2]:
        assert overlapping(chart.locator("text.name").evaluate_all(BOXES)) == []


def test_stages_are_told_apart_without_colours(show):
    """By the dashes of a line, the shape of its marks, and a name or number beside it: each would do alone."""
    tab = show()
    for chart in tab.locator(".chart").all():
        for what, told in [
            (".line", "all => all.map((line) => line.getAttribute('stroke-dasharray'))"),
            (".shape:last-child", "all => all.map((shape) => shape.localName + shape.getAttribute('points'))"),
        ]:
            found = chart.locator(f"[data-series] {what}").evaluate_all(told)
            assert len(found) == len(set(found)) == 4, what
        assert {f"{stage} {title}" for stage, title in LONG_TITLES.items()} <= set(
            chart.locator("text.name").all_text_contents()
        )
    for stage in TITLES:  # elsewhere each stage's part is headed by its number and name
        heading = tab.locator(f"[data-stage={NAMES[stage]}] h3")
        assert heading.inner_text() == f"{stage} {LONG_TITLES[stage]}"


# The table

# The cells whose text is wider than they are, or that stand outside the screen.
CUT_OFF = """(all) => all.filter((cell) => cell.innerText).filter((cell) => {
    const range = document.createRange();
    range.selectNodeContents(cell);
    const text = range.getBoundingClientRect(), box = cell.getBoundingClientRect();
    const wide = text.left < box.left - 1 || text.right > box.right + 1;
    return wide || box.left < 0 || box.right > document.documentElement.clientWidth + 1;
}).map((cell) => cell.innerText)"""


@pytest.mark.parametrize("media, width", [("screen", 320), ("screen", 390), ("screen", 800), ("print", 718)])
def test_the_table_reads_on_a_phone_and_on_paper(show, media, width):
    tab = show(width)
    tab.emulate_media(media=media)
    cells = tab.locator("#table th:visible, #table td:visible")
    assert cells.count() > 70 and cells.evaluate_all(CUT_OFF) == []
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    # Which model a number is of is said above its column, or beside it.
    beside = tab.locator("#table tbody tr:nth-child(2) td").evaluate_all(
        "all => all.map((cell) => getComputedStyle(cell, '::before').content.replaceAll('\"', ''))"
    )
    heads = tab.locator("#table thead th:visible").all_inner_texts()[1:]
    assert (heads or beside) == ["Counting", *LONG_TITLES.values()]


# Paper


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_paper_there_is_nothing_to_press_and_all_is_dark_on_white(show, scheme):
    tab = show(718, color_scheme=scheme)
    tab.emulate_media(media="print")
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert min(found["contrast"] for found in tab.evaluate(CONTRASTS)) >= 4.5
    # The tokens of a text are buttons too, and are what is read.
    assert tab.locator("button:not(.token):visible, select:visible, input:visible, summary:visible").count() == 0
    assert tab.locator("main *").evaluate_all(SCROLLED) == []
    for part in ("#reader", "#results", "#curves", "#measured"):
        assert tab.locator(part).is_visible()
    assert tab.locator("#stages .token:visible").count() == 4 * len(WORDS)
