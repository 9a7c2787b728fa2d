"""What the OpenAPI document says of each route, from the models that the handlers read and answer with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from agent.timeline.summary import State
from agent.transport.asyncapi import commands
from agent.transport.notices import Hello


class Problem(BaseModel):
    """`code` is stable, `message` is for people."""

    code: str
    message: str


class Error(BaseModel):
    """Every answer that refuses."""

    error: Problem


class Answer(BaseModel):
    """The answer to an offer. DELETE on `call` hangs up."""

    sdp: str
    type: str
    session_id: str
    call: str


class Taken(BaseModel):
    """The command is on the timeline for good, at `seq`; a heartbeat has no place there, nor what was forgotten."""

    model_config = ConfigDict(extra="forbid")
    event_id: str
    seq: int | None = None


class Minted(BaseModel):
    """A token for somebody else. `expires_s` is in seconds since 1970; DELETE on `revoke` takes it back."""

    model_config = ConfigDict(extra="forbid")
    token: str
    scopes: list[str]
    expires_s: int
    revoke: str


class Earlier(BaseModel):
    """A stored conversation. `begun` and `touched` are UTC, ISO-8601; `words` are those that the user said first. One
    that is `open` or `resting` can be gone on with: its `token` is a Session-Token, good for an hour."""

    model_config = ConfigDict(extra="forbid")
    session_id: str
    begun: str
    touched: str
    words: str
    state: State
    token: str


class Conversations(BaseModel):
    """Those of one owner, newest first."""

    model_config = ConfigDict(extra="forbid")
    owner: str
    sessions: list[Earlier]


_SAID = {
    "Session-Token": "of a hello, or minted; ?session_token= where no header can be set",
    "Session-Seen": "EPOCH:SEQ, the last entry that the device has",
    "Last-Event-ID": "the same, as an EventSource says it",
    "Device-Id": "the device's own name, 8 to 64 of A-Z a-z 0-9 -",
}
_REFUSED = {
    "description": (
        "Refused, and nothing was changed. 400 the message breaks the protocol; 401 an owner's token is needed; "
        "403 the origin may not, or the session token is none of this conversation or does not allow it; 404 there is "
        "no such call; 409 the conversation refuses; 410 it is over; 413, 415, 422 the body cannot be; 429 too many; "
        "503 not now, see Retry-After"
    ),
    "model": Error,
}
_TOKEN = ("Session-Token",)
_DEVICE = ("Session-Token", "Session-Seen", "Device-Id")


def _route(
    summary: str,
    status: int,
    answer: type[BaseModel] | str | None = None,
    body: dict[str, Any] | None = None,
    headers: Sequence[str] = (),
) -> dict[str, Any]:
    """How a route is described. `answer`: a model, or the media type of text. `body`: by media type."""
    told: dict[str, Any] = {"description": "as asked"}
    if isinstance(answer, str):
        told["content"] = {answer: {"schema": {"type": "string"}}}
    elif answer is not None:
        told["model"] = answer
    extra: dict[str, Any] = {}
    if headers:
        extra["parameters"] = [
            {"name": name, "in": "header", "required": False, "description": _SAID[name], "schema": {"type": "string"}}
            for name in headers
        ]
    if body is not None:
        extra["requestBody"] = {"required": True, "content": body}
    responses = {status: told, "default": _REFUSED}
    return {"summary": summary, "status_code": status, "responses": responses, "openapi_extra": extra}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def described(offer: type[BaseModel], minting: type[BaseModel]) -> dict[str, dict[str, Any]]:
    """Every route by the name of its handler, as keywords of `add_api_route`. The models of two bodies are given."""
    sdp = {"application/sdp": {"schema": {"type": "string"}}}
    command = _json({"oneOf": [*commands().values()]})
    settings = _json({"type": "object", "additionalProperties": True})
    return {
        "post_call": _route("Call over WebRTC", 201, "application/sdp", sdp, _DEVICE),
        "delete_call": _route("Hang up", 204),
        "post_offer": _route("Call over WebRTC, in JSON", 200, Answer, _json(offer.model_json_schema()), _DEVICE),
        "config": _route("What a page needs to know", 200),
        "put_settings": _route("Save settings", 200, None, settings),
        "health": _route("How many sessions there are, and how punctual the audio of each is", 200),
        "draw": _route("A QR code of a link", 200, "image/svg+xml", {"text/plain": {"schema": {"type": "string"}}}),
        "begin": _route("Begin a conversation, or come back to one", 201, Hello, None, _DEVICE),
        "events": _route("The timeline, on and on", 200, "text/event-stream", None, (*_DEVICE, "Last-Event-ID")),
        "command": _route("Say or ask something", 200, Taken, command, ("Session-Token", "Device-Id")),
        "mint": _route("A token for somebody else", 201, Minted, _json(minting.model_json_schema()), _TOKEN),
        "earlier": _route("Your conversations, newest first", 200, Conversations),
        "recorded": _route("A stored conversation, and where its audio lies", 200, None, None, _TOKEN),
        "recorded_audio": _route("Its audio: the user left, the agent right", 200, "audio/wav", None, _TOKEN),
        "revoke": _route("Take a token back, and what was minted from it", 204, None, None, _TOKEN),
    }
