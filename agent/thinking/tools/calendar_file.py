"""An iCalendar file (RFC 5545), changed one appointment at a time.

The file may be another program's, so it is edited as text: an appointment is put in, taken
out or exchanged, and every other byte stays. Nothing is written that does not parse. Times
are written in UTC. All methods block; one thread at a time calls them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from dateutil.rrule import rrulestr  # type: ignore[import-untyped]
from icalendar import Calendar, Event

from agent.errors import ToolError
from agent.thinking.tools import safe_file

MAX_BYTES = 2_000_000
MAX_REPEATS = 500
"""Occurrences of one repeating appointment that are looked at."""
ATTEMPTS = 3
NO_FILE = "There is no place for a calendar: set calendar.path, or keep the memory in a file."
EMPTY = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//voice-agent//calendar//EN\r\nEND:VCALENDAR\r\n"

_LINE = re.compile(r"[^\n]*\n|[^\n]+\Z")
_EDGE = re.compile(r"(BEGIN|END):([A-Za-z0-9-]+)\s*\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Appointment:
    """`start` and `end` are aware. `text` is its VEVENT, `repeats` means that it is one of many."""

    uid: str
    title: str
    start: datetime
    end: datetime
    text: str
    all_day: bool = False
    repeats: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """The VEVENT of `uid` before and after; empty where there is none."""

    uid: str
    before: str
    after: str

    def reversed(self) -> Change:
        return Change(self.uid, self.after, self.before)


@dataclass(frozen=True, slots=True)
class _Block:
    """A VEVENT's place in the file's text."""

    start: int
    end: int
    text: str


class CalendarFile:
    """`path` None: there is none. A file that is not there yet is made by the first appointment."""

    def __init__(self, path: Path | None) -> None:
        self.path = path

    def check(self) -> str:
        """A preflight: why the calendar cannot be used, or empty."""
        if self.path is None:
            return NO_FILE
        if problem := safe_file.not_writable(self.path) or safe_file.not_writable(self.path.parent):
            return f"The calendar cannot be used: {problem}. Set calendar.path to a writable file."
        try:
            _parsed(self._read())
        except ToolError as error:
            return str(error)
        return ""

    def between(self, start: datetime, end: datetime) -> list[Appointment]:
        """What takes place then, in its order; whole days are those of the zone of `start`. Raises `ToolError`."""
        found = [one for one in _appointments(self._read(), start, end) if one.start < end and one.end > start]
        return sorted(found, key=lambda one: (one.start, one.title))

    def find(self, uid: str, now: datetime) -> Appointment | None:
        """Raises `ToolError` when the file cannot be read."""
        ever = now + timedelta(days=1)
        return next((one for one in _appointments(self._read(), now, ever, all_of=uid)), None)

    def apply(self, change: Change) -> None:
        """Make the change, once: where it is made already nothing happens.

        Raises `ToolError`, class `not_found` when the appointment is not as it was `before`.
        """
        for _ in range(ATTEMPTS):
            text = self._read()
            changed = _spliced(text, change)
            if changed is None:
                return
            _parsed(changed)
            if self._read() == text:
                self._write(changed)
                return
        raise ToolError("Your calendar is being changed by another program. Please try again.", "timeout")

    def _read(self) -> str:
        if self.path is None:
            raise ToolError(NO_FILE, "unreachable")
        try:
            with self.path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
            if len(data) > MAX_BYTES:
                raise ToolError(f"Your calendar is larger than {MAX_BYTES // 1_000_000} megabytes.", "permission")
            return data.decode()
        except FileNotFoundError:
            return EMPTY
        except UnicodeDecodeError:
            raise ToolError(f"The calendar {self.path} is not UTF-8 text.", "permission") from None
        except OSError as error:
            raise ToolError(f"The calendar {self.path} cannot be read: {error.strerror}.", "permission") from error

    def _write(self, text: str) -> None:
        if self.path is None:
            raise ToolError(NO_FILE, "unreachable")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            safe_file.replace(self.path, text.encode())
        except OSError as error:
            raise ToolError(f"The calendar {self.path} cannot be written: {error.strerror}.", "permission") from error


def new_event(key: str, title: str, start: datetime, end: datetime, now: datetime) -> Change:
    """A new appointment. Its UID follows from the idempotency `key`."""
    uid = hashlib.sha256(key.encode()).hexdigest()[:40] + "@voice-agent"
    event = Event()
    event.add("uid", uid)
    event.add("dtstamp", now.astimezone(UTC).replace(microsecond=0))
    event.add("dtstart", start.astimezone(UTC))
    event.add("dtend", end.astimezone(UTC))
    event.add("summary", title)
    return Change(uid, "", _text_of(event))


def moved_event(old: Appointment, start: datetime, now: datetime) -> Change:
    """The same appointment at another time, as long as before."""
    event: Any = Event.from_ical(old.text)
    for name in ("DTSTART", "DTEND", "DURATION", "LAST-MODIFIED"):
        event.pop(name, None)
    event.add("dtstart", start.astimezone(UTC))
    event.add("dtend", (start + (old.end - old.start)).astimezone(UTC))
    event.add("last-modified", now.astimezone(UTC).replace(microsecond=0))
    sequence = int(event.pop("SEQUENCE", 0))
    event.add("sequence", sequence + 1)
    return Change(old.uid, old.text, _text_of(event))


def _text_of(event: Any) -> str:
    data: bytes = event.to_ical()
    return data.decode()


def _parsed(text: str) -> Any:
    try:
        return Calendar.from_ical(text)
    except ValueError as error:
        raise ToolError("Your calendar file is damaged; I left it as it is.", "permission") from error


def _spliced(text: str, change: Change) -> str | None:
    """The file's text with the change; None when it has it already. Raises `ToolError`."""
    found = [block for block in _blocks(text) if str(Event.from_ical(block.text).get("UID", "")) == change.uid]
    current = found[0].text if found else ""
    if current == change.after and len(found) < 2:
        return None
    if current != change.before or len(found) > 1:
        raise ToolError("That appointment has been changed meanwhile, so I left it as it is.", "not_found")
    if found:
        return text[: found[0].start] + change.after + text[found[0].end :]
    end = max((at for at, edge, name, _ in _edges(text) if (edge, name) == ("END", "VCALENDAR")), default=-1)
    if end < 0:
        raise ToolError("Your calendar file is damaged; I left it as it is.", "permission")
    return text[:end] + change.after + text[end:]


