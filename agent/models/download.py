"""One file over HTTP: resumed where it broke off, bounded, and put in its place only when it is whole."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import httpx

from agent.errors import ModelError
from agent.models.folder import PART, VALIDATOR, sha256
from agent.models.manifest import safe_url

ATTEMPTS = 4
"""Attempts that got nothing, one after the other, before a download is given up."""
PAUSE_S = 1.0
"""Before the second attempt; doubled each time."""
TIMEOUT = httpx.Timeout(30.0, connect=10.0)
MARGIN, MARGIN_BYTES = 0.1, 4_096
"""By how much a file may differ from the size in the manifest: some are rounded, small ones are edited."""
_GONE = (401, 403, 404, 410, 451)


class Unreachable(ModelError):
    """The server cannot be reached, or breaks off again and again: the file may be fetched by hand."""


@dataclass(frozen=True, slots=True)
class Download:
    """What to get. `bytes` is the size as published; `told` is called with the bytes that there are so far."""

    url: str
    target: Path
    bytes: int
    told: Callable[[int], None]

    @property
    def part(self) -> Path:
        return self.target.with_name(self.target.name + PART)

    @property
    def validator(self) -> Path:
        """What the server called the version that the part is of; without it a part cannot be gone on with."""
        return self.target.with_name(self.target.name + VALIDATOR)

    @property
    def most(self) -> int:
        return self.bytes + self._margin

    @property
    def least(self) -> int:
        return self.bytes - self._margin

    @property
    def _margin(self) -> int:
        return max(MARGIN_BYTES, round(self.bytes * MARGIN))


def client(timeout: httpx.Timeout = TIMEOUT) -> httpx.AsyncClient:
    """Follows redirections, but only to HTTPS, or within this machine."""

    async def check(request: httpx.Request) -> None:
        try:
            safe_url(str(request.url))
        except ValueError as error:
            raise ModelError(f"the server redirects to where it is not safe: {error}") from error

    return httpx.AsyncClient(
        timeout=timeout, follow_redirects=True, max_redirects=5, event_hooks={"request": [check]}
    )  # fmt: skip


async def fetch(download: Download, http: httpx.AsyncClient) -> str:
    """Download into the part; its SHA-256. `settle` puts it in its place.

    A part that is there is gone on with, if the server allows and still has the same version. It is kept
    whenever this ends early. Raises `ModelError`, `Unreachable`.
    """
    try:
        download.target.parent.mkdir(parents=True, exist_ok=True)
        with download.part.open("ab") as part:
            _lock(part, download)
            await _whole(download, part, http)
        return sha256(download.part)
    except OSError as error:
        raise ModelError(_told(error, download)) from error


def settle(download: Download) -> None:
    """Make the part the file, in one step. Raises `ModelError`."""
    try:
        download.part.replace(download.target)
        download.validator.unlink(missing_ok=True)
    except OSError as error:
        raise ModelError(_told(error, download)) from error


def discard(download: Download) -> None:
    """What was downloaded is not what it should be."""
    download.part.unlink(missing_ok=True)
    download.validator.unlink(missing_ok=True)


async def _whole(download: Download, part: BinaryIO, http: httpx.AsyncClient) -> None:
    """Try until the part is whole. Raises `ModelError`, `Unreachable`, `OSError`."""
    vain = 0
    while True:
        before = part.tell()
        try:
            await _attempt(download, part, http)
            break
        except httpx.TooManyRedirects as error:
            raise ModelError(f"{download.url} redirects without end") from error
        except httpx.TransportError as error:
            vain = vain + 1 if part.tell() <= before else 1
            if vain >= ATTEMPTS:
                reason = str(error) or type(error).__name__
                raise Unreachable(f"{httpx.URL(download.url).host} does not answer, or breaks off: {reason}") from error
        await asyncio.sleep(PAUSE_S * 2 ** (vain - 1))
    if part.tell() < download.least:
        size = part.tell()
        part.truncate(0)
        raise ModelError(f"{download.url} gave {size:,} bytes; {download.bytes:,} were expected: it is another file")


async def _attempt(download: Download, part: BinaryIO, http: httpx.AsyncClient) -> None:
    """One request, for what is missing. Raises `ModelError`, `httpx.TransportError`, `OSError`."""
    have, known = part.seek(0, 2), _text(download.validator)
    headers = {"Accept-Encoding": "identity"}
    if have and known:
        headers |= {"Range": f"bytes={have}-", "If-Range": known}
    async with http.stream("GET", download.url, headers=headers) as answer:
        if answer.status_code in _GONE:
            raise ModelError(f"{download.url} is not there for us (HTTP {answer.status_code}); was it moved?")
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            raise ModelError(f"{download.url} is sent in another encoding than was asked for; a proxy may do that")
        if answer.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            if answer.headers.get("Content-Range") == f"bytes */{have}":
                return  # it was whole
            part.truncate(0)
            raise httpx.ReadError("the part is longer than the file; it is fetched from the start")
        if answer.status_code not in (200, 206):
            raise httpx.ReadError(f"HTTP {answer.status_code}")
        if answer.status_code == 200 or _first_byte(answer) != have:
            have = 0
        if answer.status_code == 206 and not have:
            part.truncate(0)
            raise httpx.ReadError("the server sent another range than was asked for; it is fetched from the start")
        part.truncate(have)
        part.seek(have)
        download.validator.write_text(_validator(answer), encoding="utf-8")
        _room(download, have)
        async for block in answer.aiter_raw():  # in the pieces that come: a larger block would be lost in a cut
            if part.tell() + len(block) > download.most:
                part.truncate(0)
                raise ModelError(f"{download.url} is larger than the {download.bytes:,} bytes expected; it was dropped")
            part.write(block)
            download.told(part.tell())
        part.flush()


def _lock(part: BinaryIO, download: Download) -> None:
    try:
        fcntl.flock(part, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ModelError(f"{download.target.name} is being downloaded by another process") from error


def _room(download: Download, have: int) -> None:
    free = shutil.disk_usage(download.target.parent).free
    if free < download.bytes - have:
        raise OSError(errno.ENOSPC, "it would not fit")


def _told(error: OSError, download: Download) -> str:
    folder = download.target.parent.resolve()
    if error.errno == errno.ENOSPC:
        return (
            f"the disk of {folder} is full: {download.target.name} has {download.bytes / 1e6:,.0f} MB; "
            "make room, or have models.folder name another disk, and pull again: what is there is kept"
        )
    if isinstance(error, PermissionError):
        return f"{folder} may not be written ({error.strerror}); change its owner, or set models.folder to another"
    return f"{download.target.name} could not be written in {folder}: {error}"


def _first_byte(answer: httpx.Response) -> int:
    found = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
    return int(found[1]) if found else -1


def _validator(answer: httpx.Response) -> str:
    """A strong one, or nothing."""
    etag = str(answer.headers.get("ETag", ""))
    return "" if etag.startswith("W/") else etag or str(answer.headers.get("Last-Modified", ""))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
