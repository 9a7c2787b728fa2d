"""A conversation in text over HTTP, with the real agent behind it and virtual time."""

import asyncio
import json
from contextlib import asynccontextmanager

import httpx
import pytest

from agent.app import App
from agent.clock import run_virtual
from agent.settings import Settings
from agent.transport.http import create_app
from tests.fixtures.light import lighten


def settings(folder, **tables):
    own = ["home = Ada <ada@example.org>"]
    return Settings.model_validate(
        {
            "brain": {"memory": folder / "memory.sqlite3"},
            "timeline": {"path": folder / "timeline.sqlite3"},
            "mail": {"own": own, "contacts": ["anna = Anna <anna@example.org>"], "outbox": str(folder / "outbox")},
            "sessions": {"linger_s": 60},
            **tables,
        }
    )


@asynccontextmanager
async def client_of(app):
    web = create_app(app, app.settings, engines=app.engines.names, key=app.token_key())
    async with web.router.lifespan_context(web):
        transport = httpx.ASGITransport(app=web)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8700") as client:
            yield client


@pytest.fixture
def virtually(tmp_path, monkeypatch):
    lighten(monkeypatch)

    def run(body, **tables):
        async def main():
            async with App(settings(tmp_path, **tables)) as app, client_of(app) as client:
                await body(app, client)

        run_virtual(main())

    return run


def command(number, type_="text.input", **payload):
    return json.dumps({"event_id": f"command-{number:04}", "type": type_, "payload": payload})


async def begun(client):
    hello = (await client.post("/sessions")).json()
    return hello, {"Session-Token": hello["token"]}


def entries(app, hello):
    return app.sessions[hello["session_id"]].timeline.window()


def of_type(app, hello, type_):
    return [entry.event for entry in entries(app, hello) if entry.event.type == type_]


def test_a_command_is_done_once_however_often_it_comes(virtually):
    async def body(app, client):
        hello, own = await begun(client)
        asked = command(1, text="what is seven times eight")
        answers = [(await client.post(hello["commands"], content=asked, headers=own)).json() for _ in range(3)]
        seq = next(entry.seq for entry in entries(app, hello) if entry.event.event_id == "command-0001")
        assert answers == [{"event_id": "command-0001", "seq": seq}] * 3
        await asyncio.sleep(5)
        assert (await client.post(hello["commands"], content=asked, headers=own)).json() == answers[0]
        assert len(of_type(app, hello, "text.input")) == 1
        assert "56" in of_type(app, hello, "tts.say")[0].text
        stored = [entry.event.event_id for entry in await app.store.read(hello["session_id"], seq - 1, 1)]
        assert stored == ["command-0001"], "what is acknowledged is stored"

    virtually(body)


def test_an_id_of_long_ago_is_done_once_and_breaks_nothing(virtually):
    async def body(app, client):
        hello, own = await begun(client)
        asked, other = command(1, text="what is seven times eight"), command(1, text="what is two plus two")
        await client.post(hello["commands"], content=asked, headers=own)
        for number in range(2, 60):  # nothing to confirm: each is an entry, and another one that says so
            nothing = command(number, "control.confirm", action_id="none", accept=True)
            assert (await client.post(hello["commands"], content=nothing, headers=own)).status_code == 409
            await asyncio.sleep(0.1)
        assert not of_type(app, hello, "text.input"), "it has left memory"
        for again in (asked, other):
            answer = await client.post(hello["commands"], content=again, headers=own)
            assert answer.json() == {"event_id": "command-0001"}
        await asyncio.sleep(5)
        assert app.sessions[hello["session_id"]].open
        assert not of_type(app, hello, "text.input")

    virtually(body, limits={"memory_events": 100})


def test_a_command_takes_up_a_session_that_rests(virtually):
    async def body(app, client):
        hello, own = await begun(client)
        await asyncio.sleep(61)
        assert not app.sessions
        answer = await client.post(hello["commands"], content=command(1, text="my name is Ada"), headers=own)
        assert answer.status_code == 200
        await asyncio.sleep(5)
        types = [entry.event.type for entry in entries(app, hello)]
        assert types.index("session.resumed") < types.index("text.input")
        await asyncio.sleep(61)
        assert not app.sessions, "nobody stayed"

    virtually(body)


def test_what_the_conversation_refuses_is_told_with_its_code(virtually):
    async def body(app, client):
        hello, own = await begun(client)
        stale = command(1, "control.confirm", action_id="none", accept=True)
        for _ in range(2):
            answer = await client.post(hello["commands"], content=stale, headers=own)
            assert (answer.status_code, answer.json()["error"]["code"]) == (409, "action.stale")
        impossible = command(2, "settings.changed", changes={"vad.onset_ms": -1})
        answer = await client.post(hello["commands"], content=impossible, headers=own)
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "settings")

    virtually(body)


def test_a_link_to_confirm_answers_a_proposal_and_one_to_watch_does_not(virtually):
    async def body(app, client):
        hello, own = await begun(client)
        asked = command(1, text="send an email to anna saying the meeting moved to friday")
        await client.post(hello["commands"], content=asked, headers=own)
        await asyncio.sleep(10)
        [proposed] = of_type(app, hello, "action.proposed")
        path = f"/sessions/{hello['session_id']}/tokens"
        links = {
            scope: (await client.post(path, json={"scopes": [scope]}, headers=own)).json()["token"]
            for scope in ("watch", "confirm")
        }
        yes = command(2, "control.confirm", action_id=proposed.action_id, accept=True)
        refused = await client.post(hello["commands"], content=yes, headers={"Session-Token": links["watch"]})
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "session.scope")
        assert not of_type(app, hello, "control.confirm")
        taken = await client.post(hello["commands"], content=yes, headers={"Session-Token": links["confirm"]})
        assert taken.status_code == 200
        await asyncio.sleep(10)
        assert [event.action_id for event in of_type(app, hello, "action.committed")] == [proposed.action_id]

    virtually(body)


def test_a_store_that_does_not_answer_is_not_an_acknowledgement(virtually, monkeypatch):
    async def body(app, client):
        hello, own = await begun(client)
        append = app.store.append

        async def never(*args, **kwargs):
            await asyncio.sleep(3_600)

        monkeypatch.setattr(app.store, "append", never)
        answer = await client.post(hello["commands"], content=command(1, text="hello"), headers=own)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "store.indeterminate")
        monkeypatch.setattr(app.store, "append", append)

    virtually(body)


def test_forgetting_is_acknowledged_once_it_is_done(virtually):
    async def body(app, client):
        hello, own = await begun(client)
        await client.post(hello["commands"], content=command(1, text="my name is Ada"), headers=own)
        await asyncio.sleep(5)
        for _ in range(2):
            answer = await client.post(hello["commands"], content=command(2, "session.forget"), headers=own)
            assert answer.status_code == 200, answer.text
            await asyncio.sleep(5)
        assert not [event for event in of_type(app, hello, "text.input") if "Ada" in event.text]

    virtually(body)
