"""What happens to the SQLite file itself: migration, erasing, faults of the disk, the check, sharing a commit."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from agent.clock import Clock, run_virtual
from agent.conversation.events import OwnerChanged, TextInput
from agent.errors import Indeterminate, SeqConflict, StoreError
from agent.timeline.entry import Entry
from agent.timeline.sqlite import SqliteStore
from agent.timeline.sqlite_file import open_writer
from agent.timeline.store import StoredSession

FORMAT_1 = """
CREATE TABLE entries (
    session_id TEXT NOT NULL, seq INTEGER NOT NULL, event_id TEXT NOT NULL, ts TEXT NOT NULL, t_ms INTEGER NOT NULL,
    now_us INTEGER NOT NULL, role TEXT NOT NULL, type TEXT NOT NULL, source TEXT NOT NULL, turn_id TEXT NOT NULL,
    parent_event_id TEXT NOT NULL, payload TEXT NOT NULL, PRIMARY KEY (session_id, seq)
) WITHOUT ROWID;
CREATE UNIQUE INDEX entries_by_event_id ON entries (session_id, event_id);
CREATE INDEX sessions_by_time ON entries (ts) WHERE seq = 1;
PRAGMA application_id = 1987012963;
PRAGMA user_version = 1;
"""


def entry(seq: int, text: str = "hello", session_id: str = "s1") -> Entry:
    event = TextInput(event_id=f"e{seq}", text=text)
    return Entry(session_id, seq, f"2025-06-0{seq % 9 + 1}T00:00:00.000Z", 0, 0, "fact", "", "", event)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "timeline.sqlite3"


def with_store(path: Path, check: Callable[[SqliteStore], Awaitable[None]]) -> None:
    async def main() -> None:
        store = SqliteStore(path, Clock())
        try:
            await check(store)
        finally:
            await store.close()

    run_virtual(main())


def make_format_1(path: Path, sessions: dict[str, int]) -> None:
    with sqlite3.connect(path) as connection:
        connection.executescript(f"PRAGMA journal_mode = WAL; BEGIN; {FORMAT_1} COMMIT")
        for session_id, count in sessions.items():
            for seq in range(1, count + 1):
                one = entry(seq, f"line {seq}", session_id)
                row = (session_id, seq, f"e{seq}", one.ts, 0, 0, "fact", "text.input", "", "", "")
                payload = f'{{"text":"line {seq}"}}'
                connection.execute("INSERT INTO entries VALUES (?,?,?,?,?,?,?,?,?,?,?,?)", (*row, payload))
    connection.close()


def test_a_file_of_format_1_is_brought_up_to_date_and_loses_nothing(path: Path) -> None:
    make_format_1(path, {"s1": 7, "s2": 1, "s3": 3})

    async def check(store: SqliteStore) -> None:
        for session_id, count in (("s1", 7), ("s2", 1), ("s3", 3)):
            expected = [entry(seq, f"line {seq}", session_id) for seq in range(1, count + 1)]
            assert await store.read(session_id) == expected
            assert await store.session(session_id) == StoredSession(session_id, "2025-06-02T00:00:00.000Z", count)
        assert await store.append([entry(2, "line 2"), entry(8)]) == 8
        with pytest.raises(SeqConflict):
            await store.append([entry(3, session_id="s2")])
        assert (await store.acquire("s2", "a", 30)).last_seq == 2
        assert await store.check() == []

    async def again(store: SqliteStore) -> None:
        assert {one.session_id: one.last_seq for one in await store.sessions()} == {"s1": 8, "s2": 2, "s3": 3}
        assert isinstance((await store.read("s2"))[1].event, OwnerChanged)

    with_store(path, check)
    with_store(path, again)
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (3,)


def test_the_sessions_of_a_file_of_format_2_belong_to_local(path: Path) -> None:
    async def fill(store: SqliteStore) -> None:
        for session_id in ("s1", "s2"):
            await store.append([entry(1, session_id=session_id)])
        await store.acquire("s3", "a", 30, "anna")

    with_store(path, fill)
    with sqlite3.connect(path) as connection:
        connection.executescript("UPDATE sessions SET user = '' WHERE user = 'local'; PRAGMA user_version = 2")
    connection.close()

    async def check(store: SqliteStore) -> None:
        assert {one.session_id: one.user for one in await store.sessions()} == {
            "s1": "local",
            "s2": "local",
            "s3": "anna",
        }
        await store.acquire("s1", "a", 30, "anna")
        assert [one.session_id for one in await store.sessions(user="anna")] == ["s3"], "nobody takes what is another's"

    with_store(path, check)


def test_a_migration_that_fails_leaves_format_1_as_it_was(path: Path) -> None:
    make_format_1(path, {"s1": 2})
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE snapshots (in_the_way)")
    with pytest.raises(StoreError, match="snapshots already exists"):
        SqliteStore(path)
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        assert names == {"entries", "snapshots"}
        connection.execute("DROP TABLE snapshots")

    async def check(store: SqliteStore) -> None:
        assert len(await store.read("s1")) == 2

    with_store(path, check)


def test_several_may_open_an_old_file_at_once(path: Path) -> None:
    make_format_1(path, {"s1": 2})
    failures: list[BaseException] = []

    def open_it() -> None:
        try:
            open_writer(path).close()
        except StoreError as error:
            failures.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def bytes_of(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(path.parent.iterdir()))


@pytest.mark.parametrize("how", ["delete", "truncate", "forget"])
def test_what_is_erased_is_not_in_the_file_any_more(path: Path, how: str) -> None:
    async def check(store: SqliteStore) -> None:
        lease = await store.acquire("s1", "a", 30)
        for seq in range(2, 40):
            await store.append([entry(seq, "the password is swordfish " * 20)], lease)
        await store.append([entry(40, "goodbye")], lease)
        assert b"swordfish" in bytes_of(path)
        if how == "delete":
            assert await store.delete("s1")
        elif how == "forget":
            await store.forget(lease, 39)
        else:
            await store.snapshot(lease, 40, b"")
            await store.truncate(lease, 39)
        assert b"swordfish" not in bytes_of(path)

    with_store(path, check)


def test_a_full_disk_is_said_harms_nobody_and_is_over_when_there_is_space(path: Path) -> None:
    async def check(store: SqliteStore) -> None:
        await store.append([entry(1)])
        limit = store._writer._connection
        pages = limit.execute("PRAGMA page_count").fetchone()[0]
        limit.execute(f"PRAGMA max_page_count = {pages + 4}")
        big, small = store.append([entry(2, "x" * 200_000)]), store.append([entry(1, session_id="s2")])
        refused, done = await asyncio.gather(big, small, return_exceptions=True)
        assert isinstance(refused, StoreError)
        assert "the disk is full: free some space" in str(refused)
        assert not isinstance(refused, Indeterminate)
        assert done == 1
        assert await store.read("s1") == [entry(1)]
        limit.execute("PRAGMA max_page_count = 1000000")
        assert await store.append([entry(2, "x" * 200_000)]) == 2
        assert await store.check() == []

    with_store(path, check)


def test_a_file_that_became_read_only_is_said(path: Path) -> None:
    async def check(store: SqliteStore) -> None:
        await store.append([entry(1)])
        store._writer._connection.execute("PRAGMA query_only = ON")
        for write in (store.append([entry(2)]), store.acquire("s1", "a", 30)):
            with pytest.raises(StoreError, match="read-only: make it writable"):
                await write
        assert await store.read("s1") == [entry(1)]

    with_store(path, check)


def test_the_check_names_a_damaged_file(path: Path) -> None:
    async def fill(store: SqliteStore) -> None:
        await store.append([entry(seq) for seq in range(1, 800)])

    with_store(path, fill)
    damaged = bytearray(path.read_bytes())
    for start in range(20 * 4_096, len(damaged), 4_096):
        damaged[start : start + 64] = b"\xa5" * 64
    path.write_bytes(damaged)

    async def check(store: SqliteStore) -> None:
        problems = await store.check()
        assert problems
        assert all("damaged" in problem for problem in problems)

    with_store(path, check)


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        ("DELETE FROM entries WHERE seq = 2", "session s1 should hold entries 1 to 3, and holds 2 of them"),
        ("UPDATE sessions SET last_seq = 2", "session s1 holds entry 3, which is outside of what it should hold"),
        ("DELETE FROM sessions", "session s1 holds entry 1, which is outside of what it should hold"),
        ("UPDATE entries SET payload = '{' WHERE seq = 2", "entry 2 of session s1 is not JSON"),
        ("UPDATE actions SET seq = 9", "action a1 of session s1 changed with entry 9, which is not there"),
    ],
)
def test_the_check_names_what_does_not_fit_together(path: Path, damage: str, complaint: str) -> None:
    async def fill(store: SqliteStore) -> None:
        lease = await store.acquire("s1", "a", 30)
        await store.transition(lease, "a1", "", "started", [entry(2), entry(3)])

    with_store(path, fill)
    with sqlite3.connect(path) as connection:
        connection.execute(damage)

    async def check(store: SqliteStore) -> None:
        assert complaint in await store.check()

    with_store(path, check)


def test_reading_over_a_hole_is_an_error(path: Path) -> None:
    async def fill(store: SqliteStore) -> None:
        await store.append([entry(seq) for seq in range(1, 6)])

    with_store(path, fill)
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM entries WHERE seq = 3")

    async def check(store: SqliteStore) -> None:
        for after in (0, 1, 2):
            with pytest.raises(StoreError, match="entry 3 of session s1 is missing"):
                await store.read("s1", after)
        assert await store.read("s1", 3) == [entry(4), entry(5)]

    with_store(path, check)


def test_what_waits_at_the_same_time_shares_a_commit(path: Path) -> None:
    async def check(store: SqliteStore) -> None:
        commits = 0

        def count(statement: str) -> None:
            nonlocal commits
            commits += statement == "COMMIT"

        store._writer._connection.set_trace_callback(count)
        other = sqlite3.connect(path, isolation_level=None)
        # While the writer waits for this transaction, all that follows gathers behind it.
        other.execute("BEGIN IMMEDIATE")
        calls = [asyncio.create_task(store.append([entry(1, session_id=f"s{n}")])) for n in range(40)]
        await asyncio.sleep(0)
        other.execute("ROLLBACK")
        other.close()
        assert await asyncio.gather(*calls) == [1] * 40
        assert commits <= 3

    with_store(path, check)
