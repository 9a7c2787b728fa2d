"""What the tools of a turn did: the calls, their results, the outcomes of actions.

    {"call_id": "c1", "name": "send_email", "arguments": {…}, "effect": "write",
     "outcome": "committed", "late": false, "reason": "", "error_class": "", "message": "", "content": {…}}

`outcome` of a read is requested, started, ok, failed or cancelled; of a write the last step of its
action, or requested. `reason` says why an action was rejected.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.conversation.decisions import (
    ActionCommitted,
    ActionConfirmed,
    ActionFailed,
    ActionProposed,
    ActionRejected,
    ActionReverted,
    ActionStarted,
    ActionUnknown,
    CancelRequested,
    ToolStart,
)
from agent.conversation.events import Event, Json, ToolCall, ToolResult

Step = (
    ActionProposed
    | ActionConfirmed
    | ActionRejected
    | ActionStarted
    | ActionCommitted
    | ActionFailed
    | ActionUnknown
    | ActionReverted
)


@dataclass(slots=True)
class ToolRecord:
    """One call, and what became of it."""

    call: ToolCall
    outcome: str = "requested"
    late: bool = False
    reason: str = ""
    result: ToolResult | None = None

    def to_json(self) -> dict[str, Json]:
        result = self.result
        return {
            "call_id": self.call.call_id,
            "name": self.call.name,
            "arguments": self.call.arguments,
            "effect": self.call.effect,
            "outcome": self.outcome,
            "late": self.late,
            "reason": self.reason,
            "error_class": result.error_class if result else "",
            "message": result.message if result else "",
            "content": result.content if result else None,
        }

    def answered(self, result: ToolResult) -> None:
        """Its result; for a read that is also its outcome, unless it had been cancelled."""
        self.result = result
        if self.call.effect == "read" and self.outcome != "cancelled":
            self.outcome = "ok" if result.ok else "failed"

    def take(self, step: Step) -> None:
        self.outcome = step.type.removeprefix("action.")
        match step:
            case ActionRejected():
                self.reason = step.reason
            case ActionCommitted():
                self.late = step.late


class TurnTools:
    """A fold over a session's events. Records are handed to whom the call belongs to, and kept up to date."""

    def __init__(self) -> None:
        self._records: dict[str, ToolRecord] = {}
        """By `reply:call`; one that the user confirmed also by the reply to the confirmation."""

    def apply(self, event: Event) -> ToolRecord | None:
        """The new record, if this is a call."""
        match event:
            case ToolCall():
                return self._records.setdefault(f"{event.reply_id}:{event.call_id}", ToolRecord(event))
            case ToolStart():
                if record := self._records.get(f"{event.reply_id}:{event.call_id}"):
                    record.outcome = "started"
            case ToolResult() if not event.corrects:
                if record := self._records.get(f"{event.reply_id}:{event.call_id}"):
                    record.answered(event)
            case CancelRequested() if event.target.startswith("tool:"):
                record = self._records.get(f"{event.reply_id}:{event.target[5:]}")
                if record is not None and record.call.effect == "read":
                    record.outcome = "cancelled"
            case _ if isinstance(event, Step):
                self._step(event)
        return None

    def _step(self, step: Step) -> None:
        record = self._records.get(step.action_id)
        if record is not None:
            record.take(step)
            self._records.setdefault(f"{step.reply_id}:{record.call.call_id}", record)
