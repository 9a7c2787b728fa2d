"""Plain functions off the event loop, each call in a thread of its own.

A thread cannot be stopped: one that hangs must hold up neither other calls, as in a pool it would, nor the end of
the program. So they are daemons, and counted.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from agent.clock import Clock
from agent.errors import ToolError

T = TypeVar("T")

MAX_THREADS = 16
"""At once, those that nobody waits for any more included."""

_room = threading.BoundedSemaphore(MAX_THREADS)


async def in_thread(work: Callable[[], T]) -> T:
    """Run `work` and wait for it. When the wait is cancelled, it goes on, and its result is dropped.

    Raises what it raises, and `ToolError` (class limit) while `MAX_THREADS` run already.
    """
    room = _room
    if not room.acquire(blocking=False):
        raise ToolError(f"{MAX_THREADS} calls of tools hang already; this one was not begun.", "limit")
    done: Future[T] = Future()
    done.set_running_or_notify_cancel()
    try:
        threading.Thread(target=_run, args=(work, done, room), name="tool", daemon=True).start()
    except RuntimeError as error:
        room.release()
        raise ToolError("This machine has no room for another thread.", "limit") from error
    async with Clock().external():
        return await asyncio.wrap_future(done)


def _run(work: Callable[[], T], done: Future[T], room: threading.Semaphore) -> None:
    try:
        done.set_result(work())
    except BaseException as error:
        # Whatever ends the work is raised where it is waited for.
        done.set_exception(error)
    finally:
        room.release()
