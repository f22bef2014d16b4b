"""What holds for all tests: where `shared` lies, one thread of arithmetic, and a line for each reason to skip some."""

import os
import shutil
import signal
import sys
from collections import Counter
from pathlib import Path

import pytest

# The models are so small that a second thread costs more than it saves, most of all where other programs are busy too;
# and sums come out the same whatever the number of cores. PyTorch reads it when it is imported, here and in what the
# tests start.
os.environ["OMP_NUM_THREADS"] = "1"
# A shell that starts the tests in the background, or nohup, has them ignore Ctrl-C or a closed terminal; and so would
# the programs that tests start and then ask to stop.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def pytest_terminal_summary(terminalreporter):
    """Say once why tests were skipped; pytest itself would say it for each of them."""
    reasons = Counter(report.longrepr[2] for report in terminalreporter.stats.get("skipped", []))
    for reason, count in reasons.items():
        terminalreporter.write_line(f"{count} skipped: {reason.removeprefix('Skipped: ')}")


# In a browser


def chromium_path():
    """A Chromium that is here: the one that CHROMIUM names, one on the PATH, or Playwright's own. None without any."""
    named = os.environ.get("CHROMIUM")
    names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge"]
    return named or next(filter(None, map(shutil.which, names)), None)


@pytest.fixture(scope="module")
def browser():
    library = pytest.importorskip(
        "playwright.sync_api", reason="needs playwright: python -m pip install -r tests/requirements.txt"
    )
    with library.sync_playwright() as playwright:
        path = chromium_path() or playwright.chromium.executable_path
        if not Path(path).exists():
            pytest.skip("needs Chromium: python -m playwright install chromium, or set CHROMIUM to its path")
        browser = playwright.chromium.launch(executable_path=path)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def tab_with(browser):
    """tab_with(settings) -> a tab of a browser without a network; one for all tests that want the same settings."""
    tabs = {}

    def tab_with(**settings):
        key = str(sorted(settings.items()))
        if key not in tabs:
            tab = tabs[key] = browser.new_context(offline=True, **settings).new_page()
            tab.set_default_timeout(5000)
            tab.on("request", lambda request: tab.requests.append(request.url))
            tab.on("console", lambda message: tab.errors.append(message.text))
            tab.on("pageerror", lambda error: tab.errors.append(str(error)))
        return tabs[key]

    return tab_with


@pytest.fixture
def open_html(tab_with, tmp_path):
    """open_html(html, width) -> a page in a tab. After the test: it asked for nothing, and nothing failed."""
    opened = []

    def open_html(html, width=1280, **settings):
        path = tmp_path / "page.html"
        path.write_text(html, encoding="utf-8", newline="\n")
        tab = tab_with(**{"reduced_motion": "reduce"} | settings)  # else places are read while the page still glides
        tab.address, tab.requests, tab.errors = path.as_uri(), [], []
        tab.mouse.move(0, 0)
        tab.set_viewport_size({"width": width, "height": 800})
        tab.emulate_media(media="screen")
        tab.goto(tab.address)
        opened.append(tab)
        return tab

    yield open_html
    for tab in opened:
        # The icon is data, and a worker is made of the page's own text.
        asked = [address for address in tab.requests if not address.startswith(("data:", "blob:"))]
        assert asked == [tab.address] and tab.errors == []
