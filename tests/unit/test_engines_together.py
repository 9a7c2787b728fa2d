"""The same question through each pair of voice-activity detector and recogniser, without a browser."""

from __future__ import annotations

import json
import wave
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from agent.cli import main
from tests.fixtures.speech import has_flite, silence, speak

FIXTURE_MODEL = Path(__file__).parents[1] / "fixtures" / "whisper_fixture"


@pytest.mark.skipif(not has_flite(), reason="recognition is tested with flite's voices; flite is absent")
@pytest.mark.parametrize("vad", ["webrtcvad", "silero"])
@pytest.mark.parametrize("asr", ["pocketsphinx", "whisper"])
def test_a_question_is_heard_and_answered(vad: str, asr: str, tmp_path: Path) -> None:
    path = tmp_path / "question.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(np.concatenate((silence(400), speak("what time is it in tokyo"), silence(300))).tobytes())
    timeline = tmp_path / "talk.jsonl"
    chosen = (f"vad.engine={vad}", f"asr.engine={asr}", f"asr.model={FIXTURE_MODEL}", "asr.min_context_ms=1000")
    flags = [part for setting in chosen for part in ("--set", setting)]
    done = CliRunner().invoke(main, ["file", str(path), "--timeline", str(timeline), "--report", "-", *flags])
    assert done.exit_code == 0, done.output
    report = json.loads(done.output)
    assert report["engines"]["vad"] == vad
    assert report["engines"]["asr"] == asr
    entries = [json.loads(line) for line in timeline.read_text().splitlines()]
    finals = [entry["payload"]["text"] for entry in entries if entry["type"] == "asr.final"]
    assert finals == ["what time is it in tokyo"]
    assert len([entry for entry in entries if entry["type"] == "asr.partial"]) >= 2
    assert any("Tokyo" in entry["payload"]["text"] for entry in entries if entry["type"] == "tts.say")
