"""The messages over every transport as an AsyncAPI document, made from the classes that read and write them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from agent.conversation.events import Json
from agent.timeline.codec import EVENT_TYPES
from agent.timeline.schema import Schema, entry_schema
from agent.transport.notices import NOTICES
from agent.transport.wire import COMMANDS, EVENT_ID, OWN_ID, scope_of

_AUDIO = {
    "audio.microphone": "int16 little-endian mono 16 kHz, at most 100 ms a message",
    "audio.playout": "int16 little-endian mono 48 kHz, 20 ms a message, silence included",
}


def document(version: str) -> Schema:
    """AsyncAPI 3.0. The agent sends what is `down` and receives what is `up`."""
    messages = dict(_messages())
    down = [name for name in messages if name.partition(".")[0] in ("entry", "notice")]
    up = [name for name in messages if name.startswith("command.")]
    audio_up, audio_down = _AUDIO
    session: Json = {"session_id": {"description": "of the hello, or of the answer to POST /sessions"}}
    call, path = "A data channel of a WebRTC call, offered to POST /calls or /offer.", "/sessions/{session_id}"
    channels: dict[str, Json] = {
        "websocket": _channel("/ws", [*down, audio_down, *up, audio_up], "The call over a WebSocket."),
        "dataChannel": _channel(None, [*down, *up], call),
        "events": _channel(f"{path}/events", down, "Server-sent events, each a message.", session),
        "commands": _channel(f"{path}/commands", up, "By POST, one a request.", session),
    }
    operations: dict[str, Json] = {}
    for channel, (sent, received) in {
        "websocket": ([*down, audio_down], [*up, audio_up]),
        "dataChannel": (down, up),
        "events": (down, []),
        "commands": ([], up),
    }.items():
        if sent:
            operations[f"{channel}Down"] = _operation("send", channel, sent)
        if received:
            operations[f"{channel}Up"] = _operation("receive", channel, received)
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Voice agent", "version": version, "description": "One meaning over several transports."},
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages},
    }


def entries() -> dict[str, Schema]:
    """The schema of a timeline entry, by its type."""
    return {type_: entry_schema(event) for type_, event in EVENT_TYPES.items()}


def commands() -> dict[str, Schema]:
    """The schema of a command's envelope, by its type."""
    event_id: Json = {"type": "string", "pattern": EVENT_ID, "not": {"pattern": OWN_ID}}
    payloads = {type_: cast(Schema, payload.model_json_schema()) for type_, payload in COMMANDS.items()}
    return {type_: _envelope(type_, payload, event_id=event_id) for type_, payload in payloads.items()}


def notices() -> dict[str, Schema]:
    """The schema of a message that is not of the timeline, by its type."""
    return {notice.kind: _envelope(notice.kind, cast(Schema, notice.model_json_schema())) for notice in NOTICES}


def _envelope(type_: str, payload: Schema, **more: Json) -> Schema:
    return {
        "title": type_,
        "type": "object",
        "properties": {**more, "type": {"const": type_}, "payload": payload},
        "required": [*more, "type", *(["payload"] if payload.get("required") else [])],
        "additionalProperties": False,
    }


def _messages() -> Iterable[tuple[str, Json]]:
    for type_, schema in notices().items():
        yield f"notice.{type_}", {"name": type_, "payload": schema}
    for type_, schema in entries().items():
        yield f"entry.{type_}", {"name": type_, "payload": schema}
    for type_, schema in commands().items():
        needs = f"Needs a session token with the scope {scope_of(type_)}."
        yield f"command.{type_}", {"name": type_, "description": needs, "payload": schema}
    for name, what in _AUDIO.items():
        yield name, {"name": name, "description": what, "contentType": "application/octet-stream"}


def _channel(address: str | None, messages: Iterable[str], what: str, parameters: Json = None) -> Schema:
    refs: dict[str, Json] = {name: {"$ref": f"#/components/messages/{name}"} for name in messages}
    found: Schema = {"address": address, "description": what, "messages": refs}
    return found | ({"parameters": parameters} if parameters else {})


def _operation(action: str, channel: str, messages: Iterable[str]) -> Schema:
    refs: list[Json] = [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in messages]
    return {"action": action, "channel": {"$ref": f"#/channels/{channel}"}, "messages": refs}
