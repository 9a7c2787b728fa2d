"""One microphone's turn as Whisper hears it: a window of audio that is transcribed again and again.

The window is cut behind stable words once it is long; what was said before goes along as context,
and the stable words in it as the beginning of the text, so that only what is behind is decoded.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any, Protocol

from agent.errors import AsrError
from agent.hearing.agreement import LocalAgreement, unmarked
from agent.hearing.hallucination import believed
from agent.hearing.pause import Pause
from agent.hearing.port import HEARING_RATE, HeardWord, Hypothesis, OnPartial, Pcm
from agent.hearing.whisper_protocol import Request, Transcript

SAMPLE_BYTES = 2
MS_SAMPLES = HEARING_RATE // 1000
PAUSE_SAMPLES = 60 * MS_SAMPLES
FIRST_SOUND_SAMPLES = 200 * MS_SAMPLES
"""Less sound than this gives no partial: a word has hardly begun."""
TRIM_SAMPLES = 12 * HEARING_RATE
"""A longer window is cut behind its stable words."""
MAX_SAMPLES = 28 * HEARING_RATE
"""A longer one is cut anyhow: the model hears 30 s."""
KEPT_SAMPLES = 5 * HEARING_RATE
CONTEXT_WORDS = 50


class Want(IntEnum):
    """What a stream would have decoded next, the most urgent first."""

    FINAL = 0
    PAUSE = 1
    """Somebody paused, so a final may be asked for: it is decoded before it is."""
    PARTIAL = 2


@dataclass(frozen=True, slots=True)
class Job:
    """A decode under way: of `samples` of the window of `turn`."""

    request: Request
    turn: int
    samples: int
    sound_ms: int
    paused: bool


class Queue(Protocol):
    """Who decodes, one stream's job after the other."""

    task: asyncio.Task[None] | None

    def now_us(self) -> int: ...

    def wake(self) -> None:
        """A stream may want something else than before."""
        ...

    def remove(self, stream: WhisperStream) -> None: ...


