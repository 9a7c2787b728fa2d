"""Spans and points of time as people say them: durations, and times of a day."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fractions import Fraction

from agent.thinking.tools.numerals import number, number_at

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
UNIT_SECONDS = {
    "second": 1, "sec": 1, "s": 1, "minute": 60, "min": 60, "m": 60, "hour": 3_600, "hr": 3_600, "h": 3_600,
    "day": 86_400, "week": 604_800,
}  # fmt: skip
MAX_SECONDS = 366 * 86_400
_CLOCK = re.compile(r"(\d{1,2})[:.](\d{2})")


def duration(words: Sequence[str]) -> int | None:
    """Whole seconds of `an hour and a half`, `one minute thirty seconds`, `90 seconds`; None if it is none."""
    total = Fraction(0)
    at = 0
    last_unit = 0
    while at < len(words):
        if words[at] == "and":
            at += 1
            continue
        read = _span(words, at, last_unit)
        if read is None:
            return None
        seconds, last_unit, at = read
        total += seconds
    return round(total) if 0 < total <= MAX_SECONDS else None


def _span(words: Sequence[str], at: int, last_unit: int) -> tuple[Fraction, int, int] | None:
    """Seconds, the unit in seconds, and the index behind."""
    if words[at : at + 2] == ["a", "half"] and last_unit and len(words) == at + 2:
        return Fraction(last_unit, 2), last_unit, at + 2
    found = number_at(words, at)
    if found is None and words[at] in ("a", "an"):
        found = (Fraction(1), at + 1)
    if found is None:
        return None
    value, at = found
    while at < len(words) and words[at] in ("a", "an", "of"):
        at += 1
    if words[at : at + 3] == ["and", "a", "half"]:
        value, at = value + Fraction(1, 2), at + 3
    unit = UNIT_SECONDS.get(words[at].removesuffix("s") or words[at]) if at < len(words) else None
    if unit is None:
        return (value * 60, 60, at) if last_unit == 3_600 and at == len(words) else None
    return value * unit, unit, at + 1


def spoken_duration(seconds: float) -> str:
    """`1 hour and 30 minutes`; two units at most."""
    left = max(0, round(seconds))
    parts = []
    for name, size in (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {name}{'s' if count != 1 else ''}")
    return " and ".join(parts[:2]) or "0 seconds"


def span_name(seconds: int) -> str:
    """As an adjective: `10 minute`, `1 hour 30 minute`."""
    return re.sub(r"(day|hour|minute|second)s", r"\1", spoken_duration(seconds)).replace(" and ", " ")


@dataclass(frozen=True, slots=True)
class _Time:
    hour: int
    minute: int = 0
    half: str = ""
    """`am`, `pm`, or empty when it was not said."""
    days: int | None = None


def moment(words: Sequence[str], now: datetime) -> datetime | None:
    """The next time that the words name, after `now` and in its zone; None if they name none."""
    kept = [word for word in words if word not in ("at", "on", "the", "in", "this", "around", "for")]
    days, kept = _day(kept, now)
    half, kept = _half(kept)
    if not kept and (days is not None or half):
        return None
    read = _time_of_day(kept)
    if read is None:
        return None
    return _next(replace(read, half=read.half or half, days=days), now)


def _day(words: list[str], now: datetime) -> tuple[int | None, list[str]]:
    for index, word in enumerate(words):
        if word in ("today", "tonight"):
            return 0, [*words[:index], *(["pm"] if word == "tonight" else []), *words[index + 1 :]]
        if word == "tomorrow":
            return 1, words[:index] + words[index + 1 :]
        if word in WEEKDAYS:
            start = index - 1 if index and words[index - 1] == "next" else index
            return (WEEKDAYS.index(word) - now.weekday()) % 7 or 7, words[:start] + words[index + 1 :]
    return None, words


def _half(words: list[str]) -> tuple[str, list[str]]:
    halves = {"am": "am", "morning": "am", "pm": "pm", "afternoon": "pm", "evening": "pm", "night": "pm"}
    if words[-2:] in (["a", "m"], ["p", "m"]):
        return words[-2] + "m", words[:-2]
    for index, word in enumerate(words):
        if word in halves:
            return halves[word], words[:index] + words[index + 1 :]
    return "", words


def _time_of_day(words: list[str]) -> _Time | None:
    if words in (["noon"], ["midday"], ["twelve", "noon"]):
        return _Time(12, 0, "pm")
    if words in (["midnight"], ["twelve", "midnight"]):
        return _Time(12, 0, "am")
    for sign, direction in (("past", 1), ("after", 1), ("to", -1), ("before", -1)):
        if sign in words:
            split = words.index(sign)
            return _relative(words[:split], direction, words[split + 1 :])
    if len(words) == 1 and (found := _CLOCK.fullmatch(words[0])):
        return _checked(int(found.group(1)), int(found.group(2)))
    hour = number_at(words, 0)
    if hour is None or hour[0].denominator != 1:
        return None
    # "seven thirty" must not read as one number, and "twenty one" as twenty past one.
    rest = [word for word in words[hour[1] :] if word != "oclock"]
    if not rest:
        return _checked(int(hour[0]), 0)
    minute = number(rest[1:] if rest[0] in ("oh", "zero") else rest)
    return _checked(int(hour[0]), int(minute)) if minute is not None and minute.denominator == 1 else None


def _relative(amount: list[str], direction: int, rest: list[str]) -> _Time | None:
    base = _time_of_day([word for word in rest if word != "oclock"])
    amount = [word for word in amount if word not in ("minutes", "minute", "a")]
    minutes = {"half": Fraction(30), "quarter": Fraction(15)}.get(" ".join(amount)) or number(amount)
    if base is None or base.minute or minutes is None or minutes.denominator != 1 or not 0 < minutes < 60:
        return None
    total = (base.hour * 60 + direction * int(minutes)) % (24 * 60)
    return replace(base, hour=total // 60 or 12, minute=total % 60)


def _checked(hour: int, minute: int) -> _Time | None:
    return _Time(hour, minute) if 0 <= hour < 24 and 0 <= minute < 60 else None


def _next(read: _Time, now: datetime) -> datetime | None:
    hours = {read.hour}
    if read.hour <= 12 and read.half:
        hours = {read.hour % 12 + (12 if read.half == "pm" else 0)}
    elif 1 <= read.hour <= 12:
        hours = {read.hour % 12, read.hour % 12 + 12}
    if read.days and not read.half and read.hour in range(1, 13) and len(hours) == 2:
        # Without am or pm on another day, a waking hour is meant: seven to noon, one to six in the afternoon.
        hours = {read.hour % 12 + (12 if read.hour < 7 or read.hour == 12 else 0)}
    start = now.replace(hour=0, minute=0, second=0, microsecond=0)
    days = (read.days,) if read.days is not None else (0, 1)
    times = [start + timedelta(days=day) for day in days]
    found = [day.replace(hour=hour, minute=read.minute) for day in times for hour in hours]
    later = [at for at in found if at.timestamp() > now.timestamp()]
    return min(later, default=None)


def spoken_time(at: datetime) -> str:
    """`9:41 PM`; full hours without the zeros, which a voice would read out."""
    hour = at.hour % 12 or 12
    half = "AM" if at.hour < 12 else "PM"
    return f"{hour}:{at.minute:02d} {half}" if at.minute else f"{hour} {half}"


def spoken_day(at: datetime, now: datetime) -> str:
    """`today`, `tomorrow`, `on Friday`, `on March 3`; years only when it is another one."""
    days = (at.date() - now.date()).days
    if days in (0, 1, -1):
        return {0: "today", 1: "tomorrow", -1: "yesterday"}[days]
    if 1 < days < 7:
        return f"on {at:%A}"
    return f"on {at:%B} {at.day}" + (f", {at.year}" if at.year != now.year else "")
