from __future__ import annotations

import numpy as np

from agent.hearing.echo_path import BANDS, WINDOW_SAMPLES, EchoPath, band_powers

NOISE = np.full(BANDS, 100.0)


def learned(gain: float) -> EchoPath:
    """A path of that power gain, learned from two seconds that vary by 6 dB, with pauses."""
    path, dice = EchoPath(), np.random.default_rng(1)
    for number in range(200):
        played = np.full(BANDS, 1e6 if number % 20 else 0.0)
        path.step(gain * played * 10 ** dice.normal(0, 0.3, BANDS) + NOISE, played, 10)
        path.learn()
    return path


def excess(path: EchoPath, heard: np.ndarray, played: float = 1e6) -> float:
    path.step(heard, np.full(BANDS, played), 10)
    return path.excess_db(8.0)


def test_the_expected_echo_does_not_exceed_it_and_a_voice_in_some_bands_does() -> None:
    for gain in (0.25, 0.001):
        path = learned(gain)
        usual = np.full(BANDS, gain * 1e6) + NOISE
        assert excess(path, usual) == 0.0
        voice = usual.copy()
        voice[3:8] *= 300.0
        assert excess(path, voice) > 2.0


def test_noise_alone_exceeds_nothing() -> None:
    assert excess(learned(0.1), 3.0 * NOISE, played=0.0) == 0.0


def test_the_room_still_rings_when_nothing_is_played() -> None:
    path = learned(0.1)
    assert excess(path, np.full(BANDS, 1e5), played=0.0) == 0.0
    for _ in range(40):
        path.step(NOISE, np.zeros(BANDS), 10)
    assert excess(path, np.full(BANDS, 1e5), played=0.0) > 5.0


def test_an_echo_that_goes_away_is_no_longer_expected() -> None:
    path = learned(0.25)
    voice = np.full(BANDS, 2e5)
    assert excess(path, voice) == 0.0
    for _ in range(600):
        path.step(NOISE, np.full(BANDS, 1e6), 10)
        path.fade()
    assert excess(path, voice) > 5.0


def test_a_tone_lies_in_its_band() -> None:
    tone = np.sin(2 * np.pi * 1_400 * np.arange(WINDOW_SAMPLES) / 16_000).astype(np.float32)
    powers = band_powers(1_000 * tone)
    assert powers.shape == (BANDS,)
    assert int(np.argmax(powers)) == 9
