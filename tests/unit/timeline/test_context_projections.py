"""Prompts reach back through earlier ones: what a `model.start` in front of a context stands for."""

from __future__ import annotations

from agent.conversation.decisions import ModelStart, TurnEnd
from agent.timeline.entry import Entry
from agent.timeline.projections.context import MAX_LINKS, messages
from tests.unit.timeline.test_projections import at_zero


def turn(name: str) -> TurnEnd:
    return TurnEnd(event_id=name, turn_id=name, text=name, understood=True, evidence={})


def start(name: str, *context: str) -> ModelStart:
    return ModelStart(
        event_id=name, turn_id="t", reply_id="r", step=1, text="", understood=True, context=context, results=(),
        speculative=False,
    )  # fmt: skip


def told(entries: dict[str, Entry], *ids: str) -> str:
    return " ".join(message.text for message in messages(entries.get, ids))


def entries_of(*events: TurnEnd | ModelStart) -> dict[str, Entry]:
    return {entry.event.event_id: entry for entry in at_zero(*events)}


def test_an_earlier_prompt_stands_for_what_is_not_listed_any_more() -> None:
    known = entries_of(*map(turn, "abcdef"), start("s1", "a", "b", "c", "d"), start("s2", "s1", "c", "d", "e", "f"))
    assert told(known, "a", "b", "c", "d") == "a b c d"
    assert told(known, "s1", "c", "d", "e") == "a b c d e", "what both list is told once"
    assert told(known, "s2", "f") == "a b c d e f"


def test_of_what_an_earlier_prompt_listed_all_is_told_or_nothing() -> None:
    known = entries_of(*map(turn, "bcdef"), start("s1", "a", "b", "c"), start("s2", "s1", "c", "d", "e"))
    assert told(known, "s2", "e", "f") == "c d e f"
    del known["d"]
    assert told(known, "s2", "e", "f") == "e f"
    del known["s2"]
    assert told(known, "s2", "e", "f") == "e f"


def test_prompts_go_back_so_far_and_no_further() -> None:
    names = [f"n{n}" for n in range(MAX_LINKS + 2)]
    starts = [start(f"s{n}", *([f"s{n - 1}"] if n else []), name) for n, name in enumerate(names)]
    known = entries_of(*map(turn, names), turn("last"), *starts)
    assert told(known, f"s{len(starts) - 1}", "last") == " ".join([*names[-MAX_LINKS:], "last"])
