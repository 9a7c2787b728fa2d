from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.conversation.decisions import (
    ActionCommitted,
    ActionProposed,
    AsrReset,
    CancelRequested,
    InterruptionRecorded,
    ModelStart,
    PlaybackPause,
    PlaybackRelease,
    PlaybackResume,
    PlaybackStop,
    ReplyCommitted,
    ReplyDone,
    TtsSay,
    TurnEnd,
    TurnStart,
)
from agent.conversation.events import (
    AsrFinal,
    AsrPartial,
    CancelAck,
    ControlDone,
    DeviceJoined,
    DeviceLeft,
    Event,
    ModelToken,
    PlaybackMark,
    PlaybackStarted,
    SessionResumed,
    SpeechStarted,
    SpeechStopped,
    TextInput,
    ToolCall,
    ToolResult,
    TtsChunk,
    Word,
)
from agent.conversation.message import Message
from agent.timeline.codec import loads, role_of
from agent.timeline.entry import Entry
from agent.timeline.projections.context import messages
from agent.timeline.projections.latency import Latency, latency
from agent.timeline.projections.playback import Playback
from agent.timeline.projections.presence import Presence
from agent.timeline.projections.report import report
from agent.timeline.projections.transcript import Transcript, transcript

FIXTURES = Path(__file__).parents[2] / "fixtures"
GOLDEN = ["answer", "barge_in", "cut_off", "cut_off_heard", "devices"]


def golden(name: str) -> list[Entry]:
    return [loads(line) for line in (FIXTURES / f"timeline_{name}.jsonl").read_text().splitlines()]


def timeline(*steps: tuple[int, Event]) -> list[Entry]:
    return [
        Entry("s", seq, "", ms, ms * 1_000, role_of(event), "", "", event) for seq, (ms, event) in enumerate(steps, 1)
    ]


def at_zero(*events: Event) -> list[Entry]:
    return timeline(*((0, event) for event in events))


def playing(entries: Sequence[Entry]) -> dict[str, Any]:
    fold = Playback()
    for entry in entries:
        fold.apply(entry)
    return fold.state()


def end(text: str, turn_id: str = "t1") -> TurnEnd:
    return TurnEnd(turn_id=turn_id, text=text, understood=True, evidence={})


def model(reply_id: str = "r1", turn_id: str = "t1", *, speculative: bool = False) -> ModelStart:
    ids = {"reply_id": reply_id, "turn_id": turn_id}
    return ModelStart(step=1, text="", understood=True, context=(), results=(), speculative=speculative, **ids)


def say(text: str, chunk: int = 0, turn_id: str = "t1", phase: Any = "claim", start: int = 0) -> list[Event]:
    """A chunk asked for and synthesised, a tenth of a second (4,800 samples) to a word."""
    ends = [i for i, char in enumerate(text + " ") if char == " "]
    words = tuple(Word(start + n * 4_800, start + (n + 1) * 4_800, at) for n, at in enumerate(ends))
    shared: dict[str, Any] = {"reply_id": "r1", "chunk": chunk, "text": text, "phase": phase, "rests_on": ()}
    return [
        TtsSay(turn_id=turn_id, **shared),
        TtsChunk(start_sample=start, samples=4_800 * len(words), words=words, **shared),
    ]


def mark(sample: int) -> PlaybackMark:
    return PlaybackMark(reply_id="r1", sample=sample)


def done(outcome: Any, turn_id: str = "t1") -> ReplyDone:
    return ReplyDone(turn_id=turn_id, reply_id="r1", outcome=outcome)


STARTED = PlaybackStarted(reply_id="r1")


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_timelines_project_as_expected(name: str) -> None:
    checkpoints = {
        point["seq"]: point for point in json.loads((FIXTURES / f"timeline_{name}.expected.json").read_text())
    }
    said, played, times, here = Transcript(), Playback(), Latency(), Presence()
    for entry in golden(name):
        for fold in (said, played, times, here):
            fold.apply(entry)
        if point := checkpoints.pop(entry.seq, None):
            assert said.turns() == point["transcript"], entry.seq
            assert played.state() == point["playback"], entry.seq
            assert times.turns() == point["latency"], entry.seq
            assert here.state() == point["presence"], entry.seq
    assert not checkpoints


