"""The one thread that writes to the SQLite file, several sessions' batches to a commit."""

from __future__ import annotations

import queue
import sqlite3
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from agent.errors import StoreError, Unavailable, WireError
from agent.timeline.batch import fresh_entries
from agent.timeline.codec import dump_value, event_from, load_value, payload_of, role_of
from agent.timeline.entry import Entry
from agent.timeline.sqlite_file import explain

COLUMNS = "session_id, seq, event_id, ts, t_ms, now_us, role, type, source, turn_id, parent_event_id, payload"
_INSERT = f"INSERT INTO entries ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
_BY_ID = f"SELECT {COLUMNS} FROM entries WHERE session_id = ? AND event_id = ?"  # noqa: S608
_LAST_SEQ = "SELECT coalesce(max(seq), 0) FROM entries WHERE session_id = ?"

_GROUP_BATCHES = 256
"""Batches that share a commit at most: bounds how long the first one waits for the last."""

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


@dataclass(frozen=True, slots=True)
class _Batch:
    session_id: str
    entries: Sequence[Entry]
    done: Future[int]


class SqliteWriter:
    """Owns the writing connection and its thread.

    `submit` never blocks. The queue holds at most `max_batches`; one more is `Unavailable`.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path, max_batches: int) -> None:
        self._connection = connection
        self._path = path
        # None asks the thread to end.
        self._queue: queue.Queue[_Batch | None] = queue.Queue(max_batches)
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="timeline-writer", daemon=True)
        self._thread.start()

    def submit(self, session_id: str, entries: Sequence[Entry]) -> Future[int]:
        """A future of the session's last seq, done once the batch is durable.

        Cancelling it succeeds only while the batch has not been begun.
        """
        if self._closing:
            raise StoreError("the timeline store is closed")
        batch = _Batch(session_id, entries, Future())
        try:
            self._queue.put_nowait(batch)
        except queue.Full:
            raise Unavailable(
                f"{self._queue.maxsize} batches wait to be written to {self._path}: the disk is too slow, try again"
            ) from None
        return batch.done

    def close(self) -> None:
        """Write what is queued, then end the thread. Blocks."""
        if not self._closing:
            self._closing = True
            self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        open_ = True
        while open_:
            group, open_ = self._next_group()
            group = [batch for batch in group if batch.done.set_running_or_notify_cancel()]
            try:
                self._write(group)
            # The thread's edge: whatever went wrong, those who wait must hear of it.
            except Exception as error:
                self._roll_back()
                for batch in group:
                    if not batch.done.done():
                        batch.done.set_exception(error)
        self._connection.close()

    def _next_group(self) -> tuple[list[_Batch], bool]:
        """Wait for a batch, then take whatever else is queued; False once the writer is to end."""
        group: list[_Batch] = []
        item = self._queue.get()
        while item is not None:
            group.append(item)
            if len(group) == _GROUP_BATCHES:
                return group, True
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return group, True
        return group, False

    def _write(self, group: list[_Batch]) -> None:
        """Commit a group. A group that SQLite refuses is tried again batch by batch, so that one
        batch's fault is not its neighbours'."""
        try:
            outcomes = self._commit(group) if group else []
        except StoreError as error:
            if len(group) == 1:
                group[0].done.set_exception(error)
                return
            for batch in group:
                self._write([batch])
            return
        for batch, outcome in zip(group, outcomes, strict=True):
            if isinstance(outcome, int):
                batch.done.set_result(outcome)
            else:
                batch.done.set_exception(outcome)

    def _commit(self, group: list[_Batch]) -> list[int | StoreError]:
        """One transaction: each batch's last seq, or why it alone was left out."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            outcomes = [self._insert(batch) for batch in group]
            self._connection.execute("COMMIT")
        except (sqlite3.Error, OverflowError, UnicodeEncodeError) as error:
            self._roll_back()
            if isinstance(error, sqlite3.Error):
                raise explain(error, self._path) from error
            raise StoreError(f"an entry holds a value that cannot be stored: {error}") from error
        return outcomes

    def _insert(self, batch: _Batch) -> int | StoreError:
        """Insert what is new of a batch. Everything that can refuse it comes before the first row."""
        last_seq: int = self._connection.execute(_LAST_SEQ, (batch.session_id,)).fetchone()[0]
        try:
            fresh = fresh_entries(batch.entries, last_seq, lambda event_id: self._stored(batch.session_id, event_id))
            rows = [row_of(entry) for entry in fresh]
        except StoreError as error:
            return error
        self._connection.executemany(_INSERT, rows)
        return last_seq + len(rows)

    def _stored(self, session_id: str, event_id: str) -> Entry | None:
        row = self._connection.execute(_BY_ID, (session_id, event_id)).fetchone()
        return entry_of(row) if row else None

    def _roll_back(self) -> None:
        # A full disk makes SQLite roll back by itself; a second attempt would be an error.
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
