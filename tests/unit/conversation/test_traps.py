"""What goes wrong in other voice agents, one test each: the docstring says what goes wrong there and what must happen.

Those that need the real loops and real audio are in tests/unit/test_session_traps.py.
"""

from __future__ import annotations

import pytest

from agent.conversation import decisions as d
from agent.conversation import events as e
from agent.conversation.policy import Actions, Endpointing, Interruption, Replies
from tests.unit.conversation.script import WORD_SAMPLES, Script, names

INTERRUPTION = Interruption()


def stop(script: Script) -> Script:
    script.post(e.ControlStop(source="device:d1"))
    return script


# ── tools ────────────────────────────────────────────────────────────────────────────────


def test_results_of_an_interrupted_tool_are_not_lost_so_the_order_is_placed_once():
    """The result of a tool whose reply was interrupted is thrown away; the model, asked again, orders again.

    The next prompt holds the call and its result, whenever that comes.
    """
    script = stop(Script().types("order a pizza").calls("c1", "write", name="order_pizza").done())
    script.result("c1").types("did you order it?")
    assert script.one(d.ActionCommitted).late
    assert script.model.context[-3:] == ("r1-c1-call", "r1-c1-result", script.one(d.ActionCommitted).event_id)


def test_an_interrupted_tool_that_still_runs_is_known_to_the_next_prompt():
    """The result is not there yet, the call without it is left out, and the model orders again.

    That the action goes on is in the next prompt; its outcome joins it when it comes.
    """
    script = stop(Script().types("order a pizza").calls("c1", "write", name="order_pizza").done())
    recorded = script.one(d.InterruptionRecorded)
    assert recorded.going_on == ("order_pizza",)
    script.types("did you order it?")
    assert recorded.event_id in script.model.context
    assert "r1-c1-call" not in script.model.context, "half an exchange"
    script.result("c1", reply_id="r1").thinks("Yes.").plays_out().types("really?")
    assert recorded.event_id not in script.model.context, "its outcome is known now"
    assert script.model.context.count("r1-c1-result") == 1


def test_a_dangling_tool_call_does_not_poison_later_model_requests():
    """A call whose tool was cancelled stays in the history; every later request is refused by the model.

    No prompt ever holds a call without its result: read or write, interrupted, failed or restarted.
    """
    script = Script().types("look and act").calls("c1").calls("c2", "write").calls("c3").result("c3").starts()
    script.calls("c4", "write")
    stop(script).stops().final("").types("again").calls("c1").done("boom").plays_out()
    script.types("and again").calls("c1", "write")
    script.post(e.SessionResumed())
    script.post(e.DeviceJoined(device_id="d1", transport="test"))
    script.plays_out().types("once more")
    calls = {event_id for event_id in script.model.context if event_id.endswith("-call")}
    assert calls == {"r1-c3-call"}
    assert "r1-c3-result" in script.model.context


def test_a_tool_is_not_in_progress_for_ever():
    """A tool that never answers keeps the reply, and all later ones, waiting.

    Its deadline passes, the user is told, and the next question is answered.
    """
    limit_ms = Replies().tool_timeout_ms
    read = Script().types().calls("c1").done().wait(limit_ms).plays_out()
    assert "cancel.requested:tool:c1" in names(read.decisions)
    assert read.one(d.ReplyDone).outcome == "failed"
    assert read.types("next").thinks("Yes.").plays_out().last(d.ReplyDone).outcome == "completed"
    write = Script().types().calls("c1", "write").done().wait(limit_ms).plays_out()
    assert write.none(d.CancelRequested), "what has started is never killed half way"
    assert write.one(d.ReplyDone).outcome == "failed"
    assert write.types("next").thinks("Yes.").plays_out().last(d.ReplyDone).outcome == "completed"


def test_an_action_is_not_in_progress_for_ever():
    """The card of an action that never ends says "in progress" until the page is closed.

    Its outcome counts as unknown in the end, and the user is told; if it comes after all, that is told too.
    """
    script = stop(Script().types().calls("c1", "write", name="send_email")).wait(Actions().unknown_ms - 1)
    assert script.none(d.ActionUnknown)
    script.wait(1)
    assert script.one(d.ActionUnknown).action_id == "r1:c1"
    assert "send email" in script.texts[-1]
    script.plays_out().result("c1", reply_id="r1")
    assert script.one(d.ActionCommitted).late
    assert script.texts[-1] == "send email is done after all."
    assert script.plays_out().result("c1", reply_id="r1").step == [], "it settles once"


