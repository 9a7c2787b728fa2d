"""The only module that reads time.

Everything else asks a `Clock`. In real time it is the event loop's own clock; in virtual
time (`run_virtual`) the loop jumps to the next timer as soon as nothing else can run, so
`asyncio.sleep`, `asyncio.timeout` and `call_at` all work unchanged and a minute of
conversation takes milliseconds. While a call to something real (a worker process, a thread)
is outstanding inside `clock.external()`, virtual time stands still: computing costs no time
unless `charge_compute` says that it does. The idea is trio's autojump clock.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

T = TypeVar("T")

VIRTUAL_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""The wall time at which virtual time begins, the same in every run."""
EXTERNAL_LIMIT_S = 300.0
"""How long, in real time, something outside may be waited for while virtual time stands still."""


class Clock:
    """Monotonic microseconds of the running event loop, and the wall time that goes with them."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._virtual = loop if isinstance(loop, VirtualLoop) else None
        self._origin_us = self._loop_us()
        self._wall_origin = VIRTUAL_EPOCH if self._virtual else datetime.now(UTC)

    def _loop_us(self) -> int:
        return round(self._loop.time() * 1_000_000)

    @property
    def virtual(self) -> bool:
        """Whether time here is virtual. For engines that have to be as orderly as it is."""
        return self._virtual is not None

    def now_us(self) -> int:
        """Microseconds since this clock was made."""
        return self._loop_us() - self._origin_us

    def wall(self) -> datetime:
        """The current UTC time, derived from the monotonic clock: it never jumps."""
        return self._wall_origin + timedelta(microseconds=self.now_us())

    async def sleep_until(self, at_us: int) -> None:
        """Sleep until `now_us()` reaches `at_us`; returns at once when it has."""
        delay_us = at_us - self.now_us()
        if delay_us > 0:
            await asyncio.sleep(delay_us / 1_000_000)

    @asynccontextmanager
    async def external(self) -> AsyncIterator[None]:
        """Wrap a wait for something outside the loop; virtual time stands still meanwhile."""
        if self._virtual is None:
            yield
            return
        started = time.perf_counter()
        self._virtual.outstanding += 1
        try:
            yield
        finally:
            self._virtual.outstanding -= 1
        if self._virtual.charge_compute:
            await asyncio.sleep(time.perf_counter() - started)


def utc_now() -> datetime:
    """The wall time, for what runs outside an event loop."""
    return datetime.now(UTC)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time moves only when nothing is left to run.

    Raises `RuntimeError` instead of blocking for ever when no timer, no ready callback and no
    external call is left: that is a deadlock in the code under test.
    """

    def __init__(self, *, charge_compute: bool = False) -> None:
        self._now_s = 0.0
        self.outstanding = 0
        self.charge_compute = charge_compute
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        return self._now_s

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]
        """Threads of the default executor, which libraries use, are outside; time stands still for them, too."""
        work = super().run_in_executor(executor, func, *args)
        if executor is None:
            self.outstanding += 1
            work.add_done_callback(self._returned)
        return work

    async def shutdown_default_executor(self, *timeout: float) -> None:
        self.outstanding += 1
        try:
            await super().shutdown_default_executor(*timeout)
        finally:
            self.outstanding -= 1

    def _returned(self, _: object) -> None:
        self.outstanding -= 1

    def jump(self, seconds: float) -> None:
        """Move virtual time forward."""
        # Rounded to whole microseconds, and never less than one: a timer that is a rounding
        # error away would otherwise be polled for ever.
        self._now_s = round(self._now_s + max(seconds, 0.000_001), 6)


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout <= 0:
            return super().select(0)
        if self._loop.outstanding:
            if not (ready := super().select(EXTERNAL_LIMIT_S)):
                raise RuntimeError(f"virtual time: what is outside has not answered within {EXTERNAL_LIMIT_S:g} s")
            return ready
        ready = super().select(0)
        if ready:
            return ready
        if timeout is None:
            raise RuntimeError("virtual time: every task waits and no timer is set")
        self._loop.jump(timeout)
        return []


def run_virtual(main: Coroutine[Any, Any, T], *, charge_compute: bool = False) -> T:
    """Run a coroutine to its end in virtual time, like `asyncio.run`."""
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(charge_compute=charge_compute)) as runner:
        return runner.run(main)
