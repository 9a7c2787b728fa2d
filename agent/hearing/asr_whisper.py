"""Whisper by faster-whisper: far better than pocketsphinx, for any text, with a model that is downloaded first."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from agent.clock import Clock
from agent.errors import AsrError, LimitReached
from agent.hearing.port import OnPartial
from agent.hearing.whisper_process import COMMAND, WhisperProcess
from agent.hearing.whisper_queue import WhisperQueue
from agent.hearing.whisper_stream import WhisperStream
from agent.settings import AsrSettings


class WhisperAsr:
    """One process with one model, which all streams share.

    Make it inside the running event loop, for `clock`. `models`: the folder of downloaded models.
    """

    name = "whisper"

    def __init__(self, settings: AsrSettings, clock: Clock, models: Path, command: Sequence[str] = COMMAND) -> None:
        self._settings = settings
        self._models = models
        options: dict[str, str | int] = {
            "compute_type": settings.compute_type,
            "threads": settings.threads or max((os.cpu_count() or 1) // 2, 1),
            "beam": settings.beam,
            "language": settings.language,
            "min_context_ms": settings.min_context_ms,
            "folder": str(self.folder()),
        }
        self._process = WhisperProcess(options, clock, self._died, command)
        self._queue = WhisperQueue(self._process, clock, settings.partial_ms, settings.max_partial_ms)

    def folder(self) -> Path:
        """Of the model: `asr.model` is a folder, or the name of one among the downloaded models."""
        named = Path(self._settings.model)
        return named if named.is_dir() else self._models / named

    @property
    def pid(self) -> int | None:
        """Of the process, for tests and the benchmark."""
        return self._process.pid

    async def start(self) -> None:
        """Loads the model. Raises `AsrError`, which says what to do when it is missing or broken."""
        if not self.folder().is_dir():
            raise AsrError(
                f"the model {self._settings.model} is not in {self._models}; run "
                f"`voice-agent models pull {self._settings.model}`, or set asr.model to a folder that has it"
            )
        try:
            await self._process.start()
        except AsrError as error:
            raise AsrError(f"{error}; `voice-agent models pull` fetches a model again") from error
        self._queue.start()

    async def open(self, on_partial: OnPartial, on_error: Callable[[str], None]) -> WhisperStream:
        """Raises `LimitReached`, and `AsrError` when it is not started."""
        if self._queue.closed:
            raise AsrError("the recogniser is not started")
        if len(self._queue.streams) >= self._settings.workers:
            raise LimitReached(
                f"all {self._settings.workers} places of the recogniser are taken; raise asr.workers or end a session"
            )
        return self._queue.open(on_partial, on_error)

    async def close(self) -> None:
        """Ends every stream and the process."""
        await self._queue.close()
        await self._process.kill()

    def _died(self, why: str) -> None:
        for stream in self._queue.streams:
            stream.on_error(f"asr.worker_died: the recogniser's process ended ({why}) and is started again")
