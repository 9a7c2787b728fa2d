"""Nobody waits in silence, and nothing waits for ever."""

from __future__ import annotations

from agent.conversation import decisions as d
from agent.conversation import events as e
from agent.conversation.policy import Replies
from tests.unit.conversation.script import Script

REPLIES = Replies()


def test_dead_air_is_broken_again_and_again():
    script = Script().types().wait(REPLIES.preface_after_ms)
    assert script.texts == [REPLIES.preface_text]
    script.plays_out().wait(REPLIES.dead_air_ms)
    assert script.texts == [REPLIES.preface_text, REPLIES.dead_air_text]
    script.plays_out().wait(REPLIES.dead_air_ms)
    assert len(script.texts) == 3
    assert all(say.phase == "preface" and say.rests_on == () for say in script.all(d.TtsSay))


def test_nothing_is_said_into_what_is_being_said():
    script = Script().types().token("One two three four. ").synthesised().plays(1).wait(REPLIES.dead_air_ms)
    assert script.texts == ["One two three four."]


def test_nothing_is_said_once_the_answer_is_there():
    script = Script().types().thinks("Noon.").wait(REPLIES.dead_air_ms)
    assert script.texts == ["Noon."]


def test_audio_that_nobody_takes_ends_the_reply_and_not_the_conversation():
    script = Script().types().thinks("One two three.").synthesised().plays(1).wait(REPLIES.stalled_ms + 201)
    assert script.one(d.Complaint).code == "playback.stalled"
    assert script.one(d.ReplyDone).outcome == "failed"
    assert script.one(d.PlaybackStop).heard_text == "One"
    assert script.types("again").model.reply_id == "r2"


def test_a_pause_is_no_stall():
    script = Script({"interruption.pause_limit_ms": 10_000}).types().thinks("One two three.").synthesised().plays(1)
    script.starts().wait(REPLIES.stalled_ms + 1_000)
    assert script.none(d.Complaint)
    script.stops(0).final("").wait(REPLIES.stalled_ms)
    assert script.none(d.Complaint)


def test_a_long_chunk_without_word_times_is_no_stall():
    script = Script().types().thinks(" ".join(["word"] * 60)).synthesised().plays(0).wait(REPLIES.stalled_ms + 2_000)
    assert script.none(d.Complaint)


def test_without_a_loudspeaker_a_reply_is_read():
    script = Script(device=False).types().thinks("One two three.")
    assert script.none(d.ReplyDone)
    stop = script.synthesised().one(d.PlaybackStop)
    assert (stop.method, stop.heard_text, stop.unheard_text) == ("shown", "One two three.", "")
    assert script.one(d.ReplyDone).outcome == "completed"


def test_without_a_loudspeaker_what_is_ready_waits_for_the_rest():
    """A model or a tool that takes its time behind its first words, for somebody who reads."""
    script = Script(device=False).types().token("One two three. ").synthesised().wait(4 * REPLIES.stalled_ms)
    assert script.none(d.Complaint, d.ReplyDone)
    script.thinks("Four.").synthesised()
    assert script.one(d.PlaybackStop).heard_text == "One two three. Four."
    assert script.one(d.ReplyDone).outcome == "completed"


def test_a_loudspeaker_that_comes_and_takes_nothing_ends_the_reply():
    script = Script(device=False).types().token("One two three. ").synthesised().wait(REPLIES.stalled_ms)
    script.post(e.DeviceJoined(device_id="d1", transport="test"))
    script.wait(2 * REPLIES.stalled_ms + 2_000)
    assert script.all(d.Complaint)[0].code == "playback.stalled"
    assert script.one(d.ReplyDone).outcome == "failed"


def test_without_a_loudspeaker_a_voice_that_never_comes_is_given_up():
    script = Script(device=False).types().token("One two three. ").synthesised().thinks("Four.")
    script.wait(REPLIES.tts_timeout_ms + REPLIES.stalled_ms)
    assert script.one(d.Complaint).code == "tts.timeout"
    assert script.one(d.PlaybackStop).unheard_text == "Four."
