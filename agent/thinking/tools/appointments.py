"""The calendar by voice: add, ask, move, cancel, and `undo that`."""

from __future__ import annotations

from datetime import datetime

from agent.conversation.events import Json
from agent.thinking.port import UserContext
from agent.thinking.tools.appointment_tools import plain, spoken, spoken_moment, to_moment, tools, undo_tool
from agent.thinking.tools.dates import plausible
from agent.thinking.tools.lists import said_list
from agent.thinking.tools.moments import spoken_day, spoken_time
from agent.thinking.tools.skill import (
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
)

WRITES = ("add_appointment", "move_appointment", "cancel_appointment")


def _title(slots: Slots) -> str:
    title = str(slots.get("event") or slots.get("title") or "")
    person = str(slots.get("person") or "")
    return f"{title} with {person.title() if person.islower() else person}" if person else title


def _add(slots: Slots, _: Past) -> Answer | None:
    day = str(slots.get("day") or "")
    if day and ("calendar" in day or not plausible(day)):
        return None
    return Ask("add_appointment", {"title": _title(slots), "at": str(slots["when"])} | ({"day": day} if day else {}))


def _list(slots: Slots, _: Past) -> Answer | None:
    day = str(slots.get("day") or "").removeprefix("on ").removeprefix("for ")
    return None if day and not plausible(day) else Ask("list_appointments", {"day": day} if day else {})


def _cancel(slots: Slots, _: Past) -> Answer | None:
    day = str(slots.get("day") or "").removeprefix("on ")
    if day and not plausible(day):
        return None
    return Ask("cancel_appointment", {"title": _title(slots)} | ({"day": day} if day else {}))


def _move(slots: Slots, _: Past) -> Answer:
    change: dict[str, Json] = {"at": str(slots["when"])} if "when" in slots else {"day": str(slots["weekday"])}
    return Ask("move_appointment", {"title": _title(slots)} | change)


def _instead(slots: Slots, past: Past) -> Answer | None:
    """`make it four pm`: of what waits to be confirmed another proposal, of what is done a move."""
    if past.last is None or past.last.tool not in WRITES[:2]:
        return None
    change: dict[str, Json] = {"at": str(slots["when"])} if "when" in slots else {"day": str(slots["weekday"])}
    done = fields_of(past.result)
    if "uid" in done:
        return Ask("move_appointment", {"uid": done["uid"], "title": done["title"], **change})
    kept = {name: value for name, value in past.last.arguments.items() if name not in ("at", "day")}
    return Ask(past.last.tool, {**kept, "old": past.last.arguments.get("at", ""), **change})


def _other_day(slots: Slots, past: Past) -> Answer | None:
    """`what about friday` after another day's appointments."""
    if past.last is None or past.last.tool != "list_appointments":
        return None
    return _list({"day": slots.get("day") or slots.get("weekday")}, past)


def _with(slots: Slots, past: Past) -> Answer | None:
    """`with bob instead`, while it waits to be confirmed."""
    if past.last is None or past.last.tool != "add_appointment" or "uid" in fields_of(past.result):
        return None
    title = str(past.last.arguments.get("title", "")).split(" with ")[0]
    return Ask("add_appointment", {**past.last.arguments, "title": _title({**slots, "event": title})})


def _cancel_last(_: Slots, past: Past) -> Answer | None:
    done = fields_of(past.result)
    if past.last is None or past.last.tool not in WRITES[:2] or "uid" not in done:
        return None
    return Ask("cancel_appointment", {"uid": done["uid"], "title": done["title"]})


def _undo(_: Slots, past: Past) -> Answer:
    done = fields_of(past.result)
    if past.last is not None and past.last.tool in WRITES and "key" in done:
        how = {"added": "adding", "moved": "moving", "cancelled": "cancelling"}[str(done["did"])]
        return Ask("undo", {"key": done["key"], "what": f"Undo {how} the {plain(str(done['title']))}"})
    if past.last is not None and past.last.tool == "send_email" and "message_id" in done:
        return Say("An e-mail that is sent can't be taken back.")
    return Say("There is nothing that I can undo.")


# ── what is said of it ───────────────────────────────────────────────────────────────────


def _said(found: dict[str, Json], user: UserContext, time: str = "start") -> str:
    return spoken(str(found["title"]), datetime.fromisoformat(str(found[time])), user.now)


def _say_added(_: Arguments, content: Json, user: UserContext) -> str:
    said = _said(fields_of(content), user)
    return f"{said[:1].upper()}{said[1:]} is on your calendar."


def _say_moved(_: Arguments, content: Json, user: UserContext) -> str:
    found = fields_of(content)
    at = datetime.fromisoformat(str(found["start"]))
    return f"I moved {_said(found, user, 'old')} {to_moment(at, user.now)}."


def _say_cancelled(_: Arguments, content: Json, user: UserContext) -> str:
    return f"I took {_said(fields_of(content), user)} off your calendar."


def _say_undone(_: Arguments, content: Json, user: UserContext) -> str:
    undone = fields_of(fields_of(content)["undone"])
    if undone["did"] == "added":
        return f"Okay, I took {_said(undone, user)} off your calendar again."
    said = _said(undone, user, "old" if undone["did"] == "moved" else "start")
    return f"Okay, {said} is back on your calendar."


