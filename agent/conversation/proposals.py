"""The one action that waits for the user's word.

    state   on                                              becomes
    none    a write that policy may not confirm             asked     its reply asks the question
    asked   its reply was heard to the end                  heard
    asked   its card accepted                               none: confirmed
    heard   its card accepted, "yes" as the user's turn     none: confirmed
    heard   something else is said unasked                  asked     behind that, once more
    asked, heard
            its card refused, "no", any other turn, an interruption of its reply, a failed reply,
            stop, another proposal, time, restart, close    none: rejected

A confirmation that names another action than the one that waits has no effect: a proposal
that changed is another action. So has one of a sender who had not seen the proposal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from agent.conversation.actions import Action
from agent.conversation.deadlines import Deadlines
from agent.conversation.decisions import ActionProposed, ActionRejected
from agent.conversation.events import ControlConfirm, ControlStop
from agent.conversation.outbox import Outbox
from agent.conversation.policy import Actions
from agent.conversation.seen import unseen

Verdict = Literal["yes", "no", "other"]

HEARD_OUT_US = 1_000_000
"""So often it is looked whether who speaks when a proposal goes stale has ended."""
_AS_WRITTEN = str.maketrans({",": " ", ".": " ", "!": " ", "\u2019": "'"})
"""Phones type a curved apostrophe."""


@dataclass(slots=True)
class Proposal:
    action: Action
    asked_by: str
    """The reply that asks, or asked."""
    since_seq: int
    """Its place on the timeline."""
    question: str
    heard: bool = False


class Proposals:
    """Owns the open proposal."""

    def __init__(self, outbox: Outbox, deadlines: Deadlines) -> None:
        self.policy = Actions()
        self._out = outbox
        self._deadlines = deadlines
        self._open: Proposal | None = None

    @property
    def waiting(self) -> bool:
        return self._open is not None

    def needs_user(self, action: Action) -> bool:
        """Whether policy may not confirm this action."""
        call = action.call
        return call.risk != "low" or call.confirm == "user" or self.policy.low_risk == "ask"

    def propose(self, action: Action, reply_id: str) -> str:
        """Record the proposal, which takes the place of one that waits. Returns what is to be asked."""
        self.withdraw("replaced")
        call = action.call
        action.state = "proposed"
        action.proposal_id = self._out.add(
            ActionProposed(
                action_id=action.action_id,
                name=call.name,
                arguments=call.arguments,
                call_id=call.call_id,
                ask=True,
                proposal=call.proposal,
                turn_id=action.turn_id,
                reply_id=reply_id,
            )
        )
        said = call.proposal.strip() or f"I am about to do this: {action.spoken_name}."
        self._open = Proposal(action, reply_id, self._out.seq, f"{said} {self.policy.question}".strip())
        return self._open.question

    def ask_again(self, reply_id: str) -> str:
        """This reply says something else unasked: the question that it has to end with, so that a "yes" is to
        that and not to the other thing. Empty when nothing waits."""
        if self._open is None:
            return ""
        self._open.asked_by, self._open.heard = reply_id, False
        self._deadlines.clear("proposal")
        return self._open.question

    def reply_ended(self, reply_id: str, now_us: int, *, heard: bool) -> None:
        """The reply that asks has ended: without having been heard whole, its question is void."""
        if self._open is None or self._open.asked_by != reply_id:
            return
        if heard:
            self._open.heard = True
            self._deadlines.set("proposal", now_us + self.policy.proposal_ms * 1_000)
        elif not self._open.heard:
            self.withdraw("interrupted")

    def stopped(self, stop: ControlStop) -> None:
        """Somebody pressed stop: a "yes" that follows is to nothing that was asked before, if they knew of it."""
        proposal = self._open
        if proposal is None or unseen(stop.seen_seq, proposal.since_seq):
            return
        if stop.reply_id in ("", proposal.asked_by):
            self.withdraw("interrupted")

    def seen(self) -> None:
        """It was answered on its card: whether it was heard matters no more."""
        if self._open is not None:
            self._open.heard = True

    def verdict(self, text: str, *, understood: bool) -> Verdict:
        """What the user's turn says to the proposal that waits, if one does."""
        if self._open is None or not understood:
            return "other"
        plain = " ".join(text.lower().translate(_AS_WRITTEN).split())
        if plain in self.policy.refusals:
            return "no"
        return "yes" if plain in self.policy.affirmations and self._open.heard else "other"

    def named(self, card: ControlConfirm) -> bool:
        """Whether the card's action is the one that waits, and who answered it can have seen that it does."""
        proposal = self._open
        if proposal is None or unseen(card.seen_seq, proposal.since_seq):
            return False
        return proposal.action.action_id == card.action_id

    def passed_over(self, seen_seq: int) -> None:
        """A message of one who had seen so much is answered now: who did not know of the question did not mean it."""
        if self._open is not None and unseen(seen_seq, self._open.since_seq):
            self.withdraw("the user moved on")

    def overdue(self, now_us: int, *, speaking: bool) -> None:
        """Nobody has answered in time. `speaking`: somebody is perhaps about to, and is heard out."""
        if speaking:
            self._deadlines.set("proposal", now_us + HEARD_OUT_US)
        else:
            self.withdraw("no answer")

    def take(self) -> Action:
        """The action that waits; it waits no more. Raises `LookupError` when none does."""
        if self._open is None:
            raise LookupError("no action waits to be confirmed")
        action, self._open = self._open.action, None
        self._deadlines.clear("proposal")
        return action

    def withdraw(self, reason: str) -> None:
        """It will not be done, whatever is said now."""
        if self._open is None:
            return
        reply_id, action = self._open.asked_by, self.take()
        action.state = "rejected"
        ids = {"turn_id": action.turn_id, "reply_id": reply_id}
        self._out.add(ActionRejected(action_id=action.action_id, reason=reason, **ids))
