"""Typed messages that wait behind what is being said.

    when       applied as soon as nobody has the floor, and besides
    now        at once: what is being said is interrupted
    sentence   when the sentence that is being played has ended
    after      (not before the reply has ended)

Each is applied exactly once, in the order in which they came. What its sender had not seen begin, a message
does not break into: that says its sentence first. Of two devices that send theirs at once the first has its
turn, and the second, which did not know of it, waits until that is answered, and is told so.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal

from agent.conversation.decisions import Complaint, SteeringApplied, SteeringQueued
from agent.conversation.events import TextInput
from agent.conversation.outbox import Outbox
from agent.conversation.playback import Playback
from agent.conversation.reply import Reply
from agent.conversation.seen import unseen

MAX_QUEUED = 8
"""A further message is refused, with an `error`."""


When = Literal["now", "sentence", "after"]


@dataclass(slots=True)
class _Queued:
    fact: TextInput
    when: Literal["sentence", "after"]
    cut_at: int | None = None
    """Reply sample at which the sentence ends."""
    reply_id: str = ""
    """The reply of that sentence."""


class Steering:
    def __init__(self, outbox: Outbox) -> None:
        self._out = outbox
        self._queue: deque[_Queued] = deque()
        self._first: tuple[str, int] = ("", 0)
        """Who sent the message that had its turn last, and its place on the timeline."""

    def __bool__(self) -> bool:
        return bool(self._queue)

    def queue(self, fact: TextInput, when: Literal["sentence", "after"], turn_id: str, reply_id: str) -> None:
        if len(self._queue) >= MAX_QUEUED:
            message = f"{MAX_QUEUED} messages wait already; this one is not taken: {fact.text[:80]}"
            self._out.add(Complaint(turn_id=turn_id, code="limit.steering", message=message))
            return
        self._queue.append(_Queued(fact, when))
        self._out.add(
            SteeringQueued(turn_id=turn_id, reply_id=reply_id, text=fact.text, when=when, queued_id=fact.event_id)
        )

    def applied(self, fact: TextInput) -> None:
        """It is the user's turn now."""
        self._first = (fact.source, self._out.seq)

    def due(self, fact: TextInput, usual: When, reply: Reply | None) -> When:
        """When a message is to be applied while `reply` is live; `usual` where it does not say."""
        if self._second(fact, reply):
            return "after"
        begun = reply is not None and reply.playback.begun
        if not self._queue and not begun:
            return "now"
        when = fact.when or usual
        if when == "now" and reply is not None and begun and unseen(fact.seen_seq, reply.since_seq):
            return "sentence"
        return when

    def _second(self, fact: TextInput, reply: Reply | None) -> bool:
        """Whether this message came at once with another device's that is being answered."""
        source, since_seq = self._first
        if reply is None or source == fact.source or not unseen(fact.seen_seq, since_seq):
            return False
        waits = "another device was first: your message is answered behind its"
        self._out.add(Complaint(code="steering.second", message=waits))
        return True

    def sentence_over(self, reply_id: str, playback: Playback) -> bool:
        """Whether the first message in the queue may interrupt this reply here."""
        if not self._queue or self._queue[0].when != "sentence":
            return False
        first = self._queue[0]
        if first.reply_id != reply_id:
            first.reply_id, first.cut_at = reply_id, None
        if first.cut_at is None:
            first.cut_at = playback.sentence_end()
        return first.cut_at is not None and playback.sent_samples >= first.cut_at

    def take(self, turn_id: str) -> TextInput:
        """The message whose time has come. Raises `IndexError` when none waits."""
        fact = self._queue.popleft().fact
        self._out.add(SteeringApplied(turn_id=turn_id, queued_id=fact.event_id))
        return fact

    def clear(self) -> None:
        self._queue.clear()
