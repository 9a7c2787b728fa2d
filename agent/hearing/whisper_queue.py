"""Whose audio is decoded next, when all sessions share one model.

Finals first, then who has paused, then partials: within each the one that has waited longest, so
that sessions take turns. A decode cannot be cancelled, so partials leave room: the interval between
two of a stream grows until they take half of the decoder's time. When that would make them staler
than `max_partial_ms`, there are none, until there is room again; finals still come.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from agent.clock import Clock
from agent.errors import AsrError
from agent.hearing.port import OnPartial
from agent.hearing.whisper_protocol import Request, Transcript
from agent.hearing.whisper_stream import Want, WhisperStream

PARTIALS_SHARE = 0.5
SMOOTHING = 0.3
TALKING_US = 1_000_000
"""A stream that got no audio for so long is not being talked to."""


class Decoder(Protocol):
    """What decodes: `WhisperProcess`."""

    async def transcribe(self, request: Request) -> Transcript:
        """Raises `AsrError`."""
        ...


class WhisperQueue:
    """The streams of one decoder. `run` is its only task."""

    def __init__(self, decoder: Decoder, clock: Clock, partial_ms: int, max_partial_ms: int) -> None:
        self._decoder = decoder
        self._clock = clock
        self._partial_us = partial_ms * 1_000
        self._max_partial_us = max_partial_ms * 1_000
        self._streams: list[WhisperStream] = []
        self._changed = asyncio.Event()
        self._decode_us = 0.0
        """A decode's duration, smoothed."""
        self.task: asyncio.Task[None] | None = None

    @property
    def streams(self) -> tuple[WhisperStream, ...]:
        return tuple(self._streams)

    def start(self) -> None:
        """Begin to decode."""
        self.task = asyncio.create_task(self._run(), name="whisper")

    async def close(self) -> None:
        """Ends the task, a decode under way included."""
        for stream in self.streams:
            await stream.close()
        if self.task is not None:
            self.task.cancel()
            await asyncio.wait({self.task})

    @property
    def closed(self) -> bool:
        """It does not decode, or not yet."""
        return self.task is None or self.task.done()

    def open(self, on_partial: OnPartial, on_error: Callable[[str], None]) -> WhisperStream:
        """One more stream."""
        stream = WhisperStream(self, on_partial, on_error)
        self._streams.append(stream)
        return stream

    def remove(self, stream: WhisperStream) -> None:
        self._streams.remove(stream)

    def now_us(self) -> int:
        return self._clock.now_us()

    def wake(self) -> None:
        """A stream may want something else than before."""
        self._changed.set()

    def partial_us(self) -> int | None:
        """How long a stream waits from one partial to the next; None when there are none."""
        now_us = self.now_us()
        talking = sum(now_us - stream.pushed_us < TALKING_US for stream in self._streams)
        wanted_us = max(self._partial_us, round(talking * self._decode_us / PARTIALS_SHARE))
        return wanted_us if wanted_us <= max(self._max_partial_us, self._partial_us) else None

    async def _run(self) -> None:
        while True:
            self._changed.clear()
            stream, due_us = self._next()
            if stream is not None:
                await self._decode(stream)
            elif due_us is None:
                await self._changed.wait()
            else:
                await self._wait_until(due_us)

    def _next(self) -> tuple[WhisperStream | None, int | None]:
        """The stream whose turn it is; if none, when the next partial is due."""
        interval_us, now_us = self.partial_us(), self.now_us()
        ready: list[tuple[Want, int, int]] = []
        due_us: int | None = None
        for index, stream in enumerate(self._streams):
            want = stream.want()
            if want is None:
                continue
            since_us = stream.waiting_since_us(want)
            if want is Want.PARTIAL and interval_us is None:
                self._tell_behind(stream)
            elif want is Want.PARTIAL and interval_us is not None and since_us + interval_us > now_us:
                due_us = min(since_us + interval_us, due_us or since_us + interval_us)
            else:
                ready.append((want, since_us, index))
        return (self._streams[min(ready)[2]] if ready else None), due_us

    async def _wait_until(self, due_us: int) -> None:
        try:
            async with asyncio.timeout((due_us - self.now_us()) / 1e6):
                await self._changed.wait()
        except TimeoutError:
            return

    async def _decode(self, stream: WhisperStream) -> None:
        job = stream.job()
        began_us = self.now_us()
        try:
            transcript = await self._decoder.transcribe(job.request)
        except AsrError as error:
            stream.fail(job, error)
            return
        weight = SMOOTHING if self._decode_us else 1.0
        self._decode_us += weight * (self.now_us() - began_us - self._decode_us)
        stream.heard(job, transcript)

    def _tell_behind(self, stream: WhisperStream) -> None:
        if not stream.told_behind:
            stream.told_behind = True
            stream.on_error("asr.behind: the recogniser is too slow for partial texts; only whole utterances are told")
