"""The speaking loop of a session: text → synthesis → playout, and back as facts.

`apply` carries out a decision at once and never blocks; `run` owns the synthesis. Audio goes into
the playout piece by piece as the engine gives it, so a chunk is audible before it is whole;
its `TtsChunk` follows when it is.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from agent.audio.resample import Resampler
from agent.clock import Clock
from agent.conversation.decisions import (
    CancelRequested,
    PlaybackPause,
    PlaybackRelease,
    PlaybackResume,
    PlaybackStop,
    ReplyDone,
    TtsSay,
)
from agent.conversation.events import REPLY_RATE, CancelAck, CancelFreed, Event, Fault, TtsChunk, TtsFailed, Word
from agent.errors import LimitReached, TtsError
from agent.settings import PlayoutSettings
from agent.speaking.playout import Playout
from agent.speaking.port import Speech, SpokenWord, Tts

MAX_QUEUED = 64
"""Chunks waiting for synthesis; a further one fails."""
AUDIO_TIMEOUT_S = 5.0
CLOSE_TIMEOUT_S = 2.0
FREE_TIMEOUT_S = 1.0
"""How long behind that an engine may take to end a cancelled synthesis."""
MAX_ABANDONED = 8
"""Syntheses that hang at once; more of them end the session."""
_BLOCK_MS = 200
"""Audio converted without letting others run: about 1.5 ms of computing."""
_GAPS_MS = {".": 220, "!": 220, "?": 220, "…": 220, ":": 120, ";": 120, ",": 90}
_WORD_GAP_MS = 30
"""Silence before a further chunk, by how the one before it ended: an engine adds none at a text's end."""


@dataclass(slots=True)
class _Chunk:
    """A chunk while it is synthesised. `start` and `words` are reply samples."""

    say: TtsSay
    start: int
    speech_start: int
    rate: int
    words: list[Word] = field(default_factory=list)
    estimated: bool = False

    def add(self, word: SpokenWord) -> Word:
        """Map a word of the engine to reply samples."""
        placed = Word(self._sample(word.start_sample), self._sample(word.end_sample), word.text_end)
        self.words.append(placed)
        return placed

    def _sample(self, engine_sample: int) -> int:
        return self.speech_start + round(engine_sample * REPLY_RATE / self.rate)

    def word_end(self, sample: int) -> int:
        """The end of the word that `sample` cuts; `sample` itself between words."""
        return next((word.end_sample for word in self.words if word.start_sample < sample < word.end_sample), sample)

    def fact(self, end: int, *, whole: bool = True) -> TtsChunk:
        """What lies in the playout up to `end`; if that is not all, the text ends with its last whole word."""
        say = self.say
        if whole:
            text, words = say.text, [replace(w, end_sample=min(w.end_sample, end)) for w in self.words]
        else:
            words = [word for word in self.words if word.end_sample <= end]
            text = say.text[: words[-1].text_end] if words else ""
        return TtsChunk(
            reply_id=say.reply_id,
            chunk=say.chunk,
            text=text,
            phase=say.phase,
            rests_on=say.rests_on,
            start_sample=self.start,
            samples=end - self.start,
            words=tuple(words),
            estimated=self.estimated,
        )


