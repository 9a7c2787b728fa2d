"""JSON Schemas (2020-12) of timeline entries, derived from the event classes by the same rules as their JSON.

A value is valid here exactly if `codec.from_json` takes it, save for `rtp_timestamp`, which the wire may add.
"""

from __future__ import annotations

import inspect
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from agent.conversation.decisions import Decision
from agent.conversation.events import Event, Json
from agent.timeline.codec import ENVELOPE

Schema = dict[str, Json]

_IN_ENVELOPE = frozenset(("event_id", "source"))
_SCALARS: dict[Any, str] = {str: "string", int: "integer", bool: "boolean", float: "number"}


class _AnyJson:
    """Stands for the recursive `Json` alias."""


def entry_schema(event: type[Event]) -> Schema:
    """Of the envelope with an event of this class inside."""
    properties: dict[str, Json] = {name: {"type": "string"} for name in sorted(ENVELOPE)}
    properties |= {
        "seq": {"type": "integer", "description": "dense in a session, from 1"},
        "t_ms": {"type": "integer", "description": "milliseconds since the session began"},
        "now_us": {"type": "integer", "description": "the same moment as the core was told it"},
        "ts": {"type": "string", "description": "UTC, ISO-8601 with milliseconds"},
        "role": {"const": "decision" if issubclass(event, Decision) else "fact"},
        "type": {"const": event.type},
        "payload": payload_schema(event),
        "rtp_timestamp": {"type": "integer", "description": "of the last audio packet sent before it, over WebRTC"},
    }
    described: Schema = {"title": event.type, "description": inspect.getdoc(event) or event.type}
    return described | _object(properties, ENVELOPE)


def payload_schema(record: type) -> Schema:
    """Of a dataclass: an event's own fields, or a record inside one."""
    hints = get_type_hints(record, localns={"Json": _AnyJson})
    own = [field for field in fields(record) if field.name not in _IN_ENVELOPE]
    required = frozenset(f.name for f in own if f.default is MISSING and f.default_factory is MISSING)
    return _object({field.name: _of(hints[field.name]) for field in own}, required)


def _of(hint: Any) -> Schema:
    if hint in _SCALARS:
        return {"type": _SCALARS[hint]}
    if hint is _AnyJson:
        return {}
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return {"enum": [*arguments]}
    if origin is tuple:
        return {"type": "array", "items": _of(arguments[0])}
    if origin is dict:
        return {"type": "object", "additionalProperties": _of(arguments[1])}
    if is_dataclass(hint) and isinstance(hint, type):
        return payload_schema(hint)
    if NoneType in arguments:
        return {"anyOf": [*(_of(one) for one in arguments if one is not NoneType), {"type": "null"}]}
    raise RuntimeError(f"there is no schema for {hint}")


def _object(properties: dict[str, Json], required: frozenset[str]) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": [*sorted(required)],
        "additionalProperties": False,
    }
