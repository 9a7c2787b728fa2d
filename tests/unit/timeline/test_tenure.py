"""A lease is kept while a session goes on, whatever the store does meanwhile."""

import asyncio

import pytest

from agent.clock import Clock, run_virtual
from agent.errors import Fenced, HeldByOther, Indeterminate, StoreError, Unavailable
from agent.timeline.memory import MemoryStore
from agent.timeline.tenure import TTL_S, give_back, keep


class Moody(MemoryStore):
    """What `mood` says happens to leases: an error, or "hangs"."""

    mood = None

    async def _suffer(self):
        if self.mood == "hangs":
            await asyncio.sleep(10_000)
        if self.mood is not None:
            raise self.mood

    async def renew(self, lease):
        await self._suffer()
        return await super().renew(lease)

    async def release(self, lease):
        await self._suffer()
        await super().release(lease)


async def kept(store):
    lease = await store.acquire("s", "a", TTL_S)
    return lease, asyncio.create_task(keep(store, lease))


async def is_held(store):
    try:
        await store.acquire("s", "b", TTL_S)
    except HeldByOther:
        return True
    return False


def test_it_is_renewed_for_as_long_as_somebody_keeps_it():
    async def main():
        store = Moody(clock=Clock())
        _, keeping = await kept(store)
        await asyncio.sleep(10 * TTL_S)
        assert await is_held(store)
        keeping.cancel()
        await asyncio.sleep(TTL_S)
        assert not await is_held(store)

    run_virtual(main())


@pytest.mark.parametrize("mood", [Unavailable("asleep"), Indeterminate("who knows"), "hangs"])
def test_a_store_that_fails_for_a_while_costs_nobody_the_lease(mood):
    async def main():
        store = Moody(clock=Clock())
        lease, keeping = await kept(store)
        store.mood = mood
        await asyncio.sleep(TTL_S - 2)
        store.mood = None
        await asyncio.sleep(7)
        assert await is_held(store)
        store.mood = mood
        await asyncio.sleep(10 * TTL_S)  # run out, and nobody asked for it
        store.mood = None
        await asyncio.sleep(10)
        assert await is_held(store)
        assert (await store.renew(lease)).epoch == lease.epoch
        keeping.cancel()

    run_virtual(main())


@pytest.mark.parametrize("broken", [Fenced, StoreError])
def test_what_no_patience_mends_ends_it(broken):
    async def main():
        store = Moody(clock=Clock())
        _, keeping = await kept(store)
        if broken is Fenced:
            await store.acquire("s", "a", TTL_S)
        else:
            store.mood = StoreError("the disk is full")
        with pytest.raises(broken):
            await keeping

    run_virtual(main())


@pytest.mark.parametrize("mood", [None, Unavailable("asleep"), StoreError("closed"), "hangs"])
def test_giving_it_back_never_fails_and_takes_seconds_at_most(mood):
    async def main():
        store = Moody(clock=Clock())
        lease = await store.acquire("s", "a", TTL_S)
        store.mood = mood
        async with asyncio.timeout(10):
            await give_back(store, lease)
        assert await is_held(store) == (mood is not None)

    run_virtual(main())
