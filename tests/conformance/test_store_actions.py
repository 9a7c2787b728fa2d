"""What every `Store` promises of the ledger: an action's state and the entries that tell of it, both or neither."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent.conversation.decisions import ActionStarted
from agent.conversation.events import TextInput
from agent.errors import ActionConflict, CauseUnknown, EventIdReused, Fenced, SeqConflict, StoreError
from agent.timeline.entry import Entry
from agent.timeline.store import Store, StoredAction
from tests.conformance.store_backends import Backend, entries, entry, every_store, with_rivals, with_store


def started(seq: int, name: str = "") -> Entry:
    event_id = name or f"e{seq}"
    fields = {"action_id": "a1", "name": "send", "arguments": {}, "idempotency_key": "k"}
    return entry(seq, event=ActionStarted(event_id=event_id, turn_id="t1", reply_id="r1", **fields))  # type: ignore[arg-type]


@every_store
def test_an_action_goes_from_state_to_state_with_its_entries(backend: Backend, tmp_path: Path) -> None:
    async def check(store: Store) -> None:
        lease = await store.acquire("s1", "a", 30)
        assert await store.transition(lease, "a1", "", "proposed", entries(2, 3)) == 3
        assert await store.transition(lease, "a2", "", "proposed", entries(4, 4)) == 4
        assert await store.transition(lease, "a1", "proposed", "started", [started(5)]) == 5
        assert await store.append(entries(6, 6), lease) == 6
        assert await store.actions("s1") == [
            StoredAction("a2", "proposed", 4, 1),
            StoredAction("a1", "started", 5, 1),
        ]
        assert await store.actions("s1", "started") == [StoredAction("a1", "started", 5, 1)]
        assert await store.actions("s1", "committed") == []
        assert await store.actions("s2") == []
        assert (await store.read("s1", 1)) == [*entries(2, 4), started(5), entry(6)]

    with_store(backend, tmp_path, check)


@every_store
def test_an_action_in_another_state_conflicts_and_nothing_is_kept(backend: Backend, tmp_path: Path) -> None:
    async def check(store: Store) -> None:
        lease = await store.acquire("s1", "a", 30)
        for wrong in ("proposed", "started"):
            with pytest.raises(ActionConflict, match="not in the ledger"):
                await store.transition(lease, "a1", wrong, "started", entries(2, 2))
        await store.transition(lease, "a1", "", "proposed", entries(2, 2))
        for wrong in ("", "started", "Proposed"):
            with pytest.raises(ActionConflict, match="a1 is proposed"):
                await store.transition(lease, "a1", wrong, "confirmed", entries(3, 4))
        assert await store.actions("s1") == [StoredAction("a1", "proposed", 2, 1)]
        assert len(await store.read("s1")) == 2
        # An action of the same name in another session is another one.
        other = await store.acquire("s2", "a", 30)
        assert await store.transition(other, "a1", "", "proposed", entries(2, 2, "s2")) == 2

    with_store(backend, tmp_path, check)


@every_store
def test_entries_that_are_refused_leave_the_state_as_it_was(backend: Backend, tmp_path: Path) -> None:
    async def check(store: Store) -> None:
        old = await store.acquire("s1", "a", 30)
        lease = await store.acquire("s1", "a", 30)
        await store.transition(lease, "a1", "", "proposed", entries(3, 3))
        reused = entry(4, event=TextInput(event_id="e3", text="else"))
        for under, batch, error in (
            (lease, [reused], EventIdReused),
            (old, entries(4, 4), Fenced),
            (lease, entries(5, 5), SeqConflict),
            (lease, [entry(4), entry(5, cause="nobody")], CauseUnknown),
            (lease, [], StoreError),
        ):
            with pytest.raises(error):
                await store.transition(under, "a1", "proposed", "started", batch)
        for action_id, to_state in (("", "started"), ("a1", "")):
            with pytest.raises(StoreError, match="a transition needs"):
                await store.transition(lease, action_id, "proposed", to_state, entries(4, 4))
        assert await store.actions("s1") == [StoredAction("a1", "proposed", 3, 2)]
        assert len(await store.read("s1")) == 3

    with_store(backend, tmp_path, check)


@every_store
def test_a_repeated_transition_is_acknowledged_whatever_the_state_is_by_now(backend: Backend, tmp_path: Path) -> None:
    async def check(store: Store) -> None:
        lease = await store.acquire("s1", "a", 30)
        assert await store.transition(lease, "a1", "", "proposed", entries(2, 2)) == 2
        assert await store.transition(lease, "a1", "proposed", "started", [started(3)]) == 3
        assert await store.transition(lease, "a1", "proposed", "started", [started(3)]) == 3
        assert await store.transition(lease, "a1", "", "proposed", entries(2, 2)) == 3
        assert await store.actions("s1") == [StoredAction("a1", "started", 3, 1)]
        assert len(await store.read("s1")) == 3

    with_store(backend, tmp_path, check)


@every_store
def test_of_two_who_start_an_action_exactly_one_does(backend: Backend, tmp_path: Path) -> None:
    async def start(store: Store, name: str, starts: list[str]) -> None:
        """Tries until it has won, or is told that the action is not what it took it for."""
        lease = leases[0]
        while True:
            seq = len(await store.read("s1"))
            try:
                await store.transition(lease, "a1", "confirmed", "started", [started(seq + 1, name)])
            except SeqConflict:
                await asyncio.sleep(0)
                continue
            except ActionConflict:
                return
            starts.append(name)
            return

    leases = []

    async def check(store: Store, rival: Store) -> None:
        leases.append(await store.acquire("s1", "a", 30))
        await store.transition(leases[0], "a1", "", "confirmed", entries(2, 2))
        starts: list[str] = []
        await asyncio.gather(*(start((store, rival)[n % 2], f"start{n}", starts) for n in range(6)))
        told = [e.event.event_id for e in await store.read("s1") if isinstance(e.event, ActionStarted)]
        assert len(starts) == 1
        assert told == starts
        assert await rival.actions("s1") == [StoredAction("a1", "started", 3, 1)]

    with_rivals(backend, tmp_path, check)


@every_store
def test_a_new_owner_finds_what_earlier_epochs_started(backend: Backend, tmp_path: Path) -> None:
    async def check(store: Store, rival: Store) -> None:
        first = await store.acquire("s1", "a", 10)
        await store.transition(first, "a1", "", "started", [started(2)])
        await store.transition(first, "a2", "", "proposed", entries(3, 3))
        await asyncio.sleep(10)
        second = await rival.acquire("s1", "b", 10)
        open_ = [action for action in await rival.actions("s1", "started") if action.epoch < second.epoch]
        assert open_ == [StoredAction("a1", "started", 2, 1)]
        seq = second.last_seq + 1
        assert await rival.transition(second, "a1", "started", "unknown", entries(seq, seq)) == seq
        with pytest.raises(Fenced):
            await store.transition(first, "a1", "started", "committed", [started(seq, "late")])
        assert await store.actions("s1", "unknown") == [StoredAction("a1", "unknown", seq, 2)]

    with_rivals(backend, tmp_path, check)
