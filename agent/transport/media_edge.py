"""Where audio enters and leaves aiortc: the only place that touches its private names.

Receiving: the receiver's jitter buffer (a fixed prefetch of 80 ms) is replaced by
`Microphone`, which decodes by itself and hands the audio on; aiortc's decoder thread stays idle.
Sending: `PlayoutTrack` gives aiortc encoded packets, so that it does not use its executor.
"""

from __future__ import annotations

import asyncio
import fractions
import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import aiortc
import numpy as np
from aioice.ice import Connection
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCRtpReceiver, RTCRtpSender, RTCSctpTransport
from aiortc.jitterbuffer import JitterBuffer, JitterFrame
from aiortc.mediastreams import MediaStreamError
from aiortc.rtcsctptransport import DataChunk, InboundStream
from aiortc.rtp import RtpPacket
from av.packet import Packet
from av.stream import Stream
from numpy.typing import NDArray

from agent.clock import Clock
from agent.errors import EngineError
from agent.transport.frame_clock import FrameClock, Jitter
from agent.transport.opus import Decoder, Encoder
from agent.transport.port import FRAME_SAMPLES
from agent.transport.receive_buffer import ReceiveBuffer, ReceiveCounts
from agent.transport.sent_frames import SentFrames, samples_between

Pcm = NDArray[np.int16]

AIORTC_VERSION = "1.16"
SETTLED_SILENCE = 10
"""Silent frames that are really encoded; later ones repeat the last packet."""

SILENT_PACKET = b"\xf8\xff\xfe"
"""20 ms of Opus silence that needs no encoder."""

_TIME_BASE = fractions.Fraction(1, 48_000)

log = logging.getLogger(__name__)


def check_version() -> None:
    """Raises `EngineError` when the installed aiortc is not the one whose insides are known."""
    if not aiortc.__version__.startswith(AIORTC_VERSION + "."):
        raise EngineError(
            f"aiortc {aiortc.__version__} is installed, but the media edge fits {AIORTC_VERSION}.x only: "
            f"pip install 'aiortc=={AIORTC_VERSION}.*'"
        )


