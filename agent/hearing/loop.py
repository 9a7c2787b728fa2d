"""Hearing of one session: microphone audio in, facts about speech and its text out."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from agent.clock import Clock
from agent.conversation.decisions import AsrFinalize, AsrReset, Decision, DeviceFocused
from agent.conversation.events import (
    AsrFailed,
    AsrFinal,
    AsrPartial,
    Event,
    Fault,
    SpeechStarted,
    SpeechStopped,
    SpeechVoiced,
)
from agent.errors import AsrError, LimitReached
from agent.hearing.detector import Frame, SpeechDetector
from agent.hearing.echo import EchoGuard
from agent.hearing.port import HEARING_RATE, Asr, AsrStream, Hypothesis, Pcm, Vad
from agent.settings import EchoSettings, VadSettings

PIECE_SAMPLES = HEARING_RATE * 40 // 1000
"""The recogniser gets audio in pieces of this length."""
VOICED_STEP_MS = 100
SETTLE_TIMEOUT_S = 2.0
PROVEN_VOICED_MS = 30
UNPROVEN_SAMPLES = HEARING_RATE
"""An utterance reaches the recogniser once it has `PROVEN_VOICED_MS` of voiced speech: noise
costs no decoding and gives no words. Until then its last second is kept. Whispering is not
voiced; the recogniser could not read it."""
BACKLOG_SAMPLES = HEARING_RATE * 5
"""Audio kept while the recogniser's stream is being opened; beyond it the oldest is dropped."""
CHANGE_MS = 50
"""Silence between two microphones, beyond what ends an utterance."""
ECHO_SURE_MS = 40
"""Echo that much before an onset is silence to the recogniser. Later, the first sounds of a person
may lie in it."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    utterance: int
    forced: bool
    """Asked for by the core: answer even if more audio has come meanwhile."""


class HearingLoop:
    """Posts speech edges at once, the text as the recogniser gives it.

    `hear`, `apply` and `configure` are called from the event loop and never block; `run`
    opens the recogniser's stream, settles the text when speech stops, and closes the stream.
    """

    def __init__(
        self,
        vad: Vad,
        asr: Asr,
        settings: VadSettings,
        clock: Clock,
        post: Callable[[Event], None],
        echo: EchoSettings | None = None,
    ) -> None:
        self._echo = echo or EchoSettings()
        self._guard = EchoGuard(self._echo)
        self._detector = SpeechDetector(vad, settings, self._guard)
        self._asr = asr
        self._settings = settings
        self._clock = clock
        self._post = post
        self._stream: AsrStream | None = None
        self._wake = asyncio.Event()
        self._wake.set()
        self._wanted: _Wanted | None = None
        self._utterance = 0
        self._voiced_steps = 0
        self._before: deque[Frame] = deque()
        self._piece: deque[Pcm] = deque()
        self._proven = False
        self._pushed_samples = 0
        self._turn = 0
        self._turn_has_audio = False
        self._partial, self._stable = "", 0
        self._backlog: deque[Pcm] = deque()

    # ── called by the session ────────────────────────────────────────────────────────────

    def hear(self, pcm: Pcm) -> None:
        """Microphone audio, 16 kHz mono int16, any length; its last sample is heard now."""
        now_us = self._clock.now_us()
        for frame in self._detector.feed(pcm, now_us):
            self._take(frame, now_us)

    def played(self, frame: Pcm | None) -> None:
        """What is played from now on for 20 ms: int16 mono 48 kHz, shape (960,), or None for silence."""
        self._guard.played(frame, self._clock.now_us())

    def apply(self, decision: Decision) -> None:
        """Carries out `AsrFinalize`, `AsrReset` and `DeviceFocused`; other decisions are not for hearing."""
        if isinstance(decision, AsrFinalize):
            self._flush()
            self._settle_soon(forced=True)
        elif isinstance(decision, AsrReset):
            self._reset()
        elif isinstance(decision, DeviceFocused):
            self.end_speech()

    def end_speech(self) -> None:
        """Another microphone follows, or none: what is being said to this one ends here."""
        if self._detector.speaking:
            self.hear(np.zeros((self._settings.hangover_ms + CHANGE_MS) * HEARING_RATE // 1_000, np.int16))

    def configure(self, settings: VadSettings, echo: EchoSettings | None = None) -> None:
        """Thresholds from now on; engine, frame length and aggressiveness stay until the next session."""
        self._settings = settings
        self._detector.configure(settings)
        self._echo = echo or self._echo
        self._guard.configure(self._echo)

    # ── audio ────────────────────────────────────────────────────────────────────────────

    def _take(self, frame: Frame, now_us: int) -> None:
        end_us = now_us - _us(frame.ago_samples)
        if frame.edge == "started":
            self._start(frame, end_us - _us(frame.run_samples))
        if frame.speaking or frame.edge == "stopped":
            self._piece.append(np.zeros_like(frame.pcm) if frame.echo else frame.pcm)
            self._tell_voiced(frame.voiced_ms)
            self._push_piece(frame.voiced_ms)
        else:
            self._keep_before(frame)
        if frame.edge == "stopped":
            self._stop(end_us - _us(frame.silent_samples), frame.voiced_ms)

    def _start(self, frame: Frame, onset_us: int) -> None:
        self._utterance += 1
        self._voiced_steps = 0
        self._proven = False
        self._piece = self._preroll(frame.run_samples)
        self._before.clear()
        if self._stream is None:
            self._wake.set()
        self._post(SpeechStarted(utterance=self._utterance, onset_us=onset_us))

    def _stop(self, end_us: int, voiced_ms: int) -> None:
        if self._proven:
            self._flush()
        self._piece.clear()
        self._post(SpeechStopped(utterance=self._utterance, end_us=end_us, voiced_ms=voiced_ms))
        self._settle_soon(forced=False)

    def _tell_voiced(self, voiced_ms: int) -> None:
        if voiced_ms // VOICED_STEP_MS > self._voiced_steps:
            self._voiced_steps = voiced_ms // VOICED_STEP_MS
            self._post(SpeechVoiced(utterance=self._utterance, voiced_ms=voiced_ms))

    def _keep_before(self, frame: Frame) -> None:
        self._before.append(frame)
        kept_ms = self._settings.preroll_ms + max(self._settings.onset_ms, self._echo.hold_ms)
        while (len(self._before) + 1) * frame.pcm.size * 1000 > kept_ms * HEARING_RATE:
            self._before.popleft()

    def _preroll(self, run_samples: int) -> deque[Pcm]:
        """What came before the frame that ends `run_samples` of speech."""
        piece: deque[Pcm] = deque()
        ago = 0
        for frame in reversed(self._before):
            ago += frame.pcm.size
            if ago + frame.pcm.size > run_samples + self._settings.preroll_ms * HEARING_RATE // 1000:
                break
            sure = ago > run_samples + ECHO_SURE_MS * HEARING_RATE // 1000
            piece.appendleft(np.zeros_like(frame.pcm) if frame.echo and sure else frame.pcm)
        return piece

    def _push_piece(self, voiced_ms: int) -> None:
        self._proven = self._proven or voiced_ms >= PROVEN_VOICED_MS
        if not self._proven:
            while sum(part.size for part in self._piece) > UNPROVEN_SAMPLES:
                self._piece.popleft()
        elif sum(part.size for part in self._piece) >= PIECE_SAMPLES:
            self._flush()

    def _flush(self) -> None:
        """Hand over what is waiting, proven or not: the caller knows that it is wanted."""
        if not self._piece:
            return
        piece = np.concatenate(self._piece)
        self._piece.clear()
        self._pushed_samples += piece.size
        self._turn_has_audio = True
        if self._stream is not None:
            self._stream.push(piece)
            return
        self._backlog.append(piece)
        while sum(part.size for part in self._backlog) > BACKLOG_SAMPLES:
            self._backlog.popleft()

    def _reset(self) -> None:
        self._turn += 1
        self._turn_has_audio = False
        self._wanted = None
        self._partial, self._stable = "", 0
        self._backlog.clear()
        if self._stream is not None:
            self._stream.reset()

    # ── text ─────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Until cancelled: opens the stream (again at the next onset when that failed) and settles."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                if self._stream is None:
                    await self._open()
                if self._wanted is not None:
                    await self._settle()
        finally:
            stream, self._stream = self._stream, None
            if stream is not None:
                await stream.close()

    async def _open(self) -> None:
        try:
            stream = await self._asr.open(self._on_partial, self._on_error)
        except (AsrError, LimitReached) as error:
            self._backlog.clear()
            self._post(Fault(code=error.code, message=str(error)))
            return
        self._stream = stream
        while self._backlog:
            stream.push(self._backlog.popleft())

    def _settle_soon(self, *, forced: bool) -> None:
        if not self._turn_has_audio:
            self._post(AsrFinal(utterance=self._utterance, text="", understood=False, confidence=0.0))
            return
        forced = forced or (self._wanted is not None and self._wanted.forced)
        self._wanted = _Wanted(self._utterance, forced)
        self._wake.set()

    async def _settle(self) -> None:
        wanted, self._wanted = self._wanted, None
        if wanted is None:
            return
        turn, pushed = self._turn, self._pushed_samples
        try:
            if self._stream is None:
                raise AsrError("there is no recogniser for this session; type, or try again when another session ends")
            async with asyncio.timeout(SETTLE_TIMEOUT_S):
                found = await self._stream.settle()
        except (AsrError, TimeoutError) as error:
            if turn == self._turn:
                message = str(error) or f"the recogniser gave no text within {SETTLE_TIMEOUT_S:g} s"
                self._post(AsrFailed(utterance=wanted.utterance, message=message))
            return
        if turn == self._turn and (wanted.forced or pushed == self._pushed_samples):
            self._post_final(wanted.utterance, found)

    def _post_final(self, utterance: int, found: Hypothesis) -> None:
        self._partial = found.text
        self._post(
            AsrFinal(
                utterance=utterance,
                text=found.text,
                understood=found.understood and found.text != "",
                confidence=found.confidence,
            )
        )

    def _on_partial(self, text: str, stable: int = 0) -> None:
        if text != self._partial or stable > self._stable:
            self._partial, self._stable = text, stable
            self._post(AsrPartial(utterance=self._utterance, text=text, stable=stable))

    def _on_error(self, message: str) -> None:
        """`message` is `code: what happened`, as `Asr.open` says."""
        code, _, text = message.partition(": ")
        self._post(Fault(code=code, message=text))


def _us(samples: int) -> int:
    return samples * 1_000_000 // HEARING_RATE
