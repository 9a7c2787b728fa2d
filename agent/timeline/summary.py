"""A stored conversation at a glance: when it was, what was said first, and how it stands."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from agent.errors import StoreError, Truncated, Unavailable
from agent.timeline.projections.transcript import transcript
from agent.timeline.reading import ended
from agent.timeline.store import Store, StoredSession

HEAD_ENTRIES = 100
"""Of so many the first words are taken."""
TAIL_ENTRIES = 50
"""Of so many it is told whether the conversation was ended: behind its end comes next to nothing."""

log = logging.getLogger("agent.timeline")

State = Literal["open", "resting", "ended"]


@dataclass(frozen=True, slots=True)
class Summary:
    """`begun` and `touched`: of its first and its last entry, UTC, ISO-8601. `words`: what the user said first,
    empty when nothing was said early on. `state`: `open` while a process of the agent holds it."""

    session_id: str
    begun: str
    touched: str
    words: str
    state: State


async def summaries(store: Store, owner: str, limit: int, now: datetime) -> list[Summary]:
    """Of one owner's conversations, newest first, but for damaged ones. Raises `StoreError`."""
    found = []
    for one in await store.sessions(limit, user=owner):
        try:
            found.append(Summary(one.session_id, one.created, one.touched, *await _told(store, one, now)))
        except Truncated:  # deleted or forgotten while it was looked at
            continue
        except Unavailable:
            raise
        except StoreError as error:  # of this one; the others can be read
            log.warning("session %s is not listed: %s", one.session_id, error)
    return found


async def first_words(store: Store, one: StoredSession) -> str:
    """What the user said first; empty when nothing was said early on. Raises `StoreError`."""
    turns = transcript(await store.read(one.session_id, one.first_seq - 1, HEAD_ENTRIES))
    return next((str(turn["user"]) for turn in turns if turn["user"]), "")


async def _told(store: Store, one: StoredSession, now: datetime) -> tuple[str, State]:
    words = await first_words(store, one)
    if one.held(now):
        return words, "open"
    after = max(one.first_seq - 1, one.last_seq - TAIL_ENTRIES)
    return words, "ended" if ended(await store.read(one.session_id, after)) else "resting"
