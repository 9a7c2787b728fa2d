"""What thinking needs from a brain and from tools."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from agent.conversation.events import Effect, Json


@dataclass(frozen=True, slots=True)
class Message:
    """One entry of a prompt, made from the timeline event `event_id`.

    role    text
    user    what the user said or typed (`understood` false: words that no skill knows)
    agent   what the user *heard* of a reply; `cut` is what they did not hear
    call    the brain asked for tool `name` with `arguments` (`call_id`)
    result  what that tool answered: `content`, or `error_class` and `text` when it failed
    note    something the brain should know ("the timer was set although you were interrupted")
    """

    role: Literal["user", "agent", "call", "result", "note"]
    text: str = ""
    event_id: str = ""
    understood: bool = True
    cut: str = ""
    call_id: str = ""
    name: str = ""
    arguments: Mapping[str, Json] = field(default_factory=dict)
    content: Json = None
    error_class: str = ""


@dataclass(frozen=True, slots=True)
class UserContext:
    """What is known of the user. `now` is aware, in the user's zone."""

    now: datetime
    time_zone: str = "UTC"
    locale: str = "en-US"


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as the brain and the core see it. `parameters` is a JSON schema of an object."""

    name: str
    description: str
    parameters: Mapping[str, Json]
    effect: Effect
    risk: Literal["low", "high"] = "low"
    idempotent: bool = False
    reversible: bool = False


@dataclass(frozen=True, slots=True)
class ToolContext:
    """Given to a running tool. `idempotency_key` is empty for reads."""

    user: UserContext
    idempotency_key: str = ""


class Tool(Protocol):
    spec: ToolSpec

    async def preflight(self) -> str:
        """Empty when the tool can work; else why not, for people. Called at start."""
        ...

    async def run(self, arguments: Mapping[str, Json], context: ToolContext) -> Json:
        """Do it. Raises `ToolError` for a failure that the user should hear about."""
        ...


@dataclass(frozen=True, slots=True)
class Prompt:
    """What one brain step answers: `messages` oldest first, the last is the user's turn or the
    results of this reply's earlier steps behind it."""

    messages: Sequence[Message]
    tools: Sequence[ToolSpec]
    user: UserContext


@dataclass(frozen=True, slots=True)
class Delta:
    """Text to be spoken."""

    text: str


@dataclass(frozen=True, slots=True)
class Call:
    """A tool to be run; the brain is asked again with its result."""

    call_id: str
    name: str
    arguments: Mapping[str, Json]


class Brain(Protocol):
    name: str

    async def start(self) -> None: ...

    def respond(self, prompt: Prompt) -> AsyncIterator[Delta | Call]:
        """Stream one step. It may be cancelled at any await and must then leave nothing behind.
        Raises `BrainError`."""
        ...

    async def close(self) -> None: ...
