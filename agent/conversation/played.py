"""How far a device had played a reply, and how it knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Played:
    """Where a device was when it silenced itself: all before `sample` of the reply had been audible.

    `measured`: its browser names the frame that was played last (`source`, a synchronization source), or the
    place follows from what its statistics say of its buffer (`stats`), less what they leave open.
    """

    reply_id: str
    sample: int
    measured: Literal["source", "stats"] = "source"
