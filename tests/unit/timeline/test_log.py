"""The live timeline: under which lease it is written, and what of an earlier reader's it continues."""

import asyncio

import pytest

from agent.clock import VIRTUAL_EPOCH, Clock, run_virtual
from agent.conversation.events import Fault, TextInput
from agent.errors import Fenced, HeldByOther, Indeterminate, Unavailable
from agent.timeline.entry import Entry
from agent.timeline.log import READ_AT_ONCE, Timeline
from agent.timeline.memory import MemoryStore


class Lossy(MemoryStore):
    """Does what it is asked, and its answers are lost; `errors` says how."""

    def __init__(self, clock, *errors):
        super().__init__(clock=clock)
        self.errors = list(errors)

    async def append(self, entries, lease=None, expected_seq=None):
        error = self.errors.pop(0) if self.errors else None
        if isinstance(error, Unavailable):
            raise error
        last_seq = await super().append(entries, lease, expected_seq)
        if error is not None:
            raise error
        return last_seq


async def held(store):
    """A timeline that continues what is stored, under a new lease."""
    lease = await store.acquire("s", "a", 30)
    timeline = Timeline("s", VIRTUAL_EPOCH, store, 100, lease)
    await timeline.load(await store.read("s"), VIRTUAL_EPOCH)
    assert timeline.last_seq == lease.last_seq
    return timeline


def record(timeline, count=1):
    for _ in range(count):
        seq = timeline.last_seq + 1
        fault = Fault(event_id=f"e{seq}", source="test", code="x", message=f"{timeline.epoch}")
        timeline.record(fault, now_us=seq, turn_id="", parent_event_id="")


async def written(timeline):
    timeline.close()
    await timeline.write()


@pytest.mark.parametrize("error", [Unavailable("asleep"), Indeterminate("no answer")])
def test_a_batch_whose_fate_is_not_known_is_appended_again(error):
    async def main():
        store = Lossy(Clock(), error, error, None, error)
        timeline = await held(store)
        writing = asyncio.create_task(timeline.write())
        for _ in range(5):
            record(timeline, 3)  # more come while it is tried again
            await asyncio.sleep(0.15)
        await timeline.durable(timeline.last_seq)
        timeline.close()
        await writing
        assert await store.read("s") == timeline.window()

    run_virtual(main())


def test_only_the_last_owner_writes():
    async def main():
        store = MemoryStore(clock=Clock())
        old = await held(store)
        record(old, 2)
        await written(old)
        old = await held(store)
        new = await held(store)
        record(old, 2)
        with pytest.raises(Fenced):
            await written(old)
        record(new, 3)
        await written(new)
        assert await store.read("s") == new.window()
        unheld = Timeline("s", VIRTUAL_EPOCH, store, 100)
        await unheld.load(await store.read("s"), VIRTUAL_EPOCH)
        record(unheld)
        with pytest.raises(HeldByOther):
            await written(unheld)

    run_virtual(main())


def test_what_a_reader_saw_of_an_earlier_owner_continues_as_far_as_it_was_stored():
    async def main():
        store = MemoryStore(clock=Clock())
        timeline = await held(store)  # owner.changed is 1
        record(timeline, 3)
        await written(timeline)
        lost = await held(store)  # 5
        record(lost, 4)  # up to 9, never stored
        last = await held(store)  # 6
        record(last, 2)
        assert [timeline.epoch, lost.epoch, last.epoch] == [1, 2, 3]
        assert [last.continues(1, seq) for seq in (0, 4, 5)] == [True, True, False]
        assert [last.continues(2, seq) for seq in (4, 5, 6, 9)] == [True, True, False, False]
        assert [last.continues(3, seq) for seq in (5, 6, 8, 9)] == [True, True, True, False]
        assert last.continues(0, 0), "a page that has nothing"
        assert not last.continues(4, 1), "of an owner that there was not yet"

    run_virtual(main())


def test_a_command_is_known_by_its_id_when_its_entry_has_left_memory():
    async def main():
        store = MemoryStore(clock=Clock())
        timeline = await held(store)
        command = TextInput(event_id="command-0001", source="device:d", text="hello")
        timeline.record(command, now_us=1, turn_id="", parent_event_id="")
        writing = asyncio.create_task(timeline.write())
        for _ in range(2):
            record(timeline, 75)
            await timeline.durable(timeline.last_seq)
        assert timeline.get("command-0001") is None
        assert timeline.has("command-0001")
        assert not timeline.has("e2"), "of what is no command nobody sends another one"
        timeline.close()
        await writing
        assert (await held(store)).has("command-0001"), "by the next owner, too"
        assert timeline.commands() == ("command-0001",)

    run_virtual(main())


def test_a_command_is_known_by_its_id_however_many_came_since():
    async def main():
        timeline = Timeline("s", VIRTUAL_EPOCH, MemoryStore(clock=Clock()), 100)
        commands = [TextInput(event_id=f"command-{number}", source="device:d", text="") for number in range(100_001)]
        at = ("s", 1, "2026-01-01T00:00:00.000Z", 0, 0, "fact", "", "")
        await timeline.load([Entry(*at, command) for command in commands], VIRTUAL_EPOCH)
        assert timeline.get("command-0") is None
        assert timeline.has("command-0")
        assert not timeline.has("command-100001")

    run_virtual(main())


def test_what_outlives_forgetting_is_bounded(monkeypatch):
    monkeypatch.setattr("agent.timeline.command_ids.LATEST", 10)

    async def main():
        timeline = await held(MemoryStore(clock=Clock()))
        for number in range(50):
            command = TextInput(event_id=f"command-{number}", source="device:d", text="hello")
            timeline.record(command, now_us=number, turn_id="", parent_event_id="")
        assert timeline.commands() == tuple(f"command-{number}" for number in range(40, 50))

    run_virtual(main())


class Turns:
    """Those of others, on the same loop."""

    taken = 0

    async def take(self):
        while True:
            await asyncio.sleep(0)
            self.taken += 1


def test_a_long_timeline_that_is_loaded_lets_others_have_their_turn():
    async def main():
        timeline = Timeline("s", VIRTUAL_EPOCH, MemoryStore(clock=Clock()), 100)
        faults = [Fault(event_id=f"e{seq}", source="test", code="x", message="") for seq in range(1, 901)]
        entries = [Entry("s", seq, "", 0, 0, "fact", "", "", fault) for seq, fault in enumerate(faults, 1)]
        turns = Turns()
        others = asyncio.create_task(turns.take())
        await timeline.load(entries, VIRTUAL_EPOCH, [f"command-{number}" for number in range(900)])
        assert turns.taken >= 1_600 // READ_AT_ONCE
        assert timeline.last_seq == 900
        assert timeline.has("command-0")
        others.cancel()

    run_virtual(main())


def test_who_reads_all_at_once_lets_others_have_their_turn():
    async def main():
        timeline = Timeline("s", VIRTUAL_EPOCH, MemoryStore(clock=Clock()), 1_000)
        writing = asyncio.create_task(timeline.write())
        record(timeline, 900)
        await timeline.durable(900)
        record(timeline, 900)
        turns = Turns()
        async with asyncio.TaskGroup() as tasks:
            going_on = tasks.create_task(turns.take())
            seen = 0
            async for entry in timeline.follow():
                if entry.seq % 900 == 1:
                    before = turns.taken
                if entry.seq % 900 == 899:
                    assert turns.taken - before >= 700 // READ_AT_ONCE, f"up to entry {entry.seq}"
                seen += 1
                if seen == 1_800:
                    break
            going_on.cancel()
        timeline.close()
        await writing

    run_virtual(main())
