"""Timers in virtual time: they ring when due, once, also after a restart."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from agent.clock import Clock, run_virtual
from agent.errors import ToolError
from agent.thinking.memory import Memory
from agent.thinking.timers import Timers

Rung = list[tuple[float, str, str]]


class Bench:
    """A clock, a memory file and what rang."""

    def __init__(self, path: Path | str = ":memory:") -> None:
        self.clock = Clock()
        self.memory = Memory(path)
        self.timers = Timers(self.memory)
        self.rung: Rung = []

    def ring(self, reminder_id: str, text: str) -> None:
        self.rung.append((round(self.clock.now_us() / 1e6, 1), reminder_id.rpartition("-")[0], text))

    async def add(self, seconds: float, kind: str = "timer", label: str = "", key: str = "") -> int:
        now = self.clock.wall()
        return (await self.timers.add(key, kind, label, now + timedelta(seconds=seconds), now)).timer_id

    async def live(self, seconds: float, then: Callable[[], object] | None = None) -> None:
        """Let the timers run for so long."""
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.timers.run(self.clock, self.ring))
            await asyncio.sleep(seconds)
            task.cancel()


def test_timers_ring_in_order_when_they_are_due() -> None:
    async def main() -> Rung:
        bench = Bench()
        await bench.memory.start()
        await bench.add(600)
        await bench.add(180, label="tea")
        await bench.add(60, "reminder", "call mom")
        await bench.live(601)
        return bench.rung

    assert run_virtual(main()) == [
        (60.0, "timer-3", "Here is your reminder: call mom."),
        (180.0, "timer-2", "Your tea timer is done."),
        (600.0, "timer-1", "Your 10 minute timer is done."),
    ]


def test_a_timer_set_while_waiting_for_a_later_one_rings_in_time() -> None:
    async def main() -> Rung:
        bench = Bench()
        await bench.memory.start()
        await bench.add(7_200)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(bench.timers.run(bench.clock, bench.ring))
            await asyncio.sleep(10)
            await bench.add(5, label="egg")
            await asyncio.sleep(10)
            task.cancel()
        return bench.rung

    assert run_virtual(main()) == [(15.0, "timer-2", "Your egg timer is done.")]


def test_a_cancelled_timer_does_not_ring() -> None:
    async def main() -> tuple[Rung, list[int], list[int]]:
        bench = Bench()
        await bench.memory.start()
        timer = await bench.add(60)
        first = await bench.timers.cancel("c1", [timer])
        await bench.live(120)
        return bench.rung, first, await bench.timers.cancel("c2", [timer])

    assert run_virtual(main()) == ([], [1], [])


def test_a_timer_that_was_due_while_nobody_was_there_rings_at_once_and_once(tmp_path: Path) -> None:
    path = tmp_path / "memory.sqlite3"

    async def main() -> tuple[Rung, Rung]:
        bench = Bench(path)
        await bench.memory.start()
        await bench.add(60)
        await bench.memory.close()
        await asyncio.sleep(660)
        later = Bench(path)
        later.clock = bench.clock
        await later.memory.start()
        await later.live(5)
        await later.memory.close()
        last = Bench(path)
        await last.memory.start()
        await last.live(5)
        await last.memory.close()
        return later.rung, last.rung

    rung, again = run_virtual(main())
    assert [text for _, _, text in rung] == ["Your 1 minute timer ended 10 minutes ago."]
    assert again == []


def test_a_timer_that_was_ringing_when_the_process_died_rings_again(tmp_path: Path) -> None:
    async def main() -> Rung:
        bench = Bench(tmp_path / "memory.sqlite3")
        await bench.memory.start()
        await bench.add(60)
        await bench.memory.read(lambda db: db.execute("UPDATE timers SET state = 'ringing'"))
        await bench.live(61)
        await bench.memory.close()
        return bench.rung

    assert [reminder for _, reminder, _ in run_virtual(main())] == ["timer-1"]


def test_two_processes_on_one_memory_ring_a_timer_once(tmp_path: Path) -> None:
    path = tmp_path / "memory.sqlite3"

    async def main() -> Rung:
        one, two = Bench(path), Bench(path)
        await one.memory.start()
        await two.memory.start()
        await one.add(60)
        async with asyncio.TaskGroup() as group:
            for bench in (one, two):
                group.create_task(bench.live(90))
        await one.memory.close()
        await two.memory.close()
        return one.rung + two.rung

    assert len(run_virtual(main())) == 1


def test_setting_twice_with_one_key_sets_one() -> None:
    async def main() -> tuple[int, int, int]:
        bench = Bench()
        await bench.memory.start()
        return await bench.add(60, key="k1"), await bench.add(60, key="k1"), len(bench.timers.pending())

    assert run_virtual(main()) == (1, 1, 1)


def test_pending_timers_are_listed_soonest_first() -> None:
    async def main() -> list[str]:
        bench = Bench()
        await bench.memory.start()
        await bench.add(600)
        await bench.add(60, "alarm")
        return [timer.title for timer in bench.timers.pending()]

    assert run_virtual(main()) == ["alarm", "10 minute timer"]


def test_a_time_that_has_passed_is_refused() -> None:
    async def main() -> None:
        bench = Bench()
        await bench.memory.start()
        with pytest.raises(ToolError, match="passed"):
            await bench.add(-5)

    run_virtual(main())


def test_timers_go_on_when_memory_fails_for_a_while() -> None:
    async def main() -> Rung:
        bench = Bench()
        await bench.memory.start()
        await bench.add(60)
        await bench.memory.read(lambda db: db.execute("PRAGMA query_only = ON"))
        async with asyncio.TaskGroup() as group:
            task = group.create_task(bench.timers.run(bench.clock, bench.ring))
            await asyncio.sleep(100)
            await bench.memory.read(lambda db: db.execute("PRAGMA query_only = OFF"))
            await asyncio.sleep(20)
            task.cancel()
        return bench.rung

    rung = run_virtual(main())
    assert [reminder for _, reminder, _ in rung] == ["timer-1"]
    assert rung[0][0] >= 100
