"""What the user is asked before it is done, and what counts as an answer."""

from __future__ import annotations

import pytest

from agent.conversation import decisions as d
from agent.conversation import events as e
from agent.conversation.policy import Actions
from tests.unit.conversation.script import Script, names

QUESTION = "Send an email to Anna. Shall I?"


def proposed(settings: dict[str, e.Json] | None = None, **fields: object) -> Script:
    """A typed request has led to a proposal, which is being synthesised."""
    call = {"risk": "high", "name": "send_email", "proposal": "Send an email to Anna."} | fields
    return Script(settings).types("mail anna").calls("c1", "write", **call).done()


def heard(settings: dict[str, e.Json] | None = None, **fields: object) -> Script:
    return proposed(settings, **fields).plays_out()


def test_an_action_of_high_risk_is_asked_about_and_not_done():
    script = proposed()
    proposal = script.one(d.ActionProposed)
    assert (proposal.ask, proposal.proposal, proposal.action_id) == (True, "Send an email to Anna.", "r1:c1")
    assert script.texts == [QUESTION]
    assert script.none(d.ActionConfirmed, d.ActionStarted)
    assert script.plays_out().one(d.ReplyDone).outcome == "completed"
    assert script.none(d.ActionRejected), "it waits"


def test_yes_typed_or_said_confirms_what_was_heard():
    for answer in (lambda s: s.types("Yes, send it."), lambda s: s.says("yes").wait(500)):
        script = answer(heard())
        assert script.one(d.ActionConfirmed).action_id == "r1:c1"
        started = script.one(d.ActionStarted)
        assert (started.name, started.call_id, started.reply_id) == ("send_email", "c1", "r2")
        assert started.idempotency_key == f"r1:c1::t2:{script.one(d.ActionConfirmed).event_id}"
        assert len(script.all(d.ModelStart)) == 1, "nothing is thought about before the outcome is known"


def test_who_confirmed_is_recorded():
    assert heard().says("yes").wait(500).one(d.ActionConfirmed).by == "voice"
    assert heard().types("yes").one(d.ActionConfirmed).by == "typed"
    assert heard().answers_card("r1:c1", accept=True).one(d.ActionConfirmed).by == "device:d1"


def test_the_outcome_is_told_by_the_brain():
    script = heard().types("yes").result("c1", reply_id="r2")
    assert script.one(d.ActionCommitted).late is False
    assert script.model.reply_id == "r2"
    assert script.model.results == (script.one(d.ActionStarted).event_id, "r2-c1-result")
    assert script.model.context[-3:-1] == ("r1-c1-call", script.one(d.ActionProposed).event_id)
    script.thinks("Sent.").plays_out()
    assert script.last(d.TtsSay).rests_on == ("r2-c1-result",)


def test_what_was_done_is_context_later_and_told_once():
    script = heard().types("yes").result("c1", reply_id="r2").thinks("Sent.").plays_out().types("thanks")
    ids = script.model.context
    assert ids.count(script.one(d.ActionStarted).event_id) == 1
    assert ids.count("r2-c1-result") == 1


@pytest.mark.parametrize("text", ["no", "No, don't.", "No, don\u2019t.", "cancel that"])
def test_no_rejects_and_is_acknowledged(text: str):
    script = heard().types(text)
    assert script.one(d.ActionRejected).reason == "refused"
    assert script.texts == [QUESTION, Actions().declined]
    assert script.types("yes").none(d.ActionStarted)


def test_any_other_turn_makes_it_stale():
    script = heard().types("what time is it")
    assert script.one(d.ActionRejected).reason == "the user moved on"
    script.thinks("Noon.").plays_out().types("yes")
    assert script.none(d.ActionStarted)


def test_a_changed_proposal_is_another_one():
    script = heard().types("to bob instead").calls("c1", "write", risk="high").done().plays_out()
    assert [proposal.action_id for proposal in script.all(d.ActionProposed)] == ["r1:c1", "r2:c1"]
    script.answers_card("r1:c1", accept=True)
    assert script.none(d.ActionStarted)
    assert script.one(d.Complaint).code == "action.stale"
    assert script.answers_card("r2:c1", accept=True).one(d.ActionStarted).action_id == "r2:c1"


def test_yes_before_the_proposal_was_heard_confirms_nothing():
    script = proposed().synthesised().plays(1).types("yes")
    assert script.one(d.ActionRejected).reason == "interrupted"
    assert script.none(d.ActionStarted)


