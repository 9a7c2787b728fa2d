"""The real server in a process of its own, on a free port, with nothing of the user's."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from agent.clock import Clock
from agent.config.load import ENVIRONMENT_PREFIX
from agent.errors import EngineError

START_S = 90.0
STOP_S = 20.0
HEALTH_S = 10.0
KEPT_LINES = 20


@dataclass(frozen=True, slots=True)
class Server:
    url: str
    pid: int
    timeline: Path
    ready_s: float
    """From starting the process to its taking calls."""

    async def health(self, playout_s: int) -> dict[str, Any]:
        """What `/healthz` says, the playout's part of the last so many seconds, a minute at most.
        Raises `EngineError`."""
        try:
            async with httpx.AsyncClient(timeout=HEALTH_S) as http:
                found: dict[str, Any] = (await http.get(self.url + f"healthz?playout_s={playout_s}")).json()
        except httpx.HTTPError as error:
            raise EngineError(f"the server did not say how it is: {error or type(error).__name__}") from error
        return found


@asynccontextmanager
async def running(folder: Path, overrides: Sequence[str], clock: Clock) -> AsyncIterator[Server]:
    """A server in `folder` with the default settings but `overrides`. Raises `EngineError`."""
    timeline = folder / "timeline.sqlite3"
    own = ("server.port=0", f"timeline.path={timeline}", f"brain.memory={folder / 'memory.sqlite3'}")
    flags = [part for setting in (*own, *overrides) for part in ("--set", setting)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ENVIRONMENT_PREFIX)}
    started_us = clock.now_us()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "agent", "serve", *flags), cwd=folder, env=environment, stdout=PIPE, stderr=STDOUT
    )
    lines: deque[str] = deque(maxlen=KEPT_LINES)
    try:
        async with asyncio.TaskGroup() as tasks:
            url = await _announced(process, lines)
            reading = tasks.create_task(_drain(process, lines), name="server output")
            yield Server(url, process.pid, timeline, (clock.now_us() - started_us) / 1e6)
            reading.cancel()
    finally:
        await _stop(process)


async def _announced(process: Process, lines: deque[str]) -> str:
    try:
        async with asyncio.timeout(START_S):
            while line := await _line(process):
                lines.append(line)
                if found := re.search(r"http://\S+", line):
                    return found.group()
    except TimeoutError:
        lines.append(f"(nothing more for {START_S:.0f} s)")
    raise EngineError("the server did not start; it said:\n" + "".join(lines))


async def _line(process: Process) -> str:
    if process.stdout is None:
        return ""
    return (await process.stdout.readline()).decode(errors="replace")


async def _drain(process: Process, lines: deque[str]) -> None:
    while line := await _line(process):
        lines.append(line)


async def _stop(process: Process) -> None:
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGINT)
    try:
        async with asyncio.timeout(STOP_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
