"""What every voice-activity detector has to do."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from agent.hearing.port import Pcm, Vad
from agent.hearing.vad_silero import SileroVad
from agent.hearing.vad_webrtc import WebRtcVad
from agent.settings import VadSettings
from tests.conformance.holdings import cycles, holdings
from tests.fixtures.level_vad import LevelVad
from tests.fixtures.speech import silence, speak

ENGINES: list[Callable[[], Vad]] = [
    lambda: WebRtcVad(VadSettings(frame_ms=10)),
    lambda: WebRtcVad(VadSettings(frame_ms=20, aggressiveness=0)),
    lambda: WebRtcVad(VadSettings(frame_ms=30, aggressiveness=3)),
    lambda: SileroVad(VadSettings()),
    LevelVad,
]
IDS = ["webrtc-10", "webrtc-20", "webrtc-30", "silero", "fake"]
each_engine = pytest.mark.parametrize("engine", ENGINES, ids=IDS)


def probabilities(vad: Vad, pcm: Pcm) -> list[float]:
    size = vad.frame_samples
    return [vad.probability(pcm[at : at + size]) for at in range(0, pcm.size - size + 1, size)]


@each_engine
def test_silence_is_not_speech(engine: Callable[[], Vad]) -> None:
    assert max(probabilities(engine(), silence(1_000))) < 0.5


@each_engine
def test_most_frames_of_a_sentence_are_speech(engine: Callable[[], Vad]) -> None:
    said = probabilities(engine(), speak("what time is it in tokyo right now"))
    assert all(0.0 <= p <= 1.0 for p in said)
    assert np.mean([p >= 0.5 for p in said]) > 0.7


@each_engine
def test_after_a_reset_nothing_is_remembered(engine: Callable[[], Vad]) -> None:
    vad, speech = engine(), speak("set a timer for ten minutes")
    first = probabilities(vad, speech)
    probabilities(vad, silence(700, rms=800))
    vad.reset()
    assert probabilities(vad, speech) == first


@each_engine
def test_two_microphones_do_not_hear_each_other(engine: Callable[[], Vad]) -> None:
    alone, one, other = engine(), engine(), engine()
    speech, noise = speak("set a timer for ten minutes"), silence(3_000, rms=800)
    size = one.frame_samples
    mixed = []
    for at in range(0, speech.size - size + 1, size):
        mixed.append(one.probability(speech[at : at + size]))
        other.probability(noise[at : at + size])
    assert mixed == probabilities(alone, speech)


@each_engine
def test_a_frame_of_the_wrong_length_is_refused(engine: Callable[[], Vad]) -> None:
    vad = engine()
    with pytest.raises(ValueError, match="samples"):
        vad.probability(silence(10)[:-1])


@each_engine
def test_a_thousand_microphones_leave_nothing_behind(engine: Callable[[], Vad]) -> None:
    found, many, noise = [], cycles(), silence(100, rms=800)
    for number in range(many + 1):
        vad = engine()
        for _ in range(3):
            vad.probability(noise[: vad.frame_samples])
        vad.reset()
        if number in (many // 4, many):
            found.append(holdings())
    before, after = found
    assert (after.threads, after.files) == (before.threads, before.files)
    assert after.kib < before.kib + 4_096
