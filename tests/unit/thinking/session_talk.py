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
from tests.fixtures.deaf import Deaf, NeverSpeech

LIBRARIES = Libraries()
BRAIN = SkillsBrain(LIBRARIES)
MAIL = MailSettings(
    own=("home = Ann Lee <ann@home.example>", "work = ann@work.example"),
    contacts=("anna = Anna Lee <anna@example.org>", "bob = bob@example.org"),
)


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

    def __init__(self, session: Session, folder: Path, clock: Clock, began_us: int) -> None:
        self.session = session
        self.clock = clock
        self.began_us = began_us
        self.folder = folder
        self.utterance = 0

    async def _replies_over(self, count: int) -> None:
        for _ in range(1_000):
            if self.types().count("reply.done") >= count and self.types()[-1] != "reply.done":
                return
            await asyncio.sleep(0.02)
            self.session.next_frame()
        raise AssertionError(f"nothing more was said: {self.types()[-12:]}")

    async def say(self, text: str) -> str:
        """Type it; the whole answer, once it has been heard."""
        self.session.post(e.TextInput(text=text))
        before = self.types().count("reply.done")  # what it interrupted is over
        await self._replies_over(before + 1)
        assert not self.stops()[-1].unheard_text
        return self.stops()[-1].heard_text

    async def rings(self, text: str) -> str:
        """A timer does; all that is said then, once it has been heard."""
        before = self.types().count("reply.done")
        self.session.post(e.ReminderDue(reminder_id="timer", text=text))
        await self._replies_over(before + 1)
        return self.stops()[-1].heard_text

    async def begin(self, text: str, words: int) -> None:
        """Type it, and hear so many words of the answer."""
        before = self.types().count("playback.start")
        self.session.post(e.TextInput(text=text))
        for _ in range(500):
            if self.types().count("playback.start") > before:
                break
            await self._frames(1)
        await self._frames(words - 1)
        await asyncio.sleep(0.01)

    async def speak_over(self, text: str) -> str:
        """Say it aloud into what is being said; the whole answer, once it has been heard."""
        before = self.types().count("reply.done")
        self.utterance += 1
        self.session.post(e.SpeechStarted(utterance=self.utterance, onset_us=self._now_us()))
        words = text.split()
        for number in range(1, len(words) + 1):
            await self._frames(20)
            self.session.post(e.AsrPartial(utterance=self.utterance, text=" ".join(words[:number])))
            self.session.post(e.SpeechVoiced(utterance=self.utterance, voiced_ms=number * 360))
        await self._frames(10)
        end_us = self._now_us() - 100_000
        self.session.post(e.SpeechStopped(utterance=self.utterance, end_us=end_us, voiced_ms=360 * len(words)))
        self.session.post(e.AsrFinal(utterance=self.utterance, text=text))
        await self._replies_over(before + 2)
        return self.stops()[-1].heard_text

    def _now_us(self) -> int:
        return self.clock.now_us() - self.began_us

    async def _frames(self, count: int) -> None:
        for _ in range(count):
            await asyncio.sleep(0.02)
            self.session.next_frame()

    def stops(self) -> list[PlaybackStop]:
        return [entry.event for entry in self.session.timeline.window() if isinstance(entry.event, PlaybackStop)]

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
    clock = Clock()
    began_us = clock.now_us()
    session = Session("s", engines, MemoryStore(), clock, Settings(actions=actions))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(session.run())
        await session.ready.wait()
        session.post(e.DeviceJoined(device_id="d", transport="test", time_zone="Europe/Berlin"))
        yield Talk(session, folder, clock, began_us)
        session.close("test over")
    await memory.close()
    await office.close()


def scene(folder: Path, play: Callable[[Talk], Awaitable[None]], actions: Actions | None = None) -> None:
    async def main() -> None:
        async with talking(folder, actions or Actions()) as talk:
            await play(talk)

    run_virtual(main())
