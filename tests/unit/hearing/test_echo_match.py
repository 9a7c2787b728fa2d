from __future__ import annotations

import numpy as np
import pytest

from agent.hearing.decimator import Decimator
from agent.hearing.echo_match import match
from tests.fixtures.loopback import echo, noise
from tests.fixtures.speech import speak

TEXT = "once upon a time there was a small lighthouse on a rock far from the harbour"
WINDOW = 2_048


def floats(audio: np.ndarray) -> np.ndarray:
    return audio.astype(np.float32)


@pytest.mark.parametrize("delay_ms", [0, 35, 210, 400])
def test_an_echo_is_found_where_it_lies(delay_ms: int) -> None:
    played = speak(TEXT, "espeak:en-us")
    heard = echo(played, -20, delay_ms) + noise(played.size)
    for end in range(16_000, 48_000, 4_000):
        found = match(floats(heard[end - WINDOW : end]), floats(played[end - WINDOW - 8_000 : end]))
        assert found.score > 0.4
        assert abs(found.lag - 32 - delay_ms * 16) < 24


def test_another_voice_is_not_found() -> None:
    played, other = speak(TEXT, "espeak:en-us"), speak("add milk to my shopping list and then stop", "kal")
    scores = [
        match(floats(other[end - WINDOW : end]), floats(played[16_000 + end - WINDOW - 8_000 : 16_000 + end])).score
        for end in range(4_000, 32_000, 1_500)
    ]
    assert max(scores) < 0.4


def test_silence_is_like_nothing() -> None:
    nothing, played = np.zeros(WINDOW, np.float32), floats(speak(TEXT, "espeak:en-us")[:8_192])
    assert match(nothing, played).score == 0.0
    assert match(played[:WINDOW], np.zeros(8_192, np.float32)).score == 0.0


def test_decimation_keeps_speech_and_drops_what_would_fold() -> None:
    at = np.arange(48_000) / 48_000
    for hertz, gain in ((1_000, 1.0), (4_000, 1.0), (11_000, 0.0)):
        decimator = Decimator()
        tone = (10_000 * np.sin(2 * np.pi * hertz * at)).astype(np.int16)
        out = np.concatenate([decimator.push(block) for block in tone.reshape(-1, 960)])
        assert out.size == 16_000
        assert np.sqrt(np.mean(out[100:] ** 2)) * np.sqrt(2) / 10_000 == pytest.approx(gain, abs=0.03)
