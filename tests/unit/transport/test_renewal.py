"""A session token is renewed while its connection lasts, over every transport."""

import json

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from agent.settings import Settings
from agent.transport import sse, webrtc, websocket
from agent.transport.reception import Reception
from tests.unit.transport.serving import KEY, reading, served
from tests.unit.transport.test_scopes import begun, minted, next_text, socket

HOUR_S = 3_600
SETTINGS = Settings.model_validate({"sessions": {"token_h": 1}})


@pytest.fixture
def now_s(monkeypatch):
    """The time by which tokens are judged; connections are looked at many times a second."""
    now = [1_000.0]
    monkeypatch.setattr(Reception, "now_s", lambda self: now[0])
    for module, name in ((sse, "HEARTBEAT_S"), (webrtc, "CHECK_S"), (websocket, "CHECK_S")):
        monkeypatch.setattr(module, name, 0.02)
    return now


def renewed(messages):
    return [message["payload"]["token"] for message in messages if message["type"] == "token"]


def test_over_server_sent_events_and_the_one_that_ends_at_its_time_is_not(fakes, now_s):
    async def body(client, app):
        hello, own = await begun(client)
        link = await minted(client, hello, "watch", 2 * HOUR_S)
        async with (
            reading(client, hello["events"], **own) as reader,
            reading(client, hello["events"], Session_Token=link["token"]) as guest,
        ):
            beats = reader.beats
            await fakes.until(lambda: reader.beats > beats + 3)
            assert not renewed(reader.messages), "it lasts long enough"
            now_s[0] += 0.5 * HOUR_S
            await fakes.until(lambda: renewed(reader.messages))
            beats = guest.beats
            await fakes.until(lambda: guest.beats > beats + 3)
            [token] = renewed(reader.messages)
            assert not renewed(guest.messages)
            assert KEY.check(token, now_s[0]).expires_s == now_s[0] + HOUR_S
            assert KEY.check(token, 0).name == KEY.check(hello["token"], 0).name, "revoked as one"
            now_s[0] += 0.75 * HOUR_S
            assert (await client.get(hello["events"], headers=own)).status_code == 403
            await fakes.until(lambda: len(renewed(reader.messages)) == 2)

    served(body, fakes.Sessions(), SETTINGS)


def test_over_a_websocket(fakes, now_s):
    async def body(client, app):
        hello, _ = await begun(client)
        async with socket(client, hello["token"]) as (connected, _):
            now_s[0] += 0.6 * HOUR_S
            told = await next_text(connected)
            assert KEY.check(*renewed([told]), now_s[0]).expires_s == now_s[0] + HOUR_S

    served(body, fakes.Sessions(), SETTINGS)


def test_over_a_data_channel(fakes, now_s):
    async def body(client, app):
        pc, messages = RTCPeerConnection(RTCConfiguration(iceServers=[])), []
        pc.createDataChannel("events").on("message", lambda text: messages.append(json.loads(text)))
        pc.addTransceiver("audio", direction="recvonly")
        await pc.setLocalDescription(await pc.createOffer())
        answer = (await client.post("/offer", json={"sdp": pc.localDescription.sdp, "type": "offer"})).json()
        try:
            await pc.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))
            await fakes.until(lambda: messages)
            now_s[0] += 0.6 * HOUR_S
            await fakes.until(lambda: renewed(messages))
            assert KEY.check(*renewed(messages), now_s[0]).expires_s == now_s[0] + HOUR_S
        finally:
            await pc.close()

    served(body, fakes.Sessions(), SETTINGS)
