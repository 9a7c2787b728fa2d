"""Durable memory: notes, list items, preferences and timers, kept between sessions.

One SQLite file, written only by tools when they run, one transaction per write, by one thread
of its own. Every write carries an idempotency key; a key seen before returns the first answer
and does nothing, also once that answer was forgotten. A file that cannot be used is a `problem` that every
tool's preflight reports; the agent itself still works.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from agent.clock import Clock
from agent.conversation.events import Json
from agent.errors import ToolError

T = TypeVar("T")

KEPT_KEYS = 10_000
"""Idempotency keys remembered; older ones are forgotten."""
FORGOTTEN = ""
"""In the place of an answer."""
BUSY_TIMEOUT_S = 2.0
VERSION = 1

_SCHEMA = """
CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL, created TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS items (
    id INTEGER PRIMARY KEY, list TEXT NOT NULL, text TEXT NOT NULL, created TEXT NOT NULL,
    done INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS preferences (name TEXT PRIMARY KEY, value TEXT NOT NULL, asked TEXT NOT NULL DEFAULT '');
CREATE TABLE IF NOT EXISTS timers (
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL, label TEXT NOT NULL, seconds INTEGER NOT NULL, due TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'ringing', 'rung', 'cancelled'))
);
CREATE TABLE IF NOT EXISTS done (
    number INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, answer TEXT NOT NULL
);
"""


class Memory:
    """`path` may be `:memory:`. Nothing is opened before `start`."""

    def __init__(self, path: Path | str) -> None:
        self.path = path
        self.problem = "the memory has not been opened"
        """Empty while the file can be used; else why not, for people."""
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="memory")
        self._db: sqlite3.Connection | None = None
        self._preferences: dict[str, Json] = {}
        self._asked: dict[str, str] = {}
        """When each preference was asked for, ISO-8601; empty where that is not known."""

    async def start(self) -> None:
        """Open the file and read the preferences. Never raises for a bad file: see `problem`."""
        self.problem = await self._in_thread(self._open)

    async def close(self) -> None:
        """Finish the write under way and close the file. It cannot be opened again."""
        await self._in_thread(self._close)
        self._executor.shutdown(wait=False)

    def preference(self, name: str, default: T) -> T:
        """A kept preference, from memory; `default` where there is none of its type."""
        value = self._preferences.get(name, default)
        if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        return value if isinstance(value, type(default)) else default

    def asked(self, name: str) -> datetime | None:
        """When a preference was asked for, if that is known."""
        asked = self._asked.get(name, "")
        return datetime.fromisoformat(asked) if asked else None

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` on the connection. Raises `ToolError`."""
        return await self._in_thread(lambda: self._guarded(work))

    async def write(self, key: str, work: Callable[[sqlite3.Connection], Json]) -> Json:
        """Run `work` in one transaction, once per non-empty key. Raises `ToolError`; then nothing is kept."""
        return await self._in_thread(lambda: self._guarded(lambda db: self._once(db, key, work)))

    async def forget(self, session_id: str) -> None:
        """Erase what was answered in a session, and of lists and timers what is over, so that the words are not in
        the file any more. The keys stay. Raises `ToolError`."""
        await self._in_thread(lambda: self._guarded(lambda db: _erase(db, session_id)))

    async def check(self) -> str:
        """A preflight: why memory cannot be written, or empty."""
        if self.problem:
            return self.problem
        try:
            await self.write("", lambda db: db.execute("UPDATE preferences SET value = value WHERE name = ''").rowcount)
        except ToolError as error:
            return str(error)
        return ""

    async def remember(self, key: str, name: str, value: Json, now: datetime) -> Json:
        """Keep a preference, asked for `now` (aware); returns its value. Raises `ToolError`."""
        asked = now.isoformat()
        kept = await self.write(key, lambda db: _put_preference(db, name, value, asked))
        self._preferences[name], self._asked[name] = kept, asked
        return kept

    async def _in_thread(self, work: Callable[[], T]) -> T:
        async with Clock().external():
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def _open(self) -> str:
        try:
            db = sqlite3.connect(self.path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        except sqlite3.Error as error:
            return f"The memory file {self.path} cannot be opened ({error}). Set brain.memory to a writable file."
        try:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version > VERSION:
                db.close()
                return f"The memory file {self.path} was written by a newer version. Update, or set brain.memory to "
                "another file."
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA secure_delete = ON")
            db.executescript(_SCHEMA)
            if "asked" not in [row[1] for row in db.execute("PRAGMA table_info(preferences)")]:
                db.execute("ALTER TABLE preferences ADD COLUMN asked TEXT NOT NULL DEFAULT ''")
            db.execute(f"PRAGMA user_version = {VERSION}")
            rows = db.execute("SELECT name, value, asked FROM preferences").fetchall()
            self._preferences = {name: json.loads(value) for name, value, _ in rows}
            self._asked = {name: asked for name, _, asked in rows}
        except (sqlite3.Error, ValueError) as error:
            db.close()
            return (
                f"The memory file {self.path} cannot be used ({error}). "
                "Make it writable, move it away, or set brain.memory to another file."
            )
        self._db = db
        return ""

    def _close(self) -> None:
        if self._db is not None:
            self._db.close()
        self._db = None
        self.problem = "the memory is closed"

    def _guarded(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._db is None:
            raise ToolError("My memory is not available.", "unreachable")
        try:
            return work(self._db)
        except sqlite3.OperationalError as error:
            if "readonly" in str(error):
                raise ToolError("My memory file is read-only.", "permission") from error
            if "locked" in str(error) or "busy" in str(error):
                raise ToolError("My memory is in use by another program.", "timeout") from error
            raise ToolError(f"My memory failed: {error}.", "crash") from error
        except sqlite3.Error as error:
            raise ToolError(f"My memory is damaged: {error}.", "crash") from error

    def _once(self, db: sqlite3.Connection, key: str, work: Callable[[sqlite3.Connection], Json]) -> Json:
        db.execute("BEGIN IMMEDIATE")
        try:
            seen = db.execute("SELECT answer FROM done WHERE key = ?", (key,)).fetchone() if key else None
            if seen is not None:
                db.execute("ROLLBACK")
                if seen[0] == FORGOTTEN:
                    raise ToolError("That was done before, and what came of it is forgotten.", "unknown")
                answer: Json = json.loads(seen[0])
                return answer
            answer = work(db)
            if key:
                db.execute("INSERT INTO done (key, answer) VALUES (?, ?)", (key, json.dumps(answer)))
                db.execute("DELETE FROM done WHERE number <= (SELECT max(number) FROM done) - ?", (KEPT_KEYS,))
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
        return answer


def _put_preference(db: sqlite3.Connection, name: str, value: Json, asked: str) -> Json:
    row = (name, json.dumps(value), asked)
    db.execute("INSERT OR REPLACE INTO preferences (name, value, asked) VALUES (?, ?, ?)", row)
    return value


def _erase(db: sqlite3.Connection, session_id: str) -> None:
    db.execute("BEGIN IMMEDIATE")
    try:
        of_session = f":{session_id}:"  # as it stands in every key of its actions
        db.execute("UPDATE done SET answer = ? WHERE instr(key, ?) > 0", (FORGOTTEN, of_session))
        db.execute("DELETE FROM items WHERE done = 1")
        db.execute("DELETE FROM timers WHERE state IN ('rung', 'cancelled')")
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    # Another process that reads holds the log back; then the next one that forgets empties it.
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
