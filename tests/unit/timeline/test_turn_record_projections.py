from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent.conversation.decisions import (
    ActionCommitted,
    ActionConfirmed,
    ActionProposed,
    ActionRejected,
    ActionReverted,
    ActionStarted,
    AsrReset,
    CancelRequested,
    ModelStart,
    PlaybackStop,
    ReplyDone,
    ToolStart,
    TtsSay,
    TurnEnd,
    TurnStart,
)
from agent.conversation.events import AsrFinal, AsrPartial, Event, ModelToken, ToolCall, ToolResult
from agent.timeline.codec import loads, role_of
from agent.timeline.entry import Entry
from agent.timeline.projections.turn_records import turn_records

FIXTURES = Path(__file__).parents[2] / "fixtures"
IDS: dict[str, Any] = {"turn_id": "t1", "reply_id": "r1"}


def of(*events: Event) -> Any:
    return turn_records([Entry("s", n, "", n, n, role_of(event), "", "", event) for n, event in enumerate(events, 1)])


def golden(name: str) -> Any:
    lines = (FIXTURES / f"timeline_{name}.jsonl").read_text().splitlines()
    return turn_records(loads(line) for line in lines)


def partial(text: str) -> AsrPartial:
    return AsrPartial(utterance=1, text=text)


def end(text: str) -> TurnEnd:
    return TurnEnd(turn_id="t1", text=text, understood=True, evidence={"control": ""})


def model(turn_id: str = "t1", reply_id: str = "r1") -> ModelStart:
    ids = {"turn_id": turn_id, "reply_id": reply_id}
    return ModelStart(step=1, text="", understood=True, context=(), results=(), speculative=False, **ids)


START = TurnStart(turn_id="t1")


def test_an_answer_with_a_tool_is_recorded_from_the_words_to_the_result() -> None:
    asked, unasked = golden("answer")
    assert asked["user"]["said"] == "what time is it in tokyo"
    discarded, answer = asked["replies"]
    assert (discarded["outcome"], discarded["asked"], discarded["spoken"]) == ("discarded", "It is noon.", "")
    assert answer["written"] == "It is nine in the evening."
    assert answer["spoken"] == answer["asked"] == "Let me check that. It is nine in the evening."
    assert answer["understood_as"] == [{"tool": "time", "arguments": {"place": "tokyo"}}]
    (tool,) = asked["tools"]
    assert (tool["name"], tool["outcome"], tool["content"]) == ("time", "ok", {"time": "9 PM"})
    assert (unasked["turn_id"], unasked["user"]["said"]) == ("", "")
    assert unasked["replies"][0]["spoken"] == "Your timer is done."


def test_an_interrupted_answer_says_what_was_heard_to_the_word_and_false_turns_are_left_out() -> None:
    story, day = golden("barge_in")
    assert story["user"]["typed"]
    (reply,) = story["replies"]
    assert (reply["outcome"], reply["spoken"], reply["unspoken"]) == (
        "interrupted",
        "Once there was a fox.",
        "It ran far away.",
    )
    assert (reply["heard_ms"], reply["method"]) == (1_375, "sent")
    assert (day["user"]["said"], day["user"]["last_partial"], day["user"]["revised"]) == (
        "stop what day is it",
        "stop what",
        False,
    )


def test_mismatches_are_flagged_where_they_happened() -> None:
    flags = {flag["reply_id"]: flag["kind"] for turn in golden("faults") for flag in turn["mismatches"]}
    assert flags == {"r6": "heard_not_said", "r7": "heard_not_synthesised", "r8": "shown_not_spoken"}


def test_a_final_text_that_contradicts_the_last_partial_is_a_revision() -> None:
    words = (START, partial("set an alarm"), partial("set an alarm for six"))
    assert of(*words, end("Set an alarm for six."))[0]["user"]["revised"] is False
    (turn,) = of(*words, end("set an alarm for sixty"))
    assert (turn["user"]["revised"], turn["user"]["last_partial"]) == (True, "set an alarm for six")


def test_words_before_the_turn_are_its_first_unless_they_came_to_nothing() -> None:
    assert of(partial("stop"), START)[0]["user"]["said"] == "stop"
    assert of(AsrFinal(utterance=1, text="stop"), START)[0]["user"]["said"] == "stop"
    assert of(partial("uh"), AsrReset(), START) == []
    assert of(START, partial("uh"), end("")) == [], "a sound that was no turn"


