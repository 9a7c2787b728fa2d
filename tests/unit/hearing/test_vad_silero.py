"""Silero VAD: what only it does, and what is said when its file is not there or broken."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from agent.errors import EngineError
from agent.hearing import vad_silero
from agent.hearing.detector import SpeechDetector
from agent.hearing.vad_silero import SileroVad
from agent.settings import VadSettings
from tests.fixtures.speech import noise_burst, silence, speak


def edges(*parts: np.ndarray) -> list[str]:
    detector = SpeechDetector(SileroVad(VadSettings()), VadSettings())
    return [frame.edge for frame in detector.feed(np.concatenate(parts)) if frame.edge]


def test_an_utterance_begins_and_ends_once() -> None:
    assert edges(silence(500), speak("what time is it in tokyo"), silence(500)) == ["started", "stopped"]


def test_a_noise_that_webrtcvad_takes_for_speech_is_none() -> None:
    assert edges(silence(500, rms=15), noise_burst(150), silence(500, rms=15)) == []


def test_sessions_share_one_network() -> None:
    vad_silero.load.cache_clear()
    for _ in range(3):
        SileroVad(VadSettings())
    assert vad_silero.load.cache_info().misses == 1


def test_a_missing_file_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vad_silero, "find_spec", lambda name: None)
    with pytest.raises(EngineError, match=r"reinstall the package faster-whisper, or set vad\.engine to webrtcvad"):
        SileroVad(VadSettings())


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not a network")
    with pytest.raises(EngineError, match=r"broken\.onnx cannot be read"):
        SileroVad(VadSettings(), broken)


def test_the_default_agent_does_not_load_its_runtime() -> None:
    large = "{'onnxruntime', 'ctranslate2', 'faster_whisper', 'openai'}"
    code = f"import agent.app, agent.cli, sys; assert not {large} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
