"""A caller of a WebRTC peer: a real aiortc client over loopback."""

import asyncio
import fractions
import json
import time
from contextlib import asynccontextmanager

import numpy as np
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame

from agent.settings import Settings
from agent.transport.arrival import Wish, arrive
from agent.transport.peers import PeerTable
from agent.transport.webrtc import WebRtcPeer

DEFAULTS = Settings()


class Tone(MediaStreamTrack):
    """A microphone: silence, then 440 Hz from `onset` on; notes when it began."""

    kind = "audio"

    def __init__(self):
        super().__init__()
        self.n, self.began, self.loud = 0, None, False
        self.t0 = time.monotonic()
        self.onset = None

    async def recv(self):
        if self.readyState != "live":
            raise MediaStreamError
        await asyncio.sleep(max(0, self.t0 + self.n * 0.02 - time.monotonic()))
        pcm = np.zeros(960, np.int16)
        if self.loud:
            self.onset = self.onset or time.monotonic()
            pcm[:] = 8_000 * np.sin(2 * np.pi * 440 * (np.arange(960) + 960 * self.n) / 48_000)
        frame = AudioFrame.from_ndarray(pcm[None, :], layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, self.n * 960, fractions.Fraction(1, 48_000)
        self.n += 1
        return frame


class Client:
    """A caller with microphone and data channel, each of which may be left out."""

    def __init__(self, microphone=True, label="events"):
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.mic = Tone() if microphone else None
        self.messages, self.levels = [], []
        if label:
            self.channel = self.pc.createDataChannel(label)
            self.channel.on("message", lambda text: self.messages.append(json.loads(text)))
        if microphone:
            self.pc.addTrack(self.mic)
        else:
            self.pc.addTransceiver("audio", direction="recvonly")
        self.pc.on("track", self._listen)
        self.connected = asyncio.Event()
        self.pc.on("connectionstatechange", self._state)
        self.ears = []

    def _state(self):
        if self.pc.connectionState == "connected":
            self.connected.set()

    def _listen(self, track):
        self.ears.append(asyncio.ensure_future(self._hear(track)))

    async def _hear(self, track):
        try:
            while True:
                frame = await track.recv()
                self.levels.append((time.monotonic(), float(np.abs(frame.to_ndarray()).max())))
        except MediaStreamError:
            return

    async def offer(self):
        await self.pc.setLocalDescription(await self.pc.createOffer())
        return self.pc.localDescription.sdp

    async def accept(self, answer):
        await self.pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))

    async def close(self):
        await self.pc.close()
        for ear in self.ears:
            ear.cancel()

    def types(self):
        return [message["type"] for message in self.messages]


async def answer(offer, sessions, settings, table, wish=None):
    return await WebRtcPeer.answer(offer, sessions, settings, table, lambda: arrive(sessions, wish or Wish()))


@asynccontextmanager
async def connected(sessions, table, settings=DEFAULTS, wish=None, **kwargs):
    client = Client(**kwargs)
    try:
        peer = await answer(await client.offer(), sessions, settings, table, wish)
        table.start(peer)
        await client.accept(peer.answer_sdp)
        async with asyncio.timeout(10):
            await client.connected.wait()
        yield client, peer, sessions.calls[peer.session_id]
    finally:
        await client.close()


def real_time(body, seconds=15):
    async def main():
        async with asyncio.timeout(seconds), PeerTable(16) as table:
            await body(table)

    asyncio.run(main())
