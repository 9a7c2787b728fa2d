"""Stored facts decided again under another setting of the core."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from agent.cli import main
from agent.conversation.decisions import InterruptionConfirmed, TurnEnd
from agent.conversation.events import AsrFinal, SettingsChanged, SpeechStarted, SpeechStopped
from agent.errors import SettingsError, StoreError
from agent.redecide import redecide
from agent.show_redecided import side_by_side
from agent.timeline.codec import loads
from agent.timeline.entry import Entry

FIXTURES = Path(__file__).parents[1] / "fixtures"
runner = CliRunner()


def golden(name: str) -> list[Entry]:
    return [loads(line) for line in (FIXTURES / f"timeline_{name}.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("name", ["answer", "barge_in", "cut_off"])
def test_what_it_had_already_changes_nothing(name: str) -> None:
    found = redecide(golden(name), {"interruption.window_ms": 350})
    assert found.parting is None
    assert found.before[1:] == found.after[1:], "all behind the policy itself"


def test_an_interruption_that_was_dismissed_is_confirmed() -> None:
    found = redecide(golden("barge_in"), {"interruption.mode": "any_sound"})
    assert found.parting is not None
    assert (found.parting.now_us, found.parting.before) == (1_700_000, None)
    assert isinstance(found.parting.after, InterruptionConfirmed)
    stored, again = side_by_side(found)[1_700_000, "interruption"]
    assert (str(stored), str(again)) == ("dismissed (backchannel) at 1.920 s", "confirmed (any sound) at 1.700 s")


def speech(first: int) -> list[Entry]:
    """A session in which "what time is it" was said, and its silence took 160 ms to end the turn."""
    begin = next(entry for entry in golden("answer") if entry.event.type == "session.created")
    facts: list[tuple[int, Any]] = [
        (1_000, SpeechStarted(event_id="a", utterance=1, onset_us=940_000)),
        (2_000, SpeechStopped(event_id="b", utterance=1, end_us=1_900_000, voiced_ms=700)),
        (2_010, AsrFinal(event_id="c", utterance=1, text="what time is it")),
    ]
    later = [(9_000, SettingsChanged(event_id="d", changes={"endpointing.floor_ms": 100}))]
    said = [replace(begin, seq=n, now_us=ms * 1_000, event=event) for n, (ms, event) in enumerate(facts + later, first)]
    return [begin, *said]


def ends(entries: list[Entry]) -> list[int]:
    return [entry.now_us for entry in entries if isinstance(entry.event, TurnEnd)]


def test_deadlines_pass_when_the_changed_core_wants_them() -> None:
    """There is no fact at the time to which the longer silence would have led."""
    found = redecide(speech(2), {"endpointing.floor_ms": 480})
    assert ends(found.after) == [1_900_000 + 480_000]


def test_what_was_set_during_the_session_does_not_undo_the_change() -> None:
    entries = speech(2)
    changed = replace(entries[-1], now_us=0, event=replace(entries[-1].event, event_id="early"))
    found = redecide([entries[0], changed, *entries[1:]], {"endpointing.floor_ms": 480})
    assert ends(found.after) == [2_380_000]


def test_settings_that_the_core_does_not_know_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"vad.onset_ms has no part .* endpointing\.\*, interruption\.\*"):
        redecide(golden("answer"), {"vad.onset_ms": 20})
    with pytest.raises(SettingsError, match="floor_ms is 9999"):
        redecide(golden("answer"), {"endpointing.floor_ms": 9_999})
    with pytest.raises(StoreError, match="does not hold its beginning"):
        redecide(golden("answer")[1:], {"endpointing.floor_ms": 200})


def test_the_terminal_shows_the_difference_and_what_it_cannot_tell() -> None:
    path = str(FIXTURES / "timeline_barge_in.jsonl")
    shown = " ".join(runner.invoke(main, ["replay", path, "--set", "interruption.mode=any_sound"]).stdout.split())
    assert "the first difference is at 1.700 s" in shown
    assert "2 of 2 interruptions differ." in shown
    assert "not what would have happened" in shown
    same = runner.invoke(main, ["replay", path, "--set", "interruption.min_words=1"])
    assert (same.exit_code, "every decision is the same" in same.stdout) == (0, True)


def test_the_difference_as_json() -> None:
    path = str(FIXTURES / "timeline_barge_in.jsonl")
    done = runner.invoke(main, ["replay", path, "--json", "-", "--set", "interruption.mode=any_sound"])
    found = json.loads(done.stdout)["redecided"]
    assert found["first_difference"]["t_ms"] == 1_700
    assert found["moments"][0]["stored"] == "dismissed (backchannel) at 1.920 s"
    assert json.loads(runner.invoke(main, ["replay", path, "--json", "-"]).stdout).keys().isdisjoint({"redecided"})


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("vad.onset_ms=20", "no part in what the core decides"),
        ("endpointing.flor_ms=20", "did you mean endpointing.floor_ms"),
        ("endpointing.floor_ms=quick", "must be int"),
        ("endpointing.floor_ms", "table.key=value"),
    ],
)
def test_settings_that_cannot_be_are_clear_errors(setting: str, said: str) -> None:
    done = runner.invoke(main, ["replay", str(FIXTURES / "timeline_answer.jsonl"), "--set", setting])
    assert done.exit_code == 2, done.output
    assert said in done.output
