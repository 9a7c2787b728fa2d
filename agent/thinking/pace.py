"""Keeps what a tool tells of its progress at a pace that people can follow and a timeline can hold."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from agent.conversation.reports import ToolProgress

INTERVAL_S = 0.25


class Pace:
    """Lets the first one through at once, and of those within an interval behind it the latest."""

    def __init__(self, emit: Callable[[ToolProgress], None]) -> None:
        self._emit = emit
        self._timer: asyncio.TimerHandle | None = None
        self._latest: ToolProgress | None = None

    def push(self, fact: ToolProgress) -> None:
        if self._timer is None:
            self._emit(fact)
            self._timer = asyncio.get_running_loop().call_later(INTERVAL_S, self._due)
        else:
            self._latest = fact

    def close(self) -> None:
        """Nothing comes any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _due(self) -> None:
        self._timer = None
        if (latest := self._latest) is not None:
            self._latest = None
            self.push(latest)
