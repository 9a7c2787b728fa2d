"""Coalesces a brain's deltas: few facts, and still nothing that speech waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

INTERVAL_S = 0.05
_CLAUSE_ENDS = frozenset(".,;:!?\n")


class TokenFeed:
    """Sends the first delta at once, then collects for `INTERVAL_S` or until a clause ends."""

    def __init__(self, send: Callable[[str], None]) -> None:
        self._send = send
        self._text = ""
        self._timer: asyncio.TimerHandle | None = None

    def add(self, text: str) -> None:
        self._text += text
        if self._timer is None or not _CLAUSE_ENDS.isdisjoint(text):
            self.flush()

    def flush(self) -> None:
        """Send what has been collected."""
        text, self._text = self._text, ""
        self.close()
        if text:
            self._timer = asyncio.get_running_loop().call_later(INTERVAL_S, self.flush)
            self._send(text)

    def close(self) -> None:
        """Send nothing more by itself."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