# ── transcript ───────────────────────────────────────────────────────────────────────────


def test_the_last_hypothesis_is_shown_until_the_turn_ends_with_its_own_text() -> None:
    turn = TurnStart(turn_id="t1")
    heard = [AsrPartial(utterance=1, text="a"), AsrFinal(utterance=1, text="a b"), AsrFinal(utterance=2, text="a b c")]
    live = transcript(at_zero(turn, *heard))
    assert [(t["user"], t["final"]) for t in live] == [("a b c", False)]
    ended = transcript(at_zero(turn, *heard, end("a b c d"), AsrPartial(utterance=2, text="late")))
    assert [(t["user"], t["final"]) for t in ended] == [("a b c d", True)]


def test_of_the_last_hypothesis_the_stable_part_is_told_and_of_an_ended_turn_all() -> None:
    begun = [AsrPartial(utterance=1, text="what tie", stable=4), TurnStart(turn_id="t1")]
    assert transcript(at_zero(*begun))[0]["stable"] == 4
    more = [*begun, AsrPartial(utterance=1, text="what time", stable=9)]
    assert transcript(at_zero(*more))[0]["stable"] == 9
    final = [*more, AsrFinal(utterance=1, text="what time is it")]
    assert transcript(at_zero(*final))[0]["stable"] == 9, "the user may go on"
    assert transcript(at_zero(*final, end("what time is it")))[0]["stable"] == 15


def test_words_heard_before_the_turn_began_are_its_first() -> None:
    words = AsrPartial(utterance=1, text="stop")
    assert transcript(at_zero(words, TurnStart(turn_id="t1")))[0]["user"] == "stop"
    assert transcript(at_zero(words, AsrReset(), TurnStart(turn_id="t1"))) == []


def test_a_turn_without_words_disappears() -> None:
    assert transcript(at_zero(TurnStart(turn_id="t1"), AsrPartial(utterance=1, text="uh"), end(""))) == []


def test_a_speculative_reply_is_shown_once_it_is_committed() -> None:
    guess = at_zero(TurnStart(turn_id="t1"), AsrFinal(utterance=1, text="hi"), model(speculative=True), *say("Hello."))
    assert transcript(guess)[0]["agent"] == []
    committed = at_zero(*[e.event for e in guess], end("hi"), ReplyCommitted(turn_id="t1", reply_id="r1"))
    assert [reply["text"] for reply in transcript(committed)[0]["agent"]] == ["Hello."]  # type: ignore[union-attr,index,call-overload]


def test_a_discarded_reply_leaves_no_trace() -> None:
    events = (TurnStart(turn_id="t1"), model(speculative=True), *say("Hello."), done("discarded"))
    assert transcript(at_zero(*events, end("hi")))[0]["agent"] == []
    assert transcript(at_zero(*events, end(""))) == []
    # The discard may come behind the end of the turn that it makes empty.
    assert transcript(at_zero(*events[:-1], end(""), events[-1])) == []


def replies_of(*events: Event) -> list[Any]:
    turns = transcript(at_zero(TurnStart(turn_id="t1"), end("hi"), model(), *events))
    assert len(turns) == 1
    agent = turns[0]["agent"]
    assert isinstance(agent, list)
    return agent


def test_the_heard_part_grows_with_the_marks_and_ends_as_the_core_measured_it() -> None:
    events: list[Event] = [*say("One two three."), *say("Four five.", 1, start=14_400), STARTED]
    (live,) = replies_of(*events, mark(4_800), mark(12_000))
    assert (live["heard"], live["unheard"], live["outcome"]) == ("One two", "three. Four five.", "")
    (across,) = replies_of(*events, mark(19_200))
    assert (across["heard"], across["unheard"]) == ("One two three. Four", "five.")
    stop = PlaybackStop(
        turn_id="t1", reply_id="r1", heard_ms=1, heard_text="One", unheard_text="two three.", method="device_cut"
    )
    (cut,) = replies_of(*events, mark(12_000), stop, done("interrupted"))
    assert (cut["heard"], cut["unheard"], cut["outcome"]) == ("One", "two three.", "interrupted")
    assert cut["text"] == "One two three. Four five."


