"""The caller's microphone, in virtual time."""

import asyncio

import numpy as np

from agent.bench.microphone import STEP, Microphone
from agent.clock import Clock, run_virtual


def test_first_and_last_sample_are_where_they_were_captured():
    async def main():
        clock = Clock()
        microphone = Microphone(clock)
        frames = []

        async def capture():
            while True:
                frames.append((clock.now_us(), (await microphone.recv()).to_ndarray()[0]))

        async with asyncio.TaskGroup() as tasks:
            capturing = tasks.create_task(capture())
            await asyncio.sleep(0.11)
            said = microphone.say(np.full(STEP * 2 + 480, 9_000, np.int16))
            await said.done.wait()
            capturing.cancel()
        return said, frames

    said, frames = run_virtual(main())
    loud = [index for index, (_, pcm) in enumerate(frames) if np.abs(pcm).max() > 1_000]
    assert len(loud) in (2, 3)
    # Frame n leaves at n · 20 ms, when its last sample was captured; the first loud one is the sixth.
    assert said.first_us == 100_000
    assert said.last_us == said.first_us + 50_000
    assert frames[0][0] == 0
