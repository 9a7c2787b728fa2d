"""Owners side by side, with the real agent in virtual time: what is one's is nothing to the other."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent.app import App
from agent.clock import run_virtual
from agent.conversation.decisions import PlaybackStop
from agent.conversation.events import DeviceJoined, DeviceLeft, SessionForget, TextInput
from agent.errors import SessionGone
from agent.seats import Seat
from agent.settings import Settings
from agent.thinking.port import ToolContext, UserContext
from agent.timeline.sqlite import SqliteStore
from agent.transport.archive import Archive
from agent.transport.http import create_app
from tests.fixtures.deaf import Deaf

TOKENS = {"local": "the token of local", "anna": "the token of anna", "ben": "the token of ben"}
WORD = "swordfish"


def settings(folder: Path, **sessions: Any) -> Settings:
    return Settings.model_validate(
        {
            "server": {
                "token": TOKENS["local"],
                "owner_tokens": [f"{name} = {token}" for name, token in TOKENS.items() if name != "local"],
            },
            "brain": {"memory": folder / "memory.sqlite3"},
            "timeline": {"path": folder / "timeline.sqlite3"},
            "mail": {"own": ["home = Ada <ada@example.org>"]},
            "sessions": {"linger_s": 60, **sessions},
        }
    )


Body = Callable[[App], Awaitable[None]]


@pytest.fixture
def virtually(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Run each body against an agent of its own on the same files, one after the other."""
    monkeypatch.setattr("agent.app.PocketsphinxAsr", lambda table, known, clock, cache: Deaf())

    def run(*bodies: Body, **sessions: Any) -> None:
        async def main() -> None:
            for body in bodies:
                async with App(settings(tmp_path, **sessions)) as app:
                    await body(app)

        run_virtual(main())

    return run


async def begun(app: App, owner: str) -> Seat:
    return joins(await app.open(owner=owner))


def joins(call: Seat, device_id: str = "d1") -> Seat:
    call.post(DeviceJoined(source=f"device:{device_id}", device_id=device_id, transport="test"))
    return call


async def leaves(app: App, call: Seat, device_id: str = "d1") -> None:
    call.post(DeviceLeft(source=f"device:{device_id}", device_id=device_id, reason="gone"))
    await app.leave(call, "gone", for_good=False)


async def play(*calls: Seat, seconds: float) -> None:
    for _ in range(round(seconds * 50)):
        for call in calls:
            call.next_frame()
        await asyncio.sleep(0.02)


async def says(call: Seat, text: str) -> str:
    """Type it, and hear the answer out."""
    before = types(call).count("reply.done")
    call.post(TextInput(text=text))
    for _ in range(20):
        await play(call, seconds=1)
        if types(call).count("reply.done") > before:
            break
    return next(e.event for e in reversed(window(call)) if isinstance(e.event, PlaybackStop)).heard_text


def window(call: Seat) -> list[Any]:
    return call.session.timeline.window()


def types(call: Seat) -> list[str]:
    return [entry.event.type for entry in window(call)]


# ── memory ───────────────────────────────────────────────────────────────────────────────


def test_two_at_once_each_have_a_memory_of_their_own(virtually: Callable[..., None], tmp_path: Path) -> None:
    async def body(app: App) -> None:
        anna, ben, local = [await begun(app, owner) for owner in ("anna", "ben", "local")]
        await says(anna, f"make a note that the {WORD} swims")
        await says(anna, "add milk to my shopping list")
        await says(anna, "my name is Anna")
        await says(anna, "speak slower")
        await says(anna, "add a meeting with bob tomorrow at three pm to my calendar")
        for other in (ben, local):
            assert "no notes" in await says(other, "read my notes")
            assert "milk" not in await says(other, "what is on my shopping list")
            assert "haven't told me your name" in await says(other, "what is my name")
            assert "Bob" not in await says(other, "what is on my calendar tomorrow")
            assert other.session._speed() == 1.0
        assert anna.session._speed() < 1.0
        assert WORD in await says(anna, "read my notes")
        assert "milk" in await says(anna, "what is on my shopping list")
        assert "Bob" in await says(anna, "what is on my calendar tomorrow")

    virtually(body)
    holding = [path.name for path in tmp_path.iterdir() if path.is_file() and WORD.encode() in path.read_bytes()]
    assert [name for name in holding if name.startswith("memory")] == ["memory-anna.sqlite3"]


def test_what_is_remembered_is_there_in_the_owners_next_conversation(virtually: Callable[..., None]) -> None:
    async def before(app: App) -> None:
        await says(await begun(app, "anna"), f"make a note that the {WORD} swims")

    async def after(app: App) -> None:
        assert WORD in await says(await begun(app, "anna"), "read my notes")
        assert WORD not in await says(await begun(app, "ben"), "read my notes")

    virtually(before, after)


