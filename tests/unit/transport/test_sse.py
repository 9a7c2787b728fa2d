"""The timeline as server-sent events, and commands by POST: a real server and real clients on loopback."""

import asyncio
import json
import socket
from urllib.parse import urlsplit

import pytest
import websockets

from agent.conversation.events import DeviceJoined, DeviceLeft, Fault, TextInput
from agent.settings import Limits, Server, Settings
from agent.transport import sse
from agent.transport.session_token import TokenKey
from tests.unit.transport.serving import KEY, reading, served

FAR = 10**10
"""In seconds since 1970: later than any of these tests runs."""


def error_of(response):
    error = response.json()["error"]
    assert error["message"]
    return (response.status_code, error["code"])


async def begun(client):
    response = await client.post("/sessions")
    assert response.status_code == 201
    hello = response.json()
    assert response.headers["location"] == f"/sessions/{hello['session_id']}"
    return hello, {"Session-Token": hello["token"], "Device-Id": "terminal-1"}


def fault(number, size=1):
    return Fault(event_id=f"e{number}", source="test", code="x", message="ü" * size)


def test_a_conversation_in_text(fakes):
    sessions = fakes.Sessions()

    async def body(client, app):
        hello, member = await begun(client)
        assert hello["scopes"] == ["confirm", "talk", "watch"]
        call = sessions.calls[hello["session_id"]]
        assert sessions.left == [(hello["session_id"], "nobody reads its events yet")]
        assert not sessions.closed, "it waits for its device"
        async with reading(client, hello["events"], **member) as reader:
            assert reader.hello["resume"] == "resumed"
            await call.record(fault(1))
            await fakes.until(lambda: reader.ids == ["0:1"])
            assert reader.messages[-1]["payload"]["message"] == "ü"
            [joined] = call.posted
            assert (joined.transport, joined.microphone, joined.speaker) == ("sse", False, False)
            command = fakes.command("text.input", text="hello")
            for _ in range(2):
                answer = await client.post(hello["commands"], content=command, headers=member)
                assert (answer.status_code, answer.json()) == (200, {"event_id": "command-0001", "seq": 2})
            assert [fact.text for fact in call.posted if isinstance(fact, TextInput)] == ["hello"], "once"
            assert call.posted[-1].source == "device:terminal-1"
            again = await client.post(hello["commands"], content=fakes.command("heartbeat", 2), headers=member)
            assert again.json() == {"event_id": "command-0002"}
        await fakes.until(lambda: not sessions.live)
        assert isinstance(call.posted[-1], DeviceLeft)
        assert not sessions.closed, "whoever merely goes may come back"

        await call.record(fault(2))
        query = f"?session_token={hello['token']}&device_id=terminal-1&session_seen=0:0"
        async with reading(client, hello["events"] + query, Last_Event_ID="0:1") as reader:
            await fakes.until(lambda: reader.ids == ["0:2"])
            assert (await client.delete(reader.hello["call"])).status_code == 204
            await reader.ended.wait()
            assert reader.types() == ["hello", "error", "session.closed"]
        assert sessions.closed == [(hello["session_id"], "hung up")]

    served(body, sessions)


def test_what_was_not_stored_comes_from_the_first_entry_on(fakes):
    sessions = fakes.Sessions()

    async def body(client, app):
        hello, member = await begun(client)
        call = sessions.calls[hello["session_id"]]
        await call.record(fault(1))
        call.epoch = 3
        async with reading(client, hello["events"], Last_Event_ID="2:1", **member) as reader:
            await fakes.until(lambda: reader.ids == ["3:1"])
            assert (reader.hello["resume"], reader.hello["epoch"]) == ("snapshot", 3)

    served(body, sessions)


def test_a_command_of_somebody_who_does_not_read_takes_the_session_up_and_lets_it_go(fakes):
    sessions = fakes.Sessions()

    async def body(client, app):
        hello, member = await begun(client)
        del member["Device-Id"]
        call = sessions.calls[hello["session_id"]]
        answer = await client.post(hello["commands"], content=fakes.command("text.input", text="hi"), headers=member)
        assert answer.json() == {"event_id": "command-0001", "seq": 1}
        assert [type(fact) for fact in call.posted] == [TextInput], "it has not joined"
        assert not sessions.live
        joins = await client.post(hello["commands"], content=fakes.command("device.joined", 2), headers=member)
        assert error_of(joins) == (400, "wire")
        await sessions.join(hello["session_id"])
        await sessions.close(hello["session_id"], "over")
        for number in (3, 3):
            late = await client.post(hello["commands"], content=fakes.command("control.done", number), headers=member)
            assert error_of(late) == (410, "session.gone")
        assert error_of(await client.get(hello["events"], headers=member)) == (410, "session.gone")
        assert sessions.opened == 1, "no other one is begun under its address"

    served(body, sessions)


