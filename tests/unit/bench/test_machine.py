"""CPU seconds of a family of processes, from a made-up /proc."""

import os

from agent.bench.machine import cpu_s, describe


def process(proc, pid, parent, ticks, name="python"):
    folder = proc / str(pid)
    folder.mkdir()
    rest = ["S", str(parent), *["0"] * 9, *map(str, ticks), "20", "0"]
    (folder / "stat").write_text(f"{pid} ({name}) {' '.join(rest)}\n")


def test_descendants_count_and_others_do_not(tmp_path):
    second = os.sysconf("SC_CLK_TCK")
    process(tmp_path, 10, 1, (second, 0, 0, 0))
    process(tmp_path, 11, 10, (0, second, second, 0), name="a (b) c")
    process(tmp_path, 12, 11, (0, 0, 0, second))
    process(tmp_path, 13, 1, (100 * second, 0, 0, 0))
    (tmp_path / "14").mkdir()
    assert cpu_s(10, tmp_path) == 4.0
    assert cpu_s(99, tmp_path) is None


def test_the_machine_is_described():
    assert "Python" in describe()
