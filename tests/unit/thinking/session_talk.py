"""A session that is typed and spoken to: brain, core, thinking loop and tools together, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import numpy as np
from icalendar import Calendar

from agent.clock import Clock, run_virtual
from agent.conversation import events as e
from agent.conversation.decisions import PlaybackStop
from agent.conversation.policy import Actions
from agent.hearing.port import Hypothesis, Pcm
from agent.session import Engines, Session
from agent.settings import CalendarSettings, MailSettings, Settings
from agent.speaking.port import Speech, SpokenWord
from agent.thinking.brain_skills import SkillsBrain
from agent.thinking.libraries import Libraries
from agent.thinking.memory import Memory
from agent.thinking.timers import Timers
from agent.thinking.tools.catalogue import builtin_tools
from agent.thinking.tools.office import Office
from agent.timeline.memory import MemoryStore

LIBRARIES = Libraries()
BRAIN = SkillsBrain(LIBRARIES)
MAIL = MailSettings(
    own=("home = Ann Lee <ann@home.example>", "work = ann@work.example"),
    contacts=("anna = Anna Lee <anna@example.org>", "bob = bob@example.org"),
)


class Deaf:
    """A recogniser that hears nothing, and its stream."""

    name = "deaf"

    async def start(self) -> None: ...

    async def open(self, on_partial: Callable[[str], None], on_error: Callable[[str], None]) -> Deaf:
        return self

    def push(self, pcm: Pcm) -> None: ...

    async def settle(self) -> Hypothesis:
        return Hypothesis("", understood=False)

    def reset(self) -> None: ...

    async def close(self) -> None: ...


class NeverSpeech:
    name = "never"
    frame_samples = 160

    def probability(self, frame: Pcm) -> float:
        return 0.0

    def reset(self) -> None: ...


class Quick:
    """20 ms of tone a word."""

    name = "quick"
    sample_rate = 48_000

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def synthesize(self, text: str, speed: float = 1.0):  # type: ignore[no-untyped-def]
        end = 0
        for number, word in enumerate(text.split()):
            end = text.index(word, end) + len(word)
            yield Speech(np.full(960, 1_000, np.int16), (SpokenWord(number * 960, (number + 1) * 960, end),))


class Talk:
    """A session that is typed to and heard to the end."""

    def __init__(self, session: Session, folder: Path) -> None:
        self.session = session
        self.folder = folder

    async def _replies_over(self, count: int) -> None:
        for _ in range(1_000):
            if self.types().count("reply.done") >= count and self.types()[-1] != "reply.done":
                return
            await asyncio.sleep(0.02)
            self.session.next_frame()
        raise AssertionError(f"nothing more was said: {self.types()[-12:]}")

    async def say(self, text: str) -> str:
        """Type it; the whole answer, once it has been heard."""
        before = self.types().count("reply.done")
        self.session.post(e.TextInput(text=text))
        await self._replies_over(before + 1)
        stops = [x.event for x in self.session.timeline.window() if isinstance(x.event, PlaybackStop)]
        assert not stops[-1].unheard_text
        return stops[-1].heard_text

    def types(self) -> list[str]:
        return [entry.event.type for entry in self.session.timeline.window()]

    def actions(self) -> list[str]:
        return [kind.removeprefix("action.") for kind in self.types() if kind.startswith("action.")]

    def letters(self) -> list[str]:
        found = []
        for path in sorted(self.folder.rglob("*.eml")):
            letter = message_from_bytes(path.read_bytes(), policy=default)
            found.append(f"{letter['From']} → {letter['To']}: {letter.get_content().strip()}")
        return found

    def appointments(self) -> list[str]:
        path = self.folder / "voice-agent-calendar.ics"
        events = Calendar.from_ical(path.read_bytes()).events if path.exists() else []
        return [f"{one['SUMMARY']} {one['DTSTART'].dt:%d %H:%M}" for one in events]


@asynccontextmanager
async def talking(folder: Path, actions: Actions):  # type: ignore[no-untyped-def]
    memory = Memory(folder / "memory.sqlite3")
    await memory.start()
    await BRAIN.start()
    office = Office.of(MAIL, CalendarSettings(), folder / "memory.sqlite3")
    tools = builtin_tools(memory, Timers(memory), LIBRARIES, office)
    engines = Engines(NeverSpeech, Deaf(), BRAIN, tools, Quick(), lambda: 1.0, {})
    session = Session("s", engines, MemoryStore(), Clock(), Settings(actions=actions))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(session.run())
        await session.ready.wait()
        session.post(e.DeviceJoined(device_id="d", transport="test", time_zone="Europe/Berlin"))
        yield Talk(session, folder)
        session.close("test over")
    await memory.close()
    await office.close()


def scene(folder: Path, play: Callable[[Talk], Awaitable[None]], actions: Actions | None = None) -> None:
    async def main() -> None:
        async with talking(folder, actions or Actions()) as talk:
            await play(talk)

    run_virtual(main())
