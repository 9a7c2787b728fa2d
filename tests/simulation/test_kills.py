"""A server that is killed at any moment of a conversation loses nothing it acknowledged, and does nothing twice.

More by hand: SEEDS=40 FIRST_SEED=1000 pytest tests/simulation/test_kills.py -s
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections import Counter
from email import message_from_bytes, policy
from pathlib import Path

import pytest

from agent.conversation.decisions import ActionProposed, ActionStarted
from agent.conversation.events import Event, ToolCall
from agent.replay import replay
from agent.timeline.entry import Entry
from agent.timeline.ledger import is_step, state_after
from agent.timeline.reading import read_all
from agent.timeline.sqlite import SqliteStore
from tests.fixtures import kills
from tests.fixtures.server import environment

FIRST_SEED = int(os.environ.get("FIRST_SEED", "0"))
SEEDS = int(os.environ.get("SEEDS", "1"))
KILLS = 5
ENDS = {"committed", "failed", "unknown", "reverted"}


@pytest.mark.parametrize("seed", range(FIRST_SEED, FIRST_SEED + SEEDS))
def test_what_was_acknowledged_is_there_and_no_letter_goes_twice(tmp_path: Path, seed: int) -> None:
    program = [sys.executable, kills.__file__, str(tmp_path), str(seed), str(KILLS)]
    run = subprocess.run(program, env=environment(), stdout=subprocess.PIPE, check=True, timeout=300)
    told = [json.loads(line) for line in run.stdout.splitlines()]
    entries, states = asyncio.run(stored(tmp_path / "timeline.sqlite3"))

    at = {entry.event.event_id: entry.seq for entry in entries}
    assert len(at) == len(entries), "an entry is there twice"
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    lost = [(batch["life"], id_) for batch in told for id_ in batch["ids"] if id_ not in at]
    assert not lost, f"acknowledged and lost: {lost[:5]}"
    assert all(at[batch["ids"][-1]] == batch["last_seq"] for batch in told)
    assert replay(entries) == []

    steps: dict[str, list[str]] = {}
    for entry in entries:
        if is_step(entry.event):
            steps.setdefault(entry.event.action_id, []).append(state_after(entry.event))
    assert {action_id: went[-1] for action_id, went in steps.items()} == states, "the ledger says otherwise"
    started = {entry.event.action_id for entry in entries if isinstance(entry.event, ActionStarted)}
    assert all(went.count("committed") <= 1 for went in steps.values())
    check_starts([entry.event for entry in entries])
    assert all(steps[action_id][-1] in ENDS for action_id in started), "begun, and never settled"

    letters = Counter(number_of(path) for path in tmp_path.rglob("*.eml"))
    assert not [number for number, times in letters.items() if times > 1], "sent twice"
    ordered = [entry.event for entry in entries if isinstance(entry.event, ActionProposed)]
    ends = Counter(steps[event.action_id][-1] for event in ordered if event.name == "send_email")
    assert letters, "no letter at all"
    assert ends["committed"] <= len(letters) <= ends["committed"] + ends["unknown"]
    counted = f"{len(told)} acknowledgements, {len(entries)} entries, {len(letters)} letters"
    print(f"seed {seed}: {KILLS} kills, {counted}, {dict(ends)}")


def check_starts(events: list[Event]) -> None:
    """Only what its tool says may be done twice is begun again after a kill, and under the same key."""
    calls = (event for event in events if isinstance(event, ToolCall))
    again = {f"{call.reply_id}:{call.call_id}" for call in calls if call.idempotent}
    keys: dict[str, list[str]] = {}
    for event in events:
        if isinstance(event, ActionStarted):
            keys.setdefault(event.action_id, []).append(event.idempotency_key)
    assert all(len(set(used)) == 1 for used in keys.values())
    assert {action_id for action_id, used in keys.items() if len(used) > 1} <= again


async def stored(path: Path) -> tuple[list[Entry], dict[str, str]]:
    store = SqliteStore(path)
    try:
        assert await store.check() == []
        actions = await store.actions(kills.SESSION)
        return await read_all(store, kills.SESSION), {action.action_id: action.state for action in actions}
    finally:
        await store.close()


def number_of(path: Path) -> str:
    found = re.search(r"letter (\d+)", message_from_bytes(path.read_bytes(), policy=policy.default).get_content())
    assert found
    return found.group(1)
