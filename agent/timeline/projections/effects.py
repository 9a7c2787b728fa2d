"""Side effects against their cancellations: ghost actions and late commits.

An action is cancelled when it is rejected, when its own cancellation is requested, or when its
reply is interrupted or discarded. Its reply is the one that proposed it and, once it is confirmed,
the one that answers the confirmation.

    ghost action   it started for the first time after its cancellation: must never be
    late commit    it started before and committed after: allowed, and the user has to be told

A late commit is told once a reply was heard that rests on it, or whose prompt had it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from agent.conversation.decisions import (
    ActionCommitted,
    ActionConfirmed,
    ActionProposed,
    ActionRejected,
    ActionStarted,
    CancelRequested,
    InterruptionConfirmed,
    ModelStart,
    PlaybackStop,
    ReplyDone,
    TtsSay,
)
from agent.conversation.events import Json
from agent.timeline.entry import Entry
from agent.timeline.projections.bounded import remember

ActionStep = ActionProposed | ActionConfirmed | ActionRejected | ActionStarted | ActionCommitted

KEPT = 256
"""Actions, replies and untold commits that are remembered; the oldest are forgotten first."""


@dataclass(slots=True)
class _Action:
    reply_id: str
    call_id: str
    rejected: bool = False
    started: bool = False


class Effects:
    """A fold over a session's entries, in order."""

    def __init__(self) -> None:
        self.ghost_actions = 0
        self.late_commits = 0
        self.told = 0
        self._actions: dict[str, _Action] = {}
        self._cut: dict[str, None] = {}
        """Replies that were interrupted or discarded, and calls (`reply:call`) that were cancelled."""
        self._untold: dict[str, str] = {}
        """Of late commits: the event id of the result, by that of the commit."""
        self._tells: dict[str, set[str]] = {}
        """By reply: the untold commits that it rests on or was told of."""

    def apply(self, entry: Entry) -> None:
        event = entry.event
        match event:
            case ActionProposed() | ActionConfirmed() | ActionRejected() | ActionStarted() | ActionCommitted():
                self._on_action(event, entry.parent_event_id)
            case CancelRequested() if event.target.startswith("tool:"):
                self._cut_off(f"{event.reply_id}:{event.target[5:]}")
            case InterruptionConfirmed():
                self._cut_off(event.reply_id)
            case ReplyDone():
                if event.outcome in ("interrupted", "discarded"):
                    self._cut_off(event.reply_id)
                self._tells.pop(event.reply_id, None)
            case ModelStart():
                self._mention(event.reply_id, (*event.context, *event.results))
            case TtsSay():
                self._mention(event.reply_id, event.rests_on)
            case PlaybackStop() if event.heard_text:
                self._heard(event.reply_id)

    def to_json(self) -> dict[str, Json]:
        return {
            "ghost_actions": self.ghost_actions,
            "late_commits": {"count": self.late_commits, "told": self.told},
        }

    def _on_action(self, event: ActionStep, cause_id: str) -> None:
        action = self._actions.get(event.action_id)
        if action is None:
            call_id = event.action_id.rpartition(":")[2]
            action = remember(self._actions, event.action_id, _Action(event.reply_id, call_id), KEPT)
        match event:
            case ActionConfirmed():
                action.reply_id = event.reply_id
            case ActionRejected():
                action.rejected = True
            case ActionStarted():
                self.ghost_actions += not action.started and self._cancelled(action)
                action.started = True
            case ActionCommitted() if event.late or self._cancelled(action):
                self.late_commits += 1
                remember(self._untold, event.event_id, cause_id, KEPT)

    def _cut_off(self, reply_or_call: str) -> None:
        remember(self._cut, reply_or_call, None, KEPT)

    def _cancelled(self, action: _Action) -> bool:
        call = f"{action.reply_id}:{action.call_id}"
        return action.rejected or action.reply_id in self._cut or call in self._cut

    def _mention(self, reply_id: str, event_ids: Iterable[str]) -> None:
        ids = set(event_ids)
        told = {commit for commit, result in self._untold.items() if commit in ids or result in ids}
        if told:
            self._tells.setdefault(reply_id, set()).update(told)

    def _heard(self, reply_id: str) -> None:
        for commit in self._tells.pop(reply_id, ()):
            self.told += self._untold.pop(commit, None) is not None
