"""The time, anywhere."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from agent.conversation.events import Json
from agent.errors import ToolError
from agent.thinking.port import ToolContext, UserContext
from agent.thinking.tools.moments import spoken_duration, spoken_time
from agent.thinking.tools.places import Place, find_place, places
from agent.thinking.tools.skill import (
    STRING,
    Answer,
    Arguments,
    Ask,
    Intent,
    Kit,
    Past,
    Say,
    Skill,
    SkillTool,
    Slots,
    fields_of,
    spec,
    text_of,
)


def _time_here(_: Slots, __: Past) -> Answer:
    return Ask("current_time")


def _time_there(slots: Slots, _: Past) -> Answer:
    place = slots.get("place") or slots.get("topic")
    return Ask("current_time", {"place": place.name if isinstance(place, Place) else str(place)})


def _difference(slots: Slots, _: Past) -> Answer:
    named = {key: value.name for key, value in slots.items() if isinstance(value, Place)}
    return Ask("time_difference", dict(named))


def _same_there(slots: Slots, past: Past) -> Answer | None:
    place = slots.get("place")
    if not isinstance(place, Place) or past.last is None:
        return None
    return Ask(past.last.tool, {**past.last.arguments, "place": place.name})


def _which(slots: Slots, _: Past) -> Answer | None:
    place = slots.get("place")
    return Say(f"What would you like to know about {place.name}?") if isinstance(place, Place) else None


async def _check() -> str:
    return "" if "tokyo" in places() else "The time zone data is missing: install the tzdata package."


def known_place(name: str) -> Place:
    """Raises `ToolError` (class not_found)."""
    place = find_place(name)
    if place is None:
        raise ToolError(f"I don't know a place called {name}.", "not_found")
    return place


def local_time(arguments: Arguments, user: UserContext) -> tuple[str, datetime]:
    """The place's name, empty for the user's own, and the time there. Raises `ToolError`."""
    name = text_of(arguments, "place", "")
    if not name:
        return "", user.now
    place = known_place(name)
    return place.name, user.now.astimezone(ZoneInfo(place.zone))


async def _current_time(arguments: Arguments, context: ToolContext) -> Json:
    name, at = local_time(arguments, context.user)
    return {"place": name, "local": at.isoformat(timespec="seconds")}


async def _time_difference(arguments: Arguments, context: ToolContext) -> Json:
    there = known_place(text_of(arguments, "place"))
    other = text_of(arguments, "other", "")
    here = known_place(other) if other else None
    now = context.user.now
    base = now.astimezone(ZoneInfo(here.zone)) if here else now
    ahead = (now.astimezone(ZoneInfo(there.zone)).utcoffset() or now - now) - (base.utcoffset() or now - now)
    return {"place": there.name, "other": here.name if here else "", "ahead_s": int(ahead.total_seconds())}


def _say_time(_: Arguments, content: Json, user: UserContext) -> str:
    found = fields_of(content)
    at = datetime.fromisoformat(str(found["local"]))
    place = f" in {found['place']}" if found["place"] else ""
    day = f" on {at:%A}" if at.date() != user.now.date() else ""
    return f"It's {spoken_time(at)}{day}{place}."


def _time_alone(_: Arguments, content: Json, __: UserContext) -> str:
    return spoken_time(datetime.fromisoformat(str(fields_of(content)["local"])))


def _say_difference(_: Arguments, content: Json, __: UserContext) -> str:
    found = fields_of(content)
    ahead_s = found["ahead_s"]
    other = found["other"] or "you"
    if not isinstance(ahead_s, int) or ahead_s == 0:
        return f"There's no difference: {found['place']} has the same time as {other}."
    return f"{found['place']} is {spoken_duration(abs(ahead_s))} {'ahead of' if ahead_s > 0 else 'behind'} {other}."


def _difference_alone(_: Arguments, content: Json, __: UserContext) -> str:
    ahead_s = fields_of(content)["ahead_s"]
    if not isinstance(ahead_s, int) or ahead_s == 0:
        return "no difference"
    return f"{spoken_duration(abs(ahead_s))} {'ahead' if ahead_s > 0 else 'behind'}"


def _tools(_: Kit) -> list[SkillTool]:
    place: dict[str, Json] = {"place": STRING}
    return [
        SkillTool(spec("current_time", "The time now, at a place or where the user is.", place), _current_time, _check),
        SkillTool(
            spec(
                "time_difference",
                "How far the clocks of two places differ.",
                {**place, "other": STRING},
                required=["place"],
            ),
            _time_difference,
            _check,
        ),
    ]


SKILL = Skill(
    name="clock",
    help="tell the time anywhere",
    intents=[
        Intent("what time is it [now|right now|please]", _time_here),
        Intent("what is the time [now|right now|please]", _time_here),
        Intent("(what time|the time|time please|current time|what is the current time)", _time_here),
        Intent("(tell|give) me the [current] time", _time_here),
        Intent("(do you have|have you got) the time", _time_here),
        Intent("what time is it here", _time_here),
        Intent(
            "what time is it [now|right now|at the moment] in {place} [right now|now|please|at the moment]", _time_there
        ),
        Intent("what is the [current|local] time [now] in {place} [right now|now|please]", _time_there, limit=200),
        Intent("what is the [current] {place} time", _time_there, loose=True),
        Intent("(tell me|give me|) the time in {place}", _time_there, limit=200),
        Intent("time in {place}", _time_there, limit=200),
        Intent("what time [do they have|do we have|have they got] in {place}", _time_there, loose=True),
        Intent(
            "how late is it [in {place}]",
            lambda slots, past: (_time_there if slots else _time_here)(slots, past),
            limit=60,
        ),
        Intent("what is the time difference [between here and|to|with] {place}", _difference, limit=60),
        Intent(
            "(what is the time difference|how many hours are) between {place} and {place:other}", _difference, limit=120
        ),
        Intent("what time is it [right now|now] in {topic}", _time_there, loose=True),
        Intent("what is the time in {topic}", _time_there, loose=True),
        Intent("(and|what about|how about|and what about) [in] {place}", _which, limit=250, last=True),
    ],
    follow_ups=[
        Intent("also what about {place}", _same_there, limit=8),
        Intent(
            "[and|no|then|ok] [what about|how about|i meant|i said|what is it|ask about|and] [in] {place} [then|now]",
            _same_there,
            loose=True,
        ),
        Intent(
            "[and] (here|what about here|where i am|at home|my time)",
            lambda _, past: Ask(past.last.tool if past.last else "current_time"),
        ),
    ],
    phrases={"current_time": _say_time, "time_difference": _say_difference},
    briefs={"current_time": _time_alone, "time_difference": _difference_alone},
    tools=_tools,
)
