"""An MCP server: kept connected by one task, asked by any.

    starting     a connection is being made                 no tools yet, and nothing is wrong
    connected    its tools are listed                       and listed again when it says that they changed
    lost         it died, hangs or refuses                  its tools stay known and fail at once, with the reason
                                                            it is connected to again after 1, 2, 4, … 60 s

A call that only reads is given up after `timeout_s`, or when it is cancelled; the server is told. A write is never
stopped half way: it ends with the server's answer, or with the connection, and then nobody knows whether it was done.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, suppress

from mcp import Client, MCPError
from mcp import Tool as ListedTool
from mcp.client.session import IncomingMessage
from mcp.client.subscriptions import ListenNotSupportedError, SubscriptionLost
from mcp_types import CONNECTION_CLOSED, ToolListChangedNotification

from agent.clock import Clock
from agent.conversation.actions import UNKNOWN
from agent.conversation.events import Json
from agent.errors import ToolError
from agent.settings import McpSettings
from agent.thinking.mcp.connection import Secrets, connected
from agent.thinking.mcp.content import content_of
from agent.thinking.mcp.tool import McpTool, tool_of
from agent.thinking.port import ToolContext

START_TIMEOUT_S = 60.0
"""One that is fetched first when it is started, as package runners do, takes its time."""
HEARTBEAT_S = 10.0
"""A server that nothing is heard of is asked for its tools this often."""
FIRST_PAUSE_S = 1.0
MAX_PAUSE_S = 60.0
MAX_TOOLS = 128
MAX_CALLS = 32
"""At once, of all conversations."""
MAX_REASON_CHARS = 300
WRITE_TIMEOUT_S = 600.0
"""From then on a server that has not answered a write counts as hung."""

log = logging.getLogger("agent")


class McpServer:
    """Implements the `ToolSource` port; `run` is its one task."""

    def __init__(self, name: str, settings: McpSettings) -> None:
        self.name = name
        self.tools: tuple[McpTool, ...] = ()
        self.problem = ""
        self._settings = settings
        self._client: Client | None = None
        self._secrets = Secrets(McpSettings.model_construct())
        self._lasted = False
        """The connection outlived a heartbeat."""
        self._end = ""
        """Why the program is not there any more, once it told by its end."""
        self._calls = 0
        self._due = asyncio.Event()
        """It is to be asked for its tools now."""
        self._changed = asyncio.Condition()

    async def problem_other_than(self, known: str) -> str:
        """See `ToolSource`."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.problem != known)
            return self.problem

    async def settled(self) -> None:
        """Wait until it is connected, or why it is not is known."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._client is not None or self.problem)

    # ── the connection ───────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Keep connected until cancelled."""
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                await self._stay_connected()
            except Exception as error:
                # The boundary to a program of somebody else, and to a library that has its own ideas of errors.
                await self._lost(error)
            if self._lasted:
                pause_s = FIRST_PAUSE_S
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, MAX_PAUSE_S)

    async def _stay_connected(self) -> None:
        """Connect, and follow its list of tools until the connection fails, which raises."""
        self._lasted, self._end = False, ""
        self._secrets = Secrets(self._settings)
        async with AsyncExitStack() as stack:
            async with Clock().external(), asyncio.timeout(START_TIMEOUT_S):
                client = await stack.enter_async_context(
                    connected(self._settings, self._secrets, self._on_message, self._on_end)
                )
            await self._list(client)
            self._client = client
            await self._say("")
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._listen(client))
                while True:
                    await self._news()
                    try:
                        await self._list(client)
                    except TimeoutError:
                        if not self._calls:  # else it may only be busy with what it was asked to do
                            raise

    async def _news(self) -> None:
        """Wait until its tools are to be listed again."""
        try:
            async with asyncio.timeout(HEARTBEAT_S):
                await self._due.wait()
        except TimeoutError:
            self._lasted = True
        self._due.clear()

    async def _on_message(self, message: IncomingMessage) -> None:
        """What servers of the protocol's older versions send unasked."""
        if isinstance(message, ToolListChangedNotification):
            self._due.set()

    def _on_end(self, why: str) -> None:
        self._end = why
        self._due.set()

    async def _listen(self, client: Client) -> None:
        """Follow the changes that servers of newer versions are to be asked for; what is missed the heartbeat finds."""
        with suppress(ListenNotSupportedError, SubscriptionLost, MCPError, TimeoutError):
            async with client.listen(tools_list_changed=True) as subscription:
                async for _ in subscription:
                    self._due.set()

    async def _list(self, client: Client) -> None:
        listed: list[ListedTool] = []
        async with Clock().external(), asyncio.timeout(self._settings.timeout_s):
            page = await client.list_tools()
            listed += page.tools
            while page.next_cursor is not None and len(listed) < MAX_TOOLS:
                page = await client.list_tools(cursor=page.next_cursor)
                listed += page.tools
        tools = {tool.spec.name: tool for tool in self._usable(listed[:MAX_TOOLS])}
        if [tool.spec for tool in self.tools] != [tool.spec for tool in tools.values()]:
            self.tools = tuple(tools.values())

    def _usable(self, listed: Sequence[ListedTool]) -> Iterator[McpTool]:
        wanted = self._settings.tools
        for one in listed:
            if wanted and one.name not in wanted:
                continue
            tool = tool_of(self.name, one, self._call, trusted=self._settings.trusted)
            if tool is not None:
                yield tool

    async def _lost(self, error: Exception) -> None:
        self._client = None
        await self._say(f"the MCP server {self.name} does not work: {self._end or self._reason(error)}")

    async def _say(self, problem: str) -> None:
        if problem and problem != self.problem:
            log.warning("%s", problem)
        async with self._changed:
            self.problem = problem
            self._changed.notify_all()

    def _reason(self, error: BaseException) -> str:
        """In words that hold no secret: of an error that is not known, only what it is called."""
        if isinstance(error, BaseExceptionGroup):
            return self._reason(error.exceptions[0])
        if isinstance(error, MCPError):
            return self._secrets.hidden(error.message)[:MAX_REASON_CHARS]
        if isinstance(error, ToolError):
            return str(error)
        if isinstance(error, TimeoutError):
            return "it does not answer"
        if isinstance(error, OSError) and error.strerror:
            return f"{self._settings.command or 'its address'}: {error.strerror}"
        return f"it cannot be reached ({type(error).__name__})"

    # ── calls ────────────────────────────────────────────────────────────────────────────

    async def _call(self, tool: McpTool, arguments: Mapping[str, Json], context: ToolContext) -> Json:
        """Raises `ToolError`."""
        client, write = self._client, tool.spec.effect == "write"
        if client is None:
            raise ToolError(self.problem or f"the MCP server {self.name} is not connected", "unreachable")
        if self._calls >= MAX_CALLS:
            raise ToolError(f"{MAX_CALLS} calls of the MCP server {self.name} are under way", "limit")

        async def progressed(progress: float, total: float | None, message: str | None) -> None:
            context.progress(self._secrets.hidden(message or ""), progress / total if total else None)

        self._calls += 1
        try:
            async with Clock().external(), asyncio.timeout(WRITE_TIMEOUT_S if write else self._settings.timeout_s):
                result = await client.call_tool(tool.remote_name, dict(arguments), progress_callback=progressed)
        except MCPError as error:
            if error.code != CONNECTION_CLOSED:
                raise ToolError(self._reason(error), "crash") from None
            raise self._broken(write, "unreachable", "the connection broke") from None
        except TimeoutError:
            raise self._broken(write, "timeout", "it took too long") from None
        except Exception as error:
            # As in `run`; and what was asked for may have been done.
            raise self._broken(write, "unreachable", self._reason(error)) from None
        finally:
            self._calls -= 1
        content = self._hidden(content_of(result))
        if result.is_error:
            raise ToolError(content if isinstance(content, str) else json.dumps(content), "crash")
        return content

    def _broken(self, write: bool, error_class: str, reason: str) -> ToolError:
        """For a call without an answer; the server is looked after."""
        self._due.set()
        return ToolError(f"{reason} (MCP server {self.name})", UNKNOWN if write else error_class)

    def _hidden(self, content: Json) -> Json:
        if isinstance(content, str):
            return self._secrets.hidden(content)
        shown: Json = json.loads(self._secrets.hidden(json.dumps(content)))
        return shown
