"""The rules of an append, the same for every store.

Checked in this order: the batch is of one session and every event has an id; a repeated id has
equal content (acknowledged, left out); what is left continues the session densely.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from agent.conversation.events import Json
from agent.errors import EventIdReused, SeqConflict, StoreError
from agent.timeline.codec import payload_of
from agent.timeline.entry import Entry

Content = tuple[str, str, dict[str, Json]]


def content_of(entry: Entry) -> Content:
    """What makes two entries with one id the same: turn, type and payload, not when or from where."""
    turn_id = entry.turn_id if entry.role == "decision" else ""
    return turn_id, entry.event.type, payload_of(entry.event, entry.turn_id)


def session_of(entries: Sequence[Entry]) -> str:
    """The one session of a batch. Raises `StoreError` for an empty or mixed one, or a missing id."""
    sessions = {entry.session_id for entry in entries}
    if len(sessions) != 1 or "" in sessions:
        raise StoreError("a batch holds at least one entry, all of one session")
    for entry in entries:
        if not entry.event.event_id:
            raise StoreError(f"entry {entry.seq} ({entry.event.type}) has no event_id")
    return sessions.pop()


def fresh_entries(entries: Sequence[Entry], last_seq: int, stored: Callable[[str], Entry | None]) -> list[Entry]:
    """What of a batch is to be stored. `stored` finds the session's entry of an event id.

    Raises `EventIdReused` and `SeqConflict`.
    """
    fresh: dict[str, Entry] = {}
    for entry in entries:
        event_id = entry.event.event_id
        earlier = fresh.get(event_id) or stored(event_id)
        if earlier is None:
            fresh[event_id] = entry
        elif content_of(earlier) != content_of(entry):
            raise EventIdReused(f"{event_id} is the id of entry {earlier.seq} already, which is another event")
    for expected, entry in enumerate(fresh.values(), last_seq + 1):
        if entry.seq != expected:
            raise SeqConflict(
                f"session {entry.session_id} goes on with entry {expected}, not {entry.seq}: read it again"
            )
    return list(fresh.values())
