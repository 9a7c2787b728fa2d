"""What every worker process does first. It works for the media process, whose 20 ms clock comes first."""

from __future__ import annotations

import os
import signal
import sys
from typing import BinaryIO

NICENESS = 5
"""Late is better than stuttering, but not for ever: at 10 and more a busy machine leaves a worker next to nothing,
and at 0 the clock waits for it."""


def begin() -> tuple[BinaryIO, BinaryIO]:
    """Give way to the owner, and take its pipes: what comes in, and what goes out."""
    # Ctrl-C reaches the whole process group; the owner decides when this process ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(NICENESS)
    inward, outward = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    # Whatever a library prints must not end up between messages.
    os.dup2(2, 1)
    return inward, outward
