"""How long cancellations took, by target: requested → acked, requested → freed.

    {"tts": {"requested": 2, "acked": 2, "freed": 1,
             "ack_ms": {"p50": 3.0, "p99": 4.0, "max": 4.0}, "freed_ms": {…} or null}}

Tools are one target, `tool`. An answer belongs to the oldest request of its reply and target that
waits for one; one without a request counts nowhere. Percentiles are nearest-rank.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from agent.conversation.decisions import CancelRequested
from agent.conversation.events import CancelAck, CancelFreed, Event, Json

KEPT = 1_000
"""Percentiles are of the latest so many; `max` is of all."""


@dataclass(slots=True)
class _Times:
    count: int = 0
    longest_ms: float = 0.0
    latest_ms: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))

    def add(self, ms: float) -> None:
        self.count += 1
        self.longest_ms = max(self.longest_ms, ms)
        self.latest_ms.append(ms)

    def to_json(self) -> Json:
        if not self.count:
            return None
        ordered = sorted(self.latest_ms)
        return {"p50": percentile(ordered, 50), "p99": percentile(ordered, 99), "max": self.longest_ms}


@dataclass(slots=True)
class _Target:
    requested: int = 0
    ack: _Times = field(default_factory=_Times)
    freed: _Times = field(default_factory=_Times)


class Cancels:
    """A fold over a session's events, in order."""

    def __init__(self) -> None:
        self._targets: dict[str, _Target] = {}
        self._waiting: dict[tuple[str, str, str], deque[int]] = {}
        """When it was requested, by reply, target and the type of answer that is awaited."""

    def apply(self, event: Event, now_us: int) -> None:
        match event:
            case CancelRequested():
                self._targets.setdefault(_family(event.target), _Target()).requested += 1
                for answer in (CancelAck.type, CancelFreed.type):
                    self._waiting.setdefault((event.reply_id, event.target, answer), deque()).append(now_us)
            case CancelAck():
                self._answered(event, now_us)
            case CancelFreed():
                self._answered(event, now_us)

    def to_json(self) -> dict[str, Json]:
        return {
            name: {
                "requested": target.requested,
                "acked": target.ack.count,
                "freed": target.freed.count,
                "ack_ms": target.ack.to_json(),
                "freed_ms": target.freed.to_json(),
            }
            for name, target in self._targets.items()
        }

    def _answered(self, event: CancelAck | CancelFreed, now_us: int) -> None:
        key = (event.reply_id, event.target, event.type)
        waiting = self._waiting.get(key)
        if not waiting:
            return
        ms = (now_us - waiting.popleft()) / 1_000
        if not waiting:
            del self._waiting[key]
        target = self._targets[_family(event.target)]
        (target.ack if isinstance(event, CancelAck) else target.freed).add(ms)


def percentile(ordered: list[float], percent: int) -> float:
    """The nearest-rank percentile of ordered, non-empty values; `percent` from 1 to 100."""
    return ordered[-(-percent * len(ordered) // 100) - 1]


def _family(target: str) -> str:
    return target.partition(":")[0]
