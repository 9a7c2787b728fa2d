"""What becomes of actions that have started when their session is closed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress

import pytest

from agent.clock import Clock, run_virtual
from agent.conversation import decisions as d
from agent.conversation import events as e
from agent.conversation.events import Json
from agent.errors import ToolError
from agent.replay import replay
from agent.session import Session
from agent.settings import Settings
from agent.thinking.port import Call, Delta, ToolContext
from agent.timeline.entry import Entry
from agent.timeline.memory import MemoryStore
from agent.timeline.store import Store
from tests.unit.test_session import Ledger, Script, Stuck, engines, play

STEPS = (d.ActionStarted, d.ActionCommitted, d.ActionFailed, d.ActionUnknown)


class Slow(Ledger):
    """Takes its time, then says what came of it."""

    def __init__(self, seconds: float, error: ToolError | None = None) -> None:
        super().__init__()
        self.seconds, self.error = seconds, error

    async def run(self, arguments: Mapping[str, Json], context: ToolContext) -> Json:
        await super().run(arguments, context)
        await asyncio.sleep(self.seconds)
        if self.error is not None:
            raise self.error
        return "done"


class Closing:
    """A session that is asked for one action and closed `ms` later."""

    def __init__(self, tool: Ledger, store: Store | None = None, ms: int = 200) -> None:
        self.tool, self.ms = tool, ms
        self.store = store or MemoryStore()
        self.brain = Script([Call("c1", "act", {})], [Delta("Done.")], [Delta("More.")])

    async def begin(self, stored: Sequence[Entry] = ()) -> None:
        self.session = Session("s", engines(self.brain, self.tool), self.store, Clock(), Settings())
        await self.session.restore(stored)
        self.running = asyncio.create_task(self.session.run())
        await self.session.ready.wait()

    async def order(self) -> None:
        await self.begin()
        self.session.post(e.DeviceJoined(device_id="d", transport="test"))
        self.session.post(e.TextInput(text="act"))
        await play(self.session, self.ms)
        self.session.close("hung up")

    async def ended(self) -> list[Entry]:
        """What is stored once all is over, behind the request."""
        await self.running
        entries = await self.store.read("s")
        assert not replay(entries)
        return entries


def steps(entries: Sequence[Entry]) -> list[str]:
    return [entry.event.type for entry in entries if isinstance(entry.event, STEPS)]


def behind_the_close(entries: Sequence[Entry]) -> list[str]:
    """Types of what is recorded behind the fact that closed the session and what followed from it."""
    closed = next(entry for entry in entries if isinstance(entry.event, e.SessionClosed))
    cause = (closed.event.event_id, "")
    own = [x for x in entries if (x.seq > closed.seq and x.parent_event_id not in cause) or x.role == "fact"]
    return [x.event.type for x in own if x.seq > closed.seq and not isinstance(x.event, e.CancelAck)]


@pytest.mark.parametrize(
    ("error", "step", "late_fact"),
    [(None, "action.committed", True), (ToolError("no such address", "not_found"), "action.failed", False)],
)
def test_an_outcome_within_the_grace_is_recorded_before_the_timeline_closes(
    error: ToolError | None, step: str, late_fact: bool
) -> None:
    async def main() -> None:
        closing = Closing(Slow(1.0, error))
        await closing.order()
        entries = await closing.ended()
        assert steps(entries) == ["action.started", "action.unknown", step]
        assert behind_the_close(entries) == ["tool.result", step]
        assert not late_fact or entries[-1].event.late  # type: ignore[attr-defined]

    run_virtual(main())


def test_after_the_next_start_an_action_that_ended_in_the_grace_is_not_asked_about() -> None:
    async def main() -> None:
        closing = Closing(Slow(1.0))
        await closing.order()
        entries = await closing.ended()
        await closing.begin(entries)
        closing.session.post(e.DeviceJoined(device_id="d", transport="test"))
        await play(closing.session, 3_000)
        closing.session.close("over")
        resumed = (await closing.ended())[len(entries) :]
        assert closing.tool.keys
        assert len(closing.tool.keys) == 1
        assert steps(resumed) == []
        assert not any(isinstance(entry.event, d.TtsSay) for entry in resumed)

    run_virtual(main())


def test_what_outlasts_the_grace_stays_unknown_and_keeps_nobody() -> None:
    async def main() -> float:
        closing = Closing(Slow(3_600))
        await closing.order()
        began = asyncio.get_running_loop().time()
        assert steps(await closing.ended()) == ["action.started", "action.unknown"]
        return asyncio.get_running_loop().time() - began

    assert run_virtual(main()) < 4


def test_without_an_action_under_way_a_session_closes_at_once() -> None:
    async def main() -> float:
        closing = Closing(Slow(0.01))
        await closing.order()
        began = asyncio.get_running_loop().time()
        await closing.ended()
        return asyncio.get_running_loop().time() - began

    assert run_virtual(main()) < 0.1


def test_nothing_begins_in_the_grace() -> None:
    async def main() -> None:
        closing = Closing(Slow(1.5))
        await closing.order()
        asked = len(closing.brain.prompts)
        for fact in (
            e.TextInput(text="and again", event_id="too-late-1"),
            e.DeviceJoined(device_id="e", transport="test"),
            e.ReminderDue(reminder_id="m", text="Your tea is ready."),
            e.SessionClosed(reason="again"),
            e.SettingsChanged(changes={"endpointing.floor_ms": 100}),
        ):
            await asyncio.sleep(0.1)
            closing.session.post(fact)
            assert closing.session.next_frame() is None
        entries = await closing.ended()
        assert behind_the_close(entries) == ["tool.result", "action.committed"]
        assert len(closing.brain.prompts) == asked
        assert len(closing.tool.keys) == 1

    run_virtual(main())


def test_an_action_whose_start_was_not_durable_when_the_session_closed_never_runs() -> None:
    """It is known that it did not run, so that is recorded."""

    async def main() -> None:
        store = Stuck()
        closing = Closing(Slow(0.1), store)
        await closing.order()
        store.mended = True
        entries = await closing.ended()
        assert closing.tool.keys == []
        assert steps(entries) == ["action.started", "action.unknown", "action.failed"]
        result = next(entry.event for entry in entries if isinstance(entry.event, e.ToolResult))
        assert "closed before" in result.message

    run_virtual(main())


def test_a_session_killed_in_the_grace_leaves_the_action_unknown() -> None:
    async def main() -> None:
        closing = Closing(Slow(1.5))
        await closing.order()
        await asyncio.sleep(0.5)
        closing.running.cancel()
        with suppress(asyncio.CancelledError):
            await closing.running
        assert steps(await closing.store.read("s")) == ["action.started", "action.unknown"]

    run_virtual(main())
