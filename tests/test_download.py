"""download() leaves the whole file or nothing, whatever a server does, and every failure is one line with advice."""

import gzip
import hashlib
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from shared.errors import UserError
from shared.text import corpus, download

WHOLE = b"To be, or not to be: that is the question.\n" * 5000
SHA256 = hashlib.sha256(WHOLE).hexdigest()
HALF = len(WHOLE) // 2


class Handler(BaseHTTPRequestHandler):
    """Serves one path after the other, each in a way of its own; `asked` of the server are the Range headers."""

    def do_GET(self):
        start = self.headers["Range"]
        self.server.asked.append(start)
        self.start = int(start.removeprefix("bytes=").removesuffix("-")) if start else 0
        self.first = len(self.server.asked) == 1
        getattr(self, self.path.strip("/").partition("?")[0].replace("-", "_"), self.nowhere)()

    def answer(self, body, status=200, **headers):
        self.send_response(status)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def close_after(self, body):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def rest(self, **headers):
        part = f"bytes {self.start}-{len(WHOLE) - 1}/{len(WHOLE)}"
        self.answer(WHOLE[self.start :], 206, **{"Content_Range": part, **headers})

    def cut(self, body=WHOLE[:HALF]):
        self.answer(body, Content_Length=str(len(WHOLE)))

    def nowhere(self):
        self.send_error(404)

    def whole(self):
        self.answer(WHOLE)

    def cut_once(self):
        self.cut() if self.first else self.rest()

    def cut_once_without_ranges(self):
        self.cut() if self.first else self.whole()

    def cut_once_with_no_length_told(self):
        self.close_after(WHOLE[:HALF]) if self.first else self.rest()

    def cut_once_then_another_part(self):
        self.cut() if self.first else self.rest(Content_Range=f"bytes 0-{HALF}/{len(WHOLE)}")

    def cut_once_then_no_such_part(self):
        self.cut() if self.first else self.answer(b"", 416)

    def busy_once(self):
        self.answer(b"later", 503) if self.first else self.whole()

    def too_many_once(self):
        self.answer(b"later", 429, Retry_After="99999999999") if self.first else self.whole()

    def always_busy(self):
        self.answer(b"never", 500)

    def longer(self):
        self.answer(WHOLE + b"!")

    def endless(self):  # tells no length
        self.send_response(200)
        self.end_headers()
        while not self.server.closing:
            self.wfile.write(WHOLE)

    def drips(self):
        self.send_response(200)
        self.end_headers()
        while not self.server.closing:
            self.wfile.write(b"!")
            time.sleep(0.02)

    def drips_headers(self):
        self.wfile.write(b"HTTP/1.0 200 OK\r\nX-")
        self.drips()

    def silent(self):
        time.sleep(0.2)

    def log_in(self):
        self.answer(b"<html>Welcome to our hotel</html>", Content_Type="text/html; charset=utf-8")

    def packed(self):
        self.answer(gzip.compress(bytes(10**7)), Content_Encoding="gzip")

    def loop(self):
        self.answer(b"", 302, Location="/loop")

    def to_the_whole(self):
        self.answer(b"", 302, Location="/whole")

    def to_the_whole_endlessly(self):
        self.send_response(302)
        self.send_header("Location", "/whole")
        self.end_headers()
        while not self.server.closing:
            self.wfile.write(WHOLE)

    def nonsense(self):
        self.answer(b"", 302, Location=self.server.location)

    def log_message(self, *arguments):
        pass

    def handle(self):
        try:
            super().handle()
        except OSError:  # the client has gone
            pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "PAUSES", (0, 0, 0))
    monkeypatch.setattr(download, "PATIENCE", 0.01)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked, server.closing = [], False
    server.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.closing = True
    server.shutdown()
    server.server_close()


def fetched(url, path, sha256=SHA256):
    return download.download(url, path, sha256, len(WHOLE))


def assert_fails_in_one_line(url, path, sha256=SHA256):
    """The download fails, its message is one line naming `path`, and the folder stays as it was."""
    before = sorted(path.parent.iterdir()) if path.parent.exists() else []
    with pytest.raises(UserError) as caught:
        fetched(url, path, sha256)
    assert "\n" not in str(caught.value)
    assert f"save the file by hand as {path}" in str(caught.value)
    assert (sorted(path.parent.iterdir()) if path.parent.exists() else []) == before
    return str(caught.value).replace(url, "")


def test_a_good_answer_becomes_the_file_and_leaves_nothing_else(server, tmp_path, capsys):
    path = tmp_path / "new" / "text.txt"
    assert fetched(f"{server.url}/whole", path) == path
    assert path.read_bytes() == WHOLE
    assert list(path.parent.iterdir()) == [path]
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "whole: 100%" in printed.err


@pytest.mark.parametrize(
    ("way", "asked"),
    [
        ("to-the-whole", [None, None]),
        ("to-the-whole-endlessly", [None, None]),
        ("cut-once-without-ranges", 2),
        ("cut-once-with-no-length-told", [None, f"bytes={HALF}-"]),
        ("busy-once", [None, None]),
        ("too-many-once", [None, None]),
    ],
)
def test_what_a_server_may_do_is_borne(server, tmp_path, way, asked):
    path = fetched(f"{server.url}/{way}", tmp_path / "text.txt")
    assert path.read_bytes() == WHOLE
    assert list(tmp_path.iterdir()) == [path]
    assert asked in (server.asked, len(server.asked))


