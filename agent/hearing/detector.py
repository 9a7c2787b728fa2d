"""What one microphone's audio says frame by frame: speech edges, and how much of it is voiced."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from agent.hearing.echo import EchoGuard, Verdict
from agent.hearing.gate import Edge, Gate
from agent.hearing.port import HEARING_RATE, Pcm, Vad
from agent.hearing.steadiness import Steadiness
from agent.hearing.voicing import VOICED_FROM, WINDOW_SAMPLES, periodicity
from agent.settings import VadSettings


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame, judged. Times are in samples before the newest sample that was fed."""

    pcm: Pcm
    edge: Edge
    speaking: bool
    ago_samples: int
    """From the end of this frame to the newest sample."""
    run_samples: int
    """With the edge `started`: from the onset to the end of this frame."""
    silent_samples: int
    """With the edge `stopped`: from the end of the last speech frame to the end of this one."""
    voiced_ms: int
    """Voiced speech of the utterance so far, with the frames that made the onset; no hum, and no tone."""
    echo: bool = False
    """It holds the agent's own voice and no other."""


class SpeechDetector:
    """Cuts audio of any length into frames and runs the engine, the guard, the gate and the voicing."""

    def __init__(self, vad: Vad, settings: VadSettings, guard: EchoGuard | None = None) -> None:
        self._vad = vad
        self._guard = guard
        self._settings = settings
        self._frame_ms = vad.frame_samples * 1000 // HEARING_RATE
        self._gate = Gate(self._fitted(settings))
        self._rest: Pcm = np.zeros(0, dtype=np.int16)
        self._window: Pcm = np.zeros(WINDOW_SAMPLES, dtype=np.int16)
        self._voiced_ms = 0
        self._steadiness = Steadiness(self._frame_ms)

    @property
    def speaking(self) -> bool:
        """An utterance goes on."""
        return self._gate.speaking

    def configure(self, settings: VadSettings) -> None:
        """New thresholds; engine, frame length and aggressiveness stay as they are."""
        self._settings = settings
        self._gate.configure(self._fitted(settings))

    def feed(self, pcm: Pcm, heard_us: int = 0) -> Iterator[Frame]:
        """The frames that `pcm` completes, oldest first. Its last sample was heard at `heard_us`."""
        audio = np.concatenate((self._rest, pcm)) if self._rest.size else pcm
        size = self._vad.frame_samples
        whole = audio.size - audio.size % size
        self._rest = audio[whole:].copy()
        for start in range(0, whole, size):
            yield self._judge(audio[start : start + size], audio.size - start - size, heard_us)

    def _judge(self, frame: Pcm, ago_samples: int, heard_us: int) -> Frame:
        self._window = np.concatenate((self._window, frame))[-WINDOW_SAMPLES:]
        samples = frame.astype(np.float32)
        samples -= samples.sum() / samples.size  # a sound card's offset is no sound
        rms = math.sqrt(float(samples @ samples) / samples.size)
        gate, probability = self._gate, self._vad.probability(frame)
        verdict = self._verdict(frame, heard_us - ago_samples * 1_000_000 // HEARING_RATE, probability, rms)
        edge = gate.step(probability, rms, verdict)
        if gate.active:
            steady = self._steadiness.step(self._window)
            if not steady and periodicity(self._window) >= VOICED_FROM:
                self._voiced_ms += self._frame_ms
        elif not gate.speaking and edge != "stopped":
            self._voiced_ms = 0
            self._steadiness.reset()
        size = self._vad.frame_samples
        run_samples, silent_samples = gate.run_frames * size, gate.silent_frames * size
        echo = verdict == "echo"
        judged = Frame(frame, edge, gate.speaking, ago_samples, run_samples, silent_samples, self._voiced_ms, echo)
        if edge == "stopped":
            self._voiced_ms = 0
        return judged

    def _verdict(self, frame: Pcm, end_us: int, probability: float, rms: float) -> Verdict:
        if self._guard is None:
            return "near"
        speech = probability >= self._settings.threshold and rms >= self._settings.min_rms
        return self._guard.judge(frame, end_us, speech=speech)

    def _fitted(self, settings: VadSettings) -> VadSettings:
        return settings.model_copy(update={"frame_ms": self._frame_ms})
