"""Sounds and controls while the agent has the floor."""

from __future__ import annotations

import pytest

from agent.conversation import decisions as d
from agent.conversation import events as e
from tests.unit.conversation.script import WORD_SAMPLES, Script, names

ANSWER = "One two three four five six."


def evidence(script: Script) -> str:
    return script.one(d.InterruptionConfirmed).evidence


# ── suspected, dismissed ─────────────────────────────────────────────────────────────────


def test_a_sound_pauses_and_a_backchannel_resumes_at_the_word_that_was_cut():
    script = Script().speaking(heard=2.5).starts()
    assert names(script.step) == ["interruption.suspected", "playback.pause"]
    script.mark(2.7)  # the playout reports where it stopped
    script.wait(300).partial("uh").stops(250).wait(50).final("uh")
    assert names(script.step) == ["asr.reset", "interruption.dismissed", "playback.resume"]
    assert script.one(d.InterruptionDismissed).evidence == "backchannel"
    assert script.one(d.PlaybackResume).sample == 2 * WORD_SAMPLES
    script.plays_out()
    assert script.one(d.ReplyDone).outcome == "completed"
    assert script.one(d.PlaybackStop).heard_text == ANSWER
    assert script.turns == ["hello"], "a backchannel is no turn"


def test_it_can_resume_at_the_sample():
    script = Script({"interruption.resume_at": "sample"}).speaking(heard=2.5).starts().stops().final("")
    assert script.one(d.PlaybackResume).sample == int(2.5 * WORD_SAMPLES)


def test_between_words_it_resumes_where_it_was():
    script = Script().speaking(heard=3).starts().stops().final("")
    assert script.one(d.PlaybackResume).sample == 3 * WORD_SAMPLES


def test_a_pause_before_the_first_frame_resumes_at_the_start():
    script = Script().types().thinks(ANSWER).starts().stops(60).final("")
    assert script.one(d.PlaybackResume).sample == 0
    script.plays_out()
    assert script.one(d.PlaybackStop).heard_text == ANSWER


def test_a_reply_whose_last_sample_is_out_still_waits_for_the_verdict():
    script = Script().speaking(heard=5).starts().mark(6)
    assert script.none(d.ReplyDone)
    script.stops(60).final("")
    assert names(script.step)[1:4] == ["interruption.dismissed", "playback.resume", "playback.stop"]
    assert script.one(d.ReplyDone).outcome == "completed"


def test_without_a_text_in_the_window_playback_resumes():
    script = Script().speaking().starts().wait(200).stops(100).wait(349)
    assert script.none(d.InterruptionDismissed)
    script.wait(1)
    assert script.one(d.InterruptionDismissed).evidence == "no_words"
    assert script.one(d.PlaybackResume).sample == 2 * WORD_SAMPLES


def test_words_that_come_behind_the_window_still_interrupt():
    script = Script().speaking().starts().wait(400).stops(300).wait(500)
    assert script.one(d.InterruptionDismissed)
    script.plays(4).final("stop it")
    assert evidence(script) == "words"
    assert script.one(d.PlaybackStop).heard_text == "One two three four"
    script.wait(500)
    assert script.turns == ["hello", "stop it"]


def test_words_spoken_over_the_end_of_a_reply_are_answered():
    script = Script().speaking().starts().wait(400).stops(300).wait(400).plays_out()
    assert script.one(d.ReplyDone).outcome == "completed"
    script.wait(50).final("and in Paris").wait(2_000)
    assert script.turns == ["hello", "and in Paris"]


@pytest.mark.parametrize(("language", "goes_on"), [("de", True), ("en", False)])
def test_a_listener_is_understood_in_the_language_that_is_spoken(language, goes_on):
    script = Script({"interruption.language": language}).speaking(heard=3)
    script.starts().wait(500).voiced(400).stops(400).wait(20).final("ja genau")
    if goes_on:
        assert script.one(d.InterruptionDismissed).evidence == "backchannel"
    else:
        assert script.one(d.InterruptionConfirmed).evidence == "words"


def test_a_backchannel_over_the_end_of_a_reply_is_forgotten():
    script = Script().speaking().starts().wait(400).stops(300).wait(400).plays_out().final("uh").wait(2_000)
    assert script.turns == ["hello"]


def test_a_second_sound_within_the_window_is_heard_out():
    script = Script().speaking().starts().wait(100).stops(50).wait(200).starts().wait(300)
    assert script.none(d.InterruptionDismissed), "the window of the first sound is over, but the second goes on"
    script.partial("stop it").voiced(300)
    assert evidence(script) == "words"


