"""What is older than it is to be kept goes: at start, and once a day."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta

from agent.clock import Clock
from agent.errors import StoreError
from agent.forgetting import no_answers
from agent.recordings import Recordings
from agent.timeline.store import Store

DAY_S = 86_400.0

log = logging.getLogger("agent")


async def retain(
    store: Store,
    recordings: Recordings,
    keep_days: Callable[[], int],
    clock: Clock,
    answers: Callable[[str], Awaitable[None]] = no_answers,
) -> None:
    """Delete the sessions whose last entry is older than `keep_days`, their audio and `answers` too, until cancelled;
    0 deletes nothing. One that is held stays. What cannot be deleted today is tried again tomorrow."""
    while True:
        if days := keep_days():
            try:
                gone = await store.retain(clock.wall() - timedelta(days=days))
                for session_id in gone:
                    recordings.delete(session_id)
                    await answers(session_id)
                if gone:
                    log.info("%s sessions were older than %s days: deleted", len(gone), days)
            except StoreError as error:
                log.warning("old sessions are not deleted yet: %s", error)
        await asyncio.sleep(DAY_S)
