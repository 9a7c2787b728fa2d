"""From what a device plays to the reply sample."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from agent.clock import Clock, run_virtual
from agent.conversation.events import DeviceCut, Played
from agent.settings import Limits
from agent.transport import wire
from agent.transport.media_edge import PlayoutTrack
from agent.transport.sent_frames import KEPT_FRAMES, SentFrames


def test_a_place_inside_a_frame_is_a_sample():
    sent = SentFrames()
    sent.sent(9_600, "r1", 0)
    sent.sent(10_560, "r1", 960)
    assert sent.at(9_600) == ("r1", 0)
    assert sent.at(10_660) == ("r1", 1_060)


def test_behind_the_last_speech_all_of_it_was_audible():
    sent = SentFrames()
    sent.sent(960, "r1", 0)
    assert sent.at(50_000) == ("r1", 960)
    assert sent.at(0) is None, "before it nothing was"


def test_after_a_resume_the_same_sample_lies_at_two_times():
    sent = SentFrames()
    for pts, sample in ((0, 0), (960, 960), (9_600, 480)):
        sent.sent(pts, "r1", sample)
    assert sent.at(1_000) == ("r1", 1_000)
    assert sent.at(9_700) == ("r1", 580)


def test_what_is_kept_is_bounded():
    sent = SentFrames()
    for n in range(KEPT_FRAMES + 10):
        sent.sent(n * 960, "r1", n * 960)
    assert sent.at(0) is None
    assert sent.at(20 * 960) == ("r1", 20 * 960)


def test_the_track_maps_rtp_timestamps_also_across_their_wrap():
    async def main():
        at = iter(range(0, 960 * 100, 960))
        track = PlayoutTrack(lambda: np.zeros(960, np.int16), Clock(), lambda: ("r1", next(at)))
        assert track.heard(0) is None, "nothing was sent yet"
        sender = SimpleNamespace(_RTCRtpSender__rtp_timestamp=(1 << 32) - 2 * 960)
        track.attach(sender)
        for n in range(5):
            packet = await track.recv()
            sender._RTCRtpSender__rtp_timestamp = (packet.pts - 2 * 960) % (1 << 32)
            timestamp = (n * 960 - 2 * 960) % (1 << 32)
            assert n == 0 or track.rtp_timestamp(packet.pts) == timestamp
        first = (1 << 32) - 2 * 960
        assert [track.heard((first + n * 960 + 10) % (1 << 32)) for n in range(5)] == [
            ("r1", n * 960 + 10) for n in range(5)
        ]
        assert track.heard((first + 100 * 960) % (1 << 32)) is None, "nobody plays what was not sent"

    run_virtual(main())


@pytest.mark.parametrize("measured", ["source", "stats", "player"])
def test_a_cut_names_the_reply_sample_and_how_it_was_measured(measured):
    async def main():
        at = iter(range(0, 960 * 100, 960))
        track = PlayoutTrack(lambda: np.zeros(960, np.int16), Clock(), lambda: ("r1", next(at)))
        sender = SimpleNamespace(_RTCRtpSender__rtp_timestamp=7_000)
        track.attach(sender)
        for _ in range(5):
            sender._RTCRtpSender__rtp_timestamp = 7_000 + (await track.recv()).pts
        payload = {"rtp_timestamp": 7_000 + 2 * 960 + 480, "measured": measured}
        command = wire.Command(event_id="command-0001", type="device.cut", payload=payload)
        cut = wire.to_event(command, "d1", "webrtc", Limits(), track.heard)
        assert isinstance(cut, DeviceCut)
        assert cut.played == Played("r1", 2 * 960 + 480, measured)

    run_virtual(main())
