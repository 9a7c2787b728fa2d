"""Which device's microphone and loudspeaker are live."""

from __future__ import annotations

from typing import Any

import pytest

from agent.conversation import decisions as d
from agent.conversation import events as e
from tests.unit.conversation.script import WORD_SAMPLES, Script

BOTH = {"microphone": True, "speaker": True}
LOUDSPEAKER = {"microphone": False, "speaker": True}
MICROPHONE = {"microphone": True, "speaker": False}
NONE = {"microphone": False, "speaker": False}


def joins(device_id: str, sound: dict[str, bool] = BOTH, **more: Any) -> e.DeviceJoined:
    return e.DeviceJoined(source=f"device:{device_id}", device_id=device_id, transport="test", **sound, **more)


def leaves(device_id: str) -> e.DeviceLeft:
    return e.DeviceLeft(source=f"device:{device_id}", device_id=device_id, reason="test")


def asks(device_id: str, seen_seq: int = 0) -> e.ControlFocus:
    return e.ControlFocus(source=f"device:{device_id}", seen_seq=seen_seq)


def holds(device_id: str, on: bool = True) -> e.ControlTalk:
    return e.ControlTalk(source=f"device:{device_id}", on=on)


def talks_to(device_id: str) -> e.DeviceSpeech:
    return e.DeviceSpeech(source="hearing", device_id=device_id)


def focuses(*facts: e.Event, every_ms: float = 5_000) -> list[str]:
    """What `device.focused` says behind these facts."""
    script = Script(device=False)
    for fact in facts:
        script.wait(every_ms)
        script.post(fact)
    return [f"{focused.device_id} {focused.why}".strip() for focused in script.all(d.DeviceFocused)]


@pytest.mark.parametrize(
    ("what", "facts", "moves"),
    [
        ("alone", [joins("a")], ["a joined"]),
        ("alone, and again", [joins("a"), joins("a")], ["a joined"]),
        ("the last to join", [joins("a"), joins("b")], ["a joined", "b joined"]),
        ("not with less sound", [joins("a"), joins("b", LOUDSPEAKER), joins("c", MICROPHONE)], ["a joined"]),
        (
            "with more",
            [joins("a", LOUDSPEAKER), joins("b", MICROPHONE), joins("c")],
            ["a joined", "b joined", "c joined"],
        ),
        ("a watcher never", [joins("a", NONE), joins("b", NONE), asks("a"), leaves("b")], []),
        ("a watcher that gets sound is new", [joins("a"), joins("b", NONE), joins("b")], ["a joined", "b joined"]),
        ("the one before", [joins("a"), joins("b"), leaves("b")], ["a joined", "b joined", "a left"]),
        (
            "the one with the most sound",
            [joins("a"), joins("b", LOUDSPEAKER), joins("c", NONE), joins("x"), leaves("x")],
            ["a joined", "x joined", "a left"],
        ),
        ("nobody", [joins("a"), joins("b", NONE), leaves("a")], ["a joined", "left"]),
        ("others leave", [joins("a"), joins("b"), leaves("a"), leaves("c")], ["a joined", "b joined"]),
        ("sound is lost", [joins("a"), joins("b"), joins("b", NONE)], ["a joined", "b joined", "a left"]),
        (
            "sound comes back",
            [joins("a"), joins("b"), joins("b", NONE), joins("b", LOUDSPEAKER)],
            ["a joined", "b joined", "a left", "b joined"],
        ),
        ("less sound is sound", [joins("a"), joins("b"), joins("b", LOUDSPEAKER)], ["a joined", "b joined"]),
        (
            "a reload of the live one",
            [joins("a"), joins("b"), leaves("b"), joins("b")],
            ["a joined", "b joined", "a left", "b joined"],
        ),
        ("a reload of another", [joins("a"), joins("b"), leaves("a"), joins("a")], ["a joined", "b joined"]),
        (
            "a reload behind a takeover",
            [joins("a"), joins("b"), joins("c"), leaves("c"), asks("a"), joins("c")],
            ["a joined", "b joined", "c joined", "b left", "a takeover"],
        ),
        (
            "all were gone, and another is back first",
            [joins("a"), joins("b"), leaves("a"), leaves("b"), joins("a"), joins("b")],
            ["a joined", "b joined", "left", "a joined", "b joined"],
        ),
        (
            "a new life of the server",
            [joins("a"), joins("b"), e.SessionResumed(), joins("b"), joins("a")],
            ["a joined", "b joined", "b joined"],
        ),
        ("takeover", [joins("a"), joins("b"), asks("a"), asks("a")], ["a joined", "b joined", "a takeover"]),
        ("its talk button", [joins("a"), joins("b"), holds("a")], ["a joined", "b joined", "a takeover"]),
        ("a button without a microphone", [joins("a"), joins("b", LOUDSPEAKER), holds("b")], ["a joined"]),
        ("who is talked to", [joins("a"), joins("b"), talks_to("a")], ["a joined", "b joined", "a speech"]),
        ("talk to no microphone", [joins("a"), joins("b", LOUDSPEAKER), talks_to("b"), talks_to("x")], ["a joined"]),
    ],
)  # fmt: skip
def test_the_focus_goes_to(what: str, facts: list[e.Event], moves: list[str]):
    assert focuses(*facts) == moves, what