class Microphone:
    """The remote microphone's RTP, decoded and handed on in order as it arrives.

    `hear` gets int16 mono at 16 kHz. Its errors are logged once and do not end the call.
    """

    def __init__(self, hear: Callable[[Pcm], None], clock: Clock) -> None:
        self._hear = hear
        self._clock = clock
        self._buffer = ReceiveBuffer(Decoder())
        self._ssrc: int | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._complained = False
        self._closed = False
        self.packet_us: int | None = None
        """When the last packet came; None before the first."""

    @property
    def counts(self) -> ReceiveCounts:
        return self._buffer.counts

    def attach(self, receiver: RTCRtpReceiver) -> None:
        """Take the place of the receiver's jitter buffer."""
        receiver._RTCRtpReceiver__jitter_buffer = self  # type: ignore[attr-defined]

    def add(self, packet: RtpPacket) -> tuple[bool, None]:
        """Called by aiortc for every RTP packet. It gets no frame to decode and no loss to report."""
        if not self._closed:
            if packet.ssrc != self._ssrc and self._ssrc is not None:
                self._buffer.restart()
            self._ssrc = packet.ssrc
            self.packet_us = now_us = self._clock.now_us()
            self._hand_on(self._buffer.push(packet.sequence_number, packet.timestamp, packet.payload, now_us))
        return False, None

    def close(self) -> None:
        """Hand on nothing more."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _poll(self) -> None:
        self._timer = None
        self._hand_on(self._buffer.poll(self._clock.now_us()))

    def _hand_on(self, frames: list[Pcm]) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline_us = self._buffer.deadline_us()
        if deadline_us is not None:
            delay_s = max(deadline_us - self._clock.now_us(), 0) / 1_000_000
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._poll)
        if not frames:
            return
        try:
            self._hear(frames[0] if len(frames) == 1 else np.concatenate(frames))
        except Exception:  # what is behind belongs to the session; here it would end aiortc's receive loop
            if not self._complained:
                log.exception("hearing failed on microphone audio; further failures of this call are not logged")
            self._complained = True


class _Tap:
    """A jitter buffer that tells of each packet and, if there is one behind it, hands it on."""

    def __init__(self, arrived: Callable[[RtpPacket], None], behind: JitterBuffer | None) -> None:
        self._arrived = arrived
        self._behind = behind

    def add(self, packet: RtpPacket) -> tuple[bool, JitterFrame | None]:
        self._arrived(packet)
        return (False, None) if self._behind is None else self._behind.add(packet)


def tap(receiver: RTCRtpReceiver, arrived: Callable[[RtpPacket], None], *, keep_buffer: bool) -> None:
    """Call `arrived` for every RTP packet, before aiortc's jitter buffer, which goes on working
    if it is kept; otherwise nothing is decoded. For measuring what a caller hears, and when."""
    stock: JitterBuffer = receiver._RTCRtpReceiver__jitter_buffer  # type: ignore[attr-defined]
    receiver._RTCRtpReceiver__jitter_buffer = _Tap(arrived, stock if keep_buffer else None)  # type: ignore[attr-defined]


class PlayoutTrack(MediaStreamTrack):
    """Sends one Opus packet every 20 ms, taking each frame when it is due and not before.

    `next_frame` gives int16 of shape (960,) at 48 kHz, or None for silence. `pts` of a frame
    is its index times 960 and never repeats; frames that are skipped leave a gap in it. `position`
    tells what the next frame begins with: a reply and its sample.
    """

    kind = "audio"

    def __init__(
        self,
        next_frame: Callable[[], Pcm | None],
        clock: Clock,
        position: Callable[[], tuple[str, int] | None] = lambda: None,
    ) -> None:
        super().__init__()
        self._next_frame = next_frame
        self._position = position
        self._sent = SentFrames()
        self._frames = FrameClock(clock)
        self._encoder = Encoder()
        self._silence = np.zeros(FRAME_SAMPLES, np.int16)
        self._silent_frames = 0
        self._packet = SILENT_PACKET
        self._sender: RTCRtpSender | None = None
        self._pts: int | None = None
        self._rtp_origin: int | None = None
        self._complained = False

    def attach(self, sender: RTCRtpSender) -> None:
        """Name the sender that reads this track, so that RTP timestamps can be told."""
        self._sender = sender

    def jitter(self, last_us: int) -> Jitter:
        return self._frames.jitter(last_us)

    @property
    def last_pts(self) -> int | None:
        """The pts of the frame taken last, None before the first."""
        return self._pts

    def rtp_timestamp(self, pts: int) -> int | None:
        """The 32-bit RTP timestamp under which the frame of this pts is or will be sent.

        None until the second frame is due: the offset is random and shows once one was sent.
        """
        return None if self._rtp_origin is None else (self._rtp_origin + pts) & 0xFFFFFFFF

    def heard(self, rtp_timestamp: int) -> tuple[str, int] | None:
        """The reply and the sample that lie at this RTP timestamp, if it is of the last seconds."""
        if self._rtp_origin is None or self._pts is None:
            return None
        behind = samples_between(rtp_timestamp, self._rtp_origin + self._pts)
        return None if behind < -FRAME_SAMPLES else self._sent.at(self._pts - behind)

    def sent_before(self, us: int) -> tuple[str, int] | None:
        """The reply and the sample that was sent so long ago, if that is not too long; None before any speech, too."""
        return None if self._pts is None else self._sent.at(self._pts - us * FRAME_SAMPLES // 20_000)

    async def recv(self) -> Packet[Stream]:
        """The next packet when it is due. Raises only `MediaStreamError`, once stopped: any other
        error would end aiortc's sending for good, with the connection still up."""
        if self.readyState != "live":
            raise MediaStreamError
        if self._rtp_origin is None and self._pts is not None and self._sender is not None:
            sent: int = self._sender._RTCRtpSender__rtp_timestamp  # type: ignore[attr-defined]
            self._rtp_origin = (sent - self._pts) & 0xFFFFFFFF
        self._pts = await self._frames.tick() * FRAME_SAMPLES
        packet: Packet[Stream] = Packet(self._encode(self._take()))
        packet.pts = self._pts
        packet.time_base = _TIME_BASE
        return packet

    def _take(self) -> Pcm | None:
        try:
            position = self._position()
            frame = self._next_frame()
            if position is not None and frame is not None and self._pts is not None:
                self._sent.sent(self._pts, *position)
            return frame
        except Exception:  # the session's fault must not silence the call for good
            self._complain("the playout failed to give a frame")
            return None

    def _encode(self, pcm: Pcm | None) -> bytes:
        self._silent_frames = self._silent_frames + 1 if pcm is None else 0
        if self._silent_frames <= SETTLED_SILENCE:
            try:
                self._packet = self._encoder.encode(self._silence if pcm is None else pcm)
            except EngineError:
                self._complain("a frame could not be encoded")
                self._packet = SILENT_PACKET
        return self._packet

    def _complain(self, what: str) -> None:
        if not self._complained:
            log.exception("%s; silence is sent, and further failures of this call are not logged", what)
        self._complained = True


