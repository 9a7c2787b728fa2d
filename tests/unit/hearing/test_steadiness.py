"""Tones and hums are steady, voices are not."""

from __future__ import annotations

import numpy as np
import pytest

from agent.hearing.port import HEARING_RATE, Pcm
from agent.hearing.steadiness import STEADY_MS, Steadiness
from tests.fixtures.loopback import noise, scaled
from tests.fixtures.speech import speak

FRAME_MS = 10
FRAME = HEARING_RATE * FRAME_MS // 1_000
WINDOW = HEARING_RATE * 40 // 1_000
TIME = np.arange(HEARING_RATE) / HEARING_RATE
WORDS = "what time is it in paris, no wait, a room for two, mm, oh"


def hum(hz: int) -> np.ndarray:
    """As mains make it: with all harmonics."""
    return np.asarray(sum(np.sin(2 * np.pi * hz * k * TIME + k) / k for k in range(1, 12)))


SOUNDS = {
    "a tone": np.sin(2 * np.pi * 440 * TIME),
    **{f"a hum of {hz} Hz": hum(hz) for hz in (50, 60, 100, 120)},
}


def steady_ms(sound: Pcm) -> list[int]:
    """When it was found to be steady, in ms."""
    ear = Steadiness(FRAME_MS)
    ends = range(WINDOW, sound.size + 1, FRAME)
    return [end * 1_000 // HEARING_RATE for end in ends if ear.step(sound[end - WINDOW : end])]


@pytest.mark.parametrize("rms", [200, 3_000])
@pytest.mark.parametrize("name", SOUNDS)
def test_a_machine_is_steady_as_soon_as_that_can_be_told(name: str, rms: int) -> None:
    found = steady_ms((scaled(SOUNDS[name], rms) + noise(HEARING_RATE)).astype(np.int16))
    assert found[0] <= STEADY_MS + 200
    assert len(found) * FRAME_MS > 400


@pytest.mark.parametrize("voice", ["slt", "rms", "kal", "awb", "espeak:en-us"])
def test_a_voice_is_not_nor_is_one_over_a_machine(voice: str) -> None:
    spoken = speak(WORDS, voice)
    assert steady_ms(spoken) == []
    tone = np.resize(scaled(SOUNDS["a hum of 100 Hz"], 700), spoken.size)
    over = scaled(spoken.astype(float), 2_000)
    loud = np.convolve(np.abs(over), np.ones(800) / 800, "same") > 500
    voiced_and_steady = [ms for ms in steady_ms((over + tone).astype(np.int16)) if loud[ms * 16 - 640 : ms * 16].all()]
    assert len(voiced_and_steady) * FRAME_MS <= 40


def test_a_sound_that_begins_anew_is_another_one() -> None:
    sound = (1_000 * SOUNDS["a tone"]).astype(np.int16)
    ear = Steadiness(FRAME_MS)
    assert [ear.step(sound) for _ in range(40)][-1]
    ear.reset()
    assert not ear.step(sound)
