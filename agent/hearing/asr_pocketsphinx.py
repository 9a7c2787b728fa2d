"""pocketsphinx: speech recognition that comes with its English model and runs anywhere.

Every open stream has a process of its own, from a bounded pool; some are started ahead.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from agent.clock import Clock
from agent.errors import AsrError, LimitReached
from agent.hearing import language
from agent.hearing.port import OnPartial
from agent.hearing.sphinx_process import SphinxProcess
from agent.hearing.sphinx_stream import SphinxStream
from agent.settings import AsrSettings


class PocketsphinxAsr:
    """`sentences`: what the skills understand, one request each; the recogniser's domain.

    `cache_dir` keeps the language model made of them, named by its content; a temporary
    folder serves when it is None. Make it inside the running event loop, for `clock`.
    """

    name = "pocketsphinx"

    def __init__(
        self, settings: AsrSettings, sentences: Sequence[str], clock: Clock, cache_dir: Path | None = None
    ) -> None:
        self._settings = settings
        self._sentences = sentences
        self._clock = clock
        self._cache_dir = cache_dir
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._arguments: tuple[str, str, str] | None = None
        self._spare: list[SphinxProcess] = []
        self._streams: set[SphinxStream] = set()
        self._opening = 0
        self._lock = asyncio.Lock()
        self.report = ""
        """After `start`: which example sentences cannot be heard, and why; empty if all can."""

    async def start(self) -> None:
        """Builds the language model and starts the spare processes. Raises `AsrError`."""
        # Imported here: only this engine needs the package, and others must run without it.
        from agent.hearing.sphinx_decoder import dictionary

        known = language.pronunciations(dictionary(), language.words_of(self._sentences) | set(language.FILLERS))
        found = language.domain(self._sentences, known)
        self.report = found.report()
        if not found.sentences:
            raise AsrError(f"the recogniser has no example sentence that it can pronounce. {self.report}")
        if self._cache_dir is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="voice-agent-")
        folder = Path(self._temporary.name) if self._temporary else self._cache_dir or Path()
        fillers = [filler for filler in language.FILLERS if filler in known]
        try:
            model = language.arpa_file(found.sentences, fillers, folder)
            words = language.written(language.dictionary_of(found.sentences, fillers, known), folder, ".dict")
        except OSError as error:
            raise AsrError(f"the language model could not be written to {folder}: {error}") from error
        self._arguments = (str(model), str(words), str(self._settings.rejection))
        await self._fill()
        for process in self._spare:
            await process.ready()

    async def open(self, on_partial: OnPartial, on_error: Callable[[str], None]) -> SphinxStream:
        """A stream with a process of its own. Raises `LimitReached`, `AsrError`."""
        if len(self._streams) + self._opening >= self._settings.workers:
            raise LimitReached(
                f"all {self._settings.workers} recognisers are in use; raise asr.workers or end another session"
            )
        self._opening += 1
        try:
            process = await self.take()
            stream = SphinxStream(self, process, self._settings.max_behind_ms, on_partial, on_error, self._closed)
            self._streams.add(stream)
        finally:
            self._opening -= 1
        return stream

    async def close(self) -> None:
        """Ends every stream and process."""
        for stream in list(self._streams):
            await stream.close()
        async with self._lock:
            self._arguments = None
            while self._spare:
                await self._spare.pop().kill()
        if self._temporary is not None:
            self._temporary.cleanup()
            self._temporary = None

    # ── the pool of processes, used by streams ───────────────────────────────────────────

    async def take(self) -> SphinxProcess:
        """A process that is ready; the next spare is started at once. Raises `AsrError`."""
        async with self._lock:
            process = self._next_spare() or await self._spawn()
        try:
            await process.ready()
        except BaseException:
            await process.kill()
            raise
        await self._fill()
        return process

    async def give_up(self, process: SphinxProcess) -> None:
        """Ends and reaps a process."""
        await process.kill()

    def _next_spare(self) -> SphinxProcess | None:
        while self._spare:
            process = self._spare.pop(0)
            if process.alive:
                return process
        return None

    async def _fill(self) -> None:
        """Spares, as many as are wanted and as further streams could use: never more than `workers` processes."""
        async with self._lock:
            self._spare = [process for process in self._spare if process.alive]
            free = self._settings.workers - len(self._streams) - self._opening
            while self._arguments is not None and len(self._spare) < min(self._settings.spare, free):
                self._spare.append(await self._spawn())

    async def _spawn(self) -> SphinxProcess:
        if self._arguments is None:
            raise AsrError("the recogniser is not started")
        return await SphinxProcess.spawn(self._arguments, self._clock)

    async def _closed(self, stream: SphinxStream) -> None:
        self._streams.discard(stream)
