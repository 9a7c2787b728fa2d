"""The stores that the conformance tests run against. A further one is one more `Backend` in `BACKENDS`."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agent.clock import Clock, run_virtual
from agent.conversation.events import Event, TextInput
from agent.timeline.codec import role_of
from agent.timeline.entry import Entry
from agent.timeline.memory import MemoryStore
from agent.timeline.sqlite import SqliteStore
from agent.timeline.store import Store

LoseAnswer = Callable[[Store, bool], Any]


@dataclass(frozen=True)
class Backend:
    name: str
    open: Callable[[Path, Clock], Store]
    rival: Callable[[Store, Path, Clock], Store]
    """A second handle on the same data, as another process would have; the same one where there can be no other."""
    opening_code: str = ""
    """Python that opens it in another process, from `path`; empty when it keeps nothing."""
    lose_answer: LoseAnswer | None = None
    """A context in which commits fail without telling whether they were done: they were (True), or were not."""

    @property
    def durable(self) -> bool:
        return bool(self.opening_code)


class _Deaf:
    """A connection whose COMMIT ends in an I/O error."""

    def __init__(self, connection: sqlite3.Connection, committed: bool) -> None:
        self._connection = connection
        self._committed = committed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, sql: str, *values: Any) -> Any:
        if sql != "COMMIT":
            return self._connection.execute(sql, *values)
        self._connection.execute("COMMIT" if self._committed else "ROLLBACK")
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
        raise error


@contextmanager
def _lose_sqlite_answer(store: Store, committed: bool) -> Iterator[None]:
    assert isinstance(store, SqliteStore)
    writer = store._writer
    connection = writer._connection
    writer._connection = _Deaf(connection, committed)  # type: ignore[assignment]
    try:
        yield
    finally:
        writer._connection = connection


def _open_sqlite(path: Path, clock: Clock) -> SqliteStore:
    return SqliteStore(path / "timeline.sqlite3", clock)


BACKENDS = [
    Backend("memory", lambda path, clock: MemoryStore(clock=clock), lambda store, path, clock: store),
    Backend(
        "sqlite",
        _open_sqlite,
        lambda store, path, clock: _open_sqlite(path, clock),
        "from agent.timeline.sqlite import SqliteStore\nstore = SqliteStore(path / 'timeline.sqlite3')\n",
        _lose_sqlite_answer,
    ),
]


def _each(backends: list[Backend]) -> Any:
    return pytest.mark.parametrize("backend", backends, ids=lambda backend: backend.name)


every_store = _each(BACKENDS)
every_durable_store = _each([backend for backend in BACKENDS if backend.durable])
every_store_that_can_lose_an_answer = _each([backend for backend in BACKENDS if backend.lose_answer])
every_store_but_memory = _each([backend for backend in BACKENDS if backend.name != "memory"])


def entry(seq: int, session_id: str = "s1", event: Event | None = None, *, cause: str = "") -> Entry:
    event = event or TextInput(event_id=f"e{seq}", source="page", text=f"line {seq}")
    ts = f"2026-01-01T00:00:{seq % 60:02}.000Z"
    return Entry(session_id, seq, ts, seq * 10, seq * 10_000, role_of(event), "t1", cause, event)


def entries(first: int, last: int, session_id: str = "s1") -> list[Entry]:
    return [entry(seq, session_id) for seq in range(first, last + 1)]


def with_store(backend: Backend, path: Path, check: Callable[[Store], Awaitable[None]]) -> None:
    async def alone(store: Store, rival: Store) -> None:
        await check(store)

    with_rivals(backend, path, alone)


def with_rivals(backend: Backend, path: Path, check: Callable[[Store, Store], Awaitable[None]]) -> None:
    """Two handles on the same data, on one virtual clock."""

    async def main() -> None:
        clock = Clock()
        store = backend.open(path, clock)
        try:
            rival = backend.rival(store, path, clock)
            try:
                await check(store, rival)
            finally:
                await rival.close()
        finally:
            await store.close()

    run_virtual(main())
