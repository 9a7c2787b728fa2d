"""Stored timelines, read whole."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from agent.conversation.events import SessionClosed, SessionResumed
from agent.errors import Truncated
from agent.timeline.entry import Entry
from agent.timeline.store import Store


async def read_all(store: Store, session_id: str, after: int = 0) -> list[Entry]:
    """Every entry of a session behind `after`, in order; none when it is not stored."""
    entries: list[Entry] = []
    while batch := await store.read(session_id, after + len(entries)):
        entries += batch
    return entries


async def read_kept(store: Store, session_id: str) -> list[Entry]:
    """Every entry of a session that was not truncated or forgotten, in order; none when it is not stored."""
    while (stored := await store.session(session_id)) is not None:
        with suppress(Truncated):  # meanwhile
            return await read_all(store, session_id, stored.first_seq - 1)
    return []


def ended(entries: Iterable[Entry]) -> bool:
    """Whether the conversation was closed, and not merely left."""
    closed = False
    for entry in entries:
        match entry.event:
            case SessionClosed():
                closed = True
            case SessionResumed():
                closed = False
    return closed
