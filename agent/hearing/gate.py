"""From frames to utterances: onset, hangover, and the levels that make the end sharp.

A frame is speech if the engine says so and its level stands out: above `min_rms`, above the
noise floor, and not far below the loudest speech just heard. The levels take away most of
what an engine such as webrtcvad trails behind the last word; the margin is wide enough
(35 dB) that weak endings and breaths between words still count.

Pure: frames in, edges out; the caller knows the time.
"""

from __future__ import annotations

from collections import deque
from typing import Literal

from agent.hearing.echo import Verdict
from agent.settings import VadSettings

Edge = Literal["", "started", "stopped"]

BELOW_PEAK_DB = 35.0
"""A frame this far below the recent peak is silence. On 370 flite and espeak-ng sentences the
end found is within 10 ms for half of them; 30 dB begins to cut endings and to split at pauses."""
ABOVE_FLOOR = 1.6
"""A frame must exceed the noise floor by this factor (4 dB)."""
PEAK_DECAY_DB_PER_S = 3.0
PEAK_DECAY_SILENT_DB_PER_S = 10.0
"""Between utterances the peak is soon forgotten: after a bang a soft voice must count."""
_FLOOR_BLOCK_MS = 250
_FLOOR_BLOCKS = 13
_FLOOR_BLOCKS_NEEDED = 5


class NoiseFloor:
    """The quietest 30 ms of the last three seconds: minimum statistics (Martin, 2001).

    The newest quarter second does not count, or a word's weak ending would be its own floor.
    """

    def __init__(self, frame_ms: int) -> None:
        self._smoothed: deque[float] = deque(maxlen=max(1, 30 // frame_ms))
        self._block_frames = max(1, _FLOOR_BLOCK_MS // frame_ms)
        self._blocks: deque[float] = deque(maxlen=_FLOOR_BLOCKS)
        self._block = float("inf")
        self._count = 0
        self.rms = 0.0
        """0 until 1.5 s have been heard."""

    def step(self, rms: float) -> None:
        """One frame's level."""
        self._smoothed.append(rms)
        self._count += 1
        if len(self._smoothed) == self._smoothed.maxlen:
            self._block = min(self._block, sum(self._smoothed) / len(self._smoothed))
        if self._count % self._block_frames == 0:
            self._blocks.append(self._block)
            self._block = float("inf")
            if len(self._blocks) > _FLOOR_BLOCKS_NEEDED:
                self.rms = min(list(self._blocks)[:-1])


class Gate:
    """The onset and hangover machine of one microphone."""

    def __init__(self, settings: VadSettings) -> None:
        self._settings = settings
        self._floor = NoiseFloor(settings.frame_ms)
        self._peak = 0.0
        self.speaking = False
        self.active = False
        """The last frame was speech."""
        self.run_frames = 0
        """Speech frames in a row, while not speaking."""
        self.silent_frames = 0
        """Frames since the last speech frame, while speaking."""

    def configure(self, settings: VadSettings) -> None:
        """New thresholds from the next frame on; the frame length stays."""
        self._settings = settings

    def step(self, probability: float, rms: float, verdict: Verdict = "near") -> Edge:
        """One frame: the engine's speech probability, the frame's level, and whose voice it is.

        Echo is silence. While that is unsure speech goes on, but does not start.
        """
        self._floor.step(rms)
        self.active = verdict != "echo" and self._is_speech(probability, rms)
        return self._stop_edge() if self.speaking else self._start_edge(verdict)

    def _is_speech(self, probability: float, rms: float) -> bool:
        settings = self._settings
        decay_db = PEAK_DECAY_DB_PER_S if self.speaking else PEAK_DECAY_SILENT_DB_PER_S
        self._peak *= 10.0 ** (-decay_db * settings.frame_ms / 1000 / 20)
        if probability < settings.threshold:
            return False
        self._peak = max(self._peak, rms)
        below_peak: float = self._peak * 10.0 ** (-BELOW_PEAK_DB / 20)
        return rms >= max(settings.min_rms, self._floor.rms * ABOVE_FLOOR, below_peak)

    def _start_edge(self, verdict: Verdict) -> Edge:
        self.run_frames = self.run_frames + 1 if self.active else 0
        if verdict == "unsure" or self.run_frames * self._settings.frame_ms < self._settings.onset_ms:
            return ""
        self.speaking = True
        self.silent_frames = 0
        return "started"

    def _stop_edge(self) -> Edge:
        self.silent_frames = 0 if self.active else self.silent_frames + 1
        if self.silent_frames * self._settings.frame_ms < self._settings.hangover_ms:
            return ""
        self.speaking = False
        self.run_frames = 0
        return "stopped"
