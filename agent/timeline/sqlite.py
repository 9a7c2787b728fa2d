"""Timelines in one SQLite file (WAL, synchronous=FULL), durable before `append` returns."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path
from typing import TypeVar

from agent.clock import Clock
from agent.errors import StoreError, Unavailable
from agent.timeline.batch import session_of
from agent.timeline.entry import Entry
from agent.timeline.sqlite_file import explain, open_reader, open_writer
from agent.timeline.sqlite_writer import COLUMNS, SqliteWriter, entry_of
from agent.timeline.store import StoredSession

T = TypeVar("T")

_READ = f"SELECT {COLUMNS} FROM entries WHERE session_id = ? AND seq > ? ORDER BY seq LIMIT ?"  # noqa: S608
_SESSIONS = """
SELECT session_id, ts, (SELECT max(seq) FROM entries WHERE session_id = first.session_id)
FROM entries AS first WHERE seq = 1 ORDER BY ts DESC LIMIT ?
"""


class SqliteStore:
    """A `Store` in the file `path`: one thread writes, another one reads.

    The constructor opens the file, or makes it, and raises `StoreError` when it cannot be used.
    With a `clock`, virtual time stands still while the disk works.
    """

    def __init__(
        self, path: Path, clock: Clock | None = None, *, max_batches: int = 1_024, deadline_s: float = 10.0
    ) -> None:
        self._path = path
        self._clock = clock
        self._deadline_s = deadline_s
        connection = open_writer(path)
        self._reader = open_reader(path)
        self._writer = SqliteWriter(connection, path, max_batches)
        self._read_thread = ThreadPoolExecutor(1, thread_name_prefix="timeline-reader")
        self._closed = False

    async def append(self, entries: Sequence[Entry]) -> int:
        """See `Store.append`. A full queue is `Unavailable`.

        A batch that is not begun within the deadline is `Unavailable` too; one that is begun and
        not done by then is a `StoreError`, and appending it again tells whether it was stored.
        """
        done = self._writer.submit(session_of(entries), tuple(entries))
        try:
            async with self._external(), asyncio.timeout(self._deadline_s):
                return await asyncio.shield(asyncio.wrap_future(done))
        except TimeoutError:
            if done.cancel():
                raise Unavailable(f"{self._path} has not taken a batch for {self._deadline_s} s: try again") from None
            raise StoreError(f"{self._path}: no answer for {self._deadline_s} s; append the batch again") from None

    async def read(self, session_id: str, after: int = 0, limit: int = 1_000) -> list[Entry]:
        """Entries with seq > `after`, in order; none for an unknown session."""

        def read() -> list[Entry]:
            return [entry_of(row) for row in self._reader.execute(_READ, (session_id, after, max(limit, 0)))]

        return await self._on_reader(read)

    async def sessions(self, limit: int = 100) -> list[StoredSession]:
        """What is stored, newest first."""

        def read() -> list[StoredSession]:
            return [StoredSession(*row) for row in self._reader.execute(_SESSIONS, (max(limit, 0),))]

        return await self._on_reader(read)

    async def close(self) -> None:
        """Write what is queued and release the file; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        loop = asyncio.get_running_loop()
        async with self._external():
            await loop.run_in_executor(self._read_thread, self._close_file)
        self._read_thread.shutdown()

    def _close_file(self) -> None:
        # The reader first: the last connection to close folds the WAL into the file.
        self._reader.close()
        self._writer.close()

    async def _on_reader(self, work: Callable[[], T]) -> T:
        if self._closed:
            raise StoreError("the timeline store is closed")
        future: Future[T] = self._read_thread.submit(work)
        try:
            async with self._external(), asyncio.timeout(self._deadline_s):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            raise Unavailable(f"{self._path} could not be read within {self._deadline_s} s: try again") from None
        except sqlite3.Error as error:
            raise explain(error, self._path) from error

    def _external(self) -> AbstractAsyncContextManager[None]:
        return self._clock.external() if self._clock else nullcontext()
