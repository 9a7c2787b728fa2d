"""Days and dates: today, the next Friday, how long until Christmas."""

from __future__ import annotations

import calendar
import re
from datetime import date, datetime, timedelta
from fractions import Fraction

from dateutil.easter import easter  # type: ignore[import-untyped]

from agent.conversation.events import Json
from agent.errors import ToolError
from agent.thinking.libraries import Libraries
from agent.thinking.port import ToolContext, UserContext
from agent.thinking.tools.clock import local_time
from agent.thinking.tools.moments import WEEKDAYS
from agent.thinking.tools.numerals import number, ordinal
from agent.thinking.tools.places import Place
from agent.thinking.tools.skill import (
    STRING,
    Answer,
    Arguments,
    Ask,
    Intent,
    Kit,
    Past,
    Skill,
    SkillTool,
    Slots,
    fields_of,
    spec,
    text_of,
)
from agent.thinking.tools.utterance import normalise

_FEASTS = {
    "christmas": (12, 25), "christmas day": (12, 25), "christmas eve": (12, 24), "new year": (1, 1),
    "new years": (1, 1), "new year's": (1, 1), "new year's day": (1, 1), "new year's eve": (12, 31),
    "new years eve": (12, 31), "halloween": (10, 31), "valentine's day": (2, 14), "valentines day": (2, 14),
    "independence day": (7, 4), "saint patrick's day": (3, 17), "boxing day": (12, 26),
    "april fools day": (4, 1), "may day": (5, 1), "labor day": (0, 0), "thanksgiving": (0, 0),
}  # fmt: skip
_NEAR = {
    "today": 0, "now": 0, "tomorrow": 1, "yesterday": -1, "the day after tomorrow": 2, "day after tomorrow": 2,
    "the day before yesterday": -2, "day before yesterday": -2,
}  # fmt: skip
MONTHS = tuple(month.lower() for month in calendar.month_name[1:])
_SPAN = re.compile(r"(?:(in) )?(.+?) (day|week|month|year)s?( ago| from now| from today|)")


def _today(slots: Slots, _: Past) -> Answer:
    place = slots.get("place")
    return Ask("current_date", {"place": place.name} if isinstance(place, Place) else {})


def _asked(tool: str, slots: Slots) -> Answer | None:
    text = str(slots["day"])
    return Ask(tool, {"when": text}) if plausible(text) else None


def plausible(text: str) -> bool:
    """A date has a number, a weekday, a month or a known name in it; dateparser decides later."""
    words = text.split()
    months = r"jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
    known = text in _FEASTS or text in _NEAR or text == "easter" or any(day in words for day in WEEKDAYS)
    return known or bool(re.search(rf"\d|\b(?:{months})|\b(?:day|week|month|year|weekend)s?\b", text))


def _again(slots: Slots, past: Past) -> Answer | None:
    if past.last is None or past.last.tool == "current_date":
        return _asked("find_date", slots)
    return _asked(past.last.tool, slots)


async def resolve(text: str, now: datetime, libraries: Libraries) -> date:
    """The day named by `text`. Raises `ToolError` (class input)."""
    words = normalise(text).text.removeprefix("on ").removeprefix("the date of ")
    for read in (_near, _feast, _span, _month_day):
        known = read(words, now.date())
        if known is not None:
            return known
    found = await libraries.date(words, now)
    if found is None:
        raise ToolError(f"I don't know which day {text} is.", "input")
    return found.date()


def _near(words: str, today: date) -> date | None:
    if words in _NEAR:
        return today + timedelta(days=_NEAR[words])
    which, _, day = words.rpartition(" ")
    if day == "weekend" and which in ("the", "this", "next"):
        return today + timedelta(days=(5 - today.weekday()) % 7 + (7 if which == "next" else 0))
    if day not in WEEKDAYS or which not in ("", "this", "next", "last", "the next", "this coming", "coming"):
        return None
    ahead = (WEEKDAYS.index(day) - today.weekday()) % 7
    if which == "last":
        return today - timedelta(days=7 - ahead if ahead else 7)
    return today + timedelta(days=ahead or (0 if which == "this" else 7))


