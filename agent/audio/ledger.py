"""The playout ledger: what of one reply is synthesised, and what of it was handed out.

Everything is counted in reply samples (48 kHz, from the reply's first sample). The ledger is
pure: no clock, no I/O. `position` is the next sample to be handed out; `played` the highest one
that ever was. Always `position <= synthesised` and `played <= synthesised`, and handing out from
any position gives exactly the samples that were appended there, but for a 5 ms fade where
the audio is taken up again.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.errors import AudioError, LimitReached

Pcm = NDArray[np.int16]

LEDGER_RATE = 48_000
FADE_SAMPLES = LEDGER_RATE * 5 // 1_000
"""5 ms: long enough against clicks, shorter than any speech sound."""

_RISE = (0.5 - 0.5 * np.cos(np.pi * (np.arange(FADE_SAMPLES) + 0.5) / FADE_SAMPLES)).astype(np.float32)
_INAUDIBLE = 32
"""A step of this height (-60 dB) makes no click."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A frame handed out. `samples` of it, from reply sample `start`, are audio; zeros follow.

    `word_ends` are the reply samples in (start, start + samples] at which a word ends.
    """

    frame: Pcm
    start: int
    samples: int
    word_ends: tuple[int, ...]


class Ledger:
    """One reply's audio. It plays once released, unless paused; a stopped one never again."""

    def __init__(self, max_samples: int) -> None:
        self._max_samples = max_samples
        self._pieces: list[Pcm] = []
        self._starts: list[int] = []
        self._word_ends: list[int] = []
        self._fade_in = False
        self.position = 0
        self.played = 0
        self.synthesised = 0
        self.released = False
        self.paused = False
        self.stopped = False

    @property
    def playing(self) -> bool:
        return self.released and not self.paused and not self.stopped

    @property
    def ended(self) -> bool:
        """Everything synthesised so far has been handed out."""
        return self.position == self.synthesised

    def append(self, pcm: Pcm) -> None:
        """Add audio behind what is there: int16 at `LEDGER_RATE`, shape (samples,).

        Raises `LimitReached` when the reply would get longer than it may; nothing is added
        then. A stopped ledger takes nothing.
        """
        if self.stopped or not len(pcm):
            return
        if self.synthesised + len(pcm) > self._max_samples:
            limit_s = self._max_samples / LEDGER_RATE
            raise LimitReached(f"the reply is longer than {limit_s:g} s (playout.max_reply_s); it is cut there")
        self._pieces.append(pcm)
        self._starts.append(self.synthesised)
        self.synthesised += len(pcm)

    def truncate(self, sample: int) -> None:
        """Forget what lies at `sample` and behind it, except what was handed out already."""
        end = max(sample, self.played, self.position)
        while self._starts and self._starts[-1] >= end:
            self._starts.pop()
            self._pieces.pop()
        if self._starts:
            self._pieces[-1] = self._pieces[-1][: end - self._starts[-1]]
        self.synthesised = min(self.synthesised, end)
        del self._word_ends[bisect_right(self._word_ends, end) :]

    def mark_word(self, end_sample: int) -> None:
        """A word ends at this reply sample; the take that crosses it will say so."""
        if not self.stopped:
            insort(self._word_ends, end_sample)

    def take(self, samples: int, *, partial: bool = True) -> Taken | None:
        """The next frame, shape (samples,), or None when there is nothing to hand out now.

        With less than a frame left: the rest, zero padded, or None if not `partial` (more is
        on its way, and a gap inside a word would be heard).
        """
        left = self.synthesised - self.position
        if not self.playing or left == 0 or (left < samples and not partial):
            return None
        start, count = self.position, min(left, samples)
        frame = np.zeros(samples, dtype=np.int16)
        self._copy(start, frame[:count])
        if self._fade_in:
            self._fade_in = False
            head = frame[:FADE_SAMPLES]
            head[:] = np.rint(head * _RISE[: len(head)])
        self.position = start + count
        self.played = max(self.played, self.position)
        first, last = bisect_right(self._word_ends, start), bisect_right(self._word_ends, self.position)
        return Taken(frame, start, count, tuple(self._word_ends[first:last]))

    def _copy(self, start: int, out: Pcm) -> None:
        done, index = 0, bisect_right(self._starts, start) - 1
        while done < len(out):
            offset = start + done - self._starts[index]
            part = self._pieces[index][offset : offset + len(out) - done]
            out[done : done + len(part)] = part
            done += len(part)
            index += 1

    def release(self) -> None:
        """It may be played."""
        self.released = True

    def pause(self) -> int:
        """Hand out nothing more. Returns the position, which a later `resume` continues."""
        self.paused = True
        return self.position

    def resume(self, sample: int | None = None) -> None:
        """Play on, from `sample` if given (see `seek`), softly."""
        if sample is not None:
            self.seek(sample)
        self.paused = False
        self._fade_in = self.position > 0

    def seek(self, sample: int) -> None:
        """Continue at `sample`. Raises `AudioError` if it is not within what is synthesised."""
        if not 0 <= sample <= self.synthesised:
            raise AudioError(f"sample {sample} is outside the reply's 0 to {self.synthesised}")
        self._fade_in = sample > 0
        self.position = sample

    def stop(self) -> int:
        """Drop the audio for ever. Returns the position at which it ended."""
        self.stopped = True
        self._pieces.clear()
        self._starts.clear()
        self._word_ends.clear()
        return self.position


def fade_tail(last: int, samples: int) -> Pcm | None:
    """A frame, shape (samples,), that leads from amplitude `last` to silence within 5 ms.

    It follows the last frame before a pause, cut or gap, so that there is no click. It holds no
    audio of the reply: nothing is heard that is not counted. None where none is needed.
    """
    if abs(last) < _INAUDIBLE:
        return None
    frame = np.zeros(samples, dtype=np.int16)
    head = frame[:FADE_SAMPLES]
    head[:] = np.rint(last * _RISE[::-1][: len(head)])
    return frame
