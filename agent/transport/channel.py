"""The timeline on its way down to one device, over anything that sends texts."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from typing import Protocol

from agent.errors import LimitReached
from agent.timeline.entry import Entry
from agent.transport.port import Call
from agent.transport.wire import entry_message

MAX_BUFFERED_BYTES = 1_000_000
"""What may wait for a slow reader before it is cut off: several minutes of timeline."""


class Outlet(Protocol):
    """Where messages go. `buffered` is the number of bytes that wait to be sent."""

    @property
    def open(self) -> bool: ...

    @property
    def buffered(self) -> int: ...

    async def send(self, text: str) -> None: ...


async def stream_timeline(
    call: Call, outlet: Outlet, after: int, rtp_timestamp: Callable[[Entry], int | None] = lambda entry: None
) -> int:
    """Send the entries behind `after` until the session or the outlet closes; the last seq sent.

    Raises `LimitReached` for a reader that is too slow: what it missed can be asked for again
    over a new connection, but memory is not spent on it. Raises what reading the timeline raises.
    """
    async with aclosing(call.entries(after)) as source:  # type: ignore[type-var]
        async for entry in source:
            if not outlet.open:
                return after
            if outlet.buffered > MAX_BUFFERED_BYTES:
                raise LimitReached(f"the device reads too slowly: {outlet.buffered} bytes of its timeline wait")
            await outlet.send(entry_message(entry, rtp_timestamp(entry)))
            after = entry.seq
    return after
