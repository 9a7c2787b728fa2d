"""Dictionaries that forget their oldest keys, so that a fold over a long session stays small."""

from __future__ import annotations

from typing import TypeVar

Value = TypeVar("Value")


def remember(kept: dict[str, Value], key: str, value: Value, limit: int) -> Value:
    """Set `kept[key]`; beyond `limit` keys the one that was added first goes. Returns the value."""
    kept[key] = value
    if len(kept) > limit:
        del kept[next(iter(kept))]
    return value
