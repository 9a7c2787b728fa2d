"""What a session token allows, over every transport."""

import asyncio
import json
from contextlib import asynccontextmanager

import httpx
import pytest
import websockets
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from agent.clock import Clock, run_virtual
from agent.conversation.events import ControlConfirm, DeviceJoined, DeviceLeft
from agent.settings import Limits, Server, Settings
from agent.transport import peers
from agent.transport.device import Device
from agent.transport.reception import Reception
from agent.transport.session_token import INCLUDED, Grant, key_in
from agent.transport.wire import _MAKERS
from tests.unit.transport.serving import KEY, reading, served

PAYLOADS = {
    "text.input": {"text": "hi"},
    "control.talk": {"on": True},
    "control.done": {},
    "control.focus": {},
    "control.stop": {},
    "control.confirm": {"action_id": "a1", "accept": True},
    "device.cut": {},
    "settings.changed": {"changes": {"tts.speed": 1.5}},
    "session.forget": {},
    "heartbeat": {},
    "device.joined": {},
}
NEEDED = dict.fromkeys(PAYLOADS, "talk") | {
    "control.confirm": "confirm",
    "heartbeat": "watch",
    "device.joined": "watch",
}


class Inbox:
    session_id = "s1"

    def __init__(self):
        self.posted = []

    def post(self, fact):
        self.posted.append(fact)


def of(scope):
    return Grant("s1", INCLUDED[scope])


def test_the_list_of_commands_is_whole():
    assert PAYLOADS.keys() == _MAKERS.keys() | {"device.joined"}


@pytest.mark.parametrize("scope", ["talk", "confirm", "watch"])
@pytest.mark.parametrize("type_", PAYLOADS)
def test_a_command_outside_the_scope_changes_nothing_and_is_told_what_it_needs(scope, type_):
    async def main():
        inbox = Inbox()
        device = Device(inbox, "websocket", Limits(), Clock(), grant=of(scope))
        answer = device.receive(json.dumps({"event_id": "command-1", "type": type_, "payload": PAYLOADS[type_]}))
        if NEEDED[type_] in INCLUDED[scope]:
            assert answer is None
            assert len(inbox.posted) == (type_ != "heartbeat")
            return
        error = json.loads(answer)["payload"]
        assert (error["code"], error["event_id"]) == ("session.scope", "command-1")
        assert f"scope {NEEDED[type_]}" in error["message"]
        assert not inbox.posted

    run_virtual(main())


def test_who_watches_has_neither_microphone_nor_speaker_and_is_not_the_user():
    async def main():
        inbox = Inbox()
        device = Device(inbox, "webrtc", Limits(), Clock(), grant=of("confirm"))
        device.join(60)
        said = {"microphone": True, "speaker": True, "time_zone": "Asia/Tokyo", "locale": "ja", "feature": "theirs"}
        device.receive(json.dumps({"event_id": "command-1", "type": "device.joined", "payload": said}))
        assert len(inbox.posted) == 2
        for joined in inbox.posted:
            assert (joined.microphone, joined.speaker, joined.time_zone, joined.feature) == (False, False, "", "")

    run_virtual(main())


# ── over a network ───────────────────────────────────────────────────────────────────────


async def begun(client):
    hello = (await client.post("/sessions")).json()
    return hello, {"Session-Token": hello["token"]}


async def minted(client, hello, scope, valid_s=3_600):
    path = f"/sessions/{hello['session_id']}/tokens"
    answer = await client.post(path, json={"scopes": [scope], "valid_s": valid_s}, headers=_own(hello))
    assert answer.status_code == 201, answer.text
    return answer.json()


def _own(hello):
    return {"Session-Token": hello["token"]}


def error_of(response):
    return (response.status_code, response.json()["error"]["code"])


@asynccontextmanager
async def socket(client, token, **more):
    url = str(client.base_url).replace("http", "ws", 1) + "ws?session_token=" + token
    url += "".join(f"&{name}={value}" for name, value in more.items())
    async with websockets.connect(url, proxy=None) as connected:
        hello = json.loads(await connected.recv())
        yield connected, hello


