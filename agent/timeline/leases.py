"""Who may write to a session: leases with a fencing epoch, the rules of every store.

A lease is asked for (`granted`), kept (`renewed`) and given back (`released`). Each grant raises
the session's epoch, which every write under the lease carries: what protects a timeline is the
epoch, not the time, so that an owner who was stopped and wakes late writes nothing any more as soon as
another one was granted the session. Until then its writes are in order, expired or not.
See M. Kleppmann, "How to do distributed locking" (2016), for why the time alone is not enough.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from agent.conversation.events import OwnerChanged
from agent.errors import Fenced, HeldByOther, SeqConflict, StoreError
from agent.owners import LOCAL
from agent.timeline.entry import Entry

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def unix_us(moment: datetime) -> int:
    """Microseconds since 1970, UTC."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def moment_of(us: int) -> datetime:
    """The inverse of `unix_us`."""
    return _EPOCH + timedelta(microseconds=us)


def iso_ms(moment: datetime) -> str:
    """ISO-8601 in UTC with milliseconds, as in `Entry.ts`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write to a session. `last_seq`: the last entry when it was granted or renewed."""

    session_id: str
    owner: str
    epoch: int
    last_seq: int
    expires: datetime
    """UTC. Renew it before; behind it another owner may be granted the session."""


@dataclass(frozen=True, slots=True)
class SessionRow:
    """What a store knows of a session beside its entries."""

    session_id: str
    created: str = ""
    """`ts` of the first entry."""
    touched: str = ""
    """`ts` of the last entry."""
    first_seq: int = 1
    """What is before was truncated."""
    last_seq: int = 0
    epoch: int = 0
    owner: str = ""
    """Who holds the lease, or held it until it ran out; empty when it was given back."""
    user: str = LOCAL
    """Whose conversation it is."""
    ttl_us: int = 0
    expires_us: int = 0
    """Microseconds since 1970, UTC."""
    deleted: bool = False
    """Nothing else is left of it: a tombstone, so that its old owner cannot bring it back."""

    def held(self, now: datetime) -> bool:
        """Whether somebody's lease runs."""
        return self.owner != "" and self.expires_us > unix_us(now)

    def lease(self) -> Lease:
        return Lease(self.session_id, self.owner, self.epoch, self.last_seq, moment_of(self.expires_us))

    def with_entries(self, entries: list[Entry]) -> SessionRow:
        """The row once these have been appended."""
        if not entries:
            return self
        return replace(
            self, created=self.created or entries[0].ts, touched=entries[-1].ts, last_seq=self.last_seq + len(entries)
        )

    def truncated(self, through: int) -> SessionRow:
        """The row once the entries up to `through` are gone."""
        return replace(self, first_seq=max(self.first_seq, through + 1))

    def tombstone(self) -> SessionRow:
        return SessionRow(self.session_id, first_seq=0, epoch=self.epoch + 1, deleted=True)


def not_deleted(row: SessionRow) -> None:
    """Raises `Fenced`: nobody writes to a deleted session again."""
    if row.deleted:
        raise Fenced(f"session {row.session_id} was deleted: begin another one")


def granted(row: SessionRow, owner: str, ttl_s: float, user: str, now: datetime) -> SessionRow:
    """The row with a new lease of `owner`, in the next epoch.

    The same owner may ask again (a process that was restarted under its name); its earlier lease is
    over then. Raises `HeldByOther`, and `Fenced` for a deleted session.
    """
    if not row.session_id or not owner or ttl_s <= 0:
        raise StoreError("a lease needs a session, an owner and a time to live above 0 s")
    not_deleted(row)
    if row.held(now) and row.owner != owner:
        until = iso_ms(moment_of(row.expires_us))
        raise HeldByOther(f"session {row.session_id} is held by {row.owner} until {until}: wait, or ask it to release")
    ttl_us = round(ttl_s * 1_000_000)
    return replace(
        row,
        epoch=row.epoch + 1,
        owner=owner,
        user=row.user if row.last_seq else user,
        ttl_us=ttl_us,
        expires_us=unix_us(now) + ttl_us,
    )


