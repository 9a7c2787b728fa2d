"""The tools of the calendar: each change is planned, made, answered, and can be turned around.

A change is worked out first and kept in memory as a plan (what stood in the file before and
what will stand there), then the file is changed, then the answer is kept. Wherever it stops in
between, the same key goes on with the same plan.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from agent.conversation.events import Json
from agent.errors import ToolError
from agent.thinking.libraries import Libraries
from agent.thinking.memory import Memory
from agent.thinking.port import Proposal, ToolContext, UserContext
from agent.thinking.tools.calendar_file import Appointment, CalendarFile, Change, moved_event, new_event
from agent.thinking.tools.dates import resolve
from agent.thinking.tools.keys import answer_of, keep
from agent.thinking.tools.lists import said_list
from agent.thinking.tools.moments import spoken_day, spoken_time
from agent.thinking.tools.office import Office
from agent.thinking.tools.skill import (
    STRING,
    Arguments,
    Kit,
    SkillTool,
    fields_of,
    spec,
    text_of,
)

AHEAD_DAYS = 7
"""How far `what is on my calendar` looks."""
SEARCHED_DAYS = 366
MAX_LISTED = 50

Prepared = tuple[Change, dict[str, Json]]
"""A change and what is answered when it is made."""


@dataclass(frozen=True, slots=True)
class Appointments:
    """The work behind the tools. The file is read and written in the thread of `memory`."""

    memory: Memory
    libraries: Libraries
    calendar: CalendarFile
    duration: timedelta

    async def plan_add(self, arguments: Arguments, user: UserContext) -> Proposal:
        title = text_of(arguments, "title")[:200]
        title = title[:1].upper() + title[1:]
        at = await self._when(arguments, user.now)
        said = f"Add {spoken(title, at, user.now)} to your calendar."
        return Proposal({"title": title, "at": at.isoformat()}, said)

    async def add(self, arguments: Arguments, context: ToolContext) -> Json:
        async def prepare() -> Prepared:
            found, now = (await self.plan_add(arguments, context.user)).arguments, context.user.now
            title, at = text_of(found, "title"), _time(text_of(found, "at"), now)
            change = new_event(context.idempotency_key, title, at, at + self.duration, now)
            return change, {"did": "added", "title": title, "start": at.isoformat()}

        return await self._change(context, prepare)

    async def plan_move(self, arguments: Arguments, user: UserContext) -> Proposal:
        one, at = await self._move(arguments, user.now)
        said = f"Move {spoken(one.title, one.start, user.now)} {to_moment(at, user.now)}."
        return Proposal({"uid": one.uid, "title": one.title, "at": at.isoformat()}, said)

    async def move(self, arguments: Arguments, context: ToolContext) -> Json:
        async def prepare() -> Prepared:
            one, at = await self._move(arguments, context.user.now)
            answer: dict[str, Json] = {"did": "moved", "title": one.title, "start": at.isoformat()}
            return moved_event(one, at, context.user.now), {**answer, "old": one.start.isoformat()}

        return await self._change(context, prepare)

    async def plan_cancel(self, arguments: Arguments, user: UserContext) -> Proposal:
        one = await self._find(arguments, user.now)
        return Proposal({"uid": one.uid, "title": one.title}, f"Cancel {spoken(one.title, one.start, user.now)}.")

    async def cancel(self, arguments: Arguments, context: ToolContext) -> Json:
        async def prepare() -> Prepared:
            one = await self._find(arguments, context.user.now)
            return Change(one.uid, one.text, ""), {
                "did": "cancelled", "title": one.title, "start": one.start.isoformat(),
            }  # fmt: skip

        return await self._change(context, prepare)

    async def listed(self, arguments: Arguments, context: ToolContext) -> Json:
        day, now = text_of(arguments, "day", ""), context.user.now
        start, end = now, now + timedelta(days=AHEAD_DAYS)
        if day:
            start, end = await self._day(day, now)
        found = await self.memory.read(lambda _: self.calendar.between(start, end))
        listed: list[Json] = [
            {"title": one.title, "start": one.start.isoformat(), "all_day": one.all_day} for one in found[:MAX_LISTED]
        ]
        return {"day": start.isoformat() if day else "", "appointments": listed}

    async def ready(self) -> str:
        return await self.memory.check() or await self.memory.read(lambda _: self.calendar.check())

    async def undo(self, arguments: Arguments, context: ToolContext) -> Json:
        _keyed(context)
        done = text_of(arguments, "key")
        return await self.memory.write(context.idempotency_key, lambda db: _reverted(db, self.calendar, done))

    async def _change(self, context: ToolContext, prepare: Callable[[], Awaitable[Prepared]]) -> Json:
        key = _keyed(context)
        done, plan = await self.memory.read(lambda db: (answer_of(db, key), answer_of(db, _plan_key(key))))
        if done is not None:
            return done
        if plan is None:
            change, answer = await prepare()
            planned: Json = {
                "uid": change.uid, "before": change.before, "after": change.after,
                "answer": {**answer, "uid": change.uid, "key": key},
            }  # fmt: skip
            plan = await self.memory.write(_plan_key(key), lambda _: planned)
        return await self.memory.write(key, lambda _: _applied(self.calendar, plan))

    async def _move(self, arguments: Arguments, now: datetime) -> tuple[Appointment, datetime]:
        one = await self._find({name: value for name, value in arguments.items() if name != "day"}, now)
        return one, await self._when({**arguments, "old": one.start.isoformat()}, now)

    async def _when(self, arguments: Arguments, now: datetime) -> datetime:
        """The time that `at` and `day` name; `old` says what they leave open. Raises `ToolError`."""
        given, old = text_of(arguments, "at", ""), text_of(arguments, "old", "")
        if not given and not old:
            raise ToolError("I don't know when that is.", "input")
        at = _time(given or old, now)
        if day := text_of(arguments, "day", ""):
            at = datetime.combine(await resolve(day, now, self.libraries), at.timetz())
        elif given and old and at - now < timedelta(days=1):
            # A new time alone, "make it four", is meant on the day that it was.
            same = datetime.combine(_time(old, now).date(), at.timetz())
            at = same if same > now else at
        return at

    async def _find(self, arguments: Arguments, now: datetime) -> Appointment:
        uid, title = text_of(arguments, "uid", ""), text_of(arguments, "title", "")
        if uid:
            known = await self.memory.read(lambda _: self.calendar.find(uid, now))
            if known is None:
                raise ToolError("There is no such appointment on your calendar any more.", "not_found")
            one = known
        else:
            start, end = now, now + timedelta(days=SEARCHED_DAYS)
            if day := text_of(arguments, "day", ""):
                start, end = await self._day(day, now)
            one = _chosen(await self.memory.read(lambda _: self.calendar.between(start, end)), title, now)
        if one.repeats:
            raise ToolError("That one repeats; please change it in your calendar program.", "input")
        return one

    async def _day(self, day: str, now: datetime) -> tuple[datetime, datetime]:
        found: date = await resolve(day, now, self.libraries)
        start = datetime.combine(found, time(), now.tzinfo)
        return start, start + timedelta(days=1)


def tools(kit: Kit) -> list[SkillTool]:
    """None without an office."""
    office: Office | None = kit.office
    if office is None:
        return []
    work = Appointments(kit.memory, kit.libraries, office.calendar, timedelta(minutes=office.duration_min))
    new: dict[str, Json] = {"at": STRING, "day": STRING, "old": STRING}
    one: dict[str, Json] = {"uid": STRING, "title": STRING, "day": STRING}
    add = spec("add_appointment", "Put an appointment on the calendar. `at` is an ISO 8601 time.",
               {"title": STRING, **new}, required=["title", "at"], effect="write", reversible=True)  # fmt: skip
    move = spec("move_appointment", "Move an appointment.", {**one, **new}, effect="write", reversible=True)
    cancel = spec("cancel_appointment", "Take an appointment off the calendar.", one, effect="write", reversible=True)
    read = spec("list_appointments", "The calendar of a day, or of the next week.", {"day": STRING})
    return [
        SkillTool(add, work.add, work.ready, work.plan_add),
        SkillTool(move, work.move, work.ready, work.plan_move),
        SkillTool(cancel, work.cancel, work.ready, work.plan_cancel),
        SkillTool(read, work.listed, work.ready),
    ]


def undo_tool(kit: Kit) -> list[SkillTool]:
    """Takes back what one of these tools did."""
    office = kit.office
    if office is None:
        return []
    work = Appointments(kit.memory, kit.libraries, office.calendar, timedelta(minutes=office.duration_min))
    undo = spec("undo", "Take back an earlier change of the calendar. `key` stands in its result.",
                {"key": STRING, "what": STRING}, required=["key"], effect="write")  # fmt: skip
    return [SkillTool(undo, work.undo, work.ready, _plan_undo)]


async def _plan_undo(arguments: Arguments, _: UserContext) -> Proposal:
    key = text_of(arguments, "key")
    # The core makes keys as `reply:call:session:turn:confirmation`; the first two are the action.
    action_id = ":".join(key.split(":")[:2])
    return Proposal(arguments, f"{text_of(arguments, 'what', 'Undo the last change')}.", action_id)


def spoken(title: str, at: datetime, now: datetime) -> str:
    """`the meeting with Bob tomorrow at 3 PM`."""
    return f"the {plain(title)} {spoken_moment(at, now)}"


def plain(title: str) -> str:
    """Inside a sentence: `meeting with Bob`, but `NATO lunch`."""
    return title[:1].lower() + title[1:] if title[1:2].islower() else title


def spoken_moment(at: datetime, now: datetime) -> str:
    """`tomorrow at 3 PM`."""
    local = at.astimezone(now.tzinfo)
    return f"{spoken_day(local, now)} at {spoken_time(local)}"


def to_moment(at: datetime, now: datetime) -> str:
    """`to Monday at 10 AM`."""
    return f"to {spoken_moment(at, now).removeprefix('on ')}"


def _keyed(context: ToolContext) -> str:
    if not context.idempotency_key:
        raise ToolError("The calendar is changed only when that has been confirmed.", "permission")
    return context.idempotency_key


def _plan_key(key: str) -> str:
    return f"{key}#plan"


def _of_plan(plan: Json) -> Change:
    planned = fields_of(plan)
    return Change(str(planned["uid"]), str(planned["before"]), str(planned["after"]))


def _applied(calendar: CalendarFile, plan: Json) -> Json:
    calendar.apply(_of_plan(plan))
    return fields_of(plan)["answer"]


def _reverted(db: sqlite3.Connection, calendar: CalendarFile, key: str) -> Json:
    """Turn around what was done under `key`. Raises `ToolError` when it was never planned, or when the
    appointment is not as it left it."""
    plan = answer_of(db, _plan_key(key))
    if plan is None:
        raise ToolError("I don't know that change any more, so I can't undo it.", "not_found")
    calendar.apply(_of_plan(plan).reversed())
    answer = fields_of(plan)["answer"]
    keep(db, key, answer)  # so that going on with it after a crash does not do it again
    return {"undone": answer}


def _time(text: str, now: datetime) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ToolError("I can't read that time.", "input") from None
    return at.astimezone(now.tzinfo) if at.tzinfo else at.replace(tzinfo=now.tzinfo)


def _words(title: str) -> set[str]:
    return {word.strip(".,:;!?'") for word in title.lower().split()} - {"with", "and", "the", "a", "my"}


def _chosen(found: Sequence[Appointment], title: str, now: datetime) -> Appointment:
    """The one that is meant. Raises `ToolError` when there is none, or more than one."""
    asked = _words(title)
    meant = [one for one in found if asked and asked <= _words(one.title)]
    if not meant:
        raise ToolError(f"There is no {plain(title)} on your calendar.", "not_found")
    if len(meant) > 1:
        listed = said_list([spoken(one.title, one.start, now) for one in meant], 4)
        raise ToolError(f"There is more than one {plain(title)}: {listed}. Say which day.", "input")
    return meant[0]
