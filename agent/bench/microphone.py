"""A paced microphone track that is given something to say."""

from __future__ import annotations

import asyncio
import fractions
from dataclasses import dataclass, field

import numpy as np
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame
from numpy.typing import NDArray

from agent.clock import Clock

Pcm = NDArray[np.int16]

RATE = 48_000
STEP = 960
STEP_US = 20_000
ROOM_RMS = 4.0
"""Nobody's room is digitally silent."""
STALLED_US = 500_000
"""A microphone this late goes on from now instead of sending a burst."""


@dataclass(slots=True)
class Utterance:
    """What was said, and when its first and last samples were captured, on the caller's clock."""

    pcm: Pcm
    position: int = 0
    first_us: int = 0
    last_us: int = 0
    done: asyncio.Event = field(default_factory=asyncio.Event)


class Microphone(MediaStreamTrack):
    """48 kHz mono in frames of 20 ms. A frame leaves when its last sample has been captured."""

    kind = "audio"

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._origin_us: int | None = None
        self._frames = 0
        self._said: Utterance | None = None
        self._room = np.random.default_rng(1).normal(0, ROOM_RMS, STEP * 50).astype(np.int16)

    def say(self, pcm: Pcm) -> Utterance:
        """Begin with the next frame; what is still being said is broken off."""
        if self._said is not None:
            self._said.done.set()
        self._said = Utterance(pcm)
        return self._said

    async def recv(self) -> AudioFrame:
        """The next frame, when it is due."""
        if self.readyState != "live":
            raise MediaStreamError
        if self._origin_us is None:
            self._origin_us = self._clock.now_us()
        due_us = self._origin_us + self._frames * STEP_US
        await self._clock.sleep_until(due_us)
        now_us = self._clock.now_us()
        if now_us - due_us > STALLED_US:
            self._origin_us += now_us - due_us
        frame = AudioFrame.from_ndarray(self._samples(now_us)[None, :], layout="mono")
        frame.sample_rate, frame.pts = RATE, self._frames * STEP
        frame.time_base = fractions.Fraction(1, RATE)
        self._frames += 1
        return frame

    def _samples(self, now_us: int) -> Pcm:
        start = (self._frames % 50) * STEP
        pcm = self._room[start : start + STEP].copy()
        said = self._said
        if said is None:
            return pcm
        part = said.pcm[said.position : said.position + STEP]
        pcm[: part.size] = part
        if said.position == 0:
            said.first_us = now_us - STEP_US
        said.position += part.size
        if said.position >= said.pcm.size:
            said.last_us = now_us - (STEP - part.size) * 1_000_000 // RATE
            self._said = None
            said.done.set()
        return pcm
