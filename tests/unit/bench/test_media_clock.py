"""A playout's clock beside an engine."""

from __future__ import annotations

import asyncio

from agent.bench.media_clock import media_clock
from agent.clock import Clock, run_virtual
from agent.transport.frame_clock import Jitter


def test_it_ticks_while_something_works_and_no_longer() -> None:
    async def main() -> tuple[Jitter, Jitter]:
        async with media_clock(Clock()) as frames:
            await asyncio.sleep(0.99)
        told = frames.jitter()
        await asyncio.sleep(1)
        return told, frames.jitter()

    told, later = run_virtual(main())
    assert told == later == Jitter(50, 0.0, 0.0, 0.0, 0)
