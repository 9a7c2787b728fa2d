"""A seeded world around the real driver and the real loops, with fake engines, in virtual time.

The microphone is a synthetic signal (a hum for speech, noise for noise), so the real voice detection
runs; the recogniser, the brain, the tools and the voice are fakes that are late, fail, hang or die
as the dice have it. The process may crash at any moment and start again on the stored timeline.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass

import numpy as np

from agent.clock import Clock
from agent.conversation import events as e
from agent.conversation.events import Json
from agent.errors import AsrError, BrainError, ToolError, TtsError
from agent.hearing.port import HEARING_RATE, Hypothesis, Pcm
from agent.replay import replay
from agent.session import Engines, Session
from agent.settings import Settings
from agent.speaking.port import Speech, SpokenWord
from agent.thinking.port import Call, Delta, Prompt, ToolContext, ToolSpec
from agent.timeline.entry import Entry
from agent.timeline.memory import MemoryStore
from tests.simulation.core_world import PHRASES, SENTENCES
from tests.simulation.invariants import Invariants

FRAME_US = 20_000
SAMPLES = HEARING_RATE // 50
SPEECH_MS = (250, 2_500)


@dataclass(frozen=True)
class Sound:
    start_ms: int
    end_ms: int
    voiced: bool
    words: str


class World:
    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.faulty = self.dice.random() < 0.5
        self.store = MemoryStore()
        self.executed: dict[str, int] = {}
        self.length_ms = self.dice.randint(4_000, 14_000)
        self.sounds = self._sounds()
        self.now_ms = 0
        self.session: Session | None = None
        self.crashes = 0
        hum = np.arange(SAMPLES * 50)
        self._hum = (6_000 * np.sign(np.sin(2 * np.pi * 140 * hum / HEARING_RATE))).astype(np.int16)
        self._noise = np.random.default_rng(seed).normal(0, 3_000, SAMPLES * 50).astype(np.int16)

    def odd(self, share: float) -> bool:
        return self.faulty and self.dice.random() < share

    def _sounds(self) -> list[Sound]:
        sounds, at = [], self.dice.randint(100, 1_500)
        while at < self.length_ms - 1_000:
            voiced = self.dice.random() < 0.8
            length = self.dice.randint(*SPEECH_MS) if voiced else self.dice.randint(60, 400)
            sounds.append(Sound(at, at + length, voiced, self.dice.choice(PHRASES) if voiced else ""))
            at += length + self.dice.choice((80, 150, 300, 900, 2_500, 5_000))
        return sounds

    def sounding(self) -> Sound | None:
        return next((s for s in self.sounds if s.start_ms <= self.now_ms < s.end_ms), None)

    # ── the run ──────────────────────────────────────────────────────────────────────────

    async def run(self) -> list[Entry]:
        """Play the conversation; returns its whole timeline, having checked it."""
        crash_at = self.dice.randint(500, self.length_ms) if self.dice.random() < 0.3 else None
        entries: list[Entry] = []
        self.clock = Clock()
        while True:
            crashed = await self._life(entries, crash_at)
            entries = await self.store.read("s", 0, 100_000)
            if not crashed:
                break
            self.crashes += 1
            crash_at = None
        self.check(entries)
        return entries

    async def _life(self, stored: list[Entry], crash_at: int | None) -> bool:
        engines = Engines(
            FakeVad, FakeAsr(self), FakeBrain(self), [FakeTool(self, "look", "read"), FakeTool(self, "act", "write")],
            FakeTts(self), lambda: 1.0, {},
        )  # fmt: skip
        session = Session("s", engines, self.store, self.clock, Settings())
        session.restore(stored)
        self.session = session
        running = asyncio.create_task(session.run())
        await session.ready.wait()
        session.post(e.DeviceJoined(device_id="d1", transport="sim"))
        quiet_ms = 0
        while self.now_ms < self.length_ms or quiet_ms < 8_000:
            if crash_at is not None and self.now_ms >= crash_at:
                running.cancel()
                await asyncio.wait([running])
                return True
            await self._tick(session)
            quiet_ms = quiet_ms + 20 if self.now_ms >= self.length_ms else 0
        session.close("end")
        await running
        return False

    async def _tick(self, session: Session) -> None:
        at_us = self.clock.now_us() // FRAME_US * FRAME_US + FRAME_US
        await self.clock.sleep_until(at_us)
        self.now_ms += 20
        sound = self.sounding() if self.now_ms < self.length_ms else None
        offset = (self.now_ms // 20 % 50) * SAMPLES
        wave = self._hum if sound and sound.voiced else self._noise if sound else np.zeros(SAMPLES * 50, np.int16)
        session.hear(wave[offset : offset + SAMPLES])
        session.next_frame()
        if self.now_ms < self.length_ms and self.dice.random() < 0.004:
            session.post(self._command())

    def _command(self) -> e.Event:
        dice, source = self.dice, "device:d1"
        commands: list[Callable[[], e.Event]] = [
            lambda: e.TextInput(text=dice.choice(PHRASES), source=source, event_id=f"client-{dice.randint(1, 4)}"),
            lambda: e.ControlStop(source=source),
            lambda: e.ControlDone(source=source),
            lambda: e.DeviceCut(source=source),
            lambda: e.DeviceCut(source=source, undo=True),
            lambda: e.ControlTalk(on=dice.random() < 0.4, source=source),
            lambda: e.ReminderDue(reminder_id="m", text="Your tea is ready."),
            lambda: e.ControlDone(source=source),
            lambda: e.SettingsChanged(changes={"endpointing.floor_ms": dice.choice((0, 160, 99_999))}, source=source),
        ]  # fmt: skip
        return dice.choice(commands)()

    # ── the oracle ───────────────────────────────────────────────────────────────────────

    def check(self, entries: list[Entry]) -> None:
        rules = Invariants()
        for number, entry in enumerate(entries, 1):
            assert entry.seq == number, f"seq {entry.seq} at place {number}"
            try:
                rules.see(entry.event)
            except AssertionError as error:
                error.add_note(f"at seq {entry.seq}, {entry.t_ms} ms")
                raise
        held = any(isinstance(x.event, e.ControlTalk) for x in entries)
        if not held:  # a talk button that is never released holds its turn, and that is right
            rules.finish()
        started = {x.event.idempotency_key for x in entries if x.event.type == "action.started"}  # type: ignore[attr-defined]
        for key, times in self.executed.items():
            assert times == 1, f"{key} ran {times} times"
            assert key in started, f"{key} ran without a durable action.started"
        assert not replay(entries)


class FakeVad:
    name = "fake"
    frame_samples = HEARING_RATE // 100

    def probability(self, frame: Pcm) -> float:
        return float(np.abs(frame).max() > 500)

    def reset(self) -> None:
        pass


class FakeAsr:
    """Hears the words of the sound that is playing while audio is pushed."""

    name = "fake"

    def __init__(self, world: World) -> None:
        self.world = world

    async def start(self) -> None:
        pass

    async def open(self, on_partial: Callable[[str], None], on_error: Callable[[str], None]) -> FakeStream:
        if self.world.odd(0.1):
            raise AsrError("no worker")
        return FakeStream(self.world, on_partial)

    async def close(self) -> None:
        pass


class FakeStream:
    def __init__(self, world: World, on_partial: Callable[[str], None]) -> None:
        self.world, self.on_partial = world, on_partial
        self.heard: list[Sound] = []

    def push(self, pcm: Pcm) -> None:
        sound = self.world.sounding()
        if sound is not None and sound not in self.heard:
            self.heard.append(sound)
        if sound is not None:
            done = (self.world.now_ms - sound.start_ms) / (sound.end_ms - sound.start_ms)
            words = sound.words.split()
            before = " ".join(s.words for s in self.heard[:-1])
            self.on_partial(f"{before} {' '.join(words[: round(done * len(words))])}".strip())

    async def settle(self) -> Hypothesis:
        heard = list(self.heard)
        if self.world.odd(0.08):
            raise AsrError("died")
        await asyncio.sleep(self.world.dice.choice((0.005, 0.02, 0.3)) if not self.world.odd(0.03) else 5)
        text = " ".join(s.words for s in heard).strip()
        return Hypothesis(text, understood=bool(text) and self.world.dice.random() < 0.85)

    def reset(self) -> None:
        self.heard = []

    async def close(self) -> None:
        pass


class FakeBrain:
    name = "fake"

    def __init__(self, world: World) -> None:
        self.world = world

    async def start(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def respond(self, prompt: Prompt) -> AsyncIterator[Delta | Call]:
        dice = self.world.dice
        calls = {m.call_id for m in prompt.messages if m.role == "call"}
        answered = {m.call_id for m in prompt.messages if m.role == "result"}
        assert calls <= answered, "a dangling tool call in a prompt"
        await asyncio.sleep(dice.choice((0.001, 0.001, 0.3, 1.5)))
        if self.world.odd(0.04):
            raise BrainError("down")
        if self.world.odd(0.02):
            await asyncio.sleep(3_600)
        for piece in dice.choice(SENTENCES).split(" "):
            yield Delta(piece + " ")
            await asyncio.sleep(dice.choice((0, 0, 0.03)))
        for _ in range(dice.choice((0, 0, 1, 2))):
            yield Call(f"c{dice.randint(0, 10**9)}", dice.choice(("look", "act", "missing")), {})


class FakeTool:
    def __init__(self, world: World, name: str, effect: e.Effect) -> None:
        self.world = world
        self.spec = ToolSpec(name, "", {}, effect)

    async def preflight(self) -> str:
        return ""

    async def run(self, arguments: Mapping[str, Json], context: ToolContext) -> Json:
        dice, world = self.world.dice, self.world
        if self.spec.effect == "write":
            key = context.idempotency_key
            world.executed[key] = world.executed.get(key, 0) + 1
        await asyncio.sleep(dice.choice((0.001, 0.2, 2.0)) if not world.odd(0.05) else 3_600)
        if world.odd(0.15):
            raise ToolError("it broke", "unreachable")
        return {"ok": True}


class FakeTts:
    name = "fake"
    sample_rate = 48_000

    def __init__(self, world: World) -> None:
        self.world = world

    async def start(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def synthesize(self, text: str, speed: float = 1.0) -> AsyncIterator[Speech]:
        await asyncio.sleep(self.world.dice.choice((0.001, 0.001, 0.2)))
        if self.world.odd(0.04):
            raise TtsError("no voice")
        end = at = 0
        for word in text.split():
            start = 0 if end == 0 else end + 1
            end = text.index(word, start) + len(word)
            samples = 4_800 * max(1, len(word) // 3)
            yield Speech(np.full(samples, 1_000, np.int16), (SpokenWord(at, at + samples, end),))
            at += samples