@pytest.mark.parametrize("first", ["sound", "cut"])
def test_deadlines_of_one_suspicion_do_not_end_the_next(first):
    script = Script().speaking()
    if first == "sound":
        script.starts().wait(100).stops(50).final("uh")
    else:
        script.post(e.DeviceCut(source="device:d1"))
        script.post(e.DeviceCut(source="device:d1", undo=True))
    script.wait(50).starts().wait(500)
    assert len(script.all(d.InterruptionSuspected)) == 2
    assert len(script.all(d.InterruptionDismissed)) == 1


def test_a_suspicion_leaves_no_deadline():
    script = Script().speaking().wait(1_000).starts().wait(100).stops(50).final("uh").plays_out()
    assert script.core.next_deadline_us() is None


def test_a_long_sound_does_not_hold_playback_for_ever():
    script = Script().speaking().starts().wait(899)
    assert script.none(d.InterruptionDismissed)
    script.wait(1)
    assert script.one(d.InterruptionDismissed).evidence == "no_words"
    script.partial("stop please").voiced(300)
    assert evidence(script) == "words", "what goes on can still become an interruption"


def test_nothing_is_left_over_for_the_next_turn():
    """What was dismissed has no part in the turn that follows."""
    script = Script().speaking().starts().voiced(500).partial("uh").stops(500).final("uh").plays_out()
    script.says("add that", understood=False, voiced_ms=100).wait(3_000)
    assert script.turns == ["hello", ""], "its 100 ms are noise; the 500 ms before do not count"


def test_a_late_hypothesis_of_the_turn_is_no_word_over_the_reply():
    script = Script().says("what time is it").wait(100).partial("what time is it now").thinks(ANSWER)
    script.synthesised().plays(1).starts().wait(300).voiced(300)
    assert script.none(d.InterruptionConfirmed)


def test_a_dismissed_sound_does_not_add_up_with_the_next_one():
    script = Script().speaking()
    for _ in range(3):
        script.starts().wait(250).voiced(200).stops(250).wait(50).final("uh")
    assert script.none(d.InterruptionConfirmed)
    assert len(script.all(d.InterruptionDismissed)) == 3


# ── confirmed ────────────────────────────────────────────────────────────────────────────


def test_words_confirm():
    script = Script().speaking().starts().wait(200).partial("stop").voiced(200)
    assert script.none(d.InterruptionConfirmed)
    script.voiced(300)
    assert evidence(script) == "words"
    assert names(script.step)[-2:] == ["agent.status:interrupted", "turn.start"]
    script.wait(300).stops(500).wait(20).final("stop it").wait(1_000)
    assert script.turns == ["hello", "stop it"]
    assert script.model.text == "stop it"


def test_a_single_word_that_stays_confirms_before_its_sound_ends():
    script = Script().speaking(heard=2).starts().voiced(400).partial("paris")
    assert script.none(d.InterruptionConfirmed)
    script.partial("paris", stable=5)
    assert evidence(script) == "words"


def test_enough_voiced_speech_confirms_without_words():
    script = Script().speaking().starts().wait(700).voiced(600)
    assert evidence(script) == "voiced"


def test_the_count_at_the_end_of_the_sound_counts():
    script = Script().speaking().starts().wait(300).partial("stop").stops(250)
    assert evidence(script) == "words"
    assert script.core.next_deadline_us() is not None
    script.wait(20).final("stop").wait(1_000)
    assert script.turns == ["hello", "stop"]


def test_a_final_text_confirms_and_is_the_turn():
    script = Script().speaking().starts().wait(400).stops(200).wait(20).final("what else")
    assert evidence(script) == "words"
    script.wait(1_000)
    assert script.turns == ["hello", "what else"]


def test_the_stop_button():
    script = Script().speaking()
    script.post(e.ControlStop(source="device:d1"))
    assert evidence(script) == "stop"
    assert script.one(d.InterruptionRecorded).by == "device:d1"
    assert script.one(d.TurnStart), "no turn but the typed one begins"


def test_the_stop_button_of_another_reply_has_no_effect():
    script = Script().speaking()
    assert script.post(e.ControlStop(source="device:d1", reply_id="r7")) == []
    script.post(e.ControlStop(source="device:d1", reply_id=script.reply_id))
    assert evidence(script) == "stop"


def test_stop_while_nobody_speaks_means_nothing():
    script = Script()
    assert script.post(e.ControlStop()) == []
    script.says("set a timer and")
    assert script.post(e.ControlStop()) == [], "a speculative answer is not yet said"


def test_stop_during_a_suspicion_ends_it():
    script = Script().speaking().starts()
    script.post(e.ControlStop(source="device:d1"))
    assert evidence(script) == "stop"
    assert names(script.step)[-1] == "turn.start", "the user goes on speaking: it is their turn"
    script.wait(5_000)
    assert script.none(d.InterruptionDismissed)


def test_typing_interrupts():
    script = Script().speaking().types("never mind")
    assert evidence(script) == "typed"
    assert script.turns == ["hello", "never mind"]


