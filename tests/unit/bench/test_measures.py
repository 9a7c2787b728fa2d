"""Figures from made-up recordings and timelines."""

import numpy as np
import pytest

from agent.bench.clock_map import ClockMap
from agent.bench.heard import FRAME_SAMPLES, Heard
from agent.bench.measures import (
    ask_times,
    burst_result,
    cancel_ms,
    cut_ms,
    pauses,
    percentile,
    quiet,
    resume_gap_ms,
    voice_to_voice_ms,
)
from agent.bench.scenario import Ask, Barge, Burst
from agent.conversation.decisions import CancelRequested, PlaybackPause, PlaybackResume, PlaybackStop
from agent.conversation.events import CancelAck
from agent.timeline.entry import Entry

OFFSET_US = 500_000


def clocks():
    found = ClockMap()
    found.sent(OFFSET_US, 0)
    found.received(OFFSET_US, 0)
    return found


def recording(*audible_ms, seconds=10, buffered_ms=80):
    """A call whose frames are audible in these spans of its time."""
    frames = np.arange(seconds * 50)
    arrived = frames * 20_000
    rms = np.zeros(frames.size)
    for first, last in audible_ms:
        rms[(frames * 20 >= first) & (frames * 20 < last)] = 1_000
    pcm = np.repeat(rms.astype(np.int16), FRAME_SAMPLES).reshape(-1, FRAME_SAMPLES)
    return Heard(frames, arrived, arrived + buffered_ms * 1_000, rms, pcm)


def test_a_request_is_timed_from_its_last_sample():
    ask = Ask("what day is it", 1_000_000, 2_000_000, 5_000_000, 0.1)
    turns = [
        {"turn_id": "t1", "turn_end_ms": 300.0, "user_end_ms": 100.0, "first_audio_ms": 330.0},
        {"turn_id": "t2", "turn_end_ms": 1_650.0, "user_end_ms": 1_480.0, "first_audio_ms": 1_665.0},
    ]
    times = ask_times(ask, recording((2_180, 3_000)), clocks(), turns)
    assert times.turn_end_ms == 150
    assert times.arrived_ms == 180
    assert times.heard_ms == 260
    assert voice_to_voice_ms(ask, recording((2_180, 3_000))) == 180
    assert voice_to_voice_ms(ask, recording((5_100, 6_000))) is None
    assert (times.own_turn_end_ms, times.own_first_audio_ms, times.own_voice_to_voice_ms) == (170, 15, 185)
    assert times.quiet


def test_a_request_without_answer_has_no_times():
    ask = Ask("what day is it", 1_000_000, 2_000_000, 5_000_000, 0.9)
    times = ask_times(ask, recording(), clocks(), [])
    assert (times.turn_end_ms, times.heard_ms, times.own_first_audio_ms) == (None, None, None)
    assert not times.quiet
    assert quiet(None)


def test_a_cut_ends_before_the_answer_to_it():
    barge = Barge(3_000_000, 4_000_000, 6_000_000, 4_200_000 - OFFSET_US, None)
    heard = recording((1_000, 3_140), (4_200, 5_000))
    assert cut_ms(barge, heard, clocks()) == (200, 120)
    assert cut_ms(Barge(3_000_000, 4_000_000, 6_000_000, None, None), heard, clocks()) is None


def test_a_reply_that_ends_at_a_noise_was_killed():
    burst = Burst("noise", 3_000_000, 3_150_000, 6_000_000)
    assert burst_result(burst, recording((1_000, 3_100)), None).outcome == "killed"
    assert burst_result(burst, recording((1_000, 2_000)), None).outcome == "killed"
    assert burst_result(burst, recording((1_000, 6_000)), None).outcome == "went on"


def entry(seq, now_us, event):
    return Entry("s", seq, "", now_us // 1_000, now_us, "fact", "", "", event)


def test_a_cancellation_lasts_until_its_last_ack():
    entries = [
        entry(1, 1_000, CancelRequested(reply_id="r1", target="tts")),
        entry(2, 1_000, CancelRequested(reply_id="r1", target="model")),
        entry(3, 3_000, CancelAck(reply_id="r1", target="tts")),
        entry(4, 9_000, CancelAck(reply_id="r1", target="model")),
        entry(5, 20_000, CancelRequested(reply_id="r2", target="tts")),
    ]
    assert cancel_ms(entries) == [8.0, float("inf")]


def test_a_pause_is_over_when_the_reply_goes_on():
    entries = [
        entry(1, 1_000, PlaybackPause(reply_id="r1")),
        entry(2, 2_000, PlaybackPause(reply_id="r1")),
        entry(3, 301_000, PlaybackResume(reply_id="r1", sample=4_800)),
        entry(4, 400_000, PlaybackPause(reply_id="r2")),
        entry(5, 500_000, PlaybackStop(reply_id="r2", heard_ms=0, heard_text="", unheard_text="", method="sent")),
        entry(6, 600_000, PlaybackResume(reply_id="r2", sample=0)),
    ]
    assert pauses(entries) == [(1_000, 301_000)]


def test_the_gap_that_a_pause_leaves():
    heard = recording((1_000, 3_020), (3_440, 5_000))
    pause = (3_000_000 - OFFSET_US, 3_400_000 - OFFSET_US)
    assert resume_gap_ms(pause, heard, clocks()) == 420
    assert resume_gap_ms(pause, recording((1_000, 2_500), (3_440, 5_000)), clocks()) == 440
    assert resume_gap_ms(pause, recording((1_000, 3_020), (6_000, 7_000)), clocks()) is None


def test_percentiles():
    assert percentile([3, 1, 2], 50) == 2
    assert percentile([0, 100], 95) == 95
    never = float("inf")
    assert [percentile([1, never, never], percent) for percent in (0, 50, 75)] == [1, never, never]
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)
