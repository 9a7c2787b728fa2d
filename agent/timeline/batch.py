"""The rules of an append, the same for every store.

Checked in this order: the batch is of one session and every event has an id; a repeated id has
equal content (acknowledged and left out, for ever); the writer may write (epoch); the session ends where
the writer believes; what is left continues it densely; the cause of each entry is there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from hashlib import sha256
from typing import NamedTuple

from agent.conversation.events import Json
from agent.errors import ActionConflict, CauseUnknown, EventIdReused, SeqConflict, StoreError, Truncated
from agent.timeline.codec import dump_value, payload_of
from agent.timeline.entry import Entry
from agent.timeline.leases import Lease, SessionRow, check_writer


class Known(NamedTuple):
    """An event that the session has, or had before it was truncated."""

    seq: int
    digest: str = ""
    """Empty once it was forgotten what the event was."""


Lookup = Callable[[str], Known | None]
"""The session's event of an id."""


def digest_of(entry: Entry) -> str:
    """Stands for what makes two entries with one id the same: turn, type and payload, not when or from where.

    Raises `StoreError` for what JSON cannot hold.
    """
    turn_id = entry.turn_id if entry.role == "decision" else ""
    content = dump_value([turn_id, entry.event.type, _ordered(payload_of(entry.event, entry.turn_id))])
    return sha256(content.encode()).hexdigest()[:32]


def _ordered(value: Json) -> Json:
    """The value with the keys of its objects in order, which JSON does not give a meaning."""
    if isinstance(value, dict):
        return {key: _ordered(value[key]) for key in sorted(value)}
    return [_ordered(one) for one in value] if isinstance(value, list) else value


def known_entry(entry: Entry) -> Known:
    return Known(entry.seq, digest_of(entry))


def session_of(entries: Sequence[Entry]) -> str:
    """The one session of a batch. Raises `StoreError` for an empty or mixed one, or a missing id."""
    sessions = {entry.session_id for entry in entries}
    if len(sessions) != 1 or "" in sessions:
        raise StoreError("a batch holds at least one entry, all of one session")
    for entry in entries:
        if not entry.event.event_id:
            raise StoreError(f"entry {entry.seq} ({entry.event.type}) has no event_id")
    return sessions.pop()


def fresh_entries(entries: Sequence[Entry], known: Lookup) -> list[Entry]:
    """What of a batch the session does not have yet, and never had. Raises `EventIdReused`."""
    fresh: dict[str, Entry] = {}
    for entry in entries:
        event_id = entry.event.event_id
        earlier = known_entry(fresh[event_id]) if event_id in fresh else known(event_id)
        if earlier is None:
            fresh[event_id] = entry
        elif earlier.digest not in ("", digest_of(entry)):
            raise EventIdReused(f"{event_id} is the id of entry {earlier.seq} already, which is another event")
    return list(fresh.values())


def admitted(
    row: SessionRow,
    entries: Sequence[Entry],
    lease: Lease | None,
    expected_seq: int | None,
    now: datetime,
    known: Lookup,
) -> list[Entry]:
    """What of a batch is to be stored behind `row`; nothing, if it is there already.

    Raises `EventIdReused`, `Fenced`, `HeldByOther`, `SeqConflict`, `CauseUnknown`, in this order.
    """
    fresh = fresh_entries(entries, known)
    if not fresh:
        return []
    check_writer(row, lease, now)
    if expected_seq is not None and expected_seq != row.last_seq:
        raise SeqConflict(f"session {row.session_id} ends with entry {row.last_seq}, not {expected_seq}: read it again")
    for expected, entry in enumerate(fresh, row.last_seq + 1):
        if entry.seq != expected:
            raise SeqConflict(
                f"session {entry.session_id} goes on with entry {expected}, not {entry.seq}: read it again"
            )
    _check_causes(fresh, known)
    return fresh


def _check_causes(fresh: Sequence[Entry], known: Lookup) -> None:
    earlier: set[str] = set()
    for entry in fresh:
        cause = entry.parent_event_id
        if cause and cause not in earlier and known(cause) is None:
            raise CauseUnknown(
                f"entry {entry.seq} of session {entry.session_id} names {cause} as its cause: no such id"
            )
        earlier.add(entry.event.event_id)


def check_transition(action_id: str, present: str, from_state: str, to_state: str) -> None:
    """The compare of the ledger's compare-and-set; "" is the state of an action that it does not have.

    Raises `ActionConflict`.
    """
    if not action_id or not to_state:
        raise StoreError("a transition needs an action and the state that it goes to")
    if present != from_state:
        found = f"is {present}" if present else "is not in the ledger"
        wanted = from_state or "new"
        raise ActionConflict(f"action {action_id} {found}, not {wanted}: it cannot become {to_state}")


def check_readable(row: SessionRow | None, after: int) -> None:
    """Raises `Truncated` when entries behind `after` are not kept any more."""
    if row is None:
        return
    if row.deleted:
        raise Truncated(f"session {row.session_id} was deleted")
    if after < row.first_seq - 1:
        raise Truncated(
            f"session {row.session_id} is kept from entry {row.first_seq} on; begin with its snapshot", row.first_seq
        )
