"""An MCP server at an address, over streamable HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httpx2
from mcp.client.streamable_http import streamable_http_client

from agent.settings import McpSettings
from agent.thinking.mcp.program import MAX_MESSAGE_MIB

if TYPE_CHECKING:
    from mcp.client._transport import TransportStreams

READ_TIMEOUT_S = 300.0
"""A server may hold a response open for as long, before it sends anything."""
MAX_BYTES = MAX_MESSAGE_MIB << 20


@asynccontextmanager
async def address(settings: McpSettings, headers: Mapping[str, str]) -> AsyncIterator[TransportStreams]:
    """Its messages and what takes ours."""
    timeout = httpx2.Timeout(settings.timeout_s, read=READ_TIMEOUT_S)
    hooks = {"response": [_bound]}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=timeout, event_hooks=hooks) as client,
        streamable_http_client(settings.url, http_client=client, max_sse_event_size=MAX_BYTES) as streams,
    ):
        yield streams


async def _bound(response: httpx2.Response) -> None:
    """Of a stream of events each has its own bound; any other body is one message."""
    if not response.headers.get("content-type", "").startswith("text/event-stream"):
        response.stream = _Bounded(response.stream)


class _Bounded(httpx2.AsyncByteStream):
    """A body that breaks off once it is too long."""

    def __init__(self, body: httpx2.SyncByteStream | httpx2.AsyncByteStream) -> None:
        assert isinstance(body, httpx2.AsyncByteStream)  # noqa: S101 - an AsyncClient has no other
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for part in self._body:
            size += len(part)
            if size > MAX_BYTES:
                raise httpx2.StreamError(f"it sent a message of more than {MAX_MESSAGE_MIB} MiB")
            yield part

    async def aclose(self) -> None:
        await self._body.aclose()
