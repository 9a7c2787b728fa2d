"""A tool of an MCP server as one of ours."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from mcp import Tool as ListedTool

from agent.conversation.events import Json
from agent.thinking.port import Proposal, ToolContext, ToolSpec, UserContext
from agent.thinking.tools.annotations import to_spec
from agent.thinking.tools.question import question

MAX_NAME_CHARS = 64
"""What every language model takes."""
MAX_DESCRIPTION_CHARS = 2_000
MAX_SCHEMA_CHARS = 20_000
_ODD = re.compile(r"[^A-Za-z0-9_-]+")

Work = Callable[["McpTool", Mapping[str, Json], ToolContext], Awaitable[Json]]


@dataclass(frozen=True)
class McpTool:
    """Implements the `Tool` port. `remote_name` is what its server calls it; `work` has that run it."""

    spec: ToolSpec
    remote_name: str
    work: Work

    async def preflight(self) -> str:
        return ""  # what its server lacks is said of the server, once

    async def propose(self, arguments: Mapping[str, Json], user: UserContext) -> Proposal:
        return Proposal(arguments, question(self.spec.name, arguments))

    async def run(self, arguments: Mapping[str, Json], context: ToolContext) -> Json:
        """Raises `ToolError`, `TimeoutError`."""
        return await self.work(self, arguments, context)


def tool_of(server: str, listed: ListedTool, work: Work, *, trusted: bool) -> McpTool | None:
    """Ours for one that the server lists; None for one with a schema so large that no prompt should carry it."""
    schema: dict[str, Json] = dict(listed.input_schema)
    if len(json.dumps(schema)) > MAX_SCHEMA_CHARS:
        return None
    hints = listed.annotations.model_dump(by_alias=True, exclude_none=True) if listed.annotations else None
    description = (listed.description or listed.title or listed.name)[:MAX_DESCRIPTION_CHARS]
    name = name_of(server, listed.name)
    return McpTool(to_spec(name, description, schema, hints, trusted=trusted), listed.name, work)


def name_of(server: str, tool: str) -> str:
    """`server_tool`, of letters, digits, _ and -. What had to be changed ends in a digest, so that no two are one."""
    plain = f"{server}_{_ODD.sub('_', tool)}"
    if plain == f"{server}_{tool}" and len(plain) <= MAX_NAME_CHARS:
        return plain
    digest = hashlib.sha256(tool.encode()).hexdigest()[:8]
    return f"{plain[: MAX_NAME_CHARS - 9]}_{digest}"
