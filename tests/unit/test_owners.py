"""Owners side by side, with the real agent in virtual time: what is one's is nothing to the other."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.app import App
from agent.errors import LimitReached, SessionGone
from agent.settings import Limits
from agent.thinking.port import ToolContext, UserContext
from agent.timeline.sqlite import SqliteStore
from tests.fixtures.owners import TOKENS, WORD, begun, joins, leaves, play, says, types, virtually


@pytest.fixture(name="virtually")
def _virtually(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    return virtually(tmp_path, monkeypatch)


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


def test_who_has_a_conversation_leaves_a_place_for_each_who_has_none(virtually: Callable[..., None]) -> None:
    async def body(app: App) -> None:
        app.settings = app.settings.model_copy(update={"limits": Limits(sessions=4)})
        annas = [await begun(app, "anna") for _ in range(2)]
        with pytest.raises(LimitReached, match="for other owners"):
            await app.open(owner="anna")
        ben = await begun(app, "ben")
        await leaves(app, ben)
        await leaves(app, annas[0])
        await begun(app, "anna")
        assert set(app.sessions) >= {ben.session_id, annas[1].session_id}, "hers made way, and not his"
        joins(await app.join(ben.session_id, "ben"))
        await begun(app, "local")
        with pytest.raises(LimitReached, match="which is the limit"):
            await begun(app, "local")

    virtually(body)


def test_no_place_is_kept_for_local_where_local_has_no_token(
    virtually: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(app: App) -> None:
        app.settings = app.settings.model_copy(update={"limits": Limits(sessions=3)})
        for _ in range(2):
            await begun(app, "anna")
        with pytest.raises(LimitReached, match="for other owners"):
            await app.open(owner="anna")
        await begun(app, "ben")

    async def alone(app: App) -> None:
        app.settings = app.settings.model_copy(update={"limits": Limits(sessions=3)})
        for _ in range(3):
            await begun(app, "anna")

    monkeypatch.setitem(TOKENS, "local", "")
    virtually(body)
    monkeypatch.delitem(TOKENS, "ben")
    virtually(alone)
