"""webrtcvad: WebRTC's voice activity detector (Gaussian mixtures over six sub-bands)."""

from __future__ import annotations

import webrtcvad

from agent.hearing.port import HEARING_RATE, Pcm
from agent.settings import VadSettings


class WebRtcVad:
    """Takes frames of 10, 20 or 30 ms; says 0.0 or 1.0. Trails the end of speech by 50–130 ms."""

    name = "webrtcvad"

    def __init__(self, settings: VadSettings) -> None:
        self.frame_samples = HEARING_RATE * settings.frame_ms // 1000
        self._aggressiveness = settings.aggressiveness
        self._vad = webrtcvad.Vad(settings.aggressiveness)

    def probability(self, frame: Pcm) -> float:
        """1.0 for speech. `frame`: `frame_samples` int16 samples; raises `ValueError` otherwise."""
        if frame.shape != (self.frame_samples,):
            raise ValueError(f"a frame has {self.frame_samples} samples, not {frame.shape}")
        return 1.0 if self._vad.is_speech(frame.tobytes(), HEARING_RATE) else 0.0

    def reset(self) -> None:
        """Forget what the microphone sounded like."""
        self._vad = webrtcvad.Vad(self._aggressiveness)
