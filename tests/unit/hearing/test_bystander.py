"""A microphone that is not live, and somebody who talks to it."""

from __future__ import annotations

import numpy as np

from agent.hearing.bystander import AGAIN_MS, FIRST_MS, KEPT_SAMPLES, Bystander
from agent.hearing.port import Pcm
from agent.settings import VadSettings
from tests.fixtures.level_vad import LevelVad
from tests.unit.hearing.test_hearing_loop import FRAME, QUIET, VOICE, uttered

SETTINGS = VadSettings(onset_ms=60, hangover_ms=100, preroll_ms=50)
FRAME_MS = 10
CLATTER = np.random.default_rng(7).normal(0, 3_000, (200, FRAME)).astype(np.int16)


def bystander() -> Bystander:
    return Bystander(LevelVad(), SETTINGS)


def hears(microphone: Bystander, frame: Pcm, ms: int) -> list[int]:
    """When, in milliseconds of this sound, somebody was found to talk."""
    return [(n + 1) * FRAME_MS for n in range(ms // FRAME_MS) if microphone.hear(uttered(frame, n))]


def test_who_talks_is_noticed_once_they_have_said_something_and_again_as_they_go_on():
    first, again = hears(bystander(), VOICE, 1_600)
    assert FIRST_MS <= first <= FIRST_MS + 60
    assert again - first == AGAIN_MS


def test_noise_and_short_sounds_are_nobody():
    microphone = bystander()
    assert not any(microphone.hear(frame) for frame in CLATTER)
    for _ in range(5):
        assert hears(microphone, VOICE, 200) == []
        assert hears(microphone, QUIET, 300) == []
    assert hears(microphone, VOICE, 500), "the next utterance counts anew"


def test_nothing_of_what_was_said_is_lost():
    microphone = bystander()
    hears(microphone, QUIET, 5_000)
    hears(microphone, VOICE, 400)
    kept = microphone.take()
    voiced = np.flatnonzero(kept)
    assert voiced.size >= 400 * 16 * 9 // 10
    assert 0 < voiced[0] <= (SETTINGS.preroll_ms + SETTINGS.onset_ms) * 16, "and a little of what came before"
    assert microphone.take().size == 0


def test_what_is_kept_is_bounded():
    microphone = bystander()
    hears(microphone, VOICE, 10_000)
    assert microphone.take().size <= KEPT_SAMPLES + FRAME
