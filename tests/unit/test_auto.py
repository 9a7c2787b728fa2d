"""What `auto` takes, and what it says about it."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from agent.app import App
from agent.auto import CANDIDATES, Present, available, choose, marked, present, resolved
from agent.cli import main
from agent.clock import run_virtual
from agent.config.load import load
from agent.models.folder import ModelsFolder
from agent.settings import Settings

EVERYTHING = Present(lambda package: True, {"whisper": ["whisper-small.en"], "piper": ["piper-a", "piper-b"]})
FRESH = Present(lambda package: True, {})
BARE = Present(lambda package: False, {})
OVERRIDES = [f"{table}.engine=auto" for table in CANDIDATES]


@pytest.mark.parametrize(
    ("table", "model", "here", "engine", "taken"),
    [
        ("tts", "piper-b", EVERYTHING, "piper", ""),
        ("tts", "piper-c", EVERYTHING, "piper", "piper-a"),
        ("tts", "piper-c", FRESH, "espeak", ""),
        ("tts", "mine/voice.onnx", FRESH, "piper", ""),
        ("tts", "piper-b", BARE, "espeak", ""),
        ("asr", "whisper-base.en", EVERYTHING, "whisper", "whisper-small.en"),
        ("asr", "whisper-base.en", FRESH, "pocketsphinx", ""),
        ("vad", "", FRESH, "silero", ""),
        ("vad", "", BARE, "webrtcvad", ""),
        ("brain", "qwen3", FRESH, "openai", ""),
        ("brain", "", FRESH, "skills", ""),
        ("brain", "qwen3", BARE, "skills", ""),
    ],
)
def test_the_best_that_is_present_is_taken(table, model, here, engine, taken):
    choice = choose(table, model, here)
    assert (choice.engine, choice.model) == (engine, taken)
    best = CANDIDATES[table][0]
    assert bool(choice.better) == (engine != best.engine)
    if choice.better:
        assert best.mend in str(choice)


def test_all_that_could_be_taken_are_listed():
    assert [(one.engine, one.model) for one in available("tts", "piper-c", EVERYTHING)] == [
        ("piper", "piper-a"),
        ("espeak", ""),
    ]
    assert [one.engine for one in available("asr", "", FRESH)] == ["pocketsphinx"]


def test_the_last_candidate_is_the_default_of_a_fresh_clone():
    for table, candidates in CANDIDATES.items():
        assert getattr(Settings(), table).engine == candidates[-1].engine


def test_nothing_is_looked_at_where_nothing_is_auto(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("models").mkdir()
    Path("models/manifest.toml").write_text("this is not TOML")
    assert resolved(Settings()) == (Settings(), ())


def test_models_that_are_installed_are_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = ModelsFolder(Path("models"))
    model = folder.manifest.model("piper-en_US-ryan-medium")
    folder.path(model).mkdir(parents=True)
    for file in model.files[1:]:
        (folder.path(model) / file.name).touch()
    settings = load(None, {}, OVERRIDES).settings
    assert present(settings).models == {}
    (folder.path(model) / model.files[0].name).touch()
    taken, choices = resolved(settings)
    assert (taken.tts.engine, taken.tts.model) == ("piper", model.name)
    assert taken.asr.engine == "pocketsphinx"
    assert [choice.table for choice in choices] == list(CANDIDATES)
    assert resolved(taken) == (taken, ())


def test_the_agent_runs_with_what_auto_took(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    async def composed():
        app = App(load(None, {}, [*OVERRIDES[1:], "timeline.store=memory", "brain.memory=:memory:"]).settings)
        return app.engines.names, marked(app.engines.names, app.chosen)

    names, shown = run_virtual(composed())
    assert names == {"vad": "webrtcvad", "asr": "pocketsphinx", "brain": "skills", "tts": "espeak"}
    assert shown == {"vad": "webrtcvad", **{table: f"{names[table]} (auto)" for table in ("asr", "brain", "tts")}}


def test_config_shows_what_auto_took(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    shown = CliRunner().invoke(main, ["config", "--show", "--set", "tts.engine=auto"])
    assert shown.exit_code == 0, shown.output
    assert "tts.engine = auto took espeak; better: piper (voice-agent models pull piper-en_US-lessac-medium)" in (
        shown.output
    )
    assert " auto " not in CliRunner().invoke(main, ["config", "--show"]).output
