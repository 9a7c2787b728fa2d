"""How a peer that is served by one task comes to its end."""

from __future__ import annotations

import asyncio


class Leaving:
    """Only the first reason counts. `event` is set once the peer is to go."""

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self.reason = ""
        self.for_good = False

    def begin(self, reason: str, *, for_good: bool) -> None:
        """Never blocks."""
        if not self.event.is_set():
            self.reason, self.for_good = reason, for_good
            self.event.set()
