"""What is set in a conversation holds for it at once, and after a restart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime

import pytest

from agent.clock import Clock, run_virtual
from agent.conversation import events as e
from agent.conversation.events import Json
from agent.session import Engines, Session
from agent.settings import Settings
from agent.speaking.port import Speech
from agent.thinking.port import Delta
from agent.timeline.memory import MemoryStore
from agent.timeline.reading import read_all
from agent.timeline.store import Store
from tests.unit.test_session import Beeper, Script, engines, play


class Paced(Beeper):
    """Remembers how fast it was to speak."""

    def __init__(self) -> None:
        self.speeds: list[float] = []

    async def synthesize(self, text: str, speed: float = 1.0) -> AsyncIterator[Speech]:
        self.speeds.append(speed)
        async for piece in super().synthesize(text, speed):
            yield piece


class Call:
    """A session whose voice is watched, with what the person prefers in all of them."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.clock = clock
        self._preferred: tuple[float, datetime | None] = (1.0, None)
        self.voice = Paced()
        parts: Engines = replace(
            engines(Script(*[[Delta("Well.")]] * 3)),
            tts=self.voice,
            speed=lambda: self._preferred[0],
            speed_asked=lambda: self._preferred[1],
        )
        self.session = Session("s", parts, store, clock, Settings())

    def prefer(self, speed: float, at: datetime | None = None) -> None:
        """It is asked for in words, here or in another conversation."""
        self._preferred = (speed, at or self.clock.wall())

    def set(self, **changes: Json) -> None:
        named = {name.replace("__", "."): value for name, value in changes.items()}
        self.session.post(e.SettingsChanged(source="device:d", changes=named))

    async def speed(self) -> float:
        """Of the next reply."""
        self.session.post(e.TextInput(source="device:d", text="hello"))
        await play(self.session, 1_000)
        return self.voice.speeds[-1]


@asynccontextmanager
async def calling(store: Store, clock: Clock | None = None) -> AsyncIterator[Call]:
    call = Call(store, clock or Clock())
    await call.session.restore(await read_all(store, "s"))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(call.session.run())
        await call.session.ready.wait()
        call.session.post(e.DeviceJoined(device_id="d", transport="test"))
        yield call
        call.session.rest()


def test_the_speed_set_on_the_page_is_that_of_the_next_reply_until_it_is_asked_for_otherwise() -> None:
    async def main() -> None:
        async with calling(MemoryStore()) as call:
            call.prefer(1.25)
            assert await call.speed() == 1.25
            call.set(tts__speed=2.0)
            assert await call.speed() == 2.0
            assert call.session.user().speed == 2.0, "from which faster and slower count"
            call.prefer(1.5)
            assert await call.speed() == 1.5, "asked for by voice since"
            assert call.session.user().speed == 1.5

    run_virtual(main())


def test_what_was_set_is_still_set_once_the_conversation_is_taken_up_again() -> None:
    async def main() -> None:
        store = MemoryStore()
        async with calling(store) as call:
            call.set(tts__speed=2.0, vad__hangover_ms=250)
            call.set(endpointing__floor_ms=200)
            call.set(vad__hangover_ms=1)
        async with calling(store) as again:
            assert again.session.settings.vad.hangover_ms == 250
            assert again.session.settings == call.session.settings
            assert await again.speed() == 2.0

    run_virtual(main())


@pytest.mark.parametrize("asked", [1.0, 1.25])
def test_after_a_restart_the_speed_that_was_chosen_last_counts(asked: float) -> None:
    """Also where what is asked for in words is what was asked for before the page's slider was moved."""

    async def main() -> None:
        store, clock, times = MemoryStore(), Clock(), []
        async with calling(store, clock) as call:
            call.prefer(1.0)
            for speed in (2.0, 1.75):
                await play(call.session, 1_000)
                times.append(clock.wall())
                await play(call.session, 1_000)
                call.set(tts__speed=speed)
            await play(call.session, 1_000)
            times.append(clock.wall())
        for asked_at, wanted in ((times[0], 1.75), (times[1], 1.75), (times[2], asked)):
            async with calling(store, clock) as again:
                again.prefer(asked, asked_at)
                assert await again.speed() == wanted

    run_virtual(main())


@pytest.mark.parametrize(("asked", "wanted"), [(False, 2.0), (True, 1.25)])
def test_the_speed_that_counts_outlives_what_is_forgotten_and_a_restart(asked: bool, wanted: float) -> None:
    async def main() -> None:
        store, clock = MemoryStore(), Clock()
        async with calling(store, clock) as call:
            call.set(tts__speed=2.0)
            await play(call.session, 1_000)
            if asked:
                call.prefer(1.25)
            asked_at = clock.wall()
            await play(call.session, 1_000)
            call.session.post(e.SessionForget(source="device:d"))
            assert await call.speed() == wanted
        async with calling(store, clock) as again:
            again.prefer(1.25, asked_at)
            assert await again.speed() == wanted

    run_virtual(main())
