"""What reads from the SQLite file, on a connection of its own."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from agent.errors import StoreError, WireError
from agent.timeline.batch import check_readable
from agent.timeline.codec import load_value
from agent.timeline.entry import Entry
from agent.timeline.leases import moment_of, unix_us
from agent.timeline.sqlite_rows import COLUMNS, entry_of, load_session
from agent.timeline.store import Presence, Snapshot, StoredAction, StoredSession

_READ = f"SELECT {COLUMNS} FROM entries WHERE session_id = ? AND seq > ? ORDER BY seq LIMIT ?"  # noqa: S608
_PAST_IDS = "SELECT event_id FROM past_ids WHERE session_id = ? ORDER BY seq"
_STORED = """
SELECT session_id, created, last_seq, first_seq, owner, user, touched, expires_us FROM sessions WHERE deleted = 0
"""
_ACTIONS = "SELECT action_id, state, seq, epoch FROM actions WHERE session_id = ? ORDER BY seq, action_id"
_PRESENCE = """
SELECT device_id, state, since, expires_us FROM presence WHERE session_id = ? AND expires_us > ?
ORDER BY since, device_id
"""

COMPLAINTS = 20
"""How many of one kind `check` names at most."""

_CHECKS = (
    (
        "session {} should hold entries {} to {}, and holds {} of them",
        "SELECT s.session_id, s.first_seq, s.last_seq, count(e.seq) FROM sessions s LEFT JOIN entries e"
        " ON e.session_id = s.session_id AND e.seq BETWEEN s.first_seq AND s.last_seq"
        " WHERE s.deleted = 0 GROUP BY s.session_id HAVING count(e.seq) <> s.last_seq - s.first_seq + 1",
    ),
    (
        "session {} holds entry {}, which is outside of what it should hold",
        "SELECT e.session_id, e.seq FROM entries e LEFT JOIN sessions s ON s.session_id = e.session_id"
        " WHERE s.session_id IS NULL OR s.deleted = 1 OR e.seq NOT BETWEEN s.first_seq AND s.last_seq",
    ),
    (
        "entry {1} of session {0} is not JSON",
        "SELECT session_id, seq FROM entries WHERE NOT json_valid(payload)",
    ),
    (
        "action {1} of session {0} changed with entry {2}, which is not there",
        "SELECT a.session_id, a.action_id, a.seq FROM actions a LEFT JOIN sessions s ON s.session_id = a.session_id"
        " WHERE s.session_id IS NULL OR a.seq > s.last_seq",
    ),
)


def read(connection: sqlite3.Connection, session_id: str, after: int, limit: int) -> list[Entry]:
    """See `Store.read`."""
    after = max(after, 0)
    rows = connection.execute(_READ, (session_id, after, max(limit, 0))).fetchall()
    # One statement sees one moment, so that its last row tells whether any are gone.
    if not rows or rows[-1][1] != after + len(rows):
        check_readable(load_session(connection, session_id), after)
        if rows:
            missing = next(seq for seq, row in enumerate(rows, after + 1) if row[1] != seq)
            raise StoreError(f"entry {missing} of session {session_id} is missing: check the store")
    return [entry_of(row) for row in rows]


def past_ids(connection: sqlite3.Connection, session_id: str) -> list[str]:
    """See `Store.past_ids`."""
    return [event_id for (event_id,) in connection.execute(_PAST_IDS, (session_id,))]


def session(connection: sqlite3.Connection, session_id: str) -> StoredSession | None:
    """See `Store.session`."""
    row = connection.execute(f"{_STORED} AND session_id = ?", (session_id,)).fetchone()
    return StoredSession(*row) if row else None


def sessions(connection: sqlite3.Connection, limit: int, owner: str | None, user: str | None) -> list[StoredSession]:
    """See `Store.sessions`."""
    wanted = {name: value for name, value in (("owner", owner), ("user", user)) if value is not None}
    where = "".join(f" AND {name} = ?" for name in wanted)
    found = connection.execute(f"{_STORED}{where} ORDER BY created DESC LIMIT ?", (*wanted.values(), max(limit, 0)))
    return [StoredSession(*row) for row in found]


def actions(connection: sqlite3.Connection, session_id: str, state: str | None) -> list[StoredAction]:
    """See `Store.actions`."""
    found = (StoredAction(*row) for row in connection.execute(_ACTIONS, (session_id,)))
    return [action for action in found if state in (None, action.state)]


def latest_snapshot(connection: sqlite3.Connection, session_id: str) -> Snapshot | None:
    """See `Store.latest_snapshot`."""
    row = connection.execute("SELECT seq, blob FROM snapshots WHERE session_id = ?", (session_id,)).fetchone()
    return Snapshot(*row) if row else None


def presence_list(connection: sqlite3.Connection, session_id: str, now: datetime) -> list[Presence]:
    """See `Store.presence_list`."""
    found = []
    for device_id, state, since, expires_us in connection.execute(_PRESENCE, (session_id, unix_us(now))):
        try:
            found.append(Presence(device_id, load_value(state), since, moment_of(expires_us)))
        except WireError as error:
            raise StoreError(f"the presence of {device_id} in session {session_id} cannot be read: {error}") from None
    return found


def check(connection: sqlite3.Connection) -> list[str]:
    """See `Store.check`: the file's own structure first, then what the tables say of each other."""
    found = [row[0] for row in connection.execute(f"PRAGMA integrity_check({COMPLAINTS})")]
    if found != ["ok"]:
        return [f"the file is damaged: {complaint}" for complaint in found]
    return [
        complaint.format(*row)
        for complaint, query in _CHECKS
        for row in connection.execute(f"{query} LIMIT {COMPLAINTS}")
    ]
