"""Timelines in memory: for tests, headless runs and `timeline.store = "memory"`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from agent.clock import Clock
from agent.conversation.events import Json
from agent.errors import StoreError
from agent.owners import LOCAL
from agent.timeline import leases
from agent.timeline.batch import Known, admitted, check_readable, check_transition, known_entry, session_of
from agent.timeline.entry import Entry
from agent.timeline.leases import Lease, SessionRow
from agent.timeline.store import Presence, Snapshot, StoredAction, StoredSession
from agent.timeline.subscription import News, follow


@dataclass(slots=True)
class _Session:
    row: SessionRow
    entries: list[Entry] = field(default_factory=list)
    ids: dict[str, Entry | Known] = field(default_factory=dict)
    """Of what was truncated only what tells a repeat."""
    actions: dict[str, StoredAction] = field(default_factory=dict)
    snapshot: Snapshot | None = None
    presence: dict[str, Presence] = field(default_factory=dict)

    def known(self, event_id: str) -> Known | None:
        found = self.ids.get(event_id)
        return known_entry(found) if isinstance(found, Entry) else found

    def stored(self) -> StoredSession:
        row = self.row
        names = (row.owner, row.user, row.touched, row.expires_us)
        return StoredSession(row.session_id, row.created, row.last_seq, row.first_seq, *names)


class MemoryStore:
    """A `Store` that forgets when the process ends. Raises `StoreError` once it is full.

    No method waits, so that each is one step to everybody else on the loop.
    """

    def __init__(self, max_entries: int = 1_000_000, clock: Clock | None = None) -> None:
        self._sessions: dict[str, _Session] = {}
        self._count = 0
        self._max_entries = max_entries
        self._clock = clock
        self._news = News()
        self._closed = False

    # ── entries ──────────────────────────────────────────────────────────────────────────

    async def append(
        self, entries: Sequence[Entry], lease: Lease | None = None, expected_seq: int | None = None
    ) -> int:
        """See `Store.append`."""
        session = self._find(session_of(entries))
        fresh = admitted(session.row, entries, lease, expected_seq, self._now(), session.known)
        return self._extend(session, fresh)

    async def transition(
        self, lease: Lease, action_id: str, from_state: str, to_state: str, entries: Sequence[Entry]
    ) -> int:
        """See `Store.transition`."""
        session = self._find(session_of(entries))
        fresh = admitted(session.row, entries, lease, None, self._now(), session.known)
        if not fresh:
            return session.row.last_seq
        present = session.actions.get(action_id)
        check_transition(action_id, present.state if present else "", from_state, to_state)
        last_seq = self._extend(session, fresh)
        session.actions[action_id] = StoredAction(action_id, to_state, last_seq, lease.epoch)
        return last_seq

    async def actions(self, session_id: str, state: str | None = None) -> list[StoredAction]:
        """See `Store.actions`."""
        ledger = sorted(self._find(session_id).actions.values(), key=lambda action: action.seq)
        return [action for action in ledger if state in (None, action.state)]

    async def read(self, session_id: str, after: int = 0, limit: int = 1_000) -> list[Entry]:
        """See `Store.read`."""
        session, after = self._find(session_id), max(after, 0)
        check_readable(session.row, after)
        begin = after + 1 - session.row.first_seq
        return session.entries[begin : begin + max(limit, 0)]

    async def past_ids(self, session_id: str) -> list[str]:
        """See `Store.past_ids`."""
        ids = self._find(session_id).ids
        past = {event_id: known.seq for event_id, known in ids.items() if isinstance(known, Known)}
        return sorted(past, key=lambda event_id: past[event_id])

    def subscribe(self, session_id: str, after: int = 0) -> AsyncIterator[Entry]:
        """See `Store.subscribe`."""
        return follow(self, self._news, session_id, after, None)

    # ── leases ───────────────────────────────────────────────────────────────────────────

    async def acquire(self, session_id: str, owner: str, ttl_s: float, user: str = LOCAL) -> Lease:
        """See `Store.acquire`."""
        session, now = self._find(session_id), self._now()
        row = leases.granted(session.row, owner, ttl_s, user, now)
        entry = leases.owner_changed(row, session.entries[-1] if session.entries else None, now)
        self._check_room(1)
        session.row = row
        self._extend(session, [entry])
        return session.row.lease()

    async def renew(self, lease: Lease) -> Lease:
        """See `Store.renew`."""
        session = self._find(lease.session_id)
        session.row = leases.renewed(session.row, lease, self._now())
        return session.row.lease()

    async def release(self, lease: Lease) -> None:
        """See `Store.release`."""
        session = self._find(lease.session_id)
        session.row = leases.released(session.row, lease)

    # ── snapshots and truncation ─────────────────────────────────────────────────────────

    async def snapshot(self, lease: Lease, seq: int, blob: bytes) -> None:
        """See `Store.snapshot`."""
        session = self._find(lease.session_id)
        leases.check_snapshot(session.row, lease, seq)
        if session.snapshot is None or session.snapshot.seq <= seq:
            session.snapshot = Snapshot(seq, bytes(blob))

    async def latest_snapshot(self, session_id: str) -> Snapshot | None:
        """See `Store.latest_snapshot`."""
        return self._find(session_id).snapshot

    async def truncate(self, lease: Lease, through: int) -> None:
        """See `Store.truncate`."""
        session = self._find(lease.session_id)
        leases.check_truncation(session.row, lease, through, session.snapshot.seq if session.snapshot else 0)
        gone = max(through + 1 - session.row.first_seq, 0)
        for entry in session.entries[:gone]:
            session.ids[entry.event.event_id] = known_entry(entry)
        del session.entries[:gone]
        session.row = session.row.truncated(through)

    async def forget(self, lease: Lease, through: int) -> None:
        """See `Store.forget`."""
        session = self._find(lease.session_id)
        leases.check_forgetting(session.row, lease, through)
        gone = max(through + 1 - session.row.first_seq, 0)
        for entry in session.entries[:gone]:
            session.ids[entry.event.event_id] = Known(entry.seq)
        session.ids = {
            event_id: Known(known.seq) if isinstance(known, Known) else known for event_id, known in session.ids.items()
        }
        del session.entries[:gone]
        session.snapshot = None
        session.row = session.row.truncated(through)

    # ── presence ─────────────────────────────────────────────────────────────────────────

    async def presence_set(
        self, session_id: str, device_id: str, state: Mapping[str, Json] | None, ttl_s: float = 60.0
    ) -> None:
        """See `Store.presence_set`."""
        session, now = self._find(session_id), self._now()
        leases.not_deleted(session.row)
        present = session.presence = {key: one for key, one in session.presence.items() if one.expires > now}
        if state is None:
            present.pop(device_id, None)
        else:
            since = present[device_id].since if device_id in present else leases.iso_ms(now)
            present[device_id] = Presence(device_id, dict(state), since, now + timedelta(seconds=ttl_s))
        self._sessions[session_id] = session

    async def presence_list(self, session_id: str) -> list[Presence]:
        """See `Store.presence_list`."""
        now = self._now()
        present = [one for one in self._find(session_id).presence.values() if one.expires > now]
        return sorted(present, key=lambda one: (one.since, one.device_id))

    # ── sessions ─────────────────────────────────────────────────────────────────────────

    async def session(self, session_id: str) -> StoredSession | None:
        """See `Store.session`."""
        session = self._find(session_id)
        return session.stored() if session.row.last_seq else None

    async def sessions(
        self, limit: int = 100, owner: str | None = None, user: str | None = None
    ) -> list[StoredSession]:
        """See `Store.sessions`."""
        self._check_open()
        found = [session.stored() for session in self._sessions.values() if session.row.last_seq]
        found = [one for one in found if owner in (None, one.owner) and user in (None, one.user)]
        return sorted(found, key=lambda one: one.created, reverse=True)[: max(limit, 0)]

    async def delete(self, session_id: str) -> bool:
        """See `Store.delete`."""
        session = self._find(session_id)
        if not session.row.last_seq:
            session.presence.clear()
            return False
        self._count -= len(session.ids)
        self._sessions[session_id] = _Session(session.row.tombstone())
        self._news.tell(session_id)
        return True

    async def retain(self, before: datetime) -> list[str]:
        """See `Store.retain`."""
        self._check_open()
        rows, now = [session.row for session in self._sessions.values() if session.row.last_seq], self._now()
        old = sorted(row.session_id for row in rows if row.touched < leases.iso_ms(before) and not row.held(now))
        for session_id in old:
            await self.delete(session_id)
        return old

    async def check(self) -> list[str]:
        """See `Store.check`."""
        self._check_open()
        return []

    async def close(self) -> None:
        self._closed = True
        self._news.tell_all()

    # ── what they share ──────────────────────────────────────────────────────────────────

    def _find(self, session_id: str) -> _Session:
        """The session; one that is not kept yet, if there is none."""
        self._check_open()
        return self._sessions.get(session_id) or _Session(SessionRow(session_id))

    def _extend(self, session: _Session, fresh: list[Entry]) -> int:
        self._check_room(len(fresh))
        if fresh:
            session.entries.extend(fresh)
            session.ids.update((entry.event.event_id, entry) for entry in fresh)
            session.row = session.row.with_entries(fresh)
            self._count += len(fresh)
            self._sessions[session.row.session_id] = session
            self._news.tell(session.row.session_id)
        return session.row.last_seq

    def _check_room(self, more: int) -> None:
        if self._count + more > self._max_entries:
            raise StoreError(
                f"the timelines in memory are full ({self._max_entries} entries): "
                'set timeline.store = "sqlite", or restart to forget them'
            )

    def _now(self) -> datetime:
        # Made late: a store may be built before there is a loop.
        if self._clock is None:
            self._clock = Clock()
        return self._clock.wall()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("the timeline store is closed")
