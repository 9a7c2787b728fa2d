"""Seeded conversations through the bare core. More of them by hand:

SEEDS=200000 FIRST_SEED=1000000 pytest tests/simulation/test_core_simulation.py -s
"""

from __future__ import annotations

import os
from collections import Counter

from tests.simulation.core_world import World

FIRST_SEED = int(os.environ.get("FIRST_SEED", "0"))
SEEDS = int(os.environ.get("SEEDS", "10000"))
BATCHES = 10


def play(first: int, count: int) -> Counter[str]:
    seen: Counter[str] = Counter()
    for seed in range(first, first + count):
        world = World(seed)
        try:
            world.run()
        except Exception as error:
            error.add_note(f"seed {seed}, after {len(world.facts)} facts at {world.now_us / 1e6:.3f} s")
            raise
        seen.update(world.rules.counts)
    return seen


def pytest_generate_tests(metafunc):  # type: ignore[no-untyped-def]
    if "first_seed" in metafunc.fixturenames:
        metafunc.parametrize("first_seed", [FIRST_SEED + i * (SEEDS // BATCHES) for i in range(BATCHES)])


def test_rules_hold_in_every_seeded_conversation(first_seed: int) -> None:
    seen = play(first_seed, SEEDS // BATCHES)
    print(f"seeds {first_seed}…{first_seed + SEEDS // BATCHES - 1}: {sum(seen.values())} events")
    # The search is worth something only if it comes to the interesting places.
    for type_ in ("interruption.confirmed", "interruption.dismissed", "reply.committed", "action.started",
                  "action.rejected", "cancel.ack", "playback.resume", "core.error", "turn that continues"):  # fmt: skip
        assert seen[type_] > 0, f"no {type_} in {SEEDS // BATCHES} conversations"
