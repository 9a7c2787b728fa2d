"""Tools that come and go, and what tools tell of their work, in the thinking loop of a session."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from agent.clock import Clock, run_virtual
from agent.conversation.decisions import ModelStart, ToolStart
from agent.conversation.events import Event, Json, ToolResult, ToolUnavailable
from agent.conversation.reports import ToolProgress
from agent.thinking.loop import ThinkingLoop
from agent.thinking.port import Tool, ToolContext, ToolSpec, UserContext
from tests.unit.thinking.test_thinking_loop import FakeBrain, FakeTool, model, tool_start

USER = UserContext(datetime(2026, 1, 1, tzinfo=UTC))


class Source:
    name = "files"

    def __init__(self) -> None:
        self.tools: Sequence[Tool] = ()
        self.problem = ""
        self.changed = asyncio.Condition()

    async def problem_other_than(self, known: str) -> str:
        async with self.changed:
            await self.changed.wait_for(lambda: self.problem != known)
            return self.problem

    async def say(self, problem: str) -> None:
        async with self.changed:
            self.problem = problem
            self.changed.notify_all()


class Worker:
    spec = ToolSpec("work", "Work.", {}, "read")

    async def preflight(self) -> str:
        return ""

    async def run(self, arguments: Mapping[str, Json], context: ToolContext) -> Json:
        for step in range(90):
            context.progress("x" * 300, step / 50)
            await asyncio.sleep(0.01)
        return "done"


def test_tools_of_a_source_are_there_from_the_step_on_that_finds_them_and_ours_come_first() -> None:
    source, brain, own = Source(), FakeBrain([]), FakeTool("look", answer="ours")
    facts: list[Event] = []

    async def main() -> None:
        loop = ThinkingLoop(
            brain, [own], facts.append, lambda _: [], lambda: USER, instructions="Be brief.", sources=[source]
        )
        running = asyncio.create_task(loop.run())
        start: ModelStart = model()
        loop.apply(start)
        await asyncio.sleep(1)
        source.tools = [FakeTool("look", answer="theirs"), FakeTool("peek", answer="peeked")]
        loop.apply(model(step=2))
        starts: list[ToolStart] = [tool_start("look"), tool_start("peek", "c2")]
        for one in starts:
            loop.apply(one)
        await asyncio.sleep(1)
        await source.say("it died")
        await source.say("it hangs")
        await asyncio.sleep(1)
        await source.say("")
        await source.say("it died")
        await asyncio.sleep(1)
        running.cancel()
        await asyncio.wait([running])

    run_virtual(main())
    assert [[spec.name for spec in prompt.tools] for prompt in brain.prompts] == [["look"], ["look", "peek"]]
    assert brain.prompts[0].instructions == "Be brief."
    assert [fact.content for fact in facts if isinstance(fact, ToolResult)] == ["ours", "peeked"]
    told = [(fact.name, fact.reason) for fact in facts if isinstance(fact, ToolUnavailable)]
    assert told[0][0] == "files"
    assert [reason for _, reason in told][-2:] == ["it hangs", "it died"]


def test_progress_is_told_at_once_and_then_at_a_pace_that_can_be_followed() -> None:
    timed: list[tuple[int, Event]] = []

    async def main() -> None:
        clock = Clock()
        loop = ThinkingLoop(
            FakeBrain([]),
            [Worker()],
            lambda fact: timed.append((clock.now_us() // 1_000, fact)),
            lambda _: [],
            lambda: USER,
        )
        running = asyncio.create_task(loop.run())
        await asyncio.sleep(0)
        loop.apply(tool_start("work"))
        await asyncio.sleep(5)
        running.cancel()
        await asyncio.wait([running])

    run_virtual(main())
    told = [(at, fact) for at, fact in timed if isinstance(fact, ToolProgress)]
    assert [at for at, _ in told] == [0, 250, 500, 750]
    first, last = told[0][1], told[-1][1]
    assert (first.reply_id, first.call_id, len(first.message), first.share) == ("r1", "c1", 200, 0.0)
    assert last.share == 1.0
    assert isinstance(timed[-1][1], ToolResult), "nothing is told behind the result"