def test_a_completed_reply_was_heard_whole() -> None:
    (reply,) = replies_of(*say("One two."), done("completed"))
    assert (reply["heard"], reply["unheard"]) == ("One two.", "")


def test_spans_cut_the_text_into_its_phases() -> None:
    (reply,) = replies_of(*say("Let me see.", phase="preface"), *say("It is noon.", 1, start=14_400))
    assert [(s["phase"], reply["text"][s["start"] : s["end"]]) for s in reply["spans"]] == [
        ("preface", "Let me see."),
        ("claim", "It is noon."),
    ]


def test_what_is_said_unasked_is_a_turn_of_its_own() -> None:
    release = PlaybackRelease(reply_id="r1")
    turns = transcript(at_zero(release, *say("Ding.", turn_id=""), STARTED, mark(4_800), done("completed", "")))
    assert [(t["turn_id"], t["user"], t["final"], len(t["agent"])) for t in turns] == [("", "", True, 1)]  # type: ignore[arg-type]


# ── playback ─────────────────────────────────────────────────────────────────────────────


def test_playback_follows_start_pause_resume_and_stop() -> None:
    events: list[Event] = [model(), *say("One two three.")]
    stop = PlaybackStop(reply_id="r1", heard_ms=0, heard_text="", unheard_text="", method="sent")
    states = []
    for event in (
        STARTED,
        mark(6_000),
        PlaybackPause(reply_id="r1"),
        PlaybackResume(reply_id="r1", sample=4_800),
        stop,
    ):
        events.append(event)
        state = playing(at_zero(*events))
        states.append((state["reply_id"], state["state"], state["sample"], state["heard"]))
    assert states == [
        ("r1", "playing", 0, ""),
        ("r1", "playing", 6_000, "One"),
        ("r1", "paused", 6_000, "One"),
        ("r1", "playing", 4_800, "One"),
        ("", "idle", 0, ""),
    ]


@pytest.mark.parametrize("last", [done("failed"), SessionResumed()])
def test_playback_is_idle_once_the_reply_or_the_process_has_ended(last: Event) -> None:
    assert playing(at_zero(model(), *say("One."), STARTED, last, mark(4_800)))["state"] == "idle"


# ── latency ──────────────────────────────────────────────────────────────────────────────


def spoken(*steps: tuple[int, Event]) -> dict[str, Any]:
    begin: list[tuple[int, Event]] = [
        (0, DeviceJoined(device_id="d1", transport="webrtc", output_latency_ms=40)),
        (1_000, SpeechStarted(utterance=1, onset_us=950_000)),
        (1_000, TurnStart(turn_id="t1")),
        (2_100, SpeechStopped(utterance=1, end_us=2_000_500)),
        (2_200, end("hi")),
        (2_200, model()),
    ]
    (turn,) = latency(timeline(*begin, *steps))
    return turn


def test_voice_to_voice_runs_from_the_last_speech_frame_to_the_ear() -> None:
    turn = spoken((2_300, STARTED))
    assert (turn["user_end_ms"], turn["turn_end_ms"], turn["first_audio_ms"]) == (2_000.5, 2_200.0, 2_300.0)
    assert turn["voice_to_voice_ms"] == 339.5
    assert spoken((2_250, DeviceLeft(device_id="d1", reason="gone")), (2_300, STARTED))["voice_to_voice_ms"] == 299.5


def test_what_did_not_happen_is_none() -> None:
    turn = spoken()
    missing = ("model_first_token_ms", "tool_call_ms", "tool_result_ms", "first_audio_ms", "first_claim_ms")
    assert [turn[name] for name in (*missing, "voice_to_voice_ms")] == [None] * 6
    assert (turn["cancel_request_to_ack_ms"], turn["interrupted"]) == ({}, False)


def test_the_first_of_each_kind_counts() -> None:
    call = ToolCall(reply_id="r1", step=1, call_id="c", name="n", arguments={}, effect="read")
    result = ToolResult(reply_id="r1", call_id="c", ok=True)
    token = ModelToken(reply_id="r1", step=1, text="x")
    turn = spoken((2_210, token), (2_220, token), (2_230, call), (2_240, call), (2_250, result), (2_260, result))
    assert [turn[n] for n in ("model_first_token_ms", "tool_call_ms", "tool_result_ms")] == [2_210.0, 2_230.0, 2_250.0]