def test_preemption_during_a_tool_gives_one_reply():
    """The user goes on while a tool runs; its result starts a second answer beside that to the new turn.

    The result of a reply that is over is recorded, and no more.
    """
    script = Script().says("what time is it").calls("c1").done().starts().wait(300)
    assert script.result("c1").step == []
    script.partial("what time is it in tokyo").stops(800).final("what time is it in tokyo").wait(500)
    assert script.result("c1", reply_id="r1").step == []
    script.thinks("Nine.").plays_out()
    assert script.texts == ["Nine."]
    assert [done.outcome for done in script.all(d.ReplyDone)] == ["discarded", "completed"]


def test_the_side_effect_of_a_discarded_generation_does_not_run():
    """A speculative answer calls a tool with side effects, and the user had not even finished.

    It runs behind the end of the turn that it answers, and never if that turn goes on.
    """
    script = Script().says("send it to anna").calls("c1", "write").done().starts()
    assert script.one(d.ActionRejected).action_id == "r1:c1"
    script.wait(400).partial("send it to anna tomorrow").stops(800).final("send it to anna tomorrow").wait(500)
    assert script.none(d.ActionStarted, d.ActionProposed)
    script.calls("c1", "write")
    assert script.one(d.ActionStarted).reply_id == "r2"


# ── speech ───────────────────────────────────────────────────────────────────────────────


def test_a_stale_reply_does_not_speak_over_the_user():
    """Tokens and audio of the interrupted reply that were on their way are spoken into the user's words.

    From the interruption on nothing that belongs to it leads to anything.
    """
    script = Script().types().token("One two three. ").synthesised().plays(1).starts().wait(300)
    script.partial("no stop").voiced(400)
    assert script.one(d.ReplyDone).outcome == "interrupted"
    for late in (
        e.ModelToken(reply_id="r1", step=1, text="Four five six. "),
        e.ModelDone(reply_id="r1", step=1),
        e.PlaybackStarted(reply_id="r1"),
        e.PlaybackMark(reply_id="r1", sample=3 * WORD_SAMPLES),
        e.DeviceCut(source="device:d1", undo=True),
    ):
        assert script.post(late) == []
    assert script.chunk(script.all(d.TtsSay)[0]).step == []


@pytest.mark.parametrize("moment", ["before the text", "before the audio", "before the first frame"])
def test_pausing_before_the_first_frame_does_not_lose_the_reply(moment: str):
    """A sound pauses a reply of which nothing has been played; it is taken for played, or never resumed.

    It is spoken whole, from its first sample.
    """
    script = Script().types()
    if moment != "before the text":
        script.thinks("One two three.")
    if moment == "before the first frame":
        script.synthesised()
    script.starts().wait(150).stops(0).final("")
    assert script.one(d.PlaybackResume).sample == 0
    if moment == "before the text":
        script.thinks("One two three.")
    script.plays_out()
    assert (script.one(d.PlaybackStop).heard_text, script.one(d.PlaybackStop).method) == ("One two three.", "complete")


@pytest.mark.parametrize("sound", ["goes on for ever", "has no text", "is the device's alone", "began with a cut"])
def test_playback_resumes_whatever_becomes_of_the_sound(sound: str):
    """The sound that paused the agent is never told to have ended, or its text never comes: paused for ever.

    Every suspicion has a deadline, and behind it playback goes on.
    """
    script = Script().speaking()
    if sound in ("is the device's alone", "began with a cut"):
        script.post(e.DeviceCut(source="device:d1"))
    if sound != "is the device's alone":
        script.starts()
    if sound == "has no text":
        script.wait(150).stops(100)
    script.wait(INTERRUPTION.pause_limit_ms)
    assert script.one(d.PlaybackResume).sample == 2 * WORD_SAMPLES
    assert script.plays_out().one(d.ReplyDone).outcome == "completed"


def test_the_agent_is_not_speaking_and_silent():
    """The state says "speaking", the audio does not come or is not taken, and nothing ends that.

    Speech that is not played, or never synthesised, is given up with an error; the conversation goes on.
    """
    unplayed = Script().types().thinks("One two three.").synthesised().plays(1).wait(Replies().stalled_ms + 200)
    assert unplayed.one(d.Complaint).code == "playback.stalled"
    unspoken = Script().types().token("One. ").synthesised().plays(1).token("Two. ").done()
    assert unspoken.wait(Replies().tts_timeout_ms - 1).none(d.Complaint)
    assert unspoken.wait(1).one(d.Complaint).code == "tts.timeout"
    assert unspoken.one(d.PlaybackStop).unheard_text == "Two."
    for script in (unplayed, unspoken):
        assert script.one(d.ReplyDone).outcome == "failed"
        assert script.last(d.AgentStatus).status == "listening"
        assert script.types("again").thinks("Yes.").plays_out().last(d.ReplyDone).outcome == "completed"


