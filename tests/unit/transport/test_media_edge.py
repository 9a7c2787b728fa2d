"""The edge to aiortc: sending track, microphone, bounds; in virtual time, without a network."""

import asyncio
from types import SimpleNamespace

import aiortc
import numpy as np
import pytest
from aiortc.mediastreams import MediaStreamError
from aiortc.rtcsctptransport import DataChunk

from agent.clock import Clock, run_virtual
from agent.errors import EngineError
from agent.transport import media_edge
from agent.transport.media_edge import Microphone, PlayoutTrack
from agent.transport.opus import Decoder


def decode(packets) -> np.ndarray:
    decoder = Decoder()
    return np.concatenate([decoder.decode(bytes(packet)) for packet in packets])


def test_every_frame_is_taken_when_it_is_due(signals):
    async def main():
        clock, taken = Clock(), []
        pcm = signals.voice(1.0).reshape(-1, 960)

        def next_frame():
            taken.append(clock.now_us())
            return pcm[len(taken) - 1]

        track = PlayoutTrack(next_frame, clock)
        packets = [await track.recv() for _ in range(50)]
        assert taken == [20_000 * n for n in range(50)]
        assert [packet.pts for packet in packets] == [960 * n for n in range(50)]
        assert np.abs(decode(packets)[3_200:]).max() > 3_000

    run_virtual(main())


def test_silence_is_sent_and_speech_after_it_is_whole(signals):
    async def main():
        pcm = list(signals.voice(0.5).reshape(-1, 960))
        frames = pcm + [None] * 100 + pcm
        rest = iter(frames)
        track = PlayoutTrack(lambda: next(rest), Clock())
        packets = [await track.recv() for _ in frames]
        assert len({bytes(packet) for packet in packets[60:120]}) == 1
        heard = decode(packets)
        assert np.abs(heard[320 * 40 : 320 * 125]).max() < 20
        level = [np.sqrt(np.mean(part.astype(float) ** 2)) for part in (heard[: 320 * 25], heard[320 * 125 :])]
        assert level[1] > 0.9 * level[0]

    run_virtual(main())


def test_a_failing_session_gives_silence_not_an_end(caplog):
    async def main():
        def broken():
            raise ValueError("no frame")

        track = PlayoutTrack(broken, Clock())
        packets = [await track.recv() for _ in range(5)]
        assert np.abs(decode(packets)).max() < 5
        track = PlayoutTrack(lambda: np.zeros(7, np.int16), Clock())
        assert np.abs(decode([await track.recv()])).max() < 5
        track.stop()
        with pytest.raises(MediaStreamError):
            await track.recv()

    run_virtual(main())
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]


def test_rtp_timestamps_follow_from_what_was_sent():
    async def main():
        sender = SimpleNamespace(_RTCRtpSender__rtp_timestamp=0)
        track = PlayoutTrack(lambda: None, Clock())
        track.attach(sender)
        first = await track.recv()
        assert track.rtp_timestamp(0) is None
        sender._RTCRtpSender__rtp_timestamp = (2**32 - 500 + first.pts) % 2**32
        await asyncio.sleep(0.3)
        second = await track.recv()
        assert track.rtp_timestamp(0) == 2**32 - 500
        assert track.rtp_timestamp(second.pts) == (2**32 - 500 + second.pts) % 2**32
        assert second.pts == 15 * 960

    run_virtual(main())


def rtp(packet, n, ssrc=1):
    return SimpleNamespace(sequence_number=n, timestamp=960 * n, payload=packet, ssrc=ssrc)


def test_the_microphone_hands_on_as_packets_come_then_silence(signals):
    async def main():
        heard = []
        clock = Clock()
        microphone = Microphone(lambda pcm: heard.append((clock.now_us(), len(pcm))), clock)
        for n, packet in enumerate(signals.packets(signals.voice(0.2))):
            assert microphone.add(rtp(packet, n)) == (False, None)
            await asyncio.sleep(0.02)
        assert heard == [(20_000 * n, 320) for n in range(10)]
        assert microphone.packet_us == 180_000
        await asyncio.sleep(10)
        assert len(heard) == 110
        microphone.close()
        microphone.add(rtp(packet, 11))
        assert len(heard) == 110

    run_virtual(main())


def test_another_source_begins_a_new_stream(signals):
    async def main():
        heard = []
        microphone = Microphone(heard.append, Clock())
        packets = signals.packets(signals.voice(0.2))
        microphone.add(rtp(packets[0], 10, ssrc=1))
        microphone.add(rtp(packets[1], 5, ssrc=2))
        assert len(heard) == 2
        assert microphone.counts.restarts == 1
        microphone.close()

    run_virtual(main())


def test_a_failing_listener_does_not_end_reception(signals, caplog):
    async def main():
        def broken(pcm):
            raise ValueError("cannot hear")

        microphone = Microphone(broken, Clock())
        for n, packet in enumerate(signals.packets(signals.voice(0.1))):
            microphone.add(rtp(packet, n))
        microphone.close()

    run_virtual(main())
    assert len(caplog.records) == 1


def test_another_aiortc_is_refused(monkeypatch):
    media_edge.check_version()
    monkeypatch.setattr(aiortc, "__version__", "1.17.0")
    with pytest.raises(EngineError, match=r"1\.16"):
        media_edge.check_version()


def test_an_endless_message_is_cut_off():
    overflows = []
    sctp = SimpleNamespace(_inbound_streams={})
    media_edge.bound_messages(sctp, 1_000, lambda: overflows.append(1))
    sctp._inbound_streams[0] = None
    stream = sctp._inbound_streams[0]
    for tsn in range(200):
        chunk = DataChunk(flags=2 if tsn == 0 else 0)
        chunk.tsn, chunk.user_data = tsn, b"x" * 1_000
        stream.add_chunk(chunk)
    assert overflows
    assert len(stream.reassembly) < 80