async def next_text(connected):
    while not isinstance(message := await connected.recv(), str):
        pass
    return json.loads(message)


def test_a_link_to_watch_and_one_to_confirm(fakes):
    sessions = fakes.Sessions()

    async def body(client, app):
        hello, _ = await begun(client)
        call = sessions.calls[hello["session_id"]]
        watch, confirm = await minted(client, hello, "watch"), await minted(client, hello, "confirm")
        assert (watch["scopes"], confirm["scopes"]) == (["watch"], ["confirm", "watch"])
        yes = fakes.command("control.confirm", action_id="a1", accept=True)
        text = fakes.command("text.input", 2, text="send it all to me")
        watching, confirming = ({"Session-Token": link["token"]} for link in (watch, confirm))
        for headers, content in ((watching, yes), (watching, text), (confirming, text)):
            refused = await client.post(hello["commands"], content=content, headers=headers)
            assert error_of(refused) == (403, "session.scope")
        assert sessions.left == [(hello["session_id"], "nobody reads its events yet")], "it was not even taken up"
        async with reading(client, hello["events"], **watching) as reader:
            assert reader.hello["scopes"] == ["watch"]
            assert KEY.check(reader.hello["token"], 0).expires_s == watch["expires_s"], "not a moment longer"
        taken = await client.post(hello["commands"], content=yes, headers=confirming)
        assert taken.status_code == 200
        assert [type(fact) for fact in call.posted if not isinstance(fact, DeviceJoined | DeviceLeft)] == [
            ControlConfirm
        ]
        for wish in ({"scopes": ["talk"]}, {"scopes": ["watch"]}):
            refused = await client.post(f"/sessions/{hello['session_id']}/tokens", json=wish, headers=watching)
            assert error_of(refused) == (403, "session.scope")
        for wish in ({"scopes": []}, {"scopes": ["root"]}, {"valid_s": 0}, {"valid_s": "1"}, {"more": 1}, []):
            refused = await client.post(f"/sessions/{hello['session_id']}/tokens", json=wish, headers=_own(hello))
            assert error_of(refused) == (400, "wire")

    served(body, sessions)


def test_over_a_websocket(fakes):
    sessions = fakes.Sessions()

    async def body(client, app):
        hello, _ = await begun(client)
        call = sessions.calls[hello["session_id"]]
        watch = await minted(client, hello, "watch")
        async with socket(client, hello["token"], device_id="the-owner-1") as (owner, _):
            await fakes.until(lambda: call.posted)
            async with socket(client, watch["token"], device_id="the-owner-1") as (watcher, told):
                assert told["payload"]["scopes"] == ["watch"]
                for message in (bytes(640), fakes.command("text.input", text="hi")):
                    await watcher.send(message)
                    assert (await next_text(watcher))["payload"]["code"] == "session.scope"
                await watcher.close(1000, "hang up")
            await fakes.until(lambda: len(app.state.peers) == 1)
            assert not call.heard
            assert not sessions.closed, "who only watches ends nothing"
            names = [fact.device_id for fact in call.posted if isinstance(fact, DeviceJoined)]
            assert names[0] == "the-owner-1"
            assert names[1] != names[0], "nobody puts out another's device by its name"
            await owner.send(bytes(640))
            await fakes.until(lambda: call.heard)

    served(body, sessions)


def test_over_webrtc(fakes):
    sessions = fakes.Sessions()

    async def body(client, app):
        hello, _ = await begun(client)
        call = sessions.calls[hello["session_id"]]
        watch = await minted(client, hello, "watch")
        pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        channel, messages = pc.createDataChannel("events"), []
        channel.on("message", lambda text: messages.append(json.loads(text)))
        pc.addTransceiver("audio", direction="sendrecv")
        await pc.setLocalDescription(await pc.createOffer())
        offer = {"sdp": pc.localDescription.sdp, "type": "offer"}
        answer = (await client.post("/offer", json=offer, headers={"Session-Token": watch["token"]})).json()
        try:
            await pc.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))
            await fakes.until(lambda: messages and channel.readyState == "open")
            assert messages[0]["payload"]["scopes"] == ["watch"]
            [joined] = call.posted
            assert (joined.microphone, joined.speaker) == (False, False)
            channel.send(fakes.command("control.stop"))
            await fakes.until(lambda: len(messages) == 2)
            assert messages[1]["payload"]["code"] == "session.scope"
            assert (await client.delete(answer["call"])).status_code == 204
            assert not sessions.closed
        finally:
            await pc.close()

    served(body, sessions)


