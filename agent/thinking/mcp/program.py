"""An MCP server that is a program: it is started, talked to in lines of JSON, and stopped.

As the library does it, but for one thing: a program that never ends its line costs only itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from subprocess import DEVNULL
from typing import TYPE_CHECKING

import anyio
from anyio import BrokenResourceError, ClosedResourceError, DelimiterNotFound, EndOfStream, IncompleteRead
from anyio.abc import ByteReceiveStream, ByteSendStream, Process
from anyio.streams.buffered import BufferedByteReceiveStream
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.client.stdio import get_default_environment
from mcp.os.posix.utilities import terminate_posix_process_tree
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter

from agent.clock import Clock
from agent.settings import McpSettings

if TYPE_CHECKING:
    from mcp.client._transport import TransportStreams

MAX_MESSAGE_MIB = 4
"""Of one message. What it is read with holds up every conversation for some milliseconds a MiB."""
GRACE_S = 2.0
"""For a program to end by itself once its input has ended, and then once it is told to."""
MAX_LAST_WORDS = 64
"""Pieces of output that are read of a program that is to end, of 64 KiB at most."""
GONE = (BrokenResourceError, ClosedResourceError, OSError)


@asynccontextmanager
async def program(
    settings: McpSettings, env: dict[str, str], on_end: Callable[[str], None]
) -> AsyncIterator[TransportStreams]:
    """Its messages and what takes ours. `on_end` is told why, before there are no more. Raises `OSError`."""
    process = await anyio.open_process(
        [settings.command, *settings.args],
        env=get_default_environment() | env,
        stderr=DEVNULL,  # it may hold what is secret
        start_new_session=True,
    )
    assert process.stdin is not None  # noqa: S101 - they are pipes
    assert process.stdout is not None  # noqa: S101
    heard, hearing = anyio.create_memory_object_stream[SessionMessage | Exception]()
    telling, told = anyio.create_memory_object_stream[SessionMessage]()
    try:
        with heard, hearing, telling, told:
            async with asyncio.TaskGroup() as tasks:
                pipes = (
                    tasks.create_task(_hear(process.stdout, heard, on_end)),
                    tasks.create_task(_tell(process.stdin, told, heard)),
                )
                try:
                    yield hearing, telling
                finally:
                    for pipe in pipes:
                        pipe.cancel()
    finally:
        async with Clock().external():
            await _stop(process)


async def _hear(
    output: ByteReceiveStream, heard: MemoryObjectSendStream[SessionMessage | Exception], on_end: Callable[[str], None]
) -> None:
    lines = BufferedByteReceiveStream(output)
    with heard, suppress(*GONE):
        while True:
            try:
                line = await lines.receive_until(b"\n", MAX_MESSAGE_MIB << 20)
            except DelimiterNotFound:
                return on_end(f"it sent a message of more than {MAX_MESSAGE_MIB} MiB")
            except IncompleteRead:
                return on_end("it ended")
            await heard.send(_message(line))


def _message(line: bytes) -> SessionMessage | Exception:
    """What is no message, such as a greeting for people, is passed on as what is wrong with it."""
    try:
        return SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False))
    except ValueError as error:
        return error


async def _tell(
    program: ByteSendStream,
    told: MemoryObjectReceiveStream[SessionMessage],
    heard: MemoryObjectSendStream[SessionMessage | Exception],
) -> None:
    with heard, suppress(*GONE):  # whom nothing can be told, nothing more is expected of
        async for item in told:
            line = item.message.model_dump_json(by_alias=True, exclude_unset=True)
            await program.send(line.encode() + b"\n")


async def _stop(process: Process) -> None:
    """Ask it to end, then make it, with everything that it started."""
    assert process.stdin is not None  # noqa: S101 - as above
    assert process.stdout is not None  # noqa: S101
    with suppress(*GONE):
        await process.stdin.aclose()
    await _drain(process.stdout)
    await terminate_posix_process_tree(process, GRACE_S)
    await _drain(process.stdout)


async def _drain(output: ByteReceiveStream) -> None:
    """Wait for its last word: a program that cannot say it cannot end, and keeps the pipe."""
    with suppress(TimeoutError, EndOfStream, *GONE):
        async with asyncio.timeout(GRACE_S):
            for _ in range(MAX_LAST_WORDS):
                await output.receive()
