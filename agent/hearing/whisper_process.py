"""The Whisper process, seen from its owner: started again when it dies."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Mapping, Sequence

from agent.clock import Clock
from agent.errors import AsrError
from agent.hearing import whisper_protocol as protocol
from agent.hearing.whisper_protocol import Request, Transcript
from agent.hearing.worker_process import WorkerDiedError, WorkerProcess
from agent.hearing.worker_protocol import ProtocolError

COMMAND = (sys.executable, "-m", "agent.hearing.whisper_worker")
ANSWER_TIMEOUT_S = 20.0
"""A decode that takes longer hangs. 30 s of speech take a large model about as long as that on two cores."""
TRIES = 2


class WhisperProcess:
    """One process, one request at a time. Nothing is lost with it: a request holds all that it needs."""

    def __init__(
        self,
        options: Mapping[str, str | int],
        clock: Clock,
        on_death: Callable[[str], None],
        command: Sequence[str] = COMMAND,
    ) -> None:
        """`options`: those of `WhisperDecoder`. `on_death` is told why, once for each death."""
        self._command = (*command, json.dumps(dict(options)))
        self._clock = clock
        self._on_death = on_death
        self._process: WorkerProcess | None = None

    @property
    def pid(self) -> int | None:
        """For tests and the benchmark; None while there is no process."""
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Returns once the model is loaded. Raises `AsrError`."""
        process = await WorkerProcess.start(self._command, self._clock)
        try:
            await process.ready()
        except BaseException:
            await process.kill()
            raise
        self._process = process

    async def transcribe(self, request: Request) -> Transcript:
        """Raises `AsrError` when the process dies of it twice, or cannot be started again."""
        for _ in range(TRIES):
            if self._process is None:
                await self.start()
            try:
                return await self._ask(request)
            except (WorkerDiedError, ProtocolError, TimeoutError) as death:
                await self.kill()
                self._on_death(str(death) or f"it gave no answer within {ANSWER_TIMEOUT_S:g} s")
        raise AsrError("the recogniser's process ended twice over the same audio, which is not heard")

    async def kill(self) -> None:
        """Ends the process, if there is one, and reaps it."""
        process, self._process = self._process, None
        if process is not None:
            await process.kill()

    async def _ask(self, request: Request) -> Transcript:
        if self._process is None:
            raise WorkerDiedError("it is not there")
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            body = await self._process.ask(protocol.packed_request(request), protocol.TRANSCRIPT)
        return protocol.transcript_in(body)
