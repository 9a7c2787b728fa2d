"""The call over a WebSocket: a real server and a real client on loopback."""

import asyncio
import json
import socket
from contextlib import asynccontextmanager, suppress
from itertools import count
from urllib.parse import urlsplit

import numpy as np
import pytest
import websockets

from agent.conversation.events import ControlStop, DeviceJoined, DeviceLeft, Fault, PlaybackMark, Played, TextInput
from agent.settings import Limits, Server, Settings
from agent.transport import websocket
from agent.transport.http import create_app
from agent.transport.peers import TOO_SLOW, goodbye
from agent.transport.server import serve


class Ear:
    """Sorts what comes down."""

    def __init__(self, socket):
        self.socket, self.messages, self.frames = socket, [], []

    async def listen(self):
        with suppress(websockets.ConnectionClosed):
            async for message in self.socket:
                if isinstance(message, str):
                    self.messages.append(json.loads(message))
                else:
                    self.frames.append(np.frombuffer(message, "<i2"))

    def types(self):
        return [message["type"] for message in self.messages]


def run(body, sessions, settings=None):
    async def main():
        app = create_app(sessions, settings or Settings())
        ready = asyncio.get_running_loop().create_future()
        async with asyncio.timeout(15), asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(serve(app, Server(port=0), ready.set_result))
            try:
                await body((await ready).replace("http:", "ws:") + "ws", app)
            finally:
                serving.cancel()

    asyncio.run(main())


@asynccontextmanager
async def connected(url, **kwargs):
    async with websockets.connect(url, proxy=None, **kwargs) as socket, asyncio.TaskGroup() as tasks:
        ear = Ear(socket)
        listening = tasks.create_task(ear.listen())
        try:
            yield ear
        finally:
            await socket.close()
            listening.cancel()


def test_a_call_end_to_end(fakes):
    sessions = fakes.Sessions()

    async def body(url, app):
        async with connected(url) as ear:
            await fakes.until(lambda: ear.frames)
            hello = ear.messages[0]
            assert hello["type"] == "hello"
            assert (hello["payload"]["playout_rate"], hello["payload"]["hearing_rate"]) == (48_000, 16_000)
            call = sessions.calls[hello["payload"]["session_id"]]
            assert isinstance(call.posted[0], DeviceJoined)
            assert call.posted[0].transport == "websocket"

            pcm = np.arange(1_600, dtype="<i2")
            await ear.socket.send(pcm.tobytes())
            await ear.socket.send(pcm[:33].tobytes())
            await ear.socket.send(fakes.command("text.input", text="hi"))
            await ear.socket.send("garbage")
            await ear.socket.send(b"odd")
            await ear.socket.send(bytes(3_202))
            await fakes.until(lambda: ear.types().count("error") == 3)
            assert np.array_equal(np.concatenate([part for _, part in call.heard]), np.concatenate([pcm, pcm[:33]]))
            assert isinstance(call.posted[1], TextInput)

            call.playing = True
            await call.record(Fault(event_id="e1", source="test", code="x", message="grüße"))
            await fakes.until(lambda: np.abs(ear.frames[-1]).max() > 4_000 and "error" in ear.types()[4:])
            assert {frame.shape for frame in ear.frames} == {(960,)}
            peer = next(iter(app.state.peers._peers.values()))
            print(f"\nplayout over a WebSocket: {peer.playout_jitter()}")
        await fakes.until(lambda: not sessions.live)

    run(body, sessions)


def test_refusals(fakes):
    sessions = fakes.Sessions(limit=1)

    async def body(url, app):
        for query, headers in (("", {}), ("?token=wrong", {}), ("?token=t", {"Origin": "https://evil.example"})):
            with pytest.raises(websockets.InvalidStatus) as caught:
                async with connected(url + query, additional_headers=headers):
                    pass
            assert caught.value.response.status_code == 403
        async with connected(url + "?token=t") as first, connected(url + "?token=t") as second:
            await fakes.until(lambda: second.types() == ["error"])
            assert second.messages[0]["payload"]["code"] == "limit"
            await fakes.until(lambda: second.socket.close_code == 1013)
            await fakes.until(lambda: first.types() == ["hello"])

    run(body, sessions, Settings(server=Server(token="t")))  # noqa: S106


def test_what_waited_in_the_network_is_taken_at_once(fakes):
    sessions = fakes.Sessions()

    async def body(url, app):
        async with connected(url) as back:
            await fakes.until(lambda: back.messages)
            call = sessions.calls[back.messages[0]["payload"]["session_id"]]
            for _ in range(100):
                await back.socket.send(bytes(3_200))
            await fakes.until(lambda: sum(pcm.size for _, pcm in call.heard) == 160_000)
            assert "error" not in back.types()

    run(body, sessions)


def test_too_much_is_the_end_of_that_call(fakes):
    sessions = fakes.Sessions()

    async def body(url, app):
        async with connected(url) as flooding, connected(url) as big, connected(url) as good:
            await fakes.until(lambda: good.messages and big.messages and flooding.messages)
            for _ in range(200):
                await flooding.socket.send(bytes(3_200))
            await fakes.until(lambda: flooding.socket.close_code is not None)
            await big.socket.send("x" * 10_000_000)
            await fakes.until(lambda: big.socket.close_code is not None)
            await fakes.until(lambda: len(sessions.live) == 1)
            assert good.messages[0]["payload"]["session_id"] in sessions.live

    run(body, sessions)


