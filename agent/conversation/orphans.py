"""Actions that had started when their reply ended: they go on, and their outcome is told."""

from __future__ import annotations

from agent.conversation.actions import Action
from agent.conversation.context import Context
from agent.conversation.decisions import ActionCommitted, ActionFailed, ActionReverted, ActionUnknown
from agent.conversation.events import ToolResult
from agent.conversation.outbox import Outbox

MAX_ORPHANS = 64
"""Beyond it the outcome of the oldest one counts as unknown."""


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
    return outbox.add(ActionFailed(error_class=action.result.error_class or "crash", **ids))


class Orphans:
    """Waits for outcomes that no reply waits for any more."""

    def __init__(self, outbox: Outbox, context: Context) -> None:
        self._out = outbox
        self._context = context
        self._actions: dict[str, Action] = {}

    def add(self, action: Action) -> None:
        if action.orphaned:
            return
        action.orphaned = True
        if len(self._actions) >= MAX_ORPHANS:
            self._unknown(self._actions.pop(next(iter(self._actions))))
        self._actions[action.key] = action

    def settle(self, fact: ToolResult) -> Action | None:
        """The action that this result ends, if it is an orphan; its outcome is context from now on."""
        action = self._actions.pop(f"{fact.reply_id}:{fact.call_id}", None)
        if action is not None:
            action.settle(fact)
            outcome_id = record_outcome(action, self._out, late=True)
            self._context.add(action.prompt_call_id, fact.event_id, outcome_id)
        return action

    def give_up(self) -> list[Action]:
        """The process that ran them is gone: nothing will say how they ended."""
        lost = list(self._actions.values())
        self._actions.clear()
        for action in lost:
            self._unknown(action)
        return lost

    def _unknown(self, action: Action) -> None:
        action.state = "unknown"
        self._out.add(ActionUnknown(turn_id=action.turn_id, reply_id=action.reply_id, action_id=action.action_id))
