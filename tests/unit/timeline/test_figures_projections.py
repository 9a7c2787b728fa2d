from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.conversation.decisions import (
    ActionCommitted,
    ActionConfirmed,
    ActionProposed,
    ActionStarted,
    CancelRequested,
    InterruptionConfirmed,
    ModelStart,
    PlaybackResume,
    PlaybackStop,
    ReplyDone,
    TtsSay,
)
from agent.conversation.events import CancelAck, CancelFreed, ControlStop, DeviceCut, Event, Played, TtsChunk, TtsFailed
from agent.timeline.codec import loads, role_of
from agent.timeline.entry import Entry
from agent.timeline.projections.bounded import remember
from agent.timeline.projections.cancels import KEPT, Cancels, percentile
from agent.timeline.projections.figures import Figures, figures
from agent.timeline.projections.spoken import Spoken

FIXTURES = Path(__file__).parents[2] / "fixtures"
EXPECTED: dict[str, list[dict[str, Any]]] = json.loads((FIXTURES / "figures.expected.json").read_text())
IDS: dict[str, Any] = {"turn_id": "t1", "reply_id": "r1"}


def of(*events: Event) -> dict[str, Any]:
    entries = [Entry("s", n, "", n, n * 1_000, role_of(event), "", "", event) for n, event in enumerate(events, 1)]
    return figures(entries)


@pytest.mark.parametrize("name", EXPECTED)
def test_golden_timelines_have_the_expected_figures(name: str) -> None:
    points = {point["seq"]: point["figures"] for point in EXPECTED[name]}
    fold = Figures()
    for line in (FIXTURES / f"timeline_{name}.jsonl").read_text().splitlines():
        entry = loads(line)
        fold.apply(entry)
        if point := points.pop(entry.seq, None):
            assert fold.figures() == point, entry.seq
    assert not points


def test_rates_are_null_while_there_is_nothing_to_divide_by() -> None:
    empty = of()
    assert empty["turns"] == {"ended": 0, "interrupted": 0, "share": None}
    assert empty["interruptions"]["false_rate"] is None
    assert empty["cancels"] == {}


def test_two_replies_to_a_turn_are_one_turn_and_its_interruption_counts_once() -> None:
    cut = [ReplyDone(turn_id="t1", reply_id=reply, outcome="interrupted") for reply in ("r1", "r2")]
    completed = ReplyDone(turn_id="t1", reply_id="r3", outcome="completed")
    assert of(*cut, completed)["turns"] == {"ended": 1, "interrupted": 1, "share": 1.0}


@pytest.mark.parametrize("evidence", ["closed", "device_left", "restart"])
def test_a_reply_that_nobody_cut_is_no_interrupted_turn(evidence: str) -> None:
    gone = of(InterruptionConfirmed(evidence=evidence, **IDS), ReplyDone(outcome="interrupted", **IDS))
    assert gone["turns"] == {"ended": 1, "interrupted": 0, "share": 0.0}


# ── cancellations ────────────────────────────────────────────────────────────────────────


def test_stop_pressed_twice_is_no_ghost_speech_and_a_device_that_played_on_is() -> None:
    def press(sample: int) -> ControlStop:
        return ControlStop(reply_id="r1", played=Played(reply_id="r1", sample=sample))

    stop = PlaybackStop(heard_ms=1_800, heard_text="Once", unheard_text="upon", method="device", **IDS)
    pressed = press(2_000 * 48)  # 200 ms beyond the last mark
    assert of(pressed, stop, pressed, pressed)["ghost_speech"] == {"cuts": 1, "ms": 0.0, "max_ms": 0.0}
    assert of(pressed, stop, press(2_500 * 48))["ghost_speech"] == {"cuts": 1, "ms": 460.0, "max_ms": 460.0}
    assert of(stop, pressed)["ghost_speech"]["ms"] == 160.0


def test_a_cut_that_is_taken_back_behind_the_stop_is_no_ghost_speech() -> None:
    cut = DeviceCut(reply_id="r1", played=Played(reply_id="r1", sample=1_000 * 48))
    stop = PlaybackStop(heard_ms=500, heard_text="Once", unheard_text="upon", method="sent", **IDS)
    resume = PlaybackResume(sample=500 * 48, **IDS)
    assert of(cut, resume, stop, replace(cut, undo=True))["ghost_speech"]["ms"] == 0.0