def _edges(text: str) -> Iterator[tuple[int, str, str, int]]:
    """Where components begin and end: position, BEGIN or END, name, position behind the line."""
    for line in _LINE.finditer(text):
        found = _EDGE.match(line.group())
        if found:
            yield line.start(), found[1].upper(), found[2].upper(), line.end()


def _blocks(text: str) -> Iterator[_Block]:
    depth, start = 0, -1
    for at, edge, name, behind in _edges(text):
        depth += 1 if edge == "BEGIN" else -1
        if (edge, name, depth) == ("BEGIN", "VEVENT", 2):
            start = at
        elif (edge, name, depth) == ("END", "VEVENT", 1) and start >= 0:
            yield _Block(start, behind, text[start:behind])
            start = -1


def _appointments(text: str, start: datetime, end: datetime, all_of: str = "") -> Iterator[Appointment]:
    """Every one, and of those that repeat what may lie in this time. `all_of`: only this UID, whenever it is."""
    _parsed(text)
    events: list[tuple[str, Any]] = [(block.text, Event.from_ical(block.text)) for block in _blocks(text)]
    moved = {
        (str(event.get("UID", "")), _aware(event["RECURRENCE-ID"].dt, start))
        for _, event in events
        if "RECURRENCE-ID" in event
    }
    for source, event in events:
        uid = str(event.get("UID", ""))
        if "DTSTART" not in event or str(event.get("STATUS", "")) == "CANCELLED" or (all_of and uid != all_of):
            continue
        first = event["DTSTART"].dt
        begins = _aware(first, start)
        length = _length(event, first, begins, start)
        repeats = "RRULE" in event or "RECURRENCE-ID" in event
        for at in _occurrences(event, begins, start - length, end) if "RRULE" in event else [begins]:
            if "RRULE" in event and (uid, at) in moved:
                continue
            title = str(event.get("SUMMARY", "")) or "appointment"
            yield Appointment(uid, title, at, at + length, source, not isinstance(first, datetime), repeats)


def _aware(value: date | datetime, near: datetime) -> datetime:
    """A time without zone, and a whole day, is meant in the user's zone."""
    at = value if isinstance(value, datetime) else datetime.combine(value, time())
    return at if at.tzinfo is not None else at.replace(tzinfo=near.tzinfo)


def _length(event: Any, first: date | datetime, begins: datetime, near: datetime) -> timedelta:
    if "DTEND" in event:
        return max(_aware(event["DTEND"].dt, near) - begins, timedelta(0))
    if "DURATION" in event:
        length: timedelta = event["DURATION"].dt
        return length
    return timedelta(0) if isinstance(first, datetime) else timedelta(days=1)


def _occurrences(event: Any, begins: datetime, start: datetime, end: datetime) -> list[datetime]:
    """The times of a repeating one (RFC 5545, section 3.8.5) in the given time, those left out excepted."""
    left_out = event.get("EXDATE", [])
    lists = left_out if isinstance(left_out, list) else [left_out]
    excluded = {_aware(one.dt, start) for some in lists for one in some.dts}
    try:
        rule = rrulestr(event["RRULE"].to_ical().decode(), dtstart=begins)
        found = rule.xafter(start - timedelta(seconds=1), count=MAX_REPEATS)
        times = [at for at in found if at < end] if rule is not None else []
    except (ValueError, TypeError):
        times = [begins]  # a rule that cannot be followed: its first time is certain
    return [at for at in times if at not in excluded]