def test_two_microphones_in_one_room_do_not_fight_for_it():
    script = Script()
    script.post(joins("b"))
    assert script.core.live_device_id == "b"
    script.wait(1_500).post(talks_to("d1"))
    assert script.core.live_device_id == "b", "it has just got it"
    script.wait(1_000).starts().wait(300)
    script.post(talks_to("d1"))
    script.wait(500).partial("what time is it").stops(600)
    script.post(talks_to("d1"))
    assert script.core.live_device_id == "b", "somebody talks to it"
    script.wait(20).final("what time is it").wait(200)
    script.thinks("It is noon.").synthesised().plays(1)
    script.post(talks_to("d1"))
    assert script.core.live_device_id == "b", "it answers: the other one hears its voice"
    script.plays_out().wait(3_000).post(talks_to("d1"))
    assert script.core.live_device_id == "d1"


# ── what is being said goes on ───────────────────────────────────────────────────────────


def told() -> Script:
    """Two devices; the one that joined last says a story, three and a half of its words were sent."""
    script = Script(latency_ms=30)
    script.post(joins("b", output_latency_ms=100))
    return script.speaking(heard=3.5)


def test_a_reply_goes_on_at_the_new_device_from_the_word_that_was_not_heard_whole():
    script = told()
    script.post(asks("d1"))
    assert [type(x) for x in script.step] == [d.DeviceFocused, d.PlaybackPause]
    script.mark(3.75).wait(0)  # what had been sent by then is known now
    assert script.one(d.PlaybackResume).sample == 2 * WORD_SAMPLES, "a word behind what was sent"
    script.mark(3.75).post(asks("b"))
    script.wait(0)
    assert script.last(d.PlaybackResume).sample == 3 * WORD_SAMPLES
    script.plays_out()
    assert script.one(d.PlaybackStop).heard_text == "One two three four five six."
    assert script.none(d.InterruptionConfirmed)


def test_it_goes_on_where_the_device_that_leaves_was_heard():
    script = told()
    script.post(leaves("b"))
    script.wait(0)
    assert script.one(d.PlaybackResume).sample == 2 * WORD_SAMPLES
    assert script.none(d.PlaybackStop)


def test_it_goes_on_from_what_the_device_that_was_lost_can_have_heard():
    script = told()
    script.post(e.DeviceLeft(device_id="b", reason="vanished", played=e.Played(script.reply_id, WORD_SAMPLES)))
    script.mark(3.75).wait(0)
    assert script.one(d.PlaybackResume).sample == WORD_SAMPLES
    assert script.none(d.PlaybackStop)


def test_what_was_suspected_at_the_device_before_is_not_judged_any_more():
    script = told().starts()
    script.post(asks("d1"))
    assert script.one(d.InterruptionDismissed).evidence == "moved"
    assert script.one(d.PlaybackResume).sample == 2 * WORD_SAMPLES
    script.wait(5_000)
    assert script.none(d.InterruptionConfirmed)


def test_where_a_device_cut_itself_is_where_the_next_one_begins():
    script = told()
    script.post(e.DeviceCut(source="device:b", played=e.Played(script.reply_id, 3 * WORD_SAMPLES)))
    script.post(asks("d1"))
    assert script.one(d.PlaybackResume).sample == 3 * WORD_SAMPLES


def test_a_cut_of_a_device_that_is_not_live_cuts_nothing():
    script = told()
    script.post(e.DeviceCut(source="device:d1"))
    assert script.none(d.InterruptionSuspected, d.PlaybackPause)


def test_before_the_first_sample_there_is_nothing_to_go_on_with():
    script = Script()
    script.post(joins("b"))
    script.types().thinks("One two.").synthesised()
    script.post(asks("d1"))
    assert script.none(d.PlaybackPause)
    script.plays_out()
    assert script.one(d.PlaybackStop).method == "complete"


def test_without_a_loudspeaker_left_the_reply_is_cut_and_the_others_stay():
    script = Script()
    script.post(joins("b", MICROPHONE))
    script.speaking(heard=2).post(leaves("d1"))
    assert script.one(d.InterruptionConfirmed).evidence == "device_left"
    assert script.core.live_device_id == "b"
    assert script.types("and now").turns == ["hello", "and now"]


# ── who holds a button ───────────────────────────────────────────────────────────────────


def test_a_takeover_ends_the_turn_of_who_held_the_button_of_the_device_before():
    script = Script()
    script.post(joins("b"))
    script.post(holds("b"))
    script.starts().wait(300).partial("what time").stops(200).wait(20).final("what time").wait(5_000)
    assert script.turns == []
    script.post(asks("d1"))
    assert script.turns == ["what time"]


def test_one_of_two_that_hold_their_buttons_is_first_and_the_other_is_told():
    script = Script()
    script.post(joins("b"))
    script.post(holds("d1"))
    [refused] = script.post(holds("b"))
    assert isinstance(refused, d.Complaint)
    assert refused.code == "talk.held"
    assert script.core.live_device_id == "d1"
    script.starts().wait(300).partial("what time is it").stops(200).wait(20).final("what time is it")
    script.post(holds("b", on=False))
    assert script.turns == [], "the first one still holds it"
    script.post(holds("d1", on=False))
    assert script.turns == ["what time is it"]


# ── who asks at once ─────────────────────────────────────────────────────────────────────


def test_one_of_two_that_take_over_at_once_is_first_and_the_other_is_told():
    script = Script()
    script.post(joins("b"))
    script.post(joins("c"))
    seen_seq = script.seq
    script.post(asks("d1", seen_seq))
    [refused] = script.post(asks("b", seen_seq))
    assert isinstance(refused, d.Complaint)
    assert refused.code == "focus.taken"
    assert script.core.live_device_id == "d1"
    script.post(asks("b", script.seq))
    assert script.core.live_device_id == "b", "who knows of it may take it back"


def test_a_watcher_that_asks_is_told_why_it_cannot():
    script = Script()
    script.post(joins("b", NONE))
    [refused] = script.post(asks("b"))
    assert isinstance(refused, d.Complaint)
    assert refused.code == "focus.silent"