def test_each_answer_belongs_to_the_oldest_request_that_waits_for_it() -> None:
    request = CancelRequested(target="tts", **IDS)
    ack, freed = CancelAck(reply_id="r1", target="tts"), CancelFreed(reply_id="r1", target="tts")
    fold = Cancels()
    for ms, event in [(0, request), (10, request), (14, ack), (30, freed), (50, ack), (60, ack)]:
        fold.apply(event, ms * 1_000)
    assert fold.to_json() == {
        "tts": {
            "requested": 2,
            "acked": 2,
            "freed": 1,
            "ack_ms": {"p50": 14.0, "p99": 40.0, "max": 40.0},
            "freed_ms": {"p50": 30.0, "p99": 30.0, "max": 30.0},
        }
    }


def test_an_ack_without_a_request_counts_nowhere_and_one_that_is_missing_shows() -> None:
    stray = CancelAck(reply_id="r9", target="model")
    target = of(CancelRequested(target="tts", **IDS), stray)["cancels"]
    assert target == {"tts": {"requested": 1, "acked": 0, "freed": 0, "ack_ms": None, "freed_ms": None}}


def test_the_longest_time_is_kept_when_the_percentiles_have_moved_on() -> None:
    fold = Cancels()
    for n in range(KEPT + 1):
        fold.apply(CancelRequested(target=f"tool:c{n}", **IDS), 0)
        fold.apply(CancelAck(reply_id="r1", target=f"tool:c{n}"), 900_000 if n == 0 else 5_000)
    tool: Any = fold.to_json()["tool"]
    assert tool["acked"] == KEPT + 1
    assert tool["ack_ms"] == {"p50": 5.0, "p99": 5.0, "max": 900.0}


@pytest.mark.parametrize(("percent", "value"), [(1, 1.0), (50, 2.0), (51, 3.0), (75, 3.0), (99, 4.0), (100, 4.0)])
def test_percentiles_are_nearest_rank(percent: int, value: float) -> None:
    assert percentile([1.0, 2.0, 3.0, 4.0], percent) == value


# ── side effects ─────────────────────────────────────────────────────────────────────────

NAMED: dict[str, Any] = {"action_id": "r1:c1", "name": "send", "arguments": {}}
PROPOSED = ActionProposed(**NAMED, **IDS)
CONFIRMED = ActionConfirmed(action_id="r1:c1", by="policy", **IDS)
STARTED = ActionStarted(idempotency_key="k", **NAMED, **IDS)
CUT = ReplyDone(outcome="interrupted", **IDS)


def committed(*, late: bool) -> ActionCommitted:
    return ActionCommitted(event_id="commit", action_id="r1:c1", late=late, **IDS)


@pytest.mark.parametrize("cut", [CUT, ReplyDone(outcome="discarded", **IDS), CancelRequested(target="tool:c1", **IDS)])
def test_a_start_behind_the_cut_is_a_ghost_action(cut: Event) -> None:
    assert of(PROPOSED, CONFIRMED, cut, STARTED)["ghost_actions"] == 1
    assert of(PROPOSED, CONFIRMED, STARTED, cut)["ghost_actions"] == 0
    assert of(cut, PROPOSED, CONFIRMED, STARTED)["ghost_actions"] == 1, "even if it was proposed behind the cut"


def test_a_reply_that_ended_by_itself_cuts_nothing() -> None:
    done = ReplyDone(outcome="completed", **IDS)
    assert of(PROPOSED, done, CONFIRMED, STARTED, committed(late=False))["ghost_actions"] == 0


def test_a_commit_behind_the_cut_is_late_whether_it_says_so_or_not() -> None:
    for late in (True, False):
        assert of(PROPOSED, STARTED, CUT, committed(late=late))["late_commits"] == {"count": 1, "told": 0}
    assert of(PROPOSED, STARTED, committed(late=False), CUT)["late_commits"] == {"count": 0, "told": 0}


