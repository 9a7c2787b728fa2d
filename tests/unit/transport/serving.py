"""A real server on loopback over sessions that are not, and readers of its events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
from fastapi import FastAPI

from agent.settings import Server, Settings
from agent.transport.http import create_app
from agent.transport.server import serve
from agent.transport.session_token import TokenKey

KEY = TokenKey(bytes(32))

Body = Callable[[httpx.AsyncClient, FastAPI], Awaitable[None]]


def served(
    body: Body, sessions: Any, settings: Settings | None = None, seconds: float = 20, key: TokenKey = KEY
) -> None:
    """Run a test against a server; its client knows the address."""

    async def main() -> None:
        app = create_app(sessions, settings or Settings(), key=key)
        ready = asyncio.get_running_loop().create_future()
        async with asyncio.timeout(seconds), asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(serve(app, Server(port=0), ready.set_result))
            try:
                async with httpx.AsyncClient(base_url=await ready, trust_env=False) as client:
                    await body(client, app)
            finally:
                serving.cancel()

    asyncio.run(main())


class Reader:
    """What comes down an event stream, taken apart."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.ids: list[str] = []
        """Of the entries, as `EPOCH:SEQ`."""
        self.messages: list[dict[str, Any]] = []
        self.beats = 0
        self.ended = asyncio.Event()

    async def read(self) -> None:
        try:
            async for line in self.response.aiter_lines():
                name, _, value = line.partition(": ")
                if name == "id":
                    self.ids.append(value)
                elif name == "data":
                    self.messages.append(json.loads(value))
                elif line == ":":
                    self.beats += 1
        finally:
            self.ended.set()

    def types(self) -> list[str]:
        return [message["type"] for message in self.messages]

    @property
    def hello(self) -> dict[str, Any]:
        assert self.messages[0]["type"] == "hello"
        payload: dict[str, Any] = self.messages[0]["payload"]
        return payload


@asynccontextmanager
async def reading(client: httpx.AsyncClient, path: str, **headers: str) -> AsyncIterator[Reader]:
    """A reader of a session's events, from its hello on."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    async with client.stream("GET", path, headers=sent, timeout=None) as response:
        assert response.status_code == 200, await response.aread()
        assert response.headers["content-type"].startswith("text/event-stream")
        reader = Reader(response)
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(reader.read())
            try:
                while not reader.messages and not reader.ended.is_set():  # noqa: ASYNC110 - lines have no event
                    await asyncio.sleep(0.01)
                yield reader
            finally:
                task.cancel()
