"""The steps of actions on a timeline, and how each is stored: as a transition of the store's ledger.

A step is durable before the next one is stored, and only if the action is in the state that this
owner knows: of two who hold an action for theirs, one gets `Fenced` or `ActionConflict`.
"""

from __future__ import annotations

from collections.abc import Sequence

from agent.conversation.decisions import (
    ActionCommitted,
    ActionConfirmed,
    ActionFailed,
    ActionProposed,
    ActionRejected,
    ActionReverted,
    ActionStarted,
    ActionUnknown,
)
from agent.conversation.events import Event
from agent.timeline.entry import Entry
from agent.timeline.leases import Lease
from agent.timeline.store import Store

ActionStep = (
    ActionProposed
    | ActionConfirmed
    | ActionRejected
    | ActionStarted
    | ActionCommitted
    | ActionFailed
    | ActionReverted
    | ActionUnknown
)


def state_after(step: ActionStep) -> str:
    """The state that this step leads to: `started` after `action.started`."""
    return step.type.removeprefix("action.")


def is_step(event: Event) -> bool:
    """Whether this must be durable before what comes behind it is stored."""
    return isinstance(event, ActionStep)


class LedgerWriter:
    """Stores entries under a lease. The ledger is read once, before the first step: nobody else changes it."""

    def __init__(self, store: Store, lease: Lease) -> None:
        self._store = store
        self._lease = lease
        self._states: dict[str, str] | None = None

    async def write(self, entries: Sequence[Entry]) -> int:
        """Store a batch of which at most the last entry is a step of an action. Returns the session's last seq.

        Raises what `Store.transition` raises; after `Unavailable` and `Indeterminate` the same batch may be
        written again.
        """
        step = entries[-1].event
        if not isinstance(step, ActionStep):
            return await self._store.append(entries, self._lease)
        if self._states is None:
            ledger = await self._store.actions(self._lease.session_id)
            self._states = {action.action_id: action.state for action in ledger}
        before, after = self._states.get(step.action_id, ""), state_after(step)
        last_seq = await self._store.transition(self._lease, step.action_id, before, after, entries)
        self._states[step.action_id] = after
        return last_seq
