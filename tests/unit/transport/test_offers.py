"""Offers that become a call, and those that cannot."""

import asyncio
import time

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection

from agent.errors import SettingsError, WireError
from agent.settings import Server, Settings
from agent.transport import webrtc
from agent.transport.peers import PeerTable
from agent.transport.webrtc import ice_servers
from tests.unit.transport.webrtc_client import DEFAULTS, Client, answer, real_time


async def refused(offer, fakes):
    sessions = fakes.Sessions()
    async with PeerTable(16) as table:
        with pytest.raises(WireError) as caught:
            await answer(offer, sessions, DEFAULTS, table)
    assert not sessions.live
    return str(caught.value)


def test_offers_that_cannot_become_a_call(fakes):
    async def main():
        client = Client()
        good = await client.offer()
        await client.close()
        video = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        video.addTransceiver("video")
        await video.setLocalDescription(await video.createOffer())
        only_video = video.localDescription.sdp
        await video.close()
        cases = {
            "": "not SDP",
            "hello": "not SDP",
            "v=0\r\nm=\r\n": "",
            "v=0\r\nm=audio x y z\r\n": "",
            only_video: "no audio",
            good.replace("opus/48000", "speex/16000"): "no Opus",
            good.replace("a=sendrecv", "a=sendonly"): "sendonly",
            good.replace("a=rtcp-mux\r\n", ""): "rtcp-mux",
            "\r\n".join(x for x in good.splitlines() if "fingerprint" not in x): "fingerprint",
            "\r\n".join(x for x in good.splitlines() if "ice-pwd" not in x): "ice-pwd",
            good.replace("a=mid:1", "a=mid:0"): "a=mid",
        }
        for offer, words in cases.items():
            assert words in await refused(offer, fakes)

    asyncio.run(main())


def test_audio_with_video_and_hidden_addresses_is_answered_at_once(fakes):
    async def body(table):
        sessions = fakes.Sessions()
        client = Client()
        client.pc.addTransceiver("video", direction="sendrecv")
        offer = await client.offer()
        hidden = "a=candidate:1 1 udp 2113937151 9b36eaac-bb2e-49bb-bb78-21c41c499900.local 50000 typ host generation 0"
        offer = "\r\n".join(hidden if x.startswith("a=candidate") else x for x in offer.splitlines()) + "\r\n"
        began = time.monotonic()
        peer = await answer(offer, sessions, Settings(), table)
        print(f"\nanswered in {1_000 * (time.monotonic() - began):.0f} ms")
        table.start(peer)
        await client.accept(peer.answer_sdp)
        await fakes.until(lambda: client.pc.connectionState == "connected")
        assert "a=inactive" in peer.answer_sdp
        await client.close()
        await fakes.until(lambda: not sessions.live)

    real_time(body)


def test_a_caller_that_never_comes_is_released(fakes, monkeypatch):
    monkeypatch.setattr(webrtc, "CONNECT_S", 0.2)

    async def body(table):
        sessions = fakes.Sessions()
        client = Client()
        peer = await answer(await client.offer(), sessions, Settings(), table)
        table.start(peer)
        await fakes.until(lambda: not sessions.live)
        assert "did not connect" in sessions.left[0][1]
        await client.close()

    real_time(body)


def test_addresses_of_another_machine_are_a_settings_error(fakes):
    async def body(table):
        client, sessions = Client(), fakes.Sessions()
        settings = Settings(server=Server(ice_addresses=("192.0.2.1",)))
        with pytest.raises(SettingsError, match="ice_addresses"):
            await answer(await client.offer(), sessions, settings, table)
        assert not sessions.live
        await client.close()

    real_time(body)


def test_ice_servers():
    stun, turn = ice_servers(["stun:stun.example.org:3478", "turn:me:secret@turn.example.org:3478"])
    assert stun.urls == "stun:stun.example.org:3478"
    assert (turn.urls, turn.username, turn.credential) == ("turn:turn.example.org:3478", "me", "secret")
    for bad in ("http://x", "turn:me@host:1", "stun:", "x"):
        with pytest.raises(SettingsError, match="ice_servers"):
            ice_servers([bad])