def _feast(words: str, today: date) -> date | None:
    words = words.removeprefix("next ").removesuffix(" this year")
    if words in ("easter", "easter sunday"):
        this_year, next_year = (date.fromordinal(easter(year).toordinal()) for year in (today.year, today.year + 1))
        return this_year if this_year >= today else next_year
    if words not in _FEASTS:
        return None
    for year in (today.year, today.year + 1):
        day = _feast_in(words, year)
        if day >= today:
            return day
    return None


def _feast_in(name: str, year: int) -> date:
    if name == "thanksgiving":
        first = date(year, 11, 1)
        return first + timedelta(days=(3 - first.weekday()) % 7 + 21)
    if name == "labor day":
        first = date(year, 9, 1)
        return first + timedelta(days=-first.weekday() % 7)
    return date(year, *_FEASTS[name])


def _span(words: str, today: date) -> date | None:
    found = _SPAN.fullmatch(words)
    if found is None or not (found.group(1) or found.group(4)):
        return None
    count = Fraction(1) if found.group(2) in ("a", "an", "one") else number(found.group(2).split())
    if count is None or count.denominator != 1 or not 0 <= count <= 10_000:
        return None
    amount = -int(count) if found.group(4) == " ago" else int(count)
    if found.group(3) in ("day", "week"):
        return today + timedelta(days=amount * (7 if found.group(3) == "week" else 1))
    months = today.year * 12 + today.month - 1 + amount * (12 if found.group(3) == "year" else 1)
    year, month = divmod(months, 12)
    if not 1 <= year <= 9998:
        return None
    last = (date(year + (month == 11), (month + 1) % 12 + 1, 1) - timedelta(days=1)).day
    return date(year, month + 1, min(today.day, last))


def _month_day(words: str, today: date) -> date | None:
    """`march third`, `the 3rd of march`; this year's or the next."""
    parts = [word for word in words.split() if word not in ("the", "of")]
    for index, word in enumerate(parts):
        day = ordinal(parts[:index] + parts[index + 1 :]) if word in MONTHS else None
        if day is None:
            continue
        for year in range(today.year, today.year + 5):
            try:
                found = date(year, MONTHS.index(word) + 1, day)
            except ValueError:
                continue
            if found >= today:
                return found
    return None


async def _current_date(arguments: Arguments, context: ToolContext) -> Json:
    name, at = local_time(arguments, context.user)
    return {"place": name, "date": at.date().isoformat()}


def _tools(kit: Kit) -> list[SkillTool]:
    async def find_date(arguments: Arguments, context: ToolContext) -> Json:
        when = text_of(arguments, "when")
        day = await resolve(when, context.user.now, kit.libraries)
        return {"when": when, "date": day.isoformat()}

    async def days_until(arguments: Arguments, context: ToolContext) -> Json:
        when = text_of(arguments, "when")
        day = await resolve(when, context.user.now, kit.libraries)
        return {"when": when, "date": day.isoformat(), "days": (day - context.user.now.date()).days}

    when: dict[str, Json] = {"when": STRING}
    return [
        SkillTool(
            spec("current_date", "Today's day and date, at a place or where the user is.", {"place": STRING}),
            _current_date,
        ),
        SkillTool(
            spec("find_date", "The date and weekday of a day named in words.", when, required=["when"]),
            find_date,
            kit.libraries.check,
        ),
        SkillTool(
            spec("days_until", "How many days there are until a day.", when, required=["when"]),
            days_until,
            kit.libraries.check,
        ),
    ]


def _full(day: date, now: datetime) -> str:
    year = f", {day.year}" if abs((day - now.date()).days) > 330 else ""
    return f"{day:%A}, {day:%B} {day.day}{year}"


