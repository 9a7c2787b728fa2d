"""Any sequence of operations ends in every `Store` as it does in memory: same answers, same refusals, same contents."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.clock import VIRTUAL_EPOCH, Clock, run_virtual
from agent.conversation.events import TextInput
from agent.errors import StoreError
from agent.timeline.entry import Entry
from agent.timeline.leases import Lease
from agent.timeline.memory import MemoryStore
from agent.timeline.store import Store
from tests.conformance.store_backends import Backend, entry, every_store_but_memory

OPERATIONS = 250


class Walk:
    """Random operations, most of which make sense; what is asked for depends only on the dice and the answers."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.leases: list[Lease] = []
        self.last_seqs = {"s1": 0, "s2": 0, "s3": 0}
        self.made = 0

    def session_id(self) -> str:
        return self.dice.choice(sorted(self.last_seqs))

    def lease(self) -> Lease:
        """Mostly the latest of its session."""
        if not self.leases or self.dice.random() < 0.05:
            return Lease(self.session_id(), "stranger", self.dice.randint(0, 3), 0, VIRTUAL_EPOCH)
        latest = {lease.session_id: lease for lease in self.leases}
        return self.dice.choice(self.leases if self.dice.random() < 0.1 else list(latest.values()))

    def batch(self, session_id: str) -> list[Entry]:
        seq = self.last_seqs[session_id] + self.dice.choice([0, 1, 1, 1, 1, 1, 1, 2])
        found = []
        for place in range(seq, seq + self.dice.randint(1, 3)):
            self.made += 1
            old = self.dice.random() < 0.15
            number = self.dice.randint(1, self.made) if old else self.made
            text = "else" if self.dice.random() < 0.06 else f"line {number}"
            cause = self.dice.choice(["", "", "", "", "", f"e{self.dice.randint(1, self.made)}"])
            found.append(entry(place, session_id, TextInput(event_id=f"e{number}", text=text), cause=cause))
        return found

    def next(self) -> Callable[[Store], Awaitable[Any]]:
        dice, lease, session_id = self.dice, self.lease(), self.session_id()
        number = dice.randint(0, max(self.last_seqs.values()) + 1)
        batch = self.batch(lease.session_id if dice.random() < 0.9 else session_id)
        expected = dice.choice([None, None, self.last_seqs[batch[0].session_id]])
        owner, ttl_s, states = (
            dice.choice("abc"),
            dice.choice([1, 5, 15]),
            [dice.choice(["", "x", "y"]), dice.choice(["", *"xxxyyy"])],
        )
        action_id, state = dice.choice(["a1", "a2"]), dice.choice([None, {"n": number}])
        choices: list[tuple[int, Callable[[Store], Awaitable[Any]]]] = [
            (30, lambda store: store.append(batch, lease, expected)),
            (8, lambda store: store.append(batch, None, expected)),
            (15, lambda store: store.transition(lease, action_id, states[0], states[1], batch)),
            (7, lambda store: store.acquire(session_id, owner, ttl_s, owner)),
            (5, lambda store: store.renew(lease)),
            (4, lambda store: store.release(lease)),
            (5, lambda store: store.snapshot(lease, number, b"%d" % number)),
            (5, lambda store: store.truncate(lease, number)),
            (4, lambda store: store.presence_set(session_id, owner, state, ttl_s)),
            (1, lambda store: store.retain(VIRTUAL_EPOCH + timedelta(seconds=number % 40))),
            (5, lambda store: store.read(session_id, number, ttl_s)),
            (1 if self.made > 400 else 0, lambda store: store.delete(session_id)),
        ]
        return dice.choices([choice for _, choice in choices], [weight for weight, _ in choices])[0]

    def learn(self, answer: object) -> None:
        if isinstance(answer, Lease):
            self.leases.append(answer)


async def outcome(asked: Awaitable[Any]) -> Any:
    try:
        return await asked
    except StoreError as error:
        return type(error), str(error)


async def contents(store: Store, session_id: str) -> list[Any]:
    stored = await store.session(session_id)
    after = stored.first_seq - 1 if stored else 0
    return [
        stored,
        await outcome(store.read(session_id, after, 10_000)),
        await store.actions(session_id),
        await store.latest_snapshot(session_id),
        await store.presence_list(session_id),
    ]


@every_store_but_memory
@pytest.mark.parametrize("seed", range(5))
def test_it_behaves_like_the_store_in_memory(backend: Backend, tmp_path: Path, seed: int) -> None:
    async def main() -> None:
        clock = Clock()
        model, store = MemoryStore(clock=clock), backend.open(tmp_path, clock)
        walk, kinds = Walk(seed), set()
        try:
            for _ in range(OPERATIONS):
                operation = walk.next()
                expected, found = await outcome(operation(model)), await outcome(operation(store))
                assert found == expected
                kinds.add(expected[0] if isinstance(expected, tuple) else type(expected))
                walk.learn(found)
                for session_id in walk.last_seqs:
                    here = await contents(model, session_id)
                    assert await contents(store, session_id) == here
                    walk.last_seqs[session_id] = here[0].last_seq if here[0] else 0
                await asyncio.sleep(walk.dice.choice([0, 0, 0, 1, 3]))
            assert await store.sessions() == await model.sessions()
            assert await store.check() == []
        finally:
            await store.close()
        # The walk went to places where there is something to see.
        assert len(kinds) >= 8, kinds

    run_virtual(main())


def test_the_walk_can_tell_stores_apart(tmp_path: Path) -> None:
    """A store that forgets one rule is found."""

    class Forgetful(MemoryStore):
        async def renew(self, lease: Lease) -> Lease:
            return replace(await super().renew(lease), epoch=lease.epoch + 1)

    backend = Backend("forgetful", lambda path, clock: Forgetful(clock=clock), lambda store, path, clock: store)
    with pytest.raises(AssertionError):
        for seed in range(5):
            test_it_behaves_like_the_store_in_memory(backend, tmp_path, seed)
