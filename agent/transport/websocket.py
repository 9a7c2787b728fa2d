"""The call over a WebSocket, for where WebRTC cannot connect.

Binary messages up: PCM16 little-endian mono 16 kHz, up to 100 ms each. Binary messages down: 20 ms
frames of PCM16 little-endian mono 48 kHz, silence included, on an absolute clock. Texts both
ways: as on the data channel, with the number of samples (modulo 2^32) that were sent over this socket before a
frame as its RTP timestamp, after a first one down:

    {"type": "hello", "payload": {"session_id", "hearing_rate", "playout_rate", "frame_samples", …}} (see `arrival`)

With ?control=ID it steers the call /calls/ID of the same token, which carries the audio: see `control`.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Coroutine, Sequence
from itertools import count

import numpy as np
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from agent.conversation.events import Played
from agent.errors import AgentError, LimitReached, ScopeNeeded, WireError
from agent.settings import Settings
from agent.timeline.entry import Entry
from agent.transport.arrival import Arrival
from agent.transport.channel import stream_timeline
from agent.transport.device import Device
from agent.transport.frame_clock import KEPT_US, FrameClock, Jitter
from agent.transport.leaving import Leaving
from agent.transport.notices import Hello
from agent.transport.peers import BROKE_OFF, CLOSED, REPLACED, TOO_SLOW, PeerTable, goodbye
from agent.transport.port import FRAME_SAMPLES, PLAYOUT_RATE, Sessions
from agent.transport.receive_buffer import OUTPUT_RATE
from agent.transport.sent_frames import SentFrames, lost_at, samples_between
from agent.transport.token_bucket import TokenBucket

OUTPUT_LATENCY_MS = 120
"""From a frame leaving here to its being audible in a page: its buffer rides out TCP's delays."""
MAX_AUDIO_BYTES = OUTPUT_RATE // 10 * 2
MAX_AUDIO_PER_S = 2 * OUTPUT_RATE
"""Samples a second that are taken; real time is half of it."""
MAX_AUDIO_BURST = 12 * OUTPUT_RATE
"""Samples that are taken at once: what waits in the network while this machine stands still."""
HUNG_UP = "hang up"
"""Why a client closes the socket (with code 1000) for good; whatever else ends it, the session waits."""
SEND_S = 5.0
CHECK_S = 1.0
LOST_US = 4_000_000
"""A device that sends heartbeats and from which nothing comes for so long has lost its connection."""

log = logging.getLogger(__name__)


