"""Entries as JSON: the one form that the store, the wire, the files and the page share.

    {session_id, event_id, seq, ts, t_ms, now_us, role, type, source, turn_id, parent_event_id, payload}

`payload` holds the event's own fields. `event_id` and `source` stand in the envelope alone; so
does the `turn_id` of a decision, unless it differs from the envelope's. Fields that have a default
may be missing when read, so that a timeline outlives the addition of a field; everything else that
is missing, unknown or of another type is a `WireError` that names it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from types import ModuleType, NoneType, UnionType
from typing import Any, Literal, NoReturn, cast, get_args, get_origin, get_type_hints

from agent.conversation import decisions, events, reports
from agent.conversation.decisions import Decision
from agent.conversation.events import Event, Json
from agent.errors import StoreError, WireError
from agent.timeline.entry import Entry

Decoder = Callable[[Any, str], Any]
Encoder = Callable[[Any], Json]

ENVELOPE = frozenset(
    (
        *("session_id", "event_id", "seq", "ts", "t_ms", "now_us", "role", "type", "source"),
        *("turn_id", "parent_event_id", "payload"),
    )
)
"""The keys of an entry in JSON, all of them required."""

_IN_ENVELOPE = frozenset(("event_id", "source"))


def _registered(*modules: ModuleType) -> dict[str, type[Event]]:
    """Every event class of the modules by its `type`. Raises `RuntimeError` for a type used twice."""
    found: dict[str, type[Event]] = {}
    for module in modules:
        for value in vars(module).values():
            if not (isinstance(value, type) and issubclass(value, Event) and value.type):
                continue
            if found.setdefault(value.type, value) is not value:
                raise RuntimeError(f"{value.type} is the type of {value.__name__} and of {found[value.type].__name__}")
    return found


EVENT_TYPES: Mapping[str, type[Event]] = _registered(events, reports, decisions)
"""All facts and decisions by their timeline type."""


# ── values, typed from the annotations ───────────────────────────────────────────────────


class _AnyJson:
    """Stands for the recursive `Json` alias, which cannot be resolved to its end."""


def _refuse(where: str, expected: str, value: Any) -> NoReturn:
    raise WireError(f"{where} must be {expected}, not {value!r:.80}")


def _scalar(kind: type, name: str) -> Decoder:
    def decode(value: Any, where: str) -> Any:
        if type(value) is not kind:
            _refuse(where, name, value)
        return value

    return decode


def _decode_float(value: Any, where: str) -> float:
    if type(value) not in (int, float):
        _refuse(where, "a number", value)
    return float(value)


def _decode_json(value: Any, where: str) -> Any:
    if value is not None and not isinstance(value, (bool, int, float, str, list, dict)):
        _refuse(where, "a JSON value", value)
    return value


def _decode_literal(choices: tuple[Any, ...]) -> Decoder:
    def decode(value: Any, where: str) -> Any:
        if not isinstance(value, str) or value not in choices:
            _refuse(where, "one of " + ", ".join(choices), value)
        return value

    return decode


def _decode_tuple(item: Decoder) -> Decoder:
    def decode(value: Any, where: str) -> tuple[Any, ...]:
        if not isinstance(value, list):
            _refuse(where, "a list", value)
        return tuple([item(one, where) for one in value])

    return decode


def _decode_dict(item: Decoder) -> Decoder:
    def decode(value: Any, where: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            _refuse(where, "an object", value)
        return {key: item(one, f"{where}.{key}") for key, one in value.items()}

    return decode


def _decode_record(record: type) -> Decoder:
    def decode(value: Any, where: str) -> Any:
        if not isinstance(value, dict):
            _refuse(where, "an object", value)
        return record(**_shape(record).decode(value, where))

    return decode


_SCALARS: dict[Any, Decoder] = {
    str: _scalar(str, "a string"),
    int: _scalar(int, "a whole number"),
    bool: _scalar(bool, "true or false"),
    float: _decode_float,
    _AnyJson: _decode_json,
}


def _decoder(hint: Any) -> Decoder:
    if hint in _SCALARS:
        return _SCALARS[hint]
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return _decode_literal(arguments)
    if origin is tuple and arguments[1:] == (...,):
        return _decode_tuple(_decoder(arguments[0]))
    if origin is dict and arguments[0] is str:
        return _decode_json_object if arguments[1] is _AnyJson else _decode_dict(_decoder(arguments[1]))
    if is_dataclass(hint) and isinstance(hint, type):
        return _decode_record(hint)
    if (record := _optional(hint)) is not None:
        decode = _decode_record(record)
        return lambda value, where: None if value is None else decode(value, where)
    raise RuntimeError(f"the codec has no rule for {hint}")


def _optional(hint: Any) -> type | None:
    """The class of `Class | None`."""
    arguments = [argument for argument in get_args(hint) if argument is not NoneType]
    is_union = get_origin(hint) is UnionType and len(arguments) == 1
    return arguments[0] if is_union and is_dataclass(arguments[0]) and isinstance(arguments[0], type) else None


def _decode_json_object(value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        _refuse(where, "an object", value)
    return value


def _encode_record(value: Any) -> Json:
    return {name: encode(getattr(value, name)) for name, encode in _shape(type(value)).encoders}


def _encoder(hint: Any) -> Encoder:
    if get_origin(hint) is tuple:
        item = get_args(hint)[0]
        return list if item is str else (lambda value: [_encode_record(one) for one in value])
    if _optional(hint) is not None:
        return lambda value: None if value is None else _encode_record(value)
    return lambda value: cast(Json, value)


@dataclass(frozen=True, slots=True)
class _Shape:
    """What a class looks like in JSON."""

    encoders: tuple[tuple[str, Encoder], ...]
    decoders: Mapping[str, Decoder]
    required: frozenset[str]

    def decode(self, payload: Mapping[str, Any], where: str) -> dict[str, Any]:
        decoders = self.decoders
        unknown = payload.keys() - decoders.keys()
        if unknown:
            raise WireError(f"{where} has no field {', '.join(sorted(map(str, unknown)))}")
        missing = self.required - payload.keys()
        if missing:
            raise WireError(f"{where} needs {', '.join(sorted(missing))}")
        return {name: decoders[name](value, f"{where}.{name}") for name, value in payload.items()}


_shapes: dict[type, _Shape] = {}


def _shape(record: type) -> _Shape:
    found = _shapes.get(record)
    if found is None:
        found = _shapes[record] = _inspect(record)
    return found


def _inspect(record: type) -> _Shape:
    hints = get_type_hints(record, localns={"Json": _AnyJson})
    own = [field for field in fields(record) if field.name not in _IN_ENVELOPE]
    return _Shape(
        encoders=tuple((field.name, _encoder(hints[field.name])) for field in own),
        decoders={field.name: _decoder(hints[field.name]) for field in own},
        required=frozenset(f.name for f in own if f.default is MISSING and f.default_factory is MISSING),
    )


# ── events ───────────────────────────────────────────────────────────────────────────────


def payload_of(event: Event, turn_id: str = "") -> dict[str, Json]:
    """The event's own fields as JSON values, for an envelope that carries `turn_id`."""
    payload = {name: encode(getattr(event, name)) for name, encode in _shape(type(event)).encoders}
    if isinstance(event, Decision) and event.turn_id == turn_id:
        del payload["turn_id"]
    return payload


