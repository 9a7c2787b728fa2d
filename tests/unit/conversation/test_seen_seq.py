"""Commands say how much of the timeline their sender had seen: what began later they cannot have meant."""

from __future__ import annotations

from typing import Literal

import pytest

from agent.conversation import decisions as d
from agent.conversation import events as e
from tests.unit.conversation.script import Script


def release_seq(script: Script) -> int:
    """The place on the timeline from which on the last reply has the floor."""
    return script.seq_of(script.last(d.PlaybackRelease))


def two_replies() -> Script:
    """The first reply is over, the second is being said."""
    script = Script().speaking("One.", heard=1)
    assert script.one(d.ReplyDone).outcome == "completed"
    return script.speaking()


def test_a_stop_that_was_sent_before_the_reply_began_does_not_touch_it():
    script = two_replies()
    assert script.post(e.ControlStop(source="device:d1", seen_seq=release_seq(script) - 1)) == []
    script.plays_out()
    assert [done.outcome for done in script.all(d.ReplyDone)] == ["completed", "completed"]


@pytest.mark.parametrize("later", [0, 1, 1_000_000])
def test_a_stop_of_one_who_saw_the_reply_begin_stops_it(later: int):
    script = two_replies()
    script.post(e.ControlStop(source="device:d1", seen_seq=release_seq(script) + later))
    assert script.last(d.ReplyDone).outcome == "interrupted"


def test_a_stop_of_one_who_does_not_say_what_it_saw_stops_what_is_being_said():
    script = two_replies()
    script.post(e.ControlStop(source="device:d1"))
    assert script.last(d.ReplyDone).outcome == "interrupted"


def test_a_stop_that_names_its_reply_means_that_one_whatever_it_has_seen():
    script = two_replies()
    now = script.seq
    assert script.post(e.ControlStop(source="device:d1", reply_id="r1", seen_seq=now)) == []
    assert script.post(e.ControlStop(source="device:d1", reply_id="r1", seen_seq=3)) == []
    script.post(e.ControlStop(source="device:d1", reply_id="r2", seen_seq=3))
    assert script.last(d.ReplyDone).outcome == "interrupted"


def test_an_old_stop_and_a_new_one_in_any_order():
    script = two_replies()
    old = e.ControlStop(source="device:d1", seen_seq=release_seq(script) - 1)
    assert script.post(old) == []
    script.post(e.ControlStop(source="device:d1", seen_seq=script.seq))
    assert script.last(d.ReplyDone).outcome == "interrupted"
    assert script.post(old) == [], "and once more, with nothing being said"
    script.speaking()
    assert script.post(old) == [], "late by two replies"


def test_what_the_ear_had_counts_more_than_what_the_log_had():
    """The commands' channel may be behind the sound: who stops what it plays has heard it begin."""
    script = two_replies()
    before = release_seq(script) - 1
    assert script.post(e.ControlStop(source="device:d1", seen_seq=before, played=e.Played("r1", 4_800))) == []
    script.post(e.ControlStop(source="device:d1", seen_seq=before, played=e.Played("r2", 4_800)))
    assert script.last(d.ReplyDone).outcome == "interrupted"


def test_a_speculative_reply_begins_for_others_when_it_is_committed():
    script = Script().says("what time is it")
    seen = script.seq
    assert script.last(d.ModelStart).speculative
    script.wait(1_000)
    assert script.one(d.ReplyCommitted)
    assert script.post(e.ControlStop(source="device:d1", seen_seq=seen)) == []
    script.post(e.ControlStop(source="device:d1", seen_seq=script.seq))
    assert script.one(d.ReplyDone).outcome == "interrupted"


def test_an_old_stop_spares_what_is_said_unasked():
    script = Script().speaking("One.", heard=1)
    seen = script.seq
    script.post(e.ReminderDue(reminder_id="m", text="Your tea is ready."))
    assert script.post(e.ControlStop(source="device:d1", seen_seq=seen)) == []
    script.plays_out()
    assert script.last(d.PlaybackStop).heard_text == "Your tea is ready."


@pytest.mark.parametrize("accept", [True, False])
def test_an_answer_that_is_older_than_the_proposal_is_stale(accept: bool):
    script = Script().types("mail anna").calls("c1", "write", risk="high", proposal="Send it.").done().plays_out()
    asked = script.seq_of(script.one(d.ActionProposed))
    card = e.ControlConfirm(action_id="r1:c1", accept=accept, source="device:d1", seen_seq=asked - 1)
    (complaint,) = script.post(card)
    assert isinstance(complaint, d.Complaint)
    assert complaint.code == "action.stale"
    assert script.none(d.ActionConfirmed, d.ActionRejected), "the proposal still waits"
    script.post(e.ControlConfirm(action_id="r1:c1", accept=accept, source="device:d1", seen_seq=asked))
    assert len(script.all(d.ActionConfirmed if accept else d.ActionRejected)) == 1


