"""Download one file, once: what is left behind is all of it, or nothing."""

import hashlib
import os
from contextlib import suppress
from pathlib import Path

import requests
from tqdm import tqdm

from shared.errors import UserError

TIMEOUT = (10, 30)  # seconds to connect, and between two pieces of the answer
CHUNK = 1 << 16  # bytes


def download(url: str, path: str | Path, sha256: str, expected_bytes: int | None = None) -> Path:
    """The file at `path`, fetched from `url` unless it is there already. Returns `path`.

    The bytes go to `path` + ".part", which takes the final name only when their hash is `sha256`; after a failure or
    Ctrl-C nothing is left. `expected_bytes` scales the progress bar where the server does not tell the length.
    Raises UserError when the file cannot be had, saying what to do instead.
    """
    path = Path(path)
    if path.is_file() and file_sha256(path) == sha256:
        return path
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if fetch(url, part, expected_bytes) != sha256:
            raise UserError(f"what {url} sent is not the expected file (cut off or changed); {remedy(path)}")
        os.replace(part, path)  # at once, so nobody ever finds half a file under this name
    except requests.RequestException as error:
        raise UserError(f"could not download {url}: {reason(error)}; {remedy(path)}") from None
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}; free space, or unlock its folder") from None
    finally:
        with suppress(OSError):
            part.unlink()
    return path


def fetch(url: str, part: Path, expected_bytes: int | None) -> str:
    """Write the answer of `url` to `part` as it comes in. Returns its SHA-256."""
    digest = hashlib.sha256()
    # Uncompressed, so that the length which the server tells is the length of what is written.
    with requests.get(url, stream=True, timeout=TIMEOUT, headers={"Accept-Encoding": "identity"}) as response:
        response.raise_for_status()
        total = int(response.headers.get("Content-Length", 0)) or expected_bytes
        bar = tqdm(desc=url.rsplit("/", 1)[-1], total=total, unit="B", unit_scale=True)
        with part.open("wb") as file, bar:
            for chunk in response.iter_content(CHUNK):
                file.write(chunk)
                digest.update(chunk)
                bar.update(len(chunk))
    return digest.hexdigest()


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def reason(error: requests.RequestException) -> str:
    """Why a request failed, in a few words."""
    if isinstance(error, requests.HTTPError):
        return f"the server answered {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection was cut off"
    return "the connection failed"


def remedy(path: Path) -> str:
    """What the user can do when a download failed."""
    return f"try again, or save the file by hand as {path}"