def event_from(
    type_: str, payload: Mapping[str, Any], *, event_id: str = "", source: str = "", turn_id: str = ""
) -> Event:
    """The event of this timeline type. Raises `WireError` for whatever does not fit."""
    cls = EVENT_TYPES.get(type_)
    if cls is None:
        raise WireError(f"there is no event type {type_!r:.80}")
    values = _shape(cls).decode(payload, type_)
    if issubclass(cls, Decision):
        values.setdefault("turn_id", turn_id)
    return cls(event_id=event_id, source=source, **values)


def role_of(event: Event) -> Literal["fact", "decision"]:
    """What the event is to the core: it went in, or it came out."""
    return "decision" if isinstance(event, Decision) else "fact"


# ── entries ──────────────────────────────────────────────────────────────────────────────


def to_json(entry: Entry) -> dict[str, Json]:
    """The entry as JSON values, envelope first."""
    event = entry.event
    return {
        "session_id": entry.session_id,
        "event_id": event.event_id,
        "seq": entry.seq,
        "ts": entry.ts,
        "t_ms": entry.t_ms,
        "now_us": entry.now_us,
        "role": entry.role,
        "type": event.type,
        "source": event.source,
        "turn_id": entry.turn_id,
        "parent_event_id": entry.parent_event_id,
        "payload": cast(Json, payload_of(event, entry.turn_id)),
    }


def from_json(value: Mapping[str, Any]) -> Entry:
    """The inverse of `to_json`. Raises `WireError` naming what is missing, unknown or wrong."""
    if not isinstance(value, Mapping):
        _refuse("an entry", "an object", value)
    if value.keys() != ENVELOPE:
        odd = ", ".join(sorted(map(str, value.keys() ^ ENVELOPE)))
        raise WireError(f"an entry has exactly the keys {', '.join(sorted(ENVELOPE))}; look at: {odd}")
    text, number = _SCALARS[str], _SCALARS[int]
    turn_id = text(value["turn_id"], "turn_id")
    event = event_from(
        text(value["type"], "type"),
        _decode_json_object(value["payload"], "payload"),
        event_id=text(value["event_id"], "event_id"),
        source=text(value["source"], "source"),
        turn_id=turn_id,
    )
    role = role_of(event)
    if value["role"] != role:
        _refuse(f"the role of {event.type}", role, value["role"])
    return Entry(
        session_id=text(value["session_id"], "session_id"),
        seq=number(value["seq"], "seq"),
        ts=text(value["ts"], "ts"),
        t_ms=number(value["t_ms"], "t_ms"),
        now_us=number(value["now_us"], "now_us"),
        role=role,
        turn_id=turn_id,
        parent_event_id=text(value["parent_event_id"], "parent_event_id"),
        event=event,
    )


def dump_value(value: object) -> str:
    """One line of ASCII JSON. Raises `StoreError` for what JSON cannot hold (NaN, other objects)."""
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise StoreError(f"an event holds something that is not JSON: {error}") from None


def load_value(line: str | bytes) -> Any:
    """The value of one JSON text. Raises `WireError`."""
    try:
        return json.loads(line, parse_constant=lambda name: _refuse("a number", "finite", name))
    except (ValueError, RecursionError) as error:
        raise WireError(f"this is not JSON: {error}") from None


def dumps(entry: Entry) -> str:
    """The entry as one line of JSON, without the line end. Raises `StoreError` as `dump_value`."""
    return dump_value(to_json(entry))


def loads(line: str | bytes) -> Entry:
    """The entry of one line of JSON. Raises `WireError`."""
    return from_json(load_value(line))
