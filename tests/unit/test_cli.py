"""The command line as a person uses it: exit codes, messages, files written."""

from __future__ import annotations

import json
import wave
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from agent.cli import main
from agent.config.load import load
from agent.headless import for_files
from tests.fixtures.server import share_cache
from tests.fixtures.speech import speak

runner = CliRunner()


def write_wav(path: Path, pcm: np.ndarray, rate: int = 16_000, channels: int = 1) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.repeat(pcm, channels).tobytes())
    return path


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    share_cache(tmp_path)
    monkeypatch.chdir(tmp_path)


def test_a_file_is_answered_reported_recorded_and_replayed(tmp_path: Path) -> None:
    """44.1 kHz stereo in; the whole conversation, the real engines, in virtual time."""
    question = write_wav(tmp_path / "question.wav", speak("what time is it in tokyo right now", rate=44_100), 44_100, 2)
    flags = ["--out", "talk.wav", "--timeline", "talk.jsonl", "--report", "report.json", "--time-zone", "Europe/Paris"]
    done = runner.invoke(main, ["file", str(question), *flags])
    assert done.exit_code == 0, done.output
    report = json.loads(Path("report.json").read_text())
    assert report["complete"]
    assert len(report["turns"]) == 1
    turn = report["turns"][0]
    assert "tokyo" in turn["user"]
    assert turn["agent"] == turn["heard"] == "It's 9 AM in Tokyo."
    assert turn["user_end_ms"] < turn["turn_end_ms"] <= turn["first_audio_ms"]
    with wave.open("talk.wav") as file:
        assert (file.getnchannels(), file.getframerate()) == (2, 48_000)
        pcm = np.frombuffer(file.readframes(file.getnframes()), np.int16).reshape(-1, 2)
    answered = np.flatnonzero(np.abs(pcm[:, 1]) > 500)[0] / 48
    assert answered == pytest.approx(turn["first_audio_ms"], abs=60), "the report's times are the recording's"

    again = runner.invoke(main, ["replay", "talk.jsonl"])
    assert again.exit_code == 0, again.output
    assert "every decision is identical" in again.output
    assert "9 AM in Tokyo" in again.output


def test_a_file_alone_prints_what_was_said(tmp_path: Path) -> None:
    question = write_wav(tmp_path / "question.wav", speak("what time is it in tokyo right now"))
    done = runner.invoke(main, ["file", str(question), "--time-zone", "Europe/Paris"])
    assert done.exit_code == 0, done.output
    assert [line.split()[:2] for line in done.stdout.splitlines()] == [["t1", "you"], ["agent", "It's"]]


def test_for_one_conversation_one_recogniser_is_started() -> None:
    assert for_files(load(None, {})).asr.workers == 1
    assert for_files(load(None, {}, ["asr.workers=3"])).asr.workers == 3, "unless somebody says otherwise"


def test_a_question_is_answered_by_piper(tmp_path: Path) -> None:
    """With a fixture for a voice; the whole reply is synthesised, played, and heard to its last word."""
    question = write_wav(tmp_path / "question.wav", speak("what time is it in tokyo right now"))
    voice = Path(__file__).parents[1] / "fixtures" / "voice" / "tones.onnx"
    overrides = ["--set", "tts.engine=piper", "--set", f"tts.model={voice}"]
    done = runner.invoke(
        main, ["file", str(question), "--timeline", "talk.jsonl", "--report", "report.json", *overrides]
    )
    assert done.exit_code == 0, done.output
    entries = [json.loads(line) for line in Path("talk.jsonl").read_text().splitlines()]
    chunks = [entry["payload"] for entry in entries if entry["type"] == "tts.chunk"]
    assert chunks
    assert not any(chunk["estimated"] for chunk in chunks)
    for chunk in chunks:
        assert len(chunk["words"]) == len(chunk["text"].split())
    [turn] = json.loads(Path("report.json").read_text())["turns"]
    assert turn["heard"] == " ".join(chunk["text"] for chunk in chunks)


