"""Timelines in one SQLite file (WAL, synchronous=FULL), durable before `append` returns."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from agent.clock import Clock
from agent.conversation.events import Json
from agent.errors import Indeterminate, StoreError, Unavailable
from agent.owners import LOCAL
from agent.timeline import sqlite_reads, sqlite_writes
from agent.timeline.batch import session_of
from agent.timeline.entry import Entry
from agent.timeline.leases import Lease
from agent.timeline.sqlite_file import explain, open_reader, open_writer
from agent.timeline.sqlite_writer import SqliteWriter
from agent.timeline.store import Presence, Snapshot, StoredAction, StoredSession
from agent.timeline.subscription import News, follow

T = TypeVar("T")

_POLL_S = 0.5
"""How often a subscription looks for what another process has written."""

_CHECK_S = 600.0
"""How long a check of the whole file may take."""


class SqliteStore:
    """A `Store` in the file `path`: one thread writes, another one reads. Several may have one file open.

    The constructor opens the file, or makes it, and raises `StoreError` when it cannot be used.
    With a `clock`, virtual time stands still while the disk works, and leases are by its time.

    What is not begun within `deadline_s`, or finds a full queue, is `Unavailable`; what is begun and not done by then
    is `Indeterminate`. Cancelling a caller does not undo what it asked for.
    """

    def __init__(
        self, path: Path, clock: Clock | None = None, *, max_batches: int = 1_024, deadline_s: float = 10.0
    ) -> None:
        self._path = path
        self._clock = clock
        self._wall_clock = clock
        self._deadline_s = deadline_s
        connection = open_writer(path)
        self._reader = open_reader(path)
        self._writer = SqliteWriter(connection, path, max_batches)
        self._read_thread = ThreadPoolExecutor(1, thread_name_prefix="timeline-reader")
        self._news = News()
        self._closed = False

    # ── entries ──────────────────────────────────────────────────────────────────────────

    async def append(
        self, entries: Sequence[Entry], lease: Lease | None = None, expected_seq: int | None = None
    ) -> int:
        """See `Store.append`."""
        session_id, batch, now = session_of(entries), tuple(entries), self._now()
        return await self._write(
            session_id, lambda to: sqlite_writes.append(to, session_id, batch, lease, expected_seq, now)
        )

    async def transition(
        self, lease: Lease, action_id: str, from_state: str, to_state: str, entries: Sequence[Entry]
    ) -> int:
        """See `Store.transition`."""
        session_id, batch, now, states = session_of(entries), tuple(entries), self._now(), (from_state, to_state)
        return await self._write(
            session_id, lambda to: sqlite_writes.transition(to, lease, action_id, states, session_id, batch, now)
        )

    async def actions(self, session_id: str, state: str | None = None) -> list[StoredAction]:
        """See `Store.actions`."""
        return await self._read(lambda of: sqlite_reads.actions(of, session_id, state))

    async def read(self, session_id: str, after: int = 0, limit: int = 1_000) -> list[Entry]:
        """See `Store.read`."""
        return await self._read(lambda of: sqlite_reads.read(of, session_id, after, limit))

    async def past_ids(self, session_id: str) -> list[str]:
        """See `Store.past_ids`."""
        return await self._read(lambda of: sqlite_reads.past_ids(of, session_id))

    def subscribe(self, session_id: str, after: int = 0) -> AsyncIterator[Entry]:
        """See `Store.subscribe`."""
        return follow(self, self._news, session_id, after, _POLL_S)

    # ── leases ───────────────────────────────────────────────────────────────────────────

    async def acquire(self, session_id: str, owner: str, ttl_s: float, user: str = LOCAL) -> Lease:
        """See `Store.acquire`."""
        now = self._now()
        return await self._write(session_id, lambda to: sqlite_writes.acquire(to, session_id, owner, ttl_s, user, now))

    async def renew(self, lease: Lease) -> Lease:
        """See `Store.renew`."""
        now = self._now()
        return await self._write(lease.session_id, lambda to: sqlite_writes.renew(to, lease, now))

    async def release(self, lease: Lease) -> None:
        """See `Store.release`."""
        await self._write(lease.session_id, lambda to: sqlite_writes.release(to, lease))

    # ── snapshots and truncation ─────────────────────────────────────────────────────────

    async def snapshot(self, lease: Lease, seq: int, blob: bytes) -> None:
        """See `Store.snapshot`."""
        await self._write(lease.session_id, lambda to: sqlite_writes.snapshot(to, lease, seq, bytes(blob)))

    async def latest_snapshot(self, session_id: str) -> Snapshot | None:
        """See `Store.latest_snapshot`."""
        return await self._read(lambda of: sqlite_reads.latest_snapshot(of, session_id))

    async def truncate(self, lease: Lease, through: int) -> None:
        """See `Store.truncate`."""
        await self._write(lease.session_id, lambda to: sqlite_writes.truncate(to, lease, through), scrub=True)

    async def forget(self, lease: Lease, through: int) -> None:
        """See `Store.forget`."""
        await self._write(lease.session_id, lambda to: sqlite_writes.forget(to, lease, through), scrub=True)

    # ── presence ─────────────────────────────────────────────────────────────────────────

    async def presence_set(
        self, session_id: str, device_id: str, state: Mapping[str, Json] | None, ttl_s: float = 60.0
    ) -> None:
        """See `Store.presence_set`."""
        now, held = self._now(), None if state is None else dict(state)
        await self._write(
            session_id, lambda to: sqlite_writes.presence_set(to, session_id, device_id, held, ttl_s, now)
        )

    async def presence_list(self, session_id: str) -> list[Presence]:
        """See `Store.presence_list`."""
        now = self._now()
        return await self._read(lambda of: sqlite_reads.presence_list(of, session_id, now))

    # ── sessions ─────────────────────────────────────────────────────────────────────────

    async def session(self, session_id: str) -> StoredSession | None:
        """See `Store.session`."""
        return await self._read(lambda of: sqlite_reads.session(of, session_id))

    async def sessions(
        self, limit: int = 100, owner: str | None = None, user: str | None = None
    ) -> list[StoredSession]:
        """See `Store.sessions`."""
        return await self._read(lambda of: sqlite_reads.sessions(of, limit, owner, user))

    async def delete(self, session_id: str) -> bool:
        """See `Store.delete`."""
        return await self._write(session_id, lambda to: sqlite_writes.delete(to, session_id), scrub=True)

    async def retain(self, before: datetime) -> list[str]:
        """See `Store.retain`."""
        now = self._now()
        gone = await self._write("", lambda to: sqlite_writes.retain(to, before, now), scrub=True)
        for session_id in gone:
            self._news.tell(session_id)
        return gone

    async def check(self) -> list[str]:
        """See `Store.check`. Takes as long as reading the whole file; other reads go on meanwhile."""
        thread = ThreadPoolExecutor(1, thread_name_prefix="timeline-check")
        try:
            return await self._on(thread, partial(_check, self._path), _CHECK_S)
        finally:
            thread.shutdown(wait=False)

    async def close(self) -> None:
        """Write what is queued and release the file; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        loop = asyncio.get_running_loop()
        async with self._external():
            await loop.run_in_executor(self._read_thread, self._close_file)
        self._read_thread.shutdown()
        self._news.tell_all()

    def _close_file(self) -> None:
        # The reader first: the last connection to close folds the WAL into the file.
        self._reader.close()
        self._writer.close()

    # ── what they share ──────────────────────────────────────────────────────────────────

    async def _write(self, session_id: str, work: Callable[[sqlite3.Connection], T], *, scrub: bool = False) -> T:
        """Have the writer do it, and wait until it is durable."""
        done = self._writer.submit(work, scrub=scrub)
        outcome = asyncio.wrap_future(done)
        # Also when nobody waits for it any more.
        outcome.add_done_callback(lambda _: self._news.tell(session_id))
        try:
            async with self._external(), asyncio.timeout(self._deadline_s):
                return await asyncio.shield(outcome)
        except TimeoutError:
            if done.cancel():
                raise Unavailable(f"{self._path} has not taken a batch for {self._deadline_s} s: try again") from None
            raise Indeterminate(f"{self._path}: no answer for {self._deadline_s} s; append the batch again") from None

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await self._on(self._read_thread, lambda: work(self._reader), self._deadline_s)

    async def _on(self, thread: ThreadPoolExecutor, work: Callable[[], T], deadline_s: float) -> T:
        if self._closed:
            raise StoreError("the timeline store is closed")
        future: Future[T] = thread.submit(work)
        try:
            async with self._external(), asyncio.timeout(deadline_s):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            raise Unavailable(f"{self._path} could not be read within {deadline_s} s: try again") from None
        except sqlite3.Error as error:
            raise explain(error, self._path) from error

    def _external(self) -> AbstractAsyncContextManager[None]:
        return self._clock.external() if self._clock else nullcontext()

    def _now(self) -> datetime:
        # Made late: a store may be built before there is a loop.
        if self._wall_clock is None:
            self._wall_clock = Clock()
        return self._wall_clock.wall()


def _check(path: Path) -> list[str]:
    connection = open_reader(path)
    try:
        return sqlite_reads.check(connection)
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_CORRUPT:
            raise
        return [str(explain(error, path))]
    finally:
        connection.close()
