"""Owners over HTTP, with the real agent behind it: whose a conversation is, and who is shown it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent.app import App
from agent.clock import run_virtual
from agent.conversation.events import SessionForget
from agent.settings import Settings
from agent.transport.archive import Archive
from agent.transport.http import create_app
from tests.fixtures.light import lighten
from tests.fixtures.owners import TOKENS, WORD, begun, joins, says, settings, virtually


@pytest.fixture(name="virtually")
def _virtually(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    return virtually(tmp_path, monkeypatch)


@asynccontextmanager
async def clients(app: App) -> AsyncIterator[dict[str, httpx.AsyncClient]]:
    """Of each owner, and of somebody without any token (`""`)."""
    archive = Archive(app.recorded, app.recordings, app.summaries)
    web = create_app(app, app.settings, engines=app.engines.names, key=app.token_key(), archive=archive)
    async with web.router.lifespan_context(web):
        found = {
            name: httpx.AsyncClient(
                transport=httpx.ASGITransport(app=web),
                base_url="http://localhost:8700",
                headers={"Authorization": f"Bearer {token}"} if token else {},
            )
            for name, token in {**TOKENS, "": ""}.items()
        }
        yield found
        for client in found.values():
            await client.aclose()


def told(response: httpx.Response) -> tuple[int, Any]:
    return response.status_code, response.json()


def text(number: int, said: str) -> str:
    return json.dumps({"event_id": f"command-{number:04}", "type": "text.input", "payload": {"text": said}})


def test_a_conversation_is_that_of_whose_token_began_it(virtually: Callable[..., None]) -> None:
    async def body(app: App) -> None:
        async with clients(app) as by:
            hello = (await by["anna"].post("/sessions")).json()
            stored = await app.store.session(hello["session_id"])
            assert stored is not None
            assert stored.user == "anna"
            assert (await by[""].post("/sessions")).status_code == 401

    virtually(body)


def test_no_route_tells_anothers_session_from_one_that_never_was(virtually: Callable[..., None]) -> None:
    async def body(app: App) -> None:
        async with clients(app) as by:
            hers = (await by["anna"].post("/sessions")).json()
            his = (await by["ben"].post("/sessions")).json()
            key = app.token_key()
            made_up = key.issue(hers["session_id"], 0, 10**10)[:-1] + "~"
            routes = [
                ("GET", "events", None),
                ("POST", "commands", text(1, "read my notes")),
                ("POST", "tokens", '{"scopes": ["watch"]}'),
                ("DELETE", "tokens/0123abcd", None),
            ]
            before = app.sessions[hers["session_id"]].timeline.last_seq
            for method, path, content in routes:
                for token in ("", made_up, his["token"], hers["token"]):
                    headers = {"Session-Token": token} if token else {}
                    real, none = [
                        told(
                            await by["ben"].request(method, f"/sessions/{of}/{path}", content=content, headers=headers)
                        )
                        for of in (hers["session_id"], "never-was")
                    ]
                    assert real == none, (path, token)
                    assert real[0] == 403
            stolen = {"Session-Token": hers["token"], "Device-Id": "the-device-of-anna"}
            for path in ("/sessions", "/offer", "/calls"):
                content = '{"sdp": "v=0"}' if path == "/offer" else "v=0"
                asked = {**stolen, "Content-Type": "application/sdp"}
                assert told(await by["ben"].post(path, content=content, headers=asked))[1]["error"]["code"] == (
                    "session.token"
                )
            assert app.sessions[hers["session_id"]].timeline.last_seq == before, "nothing has happened to it"

    virtually(body)


def test_who_was_invited_is_in_that_one_conversation_and_no_owner(virtually: Callable[..., None]) -> None:
    async def body(app: App) -> None:
        async with clients(app) as by:
            hello = (await by["anna"].post("/sessions")).json()
            own = {"Session-Token": hello["token"]}
            minted = await by["anna"].post(
                f"/sessions/{hello['session_id']}/tokens", json={"scopes": ["talk"]}, headers=own
            )
            guest = {"Session-Token": minted.json()["token"]}
            await says_by(by[""], hello, "add milk to my shopping list", guest)
            await play_session(app, hello)
            assert await said_by(app, hello, by["ben"], "what is on my shopping list", guest) == "milk", "of anna's"
            for name in ("", "ben"):
                joined = (await by[name].post("/sessions", headers=guest)).json()
                assert joined["session_id"] == hello["session_id"]
            # What a guest holds opens nothing in the hands of whoever has no owner's token.
            assert (await by[""].put("/settings", json={}, headers=guest)).status_code == 401
            assert (await by["ben"].put("/settings", json={})).status_code == 403
            assert (await by["local"].put("/settings", json={})).status_code == 409

    virtually(body)


async def says_by(client: httpx.AsyncClient, hello: dict[str, Any], said: str, headers: dict[str, str]) -> None:
    number = len(said)
    answer = await client.post(hello["commands"], content=text(number, said), headers=headers)
    assert answer.status_code == 200, answer.text


async def play_session(app: App, hello: dict[str, Any]) -> None:
    for _ in range(100):
        app.sessions[hello["session_id"]].next_frame()
        await asyncio.sleep(0.02)


async def said_by(
    app: App, hello: dict[str, Any], client: httpx.AsyncClient, said: str, headers: dict[str, str]
) -> str:
    await says_by(client, hello, said, headers)
    await play_session(app, hello)
    spoken = [e.event.text for e in app.sessions[hello["session_id"]].timeline.window() if e.event.type == "tts.say"]
    return "milk" if "milk" in spoken[-1] else spoken[-1]


# ── the list ─────────────────────────────────────────────────────────────────────────────


def test_an_owner_lists_their_conversations_and_goes_on_with_one(virtually: Callable[..., None]) -> None:
    async def before(app: App) -> None:
        async with clients(app) as by:
            for name in ("anna", "ben"):
                hello = (await by[name].post("/sessions")).json()
                await says_by(by[name], hello, f"my name is {name}", {"Session-Token": hello["token"]})
            await asyncio.sleep(1)
            ended = joins(await app.open(owner="anna"))
            await says(ended, "what is two plus two")
            await app.close(ended.session_id, "hung up")

    async def after(app: App) -> None:
        async with clients(app) as by:
            told = (await by["anna"].get("/sessions")).json()
            assert told["owner"] == "anna"
            assert [(one["words"], one["state"]) for one in told["sessions"]] == [
                ("what is two plus two", "ended"),
                ("my name is anna", "resting"),
            ]
            resting = told["sessions"][1]
            for name in ("ben", "local", ""):
                refused = await by[name].post("/sessions", headers={"Session-Token": resting["token"]})
                assert refused.status_code in (401, 403)
            assert not app.sessions
            again = (await by["anna"].post("/sessions", headers={"Session-Token": resting["token"]})).json()
            assert (again["resume"], again["session_id"]) == ("resumed", resting["session_id"])
            assert (await by["anna"].get("/sessions")).json()["sessions"][1]["state"] == "open"
            assert (await by["local"].get("/sessions")).json() == {"owner": "local", "sessions": []}

    virtually(before, after)


def test_with_the_default_there_is_one_owner_and_nothing_to_be_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lighten(monkeypatch)
    plain = settings(tmp_path).model_copy(update={"server": Settings().server})

    async def main() -> None:
        async with App(plain) as app:
            assert list(app.owners) == ["local"]
            async with clients(app) as by:
                hello = (await by[""].post("/sessions")).json()
                told = (await by[""].get("/sessions")).json()
                assert (told["owner"], told["sessions"][0]["session_id"]) == ("local", hello["session_id"])
                assert (await by[""].put("/settings", json={})).status_code == 409

    run_virtual(main())


def test_forgetting_takes_the_first_words_out_of_the_list(virtually: Callable[..., None]) -> None:
    async def body(app: App) -> None:
        call = await begun(app, "anna")
        await says(call, f"tell me about {WORD}")
        call.post(SessionForget(source="device:d1"))
        await asyncio.sleep(1)
        [listed] = await app.summaries("anna", 10)
        assert listed.words == ""

    virtually(body)