def answer(heard: str, *, context: tuple[str, ...] = (), rests_on: tuple[str, ...] = ()) -> list[Event]:
    ids: dict[str, Any] = {"turn_id": "t2", "reply_id": "r2"}
    return [
        ModelStart(step=1, text="", understood=True, context=context, results=(), speculative=False, **ids),
        TtsSay(chunk=0, text="It was sent.", phase="claim", rests_on=rests_on, **ids),
        PlaybackStop(heard_ms=0, heard_text=heard, unheard_text="", method="sent", **ids),
        ReplyDone(outcome="completed", **ids),
    ]


def test_a_late_commit_is_told_by_the_reply_that_knew_of_it_and_was_heard() -> None:
    late = (PROPOSED, STARTED, CUT, committed(late=True))
    assert of(*late, *answer("It was sent.", context=("commit",)))["late_commits"]["told"] == 1
    assert of(*late, *answer("It was sent.", rests_on=("commit",)))["late_commits"]["told"] == 1
    assert of(*late, *answer("", context=("commit",)))["late_commits"]["told"] == 0, "nobody heard it"
    assert of(*late, *answer("It is noon."))["late_commits"]["told"] == 0, "it was of something else"
    twice = answer("It was sent.", context=("commit",))
    assert of(*late, *twice, *twice)["late_commits"]["told"] == 1


# ── words ────────────────────────────────────────────────────────────────────────────────


def say(text: str, chunk: int = 0) -> TtsSay:
    return TtsSay(chunk=chunk, text=text, phase="claim", rests_on=(), **IDS)


def audio(text: str, chunk: int = 0, *, start: int = 0, ms: int = 1_000) -> TtsChunk:
    shared: dict[str, Any] = {"reply_id": "r1", "phase": "claim", "rests_on": (), "words": ()}
    return TtsChunk(chunk=chunk, text=text, start_sample=start, samples=ms * 48, **shared)


def stop(heard: str, ms: int, method: Any = "sent") -> PlaybackStop:
    return PlaybackStop(heard_ms=ms, heard_text=heard, unheard_text="", method=method, **IDS)


def kinds(*events: Event) -> list[str]:
    spoken = Spoken()
    for event in events:
        spoken.apply(event)
    return [mismatch.kind for mismatch in spoken.mismatches()]


def test_what_was_heard_begins_like_what_was_said() -> None:
    assert kinds(say("It is noon."), audio("It is noon."), stop("It is", 500)) == []
    assert kinds(say("It is noon."), audio("It is noon."), stop("is noon.", 500)) == ["heard_not_said"]
    spaced = (say("At ten."), audio("At ten."), say("Sharp.", 1), audio("Sharp.", 1, start=48_000))
    assert kinds(*spaced, stop("At ten.\nSharp.", 2_000, "complete")) == []


def test_nothing_is_heard_that_was_not_synthesised() -> None:
    half = (say("It is"), audio("It is"), say("noon.", 1))
    assert kinds(*half, stop("It is", 1_000)) == []
    assert kinds(*half, stop("It is", 1_001)) == ["heard_not_synthesised"]
    assert kinds(*half, stop("It is noon.", 1_000, "complete")) == ["heard_not_synthesised"]
    assert kinds(*half, stop("It is noon.", 0, "shown")) == [], "it was read"


def test_a_chunk_that_was_lost_is_no_mismatch_and_one_that_broke_off_neither() -> None:
    lost = TtsFailed(reply_id="r1", chunk=0, message="x")
    assert kinds(say("Gone."), lost, say("noon.", 1), audio("noon.", 1), stop("noon.", 1_000, "complete")) == []
    assert kinds(say("It is noon."), audio("It is"), lost, stop("It is", 1_000, "complete")) == []


def test_a_chunk_that_says_something_else_than_it_shows_is_a_mismatch() -> None:
    assert kinds(say("It costs $5."), audio("It costs $6.")) == ["shown_not_spoken"]
    assert kinds(audio("Nobody asked.")) == ["shown_not_spoken"]


def test_what_is_remembered_is_bounded_and_the_first_goes_first() -> None:
    kept: dict[str, int] = {}
    for n, key in enumerate(["a", "b", "a", "c"]):
        remember(kept, key, n, 2)
    assert kept == {"b": 1, "c": 3}
