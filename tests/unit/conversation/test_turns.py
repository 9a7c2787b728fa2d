"""When the user's turn begins and ends, and what is answered."""

from __future__ import annotations

import pytest

from agent.conversation import decisions as d
from agent.conversation import events as e
from agent.conversation.wording import HEARING_FAILED, NOT_CAUGHT
from tests.unit.conversation.script import Script, names

# ── silence ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "understood", "silence_ms", "completeness"),
    [
        ("what time is it", True, 160, "complete"),
        ("colourless green ideas", False, 500, "neutral"),
        ("set a timer and", True, 1_400, "incomplete"),
    ],
)
def test_the_endpoint_delay_follows_completeness(text, understood, silence_ms, completeness):
    script = Script().says(text, understood=understood)  # the final text comes 120 ms behind the end
    script.wait(silence_ms - 120 - 1)
    assert script.none(d.TurnEnd)
    script.wait(1)
    end = script.one(d.TurnEnd)
    assert (end.text, end.understood) == (text, understood)
    assert end.evidence == {
        "control": "", "silence_ms": silence_ms, "stable_ms": silence_ms - 100, "completeness": completeness,
        "voiced_ms": 400,
    }  # fmt: skip


def test_a_final_text_that_comes_behind_the_delay_ends_the_turn_at_once():
    script = Script().starts().wait(800).stops(400).wait(700)
    assert script.none(d.TurnEnd)
    script.final("what time is it")
    assert names(script.step)[:3] == ["turn.end", "asr.reset", "agent.status:thinking"]


def test_a_hypothesis_that_just_changed_holds_the_turn_open():
    script = Script({"endpointing.stable_ms": 300}).starts().wait(800).partial("what time").stops(400).wait(100)
    script.final("what time is it").wait(299)
    assert script.none(d.TurnEnd)
    script.wait(1)
    assert script.one(d.TurnEnd).evidence["stable_ms"] == 300


def test_a_turn_starts_with_the_sound():
    script = Script().starts()
    assert names(script.step) == ["turn.start"]
    assert script.core.turn_id == script.one(d.TurnStart).turn_id == "t1"


@pytest.mark.parametrize(
    ("text", "understood", "voiced_ms"),
    [("", True, 400), ("add that", False, 149), ("uh", False, 400), (" ", True, 900)],
)
def test_noise_is_a_false_turn(text, understood, voiced_ms):
    script = Script().says(text, understood=understood, voiced_ms=voiced_ms).wait(2_000)
    assert script.turns == [""]
    assert script.none(d.ModelStart, d.PlaybackRelease)
    assert script.last(d.AgentStatus).status == "listening"


def test_words_that_nothing_understands_are_answered_if_they_were_voiced():
    script = Script().says("colourless ideas", understood=False, voiced_ms=150).wait(2_000)
    assert script.turns == ["colourless ideas"]
    assert not script.one(d.ModelStart).understood


def test_voiced_speech_counts_over_the_whole_turn():
    """A cough behind a long request does not make the request noise."""
    script = Script().starts().wait(1_500).stops(900).wait(100)
    script.says("colourless green ideas", understood=False, ms=100, voiced_ms=0).wait(2_000)
    assert script.turns == ["colourless green ideas"]
    assert script.one(d.TurnEnd).evidence["voiced_ms"] == 900


def test_nothing_is_said_twice_for_a_repeated_final_text():
    script = Script().says("what time is it").wait(500).final("what time is it").thinks("Noon.").plays_out()
    script.final("what time is it").wait(3_000)
    assert script.turns == ["what time is it"]
    assert len(script.all(d.ReplyDone)) == 1


# ── speculation ──────────────────────────────────────────────────────────────────────────


def test_the_answer_begins_before_the_turn_has_ended_and_is_released_with_it():
    script = Script().says("what time is it")
    assert script.one(d.ModelStart).speculative
    script.thinks("It is noon.").synthesised()
    assert script.none(d.PlaybackRelease, d.TurnEnd, d.AgentStatus)
    script.wait(40)
    assert names(script.step) == [
        "turn.end", "asr.reset", "reply.committed", "agent.status:thinking", "playback.release",
    ]  # fmt: skip
    assert len(script.all(d.ModelStart)) == 1
    script.plays_out()
    assert script.one(d.ReplyDone).outcome == "completed"


