"""What thinking needs from a brain and from tools."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from agent.conversation.events import Effect, Json
from agent.conversation.message import Message as Message


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
    @property
    def spec(self) -> ToolSpec: ...

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