def test_a_timer_rings_with_its_owner_alone_and_waits_for_them(virtually: Callable[..., None]) -> None:
    async def body(app: App) -> None:
        anna, ben = await begun(app, "anna"), await begun(app, "ben")
        await says(anna, "set a timer for one minute")
        await leaves(app, anna)
        await asyncio.sleep(70)
        assert "reminder.due" not in types(ben)
        assert "no timer set" in await says(ben, "what timers do i have")
        again = joins(await app.join(anna.session_id, "anna"))
        also = await begun(app, "anna")
        await play(again, also, seconds=5)
        assert "reminder.due" in types(again)
        assert "reminder.due" not in types(ben)

    virtually(body)


def test_nobody_writes_in_the_name_of_local(virtually: Callable[..., None]) -> None:
    async def body(app: App) -> None:
        anna = await begun(app, "anna")
        await says(anna, "send an email to myself saying hello")
        assert "action.proposed" not in types(anna)
        local = await begun(app, "local")
        await says(local, "send an email to myself saying hello")
        assert "action.proposed" in types(local)

    virtually(body)


def test_a_tool_is_told_whom_it_runs_for(virtually: Callable[..., None]) -> None:
    async def body(app: App) -> None:
        assert (await begun(app, "anna")).session.user().owner == "anna"
        assert (await begun(app, "local")).session.user().owner == "local"

    virtually(body)
    assert ToolContext(UserContext(now=None)).user.owner == "local"  # type: ignore[arg-type]


# ── sessions ─────────────────────────────────────────────────────────────────────────────


def test_anothers_session_is_one_that_never_was(virtually: Callable[..., None]) -> None:
    async def refused(app: App, session_id: str, owner: str) -> str:
        with pytest.raises(SessionGone) as gone:
            await app.join(session_id, owner)
        return str(gone.value)

    async def body(app: App) -> None:
        anna = await begun(app, "anna")
        unknown = await refused(app, "never-was", "ben")
        for state in ("attended", "lingering", "resting", "ended"):
            assert await refused(app, anna.session_id, "ben") == unknown, state
            assert await refused(app, anna.session_id, "local") == unknown, state
            assert await refused(app, anna.session_id, "carol") == unknown, state
            if state == "attended":
                await leaves(app, anna)
            elif state == "lingering":
                await asyncio.sleep(61)
                assert not app.sessions
            elif state == "resting":
                again = joins(await app.join(anna.session_id, "anna"))
                await app.close(again.session_id, "hung up")
        assert "ended" in await refused(app, anna.session_id, "anna")
        assert (await app.store.session(anna.session_id)).user == "anna"  # type: ignore[union-attr]

    virtually(body)


def test_who_is_refused_does_not_keep_a_session_from_resting(virtually: Callable[..., None]) -> None:
    async def body(app: App) -> None:
        anna = await begun(app, "anna")
        await leaves(app, anna)
        await asyncio.sleep(40)
        with pytest.raises(SessionGone):
            await app.join(anna.session_id, "ben")
        await asyncio.sleep(21)
        assert not app.sessions

    virtually(body)


