"""What every `Store` keeps when its process dies, its caller is cancelled or an answer is lost."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from agent.errors import HeldByOther, Indeterminate
from agent.timeline.leases import Lease
from agent.timeline.store import Store
from tests.conformance.store_backends import (
    Backend,
    entries,
    entry,
    every_durable_store,
    every_store,
    every_store_that_can_lose_an_answer,
    with_rivals,
    with_store,
)

WRITER = """
import asyncio, sys
from pathlib import Path
from agent.conversation.events import TextInput
from agent.timeline.entry import Entry

path = Path(sys.argv[1])
{opening}

def batch(seq, size):
    return [
        Entry("s1", n, f"2026-01-01T00:00:{{n % 60:02}}.000Z", n * 10, n * 10_000, "fact", "t1", "",
              TextInput(event_id=f"e{{n}}", source="page", text=f"line {{n}}"))
        for n in range(seq + 1, seq + size + 1)
    ]

async def main():
    {body}

asyncio.run(main())
"""

APPENDS = """
    seq = 0
    while True:
        seq = await store.append(batch(seq, 50))
        print(seq, flush=True)
"""

TRANSITIONS = """
    lease = await store.acquire("s1", "first life", 3600)
    seq, state = lease.last_seq, ""
    while True:
        for after in ("proposed", "confirmed", "started"):
            seq = await store.transition(lease, "a1", state, after, batch(seq, 3))
            state = after
            print(seq, flush=True)
