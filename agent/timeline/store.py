"""Where timelines are kept. One writer per session, by a lease whose epoch every write carries.

    append        returns only when the batch is durable; a batch is whole or absent
    transition    the same, together with a compare-and-set of one action's state
    read          entries with seq > after, in order, at most limit; never one without all before it
    subscribe     the same, and on as they come, by cursor: what wakes it is only a hint

An append is checked in this order: repeated event ids (equal content is acknowledged and not
appended, for ever, whoever asks), the fence, `expected_seq`, and that each entry's cause is there.

Errors: `EventIdReused`; `HeldByOther`; `Fenced` (terminal: never read again and retried); `SeqConflict`;
`CauseUnknown`; `ActionConflict`; `Truncated` (retention or deletion); `Unavailable` (surely not
committed: try again); `Indeterminate` (committed or not: do the same again, with the same event
ids); `StoreError` for a file that cannot be read or written.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from agent.conversation.events import Json
from agent.owners import LOCAL
from agent.timeline.entry import Entry
from agent.timeline.leases import Lease, unix_us


@dataclass(frozen=True, slots=True)
class StoredSession:
    session_id: str
    created: str
    """UTC, ISO-8601."""
    last_seq: int
    first_seq: int = 1
    """Above 1 once it was truncated."""
    owner: str = ""
    """Who holds its lease, or held it last without giving it back."""
    user: str = LOCAL
    """Whose conversation it is: as its first lease said, whoever takes it up later."""
    touched: str = field(default="", compare=False)
    """When its last entry was made. UTC, ISO-8601."""
    expires_us: int = field(default=0, compare=False)
    """When its lease runs out, in microseconds since 1970."""

    def held(self, now: datetime) -> bool:
        """Whether somebody's lease runs."""
        return self.owner != "" and self.expires_us > unix_us(now)


@dataclass(frozen=True, slots=True)
class StoredAction:
    """One row of the ledger: `seq` and `epoch` are those of its last transition."""

    action_id: str
    state: str
    seq: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What all entries up to `seq` amount to, in its writer's own form."""

    seq: int
    blob: bytes


@dataclass(frozen=True, slots=True)
class Presence:
    """A device that is there. `since`: UTC, ISO-8601; `expires`: without another sign of life."""

    device_id: str
    state: Mapping[str, Json]
    since: str
    expires: datetime


class Store(Protocol):
    async def append(
        self, entries: Sequence[Entry], lease: Lease | None = None, expected_seq: int | None = None
    ) -> int:
        """Append a batch of one session, in order, its first seq one above the last stored.
        Returns the session's last seq. Without a lease only to a session that nobody holds."""
        ...

    async def transition(
        self, lease: Lease, action_id: str, from_state: str, to_state: str, entries: Sequence[Entry]
    ) -> int:
        """Set an action's state and append what tells of it, both or neither. `from_state` is "" for a new
        action. Returns the session's last seq. Raises `ActionConflict` when the state is another one; a
        repeat (all entries are there) is acknowledged."""
        ...

    async def actions(self, session_id: str, state: str | None = None) -> list[StoredAction]:
        """The ledger, or what of it is in one state, in the order of their last transition."""
        ...

    async def read(self, session_id: str, after: int = 0, limit: int = 1_000) -> list[Entry]:
        """None for an unknown session. Raises `Truncated`."""
        ...

    async def past_ids(self, session_id: str) -> list[str]:
        """The event ids of entries that were truncated or forgotten, in their order."""
        ...

    def subscribe(self, session_id: str, after: int = 0) -> AsyncIterator[Entry]:
        """Entries behind `after`, then new ones, until the reader stops. Raises `Truncated`, and
        `SeqConflict` when the session has not come to `after`: the reader saw what was never stored."""
        ...

    async def acquire(self, session_id: str, owner: str, ttl_s: float, user: str = LOCAL) -> Lease:
        """Raise the epoch, append `owner.changed`, and hold the session for `ttl_s` from now.
        Raises `HeldByOther`, and `Fenced` for a deleted session."""
        ...

    async def renew(self, lease: Lease) -> Lease:
        """Hold it for its `ttl_s` from now. Raises `Fenced`."""
        ...

    async def release(self, lease: Lease) -> None:
        """Let others have it at once; nothing happens if they have it already."""
        ...

    async def snapshot(self, lease: Lease, seq: int, blob: bytes) -> None:
        """Keep what the entries up to `seq` amount to, unless a later one is kept. Raises `SeqConflict`."""
        ...

    async def latest_snapshot(self, session_id: str) -> Snapshot | None: ...

    async def truncate(self, lease: Lease, through: int) -> None:
        """Drop entries up to `through`, which a snapshot must cover, but keep their event ids. The last one stays."""
        ...

    async def forget(self, lease: Lease, through: int) -> None:
        """Erase entries up to `through`, and all that was made of them: only their event ids stay, so that a repeat
        is still acknowledged, whatever it holds. The last entry stays. Raises `Fenced`, `SeqConflict`."""
        ...

    async def presence_set(
        self, session_id: str, device_id: str, state: Mapping[str, Json] | None, ttl_s: float = 60.0
    ) -> None:
        """A device is there, for `ttl_s` from now; with None it is gone."""
        ...

    async def presence_list(self, session_id: str) -> list[Presence]:
        """Who is there, who came first first."""
        ...

    async def session(self, session_id: str) -> StoredSession | None: ...

    async def sessions(
        self, limit: int = 100, owner: str | None = None, user: str | None = None
    ) -> list[StoredSession]:
        """What is stored, newest first; of one lease owner, of one user."""
        ...

    async def delete(self, session_id: str) -> bool:
        """Erase a session, whoever holds it; the id is never used again. False if there is none."""
        ...

    async def retain(self, before: datetime) -> list[str]:
        """Delete the sessions whose last entry is older, unless they are held; returns their ids."""
        ...

    async def check(self) -> list[str]:
        """What is wrong with the stored data, for people; empty when nothing is."""
        ...

    async def close(self) -> None: ...
