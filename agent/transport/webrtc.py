"""One browser (or other WebRTC client) connected to one session."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Sequence

import numpy as np
from aiortc import (
    RTCConfiguration,
    RTCDataChannel,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCRtpSender,
    RTCRtpTransceiver,
    RTCSessionDescription,
)
from aiortc.exceptions import InvalidAccessError, InvalidStateError, OperationError
from numpy.typing import NDArray

from agent.conversation.events import Played
from agent.errors import AgentError, LimitReached, SettingsError, WireError
from agent.settings import Settings
from agent.timeline.entry import Entry
from agent.transport.arrival import Arrival, Welcome
from agent.transport.channel import stream_timeline
from agent.transport.device import Device
from agent.transport.frame_clock import KEPT_US, Jitter
from agent.transport.leaving import Leaving
from agent.transport.media_edge import Microphone, PlayoutTrack, bind_addresses, bound_messages, check_version
from agent.transport.notices import Refused
from agent.transport.peers import BROKE_OFF, CLOSED, REPLACED, PeerTable, goodbye
from agent.transport.port import Sessions
from agent.transport.receive_buffer import ReceiveCounts
from agent.transport.sdp import clean_offer, finish_answer
from agent.transport.sent_frames import lost_at

OUTPUT_LATENCY_MS = 60
"""From a frame leaving here to its being audible in a browser: network buffer and sound card."""
ANSWER_S = 10.0
CONNECT_S = 20.0
CLOSE_S = 3.0
FLUSH_S = 0.5
CHECK_S = 1.0
SEND_S = 5.0
"""A data channel that makes no room for so long is closed."""
MAX_BUFFERED_BYTES = 64_000
"""What may wait on a data channel."""
LOST_US = 4_000_000
"""A device from which nothing comes for so long, not even what keeps the connection up, has lost it."""
LOST_AUDIO_US = 1_000_000
"""The same of one with a microphone, which sends all the time."""
LINK_US = 7_000_000
"""A device that sends heartbeats and sent none for this long has lost its commands."""
AUDIO_US = 3_000_000
"""A microphone of which audio came and none did for this long is not heard any more."""
MAX_CHANNELS = 4

log = logging.getLogger(__name__)


def ice_servers(urls: Sequence[str]) -> list[RTCIceServer]:
    """`stun:host:port` and `turn:user:password@host:port`. Raises `SettingsError`."""
    servers = []
    for url in urls:
        scheme, _, rest = url.partition(":")
        account, at, host = rest.rpartition("@")
        user, colon, password = account.partition(":")
        if scheme not in ("stun", "turn", "turns") or not host or (at and not (user and colon)):
            raise SettingsError(
                f"server.ice_servers: {scheme}:… is not a stun:HOST:PORT or turn:USER:PASSWORD@HOST:PORT address"
            )
        if at:
            servers.append(RTCIceServer(urls=f"{scheme}:{host}", username=user, credential=password))
        else:
            servers.append(RTCIceServer(urls=url))
    return servers


def _deaf(pcm: NDArray[np.int16]) -> None:
    """What a device that only watches says."""


class _ChannelOutlet:
    """A data channel as an outlet of the timeline."""

    def __init__(self, channel: RTCDataChannel) -> None:
        self._channel = channel

    @property
    def open(self) -> bool:
        return self._channel.readyState == "open"

    async def send(self, text: str) -> None:
        """Raises `LimitReached` for a reader that is too slow to make room within `SEND_S`."""
        if not self.open:
            return
        self._channel.send(text)
        if self._channel.bufferedAmount > MAX_BUFFERED_BYTES:
            await self._room()

    async def _room(self) -> None:
        """Wait until half of what waits has gone, or the channel."""
        room = asyncio.Event()
        channel = self._channel
        channel.bufferedAmountLowThreshold = MAX_BUFFERED_BYTES // 2
        channel.once("bufferedamountlow", room.set)
        channel.once("close", room.set)
        try:
            async with asyncio.timeout(SEND_S):
                await room.wait()
        except TimeoutError:
            waiting = channel.bufferedAmount
            raise LimitReached(f"the device reads too slowly: {waiting} bytes of its timeline wait") from None
        finally:
            channel.bufferedAmountLowThreshold = 0


class WebRtcPeer:
    """A peer connection, its session's audio both ways, and its data channel.

    The timeline goes down the first data channel that the client opens, under any label;
    commands come up every one. Made by `answer`, then to be run by a `PeerTable`.
    """

    def __init__(self, arrival: Arrival, sessions: Sessions, settings: Settings, peers: PeerTable) -> None:
        check_version()
        call, clock = arrival.call, peers.clock
        self.session_id = call.session_id
        self.device = Device.of(arrival, "webrtc", settings.limits, clock, self._locate)
        self.connection_id = secrets.token_hex(12)
        self._arrival = arrival
        self._peers = peers
        self.answer_sdp = ""
        self._call = call
        self._sessions = sessions
        self._settings = settings
        self._clock = clock
        servers = ice_servers(settings.server.ice_servers)
        self._pc = RTCPeerConnection(RTCConfiguration(iceServers=servers))
        self._microphone = Microphone(call.hear if self.device.talks else _deaf, clock)
        self._has_microphone = False
        self._track = PlayoutTrack(call.next_frame, clock, call.position)
        self._connected = asyncio.Event()
        self._received_us = clock.now_us()
        self._leaving = Leaving()
        self._channel: RTCDataChannel | None = None
        self._channels = 0
        self._channel_opened = asyncio.Event()

    # ── signalling ───────────────────────────────────────────────────────────────────────

    @classmethod
    async def answer(
        cls, offer: str, sessions: Sessions, settings: Settings, peers: PeerTable, welcome: Welcome
    ) -> WebRtcPeer:
        """A peer for this offer, in the session that it is welcome to; its answer is `answer_sdp`. `peers` is to
        start it.

        Raises `WireError` for an offer that cannot become a call, `LimitReached` when no
        session is free, `SettingsError` for addresses or servers that cannot be used.
        """
        async with peers.reading:
            offer = clean_offer(offer)
        arrival = await welcome()
        peer: WebRtcPeer | None = None
        try:
            peer = cls(arrival, sessions, settings, peers)
            async with asyncio.timeout(ANSWER_S):
                await peer._negotiate(offer)
        except BaseException as error:
            try:
                if peer is not None:
                    await peer._close_connection()
            finally:
                fresh = arrival.resume in ("new", "failed")
                await sessions.leave(arrival.call, "the offer could not be answered", for_good=fresh)
            if isinstance(error, TimeoutError):
                raise WireError("the offer could not be answered in time: are its addresses reachable?") from error
            raise
        return peer

    async def _negotiate(self, offer: str) -> None:
        pc = self._pc
        sender = pc.addTrack(self._track)
        self._track.attach(sender)
        ours = pc.getTransceivers()[0]
        opus = [codec for codec in RTCRtpSender.getCapabilities("audio").codecs if codec.mimeType == "audio/opus"]
        ours.setCodecPreferences(opus)
        pc.on("connectionstatechange", self._connection_changed)
        pc.on("datachannel", self._channel_came)
        try:
            await pc.setRemoteDescription(RTCSessionDescription(offer, "offer"))
            self._prepare(pc.getTransceivers(), ours)
            bind_addresses(pc, self._settings.server.ice_addresses)
            await pc.setLocalDescription(await pc.createAnswer())
        except (
            *(ValueError, IndexError, KeyError, AttributeError, TypeError, AssertionError),
            *(InvalidAccessError, InvalidStateError, OperationError),
        ) as error:
            raise WireError(f"the offer cannot be answered: {error or type(error).__name__}") from error
        answer = pc.localDescription.sdp
        if "a=candidate:" not in answer:
            raise SettingsError(
                f"none of server.ice_addresses ({', '.join(self._settings.server.ice_addresses)}) can be used here; "
                "give addresses of this machine, or () for every interface"
            )
        self.answer_sdp = finish_answer(answer, self._settings.limits.message_bytes)

    def _prepare(self, transceivers: Sequence[RTCRtpTransceiver], ours: RTCRtpTransceiver) -> None:
        for transceiver in transceivers:
            if transceiver is not ours:
                transceiver.direction = "inactive"
        receiver: RTCRtpReceiver = ours.receiver
        self._microphone.attach(receiver)
        self._has_microphone = receiver.track is not None
        if self._pc.sctp is not None:
            bound_messages(
                self._pc.sctp, self._settings.limits.message_bytes, lambda: self.leave("sent an endless message")
            )

    # ── the call ─────────────────────────────────────────────────────────────────────────

    def leave(self, reason: str, *, for_good: bool = False) -> None:
        """Begin to leave; only the first reason counts."""
        self._leaving.begin(reason, for_good=for_good and self.device.talks)

    def give_way(self) -> None:
        """The device is here over another connection. If this one was lost, what it said meanwhile was not heard."""
        if (played := self._last_audible()) is not None:
            self.device.leave(REPLACED, played)
        self.device.fence()
        self.leave(REPLACED)

    def _last_audible(self) -> Played | None:
        """How far the reply under way can have been audible when something came from the device last; None while that
        is not long ago."""
        silent_us = self._clock.now_us() - self._sign_us
        if silent_us < (LOST_AUDIO_US if self.device.microphone else LOST_US):
            return None
        return lost_at(self._call, self._track.sent_before(silent_us))

    @property
    def _sign_us(self) -> int:
        """When something came from the device last: audio, a command, or what keeps the connection up."""
        return max(self._received_us, self.device.heard_us, self._microphone.packet_us or 0)

    def playout_jitter(self, last_us: int = KEPT_US) -> Jitter:
        return self._track.jitter(last_us)

    def receive_counts(self) -> ReceiveCounts:
        return self._microphone.counts

    def rtp_timestamp(self, pts: int) -> int | None:
        """See `PlayoutTrack.rtp_timestamp`."""
        return self._track.rtp_timestamp(pts)

    async def run(self) -> None:
        """From the answer to the end of the call. Releases the connection and the session."""
        try:
            if await self._connect():
                await self._converse()
                await self._say_goodbye()
        finally:
            self.leave("its connection failed on this side")
            self._microphone.close()
            self.device.leave(self._leaving.reason, self._last_audible())
            await self._close_connection()
            await self._sessions.leave(self._call, self._leaving.reason, for_good=self._leaving.for_good)

    async def _connect(self) -> bool:
        """Wait until media can flow; False when the peer left or did not come."""
        try:
            async with asyncio.timeout(CONNECT_S), asyncio.TaskGroup() as tasks:
                waits = [tasks.create_task(event.wait()) for event in (self._connected, self._leaving.event)]
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                for task in waits:
                    task.cancel()
        except TimeoutError:
            self.leave(f"did not connect within {CONNECT_S:.0f} s")
        return self._connected.is_set() and not self._leaving.event.is_set()

    async def _converse(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            children = [tasks.create_task(self._send_timeline()), tasks.create_task(self._watch())]
            await self._leaving.event.wait()
            for child in children:
                child.cancel()

    async def _send_timeline(self) -> None:
        after = self._arrival.after
        while True:
            await self._channel_opened.wait()
            channel = self._channel
            if channel is None:
                self._channel_opened.clear()
                continue
            if channel.readyState == "open":
                channel.send(self._arrival.hello().text())
            try:
                after = await stream_timeline(self._call, _ChannelOutlet(channel), after, self._rtp_of)
            except AgentError as error:
                log.warning("session %s: its device gets no more of the timeline: %s", self.session_id, error)
                if channel.readyState == "open":
                    code = "slow_reader" if isinstance(error, LimitReached) else error.code
                    channel.send(Refused(code=code, message=str(error)).text())
                    channel.close()
                return
            if channel.readyState == "open":
                self.leave(CLOSED if self._call.over else BROKE_OFF)
                return
            if self._channel is channel:
                self._channel = None

    def _locate(self, rtp_timestamp: int) -> tuple[str, int] | None:
        return self._track.heard(rtp_timestamp)

    def _rtp_of(self, entry: Entry) -> int | None:
        """For playback events, when they happened on the clock of the audio that is sent."""
        pts = self._track.last_pts
        if pts is None or not entry.event.type.startswith("playback."):
            return None
        return self._track.rtp_timestamp(pts)

    async def _watch(self) -> None:
        """Release a peer from which nothing comes: no media, no report, no message."""
        seen = -1
        limit_us = round(self._settings.limits.silent_peer_s * 1_000_000)
        while True:
            await asyncio.sleep(CHECK_S)
            received = await self._packets_received()
            now_us = self._clock.now_us()
            self._check_link(now_us)
            if received != seen:
                seen, self._received_us = received, now_us
            if now_us - self._sign_us > limit_us:
                self.leave("vanished: nothing was received any more")
            channel = self._channel
            if channel is not None and channel.readyState == "open" and (renewal := self.device.renewal()):
                channel.send(renewal)

    def _check_link(self, now_us: int) -> None:
        """Media without control, or the reverse: what has side effects is held. If control is lost for long the call
        ends. (The device calls again; there is no other way to mend a data channel.)"""
        channel, quiet_us = self._channel, now_us - self.device.heard_us
        closed = self._channels > 0 and (channel is None or channel.readyState != "open")
        packet_us = self._microphone.packet_us
        unheard = self.device.microphone and packet_us is not None and now_us - packet_us > AUDIO_US
        self.device.link(control=not (closed or (self.device.beats and quiet_us > LINK_US)), media=not unheard)
        if not self.device.linked and quiet_us > round(self._settings.limits.silent_peer_s * 1_000_000):
            self.leave("its commands do not get through any more")

    async def _packets_received(self) -> int:
        report = await self._pc.getStats()
        return sum(stats.packetsReceived for stats in report.values() if stats.type == "transport")

    async def _say_goodbye(self) -> None:
        channel = self._channel
        if channel is None or channel.readyState != "open":
            return
        flushed = asyncio.Event()
        channel.on("bufferedamountlow", flushed.set)
        channel.send(goodbye(self._leaving.reason, for_good=self._leaving.for_good))
        try:
            async with asyncio.timeout(FLUSH_S):
                await flushed.wait()
        except TimeoutError:
            log.info("session %s: the goodbye did not get through", self.session_id)

    async def _close_connection(self) -> None:
        self._track.stop()
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._pc.close()
        except TimeoutError:
            log.warning("session %s: its connection did not close within %s s", self.session_id, CLOSE_S)
        except Exception:  # aiortc's, of a connection that was never whole; the session must still be released
            log.info("session %s: its connection could not be closed", self.session_id, exc_info=True)

    # ── called by aiortc ─────────────────────────────────────────────────────────────────

    def _connection_changed(self) -> None:
        state = self._pc.connectionState
        if state == "connected" and not self._connected.is_set():
            # At once, so that it comes before anything that the device itself says.
            self._peers.replace(self)
            self.device.join(OUTPUT_LATENCY_MS, microphone=self._has_microphone)
            self._connected.set()
        elif state in ("failed", "closed"):
            self.leave(f"the connection {'failed' if state == 'failed' else 'was closed by the device'}")

    def _channel_came(self, channel: RTCDataChannel) -> None:
        self._channels += 1
        if self._channels > MAX_CHANNELS:
            channel.close()
            return
        channel.on("message", lambda message: self._message(channel, message))
        if self._channel is None or self._channel.readyState != "open":
            self._channel = channel
            self._channel_opened.set()

    def _message(self, channel: RTCDataChannel, message: str | bytes) -> None:
        answer = self.device.receive(message)
        if answer is not None and channel.readyState == "open":
            channel.send(answer)
        if self.device.given_up:
            self.leave("sent too many messages that could not be understood")
