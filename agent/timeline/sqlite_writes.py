"""What writes to the SQLite file: each function is one step of a transaction that its caller commits.

All that can refuse a step (a `StoreError`) comes before its first change, so that the transaction may go
on to other steps.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from agent.conversation.events import Json
from agent.timeline import leases
from agent.timeline.batch import admitted, check_transition, known_entry
from agent.timeline.codec import dump_value
from agent.timeline.entry import Entry
from agent.timeline.leases import Lease, SessionRow
from agent.timeline.sqlite_rows import (
    COLUMNS,
    INSERT_ENTRY,
    entry_of,
    known_event,
    last_entry,
    load_session,
    row_of,
    save_session,
)

_STATE = "SELECT state FROM actions WHERE session_id = ? AND action_id = ?"
_SET_STATE = "INSERT OR REPLACE INTO actions (session_id, action_id, state, seq, epoch) VALUES (?, ?, ?, ?, ?)"
_SNAPSHOT_SEQ = "SELECT coalesce(max(seq), 0) FROM snapshots WHERE session_id = ?"
_TO_TRUNCATE = f"SELECT {COLUMNS} FROM entries WHERE session_id = ? AND seq <= ? ORDER BY seq"  # noqa: S608
_KEEP_IDS = """
INSERT INTO past_ids (session_id, event_id, seq, digest)
SELECT session_id, event_id, seq, '' FROM entries WHERE session_id = ? AND seq <= ?
"""
_SET_PRESENCE = """
INSERT INTO presence (session_id, device_id, state, since, expires_us) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (session_id, device_id) DO UPDATE SET state = excluded.state, expires_us = excluded.expires_us
"""
_OLD = "SELECT session_id FROM sessions WHERE deleted = 0 AND touched < ? AND NOT (owner <> '' AND expires_us > ?)"
_ERASE = tuple(
    f"DELETE FROM {table} WHERE session_id = ?"  # noqa: S608
    for table in ("entries", "past_ids", "actions", "snapshots", "presence", "sessions")
)


def append(
    connection: sqlite3.Connection,
    session_id: str,
    entries: Sequence[Entry],
    lease: Lease | None,
    expected_seq: int | None,
    now: datetime,
    check: Callable[[], None] = lambda: None,
) -> int:
    """See `Store.append`. `check` may refuse what is new."""
    row = load_session(connection, session_id)
    fresh = admitted(row, entries, lease, expected_seq, now, lambda event_id: known_event(connection, row, event_id))
    if not fresh:
        return row.last_seq
    check()
    return _extend(connection, row, fresh)


def _extend(connection: sqlite3.Connection, row: SessionRow, fresh: list[Entry]) -> int:
    rows = [row_of(entry) for entry in fresh]
    connection.executemany(INSERT_ENTRY, rows)
    row = row.with_entries(fresh)
    save_session(connection, row)
    return row.last_seq


def transition(
    connection: sqlite3.Connection,
    lease: Lease,
    action_id: str,
    states: tuple[str, str],
    session_id: str,
    entries: Sequence[Entry],
    now: datetime,
) -> int:
    """See `Store.transition`; `states` are the one it goes from and the one it goes to."""
    applied = False

    def check() -> None:
        nonlocal applied
        present = connection.execute(_STATE, (session_id, action_id)).fetchone()
        check_transition(action_id, present[0] if present else "", *states)
        applied = True

    last_seq = append(connection, session_id, entries, lease, None, now, check)
    if applied:
        connection.execute(_SET_STATE, (session_id, action_id, states[1], last_seq, lease.epoch))
    return last_seq


def acquire(
    connection: sqlite3.Connection, session_id: str, owner: str, ttl_s: float, user: str, now: datetime
) -> Lease:
    """See `Store.acquire`."""
    row = leases.granted(load_session(connection, session_id), owner, ttl_s, user, now)
    entry = leases.owner_changed(row, last_entry(connection, session_id), now)
    _extend(connection, row, [entry])
    return row.with_entries([entry]).lease()


def renew(connection: sqlite3.Connection, lease: Lease, now: datetime) -> Lease:
    """See `Store.renew`."""
    row = leases.renewed(load_session(connection, lease.session_id), lease, now)
    save_session(connection, row)
    return row.lease()


def release(connection: sqlite3.Connection, lease: Lease) -> None:
    """See `Store.release`."""
    row = load_session(connection, lease.session_id)
    if row.last_seq:
        save_session(connection, leases.released(row, lease))


def snapshot(connection: sqlite3.Connection, lease: Lease, seq: int, blob: bytes) -> None:
    """See `Store.snapshot`."""
    leases.check_snapshot(load_session(connection, lease.session_id), lease, seq)
    if seq >= _snapshot_seq(connection, lease.session_id):
        values = (lease.session_id, seq, blob)
        connection.execute("INSERT OR REPLACE INTO snapshots (session_id, seq, blob) VALUES (?, ?, ?)", values)


def _snapshot_seq(connection: sqlite3.Connection, session_id: str) -> int:
    found: int = connection.execute(_SNAPSHOT_SEQ, (session_id,)).fetchone()[0]
    return found


def truncate(connection: sqlite3.Connection, lease: Lease, through: int) -> None:
    """See `Store.truncate`."""
    session_id = lease.session_id
    row = load_session(connection, session_id)
    leases.check_truncation(row, lease, through, _snapshot_seq(connection, session_id))
    gone = [entry_of(found) for found in connection.execute(_TO_TRUNCATE, (session_id, through))]
    known = [(session_id, entry.event.event_id, *known_entry(entry)) for entry in gone]
    connection.executemany("INSERT INTO past_ids (session_id, event_id, seq, digest) VALUES (?, ?, ?, ?)", known)
    connection.execute("DELETE FROM entries WHERE session_id = ? AND seq <= ?", (session_id, through))
    save_session(connection, row.truncated(through))


def forget(connection: sqlite3.Connection, lease: Lease, through: int) -> None:
    """See `Store.forget`."""
    session_id = lease.session_id
    row = load_session(connection, session_id)
    leases.check_forgetting(row, lease, through)
    connection.execute("UPDATE past_ids SET digest = '' WHERE session_id = ?", (session_id,))
    connection.execute(_KEEP_IDS, (session_id, through))
    connection.execute("DELETE FROM entries WHERE session_id = ? AND seq <= ?", (session_id, through))
    connection.execute("DELETE FROM snapshots WHERE session_id = ?", (session_id,))
    save_session(connection, row.truncated(through))


def presence_set(
    connection: sqlite3.Connection,
    session_id: str,
    device_id: str,
    state: Mapping[str, Json] | None,
    ttl_s: float,
    now: datetime,
) -> None:
    """See `Store.presence_set`."""
    leases.not_deleted(load_session(connection, session_id))
    line = dump_value(dict(state)) if state is not None else None
    connection.execute(
        "DELETE FROM presence WHERE session_id = ? AND expires_us <= ?", (session_id, leases.unix_us(now))
    )
    if line is None:
        connection.execute("DELETE FROM presence WHERE session_id = ? AND device_id = ?", (session_id, device_id))
        return
    expires_us = leases.unix_us(now + timedelta(seconds=ttl_s))
    connection.execute(_SET_PRESENCE, (session_id, device_id, line, leases.iso_ms(now), expires_us))


def delete(connection: sqlite3.Connection, session_id: str) -> bool:
    """See `Store.delete`."""
    row = load_session(connection, session_id)
    if row.deleted:
        return False
    for statement in _ERASE:
        connection.execute(statement, (session_id,))
    if row.last_seq:
        save_session(connection, row.tombstone())
    return row.last_seq > 0


def retain(connection: sqlite3.Connection, before: datetime, now: datetime) -> list[str]:
    """See `Store.retain`."""
    found = connection.execute(_OLD, (leases.iso_ms(before), leases.unix_us(now))).fetchall()
    old: list[str] = sorted(session_id for (session_id,) in found)
    for session_id in old:
        delete(connection, session_id)
    return old
