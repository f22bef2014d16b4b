"""download() leaves the whole file or nothing, and every failure is one line that says what to do."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from shared.errors import UserError
from shared.text import corpus, download

WHOLE = b"To be, or not to be: that is the question.\n" * 5000
SHA256 = hashlib.sha256(WHOLE).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves /whole, and a connection that breaks off half-way at /cut."""

    def do_GET(self):
        self.server.requests += 1
        if self.path not in ("/whole", "/cut"):
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(WHOLE)))
        self.end_headers()
        self.wfile.write(WHOLE if self.path == "/whole" else WHOLE[: len(WHOLE) // 2])

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.requests = 0
    server.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def assert_fails_in_one_line(url, path, sha256=SHA256):
    """The download fails, its message is one line naming `path`, and the folder stays as it was."""
    before = sorted(path.parent.iterdir()) if path.parent.exists() else []
    with pytest.raises(UserError) as caught:
        download.download(url, path, sha256)
    assert "\n" not in str(caught.value)
    assert f"save the file by hand as {path}" in str(caught.value)
    assert (sorted(path.parent.iterdir()) if path.parent.exists() else []) == before
    return str(caught.value)


def test_a_good_answer_becomes_the_file_and_leaves_nothing_else(server, tmp_path, capsys):
    path = tmp_path / "new" / "text.txt"
    assert download.download(f"{server.url}/whole", path, SHA256, len(WHOLE)) == path
    assert path.read_bytes() == WHOLE
    assert list(path.parent.iterdir()) == [path]
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "whole" in printed.err


def test_a_connection_cut_off_half_way_leaves_no_file(server, tmp_path):
    message = assert_fails_in_one_line(f"{server.url}/cut", tmp_path / "text.txt")
    assert "cut off" in message


def test_a_cut_off_file_is_refused_even_if_the_client_takes_it_for_whole(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "fetch", lambda url, part, expected: part.write_bytes(WHOLE[:9]) and "another hash")
    assert "not the expected file" in assert_fails_in_one_line(f"{server.url}/cut", tmp_path / "text.txt")


def test_a_file_with_another_hash_is_refused(server, tmp_path):
    message = assert_fails_in_one_line(f"{server.url}/whole", tmp_path / "text.txt", sha256="0" * 64)
    assert "not the expected file" in message


def test_a_missing_page_is_told_with_its_status(server, tmp_path):
    assert "404" in assert_fails_in_one_line(f"{server.url}/nowhere", tmp_path / "text.txt")


def test_no_network_is_told_without_a_traceback(server, tmp_path):
    server.shutdown()
    server.server_close()
    assert "connection failed" in assert_fails_in_one_line(f"{server.url}/whole", tmp_path / "text.txt")


def test_a_silent_server_ends_in_a_time_out(tmp_path, monkeypatch):
    def silent(*arguments, timeout, **options):
        assert all(seconds > 0 for seconds in timeout)
        raise requests.ReadTimeout

    monkeypatch.setattr(requests, "get", silent)
    assert "no answer in time" in assert_fails_in_one_line("http://127.0.0.1/", tmp_path / "text.txt")


def test_ctrl_c_leaves_no_partial_file(server, tmp_path, monkeypatch):
    class Interrupted(download.tqdm):
        def update(self, n=1):
            raise KeyboardInterrupt

    monkeypatch.setattr(download, "tqdm", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        download.download(f"{server.url}/whole", tmp_path / "text.txt", SHA256)
    assert list(tmp_path.iterdir()) == []


def test_the_final_name_appears_only_by_an_atomic_rename(server, tmp_path, monkeypatch):
    path = tmp_path / "text.txt"

    def refuse(source, target):
        assert (target, hashlib.sha256(source.read_bytes()).hexdigest()) == (path, SHA256)
        raise OSError("no rename today")

    monkeypatch.setattr(download.os, "replace", refuse)
    with pytest.raises(UserError, match="no rename today"):
        download.download(f"{server.url}/whole", path, SHA256)
    assert list(tmp_path.iterdir()) == []


def test_a_complete_file_is_not_downloaded_again(server, tmp_path):
    path = tmp_path / "text.txt"
    path.write_bytes(WHOLE)
    assert download.download(f"{server.url}/whole", path, SHA256) == path
    assert server.requests == 0


@pytest.mark.parametrize("leftover", ["text.txt", "text.txt.part"])
def test_a_leftover_partial_file_is_replaced_by_the_whole(server, tmp_path, leftover):
    (tmp_path / leftover).write_bytes(WHOLE[:1000])
    path = download.download(f"{server.url}/whole", tmp_path / "text.txt", SHA256)
    assert path.read_bytes() == WHOLE
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_keeps_the_file_that_was_there(server, tmp_path):
    path = tmp_path / "text.txt"
    path.write_bytes(b"the reader's own notes")
    assert_fails_in_one_line(f"{server.url}/cut", path)
    assert path.read_bytes() == b"the reader's own notes"


def test_a_folder_that_cannot_be_made_is_told_in_one_line(server, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError, match="cannot write") as caught:
        download.download(f"{server.url}/whole", tmp_path / "file" / "text.txt", SHA256)
    assert "\n" not in str(caught.value)


def test_tinyshakespeare_without_a_network_points_to_the_bundled_text(server, tmp_path, monkeypatch):
    monkeypatch.setattr(corpus, "TINY", tmp_path / "tinyshakespeare.txt")
    monkeypatch.setattr(corpus, "TINY_URL", f"{server.url}/nowhere")
    with pytest.raises(UserError, match="--data shakespeare") as caught:
        corpus.load_corpus("tinyshakespeare")
    assert "\n" not in str(caught.value)
