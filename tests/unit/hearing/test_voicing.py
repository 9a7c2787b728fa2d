import numpy as np
import pytest

from agent.hearing.voicing import VOICED_FROM, WINDOW_SAMPLES, periodicity
from tests.fixtures.speech import silence, speak

TIME = np.arange(WINDOW_SAMPLES) / 16_000


@pytest.mark.parametrize("hz", [80, 120, 220, 390])
def test_a_pulse_train_in_the_range_of_voices_is_periodic(hz: int) -> None:
    wave = sum(np.sin(2 * np.pi * hz * k * TIME) for k in range(1, 6)) * 1_000
    assert periodicity(wave.astype(np.int16)) > 0.9


def test_noise_is_not_periodic() -> None:
    peaks = [periodicity(silence(40, rms=3_000, seed=seed)) for seed in range(100)]
    assert max(peaks) < VOICED_FROM


def test_silence_and_a_constant_are_not_periodic() -> None:
    assert periodicity(np.zeros(WINDOW_SAMPLES, dtype=np.int16)) == 0.0
    assert periodicity(np.full(WINDOW_SAMPLES, 900, dtype=np.int16)) == 0.0


def test_most_of_a_sentence_is_voiced() -> None:
    speech = speak("what time is it in tokyo right now")
    windows = [speech[i : i + WINDOW_SAMPLES] for i in range(0, speech.size - WINDOW_SAMPLES, 160)]
    loud = [w for w in windows if np.sqrt(np.mean(w.astype(float) ** 2)) > 300]
    voiced = sum(periodicity(w) >= VOICED_FROM for w in loud)
    assert voiced / len(loud) > 0.6
