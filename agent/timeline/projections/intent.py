"""What the user wants now: the goal, what it was understood as, what is asked, what waits.

    {"goal": {"turn_id": "t3", "text": "email anna hello", "understood": true, "status": "completed"},
     "slots": [{"tool": "send_email", "arguments": {"to": "anna", "text": "hello"}}],
     "proposal": {"action_id": "r3:c1", "tool": "send_email", "arguments": {…}, "question": "Send …"},
     "steering": [{"queued_id": "e40", "text": "shorter", "when": "sentence"}]}

The goal is the last turn that had words; `status` is that of its answer: answering, then how its
last reply ended. What only confirms or refuses a proposal is no goal of its own: the goal is again
the one that the proposal was made for. `slots` holds the tool calls of the goal's answer, those
of a speculative reply once it is committed. `proposal` is an action that waits for the user's
word, `steering` what was typed and has not had its turn; both are empty otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from agent.conversation.decisions import (
    ActionConfirmed,
    ActionProposed,
    ActionRejected,
    ModelStart,
    PlaybackRelease,
    ReplyCommitted,
    ReplyDone,
    SteeringApplied,
    SteeringQueued,
    TurnEnd,
)
from agent.conversation.events import Event, Json, SessionClosed, ToolCall
from agent.timeline.entry import Entry

REFUSED = "refused"
"""Why an action was rejected, if the user was asked and said no."""


@dataclass(slots=True)
class _Goal:
    turn_id: str
    text: str
    understood: bool
    status: str = "answering"
    calls: list[ToolCall] = field(default_factory=list)


@dataclass(slots=True)
class _Proposal:
    asked: ActionProposed
    goal: _Goal | None
    """What it was made for."""


class Intent:
    """A fold over a session's entries, in order."""

    def __init__(self) -> None:
        self._goal: _Goal | None = None
        self._proposal: _Proposal | None = None
        self._steering: dict[str, SteeringQueued] = {}
        self._turn_of: dict[str, str] = {}
        """By live reply: the turn that it answers."""
        self._guessed: dict[str, list[ToolCall]] = {}
        """Calls of speculative replies, which may never have been."""

    def apply(self, entry: Entry) -> None:
        event = entry.event
        match event:
            case TurnEnd() if event.text:
                self._goal = _Goal(event.turn_id, event.text, event.understood)
            case ActionProposed() | ActionConfirmed() | ActionRejected():
                self._on_action(event)
            case SteeringQueued():
                self._steering[event.queued_id] = event
            case SteeringApplied():
                self._steering.pop(event.queued_id, None)
            case SessionClosed():
                self._steering.clear()
            case _:
                self._on_reply(event)

    def state(self) -> dict[str, Json]:
        """The moment's state (the module's docstring has the shape)."""
        goal = self._goal
        return {
            "goal": None if goal is None else _goal_json(goal),
            "slots": [] if goal is None else [{"tool": call.name, "arguments": call.arguments} for call in goal.calls],
            "proposal": None if self._proposal is None else _proposal_json(self._proposal.asked),
            "steering": [
                {"queued_id": queued.queued_id, "text": queued.text, "when": queued.when}
                for queued in self._steering.values()
            ],
        }

    # ── proposals ────────────────────────────────────────────────────────────────────────

    def _on_action(self, event: ActionProposed | ActionConfirmed | ActionRejected) -> None:
        if isinstance(event, ActionProposed):
            if event.ask:
                self._proposal = _Proposal(event, self._goal)
            return
        proposal = self._proposal
        if proposal is None or proposal.asked.action_id != event.action_id:
            return
        self._proposal = None
        if isinstance(event, ActionConfirmed):
            self._return_to(proposal, "answering", event.reply_id)
        elif event.reason == REFUSED:
            self._return_to(proposal, REFUSED, "")

    def _return_to(self, proposal: _Proposal, status: str, reply_id: str) -> None:
        """The turn that answered the question was about the proposal's goal."""
        if proposal.goal is None:
            return
        self._goal = proposal.goal
        self._goal.status = status
        if reply_id:
            self._turn_of[reply_id] = proposal.goal.turn_id

    # ── replies ──────────────────────────────────────────────────────────────────────────

    def _on_reply(self, event: Event) -> None:
        match event:
            case ModelStart() | PlaybackRelease() if event.turn_id:
                self._turn_of.setdefault(event.reply_id, event.turn_id)
                if isinstance(event, ModelStart) and event.speculative:
                    self._guessed.setdefault(event.reply_id, [])
            case ReplyCommitted():
                for call in self._guessed.pop(event.reply_id, ()):
                    self._understand(call)
            case ToolCall() if event.reply_id in self._guessed:
                self._guessed[event.reply_id].append(event)
            case ToolCall():
                self._understand(event)
            case ReplyDone():
                self._end(event)

    def _understand(self, call: ToolCall) -> None:
        goal = self._goal
        if goal is not None and self._turn_of.get(call.reply_id) == goal.turn_id:
            goal.calls.append(call)

    def _end(self, event: ReplyDone) -> None:
        self._guessed.pop(event.reply_id, None)
        turn_id = self._turn_of.pop(event.reply_id, "")
        goal = self._goal
        if goal is None or goal.turn_id != turn_id or event.outcome == "discarded":
            return
        if goal.status == "answering":
            goal.status = event.outcome


def _goal_json(goal: _Goal) -> dict[str, Json]:
    return {"turn_id": goal.turn_id, "text": goal.text, "understood": goal.understood, "status": goal.status}


def _proposal_json(asked: ActionProposed) -> dict[str, Json]:
    return {
        "action_id": asked.action_id,
        "tool": asked.name,
        "arguments": asked.arguments,
        "question": asked.proposal,
    }


def intent(entries: Iterable[Entry]) -> dict[str, Json]:
    """What the user wants at the end of a timeline."""
    fold = Intent()
    for entry in entries:
        fold.apply(entry)
    return fold.state()
