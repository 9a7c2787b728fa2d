"""Owners over the network: what one may do to a call of another, which is nothing, whatever they hold."""

import json
from contextlib import AsyncExitStack

import pytest
import websockets

from agent.conversation.events import DeviceJoined
from agent.settings import Limits, Server, Settings
from tests.unit.transport.serving import reading, served

TOKENS = {"anna": "the-token-of-anna", "ben": "the-token-of-ben"}
SETTINGS = Settings(server=Server(owner_tokens=tuple(f"{name} = {token}" for name, token in TOKENS.items())))
UNKNOWN = "0" * 24


def by(owner, **more):
    return {"Authorization": f"Bearer {TOKENS[owner]}"} | more


def told(response):
    return response.status_code, response.json()


def socket(client, owner="", headers=None, **query):
    given = query | ({"token": TOKENS[owner]} if owner else {})
    url = str(client.base_url).replace("http", "ws", 1) + "ws?" + "&".join(f"{k}={v}" for k, v in given.items())
    return websockets.connect(url, proxy=None, additional_headers=headers)


async def hello_of(connected):
    return json.loads(await connected.recv())["payload"]


async def begun(client, owner):
    return (await client.post("/sessions", headers=by(owner))).json()


async def invited(client, hello, owner, scope="talk"):
    path, own = f"/sessions/{hello['session_id']}/tokens", by(owner, **{"Session-Token": hello["token"]})
    return (await client.post(path, json={"scopes": [scope]}, headers=own)).json()["token"]


def test_a_stolen_session_token_is_no_token_over_any_transport(fakes):
    sessions = fakes.Sessions()

    async def body(client, app):
        hello = await begun(client, "anna")
        made_up = hello["token"][:-2] + ("AA" if hello["token"][-2:] != "AA" else "BB")
        left = list(sessions.left)
        for path, content in ((hello["events"], None), (hello["commands"], fakes.command("text.input", text="hi"))):
            method = "GET" if content is None else "POST"
            answers = [
                told(await client.request(method, path, content=content, headers=by("ben", **{"Session-Token": token})))
                for token in (hello["token"], made_up)
            ]
            assert answers[0] == answers[1]
            assert answers[0][0] == 403
        refusals = []
        for token in (hello["token"], made_up):
            async with socket(client, "ben", session_token=token, device_id="the-device-of-anna") as connected:
                refusals.append(await connected.recv())
                with pytest.raises(websockets.ConnectionClosed) as closed:
                    await connected.recv()
                assert closed.value.rcvd.code == 1008
        assert refusals[0] == refusals[1]
        sdp = {"sdp": "v=0\r\n", "type": "offer"}
        offers = [
            told(await client.post("/offer", json=sdp, headers=by("ben", **{"Session-Token": token})))
            for token in (hello["token"], made_up)
        ]
        assert offers[0] == offers[1]
        assert (sessions.left, sessions.opened) == (left, 1), "nobody came in, and nothing was begun instead"
        with pytest.raises(websockets.InvalidStatus):
            async with socket(client, session_token=hello["token"]):
                pass

    served(body, sessions, SETTINGS)


def test_nobody_hangs_up_anothers_call(fakes):
    sessions = fakes.Sessions()

    async def body(client, app):
        his, hers = await begun(client, "ben"), await begun(client, "anna")
        async with reading(client, hers["events"], **by("anna"), Session_Token=hers["token"]) as reader:
            call, none = reader.hello["call"], f"/calls/{UNKNOWN}"
            held = (
                by("ben"),
                by("ben", **{"Session-Token": his["token"]}),
                by("ben", **{"Session-Token": hers["token"]}),
                {"Session-Token": await invited(client, his, "ben")},
            )
            for headers in held:
                answers = [told(await client.delete(path, headers=headers)) for path in (call, none)]
                assert answers[0] == answers[1]
                assert answers[0][0] == 404
            assert not reader.ended.is_set()
            guest = {"Session-Token": await invited(client, hers, "anna", "watch")}
            assert (await client.delete(f"{call}?resume=true", headers=guest)).status_code == 204, (
                "of this conversation"
            )
        async with reading(client, hers["events"], **by("anna"), Session_Token=hers["token"]) as reader:
            assert (await client.delete(reader.hello["call"], headers=by("anna"))).status_code == 204

    served(body, sessions, SETTINGS)


