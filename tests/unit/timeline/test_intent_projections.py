from __future__ import annotations

from typing import Any, Literal

from agent.conversation.decisions import (
    ActionConfirmed,
    ActionProposed,
    ActionRejected,
    ModelStart,
    PlaybackRelease,
    ReplyCommitted,
    ReplyDone,
    SteeringApplied,
    SteeringQueued,
    TurnEnd,
)
from agent.conversation.events import Event, SessionClosed, ToolCall
from agent.timeline.codec import role_of
from agent.timeline.entry import Entry
from agent.timeline.projections.intent import intent


def of(*events: Event) -> Any:
    return intent([Entry("s", n, "", n, n, role_of(event), "", "", event) for n, event in enumerate(events, 1)])


def turn(number: int, text: str, *, understood: bool = True) -> TurnEnd:
    return TurnEnd(turn_id=f"t{number}", text=text, understood=understood, evidence={})


def model(number: int, *, speculative: bool = False) -> ModelStart:
    ids: dict[str, Any] = {"turn_id": f"t{number}", "reply_id": f"r{number}"}
    return ModelStart(step=1, text="", understood=True, context=(), results=(), speculative=speculative, **ids)


def call(number: int, name: str, effect: Literal["read", "write"] = "read", **arguments: Any) -> ToolCall:
    return ToolCall(reply_id=f"r{number}", step=1, call_id="c1", name=name, arguments=arguments, effect=effect)


def done(number: int, outcome: Any = "completed") -> ReplyDone:
    return ReplyDone(turn_id=f"t{number}", reply_id=f"r{number}", outcome=outcome)


MAIL = {"to": "anna", "text": "hello"}
PROPOSED = ActionProposed(
    turn_id="t1", reply_id="r1", action_id="r1:c1", name="send_email", arguments=MAIL, ask=True, proposal="Send it."
)
ASKED = (turn(1, "email anna hello"), model(1), call(1, "send_email", "write", **MAIL), PROPOSED, done(1))


def test_at_first_nothing_is_wanted() -> None:
    assert of() == {"goal": None, "slots": [], "proposal": None, "steering": []}


def test_the_goal_is_the_last_turn_with_words_and_its_slots_are_the_calls_of_its_answer() -> None:
    found = of(turn(1, "time in tokyo"), model(1), call(1, "time", place="tokyo"))
    assert found["goal"] == {"turn_id": "t1", "text": "time in tokyo", "understood": True, "status": "answering"}
    assert found["slots"] == [{"tool": "time", "arguments": {"place": "tokyo"}}]
    noise = of(turn(1, "time in tokyo"), model(1), call(1, "time", place="tokyo"), done(1), turn(2, ""))
    assert (noise["goal"]["status"], len(noise["slots"])) == ("completed", 1)
    unclear = of(turn(1, "time in tokyo"), model(1), call(1, "time"), done(1), turn(2, "blah", understood=False))
    assert (unclear["goal"]["text"], unclear["goal"]["understood"], unclear["slots"]) == ("blah", False, [])


def test_how_the_answer_ended_is_known_and_late_calls_of_an_older_one_do_not_count() -> None:
    cut = (turn(1, "tell me a story"), model(1), done(1, "interrupted"))
    assert of(*cut)["goal"]["status"] == "interrupted"
    assert of(*cut, turn(2, "stop"), model(2), call(1, "time"))["slots"] == []


def test_a_speculative_understanding_counts_once_it_is_committed() -> None:
    guess = (model(1, speculative=True), call(1, "time", place="tokyo"))
    assert of(*guess)["slots"] == []
    committed = ReplyCommitted(turn_id="t1", reply_id="r1")
    assert len(of(*guess, turn(1, "time in tokyo"), committed)["slots"]) == 1
    assert of(*guess, done(1, "discarded"), turn(1, "time in tokyo in june"))["slots"] == []


def test_a_proposal_is_open_until_it_is_answered() -> None:
    found = of(*ASKED)["proposal"]
    assert found == {"action_id": "r1:c1", "tool": "send_email", "arguments": MAIL, "question": "Send it."}
    moved_on = ActionRejected(turn_id="t1", reply_id="r1", action_id="r1:c1", reason="the user moved on")
    after = of(*ASKED, turn(2, "what time is it"), moved_on)
    assert (after["proposal"], after["goal"]["text"]) == (None, "what time is it")
    other = ActionRejected(turn_id="t1", reply_id="r1", action_id="r1:c9", reason="refused")
    assert of(*ASKED, other)["proposal"] is not None
    policy = ActionProposed(turn_id="t1", reply_id="r1", action_id="r1:c1", name="add_todo", arguments={})
    assert of(turn(1, "x"), model(1), policy)["proposal"] is None, "policy confirms it: nobody is asked"


def test_what_confirms_or_refuses_a_proposal_is_no_goal_of_its_own() -> None:
    ids = {"turn_id": "t2", "reply_id": "r2", "action_id": "r1:c1"}
    release = PlaybackRelease(turn_id="t2", reply_id="r2")
    yes = of(*ASKED, turn(2, "yes"), release, ActionConfirmed(by="voice", **ids))
    assert yes["goal"] == {"turn_id": "t1", "text": "email anna hello", "understood": True, "status": "answering"}
    assert yes["slots"] == [{"tool": "send_email", "arguments": MAIL}]
    confirmed = (*ASKED, turn(2, "yes"), release, ActionConfirmed(by="voice", **ids), model(2), done(2))
    assert of(*confirmed)["goal"]["status"] == "completed"
    no = of(*ASKED, turn(2, "no"), ActionRejected(reason="refused", **ids), release, done(2))
    assert (no["goal"]["text"], no["goal"]["status"], no["proposal"]) == ("email anna hello", "refused", None)


def queued(queued_id: str, text: str) -> SteeringQueued:
    return SteeringQueued(turn_id="t1", reply_id="r1", text=text, when="sentence", queued_id=queued_id)


def test_steering_waits_in_order_until_it_is_applied() -> None:
    both = (queued("e1", "shorter"), queued("e2", "in euros"))
    assert [(one["queued_id"], one["text"]) for one in of(*both)["steering"]] == [("e1", "shorter"), ("e2", "in euros")]
    assert [one["text"] for one in of(*both, SteeringApplied(queued_id="e1"))["steering"]] == ["in euros"]
    assert of(*both, SessionClosed(reason="ended"))["steering"] == []
