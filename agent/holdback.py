"""Side effects that wait: each reaches its tool once its start is durable and nobody is about to interrupt."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from agent.conversation.decisions import (
    ActionStarted,
    Decision,
    InterruptionConfirmed,
    InterruptionDismissed,
    InterruptionSuspected,
)
from agent.conversation.events import ToolResult
from agent.errors import LimitReached
from agent.timeline.entry import Entry
from agent.timeline.log import Timeline

MAX_WAITING = 64


class Holdback:
    """`begin` hands a start to its tool; once `closed` is set no more begins. Use `run` as a task of the session."""

    def __init__(self, timeline: Timeline, begin: Callable[[Decision], None], closed: asyncio.Event) -> None:
        self._timeline = timeline
        self._begin = begin
        self._waiting: deque[tuple[int, ActionStarted]] = deque()
        self._news = asyncio.Event()
        self._calm = asyncio.Event()
        """No interruption is suspected."""
        self._calm.set()
        self._closed = closed

    def apply(self, entry: Entry) -> bool:
        """Whether this is a start, which is held back. Raises `LimitReached` when too many wait."""
        match entry.event:
            case ActionStarted() as start:
                if len(self._waiting) >= MAX_WAITING:
                    raise LimitReached(f"more than {MAX_WAITING} actions wait for the store")
                self._waiting.append((entry.seq, start))
                self._news.set()
                return True
            case InterruptionSuspected():
                self._calm.clear()
            case InterruptionConfirmed() | InterruptionDismissed():
                self._calm.set()
        return False

    def call_off(self, reply_id: str) -> list[ActionStarted]:
        """What this reply would start and the store does not have yet has not begun, and does not any more."""
        found = [one for one in self._waiting if one[1].reply_id == reply_id]
        for one in found:
            self._waiting.remove(one)
        return [start for _, start in found]

    def waiting(self) -> list[ActionStarted]:
        """Oldest first."""
        return [start for _, start in self._waiting]

    async def run(self) -> None:
        """Until the session is closed, or cancelled."""
        while True:
            while self._waiting:
                seq, start = first = self._waiting[0]
                await self._timeline.durable(seq)
                await self._calm.wait()
                if self._closed.is_set():
                    return
                if self._waiting and self._waiting[0] is first:  # else it was called off meanwhile
                    self._waiting.popleft()
                    self._begin(start)
            self._news.clear()
            await self._news.wait()


def not_begun(start: ActionStarted, why: str) -> ToolResult:
    """The outcome of an action whose tool surely never ran."""
    ids = {"reply_id": start.reply_id, "call_id": start.call_id}
    return ToolResult(source="driver", ok=False, error_class="unreachable", message=why, **ids)