def test_a_reply_is_interrupted_before_it_has_said_anything():
    script = Script().types().starts().wait(300).partial("no wait").voiced(300)
    stop = script.one(d.PlaybackStop)
    assert (stop.heard_text, stop.heard_ms, stop.method) == ("", 0, "never_started")


# ── modes ────────────────────────────────────────────────────────────────────────────────


def test_mode_never_listens_to_controls_alone():
    script = Script({"interruption.mode": "never"}).speaking().says("stop that now please", voiced_ms=2_000)
    script.post(e.DeviceCut(source="device:d1"))
    assert script.none(d.InterruptionSuspected, d.PlaybackPause)
    script.post(e.ControlStop(source="device:d1"))
    assert evidence(script) == "stop"


def test_mode_never_hears_what_goes_on_behind_the_reply():
    script = Script({"interruption.mode": "never"}).speaking().starts().wait(300).plays_out()
    assert len(script.all(d.TurnStart)) == 2
    script.wait(300).stops(500).wait(20).final("and in Paris").wait(1_000)
    assert script.turns == ["hello", "and in Paris"]


def test_mode_any_sound_interrupts_at_the_onset():
    script = Script({"interruption.mode": "any_sound"}).speaking().starts()
    assert evidence(script) == "any_sound"
    assert names(script.step)[-1] == "turn.start"


# ── devices ──────────────────────────────────────────────────────────────────────────────


def test_a_devices_cut_is_a_suspicion_that_needs_bearing_out():
    script = Script(latency_ms=120).speaking(heard=3)
    script.post(e.DeviceCut(source="device:d1"))
    assert names(script.step) == ["interruption.suspected", "playback.pause"]
    assert script.one(d.InterruptionSuspected).by == "device:d1"
    script.wait(399)
    assert script.none(d.InterruptionDismissed)
    script.wait(1)
    assert script.one(d.InterruptionDismissed).evidence == "not_borne_out"
    # 3 words less 120 ms: inside the second word.
    assert script.one(d.PlaybackResume).sample == WORD_SAMPLES


def test_a_cut_that_the_server_hears_too_is_judged_by_the_words():
    script = Script(latency_ms=120).speaking(heard=3)
    script.post(e.DeviceCut(source="device:d1"))
    script.wait(100).starts().wait(350)
    assert script.none(d.InterruptionDismissed)
    script.partial("stop it").voiced(300)
    stop = script.one(d.PlaybackStop)
    assert (stop.method, stop.heard_text, stop.heard_ms) == ("device_cut", "One", 180)
    assert stop.unheard_text == "two three four five six."


def test_a_cut_behind_the_servers_own_suspicion_counts_for_what_was_heard():
    script = Script(latency_ms=120).speaking(heard=3).starts()
    assert script.post(e.DeviceCut(source="device:d1")) == []
    script.partial("stop it").voiced(300)
    assert script.one(d.PlaybackStop).method == "device_cut"


def test_a_device_takes_its_cut_back():
    script = Script().speaking()
    script.post(e.DeviceCut(source="device:d1"))
    script.post(e.DeviceCut(source="device:d1", undo=True))
    assert names(script.step) == ["interruption.dismissed", "playback.resume"]
    assert script.one(d.InterruptionDismissed).evidence == "undo"


def test_what_the_server_hears_is_judged_although_the_device_takes_its_cut_back():
    script = Script().speaking()
    script.post(e.DeviceCut(source="device:d1"))
    script.wait(50).starts().wait(350).stops(300)
    assert script.post(e.DeviceCut(source="device:d1", undo=True)) == []
    script.wait(50).final("stop it")
    assert evidence(script) == "words"


def test_an_undo_without_a_cut_means_nothing():
    script = Script().speaking().starts()
    assert script.post(e.DeviceCut(source="device:d1", undo=True)) == []


def test_a_cut_while_the_server_hears_speech_is_borne_out():
    script = Script().speaking().starts().wait(1_000)  # dismissed by the limit; the sound goes on
    script.post(e.DeviceCut(source="device:d1"))
    script.wait(500)
    assert [x.evidence for x in script.all(d.InterruptionDismissed)] == ["no_words"]


def test_a_cut_while_nothing_is_said_means_nothing():
    assert Script().post(e.DeviceCut(source="device:d1")) == []


# ── nobody there ─────────────────────────────────────────────────────────────────────────


def test_the_last_device_that_leaves_ends_the_reply():
    script = Script().speaking()
    script.post(e.DeviceLeft(device_id="d1", reason="closed"))
    assert evidence(script) == "device_left"
    assert script.one(d.InterruptionRecorded).by == "device:d1"


def test_what_the_last_device_cannot_have_heard_was_not_heard():
    script = Script().speaking(heard=4)
    script.post(e.DeviceLeft(device_id="d1", reason="vanished", played=e.Played("r1", 2 * WORD_SAMPLES)))
    assert script.one(d.PlaybackStop).heard_text == "One two"


