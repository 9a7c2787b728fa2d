"""Timers, alarms and reminders by voice. The ringing is `agent.thinking.timers`."""

from __future__ import annotations

from datetime import datetime, timedelta

from rapidfuzz import fuzz

from agent.conversation.events import Json
from agent.errors import ToolError
from agent.thinking.port import ToolContext, UserContext
from agent.thinking.timers import Timer
from agent.thinking.tools.lists import said_list
from agent.thinking.tools.moments import MAX_SECONDS, spoken_day, spoken_duration, spoken_time
from agent.thinking.tools.skill import (
    NUMBER,
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
    number_of,
    spec,
    text_of,
)

KINDS = ("timer", "alarm", "reminder")
_FILLER = frozenset({"a", "an", "the", "my", "another", "new", "this", "that", "all", "what", "second"})


def _timer(slots: Slots, _: Past) -> Answer | None:
    label = _label(slots)
    seconds = slots["duration"]
    if label is None or not isinstance(seconds, int):
        return None
    arguments: dict[str, Json] = {"kind": "timer", "seconds": seconds}
    return Ask("set_timer", arguments | ({"label": label} if label else {}))


def _label(slots: Slots) -> str | None:
    """Empty when none was said, None for words that are no name."""
    label = str(slots.get("label") or "")
    return None if any(word in _FILLER for word in label.split()) else label


def _alarm(slots: Slots, _: Past) -> Answer:
    return Ask("set_timer", {"kind": "alarm", "at": str(slots["moment"])})


def _reminder(slots: Slots, _: Past) -> Answer | None:
    task = _turned(str(slots["task"]))
    if "duration" in slots:
        seconds = slots["duration"]
        return (
            Ask("set_timer", {"kind": "reminder", "seconds": seconds, "label": task})
            if isinstance(seconds, int)
            else None
        )
    return Ask("set_timer", {"kind": "reminder", "at": str(slots["moment"]), "label": task})


def _turned(task: str) -> str:
    """What the user calls `my`, the agent calls `your`."""
    return " ".join({"my": "your", "me": "you", "i": "you", "I": "you"}.get(word, word) for word in task.split())


def _cancel(slots: Slots, _: Past) -> Answer | None:
    label = _label(slots)
    seconds = slots.get("duration")
    if label is None:
        return None
    arguments: dict[str, Json] = {"kind": "timer"}
    if label:
        arguments["label"] = label
    if isinstance(seconds, int):
        arguments["seconds"] = seconds
    return Ask("cancel_timer", arguments)


def _left(slots: Slots, _: Past) -> Answer | None:
    label = _label(slots)
    return None if label is None else Ask("list_timers", {"kind": "timer"} | ({"label": label} if label else {}))


def _whole(tool: str, kind: str, *, everything: bool = False) -> Answer:
    return Ask(tool, ({"kind": kind} if kind else {}) | ({"all": True} if everything else {}))


def _instead(slots: Slots, past: Past) -> Answer | None:
    """`and one for five minutes` after setting a timer."""
    if past.last is None or past.last.tool != "set_timer" or not isinstance(slots["duration"], int):
        return None
    return Ask("set_timer", {"kind": "timer", "seconds": slots["duration"]})


def chosen(pending: list[Timer], arguments: Arguments) -> list[Timer]:
    """Those that the arguments speak of."""
    kind, label = text_of(arguments, "kind", ""), text_of(arguments, "label", "").lower()
    seconds = arguments.get("seconds")
    found = [timer for timer in pending if not kind or timer.kind == kind]
    if label:
        found = [timer for timer in found if fuzz.ratio(timer.label.lower(), label) >= 80]
    if isinstance(seconds, int | float):
        found = [timer for timer in found if timer.seconds == seconds]
    return found


def _due(arguments: Arguments, now: datetime) -> datetime:
    if "at" in arguments:
        try:
            due = datetime.fromisoformat(text_of(arguments, "at"))
        except ValueError:
            raise ToolError("I can't read that time.", "input") from None
        due = due if due.tzinfo else due.replace(tzinfo=now.tzinfo)
    else:
        seconds = number_of(arguments, "seconds")
        if not 0 < seconds <= MAX_SECONDS:
            raise ToolError("A timer can run from one second to one year.", "input")
        due = now + timedelta(seconds=seconds)
    if due - now > timedelta(seconds=MAX_SECONDS):
        raise ToolError("That is more than a year away.", "input")
    return due


