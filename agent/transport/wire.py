"""Messages between a device and its session: JSON texts over a data channel or a WebSocket.

Down: timeline entries as `agent.timeline.codec.to_json` writes them, and `notices`, which are not of the timeline.
Up: commands `{"event_id", "type", "payload"}`. `event_id` is made by the client, 8 to 64 characters of [A-Za-z0-9-],
and not like e1000000, as the conversation names its own events; sending a command again under the same id does it
once. Any payload may say, as `seen_seq`, up to which entry the client had seen the timeline; a stop, a cut or a
confirmation leaves alone what began later, and a text does not break into it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from agent.conversation.events import (
    ClientCommand,
    ControlConfirm,
    ControlDone,
    ControlFocus,
    ControlStop,
    ControlTalk,
    DeviceCut,
    DeviceJoined,
    Event,
    Json,
    Played,
    SessionForget,
    SettingsChanged,
    TextInput,
)
from agent.conversation.played import Measured
from agent.conversation.policy import Endpointing, Interruption
from agent.errors import TooFast, WireError
from agent.settings import BrowserSettings, Limits, VadSettings
from agent.timeline.codec import to_json
from agent.timeline.entry import Entry
from agent.transport.session_token import Scope
from agent.transport.token_bucket import TokenBucket

HEARTBEAT = "heartbeat"
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""What nobody types and a terminal obeys."""
EVENT_ID = r"^[A-Za-z0-9-]{8,64}$"
OWN_ID = r"^e[0-9]{7,15}$"
"""What a conversation names its own events by, from the millionth on."""

CHANGEABLE: frozenset[str] = frozenset(
    [f"vad.{name}" for name in VadSettings.model_fields if name != "engine"]
    + [f"endpointing.{field.name}" for field in fields(Endpointing)]
    + [f"interruption.{field.name}" for field in fields(Interruption)]
    + [f"browser.{name}" for name in BrowserSettings.model_fields]
    + ["tts.speed"]
)
"""Settings that a page may change. Engines are not among them: they name code to be loaded."""

Locate = Callable[[int], tuple[str, int] | None]
"""The reply and the sample at an RTP timestamp, if it is known."""

_Setting = bool | int | float | str | list[str] | dict[str, list[str]]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


def _of_a_client(event_id: str) -> str:
    if re.fullmatch(OWN_ID, event_id):
        raise PydanticCustomError("own_id", "the conversation names its own events like this: send a UUID, for example")
    return event_id


class Command(_Strict):
    """The envelope of what a client asks for."""

    event_id: Annotated[str, Field(pattern=EVENT_ID), AfterValidator(_of_a_client)]
    type: Annotated[str, Field(max_length=64)]
    payload: dict[str, Any] = {}


class _Said(_Strict):
    """What every payload may hold."""

    seen_seq: Annotated[int, Field(ge=0, lt=1 << 53)] = 0


class _Text(_Said):
    text: str
    when: Literal["", "now", "sentence", "after"] = ""


class _Talk(_Said):
    on: bool


class _Silencing(_Said):
    """`rtp_timestamp`: what the device was playing, and how it measured that (see `Played`)."""

    reply_id: Annotated[str, Field(max_length=64)] = ""
    rtp_timestamp: Annotated[int, Field(ge=0, lt=1 << 32)] | None = None
    measured: Measured = "source"


class _Confirm(_Said):
    action_id: Annotated[str, Field(min_length=1, max_length=200)]
    accept: bool


class _Cut(_Silencing):
    undo: bool = False


class _Joined(_Said):
    device_id: Annotated[str, Field(max_length=64)] = ""
    transport: Annotated[str, Field(max_length=32)] = ""
    microphone: bool = True
    speaker: bool = True
    time_zone: Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9_+/-]*$")] = ""
    locale: Annotated[str, Field(max_length=35, pattern=r"^[A-Za-z0-9-]*$")] = ""
    output_latency_ms: Annotated[int, Field(ge=0, le=5_000)] = 0
    feature: Annotated[str, Field(max_length=64)] = ""
    name: Annotated[str, Field(max_length=40, pattern=r"^[^\x00-\x1f\x7f]*$")] = ""


class _Changes(_Said):
    changes: Annotated[dict[str, _Setting], Field(min_length=1, max_length=64)]


COMMANDS: Mapping[str, type[BaseModel]] = {
    "text.input": _Text,
    "control.talk": _Talk,
    "control.done": _Said,
    "control.focus": _Said,
    "control.stop": _Silencing,
    "control.confirm": _Confirm,
    "device.cut": _Cut,
    "device.joined": _Joined,
    "settings.changed": _Changes,
    "session.forget": _Said,
    HEARTBEAT: _Said,
}
"""What each command's payload is."""


def scope_of(type_: str) -> Scope:
    """What a session token must allow for a command of this type."""
    return _SCOPES.get(type_, "talk")


def check_changes(changes: Mapping[str, Json]) -> None:
    """Raises `WireError` when a setting is not one that a page may change."""
    unknown = sorted(set(changes) - CHANGEABLE)
    if unknown:
        raise WireError(
            f"{unknown[0][:80]!r} cannot be changed from a device; what can is vad.*, endpointing.*, "
            "interruption.*, browser.* (engines excepted) and tts.speed"
        )


def read_command(message: str | bytes, bucket: TokenBucket, now_us: int, limits: Limits) -> Command:
    """The envelope of a message from somebody who may send so many. Raises `TooFast`, `WireError`."""
    if not bucket.take(now_us):
        raise TooFast(f"too many messages: at most {limits.messages_per_s} a second are taken")
    return parse_command(message, limits)