def test_a_reader_who_does_not_read_is_let_go_and_stalls_nobody(fakes, monkeypatch):
    monkeypatch.setattr(websocket, "SEND_S", 0.5)
    sessions = fakes.Sessions()

    async def body(url, app):
        async with connected(url) as good:
            await fakes.until(lambda: good.messages)
            hello = good.messages[0]["payload"]
            call, member = sessions.calls[hello["session_id"]], f"{url}?session_token={hello['token']}"
            stuck = socket.socket()
            stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            stuck.connect(("127.0.0.1", urlsplit(url).port))
            query = {"sock": stuck, "proxy": None, "max_queue": 1, "close_timeout": 0.1, "compression": None}
            async with websockets.connect(f"{member}&device_id=stuck-reader", **query):
                await fakes.until(lambda: len(app.state.peers) == 2)
                for number in range(200):
                    await call.record(Fault(event_id=f"e{number}", source="test", code="x", message="y" * 50_000))
                    await fakes.until(lambda seq=number: len(good.messages) > seq + 1, 1)
                await fakes.until(lambda: len(app.state.peers) == 1)
            [left] = [fact for fact in call.posted if isinstance(fact, DeviceLeft)]
            assert (left.device_id, left.reason) == ("stuck-reader", TOO_SLOW)
            assert json.loads(goodbye(left.reason, for_good=False))["payload"]["again"] is True
            async with connected(f"{member}&device_id=stuck-reader&session_seen=0:150") as back:
                await fakes.until(lambda: len(back.messages) == 51)
                assert [message["seq"] for message in back.messages[1:]] == list(range(151, 201))

    run(body, sessions)


def test_what_was_sent_behind_the_last_sign_of_life_was_not_heard(fakes, monkeypatch):
    monkeypatch.setattr(websocket, "LOST_US", 300_000)
    monkeypatch.setattr(websocket, "CHECK_S", 3_600)
    sessions = fakes.Sessions()

    async def body(url, app):
        clock = app.state.peers.clock
        async with connected(url) as ear:
            await fakes.until(lambda: ear.frames)
            [peer] = app.state.peers._peers.values()
            call = sessions.calls[peer.session_id]
            call.place = lambda: ("r1", clock.now_us() * 48 // 1_000)
            call.playing, begun = True, call.frames
            await fakes.until(lambda: call.frames > begun + 60)
            assert peer._last_audible() is None, "it never said that it would be heard of"
            await ear.socket.send(fakes.command("heartbeat"))
            await fakes.until(lambda: peer.device.beats)
            assert peer._last_audible() is None, "it was here just now"
            peer.device.heard_us = clock.now_us() - 500_000
            played = peer._last_audible()
            assert played.reply_id == "r1"
            assert 400 <= clock.now_us() / 1_000 - played.sample / 48 <= 700
            peer.give_way()
            await fakes.until(lambda: isinstance(call.posted[-1], DeviceLeft))
            assert call.posted[-1].played.reply_id == "r1"

    run(body, sessions)


def test_a_cut_says_how_many_samples_of_what_was_sent_had_been_played(fakes):
    sessions = fakes.Sessions()

    async def body(url, app):
        async with connected(url) as ear:
            await fakes.until(lambda: ear.frames)
            [peer] = app.state.peers._peers.values()
            call = sessions.calls[peer.session_id]
            await fakes.until(lambda: len(ear.frames) > 5)
            begun, sample = len(ear.frames), count(0, 960)
            call.place, call.playing = lambda: ("r1", next(sample)), True
            await fakes.until(lambda: len(ear.frames) > begun + 30)
            first = next(at for at, frame in enumerate(ear.frames) if frame.any()) * 960
            await call.record(PlaybackMark(event_id="e1", source="core", reply_id="r1", sample=0))
            mark = await fakes.until(lambda: next((m for m in ear.messages if m["type"] == "playback.mark"), None))
            assert first + 20 * 960 < mark["rtp_timestamp"] < len(ear.frames) * 960
            cut = fakes.command("device.cut", rtp_timestamp=first + 4_810, measured="player")
            ahead = fakes.command("control.stop", 2, rtp_timestamp=first + 480_000, measured="player")
            for message in (cut, ahead):
                await ear.socket.send(message)
            await fakes.until(lambda: isinstance(call.posted[-1], ControlStop))
            assert call.posted[-2].played == Played("r1", 4_810, "player")
            assert call.posted[-1].played is None, "nobody plays what was not sent"

    run(body, sessions)


def test_silence_of_the_device_and_goodbye(fakes):
    sessions = fakes.Sessions()

    async def body(url, app):
        async with connected(url) as silent:
            await fakes.until(lambda: silent.socket.close_code == 1000)
            assert silent.messages[-1]["type"] == "connection.closed"
            assert "vanished" in silent.messages[-1]["payload"]["reason"]
        async with connected(url) as ear:
            await fakes.until(lambda: ear.messages)
            await app.state.peers.close("the server is shutting down")
            await fakes.until(lambda: "connection.closed" in ear.types())
        assert not sessions.live

    run(body, sessions, Settings(limits=Limits(silent_peer_s=1.0)))
