"""Is a sound as steady as a machine's: the hum of a fridge, a tone, a fan?

A voice never is for long, not even in a vowel. So a sound that keeps its spectrum, in all bands in which it is
loud, is nobody's.
"""

from __future__ import annotations

import numpy as np

from agent.hearing.echo_path import BANDS, WINDOW_SAMPLES, Bands, band_powers
from agent.hearing.port import Pcm

STEADY_MS = 240
"""A sound that has not changed for so long is steady. Speech of flite and espeak-ng: 110 ms at most."""
CHANGE_DB = 2.5
"""A change is one of so much, in any loud band."""
LOUD_DB = 20.0
"""Bands this far below the loudest do not count."""
SMOOTH_MS = 40
"""Two periods of the mains, which beat in a window that does not fit them."""
_FAINT: Bands = np.ones(BANDS)
_FAINT_DB: Bands = np.zeros(BANDS)


class Steadiness:
    """Follows one microphone, frame by frame."""

    def __init__(self, frame_ms: int) -> None:
        self._frame_ms = frame_ms
        self.reset()

    def reset(self) -> None:
        """What comes next is another sound."""
        self._powers = _FAINT
        self._since_db = _FAINT_DB
        self._steady_ms = 0

    def step(self, window: Pcm) -> bool:
        """Whether what the newest `WINDOW_SAMPLES` of `window` (16 kHz) hold has sounded so for `STEADY_MS`."""
        now = band_powers(window[-WINDOW_SAMPLES:].astype(np.float32))
        self._powers = self._powers + (now - self._powers) * min(1.0, self._frame_ms / SMOOTH_MS)
        levels_db = 10.0 * np.log10(self._powers)
        loud = self._since_db > self._since_db.max() - LOUD_DB
        if np.abs(levels_db - self._since_db)[loud].max() < CHANGE_DB:
            self._steady_ms += self._frame_ms
        else:
            self._since_db, self._steady_ms = levels_db, 0
        return self._steady_ms >= STEADY_MS
