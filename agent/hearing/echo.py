"""Is what the microphone hears the agent's own voice?

Browsers cancel echo, but not always and not at once. Here every frame of speech is compared with what
was played: where in it the sound lies (`echo_match`), and whether it is louder, in any band,
than the room gives back (`echo_path`). Pure: audio and its times in, verdicts out.

    state      on                                                  becomes
    searching  speech that lies in what was played                 known       its delay, gains from there on
    searching  speech that does not, for `hold_ms` at most         searching   the frames are near
    known      speech that exceeds the expected echo               known       the frames are near, unless it is
                                                                               just as like: the echo got louder
    known      the same, but lying elsewhere in what was played    known       the other delay

"Near" is a person at the microphone. While nothing is played, and for as long as an
echo may take behind it, everything is near and nothing is computed.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from agent.hearing.decimator import Decimator
from agent.hearing.echo_match import Match, match
from agent.hearing.echo_path import WINDOW_SAMPLES, EchoPath, band_powers
from agent.hearing.history import History
from agent.hearing.port import HEARING_RATE, Pcm
from agent.settings import EchoSettings

Verdict = Literal["near", "unsure", "echo"]

FRAME_US = 20_000
LONGEST_DELAY_MS = 1_000
_RING_MS = 300
"""How long the room may ring behind the last echo."""
_SLACK = HEARING_RATE * 20 // 1000
"""Clock times are this inexact: an echo may seem to come before its sound."""
_MATCH_MS = 128
_MATCH_SAMPLES = HEARING_RATE * _MATCH_MS // 1000
_FIRST_MATCH_MS = 60
_MATCH_EVERY_MS = 20
_DOUBT_EVERY_MS = 140
_TRACK_EVERY_MS = 200
_BREAK_MS = 100
"""Speech behind a longer silence is a new sound."""
_FOUND_EARLY = 0.45
_FOUND = 0.38
"""Correlation from which a sound is echo, before and once it fills the window: other speech is
below 0.33 in 99 of 100 windows, echo in a room above 0.5 in 95."""
_UNHEARD_MS = 1_500
"""If nothing was heard while the agent spoke for so long, there is hardly an echo."""
_SURE_MS = 100
_UNLIKE = 0.25
"""If so little of the first `_SURE_MS` of a sound lies in what was played it is no echo."""
_STILL_ECHO = 0.65
"""The same for what is louder than the expected echo: a person over it does not take it all away."""
_SMOOTH_MS = 50
_NEAR_DB = 0.6
"""Smoothed excess from which a person speaks: echo exceeds it in 2 of 1000 frames."""
_DOUBT_DB = 0.15
_BETTER = 0.15
"""Another delay explains a sound if it correlates so much better than the known one."""
_DRIFT_SAMPLES = HEARING_RATE * 2 // 1000
"""Delays this close are one: the windows compared do not notice. Shorter than a period of any voice."""


class EchoGuard:
    """Judges one microphone. Its `delay` is what lies between playing and hearing, network and buffers included."""

    def __init__(self, settings: EchoSettings) -> None:
        self._settings = settings
        self._decimator = Decimator()
        self._played = History(HEARING_RATE * (LONGEST_DELAY_MS + _MATCH_MS + 200) // 1000)
        self._heard = History(5 * _MATCH_SAMPLES)
        self._path = EchoPath()
        self._sounded = -(1 << 60)
        self.delay: int | None = None
        """In samples at 16 kHz; None while it is searched."""
        self._seen = 0
        self._unheard_ms = 0
        self._begin()

    def configure(self, settings: EchoSettings) -> None:
        """New settings from now on."""
        self._settings = settings

    def played(self, pcm: NDArray[np.int16] | None, at_us: int) -> None:
        """20 ms that are played from `at_us` on: int16 mono 48 kHz, shape (960,), or None for silence."""
        if not self._settings.guard:
            return
        if pcm is None:
            self._decimator.reset()
            self._played.append(_SILENCE, at_us + FRAME_US)
            return
        self._played.append(self._decimator.push(pcm), at_us + FRAME_US)
        self._sounded = self._played.end or 0

    def judge(self, frame: Pcm, end_us: int, *, speech: bool) -> Verdict:
        """One frame of the microphone, 16 kHz mono int16, whose last sample was heard at `end_us`.

        `speech`: the voice activity detector takes it for speech. Of other frames the verdict
        says nothing, but they are learned from.
        """
        if not self._settings.guard:
            return "near"
        self._heard.append(frame.astype(np.float32), end_us)
        now = self._heard.end or 0
        ms = frame.size * 1000 // HEARING_RATE
        if now - self._sounded > (self._settings.max_delay_ms + _RING_MS) * HEARING_RATE // 1000:
            self._begin()
            return "near"
        if self.delay is None:
            return self._search(now, ms, speech)
        return self._compare(now, self.delay, ms, speech)

    def _begin(self) -> None:
        """What comes next is a new sound."""
        self._near = False
        self._run_ms = self._gap_ms = self._since_ms = 0
        self._excess_db = 0.0

    # ── the delay is not known ───────────────────────────────────────────────────────────

    def _search(self, now: int, ms: int, speech: bool) -> Verdict:
        if speech:
            self._gap_ms = 0
            self._run_ms += ms
            if self._run_ms >= _FIRST_MATCH_MS and self._due(_DOUBT_EVERY_MS if self._near else _MATCH_EVERY_MS, ms):
                found = self._find(now)
                if found.score >= (_FOUND_EARLY if self._run_ms < _MATCH_MS else _FOUND):
                    self._adopt(now, found.lag)
                    return "echo"
                self._near = self._near or self._is_unlike(found.score)
        else:
            self._unheard_ms += ms
            self._gap_ms += ms
            if self._gap_ms > _BREAK_MS:
                self._begin()
        return "near" if self._near else "unsure"

    def _is_unlike(self, score: float) -> bool:
        """Whether a sound that is so much like what was played is something else."""
        if self._run_ms >= self._settings.hold_ms:
            return True
        heard_before = self._unheard_ms < _UNHEARD_MS
        return score < (_UNLIKE if heard_before else _FOUND_EARLY) and self._run_ms >= (_SURE_MS if heard_before else 0)

    def _due(self, every_ms: int, ms: int) -> bool:
        self._since_ms += ms
        if self._since_ms < every_ms:
            return False
        self._since_ms = 0
        return True

    def _adopt(self, now: int, delay: int) -> None:
        """The newest sound is echo of this delay; learn how loud it is from all of it."""
        self._begin()
        self.delay = delay
        self._path.reset()
        for end in range(now - _MATCH_SAMPLES + WINDOW_SAMPLES, now + 1, WINDOW_SAMPLES):
            self._step(end, delay, WINDOW_SAMPLES * 1000 // HEARING_RATE)
            self._path.learn()

    # ── the delay is known ───────────────────────────────────────────────────────────────

    def _compare(self, now: int, delay: int, ms: int, speech: bool) -> Verdict:
        self._step(now, delay, ms)
        excess_db = self._path.excess_db(self._settings.margin_db)
        self._excess_db += (excess_db - self._excess_db) * min(1.0, ms / _SMOOTH_MS)
        self._path.fade()
        if self._near and self._excess_db < _DOUBT_DB:
            self._near = False
        if not self._near:
            self._path.learn(max(0.0, 1.0 - self._excess_db / _NEAR_DB))
        if speech and self._excess_db >= _NEAR_DB:
            if self._due(_DOUBT_EVERY_MS if self._near else _MATCH_EVERY_MS, ms):
                self._near = not self._is_echo(now, delay)
        elif speech and self._excess_db < _DOUBT_DB and self._due(_TRACK_EVERY_MS, ms):
            self._track(now, delay)
        if self._near:
            return "near"
        return "unsure" if self._excess_db >= _DOUBT_DB else "echo"

    def _step(self, end: int, delay: int, ms: int) -> None:
        heard, played = self._heard.window(end, WINDOW_SAMPLES), self._played.window(end - delay, WINDOW_SAMPLES)
        powers = band_powers(np.stack((heard, played)))  # at once: a transform costs less than its call
        self._path.step(powers[0], powers[1], ms)

    def _is_echo(self, now: int, delay: int) -> bool:
        """Whether what exceeds the expected echo is one that has become louder, or that comes another way."""
        here = self._around(now, delay, _DRIFT_SAMPLES)
        # At first most of what is compared came before; that it was echo says nothing of what came over it.
        if self._near and here.score >= _STILL_ECHO:
            self._adopt(now, delay)
            return True
        best = self._find(now)
        if best.score < max(_FOUND_EARLY, here.score + _BETTER):
            return False
        self._adopt(now, best.lag)
        return True

    def _track(self, now: int, delay: int) -> None:
        """Follow a delay that drifts. One further away must be found twice: a vowel is like itself a period later."""
        here, best = self._around(now, delay, _DRIFT_SAMPLES), self._around(now, delay, _SLACK)
        if best.score < _FOUND:
            return
        seen, self._seen = self._seen, best.lag
        if best.score >= here.score + _BETTER and abs(seen - best.lag) <= _DRIFT_SAMPLES:
            self.delay = best.lag
        elif here.score >= _FOUND:
            self.delay = here.lag

    def _find(self, now: int) -> Match:
        """Where the newest sound lies in everything that may come back now."""
        reach = self._settings.max_delay_ms * HEARING_RATE // 2000
        return self._around(now, reach, reach + _SLACK)

    def _around(self, now: int, delay: int, reach: int) -> Match:
        """Where it lies within `reach` of `delay`; the lag found is a delay."""
        played = self._played.window(now - delay + reach, _MATCH_SAMPLES + 2 * reach)
        found = match(self._heard.window(now, _MATCH_SAMPLES), played)
        return Match(found.score, found.lag + delay - reach)


_SILENCE = np.zeros(320, dtype=np.float32)
