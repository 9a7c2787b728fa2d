"""The whole benchmark, at its shortest: every row has a number or a reason. Nothing here asserts a time."""

import json
import re

import pytest
from typer.testing import CliRunner

from agent.bench import command
from agent.bench.plan import Plan, Stage
from agent.cli import main

ONCE = Plan(
    asks=1, barges=1, stories=1, bursts_per_story=2, reference_s=7.5, crowd=Stage(2, 2.0), appends=20, page_s=4.0,
    sentences=1,
)  # fmt: skip
"""Each part of the quick plan, once. The bursts are compared with the story up to `reference_s`."""


@pytest.mark.timeout(300)
def test_quick_prints_every_row(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "QUICK", ONCE)
    out = tmp_path / "bench.json"
    result = CliRunner().invoke(main, ["bench", "--quick", "--json", str(out)])
    assert result.exit_code == 0, result.output
    rows = json.loads(out.read_text())["rows"]
    assert len(rows) == 30
    for row in rows:
        assert re.search(r"\d", row["measured"]) or row["measured"].startswith("not measured: "), row
        assert row["how"]