def check_lease(row: SessionRow, lease: Lease) -> None:
    """Raises `Fenced` unless the lease is the session's present one."""
    if lease.session_id != row.session_id:
        raise StoreError(f"a lease of session {lease.session_id} is no lease of session {row.session_id}")
    not_deleted(row)
    if (lease.epoch, lease.owner) != (row.epoch, row.owner):
        now_with = f"{row.owner} has it in epoch {row.epoch}" if row.owner else "it was released"
        raise Fenced(f"{lease.owner} lost session {row.session_id} of epoch {lease.epoch}: {now_with}")


def check_writer(row: SessionRow, lease: Lease | None, now: datetime) -> None:
    """Who may append: the lease, or without one anybody as long as nobody holds the session.

    Raises `Fenced` and `HeldByOther`.
    """
    if lease is not None:
        check_lease(row, lease)
        return
    not_deleted(row)
    if row.held(now):
        raise HeldByOther(f"session {row.session_id} is held by {row.owner}: append with its lease")


def renewed(row: SessionRow, lease: Lease, now: datetime) -> SessionRow:
    """The row with the lease begun anew. Raises `Fenced`."""
    check_lease(row, lease)
    return replace(row, expires_us=unix_us(now) + row.ttl_us)


def released(row: SessionRow, lease: Lease) -> SessionRow:
    """The row without the lease; unchanged when it is another's by now."""
    if row.deleted or (lease.epoch, lease.owner) != (row.epoch, row.owner):
        return row
    return replace(row, owner="", ttl_us=0, expires_us=0)


def owner_changed(row: SessionRow, last: Entry | None, now: datetime) -> Entry:
    """What a grant appends: `row` is the granted one, `last` the session's last entry.

    It continues the session's own time, which never goes back.
    """
    now_us = max(last.now_us, last.now_us + _since_us(last, now)) if last else 0
    wall = iso_ms(now) if last is None or now_us > last.now_us else last.ts
    event = OwnerChanged(event_id=f"owner:{row.epoch}", source="store", epoch=row.epoch, owner=row.owner)
    turn_id = last.turn_id if last else ""
    t_ms = max(last.t_ms, now_us // 1_000) if last else 0
    return Entry(row.session_id, row.last_seq + 1, wall, t_ms, now_us, "fact", turn_id, "", event)


def _since_us(last: Entry, now: datetime) -> int:
    try:
        then = datetime.fromisoformat(last.ts)
    except ValueError:
        return 0
    return (now - then) // timedelta(microseconds=1) if then.tzinfo else 0


def check_snapshot(row: SessionRow, lease: Lease, seq: int) -> None:
    """Raises `Fenced`, and `SeqConflict` for a state of entries that are not there."""
    check_lease(row, lease)
    if not row.first_seq <= seq <= row.last_seq:
        raise SeqConflict(f"session {row.session_id} has entries {row.first_seq} to {row.last_seq}, not {seq}")


def check_forgetting(row: SessionRow, lease: Lease, through: int) -> None:
    """Raises `Fenced`, and `SeqConflict` when nothing would stay."""
    check_lease(row, lease)
    if through >= row.last_seq:
        raise SeqConflict(f"session {row.session_id} ends with entry {row.last_seq}: its last one stays")


def check_truncation(row: SessionRow, lease: Lease, through: int, snapshot_seq: int) -> None:
    """Raises `Fenced`, and `SeqConflict` when no snapshot stands for what would go, or nothing would stay."""
    check_forgetting(row, lease, through)
    if through > snapshot_seq:
        raise SeqConflict(
            f"entries of session {row.session_id} up to {through} cannot go: "
            + (f"its snapshot stands for {snapshot_seq}" if snapshot_seq else "it has no snapshot")
        )
