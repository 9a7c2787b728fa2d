"""Signals and sessions that the transport's tests share."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace

import numpy as np
import pytest

from agent.conversation.events import Event, Fault, SessionClosed
from agent.errors import LimitReached, SessionGone
from agent.timeline.entry import Entry
from agent.timeline.receipt import Receipt
from agent.transport import opus


def voice(seconds: float, rate: int = 48_000) -> np.ndarray:
    """A voiced sound: a gliding harmonic series under a syllable envelope."""
    t = np.arange(int(seconds * rate)) / rate
    phase = 2 * np.pi * np.cumsum(130 + 20 * np.sin(2 * np.pi * 1.5 * t)) / rate
    tone = sum(np.sin(k * phase) / k for k in range(1, 12))
    envelope = 0.55 + 0.45 * np.sin(2 * np.pi * 3 * t)
    return (4_000 * tone * envelope).astype(np.int16)


def packets(pcm: np.ndarray) -> list[bytes]:
    """48 kHz audio as Opus packets of 20 ms."""
    encoder = opus.Encoder()
    return [encoder.encode(pcm[at : at + 960]) for at in range(0, len(pcm) - 959, 960)]


def snr_db(reference: np.ndarray, other: np.ndarray) -> float:
    a, b = reference.astype(float), other.astype(float)
    return float(10 * np.log10((a * a).sum() / max(((a - b) ** 2).sum(), 1e-9)))


class FakeCall:
    """A session that records what it is told and plays a tone while `playing`."""

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id
        self.epoch = 0
        self.heard: list[tuple[float, np.ndarray]] = []
        self.posted: list[Event] = []
        self.timeline: list[Entry] = []
        self.grown = asyncio.Condition()
        self.closed = False
        self.playing = False
        self.place: Callable[[], tuple[str, int] | None] = lambda: None
        self.frames = 0
        self._tone = (8_000 * np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000)).astype(np.int16).reshape(50, 960)

    @property
    def over(self) -> bool:
        return self.closed

    def continues(self, epoch: int, seq: int) -> bool:
        return epoch == self.epoch and seq <= len(self.timeline)

    def hear(self, pcm: np.ndarray) -> None:
        self.heard.append((time.monotonic(), pcm))

    def position(self) -> tuple[str, int] | None:
        return self.place()

    def next_frame(self) -> np.ndarray | None:
        self.frames += 1
        return self._tone[self.frames % 50] if self.playing else None

    def post(self, fact: Event) -> None:
        self.posted.append(fact)

    async def recorded(self, event_id: str) -> Receipt:
        if self.closed:
            raise SessionGone("this conversation has ended")
        return Receipt([fact.event_id for fact in self.posted].index(event_id) + 1)

    async def record(self, event: Event) -> None:
        async with self.grown:
            seq = len(self.timeline) + 1
            self.timeline.append(
                Entry(self.session_id, seq, "2026-01-01T00:00:00.000Z", seq, seq * 1_000, "fact", "", "", event)
            )
            self.grown.notify_all()

    async def entries(self, after: int = 0) -> AsyncIterator[Entry]:
        while True:
            async with self.grown:
                while not self.closed and len(self.timeline) <= after:
                    await self.grown.wait()
                news = self.timeline[after:]
            for entry in news:
                yield entry
            after += len(news)
            if self.closed and after == len(self.timeline):
                return


class FakeSessions:
    def __init__(self, limit: int = 8) -> None:
        self.limit = limit
        self.opened = 0
        self.calls: dict[str, FakeCall] = {}
        self.live: set[str] = set()
        self.left: list[tuple[str, str]] = []
        self.closed: list[tuple[str, str]] = []
        """Those that were ended, not merely left."""
        self.owners: dict[str, str] = {}

    async def open(self, *, owner: str = "local") -> FakeCall:
        if len(self.live) >= self.limit:
            raise LimitReached(f"limits.sessions: all {self.limit} sessions are taken")
        self.opened += 1
        session_id = f"session-{self.opened}"
        self.live.add(session_id)
        self.owners[session_id] = owner
        await asyncio.sleep(0.01)
        call = self.calls[session_id] = FakeCall(session_id)
        return call

    async def join(self, session_id: str, owner: str = "local", *, wakes: bool = True) -> FakeCall:
        if self.owners.get(session_id) != owner or self.calls[session_id].closed:
            raise SessionGone("this conversation is not stored any more")
        self.live.add(session_id)
        return self.calls[session_id]

    async def leave(self, call: FakeCall, reason: str, *, for_good: bool) -> None:
        self.left.append((call.session_id, reason))
        if for_good:
            await self.close(call.session_id, reason)
        self.live.discard(call.session_id)

    async def close(self, session_id: str, reason: str) -> None:
        """The session ends by itself."""
        if session_id in self.live:
            self.live.discard(session_id)
            self.closed.append((session_id, reason))
            call = self.calls[session_id]
            call.closed = True
            await call.record(SessionClosed(event_id="end", source="session", reason=reason))


async def until(condition, seconds: float = 5.0):
    """Wait in real time for something that another task brings about."""
    async with asyncio.timeout(seconds):
        while not (result := condition()):  # noqa: ASYNC110 - the condition has no event of its own
            await asyncio.sleep(0.01)
        return result


def command(type_: str, number: int = 1, **payload) -> str:
    return json.dumps({"event_id": f"command-{number:04}", "type": type_, "payload": payload})


@pytest.fixture
def signals() -> SimpleNamespace:
    return SimpleNamespace(voice=voice, packets=packets, snr_db=snr_db)


@pytest.fixture
def fakes() -> SimpleNamespace:
    return SimpleNamespace(Call=FakeCall, Sessions=FakeSessions, until=until, command=command, Fault=Fault)
