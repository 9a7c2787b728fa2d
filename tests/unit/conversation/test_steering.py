"""Messages typed while the agent speaks."""

from __future__ import annotations

import pytest

from agent.conversation import decisions as d
from agent.conversation import events as e
from agent.conversation.policy import Interruption
from agent.conversation.steering import MAX_QUEUED
from tests.unit.conversation.script import Script

TWO = "One two three. Four five six."


def story(when: str = "sentence") -> Script:
    """Two sentences are being said, one word of the first was sent."""
    script = Script({"replies.steering": when})
    return script.types().token("One two three. ").token("Four five six.").done().synthesised().plays(1)


def test_now_interrupts_at_once():
    script = story("now").types("shorter")
    assert script.one(d.PlaybackStop).heard_text == "One"
    assert script.turns == ["hello", "shorter"]
    assert script.none(d.SteeringQueued)


def test_sentence_lets_the_sentence_end():
    script = story().types("shorter")
    assert script.one(d.SteeringQueued).when == "sentence"
    assert script.none(d.PlaybackStop, d.InterruptionConfirmed)
    script.plays(2)
    assert script.none(d.PlaybackStop)
    script.plays(3)
    assert script.one(d.PlaybackStop).heard_text == "One two three."
    assert script.turns == ["hello", "shorter"]
    assert script.one(d.SteeringApplied).queued_id == script.one(d.SteeringQueued).queued_id


def test_after_lets_the_reply_end():
    script = story("after").types("and friday")
    script.plays(4)
    assert script.none(d.PlaybackStop)
    script.plays(6)
    assert script.one(d.PlaybackStop).method == "complete"
    assert script.turns == ["hello", "and friday"]


def test_a_message_may_say_when_itself():
    assert story("after").types("stop", when="now").one(d.PlaybackStop).heard_text == "One"
    assert story("now").types("later", when="after").one(d.SteeringQueued).when == "after"


def test_before_the_first_word_nothing_has_to_be_waited_for():
    script = Script({"replies.steering": "sentence"}).types().token("One two three. ").types("no, in euros")
    assert script.none(d.SteeringQueued)
    assert script.turns == ["hello", "no, in euros"]


def test_several_are_answered_in_order_each_once():
    script = story().types("shorter").types("in euros")
    assert [queued.text for queued in script.all(d.SteeringQueued)] == ["shorter", "in euros"]
    script.plays(3)
    assert script.turns == ["hello", "shorter"]
    script.thinks("Brief now. More then.").synthesised().plays(2)
    assert script.turns == ["hello", "shorter", "in euros"]
    assert len(script.all(d.SteeringApplied)) == 2


def test_what_is_queued_waits_while_a_sound_is_judged():
    script = story().types("shorter").starts().plays(3)
    assert script.none(d.PlaybackStop)
    script.wait(100).stops(60).final("")
    assert script.turns == ["hello", "shorter"]


def test_what_is_queued_waits_while_a_devices_cut_is_judged():
    script = story().types("shorter")
    script.post(e.DeviceCut(source="device:d1"))
    script.mark(3)
    assert script.none(d.PlaybackStop)
    script.wait(Interruption().device_window_ms)
    assert script.turns == ["hello", "shorter"]
    assert script.one(d.PlaybackStop).heard_text == "One two three."


def test_the_user_speaking_comes_first():
    script = story("after").types("and friday").says("wait stop").wait(2_000)
    assert script.turns == ["hello", "wait stop"]
    script.thinks("Okay.").plays_out()
    assert script.turns == ["hello", "wait stop", "and friday"]


def test_what_the_user_said_meanwhile_is_answered_before_what_they_had_typed():
    """The acks of what was cut come before the first word of the answer: they must not end it."""
    script = story().types("shorter").says("what time is it", voiced_ms=500).wait(500)
    assert script.all(d.PlaybackStop)[0].heard_text == "One"
    script.acks().wait(100)
    assert script.turns == ["hello", "what time is it"]
    script.thinks("It is noon. And a fine day.").synthesised().plays(3)
    assert script.all(d.PlaybackStop)[1].heard_text == "It is noon."
    assert script.turns == ["hello", "what time is it", "shorter"]


def test_of_two_that_wait_the_second_lets_the_answer_to_the_first_say_a_sentence():
    script = story().types("shorter").types("in euros").plays(3).acks().wait(100)
    assert script.turns == ["hello", "shorter"]
    script.thinks("Brief now. More then.").synthesised().plays(2)
    assert script.turns == ["hello", "shorter", "in euros"]


def test_stop_ends_what_is_said_and_not_what_waits():
    script = story().types("shorter").types("in euros").starts()
    script.post(e.ControlStop(source="device:d1"))
    assert script.turns == ["hello"], "somebody speaks"
    script.wait(100).stops(60).final("").wait(500)
    assert script.turns == ["hello", "", "shorter"]
    assert len(script.all(d.InterruptionConfirmed)) == 1
    script.acks().wait(100).thinks("Brief. And more.").synthesised().plays(1)
    assert script.turns == ["hello", "", "shorter", "in euros"]


