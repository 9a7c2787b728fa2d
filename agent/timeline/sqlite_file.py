"""The SQLite file of the timelines: opening it, its schema, and what its errors mean."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from agent.errors import StoreError, Unavailable

SCHEMA_VERSION = 3
"""`PRAGMA user_version` of a file of this schema; 0 is an empty file, 1 and 2 are brought up to date."""

_APPLICATION_ID = 0x766F6963
"""`PRAGMA application_id`: "voic", so that another program's database is told apart."""

_BUSY_MS = 2_000

_ENTRIES = """
CREATE TABLE entries (
    session_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    event_id TEXT NOT NULL,
    ts TEXT NOT NULL,
    t_ms INTEGER NOT NULL,
    now_us INTEGER NOT NULL,
    role TEXT NOT NULL,
    type TEXT NOT NULL,
    source TEXT NOT NULL,
    turn_id TEXT NOT NULL,
    parent_event_id TEXT NOT NULL,
    payload TEXT NOT NULL,
    PRIMARY KEY (session_id, seq)
) WITHOUT ROWID;
CREATE UNIQUE INDEX entries_by_event_id ON entries (session_id, event_id);
"""

_BESIDE_ENTRIES = """
CREATE TABLE sessions (
    session_id TEXT PRIMARY KEY,
    created TEXT NOT NULL,
    touched TEXT NOT NULL,
    first_seq INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    epoch INTEGER NOT NULL DEFAULT 0,
    owner TEXT NOT NULL DEFAULT '',
    user TEXT NOT NULL DEFAULT 'local',
    ttl_us INTEGER NOT NULL DEFAULT 0,
    expires_us INTEGER NOT NULL DEFAULT 0,
    deleted INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX sessions_by_created ON sessions (created) WHERE deleted = 0;
CREATE TABLE past_ids (
    session_id TEXT NOT NULL,
    event_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (session_id, event_id)
) WITHOUT ROWID;
CREATE TABLE actions (
    session_id TEXT NOT NULL,
    action_id TEXT NOT NULL,
    state TEXT NOT NULL,
    seq INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    PRIMARY KEY (session_id, action_id)
) WITHOUT ROWID;
CREATE TABLE snapshots (session_id TEXT PRIMARY KEY, seq INTEGER NOT NULL, blob BLOB NOT NULL);
CREATE TABLE presence (
    session_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    state TEXT NOT NULL,
    since TEXT NOT NULL,
    expires_us INTEGER NOT NULL,
    PRIMARY KEY (session_id, device_id)
) WITHOUT ROWID;
"""

_FROM_1 = """
INSERT INTO sessions (session_id, created, touched, first_seq, last_seq)
SELECT session_id, ts, (SELECT ts FROM entries WHERE session_id = first.session_id ORDER BY seq DESC LIMIT 1), 1,
    (SELECT max(seq) FROM entries WHERE session_id = first.session_id)
FROM entries AS first WHERE seq = 1;
DROP INDEX sessions_by_time;
"""

_FROM_2 = "UPDATE sessions SET user = 'local' WHERE user = ''"
"""Before, whose a session was, was not said."""


def open_writer(path: Path) -> sqlite3.Connection:
    """A connection that commits durably, its schema made or checked. Raises `StoreError`.

    It may be handed to one other thread, which is then the only one to use it.
    """
    connection = _connect(path)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        # What a user has deleted must not be found in the free pages of the file.
        connection.execute("PRAGMA secure_delete = ON")
        _prepare_schema(connection, path)
    except sqlite3.Error as error:
        connection.close()
        raise explain(error, path) from error
    except StoreError:
        connection.close()
        raise
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """A connection that cannot write, beside a writer's. Raises `StoreError`."""
    connection = _connect(path)
    connection.execute("PRAGMA query_only = ON")
    return connection


def _connect(path: Path) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise explain(error, path) from error
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
    return connection


def _prepare_schema(connection: sqlite3.Connection, path: Path) -> None:
    if _identity(connection) == (SCHEMA_VERSION, _APPLICATION_ID):
        return
    connection.execute("BEGIN IMMEDIATE")
    # Read again: another process may have been quicker.
    version, program = _identity(connection)
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if tables == 0 and (version, program) == (0, 0):
        _run(connection, _ENTRIES + _BESIDE_ENTRIES)
    elif (version, program) == (1, _APPLICATION_ID):
        _run(connection, _BESIDE_ENTRIES + _FROM_1)
    elif (version, program) == (2, _APPLICATION_ID):
        _run(connection, _FROM_2)
    elif program != _APPLICATION_ID:
        raise StoreError(f"{path} is another program's database: set timeline.path to another file")
    elif version != SCHEMA_VERSION:
        raise StoreError(
            f"{path} holds timelines of format {version}, and this program reads format {SCHEMA_VERSION}: "
            "use the program that wrote it, or set timeline.path to another file"
        )
    _run(connection, f"PRAGMA application_id = {_APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION}")
    connection.execute("COMMIT")


def _identity(connection: sqlite3.Connection) -> tuple[int, int]:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    program: int = connection.execute("PRAGMA application_id").fetchone()[0]
    return version, program


def _run(connection: sqlite3.Connection, script: str) -> None:
    """Like `executescript`, which would commit first."""
    for statement in script.split(";"):
        connection.execute(statement)


_MEANINGS: dict[int, tuple[type[StoreError], str]] = {
    sqlite3.SQLITE_FULL: (StoreError, "the disk is full: free some space"),
    sqlite3.SQLITE_READONLY: (StoreError, "it is read-only: make it writable, or set timeline.path to another file"),
    sqlite3.SQLITE_PERM: (StoreError, "it may not be opened: check its permissions"),
    sqlite3.SQLITE_CANTOPEN: (StoreError, "it cannot be opened: its folder must exist and be writable"),
    sqlite3.SQLITE_CORRUPT: (StoreError, "the file is damaged: restore a copy, or move it away to begin a new one"),
    sqlite3.SQLITE_NOTADB: (StoreError, "it is not an SQLite file: set timeline.path to another file"),
    sqlite3.SQLITE_IOERR: (StoreError, "the disk failed or is full: check it and its free space"),
    sqlite3.SQLITE_BUSY: (Unavailable, "another process is writing to it: try again"),
    sqlite3.SQLITE_LOCKED: (Unavailable, "another connection is writing to it: try again"),
}


def maybe_committed(error: sqlite3.Error) -> bool:
    """Whether a failed COMMIT may yet be in the file: the disk took it, and then failed to say so."""
    return _primary_code(error) == sqlite3.SQLITE_IOERR


def _primary_code(error: sqlite3.Error) -> int:
    # The extended code carries the primary one in its low byte.
    code: int = getattr(error, "sqlite_errorcode", -1)
    return code & 0xFF


def explain(error: sqlite3.Error, path: Path) -> StoreError:
    """SQLite's error as ours, with what to do about it."""
    kind, advice = _MEANINGS.get(_primary_code(error), (StoreError, "the database refused"))
    return kind(f"timelines in {path}: {advice} ({error})")
