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
        self._samples = np.zeros(samples, dtype=np.float32)
        self._lateness: deque[int] = deque(maxlen=_ARRIVALS)
        self.end: int | None = None
        """Position behind the newest sample; None before the first."""

    def append(self, pcm: NDArray[np.float32], end_us: int) -> None:
        """Add samples of which the last is heard or played at `end_us`."""
        self._move_to(end_us * HEARING_RATE // 1_000_000 - pcm.size)
        assert self.end is not None  # noqa: S101 - `_move_to` has set it
        self._shift(pcm.size)
        self._samples[-pcm.size :] = pcm[-self._samples.size :]
        self.end += pcm.size

    def window(self, end: int, samples: int) -> NDArray[np.float32]:
        """`samples` up to position `end`, shape (samples,); zeros for what is not kept or not there yet."""
        last = self._samples.size - ((self.end or 0) - end)
        first = last - samples
        if first >= 0 and last <= self._samples.size:
            return self._samples[first:last]
        out = np.zeros(samples, dtype=np.float32)
        kept = self._samples[max(first, 0) : max(last, 0)]
        out[max(-first, 0) : max(-first, 0) + kept.size] = kept[:samples]
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
        """Make room at the end, with zeros; a negative number takes samples back."""
        kept = max(self._samples.size - abs(samples), 0)
        if samples >= 0:
            self._samples[:kept] = self._samples[self._samples.size - kept :]
            self._samples[kept:] = 0.0
        else:
            self._samples[self._samples.size - kept :] = self._samples[:kept]
            self._samples[: self._samples.size - kept] = 0.0
