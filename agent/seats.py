"""The connections of one session: each has a seat, and one of them the microphone and the loudspeaker.

The device that joined last is live; when it leaves, the one that joined last before it is. What
the others say by text or button counts all the same, and all of them see everything.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import numpy as np
from numpy.typing import NDArray

from agent.conversation.events import DeviceJoined, DeviceLeft, Event
from agent.session import Session
from agent.timeline.entry import Entry


class Table:
    """The seats of one session."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._seats: list[Seat] = []
        self._joined: list[Seat] = []

    def __bool__(self) -> bool:
        """Whether anybody is there, or about to be."""
        return bool(self._seats)

    @property
    def present(self) -> bool:
        """Whether a device has joined, so that somebody can hear what is said."""
        return bool(self._joined)

    @property
    def live(self) -> Seat | None:
        return self._joined[-1] if self._joined else None

    def seat(self) -> Seat:
        """One more, for a device that has not joined yet."""
        self._seats.append(Seat(self))
        return self._seats[-1]

    def leave(self, seat: Seat) -> None:
        """Give a seat back; a second time does nothing."""
        self._seats = [other for other in self._seats if other is not seat]
        self.rise(seat)

    def sit(self, seat: Seat) -> None:
        if seat not in self._joined:
            self._joined.append(seat)

    def rise(self, seat: Seat) -> None:
        self._joined = [other for other in self._joined if other is not seat]


class Seat:
    """A session as one device's connection uses it. Implements `transport.port.Call`."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self.session = table.session
        self.session_id = table.session.session_id

    @property
    def live(self) -> bool:
        return self._table.live is self

    @property
    def epoch(self) -> int:
        return self.session.timeline.epoch

    def continues(self, epoch: int, seq: int) -> bool:
        return self.session.timeline.continues(epoch, seq)

    def hear(self, pcm: NDArray[np.int16]) -> None:
        if self.live:
            self.session.hear(pcm)

    def next_frame(self) -> NDArray[np.int16] | None:
        return self.session.next_frame() if self.live else None

    def position(self) -> tuple[str, int] | None:
        return self.session.position() if self.live else None

    def post(self, fact: Event) -> None:
        if isinstance(fact, DeviceJoined):
            self._table.sit(self)
        elif isinstance(fact, DeviceLeft):
            self._table.rise(self)
        self.session.post(fact)

    def entries(self, after: int = 0) -> AsyncIterator[Entry]:
        return self.session.entries(after)