def test_who_goes_on_within_the_delay_discards_the_answer_without_trace():
    script = Script().says("set a timer and").thinks("For how long?").wait(50).starts()
    assert names(script.step) == [
        "cancel.requested:playback", "cancel.requested:tts", "reply.done",
    ]  # fmt: skip
    assert script.one(d.ReplyDone).outcome == "discarded"
    assert script.none(d.TurnEnd, d.PlaybackStop)
    script.wait(600).stops(500).wait(20).final("set a timer and call mom").wait(2_000)
    assert script.turns == ["set a timer and call mom"]
    assert [m.text for m in script.all(d.ModelStart)] == ["set a timer and", "set a timer and call mom"]
    assert script.model.context == ()


def test_a_running_model_is_cancelled_when_the_user_goes_on():
    script = Script().says("set a timer and").starts()
    assert "cancel.requested:model" in names(script.step)


def test_a_later_text_of_the_same_turn_replaces_the_answer():
    script = Script({"endpointing.floor_ms": 500}).says("what time is it")
    script.final("what time is it in Paris")
    assert names(script.step) == ["cancel.requested:model", "reply.done", "model.start"]
    script.wait(1_000)
    assert script.turns == ["what time is it in Paris"]
    assert [m.text for m in script.all(d.ModelStart)] == ["what time is it", "what time is it in Paris"]


def test_a_later_text_that_ends_the_turn_at_once_is_what_is_answered():
    script = Script().says("set a timer and").wait(400)
    script.final("what time is it")  # complete, and the delay of a complete request is over
    assert script.turns == ["what time is it"]
    assert script.all(d.ReplyDone)[0].outcome == "discarded"
    assert script.none(d.ReplyCommitted)
    assert script.model.text == "what time is it"


def test_a_text_that_turns_out_not_understood_is_answered_anew():
    script = Script({"endpointing.floor_ms": 500}).says("add that item").final("add that item", understood=False)
    script.wait(1_000)
    assert [m.understood for m in script.all(d.ModelStart)] == [True, False]
    assert script.last(d.ReplyCommitted).reply_id == "r2"


def test_noise_is_not_speculated_upon():
    assert Script().says("uh", understood=False).none(d.ModelStart)


def test_without_speculation_the_model_starts_behind_the_turn():
    script = Script({"replies.speculate": False}).says("what time is it")
    assert script.none(d.ModelStart)
    script.wait(40)
    assert not script.one(d.ModelStart).speculative
    assert names(script.step)[-1] == "model.start"


def test_what_is_answered_is_context_of_what_is_answered_next():
    script = Script().says("what time is it").wait(100).thinks("Noon.").plays_out().types("and in Paris")
    first_end, stop = script.all(d.TurnEnd)[0], script.one(d.PlaybackStop)
    assert script.model.context == (first_end.event_id, stop.event_id)
    assert script.model.text == "and in Paris"


# ── explicit controls ────────────────────────────────────────────────────────────────────


def test_push_to_talk_outlasts_silence():
    script = Script()
    script.post(e.ControlTalk(on=True, source="device:d1"))
    assert names(script.step) == ["turn.start"]
    script.says("what time is it").wait(5_000)
    assert script.none(d.TurnEnd, d.ModelStart)
    script.post(e.ControlTalk(on=False, source="device:d1"))
    assert script.turns == ["what time is it"]
    assert script.one(d.TurnEnd).evidence["control"] == "push_to_talk"


def test_push_to_talk_released_in_mid_speech_asks_for_the_text_so_far():
    script = Script()
    script.post(e.ControlTalk(on=True, source="device:d1"))
    script.wait(50).starts().wait(900).voiced(800)
    script.post(e.ControlTalk(on=False, source="device:d1"))
    assert names(script.step) == ["asr.finalize"]
    script.wait(60).final("what time is it")
    assert script.turns == ["what time is it"]
    assert script.one(d.TurnEnd).evidence["silence_ms"] == 0


def test_speech_that_trails_behind_the_button_does_not_interrupt_the_answer():
    """The VAD goes on counting the utterance that was ended by hand."""
    script = Script()
    script.post(e.ControlTalk(on=True, source="device:d1"))
    script.starts().wait(900).voiced(800)
    script.post(e.ControlTalk(on=False, source="device:d1"))
    script.wait(20).final("what time is it").wait(30).voiced(900).wait(50).stops(1_000).final("")
    assert script.none(d.InterruptionConfirmed)
    assert script.core.next_deadline_us() is not None  # the answer is still under way
    script.thinks("Noon.").plays_out()
    assert script.one(d.ReplyDone).outcome == "completed"