def test_a_claim_behind_a_preface_begins_where_its_first_sample_was_sent() -> None:
    chunks = [*say("Hold on.", phase="preface"), *say("It is noon.", 1, start=9_600)]
    steps = [(2_250, chunk) for chunk in chunks]
    turn = spoken(*steps, (2_300, STARTED), (2_400, mark(4_800)), (2_500, mark(9_600)), (2_600, mark(14_400)))
    assert turn["first_claim_ms"] == 2_500.0
    early = spoken(*steps, (2_300, STARTED), (2_500, mark(9_600)))
    assert early["first_claim_ms"] is None
    # A mark within the claim tells when it began; a pause before it does not count as speech.
    paused = spoken(
        *steps,
        (2_300, STARTED),
        (2_500, mark(9_600)),
        (3_000, PlaybackResume(reply_id="r1", sample=9_600)),
        (3_025, mark(10_800)),
    )
    assert paused["first_claim_ms"] == 3_000.0


def test_a_claim_from_the_first_sample_begins_with_the_audio() -> None:
    assert spoken(*((2_250, chunk) for chunk in say("It is noon.")), (2_300, STARTED))["first_claim_ms"] == 2_300.0


def test_cancels_are_timed_by_target_even_behind_the_end_of_the_reply() -> None:
    def cancel(target: str) -> CancelRequested:
        return CancelRequested(turn_id="t1", reply_id="r1", target=target)

    ack = CancelAck(reply_id="r1", target="tts")
    turn = spoken(
        (3_000, cancel("tts")), (3_000, cancel("model")), (3_000, done("interrupted")), (3_012, ack), (3_090, ack)
    )
    assert turn["cancel_request_to_ack_ms"] == {"tts": 12.0, "model": None}
    assert turn["interrupted"] is True


def test_a_discarded_replys_times_do_not_count() -> None:
    events = [(1_500, model("r0", speculative=True)), (1_600, ModelToken(reply_id="r0", step=1, text="x"))]
    discard = ReplyDone(turn_id="t1", reply_id="r0", outcome="discarded")
    late = ModelToken(reply_id="r0", step=1, text="y")
    (turn,) = latency(timeline((1_000, TurnStart(turn_id="t1")), *events, (1_700, discard), (1_710, late)))
    assert turn["model_first_token_ms"] is None
    assert turn["reply_ids"] == []


def test_typing_ends_the_users_part_at_once() -> None:
    (turn,) = latency(timeline((500, TextInput(text="hi")), (500, TurnStart(turn_id="t1")), (500, end("hi"))))
    assert (turn["user_end_ms"], turn["turn_end_ms"]) == (500.0, 500.0)


def test_done_pressed_while_speaking_ends_the_users_part() -> None:
    begin: list[tuple[int, Event]] = [(0, SpeechStarted(utterance=1, onset_us=0)), (0, TurnStart(turn_id="t1"))]
    (turn,) = latency(timeline(*begin, (700, ControlDone()), (800, end("hi"))))
    assert turn["user_end_ms"] == 700.0


def test_a_sound_that_was_no_turn_is_not_the_end_of_the_next_one() -> None:
    noise: list[tuple[int, Event]] = [
        (100, SpeechStarted(utterance=1, onset_us=0)),
        (300, SpeechStopped(utterance=1, end_us=200_000)),
        (900, SpeechStarted(utterance=2, onset_us=850_000)),
    ]
    (turn,) = latency(timeline(*noise, (900, TurnStart(turn_id="t1")), (1_500, end("long"))))
    assert turn["user_end_ms"] is None


# ── report ───────────────────────────────────────────────────────────────────────────────


