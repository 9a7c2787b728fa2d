"""The 20 ms clock, in virtual time."""

import asyncio

from agent.clock import Clock, run_virtual
from agent.transport.frame_clock import FrameClock


def test_frames_come_every_20_ms_without_drift():
    async def main():
        clock = Clock()
        frames = FrameClock(clock)
        seen = []
        for n in range(200):
            assert await frames.tick() == n
            seen.append(clock.now_us())
            await asyncio.sleep(0.013)
        assert seen == [20_000 * n for n in range(200)]
        assert frames.jitter().max_ms == 0

    run_virtual(main())


def test_a_short_stall_is_caught_up():
    async def main():
        clock = Clock()
        frames = FrameClock(clock)
        await frames.tick()
        await asyncio.sleep(0.09)
        assert [await frames.tick() for _ in range(5)] == [1, 2, 3, 4, 5]
        assert clock.now_us() == 100_000
        assert frames.jitter().skipped == 0
        assert frames.jitter().max_ms == 70

    run_virtual(main())


def test_a_long_stall_is_skipped_not_burst():
    async def main():
        clock = Clock()
        frames = FrameClock(clock)
        await frames.tick()
        await asyncio.sleep(1.0)
        index = await frames.tick()
        assert index == 50
        assert await frames.tick() == 51
        assert clock.now_us() == 1_020_000
        assert frames.jitter().skipped == 49

    run_virtual(main())


def test_a_window_leaves_out_what_came_before_it():
    async def main():
        clock = Clock()
        frames = FrameClock(clock)
        await frames.tick()
        await asyncio.sleep(0.15)
        for _ in range(50):
            await frames.tick()
        await asyncio.sleep(0.03)
        await frames.tick()
        whole, last_half_s, later = frames.jitter(), frames.jitter(500_000), frames.jitter(0)
        assert (whole.max_ms, whole.skipped, whole.frames) == (130, 6, 52)
        assert (last_half_s.max_ms, last_half_s.skipped, last_half_s.frames) == (10, 0, 25)
        assert (later.max_ms, later.frames) == (0, 0)

    run_virtual(main())


def test_a_minute_is_the_most_that_is_kept():
    async def main():
        frames = FrameClock(Clock())
        await frames.tick()
        await asyncio.sleep(0.05)
        for _ in range(3_000):
            await frames.tick()
        assert frames.jitter().max_ms == 30
        for _ in range(10):
            await frames.tick()
        assert (frames.jitter().max_ms, frames.jitter(10**12).max_ms, frames.jitter(10**12).frames) == (0, 0, 3_000)

    run_virtual(main())
