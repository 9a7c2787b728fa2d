"""A bare 20 ms timer, run as a process of its own: how punctual this machine lets any clock be.

It says `ready`, ticks until it is terminated or its parent is gone, and then prints how late each tick
was, in microseconds, one a line. It reads the time itself, which only `agent.clock` does elsewhere: a
`Clock` comes with an event loop, and whatever that costs is not the machine's doing.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator

TICK_US = 20_000
MAX_LATE_US = 100_000
"""Further behind, ticks are left out instead of coming at once, as the playout clock does it."""


def ticks(now_us: Callable[[], int], sleep: Callable[[float], None]) -> Iterator[int]:
    """Microseconds by which each tick is late. Tick n is due at start + n · 20 ms, for ever."""
    due_us = now_us()
    while True:
        due_us += TICK_US
        if (ahead_us := due_us - now_us()) > 0:
            sleep(ahead_us / 1e6)
        late_us = max(now_us() - due_us, 0)
        yield late_us
        if late_us > MAX_LATE_US:
            due_us += late_us // TICK_US * TICK_US


def main() -> None:
    parent, found = os.getppid(), []
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends this one
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    try:
        for late_us in ticks(lambda: time.monotonic_ns() // 1_000, time.sleep):
            found.append(late_us)
            if os.getppid() != parent:
                break
    finally:
        sys.stdout.writelines(f"{late_us}\n" for late_us in found)


if __name__ == "__main__":
    main()