def test_telephone_audio_works_and_nothing_is_done_on_what_was_not_understood(tmp_path: Path) -> None:
    """8 kHz has half of the band that the recogniser was made for."""
    path = write_wav(tmp_path / "phone.wav", speak("set a timer for ten minutes", "awb", 8_000), 8_000, 2)
    done = runner.invoke(main, ["file", str(path), "--report", "report.json"])
    assert done.exit_code == 0, done.output
    report = json.loads(Path("report.json").read_text())
    assert len(report["turns"]) == 1
    understood = report["turns"][0]["user"] == "set a timer for ten minutes"
    assert bool(report["pending_timers"]) == understood
    assert report["turns"][0]["heard"]


def test_a_changed_timeline_is_found_out(tmp_path: Path) -> None:
    lines = (Path(__file__).parents[1] / "fixtures" / "timeline_answer.jsonl").read_text().splitlines()
    assert runner.invoke(main, ["replay", _written(tmp_path, lines)]).exit_code == 0
    index = next(i for i, line in enumerate(lines) if '"turn.end"' in line)
    lines[index] = (
        lines[index]
        .replace('"understood": true', '"understood": false')
        .replace('"understood":true', '"understood":false')
    )
    done = runner.invoke(main, ["replay", _written(tmp_path, lines)])
    assert done.exit_code == 1
    assert "1 decisions differ" in done.output


def _written(folder: Path, lines: list[str]) -> str:
    path = folder / "changed.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return str(path)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["file", "missing.wav"], 3, "missing.wav"),
        (["file", "empty.wav"], 3, "empty.wav"),
        (["file", "text.wav"], 3, "text.wav"),
        (["file", "ok.wav", "--next", "sometime"], 2, "sometime"),
        (["file", "ok.wav", "--set", "vad.hangover=1"], 2, "hangover_ms"),
        (["file", "ok.wav", "--set", "vad.frame_ms=15"], 2, "vad.frame_ms"),
        (["file", "ok.wav", "--set", "tts.engine=nobody"], 2, "espeak"),
        (["file", "ok.wav", "--set", "brain.engine=no_such:Thing"], 2, "no_such"),
        (["replay", "nobody"], 5, "nobody"),
        (["replay", "text.wav"], 1, "text.wav"),
        (["config", "--show", "--config", "missing.toml"], 2, "missing.toml"),
        (["serve", "--host", "0.0.0.0", "--port", "0"], 2, "token"),  # noqa: S104
    ],
)
def test_what_is_wrong_is_said_and_has_its_exit_code(
    tmp_path: Path, arguments: list[str], code: int, said: str
) -> None:
    write_wav(tmp_path / "ok.wav", np.zeros(1_600, np.int16))
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "text.wav").write_text("this is no sound\n")
    done = runner.invoke(main, arguments)
    assert done.exit_code == code, done.output
    assert said in done.output
    assert "Traceback" not in done.output


def test_config_prints_a_file_that_it_accepts_and_shows_where_a_value_came_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "whole.toml").write_text(runner.invoke(main, ["config"]).output)
    assert runner.invoke(main, ["config", "--show", "--config", "whole.toml"]).exit_code == 0
    (tmp_path / "agent.toml").write_text("[vad]\nhangover_ms = 120\n")
    monkeypatch.setenv("VOICE_AGENT__TTS__PITCH", "60")
    monkeypatch.setenv("COLUMNS", "250")
    shown = runner.invoke(main, ["config", "--show", "--set", "server.port=9000"])
    assert shown.exit_code == 0, shown.output
    rows = {line.split()[0]: line for line in shown.output.splitlines() if line.strip()}
    assert "120" in rows["vad.hangover_ms"]
    assert "agent.toml" in rows["vad.hangover_ms"]
    assert "environment" in rows["tts.pitch"]
    assert "command line" in rows["server.port"]
    assert "default" in rows["vad.onset_ms"]
