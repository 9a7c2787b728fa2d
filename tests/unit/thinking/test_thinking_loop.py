"""The thinking loop with fake brains and tools in virtual time."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from agent.clock import Clock, run_virtual
from agent.conversation.decisions import ActionStarted, CancelRequested, ModelStart, ReplyDone, ToolStart
from agent.conversation.events import (
    CancelAck,
    CancelFreed,
    Event,
    Fault,
    Json,
    ModelDone,
    ModelToken,
    ToolCall,
    ToolResult,
    ToolUnavailable,
)
from agent.errors import BrainError, ToolError
from agent.thinking.loop import MAX_TASKS, ThinkingLoop
from agent.thinking.port import Call, Delta, Message, Prompt, ToolContext, ToolSpec, Usage, UserContext

USER = UserContext(now=datetime(2026, 1, 1, tzinfo=UTC))


@dataclass
class FakeBrain:
    """Plays a script of parts, pauses in seconds, and errors."""

    script: list[Any]
    name: str = "fake"
    stubborn_s: float = 0.0
    prompts: list[Prompt] = field(default_factory=list)
    ended: int = 0

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def respond(self, prompt: Prompt) -> AsyncIterator[Delta | Call | Usage]:
        self.prompts.append(prompt)
        try:
            for part in self.script:
                if isinstance(part, BaseException):
                    raise part
                if isinstance(part, float):
                    await asyncio.sleep(part)
                else:
                    yield part
        finally:
            await asyncio.sleep(self.stubborn_s)
            self.ended += 1


@dataclass
class FakeTool:
    """Answers after `delay_s`, or raises; a `deaf` one ignores its cancellation."""

    name: str = "look"
    effect: Any = "read"
    answer: Any = "seen"
    delay_s: float = 0.0
    unfit: str = ""
    deaf: bool = False
    preflight_s: float = 0.0
    ran: list[tuple[Mapping[str, Json], str]] = field(default_factory=list)

    @property
    def spec(self) -> ToolSpec:
        return ToolSpec(self.name, "a tool", {}, self.effect, risk="high", idempotent=True, reversible=True)

    async def preflight(self) -> str:
        await asyncio.sleep(self.preflight_s)
        return self.unfit

    async def run(self, arguments: Mapping[str, Json], context: ToolContext) -> Json:
        self.ran.append((arguments, context.idempotency_key))
        deadline = asyncio.get_running_loop().time() + self.delay_s
        while (left := deadline - asyncio.get_running_loop().time()) > 0:
            try:
                await asyncio.sleep(left)
            except asyncio.CancelledError:
                if not self.deaf:
                    raise
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


def resolve(event_ids: Any) -> list[Message]:
    return [Message(role="note", text=event_id) for event_id in event_ids]


def model(step: int = 1, reply_id: str = "r1", results: tuple[str, ...] = ()) -> ModelStart:
    return ModelStart(
        reply_id=reply_id,
        step=step,
        text="hello",
        understood=False,
        context=("e1",),
        results=results,
        speculative=False,
    )


def tool_start(name: str = "look", call_id: str = "c1") -> ToolStart:
    return ToolStart(reply_id="r1", call_id=call_id, name=name, arguments={"a": 1})


def action(name: str = "write", call_id: str = "c1") -> ActionStarted:
    return ActionStarted(
        reply_id="r1",
        action_id=f"r1:{call_id}",
        call_id=call_id,
        name=name,
        arguments={"b": 2},
        idempotency_key="key-1",
    )


def cancel(target: str) -> CancelRequested:
    return CancelRequested(reply_id="r1", target=target)


Scenario = Callable[[ThinkingLoop, list[Event]], Awaitable[None]]


def play(
    scenario: Scenario, brain: FakeBrain | None = None, *tools: FakeTool, fallback: FakeBrain | None = None
) -> list[tuple[float, Event]]:
    """Run a scenario beside the loop; what was posted and when, in seconds."""
    facts: list[Event] = []
    timed: list[tuple[float, Event]] = []

    async def main() -> None:
        clock = Clock()

        def post(fact: Event) -> None:
            facts.append(fact)
            timed.append((clock.now_us() / 1_000_000, fact))

        loop = ThinkingLoop(brain or FakeBrain([]), tools, post, resolve, lambda: USER, fallback)
        task = asyncio.create_task(loop.run())
        await asyncio.sleep(0)
        await scenario(loop, facts)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(asyncio.all_tasks()) == 1 + any(tool.deaf and tool.delay_s > 50 for tool in tools)

    run_virtual(main())
    return timed


def applied(*decisions: Event, wait_s: float = 10.0) -> Scenario:
    async def scenario(loop: ThinkingLoop, facts: list[Event]) -> None:
        for decision in decisions:
            loop.apply(decision)
        await asyncio.sleep(wait_s)

    return scenario


def only(timed: list[tuple[float, Event]]) -> list[Event]:
    return [fact for _, fact in timed]


# ── the brain ────────────────────────────────────────────────────────────────────────────


def test_a_step_streams_text_and_ends() -> None:
    brain = FakeBrain([Delta("Hello "), Delta("there.")])
    facts = only(play(applied(model()), brain))
    assert facts == [
        ModelToken(reply_id="r1", step=1, text="Hello "),
        ModelToken(reply_id="r1", step=1, text="there."),
        ModelDone(reply_id="r1", step=1),
    ]
    assert brain.ended == 1


def test_deltas_are_coalesced_to_one_in_50_ms_or_a_clause() -> None:
    script: list[Any] = []
    for letter in "abcdefghij":
        script += [Delta(letter), 0.01]
    script += [Delta("k,"), 0.2, Delta("l")]
    timed = [(at, fact.text) for at, fact in play(applied(model()), FakeBrain(script)) if isinstance(fact, ModelToken)]
    assert "".join(text for _, text in timed) == "abcdefghijk,l"
    assert timed[0] == (0.0, "a")
    assert len(timed) <= 5
    for (before, _), (at, text) in itertools.pairwise(timed):
        assert at - before >= 0.05 or text.endswith(",")


def test_held_text_goes_out_by_itself_while_the_brain_is_silent() -> None:
    timed = play(applied(model()), FakeBrain([Delta("a"), Delta("b"), 5.0]))
    assert [(at, fact.text) for at, fact in timed if isinstance(fact, ModelToken)] == [(0.0, "a"), (0.05, "b")]


def test_the_prompt_is_context_then_the_user_then_this_replys_results() -> None:
    brain = FakeBrain([])
    play(applied(model(), model(2, results=("e7", "e8"))), brain, FakeTool())
    first, second = brain.prompts
    assert [message.text for message in first.messages] == ["e1", "hello"]
    assert first.messages[-1].role == "user"
    assert not first.messages[-1].understood
    assert [message.text for message in second.messages] == ["e1", "hello", "e7", "e8"]
    assert [spec.name for spec in second.tools] == ["look"]
    assert second.user == USER


def test_a_call_carries_what_its_tool_declares_behind_the_text_before_it() -> None:
    brain = FakeBrain([Delta("a"), Delta("b"), Call("c1", "write", {"x": 1}), Delta("c")])
    facts = only(play(applied(model()), brain, FakeTool("write", "write")))
    assert [type(fact) for fact in facts] == [ModelToken, ModelToken, ToolCall, ModelToken, ModelDone]
    assert facts[2] == ToolCall(
        reply_id="r1",
        step=1,
        call_id="c1",
        name="write",
        arguments={"x": 1},
        effect="write",
        risk="high",
        idempotent=True,
        reversible=True,
    )


def test_call_ids_are_unique_within_a_reply() -> None:
    brain = FakeBrain([Call("c1", "look", {}), Call("c1", "look", {}), Call("", "look", {})])
    facts = only(play(applied(model(), model(2)), brain, FakeTool()))
    ids = [fact.call_id for fact in facts if isinstance(fact, ToolCall)]
    assert ids[0] == "c1"
    assert len(set(ids)) == 6
    assert all(ids)


def test_an_unknown_tool_is_a_read_that_fails() -> None:
    facts = only(play(applied(model(), tool_start("magic")), FakeBrain([Call("c1", "magic", {})])))
    assert [fact.effect for fact in facts if isinstance(fact, ToolCall)] == ["read"]
    assert [fact.error_class for fact in facts if isinstance(fact, ToolResult)] == ["not_found"]


@pytest.mark.parametrize(("error", "faults"), [(BrainError("no model"), 0), (KeyError("bug"), 1)])
def test_a_failing_brain_ends_its_step_with_the_reason(error: Exception, faults: int) -> None:
    facts = only(play(applied(model(), model(1, "r2")), FakeBrain([Delta("a"), Delta("b"), error])))
    done = [fact for fact in facts if isinstance(fact, ModelDone)]
    assert {fact.reply_id for fact in done} == {"r1", "r2"}
    assert all(fact.error for fact in done)
    assert sum(isinstance(fact, Fault) for fact in facts) == 2 * faults
    assert [fact.text for fact in facts if isinstance(fact, ModelToken) and fact.reply_id == "r1"] == ["a", "b"]


def test_the_fallback_answers_for_a_brain_that_fails_at_once() -> None:
    fallback = FakeBrain([Delta("here")], name="spare")
    facts = only(play(applied(model()), FakeBrain([BrainError("down")]), fallback=fallback))
    assert [type(fact) for fact in facts] == [Fault, ModelToken, ModelDone]
    assert facts[-1] == ModelDone(reply_id="r1", step=1)


def test_that_the_brain_is_away_is_said_once_and_again_after_it_was_back() -> None:
    away, fallback = [BrainError("down", "I'm alone.")], FakeBrain([Delta("Here.")], name="spare")
    brain = FakeBrain(away)

    async def scenario(loop: ThinkingLoop, facts: list[Event]) -> None:
        for number, (script, outcome) in enumerate(
            [(away, "discarded"), (away, "completed"), (away, "completed"), ([Delta("Me.")], "completed"), (away, "")]
        ):
            brain.script = script
            loop.apply(model(1, f"r{number}"))
            await asyncio.sleep(1)
            if outcome:
                loop.apply(ReplyDone(reply_id=f"r{number}", outcome=outcome))  # type: ignore[arg-type]

    said: dict[str, str] = {}
    for fact in only(play(scenario, brain, fallback=fallback)):
        if isinstance(fact, ModelToken):
            said[fact.reply_id] = said.get(fact.reply_id, "") + fact.text
    told = "I'm alone. Here."
    assert list(said.values()) == [told, told, "Here.", "Me.", told], "a reply that was discarded told nobody"


def test_a_brain_that_is_away_without_a_fallback_says_what_to_apologise_with() -> None:
    facts = only(play(applied(model()), FakeBrain([BrainError("down", "I'm alone.")])))
    assert facts == [ModelDone(reply_id="r1", step=1, error="down", apology="I'm alone.")]


def test_what_a_step_took_is_told_with_its_end() -> None:
    facts = only(play(applied(model()), FakeBrain([Delta("a"), Usage(50, 40, 2)])))
    assert facts[-1] == ModelDone(reply_id="r1", step=1, usage=Usage(50, 40, 2))


def test_a_call_whose_arguments_cannot_be_read_is_a_read_that_fails_and_its_tool_is_not_run() -> None:
    tool = FakeTool("write", "write")
    brain = FakeBrain([Call("c1", "write", {}, problem="no JSON")])

    async def scenario(loop: ThinkingLoop, facts: list[Event]) -> None:
        loop.apply(model())
        await asyncio.sleep(1)
        loop.apply(tool_start("write"))

    facts = only(play(scenario, brain, tool))
    assert [fact.effect for fact in facts if isinstance(fact, ToolCall)] == ["read"]
    [result] = [fact for fact in facts if isinstance(fact, ToolResult)]
    assert (result.ok, result.error_class, result.message) == (False, "input", "no JSON")
    assert not tool.ran


def test_no_fallback_once_something_was_said() -> None:
    fallback = FakeBrain([Delta("here")], name="spare")
    facts = only(play(applied(model()), FakeBrain([Delta("I "), BrainError("down")]), fallback=fallback))
    assert facts[-1] == ModelDone(reply_id="r1", step=1, error="down")
    assert not fallback.prompts


def test_a_cancelled_model_is_acked_at_once_silent_from_then_on_and_freed_when_it_ended() -> None:
    brain = FakeBrain([Delta("a"), Delta("b"), 0.02, Delta("c"), 5.0, Delta("d")], stubborn_s=0.7)

    async def scenario(loop: ThinkingLoop, facts: list[Event]) -> None:
        loop.apply(model())
        await asyncio.sleep(0.03)
        loop.apply(cancel("model"))
        assert facts[-1] == CancelAck(reply_id="r1", target="model")
        assert brain.ended == 0
        await asyncio.sleep(10)

    timed = play(scenario, brain)
    assert [type(fact) for _, fact in timed] == [ModelToken, CancelAck, CancelFreed]
    assert timed[-1][0] == pytest.approx(0.73)
    assert brain.ended == 1


@pytest.mark.parametrize("target", ["model", "tool:c9"])
def test_a_cancel_of_nothing_is_acked_and_freed_once(target: str) -> None:
    assert only(play(applied(cancel(target)))) == [
        CancelAck(reply_id="r1", target=target),
        CancelFreed(reply_id="r1", target=target),
    ]


def test_a_cancel_before_the_loop_runs_keeps_the_work_from_starting() -> None:
    facts: list[Event] = []
    brain = FakeBrain([Delta("a")])

    async def main() -> None:
        loop = ThinkingLoop(brain, (), facts.append, resolve, lambda: USER)
        loop.apply(model())
        loop.apply(cancel("model"))
        loop.apply(model(1, "r2"))
        task = asyncio.create_task(loop.run())
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait({task})

    run_virtual(main())
    assert facts[:2] == [CancelAck(reply_id="r1", target="model"), CancelFreed(reply_id="r1", target="model")]
    assert {fact.reply_id for fact in facts[2:]} == {"r2"}


def test_decisions_of_others_are_ignored() -> None:
    assert only(play(applied(cancel("tts"), ReplyDone(reply_id="r1", outcome="completed")))) == []


# ── tools ────────────────────────────────────────────────────────────────────────────────


def test_a_tool_answers() -> None:
    tool = FakeTool(answer={"n": 1})
    facts = only(play(applied(tool_start()), None, tool))
    assert facts == [ToolResult(reply_id="r1", call_id="c1", ok=True, content={"n": 1})]
    assert tool.ran == [({"a": 1}, "")]


def test_an_action_runs_with_its_key_and_answers_for_its_call() -> None:
    tool = FakeTool("write", "write")
    facts = only(play(applied(action()), None, tool))
    assert facts == [ToolResult(reply_id="r1", call_id="c1", ok=True, content="seen")]
    assert tool.ran == [({"b": 2}, "key-1")]


@pytest.mark.parametrize(
    ("error", "error_class"),
    [
        (ToolError("no such city", "not_found"), "not_found"),
        (TimeoutError(), "timeout"),
        (ValueError("bug"), "crash"),
        (asyncio.CancelledError(), "crash"),
    ],
)
def test_a_failing_tool_answers_too(error: BaseException, error_class: str) -> None:
    facts = only(play(applied(tool_start()), None, FakeTool(answer=error)))
    result = facts[-1]
    assert isinstance(result, ToolResult)
    assert (result.ok, result.error_class) == (False, error_class)
    assert result.message


def test_a_cancelled_read_is_silent_and_freed() -> None:
    timed = play(applied(tool_start(), cancel("tool:c1")), None, FakeTool(delay_s=5.0))
    assert [type(fact) for _, fact in timed] == [CancelAck, CancelFreed]
    assert timed[-1][0] < 0.1


def test_a_deaf_tool_is_acked_at_once_its_result_dropped_and_freed_late() -> None:
    async def scenario(loop: ThinkingLoop, facts: list[Event]) -> None:
        loop.apply(tool_start())
        await asyncio.sleep(1)
        loop.apply(cancel("tool:c1"))
        await asyncio.sleep(10)

    timed = play(scenario, None, FakeTool(delay_s=5.0, deaf=True))
    assert [(at, type(fact)) for at, fact in timed] == [(1.0, CancelAck), (5.0, CancelFreed)]


def test_a_started_action_is_not_cancelled() -> None:
    tool = FakeTool("write", "write", delay_s=5.0)
    facts = only(play(applied(action(), cancel("tool:c1")), None, tool))
    assert [type(fact) for fact in facts] == [Fault, ToolResult]
    assert facts[-1].ok


def test_what_will_fail_is_told_before_it_is_asked_for_and_fails_at_once() -> None:
    async def scenario(loop: ThinkingLoop, facts: list[Event]) -> None:
        await asyncio.sleep(3)
        loop.apply(tool_start("slow"))
        loop.apply(tool_start("unfit", "c2"))
        loop.apply(tool_start("look", "c3"))
        await asyncio.sleep(1)

    tools = FakeTool("slow", preflight_s=60.0), FakeTool("unfit", unfit="no key is set"), FakeTool()
    timed = play(scenario, None, *tools)
    assert [(at, fact.name) for at, fact in timed if isinstance(fact, ToolUnavailable)] == [
        (0.0, "unfit"),
        (2.0, "slow"),
    ]
    results = {fact.call_id: fact for fact in only(timed) if isinstance(fact, ToolResult)}
    assert (results["c1"].error_class, results["c2"].error_class, results["c3"].ok) == (
        "unreachable",
        "unreachable",
        True,
    )
    assert results["c2"].message == "no key is set"
    assert [tool.ran for tool in tools[:2]] == [[], []]


def test_tasks_are_bounded() -> None:
    starts = [tool_start(call_id=f"c{number}") for number in range(MAX_TASKS + 1)]
    facts = only(play(applied(*starts, model()), None, FakeTool(delay_s=1.0)))
    limited = [fact.call_id for fact in facts if isinstance(fact, ToolResult) and fact.error_class == "limit"]
    assert limited == [f"c{MAX_TASKS}"]
    assert [bool(fact.error) for fact in facts if isinstance(fact, ModelDone)] == [True]
    assert sum(isinstance(fact, ToolResult) and fact.ok for fact in facts) == MAX_TASKS


# ── the end of the session ───────────────────────────────────────────────────────────────


def test_an_action_may_end_when_the_session_does_and_a_read_may_not() -> None:
    look, write = FakeTool(delay_s=1.0), FakeTool("write", "write", delay_s=1.0)
    facts = only(play(applied(tool_start(call_id="c1"), action(call_id="c2"), wait_s=0.1), None, look, write))
    assert [fact.call_id for fact in facts if isinstance(fact, ToolResult)] == ["c2"]


def test_a_tool_that_never_stops_does_not_keep_the_session() -> None:
    facts = only(play(applied(tool_start(), wait_s=0.1), None, FakeTool(delay_s=100.0, deaf=True)))
    assert "does not stop" in facts[-1].message
