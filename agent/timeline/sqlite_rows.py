"""Rows of the SQLite file as the timeline's own types, and back."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

from agent.errors import StoreError, WireError
from agent.timeline.batch import Known, known_entry
from agent.timeline.codec import dump_value, event_from, load_value, payload_of, role_of
from agent.timeline.entry import Entry
from agent.timeline.leases import SessionRow

COLUMNS = "session_id, seq, event_id, ts, t_ms, now_us, role, type, source, turn_id, parent_event_id, payload"
INSERT_ENTRY = f"INSERT INTO entries ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608

SESSION_COLUMNS = "session_id, created, touched, first_seq, last_seq, epoch, owner, user, ttl_us, expires_us, deleted"
_SESSION = f"SELECT {SESSION_COLUMNS} FROM sessions WHERE session_id = ?"  # noqa: S608
# `created` is left as it is: an update that names it would touch its index with every append.
_SAVE = f"""
INSERT INTO sessions ({SESSION_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (session_id) DO UPDATE SET
    touched = excluded.touched, first_seq = excluded.first_seq, last_seq = excluded.last_seq,
    epoch = excluded.epoch, owner = excluded.owner, user = excluded.user,
    ttl_us = excluded.ttl_us, expires_us = excluded.expires_us
"""  # noqa: S608

_BY_ID = f"SELECT {COLUMNS} FROM entries WHERE session_id = ? AND event_id = ?"  # noqa: S608
_PAST = "SELECT seq, digest FROM past_ids WHERE session_id = ? AND event_id = ?"
_LAST = f"SELECT {COLUMNS} FROM entries WHERE session_id = ? ORDER BY seq DESC LIMIT 1"  # noqa: S608

Row = tuple[str, int, str, str, int, int, str, str, str, str, str, str]


def row_of(entry: Entry) -> Row:
    """The entry as a row. Raises `StoreError` for what JSON cannot hold."""
    event = entry.event
    payload = dump_value(payload_of(event, entry.turn_id))
    when = (entry.ts, entry.t_ms, entry.now_us)
    names = (entry.role, event.type, event.source, entry.turn_id, entry.parent_event_id)
    return (entry.session_id, entry.seq, event.event_id, *when, *names, payload)


def entry_of(row: Row) -> Entry:
    """The entry of a row. Raises `StoreError` naming a row that cannot be read."""
    session_id, seq, event_id, ts, t_ms, now_us, role, type_, source, turn_id, parent_event_id, payload = row
    try:
        event = event_from(type_, load_value(payload), event_id=event_id, source=source, turn_id=turn_id)
    except WireError as error:
        raise StoreError(f"entry {seq} of session {session_id} cannot be read: {error}") from None
    if role != role_of(event):
        raise StoreError(f"entry {seq} of session {session_id} cannot be read: {type_} is not a {role}")
    return Entry(session_id, seq, ts, t_ms, now_us, role_of(event), turn_id, parent_event_id, event)


def load_session(connection: sqlite3.Connection, session_id: str) -> SessionRow:
    """What is kept of a session; an empty row for one that is not known."""
    row = connection.execute(_SESSION, (session_id,)).fetchone()
    return replace(SessionRow(*row), deleted=bool(row[-1])) if row else SessionRow(session_id)


def save_session(connection: sqlite3.Connection, row: SessionRow) -> None:
    values = (row.session_id, row.created, row.touched, row.first_seq, row.last_seq, row.epoch)
    connection.execute(_SAVE, (*values, row.owner, row.user, row.ttl_us, row.expires_us, int(row.deleted)))


def known_event(connection: sqlite3.Connection, row: SessionRow, event_id: str) -> Known | None:
    """The session's event of an id, though its entry may be truncated. Raises `StoreError` as `entry_of`."""
    found = connection.execute(_BY_ID, (row.session_id, event_id)).fetchone()
    if found:
        return known_entry(entry_of(found))
    past = connection.execute(_PAST, (row.session_id, event_id)).fetchone() if row.first_seq > 1 else None
    return Known(*past) if past else None


def last_entry(connection: sqlite3.Connection, session_id: str) -> Entry | None:
    found = connection.execute(_LAST, (session_id,)).fetchone()
    return entry_of(found) if found else None
