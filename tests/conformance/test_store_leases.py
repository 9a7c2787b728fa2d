"""What every `Store` promises of leases: one writer at a time, and one that was stopped writes no more."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from agent.clock import VIRTUAL_EPOCH
from agent.conversation.events import OwnerChanged, TextInput
from agent.errors import CauseUnknown, EventIdReused, Fenced, HeldByOther, SeqConflict, StoreError
from agent.timeline.entry import Entry
from agent.timeline.leases import Lease
from agent.timeline.store import Store, StoredSession
from tests.conformance.store_backends import Backend, entries, entry, every_store, with_rivals, with_store


def owners(read: list[Entry]) -> list[tuple[int, str]]:
    return [(e.event.epoch, e.event.owner) for e in read if isinstance(e.event, OwnerChanged)]


def new(seq: int, text: str = "new") -> Entry:
    return entry(seq, event=TextInput(event_id=f"{text}{seq}", text=text))


@every_store
def test_the_first_acquire_begins_the_session_with_its_owner(backend: Backend, tmp_path: Path) -> None:
    async def check(store: Store) -> None:
        lease = await store.acquire("s1", "a", 30)
        assert lease == Lease("s1", "a", 1, 1, VIRTUAL_EPOCH + timedelta(seconds=30))
        (first,) = await store.read("s1")
        assert first.event == OwnerChanged(event_id="owner:1", source="store", epoch=1, owner="a")
        assert (first.seq, first.role, first.t_ms, first.now_us) == (1, "fact", 0, 0)
        assert first.ts == "2026-01-01T00:00:00.000Z"
        assert await store.append(entries(2, 3), lease) == 3

    with_store(backend, tmp_path, check)


@every_store
def test_each_acquire_raises_the_epoch_and_goes_on_in_the_sessions_own_time(backend: Backend, tmp_path: Path) -> None:
    async def check(store: Store) -> None:
        await store.append(entries(1, 3))
        await asyncio.sleep(10)
        for epoch, owner in ((1, "a"), (2, "b"), (3, "c")):
            lease = await store.acquire("s1", owner, 30)
            assert (lease.epoch, lease.last_seq) == (epoch, 3 + epoch)
            await store.release(lease)
        read = await store.read("s1")
        assert read[:3] == entries(1, 3)
        assert owners(read) == [(1, "a"), (2, "b"), (3, "c")]
        assert [e.seq for e in read] == [1, 2, 3, 4, 5, 6]
        # The third entry was of 00:00:03 and 30 ms in; it is 00:00:10 now.
        assert (read[3].t_ms, read[3].ts) == (7_030, "2026-01-01T00:00:10.000Z")
        assert [e.now_us for e in read] == sorted(e.now_us for e in read)

    with_store(backend, tmp_path, check)


@every_store
def test_a_session_that_is_held_is_nobody_elses(backend: Backend, tmp_path: Path) -> None:
    async def check(store: Store, rival: Store) -> None:
        lease = await store.acquire("s1", "a", 30)
        for _ in range(3):
            with pytest.raises(HeldByOther, match=r"held by a until 2026-01-01T00:00:30"):
                await rival.acquire("s1", "b", 30)
            with pytest.raises(HeldByOther):
                await rival.append(entries(2, 2))
            await asyncio.sleep(9)
        assert owners(await rival.read("s1")) == [(1, "a")]
        assert await store.append(entries(2, 2), lease) == 2
        # Another session is another matter.
        assert (await rival.acquire("s2", "b", 30)).epoch == 1

    with_rivals(backend, tmp_path, check)


@every_store
def test_of_many_who_acquire_at_once_one_gets_it(backend: Backend, tmp_path: Path) -> None:
    async def check(store: Store, rival: Store) -> None:
        tries = [(store, rival)[n % 2].acquire("s1", f"owner {n}", 30) for n in range(10)]
        outcomes = await asyncio.gather(*tries, return_exceptions=True)
        (winner,) = [outcome for outcome in outcomes if isinstance(outcome, Lease)]
        assert sum(isinstance(outcome, HeldByOther) for outcome in outcomes) == 9
        assert owners(await store.read("s1")) == [(1, winner.owner)]

    with_rivals(backend, tmp_path, check)


@every_store
def test_renewing_keeps_it_and_a_lease_that_ran_out_can_be_taken(backend: Backend, tmp_path: Path) -> None:
    async def check(store: Store, rival: Store) -> None:
        lease = await store.acquire("s1", "a", 30)
        await store.append(entries(2, 4), lease)
        for _ in range(4):
            await asyncio.sleep(20)
            lease = await store.renew(lease)
        assert lease == Lease("s1", "a", 1, 4, VIRTUAL_EPOCH + timedelta(seconds=110))
        await asyncio.sleep(29)
        with pytest.raises(HeldByOther):
            await rival.acquire("s1", "b", 30)
        await asyncio.sleep(1)
        assert (await rival.acquire("s1", "b", 30)).epoch == 2
        with pytest.raises(Fenced):
            await store.renew(lease)

    with_rivals(backend, tmp_path, check)


@every_store
def test_a_released_session_is_free_at_once_and_its_lease_is_over(backend: Backend, tmp_path: Path) -> None:
    async def check(store: Store, rival: Store) -> None:
        lease = await store.acquire("s1", "a", 30)
        await store.release(lease)
        with pytest.raises(Fenced, match="released"):
            await store.append(entries(2, 2), lease)
        with pytest.raises(Fenced):
            await store.renew(lease)
        assert await store.append(entries(2, 2)) == 2
        taken = await rival.acquire("s1", "b", 30)
        await store.release(lease)
        with pytest.raises(HeldByOther):
            await store.acquire("s1", "a", 30)
        assert await rival.append(entries(4, 4), taken) == 4

    with_rivals(backend, tmp_path, check)


@every_store
def test_releasing_what_is_not_there_is_nothing(backend: Backend, tmp_path: Path) -> None:
    async def check(store: Store) -> None:
        await store.release(Lease("never", "a", 1, 0, VIRTUAL_EPOCH))
        assert await store.session("never") is None
        assert await store.sessions() == []

    with_store(backend, tmp_path, check)


@every_store
def test_an_owner_who_was_stopped_and_wakes_writes_nothing_any_more(backend: Backend, tmp_path: Path) -> None:
    async def check(store: Store, rival: Store) -> None:
        slow = await store.acquire("s1", "slow", 10)
        await store.transition(slow, "act", "", "started", entries(2, 2))
        await asyncio.sleep(11)
        quick = await rival.acquire("s1", "quick", 10)
        await rival.append(entries(4, 5), quick)
        before = await rival.read("s1")
        for late in (
            store.append([new(4, "late")], slow),
            store.append([new(6, "late")], slow),
            store.append([new(6, "late")], slow, 5),
            store.transition(slow, "act", "started", "committed", [new(6, "late")]),
            store.renew(slow),
            store.snapshot(slow, 5, b"old"),
            store.truncate(slow, 1),
        ):
            with pytest.raises(Fenced, match="slow lost session s1 of epoch 1: quick has it in epoch 2"):
                await late
        assert await store.read("s1") == before
        assert [(a.state, a.epoch) for a in await store.actions("s1")] == [("started", 1)]
        # What it had stored before is still acknowledged, and its release is not the other's.
        assert await store.append(entries(2, 2), slow) == 5
        await store.release(slow)
        assert await rival.append(entries(6, 6), quick) == 6

    with_rivals(backend, tmp_path, check)


@every_store
def test_an_expired_lease_that_nobody_took_still_writes(backend: Backend, tmp_path: Path) -> None:
    async def check(store: Store) -> None:
        lease = await store.acquire("s1", "a", 1)
        await asyncio.sleep(100)
        assert await store.append(entries(2, 2), lease) == 2
        lease = await store.renew(lease)
        with pytest.raises(HeldByOther):
            await store.acquire("s1", "b", 1)

    with_store(backend, tmp_path, check)


@every_store
def test_an_owner_who_comes_back_under_its_name_need_not_wait_and_fences_itself(
    backend: Backend, tmp_path: Path
) -> None:
    async def check(store: Store, rival: Store) -> None:
        before = await store.acquire("s1", "a", 1_000)
        after = await rival.acquire("s1", "a", 1_000)
        assert after.epoch == 2
        with pytest.raises(Fenced):
            await store.append([new(3)], before)
        assert await rival.append([new(3)], after) == 3

    with_rivals(backend, tmp_path, check)


@every_store
def test_a_lease_is_of_one_session_and_must_make_sense(backend: Backend, tmp_path: Path) -> None:
    async def check(store: Store) -> None:
        lease = await store.acquire("s1", "a", 30)
        await store.append(entries(1, 1, "s2"))
        with pytest.raises(StoreError, match="no lease of session s2"):
            await store.append(entries(2, 2, "s2"), lease)
        for session_id, owner, ttl_s in (("", "a", 1), ("s3", "", 1), ("s3", "a", 0), ("s3", "a", -1)):
            with pytest.raises(StoreError, match="a lease needs"):
                await store.acquire(session_id, owner, ttl_s)
        for forged in (replace(lease, epoch=2), replace(lease, epoch=0), replace(lease, owner="b")):
            with pytest.raises(Fenced):
                await store.append(entries(2, 2), forged)

    with_store(backend, tmp_path, check)


@every_store
def test_expected_seq_is_where_the_writer_believes_that_the_session_ends(backend: Backend, tmp_path: Path) -> None:
    async def check(store: Store) -> None:
        assert await store.append(entries(1, 2), None, 0) == 2
        for wrong in (0, 1, 3, -1):
            with pytest.raises(SeqConflict):
                await store.append(entries(3, 3), None, wrong)
        assert await store.append(entries(3, 3), None, 2) == 3
        # Repeated: it is there, whatever the session has come to.
        assert await store.append(entries(3, 3), None, 2) == 3

    with_store(backend, tmp_path, check)


@every_store
def test_rival_writers_without_a_lease_never_overwrite_each_other(backend: Backend, tmp_path: Path) -> None:
    async def write(store: Store, name: str) -> list[str]:
        mine = []
        for n in range(15):
            event = TextInput(event_id=f"{name}{n}", text=name)
            while True:
                seq = len(await store.read("s1"))
                try:
                    await store.append([entry(seq + 1, event=event)], None, seq)
                    break
                except SeqConflict:
                    await asyncio.sleep(0)
            mine.append(event.event_id)
        return mine

    async def check(store: Store, rival: Store) -> None:
        written = await asyncio.gather(write(store, "a"), write(rival, "b"), write(rival, "c"))
        read = [e.event.event_id for e in await store.read("s1")]
        assert sorted(read) == sorted(event_id for mine in written for event_id in mine)
        for mine in written:
            assert [event_id for event_id in read if event_id in mine] == mine

    with_rivals(backend, tmp_path, check)


@every_store
def test_every_cause_is_on_the_timeline_before_its_effect(backend: Backend, tmp_path: Path) -> None:
    async def check(store: Store) -> None:
        await store.append([entry(1), entry(2, cause="e1"), entry(3, cause="e2")])
        await store.append([entry(4, cause="e1")])
        await store.append(entries(1, 1, "s2"))
        for seq5, seq6 in (("nobody", ""), ("e5", ""), ("e6", ""), ("e4", "nobody")):
            with pytest.raises(CauseUnknown):
                await store.append([entry(5, cause=seq5), entry(6, cause=seq6)])
        with pytest.raises(CauseUnknown):
            await store.append([entry(2, "s2", new(2).event, cause="e4")])
        assert len(await store.read("s1")) == 4

    with_store(backend, tmp_path, check)


@every_store
def test_what_is_wrong_is_said_in_order(backend: Backend, tmp_path: Path) -> None:
    """A repeated id, then the fence, then where the session ends, then the cause."""

    async def check(store: Store) -> None:
        old = await store.acquire("s1", "a", 30)
        await store.append(entries(2, 3), old)
        now = await store.acquire("s1", "a", 30)
        reused = entry(9, event=TextInput(event_id="e2", text="else"))
        wrong_place, lost = entry(9, cause="nobody"), entry(5, cause="nobody")
        for batch, lease, expected_seq, error in (
            ([reused, wrong_place], old, 7, EventIdReused),
            ([wrong_place], old, 7, Fenced),
            ([wrong_place], None, 7, HeldByOther),
            ([lost], now, 7, SeqConflict),
            ([wrong_place], now, 4, SeqConflict),
            ([lost], now, 4, CauseUnknown),
        ):
            with pytest.raises(error):
                await store.append(batch, lease, expected_seq)
        assert await store.append([*entries(2, 3)], old, 7) == 4
        assert await store.append([entry(2), entry(5, cause="e3")], now, 4) == 5

    with_store(backend, tmp_path, check)


@every_store
def test_sessions_are_found_by_their_owner_and_their_user(backend: Backend, tmp_path: Path) -> None:
    async def check(store: Store) -> None:
        await store.acquire("s1", "node 1", 30, "ada")
        await asyncio.sleep(1)
        lease = await store.acquire("s2", "node 2", 30, "ada")
        await asyncio.sleep(1)
        await store.acquire("s3", "node 1", 30, "grace")
        await asyncio.sleep(1)
        await store.append([entry(1, "s4")])

        async def found(**wanted: str) -> list[str]:
            return [stored.session_id for stored in await store.sessions(**wanted)]  # type: ignore[arg-type]

        assert sorted(await found()) == ["s1", "s2", "s3", "s4"]
        assert await found(user="ada") == ["s2", "s1"]
        assert await found(owner="node 1") == ["s3", "s1"]
        assert await found(owner="node 1", user="ada") == ["s1"]
        assert await found(user="nobody") == []
        await store.release(lease)
        # Whose it is does not change with who serves it.
        await store.acquire("s2", "node 3", 30, "mallory")
        assert await store.session("s2") == StoredSession("s2", "2026-01-01T00:00:01.000Z", 2, 1, "node 3", "ada")

    with_store(backend, tmp_path, check)