def test_what_comes_behind_the_end_of_a_reply_does_not_change_its_record() -> None:
    say = TtsSay(chunk=0, text="It is", phase="claim", rests_on=(), **IDS)
    stop = PlaybackStop(heard_ms=0, heard_text="", unheard_text="It is", method="never_started", **IDS)
    late = ModelToken(reply_id="r1", step=1, text="noon.")
    token = ModelToken(reply_id="r1", step=1, text="It is ")
    (turn,) = of(START, end("x"), model(), token, say, stop, ReplyDone(outcome="interrupted", **IDS), late)
    assert turn["replies"][0]["written"] == "It is "


# ── tools ────────────────────────────────────────────────────────────────────────────────

READ = ToolCall(reply_id="r1", step=1, call_id="c1", name="time", arguments={}, effect="read")
WRITE = ToolCall(reply_id="r1", step=1, call_id="c1", name="send", arguments={"to": "anna"}, effect="write")
STARTED = ToolStart(call_id="c1", name="time", arguments={}, **IDS)
CANCELLED = CancelRequested(target="tool:c1", **IDS)
ACTION: dict[str, Any] = {"action_id": "r1:c1"}


def result(*, ok: bool, reply_id: str = "r1") -> ToolResult:
    failure = {} if ok else {"error_class": "timeout", "message": "too slow"}
    return ToolResult(reply_id=reply_id, call_id="c1", ok=ok, content=None, **failure)


def tool(*events: Event) -> Any:
    (turn,) = of(START, end("x"), model(), *events)
    (record,) = turn["tools"]
    return record


@pytest.mark.parametrize(
    ("events", "outcome"),
    [
        ((), "requested"),
        ((STARTED,), "started"),
        ((STARTED, result(ok=True)), "ok"),
        ((STARTED, result(ok=False)), "failed"),
        ((STARTED, CANCELLED), "cancelled"),
        ((STARTED, CANCELLED, result(ok=True)), "cancelled"),
    ],
)
def test_a_read_ends_by_its_result_or_its_cancellation(events: tuple[Event, ...], outcome: str) -> None:
    assert tool(READ, *events)["outcome"] == outcome


def test_a_failure_keeps_its_class_and_message() -> None:
    record = tool(READ, STARTED, result(ok=False))
    assert (record["error_class"], record["message"]) == ("timeout", "too slow")


def test_a_write_goes_by_its_action() -> None:
    named: dict[str, Any] = {**ACTION, "name": "send", "arguments": {}}
    steps: list[tuple[Event, str]] = [
        (ActionProposed(**named, **IDS), "proposed"),
        (ActionConfirmed(by="policy", **ACTION, **IDS), "confirmed"),
        (ActionStarted(idempotency_key="k", **named, **IDS), "started"),
        (CANCELLED, "started"),
        (result(ok=True), "started"),
        (ActionCommitted(late=True, **ACTION, **IDS), "committed"),
        (ActionReverted(by_action_id="r9:c1", **ACTION, **IDS), "reverted"),
    ]
    events: list[Event] = [WRITE]
    for event, outcome in steps:
        events.append(event)
        assert tool(*events)["outcome"] == outcome
    assert tool(*events)["late"] is True
    rejected = tool(WRITE, ActionRejected(reason="interrupted", **ACTION, **IDS))
    assert (rejected["outcome"], rejected["reason"]) == ("rejected", "interrupted")


def test_what_the_user_confirms_in_a_later_turn_is_recorded_where_it_was_asked() -> None:
    later: dict[str, Any] = {**ACTION, "turn_id": "t2", "reply_id": "r2"}
    first, *_ = of(
        START,
        end("x"),
        model(),
        WRITE,
        ActionProposed(name="send", arguments={}, ask=True, **ACTION, **IDS),
        TurnEnd(turn_id="t2", text="yes", understood=True, evidence={}),
        ActionConfirmed(by="voice", **later),
        result(ok=False, reply_id="r2"),
    )
    (record,) = first["tools"]
    assert (record["outcome"], record["error_class"]) == ("confirmed", "timeout")
