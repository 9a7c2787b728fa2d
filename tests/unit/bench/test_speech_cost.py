"""What speaking takes, with a voice of which it is known."""

from __future__ import annotations

from pathlib import Path
from shutil import copy

from agent.bench.rows import speech_rows
from agent.bench.speech_cost import SpeechCost, speech_cost, speech_costs
from agent.clock import Clock, run_virtual
from agent.config.load import load
from tests.fixtures.even_voice import WORD_SAMPLES, EvenVoice

VOICES = Path(__file__).parents[2] / "fixtures" / "voice"


def test_the_cost_of_a_voice_that_takes_no_time() -> None:
    async def main() -> SpeechCost:
        clock = Clock()
        return await speech_cost(EvenVoice(None, clock), clock, 2, ("one two", "three"))

    cost = run_virtual(main())
    assert (cost.engine, cost.first_ms, cost.real_time_share) == ("even", 0.0, 0.0)
    assert cost.cpu_share is None or cost.cpu_share >= 0.0
    assert len(cost.pcm) == WORD_SAMPLES
    assert cost.jitter is not None
    assert cost.jitter.max_ms == 0.0


def test_every_voice_that_is_present_is_measured(tmp_path: Path) -> None:
    """The one that is installed, too, though the settings name another."""

    async def main() -> list[SpeechCost]:
        settings = load(None, {}, [f"models.folder={tmp_path}", "brain.memory=:memory:"]).settings
        return await speech_costs(settings, Clock(), 1)

    installed = tmp_path / "piper-en_US-ryan-medium"
    installed.mkdir()
    for ending in ("onnx", "onnx.json"):
        copy(VOICES / f"tones.{ending}", installed / f"en_US-ryan-medium.{ending}")
    (installed / "MODEL_CARD").touch()
    rows = speech_rows(run_virtual(main()))
    assert [row.stage for row in rows] == ["speech, piper", "speech, espeak"]
    assert all("first audio after" in row.measured for row in rows)
    assert all("clock meanwhile" in row.measured for row in rows)
    (installed / "en_US-ryan-medium.onnx").write_bytes(b"broken")
    broken, whole = speech_rows(run_virtual(main()))
    assert broken.measured.startswith("not measured: ")
    assert "first audio after" in whole.measured
