"""When each file of a headless conversation begins, and when the conversation is over."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.transport.answer_watch import AnswerWatch
from agent.transport.audio_file import Audio
from agent.transport.file_plan import AfterReply, At, Overlap, Utterance

FRAME_MS = 20
NO_ANSWER_MS = 10_000
"""Nothing to say to a file: so long behind it, with the floor free, no answer is expected any more."""
CLOSING_MS = 500
"""Silence behind the last answer."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A file that has begun, at a position of the recording."""

    path: Path
    start_ms: int
    audio: Audio

    @property
    def end_ms(self) -> int:
        return self.start_ms + self.audio.duration_ms


class Script:
    """Places the utterances one after the other, as their rules and the agent's answers say."""

    def __init__(self, utterances: Sequence[Utterance], watch: AnswerWatch, tail_ms: int) -> None:
        self._waiting = deque(utterances)
        self._watch = watch
        self._tail_ms = tail_ms
        self._total_ms = sum(utterance.audio.duration_ms for utterance in utterances)
        self._spoken_ms = 0
        """Where the last placed file's sound ends."""
        self._reference_ms: int | None = None
        self.placed: list[Placed] = []

    def advance(self, now_ms: int) -> None:
        """Place what begins before `now_ms + FRAME_MS`; what is overdue begins at `now_ms`."""
        while self._waiting:
            due_ms = self._due_ms(now_ms)
            if due_ms is None or due_ms >= now_ms + FRAME_MS:
                return
            utterance = self._waiting.popleft()
            placed = Placed(utterance.path, max(due_ms, now_ms), utterance.audio)
            self.placed.append(placed)
            self._spoken_ms = placed.start_ms + utterance.audio.sound_end_ms
            self._reference_ms = None

    def over(self, now_ms: int) -> bool:
        """Every file was said, and the last answer is over."""
        if self._waiting or not self.placed:
            return not self._waiting
        settled_ms = self._settled_ms(self.placed[-1], now_ms)
        return settled_ms is not None and now_ms >= settled_ms + CLOSING_MS

    def progress(self, now_ms: int) -> float:
        """The share of the files' audio that was said, 0…1."""
        said_ms = sum(min(now_ms, placed.end_ms) - placed.start_ms for placed in self.placed)
        return min(1.0, max(0, said_ms) / self._total_ms) if self._total_ms else 0.0

    def _due_ms(self, now_ms: int) -> int | None:
        """Where the next file begins, as far as it is known."""
        before = self.placed[-1] if self.placed else None
        match self._waiting[0].when:
            case At(at_ms):
                return at_ms
            case AfterReply(gap_ms):
                settled_ms = self._settled_ms(before, now_ms) if before else 0
                return None if settled_ms is None else settled_ms + gap_ms
            case Overlap(after_ms):
                return self._overlap_ms(before, after_ms, now_ms)

    def _overlap_ms(self, before: Placed | None, after_ms: int, now_ms: int) -> int | None:
        if before is None:
            return 0
        if self._reference_ms is None and now_ms >= self._spoken_ms:
            started_us = self._watch.answering_since(before.start_ms * 1_000)
            self._reference_ms = None if started_us is None else _ms(started_us)
        if self._reference_ms is not None:
            return self._reference_ms + after_ms
        return self._settled_ms(before, now_ms)

    def _settled_ms(self, said: Placed, now_ms: int) -> int | None:
        """When the answer to a file was over; None while it may still come or goes on."""
        watch = self._watch
        if now_ms < said.end_ms:
            return None
        if now_ms - said.end_ms >= self._tail_ms:
            return said.end_ms + self._tail_ms
        if watch.busy:
            return None
        free_ms = max(said.end_ms, _ms(watch.idle_since_us))
        if watch.answered(said.start_ms * 1_000, self._spoken_ms * 1_000):
            return free_ms
        return free_ms + NO_ANSWER_MS if now_ms - free_ms >= NO_ANSWER_MS else None


def _ms(us: int) -> int:
    """Rounded up: nothing begins before its cause."""
    return -(-us // 1_000)