"""


def kill_after(backend: Backend, path: Path, body: str, acknowledged: int) -> int:
    """Run a writer in another process and kill it in the middle of its work; the last seq that it had told."""
    code = textwrap.dedent(WRITER).format(opening=backend.opening_code, body=body.strip())
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        seen = 0
        while seen < acknowledged:
            seen = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        # What it had said before it died counts as acknowledged too.
        return max([seen, *(int(line) for line in writer.stdout.read().splitlines() if line)])


@every_durable_store
@pytest.mark.parametrize("acknowledged", [50, 150, 400])
def test_a_killed_writer_leaves_whole_batches_and_all_it_acknowledged(
    backend: Backend, tmp_path: Path, acknowledged: int
) -> None:
    seen = kill_after(backend, tmp_path, APPENDS, acknowledged)

    async def check(store: Store) -> None:
        stored = await store.read("s1", limit=1_000_000)
        assert stored == entries(1, len(stored))
        assert len(stored) >= seen
        assert len(stored) % 50 == 0
        assert await store.append(entries(len(stored) + 1, len(stored) + 1)) == len(stored) + 1
        assert await store.check() == []

    with_store(backend, tmp_path, check)


@every_durable_store
@pytest.mark.parametrize("acknowledged", [4, 31])
def test_a_killed_owner_leaves_a_ledger_that_agrees_with_the_timeline_and_a_lease_that_runs_out(
    backend: Backend, tmp_path: Path, acknowledged: int
) -> None:
    seen = kill_after(backend, tmp_path, TRANSITIONS, acknowledged)

    async def check(store: Store) -> None:
        stored = await store.read("s1", limit=1_000_000)
        assert len(stored) >= seen
        assert stored[1:] == entries(2, len(stored))
        (action,) = await store.actions("s1")
        assert (action.seq, action.epoch) == (len(stored), 1)
        assert action.state == ("started", "proposed", "confirmed")[(len(stored) - 1) // 3 % 3]
        assert await store.check() == []
        # The virtual clock stands before the real one by which the lease was granted.
        with pytest.raises(HeldByOther, match="first life"):
            await store.acquire("s1", "second life", 30)
        lease = await store.acquire("s1", "first life", 30)
        assert (lease.epoch, lease.last_seq) == (2, len(stored) + 1)

    with_store(backend, tmp_path, check)


@every_durable_store
def test_all_but_presence_is_there_after_it_is_opened_again(backend: Backend, tmp_path: Path) -> None:
    leases: list[Lease] = []

    async def write(store: Store) -> None:
        lease = await store.acquire("s1", "a", 30, "ada")
        await store.transition(lease, "a1", "", "started", entries(2, 6))
        await store.snapshot(lease, 4, b"four")
        await store.truncate(lease, 3)
        leases.append(lease)

    async def check(store: Store) -> None:
        assert await store.read("s1", 3) == entries(4, 6)
        assert [action.state for action in await store.actions("s1")] == ["started"]
        snapshot = await store.latest_snapshot("s1")
        assert snapshot is not None
        assert (snapshot.seq, snapshot.blob) == (4, b"four")
        with pytest.raises(HeldByOther):
            await store.acquire("s1", "b", 30)
        assert await store.append(entries(2, 7), leases[0]) == 7
        assert [stored.user for stored in await store.sessions()] == ["ada"]

    with_store(backend, tmp_path, write)
    with_store(backend, tmp_path, check)


@every_store
@pytest.mark.parametrize("turns", range(6))
def test_an_append_whose_caller_went_away_is_whole_or_absent_and_may_be_repeated(
    backend: Backend, tmp_path: Path, turns: int
) -> None:
    async def check(store: Store) -> None:
        lease = await store.acquire("s1", "a", 30)
        for seq in range(2, 30, 4):
            caller = asyncio.create_task(store.append(entries(seq, seq + 3), lease))
            for _ in range(turns):
                await asyncio.sleep(0)
            caller.cancel()
            await asyncio.wait({caller})
            read = await store.read("s1", seq - 1)
            assert read in ([], entries(seq, seq + 3))
            assert await store.append(entries(seq, seq + 3), lease) == seq + 3
        assert await store.read("s1", 1) == entries(2, 29)

    with_store(backend, tmp_path, check)


@every_store_that_can_lose_an_answer
@pytest.mark.parametrize("committed", [True, False], ids=["committed", "not committed"])
def test_a_commit_without_an_answer_is_indeterminate_and_may_be_repeated(
    backend: Backend, tmp_path: Path, committed: bool
) -> None:
    assert backend.lose_answer is not None
    lose_answer = backend.lose_answer

    async def check(store: Store) -> None:
        lease = await store.acquire("s1", "a", 30)
        await store.append(entries(2, 2), lease)
        with lose_answer(store, committed):
            outcomes = await asyncio.gather(
                store.append(entries(3, 4), lease), store.append(entries(1, 1, "s2")), return_exceptions=True
            )
            with pytest.raises(Indeterminate, match="append the batch again"):
                await store.transition(lease, "a1", "", "started", entries(5, 6) if committed else entries(3, 4))
        assert [type(outcome) for outcome in outcomes] == [Indeterminate, Indeterminate]
        assert len(await store.read("s1")) == (6 if committed else 2)
        # The same again, in the same order: nothing is twice, nothing is missing.
        if not committed:
            assert await store.append(entries(3, 4), lease) == 4
        assert await store.append(entries(1, 1, "s2")) == 1
        assert await store.transition(lease, "a1", "", "started", entries(5, 6)) == 6
        assert await store.read("s1", 1) == entries(2, 6)
        assert [action.state for action in await store.actions("s1")] == ["started"]
        assert await store.check() == []

    with_store(backend, tmp_path, check)


@every_store
@pytest.mark.parametrize("seed", range(3))
def test_answers_lost_at_random_lose_and_repeat_nothing(backend: Backend, tmp_path: Path, seed: int) -> None:
    """Two owners in turn, each cancelled at any moment and trying again until it is told."""

    async def insist(store: Store, lease: Lease, seq: int, dice: random.Random) -> int:
        while True:
            task = asyncio.create_task(store.append([entry(seq), entry(seq + 1, cause=f"e{seq}")], lease, seq - 1))
            for _ in range(dice.randint(0, 6)):
                await asyncio.sleep(0)
            if dice.random() < 0.5:
                task.cancel()
            await asyncio.wait({task})
            if not task.cancelled():
                return task.result()

    async def check(store: Store, rival: Store) -> None:
        dice, last = random.Random(seed), 0
        for turn in range(8):
            of = (store, rival)[turn % 2]
            lease = await of.acquire("s1", f"owner {turn % 2}", 5)
            assert lease.last_seq == last + 1
            last = lease.last_seq
            for _ in range(4):
                assert await insist(of, lease, last + 1, dice) == last + 2
                last += 2
            await asyncio.sleep(5)
        read = await store.read("s1")
        assert [e.seq for e in read] == list(range(1, last + 1))
        assert len({e.event.event_id for e in read}) == last == 8 * 9

    with_rivals(backend, tmp_path, check)