def _say_listed(_: Arguments, content: Json, user: UserContext) -> str:
    found = fields_of(content)
    day = datetime.fromisoformat(str(found["day"])) if found["day"] else None
    on = spoken_day(day, user.now) if day else "in the next week"
    listed = [fields_of(one) for one in found["appointments"]] if isinstance(found["appointments"], list) else []
    if not listed:
        return f"There is nothing on your calendar {on}."
    return f"On your calendar {on}: {said_list([_entry(one, day, user) for one in listed])}."


def _listed_alone(_: Arguments, content: Json, user: UserContext) -> list[str]:
    found = fields_of(content)
    day = datetime.fromisoformat(str(found["day"])) if found["day"] else None
    listed = found["appointments"] if isinstance(found["appointments"], list) else []
    return [_entry(fields_of(one), day, user) for one in listed]


def _entry(one: dict[str, Json], day: datetime | None, user: UserContext) -> str:
    at = datetime.fromisoformat(str(one["start"])).astimezone(user.now.tzinfo)
    title = plain(str(one["title"]))
    if one["all_day"]:
        return f"{title}, all day" if day else f"{title} {spoken_day(at, user.now)}"
    return f"{title} at {spoken_time(at)}" if day else f"{title} {spoken_moment(at, user.now)}"


def _all_tools(kit: Kit) -> list[SkillTool]:
    return [*tools(kit), *undo_tool(kit)]


SKILL = Skill(
    name="calendar",
    help="keep your calendar",
    # What is taught to the recogniser is little, for the sake of all other skills; more is understood.
    intents=[
        Intent("add a {event} with {guest:person} {when} to my calendar", _add, limit=25),
        Intent("add a {event} {when} to my calendar", _add, limit=25),
        Intent("schedule a {event} with {guest:person} {when}", _add, limit=20),
        Intent("schedule a {event} {when}", _add, limit=20),
        Intent("(add|put) (a|an|my) {event} with {guest:person} {when} (to|on) my calendar", _add, loose=True),
        Intent("(schedule|make|book|set up|arrange) [a|an|my] {event} [with {guest:person}] {when}", _add, loose=True),
        Intent("(add|put|schedule) [a|an|my|the] {title} [with {guest:person}] on {day} at {when} "
               "[to|on|in] [my calendar]", _add, loose=True),
        Intent("(add|put|schedule) [a|an|my|the] {title} {when} (to|on|in) (my|the) calendar", _add, loose=True),
        Intent("(add|put) [a|an|my|the] {title} [with {guest:person}] (to|on|in) (my|the) calendar [on|for|at] {when}",
               _add, loose=True),
        Intent("what is on my calendar", _list),
        Intent("what is on my calendar {day}", _list, limit=20),
        Intent("what is on my calendar (for|on) {day}", _list, loose=True),
        Intent("(what appointments do i have|what meetings do i have|show my calendar)", _list),
        Intent("(what is on my schedule|what is on my agenda|read my calendar|read me my calendar)", _list, loose=True),
        Intent("what meetings do i have {day}", _list, limit=12),
        Intent("(what appointments|what meetings|what) do i have [on] {day}", _list, loose=True),
        Intent("do i have anything [on] {day}", _list, loose=True),
        Intent("cancel my {event} with {guest:person}", _cancel, limit=12),
        Intent("cancel my {event} {day}", _cancel, limit=12),
        Intent("(cancel|delete) my {event}", _cancel),
        Intent("(cancel|delete|remove) [my|the] {event} [with {guest:person}] [on] {day}", _cancel, loose=True),
        Intent("(cancel|delete|remove) [my|the] {event} [with {guest:person}]", _cancel, loose=True),
        Intent("move my {event} to {when}", _move, limit=20),
        Intent("move my {event} with {guest:person} to {when}", _move, limit=12),
        Intent("move my {event} to {weekday}", _move, limit=8),
        Intent("(move|reschedule) [my|the] {event} [with {guest:person}] to ({when}|{weekday})", _move, loose=True),
        Intent("(undo that|undo it|undo|take that back|undo the last change)", _undo),
        Intent("(revert that|revert it|undo the last (thing|action)|take it back|please undo that)", _undo, loose=True),
    ],
    follow_ups=[
        Intent("(make it|move it to) {when}", _instead, limit=14),
        Intent("(make it|move it to) {weekday}", _instead, limit=16),
        Intent("(make it|change it to|move it to|i meant) ({weekday}|{when}) [instead]", _instead, loose=True),
        Intent("(cancel it|cancel that|delete it|remove it|cancel the meeting)", _cancel_last),
        Intent("[yes] add it", lambda _, past: _instead({"when": str(past.last.arguments["at"])}, past)
               if past.last and "at" in past.last.arguments and "uid" not in fields_of(past.result) else None),
        Intent("[on|at|for] ({weekday}|{when}) [instead]", _instead, loose=True),
        Intent("(what about|how about|what is on|ask about|check) [on] {day}", _other_day, loose=True),
        Intent("ask about {weekday}", _other_day, limit=3),
        Intent("[on] {weekday}", _other_day, loose=True),
        Intent("with {guest:person} instead", _with, limit=8),
        Intent("[make it] with {guest:person} [instead]", _with, loose=True),
    ],
    phrases={
        "add_appointment": _say_added,
        "move_appointment": _say_moved,
        "cancel_appointment": _say_cancelled,
        "list_appointments": _say_listed,
        "undo": _say_undone,
    },
    briefs={"list_appointments": _listed_alone},
    tools=_all_tools,
)  # fmt: skip
