"""The piper process, seen from its owner: jobs that are opened, asked for their next sentence, and stopped."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agent.clock import Clock
from agent.conversation.events import Json
from agent.errors import TtsError
from agent.speaking import piper_protocol as protocol
from agent.speaking.port import Speech, SpokenWord

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 1.0
COMMAND = (sys.executable, "-m", "agent.speaking.piper_worker")
_SETTLE_S = 0.000_001


class Job:
    """One text. Its owner asks for a sentence at a time, so that no more than one waits for a slow reader."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.pieces: list[Speech] = []
        self.asked = False
        """Whether a sentence is being made."""
        self.more = True
        self.failure = ""
        self.stopped = asyncio.Event()
        self.news = asyncio.Event()


class PiperProcess:
    """One process for all sessions; jobs take turns in it. Kill it at any time."""

    def __init__(self, process: Process, clock: Clock) -> None:
        if process.stdin is None or process.stdout is None:
            raise ValueError("the process needs pipes")
        self._process = process
        self._inward, self._outward = process.stdin, process.stdout
        self._clock = clock
        self._jobs: dict[int, Job] = {}
        self._last = 0
        self._reader: asyncio.Task[None] | None = None
        self.sample_rate = 0

    @classmethod
    async def spawn(cls, arguments: Sequence[str], clock: Clock, command: Sequence[str] = COMMAND) -> PiperProcess:
        """Start it and wait until its voice is loaded. `arguments` are those of `piper_worker`. Raises `TtsError`."""
        try:
            async with clock.external():
                process = await asyncio.create_subprocess_exec(*command, *arguments, stdin=PIPE, stdout=PIPE)
        except OSError as error:
            raise TtsError(f"the voice's process could not be started: {error}") from error
        made = cls(process, clock)
        try:
            await made.greet()
        except BaseException:
            await made.kill()
            raise
        return made

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.returncode is None and self._reader is not None and not self._reader.done()

    async def greet(self) -> None:
        """Wait until the voice is loaded. Raises `TtsError`."""
        try:
            async with asyncio.timeout(START_TIMEOUT_S), self._clock.external():
                kind, head, _ = await self._receive()
        except (asyncio.IncompleteReadError, ConnectionError, protocol.ProtocolError, TimeoutError) as error:
            reason = "it took too long" if isinstance(error, TimeoutError) else "it ended"
            raise TtsError(f"the voice's process did not start ({reason}); its message is on standard error") from error
        if kind == protocol.FAILED:
            raise TtsError(str(head.get("message", "")))
        if kind != protocol.HELLO or head.get("version") != protocol.VERSION:
            raise TtsError(f"the voice's process speaks version {head.get('version')}, not {protocol.VERSION}")
        self.sample_rate = int(str(head["sample_rate"]))
        self._reader = asyncio.get_running_loop().create_task(self._read(), name="voice process")

    def open(self, text: str, speed: float) -> Job:
        """Begin a text; nothing is made of it before `next`."""
        self._last += 1
        job = self._jobs[self._last] = Job(self._last)
        self._write(protocol.packed(protocol.SAY, {"job": job.number, "text": text, "speed": speed}))
        return job

    async def next(self, job: Job) -> list[Speech] | None:
        """What there is of the next sentence, or None behind the last. Raises `TtsError`."""
        while not job.pieces:
            if job.failure:
                raise TtsError(job.failure)
            if not job.asked:
                if not job.more:
                    return None
                job.asked = True
                self._write(protocol.packed(protocol.NEXT, {"job": job.number}))
            await self._news(job)
        pieces, job.pieces = job.pieces, []
        return pieces

    async def _news(self, job: Job) -> None:
        """In virtual time the whole sentence, and whatever else is ready goes first: the pace of a process must
        not decide what happens in which order."""
        async with self._clock.external():
            while True:
                job.news.clear()
                if not (job.asked and (self._clock.virtual or not job.pieces) and not job.failure):
                    break
                await job.news.wait()
        if self._clock.virtual:
            await asyncio.sleep(_SETTLE_S)

    async def stop(self, job: Job) -> None:
        """Return once the process is not working on this any more; it is killed if it does not stop."""
        try:
            if self.alive and (job.more or job.asked):
                self._write(protocol.packed(protocol.STOP, {"job": job.number}))
                async with asyncio.timeout(STOP_TIMEOUT_S), self._clock.external():
                    await job.stopped.wait()
        except TimeoutError:
            await self.kill()
        finally:
            self._jobs.pop(job.number, None)

    async def kill(self) -> None:
        """End the process at once (it keeps nothing worth saving) and reap it; its jobs fail."""
        if self._process.returncode is None:
            self._process.kill()
        self._inward.close()
        async with self._clock.external():
            await self._process.wait()
            if self._reader is not None:
                await asyncio.wait({self._reader})

    def _write(self, message: bytes) -> None:
        # Never much: a text and single words. A process that is gone is noticed by the reader.
        if not self._inward.is_closing():
            self._inward.write(message)

    async def _receive(self) -> tuple[bytes, dict[str, Json], NDArray[np.int16]]:
        kind, length = protocol.header(await self._outward.readexactly(protocol.HEADER.size))
        return (kind, *protocol.body(await self._outward.readexactly(length)))

    async def _read(self) -> None:
        """Hand what comes to its job until the process is gone."""
        reason = "the voice's process ended"
        try:
            while True:
                kind, head, pcm = await self._receive()
                job = self._jobs.get(int(str(head["job"])))
                if job is not None:
                    _take(job, kind, head, pcm)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except (protocol.ProtocolError, KeyError, ValueError, TypeError) as error:
            reason = f"the voice's process broke its protocol: {error!r}"
            self._process.kill()
        for job in self._jobs.values():
            job.failure = job.failure or reason
            job.asked = job.more = False
            job.stopped.set()
            job.news.set()


def _take(job: Job, kind: bytes, head: dict[str, Json], pcm: NDArray[np.int16]) -> None:
    if kind == protocol.AUDIO:
        job.pieces.append(Speech(pcm, _words(head["words"]), bool(head["estimated"])))
    elif kind == protocol.DONE:
        job.asked, job.more = False, bool(head["more"])
    elif kind == protocol.FAILED:
        job.asked, job.failure = False, str(head["message"])
    elif kind == protocol.STOPPED:
        job.asked = job.more = False
        job.stopped.set()
    else:
        raise protocol.ProtocolError(f"a message of unknown kind {kind!r}")
    job.news.set()


def _words(found: Json) -> tuple[SpokenWord, ...]:
    """Raises `TypeError`, `ValueError` for what is no list of words."""
    if not isinstance(found, list):
        raise TypeError("the words are no list")
    return tuple(SpokenWord(*(int(str(number)) for number in word)) for word in found if isinstance(word, list))
