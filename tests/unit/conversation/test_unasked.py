"""What is said unasked; restarts; settings changed on the way."""

from __future__ import annotations

import pytest

from agent.conversation import decisions as d
from agent.conversation import events as e
from tests.unit.conversation.script import Script, names

ANSWER = "One two three four five six."

# ── what is said unasked ─────────────────────────────────────────────────────────────────


def remind(script: Script, text: str = "Your tea is ready.") -> list[e.Event]:
    return script.post(e.ReminderDue(reminder_id="m", text=text))


def test_a_reminder_is_spoken_at_once_when_nobody_has_the_floor():
    script = Script()
    assert names(remind(script)) == ["playback.release", "tts.say"]
    assert script.one(d.TtsSay).turn_id == ""
    script.plays_out()
    assert script.one(d.ReplyDone).outcome == "completed"


def test_reminders_wait_their_turn():
    script = Script().speaking()
    remind(script, "One.")
    remind(script, "Two.")
    assert script.texts[-1] == ANSWER
    script.starts().stops().final("").plays_out()
    assert script.texts[-1] == "One."
    script.plays_out()
    assert script.texts[-1] == "Two."


def test_a_reminder_waits_for_the_users_turn():
    script = Script().starts()
    assert remind(script) == []
    script.wait(500).stops(300).wait(20).final("what time is it").wait(100)
    assert "Your tea is ready." not in script.texts
    script.thinks("Noon.").plays_out()
    assert script.texts[-1] == "Your tea is ready."


def test_nothing_is_spoken_without_a_loudspeaker():
    script = Script(device=False)
    assert remind(script) == []
    script.post(e.DeviceJoined(device_id="d1", transport="test"))
    assert script.texts == ["Your tea is ready."]


def test_a_reminder_of_which_nothing_was_heard_is_said_again():
    script = Script()
    remind(script)
    script.post(e.DeviceLeft(device_id="d1", reason="reload"))
    script.post(e.DeviceJoined(device_id="d1", transport="test"))
    assert script.texts == ["Your tea is ready."] * 2


@pytest.mark.parametrize("gone", [e.DeviceLeft(device_id="d1", reason="reload"), e.SessionResumed()])
def test_a_reminder_that_was_cut_off_because_nobody_was_there_any_more_is_said_again_once(gone: e.Event):
    script = Script()
    remind(script)
    script.synthesised().plays(2).post(gone)
    assert script.one(d.PlaybackStop).heard_text == "Your tea"
    script.wait(5_000).post(e.DeviceJoined(device_id="d1", transport="test"))
    script.post(e.DeviceJoined(device_id="d2", transport="test"))
    assert script.texts == ["Your tea is ready."] * 2
    script.plays_out().wait(5_000)
    assert script.texts == ["Your tea is ready."] * 2
    assert script.last(d.ReplyDone).outcome == "completed"


def test_a_reminder_that_was_heard_whole_is_not_said_again_because_the_page_is_loaded_again():
    script = Script()
    remind(script)
    script.plays_out().post(e.DeviceLeft(device_id="d1", reason="reload"))
    script.post(e.DeviceJoined(device_id="d1", transport="test"))
    assert script.texts == ["Your tea is ready."]


def test_an_answer_that_was_cut_off_by_a_reload_is_not_said_again():
    script = Script().speaking()
    script.post(e.DeviceLeft(device_id="d1", reason="reload"))
    script.post(e.DeviceJoined(device_id="d1", transport="test"))
    assert script.texts == [ANSWER]


def test_a_reminder_that_was_heard_or_stopped_is_not_said_again():
    script = Script()
    remind(script)
    script.synthesised().plays(2).starts().partial("no wait").voiced(300)
    assert script.texts == ["Your tea is ready."]
    script = Script()
    remind(script)
    script.post(e.ControlStop())
    script.wait(5_000)
    assert script.texts == ["Your tea is ready."]


# ── restart and settings ─────────────────────────────────────────────────────────────────


def test_a_restart_settles_what_was_under_way():
    script = Script().types().token("Well now. ").calls("c1", "write", name="set_timer").synthesised().plays(1)
    script.post(e.SessionResumed())
    assert script.one(d.InterruptionConfirmed).evidence == "restart"
    assert script.one(d.ActionUnknown).action_id == "r1:c1"
    assert script.reply_id == "r1", "nobody is there to be told yet"
    script.post(e.DeviceJoined(device_id="d1", transport="test"))
    assert script.texts[-1] == "I was restarted and don't know whether this was done: set timer."
    script.plays_out().result("c1", reply_id="r1")
    assert script.one(d.ActionCommitted).late, "an outcome that is known after all is not kept back"
    assert script.texts[-1] == "set timer is done after all."


def test_what_goes_on_when_the_session_is_closed_is_unknown():
    """Nothing is recorded behind the close, so nothing may be left in progress there."""
    script = Script().types().calls("c1", "write", name="set_timer")
    script.post(e.SessionClosed(reason="test"))
    assert script.one(d.ActionUnknown).action_id == "r1:c1"
    assert script.core.next_deadline_us() is None or script.wait(120_000).none(d.TtsSay)
    script.post(e.SessionResumed())
    script.post(e.DeviceJoined(device_id="d1", transport="test"))
    assert len(script.all(d.ActionStarted)) == 1


def test_a_restart_ends_the_open_turn():
    script = Script().starts().voiced(500)
    script.post(e.SessionResumed())
    assert script.turns == [""]
    script.utterance = 0  # hearing counts from 1 again
    script.says("what time is it").wait(1_000)
    assert script.turns == ["", "what time is it"]


def test_a_restart_forgets_no_reminder():
    script = Script().speaking()
    remind(script)
    script.post(e.SessionResumed())
    assert "Your tea is ready." not in script.texts
    script.post(e.DeviceJoined(device_id="d2", transport="test"))
    assert script.texts[-1] == "Your tea is ready."


def test_settings_take_effect_at_once():
    script = Script()
    script.post(e.SettingsChanged(changes={"endpointing.floor_ms": 400, "vad.onset_ms": 6, "replies.speculate": False}))
    script.says("what time is it").wait(279)
    assert script.none(d.TurnEnd, d.ModelStart)
    script.wait(1)
    assert script.one(d.TurnEnd)


def test_settings_that_cannot_be_change_nothing():
    script = Script()
    script.post(e.SettingsChanged(changes={"replies.max_steps": 1, "endpointing.floor_ms": 9_999}))
    assert script.one(d.Complaint).code == "settings"
    assert script.core.policy.replies.max_steps == 6
