"""Messages down that are not of the timeline: they have no `seq`."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from agent.transport.session_token import Scope

Resume = Literal["new", "resumed", "snapshot", "failed"]


class Notice(BaseModel):
    """Base: the payload of a message of this `kind`."""

    model_config = ConfigDict(extra="forbid")
    kind: ClassVar[str]

    def text(self) -> str:
        """The message."""
        return f'{{"type":"{self.kind}","payload":{self.model_dump_json(exclude_none=True)}}}'


class Hello(Notice):
    """The first message down: which session this is, and how to come back to it."""

    kind: ClassVar[str] = "hello"
    session_id: str
    device_id: str = ""
    """What the timeline calls this device, where it has said a name of its own."""
    epoch: int
    """With the `seq` of an entry, what `Session-Seen` and `Last-Event-ID` say."""
    token: str
    """The `Session-Token` of the next connection."""
    scopes: list[Scope]
    """What the token allows."""
    resume: Resume
    reason: str
    """Why it could not be resumed, where it could not."""
    hearing_rate: int | None = None
    playout_rate: int | None = None
    frame_samples: int | None = None
    """Of audio over a WebSocket."""
    events: str | None = None
    commands: str | None = None
    """Where server-sent events are read, and where commands are posted."""
    call: str | None = None
    """DELETE hangs up."""


class Refused(Notice):
    """A message up was not taken. `event_id`: the command's, where it could be read."""

    kind: ClassVar[str] = "error"
    code: str
    message: str
    event_id: str = ""


class Renewed(Notice):
    """The session token has been renewed, long before the one of the hello or of the last such message ends."""

    kind: ClassVar[str] = "token"
    token: str
    """The `Session-Token` of the next connection."""


class SessionOver(Notice):
    """The last message down: the device hung up."""

    kind: ClassVar[str] = "session.closed"
    reason: str


class ConnectionOver(Notice):
    """The last message down. `again`: the device had better come back, the conversation goes on."""

    kind: ClassVar[str] = "connection.closed"
    reason: str
    again: bool


NOTICES: tuple[type[Notice], ...] = (Hello, Refused, Renewed, SessionOver, ConnectionOver)
