"""Does somebody pause? From the level alone, for a recogniser that likes to know before it is told."""

from __future__ import annotations

import numpy as np

from agent.hearing.port import HEARING_RATE, Pcm

FRAME_SAMPLES = HEARING_RATE // 100
BELOW_PEAK_DB = 30.0
MIN_RMS = 60.0


class Pause:
    """Frames of 10 ms are quiet when they are far below the turn's loudest. In much noise none is."""

    def __init__(self) -> None:
        self._peak = 0.0
        self.quiet_samples = 0
        """Behind the last frame that was not quiet."""
        self.sound_samples = 0
        """Frames that were not quiet, all together."""

    def push(self, pcm: Pcm) -> None:
        """Audio of any length; what is less than a frame at its end counts as one."""
        for start in range(0, pcm.size, FRAME_SAMPLES):
            frame = pcm[start : start + FRAME_SAMPLES].astype(np.float32)
            rms = float(np.sqrt(np.mean(frame * frame)))
            self._peak = max(self._peak, rms)
            if rms < max(MIN_RMS, self._peak * 10.0 ** (-BELOW_PEAK_DB / 20)):
                self.quiet_samples += frame.size
            else:
                self.quiet_samples = 0
                self.sound_samples += frame.size
