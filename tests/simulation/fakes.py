"""Engines and tools of the driver's simulator: late, failing, hanging or dying as the dice of their world have it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Protocol

import numpy as np

from agent.conversation import events as e
from agent.conversation.events import Json
from agent.errors import AsrError, BrainError, ToolError, TtsError
from agent.hearing.port import Hypothesis, Pcm
from agent.speaking.port import Speech, SpokenWord
from agent.thinking.port import Call, Delta, Prompt, Proposal, ToolContext, ToolSpec, UserContext
from tests.simulation.core_world import SENTENCES


class Sound(Protocol):
    start_ms: int
    end_ms: int
    words: str


class FakeWorld(Protocol):
    dice: random.Random
    now_ms: int
    executed: dict[str, int]
    outcomes: dict[str, str]
    """How actions ended that said so, by their keys."""

    def odd(self, share: float) -> bool: ...

    def sounding(self) -> Sound | None: ...

    def committed(self) -> list[str]:
        """Ids of the actions that were done."""
        ...

    def begins(self, key: str, arguments: Mapping[str, Json]) -> None:
        """A tool with side effects runs."""
        ...


class FakeAsr:
    """Hears the words of the sound that is playing while audio is pushed."""

    name = "fake"

    def __init__(self, world: FakeWorld) -> None:
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
    def __init__(self, world: FakeWorld, on_partial: Callable[[str], None]) -> None:
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

    def __init__(self, world: FakeWorld) -> None:
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
            yield Call(f"c{dice.randint(0, 10**9)}", dice.choice(("look", "act", "send", "undo", "missing")), {})


class FakeTool:
    """`high` for one that the user has to confirm. `twice`: one that may be run again under the same key."""

    def __init__(
        self, world: FakeWorld, name: str, effect: e.Effect, *, high: bool = False, twice: bool = False
    ) -> None:
        self.world = world
        self.spec = ToolSpec(name, "", {}, effect, risk="high" if high else "low", idempotent=twice, reversible=True)

    async def preflight(self) -> str:
        return ""

    async def propose(self, arguments: Mapping[str, Json], user: UserContext) -> Proposal:
        dice = self.world.dice
        await asyncio.sleep(dice.choice((0, 0, 0.1)) if not self.world.odd(0.03) else 5)
        if self.world.odd(0.05):
            raise ToolError("nobody of that name", "not_found")
        done = self.world.committed()
        reverts = dice.choice(done) if self.spec.name == "undo" and done else ""
        return Proposal({"to": "anna"}, f"{self.spec.name} it to Anna.", reverts)

    async def run(self, arguments: Mapping[str, Json], context: ToolContext) -> Json:
        dice, world = self.world.dice, self.world
        if self.spec.effect == "write":
            key = context.idempotency_key
            world.begins(key, arguments)
            world.executed[key] = world.executed.get(key, 0) + (
                0 if self.spec.idempotent and key in world.executed else 1
            )
        await asyncio.sleep(dice.choice((0.001, 0.2, 2.0)) if not world.odd(0.05) else 3_600)
        error_class = dice.choice(("unreachable", "unknown")) if world.odd(0.15) else ""
        if self.spec.effect == "write":
            ends = {"": "committed", "unreachable": "failed", "unknown": "unknown"}
            world.outcomes[context.idempotency_key] = ends[error_class]
        if error_class:
            raise ToolError("it broke", error_class)
        return {"ok": True}


class FakeTts:
    name = "fake"
    sample_rate = 48_000

    def __init__(self, world: FakeWorld) -> None:
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
        for number, word in enumerate(text.split()):
            if number and self.world.odd(0.01):
                raise TtsError("the voice broke")
            if self.world.odd(0.005):
                await asyncio.sleep(3_600)
            start = 0 if end == 0 else end + 1
            end = text.index(word, start) + len(word)
            samples = 4_800 * max(1, len(word) // 3)
            yield Speech(np.full(samples, 1_000, np.int16), (SpokenWord(at, at + samples, end),))
            at += samples
