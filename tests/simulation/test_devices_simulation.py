"""Seeded conversations with several devices. More of them by hand:

SEEDS=5000 FIRST_SEED=100000 pytest tests/simulation/test_devices_simulation.py -s
"""

from __future__ import annotations

import os
from collections import Counter

from agent.clock import run_virtual
from tests.simulation.devices_world import DevicesWorld

FIRST_SEED = int(os.environ.get("FIRST_SEED", "0"))
SEEDS = int(os.environ.get("SEEDS", "100"))
BATCHES = 10


def pytest_generate_tests(metafunc):  # type: ignore[no-untyped-def]
    if "first_seed" in metafunc.fixturenames:
        metafunc.parametrize("first_seed", [FIRST_SEED + i * (SEEDS // BATCHES) for i in range(BATCHES)])


def test_all_devices_show_the_same_in_the_end(first_seed: int) -> None:
    seen: Counter[str] = Counter()
    for seed in range(first_seed, first_seed + SEEDS // BATCHES):
        world = DevicesWorld(seed)
        try:
            entries = run_virtual(world.run())
        except BaseException as error:
            error.add_note(f"seed {seed} at {world.now_ms} ms, after {world.crashes} crashes")
            raise
        seen.update(f"focus {entry.event.why}" for entry in entries if entry.event.type == "device.focused")
        seen.update(resumed=world.resumed, snapshots=world.snapshots, second=world.second, crashes=world.crashes)
    print(f"seeds {first_seed}…{first_seed + SEEDS // BATCHES - 1}: {dict(seen)}")
    for what in ("focus joined", "focus takeover", "focus left", "resumed", "second"):
        assert seen[what] > 0, f"no {what} in {SEEDS // BATCHES} conversations"