def test_refusals(fakes):
    sessions = fakes.Sessions()

    async def body(client, app):
        hello, member = await begun(client)
        other, _ = await begun(client)
        command = fakes.command("text.input", text="hi")
        told = set()
        for path in (other["commands"], "/sessions/nobody/commands", "/sessions/%2e%2e/commands"):
            for token in ({}, {"Session-Token": hello["token"]}):
                refused = await client.post(path, content=command, headers=token)
                assert error_of(refused) == (403, "session.token")
                told.add(refused.text)
        assert len(told) == 1, "whether there is such a conversation or not"
        forged = {"Session-Token": TokenKey().issue(hello["session_id"], 0, FAR)}
        assert error_of(await client.post(hello["commands"], content=command, headers=forged)) == (403, "session.token")
        for path in (other["events"], "/sessions/nobody/events"):
            assert error_of(await client.get(path, headers=member)) == (403, "session.token")
        cases = [
            (b"{", 400, "wire"),
            (b"\xff", 400, "wire"),
            (b"x" * 20_000, 413, "http.413"),
            (fakes.command("no.such.thing"), 400, "wire"),
            (fakes.command("text.input", text=" "), 400, "wire"),
            (json.dumps({"event_id": "short", "type": "heartbeat"}), 400, "wire"),
        ]
        for content, status, code in cases:
            for who in (member, {**member, "Device-Id": "terminal-2"}):
                refused = await client.post(hello["commands"], content=content, headers=who)
                assert error_of(refused) == (status, code), content
        evil = {"Origin": "https://evil.example"}
        assert error_of(await client.get(hello["events"], headers=member | evil)) == (403, "origin")
        assert error_of(await client.post(hello["commands"], content=command, headers=member | evil)) == (403, "origin")
        assert error_of(await client.post("/sessions", headers=evil)) == (403, "origin")
        for query, expected in (("session_seen=٣:٤", (400, "wire")), ("session_token=😀", (403, "session.token"))):
            odd = await client.get(f"{hello['events']}?session_token={hello['token']}&{query}")
            assert error_of(odd) == expected, "no header could hold it"
        bad_id = await client.get(hello["events"], headers=member | {"Last-Event-ID": "seventeen"})
        assert error_of(bad_id) == (400, "wire")
        assert not any(call.posted for call in sessions.calls.values())

    served(body, sessions)


def test_the_server_s_own_token_is_needed_too(fakes):
    sessions = fakes.Sessions()

    async def body(client, app):
        assert error_of(await client.post("/sessions")) == (401, "token")
        path = "/sessions/session-1/events?session_token=" + KEY.issue("session-1", 0, FAR)
        assert error_of(await client.get(path)) == (401, "token")
        begun = await client.post("/sessions", headers={"Authorization": "Bearer secret"})
        assert begun.status_code == 201

    served(body, sessions, Settings(server=Server(token="secret")))  # noqa: S106


def test_too_many_commands_and_too_many_readers(fakes):
    sessions = fakes.Sessions()

    async def body(client, app):
        hello, member = await begun(client)
        commands = [fakes.command("heartbeat", number) for number in range(20)]
        answers = [await client.post(hello["commands"], content=one, headers=member) for one in commands]
        refused = [answer for answer in answers if answer.status_code != 200]
        assert {error_of(answer) for answer in refused} == {(429, "wire.too_fast")}
        assert int(refused[0].headers["retry-after"]) > 0
        assert 5 <= len(answers) - len(refused) < 15
        one, two, three = ({**member, "Device-Id": f"terminal-{number}"} for number in (1, 2, 3))
        async with reading(client, hello["events"], **one), reading(client, hello["events"], **two) as second:
            assert error_of(await client.get(hello["events"], headers=three)) == (503, "limit")
            async with reading(client, hello["events"], **two) as third:
                await second.ended.wait()
                assert second.messages[-1]["type"] == "connection.closed"
                assert second.messages[-1]["payload"]["again"] is False
                assert not third.ended.is_set()

    served(body, sessions, Settings(limits=Limits(messages_per_s=5, devices=2)))


def test_who_comes_too_often_is_told_to_wait(fakes):
    async def body(client, app):
        hello, member = await begun(client)
        for _ in range(2):
            assert (await client.post("/sessions", headers=member)).status_code == 201
        for method, path in (("POST", "/sessions"), ("GET", hello["events"])):
            refused = await client.request(method, path, headers=member)
            assert error_of(refused) == (429, "wire.too_fast")
            assert int(refused.headers["retry-after"]) > 0
        url = str(client.base_url).replace("http", "ws") + f"ws?session_token={hello['token']}"
        async with websockets.connect(url, proxy=None) as socket:
            assert json.loads(await socket.recv())["payload"]["code"] == "wire.too_fast"
            with pytest.raises(websockets.ConnectionClosed):
                await socket.recv()
            assert socket.close_code == 1013, "try again later"

    served(body, fakes.Sessions(), Settings(limits=Limits(arrivals_per_min=2)))


