"""What a skill is: sentences, what they ask for, the tools that answer, and the wording.

A skill is one small file with one `SKILL`. Its intents turn an utterance into an `Ask` (run
this tool) or a `Say` (plain talk); its phrasings turn a tool's result into a sentence or two.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from agent.conversation.events import Effect, Json
from agent.errors import ToolError
from agent.thinking.libraries import Libraries
from agent.thinking.memory import Memory
from agent.thinking.port import Proposal, Retriever, ToolContext, ToolSpec, UserContext
from agent.thinking.timers import Timers
from agent.thinking.tools.office import Office
from agent.thinking.tools.pattern import Pattern, Value

Arguments = Mapping[str, Json]
Slots = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Ask:
    """Run tool `tool`."""

    tool: str
    arguments: Arguments = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Say:
    """Speak this; nothing needs to run."""

    text: str


@dataclass(frozen=True, slots=True)
class Steer:
    """Say the running or last answer otherwise: `shorter`, or `on` from where it was cut."""

    how: Literal["shorter", "on"]


Answer = Ask | Say | Steer


@dataclass(frozen=True, slots=True)
class Past:
    """What the conversation already holds, oldest first.

    `last` is the latest tool call and `result` its content; `heard` and `cut` are the two parts
    of the last reply.
    """

    user: UserContext
    said: Sequence[str] = ()
    last: Ask | None = None
    result: Json = None
    heard: str = ""
    cut: str = ""


Build = Callable[[Slots, Past], Answer | None]


@dataclass(frozen=True)
class Intent:
    """`build` answers for the slots' values; None says that the sentence was not meant after all.

    `loose`: accepted from exact words only and not taught to the recogniser. `last`: tried only
    when nothing else fits. `limit` bounds its example sentences.
    """

    template: str
    build: Build
    loose: bool = False
    last: bool = False
    limit: int = 400

    @cached_property
    def pattern(self) -> Pattern:
        return Pattern(self.template)


@dataclass(frozen=True, slots=True)
class Kit:
    """What tools are made from."""

    memory: Memory
    timers: Timers
    libraries: Libraries
    office: Office | None = None
    """Without one there are no tools for e-mail and the calendar."""
    documents: Retriever | None = None
    """Without one only notes can be searched."""
    forget: Callable[[str], None] | None = None
    """Asks the session of this id to forget what was said; raises `ToolError`. Without it no session can."""


@dataclass(frozen=True)
class Skill:
    """`help` completes "I can …". `follow_ups` are tried when the last call was one of this
    skill's own tools. `phrases`: wording of a result, by tool name. `briefs`: the bare value of a result
    as it stands in that wording, the items of one that enumerates, or a summary of a long text."""

    name: str
    help: str
    intents: Sequence[Intent]
    phrases: Mapping[str, Callable[[Arguments, Json, UserContext], str]] = field(default_factory=dict)
    follow_ups: Sequence[Intent] = ()
    tools: Callable[[Kit], list[SkillTool]] = lambda _: []
    briefs: Mapping[str, Callable[[Arguments, Json, UserContext], str | list[str]]] = field(default_factory=dict)


async def _always_ready() -> str:
    return ""


@dataclass(frozen=True)
class SkillTool:
    """A tool made of a coroutine function; implements the `Tool` port."""

    spec: ToolSpec
    work: Callable[[Arguments, ToolContext], Awaitable[Json]]
    ready: Callable[[], Awaitable[str]] = _always_ready
    plan: Callable[[Arguments, UserContext], Awaitable[Proposal]] | None = None

    async def preflight(self) -> str:
        return await self.ready()

    async def run(self, arguments: Arguments, context: ToolContext) -> Json:
        return await self.work(arguments, context)

    async def propose(self, arguments: Arguments, user: UserContext) -> Proposal:
        """What it would do, exactly; as it is asked where the tool has nothing to work out. Raises `ToolError`."""
        return Proposal(arguments) if self.plan is None else await self.plan(arguments, user)


def spec(
    name: str,
    description: str,
    parameters: Mapping[str, Json] | None = None,
    *,
    required: Sequence[str] = (),
    effect: Effect = "read",
    reversible: bool = False,
    risk: Literal["low", "high"] = "low",
    open_world: bool = False,
) -> ToolSpec:
    """A tool. Writes are idempotent: every one is keyed. Those of high risk are for the user to confirm."""
    schema: dict[str, Json] = {
        "type": "object", "properties": dict(parameters or {}), "required": list(required),
        "additionalProperties": False,
    }  # fmt: skip
    return ToolSpec(
        name,
        description,
        schema,
        effect,
        risk,
        idempotent=True,
        reversible=reversible,
        confirm="user" if risk == "high" else "policy",
        open_world=open_world,
    )


STRING: Json = {"type": "string"}
NUMBER: Json = {"type": "number"}
STRINGS: Json = {"type": "array", "items": {"type": "string"}}


def text_of(arguments: Arguments, name: str, default: str | None = None) -> str:
    """A string argument. Raises `ToolError` (class input) when it is missing or no text."""
    value = arguments.get(name, default)
    if not isinstance(value, str) or (default is None and not value.strip()):
        raise ToolError(f"The {name} is missing.", "input")
    return value.strip()


def number_of(arguments: Arguments, name: str) -> float:
    """A numeric argument. Raises `ToolError` (class input)."""
    value = arguments.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ToolError(f"The {name} must be a number.", "input")
    return value


def texts_of(arguments: Arguments, name: str) -> list[str]:
    """A list of strings, none empty. Raises `ToolError` (class input)."""
    value = arguments.get(name)
    found = (
        [item.strip() for item in value if isinstance(item, str) and item.strip()] if isinstance(value, list) else []
    )
    if not found:
        raise ToolError(f"The {name} are missing.", "input")
    return found


def fields_of(content: Json) -> dict[str, Json]:
    """A result's fields; empty when it is no object."""
    return content if isinstance(content, dict) else {}