def _say_today(_: Arguments, content: Json, user: UserContext) -> str:
    found = fields_of(content)
    place = f" in {found['place']}" if found["place"] else ""
    return f"It's {_full(date.fromisoformat(str(found['date'])), user.now)}{place}."


def _named(when: str) -> str:
    """As it is written: `next Friday`, `New Year's Eve`."""
    if when in _FEASTS:
        return " ".join(word.capitalize() for word in when.split())
    feast = {word for name in (*_FEASTS, "easter") for word in name.split()} - {"day"}
    proper = feast | set(WEEKDAYS) | set(MONTHS)
    return " ".join(word.capitalize() if word in proper else word for word in when.split())


def _say_date(_: Arguments, content: Json, user: UserContext) -> str:
    found = fields_of(content)
    day = date.fromisoformat(str(found["date"]))
    name = _named(str(found["when"]))
    verb = "was" if day < user.now.date() else "it's" if name.startswith("in ") else "is"
    return f"{name[0].upper()}{name[1:]} {verb} {_full(day, user.now)}."


def _say_days(_: Arguments, content: Json, user: UserContext) -> str:
    found = fields_of(content)
    days = found["days"]
    name = _named(str(found["when"]))
    if not isinstance(days, int) or days == 0:
        return f"{name[0].upper()}{name[1:]} is today."
    if days < 0:
        return f"{name[0].upper()}{name[1:]} was {-days} day{'s' if days != -1 else ''} ago."
    return f"{days} day{'s' if days != 1 else ''} until {name}."


def _date_alone(_: Arguments, content: Json, user: UserContext) -> str:
    return _full(date.fromisoformat(str(fields_of(content)["date"])), user.now)


def _days_alone(_: Arguments, content: Json, __: UserContext) -> str:
    days = fields_of(content)["days"]
    if not isinstance(days, int) or days == 0:
        return "today"
    return f"{abs(days)} day{'s' if abs(days) != 1 else ''}{' ago' if days < 0 else ''}"


SKILL = Skill(
    name="dates",
    help="say what day it is",
    intents=[
        Intent("what day is it [today|now|please]", _today),
        Intent("what day of the week is it [today]", _today),
        Intent("what is (the date|the day|today) [today|please]", _today),
        Intent("what is (today's date|the date today|the current date)", _today),
        Intent("(what date|which day|what day|the date) is (it|today)", _today),
        Intent("tell me (the date|today's date|what day it is)", _today),
        Intent("what (month|year) is it", _today),
        Intent("what (day|date) is it in {place}", _today, limit=80),
        Intent("(what is the date|what date is|what day is) {day}", lambda slots, _: _asked("find_date", slots)),
        Intent("what (day of the week|weekday) is {day}", lambda slots, _: _asked("find_date", slots)),
        Intent("when is {day}", lambda slots, _: _asked("find_date", slots)),
        Intent("what day (was|will it be) {day}", lambda slots, _: _asked("find_date", slots), limit=60),
        Intent(
            "(how many days until|how many days till|how long until|how long is it until) {day}",
            lambda slots, _: _asked("days_until", slots),
        ),
        Intent(
            "how many days (are there|is it) (until|till|to) {day}",
            lambda slots, _: _asked("days_until", slots),
            limit=80,
        ),
        Intent("how far away is {day}", lambda slots, _: _asked("days_until", slots), limit=60),
    ],
    follow_ups=[
        Intent(
            "[and|no|also|and also] [what about|how about|i meant|when is|ask about|check] [on|in] {day}",
            _again,
            loose=True,
        ),
        Intent(
            "[and] [what about|how about] in {place}",
            lambda slots, past: _today(slots, past) if past.last and past.last.tool == "current_date" else None,
            loose=True,
        ),
    ],
    phrases={"current_date": _say_today, "find_date": _say_date, "days_until": _say_days},
    briefs={"current_date": _date_alone, "find_date": _date_alone, "days_until": _days_alone},
    tools=_tools,
)
