"""espeak-ng as a synthesiser: embedded, about 1 ms to the first word, exact word times.

The engine runs in one thread of its own, which all sessions share: it is not thread-safe. It is
some 300 times faster than speech, so sessions take turns by text segment.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from agent.clock import Clock
from agent.errors import TtsError
from agent.settings import TtsSettings
from agent.speaking.espeak_library import EspeakLibrary
from agent.speaking.port import MAX_TEXT_CHARS, Speech
from agent.speaking.text_segments import plain, segments
from agent.speaking.word_times import WordStart, WordTimer

WORDS_PER_MINUTE = 175
"""The engine's own speed, `speed` 1.0."""
_SEGMENT_CHARS = 300
"""One turn of a session in the engine's thread, and what can wait for a slow reader."""
_STOP_TIMEOUT_S = 1.0
_SETTLE_S = 0.000_001


class EspeakTts:
    """The `Tts` port on espeak-ng.

    Text is spoken as it stands: markup and engine commands in it are not interpreted. In
    virtual time (see `Clock`) the same calls in the same order give the same audio at the same time.
    """

    name = "espeak"
    sample_rate = 22_050

    def __init__(self, settings: TtsSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._library: EspeakLibrary | None = None
        self._thread: ThreadPoolExecutor | None = None

    async def start(self) -> None:
        """Load the library and say a word to nobody. Raises `TtsError` saying what to do."""
        if self._library is not None:
            return
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="espeak")
        try:
            async with self._clock.external():
                self._library = await asyncio.wrap_future(self._thread.submit(self._load))
        except TtsError:
            await self.close()
            raise
        self.sample_rate = self._library.sample_rate

    def _load(self) -> EspeakLibrary:
        library = EspeakLibrary(self._settings.voice, self._settings.pitch)
        library.speak("ready", WORDS_PER_MINUTE, lambda _pcm, _starts: True)
        return library

    async def close(self) -> None:
        """Stop the thread and free the engine. Running iterators end with `TtsError`."""
        thread, library = self._thread, self._library
        self._thread = self._library = None
        if thread is None:
            return
        if library is not None:
            async with self._clock.external():
                await asyncio.wrap_future(thread.submit(library.close))
        thread.shutdown(wait=False)

    async def synthesize(self, text: str, speed: float = 1.0) -> AsyncIterator[Speech]:
        """Stream `text` as speech, in pieces that end with a word.

        Closing the iterator returns once the engine has stopped. Raises `TtsError` for a text of
        more than `MAX_TEXT_CHARS` characters and when the engine fails or is not started.
        """
        if len(text) > MAX_TEXT_CHARS:
            raise TtsError(f"a text of {len(text)} characters is too long to be said at once; send it in parts")
        timer = WordTimer(text, self.sample_rate)
        offset_samples = 0
        for at, segment in segments(plain(text), _SEGMENT_CHARS):
            job = self._submit(timer, segment, at, offset_samples, speed)
            try:
                while (speech := await job.next()) is not None:
                    yield speech
            finally:
                await job.stop()
            offset_samples += job.samples
        for speech in timer.finish():
            yield speech

    def _submit(self, timer: WordTimer, segment: str, at: int, offset_samples: int, speed: float) -> _Job:
        library, thread = self._library, self._thread
        if library is None or thread is None:
            raise TtsError("espeak-ng is not running; call start() first")

        def work(job: _Job) -> None:
            def sink(pcm: NDArray[np.int16], starts: list[WordStart]) -> bool:
                job.samples += len(pcm)
                placed = [WordStart(start.char + at, start.sample + offset_samples) for start in starts]
                return job.put(timer.push(pcm, placed))

            library.speak(segment, round(WORDS_PER_MINUTE * speed), sink)

        return _Job(self._clock, thread, work)


class _Job:
    """A piece of work in the engine's thread, and what it has made so far."""

    def __init__(self, clock: Clock, thread: ThreadPoolExecutor, work: Callable[[_Job], None]) -> None:
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._work = work
        self._pieces: deque[Speech] = deque()
        self._news = asyncio.Event()
        self._stopped = False
        self.samples = 0
        self._handle = thread.submit(self._run)
        self._done = asyncio.wrap_future(self._handle)
        self._done.add_done_callback(lambda _: self._news.set())

    def _run(self) -> None:
        if not self._stopped:
            self._work(self)

    def put(self, pieces: list[Speech]) -> bool:
        """In the engine's thread: hand over. False when nobody wants more."""
        if pieces and not self._stopped:
            self._loop.call_soon_threadsafe(self._take, pieces)
        return not self._stopped

    def _take(self, pieces: list[Speech]) -> None:
        self._pieces.extend(pieces)
        self._news.set()

    async def next(self) -> Speech | None:
        """The next piece, or None at the end. Raises `TtsError`."""
        while not self._pieces:
            if self._done.done():
                await self._done
                return None
            self._news.clear()
            async with self._clock.external():
                # In virtual time the pace of a thread must not decide what happens in which
                # order: the work is waited for whole, and whatever else is ready goes first.
                await (asyncio.wait({self._done}) if self._clock.virtual else self._news.wait())
            if self._clock.virtual:
                await asyncio.sleep(_SETTLE_S)
        return self._pieces.popleft()

    async def stop(self) -> None:
        """Return once the engine is not working on this any more."""
        self._stopped = True
        self._handle.cancel()  # has an effect only if its turn has not come
        async with self._clock.external():
            await asyncio.wait({self._done}, timeout=_STOP_TIMEOUT_S)
        if self._done.done() and not self._done.cancelled():
            self._done.exception()  # marked as seen: `next` has raised it, or nobody waits for it
