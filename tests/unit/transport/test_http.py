"""The HTTP side: signalling, limits, errors, the page. Most of it without a network."""

import asyncio
import json
import socket
from contextlib import asynccontextmanager

import httpx
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from agent.conversation.events import DeviceJoined, DeviceLeft
from agent.errors import SessionHeld, SettingsError
from agent.settings import Limits, Server, Settings
from agent.transport.http import create_app
from agent.transport.server import UNREAD_S, listen, serve
from agent.transport.session_token import TokenKey

BASE = "http://localhost:8700"


@asynccontextmanager
async def client_of(app):
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
            yield client


@asynccontextmanager
async def caller():
    """A bench client: microphone track left out, a data channel that it never reads."""
    pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    pc.createDataChannel("text")
    pc.addTransceiver("audio", direction="recvonly")
    await pc.setLocalDescription(await pc.createOffer())
    try:
        yield pc
    finally:
        await pc.close()


def run(body, sessions, settings=None, seconds=15, **kwargs):
    async def main():
        app = create_app(sessions, settings or Settings(), **kwargs)
        async with asyncio.timeout(seconds), client_of(app) as client:
            await body(client, app)

    asyncio.run(main())


def error_of(response):
    error = response.json()["error"]
    assert set(error) == {"code", "message"}
    assert error["message"]
    return error["code"]


SDP = {"Content-Type": "application/sdp"}


def test_a_call_by_sdp_and_its_hang_up(fakes):
    sessions = fakes.Sessions()

    async def body(client, app):
        async with caller() as pc:
            response = await client.post("/calls", content=pc.localDescription.sdp, headers=SDP)
            assert response.status_code == 201
            assert response.headers["content-type"] == "application/sdp"
            location = response.headers["location"]
            await pc.setRemoteDescription(RTCSessionDescription(response.text, "answer"))
            await fakes.until(lambda: pc.connectionState == "connected")
            await fakes.until(lambda: sessions.calls["session-1"].posted)
            assert (await client.delete(location)).status_code == 204
            assert sessions.closed == [("session-1", "hung up")]
            assert len(app.state.peers) == 0
            posted = sessions.calls["session-1"].posted
            assert [type(fact) for fact in posted] == [DeviceJoined, DeviceLeft]
            gone = await client.delete(location)
            assert (gone.status_code, error_of(gone)) == (404, "http.404")

    run(body, sessions)


def test_a_call_by_json(fakes):
    sessions = fakes.Sessions()

    async def body(client, app):
        async with caller() as pc:
            offer = {"sdp": pc.localDescription.sdp, "type": "offer", "webrtc_id": "ignored"}
            answer = (await client.post("/offer", json=offer)).json()
            await pc.setRemoteDescription(RTCSessionDescription(answer["sdp"], answer["type"]))
            await fakes.until(lambda: pc.connectionState == "connected")
            assert answer["session_id"] in sessions.live
        await fakes.until(lambda: not sessions.live)

    run(body, sessions)


def test_fifty_offers_at_once(fakes):
    sessions = fakes.Sessions(limit=3)

    async def body(client, app):
        async with caller() as pc:
            sdp = pc.localDescription.sdp
            posts = [client.post("/calls", content=sdp, headers=SDP) for _ in range(50)]
            responses = await asyncio.gather(*posts)
            assert sorted(response.status_code for response in responses) == [201] * 3 + [503] * 47
            refused = next(response for response in responses if response.status_code == 503)
            assert error_of(refused) == "limit"
            assert int(refused.headers["retry-after"]) > 0
            await app.state.peers.close("enough")
            assert not sessions.live
            late = await client.post("/calls", content=sdp, headers=SDP)
            assert (late.status_code, error_of(late)) == (503, "limit")

    run(body, sessions)


def test_who_comes_back_to_a_session_of_another_process_is_to_come_again(fakes):
    class Elsewhere(fakes.Sessions):
        async def join(self, session_id, owner, *, wakes):
            raise SessionHeld("another process has it")

    sessions, key = Elsewhere(), TokenKey(bytes(32))

    async def body(client, app):
        async with caller() as pc:
            token = {"Session-Token": key.issue("s1", 0, 10**11)}
            response = await client.post("/calls", content=pc.localDescription.sdp, headers=SDP | token)
            assert (response.status_code, error_of(response)) == (503, "session.held")
            assert int(response.headers["retry-after"]) > 0
            assert not sessions.opened
            assert len(app.state.peers) == 0

    run(body, sessions, key=key)