def test_a_tool_is_not_given_up_for_a_preface_that_was_lost():
    """The voice never says "let me check", and with it the whole answer is dropped."""
    script = Script().types().calls("c1").done().wait(Replies().preface_after_ms)
    assert script.wait(Replies().tts_timeout_ms).one(d.Complaint).code == "tts.timeout"
    assert script.none(d.ReplyDone)
    script.result("c1").thinks("Noon.")
    script.chunk(script.last(d.TtsSay)).plays(1)
    assert script.one(d.PlaybackStop).heard_text.endswith("Noon.")


def test_the_transcript_is_never_ahead_of_the_audio():
    """What was synthesised, or sent but not yet audible, is taken for heard: a word or two too many.

    Heard are words that had ended where the device fell silent; without its word, where sending stopped.
    """
    sent = stop(Script(latency_ms=120).speaking(heard=2.9)).one(d.PlaybackStop)
    assert (sent.heard_text, sent.method) == ("One two", "sent")
    cut = Script(latency_ms=120).speaking(heard=2.9)
    cut.post(e.DeviceCut(source="device:d1"))
    assert stop(cut).one(d.PlaybackStop).heard_text == "One"
    told = Script(latency_ms=120).speaking(heard=2.9)
    told.post(e.DeviceCut(source="device:d1", played=e.Played("r1", int(2.1 * WORD_SAMPLES))))
    assert (stop(told).one(d.PlaybackStop).heard_text, told.one(d.PlaybackStop).method) == ("One two", "device")


def test_an_unplayed_reply_is_not_committed_to_context():
    """The model's text becomes history although nobody heard it; the agent refers to what it never said.

    A reply of which nothing was heard is known as that; one that was discarded is not known at all.
    """
    script = stop(Script().types().thinks("The code is four."))
    unheard = script.one(d.PlaybackStop)
    assert (unheard.heard_text, unheard.method) == ("", "never_started")
    script.says("what is").starts().wait(300).partial("what is it").stops(700).final("what is it").wait(500)
    assert [done.outcome for done in script.all(d.ReplyDone)] == ["interrupted", "discarded"]
    turns = [turn.event_id for turn in script.all(d.TurnEnd)]
    assert script.model.context == (turns[0], unheard.event_id)


@pytest.mark.parametrize("heard", [1, 2])
def test_an_interrupted_reply_is_not_said_again(heard: int):
    """After the interruption the rest of the reply, or all of it, comes back: resumed, or as "unsaid".

    Of an interrupted reply nothing is said any more, whether it answered or announced.
    """
    script = Script()
    script.post(e.ReminderDue(reminder_id="m", text="Your tea is ready."))
    script.synthesised().plays(heard).starts().wait(300).partial("thanks a lot").stops(400).final("thanks a lot")
    script.wait(500).thinks("You are welcome.").plays_out().wait(10_000)
    assert script.texts == ["Your tea is ready.", "You are welcome."]
    answer = Script().speaking(heard=heard).starts().wait(300).partial("no stop").stops(400).final("no stop")
    answer.wait(500).thinks("Okay.").plays_out().wait(10_000)
    assert answer.texts == ["One two three four five six.", "Okay."]


def test_heard_words_are_not_lost_so_the_agent_does_not_repeat_itself():
    """What was heard before an interruption or a crash is forgotten; the agent begins again.

    The words heard are context, over false alarms and restarts, to the last one played.
    """
    script = Script().speaking(heard=2).starts().wait(100).stops(0).final("").mark(4)
    script.post(e.SessionResumed())
    assert script.one(d.PlaybackStop).heard_text == "One two three four"
    script.types("go on")
    assert script.model.context[-1] == script.one(d.PlaybackStop).event_id


