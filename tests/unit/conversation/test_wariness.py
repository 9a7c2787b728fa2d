"""False alarms in a row raise the bar; a real interruption, and time, bring it back."""

from __future__ import annotations

import pytest

from agent.conversation import decisions as d
from agent.conversation import events as e
from agent.conversation.policy import MAX_VOICED_MS, Interruption
from tests.unit.conversation.script import Script, names


def cough(script: Script) -> Script:
    return script.starts().wait(100).stops(50).final("").wait(1_000)


def test_false_alarms_in_a_row_make_it_wary():
    script = Script().speaking("word " * 200)
    for _ in range(Interruption().wary_after):
        cough(script)
    assert len(script.all(d.PlaybackPause)) == Interruption().wary_after
    cough(script)
    assert len(script.all(d.PlaybackPause)) == Interruption().wary_after, "a further cough does not even pause"
    script.starts().voiced(100)
    assert names(script.step) == ["interruption.suspected", "playback.pause"], "a voice does"


def test_the_wary_need_more_voice_to_be_interrupted():
    script = Script().speaking("word " * 200)
    for _ in range(Interruption().wary_after):
        cough(script)
    script.starts().partial("go to bed now").voiced(Interruption().words_voiced_ms)
    assert script.none(d.InterruptionConfirmed)
    script.voiced(Interruption().words_voiced_ms * 2)
    assert script.one(d.InterruptionConfirmed).evidence == "words"


def test_wariness_decays():
    script = Script({"replies.stalled_ms": 600_000}).speaking("word " * 200)
    for _ in range(Interruption().wary_after):
        cough(script)
    script.wait(Interruption().wary_decay_ms)
    assert names(script.starts().step) == ["interruption.suspected", "playback.pause"]


def test_a_real_interruption_ends_it():
    script = Script({"replies.stalled_ms": 600_000}).speaking("word " * 200)
    for _ in range(Interruption().wary_after):
        cough(script)
    script.says("stop now", voiced_ms=600).wait(2_000).thinks("word " * 200).synthesised().plays(1)
    assert names(script.starts().step) == ["interruption.suspected", "playback.pause"]


def test_a_voice_that_goes_on_behind_a_dismissal_does_not_pause_again_and_again():
    script = Script({"interruption.pause_limit_ms": 300, "interruption.voiced_ms": 5_000}).speaking("word " * 200)
    script.starts()
    for step in range(1, 20):
        script.wait(100).voiced(step * 100)
    assert len(script.all(d.PlaybackPause)) == 1


@pytest.mark.parametrize("key", ["words_voiced_ms", "one_word_voiced_ms", "voiced_ms"])
def test_no_bar_is_raised_beyond_what_can_be_set(key: str):
    """A bar that is high already would lie outside its own limits, and end the session."""
    script = Script({f"interruption.{key}": MAX_VOICED_MS - 100}).speaking("word " * 200)
    for _ in range(Interruption().wary_after + 3):
        cough(script)
    script.starts().partial("go to bed now").voiced(MAX_VOICED_MS)
    assert script.one(d.InterruptionConfirmed)


def test_false_alarms_are_forgotten_one_by_one_and_not_all_at_once():
    script = Script({"replies.stalled_ms": 600_000}).speaking("word " * 200)
    for _ in range(Interruption().wary_after + 1):
        script.starts().wait(100).voiced(100).stops(100).final("").wait(100)
    assert len(script.all(d.InterruptionDismissed)) == Interruption().wary_after + 1
    script.wait(Interruption().wary_decay_ms)
    assert names(script.starts().step) == [], "one is forgotten, and there were enough without it"
    script.stops(0).final("").wait(Interruption().wary_decay_ms)
    assert names(script.starts().step) == ["interruption.suspected", "playback.pause"]


def test_what_another_device_became_live_for_is_no_false_alarm():
    script = Script({"replies.stalled_ms": 600_000}).speaking("word " * 200)
    script.post(e.DeviceJoined(device_id="d2", transport="test"))
    script.wait(1)
    for _ in range(Interruption().wary_after):
        script.starts()
        script.post(e.ControlFocus(source=f"device:{'d1' if script.core.live_device_id == 'd2' else 'd2'}"))
        script.wait(1).stops(0).final("").wait(1_000)
    assert [dismissal.evidence for dismissal in script.all(d.InterruptionDismissed)] == ["moved"] * 2
    assert names(script.starts().step) == ["interruption.suspected", "playback.pause"]
