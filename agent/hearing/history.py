"""The newest samples of a stream, found by when they were heard or played.

A stream's samples are counted, not dated: packets come late and in bursts, the audio in them does
not. Arrival times only say where the count stands, and their least delay counts: a sample
may be late, never early.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from agent.hearing.port import HEARING_RATE

_ARRIVALS = 50
_TOLERANCE_SAMPLES = HEARING_RATE * 60 // 1000
"""A count that is further from all of the last arrivals has lost or gained samples."""
_GAP_SAMPLES = HEARING_RATE
"""An arrival that much behind is no delay: the stream was interrupted."""


class History:
    """The last `samples` of a 16 kHz stream; positions count samples on a clock that all streams share."""

    def __init__(self, samples: int) -> None:
        self._kept = samples
        self._buffer = np.zeros(2 * samples, dtype=np.float32)
        self._top = samples
        """Index behind the newest sample: what is older is moved to the front only now and then."""
        self._lateness: deque[int] = deque(maxlen=_ARRIVALS)
        self.end: int | None = None
        """Position behind the newest sample; None before the first."""

    def append(self, pcm: NDArray[np.float32], end_us: int) -> None:
        """Add samples of which the last is heard or played at `end_us`."""
        self._move_to(end_us * HEARING_RATE // 1_000_000 - pcm.size)
        assert self.end is not None  # noqa: S101 - `_move_to` has set it
        self._put(pcm[-self._kept :])
        self.end += pcm.size

    def window(self, end: int, samples: int) -> NDArray[np.float32]:
        """`samples` up to position `end`, shape (samples,); zeros for what is not kept or not there yet."""
        last = self._top - ((self.end or 0) - end)
        first, oldest = last - samples, self._top - self._kept
        if first >= oldest and last <= self._top:
            return self._buffer[first:last]
        out = np.zeros(samples, dtype=np.float32)
        start, stop = max(first, oldest), min(last, self._top)
        if start < stop:
            out[start - first : stop - first] = self._buffer[start:stop]
        return out

    def _move_to(self, start: int) -> None:
        """Have the next sample lie at `start`, unless it is only late."""
        if self.end is None:
            self.end = start
        late = start - self.end
        self._lateness.append(late)
        least = min(self._lateness)
        waited = len(self._lateness) == _ARRIVALS and least > _TOLERANCE_SAMPLES
        if late > _GAP_SAMPLES or least < -_TOLERANCE_SAMPLES or waited:
            self._lateness.clear()
            moved = late if late > _GAP_SAMPLES else least
            self._shift(moved)
            self.end += moved

    def _shift(self, samples: int) -> None:
        """Add silence; a negative number takes samples back."""
        if samples >= 0:
            self._put(np.zeros(min(samples, self._kept), dtype=np.float32))
            return
        left = self._buffer[self._top - self._kept : max(self._top + samples, self._top - self._kept)].copy()
        self._buffer[:] = 0.0
        self._buffer[self._kept - left.size : self._kept] = left
        self._top = self._kept

    def _put(self, pcm: NDArray[np.float32]) -> None:
        if self._top + pcm.size > self._buffer.size:
            self._buffer[: self._kept] = self._buffer[self._top - self._kept : self._top]
            self._top = self._kept
        self._buffer[self._top : self._top + pcm.size] = pcm
        self._top += pcm.size
