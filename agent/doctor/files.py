"""The page, the port, and the files that the agent writes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from agent.doctor.check import INSTALL, Check
from agent.errors import AgentError, SettingsError
from agent.serving import web_folder
from agent.settings import Settings
from agent.thinking.memory import Memory
from agent.timeline.sqlite import SqliteStore
from agent.transport.server import listen


def files(settings: Settings) -> Iterator[Check]:
    yield _guarded("page", lambda: str(web_folder()), INSTALL)
    server = settings.server

    def port() -> str:
        listen(server.host, server.port).close()
        return f"{server.host}:{server.port or 'any'} is free"

    yield _guarded("port", port, "")
    if settings.timeline.store == "sqlite":
        yield _guarded("timeline", lambda: _timeline(settings.timeline.path), "--set timeline.path=FILE takes another")
    yield _guarded("memory", lambda: _memory(settings.brain.memory), "--set brain.memory=FILE takes another")


def _guarded(name: str, work: Callable[[], str], mend: str) -> Check:
    """What `work` says, or what it raises."""
    try:
        return Check(name, True, work())
    except AgentError as error:
        return Check(name, False, str(error), mend)


def _timeline(path: Path) -> str:
    if not path.exists():
        return _makeable(path)

    async def opened() -> int:
        store = SqliteStore(path)
        try:
            return len(await store.sessions(1_000))
        finally:
            await store.close()

    return f"{path} holds {asyncio.run(opened())} sessions"


def _memory(path: Path) -> str:
    if not path.exists():
        return _makeable(path)

    async def problem() -> str:
        memory = Memory(path)
        await memory.start()
        try:
            return await memory.check()
        finally:
            await memory.close()

    if found := asyncio.run(problem()):
        raise SettingsError(found)
    return f"{path} can be written"


def _makeable(path: Path) -> str:
    if str(path) == ":memory:":
        return "kept in memory only"
    folder = path.resolve().parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise SettingsError(f"{path} cannot be made: {folder} is no folder that can be written")
    return f"{path} will be made"
