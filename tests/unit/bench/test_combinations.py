"""The same recordings through several combinations of engines: what is told of them, and a run of two."""

from __future__ import annotations

import json
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from agent.bench.combination import Exchange, exchanges
from agent.bench.combinations import Combination, cells, combinations, measured
from agent.cli import main
from agent.config.load import load
from tests.fixtures.speech import silence, speak


def turn(user: str, turn_end_ms: float | None, first_audio_ms: float | None) -> dict[str, str | float | None]:
    return {"user": user, "turn_end_ms": turn_end_ms, "first_audio_ms": first_audio_ms}


def test_the_turns_of_each_recording_are_told_from_its_last_loud_sample() -> None:
    turns = [
        turn("what time", 1_500.0, 1_600.0),
        turn("is it", 2_150.0, 2_180.0),
        turn("", None, 2_500.0),  # said unasked
        turn("stop", 6_300.0, None),
    ]
    found = exchanges(turns, [(1_000.0, 2_000.0), (5_000.0, 6_000.0), (9_000.0, 9_500.0)])
    assert found == (Exchange("is it", 150.0, 30.0, 180.0), Exchange("stop", 300.0), Exchange())


def test_every_combination_is_measured_but_for_the_engines_that_somebody_set() -> None:
    assert len(list(combinations(load(None, {})))) == 8
    some = list(combinations(load(None, {}, ["vad.engine=silero", "tts.engine=mine:Voice"])))
    assert some == [Combination("silero", asr, "mine:Voice") for asr in ("pocketsphinx", "whisper")]


def test_a_row_tells_medians_and_what_was_heard_or_why_there_is_nothing() -> None:
    said = (Exchange("hello", 100.0, 10.0, 110.0), Exchange(), Exchange("stop", 200.0))
    row = cells(Combination("v", "a", "t", said, 4.56))
    assert row == ("v", "a", "t", "150 ms", "10 ms", "110 ms", "4.6 s", "hello / nothing / stop")
    assert cells(Combination("v", "a", "t", (Exchange(),)))[3:] == ("no answer",) * 3 + ("unknown", "nothing")
    assert cells(Combination("v", "a", "t", failure="it broke"))[-1] == "not measured: it broke"


def test_a_combination_is_talked_to_in_a_process_of_its_own(tmp_path: Path) -> None:
    path, out = tmp_path / "question.wav", tmp_path / "engines.json"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(np.concatenate((speak("what time is it in tokyo"), silence(500))).tobytes())
    chosen = ("vad.engine=webrtcvad", "asr.engine=tests.fixtures.knowing:Knowing", "tts.engine=espeak")
    flags = [part for setting in chosen for part in ("--set", setting)]
    done = CliRunner().invoke(main, ["bench", "--engines", str(path), "--json", str(out), *flags])
    assert done.exit_code == 0, done.output
    [found] = json.loads(out.read_text())["combinations"]
    [exchange] = found["exchanges"]
    assert exchange["heard"] == "what time is it in tokyo"
    assert 0 < exchange["turn_end_ms"] <= exchange["voice_to_voice_ms"]
    assert found["cpu_s_per_minute"] is None or found["cpu_s_per_minute"] > 0


def test_a_process_that_falls_over_is_told_in_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.bench.combinations.COMMAND", (sys.executable, "-c", "raise SystemExit('no memory')"))
    found = measured(Combination("webrtcvad", "pocketsphinx", "espeak"), [], load(None, {}).settings)
    assert found.failure == "its process ended: no memory"


def test_recordings_and_the_flag_go_together() -> None:
    for arguments, said in ((["--engines"], "needs something to say"), (["question.wav"], "go with --engines")):
        done = CliRunner().invoke(main, ["bench", *arguments])
        assert done.exit_code == 2
        assert said in " ".join(done.output.split())
