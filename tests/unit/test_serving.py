"""How the server's process ends."""

import asyncio
import os
import signal

import pytest

from agent.serving import closing_on_sigterm


def kill():
    os.kill(os.getpid(), signal.SIGTERM)


def test_sigterm_lets_everything_be_closed_before_the_process_ends():
    closed = []

    async def main():
        with closing_on_sigterm():
            asyncio.get_running_loop().call_later(0.01, kill)
            try:
                await asyncio.sleep(10)
            finally:
                kill()  # again, by somebody impatient
                await asyncio.sleep(0.05)
                closed.append(True)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended:
        asyncio.run(main())
    assert ended.value.code == 143
    assert closed
    assert signal.getsignal(signal.SIGTERM) is before


def test_what_ends_by_itself_or_is_cancelled_by_others_ends_as_without_it():
    async def sleeps(seconds):
        with closing_on_sigterm():
            await asyncio.sleep(seconds)

    async def main():
        await sleeps(0)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await sleeps(10)

    asyncio.run(main())