def test_speaking_into_the_proposal_withdraws_it():
    script = proposed().synthesised().plays(2).starts().wait(300).partial("no wait").voiced(400)
    assert script.one(d.ActionRejected).reason == "interrupted"


def test_a_card_confirms_while_the_proposal_is_still_being_spoken():
    script = proposed().synthesised().plays(1).answers_card("r1:c1", accept=True)
    assert script.one(d.ActionStarted).reply_id == "r2"
    assert script.none(d.ActionRejected)
    assert script.one(d.InterruptionConfirmed).evidence == "card"


def test_two_cards_at_once_do_it_once_and_the_second_is_told():
    script = heard().answers_card("r1:c1", accept=True).answers_card("r1:c1", accept=True)
    assert script.one(d.ActionStarted)
    assert script.one(d.Complaint).code == "action.stale"


def test_words_that_nothing_understood_do_not_confirm():
    script = heard().says("yes", understood=False).wait(1_000)
    assert script.none(d.ActionStarted)


def test_a_false_turn_leaves_the_proposal_open():
    script = heard().says("", voiced_ms=0).wait(2_000).types("yes")
    assert script.one(d.ActionStarted)


def test_a_partial_never_confirms():
    script = heard().starts().wait(400).partial("yes").wait(100)
    assert script.none(d.ActionConfirmed)
    script.stops(300).wait(20).final("yesterday").wait(2_000)
    assert script.none(d.ActionConfirmed)
    assert script.one(d.ActionRejected).reason == "the user moved on"


def test_it_goes_stale_with_time():
    script = heard().wait(Actions().proposal_ms + 1)
    assert script.one(d.ActionRejected).reason == "no answer"
    assert script.types("yes").none(d.ActionStarted)


def test_its_time_runs_from_when_it_was_heard():
    script = proposed({"actions.proposal_ms": 1_000, "replies.stalled_ms": 60_000}).synthesised().wait(5_000)
    assert script.none(d.ActionRejected), "it is still being asked"
    script.plays_out().wait(999).types("yes")
    assert script.one(d.ActionStarted)


@pytest.mark.parametrize("said", ["yes", ""])
def test_who_is_answering_when_its_time_is_over_is_heard_out(said: str):
    script = heard().wait(Actions().proposal_ms - 200).says(said, voiced_ms=300 if said else 0).wait(3_000)
    assert bool(script.all(d.ActionStarted)) is (said == "yes")
    assert [rejected.reason for rejected in script.all(d.ActionRejected)] == ([] if said else ["no answer"])


@pytest.mark.parametrize("answer", ["okay", "yes"])
def test_what_is_said_to_something_else_confirms_nothing(answer: str):
    """A timer rings behind the question, and the user says "okay" to that."""
    script = heard()
    script.post(e.ReminderDue(reminder_id="m", text="Your tea is ready."))
    assert script.texts[1:] == ["Your tea is ready.", QUESTION], "asked once more, behind it"
    script.synthesised().plays(3).says(answer, voiced_ms=700).wait(1_000)
    assert script.none(d.ActionConfirmed, d.ActionStarted)
    assert script.one(d.ActionRejected).reason == "interrupted"


@pytest.mark.parametrize("by", ["voice", "card"])
def test_what_was_asked_once_more_is_confirmed_once_it_was_heard(by: str):
    script = heard().wait(Actions().proposal_ms - 1)
    script.post(e.ReminderDue(reminder_id="m", text="Your tea is ready."))
    script.wait(100)
    if by == "card":
        script.synthesised().plays(3).answers_card("r1:c1", accept=True)
    else:
        script.plays_out().wait(Actions().proposal_ms - 1_000).types("yes")
    assert script.one(d.ActionStarted).action_id == "r1:c1"
    assert len(script.all(d.ActionProposed)) == 1


def test_a_reminder_with_a_question_behind_it_is_said_again_only_if_it_was_cut_itself():
    for words, texts in ((2, ["Your tea is ready."]), (5, [])):
        script = heard()
        script.post(e.ReminderDue(reminder_id="m", text="Your tea is ready."))
        script.synthesised().plays(words).post(e.DeviceLeft(device_id="d1", reason="reload"))
        assert script.one(d.ActionRejected).reason == "interrupted"
        script.post(e.DeviceJoined(device_id="d1", transport="test"))
        assert script.texts[3:] == texts, "and the question is void"


@pytest.mark.parametrize("named", ["", "r1"])
def test_stop_behind_the_question_withdraws_it(named: str):
    script = heard()
    script.post(e.ControlStop(source="device:d1", reply_id=named, seen_seq=script.seq))
    assert script.one(d.ActionRejected).reason == "interrupted"
    script.says("yes").wait(1_000)
    assert script.none(d.ActionConfirmed, d.ActionStarted)


