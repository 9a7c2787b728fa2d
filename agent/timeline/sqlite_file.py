"""The SQLite file of the timelines: opening it, its schema, and what its errors mean."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from agent.errors import StoreError, Unavailable

SCHEMA_VERSION = 1
"""`PRAGMA user_version` of a file of this schema; 0 is an empty file."""

_APPLICATION_ID = 0x766F6963
"""`PRAGMA application_id`: "voic", so that another program's database is told apart."""

_BUSY_MS = 2_000

_SCHEMA = """
BEGIN IMMEDIATE;
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
CREATE INDEX sessions_by_time ON entries (ts) WHERE seq = 1;
PRAGMA application_id = {application_id};
PRAGMA user_version = {version};
COMMIT;
"""


def open_writer(path: Path) -> sqlite3.Connection:
    """A connection that commits durably, its schema made or checked. Raises `StoreError`.

    It may be handed to one other thread, which is then the only one to use it.
    """
    connection = _connect(path)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
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
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    owner = connection.execute("PRAGMA application_id").fetchone()[0]
    if (version, owner) == (SCHEMA_VERSION, _APPLICATION_ID):
        return
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if tables == 0 and (version, owner) == (0, 0):
        connection.executescript(_SCHEMA.format(application_id=_APPLICATION_ID, version=SCHEMA_VERSION))
    elif owner == _APPLICATION_ID:
        raise StoreError(
            f"{path} holds timelines of format {version}, and this program reads format {SCHEMA_VERSION}: "
            "use the program that wrote it, or set timeline.path to another file"
        )
    else:
        raise StoreError(f"{path} is another program's database: set timeline.path to another file")


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


def explain(error: sqlite3.Error, path: Path) -> StoreError:
    """SQLite's error as ours, with what to do about it."""
    # The extended code carries the primary one in its low byte.
    code = getattr(error, "sqlite_errorcode", -1) & 0xFF
    kind, advice = _MEANINGS.get(code, (StoreError, "the database refused"))
    return kind(f"timelines in {path}: {advice} ({error})")