def _tools(kit: Kit) -> list[SkillTool]:
    async def set_timer(arguments: Arguments, context: ToolContext) -> Json:
        kind, label = text_of(arguments, "kind", "timer"), text_of(arguments, "label", "")[:200]
        if kind not in KINDS or (kind == "reminder" and not label):
            raise ToolError(
                "I need to know what to remind you of." if kind == "reminder" else "I don't know that kind of timer.",
                "input",
            )
        now = context.user.now
        return (await kit.timers.add(context.idempotency_key, kind, label, _due(arguments, now), now)).to_json()

    async def cancel_timer(arguments: Arguments, context: ToolContext) -> Json:
        await kit.timers.load()
        found = chosen(kit.timers.pending(), arguments)
        name = text_of(arguments, "kind", "") or "timer"
        cancelled = await kit.timers.cancel(
            context.idempotency_key, [timer.timer_id for timer in _meant(found, arguments, name)]
        )
        titles: list[Json] = [timer.title for timer in found if timer.timer_id in cancelled]
        return {"kind": name, "cancelled": titles, "count": len(cancelled)}

    async def list_timers(arguments: Arguments, context: ToolContext) -> Json:
        await kit.timers.load()
        now = context.user.now
        found = chosen(kit.timers.pending(), arguments)
        listed: list[Json] = [
            {**timer.to_json(), "left_s": round((timer.due - now).total_seconds())} for timer in found
        ]
        return {"kind": text_of(arguments, "kind", "") or "timer", "timers": listed}

    which: dict[str, Json] = {"kind": {"type": "string", "enum": list(KINDS)}, "label": STRING}
    check = kit.memory.check
    return [
        SkillTool(
            spec(
                "set_timer",
                "Set a timer or reminder in so many seconds, or an alarm or reminder at a time (ISO 8601).",
                {**which, "seconds": NUMBER, "at": STRING},
                effect="write",
                reversible=True,
            ),
            set_timer,
            check,
        ),
        SkillTool(
            spec(
                "cancel_timer",
                "Cancel a timer, alarm or reminder, or all of a kind.",
                {**which, "seconds": NUMBER, "all": {"type": "boolean"}},
                effect="write",
            ),
            cancel_timer,
            check,
        ),
        SkillTool(spec("list_timers", "What is set, and the time left.", which), list_timers, check),
    ]


def _meant(found: list[Timer], arguments: Arguments, kind: str) -> list[Timer]:
    """One, unless all are meant. Raises `ToolError` where it is not clear which."""
    if arguments.get("all") is True or len(found) == 1:
        return found
    if not found:
        label = text_of(arguments, "label", "")
        raise ToolError(f"There is no {label + ' ' if label else ''}{kind} set.", "not_found")
    titles = said_list([f"the {timer.title}" for timer in found], 4)
    raise ToolError(f"There are {len(found)}: {titles}. Which one?", "input")


def _say_set(_: Arguments, content: Json, user: UserContext) -> str:
    found = fields_of(content)
    due = datetime.fromisoformat(str(found["due"])).astimezone(user.now.tzinfo)
    seconds = found["seconds"]
    span_s = seconds if isinstance(seconds, int) else 0
    day = "" if due.date() == user.now.date() else f" {spoken_day(due, user.now)}"
    if found["kind"] == "alarm":
        return f"Your alarm is set for {spoken_time(due)}{day}."
    if found["kind"] == "reminder":
        when = f"in {spoken_duration(span_s)}" if span_s < 3_600 else f"at {spoken_time(due)}{day}"
        return f"Okay, I'll remind you {when} to {found['label']}."
    name = f"{found['label']} timer" if found["label"] else "timer"
    return f"Your {name} is set for {spoken_duration(span_s)}."


def _say_cancelled(_: Arguments, content: Json, __: UserContext) -> str:
    found = fields_of(content)
    titles = [str(title) for title in found["cancelled"]] if isinstance(found["cancelled"], list) else []
    if not found["count"]:
        return f"There was no {found['kind']} to cancel."
    if len(titles) == 1:
        return f"Okay, I cancelled the {titles[0]}."
    return f"Okay, I cancelled all {found['count']} of them."


def _say_timers(_: Arguments, content: Json, user: UserContext) -> str:
    found = fields_of(content)
    timers = [fields_of(timer) for timer in found["timers"]] if isinstance(found["timers"], list) else []
    if not timers:
        return f"There is no {found['kind']} set."
    if len(timers) == 1:
        return _say_one(timers[0], user)
    listed = [f"the {timer['title']} with {spoken_duration(_seconds(timer['left_s']))} left" for timer in timers]
    return f"You have {len(timers)} {found['kind']}s: {said_list(listed, 4)}."


def _timers_alone(_: Arguments, content: Json, user: UserContext) -> str | list[str]:
    found = fields_of(content)["timers"]
    timers = [fields_of(timer) for timer in found] if isinstance(found, list) else []
    if len(timers) != 1:
        return [str(timer["title"]) for timer in timers]
    if timers[0]["kind"] == "timer":
        return spoken_duration(_seconds(timers[0]["left_s"]))
    return spoken_time(datetime.fromisoformat(str(timers[0]["due"])).astimezone(user.now.tzinfo))


