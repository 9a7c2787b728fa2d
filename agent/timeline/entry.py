"""The envelope: one row of the append-only session timeline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from agent.conversation.events import Event


@dataclass(frozen=True, slots=True)
class Entry:
    """An event with its place in the session.

    seq               dense, from 1, in the order in which the core saw or made the events
    ts                UTC wall time, ISO-8601 with milliseconds
    t_ms              milliseconds since the session began
    now_us            the same moment as the core was told it, for exact replay
    role              "fact" (went into the core) or "decision" (came out of it)
    turn_id           the turn during which it happened, "" before the first
    parent_event_id   the event that caused it, "" for facts from outside

    `event.event_id` and `event.source` complete the envelope.
    """

    session_id: str
    seq: int
    ts: str
    t_ms: int
    now_us: int
    role: Literal["fact", "decision"]
    turn_id: str
    parent_event_id: str
    event: Event