# ── cuts ─────────────────────────────────────────────────────────────────────────────────


def cut(script: Script, *, undo: bool = False, **known: object) -> list[str]:
    return [x.type for x in script.post(e.DeviceCut(source="device:d1", undo=undo, **known))]  # type: ignore[arg-type]


PAUSED = ["interruption.suspected", "playback.pause"]


def test_a_cut_meant_for_one_reply_does_not_touch_the_next():
    script = two_replies()
    assert cut(script, seen_seq=release_seq(script) - 1) == []
    assert cut(script, reply_id="r1", seen_seq=script.seq) == []
    assert cut(script, reply_id="r1", played=e.Played("r1", 4_800)) == []
    script.plays_out()
    assert [done.outcome for done in script.all(d.ReplyDone)] == ["completed", "completed"]


@pytest.mark.parametrize(
    "known",
    [{}, {"seen_seq": 1_000_000}, {"reply_id": "r2", "seen_seq": 1}, {"played": e.Played("r2", 4_800), "seen_seq": 1}],
)
def test_a_cut_of_one_who_heard_the_reply_pauses_it(known: dict[str, object]):
    script = two_replies()
    assert cut(script, **known) == PAUSED


def test_what_the_device_played_counts_more_than_what_it_believes_to_have_cut():
    script = two_replies()
    assert cut(script, reply_id="r1", played=e.Played("r2", 4_800), seen_seq=1) == PAUSED


def test_a_cut_of_the_last_reply_is_not_taken_back_from_this_one():
    script = two_replies()
    assert cut(script) == PAUSED
    assert cut(script, undo=True, reply_id="r1") == []
    assert "playback.resume" in cut(script, undo=True, reply_id="r2")


# ── texts ────────────────────────────────────────────────────────────────────────────────


def typed(script: Script, text: str, seen_seq: int, when: Literal["", "now", "after"] = "") -> Script:
    script.post(e.TextInput(text=text, source="device:d1", seen_seq=seen_seq, when=when))
    return script


@pytest.mark.parametrize("when", ["", "now"])
def test_a_text_that_was_sent_before_the_reply_began_waits_for_the_end_of_its_sentence(when: Literal["", "now"]):
    script = Script().speaking("One.", heard=1)
    script.types("go on").thinks("Two three. Four five.").synthesised().plays(1)
    typed(script, "and again", release_seq(script) - 1, when)
    assert script.one(d.SteeringQueued).when == "sentence"
    script.plays(2)
    assert script.last(d.PlaybackStop).heard_text == "Two three."
    assert [end.text for end in script.all(d.TurnEnd)] == ["hello", "go on", "and again"], "it is not lost"
    assert script.last(d.ModelStart).text == "and again"


def test_a_text_of_one_who_saw_the_reply_begin_breaks_into_it():
    script = two_replies()
    typed(script, "and again", release_seq(script))
    assert script.last(d.ReplyDone).outcome == "interrupted"
    assert script.none(d.SteeringQueued)


def test_a_text_sent_before_a_reply_of_which_nothing_was_played_takes_its_place():
    """Two messages in a hurry: nobody waits for the answer to the first."""
    script = Script().types("what time is it")
    typed(script, "in Tokyo", script.seq_of(script.one(d.PlaybackRelease)) - 1)
    assert script.one(d.ReplyDone).outcome == "interrupted"
    assert script.last(d.ModelStart).text == "in Tokyo"


def asked() -> Script:
    return Script().types("mail anna").calls("c1", "write", risk="high", proposal="Send it.").done().plays_out()


def test_a_yes_that_was_typed_before_the_question_confirms_nothing_and_is_answered():
    script = asked()
    typed(script, "yes", script.seq_of(script.one(d.ActionProposed)) - 1)
    assert script.none(d.ActionConfirmed)
    assert script.one(d.ActionRejected).reason == "the user moved on"
    assert script.last(d.ModelStart).text == "yes"
    script = asked()
    typed(script, "yes", script.seq_of(script.one(d.ActionProposed)))
    assert script.one(d.ActionConfirmed).by == "typed"


def test_a_yes_that_waited_behind_the_reply_that_asks_confirms_nothing():
    script = Script().types("mail anna").token("Wait a moment. I look. ").synthesised().plays(1)
    typed(script, "yes", script.seq, "after")
    script.calls("c1", "write", risk="high", proposal="Send it.").done().plays_out()
    assert script.one(d.SteeringApplied)
    assert script.none(d.ActionConfirmed)
    assert script.one(d.ActionRejected).reason == "the user moved on"
