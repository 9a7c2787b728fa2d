"""Both sides of a conversation as they sound, written beside its timeline.

The session hands over what it hears and says at the moment at which it does; each lane is laid at its place in
session time, silence between. Once a second a thread writes what is there. A disk that fails ends the recording,
never the conversation.
"""

from __future__ import annotations

import asyncio
import logging
import wave
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.audio.resample import Resampler
from agent.clock import Clock
from agent.errors import StoreError
from agent.recordings import CHANNELS, RATE, Recordings

Pcm = NDArray[np.int16]

WRITE_S = 1.0
LATE_S = 0.5
"""How late audio may come and still be laid at its place."""
SLACK_SAMPLES = RATE // 10
"""Audio that comes earlier or later than it should by less than this is laid behind the last."""
MAX_HELD_S = 30
"""What waits for a slow disk; beyond it the recording ends."""
PLAYOUT_RATE = 48_000

log = logging.getLogger("agent")


class _Lane:
    """Audio at its place, mono int16 at `RATE`. `end`: samples since the recording began."""

    def __init__(self) -> None:
        self.end = 0
        self._parts: list[Pcm] = []
        self.held = 0

    def lay(self, pcm: Pcm, at: int) -> None:
        gap = at - self.end
        if gap > SLACK_SAMPLES:
            self.pad(at)
        self._append(pcm)

    def pad(self, until: int) -> None:
        if until > self.end:
            self._append(np.zeros(until - self.end, dtype=np.int16))

    def take(self, samples: int) -> Pcm:
        """The first samples of those held."""
        held = np.concatenate([np.zeros(0, np.int16), *self._parts])
        self._parts, self.held = [held[samples:]], len(held) - samples
        return held[:samples]

    def _append(self, pcm: Pcm) -> None:
        self._parts.append(pcm)
        self.end += len(pcm)
        self.held += len(pcm)


@dataclass(frozen=True, slots=True)
class _Block:
    """`forget`: delete what there is first. `start_us`: where the recording begins, in session time. `pcm`: shape
    (samples, 2)."""

    forget: bool
    start_us: int
    pcm: Pcm


class Recorder:
    """Records one session, from the first sound on. `now_us` is session time."""

    def __init__(self, recordings: Recordings, session_id: str, clock: Clock, now_us: Callable[[], int]) -> None:
        self._recordings = recordings
        self._session_id = session_id
        self._clock = clock
        self._now_us = now_us
        self._failed = False
        self._forget = False
        self._file: wave.Wave_write | None = None
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._start_us: int | None = None
        self._user, self._agent = _Lane(), _Lane()
        self._down = Resampler(PLAYOUT_RATE, RATE)

    def hear(self, pcm: Pcm) -> None:
        """What the microphone has just heard: mono int16, 16 kHz."""
        if not self._failed:
            self._user.lay(pcm, self._place() - len(pcm))

    def say(self, frame: Pcm | None) -> None:
        """What is played from now on: mono int16, 48 kHz; None is silence."""
        if frame is not None and not self._failed:
            self._agent.lay(self._down.push(frame), self._place())

    def _place(self) -> int:
        """This moment in samples of the recording."""
        now_us = self._now_us()
        if self._start_us is None:
            self._start_us = now_us
        return (now_us - self._start_us) * RATE // 1_000_000

    def forget(self) -> None:
        """Delete what was recorded of this session; what follows is kept."""
        self._forget = True
        self._begin_anew()

    async def run(self) -> None:
        """Write until cancelled, and then what is left."""
        thread, loop = ThreadPoolExecutor(1, thread_name_prefix="recorder"), asyncio.get_running_loop()
        try:
            while True:
                await asyncio.sleep(WRITE_S)
                taken = self._taken(round(LATE_S * RATE))
                async with self._clock.external():
                    await loop.run_in_executor(thread, self._write, taken)
        finally:
            thread.submit(self._write, self._taken(0))
            thread.submit(self._close)
            thread.shutdown()

    def _taken(self, late: int) -> _Block:
        """What is to be done next, all of it from one moment: what was forgotten is never written behind."""
        forget, self._forget = self._forget, False
        if self._start_us is None or self._failed:
            return _Block(forget, 0, np.zeros((0, CHANNELS), np.int16))
        until = self._place() - late
        for lane in (self._user, self._agent):
            lane.pad(until)
        samples = min(self._user.held, self._agent.held)
        if samples > MAX_HELD_S * RATE:
            self._fail(f"more than {MAX_HELD_S} s wait to be written")
        pcm = np.stack([self._user.take(samples), self._agent.take(samples)], axis=1)
        return _Block(forget, self._start_us, pcm)

    def _write(self, block: _Block) -> None:
        pcm = block.pcm
        try:
            if block.forget:
                self._close()
                self._recordings.delete(self._session_id)
            if len(pcm) and self._file is None:
                path = self._recordings.new(self._session_id, block.start_us // 1_000)
                self._file = wave.open(str(path), "wb")  # noqa: SIM115 - it stays open for the whole conversation
                self._file.setparams((CHANNELS, 2, RATE, 0, "NONE", ""))
            if self._file is not None and len(pcm):
                self._file.writeframes(pcm.tobytes())  # with the header, so that a killed process leaves a whole file
        except (OSError, StoreError) as error:
            self._fail(str(error))

    def _fail(self, why: str) -> None:
        self._failed = True
        log.error("session %s is not recorded any further: %s", self._session_id, why)

    def _close(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            file.close()
