"""What every `Store` promises of what it does not keep for ever: snapshots, truncation, deletion, presence, export."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from agent.clock import VIRTUAL_EPOCH
from agent.conversation.events import TextInput
from agent.errors import CauseUnknown, EventIdReused, Fenced, SeqConflict, StoreError, Truncated
from agent.timeline.codec import loads
from agent.timeline.export import jsonl
from agent.timeline.leases import Lease
from agent.timeline.store import Presence, Snapshot, Store
from tests.conformance.store_backends import Backend, entries, entry, every_store, with_rivals, with_store


async def begun(store: Store, last: int, session_id: str = "s1") -> Lease:
    lease = await store.acquire(session_id, "a", 30)
    await store.append(entries(2, last, session_id), lease)
    return lease


@every_store
def test_the_latest_snapshot_is_kept(backend: Backend, tmp_path: Path) -> None:
    async def check(store: Store) -> None:
        lease = await begun(store, 9)
        assert await store.latest_snapshot("s1") is None
        await store.snapshot(lease, 4, b"\x00four")
        await store.snapshot(lease, 8, b"eight")
        await store.snapshot(lease, 8, b"eight again")
        await store.snapshot(lease, 5, b"late")
        assert await store.latest_snapshot("s1") == Snapshot(8, b"eight again")
        for seq in (0, -1, 10):
            with pytest.raises(SeqConflict):
                await store.snapshot(lease, seq, b"of what is not there")
        assert await store.latest_snapshot("s2") is None

    with_store(backend, tmp_path, check)


@every_store
def test_truncated_entries_are_gone_and_the_reader_is_told(backend: Backend, tmp_path: Path) -> None:
    async def check(store: Store, rival: Store) -> None:
        lease = await begun(store, 9)
        await store.snapshot(lease, 6, b"six")
        await store.truncate(lease, 5)
        for after in (0, 1, 4):
            with pytest.raises(Truncated, match="from entry 6 on") as caught:
                await rival.read("s1", after)
            assert caught.value.first_seq == 6
            with pytest.raises(Truncated):
                await anext(aiter(store.subscribe("s1", after)))
        assert await rival.read("s1", 5) == entries(6, 9)
        assert await rival.read("s1", 7, 1) == entries(8, 8)
        stored = await rival.session("s1")
        assert stored is not None
        assert (stored.first_seq, stored.last_seq) == (6, 9)
        # Less than is gone already, and again: nothing.
        await store.truncate(lease, 3)
        await store.truncate(lease, 5)
        await store.truncate(lease, 6)
        assert await rival.read("s1", 6) == entries(7, 9)
        assert await store.append(entries(10, 10), lease) == 10
        assert await store.check() == []

    with_rivals(backend, tmp_path, check)


@every_store
def test_only_what_a_snapshot_stands_for_may_go_and_the_last_entry_stays(backend: Backend, tmp_path: Path) -> None:
    async def check(store: Store) -> None:
        lease = await begun(store, 5)
        with pytest.raises(SeqConflict, match="no snapshot"):
            await store.truncate(lease, 1)
        await store.snapshot(lease, 3, b"three")
        with pytest.raises(SeqConflict, match="stands for 3"):
            await store.truncate(lease, 4)
        await store.snapshot(lease, 5, b"five")
        with pytest.raises(SeqConflict, match="last one stays"):
            await store.truncate(lease, 5)
        assert len(await store.read("s1")) == 5
        await store.truncate(lease, 4)
        # The next owner's entry goes on from the last one's time.
        await store.acquire("s1", "a", 30)
        (_, changed) = await store.read("s1", 4)
        assert changed.now_us >= 50_000

    with_store(backend, tmp_path, check)


@every_store
def test_event_ids_are_known_for_ever(backend: Backend, tmp_path: Path) -> None:
    async def check(store: Store) -> None:
        lease = await begun(store, 6)
        await store.snapshot(lease, 5, b"")
        await store.truncate(lease, 5)
        assert await store.append(entries(2, 6), lease) == 6
        assert await store.append([entry(3)], None) == 6
        assert await store.append([entry(4), entry(7)], lease) == 7
        with pytest.raises(EventIdReused, match="e3 is the id of entry 3"):
            await store.append([entry(8, event=TextInput(event_id="e3", text="else"))], lease)
        # What was truncated may still be a cause.
        assert await store.append([entry(8, cause="e2")], lease) == 8
        with pytest.raises(CauseUnknown):
            await store.append([entry(9, cause="e99")], lease)

    with_store(backend, tmp_path, check)


@every_store
def test_a_deleted_session_is_gone_for_everybody(backend: Backend, tmp_path: Path) -> None:
    async def check(store: Store, rival: Store) -> None:
        lease = await begun(store, 4)
        other = await begun(store, 4, "s2")
        await store.transition(lease, "a1", "", "started", entries(5, 5))
        await store.snapshot(lease, 4, b"secret")
        await store.truncate(lease, 2)
        await store.presence_set("s1", "phone", {})
        assert await rival.delete("s1") is True
        assert await store.delete("s1") is False
        assert await store.delete("never") is False
        with pytest.raises(Truncated, match="deleted") as caught:
            await store.read("s1")
        assert caught.value.first_seq == 0
        assert [stored.session_id for stored in await store.sessions()] == ["s2"]
        assert await store.session("s1") is None
        assert await store.latest_snapshot("s1") is None
        assert await store.actions("s1") == []
        assert await store.presence_list("s1") == []
        for late in (
            store.append(entries(6, 6), lease),
            store.append(entries(1, 1)),
            store.transition(lease, "a1", "started", "committed", entries(6, 6)),
            store.renew(lease),
            store.acquire("s1", "a", 30),
            store.presence_set("s1", "phone", {}),
        ):
            with pytest.raises(Fenced, match="was deleted"):
                await late
        await store.release(lease)
        assert await store.append(entries(5, 5, "s2"), other) == 5
        assert await store.check() == []

    with_rivals(backend, tmp_path, check)


@every_store
def test_retention_deletes_what_is_old_and_not_in_use(backend: Backend, tmp_path: Path) -> None:
    """All but one were last written to in their first two seconds."""

    async def check(store: Store) -> None:
        for name in ("old", "new", "also old", "held", "was held"):
            await store.append(entries(1, 2, name))
        held, was_held = await store.acquire("held", "a", 30), await store.acquire("was held", "a", 1)
        assert (held.last_seq, was_held.last_seq) == (3, 3)
        await asyncio.sleep(20)
        await store.append([replace(entry(3, "new"), ts="2026-01-01T00:00:20.000Z")])
        assert await store.retain(VIRTUAL_EPOCH + timedelta(seconds=2)) == []
        assert await store.retain(VIRTUAL_EPOCH + timedelta(seconds=19)) == ["also old", "old", "was held"]
        assert sorted(stored.session_id for stored in await store.sessions()) == ["held", "new"]
        assert await store.append(entries(4, 4, "held"), held) == 4
        with pytest.raises(Truncated):
            await store.read("old")
        assert await store.retain(VIRTUAL_EPOCH + timedelta(seconds=19)) == []

    with_store(backend, tmp_path, check)


@every_store
def test_what_is_forgotten_leaves_its_ids_alone(backend: Backend, tmp_path: Path) -> None:
    async def check(store: Store, rival: Store) -> None:
        lease = await begun(store, 9)
        await store.snapshot(lease, 3, b"what was said")
        await store.truncate(lease, 3)
        await store.forget(lease, 6)
        assert await rival.latest_snapshot("s1") is None
        assert await rival.past_ids("s1") == ["owner:1", "e2", "e3", "e4", "e5", "e6"]
        assert await rival.past_ids("s2") == []
        with pytest.raises(Truncated, match="from entry 7 on"):
            await rival.read("s1", 0)
        assert await rival.read("s1", 6) == entries(7, 9)
        stored = await rival.session("s1")
        assert stored is not None
        assert (stored.first_seq, stored.last_seq) == (7, 9)
        # A repeat is acknowledged; what it was is not known any more, not even by a digest.
        for repeated in (entry(2), entry(5), replace(entry(5), event=TextInput(event_id="e5", text="other"))):
            assert await store.append([repeated], lease) == 9
        with pytest.raises(EventIdReused):
            await store.append([replace(entry(8), event=TextInput(event_id="e8", text="other"))], lease)
        assert await store.append(entries(10, 10), lease) == 10
        await store.forget(lease, 6)
        await store.forget(lease, 0)
        assert await rival.read("s1", 6) == entries(7, 10)
        assert await store.check() == []

    with_rivals(backend, tmp_path, check)


@every_store
def test_the_last_entry_stays_and_only_its_owner_forgets(backend: Backend, tmp_path: Path) -> None:
    async def check(store: Store) -> None:
        lease = await begun(store, 4)
        with pytest.raises(SeqConflict, match="its last one stays"):
            await store.forget(lease, 4)
        await store.acquire("s1", "a", 30)
        with pytest.raises(Fenced):
            await store.forget(lease, 2)
        assert await store.read("s1", 1, 3) == entries(2, 4)

    with_store(backend, tmp_path, check)


@every_store
def test_presence_is_who_is_there_now(backend: Backend, tmp_path: Path) -> None:
    async def check(store: Store, rival: Store) -> None:
        await store.presence_set("s1", "phone", {"transport": "webrtc", "focus": True}, 30)
        await asyncio.sleep(1)
        await rival.presence_set("s1", "laptop", {"transport": "websocket"}, 30)
        await rival.presence_set("s2", "tablet", {}, 30)
        await asyncio.sleep(9)
        await store.presence_set("s1", "phone", {"transport": "sse"}, 30)
        start = VIRTUAL_EPOCH
        phone = Presence("phone", {"transport": "sse"}, "2026-01-01T00:00:00.000Z", start + timedelta(seconds=40))
        laptop = Presence(
            "laptop", {"transport": "websocket"}, "2026-01-01T00:00:01.000Z", start + timedelta(seconds=31)
        )
        assert await rival.presence_list("s1") == [phone, laptop]
        await asyncio.sleep(21)
        assert await rival.presence_list("s1") == [phone]
        await store.presence_set("s1", "phone", None)
        await store.presence_set("s1", "nobody", None)
        assert await rival.presence_list("s1") == []
        # It is of the moment only: no session has begun by it.
        assert await store.sessions() == []
        assert await store.delete("s2") is False
        assert await store.presence_list("s2") == []

    with_rivals(backend, tmp_path, check)


@every_store
def test_a_session_is_exported_line_by_line(backend: Backend, tmp_path: Path) -> None:
    async def check(store: Store) -> None:
        lease = await begun(store, 1_203)
        lines = [line async for line in jsonl(store, "s1")]
        assert all(line.endswith("\n") and line.count("\n") == 1 for line in lines)
        assert [loads(line) for line in lines] == await store.read("s1", 0, 10_000)
        await store.snapshot(lease, 1_200, b"")
        await store.truncate(lease, 1_200)
        assert [loads(line) async for line in jsonl(store, "s1")] == entries(1_201, 1_203)
        with pytest.raises(StoreError, match="no stored session nobody"):
            await anext(jsonl(store, "nobody"))

    with_store(backend, tmp_path, check)