def test_a_revoked_link_is_cut_at_once_and_for_ever(fakes, tmp_path, monkeypatch):
    monkeypatch.setattr(peers, "TOKENS_S", 3_600)  # not because somebody looks now and then
    sessions, key = fakes.Sessions(), key_in(tmp_path / "key")

    async def body(client, app):
        hello, own = await begun(client)
        other, _ = await begun(client)
        watch, talk = await minted(client, hello, "watch"), await minted(client, hello, "talk")
        assert error_of(await client.delete(watch["revoke"])) == (403, "session.token")
        assert error_of(await client.delete(watch["revoke"], headers=_own(other))) == (403, "session.token")
        sideways = await client.delete(watch["revoke"], headers={"Session-Token": talk["token"]})
        assert error_of(sideways) == (403, "session.token")
        odd = await client.delete(f"/sessions/{hello['session_id']}/tokens/*", headers=own)
        assert error_of(odd) == (400, "wire")
        async with (
            reading(client, hello["events"], Session_Token=watch["token"]) as watching,
            reading(client, hello["events"], **own) as reader,
            socket(client, watch["token"]) as (connected, _),
        ):
            renewed = watching.hello["token"]
            assert (await client.delete(watch["revoke"], headers=own)).status_code == 204
            await asyncio.wait_for(watching.ended.wait(), 5)
            assert "revoked" in watching.messages[-1]["payload"]["reason"]
            assert watching.messages[-1]["payload"]["again"] is False
            with pytest.raises(websockets.ConnectionClosed):
                await asyncio.wait_for(_drain(connected), 5)
            assert not reader.ended.is_set()
        for token in (watch["token"], renewed):
            gone = await client.get(hello["events"], headers={"Session-Token": token})
            assert error_of(gone) == (403, "session.token")
        assert error_of(await client.post("/sessions", headers={"Session-Token": renewed})) == (403, "session.token")
        assert (await client.delete(watch["revoke"], headers=own)).status_code == 204, "once more is no harm"

    served(body, sessions, key=key)


async def _drain(connected):
    while True:
        await connected.recv()


def test_one_revoked_by_another_process_is_cut_soon_and_one_that_expired_too(fakes, tmp_path, monkeypatch):
    now_s = [1_000]
    monkeypatch.setattr(Reception, "now_s", lambda self: now_s[0])
    monkeypatch.setattr(peers, "TOKENS_S", 0.05)
    sessions, key = fakes.Sessions(), key_in(tmp_path / "key")

    async def body(client, app):
        hello, _ = await begun(client)
        watch, brief = await minted(client, hello, "watch"), await minted(client, hello, "watch", valid_s=10)
        async with (
            reading(client, hello["events"], Session_Token=watch["token"]) as watching,
            reading(client, hello["events"], Session_Token=brief["token"]) as visiting,
        ):
            elsewhere = key_in(tmp_path / "key")
            elsewhere.revoke(elsewhere.check(hello["token"], 1_000), watch["revoke"].rpartition("/")[2])
            await asyncio.wait_for(watching.ended.wait(), 5)
            assert not visiting.ended.is_set()
            now_s[0] = brief["expires_s"] + 1
            await asyncio.wait_for(visiting.ended.wait(), 5)
            assert "expired" in visiting.messages[-1]["payload"]["reason"]

    served(body, sessions, key=key)