def parse_command(message: str | bytes, limits: Limits) -> Command:
    """The envelope of a message. Raises `WireError`."""
    if isinstance(message, bytes):
        raise WireError("commands are JSON texts, not binary messages")
    try:
        data = message.encode()
        if len(data) > limits.message_bytes:
            raise WireError(f"the message has {len(data)} bytes; at most {limits.message_bytes} are taken")
        return Command.model_validate_json(data)
    except ValidationError as error:
        raise WireError(_first(error)) from error
    except UnicodeEncodeError as error:
        raise WireError("the message is not valid Unicode") from error


def to_event(
    command: Command, device_id: str, transport: str, limits: Limits, locate: Locate = lambda rtp: None
) -> Event | None:
    """The fact that a command states, None for a heartbeat. Raises `WireError`.

    `rtp_timestamp` of a stop or a cut becomes a reply sample.
    """
    try:
        if command.type == DeviceJoined.type:
            return _joined(command, device_id, transport)
        if command.type in _MAKERS:
            event = _MAKERS[command.type](command, f"device:{device_id}", limits)
            if isinstance(event, ClientCommand):
                event = replace(event, seen_seq=command.payload.get("seen_seq", 0))
            return _located(event, command, locate)
    except ValidationError as error:
        raise WireError(f"{command.type}: {_first(error)}") from error
    known = ", ".join(sorted([*_MAKERS, DeviceJoined.type]))
    raise WireError(f"unknown type {command.type!r}; known are {known}")


def _located(event: Event | None, command: Command, locate: Locate) -> Event | None:
    """A cut or a stop with the place at which it silenced its device, where that is known."""
    rtp_timestamp = command.payload.get("rtp_timestamp")
    if not isinstance(event, ControlStop | DeviceCut) or rtp_timestamp is None or (at := locate(rtp_timestamp)) is None:
        return event
    return replace(event, played=Played(*at, measured=command.payload.get("measured", "source")))


def entry_message(entry: Entry, rtp_timestamp: int | None = None) -> str:
    """An entry for a device. `rtp_timestamp`: of the last audio packet sent before it, if known."""
    envelope = to_json(entry)
    if rtp_timestamp is not None:
        envelope["rtp_timestamp"] = rtp_timestamp
    return json.dumps(envelope, ensure_ascii=False, separators=(",", ":"))


def _first(error: ValidationError) -> str:
    """The first complaint, with its place and without the input (which may be anything)."""
    detail = error.errors(include_input=False, include_url=False)[0]
    place = ".".join(str(part) for part in detail["loc"])[:80]
    return f"{place}: {detail['msg']}" if place else detail["msg"]


def _text(command: Command, source: str, limits: Limits) -> Event:
    message = _Text.model_validate(command.payload)
    text = _CONTROLS.sub(" ", message.text).strip()
    if not text:
        raise WireError("text.input: the text is empty")
    if len(text) > limits.text_chars:
        raise WireError(f"text.input: the text has {len(text)} characters; at most {limits.text_chars} are taken")
    return TextInput(event_id=command.event_id, source=source, text=text, when=message.when)


def _talk(command: Command, source: str, limits: Limits) -> Event:
    return ControlTalk(event_id=command.event_id, source=source, on=_Talk.model_validate(command.payload).on)


def _done(command: Command, source: str, limits: Limits) -> Event:
    _Said.model_validate(command.payload)
    return ControlDone(event_id=command.event_id, source=source)


def _focus(command: Command, source: str, limits: Limits) -> Event:
    _Said.model_validate(command.payload)
    return ControlFocus(event_id=command.event_id, source=source)


def _forget(command: Command, source: str, limits: Limits) -> Event:
    _Said.model_validate(command.payload)
    return SessionForget(event_id=command.event_id, source=source)


def _stop(command: Command, source: str, limits: Limits) -> Event:
    reply_id = _Silencing.model_validate(command.payload).reply_id
    return ControlStop(event_id=command.event_id, source=source, reply_id=reply_id)


def _confirm(command: Command, source: str, limits: Limits) -> Event:
    said = _Confirm.model_validate(command.payload)
    return ControlConfirm(event_id=command.event_id, source=source, action_id=said.action_id, accept=said.accept)


def _cut(command: Command, source: str, limits: Limits) -> Event:
    said = _Cut.model_validate(command.payload)
    return DeviceCut(event_id=command.event_id, source=source, undo=said.undo, reply_id=said.reply_id)


def _changes(command: Command, source: str, limits: Limits) -> Event:
    changes: dict[str, Json] = _Changes.model_validate(command.payload).model_dump()["changes"]
    check_changes(changes)
    return SettingsChanged(event_id=command.event_id, source=source, changes=changes)


def _joined(command: Command, device_id: str, transport: str) -> Event:
    """What the client says of itself, under the id and transport that this end knows."""
    said = _Joined.model_validate(command.payload)
    return DeviceJoined(
        event_id=command.event_id,
        source=f"device:{device_id}",
        device_id=device_id,
        transport=transport,
        **said.model_dump(exclude={"device_id", "transport"}),
    )


def _heartbeat(command: Command, source: str, limits: Limits) -> None:
    _Said.model_validate(command.payload)


_SCOPES: Mapping[str, Scope] = {"control.confirm": "confirm", DeviceJoined.type: "watch", HEARTBEAT: "watch"}
"""Of the commands that do not steer."""

_MAKERS: Mapping[str, Callable[[Command, str, Limits], Event | None]] = {
    "text.input": _text,
    "control.talk": _talk,
    "control.done": _done,
    "control.focus": _focus,
    "control.stop": _stop,
    "control.confirm": _confirm,
    "device.cut": _cut,
    "settings.changed": _changes,
    "session.forget": _forget,
    HEARTBEAT: _heartbeat,
}
