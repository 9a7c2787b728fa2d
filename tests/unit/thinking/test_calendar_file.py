"""An iCalendar file that is changed one appointment at a time."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from icalendar import Calendar

from agent.errors import ToolError
from agent.thinking.tools import safe_file
from agent.thinking.tools.calendar_file import CalendarFile, Change, moved_event, new_event

NOW = datetime(2026, 3, 4, 15, 20, tzinfo=ZoneInfo("Europe/Berlin"))
AT = datetime(2026, 3, 5, 15, 0, tzinfo=ZoneInfo("Europe/Berlin"))
HOUR = timedelta(hours=1)
FOREIGN = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//somebody//else//EN
X-UNKNOWN;A=b:kept
BEGIN:VTIMEZONE
TZID:Europe/Berlin
BEGIN:STANDARD
DTSTART:19701025T030000
TZOFFSETFROM:+0200
TZOFFSETTO:+0100
END:STANDARD
END:VTIMEZONE
BEGIN:VEVENT
UID:standup
DTSTAMP:20260101T000000Z
DTSTART;TZID=Europe/Berlin:20260302T093000
DURATION:PT15M
RRULE:FREQ=DAILY;BYDAY=MO,TU,WE,TH,FR
EXDATE;TZID=Europe/Berlin:20260305T093000
SUMMARY:Stand-up\\, short
BEGIN:VALARM
ACTION:DISPLAY
TRIGGER:-PT5M
DESCRIPTION:soon
END:VALARM
END:VEVENT
BEGIN:VEVENT
UID:standup
RECURRENCE-ID;TZID=Europe/Berlin:20260306T093000
DTSTAMP:20260101T000000Z
DTSTART;TZID=Europe/Berlin:20260306T110000
DURATION:PT15M
SUMMARY:Stand-up\\, late
END:VEVENT
BEGIN:VEVENT
UID:holiday
DTSTAMP:20260101T000000Z
DTSTART;VALUE=DATE:20260306
SUMMARY:Ho
 liday
END:VEVENT
BEGIN:VEVENT
UID:off
STATUS:CANCELLED
DTSTAMP:20260101T000000Z
DTSTART:20260306T120000Z
SUMMARY:Off
END:VEVENT
END:VCALENDAR
"""


def day(number: int) -> tuple[datetime, datetime]:
    start = datetime(2026, 3, number, tzinfo=ZoneInfo("Europe/Berlin"))
    return start, start + timedelta(days=1)


def titles(file: CalendarFile, number: int) -> list[str]:
    return [f"{one.title} {one.start.astimezone(NOW.tzinfo):%H:%M}" for one in file.between(*day(number))]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "calendar.ics"


def test_an_appointment_is_written_found_moved_and_taken_out(path: Path) -> None:
    file = CalendarFile(path)
    assert file.check() == ""
    added = new_event("key", "Tea; with Zoë, and 中", AT, AT + HOUR, NOW)
    file.apply(added)
    assert titles(file, 5) == ["Tea; with Zoë, and 中 15:00"]
    assert path.stat().st_mode & 0o777 == 0o600
    known = file.find(added.uid, NOW)
    assert known is not None
    moved = moved_event(known, AT + timedelta(days=1), NOW)
    file.apply(moved)
    assert (titles(file, 5), titles(file, 6)) == ([], ["Tea; with Zoë, and 中 15:00"])
    event = Calendar.from_ical(path.read_bytes()).events[0]
    assert event["DTEND"].dt - event["DTSTART"].dt == HOUR
    assert event["SEQUENCE"] == 1
    assert event["DTSTART"].to_ical() == b"20260306T140000Z"
    file.apply(Change(moved.uid, moved.after, ""))
    assert file.find(added.uid, NOW) is None


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_another_programs_file_is_read_and_every_other_byte_stays(path: Path, newline: str) -> None:
    before = FOREIGN.replace("\n", newline).encode()
    path.write_bytes(before)
    path.chmod(0o640)
    file = CalendarFile(path)
    assert titles(file, 4) == ["Stand-up, short 09:30"]
    assert titles(file, 5) == [], "left out by EXDATE"
    assert titles(file, 6) == ["Holiday 00:00", "Stand-up, late 11:00"], "moved by RECURRENCE-ID, one cancelled"
    assert all(one.repeats for one in file.between(*day(4)))
    added = new_event("key", "Tea", AT, AT + HOUR, NOW)
    file.apply(added)
    assert titles(file, 5) == ["Tea 15:00"]
    file.apply(added.reversed())
    assert path.read_bytes() == before
    assert path.stat().st_mode & 0o777 == 0o640


