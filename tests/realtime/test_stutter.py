"""Whatever one caller does, or loses, nobody else's answer stutters."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import psutil
import pytest

from agent.bench.floor import watched
from tests.fixtures.calls import TestCall, calling
from tests.fixtures.server import ROOT, Server, environment, start_server, stop_server, wait_idle

pytestmark = pytest.mark.realtime

GAP_MS = 100
QUESTION = "what time is it in tokyo right now"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_server(tmp_path_factory.mktemp("stutter"), "limits.sessions=4", "limits.silent_peer_s=2")
    yield server
    stop_server(server)


@pytest.fixture
def server(shared: Server) -> Iterator[Server]:
    """One server for all, with nobody connected before and after."""
    yield shared
    assert wait_idle(shared), "a session stayed open"


@asynccontextmanager
async def unbroken(call: TestCall) -> AsyncIterator[None]:
    """Meanwhile the call hears a long answer without a gap, but for those that the machine makes in anything."""
    async with watched() as floor:
        since_us = await call.begin_long_answer()
        yield
        gap_ms = call.longest_gap_ms(since_us)
    stall_ms = max(floor.late_ms, default=0.0)
    limit_ms = GAP_MS + 2 * stall_ms  # the machine may stall the one who speaks, and then the one who hears
    assert gap_ms < limit_ms, f"a gap of {gap_ms} ms, where a bare timer was {stall_ms:.0f} ms late at most"


def recognisers(server: Server) -> dict[int, float]:
    """CPU seconds of each recogniser process."""
    children = psutil.Process(server.process.pid).children(recursive=True)
    return {child.pid: child.cpu_times().user for child in children if "sphinx_worker" in " ".join(child.cmdline())}


async def recognisers_at_rest(server: Server) -> None:
    """A new one is busy too, with loading its models."""
    before: dict[int, float] = {}
    while before != (before := recognisers(server)):  # noqa: ASYNC110 - another process has no event
        await asyncio.sleep(0.5)


async def kill_the_busy_recogniser(server: Server) -> None:
    before = recognisers(server)
    await asyncio.sleep(0.7)
    spent = {pid: cpu - before.get(pid, cpu) for pid, cpu in recognisers(server).items()}
    os.kill(max(spent, key=lambda pid: spent[pid]), signal.SIGKILL)


def test_a_killed_recogniser_is_reported_and_replaced_and_nobody_else_stutters(server: Server) -> None:
    async def main() -> None:
        async with calling(server.url) as speaker, calling(server.url) as other:
            await recognisers_at_rest(server)
            async with unbroken(other):
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(speaker.speak(QUESTION + " please"))
                    tasks.create_task(kill_the_busy_recogniser(server))
                fault = await speaker.event("error")
                assert fault["payload"]["code"].startswith("asr")
                await speaker.event("reply.done")
                since = speaker.position
                await speaker.speak(QUESTION)
                assert "Tokyo" in await speaker.answered(since)
            assert "error" not in other.types()

    asyncio.run(main())


async def misbehaving(how: str, server: Server) -> str:
    """Run such a caller in a process of its own; what it says became of it."""
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.fixtures.calls", how, server.url, cwd=ROOT, env=environment(), stdout=PIPE
    )
    async with asyncio.timeout(30):
        printed, _ = await program.communicate()
    return printed.decode()


def test_a_flood_and_ten_megabytes_hurt_nobody_else(server: Server) -> None:
    async def main() -> None:
        async with calling(server.url) as other:
            async with unbroken(other):
                assert "too many" in await misbehaving("flood", server)
                assert await misbehaving("huge", server) == "hung up"
            assert "6" in await other.answer("three plus three")
            assert "error" not in other.types()

    asyncio.run(main())
