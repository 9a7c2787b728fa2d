"""Tool calls put together from the pieces in which a chat API streams them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import NoReturn

from agent.conversation.events import Json
from agent.thinking.port import Call

MAX_CALLS = 32
"""In one answer; further ones are left out."""
MAX_ARGUMENTS_CHARS = 32_768


@dataclass(slots=True)
class _Slot:
    index: int
    call_id: str = ""
    name: str = ""
    arguments: str = ""


class CallAssembler:
    """Pieces come in any order and may be cut anywhere. The index tells which call a piece belongs to; where
    a server gives all of them the same one, another id begins another call."""

    def __init__(self) -> None:
        self._slots: list[_Slot] = []
        self._open: dict[int, _Slot] = {}

    def add(self, index: int, call_id: str, name: str, arguments: str) -> None:
        """Take one piece; what it does not tell is empty."""
        slot = self._open.get(index)
        if slot is None or (call_id and slot.call_id and call_id != slot.call_id):
            if len(self._slots) >= MAX_CALLS:
                return
            slot = self._open[index] = _Slot(index)
            self._slots.append(slot)
        slot.call_id = slot.call_id or call_id
        slot.name = slot.name or name
        if len(slot.arguments) <= MAX_ARGUMENTS_CHARS:
            slot.arguments += arguments

    def calls(self) -> list[Call]:
        """Those begun so far, in the model's order."""
        return [_call(slot) for slot in sorted(self._slots, key=lambda slot: slot.index)]


def _call(slot: _Slot) -> Call:
    try:
        return Call(slot.call_id, slot.name, _read(slot.arguments))
    except (ValueError, RecursionError) as error:
        return Call(slot.call_id, slot.name, {}, problem=f"the arguments cannot be read: {error}")


def _read(text: str) -> dict[str, Json]:
    """The arguments' values. Raises `ValueError` or `RecursionError` for what is no JSON object of sound values."""
    if len(text) > MAX_ARGUMENTS_CHARS:
        raise ValueError(f"they are longer than {MAX_ARGUMENTS_CHARS} characters")
    if not text.strip():
        return {}
    value = json.loads(text, parse_constant=_refuse)
    if not isinstance(value, dict):
        raise ValueError("they must be a JSON object")
    json.dumps(value, ensure_ascii=False, allow_nan=False).encode()  # half a character, or a number beyond all bounds
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")