def test_who_came_in_by_a_link_that_renews_stays_longer_than_it_lasts(fakes, monkeypatch):
    now_s = [1_000]
    monkeypatch.setattr(Reception, "now_s", lambda self: now_s[0])
    monkeypatch.setattr(peers, "TOKENS_S", 0.02)
    sessions = fakes.Sessions()

    async def body(client, app):
        hello, _ = await begun(client)
        path = f"/sessions/{hello['session_id']}/tokens"
        wish = {"scopes": ["talk"], "valid_s": 600, "renews": True}
        link = (await client.post(path, json=wish, headers=_own(hello))).json()
        async with reading(client, hello["events"], Session_Token=link["token"]) as reader:
            now_s[0] += 601
            late = await client.get(hello["events"], headers={"Session-Token": link["token"]})
            assert error_of(late) == (403, "session.token")
            await asyncio.sleep(0.1)
            assert not reader.ended.is_set()
            inside = reader.hello["token"]
        async with reading(client, hello["events"], Session_Token=inside) as again:
            assert (await client.delete(link["revoke"], headers=_own(hello))).status_code == 204
            await asyncio.wait_for(again.ended.wait(), 5)

    served(body, sessions)


def test_a_link_to_a_conversation_that_is_over_begins_no_other(fakes):
    sessions = fakes.Sessions()

    async def body(client, app):
        hello, own = await begun(client)
        talk = {"Session-Token": (await minted(client, hello, "talk"))["token"]}
        await sessions.join(hello["session_id"])
        await sessions.close(hello["session_id"], "over")
        assert error_of(await client.post("/sessions", headers=talk)) == (410, "session.gone")
        with pytest.raises(websockets.ConnectionClosed):
            async with socket(client, talk["Session-Token"]) as (connected, told):
                assert told["payload"]["code"] == "session.gone"
                await connected.recv()
        assert sessions.opened == 1
        again = await client.post("/sessions", headers=own)
        assert (again.json()["resume"], again.json()["scopes"]) == ("failed", ["confirm", "talk", "watch"])

    served(body, sessions)


def test_a_broken_file_of_revoked_tokens_lets_nobody_in(fakes, tmp_path):
    sessions, key = fakes.Sessions(), key_in(tmp_path / "key")

    async def body(client: httpx.AsyncClient, app):
        hello, own = await begun(client)
        (tmp_path / "key.revoked").mkdir()
        assert error_of(await client.get(hello["events"], headers=own)) == (500, "store")

    served(body, sessions, Settings(), key=key)


def test_a_link_lets_into_its_session_without_the_server_s_own_token_and_nowhere_else(fakes):
    sessions = fakes.Sessions()

    async def body(client, app):
        server = {"Authorization": "Bearer secret"}
        hello = (await client.post("/sessions", headers=server)).json()
        path = f"/sessions/{hello['session_id']}/tokens"
        minted = await client.post(path, json={"scopes": ["watch"]}, headers=server | _own(hello))
        guest = {"Session-Token": minted.json()["token"]}
        async with reading(client, hello["events"], **guest) as reader:
            assert reader.hello["scopes"] == ["watch"]
        async with socket(client, guest["Session-Token"]) as (_, told):
            assert told["payload"]["scopes"] == ["watch"]
        assert (await client.get("/config.json", headers=guest)).status_code == 200
        forged = {"Session-Token": guest["Session-Token"][:-1] + "~"}
        for method, where, headers in (
            ("PUT", "/settings", guest),
            ("GET", "/openapi.json", guest),
            ("POST", "/sessions", {}),
            ("GET", hello["events"], forged),
            ("GET", hello["events"], _own(hello)),  # its holder was let in by the server's token, and has it
        ):
            assert error_of(await client.request(method, where, headers=headers)) == (401, "token"), where
        other = await client.get("/sessions/another/events", headers=guest)
        assert error_of(other) == (403, "session.token")
        assert sessions.opened == 1
        await client.delete(minted.json()["revoke"], headers=server | _own(hello))
        for where in ("/config.json", hello["events"]):
            late = await client.get(where, headers=guest)
            assert error_of(late) == (401, "session.token"), "its holder has no other"
            assert "revoked" in late.json()["error"]["message"]

    served(body, sessions, Settings(server=Server(token="secret")))  # noqa: S106
