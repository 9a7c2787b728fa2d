"""A connection to an MCP server: a program that we start, or an address.

Nothing that such a server is given in secret may come back to light: neither by what it prints nor by the log of the
library, which shows what it could not read.
"""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from mcp import Client, Implementation
from mcp.client.session import MessageHandlerFnT

from agent.errors import ToolError
from agent.settings import McpSettings
from agent.thinking.mcp.address import address
from agent.thinking.mcp.program import program

MIN_SECRET_CHARS = 4
"""Shorter values are no secrets: they stand in every other text."""

logging.getLogger("mcp").addHandler(logging.NullHandler())
logging.getLogger("mcp").propagate = False


class Secrets:
    """What environment variables say that a server is given. Raises `ToolError` naming one that is not set."""

    def __init__(self, settings: McpSettings, environ: Mapping[str, str] = os.environ) -> None:
        def value(variable: str) -> str:
            if variable not in environ:
                raise ToolError(f"the environment variable {variable} is not set", "permission")
            return environ[variable]

        self.env = {variable: value(variable) for variable in settings.env}
        pairs = (header.split("=", 1) for header in settings.headers)
        self.headers = {name.strip(): value(variable.strip()) for name, variable in pairs}

    def hidden(self, text: str) -> str:
        """The text without any of them."""
        for secret in (*self.env.values(), *self.headers.values()):
            for part in (secret, *secret.split()):
                if len(part) >= MIN_SECRET_CHARS:
                    text = text.replace(part, "…")
        return text


@asynccontextmanager
async def connected(
    settings: McpSettings, secrets: Secrets, on_message: MessageHandlerFnT, on_end: Callable[[str], None]
) -> AsyncIterator[Client]:
    """A client whose handshake is done. To be entered and left by one task. Raises what the transport raises.
    `on_end`: told why a program is not there any more."""
    # The version of the protocol is found by asking; a server of any era will do.
    transport = program(settings, secrets.env, on_end) if settings.command else address(settings, secrets.headers)
    info = Implementation(name="voice-agent", version="0.1.0")
    async with Client(transport, client_info=info, message_handler=on_message, cache=None) as client:
        yield client