# ── ICE and SCTP ─────────────────────────────────────────────────────────────────────────


def _ice_connections(pc: RTCPeerConnection) -> Iterator[Connection]:
    transports = [transceiver.receiver.transport for transceiver in pc.getTransceivers()]
    if pc.sctp is not None:
        transports.append(pc.sctp.transport)
    for transport in {id(transport): transport for transport in transports}.values():
        yield transport.transport._connection


async def _gather(connection: Connection, addresses: Sequence[str]) -> None:
    """`Connection.gather_candidates` on these addresses instead of every one but loopback."""
    if connection._local_candidates_start:
        return
    connection._local_candidates_start = True
    for component in connection._components:
        connection._local_candidates += await connection.get_component_candidates(component, list(addresses))
    connection._local_candidates_end = True


def bind_addresses(pc: RTCPeerConnection, addresses: Sequence[str]) -> None:
    """Let this connection use these local addresses only; none means every interface.

    To be called between setRemoteDescription and setLocalDescription.
    """
    if addresses:
        for connection in _ice_connections(pc):
            connection.gather_candidates = partial(_gather, connection, addresses)  # type: ignore[method-assign]


class _BoundedStream(InboundStream):
    """Reassembly of one data channel's messages that does not grow without end."""

    def __init__(self, limit_bytes: int, overflow: Callable[[], None]) -> None:
        super().__init__()
        self._limit_bytes = limit_bytes
        self._overflow = overflow

    def add_chunk(self, chunk: DataChunk) -> None:
        if sum(len(held.user_data) for held in self.reassembly) > self._limit_bytes:
            self.reassembly.clear()
            self._overflow()
            return
        super().add_chunk(chunk)


class _BoundedStreams(dict[int, InboundStream]):
    """Makes every incoming stream of an association a bounded one, and bounds their number."""

    MAX_STREAMS = 64

    def __init__(self, limit_bytes: int, overflow: Callable[[], None]) -> None:
        super().__init__()
        self._limit_bytes = limit_bytes
        self._overflow = overflow

    def __setitem__(self, stream_id: int, stream: InboundStream) -> None:
        if len(self) >= self.MAX_STREAMS:
            self._overflow()
        super().__setitem__(stream_id, _BoundedStream(self._limit_bytes, self._overflow))


def bound_messages(sctp: RTCSctpTransport, limit_bytes: int, overflow: Callable[[], None]) -> None:
    """Call `overflow` when a peer sends a message that is much longer than `limit_bytes`.

    aiortc keeps and searches all parts of an unfinished message, whatever its length.
    """
    sctp._inbound_streams = _BoundedStreams(2 * limit_bytes + 65_536, overflow)
