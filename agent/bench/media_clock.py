"""The clock of a playout, in the same event loop as an engine that works."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from agent.clock import Clock
from agent.transport.frame_clock import FrameClock


@asynccontextmanager
async def media_clock(clock: Clock) -> AsyncIterator[FrameClock]:
    """It ticks while what is inside goes on, and then tells its jitter."""
    frames = FrameClock(clock)
    ticking = asyncio.create_task(_tick(frames))
    try:
        yield frames
    finally:
        ticking.cancel()
        await asyncio.wait([ticking])


async def _tick(frames: FrameClock) -> None:
    while True:
        await frames.tick()