def test_what_is_typed_for_now_comes_before_what_waits():
    script = story().types("shorter").types("in euros", when="after").starts().types("stop that", when="now")
    assert script.turns == ["hello", "stop that"], "also while a sound is judged"
    script.wait(100).stops(60).final("").wait(500).thinks("Okay.").plays_out()
    script.thinks("Brief.").plays_out().thinks("In euros then.").plays_out()
    assert script.turns == ["hello", "stop that", "shorter", "in euros"]


def test_the_queue_is_bounded():
    script = story("after")
    for number in range(MAX_QUEUED + 1):
        script.types(f"message {number}")
    assert len(script.all(d.SteeringQueued)) == MAX_QUEUED
    assert script.one(d.Complaint).code == "limit.steering"


@pytest.mark.parametrize("when", ["sentence", "after"])
def test_what_waits_is_answered_in_order_each_once_behind_a_restart(when: str):
    script = story(when).types("shorter").types("in euros")
    script.post(e.SessionResumed())
    assert script.turns == ["hello", "shorter"], "what it waited for is over"
    script.post(e.DeviceJoined(device_id="d1", transport="test"))
    script.thinks("Brief. And more.").plays_out()
    assert script.turns == ["hello", "shorter", "in euros"]
    applied = [steering.queued_id for steering in script.all(d.SteeringApplied)]
    assert applied == [steering.queued_id for steering in script.all(d.SteeringQueued)]
    script.post(e.SessionResumed())
    assert len(script.turns) == 3


def test_wherever_it_crashes_each_message_is_answered_once_and_in_order():
    """Of the events that were stored by then a fresh core knows what waits; those behind them never were."""
    told = story("sentence").types("shorter").types("in euros", when="after").plays(3)
    told.thinks("Brief.").plays_out().thinks("In euros then.").plays_out()
    assert told.turns == ["hello", "shorter", "in euros"]
    sent = [number for number, (fact, _) in enumerate(told.facts) if isinstance(fact, e.TextInput)]
    for stored in range(sent[-1] + 1, len(told.facts) + 1):
        again = Script.restored(told.facts[:stored])
        again.post(e.SessionResumed())
        again.post(e.DeviceJoined(device_id="d1", transport="test"))
        while not again.core.quiet:
            again.thinks("Well.").plays_out()
        assert again.turns == ["hello", "shorter", "in euros"], f"a crash behind {stored} facts"
        assert len(again.all(d.SteeringApplied)) == 2


def test_a_close_forgets_the_queue():
    script = story("after").types("and friday")
    script.post(e.SessionClosed(reason="over"))
    assert script.none(d.SteeringApplied)


def test_the_next_prompt_holds_what_was_heard_and_not_more():
    script = story().types("shorter").plays(3)
    stop = script.one(d.PlaybackStop)
    assert stop.event_id in script.model.context
    assert stop.unheard_text == "Four five six."


def sends(script: Script, device_id: str, text: str, seen_seq: int) -> list[e.Event]:
    return script.post(e.TextInput(text=text, source=f"device:{device_id}", seen_seq=seen_seq))


def test_of_two_devices_that_send_at_once_one_is_first_and_the_other_is_told_and_waits():
    script = Script()
    seen_seq = script.seq
    sends(script, "d1", "what time is it", seen_seq)
    told, queued = sends(script, "d2", "what day is it", seen_seq)
    assert isinstance(told, d.Complaint)
    assert told.code == "steering.second"
    assert isinstance(queued, d.SteeringQueued)
    assert queued.when == "after"
    script.thinks("It is noon.").plays_out()
    assert script.all(d.PlaybackStop)[0].heard_text == "It is noon."
    assert script.turns == ["what time is it", "what day is it"]


def test_who_knows_of_the_first_one_or_is_the_same_device_steers():
    script = Script()
    seen_seq = script.seq
    sends(script, "d1", "what time is it", seen_seq)
    sends(script, "d1", "no, what day is it", seen_seq)
    assert script.turns == ["what time is it", "no, what day is it"], "in a hurry, on one device"
    sends(script, "d2", "in paris", script.seq)
    assert script.turns[-1] == "in paris"
    assert script.none(d.Complaint)


def test_once_the_first_one_was_answered_there_is_nothing_to_wait_for():
    script = Script()
    seen_seq = script.seq
    sends(script, "d1", "what time is it", seen_seq)
    script.thinks("It is noon.").plays_out()
    sends(script, "d2", "what day is it", seen_seq)
    assert script.turns == ["what time is it", "what day is it"]
    assert script.none(d.Complaint)
