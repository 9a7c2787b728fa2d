"""What goes wrong with what is heard while the agent speaks: the real driver, with a signal at the microphone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import numpy as np

from agent.clock import Clock, run_virtual
from agent.conversation import decisions as d
from agent.conversation import events as e
from agent.hearing.port import Hypothesis, Pcm
from agent.session import Engines, Session
from agent.settings import Settings
from agent.thinking.port import Delta
from agent.timeline.memory import MemoryStore
from agent.timeline.projections.transcript import transcript
from tests.fixtures.level_vad import LevelVad
from tests.unit.test_session import Beeper, Deaf, Script, play
from tests.unit.test_session_traps import last


class Ear(Deaf):
    """Hears what is `said` while audio comes; forgets it when it is told to."""

    name = "ear"

    def __init__(self) -> None:
        self.said = ""
        self.heard: list[str] = []

    async def open(self, on_partial: Callable[[str], None], on_error: Callable[[str], None]) -> Ear:
        return self

    def push(self, pcm: Pcm) -> None:
        if self.said and self.said not in self.heard:
            self.heard.append(self.said)

    async def settle(self) -> Hypothesis:
        return Hypothesis(" ".join(self.heard), understood=bool(self.heard))

    def reset(self) -> None:
        self.heard.clear()


HUM = (6_000 * np.sign(np.sin(2 * np.pi * 150 * np.arange(320) / 16_000))).astype(np.int16)
NOISE = np.random.default_rng(1).normal(0, 3_000, 320).astype(np.int16)


async def talk(session: Session, ear: Ear, words: str, ms: int, sound: Pcm = HUM, *, quiet_ms: int = 600) -> int:
    """Somebody says this, or makes that sound, and is quiet then; how many frames were audible."""
    ear.said, audible = words, 0
    for at in range(0, ms + quiet_ms, 20):
        softer = 0.6 if at // 100 % 2 else 1.0  # no voice is steady
        session.hear((sound * softer).astype(np.int16) if at < ms else np.zeros_like(sound))
        audible += await play(session, 20)
    return audible


@asynccontextmanager
async def hearing(brain: Script) -> AsyncIterator[tuple[Session, Ear]]:
    ear = Ear()
    engines = Engines(LevelVad, ear, brain, [], Beeper(), lambda: 1.0, {})
    settings = Settings.model_validate({"echo": {"guard": False}})  # a beep and a hum are like each other
    session = Session("s", engines, MemoryStore(), Clock(), settings)
    life = asyncio.create_task(session.run())
    await session.ready.wait()
    session.post(e.DeviceJoined(device_id="d", transport="test"))
    yield session, ear
    session.close("over")
    await life


LONG = "One two three four five six seven eight nine ten eleven twelve thirteen fourteen."


def test_a_backchannel_does_not_leak_into_the_next_turn() -> None:
    """The recogniser keeps the "uh-huh" that did not interrupt, and the next question begins with it."""

    async def main() -> None:
        async with hearing(Script([Delta(LONG)], [Delta("Noon.")])) as (session, ear):
            session.post(e.TextInput(text="count"))
            await play(session, 300)
            await talk(session, ear, "uh-huh", 300)
            assert last(session, d.InterruptionDismissed).evidence == "backchannel"
            await play(session, 2_000)
            await talk(session, ear, "what time is it", 900, quiet_ms=2_000)
            assert last(session, d.TurnEnd).text == "what time is it"
            assert last(session, d.PlaybackStop).heard_text == "Noon."

    run_virtual(main())


def test_noise_does_not_end_the_answer() -> None:
    """A door slams, the model is cancelled, there are no words, and silence follows for ever.

    The answer pauses at most, and not a word of it is missing.
    """

    async def main() -> None:
        async with hearing(Script([Delta(LONG)])) as (session, ear):
            session.post(e.TextInput(text="count"))
            audible = await play(session, 200)
            for _ in range(4):
                audible += await talk(session, ear, "", 150, NOISE)
            audible += await play(session, 3_000)
            stop = last(session, d.PlaybackStop)
            assert (stop.heard_text, stop.method) == (LONG, "complete")
            assert audible >= len(LONG.split()) * 5

    run_virtual(main())


def test_what_is_said_into_the_answer_is_answered() -> None:
    """The counterpart: the same voice with words does interrupt, and its first words are not lost."""

    async def main() -> None:
        async with hearing(Script([Delta(LONG)], [Delta("Noon.")])) as (session, ear):
            session.post(e.TextInput(text="count"))
            await play(session, 300)
            await talk(session, ear, "what time is it", 900, quiet_ms=2_000)
            assert [turn["user"] for turn in transcript(session.timeline.window())] == ["count", "what time is it"]
            assert last(session, d.PlaybackStop).heard_text == "Noon."

    run_virtual(main())
