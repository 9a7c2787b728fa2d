"""The MCP servers: whether each can be connected to, and what it offers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from agent.auto import resolved
from agent.doctor.check import Check
from agent.settings import Settings
from agent.thinking.brain_skills import NOT_FOR_SKILLS

PATIENCE_S = 30.0
MEND = "the agent works without it; it is tried again while that runs"


async def mcp_servers(settings: Settings) -> AsyncIterator[Check]:
    if not settings.mcp:
        return
    if resolved(settings)[0].brain.engine == "skills":
        yield Check("mcp", None, NOT_FOR_SKILLS)
    from agent.thinking.mcp.server import McpServer  # the library takes its time to load

    for name, given in settings.mcp.items():
        server = McpServer(name, given)
        connection = asyncio.create_task(server.run())
        try:
            async with asyncio.timeout(PATIENCE_S):
                await server.settled()
        except TimeoutError:
            yield Check(f"mcp {name}", None, f"it has not answered within {PATIENCE_S:.0f} s", MEND)
        else:
            problem, listed = server.problem, ", ".join(tool.spec.name for tool in server.tools)
            yield (
                Check(f"mcp {name}", None, problem, MEND)
                if problem
                else Check(f"mcp {name}", True, listed or "no tools")
            )
        finally:
            connection.cancel()
            await asyncio.wait([connection])
