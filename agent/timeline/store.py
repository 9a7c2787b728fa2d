"""Where timelines are kept. One writer (the session driver) per session.

    append    returns only when the batch is durable; a batch is whole or absent
    read      entries with seq > after, in order, at most limit
    sessions  what is stored, newest first

Errors: `EventIdReused`, `SeqConflict`, `Unavailable` (surely not committed: try again),
`StoreError` for a file that cannot be read. A repeated event id with equal content is
acknowledged and not appended.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from agent.timeline.entry import Entry


@dataclass(frozen=True, slots=True)
class StoredSession:
    session_id: str
    created: str
    """UTC, ISO-8601."""
    last_seq: int


class Store(Protocol):
    async def append(self, entries: Sequence[Entry]) -> int:
        """Append a batch of one session, in order, its first seq one above the last stored.
        Returns the session's last seq."""
        ...

    async def read(self, session_id: str, after: int = 0, limit: int = 1_000) -> list[Entry]: ...

    async def sessions(self, limit: int = 100) -> list[StoredSession]: ...

    async def close(self) -> None: ...
