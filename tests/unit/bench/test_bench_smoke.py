"""The whole benchmark, short: every row has a number or a reason. Nothing here asserts a time."""

import json
import re

import pytest
from typer.testing import CliRunner

from agent.cli import main


@pytest.mark.timeout(300)
def test_quick_prints_every_row(tmp_path):
    out = tmp_path / "bench.json"
    result = CliRunner().invoke(main, ["bench", "--quick", "--json", str(out)])
    assert result.exit_code == 0, result.output
    rows = json.loads(out.read_text())["rows"]
    assert len(rows) == 30
    for row in rows:
        assert re.search(r"\d", row["measured"]) or row["measured"].startswith("not measured: "), row
        assert row["how"]
