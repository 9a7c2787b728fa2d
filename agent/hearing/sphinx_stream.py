"""One microphone's recogniser: a queue of audio in front of a process that may die."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Protocol

from agent.errors import AsrError, LimitReached
from agent.hearing.port import HEARING_RATE, Hypothesis, OnPartial, Pcm
from agent.hearing.sphinx_process import SphinxProcess
from agent.hearing.worker_process import WorkerDiedError

BATCH_SAMPLES = HEARING_RATE // 2
"""Waiting audio goes to the process in pieces of at most this, to be catching up and still interruptible."""
KEPT_SAMPLES = HEARING_RATE * 20
"""What is kept of a turn to tell a new process when the old one died."""


class Pool(Protocol):
    """Where processes come from and go to."""

    async def take(self) -> SphinxProcess:
        """A process that is ready. Raises `AsrError`."""
        ...

    async def give_up(self, process: SphinxProcess) -> None:
        """The process is dead or broken; reap it."""
        ...


class SphinxStream:
    """Audio and questions in order, one exchange with the process at a time.

    A dead process is replaced and told the turn again, once a turn: audio that kills a
    decoder must not do it for ever.
    """

    def __init__(
        self,
        pool: Pool,
        process: SphinxProcess,
        max_behind_ms: int,
        on_partial: OnPartial,
        on_error: Callable[[str], None],
        on_close: Callable[[SphinxStream], Awaitable[None]],
    ) -> None:
        self._pool = pool
        self._process: SphinxProcess | None = process
        self._max_behind = max_behind_ms * HEARING_RATE // 1000
        self._on_partial = on_partial
        self._on_error = on_error
        self._on_close = on_close
        self._turn = 1
        self._waiting: deque[Pcm] = deque()
        self._kept: deque[Pcm] = deque()
        self._asked: asyncio.Future[Hypothesis] | None = None
        self._reset_due = False
        self._behind = False
        self._retold = False
        self._wake = asyncio.Event()
        self._closed = False
        self._task = asyncio.create_task(self._run(), name="recogniser stream")

    @property
    def pid(self) -> int | None:
        """The process id, for tests and `doctor`; None while it is being replaced."""
        return self._process.pid if self._process else None

    def push(self, pcm: Pcm) -> None:
        """Hand over audio; see `AsrStream.push`."""
        self._waiting.append(pcm)
        self._keep(pcm)
        waiting = _samples(self._waiting)
        if waiting > self._max_behind:
            while _samples(self._waiting) > self._max_behind:
                self._waiting.popleft()
            if not self._behind:
                self._on_error(f"asr.behind: the recogniser is {waiting // 16} ms behind; audio was left out")
            self._behind = True
        self._wake.set()

    async def settle(self) -> Hypothesis:
        """The best text so far; see `AsrStream.settle`."""
        if not self._kept:
            return Hypothesis("", understood=False, confidence=0.0)
        if self._asked is None or self._asked.done():
            self._asked = asyncio.get_running_loop().create_future()
        asked = self._asked
        self._wake.set()
        waits: set[asyncio.Future[Any]] = {asked, self._task}
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        if not asked.done():
            raise AsrError("the recogniser's stream is closed")
        return asked.result()

    def reset(self) -> None:
        """Forget the turn; see `AsrStream.reset`."""
        self._turn += 1
        self._waiting.clear()
        self._kept.clear()
        self._behind = self._retold = False
        self._reset_due = True
        self._refuse("the turn was reset")
        self._wake.set()

    async def close(self) -> None:
        """Ends the process and frees its place in the pool."""
        if self._closed:
            return
        self._closed = True
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        process, self._process = self._process, None
        if process is not None:
            await self._pool.give_up(process)
        await self._on_close(self)

    def _keep(self, pcm: Pcm) -> None:
        self._kept.append(pcm)
        while _samples(self._kept) > KEPT_SAMPLES:
            self._kept.popleft()

    def _refuse(self, message: str) -> None:
        if self._asked is not None and not self._asked.done():
            self._asked.set_exception(AsrError(message))
            # Whoever asked may be gone; an exception nobody fetches must not be logged.
            self._asked.exception()
        self._asked = None

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                if self._process is None:
                    self._process = await self._pool.take()
                await self._work(self._process)
            except WorkerDiedError as death:
                await self._recover(death)
            except (AsrError, LimitReached) as error:
                self._refuse(str(error))
                self._on_error(f"{error.code}: {error}")

    async def _work(self, process: SphinxProcess) -> None:
        while True:
            if self._reset_due:
                self._reset_due = False
                await process.reset()
            elif self._waiting:
                await self._tell(process)
            elif self._asked is not None and not self._asked.done():
                await self._ask(process)
            else:
                return

    async def _tell(self, process: SphinxProcess) -> None:
        turn, batch, size = self._turn, [], 0
        while self._waiting and size + self._waiting[0].size <= max(BATCH_SAMPLES, self._waiting[0].size):
            piece = self._waiting.popleft()
            batch.append(piece.astype("<i2", copy=False).tobytes())
            size += piece.size
        text = await process.hear(turn, b"".join(batch))
        if not self._waiting:
            self._behind = False
        if turn == self._turn:
            self._on_partial(text)  # none of it is stable: each piece may bring another best path

    async def _ask(self, process: SphinxProcess) -> None:
        asked = self._asked
        found = await process.settle()
        if asked is not None and asked is self._asked and not asked.done():
            asked.set_result(Hypothesis(str(found["text"]), bool(found["understood"]), float(found["confidence"])))

    async def _recover(self, death: WorkerDiedError) -> None:
        process, self._process = self._process, None
        if process is not None:
            await self._pool.give_up(process)
        if self._retold:
            self._refuse(f"the recogniser's process ended twice in this turn ({death})")
            self._waiting.clear()
            self._kept.clear()
            self._on_error("asr.worker_died: the recogniser's process ended twice in a turn; the turn is not heard")
            return
        self._on_error(f"asr.worker_died: the recogniser's process ended ({death}) and is started again")
        self._retold = bool(self._kept)
        self._waiting = deque(self._kept)
        self._reset_due = False
        self._wake.set()


def _samples(pieces: deque[Pcm]) -> int:
    return sum(piece.size for piece in pieces)
