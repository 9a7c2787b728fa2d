"""Downloads against a real server that misbehaves."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import hashlib
import random
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from agent.errors import ModelError
from agent.models import download as module
from agent.models.download import ATTEMPTS, Download, Unreachable, client, fetch, settle
from tests.fixtures.file_server import FileServer, file_server

DATA = random.Random(1).randbytes(300_000)
SUM = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setattr(module, "PAUSE_S", 0.0)
    with file_server() as served:
        served.files["/model.bin"] = DATA
        yield served


def wanted(server: FileServer, folder: Path, size: int = len(DATA), told: list[int] | None = None) -> Download:
    heard = [] if told is None else told
    return Download(f"{server.url}/model.bin", folder / "m" / "model.bin", size, heard.append)


def get(download: Download, timeout_s: float = 5.0) -> str:
    async def run() -> str:
        async with client(httpx.Timeout(timeout_s)) as http:
            found = await fetch(download, http)
            settle(download)
            return found

    return asyncio.run(run())


def test_a_file_comes_whole_and_is_put_in_its_place(server: FileServer, tmp_path: Path) -> None:
    told: list[int] = []
    download = wanted(server, tmp_path, told=told)
    assert get(download) == SUM
    assert download.target.read_bytes() == DATA
    assert list(download.target.parent.iterdir()) == [download.target]
    assert told == sorted(told)
    assert told[-1] == len(DATA)


def test_cut_connections_are_resumed_where_they_broke_off(server: FileServer, tmp_path: Path) -> None:
    server.cuts = [100_000, 50_000, 0]
    assert get(wanted(server, tmp_path)) == SUM
    asked = [ranged for _, ranged in server.requested]
    assert asked[0] == ""
    assert all(ranged.startswith("bytes=") for ranged in asked[1:])
    assert asked[1] == "bytes=100000-"


def test_an_interrupted_download_keeps_its_part_and_goes_on_with_it(server: FileServer, tmp_path: Path) -> None:
    download = wanted(server, tmp_path)
    server.cuts = [120_000] + [0] * ATTEMPTS
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1"):
        get(download)
    assert download.part.read_bytes() == DATA[:120_000]
    assert not download.target.exists()
    server.requested.clear()
    server.cuts = []
    assert get(download) == SUM
    assert server.requested == [("/model.bin", "bytes=120000-")]


def test_a_server_without_ranges_starts_from_the_beginning(server: FileServer, tmp_path: Path) -> None:
    server.ranges = False
    server.cuts = [100_000]
    assert get(wanted(server, tmp_path)) == SUM


@pytest.mark.parametrize("etag", ['"v2"', "", 'W/"v1"'])
def test_a_part_of_another_version_is_not_gone_on_with(server: FileServer, tmp_path: Path, etag: str) -> None:
    download = wanted(server, tmp_path)
    download.part.parent.mkdir()
    download.part.write_bytes(b"of another version")
    download.validator.write_text('"v1"')
    server.etag = etag
    assert get(download) == SUM


def test_a_part_that_was_whole_is_asked_for_no_more(server: FileServer, tmp_path: Path) -> None:
    download = wanted(server, tmp_path)
    download.part.parent.mkdir()
    download.part.write_bytes(DATA)
    download.validator.write_text('"v1"')
    assert get(download) == SUM
    assert len(server.requested) == 1


def test_a_part_that_is_longer_than_the_file_is_fetched_anew(server: FileServer, tmp_path: Path) -> None:
    download = wanted(server, tmp_path)
    download.part.parent.mkdir()
    download.part.write_bytes(DATA + b"more")
    download.validator.write_text('"v1"')
    assert get(download) == SUM


def test_redirections_are_followed_but_to_nowhere_unsafe(server: FileServer, tmp_path: Path) -> None:
    server.redirects["/model.bin"] = f"{server.url}/elsewhere"
    server.files["/elsewhere"] = DATA
    assert get(wanted(server, tmp_path)) == SUM
    server.redirects["/model.bin"] = "http://192.0.2.1/model.bin"
    with pytest.raises(ModelError, match="not safe"):
        get(wanted(server, tmp_path / "b"))
    server.redirects["/model.bin"] = f"{server.url}/model.bin"
    with pytest.raises(ModelError, match="without end"):
        get(wanted(server, tmp_path / "c"))


def test_a_file_that_is_not_there_says_so_at_once(server: FileServer, tmp_path: Path) -> None:
    server.files.clear()
    with pytest.raises(ModelError, match="404"):
        get(wanted(server, tmp_path))
    assert len(server.requested) == 1


def test_a_failing_server_is_asked_again(server: FileServer, tmp_path: Path) -> None:
    server.statuses = [500, 503]
    assert get(wanted(server, tmp_path)) == SUM


def test_a_server_that_does_not_go_on_is_given_up(server: FileServer, tmp_path: Path) -> None:
    server.pause_s = 0.3
    with pytest.raises(Unreachable, match="does not answer"):
        get(wanted(server, tmp_path), timeout_s=0.05)


def test_nobody_there(tmp_path: Path) -> None:
    with file_server() as gone:
        pass
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Unreachable, match="does not answer"):
        patch.setattr(module, "PAUSE_S", 0.0)
        get(wanted(gone, tmp_path))


@pytest.mark.parametrize("sized", [True, False])
def test_a_file_of_another_size_is_refused_and_leaves_nothing(server: FileServer, tmp_path: Path, sized: bool) -> None:
    server.sized = sized
    too_large = wanted(server, tmp_path, size=100_000)
    with pytest.raises(ModelError, match="larger"):
        get(too_large)
    too_small = wanted(server, tmp_path, size=900_000)
    with pytest.raises(ModelError, match="another file"):
        get(too_small)
    assert too_small.part.stat().st_size == 0
    assert not too_small.target.exists()


def test_a_full_disk(server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_path: Path) -> object:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("agent.models.download.shutil.disk_usage", full)
    with pytest.raises(ModelError, match=r"full.*models\.folder"):
        get(wanted(server, tmp_path))


def test_more_than_fits_is_not_begun(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="full"):
        get(wanted(server, tmp_path, size=10**18))


def test_a_folder_that_may_not_be_written(server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_args: object, **_kwargs: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", denied)
    with pytest.raises(ModelError, match="may not be written"):
        get(wanted(server, tmp_path))


def test_one_process_downloads_a_file_at_a_time(server: FileServer, tmp_path: Path) -> None:
    download = wanted(server, tmp_path)
    download.part.parent.mkdir()
    with download.part.open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(ModelError, match="another process"):
            get(download)


def test_a_cancelled_download_keeps_its_part(server: FileServer, tmp_path: Path) -> None:
    async def run() -> Download:
        begun = asyncio.Event()
        download = Download(f"{server.url}/model.bin", tmp_path / "model.bin", len(DATA), lambda _done: begun.set())
        async with client() as http, asyncio.timeout(5):
            task = asyncio.create_task(fetch(download, http))
            await begun.wait()
            task.cancel()
            await asyncio.wait({task})
        return download

    download = asyncio.run(run())
    assert DATA.startswith(download.part.read_bytes())
    assert not download.target.exists()
    assert get(download) == SUM
