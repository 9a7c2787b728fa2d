"""What `replay` prints of a timeline, and what it writes as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agent.cli import main

FIXTURES = Path(__file__).parents[1] / "fixtures"
runner = CliRunner()


@pytest.fixture(autouse=True)
def _narrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")


def shown(name: str, *flags: str) -> str:
    done = runner.invoke(main, ["replay", str(FIXTURES / f"timeline_{name}.jsonl"), *flags])
    assert done.exit_code in (0, 1), done.output
    return done.stdout


def rows(text: str) -> dict[str, str]:
    """The figures by their name."""
    return {line[:21].strip(): line[21:].strip() for line in text.splitlines()}


def test_the_figures_are_shown_behind_the_transcript() -> None:
    text = shown("barge_in")
    assert "tell me a story" in text
    assert "‹not heard:" in text, "also where nothing can be struck through"
    found = rows(text)
    assert found["turns interrupted"] == "1 of 2 (50%)"
    assert found["false interruptions"] == "1 of 2 suspected (50%)"
    assert found["ghost speech"] == "0 ms after 1 cut"
    assert found["ghost actions"] == "0"
    assert found["late commits"] == "0, told 0"
    assert found["mismatches"] == "none"
    assert "tts            1      1  12.0  12.0  12.0      0" in text


def test_bad_news_is_told() -> None:
    text = shown("faults", "--turns")
    assert rows(text)["ghost actions"] == "3"
    assert rows(text)["late commits"] == "2, told 1"
    assert "heard not said in r6: “It is noon.” / “It was”" in text


def test_turns_are_shown_from_the_words_to_the_tools() -> None:
    text = shown("answer", "--turns")
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "t1 said what time is it in tokyo" in lines
    assert "began It is noon. [r1 discarded]" in lines
    assert "understood time(place='tokyo')" in lines
    assert "wrote It is nine in the evening." in lines
    assert "spoken Let me check that. It is nine in the evening. [r2 completed]" in lines
    assert "tool time ok" in lines


def test_where_a_turn_was_ended_too_early_is_shown() -> None:
    lines = [" ".join(line.split()) for line in shown("cut_off", "--turns").splitlines()]
    assert "cut off set a timer for ten minutes [t1, behind 160 ms of silence]" in lines


@pytest.mark.parametrize("name", ["answer", "barge_in"])
def test_everything_fits_eighty_columns(name: str) -> None:
    for flags in ([], ["--turns"]):
        assert max(len(line) for line in shown(name, *flags).splitlines()) <= 80


def test_json_goes_to_a_file_or_alone_to_standard_output(tmp_path: Path) -> None:
    alone = json.loads(shown("barge_in", "--json", "-"))
    assert alone["identical"] is True
    assert alone["figures"]["turns"]["interrupted"] == 1
    assert alone["intent"]["goal"]["text"] == "stop what day is it"
    assert [turn["turn_id"] for turn in alone["turns"]] == ["t1", "t2"]
    assert "turns interrupted" in shown("barge_in", "--json", "found.json")
    assert json.loads((tmp_path / "found.json").read_text()) == alone


def test_a_file_that_cannot_be_written_is_a_clear_error() -> None:
    done = runner.invoke(main, ["replay", str(FIXTURES / "timeline_answer.jsonl"), "--json", "no/such/folder.json"])
    assert done.exit_code == 5
    assert "no/such/folder.json" in done.output
