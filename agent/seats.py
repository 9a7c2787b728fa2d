"""The connections of one session: each has a seat, and one of them the microphone and the loudspeaker.

The session says which device has the focus; its latest connection is live. What the others say by text or
button counts all the same, and all of them see everything. To their microphones nobody listens but a
detector of voices, by which the focus follows who talks to another device (`sessions.follow_me`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import numpy as np
from numpy.typing import NDArray

from agent.conversation.events import DeviceJoined, DeviceLeft, DeviceSpeech, Event
from agent.hearing.bystander import Bystander
from agent.session import Session
from agent.timeline.entry import Entry
from agent.timeline.receipt import Receipt, receipt


class Table:
    """The seats of one session."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._seats: list[Seat] = []
        self._joined: list[Seat] = []

    def __bool__(self) -> bool:
        """Whether anybody is there, or about to be, for whom the session goes on."""
        return any(seat.wakes for seat in self._seats)

    @property
    def present(self) -> bool:
        """Whether a device has joined, so that somebody can hear what is said."""
        return bool(self._joined)

    @property
    def live(self) -> Seat | None:
        live_id = self.session.live_device_id
        return next((seat for seat in reversed(self._joined) if seat.device_id == live_id), None)

    def seat(self, *, wakes: bool = True) -> Seat:
        """One more, for a device that has not joined yet. `wakes`: the session goes on while it is there."""
        self._seats.append(Seat(self, wakes=wakes))
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

    def __init__(self, table: Table, *, wakes: bool) -> None:
        self._table = table
        self.wakes = wakes
        self.session = table.session
        self.session_id = table.session.session_id
        self.device_id = ""
        """Once it has joined."""
        self._bystander: Bystander | None = None

    @property
    def live(self) -> bool:
        return self._table.live is self

    @property
    def epoch(self) -> int:
        return self.session.timeline.epoch

    @property
    def over(self) -> bool:
        return self.session.over

    def continues(self, epoch: int, seq: int) -> bool:
        return self.session.timeline.continues(epoch, seq)

    def hear(self, pcm: NDArray[np.int16]) -> None:
        if self.live:
            self._bystander = None
            self.session.hear(pcm)
        elif self.device_id and self.session.settings.sessions.follow_me:
            self._stand_by(pcm)

    def _stand_by(self, pcm: NDArray[np.int16]) -> None:
        """Somebody may talk here while another device is live."""
        self._bystander = self._bystander or self.session.bystander()
        if not self._bystander.hear(pcm):
            return
        self.session.post(DeviceSpeech(source="hearing", device_id=self.device_id))
        if self.live:
            self.session.hear(self._bystander.take())
            self._bystander = None

    def next_frame(self) -> NDArray[np.int16] | None:
        return self.session.next_frame() if self.live else None

    def position(self) -> tuple[str, int] | None:
        return self.session.position() if self.live else None

    def post(self, fact: Event) -> None:
        if isinstance(fact, DeviceJoined):
            self.device_id = fact.device_id
            self._table.sit(self)
        elif isinstance(fact, DeviceLeft):
            self._table.rise(self)
        self.session.post(fact)

    async def recorded(self, event_id: str) -> Receipt:
        return await receipt(self.session.timeline, event_id)

    def entries(self, after: int = 0) -> AsyncIterator[Entry]:
        return self.session.entries(after)
