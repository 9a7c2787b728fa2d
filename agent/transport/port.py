"""What a transport sees of a session: audio both ways, commands up, the timeline down.

The transport is the playout's clock: every 20 ms it takes one frame and sends it. Taking is
synchronous and never blocks, so what has not been taken can still be dropped at once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from agent.conversation.events import Event
from agent.owners import LOCAL
from agent.timeline.entry import Entry
from agent.timeline.receipt import Receipt

PLAYOUT_RATE = 48_000
FRAME_SAMPLES = 960
"""Samples of a playout frame: 20 ms at `PLAYOUT_RATE`."""


class Call(Protocol):
    """One session, as one device's connection uses it."""

    session_id: str

    @property
    def epoch(self) -> int:
        """Of who holds the session, higher each time that it is taken up; entries that were never stored are of one
        epoch only."""
        ...

    @property
    def over(self) -> bool:
        """Whether the conversation was ended: else, when its timeline grows no more, it can be taken up again."""
        ...

    def continues(self, epoch: int, seq: int) -> bool:
        """Whether what a device saw in `epoch`, up to `seq`, is what the timeline begins with."""
        ...

    def hear(self, pcm: NDArray[np.int16]) -> None:
        """Microphone audio: mono int16, 16 kHz, shape (samples,), any length. Never blocks."""
        ...

    def next_frame(self) -> NDArray[np.int16] | None:
        """The next 20 ms of playout, int16 mono 48 kHz, shape (960,), or None for silence."""
        ...

    def position(self) -> tuple[str, int] | None:
        """The reply, and its sample, that the next frame begins with; None while nothing is to be said."""
        ...

    def post(self, fact: Event) -> None:
        """Hand a fact to the conversation (device joined or left, a client's command)."""
        ...

    async def recorded(self, event_id: str) -> Receipt:
        """What became of a command that was posted, once that is durable. Raises `SessionGone` for one that came
        too late, `Indeterminate` when the store does not answer."""
        ...

    def entries(self, after: int = 0) -> AsyncIterator[Entry]:
        """Timeline entries with seq > after, in order, as they are made, until the session
        closes. Raises `LimitReached` when the reader falls behind what memory keeps."""
        ...


class Sessions(Protocol):
    """The sessions of this process."""

    async def open(self, *, owner: str = LOCAL) -> Call:
        """A new session of this owner, its engines ready. Raises `LimitReached`."""
        ...

    async def join(self, session_id: str, owner: str = LOCAL, *, wakes: bool = True) -> Call:
        """One more connection to a session of this owner that goes on, or to one that rests in the store. One that
        does not wake it neither has it taken up nor keeps it from resting.
        Raises `SessionGone`, saying why it cannot be taken up, `SessionHeld`, `SessionRests`, `LimitReached`,
        `StoreError`."""
        ...

    async def leave(self, call: Call, reason: str, *, for_good: bool) -> None:
        """A connection has ended; each call is to be left once. A session that nobody is left in waits for a
        while, or ends at once when its last device left for good; returns when its tasks have ended then."""
        ...
