"""A worker process, seen from its owner."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from typing import Any, Self

from agent.clock import Clock
from agent.errors import AsrError
from agent.hearing import worker_protocol as protocol

START_TIMEOUT_S = 30.0


class WorkerDiedError(Exception):
    """The process is gone or broke the protocol."""


class WorkerProcess:
    """Spoken to in lockstep: one request, its answer, the next. Kill it at any time."""

    version = 1
    """Of the protocol that the worker must speak."""

    def __init__(self, process: Process, clock: Clock) -> None:
        if process.stdin is None or process.stdout is None:
            raise ValueError("the process needs pipes")
        self._process = process
        self._inward, self._outward = process.stdin, process.stdout
        self._clock = clock
        self._greeted = False

    @classmethod
    async def start(cls, command: Sequence[str], clock: Clock) -> Self:
        """Starts the process and does not wait for its models. Raises `AsrError`."""
        try:
            async with clock.external():
                process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
        except OSError as error:
            raise AsrError(f"the recogniser's process could not be started: {error}") from error
        return cls(process, clock)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.returncode is None

    async def ready(self) -> None:
        """Waits until the models are loaded. Raises `AsrError`; the process is then dead."""
        if self._greeted:
            return
        try:
            async with asyncio.timeout(START_TIMEOUT_S), self._clock.external():
                hello = await self._receive(protocol.HELLO)
        except (WorkerDiedError, TimeoutError) as error:
            await self.kill()
            raise AsrError(
                f"the recogniser's process did not start ({error or 'it took too long'}); "
                "run `voice-agent doctor`, its own message is on standard error"
            ) from error
        if "error" in hello:
            await self.kill()
            raise AsrError(str(hello["error"]))
        if hello.get("version") != self.version:
            await self.kill()
            raise AsrError(f"the recogniser's process speaks version {hello.get('version')}, not {self.version}")
        self._greeted = True

    async def kill(self) -> None:
        """Ends the process at once (it keeps nothing worth saving) and reaps it."""
        if self._process.returncode is None:
            self._process.kill()
        self._inward.close()
        async with self._clock.external():
            await self._process.wait()

    async def ask(self, message: bytes, answer: bytes) -> dict[str, Any]:
        """Sends a message; the JSON of its answer, of kind `answer`. Raises `WorkerDiedError`."""
        async with self._clock.external():
            await self.tell(message)
            return await self._receive(answer)

    async def tell(self, message: bytes) -> None:
        """Sends a message that has no answer. Raises `WorkerDiedError`."""
        try:
            self._inward.write(message)
            await self._inward.drain()
        except (BrokenPipeError, ConnectionResetError) as error:
            raise WorkerDiedError("it ended") from error

    async def _receive(self, expected: bytes) -> dict[str, Any]:
        try:
            kind, length = protocol.header(await self._outward.readexactly(protocol.HEADER.size))
            data = await self._outward.readexactly(length)
            if kind != expected:
                raise protocol.ProtocolError(f"a message of kind {kind!r} where {expected!r} was due")
            return protocol.body(data)
        except (asyncio.IncompleteReadError, ConnectionResetError) as error:
            raise WorkerDiedError("it ended") from error
        except protocol.ProtocolError as error:
            raise WorkerDiedError(str(error)) from error