def test_one_of_two_devices_may_leave():
    script = Script().speaking()
    script.post(e.DeviceJoined(device_id="d2", transport="test"))
    assert script.post(e.DeviceLeft(device_id="d1", reason="closed")) == []
    assert script.post(e.DeviceLeft(device_id="unknown", reason="closed")) == []
    script.post(e.DeviceLeft(device_id="d2", reason="closed"))
    assert evidence(script) == "device_left"


def test_a_device_that_joins_again_without_a_speaker_is_none():
    script = Script()
    script.post(e.DeviceJoined(device_id="d1", transport="test", speaker=False))
    script.post(e.ReminderDue(reminder_id="m", text="Tea."))
    assert script.texts == []


def test_the_last_loudspeaker_that_goes_silent_ends_the_reply_and_nothing_else():
    script = Script().speaking()
    script.post(e.DeviceJoined(device_id="d1", transport="test", output_latency_ms=80))
    assert not script.all(d.InterruptionConfirmed), "it only plays later than before"
    script.post(e.DeviceJoined(device_id="d1", transport="test", speaker=False))
    assert evidence(script) == "device_left"
    assert not script.all(d.TurnEnd)[1:], "no turn of the user's is lost with it"


def test_the_last_device_that_leaves_ends_the_open_turn():
    script = Script().says("set a timer and")
    script.post(e.DeviceLeft(device_id="d1", reason="closed"))
    assert script.turns == [""]
    assert script.one(d.ReplyDone).outcome == "discarded"


def test_a_closed_session_is_silent():
    script = Script().speaking()
    script.post(e.ReminderDue(reminder_id="m", text="Tea."))
    script.post(e.SessionClosed(reason="bye"))
    assert evidence(script) == "closed"
    assert "Tea." not in script.texts
    assert script.acks().wait(60_000).core.next_deadline_us() is None


# ── what the device says that it played ──────────────────────────────────────────────────


def test_a_device_that_says_where_it_was_is_believed():
    script = Script(latency_ms=150).speaking(heard=4)
    script.post(e.DeviceCut(source="device:d1", played=e.Played("r1", 2 * WORD_SAMPLES)))
    script.starts().partial("no wait stop").voiced(400)
    stop = script.one(d.PlaybackStop)
    assert (stop.method, stop.heard_text) == ("device", "One two")


def test_what_follows_from_a_device_s_statistics_is_told_apart():
    script = Script(latency_ms=150).speaking(heard=4)
    script.post(e.ControlStop(source="device:d1", played=e.Played("r1", 2 * WORD_SAMPLES, measured="stats")))
    stop = script.one(d.PlaybackStop)
    assert (stop.method, stop.heard_ms, stop.heard_text) == ("device_stats", 200, "One two")


def test_nothing_that_was_not_sent_was_played():
    script = Script().speaking(heard=2)
    script.post(e.ControlStop(played=e.Played("r1", 5 * WORD_SAMPLES)))
    assert script.one(d.PlaybackStop).heard_text == "One two"


def test_a_place_in_another_reply_says_nothing():
    script = Script().speaking(heard=2)
    script.post(e.ControlStop(played=e.Played("r0", WORD_SAMPLES)))
    assert (script.one(d.PlaybackStop).method, script.one(d.PlaybackStop).heard_text) == ("sent", "One two")


def test_a_false_alarm_resumes_where_the_device_fell_silent():
    script = Script({"interruption.resume_at": "sample"}, latency_ms=150).speaking(heard=4)
    script.post(e.DeviceCut(source="device:d1", played=e.Played("r1", 3 * WORD_SAMPLES + 7)))
    script.wait(1_000)
    assert script.one(d.PlaybackResume).sample == 3 * WORD_SAMPLES + 7


def test_a_cut_that_is_reported_behind_the_servers_own_pause_still_counts():
    script = Script(latency_ms=150).speaking(heard=4).starts()
    script.post(e.DeviceCut(source="device:d1", played=e.Played("r1", 3 * WORD_SAMPLES)))
    script.partial("no wait stop").voiced(400)
    assert script.one(d.PlaybackStop).heard_text == "One two three"


def test_a_late_mark_changes_nothing_behind_the_stop():
    script = Script().speaking(heard=2)
    script.post(e.ControlStop())
    script.types("again").thinks("Seven eight.")
    script.post(e.PlaybackMark(reply_id="r1", sample=5 * WORD_SAMPLES))
    script.post(e.DeviceCut(source="device:d1", played=e.Played("r1", 1)))
    script.wait(2_000).plays_out()
    assert [stop.heard_text for stop in script.all(d.PlaybackStop)] == ["One two", "Seven eight."]
