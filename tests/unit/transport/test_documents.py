"""What the server says of itself to programs: OpenAPI and AsyncAPI, from the classes that it runs on."""

import asyncio
import json

import httpx
import pytest
from fastapi.openapi.models import OpenAPI
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from agent.errors import WireError
from agent.settings import Limits, Server, Settings
from agent.transport import asyncapi
from agent.transport.http import create_app
from agent.transport.notices import NOTICES, Hello, Refused
from agent.transport.peers import SHUTDOWN, goodbye
from agent.transport.wire import _MAKERS, COMMANDS, parse_command, to_event
from tests.unit.transport.serving import reading, served

DOCUMENT = asyncapi.document("1")
SCHEMAS = {"command": asyncapi.commands(), "notice": asyncapi.notices()}


def fits(kind, message):
    return Draft202012Validator(SCHEMAS[kind][message["type"]]).is_valid(message)


def command(type_, **payload):
    return {"event_id": "command-0001", "type": type_, "payload": payload}


def taken(message):
    try:
        to_event(parse_command(json.dumps(message), Limits()), "d1", "test", Limits())
    except WireError:
        return False
    return True


def test_every_command_is_described():
    assert COMMANDS.keys() == _MAKERS.keys() | {"device.joined"}


@pytest.mark.parametrize(
    ("message", "good"),
    [
        (command("text.input", text="hello"), True),
        (command("text.input", text="hello", when="after", seen_seq=17), True),
        (command("text.input", text="hello", when="soon"), False),
        (command("text.input"), False),
        (command("text.input", text="hello", more=1), False),
        (command("control.confirm", action_id="a1", accept=True), True),
        (command("control.confirm", action_id="a1", accept="yes"), False),
        (command("control.stop"), True),
        (command("control.stop", rtp_timestamp=1 << 32), False),
        (command("control.done", seen_seq=-1), False),
        (command("control.focus"), True),
        (command("device.cut", undo=True), True),
        (command("device.cut", rtp_timestamp=1, measured="stats"), True),
        (command("device.cut", rtp_timestamp=1, measured="player"), True),
        (command("device.cut", rtp_timestamp=1, measured="guessed"), False),
        (command("device.joined", time_zone="Europe/Paris"), True),
        (command("device.joined", time_zone="no such zone!"), False),
        (command("settings.changed", changes={"vad.onset_ms": 80}), True),
        (command("settings.changed", changes={}), False),
        (command("session.forget"), True),
        (command("heartbeat"), True),
        ({"event_id": "command-0001", "type": "heartbeat"}, True),
        ({"event_id": "short", "type": "heartbeat"}, False),
        ({"event_id": "e1000000", "type": "heartbeat"}, False),
        ({"event_id": "e100000a", "type": "heartbeat"}, True),
        ({"type": "heartbeat"}, False),
    ],
)
def test_a_command_fits_its_schema_exactly_if_it_is_taken(message, good):
    assert (fits("command", message), taken(message)) == (good, good)


def test_every_reference_leads_somewhere():
    def references(value):
        if isinstance(value, dict):
            if "$ref" in value:
                yield value["$ref"]
            for one in value.values():
                yield from references(one)
        elif isinstance(value, list):
            for one in value:
                yield from references(one)

    found = set(references(DOCUMENT))
    assert "#/components/messages/command.text.input" in found
    for reference in found:
        place = DOCUMENT
        for name in reference.removeprefix("#/").split("/"):
            place = place[name]
    for message in DOCUMENT["components"]["messages"].values():
        if "payload" in message:
            Draft202012Validator.check_schema(message["payload"])


def test_who_may_send_what_is_said():
    messages = DOCUMENT["components"]["messages"]
    assert "scope confirm" in messages["command.control.confirm"]["description"]
    assert "scope talk" in messages["command.text.input"]["description"]


def test_a_notice_cannot_be_another_than_its_schema_says():
    hello = Hello(session_id="s", epoch=1, token="t", scopes=["watch"], resume="new", reason="")  # noqa: S106
    for text in (
        hello.text(),
        Refused(code="wire", message='"quoted"\n', event_id="command-0001").text(),
        goodbye("hung up", for_good=True),
        goodbye(SHUTDOWN, for_good=False),
    ):
        assert fits("notice", json.loads(text)), text
    assert {notice.kind for notice in NOTICES} == SCHEMAS["notice"].keys()
    with pytest.raises(ValidationError):
        Hello(session_id="s", epoch=1, token="t", scopes=["root"], resume="new", reason="")  # noqa: S106


def test_what_comes_down_a_stream_fits(fakes):
    sessions = fakes.Sessions()

    async def body(client, app):
        document = (await client.get("/asyncapi.json")).json()
        hello = (await client.post("/sessions")).json()
        down = document["channels"]["events"]["messages"]
        async with reading(client, hello["events"], Session_Token=hello["token"]) as reader:
            await sessions.calls[hello["session_id"]].record(
                fakes.Fault(event_id="e", source="t", code="c", message="m")
            )
            await fakes.until(lambda: len(reader.messages) == 2)
            await app.state.peers.close(SHUTDOWN)
            await reader.ended.wait()
        for message, kind in zip(reader.messages, ("notice", "entry", "notice"), strict=True):
            name = f"{kind}.{message['type']}"
            assert name in down
            Draft202012Validator(document["components"]["messages"][name]["payload"]).validate(message)

    served(body, sessions)


def test_the_routes(fakes):
    async def body(client, app):
        document = (await client.get("/openapi.json")).json()
        OpenAPI.model_validate(document)
        told = {(path, method) for path, methods in document["paths"].items() for method in methods}
        assert told == {
            ("/calls", "post"),
            ("/qr", "post"),
            ("/calls/{connection_id}", "delete"),
            ("/offer", "post"),
            ("/config.json", "get"),
            ("/settings", "put"),
            ("/healthz", "get"),
            ("/sessions", "post"),
            ("/sessions/{session_id}/events", "get"),
            ("/sessions/{session_id}/commands", "post"),
            ("/sessions/{session_id}/tokens", "post"),
            ("/sessions/{session_id}/tokens/{name}", "delete"),
        }
        post = document["paths"]["/sessions/{session_id}/commands"]["post"]
        one_of = post["requestBody"]["content"]["application/json"]["schema"]["oneOf"]
        assert {schema["title"] for schema in one_of} == COMMANDS.keys()
        assert "422" not in post["responses"], "no error has a form of its own"
        begun = document["components"]["schemas"]["Hello"]
        Draft202012Validator(begun).validate((await client.post("/sessions")).json())

    served(body, fakes.Sessions())


def test_they_are_behind_the_gate(fakes):
    async def body():
        app = create_app(fakes.Sessions(), Settings(server=Server(token="secret")))  # noqa: S106
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8700") as client:
            for path in ("/openapi.json", "/asyncapi.json"):
                assert (await client.get(path)).status_code == 401
                assert (await client.get(path + "?token=secret")).status_code == 200
                assert (await client.get(path, headers={"Host": "evil.example"})).status_code == 421

    asyncio.run(body())
