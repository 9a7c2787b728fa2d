from __future__ import annotations

import numpy as np

from agent.hearing.pause import Pause
from tests.fixtures.speech import silence, speak


def test_silence_behind_speech_is_counted_and_speech_ends_it() -> None:
    pause = Pause()
    pause.push(speak("what time is it"))
    pause.push(silence(200, rms=15))
    assert pause.quiet_samples >= 200 * 16
    said = pause.sound_samples
    pause.push(speak("in tokyo"))
    pause.push(silence(80))
    assert 80 * 16 <= pause.quiet_samples < 400 * 16
    assert pause.sound_samples > said


def test_steady_noise_is_no_pause() -> None:
    pause = Pause()
    pause.push(np.concatenate((silence(1_000, rms=900, seed=2), silence(300, rms=800))))
    assert pause.quiet_samples == 0
