"""The absolute 20 ms clock of a playout, and how late each of its frames was."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from agent.clock import Clock

FRAME_US = 20_000
MAX_LATE_US = 100_000
"""A clock later than this skips frames instead of sending a burst."""
KEPT_FRAMES = 3_000
"""Lateness is kept of this many frames: one minute."""


@dataclass(frozen=True, slots=True)
class Jitter:
    """Lateness of the frames of the last minute, in milliseconds."""

    frames: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    skipped: int
    """Frames never sent because the clock had fallen behind, since the start."""


class FrameClock:
    """Frame n is due at start + n · 20 ms, for ever: lateness of one frame moves no other."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._origin_us: int | None = None
        self._index = -1
        self._late_us: deque[int] = deque(maxlen=KEPT_FRAMES)
        self._frames = 0
        self._skipped = 0

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
        self._late_us.append(late_us)
        self._frames += 1
        if late_us > MAX_LATE_US:
            self._index += late_us // FRAME_US
            self._skipped += late_us // FRAME_US
        return self._index

    def jitter(self) -> Jitter:
        late = sorted(self._late_us) or [0]
        last = len(late) - 1
        return Jitter(
            self._frames, late[last // 2] / 1_000, late[last * 99 // 100] / 1_000, late[last] / 1_000, self._skipped
        )