def test_of_devices_that_come_at_once_no_more_stay_than_there_is_room_for(fakes):
    class Slow(fakes.Sessions):
        async def join(self, session_id, owner="local", *, wakes=True):
            await asyncio.sleep(0.1)
            return await super().join(session_id, owner)

    sessions = Slow()

    async def body(client, app):
        hello, member = await begun(client)
        call = sessions.calls[hello["session_id"]]
        readers, over = [], asyncio.Event()

        async def come(device_id):
            async with reading(client, hello["events"], **member | {"Device-Id": device_id}) as reader:
                readers.append(reader)
                await over.wait()

        async with asyncio.TaskGroup() as tasks:
            for number in range(6):
                tasks.create_task(come(f"device-{number:04}"))
            await fakes.until(lambda: sum(reader.ended.is_set() for reader in readers) == 4)
            for reader in readers:
                if reader.ended.is_set():
                    assert "limits.devices" in reader.messages[-1]["payload"]["reason"]
            assert len(app.state.peers) == 2
            assert [type(fact) for fact in call.posted] == [DeviceJoined] * 2
            over.set()

    served(body, sessions, Settings(limits=Limits(devices=2)))


def test_a_reader_who_does_not_read_is_let_go_and_stalls_nobody(fakes, monkeypatch):
    monkeypatch.setattr(sse, "SEND_S", 0.5)
    sessions = fakes.Sessions()

    async def body(client, app):
        hello, member = await begun(client)
        call = sessions.calls[hello["session_id"]]
        address = urlsplit(str(client.base_url))
        stuck = socket.socket()
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        stuck.connect(("127.0.0.1", address.port))
        head = f"GET {hello['events']} HTTP/1.1\r\nHost: localhost\r\nSession-Token: {hello['token']}\r\n"
        stuck.sendall(f"{head}Device-Id: stuck-reader\r\n\r\n".encode())
        await fakes.until(lambda: len(app.state.peers) == 1)
        with stuck:
            async with reading(client, hello["events"], **member) as reader:
                for number in range(200):
                    await call.record(fault(number, 50_000))
                    await fakes.until(lambda seq=number: len(reader.ids) > seq, 1)
                await fakes.until(lambda: len(app.state.peers) == 1)
                [left] = [fact for fact in call.posted if isinstance(fact, DeviceLeft)]
                assert (left.device_id, "too slowly" in left.reason) == ("stuck-reader", True)
                assert reader.ids == [f"0:{seq}" for seq in range(1, 201)]
            async with reading(client, hello["events"], **{**member, "Last_Event_ID": "0:150"}) as back:
                await fakes.until(lambda: back.ids == [f"0:{seq}" for seq in range(151, 201)])

    served(body, sessions)


def test_silence_has_heartbeats_and_the_end_is_said(fakes, monkeypatch):
    monkeypatch.setattr(sse, "HEARTBEAT_S", 0.02)
    sessions = fakes.Sessions()

    async def body(client, app):
        hello, member = await begun(client)
        ended, _ = await begun(client)
        async with (
            reading(client, ended["events"], Session_Token=ended["token"]) as other,
            reading(client, hello["events"], **member) as reader,
        ):
            await fakes.until(lambda: reader.beats > 2)
            await sessions.close(ended["session_id"], "it was ended")
            await other.ended.wait()
            assert other.types() == ["hello", "session.closed", "connection.closed"]
            await app.state.peers.close("the server is shutting down")
            await reader.ended.wait()
            assert reader.types() == ["hello", "connection.closed"]
            assert reader.messages[-1]["payload"]["again"] is True
        assert error_of(await client.post("/sessions")) == (503, "limit")

    served(body, sessions)


def test_one_who_vanishes_leaves(fakes):
    sessions = fakes.Sessions()

    async def body(client, app):
        hello, member = await begun(client)
        call = sessions.calls[hello["session_id"]]
        async with reading(client, hello["events"], **member):
            await fakes.until(lambda: call.posted)
        await fakes.until(lambda: [type(fact) for fact in call.posted] == [DeviceJoined, DeviceLeft])
        await fakes.until(lambda: not app.state.peers)

    served(body, sessions)


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_other_methods_are_none(fakes, method):
    async def body(client, app):
        refused = await client.request(method, "/sessions")
        assert error_of(refused) == (405, "http.405")

    served(body, fakes.Sessions())
