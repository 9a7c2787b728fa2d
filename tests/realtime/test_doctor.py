"""The doctor measures the machine, and gives up on one that is busy."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from agent.cli import main
from tests.fixtures.server import share_cache

pytestmark = pytest.mark.realtime


def test_the_whole_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    share_cache(tmp_path)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["doctor", "--set", "server.port=0"])
    assert result.exit_code == 0, result.output
    for name in ("brain", "speech", "recogniser", "recogniser speed", "speech speed"):
        assert name in result.output
    deaf = ["--set", "asr.engine=tests.fixtures.deaf:Deaf"]  # the recogniser has been started once
    broken = CliRunner().invoke(main, ["doctor", "--set", "server.port=0", "--set", "tts.voice=nobody", *deaf])
    assert broken.exit_code == 1
    assert "tts.voice" in broken.output
