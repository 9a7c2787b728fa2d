"""A WebRTC call without a data channel, steered over a WebSocket."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest
import websockets
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from agent.conversation.events import DeviceJoined, DeviceLeft, PlaybackMark, TextInput
from tests.unit.transport.serving import served


@asynccontextmanager
async def calling(client, token):
    """A call that carries audio and nothing else; its connection's id."""
    pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    pc.addTransceiver("audio", direction="recvonly")
    await pc.setLocalDescription(await pc.createOffer())
    offer = {"sdp": pc.localDescription.sdp, "type": "offer"}
    headers = {"Session-Token": token, "Device-Id": "laptop-0001"}
    answer = (await client.post("/offer", json=offer, headers=headers)).json()
    try:
        await pc.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))
        yield answer["call"].rpartition("/")[2]
    finally:
        await pc.close()


@asynccontextmanager
async def control(client, token, connection_id):
    url = str(client.base_url).replace("http", "ws", 1) + f"ws?session_token={token}&control={connection_id}"
    async with websockets.connect(url, proxy=None) as socket:
        yield socket, json.loads(await socket.recv())


def test_one_device_over_two_connections(fakes):
    sessions = fakes.Sessions()

    async def body(client, app):
        token = (hello := (await client.post("/sessions")).json())["token"]
        call = sessions.calls[hello["session_id"]]
        async with calling(client, token) as connection_id, control(client, token, connection_id) as (socket, told):
            assert (told["type"], told["payload"]["session_id"]) == ("hello", hello["session_id"])
            assert "playout_rate" not in told["payload"], "no audio comes here"
            await fakes.until(lambda: call.posted)
            await socket.send(fakes.command("text.input", text="hello"))
            await fakes.until(lambda: len(call.posted) == 2)
            joined, said = call.posted
            assert (joined.device_id, joined.transport) == ("laptop-0001", "webrtc")
            assert (type(said), said.source) == (TextInput, "device:laptop-0001")
            await call.record(said)
            assert json.loads(await socket.recv())["type"] == "text.input"
            await call.record(PlaybackMark(event_id="e2", source="core", reply_id="r1", sample=0))
            assert "rtp_timestamp" not in json.loads(await socket.recv()), "of audio that does not come here"
            await socket.send(bytes(640))
            assert "over the call" in json.loads(await socket.recv())["payload"]["message"]
            assert not call.heard
            await socket.close()
            await fakes.until(lambda: len(app.state.peers) == 1)
            assert not any(isinstance(fact, DeviceLeft) for fact in call.posted), "the call goes on"
            async with control(client, token, connection_id) as (again, _):
                await again.close(1000, "hang up")
                await fakes.until(lambda: sessions.closed)
        assert [type(fact) for fact in call.posted] == [DeviceJoined, TextInput, DeviceLeft]

    served(body, sessions)


def test_it_ends_with_its_call_and_steers_no_other(fakes):
    sessions = fakes.Sessions()

    async def body(client, app):
        token, other = [(await client.post("/sessions")).json()["token"] for _ in range(2)]
        async with calling(client, token) as connection_id:
            for who, whom in ((other, connection_id), (token, "nothing"), (token, "")):
                async with control(client, who, whom) as (socket, told):
                    assert (told["type"], told["payload"]["code"]) == ("error", "wire")
                    with pytest.raises(websockets.ConnectionClosed):
                        await socket.recv()
            async with control(client, token, connection_id) as (socket, _):
                assert (await client.delete(f"/calls/{connection_id}?resume=true")).status_code == 204
                last = json.loads(await asyncio.wait_for(socket.recv(), 5))
                assert (last["type"], last["payload"]["reason"]) == ("connection.closed", "its call ended")
        await fakes.until(lambda: not sessions.live)
        assert not sessions.closed

    served(body, sessions)
