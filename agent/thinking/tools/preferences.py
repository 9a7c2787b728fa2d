"""What the user likes: how fast the agent speaks, and what it should call them."""

from __future__ import annotations

from agent.conversation.events import Json
from agent.errors import ToolError
from agent.thinking.port import ToolContext, UserContext
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

SPEED = "speech_speed"
"""Preference: 1.0 is the voice's own speed."""
NAME = "user_name"
SLOWEST, FASTEST, STEP = 0.5, 3.0, 1.2
"""As far as `tts.speed` goes."""
_NOT_NAMES = frozenset(
    "not what who fine good okay ok here back tired sorry hungry happy sad done a the in at going".split()
)


def _change(change: str) -> Answer:
    return Ask("set_speech_speed", {"change": change})


def _call_me(slots: Slots, _: Past) -> Answer | None:
    name = str(slots["person"])
    if len(name.split()) > 3 or name.lower().split()[0] in _NOT_NAMES:
        return None
    return Ask("remember_name", {"name": name.title() if name.islower() else name})


def _tools(kit: Kit) -> list[SkillTool]:
    memory = kit.memory

    async def set_speed(arguments: Arguments, context: ToolContext) -> Json:
        change = text_of(arguments, "change")
        heard = context.user.speed
        speed = memory.preference(SPEED, 1.0) if heard is None else heard
        wanted = {"slower": speed / STEP, "faster": speed * STEP, "normal": 1.0}.get(change)
        if wanted is None:
            raise ToolError("I can speak slower, faster, or at normal speed.", "input")
        wanted = round(min(max(wanted, SLOWEST), FASTEST), 2)
        kept = await memory.remember(context.idempotency_key, SPEED, wanted, context.user.now)
        return {"change": change, "speed": kept, "at_limit": wanted == round(speed, 2) and change != "normal"}

    async def remember_name(arguments: Arguments, context: ToolContext) -> Json:
        name = text_of(arguments, "name")[:60]
        return {"name": await memory.remember(context.idempotency_key, NAME, name, context.user.now)}

    async def recall_name(_: Arguments, __: ToolContext) -> Json:
        return {"name": memory.preference(NAME, "")}

    change: dict[str, Json] = {"change": {"type": "string", "enum": ["slower", "faster", "normal"]}}
    check = memory.check
    return [
        SkillTool(
            spec(
                "set_speech_speed",
                "Speak slower, faster or normally from now on.",
                change,
                required=["change"],
                effect="write",
                reversible=True,
            ),
            set_speed,
            check,
        ),
        SkillTool(
            spec(
                "remember_name",
                "Keep the user's name.",
                {"name": STRING},
                required=["name"],
                effect="write",
                reversible=True,
            ),
            remember_name,
            check,
        ),
        SkillTool(spec("recall_name", "The user's name, empty when it is not known."), recall_name, check),
    ]


def _say_speed(_: Arguments, content: Json, __: UserContext) -> str:
    found = fields_of(content)
    if found["at_limit"]:
        return f"I can't speak any {found['change']} than this."
    return "Okay, back to normal speed." if found["change"] == "normal" else f"Okay, I'll speak {found['change']}."


def _say_name(_: Arguments, content: Json, __: UserContext) -> str:
    name = fields_of(content)["name"]
    return f"Your name is {name}." if name else "You haven't told me your name yet."


SKILL = Skill(
    name="preferences",
    help="speak slower or faster",
    intents=[
        Intent("[speak|talk|go] [a little|a bit|much] slower [please]", lambda *_: _change("slower")),
        Intent(
            "(slow down|speak more slowly|talk more slowly|you are too fast|that is too fast|not so fast|too fast)",
            lambda *_: _change("slower"),
        ),
        Intent("[speak|talk|go] [a little|a bit|much] faster [please]", lambda *_: _change("faster")),
        Intent(
            "(speed up|speak more quickly|you are too slow|that is too slow|too slow)", lambda *_: _change("faster")
        ),
        Intent(
            "([speak|talk] at normal speed|normal speed [please]|[speak|talk] normally|back to normal speed|"
            "reset the speed)",
            lambda *_: _change("normal"),
        ),
        Intent("(my name is|call me|please call me) {person}", _call_me, limit=100),
        Intent("i am {person}", _call_me, loose=True),
        Intent("(what is my name|who am i|do you know my name|do you know who i am)", lambda *_: Ask("recall_name")),
    ],
    phrases={
        "set_speech_speed": _say_speed,
        "remember_name": lambda _, content, __: f"Nice to meet you, {fields_of(content)['name']}.",
        "recall_name": _say_name,
    },
    briefs={"recall_name": lambda _, content, __: [str(name)] if (name := fields_of(content)["name"]) else []},
    tools=_tools,
)