def test_a_stop_that_was_meant_for_something_earlier_leaves_the_question_open():
    script = Script().speaking()
    seen_seq = script.seq
    script.plays_out().types("mail anna").calls("c1", "write", risk="high").done().plays_out()
    script.post(e.ControlStop(source="device:d1", seen_seq=seen_seq))
    script.post(e.ControlStop(source="device:d1", reply_id="r1"))
    assert script.none(d.ActionRejected)
    assert script.types("yes").one(d.ActionStarted)


def test_policy_confirms_low_risk_only_where_it_may():
    assert Script().types().calls("c1", "write").one(d.ActionConfirmed).by == "policy"
    assert Script({"actions.low_risk": "ask"}).types().calls("c1", "write").none(d.ActionConfirmed)
    assert Script().types().calls("c1", "write", confirm="user").none(d.ActionConfirmed)


def test_what_was_heard_unclearly_is_asked_about_whatever_its_risk():
    script = Script().says("said a timer", understood=False).wait(1_000).calls("c1", "write").done()
    assert script.none(d.ActionConfirmed)
    assert script.plays_out().says("yes").wait(500).one(d.ActionConfirmed).by == "voice"
    assert Script().says("set a timer").wait(1_000).calls("c1", "write").one(d.ActionConfirmed).by == "policy"


def test_without_words_of_its_own_the_question_names_the_tool():
    assert heard(proposal="").texts == ["I am about to do this: send email. Shall I?"]


def test_a_restart_and_a_close_withdraw():
    for fact, reason in ((e.SessionResumed(), "restart"), (e.SessionClosed(reason="over"), "closed")):
        script = heard()
        script.post(fact)
        assert script.one(d.ActionRejected).reason == reason


def test_a_second_proposal_takes_the_place_of_the_first():
    script = Script().types().calls("c1", "write", risk="high").calls("c2", "write", risk="high").done().plays_out()
    assert script.one(d.ActionRejected).action_id == "r1:c1"
    assert script.types("yes").one(d.ActionStarted).action_id == "r1:c2"


def test_what_the_model_writes_behind_a_proposal_is_not_said():
    script = Script().types().calls("c1", "write", risk="high", proposal="Send it.").token("Done, it is sent. ").done()
    assert script.texts == ["Send it. Shall I?"]


def test_a_reply_with_other_calls_goes_on_and_tells_the_model_that_it_waits():
    script = Script().types().calls("c1", "write", risk="high").calls("c2").done().result("c2")
    assert script.one(d.ActionProposed).event_id in script.model.results
    assert script.thinks("And it is noon.").plays_out().one(d.ReplyDone).outcome == "completed"
    assert script.types("yes").one(d.ActionStarted)


def test_interrupting_what_was_confirmed_and_started_never_kills_it():
    script = heard().types("yes").types("what time is it")
    assert script.none(d.ActionRejected)
    assert "tool:c1" not in [request.target for request in script.all(d.CancelRequested)]
    script.result("c1", reply_id="r2")
    assert script.one(d.ActionCommitted).late


def test_without_a_loudspeaker_the_proposal_is_read():
    call = {"risk": "high", "proposal": "Send it."}
    script = Script(device=False).types("mail").calls("c1", "write", **call).done().synthesised()
    assert script.one(d.PlaybackStop).method == "shown"
    assert script.types("yes").one(d.ActionStarted)


def test_undoing_is_recorded_with_the_action_that_it_undoes():
    script = Script().types().calls("c1", "write").done().result("c1").thinks("Added.").plays_out()
    script.types("undo that").calls("c1", "write", reverts="r1:c1").done().result("c1", reply_id="r2")
    reverted = script.one(d.ActionReverted)
    assert (reverted.action_id, reverted.by_action_id) == ("r1:c1", "r2:c1")
    failed = Script().types().calls("c1", "write", reverts="r0:c1").result("c1", ok=False)
    assert failed.none(d.ActionReverted)


def test_nothing_starts_while_an_interruption_is_suspected():
    script = Script({"replies.steering": "after"}).types().calls("c1", "write", risk="high", proposal="Send it.").done()
    script.synthesised().plays(1).starts()
    assert names(script.step)[0] == "interruption.suspected"
    script.answers_card("r1:c1", accept=True)
    assert script.one(d.ActionStarted), "a card is an explicit control: it confirms the interruption too"