TITLES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=80)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(TITLES, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_any_titles_go_in_and_come_out_in_any_order(path: Path, names: list[str], random: object) -> None:
    path.write_bytes(FOREIGN.encode())
    file = CalendarFile(path)
    changes = [new_event(f"key{i}", name, AT, AT + HOUR, NOW) for i, name in enumerate(names)]
    for change in changes:
        file.apply(change)
        file.apply(change)
    assert len(file.between(*day(5))) == len(names)
    random.shuffle(changes)  # type: ignore[attr-defined]
    for change in changes:
        file.apply(change.reversed())
    assert path.read_bytes() == FOREIGN.encode()


def test_what_was_changed_meanwhile_is_left_alone(path: Path) -> None:
    file = CalendarFile(path)
    added = new_event("key", "Tea", AT, AT + HOUR, NOW)
    file.apply(added)
    path.write_bytes(path.read_bytes().replace(b"SUMMARY:Tea", b"SUMMARY:Coffee"))
    with pytest.raises(ToolError, match="changed meanwhile"):
        file.apply(added.reversed())
    assert titles(file, 5) == ["Coffee 15:00"]


def test_a_program_that_writes_at_the_same_time_loses_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_bytes(FOREIGN.encode())
    file = CalendarFile(path)
    added = new_event("key", "Tea", AT, AT + HOUR, NOW)
    reads = 0
    read = CalendarFile._read

    def disturbed(self: CalendarFile) -> str:
        nonlocal reads
        reads += 1
        if reads == 2:
            path.write_bytes(FOREIGN.replace("Ho\n liday", "Feast").encode())
        return read(self)

    monkeypatch.setattr(CalendarFile, "_read", disturbed)
    file.apply(added)
    assert titles(file, 6) == ["Feast 00:00", "Stand-up, late 11:00"]
    assert titles(file, 5) == ["Tea 15:00"]


@pytest.mark.parametrize("damage", [b"no calendar", b"\xff\xfe", b"BEGIN:VCALENDAR\nBEGIN:VEVENT\nEND:VCALENDAR\n"])
def test_a_damaged_file_is_said_and_not_touched(path: Path, damage: bytes) -> None:
    path.write_bytes(damage)
    file = CalendarFile(path)
    assert file.check() != ""
    with pytest.raises(ToolError):
        file.apply(new_event("key", "Tea", AT, AT + HOUR, NOW))
    assert path.read_bytes() == damage


def test_a_file_that_cannot_be_written_is_said(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(safe_file, "replace", full)
    with pytest.raises(ToolError, match="No space left"):
        CalendarFile(path).apply(new_event("key", "Tea", AT, AT + HOUR, NOW))


def test_without_a_place_there_is_no_calendar() -> None:
    assert "calendar.path" in CalendarFile(None).check()
    with pytest.raises(ToolError):
        CalendarFile(None).between(*day(4))


def test_a_link_stays_a_link(path: Path, tmp_path: Path) -> None:
    real = tmp_path / "elsewhere.ics"
    real.write_bytes(FOREIGN.encode())
    path.symlink_to(real)
    CalendarFile(path).apply(new_event("key", "Tea", AT, AT + HOUR, NOW))
    assert path.is_symlink()
    assert b"Tea" in real.read_bytes()
