"""What a confirmed interruption does, in this order."""

from __future__ import annotations

import pytest

from agent.conversation import decisions as d
from agent.conversation import events as e
from tests.unit.conversation.script import Script, names


def stop(script: Script) -> list[str]:
    return names(script.post(e.ControlStop(source="device:d1")))


def test_the_rungs_in_order():
    script = Script().types().token("Let me see, this takes a while. ").calls("c1").calls("c2", "write")
    script.synthesised().plays(2).starts()
    script.calls("c3", "write")  # under suspicion it does not start
    assert stop(script) == [
        "interruption.confirmed",
        "playback.stop",
        "cancel.requested:playback",
        "cancel.requested:tts",
        "cancel.requested:model",
        "cancel.requested:tool:c1",
        "action.rejected",
        "interruption.recorded",
        "reply.done",
        "agent.status:interrupted",
        "turn.start",  # the sound goes on
    ]
    assert script.one(d.ActionRejected).action_id == "r1:c3"
    assert script.one(d.ActionRejected).reason == "interrupted"
    assert script.one(d.InterruptionRecorded).in_flight == ("playback", "tts", "model", "tool:c1")
    assert script.one(d.InterruptionRecorded).heard_text == "Let me"
    assert script.one(d.ReplyDone).outcome == "interrupted"


def test_only_what_is_in_flight_is_cancelled():
    assert stop(Script().speaking()) == [
        "interruption.confirmed",
        "playback.stop",
        "cancel.requested:playback",
        "cancel.requested:tts",
        "interruption.recorded",
        "reply.done",
        "agent.status:interrupted",
    ]
    script = Script().types()
    assert "cancel.requested:playback" not in stop(script), "nothing was to be said yet"
    assert script.one(d.CancelRequested).target == "model"


def test_heard_to_the_word():
    script = Script().speaking("One two three. Four five six.", heard=4.9)
    stop(script)
    found = script.one(d.PlaybackStop)
    assert (found.heard_text, found.unheard_text) == ("One two three. Four", "five six.")
    assert (found.heard_ms, found.method) == (490, "sent")


def test_a_first_word_half_heard_is_not_heard_but_was_begun():
    script = Script().speaking(heard=0)
    stop(script)
    found = script.one(d.PlaybackStop)
    assert (found.heard_text, found.heard_ms, found.method) == ("", 0, "sent")


def test_facts_of_a_dead_reply_mean_nothing():
    script = Script().types().token("Let me see, this takes a while. ").calls("c1").synthesised().plays(2)
    stop(script)
    for dead in (script.token, lambda text: script.calls("c9", "write"), lambda text: script.result("c1")):
        dead("More. ")
        assert script.step == []
    assert script.done().step == []
    assert script.plays(3).step == []
    assert script.post(e.TtsFailed(reply_id="r1", chunk=0, message="late")) == []
    assert script.chunk(script.all(d.TtsSay)[0]).step == []


def test_a_cancel_that_is_acked_in_time_is_no_error():
    script = Script().speaking()
    stop(script)
    script.wait(900).acks().wait(5_000)
    assert script.none(d.Complaint)
    assert script.core.next_deadline_us() is None


def test_a_cancel_that_is_not_acked_is_an_error_and_a_late_ack_is_none():
    script = Script().speaking()
    stop(script)
    script.post(e.CancelAck(reply_id="r1", target="tts"))
    script.wait(1_000)
    error = script.one(d.Complaint)
    assert (error.code, error.reply_id) == ("cancel.timeout", "r1")
    assert error.message.startswith("playback ")
    assert script.post(e.CancelAck(reply_id="r1", target="playback")) == []
    script.types("still there").thinks("Yes.").plays_out()
    assert script.last(d.ReplyDone).outcome == "completed"


def test_what_was_not_heard_is_context_too():
    script = Script().speaking(heard=2)
    stop(script)
    script.types("go on")
    assert script.model.context[-1] == script.one(d.PlaybackStop).event_id
    assert script.one(d.PlaybackStop).unheard_text == "three four five six."


@pytest.mark.parametrize("source", ["device:d1", "api"])
def test_a_stop_by_voice_and_one_by_hand_climb_the_same_rungs(source: str):
    by_hand, by_voice = Script().speaking(), Script().speaking()
    by_hand.post(e.ControlStop(source=source))
    by_voice.starts().partial("stop").voiced(400)
    assert names(by_voice.step) == [*names(by_hand.step), "turn.start"]
    assert by_hand.one(d.PlaybackStop).heard_text == by_voice.one(d.PlaybackStop).heard_text == "One two"