def _say_one(timer: dict[str, Json], user: UserContext) -> str:
    due = datetime.fromisoformat(str(timer["due"])).astimezone(user.now.tzinfo)
    if timer["kind"] == "timer":
        return f"{spoken_duration(_seconds(timer['left_s']))} left on your {timer['title']}."
    return f"Your {timer['title']} is set for {spoken_time(due)} {spoken_day(due, user.now)}."


def _seconds(value: Json) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


SKILL = Skill(
    name="timers",
    help="set timers, alarms and reminders",
    intents=[
        Intent("(set|start|make) (a|another) timer for {duration}", _timer, limit=250),
        Intent("(set|start) a {span:duration} timer", _timer, limit=150),
        Intent("(set|start) timer for {duration}", _timer, loose=True),
        Intent("(set|start|make) a {label} timer for {duration}", _timer, limit=150),
        Intent("set a timer for {duration} for [the|my] {label}", _timer, limit=80),
        Intent("timer for {duration}", _timer, limit=80),
        Intent(
            "(timer {duration}|{span:long} timer)",
            lambda slots, past: _timer({"duration": slots.get("duration") or slots.get("long")}, past),
            limit=80,
        ),
        Intent(
            "(wake me up|wake me) in {duration}",
            lambda slots, past: _timer({**slots, "label": "wake up"}, past),
            limit=60,
        ),
        Intent("(set|make) an alarm (for|at) {moment}", _alarm, limit=150),
        Intent("(wake me up|wake me) at {moment}", _alarm, limit=80),
        Intent("remind me in {duration} to {task}", _reminder, limit=250),
        Intent("remind me to {task} in {duration}", _reminder, limit=200),
        Intent("remind me [at] {moment} to {task}", _reminder, limit=150),
        Intent("remind me to {task} (at|on|tomorrow at) {moment}", _reminder, limit=120),
        Intent("(set|make) a reminder (to|for) {task} (in {duration}|at {moment})", _reminder, loose=True),
        Intent("(cancel|stop|delete|remove|turn off) (the|my) timer", lambda *_: _whole("cancel_timer", "timer")),
        Intent("(cancel|stop|delete) (the|my) {label} timer", _cancel, limit=40),
        Intent("(cancel|stop|delete) (the|my) {span:duration} timer", _cancel, limit=60),
        Intent(
            "(cancel|stop|delete|clear) all [of] [my|the] timers",
            lambda *_: _whole("cancel_timer", "timer", everything=True),
        ),
        Intent("(cancel|stop|delete|turn off) (the|my) alarm", lambda *_: _whole("cancel_timer", "alarm")),
        Intent("(cancel|stop|delete) all [my|the] alarms", lambda *_: _whole("cancel_timer", "alarm", everything=True)),
        Intent("(cancel|delete|remove) (the|my) reminder", lambda *_: _whole("cancel_timer", "reminder")),
        Intent(
            "(cancel|delete|remove) all [my|the] reminders",
            lambda *_: _whole("cancel_timer", "reminder", everything=True),
        ),
        Intent("how much (time|longer) is left [on (the|my) timer]", lambda *_: _whole("list_timers", "timer")),
        Intent("how (long|much longer|much time) is left on (the|my) [{label}] timer", _left, limit=40),
        Intent("how (long|much time) (is left|do i have left|is remaining)", lambda *_: _whole("list_timers", "timer")),
        Intent(
            "(what timers are set|what timers do i have|list my timers|show my timers|my timers|are there "
            "any timers|is there a timer)",
            lambda *_: _whole("list_timers", "timer"),
        ),
        Intent(
            "(what alarms are set|what alarms do i have|list my alarms|when is my alarm|is my alarm set)",
            lambda *_: _whole("list_timers", "alarm"),
        ),
        Intent(
            "(what reminders do i have|list my reminders|what are my reminders|my reminders)",
            lambda *_: _whole("list_timers", "reminder"),
        ),
    ],
    follow_ups=[
        Intent("(and|also|and also) [one|another|another one] [for] {duration}", _instead, limit=60),
        Intent("(cancel it|cancel that|cancel the timer)", lambda _, past: _cancel_last(past)),
    ],
    phrases={"set_timer": _say_set, "cancel_timer": _say_cancelled, "list_timers": _say_timers},
    briefs={"list_timers": _timers_alone},
    tools=_tools,
)


def _cancel_last(past: Past) -> Answer | None:
    """Only what was just set; `cancel that` means nothing else here."""
    set_now = fields_of(past.result)
    if past.last is None or past.last.tool != "set_timer" or not set_now:
        return None
    return Ask("cancel_timer", {"kind": set_now["kind"], "label": set_now["label"], "seconds": set_now["seconds"]})
