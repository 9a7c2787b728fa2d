"""The timeline on its way down to one device, over anything that sends texts."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from typing import Protocol

from agent.timeline.entry import Entry
from agent.transport.port import Call
from agent.transport.wire import entry_message


class Outlet(Protocol):
    """Where messages go. `send` returns once there is room for the next one, so that what a slow reader has not taken
    yet stays in the timeline and in nobody's memory."""

    @property
    def open(self) -> bool: ...

    async def send(self, text: str) -> None: ...


async def stream_timeline(
    call: Call, outlet: Outlet, after: int, rtp_timestamp: Callable[[Entry], int | None] = lambda entry: None
) -> int:
    """Send the entries behind `after` until the session or the outlet closes; the last seq sent.

    Raises what the outlet raises for a reader that takes nothing: what it missed can be asked for again over a new
    connection. Raises what reading the timeline raises.
    """
    async with aclosing(call.entries(after)) as source:  # type: ignore[type-var]
        async for entry in source:
            if not outlet.open:
                return after
            await outlet.send(entry_message(entry, rtp_timestamp(entry)))
            after = entry.seq
    return after
