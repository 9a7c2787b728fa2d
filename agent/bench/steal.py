"""How much of the cores' time a hypervisor gave to other machines."""

from __future__ import annotations

from pathlib import Path

STAT = Path("/proc/stat")
COUNTED = 8
"""user, nice, system, idle, iowait, irq, softirq, steal; what guests used is in `user` already."""
STEAL = 7


class Steal:
    """Counts from when it is made. Linux only: proc_stat(5), first line."""

    def __init__(self, stat: Path = STAT) -> None:
        self._stat = stat
        self._began = _ticks(stat)

    def share(self) -> float | None:
        """The share of all cores' time that was stolen so far, None where that cannot be told."""
        now = _ticks(self._stat)
        if now is None or self._began is None or now[1] <= self._began[1]:
            return None
        return (now[0] - self._began[0]) / (now[1] - self._began[1])


def _ticks(stat: Path) -> tuple[int, int] | None:
    """Stolen clock ticks and all of them, since the machine was started."""
    try:
        name, *fields = stat.read_text(encoding="ascii").splitlines()[0].split()
        found = [int(field) for field in fields[:COUNTED]]
    except (OSError, IndexError, ValueError):
        return None
    return (found[STEAL], sum(found)) if name == "cpu" and len(found) == COUNTED else None