def test_the_report_has_one_row_per_turn_with_words_and_latencies() -> None:
    rows: Any = report(golden("answer"))["turns"]
    assert [(row["user"], row["agent"], row["interrupted"]) for row in rows] == [
        ("what time is it in tokyo", "Let me check that. It is nine in the evening.", False),
        ("", "Your timer is done.", False),
    ]
    assert rows[0]["voice_to_voice_ms"] == 950.0
    assert rows[0]["first_claim_ms"] == 3_920.0
    assert rows[1]["first_audio_ms"] == 9_010.0
    rows = report(golden("barge_in"))["turns"]
    assert [(row["user"], row["heard"], row["interrupted"]) for row in rows] == [
        ("tell me a story", "Once there was a fox.", True),
        ("stop what day is it", "Friday.", False),
    ]
    assert rows[0]["cancel_request_to_ack_ms"] == {"playback": 4.0, "tts": 12.0}


# ── context ──────────────────────────────────────────────────────────────────────────────


def told(*events: Event, ids: Sequence[str] | None = None) -> list[Message]:
    entries = {entry.event.event_id: entry for entry in at_zero(*events)}
    return messages(entries.get, list(entries) if ids is None else ids)


CALL = ToolCall(event_id="e2", reply_id="r1", step=1, call_id="c1", name="add_todo", arguments={"x": 1}, effect="write")


def test_the_prompt_has_what_was_said_and_what_was_heard() -> None:
    cut = PlaybackStop(
        event_id="e4", turn_id="t1", reply_id="r1", heard_ms=9, heard_text="It is", unheard_text="noon.", method="sent"
    )
    result = ToolResult(event_id="e3", reply_id="r1", call_id="c1", ok=True, content=[1], message="")
    user = TurnEnd(event_id="e1", turn_id="t1", text="hi", understood=False, evidence={})
    assert told(user, CALL, result, cut) == [
        Message("user", "hi", "e1", understood=False),
        Message("call", "", "e2", call_id="c1", name="add_todo", arguments={"x": 1}),
        Message("result", "", "e3", call_id="c1", name="add_todo", content=[1]),
        Message("agent", "It is", "e4", cut="noon."),
    ]


def test_what_was_asked_and_not_done_is_not_told_as_done_or_as_waiting_for_ever() -> None:
    """The question stays in every later prompt: it must still be true once it was refused, or had gone stale."""
    asked = ActionProposed(event_id="e3", reply_id="r1", action_id="r1:c1", call_id="c1", name="add_todo", arguments={})
    assert told(CALL, asked)[1].content == {
        "status": "the user is asked to confirm it; it is done only if a later result says so",
        "proposal": "",
    }


def test_a_failed_result_keeps_its_class_and_message() -> None:
    failed = ToolResult(event_id="e3", reply_id="r1", call_id="c1", ok=False, error_class="timeout", message="too slow")
    (message,) = told(failed)
    assert (message.role, message.text, message.error_class) == ("result", "too slow", "timeout")


def test_an_action_that_goes_on_behind_an_interruption_is_a_note() -> None:
    recorded = InterruptionRecorded(
        event_id="e5", by="vad", heard_text="", in_flight=(), going_on=("add_todo", "send_email")
    )
    text = "add todo and send email had been started when you interrupted; how it ends is not known yet"
    assert told(recorded) == [Message("note", text, "e5")]
    assert told(replace(recorded, going_on=())) == []


def test_a_late_commit_is_a_note_and_one_in_time_is_not() -> None:
    late = ActionCommitted(event_id="e5", action_id="r1:c1", late=True)
    assert told(CALL, late)[-1] == Message("note", "add todo was done although you interrupted", "e5")
    assert told(late)[-1].text == "the action r1:c1 was done although you interrupted"
    assert [m.role for m in told(CALL, ActionCommitted(event_id="e5", action_id="r1:c1", late=False))] == ["call"]


def test_the_order_is_that_of_the_ids_and_unknown_or_empty_ones_are_left_out() -> None:
    first = TurnEnd(event_id="e1", turn_id="t1", text="one", understood=True, evidence={})
    second = TurnEnd(event_id="e2", turn_id="t2", text="two", understood=True, evidence={})
    empty = TurnEnd(event_id="e3", turn_id="t3", text="", understood=True, evidence={})
    assert [m.text for m in told(first, second, empty, ids=["e2", "gone", "e3", "e1"])] == ["two", "one"]
