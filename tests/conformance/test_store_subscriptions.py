"""What every `Store` promises those who follow a session: everything, once, in order, whatever happens to them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import cast

import pytest

from agent.clock import Clock
from agent.errors import SeqConflict, StoreError, Truncated
from agent.timeline.entry import Entry
from agent.timeline.store import Store
from tests.conformance.store_backends import Backend, entries, every_store, with_rivals, with_store


def feed_of(store: Store, session_id: str, after: int) -> AsyncGenerator[Entry, None]:
    return cast("AsyncGenerator[Entry, None]", store.subscribe(session_id, after))


async def first(store: Store, count: int, after: int = 0, session_id: str = "s1") -> list[Entry]:
    """The next entries behind `after`; then the reader goes away."""
    found: list[Entry] = []
    async with aclosing(feed_of(store, session_id, after)) as feed:
        while len(found) < count:
            found.append(await anext(feed))
    return found


async def write(store: Store, last: int, seed: int) -> None:
    """Entries up to `last` in batches and at moments of all sizes."""
    dice, seq = random.Random(seed), 0
    while seq < last:
        size = min(dice.randint(1, 7), last - seq)
        assert await store.append(entries(seq + 1, seq + size)) == seq + size
        seq += size
        if dice.random() < 0.6:
            await asyncio.sleep(dice.choice([0, 0.001, 0.7]))


@every_store
def test_a_reader_may_resume_behind_any_entry(backend: Backend, tmp_path: Path) -> None:
    async def check(store: Store) -> None:
        await store.append(entries(1, 12))
        for after in range(12):
            assert await first(store, 12 - after, after) == entries(after + 1, 12)
            assert await store.read("s1", after) == entries(after + 1, 12)

    with_store(backend, tmp_path, check)


@every_store
def test_what_is_appended_later_comes_too_from_whoever(backend: Backend, tmp_path: Path) -> None:
    async def check(store: Store, rival: Store) -> None:
        async with asyncio.TaskGroup() as group:
            before = group.create_task(first(store, 6))
            also = group.create_task(first(rival, 6))
            await asyncio.sleep(1)
            await store.append(entries(1, 2))
            await asyncio.sleep(1)
            await rival.append(entries(3, 4))
            await store.append(entries(1, 3, "s2"))
            behind = group.create_task(first(store, 2, 4))
            await asyncio.sleep(1)
            await store.append(entries(5, 6))
        assert before.result() == also.result() == entries(1, 6)
        assert behind.result() == entries(5, 6)

    with_rivals(backend, tmp_path, check)


@every_store
@pytest.mark.parametrize("seed", range(4))
def test_a_reader_that_comes_and_goes_misses_nothing(backend: Backend, tmp_path: Path, seed: int) -> None:
    async def read(store: Store) -> list[Entry]:
        dice = random.Random(seed + 100)
        seen: list[Entry] = []
        while len(seen) < 120:
            seen += await first(store, min(dice.randint(1, 20), 120 - len(seen)), len(seen))
            await asyncio.sleep(dice.choice([0, 0, 0.5]))
        return seen

    async def check(store: Store, rival: Store) -> None:
        async with asyncio.TaskGroup() as group:
            readers = [group.create_task(read(of)) for of in (store, rival, store)]
            group.create_task(write(rival, 120, seed))
        for reader in readers:
            assert reader.result() == entries(1, 120)

    with_rivals(backend, tmp_path, check)


@every_store
def test_a_reader_cut_off_at_any_moment_resumes_where_it_was(backend: Backend, tmp_path: Path) -> None:
    """Cancelled while it waits, while it reads, with a batch half consumed."""

    async def check(store: Store) -> None:
        dice = random.Random(7)
        seen: list[Entry] = []

        async def read() -> None:
            async for entry in store.subscribe("s1", len(seen)):
                seen.append(entry)
                await asyncio.sleep(0)

        async with asyncio.TaskGroup() as group:
            writer = group.create_task(write(store, 80, 7))
            while not writer.done() or len(seen) < 80:
                reader = asyncio.create_task(read())
                await asyncio.wait({reader}, timeout=dice.choice([0.0005, 0.01, 0.9]))
                for _ in range(dice.randint(0, 5)):
                    await asyncio.sleep(0)
                reader.cancel()
                await asyncio.wait({reader})
                assert reader.cancelled()
        assert seen == entries(1, 80)

    with_store(backend, tmp_path, check)


@every_store
def test_a_reader_never_sees_an_entry_without_all_before_it(backend: Backend, tmp_path: Path) -> None:
    async def check(store: Store, rival: Store) -> None:
        async with asyncio.TaskGroup() as group:
            writer = group.create_task(write(store, 150, 3))
            while not writer.done():
                for of in (store, rival):
                    read = await of.read("s1")
                    assert read == entries(1, len(read))
                    # What was read once is there for everybody, and stays as it is.
                    assert await store.read("s1", 0, len(read)) == read
                await asyncio.sleep(0.1)

    with_rivals(backend, tmp_path, check)


@every_store
def test_a_reader_that_saw_what_was_never_stored_is_told(backend: Backend, tmp_path: Path) -> None:
    async def check(store: Store) -> None:
        await store.append(entries(1, 3))
        for session_id, after in (("s1", 4), ("s1", 400), ("nobody", 1)):
            with pytest.raises(SeqConflict, match="was never stored"):
                await first(store, 1, after, session_id)

    with_store(backend, tmp_path, check)


@every_store
def test_a_slow_reader_holds_nobody_up(backend: Backend, tmp_path: Path) -> None:
    async def check(store: Store) -> None:
        slow = feed_of(store, "s1", 0)
        async with aclosing(slow):
            await store.append(entries(1, 1))
            assert (await anext(slow)).seq == 1
            await store.append(entries(2, 2_500))
            assert await first(store, 2_500) == entries(1, 2_500)
            assert [(await anext(slow)).seq for _ in range(2_499)] == list(range(2, 2_501))

    with_store(backend, tmp_path, check)


@every_store
def test_following_a_session_ends_when_it_is_deleted_or_the_store_closes(backend: Backend, tmp_path: Path) -> None:
    async def check(store: Store) -> None:
        for end, error in ((store.delete("s1"), Truncated), (store.close(), StoreError)):
            session_id = "s1" if error is Truncated else "s2"
            await store.append(entries(1, 2, session_id))
            reader = asyncio.create_task(first(store, 3, 0, session_id))
            await asyncio.sleep(1)
            assert not reader.done()
            await end
            with pytest.raises(error):
                await reader

    with_store(backend, tmp_path, check)


@every_store
def test_following_waits_without_spinning(backend: Backend, tmp_path: Path) -> None:
    async def check(store: Store) -> None:
        await store.append(entries(1, 1))
        reads = 0
        real = store.read

        async def counted(session_id: str, after: int = 0, limit: int = 1_000) -> list[Entry]:
            nonlocal reads
            reads += 1
            return await real(session_id, after, limit)

        store.read = counted  # type: ignore[method-assign]
        clock = Clock()
        reader = asyncio.create_task(first(store, 2))
        await clock.sleep_until(60_000_000)
        assert reads < 200
        await store.append(entries(2, 2))
        assert await reader == entries(1, 2)

    with_store(backend, tmp_path, check)
