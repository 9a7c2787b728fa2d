"""The detector with its real engine on synthetic speech."""

from __future__ import annotations

import numpy as np
import pytest

from agent.hearing.detector import Frame, SpeechDetector
from agent.hearing.port import Pcm
from agent.hearing.vad_webrtc import WebRtcVad
from agent.settings import VadSettings
from tests.fixtures.speech import last_sound, noise_burst, silence, speak

LEAD_MS = 600


def frames(sound: Pcm, settings: VadSettings, chunk: int = 320) -> list[Frame]:
    audio = np.concatenate((silence(LEAD_MS, rms=15), sound, silence(600, rms=15)))
    detector = SpeechDetector(WebRtcVad(settings), settings)
    return [frame for at in range(0, audio.size, chunk) for frame in detector.feed(audio[at : at + chunk])]


@pytest.mark.parametrize("text", ["what time is it in tokyo right now", "set a timer for ten minutes", "yes please"])
def test_the_end_found_is_that_of_the_speech(text: str) -> None:
    speech = speak(text)
    heard = frames(speech, VadSettings())
    stops = [index for index, frame in enumerate(heard) if frame.edge == "stopped"]
    end = (stops[-1] + 1) * 160 - heard[stops[-1]].silent_samples
    truth = LEAD_MS * 16 + last_sound(speech)
    assert abs(end - truth) / 16 < 60


@pytest.mark.parametrize("frame_ms", [10, 20, 30])
def test_speech_is_mostly_voiced_and_a_burst_is_not(frame_ms: int) -> None:
    settings = VadSettings.model_validate({"frame_ms": frame_ms})
    speech = speak("what time is it in tokyo right now")
    said = max(frame.voiced_ms for frame in frames(speech, settings))
    assert said > 0.4 * speech.size / 16
    assert max(frame.voiced_ms for frame in frames(noise_burst(150), settings)) == 0


def test_the_way_audio_is_cut_does_not_matter() -> None:
    speech = speak("never mind")
    one = [(f.edge, f.voiced_ms) for f in frames(speech, VadSettings(), 320)]
    other = [(f.edge, f.voiced_ms) for f in frames(speech, VadSettings(), 77)]
    assert one == other
