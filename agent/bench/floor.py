"""The floor under a measurement: what the machine allowed anybody meanwhile."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from agent.bench import bare_timer
from agent.bench.steal import Steal

TIMER_S = 10.0
"""What the timer may take to start or to end; without it there is no floor."""


@dataclass(slots=True)
class Floor:
    """`late_ms`: of each tick of a bare 20 ms timer. `stolen`: the share of the cores' time that the
    hypervisor gave to others. Empty and None where they could not be measured."""

    late_ms: list[float] = field(default_factory=list)
    stolen: float | None = None


@asynccontextmanager
async def watched() -> AsyncIterator[Floor]:
    """Measures the floor of what is done inside; the result is filled in at the end."""
    floor = Floor()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", bare_timer.__file__), stdin=asyncio.subprocess.DEVNULL, stdout=PIPE
    )
    try:
        started = await _line(process) == b"ready\n"
        steal = Steal()
        yield floor
        floor.stolen = steal.share()
        if started:
            floor.late_ms = [int(line) / 1_000 for line in await _rest(process)]
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _line(process: Process) -> bytes:
    assert process.stdout is not None  # noqa: S101 - it was asked for
    try:
        async with asyncio.timeout(TIMER_S):
            return await process.stdout.readline()
    except TimeoutError:
        return b""


async def _rest(process: Process) -> list[bytes]:
    if process.returncode is not None:
        return []
    process.terminate()
    try:
        async with asyncio.timeout(TIMER_S):
            out, _ = await process.communicate()
    except TimeoutError:
        return []
    return out.splitlines()
