"""MCP servers written with the SDK: as programs, and over HTTP. Nothing here waits longer than it must."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest
import uvicorn
from mcp import Tool as ListedTool
from mcp_types import CallToolResult, ImageContent, TextContent, ToolAnnotations

from agent.app import App
from agent.conversation.events import Json
from agent.conversation.reports import ToolProgress
from agent.doctor.check import Check
from agent.doctor.mcp_servers import mcp_servers
from agent.errors import ToolError
from agent.parts import Parts
from agent.settings import BrainSettings, McpSettings, Settings, TimelineSettings
from agent.thinking.mcp import server as server_module
from agent.thinking.mcp.connection import Secrets
from agent.thinking.mcp.content import MAX_CHARS, content_of
from agent.thinking.mcp.server import McpServer
from agent.thinking.mcp.tool import MAX_SCHEMA_CHARS, McpTool, name_of, tool_of
from agent.thinking.port import ToolContext, UserContext
from tests.fixtures import mcp_mortal, mcp_server
from tests.fixtures.deaf import Deaf, NeverSpeech
from tests.unit.thinking.session_talk import Quick
from tests.unit.thinking.test_thinking_loop import FakeBrain

PROGRAM = Path(mcp_server.__file__)
USER = UserContext(datetime(2026, 3, 4, tzinfo=UTC))
SECRET = "hush-4711"  # noqa: S105 - of a test


@pytest.fixture
def diary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "diary.txt"
    path.touch()
    monkeypatch.setenv("MCP_DIARY", str(path))
    monkeypatch.setenv("MCP_SECRET", SECRET)
    monkeypatch.setattr(server_module, "FIRST_PAUSE_S", 0.02)
    return path


def program(**changed: object) -> McpSettings:
    given: dict[str, object] = {
        "command": sys.executable, "args": (str(PROGRAM),), "env": ("MCP_DIARY", "MCP_SECRET"), "timeout_s": 10.0,
    }  # fmt: skip
    return McpSettings.model_validate(given | changed)


@asynccontextmanager
async def running(settings: McpSettings) -> AsyncIterator[McpServer]:
    server = McpServer("diary", settings)
    task = asyncio.create_task(server.run())
    try:
        yield server
    finally:
        task.cancel()
        async with asyncio.timeout(20):
            await asyncio.wait([task])


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 - it is about another program
            await asyncio.sleep(0.01)


def tool(server: McpServer, name: str) -> McpTool:
    return next(one for one in server.tools if one.remote_name == name)


async def use(server: McpServer, name: str, report: list[ToolProgress] | None = None, **arguments: Json) -> Json:
    told = report if report is not None else []
    return await tool(server, name).run(arguments, ToolContext(USER, report=told.append))


async def failure(server: McpServer, name: str, **arguments: Json) -> tuple[str, str]:
    with pytest.raises(ToolError) as failed:
        await use(server, name, **arguments)
    return failed.value.error_class, str(failed.value)


def test_a_program_whose_tools_are_found_called_cancelled_and_followed(diary: Path) -> None:
    async def main() -> None:
        async with running(program()) as server:
            await until(lambda: bool(server.tools))
            specs = {one.remote_name: one.spec for one in server.tools}
            assert specs["echo"].name == "diary_echo"
            assert (specs["echo"].effect, specs["echo"].description) == ("read", "Say it again.")
            assert specs["echo"].parameters["required"] == ["text"]
            assert (specs["pay"].effect, specs["pay"].risk, specs["pay"].confirm) == ("write", "high", "user")
            proposal = await tool(server, "pay").propose({"amount": 5, "whom": "Anna"}, USER)
            assert proposal.text == "Diary pay, with amount 5 and whom Anna."

            assert await use(server, "echo", text="hello") == "hello"
            assert await use(server, "pay", amount=5, whom="Anna") == "Paid 5 to Anna."
            assert await use(server, "tell_secret") == "It is …."
            error_class, message = await failure(server, "fail")
            assert error_class == "crash"
            assert "no such page" in message
            assert (await failure(server, "pay", amount="much"))[0] == "crash"

            told: list[ToolProgress] = []
            waiting = asyncio.create_task(use(server, "wait", told))
            await until(lambda: bool(told))
            assert (told[0].message, told[0].share) == ("the first quarter", 0.25)
            waiting.cancel()
            await until(lambda: "wait was cancelled" in diary.read_text())
            assert await use(server, "echo", text="still there") == "still there"

            assert await use(server, "grow") == "I grew."
            await until(lambda: any(one.remote_name == "learnt" for one in server.tools))
            assert await use(server, "learnt") == "more"

    asyncio.run(main())


def test_a_program_that_dies_or_hangs_is_started_again_and_says_so_meanwhile(
    diary: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.thinking.mcp.program.GRACE_S", 0.1)

    async def main() -> None:
        async with running(program(args=(mcp_mortal.__file__,), timeout_s=1.5)) as server:
            await until(lambda: bool(server.tools))
            problem = asyncio.create_task(server.problem_other_than(""))
            error_class, message = await failure(server, "die")
            assert error_class == "unknown", "nobody knows whether a write was done that broke off"
            assert message == "the connection broke (MCP server diary)"
            assert "the MCP server diary does not work" in await problem
            await until(lambda: not server.problem)
            assert await use(server, "echo") == "here"

            assert await failure(server, "hang") == ("timeout", "it took too long (MCP server diary)")
            assert "it does not answer" in await server.problem_other_than("")
            assert (await failure(server, "echo"))[0] == "unreachable"
            await until(lambda: not server.problem)
            assert await use(server, "echo") == "here"

    with caplog.at_level(logging.DEBUG):
        asyncio.run(main())
    assert diary.read_text().count("started") == 3
    assert SECRET not in caplog.text + "".join(capfd.readouterr())


def test_a_program_that_never_ends_its_line_costs_only_itself(diary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.thinking.mcp.program.GRACE_S", 0.1)
    mortal = program(args=(mcp_mortal.__file__,))

    async def main() -> None:
        async with running(mortal) as server, running(mortal) as other:
            await until(lambda: bool(server.tools and other.tools))
            before = psutil.Process().memory_info().rss
            talking = asyncio.create_task(failure(server, "echo", endlessly=True))
            assert await use(other, "echo") == "here"
            assert await talking == ("unreachable", "the connection broke (MCP server diary)")
            assert psutil.Process().memory_info().rss - before < 32 << 20
            assert "it sent a message of more than 4 MiB" in await server.problem_other_than("")
            await until(lambda: not server.problem)
            assert await use(server, "echo") == "here"
            assert not other.problem

    asyncio.run(main())


def test_a_program_that_dies_while_nobody_asks_it_anything_is_missed_at_once(
    diary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "HEARTBEAT_S", 1_000)

    async def main() -> None:
        async with running(program(args=(mcp_mortal.__file__,))) as server:
            await until(lambda: bool(server.tools))
            [started] = psutil.Process().children()
            started.kill()
            async with asyncio.timeout(20):
                assert "it ended" in await server.problem_other_than("")
            await until(lambda: not server.problem)
            assert await use(server, "echo") == "here"

    asyncio.run(main())


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (McpSettings(command="/nowhere/at-all"), "/nowhere/at-all: No such file or directory"),
        (McpSettings(command=sys.executable, env=("MCP_NOT_SET",)), "MCP_NOT_SET is not set"),
        (McpSettings(command=sys.executable, args=("-c", "print('hello')")), "it ended"),
        (McpSettings(command="/bin/sleep", args=("60",)), "it does not answer"),
        (McpSettings(url="http://127.0.0.1:9/mcp"), "it cannot be reached (ConnectError)"),
    ],
)
def test_a_server_that_cannot_be_had_says_why_and_is_tried_again(
    settings: McpSettings, reason: str, diary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.thinking.mcp.program.GRACE_S", 0.1)
    if settings.command == "/bin/sleep":
        monkeypatch.setattr(server_module, "START_TIMEOUT_S", 0.2)
    tries = []
    secrets = server_module.Secrets
    monkeypatch.setattr(server_module, "Secrets", lambda given: tries.append(given) or secrets(given))

    async def main() -> None:
        async with running(settings) as server:
            async with asyncio.timeout(20):
                assert reason in await server.problem_other_than("")
            await until(lambda: len(tries) > 2)
            assert server.tools == ()

    asyncio.run(main())


def test_a_server_over_http_gets_its_headers_and_hears_of_cancellations(diary: Path) -> None:
    seen: list[str] = []

    async def main() -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"

        async def serve() -> tuple[uvicorn.Server, asyncio.Task[None]]:
            app = mcp_server.server.streamable_http_app()

            async def noting(scope, receive, send) -> None:  # type: ignore[no-untyped-def]
                seen.extend(value.decode() for name, value in scope.get("headers", []) if name == b"authorization")
                await app(scope, receive, send)

            web = uvicorn.Server(uvicorn.Config(noting, log_level="critical", timeout_graceful_shutdown=0))
            return web, asyncio.create_task(web.serve([listener.dup()]))

        web, serving = await serve()
        settings = McpSettings(url=url, headers=("Authorization = MCP_SECRET",), tools=("echo", "wait"), trusted=False)
        async with running(settings) as server:
            await until(lambda: bool(server.tools))
            assert [one.spec.name for one in server.tools] == ["diary_echo", "diary_wait"]
            assert server.tools[0].spec.confirm == "user", "its word that it only reads is not believed"
            assert await use(server, "echo", text="hello") == "hello"
            waiting = asyncio.create_task(use(server, "wait"))
            await until(lambda: "wait began" in diary.read_text())
            waiting.cancel()
            await until(lambda: "wait was cancelled" in diary.read_text())
        web.should_exit = True
        await asyncio.wait([serving], timeout=10)
        listener.close()

    asyncio.run(main())
    assert set(seen) == {SECRET}


def test_an_address_whose_answer_never_ends_is_not_listened_to_for_ever(diary: Path) -> None:
    """The least that is a server over HTTP: a JSON body for each message, and one without end for a call."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = re.search(r"content-length: (\d+)", head)
            asked = json.loads(await reader.readexactly(int(length.group(1)))) if length else {}
            if "id" not in asked:
                writer.write(b"HTTP/1.1 202 Accepted\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
            else:
                result = mcp_mortal.answer(asked["method"], asked.get("params", {}))
                said = {"result": result} if result is not None else {"error": {"code": -32601, "message": "unknown"}}
                body = json.dumps({"jsonrpc": "2.0", "id": asked["id"], **said}).encode()
                writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json\r\n\r\n" + body)
                while asked["method"] == "tools/call":
                    writer.write(b" " * 100_000)
                    await writer.drain()
        writer.close()

    async def main() -> None:
        listening = await asyncio.start_server(answer, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/mcp"
        async with running(McpSettings(url=url)) as server:
            await until(lambda: bool(server.tools))
            error_class, message = await failure(server, "echo")
            assert error_class == "crash"
            assert "it sent a message of more than 4 MiB" in message
            assert not server.problem
        listening.close()

    asyncio.run(main())


def test_the_doctor_says_what_each_server_offers_and_why_one_does_not(diary: Path) -> None:
    settings = Settings(
        mcp={"diary": program(args=(mcp_mortal.__file__,)), "gone": McpSettings(command="/nowhere/at-all")}
    )

    async def main() -> list[Check]:
        return [check async for check in mcp_servers(settings)]

    unused, there, gone = asyncio.run(main())
    assert unused.ok is None
    assert "brain.engine = openai" in unused.says, "the embedded brain knows no sentences for them"
    assert (there.ok, there.says) == (True, "diary_echo, diary_hang, diary_die")
    assert gone.ok is None
    assert "/nowhere/at-all: No such file" in gone.says


def test_names_are_what_every_model_takes_and_never_two_the_same() -> None:
    assert name_of("files", "read_file") == "files_read_file"
    odd, other, long = name_of("files", "read file"), name_of("files", "read.file"), name_of("files", "x" * 100)
    assert odd.startswith("files_read_file_")
    assert odd != other
    assert len(long) == 64
    assert name_of("files", "x" * 101) != long


def listed(schema: dict[str, Json], **hints: bool) -> ListedTool:
    return ListedTool(name="act", input_schema=schema, annotations=ToolAnnotations(**hints) if hints else None)


async def never(*_: object) -> Json:
    raise AssertionError


def test_hints_become_effects_and_a_boundless_schema_is_left_out() -> None:
    schema: dict[str, Json] = {"type": "object"}
    plain = tool_of("files", listed(schema), never, trusted=True)
    gentle = tool_of(
        "files",
        listed(schema, destructive_hint=False, open_world_hint=False, idempotent_hint=True),
        never,
        trusted=True,
    )
    assert plain is not None
    assert gentle is not None
    assert (plain.spec.effect, plain.spec.confirm, plain.spec.reversible) == ("write", "user", False)
    assert (gentle.spec.risk, gentle.spec.confirm, gentle.spec.reversible) == ("low", "policy", True)
    assert gentle.spec.idempotent
    assert tool_of("files", listed({"description": "x" * MAX_SCHEMA_CHARS}), never, trusted=True) is None


def test_results_are_text_where_there_is_any_and_bounded() -> None:
    image = ImageContent(data="AAAA", mime_type="image/png")
    assert content_of(CallToolResult(content=[TextContent(text="a"), image])) == "a\n[image]"
    assert content_of(CallToolResult(content=[], structured_content={"a": 1})) == {"a": 1}
    long = content_of(CallToolResult(content=[TextContent(text="x" * (MAX_CHARS + 7))]))
    assert isinstance(long, str)
    assert long.endswith("(7 more characters were left out)")
    nested = content_of(CallToolResult(content=[], structured_content={"a": "x" * (MAX_CHARS + 7)}))
    assert isinstance(nested, str)


def test_secrets_are_hidden_also_in_part() -> None:
    settings = McpSettings(url="http://h", headers=("Authorization = TOKEN",))
    secrets = Secrets(settings, {"TOKEN": "Bearer abc123"})
    assert secrets.headers == {"Authorization": "Bearer abc123"}
    assert secrets.hidden("I got abc123 and Bearer abc123") == "I got … and …"


@pytest.mark.parametrize(("brain", "told"), [(None, True), (FakeBrain([]), False)], ids=["skills", "own"])
def test_a_brain_that_cannot_use_them_is_told_of_at_the_start(
    brain: FakeBrain | None, told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    private = BrainSettings(memory=Path(":memory:"))
    settings = Settings(timeline=TimelineSettings(store="memory"), brain=private, mcp={"diary": program()})

    async def main() -> None:
        App(settings, parts=Parts(asr=Deaf(), brain=brain, tts=Quick(), vad=NeverSpeechOfMine))

    asyncio.run(main())
    assert ("brain.engine = openai" in caplog.text) == told


def test_an_agent_starts_without_waiting_for_its_servers_and_a_conversation_hears_when_one_fails(
    diary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.thinking.mcp.program.GRACE_S", 0.1)
    mute = McpSettings(command="/bin/sleep", args=("60",))
    settings = Settings(
        timeline=TimelineSettings(store="memory"),
        brain=BrainSettings(memory=Path(":memory:")),
        mcp={"mute": mute, "diary": program(args=(mcp_mortal.__file__,))},
    )

    async def main() -> None:
        async with App(
            settings, parts=Parts(asr=Deaf(), brain=FakeBrain([]), tts=Quick(), vad=NeverSpeechOfMine)
        ) as app:
            mute_server, server = app.engines.sources
            assert mute_server.tools == ()
            call = await app.open()
            await until(lambda: len(server.tools) == 3)
            assert isinstance(server, McpServer)
            assert (await failure(server, "die"))[0] == "unknown"
            await until(lambda: "tool.unavailable" in [entry.event.type for entry in call.session.timeline.window()])

    asyncio.run(main())


class NeverSpeechOfMine(NeverSpeech):
    def __init__(self, settings: object, clock: object) -> None:
        super().__init__()