def test_hostile_requests(fakes):
    sessions = fakes.Sessions()

    async def endless():
        for _ in range(1_000):
            yield b"x" * 10_000

    async def body(client, app):
        cases = [
            (await client.post("/calls", content="hello", headers=SDP), 400, "wire"),
            (await client.post("/calls", content=b"\xff\xfe", headers=SDP), 400, "wire"),
            (await client.post("/calls", content="v=0", headers={"Content-Type": "text/plain"}), 415, "http.415"),
            (await client.post("/calls", content=b"x" * 10_000_000, headers=SDP), 413, "http.413"),
            (await client.post("/calls", content=endless(), headers=SDP), 413, "http.413"),
            (await client.post("/offer", content="{"), 400, "wire"),
            (await client.post("/offer", json={"sdp": 1}), 400, "wire"),
            (await client.post("/offer", json={"sdp": "v=0", "type": "answer"}), 400, "wire"),
            (await client.post("/offer", json={"sdp": "v=0\n" * 20_000, "type": "offer"}), 413, "http.413"),
            (await client.post("/offer", json={"sdp": "v=0", "type": "offer"}), 400, "wire"),
            (await client.get("/nothing"), 404, "http.404"),
            (await client.put("/offer"), 405, "http.405"),
            (await client.post("/calls", headers=SDP | {"Origin": "https://evil.example"}), 403, "origin"),
            (await client.get("/healthz?playout_s=-1"), 400, "wire"),
            (await client.get("/healthz?playout_s=1.5"), 400, "wire"),
            (await client.get("/healthz?playout_s=" + "9" * 5_000), 400, "wire"),
            (await client.get("/healthz", headers={"Host": "evil.example"}), 421, "host"),
        ]
        for response, status, code in cases:
            assert (response.status_code, error_of(response)) == (status, code)
        assert not sessions.calls

    run(body, sessions)


def test_config_and_settings(fakes):
    saved = []

    def save(changes):
        saved.append(changes)
        if changes.get("vad.onset_ms") == 0:
            raise SettingsError("vad.onset_ms is 0; it must be at least 10")
        return Settings(vad={"onset_ms": 90})

    async def body(client, app):
        config = (await client.get("/config.json")).json()
        assert config["vad"]["onset_ms"] == 60
        assert config["engines"]["asr"] == "pocketsphinx"
        assert config["ice_servers"] == [{"urls": "turn:t.example:1", "username": "u", "credential": "p"}]
        assert config["english_only"] is True
        assert set(config) >= {"browser", "endpointing", "interruption", "tts", "limits", "version"}
        assert (await client.put("/settings", json={"vad.onset_ms": 90})).json() == {"saved": ["vad.onset_ms"]}
        assert (await client.get("/config.json")).json()["vad"]["onset_ms"] == 90
        refused = await client.put("/settings", json={"vad.onset_ms": 0})
        assert (refused.status_code, error_of(refused)) == (422, "settings")
        for bad in ({"server.token": "x"}, {"vad.engine": "os:system"}, [1], {"vad.onset_ms": None}):
            response = await client.put("/settings", json=bad)
            assert (response.status_code, error_of(response)) == (400, "wire")
        assert len(saved) == 2

    run(body, fakes.Sessions(), Settings(server=Server(ice_servers=("turn:u:p@t.example:1",))), save=save)


def test_settings_without_a_file(fakes):
    async def body(client, app):
        response = await client.put("/settings", json={"vad.onset_ms": 90})
        assert (response.status_code, error_of(response)) == (409, "http.409")

    run(body, fakes.Sessions())


def test_the_page_and_its_headers(fakes, tmp_path):
    for name in ("index.html", "main.js", "style.css", "beep.wav"):
        (tmp_path / name).write_text(name)

    async def body(client, app):
        kinds = {
            "/": "text/html; charset=utf-8",
            "/main.js": "text/javascript; charset=utf-8",
            "/style.css": "text/css; charset=utf-8",
            "/beep.wav": "audio/wav",
        }
        for path, kind in kinds.items():
            response = await client.get(path)
            assert response.status_code == 200
            assert response.headers["content-type"] == kind
            assert response.headers["cache-control"] == "no-cache"
            assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
            assert response.headers["x-content-type-options"] == "nosniff"
            assert "microphone=(self)" in response.headers["permissions-policy"]
        assert (await client.get("/../conftest.py")).status_code == 404
        assert (await client.get("/%2e%2e/%2e%2e/etc/passwd")).status_code == 404

    run(body, fakes.Sessions(), web=tmp_path)


