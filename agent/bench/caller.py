"""A caller: speaks recordings into a real WebRTC call and keeps every packet that comes back."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import httpx
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from aiortc.rtp import RtpPacket

from agent.bench.clock_map import ClockMap
from agent.bench.heard import Heard, Packet, rebuild
from agent.bench.microphone import Microphone, Pcm, Utterance
from agent.clock import Clock
from agent.errors import WireError
from agent.transport.media_edge import bind_addresses, tap

CONNECT_S = 30.0
PINGS = 12
"""Commands that compare the clocks; each does nothing else."""
PING_S = 2.0
BROKEN_S = 10.0
"""A microphone that nobody has read for so long belongs to a call that is over."""

Message = dict[str, Any]


class Caller:
    """One call. Use `called`. `stock`: decode behind aiortc's own jitter buffer, too."""

    def __init__(self, clock: Clock, *, stock: bool) -> None:
        self.clock = clock
        self.clocks = ClockMap()
        self.messages: list[Message] = []
        """The timeline as it came down, each entry with `client_us`."""
        self.session_id = ""
        self._stock = stock
        self._pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._microphone = Microphone(clock)
        self._packets: list[Packet] = []
        self._handed: dict[int, int] = {}
        self._news = asyncio.Event()
        self._connected = asyncio.Event()
        self._tracks: asyncio.Queue[MediaStreamTrack] = asyncio.Queue()
        self._pings: dict[str, int] = {}

    # ── the call ─────────────────────────────────────────────────────────────────────────

    async def connect(self, url: str) -> None:
        """Place the call. Raises `WireError` when it cannot be."""
        pc = self._pc
        self._channel = pc.createDataChannel("events")
        self._channel.on("message", self._message)
        self._channel.on("open", self._news.set)
        pc.addTrack(self._microphone)
        pc.on("track", self._tracks.put_nowait)
        pc.on("connectionstatechange", self._state)
        bind_addresses(pc, ("127.0.0.1",))
        await pc.setLocalDescription(await pc.createOffer())
        try:
            async with asyncio.timeout(CONNECT_S):
                await pc.setRemoteDescription(await self._answer(url, pc.localDescription))
                tap(pc.getTransceivers()[0].receiver, self._arrived, keep_buffer=self._stock)
                await self._connected.wait()
                while self._channel.readyState != "open":
                    await self._next_news()
        except (TimeoutError, httpx.HTTPError) as error:
            raise WireError(f"the call could not be placed: {error or type(error).__name__}") from error
        if pc.connectionState != "connected":
            raise WireError(f"the call could not be placed: the connection is {pc.connectionState}")

    async def _answer(self, url: str, offer: RTCSessionDescription) -> RTCSessionDescription:
        async with httpx.AsyncClient(timeout=CONNECT_S) as http:
            response = await http.post(url + "offer", json={"sdp": offer.sdp, "type": offer.type})
        response.raise_for_status()
        answer = response.json()
        self.session_id = answer["session_id"]
        return RTCSessionDescription(answer["sdp"], answer["type"])

    async def listen(self) -> None:
        """Until cancelled or the call ends: note when aiortc hands each frame over."""
        track = await self._tracks.get()
        origin: int | None = None
        while self._stock:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            # aiortc counts pts from the first packet that it decoded, which is the first to arrive.
            if origin is None and self._packets:
                origin = self._packets[0].timestamp - (frame.pts or 0)
            self._handed[((origin or 0) + (frame.pts or 0)) & 0xFFFFFFFF] = self.clock.now_us()

    async def close(self) -> None:
        await self._pc.close()

    def _state(self) -> None:
        if self._pc.connectionState in ("connected", "failed", "closed"):
            self._connected.set()

    def _arrived(self, packet: RtpPacket) -> None:
        self._packets.append(Packet(packet.timestamp, self.clock.now_us(), packet.payload))

    # ── talking ──────────────────────────────────────────────────────────────────────────

    async def say(self, pcm: Pcm) -> Utterance:
        """Say it, and return once its last sample has been captured. Raises `WireError` when nobody takes it."""
        said = self._microphone.say(pcm)
        try:
            async with asyncio.timeout(len(pcm) / 48_000 + BROKEN_S):
                await said.done.wait()
        except TimeoutError as error:
            raise WireError(f"a call broke off: its connection is {self._pc.connectionState}") from error
        return said

    def send(self, type_: str, **payload: Any) -> str:
        """Send a command; the id under which it will be on the timeline."""
        event_id = uuid.uuid4().hex
        seen = {"seen_seq": self.messages[-1]["seq"] if self.messages else 0}
        self._channel.send(json.dumps({"event_id": event_id, "type": type_, "payload": seen | payload}))
        return event_id

    async def compare_clocks(self) -> None:
        """Send a setting that is what it was, a few times, and see when it is recorded."""
        for _ in range(PINGS):
            sent_us = self.clock.now_us()
            event_id = self.send("settings.changed", changes={"browser.vad": True})
            self._pings[event_id] = sent_us
            await self.until(partial(_is, event_id), PING_S)
            await asyncio.sleep(0.03)

    def heard(self) -> Heard:
        """Everything received so far, decoded."""
        return rebuild(self._packets, self._handed)

    # ── the timeline ─────────────────────────────────────────────────────────────────────

    @property
    def position(self) -> int:
        """Where `until` has to begin to see only what comes from now on."""
        return len(self.messages)

    async def until(
        self, wanted: Callable[[Message], bool], timeout_s: float, since: int | None = None
    ) -> Message | None:
        """The first message from `since` (default: now) on that is wanted; None when none comes."""
        index = self.position if since is None else since
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    while index < len(self.messages):
                        message = self.messages[index]
                        index += 1
                        if wanted(message):
                            return message
                    await self._next_news()
        except TimeoutError:
            return None

    async def _next_news(self) -> None:
        self._news.clear()
        await self._news.wait()

    def _message(self, text: str) -> None:
        now_us = self.clock.now_us()
        message: Message = json.loads(text)
        if "seq" in message:
            message["client_us"] = now_us
            self.clocks.received(now_us, message["now_us"])
            sent_us = self._pings.pop(message["event_id"], None)
            if sent_us is not None:
                self.clocks.sent(sent_us, message["now_us"])
            self.messages.append(message)
        self._news.set()


def _is(event_id: str, message: Message) -> bool:
    return bool(message["event_id"] == event_id)


@asynccontextmanager
async def called(url: str, clock: Clock, *, stock: bool, compare: bool = True) -> AsyncIterator[Caller]:
    """A call that is up; hung up at the end. `compare`: its clock with the session's, at both ends."""
    caller = Caller(clock, stock=stock)
    try:
        async with asyncio.TaskGroup() as tasks:
            await caller.connect(url)
            listening = tasks.create_task(caller.listen(), name="listen")
            if compare:
                await caller.compare_clocks()
            yield caller
            if compare:
                await caller.compare_clocks()
            listening.cancel()
    finally:
        await caller.close()
