"""The absolute 20 ms clock of a playout, and how late each of its frames was."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from agent.clock import Clock

FRAME_US = 20_000
MAX_LATE_US = 100_000
"""A clock later than this skips frames instead of sending a burst."""
KEPT_US = 60_000_000
"""Lateness is kept for one minute."""


@dataclass(frozen=True, slots=True)
class Jitter:
    """Lateness of the frames of the last minute or a part of it, in milliseconds."""

    frames: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    skipped: int
    """Frames never sent because the clock had fallen behind."""


class FrameClock:
    """Frame n is due at start + n · 20 ms, for ever: lateness of one frame moves no other."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._origin_us: int | None = None
        self._index = -1
        self._kept: deque[tuple[int, int]] = deque(maxlen=KEPT_US // FRAME_US)
        """When each frame was due and how late it was."""

    async def tick(self) -> int:
        """Sleep until the next frame is due and return its index, from 0 on.

        Up to `MAX_LATE_US` behind, the missed frames come at once; further behind they are
        skipped and the index jumps, so that it always says how much time has passed.
        """
        if self._origin_us is None:
            self._origin_us = self._clock.now_us()
        self._index += 1
        due_us = self._origin_us + self._index * FRAME_US
        await self._clock.sleep_until(due_us)
        late_us = max(self._clock.now_us() - due_us, 0)
        self._kept.append((due_us, late_us))
        self._index += _skipped(late_us)
        return self._index

    def jitter(self, last_us: int = KEPT_US) -> Jitter:
        """Of the frames that were due in the last so many microseconds, one minute at most."""
        since_us = self._clock.now_us() - min(last_us, KEPT_US)
        found = sorted(late_us for due_us, late_us in self._kept if due_us >= since_us)
        late = found or [0]
        last = len(late) - 1
        p50_ms, p99_ms, max_ms = (late[index] / 1_000 for index in (last // 2, last * 99 // 100, last))
        return Jitter(len(found), p50_ms, p99_ms, max_ms, sum(map(_skipped, found)))


def _skipped(late_us: int) -> int:
    return late_us // FRAME_US if late_us > MAX_LATE_US else 0
