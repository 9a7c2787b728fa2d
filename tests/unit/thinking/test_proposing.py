"""What the thinking loop asks a tool before the core hears of its call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from agent.clock import run_virtual
from agent.conversation.decisions import ModelStart, ToolStart
from agent.conversation.events import Event, Fault, Json, ToolCall, ToolResult
from agent.errors import ToolError
from agent.thinking.loop import ThinkingLoop
from agent.thinking.port import Call, Prompt, Proposal, ToolContext, ToolSpec, UserContext

USER = UserContext(datetime(2026, 1, 1, tzinfo=UTC))
START = ModelStart(
    reply_id="r1", step=1, text="write", understood=True, context=(), results=(), speculative=False
)  # fmt: skip
RUN = ToolStart(reply_id="r1", call_id="c1", name="write", arguments={"to": "anna"})


class Asking:
    """A brain that always asks for the same tool."""

    name = "asking"

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def respond(self, prompt: Prompt):  # type: ignore[no-untyped-def]
        yield Call("c1", "write", {"to": "anna"})


@dataclass
class Writer:
    """`says` is what it proposes, raises, or how many seconds it takes to think of nothing."""

    says: Proposal | Exception | float
    ran: list[str] = field(default_factory=list)
    spec = ToolSpec("write", "", {}, "write", "high", reversible=True, confirm="user")

    async def preflight(self) -> str:
        return ""

    async def propose(self, arguments: Mapping[str, Json], user: UserContext) -> Proposal:
        if isinstance(self.says, float):
            await asyncio.sleep(self.says)
            return Proposal(arguments)
        if isinstance(self.says, Exception):
            raise self.says
        return self.says

    async def run(self, arguments: Mapping[str, Json], context: ToolContext) -> Json:
        self.ran.append(context.idempotency_key)
        return None


def posted(tool: Any, *decisions: Event) -> list[Event]:
    facts: list[Event] = []

    async def main() -> None:
        loop = ThinkingLoop(Asking(), [tool], facts.append, lambda _: [], lambda: USER)
        task = asyncio.create_task(loop.run())
        for decision in decisions:
            await asyncio.sleep(5.0)
            loop.apply(decision)
        await asyncio.sleep(5.0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run_virtual(main())
    return facts


def the(kind: type, facts: list[Event]) -> Any:
    (found,) = [fact for fact in facts if isinstance(fact, kind)]
    return found


def test_a_call_carries_what_exactly_is_proposed() -> None:
    tool = Writer(Proposal({"to": "anna@example.org"}, "Write to Anna.", "r0:c3"))
    call = the(ToolCall, posted(tool, START))
    assert call.arguments == {"to": "anna@example.org"}
    assert (call.proposal, call.reverts) == ("Write to Anna.", "r0:c3")
    assert (call.effect, call.risk, call.confirm, call.reversible) == ("write", "high", "user", True)
    assert tool.ran == []


@pytest.mark.parametrize(
    ("says", "error_class", "message"),
    [
        (ToolError("Who is that?", "not_found"), "not_found", "Who is that?"),
        (ValueError("oops"), "crash", "write broke"),
        (3.0, "timeout", "write took too long"),
    ],
)
def test_what_cannot_be_proposed_is_no_action_and_fails_by_itself(
    says: Exception | float, error_class: str, message: str
) -> None:
    tool = Writer(says)
    facts = posted(tool, START, RUN)
    assert the(ToolCall, facts).effect == "read"
    result = the(ToolResult, facts)
    assert (result.ok, result.error_class, result.message) == (False, error_class, message)
    assert tool.ran == []
    assert any(isinstance(fact, Fault) for fact in facts) == isinstance(says, ValueError)


def test_a_write_is_never_run_as_a_read() -> None:
    tool = Writer(Proposal({}))
    result = the(ToolResult, posted(tool, RUN))
    assert (result.ok, result.error_class) == (False, "permission")
    assert tool.ran == []


def test_a_tool_without_proposals_is_called_as_it_is() -> None:
    class Plain:
        spec = ToolSpec("write", "", {}, "write")
        preflight: Callable[..., Any] = Writer.preflight
        run: Callable[..., Any] = Writer.run

    assert the(ToolCall, posted(Plain(), START)).arguments == {"to": "anna"}
