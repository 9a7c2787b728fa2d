"""What tools answered goes with the conversation, and nothing else does."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.app import App
from agent.conversation.events import SessionForget
from agent.errors import ToolError
from tests.fixtures.owners import WORD, begun, joins, says, virtually, window


@pytest.fixture(name="virtually")
def _virtually(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    return virtually(tmp_path, monkeypatch)


def holding(folder: Path, kind: str = "memory") -> list[str]:
    """The files of this kind that hold the secret, by what stands before their suffix."""
    files = [path for path in folder.glob(f"{kind}*") if path.is_file()]
    return sorted({path.name.split(".")[0] for path in files if WORD.encode() in path.read_bytes()})


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
        assert holding(tmp_path)
        call.post(SessionForget(source="device:d1"))
        if how == "closed":
            await app.close(call.session_id, "hung up")
        elif how == "resting":
            await app.rest(call.session_id)
        else:
            await asyncio.sleep(1)
        assert holding(tmp_path) == []
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
        assert holding(tmp_path) == ["memory-anna", "memory-ben"]

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
        assert holding(tmp_path)
        joins(await app.join(kept[0], "anna"))
        await asyncio.sleep(1)
        assert holding(tmp_path) == []

    virtually(before, after)


def test_a_memory_that_cannot_be_used_keeps_neither_others_nor_forgetting(
    virtually: Callable[..., None], tmp_path: Path
) -> None:
    (tmp_path / "memory-anna.sqlite3").mkdir()

    async def body(app: App) -> None:
        anna, ben = await begun(app, "anna"), await begun(app, "ben")
        await says(anna, f"tell me about {WORD}")
        await says(ben, "make a note that the fish swims")
        assert "fish" in await says(ben, "read my notes")
        await asyncio.sleep(1)
        anna.post(SessionForget(source="device:d1"))
        await asyncio.sleep(1)
        assert holding(tmp_path, "timeline") == []

    virtually(body)


def test_a_memory_that_is_busy_is_asked_again(
    virtually: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: list[str] = []

    async def body(app: App) -> None:
        call = await begun(app, "anna")
        able = call.session._forgetting._answers

        async def busy(session_id: str) -> None:
            if len(refused) < 3:
                refused.append(session_id)
                raise ToolError("My memory is in use by another program.", "timeout")
            await able(session_id)

        monkeypatch.setattr(call.session._forgetting, "_answers", busy)
        await says(call, f"make a note that the {WORD} swims")
        await says(call, "delete my last note")
        call.post(SessionForget(source="device:d1"))
        await asyncio.sleep(3)
        assert refused == [call.session_id] * 3
        assert holding(tmp_path) == []

    virtually(body)


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
        assert holding(tmp_path)
        await asyncio.sleep(3 * 86_400)
        assert await app.store.session(call.session_id) is None
        assert holding(tmp_path) == []

    virtually(body, keep_days=1)
