"""Facts that a running tool tells of its work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from agent.conversation.events import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolReport(Event):
    """Base of what a tool that runs tells of its work."""

    reply_id: str = ""
    call_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolProgress(ToolReport):
    """It says how far it is. `share`: of the whole, 0 to 1; below 0 where that is not known."""

    type: ClassVar[str] = "tool.progress"
    message: str = ""
    share: float = -1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanStart(ToolReport):
    """It is going to take these steps, in this order."""

    type: ClassVar[str] = "plan.start"
    steps: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrieveStart(ToolReport):
    """It looks something up. `corpus`: in what, such as notes or documents."""

    type: ClassVar[str] = "retrieve.start"
    corpus: str
    query: str


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of text that was found. `document`: the note or the file that it stands in, `place`: where there."""

    document: str
    place: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrieveDone(ToolReport):
    """What was found, best first. Claims rest on passage n of it as `EVENT_ID#n`, counted from 1."""

    type: ClassVar[str] = "retrieve.done"
    corpus: str
    passages: tuple[Passage, ...]
