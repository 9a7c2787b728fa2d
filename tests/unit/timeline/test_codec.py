from __future__ import annotations

import types
from dataclasses import fields, is_dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.conversation import decisions, events, reports
from agent.conversation.decisions import Decision
from agent.conversation.events import ClientCommand, Event
from agent.conversation.reports import ToolReport
from agent.errors import StoreError, WireError
from agent.timeline import codec
from agent.timeline.entry import Entry


class AnyJson:
    pass


TEXT = st.text(max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
SCALARS: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXT,
    int: st.integers(),
    bool: st.booleans(),
    float: st.floats(allow_nan=False, allow_infinity=False),
    AnyJson: JSON,
}


def values(hint: Any) -> st.SearchStrategy[Any]:
    if hint in SCALARS:
        return SCALARS[hint]
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is tuple:
        return st.lists(values(arguments[0]), max_size=4).map(tuple)
    if origin is dict:
        return st.dictionaries(TEXT, values(arguments[1]), max_size=3)
    if origin is types.UnionType:
        return st.none() | values(next(argument for argument in arguments if argument is not types.NoneType))
    assert is_dataclass(hint), hint
    return instances(hint)


def instances(cls: Any) -> st.SearchStrategy[Any]:
    hints = get_type_hints(cls, localns={"Json": AnyJson})
    return st.builds(cls, **{field.name: values(hints[field.name]) for field in fields(cls)})


@st.composite
def entries(draw: st.DrawFn, cls: type[Event]) -> Entry:
    event = draw(instances(cls))
    own = [event.turn_id] if isinstance(event, Decision) else []
    return Entry(
        session_id=draw(TEXT),
        seq=draw(st.integers()),
        ts=draw(TEXT),
        t_ms=draw(st.integers()),
        now_us=draw(st.integers()),
        role="decision" if isinstance(event, Decision) else "fact",
        turn_id=draw(st.sampled_from([*own, "", "t1"])),
        parent_event_id=draw(TEXT),
        event=event,
    )


def declared() -> set[type[Event]]:
    bases = (Event, ClientCommand, ToolReport, Decision)
    return {
        value
        for module in (events, reports, decisions)
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Event) and value not in bases
    }


def test_every_event_class_is_registered_once() -> None:
    assert set(codec.EVENT_TYPES.values()) == declared()
    assert len(codec.EVENT_TYPES) == len(declared())


@pytest.mark.parametrize("name", sorted(codec.EVENT_TYPES))
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_every_entry_survives_a_line_of_json(name: str, data: st.DataObject) -> None:
    entry = data.draw(entries(codec.EVENT_TYPES[name]))
    line = codec.dumps(entry)
    assert "\n" not in line
    back = codec.loads(line)
    assert back == entry
    assert codec.dumps(back) == line


def chunk() -> Entry:
    event = events.TtsChunk(
        event_id="e9",
        source="tts",
        reply_id="r1",
        chunk=0,
        text="Hi there.",
        phase="claim",
        rests_on=("e3",),
        start_sample=0,
        samples=9_600,
        words=(events.Word(0, 4_000, 2), events.Word(4_000, 9_000, 9)),
    )
    return Entry("s1", 4, "2026-01-01T00:00:00.000Z", 12, 12_345, "fact", "t1", "e3", event)


def test_the_envelope_holds_the_ids_and_the_payload_the_rest() -> None:
    assert codec.to_json(chunk()) == {
        "session_id": "s1",
        "event_id": "e9",
        "seq": 4,
        "ts": "2026-01-01T00:00:00.000Z",
        "t_ms": 12,
        "now_us": 12_345,
        "role": "fact",
        "type": "tts.chunk",
        "source": "tts",
        "turn_id": "t1",
        "parent_event_id": "e3",
        "payload": {
            "reply_id": "r1",
            "chunk": 0,
            "text": "Hi there.",
            "phase": "claim",
            "rests_on": ["e3"],
            "start_sample": 0,
            "samples": 9_600,
            "words": [
                {"start_sample": 0, "end_sample": 4_000, "text_end": 2},
                {"start_sample": 4_000, "end_sample": 9_000, "text_end": 9},
            ],
            "estimated": False,
        },
    }


def test_a_decisions_turn_is_in_the_payload_only_where_the_envelope_differs() -> None:
    start = decisions.TurnStart(event_id="e1.1", turn_id="t2")
    same = Entry("s", 2, "", 0, 0, "decision", "t2", "e1", start)
    other = Entry("s", 2, "", 0, 0, "decision", "t1", "e1", start)
    assert codec.to_json(same)["payload"] == {"reply_id": "", "feature": "", "continues": ""}
    assert codec.to_json(other)["payload"] == {"turn_id": "t2", "reply_id": "", "feature": "", "continues": ""}


def test_a_field_with_a_default_may_be_missing() -> None:
    event = codec.event_from("asr.final", {"utterance": 1, "text": "hi"})
    assert event == events.AsrFinal(utterance=1, text="hi")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"type": "tts.chunks"}, "no event type 'tts.chunks'"),
        ({"extra": 1}, "look at: extra"),
        ({"seq": True}, "seq must be a whole number"),
        ({"seq": 1.0}, "seq must be a whole number"),
        ({"ts": None}, "ts must be a string"),
        ({"role": "decision"}, "role of tts.chunk must be fact"),
        ({"payload": []}, "payload must be an object"),
    ],
)
def test_a_wrong_envelope_is_refused_by_name(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(WireError, match=complaint):
        codec.from_json({**codec.to_json(chunk()), **change})


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"surprise": 1}, "tts.chunk has no field surprise"),
        ({"phase": "guess"}, "tts.chunk.phase must be one of preface, claim"),
        ({"phase": ["claim"]}, "tts.chunk.phase must be one of"),
        ({"rests_on": "e3"}, "tts.chunk.rests_on must be a list"),
        ({"rests_on": [3]}, "tts.chunk.rests_on must be a string"),
        ({"words": [{"start_sample": 0}]}, "tts.chunk.words needs end_sample, text_end"),
        ({"words": [[0, 1, 2]]}, "tts.chunk.words must be an object"),
        ({"samples": "many"}, "tts.chunk.samples must be a whole number, not 'many'"),
    ],
)
def test_a_wrong_payload_is_refused_by_name(change: dict[str, Any], complaint: str) -> None:
    value: Any = codec.to_json(chunk())
    with pytest.raises(WireError, match=complaint):
        codec.from_json({**value, "payload": {**value["payload"], **change}})


def test_a_missing_field_is_refused_by_name() -> None:
    with pytest.raises(WireError, match=r"playback\.mark needs reply_id, sample"):
        codec.event_from("playback.mark", {})


@pytest.mark.parametrize("line", ["", "{", "[1]", '"x"', "NaN", '{"a": Infinity}', "[" * 100_000])
def test_a_line_that_is_no_entry_is_refused(line: str) -> None:
    with pytest.raises(WireError):
        codec.loads(line)


@pytest.mark.parametrize("content", [float("nan"), {1, 2}])
def test_what_json_cannot_hold_is_a_store_error(content: Any) -> None:
    event = events.ToolResult(reply_id="r1", call_id="c1", ok=True, content=content)
    with pytest.raises(StoreError, match="not JSON"):
        codec.dumps(Entry("s", 1, "", 0, 0, "fact", "", "", event))


def test_a_type_used_twice_is_noticed_at_import() -> None:
    twin = types.ModuleType("twin")
    twin.Other = type("Other", (Event,), {"type": "asr.final"})  # type: ignore[attr-defined]
    with pytest.raises(RuntimeError, match=r"asr\.final"):
        codec._registered(events, twin)
