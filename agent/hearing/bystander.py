"""A microphone that is not live: is somebody talking to it, and what have they said so far?

Only the VAD runs, no recogniser. Should its device become the live one, the hearing of the session
gets what was said meanwhile, so that nothing of it is lost.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from agent.hearing.detector import SpeechDetector
from agent.hearing.port import HEARING_RATE, Pcm, Vad
from agent.settings import VadSettings

FIRST_MS = 300
"""Voiced speech of one utterance after which somebody talks, and no door has slammed."""
AGAIN_MS = 1_000
"""It is said again whenever the same utterance has so much more."""
KEPT_SAMPLES = HEARING_RATE * 3
"""The most that is kept of what was heard last."""


class Bystander:
    """Not thread-safe. `hear` never blocks."""

    def __init__(self, vad: Vad, settings: VadSettings) -> None:
        self._detector = SpeechDetector(vad, settings)
        self._preroll_samples = (settings.preroll_ms + settings.onset_ms) * HEARING_RATE // 1_000
        self._kept: deque[Pcm] = deque()
        self._samples = 0
        self._wanted_ms = FIRST_MS

    def hear(self, pcm: Pcm) -> bool:
        """Take audio (16 kHz mono int16, any length); whether somebody has talked for long enough by now."""
        talks = speaking = False
        for frame in self._detector.feed(pcm):
            speaking = speaking or frame.speaking
            if frame.speaking and frame.voiced_ms >= self._wanted_ms:
                talks = True
                self._wanted_ms += AGAIN_MS
            if frame.edge == "stopped":
                self._wanted_ms = FIRST_MS
        self._keep(pcm, KEPT_SAMPLES if speaking else self._preroll_samples)
        return talks

    def take(self) -> Pcm:
        """What was kept: the utterance that goes on, and a little before it."""
        kept = np.concatenate(self._kept) if self._kept else np.zeros(0, np.int16)
        self._kept.clear()
        self._samples = 0
        return kept

    def _keep(self, pcm: Pcm, most_samples: int) -> None:
        self._kept.append(pcm)
        self._samples += pcm.size
        while self._samples - self._kept[0].size >= most_samples:
            self._samples -= self._kept.popleft().size
