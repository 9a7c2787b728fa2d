"""Playout: one live reply, exact marks, soft edges, bounded memory."""

import numpy as np

from agent.conversation.events import Event, PlaybackMark, PlaybackStarted
from agent.settings import PlayoutSettings
from agent.speaking.playout import FRAME_SAMPLES, MAX_REPLIES, Playout


def loud(samples: int) -> np.ndarray:
    return np.full(samples, 8_000, np.int16)


def make(**settings: float) -> tuple[Playout, list[Event]]:
    facts: list[Event] = []
    return Playout(facts.append, PlayoutSettings(**settings)), facts


def with_reply(samples: int, word_ends: tuple[int, ...] = ()) -> tuple[Playout, list[Event]]:
    playout, facts = make()
    playout.open("r1")
    playout.append("r1", loud(samples), word_ends)
    playout.release("r1")
    return playout, facts


def test_start_and_marks_at_word_ends_and_at_the_end() -> None:
    playout, facts = with_reply(2_500, (300, 700, 2_000))
    for _ in range(3):
        assert playout.next_frame() is not None
    assert facts == [
        PlaybackStarted(reply_id="r1"),
        PlaybackMark(reply_id="r1", sample=700),
        PlaybackMark(reply_id="r1", sample=2_500),
    ]


def test_kept_audio_is_silent_until_released() -> None:
    playout, facts = make()
    playout.open("r2")
    playout.append("r2", loud(5_000))
    assert playout.next_frame() is None
    assert facts == []
    playout.release("r2")
    assert playout.next_frame() is not None


def test_a_growing_reply_hands_out_whole_frames_only_and_tells_its_end_later() -> None:
    playout, facts = with_reply(1_000)
    playout.set_growing({"r1"})
    assert playout.next_frame() is not None
    playout.next_frame()  # the fade
    assert playout.next_frame() is None
    assert not any(isinstance(fact, PlaybackMark) for fact in facts)
    playout.append("r1", loud(920))
    frame = playout.next_frame()
    assert frame is not None
    assert np.array_equal(frame[240:], loud(720))
    assert not any(isinstance(fact, PlaybackMark) for fact in facts)
    playout.set_growing(())
    assert facts[-1] == PlaybackMark(reply_id="r1", sample=1_920)
    playout.set_growing(())
    assert len(facts) == 2


def test_a_pause_posts_the_position_at_once_and_fades_without_the_replys_audio() -> None:
    playout, facts = with_reply(9_600)
    playout.next_frame()
    playout.pause("r1")
    assert facts[-1] == PlaybackMark(reply_id="r1", sample=960)
    tail = playout.next_frame()
    assert tail is not None
    assert np.all(np.diff(tail.astype(int)) <= 0)
    assert not tail[240:].any()
    assert playout.next_frame() is None
    playout.resume("r1", 960)
    frame = playout.next_frame()
    assert frame is not None
    assert np.array_equal(frame[240:], loud(FRAME_SAMPLES - 240))


def test_resuming_at_the_very_end_tells_the_end_again() -> None:
    playout, facts = with_reply(960)
    playout.next_frame()
    playout.pause("r1")
    playout.resume("r1", 960)
    assert facts[-1] == PlaybackMark(reply_id="r1", sample=960)
    assert len([f for f in facts if isinstance(f, PlaybackMark)]) == 3


def test_a_resume_behind_the_end_goes_to_the_end() -> None:
    playout, _ = with_reply(960)
    playout.pause("r1")
    playout.resume("r1", 99_999)
    assert playout.next_frame() is None


def test_dropping_ends_it_within_the_fade() -> None:
    playout, facts = with_reply(9_600)
    playout.next_frame()
    playout.drop("r1")
    tail = playout.next_frame()
    assert tail is not None
    assert not tail[240:].any()
    assert playout.next_frame() is None
    playout.append("r1", loud(960))
    playout.pause("r1")
    assert playout.next_frame() is None
    assert facts == [PlaybackStarted(reply_id="r1")]


def test_the_oldest_reply_makes_room_but_never_the_live_one() -> None:
    playout, _ = with_reply(9_600)
    dropped = [playout.open(f"r{number}") for number in range(2, MAX_REPLIES + 3)]
    assert dropped == ["", "", "r2", "r3"]
    assert playout.next_frame() is not None


def test_releasing_another_reply_ends_the_live_one() -> None:
    playout, facts = with_reply(9_600)
    playout.next_frame()
    playout.release("r2")
    playout.append("r2", loud(960))
    playout.next_frame()
    assert facts[-2:] == [PlaybackStarted(reply_id="r2"), PlaybackMark(reply_id="r2", sample=960)]


def test_volume() -> None:
    playout, _ = make(volume=0.5)
    playout.release("r1")
    playout.append("r1", loud(960))
    frame = playout.next_frame()
    assert frame is not None
    assert frame.dtype == np.int16
    assert np.all(frame == 4_000)
