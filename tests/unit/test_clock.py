"""Virtual time beside what is outside of it."""

from __future__ import annotations

import asyncio
import time

import pytest

from agent import clock
from agent.clock import Clock, run_virtual


def test_a_thread_of_the_default_executor_takes_no_virtual_time() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(0.001):
            await asyncio.to_thread(time.sleep, 0.02)
        return loop.time()

    assert run_virtual(main()) == 0


def test_what_is_outside_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "EXTERNAL_LIMIT_S", 0.01)

    async def main() -> None:
        async with Clock().external():
            await asyncio.sleep(1)

    with pytest.raises(RuntimeError, match="has not answered within"):
        run_virtual(main())
