"""Actions that had started when their reply ended: they go on, and their outcome is told."""

from __future__ import annotations

from collections.abc import Callable

from agent.conversation.actions import UNKNOWN, Action
from agent.conversation.context import Context
from agent.conversation.deadlines import Deadlines
from agent.conversation.decisions import ActionCommitted, ActionFailed, ActionReverted, ActionUnknown
from agent.conversation.events import ToolResult
from agent.conversation.outbox import Outbox
from agent.conversation.policy import Actions

MAX_ORPHANS = 64
"""Beyond it the oldest one is given up."""
DEADLINE = "orphan:"


def record_outcome(action: Action, outbox: Outbox, *, late: bool) -> str:
    """Put an action's end on the timeline; the event id, or empty for a read."""
    if not action.write or action.result is None:
        return ""
    ids = {"turn_id": action.turn_id, "reply_id": action.reply_id, "action_id": action.action_id}
    if action.state == "committed":
        committed_id = outbox.add(ActionCommitted(late=late, **ids))
        if action.call.reverts:
            ids = {"turn_id": action.turn_id, "reply_id": action.reply_id}
            outbox.add(ActionReverted(action_id=action.call.reverts, by_action_id=action.action_id, **ids))
        return committed_id
    if action.state == UNKNOWN:
        return outbox.add(ActionUnknown(**ids))
    return outbox.add(ActionFailed(error_class=action.result.error_class or "crash", **ids))


def _outcome(action: Action) -> str:
    if action.state == "committed":
        return "is done after all"
    return "did not work" if action.state == "failed" else "may or may not have been done; I cannot tell"


class Orphans:
    """Waits for outcomes that no reply waits for any more. `tell(text, cause_id)` says something unasked."""

    def __init__(
        self, outbox: Outbox, context: Context, deadlines: Deadlines, tell: Callable[[str, str], None]
    ) -> None:
        self.policy = Actions()
        self._out = outbox
        self._context = context
        self._deadlines = deadlines
        self._tell = tell
        self._actions: dict[str, Action] = {}

    def __bool__(self) -> bool:
        """Whether one goes on of which somebody is to be told."""
        return any(action.state != UNKNOWN for action in self._actions.values())

    def add(self, action: Action, now_us: int) -> None:
        if action.orphaned:
            return
        action.orphaned = True
        if len(self._actions) >= MAX_ORPHANS:
            oldest = self._actions.pop(next(iter(self._actions)))
            self._deadlines.clear(DEADLINE + oldest.key)
            if oldest.state != UNKNOWN:
                self._unknown(oldest)
        self._actions[action.key] = action
        self._deadlines.set(DEADLINE + action.key, now_us + self.policy.unknown_ms * 1_000)

    def note(self, reply_id: str, note_id: str) -> None:
        """Prompts are told by this event that the actions of a reply go on, until their outcome is known."""
        waiting = [action for action in self._actions.values() if action.reply_id == reply_id]
        for action in waiting:
            action.note_id = note_id
        if waiting:
            self._context.add(note_id)

    def settle(self, fact: ToolResult) -> bool:
        """Whether this result ends an orphan; its outcome is context from now on."""
        action = self._actions.pop(f"{fact.reply_id}:{fact.call_id}", None)
        if action is None:
            return False
        self._deadlines.clear(DEADLINE + action.key)
        told = action.state == UNKNOWN
        action.settle(fact)
        outcome = () if told and action.state == UNKNOWN else (record_outcome(action, self._out, late=True),)
        if all(other.note_id != action.note_id for other in self._actions.values()):
            self._context.remove(action.note_id)
        self._context.add(action.prompt_call_id, fact.event_id, *outcome)
        if action.promised:
            self._tell(f"{action.spoken_name} {_outcome(action)}.", fact.event_id)
        return True

    def overdue(self, name: str) -> None:
        """The deadline `name` passed: how this one ended is unknown, unless its result comes after all."""
        action = self._actions.get(name.removeprefix(DEADLINE))
        if action is not None:
            action.promised = True
            cause_id = self._unknown(action)
            self._tell(f"I still don't know whether this was done: {action.spoken_name}.", cause_id)

    def restarted(self, cause_id: str, now_us: int) -> None:
        """The process that ran them is gone. What may be done twice under one key is done again; of the rest
        nothing is likely to say how they ended, and the user is told."""
        for key, action in self._actions.items():
            self._deadlines.clear(DEADLINE + key)
            if action.state == UNKNOWN:
                continue
            action.promised = True
            if action.call.idempotent and action.idempotency_key:
                self._out.add(action.start())
                self._deadlines.set(DEADLINE + key, now_us + self.policy.unknown_ms * 1_000)
            else:
                self._unknown(action)
                self._tell(f"I was restarted and don't know whether this was done: {action.spoken_name}.", cause_id)

    def closed(self) -> None:
        """The session is over: whatever comes now is not recorded any more."""
        for key, action in self._actions.items():
            self._deadlines.clear(DEADLINE + key)
            if action.state != UNKNOWN:
                self._unknown(action)

    def _unknown(self, action: Action) -> str:
        action.state = UNKNOWN
        return self._out.add(
            ActionUnknown(turn_id=action.turn_id, reply_id=action.reply_id, action_id=action.action_id)
        )
