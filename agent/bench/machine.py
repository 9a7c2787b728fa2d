"""What the machine is, how busy it is, and what a process and its children used of it."""

from __future__ import annotations

import os
import platform
from pathlib import Path

PROC = Path("/proc")
PRESSURE = PROC / "pressure" / "cpu"


def describe() -> str:
    """One line: cores, processor, system, Python."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    system = f"{platform.system()} {platform.release()}"
    return f"{cores} cores, {_processor()}, {system}, Python {platform.python_version()}"


def _processor() -> str:
    try:
        for line in (PROC / "cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        return platform.machine()
    return platform.processor() or platform.machine()


def load() -> float | None:
    """The one-minute load average, where there is one."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def stalled_us() -> int | None:
    """Microseconds so far in which some task waited for a core (Linux pressure stall information)."""
    try:
        first = PRESSURE.read_text(encoding="ascii").splitlines()[0]
        return int(first.rsplit("total=", 1)[1])
    except (OSError, IndexError, ValueError):
        return None


def cpu_s(pid: int, proc: Path = PROC) -> float | None:
    """CPU seconds so far of a process and all its descendants, None where that cannot be told.

    Children that ended and were waited for are counted by their parents.
    """
    stats = _stats(proc)
    if pid not in stats:
        return None
    family, fresh = {pid}, {pid}
    while fresh:
        fresh = {child for child, (parent, _) in stats.items() if parent in family} - family
        family |= fresh
    ticks = sum(stats[member][1] for member in family)
    return ticks / os.sysconf("SC_CLK_TCK")


def _stats(proc: Path) -> dict[int, tuple[int, int]]:
    """Parent and clock ticks of every process: proc_pid_stat(5), fields 4 and 14 to 17."""
    stats = {}
    for folder in proc.glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            stats[int(folder.name)] = (int(fields[1]), sum(int(field) for field in fields[11:15]))
        except (OSError, IndexError, ValueError):
            continue  # it ended meanwhile
    return stats
