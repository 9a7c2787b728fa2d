"""The driver: one step at a time, side effects only once durable, faults contained, restart without loss."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from agent.clock import Clock, run_virtual
from agent.conversation import decisions as d
from agent.conversation import events as e
from agent.conversation.events import Json
from agent.errors import LimitReached, Unavailable
from agent.replay import replay
from agent.session import CALLED_OFF, RESTORED_AT_ONCE, Engines, Session
from agent.settings import Settings
from agent.speaking.port import Speech, SpokenWord
from agent.thinking.brain_skills import SkillsBrain
from agent.thinking.libraries import Libraries
from agent.thinking.memory import Memory
from agent.thinking.port import Brain, Call, Delta, Prompt, Tool, ToolContext, ToolSpec
from agent.thinking.timers import Timers
from agent.thinking.tools.catalogue import builtin_tools
from agent.timeline.entry import Entry
from agent.timeline.leases import Lease
from agent.timeline.memory import MemoryStore
from agent.timeline.projections.transcript import transcript
from agent.timeline.sqlite import SqliteStore
from agent.timeline.store import Store
from tests.fixtures.deaf import Deaf, NeverSpeech


class Script:
    """A brain that answers each step with the next of `steps`."""

    name = "script"

    def __init__(self, *steps: Sequence[Delta | Call]) -> None:
        self.steps = list(steps)
        self.prompts: list[Prompt] = []

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def respond(self, prompt: Prompt) -> AsyncIterator[Delta | Call]:
        self.prompts.append(prompt)
        for part in self.steps.pop(0):
            yield part


class Beeper:
    """100 ms of tone a word."""

    name = "beeper"
    sample_rate = 48_000

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def synthesize(self, text: str, speed: float = 1.0) -> AsyncIterator[Speech]:
        end = 0
        for number, word in enumerate(text.split()):
            end = text.index(word, end) + len(word)
            place = SpokenWord(number * 4_800, (number + 1) * 4_800, end)
            yield Speech(np.full(4_800, 1_000, np.int16), (place,))


class Ledger:
    """A write tool that remembers what it did."""

    spec = ToolSpec("act", "acts", {}, "write")

    def __init__(self) -> None:
        self.keys: list[str] = []

    async def preflight(self) -> str:
        return ""

    async def run(self, arguments: Mapping[str, Json], context: ToolContext) -> Json:
        self.keys.append(context.idempotency_key)
        return None


class Stuck(MemoryStore):
    """A store that is unavailable until `mended`."""

    def __init__(self) -> None:
        super().__init__()
        self.mended = False

    async def append(
        self, entries: Sequence[Entry], lease: Lease | None = None, expected_seq: int | None = None
    ) -> int:
        if not self.mended:
            raise Unavailable("the disk is asleep")
        return await super().append(entries, lease, expected_seq)


def engines(brain: Brain, *tools: Tool) -> Engines:
    return Engines(NeverSpeech, Deaf(), brain, tools, Beeper(), lambda: 1.0, {})


@asynccontextmanager
async def running(
    brain: Brain,
    *tools: Tool,
    store: Store | None = None,
    stored: Sequence[Entry] = (),
    settings: Settings | None = None,
) -> AsyncIterator[Session]:
    session = Session("s", engines(brain, *tools), store or MemoryStore(), Clock(), settings or Settings())
    await session.restore(stored)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(session.run())
        await session.ready.wait()
        session.post(e.DeviceJoined(device_id="d", transport="test"))
        yield session
        session.close("test over")


async def play(session: Session, ms: int) -> int:
    """Let time pass as a transport does; how many frames were audible."""
    audible = 0
    for _ in range(ms // 20):
        await asyncio.sleep(0.02)
        audible += session.next_frame() is not None
    return audible


def types(session: Session) -> list[str]:
    return [entry.event.type for entry in session.timeline.window()]


def test_a_side_effect_waits_until_its_start_is_durable() -> None:
    async def main() -> None:
        tool, store = Ledger(), Stuck()
        async with running(Script([Call("c1", "act", {})], [Delta("Done.")]), tool, store=store) as session:
            session.post(e.TextInput(text="do it"))
            await play(session, 1_000)
            assert "action.started" in types(session)
            assert tool.keys == [], "it ran before its start was durable"
            store.mended = True
            await play(session, 1_000)
            assert len(tool.keys) == 1
            assert tool.keys[0].startswith("r1:c1:s:t1:")
            assert "action.committed" in types(session)

    run_virtual(main())


def test_an_action_that_is_interrupted_before_its_start_is_durable_never_runs() -> None:
    """However long the store takes: "stop" is not followed by what it stopped."""

    async def main() -> None:
        tool, store = Ledger(), Stuck()
        brain = Script([Call("c1", "act", {})], [Delta("Well.")])
        async with running(brain, tool, store=store) as session:
            session.post(e.TextInput(text="do it"))
            await play(session, 500)
            assert "action.started" in types(session)
            session.post(e.ControlStop())
            assert types(session)[-2:] == ["tool.result", "action.failed"]
            await play(session, 500)
            store.mended = True
            await play(session, 1_000)
            assert tool.keys == []
            session.post(e.TextInput(text="and?"))
            await play(session, 500)
            (result,) = [message for message in brain.prompts[-1].messages if message.role == "result"]
            assert CALLED_OFF in result.text, "whoever is asked next knows that it was not done"

    run_virtual(main())


@pytest.mark.parametrize("confirmed", [False, True])
def test_an_action_does_not_begin_while_an_interruption_is_suspected(confirmed: bool) -> None:
    """Also where its start had been decided before, and became durable meanwhile."""

    async def main() -> None:
        tool, store = Ledger(), Stuck()
        async with running(Script([Call("c1", "act", {})], [Delta("Well.")]), tool, store=store) as session:
            session.post(e.TextInput(text="do it"))
            await play(session, 500)
            session.post(e.DeviceCut(source="device:d"))
            assert types(session)[-2:] == ["playback.pause", "playback.mark"]
            store.mended = True
            await play(session, 300)
            assert tool.keys == []
            if confirmed:
                session.post(e.ControlStop())
            await play(session, 1_000)
            assert len(tool.keys) == (0 if confirmed else 1)

    run_virtual(main())


def test_audio_does_not_wait_for_the_store() -> None:
    async def main() -> None:
        store = Stuck()
        async with running(Script([Delta("One two three.")]), store=store) as session:
            session.post(e.TextInput(text="count"))
            assert await play(session, 1_000) >= 15
            store.mended = True

    run_virtual(main())


def test_a_command_sent_twice_is_done_once() -> None:
    async def main() -> None:
        brain = Script([Delta("Hello.")])
        async with running(brain) as session:
            for _ in range(2):
                session.post(e.TextInput(event_id="client-0001", text="hello"))
            await play(session, 500)
            assert types(session).count("text.input") == 1
            assert len(brain.prompts) == 1

    run_virtual(main())


def test_a_stop_that_was_under_way_when_the_next_reply_began_is_recorded_and_stops_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        brain = Script([Delta("One.")], [Delta("One two three four five six seven eight.")])
        store = SqliteStore(tmp_path / "timeline.db", Clock())
        async with running(brain, store=store) as session:
            session.post(e.TextInput(text="first"))
            await play(session, 100)
            seen_seq = session.timeline.last_seq
            await play(session, 500)
            session.post(e.TextInput(text="second"))
            await play(session, 200)
            for _ in range(2):
                session.post(e.ControlStop(event_id="client-0001", seen_seq=seen_seq))
            await play(session, 1_500)
        entries = await store.read("s")
        await store.close()
        stops = [entry.event for entry in entries if isinstance(entry.event, e.ControlStop)]
        assert [stop.seen_seq for stop in stops] == [seen_seq]
        assert [x.event.outcome for x in entries if isinstance(x.event, d.ReplyDone)] == ["completed", "completed"]
        assert not replay(entries)

    run_virtual(main())


def test_a_setting_that_cannot_be_is_an_error_on_the_timeline_and_changes_nothing() -> None:
    async def main() -> None:
        async with running(Script()) as session:
            before = session.settings
            session.post(e.SettingsChanged(changes={"endpointing.floor_ms": -1}))
            assert session.settings == before
            session.post(e.SettingsChanged(changes={"vad.hangover_ms": 140, "endpointing.floor_ms": 200}))
            assert session.settings.vad.hangover_ms == 140
            errors = [x.event for x in session.timeline.window() if isinstance(x.event, e.Fault)]
            assert len(errors) == 1
            assert "floor_ms" in errors[0].message

    run_virtual(main())


def test_a_fault_ends_its_session_and_does_not_reach_who_posted() -> None:
    async def main() -> None:
        with pytest.raises(ExceptionGroup) as caught:
            async with running(Script()) as session:
                session.post(e.SessionCreated(policy={"endpointing": {"nonsense": 1}}, engines={}))
                session.post(e.TextInput(text="nobody hears this"))
        assert caught.group_contains(ValueError, match="nonsense")

    run_virtual(main())


def test_a_store_that_never_recovers_ends_the_session_at_its_bound() -> None:
    async def main() -> None:
        settings = Settings.model_validate({"limits": {"memory_events": 100}})
        with pytest.raises(ExceptionGroup) as caught:
            async with running(Script(), store=Stuck(), settings=settings) as session:
                for number in range(200):
                    session.post(e.ControlDone(event_id=f"command-{number}"))
                    await asyncio.sleep(0)
        assert caught.group_contains(LimitReached)

    run_virtual(main())


def test_a_slow_reader_gets_every_entry_in_order() -> None:
    async def main() -> None:
        async with running(Script([Delta("One two three four.")])) as session:
            seen: list[int] = []

            async def read() -> None:
                async for entry in session.entries():
                    seen.append(entry.seq)
                    await asyncio.sleep(0.01)

            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(read())
                session.post(e.TextInput(text="count"))
                await play(session, 2_000)
                session.close("over")
            assert seen == list(range(1, session.timeline.last_seq + 1))

    run_virtual(main())


def test_a_crash_in_mid_reply_loses_nothing_that_was_recorded(tmp_path: Path) -> None:
    """The ephemeral layer (loops, buffers, the core's objects) is thrown away; so are all projections."""

    async def main() -> None:
        store = SqliteStore(tmp_path / "timeline.sqlite3", Clock())
        session = Session("s", engines(Script([Delta("One two three four five.")])), store, Clock(), Settings())
        life = asyncio.create_task(session.run())
        await session.ready.wait()
        session.post(e.DeviceJoined(device_id="d", transport="test"))
        session.post(e.TextInput(text="count"))
        await play(session, 300)
        await session.timeline.durable(session.timeline.last_seq)
        before = transcript(session.timeline.window())
        life.cancel()
        await asyncio.wait([life])

        stored = await store.read("s")
        assert transcript(stored) == before
        again = Script([Delta("Yes.")])
        async with running(again, store=store, stored=stored) as second:
            second.post(e.TextInput(text="are you there?"))
            await play(second, 1_000)
        entries = await store.read("s")
        assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
        assert not replay(entries)
        said = transcript(entries)
        assert [turn["user"] for turn in said] == ["count", "are you there?"]
        heard = [(m.role, m.text, m.cut) for m in again.prompts[0].messages]
        assert heard[0][:2] == ("user", "count")
        assert heard[1][0] == "agent"
        assert "One two three four five.".startswith(heard[1][1])
        assert heard[1][2], "what was not heard of the first answer is known"
        await store.close()

    run_virtual(main())


def test_memory_is_written_by_committed_turns_only(tmp_path: Path) -> None:
    """A note that the user was still dictating is never kept; the one they ended with is, across a restart."""

    async def talk() -> None:
        memory, libraries = Memory(tmp_path / "memory.sqlite3"), Libraries()
        await memory.start()
        brain = SkillsBrain(libraries)
        await brain.start()
        async with running(brain, *builtin_tools(memory, Timers(memory), libraries)) as session:
            session.post(e.SpeechStarted(utterance=1, onset_us=0))
            session.post(e.SpeechStopped(utterance=1, end_us=0, voiced_ms=900))
            session.post(e.AsrFinal(utterance=1, text="note that the door code is four", understood=True))
            await asyncio.sleep(0.05)
            assert "model.start" in types(session), "it was answered speculatively"
            assert await memory.read(lambda db: db.execute("SELECT count(*) FROM notes").fetchone()[0]) == 0
            session.post(e.SpeechStarted(utterance=2, onset_us=0))
            session.post(e.SpeechStopped(utterance=2, end_us=0, voiced_ms=900))
            session.post(e.AsrFinal(utterance=2, text="note that the door code is four two", understood=True))
            await play(session, 4_000)
        await memory.close()
        await brain.close()

    async def recall() -> list[str]:
        memory = Memory(tmp_path / "memory.sqlite3")
        await memory.start()
        notes = await memory.read(lambda db: [row[0] for row in db.execute("SELECT text FROM notes").fetchall()])
        await memory.close()
        return notes

    run_virtual(talk())
    notes = run_virtual(recall())
    assert len(notes) == 1
    assert "42" in notes[0].replace(" ", "") or "four two" in notes[0]


def test_a_long_session_is_taken_up_while_others_go_on() -> None:
    async def main() -> None:
        store = MemoryStore()
        async with running(Script([Delta("One.")]), store=store) as session:
            for number in range(2_000):
                session.post(e.SettingsChanged(source="device:d", changes={"browser.vad": number % 2 == 0}))
            await session.timeline.durable(session.timeline.last_seq)
        stored, turns = await store.read("s", 0, 100_000), 0

        async def others() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        async with asyncio.TaskGroup() as tasks:
            going_on = tasks.create_task(others())
            await asyncio.sleep(0)
            before = turns
            await Session("s", engines(Script()), store, Clock(), Settings()).restore(stored)
            assert turns - before >= len(stored) // RESTORED_AT_ONCE
            going_on.cancel()

    run_virtual(main())