def test_an_owner_who_is_named_no_more_has_no_sessions_until_named_again(
    virtually: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = []

    async def before(app: App) -> None:
        kept.append((await begun(app, "ben")).session_id)

    async def without(app: App) -> None:
        with pytest.raises(SessionGone):
            await app.join(kept[0], "ben")

    async def again(app: App) -> None:
        assert (await app.join(kept[0], "ben")).session.owner == "ben"

    virtually(before)
    with monkeypatch.context() as patch:
        patch.delitem(TOKENS, "ben")
        virtually(without)
    virtually(again)


# ── forgetting ───────────────────────────────────────────────────────────────────────────


def in_memory_files(folder: Path) -> list[str]:
    """Those that hold the secret, by the name of the memory."""
    return sorted({path.name.split(".")[0] for path in folder.glob("memory*") if WORD.encode() in path.read_bytes()})


@pytest.mark.parametrize("how", ["live", "closed", "resting"])
def test_what_tools_answered_is_forgotten_with_the_conversation(
    virtually: Callable[..., None], tmp_path: Path, how: str
) -> None:
    async def body(app: App) -> None:
        call = await begun(app, "anna")
        await says(call, f"make a note that the {WORD} swims")
        await says(call, "delete my last note")
        await says(call, f"add {WORD} to my shopping list")
        await says(call, f"remove {WORD} from my shopping list")
        await says(call, f"remind me to buy {WORD} in one hour")
        await says(call, "cancel the reminder")
        await says(call, "make a note that this one stays")
        assert in_memory_files(tmp_path)
        call.post(SessionForget(source="device:d1"))
        if how == "closed":
            await app.close(call.session_id, "hung up")
        elif how == "resting":
            await app.rest(call.session_id)
        else:
            await asyncio.sleep(1)
        assert in_memory_files(tmp_path) == []
        assert "this one stays" in await says(await begun(app, "anna"), "read my notes")

    virtually(body)


def test_what_is_not_forgotten_is_not_touched(virtually: Callable[..., None], tmp_path: Path) -> None:
    async def body(app: App) -> None:
        call, other, theirs = [await begun(app, owner) for owner in ("anna", "anna", "ben")]
        for one in (other, theirs):
            await says(one, f"make a note that the {WORD} swims")
        call.post(SessionForget(source="device:d1"))
        await asyncio.sleep(1)
        for one in (other, theirs):
            assert WORD in await says(one, "read my notes")
        assert in_memory_files(tmp_path) == ["memory-anna", "memory-ben"]

    virtually(body)


def test_a_killed_process_leaves_it_to_the_next_one(
    virtually: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It dies when it is said that all is forgotten, and before anything is erased."""
    kept = []

    async def before(app: App) -> None:
        async def dies(*_: Any) -> None:
            await asyncio.Event().wait()

        monkeypatch.setattr(app.store, "forget", dies)
        for own in app.owners.values():
            monkeypatch.setattr(own.memory, "forget", dies)
        call = await begun(app, "anna")
        call.session._forgetting._answers = dies
        kept.append(call.session_id)
        await says(call, f"make a note that the {WORD} swims")
        await says(call, "delete my last note")
        call.post(SessionForget(source="device:d1"))
        await asyncio.sleep(1)

    async def after(app: App) -> None:
        assert in_memory_files(tmp_path)
        joins(await app.join(kept[0], "anna"))
        await asyncio.sleep(1)
        assert in_memory_files(tmp_path) == []

    virtually(before, after)


def test_what_was_done_is_not_done_again_once_its_answer_is_forgotten(virtually: Callable[..., None]) -> None:
    async def body(app: App) -> None:
        call = await begun(app, "anna")
        await says(call, "make a note that the fish swims")
        [key] = [e.event.idempotency_key for e in window(call) if e.event.type == "action.started"]
        call.post(SessionForget(source="device:d1"))
        await asyncio.sleep(1)
        memory, written = app.owners["anna"].memory, []

        def again(db: sqlite3.Connection) -> None:
            written.append(db)

        with pytest.raises(Exception, match="done before"):
            await memory.write(key, again)
        assert not written

    virtually(body)


def test_old_conversations_take_what_was_answered_in_them_along(virtually: Callable[..., None], tmp_path: Path) -> None:
    async def body(app: App) -> None:
        call = await begun(app, "anna")
        await says(call, f"make a note that the {WORD} swims")
        await says(call, "delete my last note")
        await app.close(call.session_id, "hung up")
        assert in_memory_files(tmp_path)
        await asyncio.sleep(3 * 86_400)
        assert await app.store.session(call.session_id) is None
        assert in_memory_files(tmp_path) == []

    virtually(body, keep_days=1)


# ── over HTTP ────────────────────────────────────────────────────────────────────────────


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
    for _ in range(400):
        app.sessions[hello["session_id"]].next_frame()
        await asyncio.sleep(0.02)


async def said_by(
    app: App, hello: dict[str, Any], client: httpx.AsyncClient, said: str, headers: dict[str, str]
) -> str:
    await says_by(client, hello, said, headers)
    await play_session(app, hello)
    spoken = [e.event.text for e in app.sessions[hello["session_id"]].timeline.window() if e.event.type == "tts.say"]
    return "milk" if "milk" in spoken[-1] else spoken[-1]


# ── files of before ──────────────────────────────────────────────────────────────────────


def test_what_was_there_before_there_were_owners_is_locals(virtually: Callable[..., None], tmp_path: Path) -> None:
    kept = []

    async def before(app: App) -> None:
        call = await begun(app, "local")
        await says(call, f"make a note that the {WORD} swims")
        kept.append(call.session_id)

    virtually(before)
    with sqlite3.connect(tmp_path / "timeline.sqlite3") as connection:
        connection.executescript("UPDATE sessions SET user = ''; PRAGMA user_version = 2")
    connection.close()

    async def after(app: App) -> None:
        assert isinstance(app.store, SqliteStore)
        with pytest.raises(SessionGone):
            await app.join(kept[0], "anna")
        again = joins(await app.join(kept[0]))
        assert WORD in await says(again, "read my notes")

    virtually(after)


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
    monkeypatch.setattr("agent.app.PocketsphinxAsr", lambda table, known, clock, cache: Deaf())
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
