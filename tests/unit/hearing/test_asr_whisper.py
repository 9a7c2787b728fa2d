"""What is said when Whisper's model is missing or broken."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.app import App
from agent.clock import Clock, run_virtual
from agent.errors import AsrError
from agent.hearing.asr_whisper import WhisperAsr
from agent.settings import AsrSettings, BrainSettings, Settings, TimelineSettings


def problem(settings: AsrSettings, models: Path) -> str:
    async def main() -> str:
        asr = WhisperAsr(settings, Clock(), models)
        with pytest.raises(AsrError) as raised:
            await asr.start()
        with pytest.raises(AsrError, match="not started"):
            await asr.open(print, print)
        await asr.close()
        return str(raised.value)

    return run_virtual(main())


def test_a_missing_model_names_the_command_that_fetches_it(tmp_path: Path) -> None:
    said = problem(AsrSettings(engine="whisper"), tmp_path)
    assert "whisper-base.en is not in" in said
    assert "`voice-agent models pull whisper-base.en`" in said


def test_a_model_without_its_weights_names_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text("{}")
    said = problem(AsrSettings(model="mine"), tmp_path)
    assert "is incomplete: model.bin, tokenizer.json missing" in said
    assert "`voice-agent models pull`" in said


def test_a_model_that_is_none_cannot_be_loaded(tmp_path: Path) -> None:
    for name in ("model.bin", "config.json", "tokenizer.json"):
        (tmp_path / name).write_text("not a model")
    assert f"the model in {tmp_path} cannot be loaded" in problem(AsrSettings(model=str(tmp_path)), tmp_path)


def test_the_app_takes_it_by_its_name() -> None:
    async def main() -> None:
        settings = Settings(
            asr=AsrSettings(engine="whisper"),
            brain=BrainSettings(memory=Path(":memory:")),
            timeline=TimelineSettings(store="memory"),
        )
        app = App(settings)
        assert app.engines.names["asr"] == "whisper"
        with pytest.raises(AsrError, match="models pull"):
            async with app:
                pass

    run_virtual(main())
