"""Durable memory: once per key, kept across restarts, honest about bad files."""

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.clock import run_virtual
from agent.conversation.events import Json
from agent.errors import ToolError
from agent.thinking.memory import VERSION, Memory

NOW = datetime(2026, 3, 4, 15, 20, tzinfo=UTC)


def _add(text: str) -> object:
    def work(db: sqlite3.Connection) -> Json:
        db.execute("INSERT INTO notes (text, created) VALUES (?, '')", (text,))
        return {"text": text}

    return work


def _texts(db: sqlite3.Connection) -> list[str]:
    return [text for (text,) in db.execute("SELECT text FROM notes ORDER BY id")]


def test_a_key_seen_before_does_nothing_and_answers_the_same(tmp_path: Path) -> None:
    async def main() -> tuple[object, object, object, list[str]]:
        memory = Memory(tmp_path / "memory.sqlite3")
        await memory.start()
        one = await memory.write("k1", _add("first"))
        again = await memory.write("k1", _add("second"))
        await memory.close()
        later = Memory(tmp_path / "memory.sqlite3")
        await later.start()
        after_restart = await later.write("k1", _add("third"))
        texts = await later.read(_texts)
        await later.close()
        return one, again, after_restart, texts

    assert run_virtual(main()) == ({"text": "first"}, {"text": "first"}, {"text": "first"}, ["first"])


def test_a_write_that_fails_leaves_nothing_and_may_be_tried_again() -> None:
    async def main() -> list[str]:
        memory = Memory(":memory:")
        await memory.start()

        def fails(db: sqlite3.Connection) -> Json:
            _add("half")(db)
            raise ToolError("no", "input")

        with pytest.raises(ToolError):
            await memory.write("k1", fails)
        await memory.write("k1", _add("whole"))
        return await memory.read(_texts)

    assert run_virtual(main()) == ["whole"]


def test_preferences_survive_and_are_read_without_waiting(tmp_path: Path) -> None:
    async def main() -> tuple[float, str, float]:
        memory = Memory(tmp_path / "memory.sqlite3")
        assert memory.preference("speech_speed", 1.0) == 1.0
        await memory.start()
        await memory.remember("k1", "speech_speed", 0.8, NOW)
        await memory.close()
        later = Memory(tmp_path / "memory.sqlite3")
        await later.start()
        found = (
            later.preference("speech_speed", 1.0),
            later.preference("speech_speed", "of another type"),
            later.preference("unknown", 2.0),
        )
        await later.close()
        return found

    assert run_virtual(main()) == (0.8, "of another type", 2.0)


def test_when_a_preference_was_asked_for_is_known_later_unless_it_was_kept_without(tmp_path: Path) -> None:
    path = tmp_path / "memory.sqlite3"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE preferences (name TEXT PRIMARY KEY, value TEXT NOT NULL)")
        db.execute("INSERT INTO preferences VALUES ('user_name', '\"Ann\"')")
    db.close()

    async def main() -> None:
        memory = Memory(path)
        await memory.start()
        assert (memory.preference("user_name", ""), memory.asked("user_name")) == ("Ann", None)
        await memory.remember("k1", "speech_speed", 0.8, NOW)
        assert memory.asked("speech_speed") == NOW
        await memory.close()
        later = Memory(path)
        await later.start()
        assert (later.asked("speech_speed"), later.asked("user_name"), later.asked("unknown")) == (NOW, None, None)
        await later.close()

    run_virtual(main())


def _problem(path: Path) -> str:
    async def main() -> str:
        memory = Memory(path)
        await memory.start()
        problem = await memory.check()
        with pytest.raises(ToolError) as caught:
            await memory.write("k1", _add("text"))
        assert caught.value.error_class in ("unreachable", "permission")
        await memory.close()
        return problem

    return run_virtual(main())


def test_a_corrupt_file_is_a_clear_problem(tmp_path: Path) -> None:
    path = tmp_path / "memory.sqlite3"
    path.write_bytes(b"this is no database" * 1_000)
    assert "memory.sqlite3" in _problem(path)
    assert path.read_bytes() == b"this is no database" * 1_000


def test_a_missing_folder_is_a_clear_problem(tmp_path: Path) -> None:
    assert "brain.memory" in _problem(tmp_path / "missing" / "memory.sqlite3")


def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "memory.sqlite3"
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA user_version = {VERSION + 1}")
    db.commit()
    db.close()
    assert "newer" in _problem(path)


def test_a_file_that_became_read_only_is_a_permission_error(tmp_path: Path) -> None:
    async def main() -> tuple[str, str]:
        memory = Memory(tmp_path / "memory.sqlite3")
        await memory.start()
        await memory.read(lambda db: db.execute("PRAGMA query_only = ON"))
        problem = await memory.check()
        with pytest.raises(ToolError) as caught:
            await memory.write("k1", _add("text"))
        await memory.close()
        return problem, caught.value.error_class

    assert run_virtual(main()) == ("My memory file is read-only.", "permission")


def test_a_file_locked_by_another_program_is_a_timeout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.thinking.memory.BUSY_TIMEOUT_S", 0.01)

    async def main() -> str:
        memory = Memory(tmp_path / "memory.sqlite3")
        await memory.start()
        other = sqlite3.connect(tmp_path / "memory.sqlite3", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(ToolError) as caught:
            await memory.write("k1", _add("text"))
        other.close()
        await memory.close()
        return caught.value.error_class

    assert run_virtual(main()) == "timeout"
