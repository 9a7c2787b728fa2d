"""What thinking needs from a brain and from tools."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol, runtime_checkable

from agent.conversation.events import Effect, Json
from agent.conversation.events import Usage as Usage
from agent.conversation.message import Message as Message
from agent.conversation.reports import Passage, ToolProgress, ToolReport
from agent.owners import LOCAL


@dataclass(frozen=True, slots=True)
class UserContext:
    """What is known of the user. `now` is aware, in the user's zone. `speed`: at which the agent speaks to them, 1.0
    is the voice's own; None where nothing but their preference says so. `owner`: whose conversation it is."""

    now: datetime
    time_zone: str = "UTC"
    locale: str = "en-US"
    speed: float | None = None
    owner: str = LOCAL


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as the brain and the core see it. `parameters` is a JSON schema of an object.

    `idempotent`: a second run with the same key changes nothing and gives the first result.
    `reversible`: what it does can be undone. `confirm`: `user` when policy may not confirm it
    whatever its risk. `open_world`: it reaches beyond this machine.
    """

    name: str
    description: str
    parameters: Mapping[str, Json]
    effect: Effect
    risk: Literal["low", "high"] = "low"
    idempotent: bool = False
    reversible: bool = False
    confirm: Literal["policy", "user"] = "policy"
    open_world: bool = False


@dataclass(frozen=True, slots=True)
class Proposal:
    """A call as it is put to the user. `arguments` leave nothing open: names are addresses, "tomorrow"
    is a date, so that what is confirmed is what is done. `text` is a sentence ("Send an email to …
    saying …."), `reverts` the id of the action that the call undoes."""

    arguments: Mapping[str, Json]
    text: str = ""
    reverts: str = ""


MAX_PROGRESS_CHARS = 200

Report = Callable[[ToolReport], None]


def _unread(fact: ToolReport) -> None:
    """Nobody looks."""


@dataclass(frozen=True, slots=True)
class ToolContext:
    """Given to a running tool. `idempotency_key` is empty for reads."""

    user: UserContext
    idempotency_key: str = ""
    session_id: str = ""
    """The conversation that it runs for."""
    report: Report = _unread
    """Puts what the tool tells of its work on the timeline; ids are filled in. To be called on the event loop."""

    def progress(self, message: str = "", share: float | None = None) -> None:
        """Say how far it is: in words, and as a share of the whole, 0 to 1, where that is known. It is then waited for
        as long again."""
        known = -1.0 if share is None else min(max(share, 0.0), 1.0)
        self.report(ToolProgress(message=message[:MAX_PROGRESS_CHARS], share=known))


class Tool(Protocol):
    @property
    def spec(self) -> ToolSpec: ...

    async def preflight(self) -> str:
        """Empty when the tool can work; else why not, for people. Called at start."""
        ...

    async def run(self, arguments: Mapping[str, Json], context: ToolContext) -> Json:
        """Do it. Raises `ToolError` for a failure that the user should hear about."""
        ...


@runtime_checkable
class Proposing(Protocol):
    """A tool that can say beforehand what exactly it would do."""

    async def propose(self, arguments: Mapping[str, Json], user: UserContext) -> Proposal:
        """Changes nothing. Raises `ToolError` where `run` would fail anyway: nobody is asked then."""
        ...


class ToolSource(Protocol):
    """Tools that come and go while the agent runs. `problem`: why they cannot be used, or empty."""

    name: str

    @property
    def tools(self) -> Sequence[Tool]: ...

    @property
    def problem(self) -> str: ...

    async def problem_other_than(self, known: str) -> str:
        """The problem, as soon as it is another one than this."""
        ...


class Retriever(Protocol):
    """Finds passages in a corpus, such as a folder of documents."""

    name: str

    async def prepare(self) -> None:
        """Do beforehand what would make the first search slow; it may take its time. Never raises: see `check`."""
        ...

    async def check(self) -> str:
        """A preflight, at once: why nothing can be found, or empty."""
        ...

    async def find(self, query: str, limit: int) -> list[Passage]:
        """The passages that have most to do with the query, best first. It may be cancelled at any moment.
        Raises `ToolError`."""
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Prompt:
    """What one brain step answers: `messages` oldest first, the last is the user's turn or the
    results of this reply's earlier steps behind it."""

    messages: Sequence[Message]
    tools: Sequence[ToolSpec]
    user: UserContext
    instructions: str = ""
    """Who the agent is and how it is to talk (`brain.instructions`), for a brain that is a model."""


@dataclass(frozen=True, slots=True)
class Delta:
    """Text to be spoken."""

    text: str


@dataclass(frozen=True, slots=True)
class Call:
    """A tool to be run; the brain is asked again with its result.

    `problem`: why its arguments cannot be read. The tool is not run then, and that is the result.
    """

    call_id: str
    name: str
    arguments: Mapping[str, Json]
    problem: str = ""


class Brain(Protocol):
    name: str

    async def start(self) -> None: ...

    def respond(self, prompt: Prompt) -> AsyncIterator[Delta | Call | Usage]:
        """Stream one step; its usage last, where it is known. It may be cancelled at any await and must
        then leave nothing behind. Raises `BrainError`."""
        ...

    async def close(self) -> None: ...
