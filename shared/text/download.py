"""Download one file, once: what is left behind is all of it, or nothing; and no server can keep us for ever."""

import hashlib
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from threading import Thread
from typing import BinaryIO

import requests
from tqdm import tqdm

from shared.errors import UserError
from shared.files import whole_file

TIMEOUT = (10, 30)  # seconds to connect, and between two pieces of the answer
DEADLINE = 600  # seconds for the whole: a server that sends a byte now and then keeps within the others
PAUSES = (1, 2, 4)  # seconds before another try
PATIENCE = 20  # seconds: the longest pause that a busy server may ask for
REDIRECTS = 5
CHUNK = 1 << 16  # bytes


class AnotherFile(requests.RequestException):
    """What a server sends is not the file, and another try would bring the same."""


def download(url: str, path: str | Path, sha256: str, size: int) -> Path:
    """The file at `path`, of `size` bytes, fetched from `url` unless it is there already. Returns `path`.

    The bytes take the final name only when their hash is `sha256`; after a failure or Ctrl-C nothing is left.
    Raises UserError when the file cannot be had, saying what to do instead.
    """
    path = Path(path)
    try:
        if path.is_file() and file_sha256(path) == sha256:
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as file:
            fetch(url, file, size)
            file.flush()
            if file_sha256(Path(file.name)) != sha256:
                raise AnotherFile("what it sent is not the expected file")
    except requests.RequestException as error:
        remedy = f"try again, or save the file by hand as {path}"
        raise UserError(f"could not download {url}: {reason(error)}; {remedy}") from None
    except OSError as error:
        told = error.strerror or error
        raise UserError(f"cannot keep {path}: {told}; free space, or unlock it and its folder") from None
    return path


def fetch(url: str, file: BinaryIO, size: int) -> None:
    """Write the `size` bytes of `url` to `file`, in at most DEADLINE seconds.

    Its thread is left behind when they are over: nothing can wake it from a name or a header that does not come.
    """
    answer = in_thread(lambda: try_and_try_again(url, file, size))
    end = time.monotonic() + DEADLINE
    with tqdm(desc=url.rsplit("/", 1)[-1], total=size, unit="B", unit_scale=True) as bar:
        while not answer.done():
            if time.monotonic() > end:
                raise requests.Timeout
            time.sleep(0.05)  # and not answer.result(), which hears no Ctrl-C on Windows
            bar.update(file.tell() - bar.n)
        bar.update(file.tell() - bar.n)
    answer.result()  # raises what stopped it


def in_thread(work: Callable[[], None]) -> Future:
    """Start a piece of work beside this one. The program may end without it."""
    future: Future = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except Exception as error:
            future.set_exception(error)

    Thread(target=run, daemon=True).start()
    return future


def try_and_try_again(url: str, file: BinaryIO, size: int) -> None:
    """Write the `size` bytes of `url` to `file`. What may pass is waited for, a little longer each time."""
    with requests.Session() as session:
        session.max_redirects = REDIRECTS
        session.hooks["response"].append(drop_body_of_redirect)
        for pause in (*PAUSES, None):
            try:
                return receive(session, url, file, size)
            except requests.RequestException as error:
                if pause is None or not may_pass(error):
                    raise
                seconds = max(pause, asked_pause(error))
                tqdm.write(f"{reason(error)}; trying again in {seconds:g} s", file=sys.stderr)
            except ValueError:  # the address of a redirect, which cannot be read
                raise requests.exceptions.InvalidURL from None
            time.sleep(seconds)


def drop_body_of_redirect(response: requests.Response, **options: object) -> None:
    """Leave unread what comes with a redirect: Requests would read all of it, however much it is."""
    if response.is_redirect:
        response.close()


def receive(session: requests.Session, url: str, file: BinaryIO, size: int) -> None:
    """Ask for those of the `size` bytes that `file` lacks, and write them as they come in."""
    start = file.tell()
    headers = {"Accept-Encoding": "identity"}  # a small packed answer can be an endless one
    if start:
        headers["Range"] = f"bytes={start}-"
    with session.get(url, stream=True, timeout=TIMEOUT, headers=headers) as response:
        response.raise_for_status()
        if response.status_code != 206:  # the server knows no ranges, and sends all of it again
            start = file.seek(0)
            file.truncate()
        check_headers(response, start, size)
        for chunk in response.iter_content(CHUNK):
            if file.tell() + len(chunk) > size:
                raise AnotherFile("what it sends is longer than the file")
            file.write(chunk)
    if file.tell() < size:
        raise requests.ConnectionError


def check_headers(response: requests.Response, start: int, size: int) -> None:
    """Refuse an answer that says itself that it is not what was asked for: the bytes from `start` to the last."""
    headers = response.headers
    if headers.get("Content-Type", "").startswith("text/html"):
        raise AnotherFile("it sent a web page; perhaps this network wants you to log in first")
    if headers.get("Content-Encoding", "identity") != "identity":
        raise AnotherFile("what it sends is packed")
    if headers.get("Content-Length", str(size - start)) != str(size - start):
        raise AnotherFile("what it sends has another length than the file")
    if response.status_code == 206 and headers.get("Content-Range") != f"bytes {start}-{size - 1}/{size}":
        raise AnotherFile("it sends another part of the file than was asked for")


def may_pass(error: requests.RequestException) -> bool:
    """Whether the same request may go well a little later."""
    if isinstance(error, requests.HTTPError):
        return error.response.status_code in (408, 429) or error.response.status_code >= 500
    passing = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
    return isinstance(error, passing) and not isinstance(error, requests.exceptions.SSLError)


def asked_pause(error: requests.RequestException) -> float:
    """How many seconds a busy server asks us to wait, if it does."""
    asked = error.response.headers.get("Retry-After", "") if error.response is not None else ""
    return min(float(asked), PATIENCE) if asked.isdecimal() else 0


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def reason(error: requests.RequestException) -> str:
    """Why a request failed, in a few words."""
    if isinstance(error, AnotherFile):
        return str(error)
    if isinstance(error, requests.HTTPError):
        return f"the server answered {error.response.status_code}"
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.exceptions.SSLError):
        return "the server's certificate is not valid"
    if isinstance(error, requests.ConnectionError | requests.exceptions.ChunkedEncodingError):
        return "the connection failed"
    return "the server points to a place that is none"
