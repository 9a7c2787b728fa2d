"""A stored session as lines of JSON, the form that `replay` reads."""

from __future__ import annotations

from collections.abc import AsyncIterator

from agent.errors import StoreError
from agent.timeline.codec import dumps
from agent.timeline.store import Store


async def jsonl(store: Store, session_id: str) -> AsyncIterator[str]:
    """One line, with its end, for each entry that is kept. Raises `StoreError` for an unknown session."""
    stored = await store.session(session_id)
    if stored is None:
        raise StoreError(f"there is no stored session {session_id}")
    cursor = stored.first_seq - 1
    while cursor < stored.last_seq:
        batch = await store.read(session_id, cursor)
        if not batch:
            raise StoreError(f"session {session_id} ends with entry {cursor}, not {stored.last_seq}: check the store")
        for entry in batch:
            yield dumps(entry) + "\n"
        cursor = batch[-1].seq
