"""Forgetting: what was said in this conversation is erased, for good and on every device."""

from __future__ import annotations

from agent.conversation.events import Json
from agent.thinking.port import Proposal, ToolContext, UserContext
from agent.thinking.tools.skill import Arguments, Ask, Intent, Kit, Skill, SkillTool, spec

QUESTION = "Forget everything that was said in this conversation; your notes, lists and timers stay."
DONE = "As soon as I stop talking, all that we said is erased. Your notes, lists and timers stay."


def _tools(kit: Kit) -> list[SkillTool]:
    forget = kit.forget
    if forget is None:
        return []

    async def run(_: Arguments, context: ToolContext) -> Json:
        forget(context.session_id)
        return {}

    async def plan(arguments: Arguments, _: UserContext) -> Proposal:
        return Proposal(arguments, QUESTION)

    described = "Erase all that was said in this conversation so far. It cannot be undone."
    return [SkillTool(spec("forget_conversation", described, effect="write", risk="high"), run, plan=plan)]


SKILL = Skill(
    name="forgetting",
    help="forget what we said",
    intents=[
        Intent("(forget|erase|delete) (this|our|the) [whole] conversation", lambda *_: Ask("forget_conversation")),
        Intent("forget (this|everything|all of this)", lambda *_: Ask("forget_conversation")),
        Intent(
            "forget (what|everything|all) [that] (i|we) [have] [just] (said|told you)",
            lambda *_: Ask("forget_conversation"),
        ),
    ],
    phrases={"forget_conversation": lambda *_: DONE},
    tools=_tools,
)
