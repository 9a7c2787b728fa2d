"""The stored sessions of a timeline file, for commands that run beside the agent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from agent.errors import StoreError
from agent.settings import TimelineSettings
from agent.timeline.sqlite import SqliteStore
from agent.timeline.store import Store, StoredSession

ALL = 1_000_000
NAMED = 5
"""How many sessions an error names at most."""


@asynccontextmanager
async def stored_timelines(timeline: TimelineSettings) -> AsyncIterator[Store]:
    """The store of the settings, which must be there already. Raises `StoreError`."""
    if timeline.store != "sqlite":
        raise StoreError(f"timeline.store is {timeline.store!r}: only the agent that runs has its sessions")
    if not timeline.path.is_file():
        raise StoreError(
            f"there is no stored timeline at {timeline.path}: set timeline.path, or talk to the agent first"
        )
    store = SqliteStore(timeline.path)
    try:
        yield store
    finally:
        await store.close()


async def named(store: Store, name: str, owner: str | None = None) -> StoredSession:
    """The session of this id, or the one whose id begins with it, of everybody or of one owner. Raises `StoreError`."""
    found = await store.session(name)
    if found is not None and owner in (None, found.user):
        return found
    stored = await store.sessions(ALL, user=owner)
    near = [one for one in stored if one.session_id.startswith(name)]
    if len(near) == 1 and name:
        return near[0]
    if near and name:
        raise StoreError(f"{len(near)} stored sessions begin with {name}: {_ids(near)}; say more of the id")
    raise StoreError(f"there is no file and no stored session {name}; the latest sessions: {_ids(stored)}")


def _ids(stored: list[StoredSession]) -> str:
    more = ", …" if len(stored) > NAMED else ""
    return (", ".join(one.session_id for one in stored[:NAMED]) or "none") + more
