"""Following a stored timeline by cursor."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

from agent.errors import SeqConflict
from agent.timeline.entry import Entry
from agent.timeline.store import StoredSession


class Readable(Protocol):
    async def read(self, session_id: str, after: int = 0, limit: int = 1_000) -> list[Entry]: ...

    async def session(self, session_id: str) -> StoredSession | None: ...


class News:
    """Tells those who follow a session that there may be more of it. A hint: the cursor decides."""

    def __init__(self) -> None:
        self._hints: dict[str, set[asyncio.Event]] = {}

    def tell(self, session_id: str) -> None:
        for hint in self._hints.get(session_id, ()):
            hint.set()

    def tell_all(self) -> None:
        for session_id in self._hints:
            self.tell(session_id)

    def listen(self, session_id: str) -> asyncio.Event:
        hint = asyncio.Event()
        self._hints.setdefault(session_id, set()).add(hint)
        return hint

    def leave(self, session_id: str, hint: asyncio.Event) -> None:
        hints = self._hints[session_id]
        hints.discard(hint)
        if not hints:
            del self._hints[session_id]


async def follow(
    store: Readable, news: News, session_id: str, after: int, poll_s: float | None
) -> AsyncIterator[Entry]:
    """See `Store.subscribe`. `poll_s`: how often to look without a hint, where others write too."""
    cursor = max(after, 0)
    hint = news.listen(session_id)
    try:
        batch = await store.read(session_id, cursor)
        if not batch and cursor:
            stored = await store.session(session_id)
            last_seq = stored.last_seq if stored else 0
            if cursor > last_seq:
                raise SeqConflict(f"session {session_id} ends with entry {last_seq}: {cursor} was never stored")
        while True:
            hint.clear()
            batch = await store.read(session_id, cursor)
            for entry in batch:
                yield entry
                cursor = entry.seq
            if not batch:
                await _wait(hint, poll_s)
    finally:
        news.leave(session_id, hint)


async def _wait(hint: asyncio.Event, poll_s: float | None) -> None:
    try:
        async with asyncio.timeout(poll_s):
            await hint.wait()
    except TimeoutError:
        pass
