"""Conversations that are forgotten again and again, at any moment, with everything else that goes wrong.

SEEDS=2000 FIRST_SEED=100000 pytest tests/simulation/test_forgetting_simulation.py -s
"""

from __future__ import annotations

import os
import random

import pytest

from agent.clock import run_virtual
from agent.conversation import events as e
from agent.replay import replay
from agent.session import Session
from agent.timeline.entry import Entry
from agent.timeline.ledger import ActionStep, state_after
from tests.fixtures.mortal_store import MortalStore
from tests.simulation import driver_world
from tests.simulation.driver_world import World
from tests.simulation.invariants import Invariants

FIRST_SEED = int(os.environ.get("FIRST_SEED", "0"))
SEEDS = int(os.environ.get("SEEDS", "60"))


class KeptStore(MortalStore):
    """Read from what is kept on, as the composition root does."""

    async def read(self, session_id: str, after: int = 0, limit: int = 1_000) -> list[Entry]:
        stored = await self.session(session_id)
        return await super().read(session_id, max(after, stored.first_seq - 1 if stored else 0), limit)


class ForgettingWorld(World):
    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.whim = random.Random(f"forget {seed}")
        self.forgotten = 0

    async def _tick(self, session: Session) -> None:
        await super()._tick(session)
        if self.whim.random() < 0.004 and session.open:
            session.post(e.SessionForget(source="device:d1"))

    def _follow(self, session: Session) -> None:
        """What is before it does not count for what comes behind."""
        window = session.timeline.window()
        if window and isinstance(window[0].event, e.SessionForgotten) and window[0].seq > self._seen:
            self.rules, self.forgotten = Invariants(), self.forgotten + 1
            self.outcomes.clear()
            self._seen = window[0].seq - 1
        super()._follow(session)

    def check(self, entries: list[Entry]) -> None:
        first = entries[0]
        assert first.seq == 1 or isinstance(first.event, e.SessionForgotten), f"it begins with {first.event}"
        assert [entry.seq for entry in entries] == list(range(first.seq, first.seq + len(entries)))
        later = [entry.event.type for entry in entries[1:]]
        assert "session.forgotten" not in later, "what was to be erased is still there"
        assert not replay(entries)
        assert not self.wrong
        assert all(times == 1 for times in self.executed.values()), "something was done twice"

    def check_ledger(self, ledger: dict[str, str], entries: list[Entry]) -> None:
        """It still has what was done before."""
        steps = [entry.event for entry in entries if isinstance(entry.event, ActionStep)]
        told = {step.action_id: state_after(step) for step in steps}
        assert told.items() <= ledger.items(), "the ledger tells otherwise"


@pytest.mark.parametrize("first_seed", [FIRST_SEED + at * (SEEDS // 3) for at in range(3)])
def test_what_is_forgotten_leaves_a_conversation_in_order(first_seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver_world, "MortalStore", KeptStore)
    forgotten = crashes = 0
    for seed in range(first_seed, first_seed + SEEDS // 3):
        world = ForgettingWorld(seed)
        try:
            run_virtual(world.run())
        except BaseException as error:
            error.add_note(f"seed {seed} at {world.now_ms} ms, after {world.crashes} crashes")
            raise
        forgotten += world.forgotten
        crashes += world.crashes
    print(f"seeds {first_seed}…: forgotten {forgotten} times, {crashes} crashes")
    assert forgotten > 0
