from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.clock import VIRTUAL_EPOCH, Clock, run_virtual
from agent.conversation.events import TextInput, ToolResult
from agent.errors import Indeterminate, StoreError, Unavailable
from agent.timeline import sqlite_writes
from agent.timeline.entry import Entry
from agent.timeline.sqlite import SqliteStore
from agent.timeline.sqlite_file import explain


def entry(seq: int, text: str = "hello", session_id: str = "s1") -> Entry:
    event = TextInput(event_id=f"e{seq}", text=text)
    return Entry(session_id, seq, "2026-01-01T00:00:00.000Z", 0, 0, "fact", "", "", event)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "timeline.sqlite3"


def fill(path: Path, count: int = 1) -> None:
    async def main() -> None:
        store = SqliteStore(path, Clock())
        await store.append([entry(seq) for seq in range(1, count + 1)])
        await store.close()

    run_virtual(main())


def read_all(path: Path) -> list[Entry]:
    async def main() -> list[Entry]:
        store = SqliteStore(path, Clock())
        try:
            return await store.read("s1")
        finally:
            await store.close()

    return run_virtual(main())


def test_the_file_is_in_wal_mode_and_has_a_version(path: Path) -> None:
    fill(path)
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA user_version").fetchone() == (3,)


def test_closing_folds_the_log_into_the_file(path: Path) -> None:
    fill(path)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"nowhere.*folder must exist"):
        SqliteStore(tmp_path / "nowhere" / "timeline.sqlite3")


def test_a_file_that_is_no_database_is_refused_and_left_alone(path: Path) -> None:
    path.write_text("this is my diary " * 100)
    with pytest.raises(StoreError, match="not an SQLite file"):
        SqliteStore(path)
    assert path.read_text().startswith("this is my diary")


def test_another_programs_database_is_refused_and_left_alone(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    with pytest.raises(StoreError, match="another program"):
        SqliteStore(path)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT name FROM sqlite_schema").fetchall() == [("theirs",)]


def test_a_newer_format_is_refused(path: Path) -> None:
    fill(path)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 4")
    with pytest.raises(StoreError, match="format 4, and this program reads format 3"):
        SqliteStore(path)


def test_a_damaged_file_is_a_store_error(path: Path) -> None:
    fill(path, 500)
    damaged = bytearray(path.read_bytes())
    for start in range(8_192, len(damaged), 4_096):
        damaged[start : start + 64] = b"\xa5" * 64
    path.write_bytes(damaged)
    with pytest.raises(StoreError, match="damaged"):
        read_all(path)


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        ("payload = '{'", "not JSON"),
        ("payload = '{}'", "text.input needs text"),
        ("type = 'text.output'", "no event type"),
        ("role = 'decision'", "text.input is not a decision"),
    ],
)
def test_a_damaged_row_is_named(path: Path, damage: str, complaint: str) -> None:
    fill(path, 3)
    with sqlite3.connect(path) as connection:
        connection.execute(f"UPDATE entries SET {damage} WHERE seq = 2")  # noqa: S608
    with pytest.raises(StoreError, match=f"entry 2 of session s1.*{complaint}"):
        read_all(path)


def sqlite_error(work: str, uri: str, *, page_limit: int = 0) -> sqlite3.Error:
    with pytest.raises(sqlite3.Error) as caught:
        connection = sqlite3.connect(uri, uri=True, isolation_level=None)
        try:
            if page_limit:
                connection.execute(f"PRAGMA max_page_count = {page_limit}")
            connection.execute(work)
        finally:
            connection.close()
    return caught.value


BIG_INSERT = (
    "INSERT INTO entries SELECT 's9', 1, hex(randomblob(500000)), 'x', 0, 0, 'fact', 'x', '', '', '', '{}' FROM entries"
)


def test_a_full_disk_says_what_to_do(path: Path) -> None:
    fill(path)
    error = explain(sqlite_error(BIG_INSERT, f"file:{path}", page_limit=1), path)
    assert "free some space" in str(error)
    assert str(path) in str(error)


