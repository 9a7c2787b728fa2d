"""Owners at random, with restarts: whatever they do, and in whatever order, nothing of one is found with another.

Each owner speaks of things that nobody else does; none of them may stand in another's timeline, in another's memory
file, or in the list of another's conversations.
"""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from agent.app import App
from agent.clock import run_virtual
from agent.conversation.events import DeviceJoined, DeviceLeft, SessionForget, TextInput
from agent.errors import SessionGone
from agent.seats import Seat
from agent.settings import Settings
from agent.timeline.codec import dumps
from agent.timeline.reading import read_kept
from tests.fixtures.light import lighten

SECRETS = {"local": "walrus", "anna": "swordfish", "ben": "elephant"}
STEPS = 10
SEEDS = range(3)
SAYINGS = (
    "make a note that the {} sleeps",
    "add {} to my shopping list",
    "remind me to feed the {} in two minutes",
    "add a meeting with {} tomorrow at three pm to my calendar",
    "read my notes",
    "what is on my shopping list",
    "what is on my calendar tomorrow",
    "delete my last note",
    "what timers do i have",
)


def settings(folder: Path) -> Settings:
    named = [f"{name} = the token of {name}" for name in SECRETS if name != "local"]
    return Settings.model_validate(
        {
            "server": {"token": "the token of local", "owner_tokens": named},
            "brain": {"memory": folder / "memory.sqlite3"},
            "timeline": {"path": folder / "timeline.sqlite3"},
            "sessions": {"linger_s": 5},
        }
    )


class World:
    """Three owners of one agent at a time; `sessions` are all that there ever were, by whose they are."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.dice = random.Random(seed)
        self.sessions: dict[str, str] = {}

    async def live(self) -> None:
        """From a start of the agent to its end, for some steps."""
        async with App(settings(self.folder)) as app:
            here: dict[str, Seat] = {}
            for _ in range(STEPS):
                owner = self.dice.choice(list(SECRETS))
                await self.step(app, owner, here)
                for _ in range(40):
                    for seat in here.values():
                        seat.next_frame()
                    await asyncio.sleep(0.05)
            await self.check(app)

    async def step(self, app: App, owner: str, here: dict[str, Seat]) -> None:
        seat = here.get(owner)
        match self.dice.choice(("say", "say", "say", "leave", "forget", "intrude")):
            case "intrude":
                theirs = [session_id for session_id, whose in self.sessions.items() if whose != owner]
                with pytest.raises(SessionGone, match="not stored"):
                    await app.join(self.dice.choice(theirs or ["never-was"]), owner)
            case "leave" if seat is not None:
                seat.post(DeviceLeft(source=f"device:{owner}", device_id=owner, reason="gone"))
                await app.leave(here.pop(owner), "gone", for_good=False)
            case "forget" if seat is not None:
                seat.post(SessionForget(source=f"device:{owner}"))
            case _:
                seat = here[owner] = seat or await self.come(app, owner)
                seat.post(TextInput(text=self.dice.choice(SAYINGS).format(SECRETS[owner])))

    async def come(self, app: App, owner: str) -> Seat:
        """Back to one of their conversations, or into a new one."""
        mine = [session_id for session_id, whose in self.sessions.items() if whose == owner]
        back = mine and self.dice.random() < 0.6
        seat = await (app.join(self.dice.choice(mine), owner) if back else app.open(owner=owner))
        self.sessions[seat.session_id] = owner
        seat.post(DeviceJoined(source=f"device:{owner}", device_id=owner, transport="test"))
        return seat

    async def check(self, app: App) -> None:
        await asyncio.sleep(1)
        for owner in SECRETS:
            others = [word for name, word in SECRETS.items() if name != owner]
            listed = await app.summaries(owner, 100)
            assert {one.session_id for one in listed} == {key for key, whose in self.sessions.items() if whose == owner}
            told = "".join(one.words for one in listed)
            for one in listed:
                told += "".join(dumps(entry) for entry in await read_kept(app.store, one.session_id))
            own = "" if owner == "local" else f"-{owner}"
            files = [*self.folder.glob(f"memory{own}.*"), self.folder / f"voice-agent-calendar{own}.ics"]
            held = b"".join(path.read_bytes() for path in files if path.exists())
            for word in others:
                assert word not in told, f"{owner} was told of {word}"
                assert word.encode() not in held, f"{owner} keeps {word}"


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_of_one_owner_is_found_with_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    lighten(monkeypatch)
    world = World(tmp_path, seed)
    for _ in range(2):
        run_virtual(world.live())