class SpeakingLoop:
    """Speaks for one session with an engine that all sessions share."""

    def __init__(
        self,
        tts: Tts,
        clock: Clock,
        post: Callable[[Event], None],
        settings: PlayoutSettings,
        speed: Callable[[], float],
    ) -> None:
        self._tts = tts
        self._clock = clock
        self._post = post
        self._speed = speed
        self._playout = Playout(post, settings)
        self._queue: deque[TtsSay] = deque()
        self._work = asyncio.Event()
        self._current: TtsSay | None = None
        self._task: asyncio.Task[None] | None = None
        self._silenced = False
        self._silence_came = asyncio.Event()
        self._abandoned: list[asyncio.Task[None]] = []
        self._to_free: list[CancelFreed] = []
        self._said_last: dict[str, str] = {}
        # The filters are computed once in a process: now, and not when somebody waits for speech.
        Resampler(tts.sample_rate, REPLY_RATE).push(np.zeros(tts.sample_rate // 5, dtype=np.int16))

    def next_frame(self) -> NDArray[np.int16] | None:
        """The next 20 ms of playout, int16 mono 48 kHz, shape (960,), or None for silence."""
        return self._playout.next_frame()

    def position(self) -> tuple[str, int] | None:
        """The reply and the sample that the next frame begins with, None while nothing is to be said."""
        return self._playout.position()

    def apply(self, decision: Event) -> None:
        """Carry out a decision; those of other loops are ignored. Facts may be posted meanwhile."""
        match decision:
            case TtsSay():
                self._say(decision)
            case PlaybackRelease():
                self._evict(self._playout.release(decision.reply_id))
            case PlaybackPause():
                self._playout.pause(decision.reply_id or self._playout.live)
            case PlaybackResume():
                self._playout.resume(decision.reply_id or self._playout.live, decision.sample)
            case PlaybackStop() | ReplyDone():
                self._silence(decision.reply_id)
            case CancelRequested(target="playback" | "tts"):
                self._cancel(decision)
            case _:
                pass

    async def run(self) -> None:
        """Synthesise what `apply` queues, until cancelled."""
        while True:
            await self._work.wait()
            say = self._next_say()
            if say is None:
                self._work.clear()
                continue
            self._current, self._silenced = say, False
            # A task of its own, so that a cancelled reply ends the task and not this loop.
            self._task = asyncio.get_running_loop().create_task(self._speak(say), name=f"speak {say.reply_id}")
            try:
                await self._until_spoken(self._task)
            except asyncio.CancelledError:
                self._task.cancel()
                await asyncio.wait((self._task, *self._abandoned), timeout=CLOSE_TIMEOUT_S)
                raise
            self._current = self._task = None
            self._free()
            self._tell_growing()

    async def _until_spoken(self, task: asyncio.Task[None]) -> None:
        """Wait for a synthesis; one that does not end when it is cancelled is abandoned, and the next one begins.

        A `TaskGroup` would wait for ever for an engine that swallows its cancellation.
        """
        silence = asyncio.get_running_loop().create_task(self._silence_came.wait(), name="silence")
        try:
            await asyncio.wait((task, silence), return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                await asyncio.wait((task,), timeout=CLOSE_TIMEOUT_S + FREE_TIMEOUT_S)
        finally:
            silence.cancel()
            self._silence_came.clear()
        if task.done():
            if not task.cancelled():
                task.result()
            return
        self._abandoned = [left for left in self._abandoned if not left.done()] + [task]
        self._post(Fault(code="tts", message=f"{self._tts.name} does not stop; this synthesis is left behind"))
        if len(self._abandoned) > MAX_ABANDONED:
            raise TtsError(f"{self._tts.name} hung {len(self._abandoned)} times and never stopped")

    def _say(self, say: TtsSay) -> None:
        if len(self._queue) >= MAX_QUEUED:
            self._fail(say, f"{MAX_QUEUED} chunks are waiting to be synthesised already; this one is dropped")
            return
        self._evict(self._playout.open(say.reply_id))
        self._queue.append(say)
        self._work.set()
        self._tell_growing()

    def _next_say(self) -> TtsSay | None:
        """The oldest chunk of the live reply, for somebody is listening; else the oldest."""
        if not self._queue:
            return None
        say = next((say for say in self._queue if say.reply_id == self._playout.live), self._queue[0])
        self._queue.remove(say)
        return say

    def _tell_growing(self) -> None:
        waiting = {say.reply_id for say in self._queue}
        if self._current is not None:
            waiting.add(self._current.reply_id)
        self._playout.set_growing(waiting)

    def _evict(self, reply_id: str) -> None:
        """A reply was dropped to bound memory: its unfinished chunks have failed."""
        if reply_id:
            for say in self._silence(reply_id):
                self._fail(say, "the audio of too many replies is kept; the oldest one was dropped")

    def _silence(self, reply_id: str) -> list[TtsSay]:
        """Drop all audio and work of a reply. Returns the chunks that were not whole yet."""
        self._playout.drop(reply_id)
        self._said_last.pop(reply_id, None)
        dropped = [say for say in self._queue if say.reply_id == reply_id]
        self._queue = deque(say for say in self._queue if say.reply_id != reply_id)
        if self._current is not None and self._current.reply_id == reply_id:
            dropped.insert(0, self._current)
            if self._task is not None and not self._silenced:
                self._task.cancel()  # once: a second one would break into the engine's clean-up
            self._silenced = True
            self._silence_came.set()
        return dropped

    def _cancel(self, request: CancelRequested) -> None:
        """Either target ends both: what is not synthesised cannot be played, what is not to be
        played need not be synthesised, and no ack may be followed by sound."""
        self._silence(request.reply_id)
        self._post(CancelAck(reply_id=request.reply_id, target=request.target))
        freed = CancelFreed(reply_id=request.reply_id, target=request.target)
        if self._current is not None and self._current.reply_id == request.reply_id:
            self._to_free.append(freed)
        else:
            self._post(freed)

    def _free(self) -> None:
        freed, self._to_free = self._to_free, []
        for fact in freed:
            self._post(fact)

    def _fail(self, say: TtsSay, message: str) -> None:
        self._post(TtsFailed(reply_id=say.reply_id, chunk=say.chunk, message=message))

    async def _speak(self, say: TtsSay) -> None:
        reply_id, rate = say.reply_id, self._tts.sample_rate
        start = self._playout.synthesised(reply_id)
        gap = self._gap_samples(reply_id)
        chunk = _Chunk(say, start, start + gap, rate)
        try:
            self._playout.append(reply_id, np.zeros(gap, dtype=np.int16))
            await self._synthesise(chunk)
        except (TtsError, LimitReached) as error:
            self._break_off(chunk, str(error))
        except TimeoutError:
            self._break_off(chunk, f"{self._tts.name} gave no audio for {AUDIO_TIMEOUT_S:g} s")
        except Exception as error:
            # The boundary to a plugged-in engine, which may raise anything: the session goes on.
            self._post(Fault(code="tts", message=f"{self._tts.name} broke: {error!r}"))
            self._break_off(chunk, f"{self._tts.name} broke; the error event has the cause")
        else:
            if self._wanted(say):
                self._said_last[reply_id] = say.text
                self._post(chunk.fact(self._playout.synthesised(reply_id)))

    async def _synthesise(self, chunk: _Chunk) -> None:
        reply_id, resampler = chunk.say.reply_id, Resampler(chunk.rate, REPLY_RATE)
        block = chunk.rate * _BLOCK_MS // 1_000
        stream = self._tts.synthesize(chunk.say.text, self._speed())
        try:
            while (speech := await self._piece(stream)) is not None:
                ends = [chunk.add(word).end_sample for word in speech.words]
                chunk.estimated = chunk.estimated or speech.estimated
                self._playout.append(reply_id, np.zeros(0, dtype=np.int16), ends)
                for at in range(0, len(speech.pcm), block):
                    self._playout.append(reply_id, resampler.push(speech.pcm[at : at + block]))
                    await asyncio.sleep(0)  # a fast engine must not keep the media clock waiting
        finally:
            await self._close(stream)
        self._playout.append(reply_id, resampler.flush())

    def _wanted(self, say: TtsSay) -> bool:
        """Whether this is still being spoken, and neither silenced nor left behind."""
        return self._current is say and not self._silenced

    def _break_off(self, chunk: _Chunk, message: str) -> None:
        """The chunk failed: if nothing of it was played it is dropped; else it ends with the word
        that is being played, and is recorded so far, for a heard word is never forgotten."""
        if not self._wanted(chunk.say):
            return
        reply_id = chunk.say.reply_id
        played = self._playout.played(reply_id)
        self._playout.truncate(reply_id, max(chunk.start, chunk.word_end(played)))
        if played > chunk.start:
            self._post(chunk.fact(self._playout.synthesised(reply_id), whole=False))
        self._fail(chunk.say, message)

    @staticmethod
    async def _piece(stream: AsyncIterator[Speech]) -> Speech | None:
        async with asyncio.timeout(AUDIO_TIMEOUT_S):
            return await anext(stream, None)

    async def _close(self, stream: AsyncIterator[Speech]) -> None:
        aclose = getattr(stream, "aclose", None)
        if aclose is None:
            return
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await aclose()
        except TimeoutError:
            self._post(Fault(code="tts", message=f"{self._tts.name} did not stop within {CLOSE_TIMEOUT_S:g} s"))

    def _gap_samples(self, reply_id: str) -> int:
        """The breath between two chunks of a reply; none where the listener waits already."""
        before = self._said_last.get(reply_id, "").rstrip().rstrip("\"')”’")
        if not before or self._playout.drained(reply_id):
            return 0
        return _GAPS_MS.get(before[-1], _WORD_GAP_MS) * REPLY_RATE // 1_000
