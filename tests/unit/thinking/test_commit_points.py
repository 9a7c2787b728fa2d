"""From the words to the file: brain, core, thinking loop and tools together, spoken answers included."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import numpy as np
import pytest
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
EMAIL = "send an email to anna saying the meeting moved to friday"
MEETING = "add a meeting with bob tomorrow at three pm to my calendar"


@pytest.fixture(scope="module", autouse=True)
def _closed_in_the_end() -> Iterator[None]:
    yield
    run_virtual(BRAIN.close())


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


def test_an_email_is_written_once_the_user_has_said_yes(tmp_path: Path) -> None:
    async def play(talk: Talk) -> None:
        question = await talk.say(EMAIL)
        assert question == (
            "Send an email to Anna Lee at anna@example.org, saying: The meeting moved to Friday. Shall I?"
        )
        assert talk.letters() == []
        assert await talk.say("yes, send it") == "The e-mail to Anna Lee is in your outbox."
        assert talk.letters() == [
            "Ann Lee <ann@home.example> → Anna Lee <anna@example.org>: The meeting moved to Friday."
        ]
        assert talk.actions() == ["proposed", "confirmed", "started", "committed"]

    scene(tmp_path, play)


@pytest.mark.parametrize("answer", ["no", "never mind", "what time is it", "yes I think the weather is nice"])
def test_anything_but_a_yes_leaves_the_email_unwritten(tmp_path: Path, answer: str) -> None:
    async def play(talk: Talk) -> None:
        await talk.say(EMAIL)
        await talk.say(answer)
        await talk.say("yes")
        assert talk.letters() == []
        assert talk.actions() == ["proposed", "rejected"]

    scene(tmp_path, play)


def test_each_correction_is_another_proposal_and_only_the_last_is_done(tmp_path: Path) -> None:
    async def play(talk: Talk) -> None:
        await talk.say(EMAIL)
        assert "from ann@work.example to Anna" in await talk.say("no, my work email")
        assert "to Bob at bob@example.org" in await talk.say("to bob instead")
        assert "moved to Monday" in await talk.say("change it to monday")
        assert "Bob at bob@example.org and Anna Lee" in await talk.say("and to anna")
        assert talk.letters() == []
        await talk.say("yes")
        assert talk.letters() == [
            "ann@work.example → Bob <bob@example.org>, Anna Lee <anna@example.org>: The meeting moved to Monday."
        ]
        assert talk.actions() == ["proposed", "rejected"] * 4 + ["proposed", "confirmed", "started", "committed"]
        assert "already" in await talk.say("to bob instead")
        assert "can't be taken back" in await talk.say("undo that")
        assert len(talk.letters()) == 1

    scene(tmp_path, play)


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ("send an email to zoe saying hello", "no e-mail address of zoe"),
        ("send an email to anna", "don't know what to write"),
        ("cancel my meeting with bob", "There is no meeting with Bob"),
    ],
)
def test_what_cannot_be_done_is_said_and_nobody_is_asked(tmp_path: Path, request_: str, said: str) -> None:
    async def play(talk: Talk) -> None:
        assert said in await talk.say(request_)
        assert talk.actions() == []

    scene(tmp_path, play)


def test_an_appointment_is_added_by_policy_and_undone(tmp_path: Path) -> None:
    async def play(talk: Talk) -> None:
        assert await talk.say(MEETING) == "The meeting with Bob tomorrow at 3 PM is on your calendar."
        assert talk.appointments() == ["Meeting with Bob 02 14:00"]
        assert await talk.say("undo that") == (
            "Okay, I took the meeting with Bob tomorrow at 3 PM off your calendar again."
        )
        assert talk.appointments() == []
        ended = ["proposed", "confirmed", "started", "committed"]
        assert talk.actions() == [*ended, *ended, "reverted"]
        reverted = next(x.event for x in talk.session.timeline.window() if x.event.type == "action.reverted")
        first = next(x.event for x in talk.session.timeline.window() if x.event.type == "action.committed")
        assert reverted.action_id == first.action_id  # type: ignore[attr-defined]
        assert "nothing that I can undo" in await talk.say("undo that")

    scene(tmp_path, play)


def test_an_appointment_is_asked_about_where_that_is_set_and_can_be_changed_before(tmp_path: Path) -> None:
    async def play(talk: Talk) -> None:
        assert await talk.say(MEETING) == "Add the meeting with Bob tomorrow at 3 PM to your calendar. Shall I?"
        assert "tomorrow at 4 PM" in await talk.say("make it four pm")
        assert "lunch" not in await talk.say("with anna instead")
        assert talk.appointments() == []
        await talk.say("yes")
        assert talk.appointments() == ["Meeting with Anna 02 15:00"]
        assert (await talk.say("make it two pm")).startswith("Move the meeting with Anna tomorrow at 4 PM to tomorrow")
        await talk.say("yes")
        assert talk.appointments() == ["Meeting with Anna 02 13:00"]

    scene(tmp_path, play, Actions(low_risk="ask"))
