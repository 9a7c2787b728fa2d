"""What a session is asked to forget goes: from memory at once, from the store and the recordings as soon as they can.

    session.forget        somebody asks; until it is done, the timeline says that it is to be done
    session.forgotten     everything before is out of the conversation, which begins anew with this entry
    (erased)              memory's answers, the store and the recordings hold nothing of it any more

Each step outlives a crash: what was asked for, or is not yet erased, is so when the session is taken up again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from agent.conversation.events import Event, SessionForget, SessionForgotten
from agent.errors import Indeterminate, StoreError, ToolError, Unavailable
from agent.recorder import Recorder
from agent.timeline.entry import Entry
from agent.timeline.leases import Lease
from agent.timeline.log import RETRY_S, Timeline
from agent.timeline.store import Store

log = logging.getLogger("agent")


async def no_answers(session_id: str) -> None:
    """The tools keep none."""


class Forgetting:
    """One session's. Without a lease, which only a test has, nothing is erased. `answers` erases what the tools
    have kept of theirs."""

    def __init__(
        self,
        timeline: Timeline,
        store: Store,
        lease: Lease | None,
        recorder: Recorder | None,
        answers: Callable[[str], Awaitable[None]] = no_answers,
    ) -> None:
        self.asked = False
        self._timeline = timeline
        self._store = store
        self._lease = lease
        self._recorder = recorder
        self._answers = answers
        self._through = 0
        self._erased = 0
        self._news = asyncio.Event()

    def observe(self, fact: Event) -> None:
        match fact:
            case SessionForget():
                self.asked = True
            case SessionForgotten():
                self.asked = False

    def kept(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """What of a stored session was not forgotten; what was and is still there is erased once `run` runs."""
        begins = [at for at, entry in enumerate(entries) if isinstance(entry.event, SessionForgotten)]
        if begins and begins[-1]:
            self._through = entries[begins[-1]].seq - 1
            self._news.set()
            return entries[begins[-1] :]
        return entries

    def forget(self, through: int) -> None:
        """The entry behind `through` is the first one of the conversation from now on."""
        self._timeline.forget(through)
        if self._recorder is not None:
            self._recorder.forget()
        self._through = through
        self._news.set()

    async def run(self) -> None:
        """Erase what is to be forgotten, until cancelled. Raises `Fenced`, `StoreError`."""
        while True:
            await self._news.wait()
            self._news.clear()
            await self.finish()

    async def finish(self) -> None:
        """Erase it now; a store that cannot is asked again for as long as it takes."""
        while self._lease is not None and self._erased < (through := self._through):
            await self._timeline.durable(through + 1)
            try:
                await self._erase_answers()
                await self._store.forget(self._lease, through)  # last: with it, it is done
                self._erased = through
            except (Unavailable, Indeterminate):
                await asyncio.sleep(RETRY_S)

    async def _erase_answers(self) -> None:
        """A memory that is busy is asked again; one that cannot be written keeps nobody else from forgetting."""
        try:
            await self._answers(self._timeline.session_id)
        except ToolError as error:
            if error.error_class == "timeout":
                raise Unavailable(str(error)) from error
            log.warning("session %s: what its tools answered is not erased: %s", self._timeline.session_id, error)

    async def finish_within(self, timeout_s: float) -> None:
        """The session ends: erase it, or leave it to whoever takes the session up."""
        try:
            async with asyncio.timeout(timeout_s):
                await self.finish()
                if self._through:
                    await self._erase_answers()  # also of an action that has ended since
        except (StoreError, TimeoutError) as error:
            log.warning("session %s: what was forgotten is not erased yet: %s", self._timeline.session_id, error)