def test_push_to_talk_interrupts_at_once():
    script = Script().speaking()
    script.post(e.ControlTalk(on=True, source="device:d1"))
    assert script.one(d.InterruptionConfirmed).evidence == "push_to_talk"
    assert script.one(d.InterruptionRecorded).by == "device:d1"
    assert names(script.step)[-1] == "turn.start"


@pytest.mark.parametrize("how", ["voiced", "words", "not understood", "any sound"])
def test_who_broke_into_an_answer_with_nothing_that_could_be_heard_is_told_so(how: str):
    """The answer is gone, and nothing would follow: silence for ever."""
    script = Script({"interruption.mode": "any_sound" if how == "any sound" else "graded"}).speaking().starts()
    if how == "voiced":
        script.wait(500).voiced(700)
    elif how != "any sound":
        script.wait(300).partial("tell me more").voiced(300)
    assert script.one(d.InterruptionConfirmed)
    script.wait(200).stops().wait(20).final("uh" if how == "not understood" else "", understood=False).wait(2_000)
    assert script.turns == ["hello", ""]
    assert script.texts[1:] == [NOT_CAUGHT]
    script.plays_out().starts().wait(500).voiced(700).wait(200).stops().final("").wait(20_000)
    assert script.texts[2:] == [], "but not twice in a row"


def test_who_said_stop_gets_silence_whatever_is_made_of_it_in_the_end():
    script = Script().speaking().starts().wait(300).partial("stop").voiced(300)
    assert script.one(d.InterruptionConfirmed).evidence == "words"
    script.wait(200).stops().wait(20).final("", understood=False).wait(20_000)
    assert script.turns == ["hello", ""]
    assert len(script.texts) == 1


def test_noise_into_what_was_not_answered_is_not_spoken_about():
    script = Script().starts().wait(200).stops(60).final("", understood=False).wait(2_000)
    script.post(e.ReminderDue(reminder_id="m", text="Your tea is ready."))
    script.synthesised().plays(1).starts().wait(500).voiced(700).wait(200).stops().final("").wait(20_000)
    assert script.texts == ["Your tea is ready."]


def test_nothing_said_into_push_to_talk_is_a_false_turn():
    script = Script()
    script.post(e.ControlTalk(on=True))
    script.wait(500)
    script.post(e.ControlTalk(on=False))
    script.post(e.AsrFinal(utterance=0, text="", understood=False))
    assert script.turns == [""]


def test_what_is_said_into_push_to_talk_is_answered_even_if_not_understood():
    script = Script()
    script.post(e.ControlTalk(on=True))
    script.says("hum", understood=False, voiced_ms=50)
    script.post(e.ControlTalk(on=False))
    assert script.turns == ["hum"]


def test_a_device_that_leaves_lets_go_of_its_button():
    script = Script()
    script.post(e.DeviceJoined(device_id="d2", transport="test"))
    script.post(e.ControlTalk(on=True, source="device:d2"))
    script.says("what time is it").wait(1_000)
    script.post(e.DeviceLeft(device_id="d2", reason="closed"))
    assert script.turns == ["what time is it"]


def test_im_done_ends_the_turn_with_the_text_that_follows():
    script = Script().starts().wait(700).partial("set a timer and").voiced(600)
    script.post(e.ControlDone(source="device:d1"))
    assert names(script.step) == ["asr.finalize"]
    script.wait(30).final("set a timer and")
    assert script.turns == ["set a timer and"]
    assert script.one(d.TurnEnd).evidence["control"] == "done"


def test_im_done_in_the_delay_ends_the_turn_at_once():
    script = Script().says("set a timer and").wait(50)
    script.post(e.ControlDone(source="device:d1"))
    assert names(script.step)[0] == "turn.end"
    assert script.none(d.AsrFinalize)


def test_im_done_counts_while_the_button_is_held():
    script = Script()
    script.post(e.ControlTalk(on=True))
    script.says("what time is it")
    script.post(e.ControlDone())
    assert script.turns == ["what time is it"]