def test_a_read_only_file_says_what_to_do(path: Path) -> None:
    fill(path)
    error = explain(sqlite_error("DELETE FROM entries", f"file:{path}?mode=ro"), path)
    assert "make it writable" in str(error)


def test_another_writer_is_unavailable_which_means_try_again(path: Path) -> None:
    async def main() -> None:
        store = SqliteStore(path, Clock())
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="another process"):
            await store.append([entry(1)])
        other.execute("ROLLBACK")
        other.close()
        assert await store.append([entry(1)]) == 1
        await store.close()

    run_virtual(main())


@pytest.mark.parametrize("text", ["lone surrogate \ud800"])
def test_text_that_json_can_escape_is_stored(path: Path, text: str) -> None:
    async def main() -> None:
        store = SqliteStore(path, Clock())
        await store.append([entry(1, text)])
        assert (await store.read("s1")) == [entry(1, text)]
        await store.close()

    run_virtual(main())


def test_a_batch_that_cannot_be_bound_is_refused_alone(path: Path) -> None:
    async def main() -> None:
        store = SqliteStore(path, Clock())
        huge = Entry("s2", 1, "", 2**70, 0, "fact", "", "", TextInput(event_id="e1", text="x"))
        odd = Entry("s3\ud800", 1, "", 0, 0, "fact", "", "", TextInput(event_id="e1", text="x"))
        nan = ToolResult(event_id="e1", reply_id="r", call_id="c", ok=True, content=float("nan"))
        for bad in (huge, odd, Entry("s4", 1, "", 0, 0, "fact", "", "", nan)):
            with pytest.raises(StoreError):
                await store.append([bad])
        assert await store.append([entry(1)]) == 1
        assert [s.session_id for s in await store.sessions()] == ["s1"]
        await store.close()

    run_virtual(main())


def test_a_full_queue_is_unavailable_and_what_was_queued_is_still_written(path: Path) -> None:
    async def main() -> None:
        store = SqliteStore(path, Clock(), max_batches=2)
        other = sqlite3.connect(path, isolation_level=None)
        # The writer waits for this transaction, so that its queue fills.
        other.execute("BEGIN IMMEDIATE")
        writer = store._writer

        def insert(session_id: str) -> Callable[[sqlite3.Connection], int]:
            batch, now = [entry(1, session_id=session_id)], VIRTUAL_EPOCH
            return lambda to: sqlite_writes.append(to, session_id, batch, None, None, now)

        first = writer.submit(insert("s0"))
        while not first.running():
            assert not first.done()
        queued = [writer.submit(insert(f"s{n}")) for n in (1, 2)]
        with pytest.raises(Unavailable, match="2 batches wait"):
            await store.append([entry(1, session_id="s3")])
        other.execute("ROLLBACK")
        other.close()
        await store.close()
        assert [future.result() for future in (first, *queued)] == [1, 1, 1]

    run_virtual(main())


def test_a_deadline_tells_a_batch_surely_not_written_from_one_under_way(path: Path) -> None:
    async def main() -> None:
        store = SqliteStore(path, deadline_s=0.2)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        under_way = asyncio.create_task(store.append([entry(1)]))
        await asyncio.sleep(0.1)
        with pytest.raises(Unavailable, match="has not taken"):
            await store.append([entry(1, session_id="s2")])
        with pytest.raises(Indeterminate, match="append the batch again"):
            await under_way
        other.execute("ROLLBACK")
        other.close()
        await store.close()

    asyncio.run(main())
    assert read_all(path) == [entry(1)]


def test_closing_ends_the_threads_and_may_be_repeated(path: Path) -> None:
    async def main() -> None:
        store = SqliteStore(path, Clock())
        await store.append([entry(1)])
        assert any(thread.name == "timeline-writer" for thread in threading.enumerate())
        await store.close()
        await store.close()

    run_virtual(main())
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("timeline-")]
