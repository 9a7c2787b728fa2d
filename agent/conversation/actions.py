"""Tool calls and, for those with side effects, their commit points.

A read is only `requested → started → ended`. A write is an action:

    state       on                    becomes
    requested   its turn committed    proposed
    proposed    policy (risk low)     confirmed
    proposed    the user, asked       confirmed    (see `proposals`)
    confirmed   nothing suspected     started      durable before it is dispatched
    requested, proposed, confirmed
                interruption, failure rejected
    started     result                committed, failed, or unknown where the tool itself cannot tell
    started     interruption, timeout started      it is never killed half way (see `orphans`)
    started     restart               started again, under the same key, if it is idempotent; else unknown
    started     long silence          unknown      until its result comes after all
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from agent.conversation.decisions import ActionStarted
from agent.conversation.events import ToolCall, ToolResult

State = Literal["requested", "proposed", "confirmed", "started", "ended", "committed", "failed", "rejected", "unknown"]

OVER: frozenset[State] = frozenset({"ended", "committed", "failed", "rejected", "unknown"})

UNKNOWN: Literal["unknown"] = "unknown"
"""Also the `error_class` of a tool that cannot tell whether it was done: a connection that broke behind the request."""


@dataclass(slots=True)
class Action:
    """One tool call of one reply."""

    call: ToolCall
    turn_id: str
    reply_id: str
    """The reply that waits for it: the one that asked for it, or the one to the user's confirmation."""
    state: State = "requested"
    result: ToolResult | None = None
    orphaned: bool = False
    """It had started when its reply was cancelled or gave up waiting."""
    proposal_id: str = ""
    """Event id of its proposal, if the user was asked."""
    started_id: str = ""
    """Event id of its start, if the user confirmed it: in prompts that is its call."""
    idempotency_key: str = ""
    """Under which it was started."""
    promised: bool = False
    """The user was told that they would hear how it ended."""
    note_id: str = ""
    """Event id of what tells prompts that it goes on, while its outcome is not known."""

    @property
    def write(self) -> bool:
        return self.call.effect == "write"

    @property
    def over(self) -> bool:
        return self.state in OVER

    @property
    def action_id(self) -> str:
        return f"{self.call.reply_id}:{self.call.call_id}"

    @property
    def key(self) -> str:
        """By which its result is known."""
        return f"{self.reply_id}:{self.call.call_id}"

    @property
    def prompt_call_id(self) -> str:
        """Event id of what stands for its call in prompts, in front of its result."""
        return self.started_id or self.call.event_id

    @property
    def target(self) -> str:
        """Its name as the target of a cancellation."""
        return f"tool:{self.call.call_id}"

    @property
    def spoken_name(self) -> str:
        return self.call.name.replace("_", " ")

    def start(self) -> ActionStarted:
        """What has it run."""
        return ActionStarted(
            turn_id=self.turn_id,
            reply_id=self.reply_id,
            action_id=self.action_id,
            name=self.call.name,
            arguments=self.call.arguments,
            idempotency_key=self.idempotency_key,
            call_id=self.call.call_id,
        )

    def settle(self, result: ToolResult) -> None:
        """The tool answered."""
        self.result = result
        if not self.write:
            self.state = "ended"
        elif result.error_class == UNKNOWN:
            self.state = UNKNOWN
        else:
            self.state = "committed" if result.ok else "failed"