def test_late_word_timestamps_do_not_corrupt_the_next_turn():
    """Word times of the reply that was cut arrive during the next one, and are taken for its own.

    A fact names its reply; one about another has no effect.
    """
    script = stop(Script().speaking("One two three.", heard=1))
    script.types("next").thinks("Four five six.").synthesised().plays(1)
    script.post(e.PlaybackMark(reply_id="r1", sample=3 * WORD_SAMPLES))
    script.post(
        e.TtsChunk(
            reply_id="r1", chunk=0, text="Ghost.", phase="claim", rests_on=(), start_sample=0, samples=9 * WORD_SAMPLES,
            words=(e.Word(0, WORD_SAMPLES // 2, 6),),
        )
    )  # fmt: skip
    stop(script)
    last = script.last(d.PlaybackStop)
    assert (last.heard_text, last.unheard_text) == ("Four", "five six.")


# ── hearing ──────────────────────────────────────────────────────────────────────────────


def test_a_backchannel_does_not_leak_into_the_next_turn():
    """The "mm-hm" that did not interrupt stays in the recogniser and begins the next turn's text.

    With the dismissal its audio and its text are forgotten, even if more of it comes late.
    """
    script = Script().speaking().starts().wait(250).partial("mm-hm").stops(200).final("mm-hm")
    assert script.one(d.InterruptionDismissed).evidence == "backchannel"
    assert "asr.reset" in names(script.step)
    script.partial("mm-hm right").final("mm-hm right").plays_out()
    script.says("what time is it").wait(500)
    assert script.turns == ["hello", "what time is it"]


def test_two_finals_in_one_turn_are_one_turn_with_one_answer():
    """The recogniser gives two final texts; the second cancels the answer to the first, and silence follows.

    The turn ends once, with the last text, and is answered.
    """
    script = Script().starts().wait(500).stops(400).wait(10).final("what time").wait(10).final("what time is it")
    script.wait(500).final("what time is it").wait(500)
    assert script.turns == ["what time is it"]
    script.thinks("Noon.").plays_out()
    assert script.last(d.ReplyDone).outcome == "completed"


def test_one_device_that_leaves_does_not_end_all():
    """A second tab is closed, and the conversation in the first one ends.

    Only the last loudspeaker's leaving ends the reply, and nothing but `session.closed` the session: what the live
    device was saying goes on at the other one.
    """
    script = Script()
    script.post(e.DeviceJoined(device_id="d2", transport="test"))
    script.post(e.DeviceJoined(device_id="d3", transport="test"))
    script.speaking()
    assert script.post(e.DeviceLeft(device_id="d2", reason="closed")) == []
    script.post(e.DeviceLeft(device_id="d3", reason="closed"))
    assert script.wait(0).none(d.InterruptionConfirmed)
    assert script.plays_out().one(d.ReplyDone).outcome == "completed"
    script.speaking()
    script.post(e.DeviceLeft(device_id="d1", reason="closed"))
    assert script.last(d.ReplyDone).outcome == "interrupted"
    script.post(e.DeviceJoined(device_id="d1", transport="test"))
    assert script.speaking().plays_out().last(d.ReplyDone).outcome == "completed"


@pytest.mark.parametrize("text", ["what time is it", ""])
@pytest.mark.parametrize("when_ms", [40, 400])
def test_noise_does_not_cancel_the_answer_for_ever(when_ms: int, text: str):
    """A door slams behind the question: the answer is cancelled, and as nothing was said nothing follows.

    Within the turn the question is answered all the same; behind it the answer goes on.
    """
    script = (
        Script({"endpointing.floor_ms": 200, "replies.preface_after_ms": 5_000})
        .says("what time is it")
        .wait(when_ms - 20)
    )
    script.starts().wait(120).stops(0)
    if when_ms < 200:  # the recogniser's text covers the turn: noise adds nothing to it
        script.wait(20).final("what time is it")
    else:
        script.wait(20).final(text, understood=False)
    script.wait(300)
    assert script.turns == ["what time is it"]
    script.thinks("Noon.").plays_out()
    assert script.one(d.PlaybackStop).heard_text == "Noon."
    assert script.last(d.ReplyDone).outcome == "completed"


def test_a_late_text_does_not_drop_the_turn():
    """The recogniser is slower than the turn's end; its text belongs to nothing, and the user to nobody.

    The last hypothesis is answered, or the user is told; the late text neither repeats nor disturbs that.
    """
    timeout_ms = Endpointing().final_timeout_ms
    script = Script().starts().wait(500).partial("what time is it").stops(400).wait(timeout_ms + 500)
    assert script.turns == ["what time is it"]
    assert script.final("what time is it").step == []
    assert script.thinks("Noon.").plays_out().last(d.ReplyDone).outcome == "completed"
    deaf = Script().starts().wait(500).stops(400).wait(timeout_ms)
    assert "say that again" in deaf.texts[-1]


def test_late_words_behind_a_false_alarm_still_interrupt():
    """Without words in time playback resumes; the words that then come are dropped."""
    script = Script().speaking().starts().wait(400).stops(300).wait(INTERRUPTION.window_ms)
    assert script.one(d.InterruptionDismissed).evidence == "no_words"
    script.final("no the other one").wait(500)
    assert script.one(d.InterruptionConfirmed).evidence == "words"
    assert script.turns == ["hello", "no the other one"]


def test_text_is_not_one_turn_behind():
    """The recogniser's text for the last turn arrives in this one, and is answered; so on for ever.

    A text counts for the utterance that it names.
    """
    script = Script().says("what time is it").wait(500).thinks("Noon.").plays_out()
    script.starts().wait(500).stops(400).final("what time is it", utterance=1).wait(500)
    assert script.turns == ["what time is it"]
    script.final("tell me a joke").wait(500)
    assert script.turns == ["what time is it", "tell me a joke"]
    assert script.model.text == "tell me a joke"
