"""Ghost speech by the own account of playout and devices: samples that came after a reply was cut.

The cut is the pause at suspicion, or the stop where nothing was paused before. How far the reply
had come by then follows from its last mark and the time since, because playout is paced; the mark
that follows the cut may correct that downwards. A device that says afterwards that it has been
audible beyond what counts as heard is believed, too, unless it had said so before the cut: somebody
pressed stop twice. What a listener really heard is measured on recorded audio, elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.conversation.decisions import PlaybackPause, PlaybackResume, PlaybackStop
from agent.conversation.events import REPLY_RATE, Event, PlaybackMark, PlaybackStarted

TOLERANCE_SAMPLES = REPLY_RATE * 40 // 1_000
"""Two frames: the one under way at the cut, and the pacing's own inaccuracy."""

NEVER_CUT = frozenset(("complete", "shown", "never_started"))
"""How the heard part of a reply is known when no sound of it was cut off."""


@dataclass(slots=True)
class GhostSpeech:
    """A fold over the events of one reply, in order."""

    ghost_samples: int = 0
    """What left the playout behind the cut; 0 again if the cut was taken back."""
    cut: bool = False
    """It was being heard when it was stopped."""
    _sent: int = 0
    _since_us: int | None = None
    """When `_sent` was reached, while playing."""
    _limit: int | None = None
    """What may have left the playout at most, once it is cut."""
    _heard: int | None = None
    """What counts as heard, once that is measured."""
    _told: int = 0
    """How far a device said, before the cut, that it had been audible."""
    _settled: bool = False
    """A mark has said where the cut was."""

    def apply(self, event: Event, now_us: int) -> None:
        match event:
            case PlaybackStarted():
                self._since_us = now_us
            case PlaybackMark():
                self._mark(event.sample, now_us)
            case PlaybackPause():
                self._cut_at(now_us)
            case PlaybackResume():
                self._sent, self._since_us = event.sample, now_us
                self._limit, self._settled, self.ghost_samples, self._told = None, False, 0, 0
            case PlaybackStop():
                self.cut = event.method not in NEVER_CUT
                if self.cut:
                    self._cut_at(now_us)
                    self._heard = max(event.heard_ms * REPLY_RATE // 1_000, self._told)

    def reported(self, sample: int) -> None:
        """A device silenced itself; all before `sample` had been audible there."""
        if self._heard is None:
            self._told = max(self._told, sample)
        else:
            self.ghost_samples = max(self.ghost_samples, sample - self._heard - TOLERANCE_SAMPLES)

    def _cut_at(self, now_us: int) -> None:
        if self._limit is not None:
            return
        since_us = 0 if self._since_us is None else now_us - self._since_us
        self._limit = self._sent + since_us * REPLY_RATE // 1_000_000 + TOLERANCE_SAMPLES

    def _mark(self, sample: int, now_us: int) -> None:
        if self._limit is None:
            self._sent, self._since_us = max(self._sent, sample), now_us
            return
        self.ghost_samples = max(self.ghost_samples, sample - self._limit)
        if not self._settled:
            self._settled = True
            self._limit = min(self._limit, max(sample, self._sent))
