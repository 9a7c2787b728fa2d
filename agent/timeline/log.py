"""The live timeline of one session: assigns places, keeps a window in memory, writes behind.

Recording is synchronous, so audio and barge-in never wait on a commit; what must not happen
before it is durable waits with `durable`. Each step of an action is durable before what comes behind it
is stored. Readers follow by cursor.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from itertools import islice

from agent.conversation.decisions import Decision
from agent.conversation.events import ClientCommand, Event, OwnerChanged, SessionForgotten
from agent.errors import Indeterminate, LimitReached, StoreError, Truncated, Unavailable
from agent.timeline.command_ids import CommandIds
from agent.timeline.entry import Entry
from agent.timeline.leases import Lease
from agent.timeline.ledger import LedgerWriter, is_step
from agent.timeline.store import Store

RETRY_S = 0.2
BATCH_ENTRIES = 500
READ_AT_ONCE = 100
"""Entries that are loaded, or given to a reader, at one go, some milliseconds' worth: other calls' audio is due every
20."""


class Timeline:
    """Append-only; `seq` is dense from 1. `entries_kept` bounds the window in memory.

    Without a `lease` it can be written only while nobody holds the session, and the store keeps no ledger of its
    actions.
    """

    def __init__(
        self, session_id: str, started: datetime, store: Store, entries_kept: int, lease: Lease | None = None
    ) -> None:
        self.session_id = session_id
        self.last_seq = 0
        self._started = started
        self._store = store
        self._ledger = LedgerWriter(store, lease) if lease is not None else None
        self._kept = entries_kept
        self._window: deque[Entry] = deque()
        self._by_id: dict[str, Entry] = {}
        self._unwritten: deque[Entry] = deque()
        self._durable_seq = 0
        self._news = asyncio.Event()
        self._readers: set[asyncio.Event] = set()
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self._closed = False
        self._forgotten_seq = 0
        self._commands = CommandIds()
        """One that is sent again is known though its entry is not here."""
        self._changes: list[tuple[int, int]] = []
        """The epoch and the seq of each `owner.changed`."""

    # ── writing ──────────────────────────────────────────────────────────────────────────

    async def load(self, entries: Sequence[Entry], started: datetime, past_ids: Sequence[str] = ()) -> None:
        """Take over what the store has of this session, and the ids of what it had; before anything is recorded."""
        self._started = started
        for number, event_id in enumerate(past_ids):
            self._commands.add_past(event_id)
            await _breathe(number)
        self._forgotten_seq = entries[0].seq - 1 if entries else 0
        for entry in entries:
            self._keep(entry)
            await _breathe(entry.seq)
        self._durable_seq = self.last_seq

    def record(self, event: Event, *, now_us: int, turn_id: str, parent_event_id: str) -> Entry:
        """Append an event. Raises `LimitReached` when the store has not kept up for too long."""
        if len(self._unwritten) >= self._kept:
            raise LimitReached(f"{len(self._unwritten)} timeline entries wait for the store; the session cannot go on")
        wall = self._started + timedelta(microseconds=now_us)
        entry = Entry(
            session_id=self.session_id,
            seq=self.last_seq + 1,
            ts=wall.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            t_ms=now_us // 1_000,
            now_us=now_us,
            role="decision" if isinstance(event, Decision) else "fact",
            turn_id=turn_id,
            parent_event_id=parent_event_id,
            event=event,
        )
        self._keep(entry)
        self._unwritten.append(entry)
        self._wake()
        return entry

    def _keep(self, entry: Entry) -> None:
        self.last_seq = entry.seq
        if isinstance(entry.event, OwnerChanged):
            self._changes.append((entry.event.epoch, entry.seq))
        if isinstance(entry.event, SessionForgotten):
            for event_id in entry.event.commands:
                self._commands.add(event_id)
        if isinstance(entry.event, ClientCommand):
            self._commands.add(entry.event.event_id)
        self._window.append(entry)
        self._by_id[entry.event.event_id] = entry
        while len(self._window) > self._kept:
            del self._by_id[self._window.popleft().event.event_id]

    def _wake(self) -> None:
        self._news.set()
        for reader in self._readers:
            reader.set()

    async def write(self) -> None:
        """Write behind until cancelled; after `close`, until all is written. Raises `Fenced`, `ActionConflict`,
        `StoreError`."""
        while True:
            while self._unwritten:
                batch = self._next_batch()
                try:
                    self._written(await (self._ledger.write(batch) if self._ledger else self._store.append(batch)))
                except (Unavailable, Indeterminate):  # what was stored after all is known by its ids
                    await asyncio.sleep(RETRY_S)
            if self._closed:
                return
            self._news.clear()
            await self._news.wait()

    def _next_batch(self) -> list[Entry]:
        """What waits to be stored, up to the next step of an action."""
        batch = []
        for entry in islice(self._unwritten, BATCH_ENTRIES):
            batch.append(entry)
            if is_step(entry.event):
                break
        return batch

    def _written(self, last_seq: int) -> None:
        self._durable_seq = max(self._durable_seq, last_seq)
        while self._unwritten and self._unwritten[0].seq <= last_seq:
            self._unwritten.popleft()
        for seq, waiter in self._waiters:
            if seq <= last_seq and not waiter.done():
                waiter.set_result(None)
        self._waiters = [(seq, waiter) for seq, waiter in self._waiters if seq > last_seq]

    async def durable(self, seq: int) -> None:
        """Wait until the entry `seq` cannot be lost any more."""
        if seq > self._durable_seq:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append((seq, waiter))
            await waiter

    def forget(self, through: int) -> None:
        """Drop the entries up to `through`, which nobody is to read again."""
        self._forgotten_seq = through
        while self._window and self._window[0].seq <= through:
            del self._by_id[self._window.popleft().event.event_id]

    def close(self) -> None:
        """Nothing more is recorded: readers come to their end, `write` to its own."""
        self._closed = True
        self._wake()

    # ── reading ──────────────────────────────────────────────────────────────────────────

    @property
    def epoch(self) -> int:
        """Of the last change of owner, 0 if there was none. What a reader saw at the end of an epoch may never have
        been stored, and something else has its seq now."""
        return self._changes[-1][0] if self._changes else 0

    def continues(self, epoch: int, seq: int) -> bool:
        """Whether what a reader saw in `epoch`, up to `seq`, is what this timeline begins with."""
        ends = (at for begun, at in self._changes if begun > epoch)
        return epoch <= self.epoch and seq < next(ends, self.last_seq + 1)

    def get(self, event_id: str) -> Entry | None:
        """An entry that is still in memory."""
        return self._by_id.get(event_id)

    def has(self, event_id: str) -> bool:
        """Whether an event of this id was recorded: a command ever, another as far as memory goes back."""
        return event_id in self._by_id or event_id in self._commands

    def commands(self) -> tuple[str, ...]:
        """The ids of the latest commands of clients, also of those that were forgotten."""
        return self._commands.latest()

    def window(self) -> list[Entry]:
        """What is in memory, in order."""
        return list(self._window)

    async def follow(self, after: int = 0) -> AsyncIterator[Entry]:
        """Entries with seq > `after` in order, then new ones as they come, until `close`. What was forgotten is left
        out.

        Older ones come from the store. Raises `LimitReached` for a reader that is slower than the
        window lasts, `StoreError` when what it asks for cannot be read.
        """
        cursor = after
        news = asyncio.Event()
        self._readers.add(news)
        try:
            while (cursor := max(cursor, self._forgotten_seq)) < self._first_seq - 1:
                for entry in await self._stored(cursor):
                    if entry.seq > self._forgotten_seq:
                        yield entry
                        cursor = entry.seq
                        await _breathe(cursor)
            while True:
                news.clear()
                while (cursor := max(cursor, self._forgotten_seq)) < self.last_seq:
                    if cursor < self._first_seq - 1:
                        raise LimitReached(f"this reader fell more than {self._kept} entries behind; join again")
                    entry = self._window[cursor + 1 - self._first_seq]
                    cursor = entry.seq
                    yield entry
                    await _breathe(cursor)
                if self._closed:
                    return
                await news.wait()
        finally:
            self._readers.discard(news)

    async def _stored(self, after: int) -> list[Entry]:
        try:
            stored = await self._store.read(self.session_id, after)
        except Truncated:
            if self._forgotten_seq > after:  # meanwhile
                return []
            raise
        if not stored:
            raise StoreError(f"entries behind {after} of session {self.session_id} are gone")
        return stored

    @property
    def _first_seq(self) -> int:
        return self.last_seq - len(self._window) + 1


async def _breathe(seq: int) -> None:
    """Let others have their turn: what takes or is given entry after entry never waits otherwise."""
    if seq % READ_AT_ONCE == 0:
        await asyncio.sleep(0)