def test_the_same_device_name_means_nothing_in_anothers_session(fakes):
    sessions = fakes.Sessions()

    async def body(client, app):
        async with (
            socket(client, "anna", device_id="device-0001") as hers,
            socket(client, "ben", device_id="device-0001") as his,
        ):
            anna, ben = await hello_of(hers), await hello_of(his)
            assert anna["session_id"] != ben["session_id"]
            assert sessions.owners == {anna["session_id"]: "anna", ben["session_id"]: "ben"}
            await his.send(fakes.command("text.input", text="hi"))
            await fakes.until(lambda: len(sessions.calls[ben["session_id"]].posted) == 2)
            [joined] = sessions.calls[anna["session_id"]].posted
            assert isinstance(joined, DeviceJoined)
            async with socket(client, "ben", control=UNKNOWN, session_token=ben["token"]) as control:
                unknown = await control.recv()
            [peer] = [one for one in app.state.peers._peers.values() if one.session_id == anna["session_id"]]
            async with socket(client, "ben", control=peer.connection_id, session_token=ben["token"]) as control:
                assert await control.recv() == unknown

    served(body, sessions, SETTINGS)


def test_a_guest_with_another_owners_token_acts_in_that_one_session_as_a_guest(fakes):
    sessions = fakes.Sessions()

    async def body(client, app):
        hello = await begun(client, "anna")
        link = await invited(client, hello, "anna")
        async with socket(client, "ben", session_token=link) as connected:
            inside = await hello_of(connected)
            assert inside["session_id"] == hello["session_id"]
        async with socket(client, session_token=inside["token"]) as connected:
            assert (await hello_of(connected))["session_id"] == hello["session_id"]
        await sessions.join(hello["session_id"], "anna")
        await sessions.close(hello["session_id"], "over")
        gone = await client.post("/sessions", headers=by("ben", **{"Session-Token": link}))
        assert gone.status_code == 410
        assert sessions.opened == 1, "no conversation is begun instead, least of all in anna's name"

    served(body, sessions, SETTINGS)


def test_a_link_shown_to_the_gate_alone_begins_nothing(fakes):
    sessions = fakes.Sessions()

    async def body(client, app):
        hello = await begun(client, "anna")
        link = await invited(client, hello, "anna", "watch")
        async with socket(client, headers={"Session-Token": link}) as connected:
            assert json.loads(await connected.recv())["payload"]["code"] == "session.token"
        for path in ("/sessions?session_token=&", "/calls?", "/offer?"):
            asked = f"{path}session_token={link}&session_token="
            refused = await client.post(asked, content='{"sdp": "v=0"}', headers={"Content-Type": "application/sdp"})
            assert told(refused)[1]["error"]["code"] == "session.token", path
        assert sessions.opened == 1

    served(body, sessions, SETTINGS)


def test_who_came_by_links_leaves_room_for_whose_conversation_it_is(fakes):
    sessions = fakes.Sessions()

    async def body(client, app):
        hello = await begun(client, "anna")
        link, own = await invited(client, hello, "anna", "watch"), {"Session-Token": hello["token"]}
        async with AsyncExitStack() as stack:
            for number in range(2):
                guest = reading(client, hello["events"], Session_Token=link, Device_Id=f"guest-{number:04}")
                await stack.enter_async_context(guest)
            full = await client.get(hello["events"], headers={"Session-Token": link, "Device-Id": "guest-0002"})
            assert told(full)[1]["error"]["code"] == "limit"
            again = reading(client, hello["events"], Session_Token=link, Device_Id="guest-0001")
            await stack.enter_async_context(again)
            for number in range(2):
                hers = reading(client, hello["events"], **by("anna"), **own, Device_Id=f"anna-{number:04}")
                await stack.enter_async_context(hers)
            third = await client.get(hello["events"], headers=by("anna", **own, **{"Device-Id": "anna-0002"}))
            assert told(third)[1]["error"]["code"] == "limit"

    served(body, sessions, SETTINGS.model_copy(update={"limits": Limits(devices=4)}))
