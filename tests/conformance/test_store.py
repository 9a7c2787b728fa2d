"""What every `Store` promises of entries: order, density, atomic batches, repeats."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from agent.conversation.decisions import PlaybackStop, TurnEnd
from agent.conversation.events import AsrFinal, TextInput, ToolCall
from agent.errors import EventIdReused, SeqConflict, StoreError
from agent.timeline.entry import Entry
from agent.timeline.store import Store, StoredSession
from tests.conformance.store_backends import (
    Backend,
    entries,
    entry,
    every_durable_store,
    every_store,
    with_store,
)


@every_store
def test_entries_come_back_whole_and_in_order(backend: Backend, tmp_path: Path) -> None:
    batch = [
        entry(1, event=AsrFinal(event_id="e1", source="asr", utterance=1, text="naïve 東京 🎉\n'\"", confidence=0.5)),
        entry(
            2, event=TurnEnd(event_id="e1.1", turn_id="t1", text="x", understood=True, evidence={"by": ["silence", 1]})
        ),
        entry(
            3,
            event=PlaybackStop(
                event_id="e1.2", turn_id="t0", heard_ms=1, heard_text="a", unheard_text="", method="complete"
            ),
        ),
        entry(
            4,
            event=ToolCall(
                event_id="e2", reply_id="r1", step=1, call_id="c", name="n", arguments={"a": {"b": None}}, effect="read"
            ),
        ),
    ]

    async def check(store: Store) -> None:
        assert await store.append(batch[:1]) == 1
        assert await store.append(batch[1:]) == 4
        assert await store.read("s1") == batch

    with_store(backend, tmp_path, check)


@every_store
def test_reading_goes_page_by_page(backend: Backend, tmp_path: Path) -> None:
    async def check(store: Store) -> None:
        await store.append(entries(1, 10))
        assert [e.seq for e in await store.read("s1", after=0, limit=4)] == [1, 2, 3, 4]
        assert [e.seq for e in await store.read("s1", after=4, limit=4)] == [5, 6, 7, 8]
        assert [e.seq for e in await store.read("s1", after=8, limit=4)] == [9, 10]
        assert await store.read("s1", after=10) == []
        assert await store.read("s1", limit=0) == []
        assert await store.read("nobody") == []

    with_store(backend, tmp_path, check)


@every_store
def test_a_repeat_is_acknowledged_and_not_appended(backend: Backend, tmp_path: Path) -> None:
    async def check(store: Store) -> None:
        await store.append(entries(1, 3))
        assert await store.append(entries(1, 3)) == 3
        assert await store.append(entries(2, 5)) == 5
        # The same command again, later and from another place.
        again = replace(entry(9), event=replace(entry(2).event, source="other page"))
        assert await store.append([again]) == 5
        assert await store.read("s1") == entries(1, 5)

    with_store(backend, tmp_path, check)


@every_store
def test_an_id_that_stands_for_something_else_is_refused_and_nothing_of_its_batch_is_kept(
    backend: Backend, tmp_path: Path
) -> None:
    async def check(store: Store) -> None:
        await store.append(entries(1, 2))
        for other in (TextInput(event_id="e1", text="else"), AsrFinal(event_id="e1", utterance=1, text="line 1")):
            with pytest.raises(EventIdReused, match="e1"):
                await store.append([entry(3), entry(4, event=other)])
        twice = TextInput(event_id="e3", text="else")
        with pytest.raises(EventIdReused, match="e3"):
            await store.append([entry(3), entry(4, event=twice)])
        assert await store.read("s1") == entries(1, 2)

    with_store(backend, tmp_path, check)


@every_store
@pytest.mark.parametrize("seqs", [[2], [5], [4, 6], [4, 4], [0], [3]])
def test_a_batch_that_is_not_dense_is_a_conflict(backend: Backend, tmp_path: Path, seqs: list[int]) -> None:
    async def check(store: Store) -> None:
        await store.append(entries(1, 3))
        batch = [entry(seq, event=TextInput(event_id=f"new{i}", text="x")) for i, seq in enumerate(seqs)]
        with pytest.raises(SeqConflict):
            await store.append(batch)
        assert await store.read("s1") == entries(1, 3)
        assert await store.append(entries(4, 4)) == 4

    with_store(backend, tmp_path, check)


@every_store
def test_a_session_begins_with_one(backend: Backend, tmp_path: Path) -> None:
    async def check(store: Store) -> None:
        with pytest.raises(SeqConflict):
            await store.append(entries(2, 3))
        assert await store.read("s1") == []
        assert await store.sessions() == []

    with_store(backend, tmp_path, check)


@every_store
def test_a_batch_is_of_one_session_and_has_ids(backend: Backend, tmp_path: Path) -> None:
    async def check(store: Store) -> None:
        for batch in ([], [entry(1), entry(2, "s2")], [entry(1, event=TextInput(text="no id"))], [entry(1, "")]):
            with pytest.raises(StoreError):
                await store.append(batch)
        assert await store.sessions() == []

    with_store(backend, tmp_path, check)


@every_store
def test_the_same_event_id_may_be_in_two_sessions(backend: Backend, tmp_path: Path) -> None:
    async def check(store: Store) -> None:
        await store.append(entries(1, 2, "a"))
        await store.append(entries(1, 1, "b"))
        assert await store.read("a") == entries(1, 2, "a")
        assert await store.read("b") == entries(1, 1, "b")

    with_store(backend, tmp_path, check)


@every_store
def test_sessions_are_listed_newest_first(backend: Backend, tmp_path: Path) -> None:
    def begun(session_id: str, second: int) -> list[Entry]:
        return [replace(e, ts=f"2026-01-01T00:00:{second + e.seq:02}.000Z") for e in entries(1, 2, session_id)]

    async def check(store: Store) -> None:
        for session_id, second in (("old", 10), ("newest", 30), ("middle", 20)):
            await store.append(begun(session_id, second))
        assert await store.sessions() == [
            StoredSession("newest", "2026-01-01T00:00:31.000Z", 2),
            StoredSession("middle", "2026-01-01T00:00:21.000Z", 2),
            StoredSession("old", "2026-01-01T00:00:11.000Z", 2),
        ]
        assert [s.session_id for s in await store.sessions(limit=1)] == ["newest"]

    with_store(backend, tmp_path, check)


@every_store
def test_sessions_append_at_the_same_time_without_touching_each_other(backend: Backend, tmp_path: Path) -> None:
    async def talk(store: Store, session_id: str) -> None:
        for first in range(1, 40, 3):
            assert await store.append(entries(first, first + 2, session_id)) == first + 2
            tail = await store.read(session_id, after=first - 1)
            assert tail == entries(first, first + 2, session_id)

    async def check(store: Store) -> None:
        names = [f"s{i}" for i in range(8)]
        async with asyncio.TaskGroup() as group:
            for name in names:
                group.create_task(talk(store, name))
        for name in names:
            assert await store.read(name) == entries(1, 39, name)

    with_store(backend, tmp_path, check)


@every_store
def test_one_sessions_conflict_does_not_harm_the_others_of_the_same_moment(backend: Backend, tmp_path: Path) -> None:
    async def check(store: Store) -> None:
        good, bad, other = await asyncio.gather(
            store.append(entries(1, 5, "good")),
            store.append(entries(3, 5, "bad")),
            store.append(entries(1, 2, "other")),
            return_exceptions=True,
        )
        assert (good, other) == (5, 2)
        assert isinstance(bad, SeqConflict)
        assert await store.read("bad") == []

    with_store(backend, tmp_path, check)


@every_store
def test_a_closed_store_says_so(backend: Backend, tmp_path: Path) -> None:
    async def check(store: Store) -> None:
        await store.append(entries(1, 1))
        await store.close()
        for call in (store.append(entries(2, 2)), store.read("s1"), store.sessions()):
            with pytest.raises(StoreError, match="closed"):
                await call

    with_store(backend, tmp_path, check)


@every_durable_store
def test_everything_is_there_after_it_is_opened_again(backend: Backend, tmp_path: Path) -> None:
    async def write(store: Store) -> None:
        await store.append(entries(1, 7))
        await store.append(entries(1, 2, "s2"))

    async def check(store: Store) -> None:
        assert await store.read("s1") == entries(1, 7)
        assert await store.read("s2") == entries(1, 2, "s2")
        assert {s.session_id: s.last_seq for s in await store.sessions()} == {"s1": 7, "s2": 2}
        with pytest.raises(SeqConflict):
            await store.append([entry(7, event=TextInput(event_id="new", text="x"))])
        assert await store.append(entries(6, 8)) == 8

    with_store(backend, tmp_path, write)
    with_store(backend, tmp_path, check)
