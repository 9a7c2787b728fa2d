"""A session's lease while the session goes on: renewed well before it ends, given back behind its last entry."""

from __future__ import annotations

import asyncio
import logging

from agent.errors import Indeterminate, StoreError, Unavailable
from agent.timeline.leases import Lease
from agent.timeline.store import Store

TTL_S = 30.0
RENEW_S = 10.0
RETRY_S = 1.0
DEADLINE_S = 5.0
"""A store that takes longer for a lease is as good as unavailable."""

log = logging.getLogger("agent.timeline")


async def keep(store: Store, lease: Lease) -> None:
    """Renew the lease until cancelled. A store that cannot is asked again, for as long as it takes: until
    somebody else has the session, what is written under the lease is in order.

    Raises `Fenced` when somebody else has it, `StoreError` for a store that is broken.
    """
    pause_s = RENEW_S
    while True:
        await asyncio.sleep(pause_s)
        try:
            async with asyncio.timeout(DEADLINE_S):
                await store.renew(lease)
        except (Unavailable, Indeterminate, TimeoutError) as error:
            if pause_s == RENEW_S:
                log.warning("the lease of session %s is not renewed yet: %s", lease.session_id, error or "no answer")
            pause_s = RETRY_S
        else:
            pause_s = RENEW_S


async def give_back(store: Store, lease: Lease) -> None:
    """Let others have the session at once. If the store cannot, they have it when the lease has run out."""
    try:
        async with asyncio.timeout(DEADLINE_S):
            await store.release(lease)
    except (StoreError, TimeoutError) as error:
        log.warning("the lease of session %s runs out by itself: %s", lease.session_id, error or "no answer")