class WebSocketPeer:
    """A page on a WebSocket (accepted already) connected to one session."""

    def __init__(
        self, websocket: WebSocket, arrival: Arrival, sessions: Sessions, settings: Settings, peers: PeerTable
    ) -> None:
        call, clock = arrival.call, peers.clock
        self.session_id = call.session_id
        self.device = Device.of(arrival, "websocket", settings.limits, clock, self._locate)
        self.connection_id = secrets.token_hex(12)
        self._arrival = arrival
        self._peers = peers
        self._websocket = websocket
        self._call = call
        self._sessions = sessions
        self._limits = settings.limits
        self._clock = clock
        self._frames = FrameClock(clock)
        self._sent = SentFrames()
        self._pts = self._pts_us = 0
        """Of the frame that was sent last, in samples, and when that was."""
        self._audio = TokenBucket(MAX_AUDIO_PER_S, MAX_AUDIO_BURST)
        self._sending = asyncio.Lock()
        self._leaving = Leaving()

    def leave(self, reason: str, *, for_good: bool = False) -> None:
        """Begin to leave; only the first reason counts."""
        self._leaving.begin(reason, for_good=for_good and self.device.talks)

    def give_way(self) -> None:
        """The device is here over another connection. If this one was lost, what it said meanwhile was not heard."""
        if (played := self._last_audible()) is not None:
            self.device.leave(REPLACED, played)
        self.device.fence()
        self.leave(REPLACED)

    def playout_jitter(self, last_us: int = KEPT_US) -> Jitter | None:
        return self._frames.jitter(last_us)

    async def run(self) -> None:
        """From the hello to the end of the call. Releases the socket and the session."""
        try:
            await self.send(self.hello().text())
            self.enter()
            async with asyncio.TaskGroup() as tasks:
                children = [tasks.create_task(part) for part in self.work()]
                await self._leaving.event.wait()
                for child in children:
                    child.cancel()
        finally:
            self.leave("its connection failed on this side")
            self.exit(self._leaving.reason, for_good=self._leaving.for_good)
            await self._close()
            await self._sessions.leave(self._call, self._leaving.reason, for_good=self._leaving.for_good)

    def hello(self) -> Hello:
        rates = {"hearing_rate": OUTPUT_RATE, "playout_rate": PLAYOUT_RATE, "frame_samples": FRAME_SAMPLES}
        return self._arrival.hello().model_copy(update=rates)

    def enter(self) -> None:
        """The device is here, unless it is to leave at once."""
        if self.open:
            self._peers.replace(self)
            self.device.join(OUTPUT_LATENCY_MS)

    def exit(self, reason: str, *, for_good: bool) -> None:
        """It is not any more."""
        self.device.leave(reason, self._last_audible())

    def _last_audible(self) -> Played | None:
        """How far the reply under way can have been audible when something came from the device last; None while that
        is not long ago, and where silence means nothing."""
        heard_us = self.device.heard_us
        if self._clock.now_us() - heard_us < LOST_US or not self.device.beats:
            return None
        return lost_at(self._call, self._sent.at(self._pts - (self._pts_us - heard_us) * PLAYOUT_RATE // 1_000_000))

    def work(self) -> Sequence[Coroutine[None, None, None]]:
        """What goes on while it is."""
        return (self._play(), *self.texts())

    def texts(self) -> Sequence[Coroutine[None, None, None]]:
        """All of it but the audio down."""
        return (self._receive(), self._send_timeline(), self._watch())

    # ── an outlet of the timeline ────────────────────────────────────────────────────────

    @property
    def open(self) -> bool:
        return not self._leaving.event.is_set()

    async def send(self, message: str | bytes) -> None:
        """Send one message; a socket that does not take it for `SEND_S` ends the call."""
        try:
            async with asyncio.timeout(SEND_S), self._sending:
                if isinstance(message, str):
                    await self._websocket.send_text(message)
                else:
                    await self._websocket.send_bytes(message)
        except TimeoutError:
            self.leave(TOO_SLOW)
        except (WebSocketDisconnect, RuntimeError):
            self.leave("the connection was closed by the device")

    # ── the call ─────────────────────────────────────────────────────────────────────────

    async def _receive(self) -> None:
        while self.open:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                hung_up = message.get("code") == 1000 and message.get("reason") == HUNG_UP
                self.leave("hung up" if hung_up else "the connection was closed by the device", for_good=hung_up)
                return
            audio = message.get("bytes")
            answer = self.hear(audio) if audio is not None else self.device.receive(message.get("text") or "")
            if answer is not None:
                await self.send(answer)
            if self.device.given_up:
                self.leave("sent too many messages that could not be understood")

    def hear(self, audio: bytes) -> str | None:
        if len(audio) > MAX_AUDIO_BYTES or len(audio) % 2:
            return self.device.refuse(
                WireError(f"audio comes as int16 samples, at most {MAX_AUDIO_BYTES} bytes (100 ms) a message")
            )
        if not self._audio.take(self._clock.now_us(), len(audio) // 2):
            return self.device.refuse(WireError("audio comes faster than real time"))
        try:
            self.device.grant.require("talk")
        except ScopeNeeded as error:
            return self.device.refuse(error)
        self.device.accept()
        if audio:
            self._call.hear(np.frombuffer(audio, "<i2").astype(np.int16))
        return None

    async def _play(self) -> None:
        silence = bytes(2 * FRAME_SAMPLES)
        for pts in count(0, FRAME_SAMPLES):
            await self._frames.tick()
            if not self.open:
                return
            self._pts, self._pts_us = pts, self._clock.now_us()
            position, frame = self._call.position(), self._call.next_frame()
            if position is not None and frame is not None:
                self._sent.sent(self._pts, *position)
            await self.send(silence if frame is None else frame.astype("<i2").tobytes())

    async def _send_timeline(self) -> None:
        try:
            await stream_timeline(self._call, self, self._arrival.after, self.rtp_of)
        except LimitReached:
            self.leave(TOO_SLOW)
        except AgentError as error:
            self.leave(f"the timeline could not be sent: {error}")
        self.leave(CLOSED if self._call.over else BROKE_OFF)

    def rtp_of(self, entry: Entry) -> int | None:
        """For playback events, what had been sent when they happened."""
        return self._pts % (1 << 32) if entry.event.type.startswith("playback.") else None

    def _locate(self, rtp_timestamp: int) -> tuple[str, int] | None:
        behind = samples_between(rtp_timestamp, self._pts)
        return None if behind < -FRAME_SAMPLES else self._sent.at(self._pts - behind)

    async def _watch(self) -> None:
        limit_us = round(self._limits.silent_peer_s * 1_000_000)
        while True:
            await asyncio.sleep(CHECK_S)
            if self._clock.now_us() - self.device.heard_us > limit_us:
                self.leave("vanished: nothing was received any more")
            if renewal := self.device.renewal():
                await self.send(renewal)

    async def _close(self) -> None:
        if self._websocket.client_state is not WebSocketState.CONNECTED:
            return
        try:
            async with asyncio.timeout(SEND_S):
                await self._websocket.send_text(goodbye(self._leaving.reason, for_good=self._leaving.for_good))
                await self._websocket.close(1000, self._leaving.reason[:100])
        except (TimeoutError, WebSocketDisconnect, RuntimeError):
            log.info("session %s: the goodbye did not get through", self.session_id)
