"""What every tool that writes has to do: act once for a key, however often and wherever it was stopped."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from icalendar import Calendar

from agent.errors import ToolError
from agent.thinking.libraries import Libraries
from agent.thinking.memory import Memory
from agent.thinking.port import Proposing, ToolContext, UserContext
from agent.thinking.timers import Timers
from agent.thinking.tools.catalogue import builtin_tools
from tests.fixtures import crashes
from tests.fixtures.smtp_server import Mailbox, mail_server

ROOT = Path(__file__).parents[2]
TOOLS = ("send_email", "add_appointment", "move_appointment", "cancel_appointment", "undo")
each_tool = pytest.mark.parametrize("tool", TOOLS)


def letters(folder: Path, *, away: bool = False) -> list[str]:
    """Where messages lie, by state; and have a mail program take them `away`."""
    found = list(folder.rglob("*.eml"))
    for path in found if away else []:
        path.unlink()
    return sorted(path.parent.name for path in found)


def events(folder: Path) -> list[tuple[str, str]]:
    """Titles and starts in the calendar file, which has to parse."""
    path = folder / "voice-agent-calendar.ics"
    if not path.exists():
        return []
    return [(str(one["SUMMARY"]), f"{one['DTSTART'].dt:%d %H}") for one in Calendar.from_ical(path.read_bytes()).events]


EFFECTS: dict[str, tuple[Callable[[Path], list[Any]], list[Any]]] = {
    "send_email": (letters, ["voice-agent-outbox"]),
    "add_appointment": (events, [("Meeting", "05 15")]),
    "move_appointment": (events, [("Lunch", "09 12")]),
    "cancel_appointment": (events, []),
    "undo": (events, []),
}


def attempts(tool: str, folder: Path, port: int = 0) -> list[dict[str, Any]]:
    """Kill it at every step, one after the other, and run it again."""
    command = [sys.executable, crashes.__file__, tool, str(folder), *([str(port)] if port else [])]
    done = subprocess.run(command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["died"] for one in found] == [True] * (len(found) - 1) + [False]
    assert len(found) > 4, "there are steps at which it can die"
    return found


@each_tool
def test_killed_anywhere_and_run_again_it_is_done_once(tool: str, tmp_path: Path) -> None:
    found = attempts(tool, tmp_path)
    effect, expected = EFFECTS[tool]
    for number, one in enumerate(found, 1):
        assert effect(tmp_path / str(number)) == expected, number
        assert one["answer"] == found[-1]["answer"], number


def test_killed_anywhere_a_message_is_sent_once_or_not_at_all_or_its_fate_is_said_to_be_unknown(tmp_path: Path) -> None:
    with mail_server() as box:
        found = attempts("send_email", tmp_path, box.port)
    sent = len(box.messages)
    unknown = [number for number, one in enumerate(found, 1) if one["answer"] == "failed: unknown"]
    told = [number for number, one in enumerate(found, 1) if isinstance(one["answer"], dict) and one["answer"]["sent"]]
    assert sorted(unknown + told) == list(range(1, len(found) + 1)), "every attempt ended in one or the other"
    for number in range(1, len(found) + 1):
        state = letters(tmp_path / str(number))
        assert state == (["sending"] if number in unknown else ["sent"]), number
    assert len(told) <= sent <= len(found), "what is said to be sent was, and nothing was sent twice"
    assert unknown, "death between the sending and its record cannot be told from death before"


def used(tool: str, folder: Path, *keys: str) -> list[Any]:
    async def main() -> list[Any]:
        if tool not in ("send_email", "add_appointment"):
            await crashes.use(folder, "add_appointment", "setup", crashes.SETUP, 0)
        return [await crashes.use(folder, tool, key, crashes.ARGUMENTS[tool], 0) for key in keys]

    return asyncio.run(main())


@each_tool
def test_the_same_key_acts_once_and_gives_the_first_answer(tool: str, tmp_path: Path) -> None:
    first, *others = used(tool, tmp_path, "a", "a", "a")
    assert isinstance(first, dict)
    assert others == [first, first]
    effect, expected = EFFECTS[tool]
    assert effect(tmp_path) == expected


@each_tool
def test_without_a_key_nothing_is_done(tool: str, tmp_path: Path) -> None:
    assert used(tool, tmp_path, "") == ["failed: permission"]
    assert letters(tmp_path) == []
    assert events(tmp_path) in ([], [("Lunch", "06 12")])


def test_another_key_is_another_action(tmp_path: Path) -> None:
    used("send_email", tmp_path, "a", "b")
    used("add_appointment", tmp_path, "c", "d")
    assert len(letters(tmp_path)) == 2
    assert len(events(tmp_path)) == 2


def test_many_at_once_with_one_key_act_once(tmp_path: Path) -> None:
    async def main(box: Mailbox) -> list[Any]:
        memory = Memory(tmp_path / "memory.sqlite3")
        await memory.start()
        office = crashes.office_in(tmp_path, box.port)
        tools = {one.spec.name: one for one in builtin_tools(memory, Timers(memory), Libraries(), office)}
        context = ToolContext(UserContext(crashes.NOW), "one")
        names = ("send_email", "add_appointment") * 8
        answers = await asyncio.gather(*(tools[name].run(crashes.ARGUMENTS[name], context) for name in names[::2]))
        context = ToolContext(UserContext(crashes.NOW), "two")
        answers += await asyncio.gather(*(tools[name].run(crashes.ARGUMENTS[name], context) for name in names[1::2]))
        await memory.close()
        await office.close()
        return answers

    with mail_server() as box:
        answers = asyncio.run(main(box))
    assert len(box.messages) == 1
    assert events(tmp_path) == [("Meeting", "05 15")]
    assert len({json.dumps(answer) for answer in answers}) == 2


def test_a_message_that_was_taken_from_the_outbox_is_not_written_again(tmp_path: Path) -> None:
    async def main() -> None:
        arguments = crashes.ARGUMENTS["send_email"]
        first = await crashes.use(tmp_path, "send_email", "a", arguments, 0)
        assert letters(tmp_path, away=True) == ["voice-agent-outbox"]
        assert await crashes.use(tmp_path, "send_email", "a", arguments, 0) == first
        assert letters(tmp_path) == []

    asyncio.run(main())


def test_what_was_undone_is_not_done_again_by_going_on_with_it(tmp_path: Path) -> None:
    """It died before its answer was kept, the user had it undone, and then it is run again."""

    async def main() -> None:
        use = crashes.use
        await use(tmp_path, "add_appointment", "a", crashes.SETUP, 0)
        with closing(sqlite3.connect(tmp_path / "memory.sqlite3")) as db, db:
            assert db.execute("DELETE FROM done WHERE key = 'a'").rowcount == 1
        await use(tmp_path, "undo", "b", {"key": "a"}, 0)
        assert events(tmp_path) == []
        assert isinstance(await use(tmp_path, "add_appointment", "a", crashes.SETUP, 0), dict)
        assert events(tmp_path) == []

    asyncio.run(main())


@pytest.mark.parametrize("tool", ["add_appointment", "move_appointment", "cancel_appointment"])
def test_undoing_leaves_the_file_as_it_was(tool: str, tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "voice-agent-calendar.ics"
        await crashes.use(tmp_path, "add_appointment", "setup", crashes.SETUP, 0)
        before = path.read_bytes()
        await crashes.use(tmp_path, tool, "a", crashes.ARGUMENTS[tool], 0)
        assert path.read_bytes() != before
        await crashes.use(tmp_path, "undo", "b", {"key": "a"}, 0)
        assert path.read_bytes() == before
        assert await crashes.use(tmp_path, "undo", "c", {"key": "never"}, 0) == "failed: not_found"

    asyncio.run(main())


def test_every_write_declares_itself_and_proposes_what_it_will_do(tmp_path: Path) -> None:
    async def main() -> None:
        memory = Memory(tmp_path / "memory.sqlite3")
        await memory.start()
        office = crashes.office_in(tmp_path, 0)
        tools = {one.spec.name: one for one in builtin_tools(memory, Timers(memory), Libraries(), office)}
        assert set(TOOLS) <= set(tools)
        user = UserContext(crashes.NOW)
        context = ToolContext(user, "setup")
        await tools["add_appointment"].run(crashes.SETUP, context)
        for name in TOOLS:
            tool = tools[name]
            assert tool.spec.effect == "write"
            assert tool.spec.idempotent
            assert isinstance(tool, Proposing)
            proposal = await tool.propose(crashes.ARGUMENTS[name], user)
            assert proposal.text.endswith(".")
            again = await tool.propose(proposal.arguments, user)
            assert again.arguments == proposal.arguments, "what is proposed leaves nothing open"
        assert tools["send_email"].spec.risk == "high"
        assert not tools["send_email"].spec.reversible
        assert tools["send_email"].spec.confirm == "user"
        assert tools["add_appointment"].spec.risk == "low"
        assert tools["add_appointment"].spec.reversible
        with pytest.raises(ToolError):
            await tools["send_email"].propose({"to": ["nobody I know"], "body": "hello"}, user)
        await memory.close()
        await office.close()

    asyncio.run(main())
