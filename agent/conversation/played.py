"""How far a device had played a reply, and how it knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Measured = Literal["source", "stats", "player"]


@dataclass(frozen=True, slots=True)
class Played:
    """Where a device was when it silenced itself: all before `sample` of the reply had been audible.

    `measured`: its browser names the frame that was played last (`source`, a synchronization source), the place
    follows from what its statistics say of its buffer (`stats`), less what they leave open, or it counts the samples
    that have left its own player (`player`).
    """

    reply_id: str
    sample: int
    measured: Measured = "source"

    @property
    def method(self) -> Literal["device", "device_stats", "device_player"]:
        """See `PlaybackStop.method`."""
        return _METHODS[self.measured]


_METHODS: dict[Measured, Literal["device", "device_stats", "device_player"]] = {
    "source": "device",
    "stats": "device_stats",
    "player": "device_player",
}
