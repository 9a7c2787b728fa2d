"""The one thread that writes a SQLite file, many steps to a commit."""

from __future__ import annotations

import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from agent.errors import Indeterminate, StoreError, Unavailable
from agent.timeline.sqlite_file import explain, maybe_committed

T = TypeVar("T")

_GROUP_STEPS = 256
"""Steps that share a commit at most: bounds how long the first one waits for the last."""


@dataclass(frozen=True, slots=True)
class _Step:
    work: Callable[[sqlite3.Connection], Any]
    done: Future[Any]
    scrub: bool


class SqliteWriter:
    """Owns the writing connection and its thread.

    `submit` never blocks. The queue holds at most `max_steps`; one more is `Unavailable`.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path, max_steps: int) -> None:
        self._connection = connection
        self._path = path
        # None asks the thread to end.
        self._queue: queue.Queue[_Step | None] = queue.Queue(max_steps)
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="timeline-writer", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[sqlite3.Connection], T], *, scrub: bool = False) -> Future[T]:
        """A future of what `work` returns, done once what it wrote is durable.

        `work` runs inside a transaction with others; it raises `StoreError` only before its first
        change. `scrub`: what it deletes must not be left in the log. Cancelling the future succeeds only
        while the work has not been begun.
        """
        if self._closing:
            raise StoreError("the timeline store is closed")
        done: Future[T] = Future()
        try:
            self._queue.put_nowait(_Step(work, done, scrub))
        except queue.Full:
            raise Unavailable(
                f"{self._queue.maxsize} batches wait to be written to {self._path}: the disk is too slow, try again"
            ) from None
        return done

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
            group = [step for step in group if step.done.set_running_or_notify_cancel()]
            try:
                self._write(group)
            # The thread's edge: whatever went wrong, those who wait must hear of it.
            except Exception as error:
                self._roll_back()
                for step in group:
                    if not step.done.done():
                        step.done.set_exception(error)
        self._connection.close()

    def _next_group(self) -> tuple[list[_Step], bool]:
        """Wait for a step, then take whatever else is queued; False once the writer is to end."""
        group: list[_Step] = []
        item = self._queue.get()
        while item is not None:
            group.append(item)
            if len(group) == _GROUP_STEPS:
                return group, True
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return group, True
        return group, False

    def _write(self, group: list[_Step]) -> None:
        """Commit a group. A group that SQLite refuses is tried again step by step, so that one
        step's fault is not its neighbours'; not so when it may be committed already."""
        try:
            outcomes = self._commit(group) if group else []
        except StoreError as error:
            if len(group) == 1 or isinstance(error, Indeterminate):
                for step in group:
                    step.done.set_exception(error)
                return
            for step in group:
                self._write([step])
            return
        if any(step.scrub for step in group):
            self._scrub()
        for step, outcome in zip(group, outcomes, strict=True):
            if isinstance(outcome, StoreError):
                step.done.set_exception(outcome)
            else:
                step.done.set_result(outcome)

    def _commit(self, group: list[_Step]) -> list[Any]:
        """One transaction: what each step returned, or the `StoreError` for which it alone was left out."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            outcomes = [self._outcome(step) for step in group]
        except (sqlite3.Error, OverflowError, UnicodeEncodeError) as error:
            self._roll_back()
            if isinstance(error, sqlite3.Error):
                raise explain(error, self._path) from error
            raise StoreError(f"an entry holds a value that cannot be stored: {error}") from error
        try:
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            if not maybe_committed(error):
                raise explain(error, self._path) from error
            raise Indeterminate(
                f"{explain(error, self._path)}; it may be stored or not: append the batch again"
            ) from error
        return outcomes

    def _outcome(self, step: _Step) -> Any:
        try:
            return step.work(self._connection)
        except StoreError as refusal:
            return refusal

    def _scrub(self) -> None:
        """Fold the log into the file and empty it. A reader in another process may hold it back; then the
        next one does it."""
        with suppress(sqlite3.OperationalError):
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _roll_back(self) -> None:
        # A full disk makes SQLite roll back by itself; a second attempt would be an error.
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
