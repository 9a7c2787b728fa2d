"""The conversation itself: what was said, once more, and on from where it stopped.

The words come from the timeline, by way of the prompt, as the tool's arguments.
"""

from __future__ import annotations

from agent.conversation.events import Json
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
    Steer,
    fields_of,
    spec,
    text_of,
)

RECALLING = ("repeat_reply", "continue_reply", "last_user_words")
"""The tools of this skill."""


def _repeat(_: Slots, past: Past) -> Answer:
    """All of the last reply, the part that was cut included."""
    return Ask("repeat_reply", {"text": " ".join(f"{past.heard} {past.cut}".split())})


def _go_on(_: Slots, __: Past) -> Answer:
    return Steer("on")


def _shorter(_: Slots, __: Past) -> Answer:
    return Steer("shorter")


def _said(_: Slots, past: Past) -> Answer:
    return Ask("last_user_words", {"text": past.said[-1] if past.said else ""})


def _said_before(_: Slots, past: Past) -> Answer:
    return Ask("last_user_words", {"text": past.said[-2] if len(past.said) > 1 else ""})


async def _echo(arguments: Arguments, _: ToolContext) -> Json:
    return {"text": text_of(arguments, "text", "")}


def _tools(_: Kit) -> list[SkillTool]:
    text: dict[str, Json] = {"text": STRING}
    return [
        SkillTool(spec("repeat_reply", "Say the last reply again; its text is given.", text), _echo),
        SkillTool(spec("continue_reply", "Say the part of the last reply that was cut; it is given.", text), _echo),
        SkillTool(spec("last_user_words", "What the user said before; it is given.", text), _echo),
    ]


def _say_again(_: Arguments, content: Json, __: UserContext) -> str:
    return str(fields_of(content)["text"]) or "I haven't said anything yet."


def _say_rest(_: Arguments, content: Json, __: UserContext) -> str:
    return str(fields_of(content)["text"]) or "I had finished."


def _say_words(_: Arguments, content: Json, __: UserContext) -> str:
    text = str(fields_of(content)["text"])
    return (
        f"You said: {text}" + ("" if text[-1:] in ".?!" else ".") if text else "You haven't said anything before that."
    )


SKILL = Skill(
    name="recall",
    help="repeat what was said",
    intents=[
        Intent(
            "(repeat that|say that again|say it again|repeat it|again|repeat|once more|one more time|come "
            "again|pardon|pardon me) [please]",
            _repeat,
        ),
        Intent("(what did you say|what did you just say|what was that|excuse me|sorry what|what)", _repeat),
        Intent(
            "(repeat your answer|repeat the answer|repeat what you said|i did not hear that|i did not hear "
            "you|i missed that)",
            _repeat,
        ),
        Intent(
            "(what did i say|what did i just say|what have i said|what did i ask|what did i just ask|what "
            "was my question|what did i just tell you)",
            _said,
        ),
        Intent("(repeat what i said|repeat what i just said|what did you hear|what did you understand)", _said),
        Intent("what did i say before [that]", _said_before),
        Intent(
            "(go on|continue|keep going|carry on|go ahead|and then|where were you|what else|finish what you "
            "were saying) [please]",
            _go_on,
        ),
        Intent("(shorter|make it shorter|make it short|in short)", _shorter),
        Intent(
            "[make it|make that|keep it|say it|say that|a bit|a little|much|be] (shorter|short|brief|briefly|quickly) "
            "[please]",
            _shorter,
            loose=True,
        ),
        Intent(
            "(to the point|get to the point|in a nutshell|in brief|too long|that is too long|just the answer|"
            "only the answer|the short version|just the short version|cut it short|sum it up)",
            _shorter,
            loose=True,
        ),
    ],
    phrases={"repeat_reply": _say_again, "continue_reply": _say_rest, "last_user_words": _say_words},
    tools=_tools,
)
