"""Seeded conversations through the real driver and loops. More of them by hand:

SEEDS=5000 FIRST_SEED=100000 pytest tests/simulation/test_driver_simulation.py -s
"""

from __future__ import annotations

import os
from collections import Counter

from agent.clock import run_virtual
from tests.simulation.driver_world import World

FIRST_SEED = int(os.environ.get("FIRST_SEED", "0"))
SEEDS = int(os.environ.get("SEEDS", "500"))
BATCHES = 10


def pytest_generate_tests(metafunc):  # type: ignore[no-untyped-def]
    if "first_seed" in metafunc.fixturenames:
        metafunc.parametrize("first_seed", [FIRST_SEED + i * (SEEDS // BATCHES) for i in range(BATCHES)])


def test_rules_hold_through_the_driver(first_seed: int) -> None:
    seen: Counter[str] = Counter()
    crashes = heard_samples = 0
    for seed in range(first_seed, first_seed + SEEDS // BATCHES):
        world = World(seed)
        try:
            entries = run_virtual(world.run())
        except BaseException as error:
            error.add_note(f"seed {seed} at {world.now_ms} ms, after {world.crashes} crashes")
            raise
        seen.update(entry.event.type for entry in entries)
        crashes += world.crashes
        heard_samples += world.heard_samples
    assert heard_samples > 0, "nothing was ever heard, so nothing could have been heard too long"
    print(f"seeds {first_seed}…{first_seed + SEEDS // BATCHES - 1}: {sum(seen.values())} events, {crashes} crashes")
    for type_ in (
        "interruption.confirmed",
        "interruption.dismissed",
        "reply.committed",
        "action.started",
        "action.rejected",
        "action.committed",
        "control.confirm",
        "session.resumed",
    ):
        assert seen[type_] > 0, f"no {type_} in {SEEDS // BATCHES} conversations"
