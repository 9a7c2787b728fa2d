"""`voice-agent sessions` beside the stored timelines, as a person uses it."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
import wave
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from click.testing import Result
from typer.testing import CliRunner

from agent.cli import main
from agent.clock import utc_now
from agent.recordings import Recordings
from agent.thinking.memory import Memory
from agent.timeline.codec import loads
from agent.timeline.entry import Entry
from agent.timeline.owner import owner_beside
from agent.timeline.sqlite import SqliteStore
from agent.timeline.summary import summaries
from agent.transport.session_token import key_in

FIXTURES = Path(__file__).parents[1] / "fixtures"
FILE = "voice-agent-timeline.sqlite3"
runner = CliRunner()


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "140")


def golden(session_id: str, name: str = "answer") -> list[Entry]:
    lines = (FIXTURES / f"timeline_{name}.jsonl").read_text().splitlines()
    return [loads(json.dumps(json.loads(line) | {"session_id": session_id})) for line in lines]


def stored(work: Any) -> None:
    async def with_store() -> None:
        store = SqliteStore(Path(FILE))
        try:
            await work(store)
        finally:
            await store.close()

    asyncio.run(with_store())


def keep(*session_ids: str) -> None:
    async def work(store: SqliteStore) -> None:
        for session_id in session_ids:
            await store.append(golden(session_id))

    stored(work)


def record(session_id: str, start_ms: int = 0, seconds: int = 2) -> Path:
    path = Recordings.beside(Path(FILE)).new(session_id, start_ms)
    with wave.open(str(path), "wb") as file:
        file.setparams((2, 2, 16_000, 0, "NONE", ""))
        file.writeframes(bytes(4 * 16_000 * seconds))
    return path


def run(*arguments: str) -> Result:
    done = runner.invoke(main, list(arguments))
    assert "Traceback" not in done.output
    return done


def lines(done: Result) -> list[str]:
    assert done.exit_code == 0, done.output
    return [" ".join(line.split()) for line in done.stdout.splitlines()]


def test_they_are_listed_with_what_was_said_first_and_their_audio() -> None:
    keep("abc123", "def456")
    record("abc123", 500, 75)
    shown = "\n".join(lines(run("sessions")))
    assert re.search(r"^abc123 2026-01-01 00:00 \d+ 0:01:15 what time is it in tokyo$", shown, re.M)
    assert re.search(r"^def456 .* – what time", shown, re.M)


def test_one_that_is_damaged_keeps_no_other_from_being_listed() -> None:
    keep("abc123", "def456")
    with closing(sqlite3.connect(FILE)) as connection, connection:
        connection.execute("DELETE FROM entries WHERE session_id = 'abc123' AND seq = 2")
    shown = "\n".join(lines(run("sessions")))
    assert re.search(r"^abc123 .* damaged: run sessions check$", shown, re.M)
    assert re.search(r"^def456 .* – what time", shown, re.M)

    async def look(store: SqliteStore) -> None:
        assert [one.session_id for one in await summaries(store, "local", 10, utc_now())] == ["def456"]

    stored(look)


def test_what_was_said_is_shown_as_it_was_typed_whatever_it_looks_like() -> None:
    said = "[/red] what is [bold]this"
    lines_of = [
        json.dumps(json.loads(line) | {"session_id": "abc123"}).replace("what time is it in tokyo", said)
        for line in (FIXTURES / "timeline_answer.jsonl").read_text().splitlines()
    ]

    async def work(store: SqliteStore) -> None:
        await store.append([loads(line) for line in lines_of])

    stored(work)
    assert said in run("sessions").stdout
    for arguments in ((), ("--turns",), ("--set", "endpointing.floor_ms=450")):
        shown = run("replay", "abc123", *arguments)
        assert said in shown.stdout, shown.output


def test_ids_can_be_copied_however_narrow_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    keep("0123456789abcdef01234567")
    record("0123456789abcdef01234567")
    [_, row] = lines(run("sessions"))
    assert row.startswith("0123456789abcdef01234567 2026-01-01 00:00 ")
    assert "0:00:02 what" in row


def test_a_session_that_is_held_says_so() -> None:
    keep("abc123")

    async def hold(store: SqliteStore) -> None:
        await store.acquire("abc123", "agent", 3_600)

    stored(hold)
    assert " held " in "\n".join(lines(run("sessions")))


def test_the_beginning_of_an_id_is_enough_to_replay_and_export() -> None:
    keep("abc123", "abd456")
    assert "every decision is identical" in run("replay", "abc").stdout
    assert run("sessions", "export", "abc", "--out", "talk.jsonl").exit_code == 0
    assert [loads(line) for line in Path("talk.jsonl").read_text().splitlines()] == golden("abc123")
    alone = run("sessions", "export", "abd")
    assert [loads(line) for line in alone.stdout.splitlines()] == golden("abd456")
    several = run("replay", "ab")
    assert several.exit_code == 5
    assert "2 stored sessions begin with ab: " in several.output


def test_what_is_deleted_is_gone_with_its_audio_and_its_words() -> None:
    keep("abc123", "def456")
    record("abc123")
    deleted = run("sessions", "delete", "abc")
    assert deleted.stdout == "Deleted abc123 and its audio.\n"
    assert not list(Path(f"{FILE}-audio").iterdir())
    assert run("replay", "abc123").exit_code == 5
    assert len(lines(run("sessions"))) == 2
    run("sessions", "delete", "def456")
    assert all(b"tokyo" not in path.read_bytes().lower() for path in Path().glob(f"{FILE}*") if path.is_file())


def test_a_session_that_a_running_agent_holds_is_not_deleted() -> None:
    keep("abc123")
    agent = owner_beside(Path(FILE))

    async def hold(store: SqliteStore) -> None:
        await store.acquire("abc123", agent.name, 3_600)

    try:
        stored(hold)
        refused = run("sessions", "delete", "abc123")
    finally:
        agent.close()
    assert refused.exit_code == 5
    assert "held by a running agent" in refused.output
    assert run("replay", "abc123").exit_code == 0
    assert run("sessions", "delete", "abc123").exit_code == 0, "the agent is gone, whatever its lease says"


def test_check_finds_what_is_wrong() -> None:
    keep("abc123")
    record("abc123")
    assert "in order: 1 sessions." in "\n".join(lines(run("sessions", "check")))
    record("nobody")
    record("abc123", 9_000).write_bytes(b"no audio")
    bad = run("sessions", "check")
    assert bad.exit_code == 1
    assert "audio of a session that is not stored" in bad.stdout
    assert "9000.wav cannot be read as audio" in bad.stdout


@pytest.mark.parametrize("arguments", [("sessions",), ("sessions", "export", "x"), ("sessions", "check")])
def test_files_that_cannot_be_used_are_clear_errors(arguments: tuple[str, ...]) -> None:
    missing = run(*arguments)
    assert missing.exit_code == 5
    assert "no stored timeline" in missing.output
    assert not Path(FILE).exists(), "looking makes no file"
    Path(FILE).write_text("this is no database, but it is long enough to be taken for one " * 40)
    assert "not an SQLite file" in run(*arguments).output
    assert run(*arguments, "--set", "timeline.store=memory").exit_code == 5


def test_a_link_opens_one_session_to_watch() -> None:
    keep("abc123")
    url = urlsplit(run("sessions", "link", "abc", "--set", "server.port=9000").stdout.strip())
    assert (url.netloc, url.path, url.query) == ("localhost:9000", "/replay.html", "session=abc123")
    [token] = parse_qs(url.fragment)["session_token"]
    grant = key_in(Path(f"{FILE}.key")).check(token, 0)
    assert (grant.session_id, grant.scopes) == ("abc123", frozenset({"watch"}))


def test_an_unknown_session_names_the_latest_ones() -> None:
    keep("abc123")
    assert "the latest sessions: abc123" in run("sessions", "delete", "zzz").output
    assert "the latest sessions: abc123" in run("replay", "zzz").output
    assert run("sessions", "export", "abc", "--out", "no/such/file").exit_code == 5


# ── owners ───────────────────────────────────────────────────────────────────────────────


def keep_for(owner: str, *session_ids: str) -> None:
    async def work(store: SqliteStore) -> None:
        for session_id in session_ids:
            lease = await store.acquire(session_id, "agent", 30, owner)
            entries = [replace(entry, seq=entry.seq + 1) for entry in golden(session_id)]
            await store.append(entries, lease)
            await store.release(lease)

    stored(work)


def test_they_are_listed_with_their_owner_or_of_one_alone() -> None:
    keep("abc123")
    assert "local" not in run("sessions").stdout, "there is nobody else"
    keep_for("anna", "def456")
    shown = "\n".join(lines(run("sessions")))
    assert re.search(r"^def456 .* anna what time is it in tokyo$", shown, re.M)
    assert re.search(r"^abc123 .* local what time is it in tokyo$", shown, re.M)
    assert [line.split()[0] for line in lines(run("sessions", "--owner", "anna"))] == ["session", "def456"]
    assert [line.split()[0] for line in lines(run("sessions", "--owner", "local"))] == ["session", "abc123"]
    assert "No session of ben is stored" in run("sessions", "--owner", "ben").stdout


def test_of_one_owner_another_ones_session_is_not_found() -> None:
    keep_for("anna", "abc123")
    keep_for("ben", "abc999")
    for command in ("export", "link", "delete"):
        for name in ("abc123", "abc12"):
            refused = run("sessions", command, name, "--owner", "ben")
            assert refused.exit_code == 5
            assert "the latest sessions: abc999" in refused.output
    assert run("sessions", "export", "abc", "--owner", "anna", "--out", "talk.jsonl").exit_code == 0
    assert run("sessions", "delete", "abc", "--owner", "ben").stdout == "Deleted abc999.\n"
    assert run("replay", "abc123").exit_code == 0


def test_a_link_holds_no_owners_token_and_needs_none() -> None:
    keep_for("anna", "abc123")
    secrets = ["--set", "server.token=the token of local", "--set", 'server.owner_tokens=["anna = the token of anna"]']
    url = run("sessions", "link", "abc", *secrets).stdout.strip()
    secrets_in_it = parse_qs(urlsplit(url).fragment)
    assert list(secrets_in_it) == ["session_token"]
    [token] = secrets_in_it["session_token"]
    grant = key_in(Path(f"{FILE}.key")).check(token, 0)
    assert (grant.owner, grant.scopes, grant.minted) == ("anna", frozenset({"watch"}), True)


def test_what_is_deleted_takes_what_was_answered_in_it_along() -> None:
    keep_for("anna", "abc123")
    path = Path("voice-agent-memory-anna.sqlite3")

    async def answer() -> None:
        memory = Memory(path)
        await memory.start()
        await memory.write("a1:abc123:t1:policy", lambda _: {"text": "swordfish"})
        await memory.write("a1:def456:t1:policy", lambda _: {"text": "trout"})
        await memory.close()

    asyncio.run(answer())
    assert run("sessions", "delete", "abc123").exit_code == 0
    left = b"".join(file.read_bytes() for file in Path().glob("voice-agent-memory*"))
    assert b"swordfish" not in left
    assert b"trout" in left
