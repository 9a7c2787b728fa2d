"""The bare timer in made-up time and in a process of its own; the hypervisor's share from made-up /proc."""

import asyncio
from itertools import islice

from agent.bench.bare_timer import ticks
from agent.bench.floor import watched
from agent.bench.steal import Steal


class Time:
    """Time that passes only by sleeping, each sleep too long by the next of `extra_us`."""

    def __init__(self, *extra_us):
        self.now = 7_000
        self.slept = 0
        self._extra_us = [*extra_us]

    def now_us(self):
        return self.now

    def sleep(self, seconds):
        self.slept += 1
        self.now += round(seconds * 1e6) + (self._extra_us.pop(0) if self._extra_us else 0)


def test_a_late_tick_moves_no_other():
    time = Time(0, 3_000, 500)
    assert list(islice(ticks(time.now_us, time.sleep), 4)) == [0, 3_000, 500, 0]
    assert time.now == 7_000 + 4 * 20_000


def test_missed_ticks_are_late_too_until_there_are_too_many():
    time = Time(50_000)
    assert list(islice(ticks(time.now_us, time.sleep), 5)) == [50_000, 30_000, 10_000, 0, 0]
    time = Time(1_005_000)
    assert list(islice(ticks(time.now_us, time.sleep), 3)) == [1_005_000, 0, 0]
    assert time.slept == 3


def test_the_timer_ticks_while_something_is_done():
    async def main():
        async with watched() as floor:
            await asyncio.sleep(0.15)
        return floor

    floor = asyncio.run(main())
    assert floor.late_ms
    assert min(floor.late_ms) >= 0
    assert floor.stolen is None or 0 <= floor.stolen <= 1


def stat(tmp_path, *fields, name="cpu "):
    path = tmp_path / "stat"
    path.write_text(f"{name} {' '.join(map(str, fields))}\ncpu0 1 2 3 4 5 6 7 8 9 10\nintr 5\n")
    return path


def test_the_stolen_share_is_of_the_window(tmp_path):
    steal = Steal(stat(tmp_path, 100, 0, 50, 800, 10, 0, 5, 400, 60, 0))
    stat(tmp_path, 140, 0, 60, 840, 10, 0, 5, 410, 90, 0)
    assert steal.share() == 0.1


def test_no_share_where_the_system_does_not_tell(tmp_path):
    assert Steal(tmp_path / "nothing").share() is None
    assert Steal(stat(tmp_path, 1, 2, 3, 4)).share() is None
    assert Steal(stat(tmp_path, *range(10), name="cpu0")).share() is None
    assert Steal(stat(tmp_path, *["x"] * 10)).share() is None
    assert Steal(stat(tmp_path, *range(10))).share() is None
    (tmp_path / "stat").write_text("")
    assert Steal(tmp_path / "stat").share() is None
