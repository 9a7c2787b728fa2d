"""A turn that was ended too early and goes on is one turn, in every projection."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from agent.conversation.decisions import AsrReset, PlaybackStop, ReplyDone, TtsSay, TurnEnd, TurnStart
from agent.conversation.events import AsrFinal, Event
from agent.show import show_transcript
from agent.timeline.codec import loads, role_of
from agent.timeline.entry import Entry
from agent.timeline.projections.figures import figures
from agent.timeline.projections.intent import intent
from agent.timeline.projections.latency import latency
from agent.timeline.projections.report import report
from agent.timeline.projections.transcript import transcript
from agent.timeline.projections.turn_records import turn_records

FIXTURES = Path(__file__).parents[2] / "fixtures"
TIMER = "set a timer for ten minutes"
JOINED = f"{TIMER} and thirty seconds for the eggs"
LAST_WORDS_AT = 49
"""In `cut_off`: the second part has been said and joined, and its reply is on its way."""
END_OF_EGGS = 99


def golden(name: str, end: int | None = None) -> list[Entry]:
    return [loads(line) for line in (FIXTURES / f"timeline_{name}.jsonl").read_text().splitlines()[:end]]


def entries(*events: Event) -> list[Entry]:
    return [Entry("s", n, "", n, n * 1_000, role_of(event), "", "", event) for n, event in enumerate(events, 1)]


def start(turn: int, continues: str = "") -> TurnStart:
    return TurnStart(turn_id=f"t{turn}", continues=continues)


def end(turn: int, text: str, joins: str = "") -> list[Event]:
    ended = TurnEnd(turn_id=f"t{turn}", text=text, understood=True, evidence={"control": ""}, joins=joins)
    return [ended, AsrReset()]


def words(text: str) -> AsrFinal:
    return AsrFinal(utterance=1, text=text)


def cut(turn: int, heard: str = "") -> list[Event]:
    """A reply to this turn that was interrupted."""
    ids: dict[str, Any] = {"turn_id": f"t{turn}", "reply_id": f"r{turn}"}
    said = TtsSay(chunk=0, text="Done. Bye.", phase="claim", rests_on=(), **ids)
    stop = PlaybackStop(heard_ms=0, heard_text=heard, unheard_text="Bye.", method="sent", **ids)
    return [said, stop, ReplyDone(outcome="interrupted", **ids)]


def users(found: Any) -> list[Any]:
    return [(turn["turn_id"], turn["user"], [reply["reply_id"] for reply in turn["agent"]]) for turn in found]


# ── what was said ────────────────────────────────────────────────────────────────────────


def test_a_turn_that_went_on_twice_is_one_turn_with_all_its_words_and_the_reply_that_was_heard() -> None:
    assert users(transcript(golden("cut_off", END_OF_EGGS))) == [("t3", JOINED, ["r3"])]


def test_until_the_rest_has_been_said_nobody_knows_what_it_is_and_both_parts_are_shown() -> None:
    [first, rest] = transcript(golden("cut_off", 41))
    assert (first["user"], first["final"], rest["user"], rest["final"]) == (TIMER, True, "and thirty seconds", False)


def test_what_takes_back_or_comes_to_nothing_leaves_the_turn_before_it_alone() -> None:
    assert users(transcript(golden("cut_off")))[1:] == [
        ("t4", "what time is it in tokyo", ["r4"]),
        ("t5", "no wait in paris", ["r5"]),
        ("t6", "tell me a joke", ["r6"]),
        ("t8", "what day is it", ["r7"]),
    ]


def test_a_reply_of_which_something_was_heard_stays_before_the_others() -> None:
    [turn] = transcript(golden("cut_off_heard"))
    assert [(reply["reply_id"], reply["heard"]) for reply in turn["agent"]] == [
        ("r1", "Done."),
        ("r3", "Done. The eggs."),
    ]


def test_a_rest_without_words_leaves_one_turn() -> None:
    events = [start(1), *end(1, "hello"), *cut(1), start(2, "t1"), *end(2, "hello", "t1")]
    assert users(transcript(entries(*events))) == [("t2", "hello", [])]


@pytest.mark.parametrize(
    ("rest", "text", "joins", "turns"),
    [
        ("no wait", "no no wait", "t1", ["no no wait"]),
        ("no wait", "no wait", "", ["no", "no wait"]),
        ("w", "now", "", ["no", "now"]),
        ("no", "no", "t1", ["no"]),
        ("no", "no", "", ["no", "no"]),
    ],
)
def test_what_takes_back_may_begin_like_what_it_takes_back(rest: str, text: str, joins: str, turns: list[str]) -> None:
    events = [start(1), *end(1, "no"), *cut(1), start(2, "t1"), words(rest), *end(2, text, joins)]
    assert [turn["user"] for turn in transcript(entries(*events))] == turns


def test_words_of_an_earlier_turn_say_nothing_about_the_rest_of_a_later_one() -> None:
    events = [words("a"), start(1), *end(1, "a"), *cut(1), start(2, "t1"), *end(2, "a", "t1")]
    assert [turn["user"] for turn in transcript(entries(*events))] == ["a"]


def test_replay_prints_one_line_for_it() -> None:
    console = Console(record=True, width=200)
    show_transcript(console, golden("cut_off", END_OF_EGGS))
    lines = console.export_text().splitlines()
    assert [line.split()[:2] for line in lines] == [["t3", "you"], ["agent", "Done."]]


# ── what was done ────────────────────────────────────────────────────────────────────────


def test_the_record_tells_what_was_begun_for_each_part_and_where_it_was_cut() -> None:
    [record] = turn_records(golden("cut_off", END_OF_EGGS))
    user: Any = record["user"]
    assert (record["turn_id"], user["said"], user["last_partial"], user["revised"]) == ("t3", JOINED, JOINED, False)
    assert [(part["turn_id"], part["said"]) for part in user["cut_off"]] == [("t1", TIMER), ("t2", JOINED[:-13])]
    assert user["cut_off"][0]["evidence"]["silence_ms"] == 160
    replies: Any = record["replies"]
    assert [(reply["reply_id"], reply["outcome"]) for reply in replies] == [
        ("r1", "interrupted"), ("r2", "interrupted"), ("r3", "completed"),
    ]  # fmt: skip


def test_turns_that_did_not_go_on_were_not_cut_off() -> None:
    records: Any = turn_records(golden("cut_off"))
    assert [(record["turn_id"], len(record["user"]["cut_off"])) for record in records] == [
        ("t3", 2), ("t4", 0), ("t5", 0), ("t6", 0), ("t8", 0),
    ]  # fmt: skip


def test_the_goal_is_all_of_it() -> None:
    goal: Any = intent(golden("cut_off", LAST_WORDS_AT))["goal"]
    assert goal == {"turn_id": "t2", "text": JOINED[:-13], "understood": True, "status": "answering"}


# ── figures ──────────────────────────────────────────────────────────────────────────────


def turns_of(name: str, at: int | None = None) -> Any:
    counts: Any = figures(golden(name, at))["turns"]
    return counts["ended"], counts["interrupted"]


def test_it_counts_once_and_going_on_is_no_interruption_of_a_reply_that_nobody_heard() -> None:
    assert turns_of("cut_off", 41) == (1, 1), "so far it looks like one"
    assert turns_of("cut_off", LAST_WORDS_AT) == (0, 0)
    assert turns_of("cut_off", END_OF_EGGS) == (1, 0)
    assert turns_of("cut_off") == (5, 2), "the one that was taken back and the one that was dropped were cut"


def test_it_was_interrupted_if_something_was_heard() -> None:
    assert turns_of("cut_off_heard") == (1, 1)


def test_later_replies_of_it_can_be_interrupted() -> None:
    events = [start(1), *end(1, "a"), *cut(1), start(2, "t1"), words("b"), *end(2, "a b", "t1"), *cut(2, "Done.")]
    assert figures(entries(*events))["turns"] == {"ended": 1, "interrupted": 1, "share": 1.0}


# ── latency ──────────────────────────────────────────────────────────────────────────────


def test_it_is_timed_from_the_end_of_its_last_part() -> None:
    [turn] = latency(golden("cut_off", END_OF_EGGS))
    assert (turn["turn_id"], turn["reply_ids"], turn["interrupted"]) == ("t3", ["r3"], False)
    assert (turn["user_end_ms"], turn["turn_end_ms"], turn["voice_to_voice_ms"]) == (3_450, 3_610, 4_010 - 3_450 + 30)


def test_the_timed_turn_was_interrupted_if_something_was_heard() -> None:
    [turn] = latency(golden("cut_off_heard"))
    assert (turn["reply_ids"], turn["interrupted"], turn["voice_to_voice_ms"]) == (["r3"], True, 590)


def test_the_report_has_one_row_for_it() -> None:
    rows: Any = report(golden("cut_off"))["turns"]
    assert [(row["turn_id"], row["user"]) for row in rows][:2] == [("t3", JOINED), ("t4", "what time is it in tokyo")]
    assert (rows[0]["agent"], rows[0]["voice_to_voice_ms"]) == ("Done. The eggs.", 590)