def test_an_answer_that_was_cut_off_is_continued(server, tmp_path, capsys):
    assert fetched(f"{server.url}/cut-once", tmp_path / "text.txt").read_bytes() == WHOLE
    first, start = server.asked
    assert first is None
    assert 0 < int(start.removeprefix("bytes=").removesuffix("-")) <= HALF
    assert "the connection failed; trying again in 0 s" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("way", "told", "tries"),
    [
        ("nowhere", "404", 1),
        ("always-busy", "500", 4),
        ("cut", "connection failed", 4),
        ("cut-once-then-another-part", "another part", 2),
        ("cut-once-then-no-such-part", "416", 2),
        ("longer", "another length", 1),
        ("endless", "longer than the file", 1),
        ("log-in", "log in", 1),
        ("packed", "packed", 1),
        ("loop", "points to a place", 1 + download.REDIRECTS),
    ],
)
def test_what_is_not_the_file_is_told_in_one_line(server, tmp_path, way, told, tries):
    assert told in assert_fails_in_one_line(f"{server.url}/{way}", tmp_path / "text.txt")
    assert len(server.asked) == tries


@pytest.mark.parametrize(
    "place",
    ["file:///etc/passwd", "ftp://127.0.0.1/text", "javascript:alert(1)", "http://", "http://[", "//", "http://a b:c"],
)
def test_a_redirect_to_nonsense_is_told_in_one_line(server, tmp_path, place):
    server.location = place
    assert "points to a place" in assert_fails_in_one_line(f"{server.url}/nonsense", tmp_path / "text.txt")


@pytest.mark.parametrize("way", ["drips", "drips-headers"])
def test_a_server_that_drips_does_not_keep_us(server, tmp_path, monkeypatch, way):
    monkeypatch.setattr(download, "DEADLINE", 0.3)
    begin = time.monotonic()
    assert "no answer in time" in assert_fails_in_one_line(f"{server.url}/{way}", tmp_path / "text.txt")
    assert time.monotonic() - begin < 10


@pytest.mark.parametrize(
    ("asked", "pause"), [("3", 3), ("0", 0), ("9" * 5000, 20), ("-1", 0), ("Wed, 21 Oct", 0), ("²", 0)]
)
def test_a_pause_that_a_server_asks_for_is_heeded_within_bounds(asked, pause):
    response = requests.Response()
    response.headers["Retry-After"] = asked
    assert download.asked_pause(requests.HTTPError(response=response)) == pause


def test_a_file_with_another_hash_is_refused(server, tmp_path):
    message = assert_fails_in_one_line(f"{server.url}/whole", tmp_path / "text.txt", sha256="0" * 64)
    assert "not the expected file" in message


def test_no_network_is_told_without_a_traceback(server, tmp_path):
    server.shutdown()
    server.server_close()
    assert "connection failed" in assert_fails_in_one_line(f"{server.url}/whole", tmp_path / "text.txt")


def test_a_silent_server_ends_in_a_time_out(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT", (5, 0.05))
    assert "no answer in time" in assert_fails_in_one_line(f"{server.url}/silent", tmp_path / "text.txt")
    assert len(server.asked) == 4


def test_ctrl_c_leaves_no_partial_file(server, tmp_path, monkeypatch):
    class Interrupted(download.tqdm):
        def update(self, n=1):
            raise KeyboardInterrupt

    monkeypatch.setattr(download, "tqdm", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetched(f"{server.url}/whole", tmp_path / "text.txt")
    assert list(tmp_path.iterdir()) == []


def test_a_complete_file_is_not_downloaded_again(server, tmp_path):
    path = tmp_path / "text.txt"
    path.write_bytes(WHOLE)
    assert fetched(f"{server.url}/whole", path) == path
    assert server.asked == []


def test_a_leftover_partial_file_is_replaced_by_the_whole(server, tmp_path):
    (tmp_path / "text.txt").write_bytes(WHOLE[:1000])
    path = fetched(f"{server.url}/whole", tmp_path / "text.txt")
    assert path.read_bytes() == WHOLE
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_keeps_the_file_that_was_there(server, tmp_path):
    path = tmp_path / "text.txt"
    path.write_bytes(b"the reader's own notes")
    assert_fails_in_one_line(f"{server.url}/cut", path)
    assert path.read_bytes() == b"the reader's own notes"


def test_a_folder_that_cannot_be_made_is_told_in_one_line(server, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError, match="cannot keep") as caught:
        fetched(f"{server.url}/whole", tmp_path / "file" / "text.txt")
    assert "\n" not in str(caught.value)


def test_tinyshakespeare_without_a_network_points_to_the_bundled_text(server, tmp_path, monkeypatch):
    monkeypatch.setattr(corpus, "TINY", tmp_path / "tinyshakespeare.txt")
    monkeypatch.setattr(corpus, "TINY_URL", f"{server.url}/nowhere")
    with pytest.raises(UserError, match="--data shakespeare") as caught:
        corpus.load_corpus("tinyshakespeare")
    assert "\n" not in str(caught.value)