class WhisperStream:
    """The `AsrStream` port. The queue asks what it wants, and hands over what was heard."""

    def __init__(self, queue: Queue, on_partial: OnPartial, on_error: Callable[[str], None]) -> None:
        self._queue = queue
        self._on_partial = on_partial
        self.on_error = on_error
        self._turn = 0
        self._asked: asyncio.Future[Hypothesis] | None = None
        self._asked_us = 0
        self._closed = False
        self._begin()

    def _begin(self) -> None:
        self._pcm = bytearray()
        self._pause = Pause()
        self._agreement = LocalAgreement()
        self._words: tuple[HeardWord, ...] = ()
        self._gone: list[HeardWord] = []
        self._gone_samples = 0
        self._heard_samples = 0
        self._decoded_us = self.pushed_us = self._queue.now_us()
        self._confidence = 0.0
        self._told = ("", 0)
        self._failed = False
        self.told_behind = False

    # ── the port ─────────────────────────────────────────────────────────────────────────

    def push(self, pcm: Pcm) -> None:
        """Hand over audio; see `AsrStream.push`."""
        if self._closed:
            return
        if not self._pcm:
            self._decoded_us = self._queue.now_us()
        self._pcm += pcm.astype("<i2", copy=False).tobytes()
        self._pause.push(pcm)
        self.pushed_us = self._queue.now_us()
        self._queue.wake()

    async def settle(self) -> Hypothesis:
        """The best text so far; see `AsrStream.settle`."""
        if self._closed:
            raise AsrError("the recogniser's stream is closed")
        if self._asked is None or self._asked.done():
            self._asked = asyncio.get_running_loop().create_future()
            self._asked_us = self._queue.now_us()
        asked = self._asked
        self._answer()
        self._queue.wake()
        waits: set[asyncio.Future[Any]] = {asked, self._queue.task} if self._queue.task else {asked}
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        if not asked.done():
            raise AsrError("the recogniser is closed")
        return asked.result()

    def reset(self) -> None:
        """Forget the turn; see `AsrStream.reset`."""
        self._turn += 1
        self._refuse("the turn was reset")
        self._begin()

    async def close(self) -> None:
        """Frees its place; the model is the other streams', too."""
        if self._closed:
            return
        self.reset()
        self._closed = True
        self._queue.remove(self)

    # ── the queue's side ─────────────────────────────────────────────────────────────────

    def want(self) -> Want | None:
        """What it would have decoded as soon as possible."""
        if self._asked is not None and not self._asked.done():
            return Want.FINAL
        if self._failed or not self._unheard():
            return None
        if self._pause.quiet_samples >= PAUSE_SAMPLES:
            return Want.PAUSE
        return Want.PARTIAL if self._pause.sound_samples >= FIRST_SOUND_SAMPLES else None

    def waiting_since_us(self, want: Want) -> int:
        """A final waits since it was asked for, everything else since the last decode: what is stale comes first."""
        return self._asked_us if want is Want.FINAL else self._decoded_us

    def job(self) -> Job:
        """What to decode: the whole window."""
        self._decoded_us = self._queue.now_us()
        self._limit()
        context = " ".join(word.text for word in self._gone[-CONTEXT_WORDS:])
        prefix = unmarked(" ".join(self._agreement.stable))
        request = Request(bytes(self._pcm), context, prefix)
        sound_ms = self._pause.sound_samples // MS_SAMPLES
        return Job(request, self._turn, self._samples, sound_ms, self._pause.quiet_samples >= PAUSE_SAMPLES)

    def heard(self, job: Job, transcript: Transcript) -> None:
        """The answer to a job, which may be that of a turn that is over."""
        if job.turn != self._turn or self._closed:
            return
        self._heard_samples = job.samples
        words = believed(transcript, job.sound_ms)
        if len(words) >= len(self._agreement.stable):  # else what was heard before stands
            self._confidence = math.exp(min(transcript.log_probability, 0.0)) if words else 0.0
            self._agreement.hear([word.text for word in words], paused=job.paused)
            texts = self._agreement.words
            self._words = tuple(replace(word, text=text) for word, text in zip(words, texts, strict=True))
        if self._samples > TRIM_SAMPLES:
            self._cut_behind_stable_words()
        self._answer()
        told = (self._text(), self._stable())
        if told[0] and told != self._told:
            self._told = told
            self._on_partial(*told)

    def fail(self, job: Job, error: AsrError) -> None:
        """The answer to a job that cannot be had: the turn so far is given up."""
        if job.turn != self._turn or self._closed:
            return
        self._refuse(str(error))
        self.reset()
        self._failed = True
        self.on_error(f"{error.code}: {error}")

    # ── the window ───────────────────────────────────────────────────────────────────────

    @property
    def _samples(self) -> int:
        return len(self._pcm) // SAMPLE_BYTES

    def _unheard(self) -> bool:
        """There is sound behind what was decoded last."""
        return self._samples - self._pause.quiet_samples > self._heard_samples

    def _text(self) -> str:
        return " ".join([*(word.text for word in self._gone), *self._agreement.words])

    def _stable(self) -> int:
        """How many characters of the text stay as they are."""
        return len(unmarked(" ".join([*(word.text for word in self._gone), *self._agreement.stable])))

    def _answer(self) -> None:
        """A final needs no decode of its own when only silence has come since the last one."""
        if self._asked is not None and not self._asked.done() and not self._unheard():
            text = self._text()
            words = (*self._gone, *(_moved(word, self._gone_samples) for word in self._words))
            self._asked.set_result(Hypothesis(text, bool(text), self._confidence if text else 0.0, words))

    def _refuse(self, message: str) -> None:
        if self._asked is not None and not self._asked.done():
            self._asked.set_exception(AsrError(message))
            # Whoever asked may be gone; an exception nobody fetches must not be logged.
            self._asked.exception()
        self._asked = None

    def _cut_behind_stable_words(self) -> None:
        """Keep what the newest stable word is followed by."""
        stable = len(self._agreement.stable)
        if not stable:
            return
        self._agreement.drop(stable)
        self._cut(self._words[:stable], self._words[stable - 1].end_ms * MS_SAMPLES)

    def _limit(self) -> None:
        """A window in which nothing became stable must not grow for ever: its words stand as they are."""
        if self._samples > MAX_SAMPLES:
            self._agreement = LocalAgreement()
            self._cut(self._words, self._samples - KEPT_SAMPLES)

    def _cut(self, gone: tuple[HeardWord, ...], samples: int) -> None:
        samples = min(samples, self._samples)
        self._gone += (_moved(word, self._gone_samples) for word in gone)
        self._words = self._words[len(gone) :]
        self._words = tuple(_moved(word, -samples) for word in self._words)
        del self._pcm[: samples * SAMPLE_BYTES]
        self._gone_samples += samples
        self._heard_samples = max(self._heard_samples - samples, 0)


def _moved(word: HeardWord, samples: int) -> HeardWord:
    ms = samples // MS_SAMPLES
    return HeardWord(word.text, word.start_ms + ms, word.end_ms + ms)
