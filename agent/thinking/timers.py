"""Timers, alarms and reminders that really ring, also when they came due while nobody was there.

    pending ──due──▶ ringing ──ring()──▶ rung          pending ──▶ cancelled

Both steps are durable. Of several processes on one memory file only one gets a timer from
pending to ringing; a timer that was ringing when the process died rings again.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from agent.clock import Clock
from agent.conversation.events import Json
from agent.errors import ToolError
from agent.thinking.memory import Memory
from agent.thinking.tools.moments import span_name, spoken_duration

LATE_S = 60
"""A timer that rings later than this says by how much."""
MAX_TIMERS = 100
LONGEST_WAIT_S = 3_600.0
RETRY_S = 5.0


@dataclass(frozen=True, slots=True)
class Timer:
    """`kind`: timer, alarm or reminder. `label`: what it is for, may be empty. `due` is UTC.
    `seconds`: how long it was set for."""

    timer_id: int
    kind: str
    label: str
    seconds: int
    due: datetime

    @property
    def reminder_id(self) -> str:
        """Also unique after the memory file was replaced by a new one."""
        return f"timer-{self.timer_id}-{self.due:%Y%m%dT%H%M%S}"

    @property
    def title(self) -> str:
        """`10 minute timer`, `pizza timer`, `alarm`."""
        if self.kind == "alarm":
            return "alarm"
        if self.kind == "reminder":
            return f"reminder to {self.label}"
        return f"{self.label} timer" if self.label else f"{span_name(self.seconds)} timer"

    def announcement(self, now: datetime) -> str:
        """What is said when it rings."""
        late_s = (now - self.due).total_seconds()
        late = late_s > LATE_S
        if self.kind == "reminder":
            said = f"Here is your reminder: {self.label}."
            return f"{said} It was due {spoken_duration(late_s)} ago." if late else said
        if self.kind == "alarm":
            return f"Your alarm went off {spoken_duration(late_s)} ago." if late else "This is your alarm."
        return f"Your {self.title} ended {spoken_duration(late_s)} ago." if late else f"Your {self.title} is done."

    def to_json(self) -> dict[str, Json]:
        return {
            "timer_id": self.timer_id, "kind": self.kind, "label": self.label, "seconds": self.seconds,
            "due": self.due.isoformat(), "title": self.title,
        }  # fmt: skip


class Timers:
    """The timers of one memory. `run` rings them; the other methods may be called with or without it."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._pending: dict[int, Timer] = {}
        self._changed = asyncio.Event()

    async def load(self) -> None:
        """Read what is pending from memory. Raises `ToolError`."""
        await self._refresh()
        self._changed.set()

    async def _refresh(self) -> None:
        found = await self._memory.read(_select_pending)
        self._pending = {timer.timer_id: timer for timer in found}

    def pending(self) -> list[Timer]:
        """What will ring, soonest first; as of the last `load` and the changes since."""
        return sorted(self._pending.values(), key=lambda timer: (timer.due, timer.timer_id))

    async def add(self, key: str, kind: str, label: str, due: datetime, now: datetime) -> Timer:
        """Set one. `due` and `now` are aware. Raises `ToolError`."""
        seconds = round((due - now).total_seconds())
        if seconds <= 0:
            raise ToolError("That time has already passed.", "input")
        due = due.astimezone(UTC)
        row = await self._memory.write(key, lambda db: _insert(db, kind, label, seconds, due))
        await self.load()
        return _from_row(row)

    async def cancel(self, key: str, timer_ids: list[int]) -> list[int]:
        """Cancel those that are still pending; returns which were. Raises `ToolError`."""
        cancelled = await self._memory.write(key, lambda db: _cancel(db, timer_ids))
        ids = [found for found in cancelled if isinstance(found, int)] if isinstance(cancelled, list) else []
        for timer_id in ids:
            self._pending.pop(timer_id, None)
        self._changed.set()
        return ids

    async def run(self, clock: Clock, ring: Callable[[str, str], None]) -> None:
        """Ring until cancelled: `ring(reminder_id, text)`. Overdue ones ring at once.

        While memory fails, it tries again every `RETRY_S` seconds and nothing rings twice.
        """
        loaded = False
        while True:
            self._changed.clear()
            try:
                if not loaded:
                    await self._memory.write("", _recover)
                    await self._refresh()
                    loaded = True
                wait_s = await self._ring_due(clock, ring)
            except ToolError:
                wait_s = RETRY_S
            try:
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
            except TimeoutError:
                pass

    async def _ring_due(self, clock: Clock, ring: Callable[[str, str], None]) -> float:
        """Ring everything due; seconds until the next one, bounded."""
        for timer in self.pending():
            if timer.due > clock.wall():
                break
            claimed = await self._memory.write(
                "", partial(_move, timer_id=timer.timer_id, old="pending", new="ringing")
            )
            if self._pending.pop(timer.timer_id, None) is not None and claimed:
                ring(timer.reminder_id, timer.announcement(clock.wall()))
                await self._memory.write("", partial(_move, timer_id=timer.timer_id, old="ringing", new="rung"))
        left = self.pending()
        delay_s = (left[0].due - clock.wall()) / timedelta(seconds=1) if left else LONGEST_WAIT_S
        return min(max(delay_s, 0.001), LONGEST_WAIT_S)


_COLUMNS = "id, kind, label, seconds, due"


def _select_pending(db: sqlite3.Connection) -> list[Timer]:
    rows = db.execute(f"SELECT {_COLUMNS} FROM timers WHERE state = 'pending'").fetchall()  # noqa: S608
    return [_from_row(list(row)) for row in rows]


def _from_row(row: Json) -> Timer:
    match row:
        case [int(timer_id), str(kind), str(label), int(seconds), str(due)]:
            return Timer(timer_id, kind, label, seconds, datetime.fromisoformat(due))
    raise ToolError("My memory holds a timer that I cannot read.", "crash")


def _insert(db: sqlite3.Connection, kind: str, label: str, seconds: int, due: datetime) -> Json:
    count = db.execute("SELECT count(*) FROM timers WHERE state = 'pending'").fetchone()[0]
    if count >= MAX_TIMERS:
        raise ToolError(f"There are {MAX_TIMERS} timers already. Cancel some first.", "input")
    values = (kind, label, seconds, due.isoformat())
    cursor = db.execute("INSERT INTO timers (kind, label, seconds, due, state) VALUES (?, ?, ?, ?, 'pending')", values)
    return [cursor.lastrowid, *values]


def _cancel(db: sqlite3.Connection, timer_ids: list[int]) -> Json:
    return [
        timer_id
        for timer_id in timer_ids
        if db.execute("UPDATE timers SET state = 'cancelled' WHERE id = ? AND state = 'pending'", (timer_id,)).rowcount
    ]


def _recover(db: sqlite3.Connection) -> Json:
    """What a dead process left ringing rings again."""
    return db.execute("UPDATE timers SET state = 'pending' WHERE state = 'ringing'").rowcount


def _move(db: sqlite3.Connection, timer_id: int, old: str, new: str) -> Json:
    """True when this call moved it: of several processes only one does."""
    return db.execute("UPDATE timers SET state = ? WHERE id = ? AND state = ?", (new, timer_id, old)).rowcount > 0