def test_pages_of_other_origins_that_settings_allow(fakes):
    async def body(client, app):
        origin = {"Origin": "https://talk.example.org"}
        preflight = await client.options("/calls", headers=origin)
        assert preflight.status_code == 204
        assert preflight.headers["access-control-allow-origin"] == "https://talk.example.org"
        response = await client.get("/config.json", headers=origin)
        assert response.headers["access-control-allow-origin"] == "https://talk.example.org"
        assert "access-control-allow-origin" not in (await client.get("/config.json")).headers

    run(body, fakes.Sessions(), Settings(server=Server(origins=("https://talk.example.org",))))


def test_others_need_a_token(fakes):
    open_to_all = Server(host="0.0.0.0")  # noqa: S104
    with pytest.raises(SettingsError, match=r"server\.token"):
        create_app(fakes.Sessions, Settings(server=open_to_all))

    async def body(client, app):
        refused = await client.get("/config.json")
        assert (refused.status_code, error_of(refused)) == (401, "token")
        assert (await client.get("/config.json", headers={"Authorization": "Bearer secret"})).status_code == 200
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.get("/healthz?playout_s=20")).json() == {"ok": True, "sessions": 0, "playout": []}

    run(body, fakes.Sessions(), Settings(server=Server(host="0.0.0.0", token="secret")))  # noqa: S104, S106


def test_an_unforeseen_failure_is_json_too(fakes):
    class Broken:
        async def open(self, owner):
            raise ZeroDivisionError

    async def main():
        app = create_app(Broken(), Settings())
        async with app.router.lifespan_context(app), caller() as pc:
            transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
                response = await client.post("/calls", content=pc.localDescription.sdp, headers=SDP)
                assert (response.status_code, error_of(response)) == (500, "internal")

    asyncio.run(main())


def test_a_port_in_use_names_the_way_out():
    with listen("127.0.0.1", 0) as first, pytest.raises(SettingsError, match=r"--set server\.port=0"):
        listen("127.0.0.1", first.getsockname()[1])
    with pytest.raises(SettingsError, match="cannot be listened on"):
        listen("192.0.2.1", 0)


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="only Linux can bound this")
def test_a_client_that_reads_nothing_is_not_held_for_ever():
    with listen("127.0.0.1", 0) as listening, socket.create_connection(listening.getsockname()):
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == UNREAD_S * 1_000


def test_nothing_waits_in_this_machine_for_an_acknowledgement():
    with listen("127.0.0.1", 0) as listening, socket.create_connection(listening.getsockname()):
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_headers_without_end_end_the_connection(fakes):
    async def main():
        ready = asyncio.get_running_loop().create_future()
        app = create_app(fakes.Sessions(), Settings())
        serving = asyncio.ensure_future(serve(app, Server(port=0), ready.set_result))
        port = int((await ready).rstrip("/").rpartition(":")[2])
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Long: ")
        with pytest.raises(ConnectionError):
            for _ in range(200):
                writer.write(b"x" * 65_536)
                await writer.drain()
                await asyncio.sleep(0)
        writer.close()
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving

    asyncio.run(asyncio.wait_for(main(), 15))


def test_serving_says_goodbye_when_it_is_stopped(fakes):
    sessions = fakes.Sessions()

    async def main():
        app = create_app(sessions, Settings(limits=Limits()))
        ready = asyncio.get_running_loop().create_future()
        messages = []
        serving = asyncio.ensure_future(serve(app, Server(port=0), ready.set_result))
        url = await ready
        async with caller() as pc, httpx.AsyncClient(base_url=url.replace("localhost", "127.0.0.1")) as client:
            channel = pc.createDataChannel("events")
            channel.on("message", lambda text: messages.append(json.loads(text)["type"]))
            await pc.setLocalDescription(await pc.createOffer())
            answer = (await client.post("/offer", json={"sdp": pc.localDescription.sdp, "type": "offer"})).json()
            await pc.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))
            await fakes.until(lambda: channel.readyState == "open")
            serving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await serving
            assert not sessions.live
            assert "shutting down" in sessions.left[0][1]

    asyncio.run(asyncio.wait_for(main(), 15))
