"""Timelines in memory: for tests, headless runs and `timeline.store = "memory"`."""

from __future__ import annotations

from collections.abc import Sequence

from agent.errors import StoreError
from agent.timeline.batch import fresh_entries, session_of
from agent.timeline.entry import Entry
from agent.timeline.store import StoredSession


class MemoryStore:
    """A `Store` that forgets when the process ends. Raises `StoreError` once it is full."""

    def __init__(self, max_entries: int = 1_000_000) -> None:
        self._sessions: dict[str, list[Entry]] = {}
        self._by_id: dict[tuple[str, str], Entry] = {}
        self._max_entries = max_entries
        self._closed = False

    async def append(self, entries: Sequence[Entry]) -> int:
        """See `Store.append`."""
        self._check_open()
        session_id = session_of(entries)
        timeline = self._sessions.get(session_id, [])
        fresh = fresh_entries(entries, len(timeline), lambda event_id: self._by_id.get((session_id, event_id)))
        if len(self._by_id) + len(fresh) > self._max_entries:
            raise StoreError(
                f"the timelines in memory are full ({self._max_entries} entries): "
                'set timeline.store = "sqlite", or restart to forget them'
            )
        self._sessions[session_id] = timeline
        timeline.extend(fresh)
        self._by_id.update(((session_id, entry.event.event_id), entry) for entry in fresh)
        return len(timeline)

    async def read(self, session_id: str, after: int = 0, limit: int = 1_000) -> list[Entry]:
        """Entries with seq > `after`, in order; none for an unknown session."""
        self._check_open()
        after = max(after, 0)
        return self._sessions.get(session_id, [])[after : after + max(limit, 0)]

    async def sessions(self, limit: int = 100) -> list[StoredSession]:
        """What is stored, newest first."""
        self._check_open()
        stored = [StoredSession(name, entries[0].ts, len(entries)) for name, entries in self._sessions.items()]
        return sorted(stored, key=lambda session: session.created, reverse=True)[: max(limit, 0)]

    async def close(self) -> None:
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("the timeline store is closed")
