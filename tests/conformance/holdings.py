"""What this process and an engine's hold, and how often the suites see whether it grows."""

from __future__ import annotations

import os
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True)
class Holdings:
    """`processes`: those that this one has started and that have not ended."""

    threads: int
    files: int
    processes: int
    kib: int


def holdings(pid: int | None = None) -> Holdings:
    """Of this process, and together with it of the one that an engine works in."""
    me = psutil.Process()
    both = [me, *([psutil.Process(pid)] if pid is not None else [])]
    return Holdings(
        sum(one.num_threads() for one in both),
        sum(one.num_fds() for one in both),
        len(me.children(recursive=True)),
        sum(one.memory_info().rss for one in both) // 1_024,
    )


def cycles(affordable: int = 1_000) -> int:
    """As many as every run of the tests can afford; CONFORMANCE_CYCLES=1000 has all engines do a thousand."""
    return int(os.environ.get("CONFORMANCE_CYCLES", affordable))