def test_im_done_without_a_turn_means_nothing():
    script = Script()
    assert script.post(e.ControlDone()) == []


def test_a_new_sound_does_not_lose_the_text_that_was_asked_for():
    script = Script().starts().wait(700).voiced(600)
    script.post(e.ControlDone())
    script.stops(600).starts()
    script.final("what time is it", utterance=1)
    assert script.turns == ["what time is it"]


def test_typed_text_is_a_turn_of_its_own():
    script = Script().types("  what time is it ")
    assert names(script.step) == [
        "turn.start", "turn.end", "asr.reset", "agent.status:thinking", "playback.release", "model.start",
    ]  # fmt: skip
    assert script.one(d.TurnEnd).text == "what time is it"
    assert script.one(d.TurnEnd).evidence == {"control": "typed"}


def test_typing_ends_what_was_being_said_aloud_unanswered():
    script = Script().starts().wait(500).partial("what time").types("never mind")
    assert script.turns == ["", "never mind"]


def test_empty_text_means_nothing():
    script = Script().speaking().types("  ")
    assert script.step == []
    assert script.none(d.InterruptionConfirmed)


def test_a_turn_has_an_end():
    script = Script({"endpointing.max_turn_ms": 5_000}).starts().wait(5_000)
    assert names(script.step) == ["asr.finalize"]
    script.final("blah blah")
    assert script.one(d.TurnEnd).evidence["control"] == "max_turn"


def test_a_held_button_does_not_keep_a_turn_open_for_ever():
    script = Script({"endpointing.max_turn_ms": 5_000})
    script.post(e.ControlTalk(on=True))
    script.says("what time is it").wait(6_000)
    assert script.turns == ["what time is it"]


# ── a recogniser that fails ──────────────────────────────────────────────────────────────


def test_a_final_text_that_never_comes_is_replaced_by_the_last_hypothesis():
    script = Script().starts().wait(800).partial("what time is it").stops(400).wait(1_499)
    assert script.none(d.TurnEnd)
    script.wait(1)
    end = script.one(d.TurnEnd)
    assert (end.text, end.understood) == ("what time is it", False), "nothing confirmed that it parses whole"
    assert script.one(d.Complaint).code == "asr.late"


def test_a_recogniser_that_says_nothing_at_all_is_a_false_turn():
    script = Script().starts().wait(800).stops(400).wait(5_000)
    assert script.turns == [""]


def test_a_failed_recogniser_falls_back_to_its_last_hypothesis():
    script = Script().starts().wait(800).partial("what time is it").stops(400)
    script.post(e.AsrFailed(utterance=1, message="died"))
    script.wait(1_000)
    assert script.turns == ["what time is it"]
    assert not script.one(d.TurnEnd).understood


def test_a_failed_recogniser_without_a_hypothesis_is_told():
    script = Script().starts().wait(800).stops(400)
    script.post(e.AsrFailed(utterance=1, message="died"))
    assert script.turns == [""]
    assert script.texts == [HEARING_FAILED]


def test_a_recogniser_that_fails_in_mid_speech_may_recover():
    script = Script().starts().wait(300)
    assert script.post(e.AsrFailed(utterance=1, message="died")) == []
    script.wait(500).stops(400).wait(20).final("what time is it").wait(500)
    assert script.turns == ["what time is it"]


def test_facts_about_other_utterances_mean_nothing():
    script = Script().says("what time is it").wait(500).starts()
    script.utterance = 1
    for fact in (script.partial, script.final):
        fact("stop that now please")
        assert script.step == []
    assert script.voiced(2_000).step == []
    assert script.stops(2_000).step == []


def test_a_recogniser_that_never_answers_is_owned_up_to():
    """Somebody spoke and no text came at all: silence would be the worst answer."""
    script = Script().starts().wait(800).stops(voiced_ms=700).wait(2_000)
    assert script.one(d.Complaint).code == "asr.late"
    assert script.one(d.TurnEnd).text == ""
    assert "say that again" in script.one(d.TtsSay).text


def test_turns_carry_the_feature_that_the_device_named():
    script = Script()
    script.post(e.DeviceJoined(device_id="d1", transport="test", feature="checkout"))
    script.types()
    assert (script.one(d.TurnStart).feature, script.one(d.TurnEnd).feature) == ("checkout", "checkout")
