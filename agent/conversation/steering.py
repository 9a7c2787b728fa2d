"""Typed messages that wait behind what is being said.

    when       applied as soon as nobody has the floor, and besides
    now        at once: what is being said is interrupted
    sentence   when the sentence that is being played has ended
    after      (not before the reply has ended)

Each is applied exactly once, in the order in which they came. What its sender had not seen begin, a message
does not break into: that says its sentence first.
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


def due(fact: TextInput, usual: When, reply: Reply | None) -> When:
    """When a message is to be applied while `reply` is live; `usual` where it does not say."""
    when = fact.when or usual
    if when == "now" and reply is not None and reply.playback.begun and unseen(fact.seen_seq, reply.since_seq):
        return "sentence"
    return when


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
